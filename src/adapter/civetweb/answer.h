/* SPDX-License-Identifier: MIT */
/* Answers: formatted heads and complete answers. */
#ifndef VSI_CIVETWEB_ANSWER_H
#define VSI_CIVETWEB_ANSWER_H

#include "adapter/civetweb/request.h"

/* How the end of the body is marked. */
typedef enum vsi_civetweb_framing {
  VSI_CIVETWEB_NO_BODY, /* the status has none */
  VSI_CIVETWEB_LENGTH,  /* Content-Length */
  VSI_CIVETWEB_CHUNKED,
  VSI_CIVETWEB_UNTIL_CLOSE
} vsi_civetweb_framing;

/* Format a head, as snprintf does: returns its length, and writes it if capacity is larger. */
size_t vsi_civetweb_head_format(char *buffer, size_t capacity, const vestry_response *response,
                                vsi_civetweb_framing framing, bool keep_alive, int64_t unix_s);

/* Implements vestry_request_ops.respond. */
vestry_err vsi_civetweb_respond(void *request, const vestry_response *response);
/* Implements vestry_request_ops.respond_body. */
vestry_err vsi_civetweb_respond_body(void *request, const vestry_response *response, vestry_body *body);

/* Answer by the adapter itself: a status, one header (name NULL: none), no body. */
void vsi_civetweb_refuse(vsi_civetweb_request *request, int status, const char *name, const char *value);

/* Return the seconds since 1970 by the system clock, for Date headers, because the host's clock is monotonic. */
int64_t vsi_civetweb_unix_s(void);

#endif
