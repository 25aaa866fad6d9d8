/* SPDX-License-Identifier: MIT */
/* Counters of a group beside those of its connections: durations and refused events. */
#ifndef VSI_CONNECTION_TALLY_H
#define VSI_CONNECTION_TALLY_H

#include "base/histogram.h"
#include "base/memory.h"
#include "coding/delivery.h"

/* Relaxed: counters only. */
typedef struct vsi_group_tally {
  /* Durations, while something observes the group. deliveries: from the time when an event was accepted until it was
   * written. They are measured for one event in 16. changes: from a change until the event of the page that shows the
   * change was written. They are measured for one in 16 of the streams that share the page, or for all streams if there
   * are few. */
  vsi_histogram deliveries, changes;
  vsi_histogram ages; /* lifetimes of all streams that have ended. Under the group's lock */
  _Atomic(uint64_t) too_large_count, no_memory_count; /* events refused with TOO_LARGE, NO_MEMORY */
} vsi_group_tally;

enum { VSI_GROUP_TALLY_ONE_IN = 16 };

/* Return the time stamp of an accepted event, in units of 1,024 ns, modulo 2^32 (a little more than an hour). Never 0,
 * which means "not timed". */
static inline uint32_t vsi_group_tally_stamp_at(uint64_t now_ns) {
  uint32_t stamp = (uint32_t)(now_ns >> 10);
  return stamp ? stamp : 1;
}

/* Return whether an event among the next `count` is timed. Every 16th event of a stream is timed, at positions that
 * differ among streams. before: number of events accepted so far. */
static inline bool vsi_group_tally_wants(uint64_t id, uint64_t before, size_t count) {
  return (id + before + count) / VSI_GROUP_TALLY_ONE_IN != (id + before) / VSI_GROUP_TALLY_ONE_IN;
}

/* Return the times of a delivery that results from a change and is made now. changed_ns: time of the change; 0: there
 * is none, or nothing observes. */
vsi_delivery_times vsi_group_tally_change(const vestry_host *host, uint64_t changed_ns);
/* Merge the times of an earlier delivery into the later one that supersedes it: the older change counts. */
void vsi_group_tally_fold(const vsi_delivery_times *earlier, vsi_delivery_times *later);
/* Count the durations of a written event that has a stamp. */
void vsi_group_tally_delivered(vsi_group_tally *tally, const vestry_host *host, const vsi_delivery_times *times);
/* Count a refused event. FULL is counted by the stream. */
void vsi_group_tally_refused(vsi_group_tally *tally, vestry_err error);

#endif
