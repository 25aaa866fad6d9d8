/* SPDX-License-Identifier: MIT */
/* What a group counts of its connections beside their own counters: times, and what was refused. */
#ifndef VSI_CONNECTION_TALLY_H
#define VSI_CONNECTION_TALLY_H

#include "base/histogram.h"
#include "base/memory.h"
#include "coding/delivery.h"

/* Relaxed: mere counts. */
typedef struct vsi_group_tally {
  vsi_histogram deliveries; /* of moments: from accepted to written; of one event in 16, while something observes */
  vsi_histogram changes;    /* of moments: from a page's change to written; of all, while something observes */
  vsi_histogram ages;       /* of ages: of all streams that have ended. Under the group's lock */
  _Atomic(uint64_t) too_large_count, no_memory_count; /* events that were refused for that */
} vsi_group_tally;

enum { VSI_GROUP_TALLY_ONE_IN = 16 };

/* When an event was accepted, in about microseconds, modulo 2^32: an hour and more. Never 0, which is "not timed". */
static inline uint32_t vsi_group_tally_stamp_at(uint64_t now_ns) {
  uint32_t stamp = (uint32_t)(now_ns >> 10);
  return stamp ? stamp : 1;
}

/* A stream's events: of each 16 one is timed, and streams take turns at which one. before: how many it has accepted
 * before these. */
static inline bool vsi_group_tally_wants(uint64_t id, uint64_t before, size_t count) {
  return (id + before + count) / VSI_GROUP_TALLY_ONE_IN != (id + before) / VSI_GROUP_TALLY_ONE_IN;
}

/* Of a delivery that answers a change, made now. changed_ns: when the change came; 0: none is answered, or nothing
 * observes. */
vsi_delivery_times vsi_group_tally_change(const vestry_host *host, uint64_t changed_ns);
/* A later delivery says what an earlier one said, which is left out: of both changes the older one counts. */
void vsi_group_tally_fold(const vsi_delivery_times *earlier, vsi_delivery_times *later);
/* An event that has a stamp was written. */
void vsi_group_tally_delivered(vsi_group_tally *tally, const vestry_host *host, const vsi_delivery_times *times);
/* An event was refused. FULL is counted by the stream. */
void vsi_group_tally_refused(vsi_group_tally *tally, vestry_err error);

#endif
