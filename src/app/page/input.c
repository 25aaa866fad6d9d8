/* SPDX-License-Identifier: MIT */
/* Fields of forms and signals: one declaration makes the inputs of a page, reads what its user has sent, and makes the
 * signals that change. The browser checks the rules, too, but only so that the user learns of a mistake at once: a
 * request can contain anything. A maxlength counts UTF-16 units, of which a character has one or two, so the browser
 * never admits a text that is too long here. */
#include "app/page/input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/page/form_storage.h"
#include "base/ascii.h"
#include "base/log.h"
#include "base/real.h"
#include "base/utf8.h"
#include "html/builder.h"
#include "http/request.h"
#include "instance/instance.h"
#include "json/value.h"

/* DIGITS_BYTES: of a number. LABEL_BYTES: of a label in a message */
enum { DIGITS_BYTES = VSI_REAL_BYTES + 1, LABEL_BYTES = 100 };

static const char *label_of(const vestry_input *field) {
  return field->label ? field->label : field->name;
}

static const char *path_of(const vestry_input *field) {
  return field->path ? field->path : field->name;
}

static bool is_text(const vestry_input *field) {
  return field->kind == VESTRY_INPUT_TEXT || field->kind == VESTRY_INPUT_BORROWED;
}

/* Return the number of characters that a text may have. */
static int64_t most_of(const vestry_input *field) {
  if (field->kind == VESTRY_INPUT_BORROWED) return field->max;
  const int64_t room = (int64_t)field->bytes - 1;
  return field->max && field->max < room ? field->max : room;
}

/* ----------------------------------------------------------------------------------------- declarations ---------- */

/* Read the digits of a whole choice. false: they are no integer */
static bool read_choice_integer(const char *text, int64_t *ret_value) {
  char *end = NULL;
  if (!vsi_is_digit(text[*text == '-'])) return false;
  errno = 0;
  *ret_value = strtoll(text, &end, 10);
  return !errno && !*end;
}

static vestry_err mistake(const vestry_host *host, const vestry_input *field, const char *format, ...)
    VESTRY_PRINTF(3, 4);
static vestry_err mistake(const vestry_host *host, const vestry_input *field, const char *format, ...) {
  char why[200], line[320];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(why, sizeof why, format, arguments);
  va_end(arguments);
  snprintf(line, sizeof line, "field \"%.80s\": %s", field->name, why);
  return vsi_mistake(host, "VESTRY_INPUT", line);
}

static vestry_err check_choices(const vestry_host *host, const vestry_input *field) {
  int64_t ignored;
  if (!is_text(field) && field->kind != VESTRY_INPUT_INTEGER)
    return mistake(host, field, "only a text or an int64_t has choices");
  for (const vestry_choice *at = field->choices; at->value; at++) {
    if (field->kind == VESTRY_INPUT_INTEGER && !read_choice_integer(at->value, &ignored))
      return mistake(host, field, "the choice \"%.40s\" is no integer", at->value);
    const bool is_too_long = field->kind == VESTRY_INPUT_TEXT && strlen(at->value) >= field->bytes;
    if (is_text(field) && (!*at->value || is_too_long))
      return mistake(host, field,
                     "the choice \"%.40s\" is empty, or does not fit into the %" PRIu32 " bytes of its member",
                     at->value, field->bytes);
  }
  return VESTRY_OK;
}

