/* SPDX-License-Identifier: MIT */
/* Client actions from any texts: one event, one element, with the text in a string that reads back; and no address
 * that a browser would run as a program.
 * Input: a byte for the kind, then the text. */
#include <ctype.h>
#include <jansson.h>

#include "fuzz/target.h"
#include "vestry/event.h"

static size_t count_of(vestry_slice bytes, const char *what) {
  size_t count = 0, len = strlen(what);
  const char *at = bytes.data, *end = at + bytes.len;
  while ((at = memmem(at, (size_t)(end - at), what, len))) {
    count++;
    at += len;
  }
  return count;
}

/* Check that it is one event with three data lines, whose elements are one element. */
static void check_frame(vestry_slice bytes, const char *end) {
  require(count_of(bytes, "\n") == 5 && count_of(bytes, "\r") == 0 && count_of(bytes, "\n\n") == 1);
  require(count_of(bytes, "\ndata: ") == 3 && count_of(bytes, "<") == 2 && count_of(bytes, end) == 1);
}

static unsigned hex_of(const char *digits, int count) {
  unsigned value = 0;
  for (int i = 0; i < count; i++) {
    require(isxdigit((unsigned char)digits[i]));
    value = value * 16 + (unsigned)(isdigit((unsigned char)digits[i]) ? digits[i] - '0' : (digits[i] | 32) - 'a' + 10);
  }
  return value;
}

/* Return the string between these two as JavaScript reads it, after the HTML parser and the client. It must contain
 * no character that one of them interprets. Invalid UTF-8 is U+FFFD in it. */
static void check_string(vestry_slice bytes, const char *before, const char *behind, const char *text, size_t len) {
  static const char tail[] = "; el.remove()\"></i>\n\n";
  const char *from = memmem(bytes.data, bytes.len, before, strlen(before));
  require(from != NULL);
  from += strlen(before);
  const char *end = (const char *)bytes.data + bytes.len - strlen(behind) - strlen(tail);
  require(end > from + 1 && memcmp(end, behind, strlen(behind)) == 0 && *from == '\'' && end[-1] == '\'');
  size_t at = 0;
  for (from++, end--; from < end; at++) {
    require(!memchr("'\"<>&$@;(`\n", *from, 11));
    unsigned code = (unsigned char)*from;
    if (*from == '\\' && from[1] == 'x') {
      code = hex_of(from + 2, 2);
      from += 4;
    } else if (*from == '\\') { /* of U+2028, U+2029, or half of a pair */
      require(from[1] == 'u' && hex_of(from + 2, 4) >= 0x2028);
      return;
    } else {
      from++;
    }
    if (code >= 0x80 || at >= len || (unsigned char)text[at] >= 0x80) return; /* tests/html covers these */
    require(code == (unsigned char)text[at]);
  }
  require(at == len);
}

/* The literal of a rule reads back as the text; JSON parsers reject bytes that are not UTF-8. */
static void check_literal(vestry_slice bytes, const char *before, const char *behind, const char *text, size_t len) {
  const char *from = memmem(bytes.data, bytes.len, before, strlen(before));
  require(from != NULL);
  from += strlen(before);
  const char *end = (const char *)bytes.data + bytes.len - strlen(behind) - strlen("</script>\n\n");
  require(end > from && memcmp(end, behind, strlen(behind)) == 0);
  json_t *read = json_loadb(from, (size_t)(end - from), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  json_t *valid = json_stringn(text, len);
  require(!read == !valid);
  if (read) require(json_equal(read, valid));
  json_decref(read);
  json_decref(valid);
}

/* Return whether a browser (WHATWG URL) would show or run the content of the address. */
static bool is_dangerous(const char *url) {
  static const char *const schemes[] = {"javascript:", "data:", "vbscript:", "blob:", "file:"};
  char plain[16];
  size_t len = 0;
  while (*url && (unsigned char)*url <= 0x20) url++;
  for (; *url && len < sizeof plain - 1; url++)
    if (!strchr("\t\n\r", *url)) plain[len++] = (char)tolower((unsigned char)*url);
  plain[len] = '\0';
  for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
    if (strncmp(plain, schemes[i], strlen(schemes[i])) == 0) return true;
  return false;
}

static void check_address(vestry_err error, const vestry_event *event, const char *url, const char *before) {
  require(error == VESTRY_OK || error == VESTRY_INVALID);
  if (error) return;
  require(!is_dangerous(url));
  bool is_rule = strstr(before, "urls") != NULL;
  check_frame(vestry_event_bytes(event), is_rule ? "</script>\n\n" : "</i>\n\n");
  if (is_rule)
    check_literal(vestry_event_bytes(event), before, "]}]}", url, strlen(url));
  else
    check_string(vestry_event_bytes(event), before, ")", url, strlen(url));
}

static vestry_host quiet; /* without a log */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  if (!size) return 0;
  if (!quiet.reallocate) quiet = *vestry_host_default();
  quiet.log = NULL;
  size_t len = size - 1;
  char *text = malloc(len + 1);
  require(text != NULL);
  memcpy(text, data + 1, len);
  text[len] = '\0';
  static const struct {
    const char *name, *before;
  } addresses[] = {{"redirect", "window.location.href = "},
                   {"replace-url", "window.history.state, '', "},
                   {"prefetch", "\"urls\":["},
                   {"navigate", "window.location.assign(url), 0, "}};
  const unsigned kind = data[0] % 6;
  vestry_event *event = NULL;
  json_t *given = json_stringn(text, len); /* NULL: it is not UTF-8, and refused */
  if (kind < 4) {
    vestry_err error = vestry_event_effect(&quiet, VESTRY_LIST(addresses[kind].name, text), &event);
    check_address(error, event, text, addresses[kind].before);
  } else if (given) {
    const vestry_value *effect = kind == 4 ? VESTRY_LIST("console-log", given) : VESTRY_LIST("dispatch-event", given);
    vestry_err error = vestry_event_effect(&quiet, effect, &event);
    require(error == VESTRY_OK || kind == 5); /* a name is not empty and has no NUL */
    if (!error) check_frame(vestry_event_bytes(event), "</i>\n\n");
    if (!error && kind == 4) check_string(vestry_event_bytes(event), "console.log(", ")", text, len);
  }
  json_decref(given);
  vestry_event_unref(event);
  free(text);
  return 0;
}
