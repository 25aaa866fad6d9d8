/* SPDX-License-Identifier: MIT */
/* Fields of forms: one declaration makes the inputs of a page, and reads what its user has sent. The browser checks the
 * rules, too, but only so that the user learns of a mistake at once: a request can contain anything. A maxlength counts
 * UTF-16 units, of which a character has one or two, so the browser never admits a text that is too long here. */
#include "vestry/app/input.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/utf8.h"
#include "html/builder.h"
#include "instance/instance.h"

/* DIGITS_BYTES: of an integer. LABEL_BYTES: of a label in a message */
enum { DIGITS_BYTES = 40, LABEL_BYTES = 100 };

static const char *label_of(const vestry_input *field) {
  return field->label ? field->label : field->name;
}

/* ----------------------------------------------------------------------------------------------- reading --------- */

/* Return the length of the white space at this place, in bytes: of ASCII, the no-break space, U+2000 to U+200B, the
 * separators U+2028 and U+2029, U+202F, U+205F, U+3000, and U+FEFF. */
static size_t blank_at(const char *at) {
  static const char *const others[] = {"\xE2\x81\x9F", "\xE3\x80\x80", "\xEF\xBB\xBF"};
  const unsigned char *b = (const unsigned char *)at;
  if (*b && strchr(" \t\r\n\v\f", *b)) return 1;
  if (b[0] == 0xC2 && (b[1] == 0xA0 || b[1] == 0x85)) return 2;
  if (b[0] == 0xE2 && b[1] == 0x80 && ((b[2] >= 0x80 && b[2] <= 0x8B) || b[2] == 0xA8 || b[2] == 0xA9 || b[2] == 0xAF))
    return 3;
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (strncmp(at, others[i], 3) == 0) return 3;
  return 0;
}

/* Return the text without white space at its ends. */
static vestry_slice trimmed(const char *text) {
  while (blank_at(text)) text += blank_at(text);
  const char *end = text;
  for (const char *at = text; *at;) {
    const size_t blank = blank_at(at);
    at += blank ? blank : 1;
    if (!blank) end = at;
  }
  return (vestry_slice){text, (size_t)(end - text)};
}

static size_t characters_of(const char *text, size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++) count += ((unsigned char)text[i] & 0xC0) != 0x80;
  return count;
}

bool vestry_text_has(const char *text, size_t min, size_t max) {
  if (!text || characters_of(text, strlen(text)) > max) return false;
  const vestry_slice is = trimmed(text);
  return characters_of(is.data, is.len) >= min;
}

/* Return whether a text may have the byte c, followed by `next`. */
static bool is_allowed(const vestry_input *field, unsigned char c, unsigned char next) {
  const char *at = field->allowed;
  if (c == 0xC2 && next >= 0x80 && next <= 0x9F) return false; /* U+0080 to U+009F are control characters, too */
  if (c < 0x20 || c == 0x7F) return field->has_lines && (c == '\n' || c == '\t');
  for (; at && *at; at++) {
    const bool is_range = at[1] == '-' && at[2];
    if (c >= (unsigned char)*at && c <= (unsigned char)at[is_range ? 2 : 0]) return true;
    if (is_range) at += 2;
  }
  return !field->allowed;
}

/* Copy a text, whose lines end with LF then. ret_count: its characters. false: it breaks a rule that no number of
 * characters states, or has no room. */
static bool take_text(const vestry_input *field, const char *text, char *to, int64_t *ret_count) {
  const vestry_slice is = trimmed(text);
  const char *at = is.data;
  size_t len = 0;
  *ret_count = 0;
  for (size_t i = 0; i < is.len; i++) {
    if (at[i] == '\r' && i + 1 < is.len && at[i + 1] == '\n') continue;
    if (!is_allowed(field, (unsigned char)at[i], (unsigned char)at[i + 1])) return false;
    *ret_count += ((unsigned char)at[i] & 0xC0) != 0x80;
    if (len + 1 < field->bytes) to[len] = at[i];
    len++;
  }
  to[len < field->bytes ? len : 0] = '\0';
  return true;
}

/* Return the number of characters that a text may have. */
static int64_t most_of(const vestry_input *field) {
  const int64_t room = (int64_t)field->bytes - 1;
  return field->max && field->max < room ? field->max : room;
}

