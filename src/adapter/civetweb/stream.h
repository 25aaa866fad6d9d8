/* SPDX-License-Identifier: MIT */
/* A stream: the answer of a worker, which serves it for the stream's whole life. */
#ifndef VSI_CIVETWEB_STREAM_H
#define VSI_CIVETWEB_STREAM_H

#include "adapter/civetweb/request.h"

typedef struct vsi_civetweb_stream vsi_civetweb_stream;

/* Implements vestry_request_ops.open. */
vestry_err vsi_civetweb_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                             void **ret_transport);

/* Run the connection of request->stream to its end on the calling thread, which is the request's. */
void vsi_civetweb_park(vsi_civetweb_request *request, vestry_connection *connection);

#endif
