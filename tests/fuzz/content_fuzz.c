/* SPDX-License-Identifier: MIT */
/* The content of a document (src/app/page/content.h). Input: an id, a NUL, the document.
 *
 * The found content lies in the document, and begins and ends with tags. It is found again if it is the whole
 * document, and between other elements. According to the builder's HTML parser (src/html/place.h), unless that gives
 * up, it begins and ends in text. */
#include "app/page/content.h"

#include <strings.h>

#include "fuzz/target.h"
#include "html/place.h"

static void check_place(const char *html, size_t len) {
  vsi_html_place place;
  const char *why = "";
  if (len && html[len - 1] == '<') return; /* a text, but only the next character proves this */
  vsi_place_init(&place);
  vsi_place_read(&place, html, len);
  require(vsi_place_slot(&place, &why) == VSI_SLOT_TEXT || strstr(why, "too intricate"));
}

static bool is_content_tag(const char *at) {
  return strncasecmp(at, "<main", 5) == 0 || strncasecmp(at, "<div", 4) == 0 || strncasecmp(at, "<section", 8) == 0 ||
         strncasecmp(at, "<article", 8) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const char *id = (const char *)data, *zero = memchr(data, 0, size);
  if (!zero || zero == id) return 0;
  size_t len = size - (size_t)(zero + 1 - id);
  char *html = malloc(len ? len : 1); /* exact size, so that the sanitizer detects any overrun */
  require(html != NULL);
  memcpy(html, zero + 1, len);
  vsi_content found, again;
  vsi_content_fault fault = vsi_content_find(html, len, id, &found);
  require(strcmp(vsi_content_fault_name(fault), "unknown") != 0);
  if (fault) {
    require(found.at <= len && *found.why);
    free(html);
    return 0;
  }
  size_t begin = found.begin, end = found.end;
  require(begin < end && end <= len && found.head_end <= begin);
  require(is_content_tag(html + begin) && html[end - 1] == '>');
  check_place(html, begin);
  check_place(html, end);
  require(vsi_content_find(html + begin, end - begin, id, &again) == VSI_CONTENT_FOUND);
  require(again.begin == 0 && again.end == end - begin);
  static const char before[] = "<!doctype html><p>a<div><ul><li>", behind[] = "</ul></div></p>";
  size_t more = sizeof before - 1, whole = more + (end - begin) + sizeof behind - 1;
  char *between = malloc(whole);
  require(between != NULL);
  memcpy(between, before, more);
  memcpy(between + more, html + begin, end - begin);
  memcpy(between + more + (end - begin), behind, sizeof behind - 1);
  require(vsi_content_find(between, whole, id, &again) == VSI_CONTENT_FOUND);
  require(again.begin == more && again.end == more + (end - begin));
  free(between);
  free(html);
  return 0;
}
