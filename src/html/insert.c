/* SPDX-License-Identifier: MIT */
/* Inserting a text at the place of a builder: the place determines whether a text is possible there and how it is
 * escaped. */
#include "html/insert.h"

#include "html/escape.h"
#include "html/place.h"

/* Return whether the last bytes could begin a character reference: a `&`, possibly with letters and digits. The
 * following text would be searched for its end. The longest name of a reference has 31 characters. */
static bool ends_in_reference(const vsi_html *html) {
  for (size_t back = 1; back <= 33 && back <= html->len; back++) {
    char c = html->data[html->len - back], letter = (char)(c | 0x20);
    if (c == '&') return true;
    if (c != '#' && !(c >= '0' && c <= '9') && !(letter >= 'a' && letter <= 'z')) return false;
  }
  return false;
}

/* The parser reads a CR and the LF after it as one line feed. */
static bool ends_in_cr(const vsi_html *html) {
  return html->len && html->data[html->len - 1] == '\r';
}

static const char why_reference[] = "the value follows a & and could form a character reference with it";

static const char *find_fault(const vsi_html *html, vsi_slot *ret_slot) {
  const char *why = NULL;
  *ret_slot = vsi_place_slot(&html->place, &why);
  if (*ret_slot == VSI_SLOT_JS_CODE || *ret_slot == VSI_SLOT_SCRIPT)
    return "the value is in code, outside of a string: use vestry_html_js, which adds quotes";
  if (!why && ends_in_reference(html)) return why_reference;
  return why;
}

void vsi_html_insert(vsi_html *html, const char *text, size_t len) {
  if (html->error) return;
  vsi_slot slot;
  const char *why = find_fault(html, &slot);
  if (why) {
    vsi_html_fail(html, VESTRY_INVALID, why);
    return;
  }
  bool is_dropped = len && *text == '\n' && vsi_place_drops_newline(&html->place);
  bool is_merged = len && *text == '\n' && slot != VSI_SLOT_JS_STRING && ends_in_cr(html);
  bool runs = vsi_place_insert(&html->place, slot, text, len);
  if (is_dropped) vsi_html_put(html, "\n", 1);
  if (is_merged) vsi_html_put_str(html, "&#10;");
  if (is_merged) text++, len--;
  if (slot == VSI_SLOT_JS_STRING)
    vsi_html_escape_js(html, text, len);
  else if (runs)
    vsi_html_put_str(html, "about:invalid");
  else
    vsi_html_escape_text(html, text, len);
}

void vsi_html_insert_settled(vsi_html *html, bool in_js, const char *text, size_t len) {
  if (html->error) return;
  if (ends_in_reference(html)) {
    vsi_html_fail(html, VESTRY_INVALID, why_reference);
    return;
  }
  bool is_merged = len && *text == '\n' && !in_js && ends_in_cr(html);
  if (is_merged) vsi_html_put_str(html, "&#10;");
  if (is_merged) text++, len--;
  if (in_js)
    vsi_html_escape_js(html, text, len);
  else
    vsi_html_escape_text(html, text, len);
}
