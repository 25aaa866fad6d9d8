/* SPDX-License-Identifier: MIT */
/* Functions of a drain for the instance's assembly. */
#ifndef VSI_SERVE_DRAIN_H
#define VSI_SERVE_DRAIN_H

#include "instance/instance.h"

/* Fill in the drain's members of the instance's counters. Any thread. */
void vsi_drain_stats(vestry *v, vestry_stats *stats);

/* Free the drain, if there is one; before the runtime is freed. */
void vsi_drain_destroy(vestry *v);

#endif
