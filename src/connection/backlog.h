/* SPDX-License-Identifier: MIT */
/* What waits in a connection's queue, and where it can be conflated. */
#ifndef VSI_CONNECTION_BACKLOG_H
#define VSI_CONNECTION_BACKLOG_H

#include "connection/connection.h"

/* Count in the runner's own counters, or under the conflation's lock: one thread at a time, so a plain load and store
 * will do. */
static inline void vsi_connection_count(_Atomic(uint64_t) *counter, uint64_t by) {
  atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* What is written for it. */
static inline vestry_slice vsi_delivery_wire(const vsi_delivery *delivery) {
  if (!delivery->wire) return vestry_event_bytes(delivery->event);
  return (vestry_slice){delivery->wire->bytes, delivery->wire->len};
}

/* Drop what a delivery holds of its event. */
static inline void vsi_delivery_drop_event(vsi_delivery *delivery) {
  if (delivery->broadcast)
    vsi_broadcast_unref(delivery->broadcast);
  else
    vestry_event_unref(delivery->event);
}
/* The event of a delivery is done with. len: what is given back for it; count, bytes: where it is counted. */
void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, size_t len, _Atomic(uint64_t) *count,
                           _Atomic(uint64_t) *bytes);
/* Of a connection that conflates: put what waits in its queue where it can be conflated. Any thread; waits for others
 * that are at it, which takes them a bounded number of steps. */
void vsi_connection_conflate(vestry_connection *connection);
/* Take the oldest that waits; NULL: none. also_new: also what has not been where it can be conflated. Runner. */
vsi_delivery *vsi_connection_take(vestry_connection *connection, bool also_new);

#endif
