/* SPDX-License-Identifier: MIT */
#include "base/buffer.h"
#include "base/assert.h"

#include <stdio.h>
#include <string.h>

#include "base/array.h"
#include "base/memory.h"

void vsi_buffer_init(vsi_buffer *buffer, const vestry_host *host) {
  *buffer = (vsi_buffer){.host = vsi_host(host)};
}

void vsi_buffer_finish(vsi_buffer *buffer) {
  if (buffer->data) vsi_free(buffer->host, buffer->data);
  buffer->data = NULL;
  buffer->len = buffer->capacity = 0;
}

void vsi_buffer_clear(vsi_buffer *buffer) {
  VSI_ASSERT(buffer->len <= buffer->capacity);
  buffer->len = 0;
  buffer->error = VESTRY_OK;
}

char *vsi_buffer_reserve(vsi_buffer *buffer, size_t more) {
  if (buffer->error) return NULL;
  if (!buffer->data && !more) more = 1; /* so that the result is not NULL */
  buffer->error = VSI_ARRAY_RESERVE(buffer->host, buffer->data, buffer->len, buffer->capacity, more);
  return buffer->error ? NULL : buffer->data + buffer->len;
}

void vsi_buffer_append(vsi_buffer *buffer, const void *data, size_t len) {
  if (!len) return;
  char *at = vsi_buffer_reserve(buffer, len);
  if (!at) return;
  memcpy(at, data, len);
  buffer->len += len;
}

void vsi_buffer_append_str(vsi_buffer *buffer, const char *text) {
  vsi_buffer_append(buffer, text, strlen(text));
}

void vsi_buffer_append_char(vsi_buffer *buffer, char c) {
  vsi_buffer_append(buffer, &c, 1);
}

void vsi_buffer_printf(vsi_buffer *buffer, const char *format, ...) {
  va_list arguments, again;
  va_start(arguments, format);
  va_copy(again, arguments);
  /* First into the room that there is, which is usually enough. */
  const size_t room = buffer->error ? 0 : buffer->capacity - buffer->len;
  int len = vsnprintf(room ? buffer->data + buffer->len : NULL, room, format, again);
  va_end(again);
  char *at = len < 0 ? NULL : vsi_buffer_reserve(buffer, (size_t)len + 1);
  if (len < 0) buffer->error = VESTRY_NO_MEMORY;
  if (at && (size_t)len >= room) vsnprintf(at, (size_t)len + 1, format, arguments);
  if (at) buffer->len += (size_t)len;
  va_end(arguments);
}

const char *vsi_buffer_terminate(vsi_buffer *buffer) {
  const bool has_room = buffer->data && buffer->len < buffer->capacity;
  char *at = has_room && !buffer->error ? buffer->data + buffer->len : vsi_buffer_reserve(buffer, 1);
  if (!at) return NULL;
  *at = '\0'; /* not an append, so that bytes which were terminated before do not move */
  return buffer->data;
}

char *vsi_buffer_take(vsi_buffer *buffer, size_t *ret_len) {
  if (!vsi_buffer_terminate(buffer)) return NULL;
  char *data = buffer->data;
  if (ret_len) *ret_len = buffer->len;
  buffer->data = NULL;
  buffer->len = buffer->capacity = 0;
  return data;
}

char *vsi_buffer_take_trimmed(vsi_buffer *buffer, size_t *ret_len) {
  char *data = vsi_buffer_take(buffer, ret_len);
  char *trimmed = data ? vsi_realloc(buffer->host, data, *ret_len) : NULL;
  return trimmed ? trimmed : data; /* if it cannot be trimmed, it stays as it is */
}

/* ----------------------------------------------------------------------------------------------------- writers ---- */

void vsi_put_str(vsi_writer *writer, const char *text) {
  vsi_put(writer, text, strlen(text));
}

void vsi_put_uint(vsi_writer *writer, uint64_t number) {
  char digits[20], *first = digits + sizeof digits;
  do *--first = (char)('0' + number % 10);
  while (number /= 10);
  vsi_put(writer, first, (size_t)(digits + sizeof digits - first));
}

void vsi_put_int(vsi_writer *writer, int64_t number) {
  if (number < 0) vsi_put(writer, "-", 1);
  vsi_put_uint(writer, number < 0 ? 0 - (uint64_t)number : (uint64_t)number);
}
