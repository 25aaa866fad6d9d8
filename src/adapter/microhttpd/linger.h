/* SPDX-License-Identifier: MIT */
/* Bounds the time for which a stream that has ended waits for its peer to make room for the final chunk. */
#ifndef VSI_MICROHTTPD_LINGER_H
#define VSI_MICROHTTPD_LINGER_H

#include "adapter/microhttpd/stream.h"

/* Begin to wait. */
void vsi_microhttpd_linger_begin(vsi_microhttpd_stream *stream);
/* Look at the stream again, some time later. Returns whether the wait is over: all bytes are sent, no more can be sent,
 * or the peer has used up its time. */
bool vsi_microhttpd_linger_is_over(vsi_microhttpd_stream *stream);

#endif
