/* SPDX-License-Identifier: MIT */
/* How long a stream that has ended waits for its peer to make room for the final chunk. */
#ifndef VSI_MICROHTTPD_LINGER_H
#define VSI_MICROHTTPD_LINGER_H

#include "adapter/microhttpd/stream.h"

/* From now on. */
void vsi_microhttpd_linger_begin(vsi_microhttpd_stream *stream);
/* Look at it, some time later. Returns whether all is sent, nothing more can be, or the peer is not waited for any
 * more. */
bool vsi_microhttpd_linger_is_over(vsi_microhttpd_stream *stream);

#endif
