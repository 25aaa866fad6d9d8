/* SPDX-License-Identifier: MIT */
/* Check what is common to all servers before they wait for the end of their work. */
#ifndef VSI_ADAPTER_SERVER_H
#define VSI_ADAPTER_SERVER_H

#include "vestry/server.h"

/* Return whether this thread may stop or destroy a server of the instance. A callback of the instance would wait for
 * itself. OK | BUSY (logged) | CLOSED (vestry_is_forked) */
VESTRY_API vestry_err vsi_server_may_wait(vestry *v, const char *function);

#endif
