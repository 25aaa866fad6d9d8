/* SPDX-License-Identifier: MIT */
#ifndef VSI_SQL_THREAD_LINE_H
#define VSI_SQL_THREAD_LINE_H

#include "base/wait.h"

/* A queue of threads that wait for a resource, in the order of their arrival. Each thread waits for a separate
 * condition, because glibc before 2.41 can lose a signal if several threads wait for one condition (its bug 25847). A
 * release wakes the first thread. A thread that leaves the queue with its share wakes the next if there is more. Used
 * under a lock of the caller. */

/* A waiting thread; on its stack. */
typedef struct vsi_waiter {
  pthread_cond_t condition;
  struct vsi_waiter *next;
} vsi_waiter;

/* Zeroes are an empty queue. */
typedef struct vsi_thread_line {
  vsi_waiter *first;
} vsi_thread_line;

static inline void vsi_line_wake_locked(const vsi_thread_line *line) {
  if (line->first) pthread_cond_signal(&line->first->condition);
}

/* A thread that wakes up later than its time by this was in a process, or on a machine, that stood still. */
#define VSI_LINE_LATE_NS UINT64_C(100000000)

/* Wait until this thread is the first of the queue and is_there returns true. A thread that wakes up late waits for a
 * second more, but only once, because the thread that has the resource stood still too, and can release it only now.
 * look_ns   time at which is_there may become true without a release; guarded by the lock. NULL: never
 * is_there  called under the lock
 * Returns   false: the time is over */
static inline bool vsi_line_wait_locked(vsi_thread_line *line, vsi_mutex *lock, uint64_t until_ns,
                                        const uint64_t *look_ns, bool (*is_there)(const void *ctx), const void *ctx) {
  vsi_waiter self = {.next = NULL}, **at = &line->first;
  pthread_cond_init(&self.condition, NULL);
  while (*at) at = &(*at)->next;
  *at = &self;
  bool was_late = false;
  for (bool goes_on = true; goes_on;) {
    const uint64_t now_ns = look_ns ? vsi_monotonic_ns() : 0; /* before is_there compares the time */
    if (line->first == &self && is_there(ctx)) break;
    const bool looks = look_ns && *look_ns > now_ns && *look_ns < until_ns;
    goes_on = vsi_wait_until(&self.condition, lock, looks ? *look_ns : until_ns) || looks;
    if (goes_on || was_late || vsi_monotonic_ns() < until_ns + VSI_LINE_LATE_NS) continue;
    goes_on = was_late = true;
    until_ns = vsi_monotonic_in_ms(1000);
  }
  for (at = &line->first; *at != &self;) at = &(*at)->next;
  bool was_first = at == &line->first;
  *at = self.next;
  pthread_cond_destroy(&self.condition);
  return was_first && is_there(ctx);
}

#endif
