/* SPDX-License-Identifier: MIT */
/* A shard: one lock, and the arrays that it guards: entries, each one value under one key, and what belongs to them.
 *
 * An entry has a number, by which the index, the lists and the rings refer to it; so all arrays grow by plain copies.
 * The numbers below VSI_HEADS are the heads of lists (order.h); therefore number 0 means "none". A lookup reads one
 * cache line of an entry; the parts that only puts and removals use are in other arrays:
 *
 *   entries  value | use | lens | a key of at most 48 packed bytes, or the address of a longer one
 *   cold     handle | links of the order of use
 *   extra    birth, the links of a scope, the ring of the values of one key; only in a store that has a lifetime or a
 *            limit per scope, and in a shard in which a key has had several values */
#ifndef VSI_STORE_SHARD_H
#define VSI_STORE_SHARD_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/map.h"
#include "base/memory.h"
#include "base/spin_lock.h"
#include "store/scoped_key.h"

enum { VSI_ENTRY_WORDS = 6, VSI_HEADS = 33, VSI_HANDLE_HASH_BITS = 24 };
#define VSI_HANDLE_NUMBER_MASK (UINT64_MAX >> VSI_HANDLE_HASH_BITS)

typedef struct vsi_entry {
  void *value;
  uint32_t use;  /* tick of the last use << 1 | used again in that tick; of a leaving entry: the cause */
  uint32_t lens; /* and words: see scoped_key.h */
  uint64_t words[VSI_ENTRY_WORDS];
} vsi_entry;

/* Links of a list, by number. */
typedef struct vsi_links {
  uint32_t next, prev;
} vsi_links;

typedef struct vsi_cold {
  vestry_handle handle; /* upper bits: of the hash; lower bits: a number in the shard, in the order of puts */
  vsi_links in;         /* the order of use; or, by `next`, the free entries or those that leave */
} vsi_cold;

enum { VSI_IN_BORN, VSI_IN_SCOPE };
typedef struct vsi_extra {
  vsi_links in[2]; /* of the shard's list in the order of birth; of the scope's list in the order of use */
  struct vsi_scope_share *share;
  uint32_t born;
  uint32_t older, newer; /* the ring of the key's entries: the newest's `newer` is the oldest; itself: no other */
  uint32_t count;        /* of the newest one: the number of the key's values */
  /* Chains that find an entry of a ring by handle or by value: the first entry of this place's chains, and the next
   * entry after this one. */
  uint32_t first[2], after[2];
} vsi_extra;

typedef struct vsi_index_group vsi_index_group;

/* The parts of a shard that a lookup reads. They are dense, so that those of all shards stay in the nearest cache. */
typedef struct vsi_arrays {
  _Atomic(vsi_index_group *) groups; /* the index (index.h); these two are atomic only for vsi_index_fetch: relaxed */
  _Atomic(uint32_t) groups_count;    /* there is one entry for each of VSI_GROUP_LOAD places of a group */
  uint32_t room;                     /* the number that no entry can have before the arrays grow */
  vsi_entry *entries;
  vsi_cold *cold; /* first the heads of the lists */
} vsi_arrays;

static inline vsi_entry *vsi_entry_at(const vsi_arrays *in, uint32_t number) {
  return &in->entries[number - VSI_HEADS];
}

static inline uint32_t vsi_entry_tick(const vsi_entry *entry) {
  return entry->use >> 1;
}

/* Return a key that has more words than an entry, and is owned by it; NULL: the key is in the entry. */
static inline vestry_scoped_key *vsi_entry_long_key(const vsi_entry *entry) {
  bool is_long = vsi_lens_words(entry->lens) > VSI_ENTRY_WORDS;
  return __builtin_expect(is_long, 0) ? (vestry_scoped_key *)(uintptr_t)entry->words[0] : NULL;
}
/* Return the key of an entry, which borrows its bytes. */
static inline vestry_scoped_key vsi_entry_key(const vsi_entry *entry) {
  const vestry_scoped_key *key = vsi_entry_long_key(entry);
  return vsi_scoped_key_at(key ? (const void *)key->data : &entry->lens, entry->lens, 0);
}

static inline bool vsi_entry_has_key(const vsi_entry *entry, const vestry_scoped_key *key) {
  const size_t bytes = vsi_scoped_key_bytes(key); /* of both, if the lengths are equal */
  if (entry->lens != vsi_scoped_key_lens(key)) return false;
  const uint64_t *words = entry->words;
  if (__builtin_expect(bytes > sizeof entry->words, 0)) words = vsi_scoped_key_words(vsi_entry_long_key(entry));
  return vsi_words_equal(words, vsi_scoped_key_words(key), bytes);
}

typedef struct vsi_shard {
  /* The cache line that every operation changes. */
  _Alignas(VSI_CACHE_LINE) vsi_spin_lock lock;
  uint32_t live;        /* number of entries */
  uint32_t now;         /* the latest tick in which the shard was visited */
  uint32_t last, lists; /* the order of use: see order.h */
  uint32_t free, fresh; /* the first free entry; the first number that no entry has had yet */
  bool has_extra;       /* extra is not NULL */
  uint64_t puts, hits, misses;
  vsi_arrays *in;
  /* Cache lines that change when the arrays grow, or with rare causes. */
  uint32_t number;
  uint32_t busy;    /* number of entries in no list: they leave, or puts without the lock have claimed them */
  vsi_extra *extra; /* NULL: no entry needs one */
  void *memory;     /* of the arrays; NULL: they are those that empty shards share */
  vsi_map scopes;   /* if there is a limit per scope */
  vsi_links born;   /* head of the order of birth */
  uint64_t removed_by_cause[VESTRY_CAUSE_COUNT]; /* without SIZE, which is computed as the rest of the sum */
} vsi_shard;

static inline vsi_extra *vsi_extra_at(const vsi_shard *shard, uint32_t number) {
  return &shard->extra[number - VSI_HEADS];
}
/* Return whether the key of an entry has several values. */
static inline bool vsi_many_has(const vsi_shard *shard, uint32_t number) {
  return __builtin_expect(shard->has_extra, 0) && vsi_extra_at(shard, number)->older != number;
}

#endif
