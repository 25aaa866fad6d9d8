/* A stream: an answer of libmicrohttpd's that is suspended for the stream's life, and written by vestry. */
#ifndef VSI_MICROHTTPD_STREAM_H
#define VSI_MICROHTTPD_STREAM_H

#include "adapter/microhttpd/request.h"

typedef struct vsi_microhttpd_stream vsi_microhttpd_stream;

/* vestry_request_ops.open. */
vestry_err vsi_microhttpd_open(void *request, const vestry_response *head, const vestry_transport_ops **ret_ops,
                               void **ret_transport);

/* Queue request->stream as the answer of the request. connection: its; the reference is taken, whatever comes of it.
 * OK | IO: the connection closes */
vestry_err vsi_microhttpd_stream_begin(vsi_microhttpd_request *request, vestry_connection *connection);

#endif
