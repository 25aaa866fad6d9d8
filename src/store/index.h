/* A hash index over objects that carry their own key: Concurrency Kit's ck_hs, kept free of tombstones.
 *
 * Not locked: every call is made under the lock of the store, or shard, that the index is part of. */
#ifndef VSI_STORE_INDEX_H
#define VSI_STORE_INDEX_H

#include <ck_hs.h>

#include "vestry/host.h"

/* First in every object that is indexed, and what look-ups are made with. */
typedef struct vsi_index_key {
  uint64_t hash; /* of data, keyed (SipHash) */
  const unsigned char *data;
  size_t len;
} vsi_index_key;

typedef struct vsi_index {
  ck_hs_t set;
  const vestry_host *host; /* NULL: not made */
  size_t removed_count;    /* since the set was made: at most so many tombstones are in it */
  size_t most_count;       /* objects it held at most since then */
} vsi_index;

/* OK | NO_MEMORY. */
vestry_err vsi_index_init(vsi_index *index, const vestry_host *host);
/* The objects are the caller's. Also for one that was not made: zero, or vsi_index_init failed. */
void vsi_index_finish(vsi_index *index);

size_t vsi_index_count(vsi_index *index);

/* The object with this key, or NULL. */
void *vsi_index_find(vsi_index *index, const vsi_index_key *key);

/* Add an object whose key is not in the index. It stays where it is until it is removed. OK | NO_MEMORY (unchanged). */
vestry_err vsi_index_add(vsi_index *index, vsi_index_key *object);

/* Remove an object that is in the index. Cannot fail. */
void vsi_index_remove(vsi_index *index, vsi_index_key *object);

#endif
