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

/* U+2028 and U+2029 ended strings of JavaScript before ES2019. U+1F595 "JS_" and "_DS" U+1F680 are brackets to clients
 * before 1.0.3, which remove them wherever they occur. */
const vsi_js_sequence *vsi_js_sequence_at(const char *text, size_t len) {
  static const vsi_js_sequence sequences[] = {
      {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}, {"\xF0\x9F\x96\x95", "\\ud83d\\udd95"}};
  for (size_t i = 0; i < sizeof sequences / sizeof *sequences; i++) {
    const size_t bytes = strlen(sequences[i].bytes);
    if (len >= bytes && memcmp(text, sequences[i].bytes, bytes) == 0) return &sequences[i];
  }
  return NULL;
}

/* Return the length of the beginning of a text that a style writes as it is. The text has only characters that JSON
 * allows. */
static size_t unescaped_len(const vsi_json_style *style, const char *text, size_t len) {
  size_t i = 0;
  while (i < len && !strchr(style->special, text[i]) &&
         !((unsigned char)text[i] >= 0xE2 && vsi_js_sequence_at(text + i, len - i)))
    i++;
  return i;
}

/* Write the character at `text` as an escape. Returns its length; 0: the text is not UTF-8 there. */
static size_t put_escape(vsi_writer *writer, const char *text, size_t len) {
  static const char letters[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
  const vsi_json_style *style = writer->style;
  const unsigned char c = (unsigned char)*text;
  if (c >= 0x80) {
    const vsi_js_sequence *sequence = style ? vsi_js_sequence_at(text, len) : NULL;
    if (!sequence && !(style && style->copies_invalid)) return 0;
    const size_t bytes = sequence ? strlen(sequence->bytes) : 1;
    vsi_put(writer, sequence ? sequence->escape : text, sequence ? strlen(sequence->escape) : 1);
    return bytes;
  }
  const char *letter = c && !(style && strchr(style->special, c)) ? strchr(letters, c) : NULL;
  char escape[7] = {'\\', letter ? names[letter - letters] : 'u', '0', '0'};
  if (!letter) vsi_hex_write(escape + 4, &c, 1);
  vsi_put(writer, escape, letter ? 2 : 6);
  return 1;
}

static inline void put_quote(vsi_writer *writer) {
  if (writer->style)
    vsi_put_str(writer, writer->style->quote);
  else
    vsi_put(writer, "\"", 1);
}

static vestry_err put_text(vsi_writer *writer, const char *text, size_t len) {
  const vsi_json_style *style = writer->style;
  const char *end = text + len, *allowed = text; /* up to there JSON allows all characters */
  put_quote(writer);
  while (text < end) {
    if (allowed <= text) allowed = text + vsi_json_plain_len(text, (size_t)(end - text));
    const size_t plain = (size_t)(allowed - text), run = style ? unescaped_len(style, text, plain) : plain;
    vsi_put(writer, text, run);
    text += run;
    if (text == end) break;
    const size_t escaped = put_escape(writer, text, (size_t)(end - text));
    if (!escaped) return VESTRY_INVALID;
    text += escaped;
  }
  put_quote(writer);
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

/* `<` is escaped because every tag and comment that ends or changes a script element begins with it. */
void vsi_literal_append(vsi_buffer *buffer, const char *text, size_t len) {
  static const vsi_json_style style = {"\"", "<", true};
  vsi_writer writer = {.style = &style};
  (void)put_text(&writer, text, len); /* cannot fail */
  char *to = vsi_buffer_reserve(buffer, writer.len);
  if (!to) return;
  writer = (vsi_writer){.to = to, .style = &style};
  (void)put_text(&writer, text, len);
  buffer->len += writer.len;
}
