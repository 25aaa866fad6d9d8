/* SPDX-License-Identifier: MIT */
/* Responses that are not streams. */
#ifndef VSI_HTTP_ANSWER_H
#define VSI_HTTP_ANSWER_H

#include "http/reply.h"
#include "http/request.h"

/* Return the status for an error (vestry_handler_fn). A status below 500 means that the client has made the error. */
VESTRY_API int vsi_status_of(vestry *v, vestry_err error);

/* All functions below return OK | IO (the peer is gone). */

/* Answer with a status and a line of text/plain; with Retry-After if it is 503. text NULL: the default text of the
 * status. Allocates nothing. */
vestry_err vsi_answer_status(const vestry_request *req, int status, const char *text);
/* Answer with the status of an error of a handler, an interceptor, the store or the adapter. Counts and logs it as
 * required. */
vestry_err vsi_answer_error(const vestry_request *req, vestry_err error);
/* Put the response to an error into a reply, whose headers remain. Returns the error, or another error if that
 * fails. */
VESTRY_API vestry_err vsi_reply_error(const vestry_request *req, vestry_reply *reply, vestry_err error);
/* Answer a request whose path, or method on its path, has no route: 404; 405 with Allow; OPTIONS: 204. allow: "": the
 * path has no methods. */
vestry_err vsi_answer_unrouted(const vestry_request *req, const char *allow);
/* Answer with 204. */
vestry_err vsi_answer_nothing(const vestry_request *req);
/* Answer with a reply's status, headers and body; then the reply has no body. Out of memory: 500. All responses
 * together at their limit: 503. */
vestry_err vsi_answer_reply(const vestry_request *req, vestry_reply *reply);

/* Answer with the status of an error instead of the reply. The reply's body is dropped first, because the error page
 * may need its room. */
vestry_err vsi_answer_instead(const vestry_request *req, vestry_reply *reply, vestry_err error);

/* Make the headers of a stream's head: vestry's own, and those of the reply that do not collide with them.
 * coding: for Content-Encoding; NULL: none. vary: the coding was negotiated.
 * ret_headers: free with vsi_free; borrows from the reply. OK | NO_MEMORY. */
vestry_err vsi_stream_headers(const vestry_reply *reply, const char *coding, bool vary, vestry_header **ret_headers,
                              size_t *ret_count);

#endif
