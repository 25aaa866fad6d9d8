/* SPDX-License-Identifier: MIT */
/* What the assembly must know of a drain. */
#ifndef VSI_SERVE_DRAIN_H
#define VSI_SERVE_DRAIN_H

#include "instance/instance.h"

/* Its members of the instance's counters. Any thread. */
void vsi_drain_stats(vestry *v, vestry_stats *stats);

/* Free it, if there is one; before the runtime. */
void vsi_drain_destroy(vestry *v);

#endif
