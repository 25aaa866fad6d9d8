/* SPDX-License-Identifier: MIT */
/* essay: a lock for a few instructions, with more threads than processors */
/* A lock for a few instructions: Concurrency Kit's ck_spinlock_fas, four bytes, one exchange to take it and one store
 * to give it back.
 *
 * A thread that finds it taken waits a little longer each time (ck_backoff), and then gives its processor away: with
 * more threads than processors the holder may be one that does not run, and no spinning brings it back. A bare
 * ck_spinlock_fas_lock collapses there: 200 threads on 2 processors then wait a time slice for each holder that was
 * interrupted. */
#ifndef VSI_BASE_SPIN_LOCK_H
#define VSI_BASE_SPIN_LOCK_H

#include <ck_backoff.h>
#include <ck_spinlock.h>
#include <sched.h>

#include "base/lock_order.h"
#include "base/processor.h"

/* ThreadSanitizer does not see the assembler that ck is made of, so it takes every critical section for a race. It is
 * told what ck's fences do: what happens before an unlock happens before the next lock. That a fence is missing in ck
 * it cannot find any more; that something is touched outside of its lock it still does. */
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

/* Zeroes are an open one. */
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

/* rank: its place in the order of locks; it is not kept in the lock, which has four bytes in any build */
#define vsi_spin_lock_take(lock, rank) (VSI_LOCK_TAKE(lock, rank), vsi_spin_lock_take_unranked(lock))
static inline void vsi_spin_lock_take_unranked(vsi_spin_lock *lock) {
  if (__builtin_expect(!ck_spinlock_fas_trylock(lock), 0)) vsi_spin_lock_wait(lock);
  VSI_SPIN_TAKEN(lock);
}

static inline void vsi_spin_lock_give(vsi_spin_lock *lock) {
  VSI_LOCK_GIVE(lock);
  VSI_SPIN_GIVEN(lock);
  ck_spinlock_fas_unlock(lock);
}

#endif
