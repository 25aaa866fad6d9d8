/* SPDX-License-Identifier: MIT */
/* jansson can write JSON, too. But it would allocate a buffer, and a hash table with an entry for each level in order
 * to detect a value that contains itself. Its text would also have to be checked again. This writer allocates nothing,
 * and its depth limit stops at a value that contains itself. */
#include "json/write.h"

#include <math.h>
#include <string.h>

#include "base/hex.h"
#include "base/real.h"
#include "json/json.h"

static void put_escape(vsi_writer *writer, unsigned char c) {
  char text[7] = {'\\', (char)c};
  size_t len = 2;
  switch (c) {
  case '"':
  case '\\': break;
  case '\b': text[1] = 'b'; break;
  case '\f': text[1] = 'f'; break;
  case '\n': text[1] = 'n'; break;
  case '\r': text[1] = 'r'; break;
  case '\t': text[1] = 't'; break;
  default:
    memcpy(text + 1, "u00", 3);
    vsi_hex_write(text + 4, &c, 1);
    len = 6;
  }
  vsi_put(writer, text, len);
}

static vestry_err put_text(vsi_writer *writer, const char *text, size_t len) {
  const char *end = text + len;
  vsi_put(writer, "\"", 1);
  while (text < end) {
    size_t plain = vsi_json_plain_len(text, (size_t)(end - text));
    vsi_put(writer, text, plain);
    text += plain;
    if (text == end) break;
    unsigned char c = (unsigned char)*text;
    if (c >= 0x80) return VESTRY_INVALID;
    put_escape(writer, c);
    text++;
  }
  vsi_put(writer, "\"", 1);
  return VESTRY_OK;
}

/* A point or an exponent marks the number as real. */
static void put_real(vsi_writer *writer, double number) {
  char text[VSI_REAL_BYTES];
  vsi_put(writer, text, vsi_real_write(number, text));
  if (!strpbrk(text, ".e")) vsi_put(writer, ".0", 2);
}

static vestry_err put(vsi_writer *writer, const json_t *json, unsigned depth);

static vestry_err put_array(vsi_writer *writer, const json_t *array, unsigned depth) {
  vestry_err error = VESTRY_OK;
  vsi_put(writer, "[", 1);
  for (size_t i = 0; !error && i < json_array_size(array); i++) {
    if (i) vsi_put(writer, ",", 1);
    error = put(writer, json_array_get(array, i), depth);
  }
  vsi_put(writer, "]", 1);
  return error;
}

static vestry_err put_object(vsi_writer *writer, json_t *object, unsigned depth) {
  vestry_err error = VESTRY_OK;
  vsi_put(writer, "{", 1);
  void *first = json_object_iter(object);
  for (void *at = first; !error && at; at = json_object_iter_next(object, at)) {
    if (at != first) vsi_put(writer, ",", 1);
    error = put_text(writer, json_object_iter_key(at), strlen(json_object_iter_key(at)));
    vsi_put(writer, ":", 1);
    if (!error) error = put(writer, json_object_iter_value(at), depth);
  }
  vsi_put(writer, "}", 1);
  return error;
}

static vestry_err put(vsi_writer *writer, const json_t *json, unsigned depth) {
  if (!json) return VESTRY_INVALID;
  /* A value with shared parts can have a text of any length. */
  if (writer->len > VSI_JSON_MAX_BYTES) return VESTRY_TOO_LARGE;
  switch (json_typeof(json)) {
  case JSON_OBJECT:
  case JSON_ARRAY:
    if (depth == VSI_JSON_MAX_DEPTH) return VESTRY_TOO_LARGE;
    /* cast: jansson iterates only over objects that are not const, but changes nothing */
    return json_is_array(json) ? put_array(writer, json, depth + 1) : put_object(writer, (json_t *)json, depth + 1);
  case JSON_STRING: return put_text(writer, json_string_value(json), json_string_length(json));
  case JSON_INTEGER: vsi_put_int(writer, json_integer_value(json)); break;
  case JSON_REAL: put_real(writer, json_real_value(json)); break;
  case JSON_TRUE: vsi_put(writer, "true", 4); break;
  case JSON_FALSE: vsi_put(writer, "false", 5); break;
  case JSON_NULL: vsi_put(writer, "null", 4); break;
  }
  return VESTRY_OK;
}

vestry_err vsi_json_put(vsi_writer *writer, const json_t *json) {
  return put(writer, json, 0);
}

static vestry_err put_value(vsi_writer *writer, const vestry_value *value, unsigned depth);

