/* SPDX-License-Identifier: MIT */
/* The arrays of a shard: entries, each one value under one key, and what belongs to them. The lock of the shard guards
 * all of them.
 *
 * An entry has a number, by which the index, the lists and the rings refer to it; so all arrays grow by plain copies.
 * The numbers below VSI_HEADS are the heads of lists (order.h); therefore number 0 means "none". A lookup reads one
 * cache line of an entry; the parts that only puts and removals use are in other arrays:
 *
 *   entries  value | use | lens | a key of at most 48 packed bytes, or the address of a longer one
 *   cold     handle | links of the order of use
 *   extra    birth, the links of a scope, the ring of the values of one key; only in a store that has a lifetime or a
 *            limit per scope, and in a shard in which a key has had several values */
#ifndef VSI_STORE_ENTRY_H
#define VSI_STORE_ENTRY_H

#include <stdatomic.h>

#include "base/assert.h"
#include "base/memory.h"
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
  if (entry->lens != vsi_scoped_key_lens(key)) return false;
  const vestry_scoped_key *own = vsi_entry_long_key(entry);
  const uint64_t *words = own ? vsi_scoped_key_words(own) : entry->words;
  return vsi_words_equal(words, vsi_scoped_key_words(key), vsi_scoped_key_bytes(key));
}

/* ------------------------------------------------------------------------------------------- lists of extras ---- */

/* A list of entries by one pair of links of their extras, between the links of a head. extra: that of the entry with
 * the number VSI_HEADS. */
static inline vsi_links *vsi_links_of(vsi_links *head, vsi_extra *extra, int which, uint32_t number) {
  return number ? &extra[number - VSI_HEADS].in[which] : head;
}
static inline void vsi_links_add(vsi_links *head, vsi_extra *extra, int which, uint32_t number) {
  *vsi_links_of(head, extra, which, number) = (vsi_links){0, head->prev};
  vsi_links_of(head, extra, which, head->prev)->next = number;
  head->prev = number;
}
static inline void vsi_links_take(vsi_links *head, vsi_extra *extra, int which, uint32_t number) {
  const vsi_links own = *vsi_links_of(head, extra, which, number);
  VSI_ASSERT(vsi_links_of(head, extra, which, own.prev)->next == number);
  vsi_links_of(head, extra, which, own.prev)->next = own.next;
  vsi_links_of(head, extra, which, own.next)->prev = own.prev;
}

#endif
