/* SPDX-License-Identifier: MIT */
/* Leaving entries: removed under a lock; their callbacks run after the unlock. The list uses the links of the entries,
 * so that an entry can leave without an allocation. */
#ifndef VSI_STORE_LEAVING_H
#define VSI_STORE_LEAVING_H

#include "store/entry.h"

enum { VSI_PARTED_WORDS = 16 };

/* A copy of a victim whose memory the new entry reuses. `unused` is padding. */
typedef struct vsi_parted {
  void *value; /* NULL: there is none */
  vestry_handle handle;
  uint32_t unused, lens;
  uint64_t words[VSI_PARTED_WORDS];
} vsi_parted;

typedef struct vsi_leaving {
  vsi_ring *first, **last; /* entries, linked by used.next */
  size_t displaced_count;  /* number of entries that left because of a put */
  vsi_parted parted;       /* left with cause SIZE, before the others */
} vsi_leaving;

static inline void vsi_leaving_init(vsi_leaving *leaving) {
  leaving->first = NULL;
  leaving->last = &leaving->first;
  leaving->displaced_count = 0;
  leaving->parted.value = NULL;
}
static inline bool vsi_leaving_is_empty(const vsi_leaving *leaving) {
  return !leaving->first && !leaving->parted.value;
}

/* Add an entry that is in no list any more. */
static inline void vsi_leaving_add(vsi_leaving *leaving, vsi_entry *entry, vestry_cause cause) {
  entry->touched = (uint32_t)cause;
  entry->used.next = NULL;
  *leaving->last = &entry->used;
  leaving->last = &entry->used.next;
}

/* Copy an entry whose memory is about to be reused. It has at most VSI_PARTED_WORDS words. */
static inline void vsi_leaving_part(vsi_leaving *leaving, const vsi_entry *entry) {
  vsi_parted *parted = &leaving->parted;
  parted->value = entry->value;
  parted->handle = entry->handle;
  parted->lens = entry->lens;
  vsi_words_copy(parted->words, entry->words, vsi_lens_words(entry->lens) * sizeof(uint64_t));
}

/* Run the callbacks, then free the memory. No lock held. Call once. */
void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit);

#endif
