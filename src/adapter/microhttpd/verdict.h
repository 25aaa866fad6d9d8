/* SPDX-License-Identifier: MIT */
/* Why a socket's peer is not there any more. */
#ifndef VSI_MICROHTTPD_VERDICT_H
#define VSI_MICROHTTPD_VERDICT_H

#include "vestry/cause.h"

/* error: the errno the socket ended with, 0: its end was read.
 * HANGUP; LOST, it was silent for TCP_USER_TIMEOUT; STALLED, it took nothing for so long */
vestry_cause vsi_microhttpd_verdict(int fd, int error);

#endif
