/* SPDX-License-Identifier: MIT */
/* The exit of values from a store: vestry_store_leave is called for every value that is removed, with any cause. */
#include "store/exit.h"

#include "base/probe.h"

void vestry_store_leave(vestry_store_exit *exit, const vestry_scoped_key *key, void *value, vestry_handle handle,
                        vestry_cause cause) {
  if (!vsi_store_is_cause(cause)) cause = VESTRY_CAUSE_ERROR; /* a bug of the implementation; the value still leaves */
  /* release: pairs with the acquire in vestry_store_stats_get, so a thread that counts this removal counts its put,
   * too */
  if (exit->counts) atomic_fetch_add_explicit(&exit->removed_by_cause[cause], 1, memory_order_release);
  VSI_PROBE3(leave, key->data + key->key_offset, key->len - key->key_offset, cause);
  if (exit->purge)
    exit->purge(
        &(vestry_purged){key->scope, key->data + key->key_offset, key->len - key->key_offset, value, handle, cause},
        exit->purge_ctx);
  const vsi_store_watch *watch = atomic_load_explicit(&exit->watch, memory_order_acquire);
  if (__builtin_expect(watch != NULL, 0)) watch->left(key, handle, watch->ctx);
  if (exit->value.left) exit->value.left(value, exit->store, handle);
  if (cause != VESTRY_CAUSE_DETACHED) exit->value.close(value, cause);
  exit->value.unref(value);
}
