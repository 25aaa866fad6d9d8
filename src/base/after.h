/* SPDX-License-Identifier: MIT */
/* Functions that are called after a transaction: a list whose members embed a vsi_after as their first member. Used
 * only by the thread that has the transaction. */
#ifndef VSI_BASE_AFTER_H
#define VSI_BASE_AFTER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct vsi_after {
  struct vsi_after *next;
  /* Called once, in no particular order; frees the member. No lock is held, and the connection has been released. */
  void (*fn)(struct vsi_after *self, bool is_committed);
} vsi_after;

static inline void vsi_after_add(vsi_after **list, vsi_after *after) {
  after->next = *list;
  *list = after;
}

/* Take the list, before another thread can get the connection. */
static inline vsi_after *vsi_after_take(vsi_after **list) {
  vsi_after *after = *list;
  *list = NULL;
  return after;
}

static inline void vsi_after_run(vsi_after *after, bool is_committed) {
  for (vsi_after *next; after; after = next) {
    next = after->next;
    after->fn(after, is_committed);
  }
}

#endif
