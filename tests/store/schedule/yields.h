/* SPDX-License-Identifier: MIT */
/* Included first into the sources of the stores, only for the schedule test. Each atomic operation, lock and yield
 * becomes a point where another thread may run instead. (Plain memory needs no points: the thread sanitizer checks that
 * the stores have no data races.) */
#ifndef TESTS_STORE_SCHEDULE_YIELDS_H
#define TESTS_STORE_SCHEDULE_YIELDS_H

#include <ck_backoff.h>
#include <ck_spinlock.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* Let another thread run if the schedule switches here; wait for another thread. */
void schedule_point(void);
void schedule_wait(void);

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_and_explicit

#ifdef __clang__
#define YIELDS_LOAD(at, order)            __c11_atomic_load(at, order)
#define YIELDS_STORE(at, value, order)    __c11_atomic_store(at, value, order)
#define YIELDS_EXCHANGE(at, value, order) __c11_atomic_exchange(at, value, order)
#define YIELDS_COMPARE(at, expected, value, order, failed)                                                             \
  __c11_atomic_compare_exchange_strong(at, expected, value, order, failed)
#define YIELDS_ADD(at, value, order) __c11_atomic_fetch_add(at, value, order)
#define YIELDS_SUB(at, value, order) __c11_atomic_fetch_sub(at, value, order)
#define YIELDS_AND(at, value, order) __c11_atomic_fetch_and(at, value, order)
#else
#define YIELDS_LOAD(at, order)            __atomic_load_n(at, order)
#define YIELDS_STORE(at, value, order)    __atomic_store_n(at, value, order)
#define YIELDS_EXCHANGE(at, value, order) __atomic_exchange_n(at, value, order)
#define YIELDS_COMPARE(at, expected, value, order, failed)                                                             \
  __atomic_compare_exchange_n(at, expected, value, 0, order, failed)
#define YIELDS_ADD(at, value, order) __atomic_fetch_add(at, value, order)
#define YIELDS_SUB(at, value, order) __atomic_fetch_sub(at, value, order)
#define YIELDS_AND(at, value, order) __atomic_fetch_and(at, value, order)
#endif

#define atomic_load_explicit(at, order)            (schedule_point(), YIELDS_LOAD(at, order))
#define atomic_store_explicit(at, value, order)    (schedule_point(), YIELDS_STORE(at, value, order))
#define atomic_exchange_explicit(at, value, order) (schedule_point(), YIELDS_EXCHANGE(at, value, order))
#define atomic_compare_exchange_strong_explicit(at, expected, value, order, failed)                                    \
  (schedule_point(), YIELDS_COMPARE(at, expected, value, order, failed))
#define atomic_compare_exchange_weak_explicit       atomic_compare_exchange_strong_explicit
#define atomic_fetch_add_explicit(at, value, order) (schedule_point(), YIELDS_ADD(at, value, order))
#define atomic_fetch_sub_explicit(at, value, order) (schedule_point(), YIELDS_SUB(at, value, order))
#define atomic_fetch_and_explicit(at, value, order) (schedule_point(), YIELDS_AND(at, value, order))

#define sched_yield() schedule_wait()

/* The shards' locks: a point before each try and each unlock; a waiting thread lets others run. */
#define ck_spinlock_fas_trylock(lock) (schedule_point(), ck_spinlock_fas_trylock(lock))
#define ck_spinlock_fas_unlock(lock)  (schedule_point(), ck_spinlock_fas_unlock(lock))
#define ck_backoff_eb(backoff)        ((void)(backoff), schedule_wait())

static inline int yields_mutex_lock(pthread_mutex_t *mutex) {
  schedule_point();
  while (pthread_mutex_trylock(mutex)) schedule_wait();
  return 0;
}
#define pthread_mutex_lock(mutex) yields_mutex_lock(mutex)

#endif
