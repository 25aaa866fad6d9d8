/* SPDX-License-Identifier: MIT */
/* Deliveries: an event on its way to one connection, with the bytes that are written for it. */
#ifndef VSI_CODING_DELIVERY_H
#define VSI_CODING_DELIVERY_H

#include "runtime/mailbox.h"
#include "vestry/event.h"

/* Of a delivery that is timed, while something observes (connection/tally.h). In about microseconds. */
typedef struct vsi_delivery_times {
  uint32_t stamp;          /* when it was accepted, or was about to be; modulo 2^32; 0: not timed */
  uint32_t lead : 30;      /* is_change: how old the change was then; 18 minutes at most */
  uint32_t is_counted : 1; /* one of those whose way from the queue to the socket is noted */
  uint32_t is_change : 1;  /* a page's event, which answers a change */
} vsi_delivery_times;

typedef struct vsi_delivery {
  vsi_mail mail;       /* first: a mail is its delivery */
  vestry_event *event; /* a reference, unless the broadcast holds it. NULL: encoded bytes that are no event */
  struct vsi_broadcast *broadcast; /* a reference; NULL: it was sent to this connection */
  const struct vsi_segment *wire;  /* what is written for it (coder.h); NULL: the event's own bytes */
  struct vsi_delivery *before;     /* while it waits to be conflated (conflation.h) */
  uint64_t stretch : 59;           /* likewise */
  uint64_t counts_target : 1;      /* the event's target is in what it takes of the budget (send.c) */
  uint64_t is_of_batch : 1;        /* sent together with others, with nothing in between */
  uint64_t is_sign : 1;            /* a heartbeat that is to be seen */
  uint64_t is_heartbeat : 1;       /* the runner's own: no queue has accepted or counts it */
  uint64_t owns_wire : 1;          /* it was encoded for this delivery alone */
  vsi_delivery_times times;        /* none of a delivery that is not timed */
} vsi_delivery;

/* The link of a delivery that is in no mailbox: its holder's alone. */
static inline vsi_delivery *vsi_delivery_next(const vsi_delivery *delivery) {
  return (vsi_delivery *)atomic_load_explicit(&delivery->mail.next, memory_order_relaxed);
}
static inline void vsi_delivery_link(vsi_delivery *delivery, vsi_delivery *next) {
  atomic_store_explicit(&delivery->mail.next, next ? &next->mail : NULL, memory_order_relaxed);
}

#endif
