/* SPDX-License-Identifier: MIT */
/* What is to be done after a transaction: a list, whose makers have a link as the first member of their own. Of one
 * thread, which has the transaction. */
#ifndef VSI_BASE_AFTER_H
#define VSI_BASE_AFTER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct vsi_after {
  struct vsi_after *next;
  /* Called once, in no order; frees it. No lock is held, and the connection is given back. */
  void (*fn)(struct vsi_after *self, bool is_committed);
} vsi_after;

static inline void vsi_after_add(vsi_after **list, vsi_after *after) {
  after->next = *list;
  *list = after;
}

/* Take the list, before others can have the connection. */
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
