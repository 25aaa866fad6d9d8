#include "store/sections.h"

#include "base/memory.h"

/* Readers take no lock, so what a writer unlinks may still be under the eyes of a reader that found it a moment ago. It
 * may be given back (its value's reference dropped, its slot used again) only when no such reader is left.
 *
 * A reader claims a record by turning its word odd [R1], looks things up [R2], and turns it even [R3]. A writer unlinks
 * [W1], then notes which words are odd [W2], and waits until each of these has changed [W3]. This is a grace period in
 * the sense of read-copy-update (McKenney and Slingwine 1998), with records that are claimed for one section instead of
 * belonging to threads: nothing has to be registered, and nothing is left behind by a thread that ends.
 *
 * Why a reader that W2 does not see cannot find what W1 unlinked: R1 is a seq_cst read-modify-write, R2 begins with
 * seq_cst loads of the index; between W1 and W2 there is a seq_cst fence, and W2's loads are seq_cst. If W2 reads the word
 * from before R1, then W2 comes before R1 in the one order of seq_cst operations, hence the fence before R2, hence R2
 * sees W1 (C11 7.17.3, paragraphs 9 to 11).
 * Why what it does with it is safe: W3 reads, with acquire, the word that R3 wrote with release, or a later one; so
 * everything the reader did in its section happens before what the writer does next.
 * A word never repeats: it only grows. So a changed word means that the section is over, even if another has begun. */

_Thread_local uint32_t vsi_section_guess __attribute__((tls_model("initial-exec"), visibility("hidden")));

vestry_err vsi_sections_init(vsi_sections *sections, const vestry_host *host) {
  size_t size = VSI_SECTIONS_COUNT * sizeof(vsi_section);
  sections->host = host;
  sections->memory = vsi_calloc(host, 1, size + VSI_CACHE_LINE);
  if (!sections->memory) return VESTRY_NO_MEMORY;
  uintptr_t address = ((uintptr_t)sections->memory + VSI_CACHE_LINE - 1) & ~(uintptr_t)(VSI_CACHE_LINE - 1);
  sections->records = (vsi_section *)address;
  return VESTRY_OK;
}

void vsi_sections_finish(vsi_sections *sections) {
  vsi_free(sections->host, sections->memory);
  sections->memory = NULL;
}

static vsi_section *claim(vsi_sections *sections, uint32_t i) {
  vsi_section *section = &sections->records[i];
  uint64_t word = atomic_load_explicit(&section->word, memory_order_relaxed);
  if ((word & 1) || !atomic_compare_exchange_strong_explicit(&section->word, &word, word + 1, memory_order_seq_cst,
                                                             memory_order_relaxed)) /* [R1] */
    return NULL;
  vsi_section_guess = i;
  return section;
}

/* `used` is raised before a record is claimed for the first time, both seq_cst: who counts up to the old value in W2
 * comes before the claim in the one order, so the argument above holds for records beyond it too. */
static void raise_used(vsi_sections *sections, uint32_t used) {
  uint32_t before = atomic_load_explicit(&sections->used, memory_order_relaxed);
  while (before < used && !atomic_compare_exchange_weak_explicit(&sections->used, &before, used, memory_order_seq_cst,
                                                                 memory_order_relaxed))
    continue;
}

vsi_section *vsi_section_search(vsi_sections *sections) {
  uintptr_t me = (uintptr_t)&vsi_section_guess;
  vsi_section *section;
  uint32_t used = atomic_load_explicit(&sections->used, memory_order_relaxed);
  for (uint32_t i = 0; i < used; i++)
    if (atomic_load_explicit(&sections->records[i].owner, memory_order_relaxed) == me &&
        (section = claim(sections, i)) != NULL)
      return section;
  for (uint32_t i = 0; i < VSI_SECTIONS_COUNT; i++) {
    uintptr_t nobody = 0;
    if (atomic_load_explicit(&sections->records[i].owner, memory_order_relaxed) ||
        !atomic_compare_exchange_strong_explicit(&sections->records[i].owner, &nobody, me, memory_order_relaxed,
                                                 memory_order_relaxed))
      continue;
    raise_used(sections, i + 1);
    if ((section = claim(sections, i)) != NULL) return section;
  }
  /* Every record has an owner, living or not: share. */
  for (uint32_t i = (uint32_t)((me >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 40);; i++)
    if ((section = claim(sections, i % VSI_SECTIONS_COUNT)) != NULL) return section;
}

/* The sanitizer does not know fences; it needs none, since it sees the release of R3 and the acquire of W3. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

bool vsi_grace_begin(vsi_sections *sections, vsi_grace *grace) {
  grace->open = 0;
  atomic_thread_fence(memory_order_seq_cst);
  uint32_t used = atomic_load_explicit(&sections->used, memory_order_seq_cst);
  for (uint32_t i = 0; i < used; i++) {
    uint64_t word = atomic_load_explicit(&sections->records[i].word, memory_order_seq_cst); /* [W2] */
    if (!(word & 1)) continue;
    grace->open |= UINT64_C(1) << i;
    grace->words[i] = word;
  }
  return grace->open == 0;
}

bool vsi_grace_is_over(vsi_sections *sections, vsi_grace *grace) {
  for (uint64_t left = grace->open; left; left &= left - 1) {
    uint32_t i = (uint32_t)__builtin_ctzll(left);
    uint64_t word = atomic_load_explicit(&sections->records[i].word, memory_order_acquire); /* [W3] */
    if (word != grace->words[i]) grace->open &= ~(UINT64_C(1) << i);
  }
  return grace->open == 0;
}
