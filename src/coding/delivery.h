/* SPDX-License-Identifier: MIT */
/* Deliveries: an event on its way to one connection, with the bytes that are written for it. */
#ifndef VSI_CODING_DELIVERY_H
#define VSI_CODING_DELIVERY_H

#include "runtime/mailbox.h"
#include "vestry/event.h"

typedef struct vsi_delivery {
  vsi_mail mail;       /* first: a mail is its delivery */
  vestry_event *event; /* a reference, unless the broadcast holds it. NULL: encoded bytes that are no event */
  struct vsi_broadcast *broadcast; /* a reference; NULL: it was sent to this connection */
  const struct vsi_segment *wire;  /* what is written for it (coder.h); NULL: the event's own bytes */
  struct vsi_delivery *before;     /* while it waits to be conflated (conflation.h) */
  uint64_t stretch;                /* likewise */
  bool is_of_batch;                /* sent together with others, with nothing in between */
  bool is_sign;                    /* a heartbeat that is to be seen */
  bool is_heartbeat;               /* the runner's own: no queue has accepted or counts it */
  bool owns_wire;                  /* it was encoded for this delivery alone */
  uint32_t stamp;                  /* when it was accepted (connection/tally.h); 0: it is not timed */
} vsi_delivery;

/* The link of a delivery that is in no mailbox: its holder's alone. */
static inline vsi_delivery *vsi_delivery_next(const vsi_delivery *delivery) {
  return (vsi_delivery *)atomic_load_explicit(&delivery->mail.next, memory_order_relaxed);
}
static inline void vsi_delivery_link(vsi_delivery *delivery, vsi_delivery *next) {
  atomic_store_explicit(&delivery->mail.next, next ? &next->mail : NULL, memory_order_relaxed);
}

#endif
