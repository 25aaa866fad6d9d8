/* SPDX-License-Identifier: MIT */
/* essay: a lock for a few instructions, with more threads than processors */
/* A lock for a few instructions: Concurrency Kit's ck_spinlock_fas, four bytes, taken by one exchange and released by
 * one store.
 *
 * A thread that finds it taken waits a little longer each time (ck_backoff), and then yields its processor. With more
 * threads than processors, the holder may not be running, and spinning does not help it to continue. A bare
 * ck_spinlock_fas_lock collapses in this case: of 200 threads on 2 processors, each waits a time slice for each holder
 * that was interrupted. */
#ifndef VSI_BASE_SPIN_LOCK_H
#define VSI_BASE_SPIN_LOCK_H

#include <ck_backoff.h>
#include <ck_spinlock.h>
#include <sched.h>
#include <stdbool.h>

#include "base/lock_order.h"
#include "base/processor.h"

/* ThreadSanitizer does not see the inline assembler of ck, so it would report every critical section as a race. These
 * macros declare the effect of ck's fences: everything before an unlock happens before the next lock. With them it
 * cannot find a missing fence in ck, but it still finds an access without the lock. */
#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define VSI_THREAD_SANITIZER 1
#endif
#endif
#if defined(__SANITIZE_THREAD__) || defined(VSI_THREAD_SANITIZER)
#include <sanitizer/tsan_interface.h>
#define VSI_SPIN_TAKEN(lock) __tsan_acquire(lock)
#define VSI_SPIN_GIVEN(lock) __tsan_release(lock)
#else
#define VSI_SPIN_TAKEN(lock) ((void)(lock))
#define VSI_SPIN_GIVEN(lock) ((void)(lock))
#endif

/* Zeroes are an unlocked lock. */
typedef ck_spinlock_fas_t vsi_spin_lock;

enum { VSI_SPIN_BACKOFF_FIRST = 64, VSI_SPIN_BACKOFF_LAST = 4096 };

static VSI_SELDOM __attribute__((unused)) void vsi_spin_lock_wait(vsi_spin_lock *lock) {
  unsigned backoff = VSI_SPIN_BACKOFF_FIRST;
  do {
    if (backoff < VSI_SPIN_BACKOFF_LAST)
      ck_backoff_eb(&backoff);
    else
      sched_yield();
  } while (ck_spinlock_fas_locked(lock) || !ck_spinlock_fas_trylock(lock));
}

/* rank: its place in the order of locks; not stored in the lock, which has four bytes in any build */
#define vsi_spin_lock_take(lock, rank) (VSI_LOCK_TAKE(lock, rank), vsi_spin_lock_take_unranked(lock))
static inline void vsi_spin_lock_take_unranked(vsi_spin_lock *lock) {
  if (__builtin_expect(!ck_spinlock_fas_trylock(lock), 0)) vsi_spin_lock_wait(lock);
  VSI_SPIN_TAKEN(lock);
}

/* Take the lock without waiting. Returns whether it was taken. */
#define vsi_spin_lock_try(lock, rank) (vsi_spin_lock_try_unranked(lock) && (VSI_LOCK_TOOK(lock, rank), true))
static inline bool vsi_spin_lock_try_unranked(vsi_spin_lock *lock) {
  const bool is_taken = ck_spinlock_fas_trylock(lock);
  if (is_taken) VSI_SPIN_TAKEN(lock);
  return is_taken;
}

static inline void vsi_spin_lock_give(vsi_spin_lock *lock) {
  VSI_LOCK_GIVE(lock);
  VSI_SPIN_GIVEN(lock);
  ck_spinlock_fas_unlock(lock);
}

#endif
