/* SPDX-License-Identifier: MIT */
/* A parser of event streams for tests, after WHATWG HTML section 9.2.6, one byte at a time. It uses no code of the
 * library, so that it checks the output independently. Aborts when out of memory. */
#ifndef TESTS_EVENT_SSE_PARSER_H
#define TESTS_EVENT_SSE_PARSER_H

#include <stdbool.h>
#include <stddef.h>

/* Bytes followed by a NUL. */
typedef struct sse_text {
  char *data;
  size_t len;
} sse_text;

/* One dispatched event. The text of an absent field is NULL. */
typedef struct sse_event {
  sse_text type, id, retry, data; /* data: its lines, joined by LF */
} sse_event;

typedef struct sse_stream {
  sse_event *events;
  size_t events_count, comments_count;
  size_t strange_count; /* fields of other names, and any text after the last empty line */
} sse_stream;

/* A block of comments alone dispatches nothing; a block with any field does, even without data, as in the Datastar
 * client. */
void sse_parse(const void *bytes, size_t len, sse_stream *ret_stream);
void sse_finish(sse_stream *stream);

/* Return the value that the Datastar client reads: each line is split at its first space into key and value, and the
 * values of one key are joined by LF. NULL: no line has the key. Free with sse_text_finish. */
sse_text sse_value(const sse_event *event, const char *key);

/* Copy with each CRLF and CR as LF. */
sse_text sse_normalised(const char *text, size_t len);

bool sse_text_equal(sse_text a, sse_text b);
void sse_text_append(sse_text *text, const char *data, size_t len);
void sse_text_finish(sse_text *text);

#endif
