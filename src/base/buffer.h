/* SPDX-License-Identifier: MIT */
/* A growing sequence of bytes, allocated through the host. Errors are kept: append any number of times, and check once
 * at the end. */
#ifndef VSI_BASE_BUFFER_H
#define VSI_BASE_BUFFER_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "vestry/host.h"

typedef struct vsi_buffer {
  const vestry_host *host;
  char *data; /* NULL while empty; not terminated unless vsi_buffer_terminate was called */
  size_t len, capacity;
  vestry_err error; /* VESTRY_OK or VESTRY_NO_MEMORY; once set, appends do nothing */
} vsi_buffer;

VESTRY_API void vsi_buffer_init(vsi_buffer *buffer, const vestry_host *host);
VESTRY_API void vsi_buffer_finish(vsi_buffer *buffer); /* frees; idempotent */
VESTRY_API void vsi_buffer_clear(vsi_buffer *buffer);  /* len = 0, error = OK, memory kept */

/* Make room for `more` bytes and return where to write them (the caller then adds to len), or NULL. */
VESTRY_API char *vsi_buffer_reserve(vsi_buffer *buffer, size_t more);
VESTRY_API void vsi_buffer_append(vsi_buffer *buffer, const void *data, size_t len);
VESTRY_API void vsi_buffer_append_str(vsi_buffer *buffer, const char *text);
VESTRY_API void vsi_buffer_append_char(vsi_buffer *buffer, char c);
VESTRY_API void vsi_buffer_printf(vsi_buffer *buffer, const char *format, ...) VESTRY_PRINTF(2, 3);

/* Put a NUL after the bytes (not counted in len) and return them; NULL when out of memory. */
VESTRY_API const char *vsi_buffer_terminate(vsi_buffer *buffer);
/* Pass the terminated bytes to the caller (free with vsi_free); NULL when out of memory. Empties the buffer. */
VESTRY_API char *vsi_buffer_take(vsi_buffer *buffer, size_t *ret_len);
/* Pass bytes that live long to the caller: without the NUL and without unused capacity. */
char *vsi_buffer_take_trimmed(vsi_buffer *buffer, size_t *ret_len);

/* Writing text whose length is not known yet. A function that writes text runs twice: first with a writer without a
 * destination, which only counts, and then with memory of exactly this size. */
typedef struct vsi_writer {
  char *to;        /* destination of the first byte; NULL: count only */
  size_t len;      /* number of bytes written; SIZE_MAX if that exceeds a size_t */
  size_t draft;    /* room of `to` for a draft: texts beyond it are only counted. 0: `to` has room for everything */
  bool has_breaks; /* for vsi_put_lines (event/layout.h): some of the texts have line breaks */
  const struct vsi_json_style *style; /* for vsi_json_put (json/write.h); NULL: JSON's own */
} vsi_writer;

/* Return a sum, at most SIZE_MAX. */
static inline size_t vsi_size_add(size_t a, size_t b) {
  return a > SIZE_MAX - b ? SIZE_MAX : a + b;
}

/* Inline, because most of its texts are constants of one or two bytes. */
static inline void vsi_put(vsi_writer *writer, const void *data, size_t len) {
  const bool fits = !writer->draft || (len <= writer->draft && writer->len <= writer->draft - len);
  if (writer->to && len && fits) memcpy(writer->to + writer->len, data, len);
  writer->len = vsi_size_add(writer->len, len);
}
VESTRY_API void vsi_put_str(vsi_writer *writer, const char *text);
/* Write a number in decimal. */
void vsi_put_uint(vsi_writer *writer, uint64_t number);
VESTRY_API void vsi_put_int(vsi_writer *writer, int64_t number);

#endif