/* A long text is cut, and not within a character, because a response must not contain half of one. */
static vestry_err refuse(const vestry_input *field, const char *wanted, char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  const char *label = label_of(field);
  const int label_len = (int)vsi_utf8_trim(label, strnlen(label, LABEL_BYTES));
  if (field->message)
    snprintf(message, VESTRY_INPUT_MESSAGE_BYTES, "%s", field->message);
  else
    snprintf(message, VESTRY_INPUT_MESSAGE_BYTES, "%.*s: %s.", label_len, label, wanted);
  message[vsi_utf8_trim(message, strlen(message))] = '\0';
  return VESTRY_MALFORMED;
}

static vestry_err read_text(const vestry_input *field, const char *text, char *to,
                            char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  char wanted[120];
  int64_t count = 0;
  const char *unit = most_of(field) == 1 ? "" : "s";
  if (!take_text(field, text, to, &count)) {
    snprintf(wanted, sizeof wanted, field->allowed ? "only the characters %.80s" : "no control characters",
             field->allowed);
    return refuse(field, wanted, message);
  }
  if (count > most_of(field)) {
    snprintf(wanted, sizeof wanted, "at most %" PRId64 " character%s", most_of(field), unit);
    return refuse(field, wanted, message);
  }
  if (count && !*to) { /* in UTF-8 */
    snprintf(wanted, sizeof wanted, "at most %u letters; one with an accent counts as 2, an emoji as 4",
             field->bytes - 1);
    return refuse(field, wanted, message);
  }
  if (count >= field->min) return VESTRY_OK;
  snprintf(wanted, sizeof wanted, field->min == 1 ? "enter something" : "at least %" PRId64 " characters", field->min);
  return refuse(field, wanted, message);
}

static vestry_err read_integer(const vestry_request *req, const vestry_input *field, int64_t *to,
                               char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  char wanted[120];
  const bool is_any = !field->min && !field->max;
  const vestry_into into = vestry_into_between(to, is_any ? INT64_MIN : field->min, is_any ? INT64_MAX : field->max);
  vestry_err error = vestry_request_get(req, VESTRY_IN_FORM, field->name, into);
  if (error == VESTRY_NOT_FOUND) error = vestry_signals_get(req->signals, field->name, into, NULL);
  if (!error || error == VESTRY_NO_MEMORY) return error;
  snprintf(wanted, sizeof wanted, is_any ? "a whole number" : "a whole number from %" PRId64 " to %" PRId64, field->min,
           field->max);
  return refuse(field, wanted, message);
}

/* Return the text of a field; "": there is none. */
static const char *sent_text(const vestry_request *req, const vestry_input *field) {
  const char *text = vestry_request_value(req, VESTRY_IN_FORM, field->name);
  if (!text && vestry_signals_get(req->signals, field->name, VESTRY_INTO(&text), NULL)) text = NULL;
  return text ? text : "";
}

static bool sent_check(const vestry_request *req, const vestry_input *field) {
  bool is_checked = false;
  if (vestry_request_value(req, VESTRY_IN_FORM, field->name)) return true;
  return !vestry_signals_get(req->signals, field->name, VESTRY_INTO(&is_checked), NULL) && is_checked;
}

vestry_err vestry_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count, void *ret_values,
                              char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  if (!req) return VESTRY_INVALID;
  if ((!fields && count) || !ret_values || !message)
    return vsi_mistake(req->v->host, "vestry_inputs_read", "an argument is NULL");
  vestry_err error = VESTRY_OK;
  *message = '\0';
  for (size_t i = 0; i < count && !error; i++) {
    void *to = (char *)ret_values + fields[i].offset;
    switch (fields[i].kind) {
    case VESTRY_INPUT_TEXT: error = read_text(&fields[i], sent_text(req, &fields[i]), to, message); break;
    case VESTRY_INPUT_INTEGER: error = read_integer(req, &fields[i], to, message); break;
    case VESTRY_INPUT_CHECK: *(bool *)to = sent_check(req, &fields[i]); break;
    default: error = vsi_mistake(req->v->host, "vestry_inputs_read", "a field was not made by VESTRY_INPUT");
    }
  }
  return error;
}

