/* SPDX-License-Identifier: MIT */
/* Answers: whole ones, and heads. */
#ifndef VSI_MICROHTTPD_ANSWER_H
#define VSI_MICROHTTPD_ANSWER_H

#include "adapter/microhttpd/request.h"

/* Add the headers of an answer to libmicrohttpd's: OK | NO_MEMORY | INVALID (one that it does not take). */
vestry_err vsi_microhttpd_add_headers(struct MHD_Response *to, const vestry_response *response);

/* vestry_request_ops.respond. */
vestry_err vsi_microhttpd_respond(void *request, const vestry_response *response);
/* vestry_request_ops.respond_body. */
vestry_err vsi_microhttpd_respond_body(void *request, const vestry_response *response, vestry_body *body);

/* Answer from the adapter itself: a status, one header (name NULL: none), no body; the connection ends with it if it is
 * to. */
vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status, const char *name, const char *value,
                                 bool closes);

#endif
