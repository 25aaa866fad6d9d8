/* SPDX-License-Identifier: MIT */
/* What leaves a store: taken out under a lock, seen through its callbacks after it. It is a list of entries, by their
 * own links, so that leaving needs no memory. */
#ifndef VSI_STORE_LEAVING_H
#define VSI_STORE_LEAVING_H

#include "store/entry.h"

enum { VSI_PARTED_WORDS = 16 };

/* The victim whose entry a newcomer has been given: what is left of it. */
typedef struct vsi_parted {
  void *value; /* NULL: there is none */
  vestry_handle handle;
  uint32_t unused, lens;
  uint64_t words[VSI_PARTED_WORDS];
} vsi_parted;

typedef struct vsi_leaving {
  vsi_ring *first, **last; /* entries, by used.next */
  size_t displaced_count;  /* of them, those that left because of a put */
  vsi_parted parted;       /* left for SIZE, before the others */
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

/* An entry that no list has any more. */
static inline void vsi_leaving_add(vsi_leaving *leaving, vsi_entry *entry, vestry_cause cause) {
  entry->touched = (uint32_t)cause;
  entry->used.next = NULL;
  *leaving->last = &entry->used;
  leaving->last = &entry->used.next;
}

/* Remember an entry that is about to be filled anew. It has VSI_PARTED_WORDS at most. */
static inline void vsi_leaving_part(vsi_leaving *leaving, const vsi_entry *entry) {
  vsi_parted *parted = &leaving->parted;
  parted->value = entry->value;
  parted->handle = entry->handle;
  parted->lens = entry->lens;
  vsi_words_copy(parted->words, entry->words, vsi_lens_words(entry->lens) * sizeof(uint64_t));
}

/* Callbacks, then memory. No lock held. Once. */
void vsi_leaving_run(vsi_leaving *leaving, const vestry_host *host, size_t extra_bytes, vestry_store_exit *exit);

#endif
