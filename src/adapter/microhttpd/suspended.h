/* SPDX-License-Identifier: MIT */
/* Streams on TLS connections: libmicrohttpd keeps the connection, suspended, and vestry writes through its session. */
#ifndef VSI_MICROHTTPD_SUSPENDED_H
#define VSI_MICROHTTPD_SUSPENDED_H

#include "adapter/microhttpd/stream.h"

/* The head is out, and libmicrohttpd asks for content, on its thread. Returns what it is told. */
ssize_t vsi_microhttpd_suspended_take(vsi_microhttpd_stream *stream);
/* The end of one that is OURS. */
void vsi_microhttpd_suspended_end(vsi_microhttpd_stream *stream, bool clean);

#endif
