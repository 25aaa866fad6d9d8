/* SPDX-License-Identifier: MIT */
/* A list that forms a ring with its head. Members embed their links, so a member can be removed without access to the
 * head. */
#ifndef VSI_BASE_RING_H
#define VSI_BASE_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/assert.h"

typedef struct vsi_ring {
  struct vsi_ring *next, *prev;
} vsi_ring;

/* Return the object that embeds a link. `type` and `member`: as for offsetof. */
#define VSI_RING_OWNER(link, type, member) ((type *)(uintptr_t)((const char *)(link)-offsetof(type, member)))

/* Initialize the head of an empty list. */
static inline void vsi_ring_init(vsi_ring *head) {
  *head = (vsi_ring){head, head};
}
static inline bool vsi_ring_is_empty(const vsi_ring *head) {
  return head->next == head;
}
static inline void vsi_ring_remove(vsi_ring *member) {
  VSI_ASSERT(member->prev->next == member && member->next->prev == member);
  member->prev->next = member->next;
  member->next->prev = member->prev;
}
static inline void vsi_ring_add_last(vsi_ring *head, vsi_ring *member) {
  VSI_ASSERT(head->prev->next == head && head->next->prev == head);
  member->next = head;
  member->prev = head->prev;
  head->prev->next = member;
  head->prev = member;
}
static inline void vsi_ring_add_first(vsi_ring *head, vsi_ring *member) {
  vsi_ring_add_last(head->next, member);
}

#endif
