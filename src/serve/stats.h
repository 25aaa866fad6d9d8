/* SPDX-License-Identifier: MIT */
/* The counters of an instance, with those of its connections that are not public. */
#ifndef VSI_SERVE_STATS_H
#define VSI_SERVE_STATS_H

#include "connection/group.h"
#include "vestry/instance.h"

/* vestry_stats_get, and what the group says in the same look. Any thread. */
VESTRY_API void vsi_stats_get(vestry *v, vsi_group_stats *ret_group, vestry_stats *ret_stats);

#endif
