/* SPDX-License-Identifier: MIT */
/* The counters of an instance, including non-public ones of its connections. */
#ifndef VSI_SERVE_STATS_H
#define VSI_SERVE_STATS_H

#include "connection/group.h"
#include "vestry/instance.h"

/* Get the public counters and those of the group, from the same moment. Any thread. */
VESTRY_API void vsi_stats_get(vestry *v, vsi_group_stats *ret_group, vestry_stats *ret_stats);

#endif
