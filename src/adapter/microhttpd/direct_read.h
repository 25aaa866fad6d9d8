/* SPDX-License-Identifier: MIT */
/* Large bodies that are read directly from the socket, and answers that are written directly to it, bypassing
 * libmicrohttpd. Called on a writer's thread, while the connection is suspended. */
#ifndef VSI_MICROHTTPD_DIRECT_READ_H
#define VSI_MICROHTTPD_DIRECT_READ_H

#include "adapter/microhttpd/request.h"

/* Return whether the body may be read directly. Its head is complete. */
bool vsi_microhttpd_direct_fits(const vsi_microhttpd_request *request);
/* Return whether direct reading is worthwhile now, because many bytes are there. On libmicrohttpd's thread. */
bool vsi_microhttpd_direct_pays(const vsi_microhttpd_request *request);
/* Read the available bytes and pass them to the application's writer, until another task (an errand, writer_pool.h)
 * needs the thread. Returns whether there may be more now. */
bool vsi_microhttpd_direct_read(vsi_microhttpd_request *request);
/* Return whether the body was read directly, and is complete or no longer wanted. */
bool vsi_microhttpd_direct_is_over(const vsi_microhttpd_request *request);
/* Implement vestry_request_ops.respond, .respond_body and .open for all requests, whether vestry sends the answer or
 * libmicrohttpd does. */
vestry_err vsi_microhttpd_direct_respond(void *server_request, const vestry_response *response);
vestry_err vsi_microhttpd_direct_respond_body(void *server_request, const vestry_response *response, vestry_body *body);
vestry_err vsi_microhttpd_direct_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport);
/* Answer with the status in request->refused. */
vestry_err vsi_microhttpd_direct_refuse(vsi_microhttpd_request *request);

/* Send the answer that the functions above have made, if the request is_direct. Returns whether to call this again,
 * because a part of it is left and other errands need the thread. The connection is suspended; if it is not, only as
 * much is sent as its socket takes. */
bool vsi_microhttpd_direct_send(vsi_microhttpd_request *request);
/* End such an answer, whether it was sent or not: shut the socket, and free it. */
void vsi_microhttpd_direct_end(vsi_microhttpd_request *request);

#endif
