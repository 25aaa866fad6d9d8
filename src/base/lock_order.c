/* SPDX-License-Identifier: MIT */
#include "base/lock_order.h"

#ifdef VSI_LOCK_RANKS
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HELD_MOST = 16 };

typedef struct held_lock {
  const void *lock;
  vsi_lock_rank rank;
  const char *place;
} held_lock;

typedef struct lock_names {
  const char *title, *declared;
  bool is_innermost;
} lock_names;

#define OUTER(name, title, declared)     {title, declared, false},
#define INNERMOST(name, title, declared) {title, declared, true},
static const lock_names names[] = {{"a lock without a rank", "never initialised", false}, VSI_LOCKS(OUTER, INNERMOST)};
#undef OUTER
#undef INNERMOST

static _Thread_local held_lock held[HELD_MOST];
static _Thread_local size_t held_count;

static void say(const char *what, vsi_lock_rank rank, const char *place) {
  const lock_names *of = &names[rank];
  fprintf(stderr, "%s %s (order %d%s, src/%s), at %s\n", what, of->title, (int)rank,
          of->is_innermost ? ", innermost" : "", of->declared, place);
}

static _Noreturn void stop(const held_lock *holds, vsi_lock_rank rank, const char *place) {
  fprintf(stderr, "vestry: a lock is acquired out of the order of docs/locking.md\n");
  say("  acquired", rank, place);
  if (holds) say("  held", holds->rank, holds->place);
  abort();
}

static held_lock *find(const void *lock) {
  for (size_t i = held_count; i-- > 0;)
    if (held[i].lock == lock) return &held[i];
  fprintf(stderr, "vestry: a thread releases a lock that it does not hold\n");
  abort();
}

/* Check that none of the thread's held locks, except `but`, forbids taking a lock of this rank. */
static void check(const held_lock *but, vsi_lock_rank rank, const char *place) {
  for (const held_lock *one = held; one < held + held_count; one++)
    if (one != but && (one->rank >= rank || names[one->rank].is_innermost)) stop(one, rank, place);
}

void vsi_lock_order_took(const void *lock, vsi_lock_rank rank, const char *place) {
  if (rank == VSI_LOCK_UNKNOWN || held_count == HELD_MOST) stop(NULL, rank, place);
  held[held_count++] = (held_lock){lock, rank, place};
}

void vsi_lock_order_take(const void *lock, vsi_lock_rank rank, const char *place) {
  check(NULL, rank, place);
  vsi_lock_order_took(lock, rank, place);
}

void vsi_lock_order_wait(const void *lock) {
  const held_lock *one = find(lock);
  check(one, one->rank, one->place);
}

void vsi_lock_order_give(const void *lock) {
  held_lock *one = find(lock);
  held_count--;
  memmove(one, one + 1, (size_t)(held + held_count - one) * sizeof *one);
}
#endif