static vestry_err put_items(vsi_writer *writer, const vestry_value *value, unsigned depth) {
  const bool is_object = value->type == VESTRY_VALUE_OBJECT;
  if ((!value->items && value->count) || (is_object && value->count % 2)) return VESTRY_INVALID;
  vestry_err error = VESTRY_OK;
  vsi_put(writer, is_object ? "{" : "[", 1);
  for (size_t i = 0; !error && i < value->count; i++) {
    const bool is_name = is_object && i % 2 == 0;
    if (i) vsi_put(writer, is_object && !is_name ? ":" : ",", 1);
    error = is_name && value->items[i].type != VESTRY_VALUE_STRING ? VESTRY_INVALID
                                                                   : put_value(writer, &value->items[i], depth + 1);
  }
  vsi_put(writer, is_object ? "}" : "]", 1);
  return error;
}

static vestry_err put_value(vsi_writer *writer, const vestry_value *value, unsigned depth) {
  if (depth > VESTRY_VALUE_MAX_DEPTH || writer->len > VSI_JSON_MAX_BYTES) return VESTRY_TOO_LARGE;
  switch (value->type) {
  case VESTRY_VALUE_NULL: vsi_put(writer, "null", 4); break;
  case VESTRY_VALUE_BOOLEAN: vsi_put_str(writer, value->boolean ? "true" : "false"); break;
  case VESTRY_VALUE_INTEGER: vsi_put_int(writer, value->integer); break;
  case VESTRY_VALUE_NUMBER:
    if (!isfinite(value->number)) return VESTRY_INVALID;
    put_real(writer, value->number);
    break;
  case VESTRY_VALUE_STRING: return value->text ? put_text(writer, value->text, strlen(value->text)) : VESTRY_INVALID;
  case VESTRY_VALUE_JSON: return put(writer, value->json, depth);
  case VESTRY_VALUE_LIST:
  case VESTRY_VALUE_OBJECT: return put_items(writer, value, depth);
  default: return VESTRY_INVALID;
  }
  return VESTRY_OK;
}

vestry_err vsi_json_put_value(vsi_writer *writer, const vestry_value *value) {
  return put_value(writer, value, 0);
}

/* ----------------------------------------------------------------------------------------------- literals ---- */

/* Return whether a byte needs no escape. These need one:
 * - the quote and the backslash;
 * - control characters, which JSON does not allow unescaped and which could be line ends (RFC 8259, section 7);
 * - `<`, because every tag and comment that ends or changes a script element begins with it;
 * - 0xE2, the first byte of U+2028 and U+2029, which were line ends in JavaScript strings before 2019. */
static bool is_plain(unsigned char c) {
  return c >= 0x20 && c != '"' && c != '\\' && c != '<' && c != 0xE2;
}

/* Append the character at `at`, escaped. Returns its length in the text. */
static size_t append_escape(vsi_buffer *buffer, const char *at, const char *end) {
  unsigned char c = (unsigned char)*at;
  if (c == 0xE2) {
    bool separator = end - at >= 3 && at[1] == '\x80' && (at[2] == '\xA8' || at[2] == '\xA9');
    if (separator)
      vsi_buffer_append_str(buffer, at[2] == '\xA8' ? "\\u2028" : "\\u2029");
    else
      vsi_buffer_append_char(buffer, *at);
    return separator ? 3 : 1;
  }
  switch (c) {
  case '"': vsi_buffer_append_str(buffer, "\\\""); break;
  case '\\': vsi_buffer_append_str(buffer, "\\\\"); break;
  case '\n': vsi_buffer_append_str(buffer, "\\n"); break;
  case '\r': vsi_buffer_append_str(buffer, "\\r"); break;
  case '\t': vsi_buffer_append_str(buffer, "\\t"); break;
  default: {
    static const char digits[] = "0123456789ABCDEF";
    char escape[6] = {'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]};
    vsi_buffer_append(buffer, escape, sizeof escape);
  }
  }
  return 1;
}

void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len) {
  const char *end = text + len;
  vsi_buffer_append_char(buffer, '"');
  for (const char *at = text; at < end && !buffer->error;) {
    const char *stop = at;
    while (stop < end && is_plain((unsigned char)*stop)) stop++;
    vsi_buffer_append(buffer, at, (size_t)(stop - at));
    at = stop < end ? stop + append_escape(buffer, stop, end) : end;
  }
  vsi_buffer_append_char(buffer, '"');
}
