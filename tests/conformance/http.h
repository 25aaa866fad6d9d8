/* SPDX-License-Identifier: MIT */
/* One HTTP/1.1 request over loopback, the whole answer, and no more HTTP than that takes. */
#ifndef TESTS_CONFORMANCE_HTTP_H
#define TESTS_CONFORMANCE_HTTP_H

#include "event/sse_parser.h"

typedef struct http_answer {
  int status;
  sse_text head; /* status line and headers */
  sse_text body; /* dechunked */
} http_answer;

/* method with the JSON in the query (GET, DELETE) or as the body, headers (lines, each with its CRLF) beside our own.
 * NULL, or what went wrong; a body that is chunked must have its last chunk, one with a length that length. */
const char *http_request(int port, const char *method, const char *path, const char *headers, sse_text json,
                         http_answer *ret_answer);
void http_finish(http_answer *answer);

/* Whether the head has this header with this value; name in any case. */
bool http_has_header(const http_answer *answer, const char *name, const char *value);

#endif
