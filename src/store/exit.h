/* SPDX-License-Identifier: MIT */
/* The one door through which values leave, and what an implementation asks of a value. */
#ifndef VSI_STORE_EXIT_H
#define VSI_STORE_EXIT_H

#include <stdatomic.h>

#include "base/histogram.h"
#include "store/scoped_key.h"

/* How another layer, which knows the keys that there are, is told of values that come and leave. Any thread, no lock
 * held. */
typedef struct vsi_store_watch {
  /* A value is about to be put. OK | NO_MEMORY: it is not. */
  vestry_err (*coming)(const vestry_scoped_key *key, vestry_keep_policy policy, void *ctx);
  /* The value was put, and may have left again. handle 0: it was not put after all, or was there before. */
  void (*came)(const vestry_scoped_key *key, vestry_keep_policy policy, vestry_handle handle, void *ctx);
  /* A value has left. */
  void (*left)(const vestry_scoped_key *key, vestry_handle handle, void *ctx);
  void *ctx;
} vsi_store_watch;

/* The one door through which values leave. Counters are written where things happen, unless the implementation counts
 * for itself: relaxed, but for those of values that leave, which vestry_store_stats_get pairs with. */
struct vestry_store_exit {
  vestry_value_ops value;
  vestry_purge_fn purge; /* NULL: none */
  void *purge_ctx;
  _Atomic(const vsi_store_watch *) watch; /* NULL: none. Set while nothing is stored */
  bool counts;
  vsi_keyed_hash hash; /* of scoped keys */
  _Atomic(uint64_t) removed_by_cause[VESTRY_CAUSE_COUNT];
  vsi_histogram evictions; /* of ages: how long what left for SIZE was unused; of one in 16 */
};

static inline bool vsi_store_is_cause(vestry_cause cause) {
  return cause > VESTRY_CAUSE_NONE && cause < VESTRY_CAUSE_COUNT;
}

#endif
