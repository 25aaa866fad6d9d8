/* Sections: the stretches in which a thread reads, without a lock, what others may be taking out of a store; and the
 * wait until all stretches of a moment are over. sections.c holds the essay. */
#ifndef VSI_STORE_SECTIONS_H
#define VSI_STORE_SECTIONS_H

#include <stdatomic.h>

#include "base/processor.h"
#include "vestry/store.h"

enum { VSI_SECTIONS_COUNT = 128 };

/* A thread's record in a store, a cache line of its own. Only its owner writes it. */
typedef struct vsi_section {
  _Alignas(VSI_CACHE_LINE) _Atomic(uintptr_t) owner; /* names the thread; 0: nobody's yet */
  _Atomic(uint64_t) word;                            /* odd: a section is open. Grows by one at each change */
  _Atomic(uint64_t) depth;                           /* sections inside the open one */
  _Atomic(uint64_t) hits, misses;                    /* of look-ups */
} vsi_section;

typedef struct vsi_sections {
  const vestry_host *host;
  void *memory;
  vsi_section *records;   /* VSI_SECTIONS_COUNT, aligned */
  bool asymmetric;        /* who waits makes the others' processors pass a barrier: readers need none */
  _Atomic(uint32_t) used; /* records from here on have no owner */
} vsi_sections;

/* What was open at one moment. */
typedef struct vsi_grace {
  uint64_t open[VSI_SECTIONS_COUNT / 64]; /* a bit a record */
  uint64_t words[VSI_SECTIONS_COUNT];
} vsi_grace;

/* OK | NO_MEMORY. */
vestry_err vsi_sections_init(vsi_sections *sections, const vestry_host *host);
void vsi_sections_finish(vsi_sections *sections);

/* Which record is this thread's, in the store it was in last. Its address names the thread. */
extern _Thread_local uint32_t vsi_section_guess __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The guess was wrong: look for this thread's record, or take one. NULL: there are no more. */
vsi_section *vsi_section_search(vsi_sections *sections);
/* The barrier of readers where waiting threads cannot make one for them. */
void vsi_section_barrier(void);

/* Count in a record that is ours: no other writer, so no read-modify-write. */
static inline void vsi_section_count(_Atomic(uint64_t) *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Open a section. Sections nest; each must be short and must not wait for another thread. NULL: more threads have been
 * here than there are records; take the lock instead. */
static inline vsi_section *vsi_section_enter(vsi_sections *sections) {
  vsi_section *section = &sections->records[vsi_section_guess % VSI_SECTIONS_COUNT];
  if (__builtin_expect(atomic_load_explicit(&section->owner, memory_order_relaxed) != (uintptr_t)&vsi_section_guess,
                       0)) {
    section = vsi_section_search(sections);
    if (!section) return NULL;
  }
  uint64_t word = atomic_load_explicit(&section->word, memory_order_relaxed);
  if (__builtin_expect(word & 1, 0)) {
    vsi_section_count(&section->depth, 1);
    return section;
  }
  atomic_store_explicit(&section->word, word + 1, memory_order_relaxed); /* [R1], see sections.c */
  atomic_signal_fence(memory_order_seq_cst);
  if (__builtin_expect(!sections->asymmetric, 0)) vsi_section_barrier();
  return section;
}

static inline void vsi_section_leave(vsi_section *section) {
  if (__builtin_expect(atomic_load_explicit(&section->depth, memory_order_relaxed) != 0, 0)) {
    vsi_section_count(&section->depth, UINT64_MAX); /* one less */
    return;
  }
  uint64_t word = atomic_load_explicit(&section->word, memory_order_relaxed);
  atomic_store_explicit(&section->word, word + 1, memory_order_release); /* [R3] */
}

/* No thread but this one has ever opened a section here, and it has none open: nobody can be looking. Costs nothing. */
static inline bool vsi_sections_are_mine(const vsi_sections *sections) {
  atomic_signal_fence(memory_order_seq_cst); /* after what was unlinked; see sections.c */
  if (__builtin_expect(!sections->asymmetric, 0)) vsi_section_barrier();
  uint32_t used = atomic_load_explicit(&sections->used, memory_order_relaxed);
  if (used == 0) return true;
  return used == 1 &&
         atomic_load_explicit(&sections->records[0].owner, memory_order_relaxed) == (uintptr_t)&vsi_section_guess &&
         !(atomic_load_explicit(&sections->records[0].word, memory_order_relaxed) & 1);
}

/* Note which sections are open now. What was unlinked before this call can be seen by these only. Returns whether there
 * are none: the grace period is over. About a microsecond when other threads run. */
bool vsi_grace_begin(vsi_sections *sections, vsi_grace *grace);
/* A grace period that is over. */
static inline void vsi_grace_none(vsi_grace *grace) {
  for (uint32_t i = 0; i < VSI_SECTIONS_COUNT / 64; i++) grace->open[i] = 0;
}
/* Whether all of them have been left since. */
bool vsi_grace_is_over(vsi_sections *sections, vsi_grace *grace);

#endif
