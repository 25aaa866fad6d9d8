/* SPDX-License-Identifier: MIT */
/* The front of every store, for callers that have packed a key already, or watch what comes and leaves. */
#ifndef VSI_STORE_STORE_H
#define VSI_STORE_STORE_H

#include "base/options.h"
#include "store/front.h"

/* Pack a scope and a key for this store, once for whatever is done with them. OK (finish it) | INVALID | TOO_LARGE |
 * NO_MEMORY. */
static inline vestry_err vsi_store_pack(const vestry_store *store, vsi_scoped_key *scoped, vestry_scope scope,
                                        const vestry_key *key) {
  return vsi_scoped_key_init(scoped, &store->exit.hash, store->host, scope, key);
}
/* vestry_store_put and _with for a key that is packed already. */
vestry_err vsi_store_put(vestry_store *store, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                         size_t many_count, vestry_put_result *ret_result);
vestry_err vsi_store_with(vestry_store *store, const vestry_scoped_key *key, vestry_with_fn fn, void *ctx);

/* How long entries were unused that had to make room, of a built-in store that evicts; of one in 16. Any thread. */
VESTRY_API void vsi_store_evictions(const vestry_store *store, vsi_histogram_counts *ret_counts);
/* Call a function with the key of a value, by its handle, perhaps under a lock of the store's. Returns whether it was
 * called. handle: of this store's, or 0. */
static inline bool vsi_store_key_of(const vestry_store *store, vestry_handle handle, vestry_key_of_fn fn, void *ctx) {
  return handle && VSI_OPS_HAVE(store->ops, vestry_store_ops, key_of) &&
         store->ops->key_of(store->self, handle, fn, ctx);
}

/* Set the watcher of all that comes and leaves; NULL: none any more. It must outlive what is under way. */
static inline void vsi_store_watch_set(vestry_store *store, const vsi_store_watch *watch) {
  /* release pairs with the acquire of puts and of values that leave */
  atomic_store_explicit(&store->exit.watch, watch, memory_order_release);
}

#endif
