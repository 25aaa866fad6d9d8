/* SPDX-License-Identifier: MIT */
/* Threads that wait for what others give back, in the order in which they came. Each has a condition of its own: glibc
 * before 2.41 can lose a signal where several wait for one (its bug 25847). What is given wakes the first of the line;
 * a thread that leaves the line with its share wakes the next if there is more. Under a lock of the caller's. */
#ifndef VSI_BASE_LINE_H
#define VSI_BASE_LINE_H

#include "base/wait.h"

/* A thread that waits. On its stack. */
typedef struct vsi_waiter {
  pthread_cond_t condition;
  struct vsi_waiter *next;
} vsi_waiter;

/* Zeroed: none waits. */
typedef struct vsi_thread_line {
  vsi_waiter *first;
} vsi_thread_line;

static inline void vsi_line_wake_locked(const vsi_thread_line *line) {
  if (line->first) pthread_cond_signal(&line->first->condition);
}

/* Wait until this thread is the first of the line, and is_there says that there is something for it.
 *  is_there  called under the lock
 *  Returns  false: the time is over */
static inline bool vsi_line_wait_locked(vsi_thread_line *line, vsi_mutex *lock, uint64_t until_ns,
                                        bool (*is_there)(const void *ctx), const void *ctx) {
  vsi_waiter self = {.next = NULL}, **at = &line->first;
  pthread_cond_init(&self.condition, NULL);
  while (*at) at = &(*at)->next;
  *at = &self;
  for (bool goes_on = true; goes_on && !(line->first == &self && is_there(ctx));)
    goes_on = vsi_wait_until(&self.condition, lock, until_ns);
  for (at = &line->first; *at != &self;) at = &(*at)->next;
  bool was_first = at == &line->first;
  *at = self.next;
  pthread_cond_destroy(&self.condition);
  return was_first && is_there(ctx);
}

#endif
