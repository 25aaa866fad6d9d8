/* SPDX-License-Identifier: MIT */
/* Large bodies that are read directly from the socket, bypassing libmicrohttpd. Called on a writer's thread, while the
 * connection is suspended. */
#ifndef VSI_MICROHTTPD_AROUND_H
#define VSI_MICROHTTPD_AROUND_H

#include "adapter/microhttpd/request.h"

/* Return whether the body may be read directly. Its head is complete. */
bool vsi_microhttpd_around_fits(const vsi_microhttpd_request *request);
/* Return whether direct reading is worthwhile now, because many bytes are there. On libmicrohttpd's thread. */
bool vsi_microhttpd_around_pays(const vsi_microhttpd_request *request);
/* Read the available bytes and pass them to the application's writer, until another task (an errand, writers.h) needs
 * the thread. Returns whether there may be more now. */
bool vsi_microhttpd_around_read(vsi_microhttpd_request *request);
/* Return whether the body was read directly, and is complete or no longer wanted. */
bool vsi_microhttpd_around_is_over(const vsi_microhttpd_request *request);
/* End the writer of such a body, and answer the request. */
void vsi_microhttpd_around_answer(vsi_microhttpd_request *request);

/* Implement vestry_request_ops.respond and .open for a request whose body may be read directly
 * (vsi_microhttpd_around_fits), whether it was read directly or not. */
vestry_err vsi_microhttpd_around_respond(void *server_request, const vestry_response *response);
vestry_err vsi_microhttpd_around_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport);

#endif
