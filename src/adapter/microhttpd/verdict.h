/* SPDX-License-Identifier: MIT */
/* The reason why a socket's peer is gone. */
#ifndef VSI_MICROHTTPD_VERDICT_H
#define VSI_MICROHTTPD_VERDICT_H

#include "vestry/cause.h"

/* Return the cause. error: the errno with which the socket ended, 0: its end was read.
 * HANGUP; LOST, the peer was silent for TCP_USER_TIMEOUT; STALLED, it took no bytes for that time */
vestry_cause vsi_microhttpd_verdict(int fd, int error);

#endif
