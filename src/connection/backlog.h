/* SPDX-License-Identifier: MIT */
/* The events that wait in a connection's queue, and their conflation. */
#ifndef VSI_CONNECTION_BACKLOG_H
#define VSI_CONNECTION_BACKLOG_H

#include "connection/connection.h"

/* Return the bytes that are written for a delivery. */
static inline vestry_slice vsi_delivery_wire(const vsi_delivery *delivery) {
  if (!delivery->wire) return vestry_event_bytes(delivery->event);
  return (vestry_slice){delivery->wire->bytes, delivery->wire->len};
}

/* Drop the references that a delivery holds to its event. */
static inline void vsi_delivery_drop_event(vsi_delivery *delivery) {
  if (delivery->broadcast)
    vsi_broadcast_unref(delivery->broadcast);
  else
    vestry_event_unref(delivery->event);
}
/* Settle a delivery: free it and release its room. len: number of bytes to release. count, bytes: counters of the
 * outcome. */
void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, size_t len, _Atomic(uint64_t) *count,
                           _Atomic(uint64_t) *bytes);
/* Move the queued deliveries of a conflating connection into its list, where they are conflated. Any thread; waits for
 * another thread that does the same, which takes a bounded number of steps. */
void vsi_connection_conflate(vestry_connection *connection);
/* Take the oldest waiting delivery; NULL: none. also_new: take from the queue, too, if the list is empty. Runner
 * only. */
vsi_delivery *vsi_connection_take(vestry_connection *connection, bool also_new);

#endif
