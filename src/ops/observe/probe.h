/* SPDX-License-Identifier: MIT */
/* Readiness of an instance: whether an event that is sent now is delivered. */
#ifndef VSI_OBSERVE_PROBE_H
#define VSI_OBSERVE_PROBE_H

#include "vestry/instance.h"

typedef struct vsi_probe vsi_probe;

/* Create a probe. wait_ms: timeout; 0: the default. OK | NO_MEMORY */
vestry_err vsi_probe_create(vestry *v, uint32_t wait_ms, vsi_probe **ret_probe);
/* Destroy a probe before the instance ends; no other call is running or follows. NULL is accepted. Does not block. */
void vsi_probe_destroy(vsi_probe *probe);

/* Check whether the instance is ready. why: receives a line with the result, at most 128 bytes. Any thread except those
 * of the runtime; blocks for at most wait_ms, but not on a stepped runtime. */
bool vsi_probe_is_ready(vsi_probe *probe, char *why, size_t room);

#endif
