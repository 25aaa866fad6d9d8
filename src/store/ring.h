/* A ring: a doubly linked list through its members, closed by a head that is no member. */
#ifndef VSI_STORE_RING_H
#define VSI_STORE_RING_H

#include <stddef.h>

typedef struct vsi_ring {
  struct vsi_ring *next, *prev;
} vsi_ring;

/* The object of which `link` is the member called `member`. */
#define VSI_RING_OBJECT(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void vsi_ring_init(vsi_ring *head) {
  head->next = head->prev = head;
}
static inline void vsi_ring_append(vsi_ring *head, vsi_ring *link) {
  link->prev = head->prev;
  link->next = head;
  head->prev->next = link;
  head->prev = link;
}
static inline void vsi_ring_remove(vsi_ring *link) {
  link->prev->next = link->next;
  link->next->prev = link->prev;
}
/* NULL: the ring is empty. */
static inline vsi_ring *vsi_ring_first(const vsi_ring *head) {
  return head->next == head ? NULL : head->next;
}

#endif
