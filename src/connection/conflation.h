/* SPDX-License-Identifier: MIT */
/* Where the events of a conflating connection wait until they are written, or conflated with a later one. */
#ifndef VSI_CONNECTION_CONFLATION_H
#define VSI_CONNECTION_CONFLATION_H

#include "base/mutex.h"
#include "connection/queue.h"
#include "event/target.h"

enum { VSI_CONFLATION_SLOTS = 64 };

typedef struct vsi_conflation {
  const vestry_host *host;
  vsi_mutex lock; /* guards all below, and the taking from the connection's queue: see runner.c */
  vsi_delivery *first, *last;
  uint64_t stretch;
  vsi_delivery *signals; /* the last patch of signals that the next may be merged with; NULL: none */
  vsi_delivery *slots[VSI_CONFLATION_SLOTS];
  bool is_held[VSI_CONFLATION_SLOTS];    /* it is not to be left out */
  uint64_t marks[VSI_TARGET_MARKS / 64]; /* of all that this stretch has brought (event/target.h) */
  _Atomic(size_t) targets_bytes;         /* of targets that waiting events have; relaxed: a mere number */
  /* The connection's to count (connection.h), as its others. */
  _Atomic(uint64_t) conflated_count, conflated_bytes, barriers_count, kept_count, forgotten_count;
} vsi_conflation;

/* OK | NO_MEMORY */
vestry_err vsi_conflation_create(const vestry_host *host, vsi_conflation **ret_conflation);
/* Nothing waits in it. NULL is accepted. */
void vsi_conflation_destroy(const vestry_host *host, vsi_conflation *conflation);

/* Put a delivery after all others. Returns one that it makes superfluous, which is out of the list and now the
 * caller's; NULL: none. ret_merged: what the added delivery shall say in place of its own event, so that it says what
 * both said; the caller's; NULL: its own. A constant number of steps, and the reading of two signals patches of 4 KiB
 * at most. Under the lock, like take. */
vsi_delivery *vsi_conflation_add(vsi_conflation *conflation, vsi_delivery *delivery, vestry_event **ret_merged);

/* Take the oldest; NULL: none. */
vsi_delivery *vsi_conflation_take(vsi_conflation *conflation);

#endif
