/* SPDX-License-Identifier: MIT */
/* Streams on plain connections: the socket is handed over to vestry, and libmicrohttpd frees the connection. */
#ifndef VSI_MICROHTTPD_HANDOVER_H
#define VSI_MICROHTTPD_HANDOVER_H

#include "adapter/microhttpd/stream.h"

/* Create the placeholder descriptor: OK | IO. finish accepts a struct that was only zeroed. */
vestry_err vsi_microhttpd_handover_init(vsi_microhttpd *adapter);
void vsi_microhttpd_handover_finish(vsi_microhttpd *adapter);

/* Take the socket, on libmicrohttpd's thread, when the head is sent and libmicrohttpd calls for content. Returns the
 * result for libmicrohttpd. */
ssize_t vsi_microhttpd_handover_take(vsi_microhttpd_stream *stream);
/* End a stream that is OURS. Afterwards only the watch uses it, if it lingers. */
void vsi_microhttpd_handover_end(vsi_microhttpd_stream *stream, bool clean);

/* Implements vsi_microhttpd_over_fn for the watch: a lingering stream is over, or is no longer waited for. */
void vsi_microhttpd_handover_over(vsi_microhttpd_stream *stream);

#endif
