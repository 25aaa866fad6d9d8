/* SPDX-License-Identifier: MIT */
/* essay: events that wait, and which threads may conflate them */
/* A connection that conflates has its waiting events in a list, and a lock for it. The runner of a transport that
 * blocks may be inside of a write for long, and comes round to nothing meanwhile. So a sender that finds the queue full
 * conflates what waits, in the runner's place, and tries again. The thread that has the lock takes from the queue: the
 * mailbox has one consumer at a time. It is held for that, and never over a write, so a thread that waits for it waits
 * for so many steps. What a sender has put into the list is still counted in the queue, and the runner looks there as
 * it does here. */
#include "connection/backlog.h"

#include "base/memory.h"
#include "base/probe.h"

void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, size_t len, _Atomic(uint64_t) *count,
                           _Atomic(uint64_t) *bytes) {
  const size_t target_bytes = delivery->counts_target ? vsi_event_target_cost(delivery->event) : 0;
  vsi_connection_count(count, 1);
  vsi_connection_count(bytes, len);
  vsi_delivery_drop_event(delivery);
  vsi_free(connection->environment->host, delivery);
  vsi_budget_give_back(connection->environment->budget,
                       vsi_budget_cost(1, len) + target_bytes); /* while it is still counted */
  if (target_bytes)
    atomic_fetch_sub_explicit(&connection->conflation->targets_bytes, target_bytes, memory_order_relaxed);
  if (vsi_queue_settle(&connection->queue, len))
    atomic_fetch_sub_explicit(&connection->environment->budget->going, vsi_connection_cost(connection, 1, len),
                              memory_order_relaxed);
}

/* A later event says what this one said, or what both said is now said by `merged`, which takes the later one's place:
 * what both had reserved is then made its length. Targets of signals take the same memory, whatever they say. */
static void leave_out(vestry_connection *connection, vsi_delivery *superfluous, vsi_delivery *later,
                      vestry_event *merged) {
  size_t len = vestry_event_bytes(superfluous->event).len;
  if (merged) {
    len += vestry_event_bytes(later->event).len - vestry_event_bytes(merged).len; /* never longer than both */
    vsi_delivery_drop_event(later);
    later->broadcast = NULL;
    later->event = merged;
  }
  vsi_group_tally_fold(&superfluous->times, &later->times);
  VSI_PROBE2(conflate, connection->id, len);
  vsi_connection_settle(connection, superfluous, len, &connection->conflation->conflated_count,
                        &connection->conflation->conflated_bytes);
}

/* What waits goes where it can be conflated, whether the transport has room or not. */
static void conflate_locked(vestry_connection *connection) {
  for (vsi_delivery *delivery; (delivery = vsi_queue_take(&connection->queue));) {
    vestry_event *merged;
    vsi_delivery *superfluous = vsi_conflation_add(connection->conflation, delivery, &merged);
    if (superfluous) leave_out(connection, superfluous, delivery, merged);
  }
}

void vsi_connection_conflate(vestry_connection *connection) {
  if (!connection->conflation) return;
  vsi_mutex_lock(&connection->conflation->lock);
  conflate_locked(connection);
  vsi_mutex_unlock(&connection->conflation->lock);
}

vsi_delivery *vsi_connection_take(vestry_connection *connection, bool also_new) {
  if (!connection->conflation) return vsi_queue_take(&connection->queue);
  vsi_mutex_lock(&connection->conflation->lock);
  vsi_delivery *delivery = vsi_conflation_take(connection->conflation);
  if (!delivery && also_new) delivery = vsi_queue_take(&connection->queue);
  vsi_mutex_unlock(&connection->conflation->lock);
  return delivery;
}
