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
  VSI_POSTGRES_ROW = 1,    /* the row of this block and offset: a newer version, or deleted */
  VSI_POSTGRES_ROWS,       /* the same for any row of the block */
  VSI_POSTGRES_CHANGES,    /* the same for any row of the table */
  VSI_POSTGRES_TABLE,      /* anything in the table, also new rows */
  VSI_POSTGRES_VERSIONS,   /* new rows of the table, and new versions of rows */
  VSI_POSTGRES_LEAF,       /* entries of this block, a leaf of a B-tree */
  VSI_POSTGRES_INDEX,      /* entries of any leaf */
  VSI_POSTGRES_DEFINITION, /* the definition of the relation with this oid, or its file */
  VSI_POSTGRES_FILE,       /* anything in the file; for transactions with too many writes for other keys */
  /* Rows that a commit has written: kind VSI_POSTGRES_WRITTEN + n has the rows 16 n to 16 n + 15 of the block, and
   * `offset` has a bit for each. So neighbours take one key. A render has keys of the kind ROW, one for each row. */
  VSI_POSTGRES_WRITTEN
} vsi_postgres_kind;

/* `offset`: ROW: of the row. WRITTEN: bits. Other kinds: 0 */
typedef vsi_read_key vsi_postgres_key;

/* The kinds whose keys name a part of a relation, as bits. All other keys name a whole relation, and many renders share
 * them. */
enum { VSI_POSTGRES_PART_KINDS = 1 << VSI_POSTGRES_ROW | 1 << VSI_POSTGRES_ROWS | 1 << VSI_POSTGRES_LEAF };
/* Return a key that is passed on at once, as two words. Therefore, it is written as two words: a processor that loads a
 * word whose parts were stored just before waits until they are in its cache, and so are all earlier stores. */
static inline vsi_postgres_key vsi_postgres_key_of(uint32_t relation, uint32_t block, uint32_t offset, uint32_t kind) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
  const uint64_t place = (uint64_t)relation << 32 | block;
  const uint32_t rest = offset << 16 | kind;
#else
  const uint64_t place = (uint64_t)block << 32 | relation;
  const uint32_t rest = kind << 16 | offset;
#endif
  vsi_postgres_key key;
  memcpy(&key, &place, sizeof place);
  memcpy((char *)&key + sizeof place, &rest, sizeof rest);
  return key;
}
/* Return the key of a commit that has written a row. */
static inline vsi_postgres_key vsi_postgres_written_key(uint32_t relation, uint32_t block, uint16_t row) {
  return vsi_postgres_key_of(relation, block, 1u << row % 16, VSI_POSTGRES_WRITTEN + row / 16u);
}
/* Return the row of the lowest bit. bits: some bits of the key. */
static inline vsi_postgres_key vsi_postgres_row_key(vsi_postgres_key written, unsigned bits) {
  const unsigned row = (written.kind - VSI_POSTGRES_WRITTEN) * 16u + (unsigned)__builtin_ctz(bits);
  return vsi_postgres_key_of(written.relation, written.block, row, VSI_POSTGRES_ROW);
}

/* The key for two kinds of changes: of any view; and of the information which table is a part of which other table. */
static const vsi_postgres_key vsi_postgres_views_key = {.relation = 0, .kind = VSI_POSTGRES_DEFINITION};

/* Return whether keys name the same thing. A set has only one of them, so bits do not count. */
static inline bool vsi_postgres_keys_are_equal(vsi_postgres_key a, vsi_postgres_key b) {
  return a.relation == b.relation && a.block == b.block && a.kind == b.kind &&
         (a.kind != VSI_POSTGRES_ROW || a.offset == b.offset);
}
static inline uint64_t vsi_postgres_key_hash(vsi_postgres_key key) {
  const uint64_t row = key.kind == VSI_POSTGRES_ROW ? key.offset : 0;
  return vsi_hash_mix(vsi_hash_mix(0, (uint64_t)key.relation << 32 | key.block), row << 16 | key.kind);
}

/* A set of keys in the order of their insertion. Zeroes are an empty set. */
typedef struct vsi_postgres_keys {
  vsi_postgres_key *keys;
  size_t count, room;
  uint32_t *slots; /* a key's position + 1; 0: free. NULL while there are few keys */
  size_t slots_count;
} vsi_postgres_keys;

/* Add a key. OK | EXISTS (it is there already, and has the bits of both) | NO_MEMORY (the set is unchanged) */
vestry_err vsi_postgres_keys_add(vsi_postgres_keys *set, const vestry_host *host, vsi_postgres_key key);
bool vsi_postgres_keys_have(const vsi_postgres_keys *set, vsi_postgres_key key);
/* Return whether a commit with these keys concerns a render that has this key. */
bool vsi_postgres_keys_concern(const vsi_postgres_keys *written, vsi_postgres_key read);
/* Empty a set, and keep the memory of a small one for the next keys. */
void vsi_postgres_keys_empty(vsi_postgres_keys *set, const vestry_host *host);
/* Empty a set and free its memory. */
void vsi_postgres_keys_clear(vsi_postgres_keys *set, const vestry_host *host);
static inline void vsi_postgres_keys_swap(vsi_postgres_keys *a, vsi_postgres_keys *b) {
  const vsi_postgres_keys is = *a;
  *a = *b;
  *b = is;
}
/* Move keys to an empty set. A few are copied: so `from`, for the next keys, keeps memory that is in the cache. */
void vsi_postgres_keys_move(vsi_postgres_keys *to, vsi_postgres_keys *from, const vestry_host *host);
/* Iterates over the keys of a commit as sets have them: one for each row. Zeroes are the beginning. */
typedef struct vsi_postgres_key_walk {
  size_t at;
  unsigned bits;
} vsi_postgres_key_walk;
static inline bool vsi_postgres_keys_next(const vsi_postgres_keys *of, vsi_postgres_key_walk *is,
                                          vsi_postgres_key *ret_key) {
  if (is->at == of->count) return false;
  *ret_key = of->keys[is->at];
  if (ret_key->kind >= VSI_POSTGRES_WRITTEN) {
    if (!is->bits) is->bits = ret_key->offset;
    *ret_key = vsi_postgres_row_key(*ret_key, is->bits);
    is->bits &= is->bits - 1;
  }
  is->at += !is->bits;
  return true;
}
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
