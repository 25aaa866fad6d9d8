/* How many values each scope has, and which: for stores that bound that number. Has a lock of its own, taken inside a
 * shard's. */
#ifndef VSI_STORE_SCOPES_H
#define VSI_STORE_SCOPES_H

#include <pthread.h>

#include "base/siphash.h"
#include "store/index.h"
#include "store/slab.h"

typedef struct vsi_scopes {
  const vestry_host *host;
  vsi_siphash_key hash_key;
  pthread_mutex_t lock;
  vsi_index index; /* guarded by lock, with all records */
} vsi_scopes;

/* OK | NO_MEMORY. */
vestry_err vsi_scopes_init(vsi_scopes *scopes, const vestry_host *host, vsi_siphash_key hash_key);
/* No scope has values; also after vsi_scopes_init failed, or on zero. */
void vsi_scopes_finish(vsi_scopes *scopes);

/* Take a share of a key's scope: OK | LIMIT (max are taken; *ret_oldest names the slot in it that was used least
 * recently, or 0) | NO_MEMORY. pinned: false at first; with OK and LIMIT it is set, and from then on until the slot is
 * entered, or unpin, memory cannot run out for this slot. */
vestry_err vsi_scopes_reserve(vsi_scopes *scopes, const vestry_scoped_key *key, size_t max, bool *pinned,
                              vestry_handle *ret_oldest,
                              vestry_handle (*handle_of)(const void *ctx, const vsi_slot *slot), const void *ctx);
/* Give a share back that no slot was entered for. */
void vsi_scopes_cancel(vsi_scopes *scopes, const vestry_scoped_key *key);
void vsi_scopes_unpin(vsi_scopes *scopes, const vestry_scoped_key *key);
/* Enter a slot for a share, pinned until now. Cannot fail. Under the slot's shard's lock. */
void vsi_scopes_enter(vsi_scopes *scopes, const vestry_scoped_key *key, vsi_slot *slot, vsi_extra *extra);
/* The slot leaves, and its share is free. Under its shard's lock. */
void vsi_scopes_leave(vsi_scopes *scopes, vsi_slot *slot, vsi_extra *extra);

#endif
