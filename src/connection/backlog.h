/* SPDX-License-Identifier: MIT */
/* Deliveries that leave a connection's queue: their bytes, and the room that they release. */
#ifndef VSI_CONNECTION_BACKLOG_H
#define VSI_CONNECTION_BACKLOG_H

#include "base/memory.h"
#include "connection/connection.h"
#include "event/extras.h"

/* Return the bytes that are written for a delivery. */
static inline vestry_slice vsi_delivery_wire(const vsi_delivery *delivery) {
  if (!VSI_ENCODES || !delivery->wire) return vestry_event_bytes(delivery->event);
  return (vestry_slice){delivery->wire->bytes, delivery->wire->len};
}

/* Drop the references that a delivery holds to its event. */
static inline void vsi_delivery_drop_event(vsi_delivery *delivery) {
  if (VSI_ENCODES && delivery->broadcast)
    vsi_broadcast_unref(delivery->broadcast, 1);
  else
    vestry_event_unref(delivery->event);
}

/* Make a delivery of an event, whose reference it takes; NULL: no memory. */
vsi_delivery *vsi_delivery_make(const vestry_host *host, vestry_event *event);
/* Free a delivery. It still holds the event's reference, and the caller drops it afterwards. */
static inline void vsi_delivery_free(const vestry_host *host, vsi_delivery *delivery) {
  if (delivery->is_in_event)
    vsi_event_give_room(delivery->event);
  else
    vsi_free(host, delivery);
}

/* Return the part of the budget that an event in one queue takes. */
static inline uint64_t vsi_event_cost(const vestry_event *event) {
  return vsi_budget_cost(1, (size_t)event->len + event->state_len);
}

/* Room of settled events that a connection's queue still counts. */
typedef struct vsi_settled {
  uint32_t count;
  size_t bytes;
} vsi_settled;

/* Room in a budget, and references to events, that settled deliveries of one or several connections have held. They are
 * released together, because all threads write their counters. Zero: nothing yet. */
typedef struct vsi_settlement {
  vsi_budget *budget; /* of cost */
  uint64_t cost;
  vestry_event *event; /* held by references_count deliveries, unless `broadcast` is */
  vsi_broadcast *broadcast;
  uint32_t references_count;
  const vestry_host *clock; /* of now_ns, the time of the writes; NULL: not read yet */
  uint64_t now_ns;
} vsi_settlement;

/* Settle a taken delivery, which was written or discarded: free it, and add its room to `settled`. */
void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, bool written, vsi_settled *settled,
                           vsi_settlement *all);
/* Free a delivery with an event. */
void vsi_connection_free_delivery(const vestry_connection *connection, vsi_delivery *delivery, vsi_settlement *all);
/* Release what a settlement contains. */
void vsi_settlement_finish(vsi_settlement *all);
/* Release the room of settled events in the queue, after the end of their settlement: a thread that finds an event
 * settled (vsi_connection_settled) also finds its bytes free in the budget. */
void vsi_connection_release(vestry_connection *connection, const vsi_settled *settled);

#endif
