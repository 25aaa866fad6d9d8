/* SPDX-License-Identifier: MIT */
/* The front of every store: the members that all types have in common, and functions for callers that have packed a
 * key already, or that watch values come and leave. */
#ifndef VSI_STORE_STORE_H
#define VSI_STORE_STORE_H

#include "base/log.h"
#include "base/mutex.h"
#include "store/exit.h"

struct vestry_store {
  const vestry_host *host;
  const vestry_store_ops *ops;
  void *self; /* the state of the implementation */
  vestry_store_exit exit;
  _Atomic(uint64_t) put, hits, misses;
  _Atomic(uint64_t) armed_ns; /* time of the driver's next tick; 0: no driver; written under driver_lock */
  vsi_mutex driver_lock;
  vestry_timer *timer;                   /* of the driver; guarded by driver_lock; NULL: no driver */
  size_t max_count, max_per_scope_count; /* as in the options */
  const void *owner;                     /* the instance that has it; NULL: none */
};

/* The built-in types. "hash" never evicts: a put beyond a bound fails. "lru" is bounded: a put into a full store evicts
 * the least recently used entry; idle and old entries expire on time. */
extern const vestry_store_ops vsi_hash_store_ops, vsi_lru_store_ops;

/* Pack a scope and a key for this store, once for several calls. OK (call finish) | INVALID | TOO_LARGE | NO_MEMORY. */
static inline vestry_err vsi_store_pack(const vestry_store *store, vsi_scoped_key *scoped, vestry_scope scope,
                                        const vestry_key *key) {
  return vsi_scoped_key_init(scoped, &store->exit.hash, store->host, scope, key);
}
/* Log an invalid scope or key of a public function. Returns the error. */
static inline vestry_err vsi_key_refuse(const vestry_host *host, const char *function, vestry_err error) {
  if (error != VESTRY_INVALID) return error;
  return vsi_mistake(host, function, "the key is NULL or not well formed, or scope.data is NULL");
}
enum { VSI_MANY_DEFAULT = 8 }; /* many_count of 0 */
/* Same as vestry_store_put and vestry_store_with, with a packed key. */
vestry_err vsi_store_put(vestry_store *store, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_store_with(vestry_store *store, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);

/* Take a store over for an instance, or give it back (owner NULL). Exchanges *purge and *ctx and the store's hook. Not
 * while other threads use the store. */
void vsi_store_adopt(vestry_store *store, const void *owner, vestry_purge_fn *purge, void **ctx);

/* Get the times for which evicted entries of a built-in store were unused; one of 16 is sampled. Any thread. */
VESTRY_API void vsi_store_evictions(const vestry_store *store, vsi_histogram_counts *ret_counts);
/* Call a function with the key of the value that has this handle, possibly under a lock of the store. handle: of this
 * store, or 0. Returns whether the function was called. */
static inline bool vsi_store_key_of(const vestry_store *store, vestry_handle handle, vestry_key_of_fn fn, void *ctx) {
  return handle && store->ops->key_of && store->ops->key_of(store->self, handle, fn, ctx);
}

/* Set the watch that is called for all values that come and leave; NULL: none. The watch must outlive all running
 * calls. */
static inline void vsi_store_watch_set(vestry_store *store, const vsi_store_watch *watch) {
  /* release: pairs with the acquire of puts and of leaving values */
  atomic_store_explicit(&store->exit.watch, watch, memory_order_release);
}

/* Remove the values that have expired by the host's clock.
 *  Returns  the latest time, on that clock, at which to call this again; UINT64_MAX: no call is necessary before the
 *           next put
 *  Threads  any; runs callbacks on this thread, no lock held */
uint64_t vsi_store_tick(vestry_store *store);

/* Remove all values with cause SHUTDOWN. Later puts return CLOSED. Idempotent.
 *  Threads  any; runs callbacks on this thread */
VESTRY_API void vsi_store_close(vestry_store *store);

#endif
