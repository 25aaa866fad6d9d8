/* The scopes that values are stored under, with how many there are in each: for stores that bound that number.
 *
 * Not locked, as index.h. */
#ifndef VSI_STORE_SCOPES_H
#define VSI_STORE_SCOPES_H

#include "base/siphash.h"
#include "store/index.h"
#include "store/ring.h"
#include "vestry/store.h"

/* There from the first value of a scope to the last. */
typedef struct vsi_scope_record {
  vsi_index_key key; /* first: it is indexed by it */
  size_t count;
  vsi_ring uses; /* the store's to use: its values in the order of use; empty at first */
  unsigned char bytes[];
} vsi_scope_record;

typedef struct vsi_scopes {
  const vestry_host *host;
  vsi_siphash_key hash_key;
  vsi_index index;
} vsi_scopes;

/* OK | NO_MEMORY. */
vestry_err vsi_scopes_init(vsi_scopes *scopes, const vestry_host *host, vsi_siphash_key hash_key);
/* No scope has values, or vsi_scopes_init failed. */
void vsi_scopes_finish(vsi_scopes *scopes);

/* The record of a key's scope; NULL: no value is in it. */
vsi_scope_record *vsi_scopes_find(vsi_scopes *scopes, const vestry_scoped_key *key);

/* Count one more value in a key's scope. Returns its record; NULL: out of memory, unchanged. */
vsi_scope_record *vsi_scopes_enter(vsi_scopes *scopes, const vestry_scoped_key *key);
/* Count one less. The record may be gone. */
void vsi_scopes_leave(vsi_scopes *scopes, vsi_scope_record *record);

#endif
