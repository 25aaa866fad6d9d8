/* SPDX-License-Identifier: MIT */
/* The watches of a stream, as its life has them. */
#ifndef VSI_WATCH_WATCH_H
#define VSI_WATCH_WATCH_H

#include "instance/life.h"
#include "vestry/registry.h"

/* The effect "wake". OK | NO_MEMORY. */
vestry_err vsi_watch_register(vestry_registry *names);

/* The stream is open: the first steps may come. On its runner, after its open hooks. */
void vsi_watches_opened(vsi_life *life);
/* Something may have been written. On the runner. Returns whether a watch still waits for more. */
bool vsi_watches_written(vsi_life *life, const vestry_connection *connection);
/* The connection is freed. host: the instance's, which may be gone. */
void vsi_watches_free(vsi_life *life, const vestry_host *host);

#endif
