/* What the built-in stores are made of: values under scoped keys, several under one key, found by key or by handle.
 *
 *   index ──► node (one a key) ──► entries (one a stay of a value), in the order of their puts
 *   handles ─────────────────────► entry
 *
 * A store embeds vsi_entry in an entry of its own and puts its own order (recency, expiry) on top.
 *
 * Not locked: every call is made under the lock of the store, or shard, except vsi_leaving_run, which is made without.
 * What leaves is unlinked under the lock into a vsi_leaving, and its callbacks run from there once the lock is
 * released. The key's bytes are the node's, which stays until the last entry of it has gone through its callbacks. */
#ifndef VSI_STORE_TABLE_H
#define VSI_STORE_TABLE_H

#include <stdatomic.h>

#include "base/siphash.h"
#include "store/index.h"
#include "store/slots.h"
#include "vestry/store.h"

typedef struct vsi_entry vsi_entry;

typedef struct vsi_node {
  vsi_index_key key; /* first: it is indexed by it */
  uint32_t key_offset;
  uint32_t scope_offset;       /* the scope's own bytes: from here to key_offset */
  vsi_slot_number place;       /* in table->nodes: the order of listings */
  uint64_t created;            /* table->created_count when it was made */
  vsi_entry *oldest, *newest;  /* by put */
  size_t count;                /* entries under the key now */
  _Atomic(size_t) users_count; /* entries, those that are leaving too, and pages that name it */
  unsigned char bytes[];
} vsi_node;

struct vsi_entry {
  vsi_node *node;
  void *value;
  vestry_handle handle;
  vsi_entry *older, *newer; /* under the same key; newer: the next in a vsi_leaving */
  vestry_cause cause;       /* of a leaving one */
};

typedef struct vsi_table {
  const vestry_host *host;
  vsi_siphash_key hash_key;
  vsi_index index;
  vsi_slots nodes, handles;
  uint64_t created_count; /* nodes so far */
  size_t entry_size;
  uint32_t shard, shard_bits; /* handles say which of several tables they are of, in their lowest bits */
} vsi_table;

/* Entries on their way out, in the order in which they were unlinked. Zero is empty. */
typedef struct vsi_leaving {
  vsi_entry *first, *last;
  size_t count;
} vsi_leaving;

/* A random key for hashing. OK | IO. */
vestry_err vsi_table_hash_key(const vestry_host *host, vsi_siphash_key *ret_key);

/* entry_size: of the store's entries, whose first member is a vsi_entry. OK | NO_MEMORY. */
vestry_err vsi_table_init(vsi_table *table, const vestry_host *host, vsi_siphash_key hash_key, size_t entry_size,
                          uint32_t shard, uint32_t shard_bits);
/* The table is empty, or vsi_table_init failed. */
void vsi_table_finish(vsi_table *table);

uint64_t vsi_table_hash(vsi_siphash_key hash_key, const vestry_scoped_key *key);
/* The node of a key, or NULL. It has at least one entry. */
vsi_node *vsi_table_find(vsi_table *table, uint64_t hash, const vestry_scoped_key *key);
/* The entry with this handle, or NULL. */
vsi_entry *vsi_table_entry(const vsi_table *table, vestry_handle handle);

/* Whether a value may be put under a key: OK | EXISTS. On OK, *ret_same is the entry that holds the very value and is
 * to be refreshed, or NULL: an entry is to be added. node: NULL when the key holds nothing. */
vestry_err vsi_node_admit(const vsi_node *node, const void *value, vestry_put_policy policy, vsi_entry **ret_same);

/* Whether a put adds to the number of values, because it displaces none. node: as found. */
bool vsi_node_grows(const vsi_node *node, vestry_put_policy policy, size_t many_count);

/* The next entry that has to leave for REPLACED once `put` is in its node, added or refreshed; NULL: no more. */
vsi_entry *vsi_node_displaced(const vsi_node *node, const vsi_entry *put, vestry_put_policy policy, size_t many_count);

/* Add an entry, the newest of its key; what the store has in it beyond vsi_entry is zero. node: as found, NULL when the
 * key holds nothing. OK | NO_MEMORY (unchanged). */
vestry_err vsi_table_add(vsi_table *table, vsi_node *node, uint64_t hash, const vestry_scoped_key *key, void *value,
                         vsi_entry **ret_entry);

/* Take an entry out of the table, and its node when it was the last. */
void vsi_table_take(vsi_table *table, vsi_entry *entry, vestry_cause cause, vsi_leaving *leaving);

/* Run the callbacks of all that leaves and free it; leaves it empty. No lock held. */
void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, vestry_store_exit *exit);

/* Keep a node, and so its key, beyond the lock: hold under the lock, drop without. */
void vsi_node_hold(vsi_node *node);
void vsi_node_drop(vsi_node *node, const vestry_host *host);
vestry_scoped_key vsi_node_scoped_key(const vsi_node *node);

/* As vestry_store_get for a node that has entries left: the newest that fit, newest last, each held. */
void vsi_node_get(const vsi_node *node, vestry_store_exit *exit, void **values, size_t *count);

#endif
