/* SPDX-License-Identifier: MIT */
/* Answers that are no streams. */
#ifndef VSI_HTTP_ANSWER_H
#define VSI_HTTP_ANSWER_H

#include "http/reply.h"
#include "http/request.h"

/* What an error is answered with (vestry_handler_fn); below 500: the client got something wrong. */
VESTRY_API int vsi_status_of(vestry *v, vestry_err error);

/* All: OK | IO (the peer is gone). */

/* A status with a line of text/plain; Retry-After with 503. text: NULL: the status in words. Allocates nothing. */
vestry_err vsi_answer_status(const vestry_request *req, int status, const char *text);
/* The same for an error: of a handler, an interceptor, the store or the adapter. Counts and logs what it should. */
vestry_err vsi_answer_error(const vestry_request *req, vestry_err error);
/* The same in a reply, whose headers stay. Returns the error; another one: there is no memory for it */
VESTRY_API vestry_err vsi_reply_error(const vestry_request *req, vestry_reply *reply, vestry_err error);
/* For a path, or a method on it, that has no route: 404, 405 with Allow; OPTIONS 204. allow: "": it has no methods. */
vestry_err vsi_answer_unrouted(const vestry_request *req, const char *allow);
/* 204 */
vestry_err vsi_answer_nothing(const vestry_request *req);
/* Answer with a reply's status, headers and body; after that the reply has no body. 500 when out of memory, 503 when
 * all answers together hold what they may. */
vestry_err vsi_answer_reply(const vestry_request *req, vestry_reply *reply);

/* The headers of a stream's head: vestry's own and those of the reply that are not among them.
 * coding: for Content-Encoding, NULL: none; vary: there was a choice.
 * ret_headers: vsi_free it; borrows from the reply. OK | NO_MEMORY. */
vestry_err vsi_stream_headers(const vestry_reply *reply, const char *coding, bool vary, vestry_header **ret_headers,
                              size_t *ret_count);

#endif
