/* SPDX-License-Identifier: MIT */
/* Large bodies, read around libmicrohttpd. Called by a writer's thread, while the connection is suspended. */
#ifndef VSI_MICROHTTPD_AROUND_H
#define VSI_MICROHTTPD_AROUND_H

#include "adapter/microhttpd/request.h"

/* Whether the body may be read so. Its head is there. */
bool vsi_microhttpd_around_fits(const vsi_microhttpd_request *request);
/* Whether it is worth it now: there is much to be read. On libmicrohttpd's thread */
bool vsi_microhttpd_around_pays(const vsi_microhttpd_request *request);
/* Read what there is, and have it written, until others want the thread. Returns whether there may be more now. */
bool vsi_microhttpd_around_read(vsi_microhttpd_request *request);
/* It was read so, and is whole, or no more of it is wanted. */
bool vsi_microhttpd_around_is_over(const vsi_microhttpd_request *request);
/* Then: its writer ends, and it is answered. */
void vsi_microhttpd_around_answer(vsi_microhttpd_request *request);

/* vestry_request_ops.respond and .open of such a request, whether it was read so in the end or not. */
vestry_err vsi_microhttpd_around_respond(void *server_request, const vestry_response *response);
vestry_err vsi_microhttpd_around_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport);

#endif
