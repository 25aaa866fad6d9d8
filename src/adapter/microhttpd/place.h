/* SPDX-License-Identifier: MIT */
/* The place of a stream, limited in number: in the gate and in the watch. */
#ifndef VSI_MICROHTTPD_PLACE_H
#define VSI_MICROHTTPD_PLACE_H

#include "adapter/microhttpd/stream.h"

/* Take a place. OK | NO_MEMORY | LIMIT */
vestry_err vsi_microhttpd_place_take(vsi_microhttpd *adapter, vsi_microhttpd_key *ret_key);
/* Release a place. The caller must not use the adapter afterwards, because a thread that waits at its gate may free
 * it. */
void vsi_microhttpd_place_give(vsi_microhttpd *adapter, vsi_microhttpd_key key);

#endif
