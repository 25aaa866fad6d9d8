/* SPDX-License-Identifier: MIT */
/* The transport of a stream: the target of the vestry connection's writes, and the answer of libmicrohttpd. */
#ifndef VSI_MICROHTTPD_TRANSPORT_H
#define VSI_MICROHTTPD_TRANSPORT_H

#include "adapter/microhttpd/request.h"

/* Implements vestry_request_ops.open. */
vestry_err vsi_microhttpd_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport);

/* Queue request->stream as the answer of the request. connection: the stream's; the reference is taken in any case. OK
 * | IO: the connection closes */
vestry_err vsi_microhttpd_transport_begin(vsi_microhttpd_request *request, vestry_connection *connection);

/* Return whether libmicrohttpd is closing a connection on this thread because a stream has ended it. Its log lines
 * about that are not passed on. */
bool vsi_microhttpd_transport_is_closing(void);

#endif
