/* The front of every store: what is between the public functions and an implementation. */
#ifndef VSI_STORE_STORE_H
#define VSI_STORE_STORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/scoped_key.h"

/* Told of what comes and leaves: by another floor, which knows which keys there are. Any thread, no lock held. */
typedef struct vsi_store_watch {
  /* A value is about to be put. OK | NO_MEMORY: it is not. */
  vestry_err (*coming)(const vestry_scoped_key *key, vestry_put_policy policy, void *ctx);
  /* It was, and may have left again. handle 0: it was not put after all, or was there before. */
  void (*came)(const vestry_scoped_key *key, vestry_put_policy policy, vestry_handle handle, void *ctx);
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
};

struct vestry_store {
  const vestry_host *host;
  const vestry_store_ops *ops;
  void *self; /* the implementation's */
  vestry_store_exit exit;
  _Atomic(uint64_t) put, hits, misses;
  _Atomic(uint64_t) armed_ns; /* when the driver ticks next; 0: no driver; written under driver_lock */
  pthread_mutex_t driver_lock;
  vestry_store_driver *driver; /* guarded by driver_lock; NULL: none */
};

/* The types' look-up: a built-in one or one of types (NULL: none). NULL: no such type. */
const vestry_store_ops *vsi_store_types_find(const vestry_store_types *types, const char *name, void **ret_type_ctx);

/* Pack a scope and a key for this store, once for whatever is done with them. OK (finish it) | INVALID | TOO_LARGE |
 * NO_MEMORY. */
static inline vestry_err vsi_store_pack(const vestry_store *store, vsi_scoped_key *scoped, vestry_scope scope,
                                        const vestry_key *key) {
  return vsi_scoped_key_init(scoped, &store->exit.hash, store->host, scope, key);
}
/* vestry_store_put and _with for a key that is packed already. */
vestry_err vsi_store_put(vestry_store *store, const vestry_scoped_key *key, void *value, vestry_put_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_store_with(vestry_store *store, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);

/* Have somebody told of all that comes and leaves; NULL: nobody any more. It must outlive what is under way. */
static inline void vsi_store_watch_set(vestry_store *store, const vsi_store_watch *watch) {
  /* release pairs with the acquire of puts and of values that leave */
  atomic_store_explicit(&store->exit.watch, watch, memory_order_release);
}

/* When the next tick is due; UINT64_MAX: never. */
uint64_t vsi_store_deadline_ns(vestry_store *store);
/* After a put or a tick: have the driver, if there is one, tick earlier if something is due earlier. No lock held. */
void vsi_store_driver_wake_armed(vestry_store *store, uint64_t armed_ns);
static inline void vsi_store_driver_wake(vestry_store *store) {
  uint64_t armed_ns = atomic_load_explicit(&store->armed_ns, memory_order_seq_cst);
  if (armed_ns) vsi_store_driver_wake_armed(store, armed_ns);
}

#endif
