/* SPDX-License-Identifier: MIT */
/* The deliveries of a connection: making and freeing them, their bytes, and their cost. */
#ifndef VSI_CONNECTION_BACKLOG_H
#define VSI_CONNECTION_BACKLOG_H

#include "base/memory.h"
#include "connection/connection.h"
#include "event/extras.h"

/* Return the bytes that are written for a delivery. */
static inline vestry_slice vsi_delivery_wire(const vsi_delivery *delivery) {
  if (!VSI_ENCODES || !delivery->wire) return (vestry_slice){delivery->event->bytes, delivery->event->len};
  return (vestry_slice){delivery->wire->bytes, delivery->wire->len};
}

/* Take or drop several references to an event at once, at least one. As vestry_event_ref and vestry_event_unref. */
static inline void vsi_event_ref_many(vestry_event *event, size_t count) {
  VSI_REFS_TAKE_MANY(&event->references, count);
}
static inline void vsi_event_unref_many(vestry_event *event, size_t count) {
  if (VSI_REFS_DROP_MANY(&event->references, count)) vsi_event_free(event);
}

/* Drop the references that a delivery holds to its event. */
static inline void vsi_delivery_drop_event(vsi_delivery *delivery) {
  if (VSI_ENCODES && delivery->broadcast)
    vsi_broadcast_unref(delivery->broadcast, 1);
  else
    vestry_event_unref(delivery->event);
}

/* Make a delivery of an event, whose reference it takes; NULL: no memory. */
vsi_delivery *vsi_delivery_make(vestry_connection *connection, vestry_event *event);
/* Free a delivery, or keep it for the next event of the connection. It still holds the event's reference, and the
 * caller drops it afterwards. */
static inline void vsi_delivery_free(vestry_connection *connection, vsi_delivery *delivery) {
  if (delivery->is_in_event)
    vsi_event_give_room(delivery->event);
  else /* an idle stream keeps none; release pairs with vsi_queue_spare */
    vsi_free(connection->environment->host,
             delivery->is_heartbeat
                 ? delivery
                 : atomic_exchange_explicit(&connection->queue.spare, delivery, memory_order_acq_rel));
}

/* Return the part of the budget that an event in one queue takes. */
static inline uint64_t vsi_event_cost(const vestry_event *event) {
  return vsi_budget_cost(1, (size_t)event->len + event->state_len);
}

#endif
