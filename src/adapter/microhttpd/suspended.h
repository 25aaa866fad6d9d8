/* SPDX-License-Identifier: MIT */
/* Streams on TLS connections: libmicrohttpd keeps the connection, suspended, and vestry writes through its session. */
#ifndef VSI_MICROHTTPD_SUSPENDED_H
#define VSI_MICROHTTPD_SUSPENDED_H

#include "adapter/microhttpd/stream.h"

/* Suspend the connection, on libmicrohttpd's thread, when the head is sent and libmicrohttpd calls for content. Returns
 * the result for libmicrohttpd. */
ssize_t vsi_microhttpd_suspended_take(vsi_microhttpd_stream *stream);
/* End a stream that is OURS. */
void vsi_microhttpd_suspended_end(vsi_microhttpd_stream *stream, bool clean);

#endif
