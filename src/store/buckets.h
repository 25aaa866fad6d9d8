/* The index of a shard: from keys to slots. Readers take no lock; writers hold the shard's. buckets.c holds the essay.
 */
#ifndef VSI_STORE_BUCKETS_H
#define VSI_STORE_BUCKETS_H

#include "store/probe.h"
#include "store/sections.h"
#include "store/slab.h"

typedef struct vsi_table_memory vsi_table_memory;

typedef struct vsi_buckets {
  _Alignas(VSI_CACHE_LINE) _Atomic(vsi_table_memory *) current; /* the line that readers read */
  _Atomic(vsi_table_memory *) old;                              /* being emptied into current; NULL: none */
  const vestry_host *host;
  _Atomic(uintptr_t)
      hint_at; /* where the buckets of current are, and how many, for who has neither lock nor section: */
  _Atomic(uint32_t) hint_count;                /* to ask for, not to read */
  _Alignas(VSI_CACHE_LINE) size_t words_count; /* keys in both; with what every write looks at or changes */
  size_t grow_at, shrink_at;                   /* beyond these counts the size is to change */
  uint32_t moved;                              /* buckets of old that are empty for good */
  vsi_table_memory *retired;                   /* tables to be freed when nobody looks any more, */
  vsi_table_memory *retiring;                  /* and those that were emptied since */
  vsi_grace *grace;                            /* of retired; the shard's, who has it elsewhere */
} vsi_buckets;

/* Allocates the smallest table. grace: borrowed, for the index alone. OK | NO_MEMORY. */
vestry_err vsi_buckets_init(vsi_buckets *buckets, const vestry_host *host, vsi_grace *grace);
/* Nobody looks any more. */
void vsi_buckets_finish(vsi_buckets *buckets);

/* The newest slot under a key, or NULL. In a section, or under the lock. */
vsi_slot *vsi_buckets_find(const vsi_buckets *buckets, const vsi_probe *probe);

/* Begin to fetch the line in which keys with this hash have their home: it may be on its way from another processor.
 * Any thread, without lock or section. */
void vsi_buckets_prefetch(const vsi_buckets *buckets, uint32_t upper);
/* Free the tables that were emptied, as far as nobody looks any more. Under the lock. */
void vsi_buckets_let_go(vsi_buckets *buckets, vsi_sections *sections);
/* Go on with a change of size, if one is under way. Returns whether it still is. Under the lock. */
bool vsi_buckets_move_on(vsi_buckets *buckets, vsi_sections *sections);
/* Whether one is: a look-up then takes longer. Any thread. */
static inline bool vsi_buckets_is_moving(const vsi_buckets *buckets) {
  return atomic_load_explicit(&buckets->old, memory_order_relaxed) != NULL;
}
/* The slow half of what follows. */
vestry_err vsi_buckets_resize(vsi_buckets *buckets, vsi_sections *sections);
/* No change of size is under way or due. */
static inline bool vsi_buckets_is_calm(const vsi_buckets *buckets) {
  return buckets->words_count < buckets->grow_at && buckets->words_count >= buckets->shrink_at &&
         !atomic_load_explicit(&buckets->old, memory_order_relaxed) && !buckets->retired;
}
/* See to it that one more word fits, and go on with a change of size that is under way: a bounded amount of work. OK |
 * NO_MEMORY (unchanged). Under the lock. */
static inline vestry_err vsi_buckets_prepare(vsi_buckets *buckets, vsi_sections *sections) {
  if (__builtin_expect(vsi_buckets_is_calm(buckets), 1)) return VESTRY_OK;
  return vsi_buckets_resize(buckets, sections);
}
/* Link a slot whose key is not there. Prepared for. low: lower half of its key's hash. Under the lock. */
void vsi_buckets_add(vsi_buckets *buckets, vsi_slot *slot, uint64_t hash);
/* The same without a count of the words, for a pair of an unlink and a link. Under the lock. */
void vsi_buckets_link(vsi_buckets *buckets, vsi_slot *slot, uint64_t hash);
void vsi_buckets_unlink(vsi_buckets *buckets, vsi_slot *slot);
/* Put a slot of the same key in another's place, atomically. Under the lock. */
void vsi_buckets_swap(vsi_buckets *buckets, vsi_slot *from, vsi_slot *to);
/* Unlink. Under the lock. */
void vsi_buckets_erase(vsi_buckets *buckets, vsi_slot *slot);

/* Under the lock: call fn for every key whose hash's upper half is in [from, to], in no order. */
void vsi_buckets_range(const vsi_buckets *buckets, uint32_t from, uint32_t to, void (*fn)(vsi_slot *slot, void *ctx),
                       void *ctx);
/* How wide a range is that holds a few keys. */
uint32_t vsi_buckets_stride(const vsi_buckets *buckets);

#endif
