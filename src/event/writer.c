#include "event/writer.h"

#include <string.h>

#include "event/lines.h"

static size_t add(size_t a, size_t b) {
  return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

void vsi_put(vsi_writer *writer, const void *data, size_t len) {
  if (writer->to && len) memcpy(writer->to + writer->len, data, len);
  writer->len = add(writer->len, len);
}

void vsi_put_str(vsi_writer *writer, const char *text) {
  vsi_put(writer, text, strlen(text));
}

void vsi_put_uint(vsi_writer *writer, uint32_t number) {
  char digits[10], *first = digits + sizeof digits;
  do *--first = (char)('0' + number % 10);
  while (number /= 10);
  vsi_put(writer, first, (size_t)(digits + sizeof digits - first));
}

void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix) {
  size_t prefix_len = strlen(prefix);
  if (writer->to) {
    char *from = writer->to + writer->len;
    writer->len += (size_t)(vsi_lines_copy(from, text, len, prefix, prefix_len) - from);
    return;
  }
  vsi_line_breaks breaks = vsi_lines_count(text, len);
  writer->len = add(writer->len, len - breaks.bytes);
  size_t each = 1 + prefix_len;
  writer->len = add(writer->len, breaks.count > SIZE_MAX / each ? SIZE_MAX : breaks.count * each);
}

void vsi_put_line(vsi_writer *writer, const char *key, const char *value) {
  if (!value || !*value) return;
  vsi_put_str(writer, key);
  vsi_put_str(writer, value);
  vsi_put(writer, "\n", 1);
}

/* The reconnection delay that the client has anyway. */
enum { CLIENT_RETRY_MS = 1000 };

void vsi_put_head(vsi_writer *writer, const char *type, const vestry_event_options *options) {
  vsi_put_line(writer, "event: ", type);
  /* An id field without a value sets the last event id to the empty string. The colon is needed: the Datastar client
   * passes over a line without one, though the specification reads a bare "id" as the same. */
  if (options->id && !*options->id) vsi_put_str(writer, "id:\n");
  vsi_put_line(writer, "id: ", options->id);
  if (options->retry_ms && options->retry_ms != CLIENT_RETRY_MS) {
    vsi_put_str(writer, "retry: ");
    vsi_put_uint(writer, options->retry_ms);
    vsi_put(writer, "\n", 1);
  }
}

bool vsi_is_one_line(const char *value) {
  return !value || !strpbrk(value, "\r\n");
}

vestry_err vsi_options_take(void *own, size_t own_size, const void *given) {
  if (!given) return VESTRY_OK;
  size_t size;
  memcpy(&size, given, sizeof size);
  if (size == 0) size = own_size;
  if (size < sizeof size || size > own_size) return VESTRY_INVALID;
  memcpy(own, given, size);
  return VESTRY_OK;
}
