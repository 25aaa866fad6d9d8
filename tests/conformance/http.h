/* SPDX-License-Identifier: MIT */
/* A minimal HTTP client: one HTTP/1.1 request over loopback, with its complete answer. */
#ifndef TESTS_CONFORMANCE_HTTP_H
#define TESTS_CONFORMANCE_HTTP_H

#include "event/sse_parser.h"

typedef struct http_answer {
  int status;
  sse_text head; /* status line and headers */
  sse_text body; /* without its chunk framing */
} http_answer;

/* Send a request with the JSON in the query (GET, DELETE) or as the body. headers are additional lines, each with CRLF.
 * Returns NULL, or a description of the error. A chunked body must have its last chunk, and a body with Content-Length
 * must have this length. */
const char *http_request(int port, const char *method, const char *path, const char *headers, sse_text json,
                         http_answer *ret_answer);
void http_finish(http_answer *answer);

/* Return whether the head has this header with this value. The case of the name is ignored. */
bool http_has_header(const http_answer *answer, const char *name, const char *value);

#endif
