#include "store/sections.h"

#include <errno.h>
#include <sched.h>
#include <time.h>
#include <unistd.h>

#include "base/memory.h"

#if defined(__linux__)
#include <linux/membarrier.h>
#include <sys/syscall.h>
#endif

/* Readers take no lock, so what a writer unlinks may still be under the eyes of a reader that found it a moment ago. It
 * may be given back (its value's reference dropped, its slot used again) only when no such reader is left.
 *
 * A reader turns the word of its record odd [R1], looks things up [R2], and turns it even [R3]. A writer unlinks [W1],
 * passes a barrier, notes which words are odd [W2], and waits until each of these has changed [W3]. This is a grace
 * period in the sense of read-copy-update (McKenney and Slingwine 1998).
 *
 * R1 is a plain store, and R2 are plain loads: a processor may do the loads before others see the store. Readers are
 * many and writers wait anyway, so the writer pays (Desnoyers et al., "User-level implementations of read-copy update",
 * 2012): membarrier(2) makes every processor that runs a thread of this process pass a full barrier before it returns.
 * Take the point where the reader's processor passes it. If R1 is before that point, W2 sees it. If not, R2 is after
 * it, and sees W1. Either the writer waits for the reader, or the reader does not find what was unlinked. (The compiler
 * keeps R1 before R2 by the signal fence.) Where the kernel has no membarrier, readers pass a fence themselves.
 *
 * Why what comes after the wait is safe: W3 reads, with acquire, the word that R3 wrote with release, or a later one;
 * so everything the reader did in its section happens before what the writer does next. A word never repeats: it only
 * grows. So a changed word means that the section is over, even if another has begun.
 *
 * A record belongs to a thread, which is named by the address of a thread-local variable. A thread that ends leaves its
 * record behind, with no section open; a later thread that has its address has its record. Who claims a record raises
 * `used`, and then makes everybody pass a barrier before its first section: a writer that has unlinked and then read
 * the old number has unlinked before that section; W2 and vsi_sections_are_mine rest on it. */

_Thread_local uint32_t vsi_section_guess __attribute__((tls_model("initial-exec"), visibility("hidden")));

/* The sanitizer does not know fences; it needs none here, since it sees the release of R3 and the acquire of W3. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wtsan"
#endif

static bool can_membarrier(void) {
#if defined(__linux__)
  long commands = syscall(SYS_membarrier, MEMBARRIER_CMD_QUERY, 0, 0);
  return commands > 0 && (commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED) &&
         syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
#else
  return false;
#endif
}

static void barrier_everywhere(const vsi_sections *sections) {
  atomic_thread_fence(memory_order_seq_cst);
  if (!sections->asymmetric) return;
#if defined(__linux__)
  /* It worked when the store was made, and fails only for want of kernel memory, or because the process has forbidden
   * it to itself since. Then time must do: a store is seen by all processors long before a millisecond has passed. */
  for (int tries = 0; tries < 100; tries++) {
    if (syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0) == 0) return;
    if (errno != EINTR && errno != ENOMEM) break;
    sched_yield();
  }
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  atomic_thread_fence(memory_order_seq_cst);
#endif
}

VSI_SELDOM void vsi_section_barrier(void) {
  atomic_thread_fence(memory_order_seq_cst);
}

vestry_err vsi_sections_init(vsi_sections *sections, const vestry_host *host) {
  size_t size = VSI_SECTIONS_COUNT * sizeof(vsi_section);
  sections->host = host;
  sections->memory = vsi_calloc(host, 1, size + VSI_CACHE_LINE);
  if (!sections->memory) return VESTRY_NO_MEMORY;
  sections->records = vsi_cache_line_up(sections->memory);
  sections->asymmetric = can_membarrier();
  atomic_init(&sections->used, 0);
  return VESTRY_OK;
}

void vsi_sections_finish(vsi_sections *sections) {
  vsi_free(sections->host, sections->memory);
  sections->memory = NULL;
}

VSI_SELDOM vsi_section *vsi_section_search(vsi_sections *sections) {
  uintptr_t me = (uintptr_t)&vsi_section_guess;
  uint32_t used = atomic_load_explicit(&sections->used, memory_order_relaxed);
  for (uint32_t i = 0; i < used; i++)
    if (atomic_load_explicit(&sections->records[i].owner, memory_order_relaxed) == me) {
      vsi_section_guess = i;
      return &sections->records[i];
    }
  while (used < VSI_SECTIONS_COUNT)
    if (atomic_compare_exchange_weak_explicit(&sections->used, &used, used + 1, memory_order_seq_cst,
                                              memory_order_relaxed)) {
      atomic_store_explicit(&sections->records[used].owner, me, memory_order_relaxed);
      vsi_section_guess = used;
      barrier_everywhere(sections);
      return &sections->records[used];
    }
  return NULL;
}

bool vsi_grace_begin(vsi_sections *sections, vsi_grace *grace) {
  bool none = true;
  barrier_everywhere(sections);
  uint32_t used = atomic_load_explicit(&sections->used, memory_order_seq_cst);
  for (uint32_t i = 0; i < VSI_SECTIONS_COUNT / 64; i++) grace->open[i] = 0;
  for (uint32_t i = 0; i < used; i++) {
    uint64_t word = atomic_load_explicit(&sections->records[i].word, memory_order_acquire); /* [W2] */
    if (!(word & 1)) continue;
    none = false;
    grace->open[i / 64] |= UINT64_C(1) << i % 64;
    grace->words[i] = word;
  }
  return none;
}

bool vsi_grace_is_over(vsi_sections *sections, vsi_grace *grace) {
  bool over = true;
  for (uint32_t half = 0; half < VSI_SECTIONS_COUNT / 64; half++)
    for (uint64_t left = grace->open[half]; left; left &= left - 1) {
      uint32_t i = half * 64 + (uint32_t)__builtin_ctzll(left);
      uint64_t word = atomic_load_explicit(&sections->records[i].word, memory_order_acquire); /* [W3] */
      if (word != grace->words[i])
        grace->open[half] &= ~(UINT64_C(1) << i % 64);
      else
        over = false;
    }
  return over;
}
