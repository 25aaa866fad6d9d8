/* SPDX-License-Identifier: MIT */
/* The list in which events of a conflating connection wait until they are written or conflated. */
#ifndef VSI_CONNECTION_CONFLATION_H
#define VSI_CONNECTION_CONFLATION_H

#include "base/mutex.h"
#include "connection/queue.h"
#include "event/target.h"

enum { VSI_CONFLATION_SLOTS = 64 };

typedef struct vsi_conflation {
  const vestry_host *host;
  vsi_mutex lock; /* guards all members below, and taking from the connection's queue (backlog.c) */
  vsi_delivery *first, *last;
  uint64_t run;          /* number of the current run (conflation.c) */
  vsi_delivery *signals; /* the last signals patch that the next one may be merged with; NULL: none */
  vsi_delivery *slots[VSI_CONFLATION_SLOTS];
  bool is_held[VSI_CONFLATION_SLOTS];    /* the delivery of this slot must not be dropped */
  uint64_t marks[VSI_TARGET_MARKS / 64]; /* of all ids that this run has brought (event/target.h) */
  _Atomic(size_t) targets_bytes;         /* memory of the targets of waiting events; relaxed: a number only */
  /* Counters of the connection (connection.h), updated in the same way. */
  _Atomic(uint64_t) conflated_count, conflated_bytes, fences_count, kept_count, displaced_count;
} vsi_conflation;

/* Create an empty list. OK | NO_MEMORY */
vestry_err vsi_conflation_create(const vestry_host *host, vsi_conflation **ret_conflation);
/* Destroy an empty list. NULL is accepted. */
void vsi_conflation_destroy(const vestry_host *host, vsi_conflation *conflation);

/* Append a delivery. Returns a delivery that it supersedes, which has left the list and now belongs to the caller;
 * NULL: none. ret_merged: the event that replaces the added delivery's own event and has the content of both, owned by
 * the caller; NULL: its own event stays. Takes a constant number of steps, and parses two signals patches of at most 4
 * KiB. The caller holds the lock, as for take. */
vsi_delivery *vsi_conflation_add(vsi_conflation *conflation, vsi_delivery *delivery, vestry_event **ret_merged);

/* Take the oldest delivery; NULL: none. */
vsi_delivery *vsi_conflation_take(vsi_conflation *conflation);

#endif
