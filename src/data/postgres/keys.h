/* SPDX-License-Identifier: MIT */
/* Keys: the common form of the things that a render has read, and that a commit has written. A commit concerns a render
 * if they have a key in common, and the render's snapshot does not see the commit. One thread at a time. */
#ifndef VSI_POSTGRES_KEYS_H
#define VSI_POSTGRES_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/hash.h"
#include "data/sql/reads.h"
#include "vestry/error.h"
#include "vestry/host.h"

/* The kind of a key. `relation` is the number of a relation's file, except for DEFINITION. */
typedef enum vsi_postgres_kind {
  VSI_POSTGRES_ROW = 1,   /* the row of this block and offset: a newer version, or deleted */
  VSI_POSTGRES_ROWS,      /* the same for any row of the block */
  VSI_POSTGRES_CHANGES,   /* the same for any row of the table */
  VSI_POSTGRES_TABLE,     /* anything in the table, also new rows */
  VSI_POSTGRES_VERSIONS,  /* new rows of the table, and new versions of rows */
  VSI_POSTGRES_LEAF,      /* entries of this block, a leaf of a B-tree */
  VSI_POSTGRES_INDEX,     /* entries of any leaf */
  VSI_POSTGRES_DEFINITION /* the definition of the relation with this oid, or its file */
} vsi_postgres_kind;

/* `block`: ROW, ROWS, LEAF; others: 0. `offset`: ROW; others: 0 */
typedef vsi_read_key vsi_postgres_key;

/* The kinds whose keys name a part of a relation, as bits. All other keys name a whole relation, and many renders share
 * them. */
enum { VSI_POSTGRES_PART_KINDS = 1 << VSI_POSTGRES_ROW | 1 << VSI_POSTGRES_ROWS | 1 << VSI_POSTGRES_LEAF };

/* The key for two kinds of changes: of any view; and of the information which table is a part of which other table. */
static const vsi_postgres_key vsi_postgres_views_key = {.relation = 0, .kind = VSI_POSTGRES_DEFINITION};

static inline uint64_t vsi_postgres_key_hash(vsi_postgres_key key) {
  return vsi_hash_mix(vsi_hash_mix(0, (uint64_t)key.relation << 32 | key.block), (uint64_t)key.offset << 16 | key.kind);
}

/* A set of keys in the order of their insertion. Zeroes are an empty set. */
typedef struct vsi_postgres_keys {
  vsi_postgres_key *keys;
  size_t count, room;
  uint32_t *slots; /* a key's position + 1; 0: free. NULL while there are few keys */
  size_t slots_count;
} vsi_postgres_keys;

/* Add a key. OK | EXISTS | NO_MEMORY (the set is unchanged) */
vestry_err vsi_postgres_keys_add(vsi_postgres_keys *set, const vestry_host *host, vsi_postgres_key key);
bool vsi_postgres_keys_have(const vsi_postgres_keys *set, vsi_postgres_key key);
/* Empty a set and free its memory. */
void vsi_postgres_keys_clear(vsi_postgres_keys *set, const vestry_host *host);
/* Return the memory that a set uses. */
static inline size_t vsi_postgres_keys_bytes(const vsi_postgres_keys *set) {
  return set->room * sizeof *set->keys + set->slots_count * sizeof *set->slots;
}

/* ---- snapshots: the set of transactions that a transaction sees ---- */

/* Transaction numbers have 64 bits, and are never reused. */
typedef struct vsi_postgres_snapshot {
  uint64_t from;     /* all before it have ended */
  uint64_t to;       /* it and all after it are not seen */
  uint64_t *running; /* those in between that are not seen */
  size_t count;
} vsi_postgres_snapshot;

/* Parse the format of pg_current_snapshot(): "10:14:10,12". Call vsi_postgres_snapshot_finish after OK. OK | MALFORMED
 * | NO_MEMORY */
vestry_err vsi_postgres_snapshot_read(vsi_postgres_snapshot *snapshot, const vestry_host *host, const char *text);
void vsi_postgres_snapshot_finish(vsi_postgres_snapshot *snapshot, const vestry_host *host);
/* Return whether the changes of a transaction are seen, if it is committed. */
bool vsi_postgres_snapshot_sees(const vsi_postgres_snapshot *snapshot, uint64_t xid);
/* Return how many of the transactions before that number are not seen. */
uint64_t vsi_postgres_snapshot_unseen(const vsi_postgres_snapshot *snapshot, uint64_t before);
/* Return whether it sees a transaction before that number that the older snapshot does not see. */
bool vsi_postgres_snapshot_sees_more(const vsi_postgres_snapshot *snapshot, const vsi_postgres_snapshot *older,
                                     uint64_t before);

/* Return the 64-bit number of a transaction from its 32-bit number in the WAL: the one nearest to another number. */
static inline uint64_t vsi_postgres_full_xid(uint32_t xid, uint64_t near) {
  return near + (uint64_t)(int64_t)(int32_t)(xid - (uint32_t)near);
}

#endif
