/* SPDX-License-Identifier: MIT */
/* The watch, which finds streams whose peers are gone. */
#ifndef VSI_CIVETWEB_WATCH_H
#define VSI_CIVETWEB_WATCH_H

#include "adapter/civetweb/dedicated.h"
#include "adapter/civetweb/kernel.h"
#include "vestry/runtime.h"

typedef struct vsi_civetweb_watch vsi_civetweb_watch;

/* Watch the streams of a server that listens on these ports, every watch_ms.
 * Returns  OK; *ret_watch is NULL if the kernel does not show these ports (a warning was logged) | NO_MEMORY | CLOSED
 *          (the runtime) */
vestry_err vsi_civetweb_watch_create(vestry_runtime *runtime, const vestry_host *host,
                                     vsi_civetweb_dedicated *dedicated, const vsi_civetweb_port *ports,
                                     size_t ports_count, uint64_t watch_ms, uint64_t lost_ms,
                                     vsi_civetweb_watch **ret_watch);
/* Stop the watch. Waits for a running round. NULL is accepted. */
void vsi_civetweb_watch_destroy(vsi_civetweb_watch *watch);

#endif
