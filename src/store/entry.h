/* SPDX-License-Identifier: MIT */
/* An entry: one value under one key. The entry and its key, of whatever length, are one allocation.
 *
 * The lock of the entry's shard guards all members. An entry that has left belongs to the thread that removed it. */
#ifndef VSI_STORE_ENTRY_H
#define VSI_STORE_ENTRY_H

#include "base/memory.h"
#include "base/ring.h"
#include "store/scoped_key.h"

typedef struct vsi_entry {
  vsi_ring used;                   /* first member. In its shard's list, in the order of use; or in a list of leaving
                                      entries, linked by next */
  struct vsi_entry *older, *newer; /* the ring of the key's entries: newest->newer is the oldest */
  vestry_handle handle; /* upper bits: of the hash; lower bits: a number in the shard, in the order of puts */
  void *value;
  uint32_t touched; /* tick of the last use << 1 | used again in that tick; of a leaving entry: the cause */
  uint32_t lens;    /* and words: see scoped_key.h */
  uint64_t words[];
} vsi_entry;

/* Stored before each entry of a store that has a lifetime or a limit per scope. `unused` is padding. */
typedef struct vsi_extra {
  vsi_ring born_in;  /* first member. In its shard's list, in the order of birth */
  vsi_ring scope_in; /* in its scope's list, in the order of use; if there is a limit per scope */
  struct vsi_scope_share *share;
  uint32_t born, unused;
} vsi_extra;

enum { VSI_HANDLE_HASH_BITS = 24 };
#define VSI_HANDLE_NUMBER_MASK (UINT64_MAX >> VSI_HANDLE_HASH_BITS)

static inline vsi_entry *vsi_entry_of_used(vsi_ring *node) {
  return (vsi_entry *)(void *)node;
}
static inline vsi_extra *vsi_entry_extra(vsi_entry *entry) {
  return (vsi_extra *)(void *)entry - 1;
}
static inline vsi_entry *vsi_entry_of_born(vsi_ring *node) {
  return (vsi_entry *)(void *)((vsi_extra *)(void *)node + 1);
}
static inline vsi_entry *vsi_entry_of_scope(vsi_ring *node) {
  return vsi_entry_of_born(node - 1);
}

static inline uint32_t vsi_entry_tick(const vsi_entry *entry) {
  return entry->touched >> 1;
}
static inline vestry_scoped_key vsi_entry_key(const vsi_entry *entry) {
  return vsi_scoped_key_at(&entry->lens, entry->lens, 0);
}

/* Copy a key and a value into an entry that is in no list yet. */
static inline vsi_entry *vsi_entry_fill(vsi_entry *entry, const vestry_scoped_key *key, void *value) {
  entry->value = value;
  entry->lens = vsi_scoped_key_lens(key);
  vsi_words_copy(entry->words, vsi_scoped_key_words(key), vsi_scoped_key_bytes(key));
  return entry;
}

/* Allocate an entry. extra_bytes: 0 or sizeof(vsi_extra). NULL: out of memory. */
static inline vsi_entry *vsi_entry_create(const vestry_host *host, size_t extra_bytes, const vestry_scoped_key *key,
                                          void *value) {
  size_t words_bytes = vsi_lens_words(vsi_scoped_key_lens(key)) * sizeof(uint64_t);
  char *memory = vsi_alloc(host, extra_bytes + sizeof(vsi_entry) + words_bytes);
  return memory ? vsi_entry_fill((vsi_entry *)(void *)(memory + extra_bytes), key, value) : NULL;
}
static inline void vsi_entry_destroy(const vestry_host *host, size_t extra_bytes, vsi_entry *entry) {
  vsi_free(host, (char *)entry - extra_bytes);
}

static inline bool vsi_entry_has_key(const vsi_entry *entry, const vestry_scoped_key *key) {
  if (entry->lens != vsi_scoped_key_lens(key)) return false;
  return vsi_words_equal(entry->words, vsi_scoped_key_words(key), vsi_scoped_key_bytes(key));
}

#endif
