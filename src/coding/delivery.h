/* SPDX-License-Identifier: MIT */
/* Deliveries: an event on its way to one connection, with the bytes written for it. */
#ifndef VSI_CODING_DELIVERY_H
#define VSI_CODING_DELIVERY_H

#include "runtime/mailbox.h"
#include "vestry/event.h"

/* Whether streams can be encoded. Small programs leave that out (Small programs in docs/building.md): no stream then
 * has a coder, no delivery has a broadcast or encoded bytes, and the linker drops all functions of codings. */
#ifdef VSI_WITHOUT_ENCODINGS
enum { VSI_ENCODES = false };
#else
enum { VSI_ENCODES = true };
#endif

/* Times of a delivery that is timed while something observes the group (connection/tally.h), in units of 1,024 ns. */
typedef struct vsi_delivery_times {
  uint32_t stamp;          /* when it was accepted, or just before; modulo 2^32; 0: not timed */
  uint32_t lead : 30;      /* is_change: age of the change at that time; at most 18 minutes */
  uint32_t is_counted : 1; /* its time from the queue to the socket is recorded */
  uint32_t is_change : 1;  /* an event of a page that results from a change */
} vsi_delivery_times;

typedef struct vsi_delivery {
  vsi_mail mail;       /* first member: a mail is its delivery */
  vestry_event *event; /* a reference, unless the broadcast holds it. NULL: encoded bytes that are no event */
  struct vsi_broadcast *broadcast; /* a reference; NULL: it was sent to this connection only */
  const struct vsi_segment *wire;  /* the bytes to write (coder.h); NULL: those of the event */
  struct vsi_delivery *before;     /* while it waits to be conflated (conflation.h) */
  uint64_t run : 58;               /* likewise */
  uint64_t counts_target : 1;      /* its cost in the budget includes the event's target (send.c) */
  uint64_t is_of_batch : 1;        /* sent together with others, with no other event in between */
  uint64_t is_followed : 1;        /* of a batch, and not its last one */
  uint64_t is_sign : 1;            /* a heartbeat that the page can see */
  uint64_t is_heartbeat : 1;       /* made by the runner: no queue has accepted or counted it */
  uint64_t owns_wire : 1;          /* the bytes were encoded for this delivery only */
  vsi_delivery_times times;        /* zero if the delivery is not timed */
} vsi_delivery;

/* The next delivery in a list outside a mailbox; used by the list's holder only. */
static inline vsi_delivery *vsi_delivery_next(const vsi_delivery *delivery) {
  return (vsi_delivery *)atomic_load_explicit(&delivery->mail.next, memory_order_relaxed);
}
static inline void vsi_delivery_link(vsi_delivery *delivery, vsi_delivery *next) {
  atomic_store_explicit(&delivery->mail.next, next ? &next->mail : NULL, memory_order_relaxed);
}

#endif
