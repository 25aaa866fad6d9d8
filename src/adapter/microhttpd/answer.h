/* SPDX-License-Identifier: MIT */
/* Complete answers, and heads. */
#ifndef VSI_MICROHTTPD_ANSWER_H
#define VSI_MICROHTTPD_ANSWER_H

#include "adapter/microhttpd/request.h"

/* Add the headers of an answer to a response of libmicrohttpd. OK | NO_MEMORY | INVALID (libmicrohttpd rejects one). */
vestry_err vsi_microhttpd_add_headers(struct MHD_Response *to, const vestry_response *response);

/* Implements vestry_request_ops.respond. */
vestry_err vsi_microhttpd_respond(void *request, const vestry_response *response);
/* Implements vestry_request_ops.respond_body. */
vestry_err vsi_microhttpd_respond_body(void *request, const vestry_response *response, vestry_body *body);

/* Answer by the adapter itself: a status, one header (name NULL: none), no body. closes: the connection ends with the
 * answer. */
vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status, const char *name, const char *value,
                                 bool closes);

#endif
