/* SPDX-License-Identifier: MIT */
/* The transport of a stream: what vestry's connection writes to, and the answer that libmicrohttpd has. */
#ifndef VSI_MICROHTTPD_TRANSPORT_H
#define VSI_MICROHTTPD_TRANSPORT_H

#include "adapter/microhttpd/request.h"

/* vestry_request_ops.open. */
vestry_err vsi_microhttpd_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport);

/* Queue request->stream as the answer of the request. connection: its; the reference is taken, whatever comes of it.
 * OK | IO: the connection closes */
vestry_err vsi_microhttpd_transport_begin(vsi_microhttpd_request *request, vestry_connection *connection);

/* Whether libmicrohttpd is closing a connection on this thread because a stream told it to: what it says of that is no
 * news. */
bool vsi_microhttpd_transport_is_closing(void);

#endif
