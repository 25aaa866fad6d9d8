/* SPDX-License-Identifier: MIT */
/* Bytes that a client may send, valid or not, and the single reading that RFC 9110 and 9112 allow. The parser shares no
 * code with vestry, so that the values that a handler saw can be compared with it. */
#ifndef TESTS_WEB_READINGS_H
#define TESTS_WEB_READINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { READINGS_BYTES = 4096, READINGS_REQUESTS = 8, READINGS_HEADERS = 24 };

/* Bytes for one connection: some requests, the first of which was changed in changes_count places. */
typedef struct readings_text {
  char bytes[READINGS_BYTES];
  size_t len;
  unsigned changes_count;
} readings_text;

/* Generate the text with this seed and number; the result is always the same. */
void readings_make(uint64_t seed, uint64_t number, readings_text *ret_text);

typedef struct readings_span {
  const char *data;
  size_t len;
} readings_span;

typedef struct readings_request {
  readings_span method, target, names[READINGS_HEADERS], values[READINGS_HEADERS];
  size_t headers_count;
  char body[READINGS_BYTES];
  size_t body_len;
  bool is_last; /* the following bytes may not be a request: the trailers of this one are invalid */
} readings_request;

/* Parse the requests of a text up to the first one without exactly one reading. Returns their number. takes_feeds: a
 * line may end with a bare LF, as RFC 9112, section 2.2, allows. */
size_t readings_read(const readings_text *text, bool takes_feeds, readings_request ret_requests[READINGS_REQUESTS]);

/* Return the header with this name, in any case; its data is NULL: there is none. */
readings_span readings_header(const readings_request *request, const char *name);

#endif
