/* SPDX-License-Identifier: MIT */
/* Streams on plain connections: the socket is handed over to vestry, and libmicrohttpd forgets the connection. */
#ifndef VSI_MICROHTTPD_HANDOVER_H
#define VSI_MICROHTTPD_HANDOVER_H

#include "adapter/microhttpd/stream.h"

/* What is left in a socket's place: OK | IO. finish takes one that was only zeroed, too. */
vestry_err vsi_microhttpd_handover_init(vsi_microhttpd *adapter);
void vsi_microhttpd_handover_finish(vsi_microhttpd *adapter);

/* The head is out, and libmicrohttpd asks for content, on its thread. Returns what it is told. */
ssize_t vsi_microhttpd_handover_take(vsi_microhttpd_stream *stream);
/* The end of one that is OURS. Nothing of it is touched any more but by the watch, if it lingers. */
void vsi_microhttpd_handover_end(vsi_microhttpd_stream *stream, bool clean);

/* For the watch (vsi_microhttpd_over_fn): one that lingered is over, or is not waited for any more. */
void vsi_microhttpd_handover_over(vsi_microhttpd_stream *stream);

#endif
