/* What comes in: who is turned away, and what all requests under way hold. */
#ifndef VSI_HTTP_INTAKE_H
#define VSI_HTTP_INTAKE_H

#include "vestry/adapter.h"

/* Write its part of the counters. */
void vsi_intake_stats(vestry *v, vestry_stats *stats);

#endif
