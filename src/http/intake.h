/* SPDX-License-Identifier: MIT */
/* What comes in: which requests are refused, and what all that are under way hold. */
#ifndef VSI_HTTP_INTAKE_H
#define VSI_HTTP_INTAKE_H

#include "vestry/adapter.h"

/* Write its part of the counters. */
void vsi_intake_stats(vestry *v, vestry_stats *stats);

#endif
