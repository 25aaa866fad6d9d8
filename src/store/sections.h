/* Sections: the stretches in which a thread reads what others may be taking out of a store, and the wait until all
 * stretches of a moment are over. sections.c holds the essay. */
#ifndef VSI_STORE_SECTIONS_H
#define VSI_STORE_SECTIONS_H

#include <stdatomic.h>

#include "vestry/store.h"

enum { VSI_SECTIONS_COUNT = 64, VSI_CACHE_LINE = 64 };

/* A thread claims a record for a section; while it has it, it counts in it. A cache line each. */
typedef struct vsi_section {
  _Alignas(VSI_CACHE_LINE) _Atomic(uint64_t) word; /* even: free; odd: a section is open. Grows by one at each change */
  _Atomic(uintptr_t) owner; /* the thread that looks here first; 0: none. Nothing but a preference */
  _Atomic(uint64_t) hits, misses;
} vsi_section;

typedef struct vsi_sections {
  const vestry_host *host;
  void *memory;
  vsi_section *records;   /* VSI_SECTIONS_COUNT, aligned */
  _Atomic(uint32_t) used; /* records from here on were never claimed */
} vsi_sections;

/* What was open at one moment. */
typedef struct vsi_grace {
  uint64_t open; /* a bit a record */
  uint64_t words[VSI_SECTIONS_COUNT];
} vsi_grace;

/* OK | NO_MEMORY. */
vestry_err vsi_sections_init(vsi_sections *sections, const vestry_host *host);
void vsi_sections_finish(vsi_sections *sections);

/* Which record this thread had last, in whatever store: where it looks first. Its address names the thread. */
extern _Thread_local uint32_t vsi_section_guess __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The guess was wrong, or the record is taken: look for another. */
vsi_section *vsi_section_search(vsi_sections *sections);

/* Open a section. Sections nest, also in different stores; each must be short and must not wait for another thread. */
static inline vsi_section *vsi_section_enter(vsi_sections *sections) {
  vsi_section *section = &sections->records[vsi_section_guess % VSI_SECTIONS_COUNT];
  if (atomic_load_explicit(&section->owner, memory_order_relaxed) == (uintptr_t)&vsi_section_guess) {
    uint64_t word = atomic_load_explicit(&section->word, memory_order_relaxed);
    /* [R1], see sections.c */
    if (!(word & 1) && atomic_compare_exchange_strong_explicit(&section->word, &word, word + 1, memory_order_seq_cst,
                                                               memory_order_relaxed))
      return section;
  }
  return vsi_section_search(sections);
}

static inline void vsi_section_leave(vsi_section *section) {
  uint64_t word = atomic_load_explicit(&section->word, memory_order_relaxed); /* ours */
  atomic_store_explicit(&section->word, word + 1, memory_order_release);      /* [R3] */
}

/* Count in a record that is ours: no other writer, so no read-modify-write. */
static inline void vsi_section_count(_Atomic(uint64_t) *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Note which sections are open now. What was unlinked before this call can be seen by these only. Returns whether there
 * are none: the grace period is over. */
bool vsi_grace_begin(vsi_sections *sections, vsi_grace *grace);
/* Whether all of them have been left since. */
bool vsi_grace_is_over(vsi_sections *sections, vsi_grace *grace);

#endif
