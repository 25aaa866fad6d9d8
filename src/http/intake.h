/* SPDX-License-Identifier: MIT */
/* Counters of rejected requests, and the memory that running requests hold. */
#ifndef VSI_HTTP_INTAKE_H
#define VSI_HTTP_INTAKE_H

#include "vestry/adapter.h"

/* Write these counters into stats. */
void vsi_intake_stats(vestry *v, vestry_stats *stats);

#endif
