/* SPDX-License-Identifier: MIT */
/* The exit of a store: the functions that are called for each value that leaves it, and the counters of removals. */
#ifndef VSI_STORE_EXIT_H
#define VSI_STORE_EXIT_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "store/scoped_key.h"

/* Callbacks by which a store reports puts and removals to a module of another layer, such as the cluster, which tracks
 * keys. Any thread, no lock held. */
typedef struct vsi_store_watch {
  /* A value is about to be put. OK | NO_MEMORY: the put fails. */
  vestry_err (*coming)(const vestry_scoped_key *key, vestry_keep_policy policy, void *ctx);
  /* The value was put, and may have left again. handle 0: the put failed, or the value was there before. */
  void (*came)(const vestry_scoped_key *key, vestry_keep_policy policy, vestry_handle handle, void *ctx);
  /* A value has left. */
  void (*left)(const vestry_scoped_key *key, vestry_handle handle, void *ctx);
  void *ctx;
} vsi_store_watch;

/* The exit of one store. store.c updates each counter at the event that it counts, unless the store's implementation
 * counts itself. The counters are relaxed, except removed_by_cause, whose increments pair with
 * vestry_store_stats_get. */
struct vestry_store_exit {
  vestry_store *store; /* that it belongs to */
  vestry_value_ops value;
  vestry_purge_fn purge; /* NULL: none */
  void *purge_ctx;
  _Atomic(const vsi_store_watch *) watch; /* NULL: none. Set while nothing is stored */
  bool counts;
  vsi_keyed_hash hash; /* of scoped keys */
  _Atomic(uint64_t) removed_by_cause[VESTRY_CAUSE_COUNT];
  vsi_histogram evictions; /* times for which entries evicted with cause SIZE were unused; one of 16 */
};

static inline bool vsi_store_is_cause(vestry_cause cause) {
  return cause > VESTRY_CAUSE_NONE && cause < VESTRY_CAUSE_COUNT;
}

#endif