static vestry_err check(const vestry_host *host, const vestry_input *field) {
  if (!field->name || field->kind < VESTRY_INPUT_TEXT || field->kind > VESTRY_INPUT_JSON || !field->bytes)
    return vsi_mistake(host, "VESTRY_INPUT", "a field was not made by VESTRY_INPUT");
  if (field->is_hidden && !is_text(field) && field->kind != VESTRY_INPUT_INTEGER)
    return mistake(host, field, "only a text or an int64_t can be hidden");
  if (field->type && (!is_text(field) || field->is_hidden || field->choices || field->has_lines))
    return mistake(host, field, "a field with a type is one line of text, without choices, and not hidden");
  if (field->choices) return check_choices(host, field);
  if (field->kind == VESTRY_INPUT_BORROWED && field->max <= 0)
    return mistake(host, field, "a const char * needs a max, the number of characters");
  if (field->kind == VESTRY_INPUT_TEXT && field->max >= (int64_t)field->bytes)
    return mistake(host, field,
                   "max is %" PRId64 ", but its member has room for %" PRIu32
                   " bytes; declare it as char[VESTRY_TEXT_BYTES(%" PRId64 ")], or lower max",
                   field->max, field->bytes - 1, field->max);
  if ((field->max || field->min > 0) && field->min > (is_text(field) ? most_of(field) : field->max))
    return mistake(host, field, "min, %" PRId64 ", is more than max", field->min);
  return VESTRY_OK;
}

vestry_err vsi_inputs_check(const vestry_host *host, const vestry_input *fields, size_t count) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) error = check(host, &fields[i]);
  return error;
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