/* ----------------------------------------------------------------------------------------------- showing --------- */

/* Return what a field shows first. digits: room for an integer. */
static const char *shown_text(const vestry_input *field, const vestry_inputs_shown *shown, char digits[DIGITS_BYTES]) {
  const char *text = "", *value = shown->values ? (const char *)shown->values + field->offset : NULL;
  if (shown->req) return sent_text(shown->req, field);
  if (value && field->kind == VESTRY_INPUT_TEXT) text = value;
  if (value && field->kind == VESTRY_INPUT_INTEGER) {
    snprintf(digits, DIGITS_BYTES, "%" PRId64, *(const int64_t *)(const void *)value);
    text = digits;
  }
  return shown->form ? vestry_form_text(shown->form, field->name, text) : text;
}

static bool shown_check(const vestry_input *field, const vestry_inputs_shown *shown) {
  if (shown->req) return sent_check(shown->req, field);
  const bool is_checked = shown->values && *(const bool *)(const void *)((const char *)shown->values + field->offset);
  return shown->form ? vestry_form_has(shown->form, field->name, "on", is_checked) : is_checked;
}

static void add_allowed(vestry_html *html, char c) {
  vestry_html_add(html, "%-s%.1s", strchr("()[]{}/-\\|^$.*+?&!#%,:;<=>@`~", c) ? "\\" : "", (char[]){c, '\0'});
}

/* Append the allowed characters as a pattern, whose flag v wants escapes for these punctuators and no others. Ranges
 * are those of is_allowed. */
static void add_pattern(vestry_html *html, const char *allowed) {
  vestry_html_add(html, " pattern=\"[");
  for (const char *at = allowed; *at; at++) {
    add_allowed(html, *at);
    if (at[1] != '-' || !at[2]) continue;
    vestry_html_add(html, "-");
    add_allowed(html, at[2]);
    at += 2;
  }
  vestry_html_add(html, "]*\"");
}

static void add_text(vestry_html *html, const vestry_input *field, const vestry_inputs_shown *shown) {
  char digits[DIGITS_BYTES];
  const char *text = shown_text(field, shown, digits), *more = field->attributes ? field->attributes : "";
  const char *element = field->has_lines ? "textarea" : "input";
  const bool is_number = field->kind == VESTRY_INPUT_INTEGER;
  vestry_html_add(html, "%s <%-s name=\"%s\"", label_of(field), element, field->name);
  if (is_number)
    vestry_html_add(html, " type=\"number\" required");
  else
    vestry_html_add(html, " dir=\"auto\" maxlength=\"%lld\"%-s", (long long)most_of(field),
                    field->min > 0 ? " required" : "");
  if (is_number && (field->min || field->max))
    vestry_html_add(html, " min=\"%lld\" max=\"%lld\"", (long long)field->min, (long long)field->max);
  if (field->allowed && !field->has_lines) add_pattern(html, field->allowed);
  if (shown->form) vestry_html_add(html, " " VESTRY_FORM_FIELD);
  if (field->has_lines)
    vestry_html_add(html, " %-s>\n%s</textarea>", more, text);
  else
    vestry_html_add(html, " value=\"%s\" %-s>", text, more);
}

vestry_err vestry_inputs_add(vestry_html *html, const vestry_input *fields, size_t count,
                             const vestry_inputs_shown *given) {
  vestry_inputs_shown shown;
  if (!html) return VESTRY_INVALID;
  if ((!fields && count) || VSI_OPTIONS_TAKE(vestry_inputs_shown, shown, given))
    return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID, "the fields are NULL, or `shown` is of a later version");
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count; i++) {
    const vestry_input *field = &fields[i];
    vestry_html_add(html, "<label>");
    if (field->kind == VESTRY_INPUT_CHECK)
      vestry_html_add(html, "<input type=\"checkbox\" name=\"%s\"%-s%-s %-s> %s", field->name,
                      shown_check(field, &shown) ? " checked" : "", shown.form ? " " VESTRY_FORM_FIELD : "",
                      field->attributes ? field->attributes : "", label_of(field));
    else
      add_text(html, field, &shown);
    error = vestry_html_add(html, "</label>");
  }
  return error;
}
