/* SPDX-License-Identifier: MIT */
/* essay: the list of waiting events, and the threads that may conflate it */
/* The events that wait on a connection: conflating, taking and settling them.
 *
 * A conflating connection keeps its waiting events in a list with a separate lock. If the transport blocks, the runner
 * may be inside a write for a long time and cannot conflate meanwhile. Therefore, a sender that finds the queue full
 * conflates the waiting events itself and tries again.
 *
 * The queue allows one consumer at a time (it is a mailbox: runtime/mailbox.h). So only the thread that holds the lock
 * takes deliveries from the queue. The lock is held while deliveries are moved and never during a write, so a thread
 * waits for it for a bounded number of steps. Deliveries that a sender has moved into the list still count in the
 * queue, and the runner reads both places.
 *
 * To settle a delivery is to finish it: it is written, discarded or conflated, its memory is freed, and its room in the
 * queue and in the budget is released. `going` (budget.h) is the part of the budget that closed connections will
 * release soon. The target of an event describes its effect, for conflation (event/target.h); its memory counts, too. A
 * broadcast is an event on its way to all members of a channel (coding/epoch.h). `times` are the times of a
 * delivery that are measured; if it is conflated, they are merged with those of the later delivery (tally.h). */
#include "connection/backlog.h"

#include "base/memory.h"
#include "base/probe.h"
#include "event/extras.h"

static void give_back(vsi_settlement *all) {
  if (all->cost) vsi_budget_give_back(all->budget, all->cost);
  all->cost = 0;
}

static void drop_references(vsi_settlement *all) {
  if (!all->references_count) return;
  if (VSI_ENCODES && all->broadcast)
    vsi_broadcast_unref(all->broadcast, all->references_count);
  else
    vsi_event_unref_many(all->event, all->references_count);
  all->references_count = 0;
}

/* Move the reference to an event, or to a broadcast, to the settlement. The other one is NULL. */
static void keep_reference(vestry_event *event, vsi_broadcast *broadcast, vsi_settlement *all) {
  if (all->references_count && (all->event != event || all->broadcast != broadcast)) drop_references(all);
  all->event = event;
  all->broadcast = broadcast;
  all->references_count++;
}

void vsi_connection_free_delivery(const vestry_connection *connection, vsi_delivery *delivery, vsi_settlement *all) {
  keep_reference(delivery->broadcast ? NULL : delivery->event, delivery->broadcast, all);
  vsi_free(connection->environment->host, delivery);
}

static void free_bare(vestry_connection *connection, vsi_settlement *all) {
  keep_reference(vsi_queue_bare(&connection->queue), NULL, all);
  vsi_queue_clear_bare(&connection->queue);
}

void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, size_t len, _Atomic(uint64_t) *count,
                           _Atomic(uint64_t) *bytes, vsi_settled *settled, vsi_settlement *all) {
  const bool has_target = vsi_connection_conflation(connection) && delivery && delivery->counts_target;
  const size_t target_bytes = has_target ? vsi_event_target_cost(delivery->event) : 0;
  vsi_budget *budget = connection->environment->budget;
  vsi_connection_count(count, 1);
  vsi_connection_count(bytes, len);
  if (delivery)
    vsi_connection_free_delivery(connection, delivery, all);
  else
    free_bare(connection, all);
  if (all->budget != budget) {
    give_back(all);
    all->budget = budget;
  }
  all->cost += vsi_budget_cost(1, len) + target_bytes;
  if (target_bytes)
    atomic_fetch_sub_explicit(&connection->conflation->targets_bytes, target_bytes, memory_order_relaxed);
  settled->count++;
  settled->bytes += len;
}

void vsi_settlement_finish(vsi_settlement *all) {
  give_back(all);
  drop_references(all);
}

void vsi_connection_release(vestry_connection *connection, const vsi_settled *settled) {
  if (settled->count && vsi_queue_settle(&connection->queue, settled->count, settled->bytes))
    atomic_fetch_sub_explicit(&connection->environment->budget->going,
                              vsi_connection_cost(connection, settled->count, settled->bytes), memory_order_relaxed);
}

/* Drop an event that a later one supersedes. If `merged` is given, it replaces the later event and has the content of
 * both; of the bytes that both had reserved, only its length stays reserved. The bytes that are reserved for the later
 * event's target need no correction, because a target of signals takes the same memory for any content. */
static void leave_out(vestry_connection *connection, vsi_delivery *superfluous, vsi_delivery *later,
                      vestry_event *merged) {
  size_t len = vestry_event_bytes(superfluous->event).len;
  if (merged) {
    len += vestry_event_bytes(later->event).len - vestry_event_bytes(merged).len; /* never longer than both together */
    vsi_delivery_drop_event(later);
    later->broadcast = NULL;
    later->event = merged;
  }
  vsi_group_tally_fold(&superfluous->times, &later->times);
  VSI_PROBE2(conflate, connection->id, len);
  vsi_settled settled = {0};
  vsi_settlement all = {0};
  vsi_connection_settle(connection, superfluous, len, &connection->conflation->conflated_count,
                        &connection->conflation->conflated_bytes, &settled, &all);
  vsi_settlement_finish(&all);
  vsi_connection_release(connection, &settled);
}

/* Move all queued deliveries into the list, whether or not the transport has room. */
static void conflate_locked(vestry_connection *connection) {
  for (vsi_delivery *delivery; (delivery = vsi_queue_take(&connection->queue));) {
    vestry_event *merged;
    vsi_delivery *superfluous = vsi_conflation_add(connection->conflation, delivery, &merged);
    if (superfluous) leave_out(connection, superfluous, delivery, merged);
  }
}

void vsi_connection_conflate_list(vestry_connection *connection) {
  vsi_mutex_lock(&connection->conflation->lock);
  conflate_locked(connection);
  vsi_mutex_unlock(&connection->conflation->lock);
}

vsi_delivery *vsi_connection_take(vestry_connection *connection, bool also_new) {
  if (!vsi_connection_conflation(connection)) return vsi_queue_take(&connection->queue);
  vsi_mutex_lock(&connection->conflation->lock);
  vsi_delivery *delivery = vsi_conflation_take(connection->conflation);
  if (!delivery && also_new) delivery = vsi_queue_take(&connection->queue);
  vsi_mutex_unlock(&connection->conflation->lock);
  return delivery;
}