/* A line break that a form sends as CR LF is one character, as in the browser's field (HTML, section 4.10.18.3). */
static size_t characters_of(const char *text, size_t len) {
  size_t count = 0;
  for (size_t i = 0; i < len; i++)
    count += ((unsigned char)text[i] & 0xC0) != 0x80 && !(text[i] == '\r' && i + 1 < len && text[i + 1] == '\n');
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

/* Count the characters of a text, whose lines end with LF then, and its bytes. false: it contains characters that are
 * not allowed */
static bool measure(const vestry_input *field, const char *text, size_t len, int64_t *ret_count, size_t *ret_bytes) {
  for (size_t i = 0; i < len; i++) {
    if (text[i] == '\r' && i + 1 < len && text[i + 1] == '\n') continue;
    if (!is_allowed(field, (unsigned char)text[i], (unsigned char)text[i + 1])) return false;
    *ret_count += ((unsigned char)text[i] & 0xC0) != 0x80;
    *ret_bytes += 1;
  }
  return true;
}

/* Copy a text, whose lines end with LF then. to: it may be the text itself, because nothing moves up */
static void copy_text(const char *text, size_t len, char *to) {
  for (size_t i = 0; i < len; i++)
    if (text[i] != '\r' || i + 1 == len || text[i + 1] != '\n') *to++ = text[i];
  *to = '\0';
}

/* Return the format of a field's moments, as strptime reads it; NULL: its texts are none. */
static const char *format_of(const vestry_input *field) {
  const char *type = field->type ? field->type : "";
  return strcmp(type, "date") == 0             ? "%Y-%m-%d"
         : strcmp(type, "time") == 0           ? "%H:%M"
         : strcmp(type, "datetime-local") == 0 ? "%Y-%m-%dT%H:%M"
                                               : NULL;
}

/* Return whether a text is a moment: all digits are there, and a day that does not exist would become another one. */
static bool is_moment(const char *format, vestry_slice is) {
  char text[20];
  struct tm at = {.tm_mday = 1};
  snprintf(text, sizeof text, "%.*s", (int)is.len, (const char *)is.data);
  const char *end = strptime(text, format, &at);
  const int day = at.tm_mday;
  timegm(&at);
  const bool is_whole = is.len == strlen(format) + (format[1] == 'Y' ? 2 : 0) && !strchr(text, ' ');
  return end && !*end && is_whole && at.tm_mday == day;
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

/* Read what was sent, from the form or the signals, into a variable, which keeps its value if a signal is absent.
 * OK | NOT_FOUND (a form without the field) | MALFORMED | NO_MEMORY */
static vestry_err get_sent(const vestry_request *req, const vestry_input *field, vestry_into into) {
  json_t *signal = NULL;
  if (vsi_request_is_form(req)) return vestry_request_get(req, VESTRY_IN_FORM, field->name, into);
  vestry_err error = vestry_signals_get(req->signals, path_of(field), VESTRY_INTO(&signal), NULL);
  if (!error && !json_is_null(signal)) error = vsi_into_take(into, signal);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

static vestry_err read_text(const vestry_input *field, const char *text, char *to,
                            char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  char wanted[120];
  int64_t count = 0;
  size_t bytes = 0;
  const vestry_slice is = vsi_form_is_secret(field) ? (vestry_slice){text, strlen(text)} : trimmed(text);
  if (!measure(field, is.data, is.len, &count, &bytes))
    snprintf(wanted, sizeof wanted, field->allowed ? "only the characters %.80s" : "no control characters",
             field->allowed);
  else if (count > most_of(field))
    snprintf(wanted, sizeof wanted, "at most %" PRId64 " character%s", most_of(field), most_of(field) == 1 ? "" : "s");
  else if (bytes >= field->bytes) /* in UTF-8 */
    snprintf(wanted, sizeof wanted, "at most %u letters; one with an accent counts as 2, an emoji as 4",
             field->bytes - 1);
  else if (count < field->min)
    snprintf(wanted, sizeof wanted, field->min == 1 ? "enter something" : "at least %" PRId64 " characters",
             field->min);
  else if (format_of(field) && count && !is_moment(format_of(field), is))
    snprintf(wanted, sizeof wanted, "a date or a time that exists");
  else
    return copy_text(is.data, is.len, to), VESTRY_OK;
  return refuse(field, wanted, message);
}

/* Read a text into memory that is sufficient for all of it. */
static vestry_err read_borrowed(const vestry_input *field, const char *text, const char **to,
                                char message[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory) {
  const size_t bytes = strlen(text) + 1;
  if (bytes > UINT32_MAX) return VESTRY_TOO_LARGE;
  vestry_input own = *field;
  own.kind = VESTRY_INPUT_TEXT;
  own.bytes = (uint32_t)bytes;
  char *copy = memory->take(memory->ctx, bytes);
  vestry_err error = copy ? read_text(&own, text, copy, message) : VESTRY_NO_MEMORY;
  if (!error) *to = copy;
  return error;
}

/* Return the text of a field; "": there is none. */
static const char *sent_text(const vestry_request *req, const vestry_input *field) {
  const char *text = "";
  (void)get_sent(req, field, VESTRY_INTO(&text));
  return text;
}

/* Read a box. A form that contains it, with any text, was sent with the box ticked. */
static vestry_err get_check(const vestry_request *req, const vestry_input *field, bool *to) {
  if (!vsi_request_is_form(req)) return get_sent(req, field, VESTRY_INTO(to));
  *to = vestry_request_value(req, VESTRY_IN_FORM, field->name) != NULL;
  return VESTRY_OK;
}

static const char no_choice[] = "choose one of the options";

/* Read one of the choices, from a text or an integer. An integer is compared by its value, so that 07 is 7. */
static vestry_err read_choice(const vestry_input *field, const char *text, int64_t integer, void *to,
                              char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  const bool is_integer = field->kind == VESTRY_INPUT_INTEGER;
  const vestry_choice *at = field->choices;
  int64_t value = 0;
  while (at->value &&
         (is_integer ? !read_choice_integer(at->value, &value) || value != integer : strcmp(at->value, text) != 0))
    at++;
  const char *chosen = at->value ? at->value : "";
  if (!at->value && (is_integer || *text || field->min > 0)) return refuse(field, no_choice, message);
  if (field->kind == VESTRY_INPUT_BORROWED)
    *(const char **)to = chosen;
  else
    memcpy(to, is_integer ? (const void *)&value : chosen, is_integer ? sizeof value : strlen(chosen) + 1);
  return VESTRY_OK;
}
/* Read an integer or a number, which are of the same size. */
static vestry_err read_number(const vestry_request *req, const vestry_input *field, void *to,
                              char message[VESTRY_INPUT_MESSAGE_BYTES]) {
  char wanted[120];
  int64_t whole;
  double number;
  memcpy(&whole, to, sizeof whole);
  memcpy(&number, to, sizeof number);
  const bool is_whole = field->kind == VESTRY_INPUT_INTEGER, is_any = !field->min && !field->max;
  vestry_err error = get_sent(req, field, is_whole ? VESTRY_INTO(&whole) : VESTRY_INTO(&number));
  if (error == VESTRY_NO_MEMORY) return error;
  if (field->choices) return error ? refuse(field, no_choice, message) : read_choice(field, "", whole, to, message);
  const bool is_within = is_whole ? whole >= field->min && whole <= field->max
                                  : number >= (double)field->min && number <= (double)field->max;
  if (!error && (is_any || is_within)) {
    memcpy(to, is_whole ? (const void *)&whole : &number, sizeof whole);
    return VESTRY_OK;
  }
  const char *what = is_whole ? "a whole number" : "a number";
  snprintf(wanted, sizeof wanted, is_any ? "%s" : "%s from %" PRId64 " to %" PRId64, what, field->min, field->max);
  return refuse(field, wanted, message);
}

/* Read a text. If its signal is absent, the text of the struct is read, so that it follows the rules, too. */
static vestry_err read_any_text(const vestry_request *req, const vestry_input *field, void *to,
                                char message[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory) {
  const bool is_borrowed = field->kind == VESTRY_INPUT_BORROWED;
  const char *text = is_borrowed ? *(const char **)to : to;
  if (!text || vsi_request_is_form(req)) text = "";
  vestry_err error = get_sent(req, field, VESTRY_INTO(&text));
  if (error == VESTRY_NO_MEMORY) return error;
  if (error == VESTRY_MALFORMED) return refuse(field, field->choices ? no_choice : "a text", message);
  if (field->choices) return read_choice(field, text, 0, to, message);
  return is_borrowed ? read_borrowed(field, text, to, message, memory) : read_text(field, text, to, message);
}

static vestry_err read_field(const vestry_request *req, const vestry_input *field, void *to,
                             char message[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory) {
  vestry_err error = VESTRY_OK;
  switch (field->kind) {
  case VESTRY_INPUT_INTEGER:
  case VESTRY_INPUT_NUMBER: return read_number(req, field, to, message);
  case VESTRY_INPUT_CHECK:
    error = get_check(req, field, to);
    return error == VESTRY_MALFORMED ? refuse(field, "yes or no", message) : error;
  case VESTRY_INPUT_JSON:
    if (!vsi_request_is_form(req)) error = get_sent(req, field, VESTRY_INTO((json_t **)to));
    return error == VESTRY_MALFORMED ? refuse(field, "another value", message) : error;
  default: break;
  }
  if (field->kind == VESTRY_INPUT_BORROWED && !memory)
    return mistake(req->v->host, field, "a const char * is for the forms of an application; use an array of char");
  return read_any_text(req, field, to, message, memory);
}

vestry_err vestry_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count, void *values,
                              char (*messages)[VESTRY_INPUT_MESSAGE_BYTES]) {
  return vsi_inputs_read(req, fields, count, values, messages, NULL);
}

vestry_err vsi_inputs_read(const vestry_request *req, const vestry_input *fields, size_t count, void *values,
                           char (*messages)[VESTRY_INPUT_MESSAGE_BYTES], const vsi_input_memory *memory) {
  char unread[VESTRY_INPUT_MESSAGE_BYTES];
  if (!req) return VESTRY_INVALID;
  if ((!fields && count) || !values) return vsi_mistake(req->v->host, "vestry_inputs_read", "an argument is NULL");
  vestry_err error = vsi_inputs_check(req->v->host, fields, count), refusal = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) {
    char *message = messages ? messages[i] : unread;
    *message = '\0';
    error = read_field(req, &fields[i], (char *)values + fields[i].offset, message, memory);
    if (error != VESTRY_MALFORMED) continue;
    refusal = error;
    error = VESTRY_OK;
  }
  return error ? error : refusal;
}

/* ------------------------------------------------------------------------------------------------- changes -------- */

/* Return the value of a member. */
static vestry_value value_of(const vestry_input *field, const void *values) {
  const void *at = (const char *)values + field->offset;
  switch (field->kind) {
  case VESTRY_INPUT_INTEGER: return vestry_value_integer(*(const int64_t *)at);
  case VESTRY_INPUT_NUMBER: return vestry_value_number(*(const double *)at);
  case VESTRY_INPUT_CHECK: return vestry_value_boolean(*(const bool *)at);
  case VESTRY_INPUT_JSON: return *(json_t *const *)at ? vestry_value_json(*(json_t *const *)at) : vestry_value_null();
  case VESTRY_INPUT_BORROWED: return vestry_value_string(*(const char *const *)at);
  default: return vestry_value_string(at);
  }
}

/* Make the patch by which an object becomes another one: without null, the page would keep members that are gone. NULL:
 * no memory */
static json_t *patch_of(json_t *was, json_t *now) {
  const char *name;
  json_t *had, *patch = json_is_object(was) && json_is_object(now) ? vsi_json_copy(now) : json_incref(now);
  bool is_short = !patch;
  if (patch == now) return patch;
  json_object_foreach(was, name, had) {
    json_t *has = json_object_get(now, name);
    if (has && json_equal(had, has))
      json_object_del(patch, name);
    else
      is_short |= json_object_set_new_nocheck(patch, name, has ? patch_of(had, has) : json_null()) != 0;
  }
  if (is_short) json_decref(patch);
  return is_short ? NULL : patch;
}

/* Put a value at the path of a field. Consumes it, also on failure. OK | EXISTS | NO_MEMORY */
static vestry_err put_signal(json_t *signals, const char *path, json_t *value) {
  vestry_err error = signals && value ? VESTRY_OK : VESTRY_NO_MEMORY;
  for (const char *point; !error && (point = strchr(path, '.')) != NULL; path = point + 1) {
    json_t *inner = json_object_getn(signals, path, (size_t)(point - path));
    if (!inner && json_object_setn_new_nocheck(signals, path, (size_t)(point - path), inner = json_object()))
      error = VESTRY_NO_MEMORY;
    else if (!json_is_object(inner))
      error = VESTRY_EXISTS;
    signals = inner;
  }
  if (!error && json_object_get(signals, path)) error = VESTRY_EXISTS;
  if (error)
    json_decref(value);
  else if (json_object_set_new_nocheck(signals, path, value))
    error = VESTRY_NO_MEMORY;
  return error;
}

/* Make the signal of a field; NULL: it has not changed. */
static vestry_err make_signal(const vestry_input *field, const void *now, const void *was, json_t **ret_signal) {
  json_t *has = NULL, *had = NULL, *signal = NULL;
  vestry_value value = value_of(field, now);
  vestry_err error = vestry_value_to_json(&value, &has);
  if (!error && was) value = value_of(field, was), error = vestry_value_to_json(&value, &had);
  const bool is_same = !error && was && json_equal(had, has);
  if (!error && !is_same) signal = had ? patch_of(had, has) : json_incref(has);
  if (!error && !is_same && !signal) error = VESTRY_NO_MEMORY;
  json_decref(had);
  json_decref(has);
  *ret_signal = signal;
  return error;
}

vestry_err vestry_inputs_signals(const vestry_input *fields, size_t count, const void *now, const void *was,
                                 char (*messages)[VESTRY_INPUT_MESSAGE_BYTES], json_t **ret_signals) {
  json_t *signals = NULL;
  vestry_err error = VESTRY_OK;
  if (!now || !ret_signals || (!fields && count))
    return vsi_mistake(vestry_host_default(), "vestry_inputs_signals", "an argument is NULL");
  for (size_t i = 0; i < count && !error; i++) {
    json_t *signal = NULL;
    error = make_signal(&fields[i], now, messages && *messages[i] ? NULL : was, &signal);
    if (error || !signal) continue;
    if (!signals) signals = json_object();
    error = put_signal(signals, path_of(&fields[i]), signal);
  }
  if (error)
    json_decref(signals);
  else
    *ret_signals = signals;
  return error;
}

/* ----------------------------------------------------------------------------------------------- showing --------- */

/* Return the first value of a field, apart from stored text. digits: room for a number. */
static const char *first_text(const vestry_input *field, const vestry_inputs_shown *shown, char digits[DIGITS_BYTES]) {
  if (vsi_form_is_secret(field)) return "";
  if (shown->req) return sent_text(shown->req, field);
  const vestry_value value = shown->values ? value_of(field, shown->values) : vestry_value_string("");
  if (value.type == VESTRY_VALUE_STRING) return value.text ? value.text : "";
  if (value.type == VESTRY_VALUE_INTEGER)
    snprintf(digits, DIGITS_BYTES, "%" PRId64, value.integer);
  else
    digits[vsi_real_write(value.number, digits)] = '\0';
  return digits;
}

static bool shown_check(const vestry_input *field, const vestry_inputs_shown *shown) {
  bool is_checked = false;
  if (shown->req) return !get_check(shown->req, field, &is_checked) && is_checked;
  is_checked = shown->values && *(const bool *)(const void *)((const char *)shown->values + field->offset);
  return shown->form ? vestry_form_has(shown->form, field->name, "on", is_checked) : is_checked;
}

/* The place for messages of a form's fields. */
typedef struct places {
  const char *form; /* NULL: there are none */
  const json_t *wrong;
} places;

/* Append the attributes by which the message describes the input. */
static void add_described(vestry_html *html, const vestry_input *field, const places *in) {
  if (!in->form) return;
  vestry_html_add(html, " data-preserve-attr=\"aria-invalid\" aria-describedby=\"%s-%s-wrong\"", in->form, field->name);
  if (json_object_get(in->wrong, field->name)) vestry_html_add(html, " aria-invalid=\"true\"");
}

static void add_message(vestry_html *html, const vestry_input *field, const places *in) {
  const char *text = json_string_value(json_object_get(in->wrong, field->name));
  if (!in->form) return;
  vestry_html_add(html, "<small id=\"%s-%s-wrong\" data-ignore-morph data-wrong=\"%s\">%s</small>", in->form,
                  field->name, field->name, text ? text : "");
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

static void add_text(vestry_html *html, const vestry_input *field, const vestry_inputs_shown *shown, const places *in) {
  char digits[DIGITS_BYTES];
  const char *text = first_text(field, shown, digits), *more = field->attributes ? field->attributes : "";
  const bool is_stored = shown->form && !vsi_form_is_secret(field);
  const char *element = field->has_lines ? "textarea" : "input";
  const bool is_number = !is_text(field);
  if (is_stored && !shown->req) text = vestry_form_text(shown->form, field->name, text);
  vestry_html_add(html, "%s <%-s name=\"%s\"", label_of(field), element, field->name);
  if (is_number)
    vestry_html_add(html, " type=\"number\" required%-s", field->kind == VESTRY_INPUT_NUMBER ? " step=\"any\"" : "");
  else
    vestry_html_add(html, " dir=\"auto\" maxlength=\"%lld\"%-s", (long long)most_of(field),
                    field->min > 0 ? " required" : "");
  if (is_number && (field->min || field->max))
    vestry_html_add(html, " min=\"%lld\" max=\"%lld\"", (long long)field->min, (long long)field->max);
  if (field->type && !is_number) vestry_html_add(html, " type=\"%s\"", field->type);
  if (field->allowed && !field->has_lines) add_pattern(html, field->allowed);
  if (is_stored) vestry_html_add(html, " " VESTRY_FORM_FIELD);
  add_described(html, field, in);
  if (field->has_lines)
    vestry_html_add(html, " %-s>\n%s</textarea>", more, text);
  else
    vestry_html_add(html, " value=\"%s\" %-s>", text, more);
}

/* Return whether a choice is shown as chosen. text: the first value of the field, apart from stored text */
static bool is_chosen(const vestry_input *field, const vestry_inputs_shown *shown, const char *value,
                      const char *text) {
  const bool is_first = strcmp(value, text) == 0;
  return shown->form && !shown->req ? vestry_form_has(shown->form, field->name, value, is_first) : is_first;
}

static void add_choices(vestry_html *html, const vestry_input *field, const vestry_inputs_shown *shown,
                        const places *in) {
  char digits[DIGITS_BYTES];
  const char *text = first_text(field, shown, digits), *more = field->attributes ? field->attributes : "";
  const char *kept = shown->form ? " " VESTRY_FORM_FIELD : "";
  const char *required = field->kind == VESTRY_INPUT_INTEGER || field->min > 0 ? " required" : "";
  if (field->is_list)
    vestry_html_add(html, "<label>%s <select name=\"%s\"%-s%-s %-s", label_of(field), field->name, required, kept,
                    more);
  else
    vestry_html_add(html, "<fieldset");
  add_described(html, field, in);
  vestry_html_add(html, field->is_list ? "><option value=\"\"></option>" : "><legend>");
  if (!field->is_list) vestry_html_add(html, "%s</legend>", label_of(field));
  for (const vestry_choice *at = field->choices; at->value; at++) {
    const char *label = at->label ? at->label : at->value;
    const bool is_set = is_chosen(field, shown, at->value, text);
    if (field->is_list)
      vestry_html_add(html, "<option value=\"%s\"%-s>%s</option>", at->value, is_set ? " selected" : "", label);
    else
      vestry_html_add(html, "<label><input type=\"radio\" name=\"%s\" value=\"%s\"%-s%-s%-s %-s> %s</label>",
                      field->name, at->value, required, kept, is_set ? " checked" : "", more, label);
  }
  if (field->is_list) vestry_html_add(html, "</select></label>");
  add_message(html, field, in);
  if (!field->is_list) vestry_html_add(html, "</fieldset>");
}

static void add_field(vestry_html *html, const vestry_input *field, const vestry_inputs_shown *shown,
                      const places *in) {
  if (field->kind == VESTRY_INPUT_JSON) return;
  if (field->is_hidden) {
    char digits[DIGITS_BYTES];
    vestry_html_add(html, "<input type=\"hidden\" name=\"%s\" value=\"%s\" %-s>", field->name,
                    first_text(field, shown, digits), field->attributes ? field->attributes : "");
    return;
  }
  if (field->choices) {
    add_choices(html, field, shown, in);
    return;
  }
  vestry_html_add(html, "<label>");
  if (field->kind == VESTRY_INPUT_CHECK) {
    vestry_html_add(html, "<input type=\"checkbox\" name=\"%s\"%-s%-s %-s", field->name,
                    shown_check(field, shown) ? " checked" : "", shown->form ? " " VESTRY_FORM_FIELD : "",
                    field->attributes ? field->attributes : "");
    add_described(html, field, in);
    vestry_html_add(html, "> %s", label_of(field));
  } else {
    add_text(html, field, shown, in);
  }
  vestry_html_add(html, "</label>");
  add_message(html, field, in);
}

vestry_err vestry_inputs_add(vestry_html *html, const vestry_input *fields, size_t count,
                             const vestry_inputs_shown *shown) {
  return vsi_inputs_add(html, fields, count, shown, NULL, NULL);
}

vestry_err vsi_inputs_add(vestry_html *html, const vestry_input *fields, size_t count, const vestry_inputs_shown *given,
                          const char *form, const json_t *wrong) {
  const places in = {form, wrong};
  const vestry_inputs_shown shown = given ? *given : (vestry_inputs_shown){0};
  if (!html) return VESTRY_INVALID;
  if (!fields && count) return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID, "the fields are NULL");
  if (vsi_inputs_check(vsi_html_of(html)->host, fields, count))
    return vsi_html_fail(vsi_html_of(html), VESTRY_INVALID, "a field is declared wrongly; the log names it");
  for (size_t i = 0; i < count; i++) add_field(html, &fields[i], &shown, &in);
  return vestry_html_error(html, NULL, NULL);
}
