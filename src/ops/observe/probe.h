/* SPDX-License-Identifier: MIT */
/* Whether an instance is ready: whether an event that is sent now is delivered. */
#ifndef VSI_OBSERVE_PROBE_H
#define VSI_OBSERVE_PROBE_H

#include "vestry/instance.h"

typedef struct vsi_probe vsi_probe;

/* wait_ms: 0: the default. OK | NO_MEMORY */
vestry_err vsi_probe_create(vestry *v, uint32_t wait_ms, vsi_probe **ret_probe);
/* Before the instance ends; no other call is under way or follows. NULL is accepted. Does not block. */
void vsi_probe_destroy(vsi_probe *probe);

/* Whether the instance is ready. why: receives a line that says so, or what is amiss; 128 bytes are enough.
 * Any thread but those of the runtime; blocks, wait_ms at most, but for a stepped runtime. */
bool vsi_probe_is_ready(vsi_probe *probe, char *why, size_t room);

#endif
