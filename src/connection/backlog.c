/* SPDX-License-Identifier: MIT */
/* To settle a delivery is to finish it: it is written or discarded, its memory is freed, and its room in the queue and
 * in the budget is released. (A delivery that a later one supersedes leaves the queue in send.c.) `going` (budget.h) is
 * the part of the budget that closed connections will release soon. A broadcast is an event on its way to all members
 * of a channel (coding/epoch.h). */
#include "connection/backlog.h"

_Static_assert(sizeof(vsi_delivery) <= VSI_EVENT_ROOM_BYTES, "a delivery has room in its event");

vsi_delivery *vsi_delivery_make(const vestry_host *host, vestry_event *event) {
  vsi_delivery *delivery = vsi_event_take_room(event);
  const bool is_in_event = delivery != NULL;
  if (!is_in_event) delivery = vsi_alloc(host, sizeof *delivery);
  if (delivery) *delivery = (vsi_delivery){.event = event, .is_in_event = is_in_event};
  return delivery;
}

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

/* The event's reference, or that of its broadcast, moves to the settlement. */
void vsi_connection_free_delivery(const vestry_connection *connection, vsi_delivery *delivery, vsi_settlement *all) {
  vestry_event *event = delivery->broadcast ? NULL : delivery->event;
  if (all->references_count && (all->event != event || all->broadcast != delivery->broadcast)) drop_references(all);
  all->event = event;
  all->broadcast = delivery->broadcast;
  all->references_count++;
  vsi_delivery_free(connection->environment->host, delivery);
}

void vsi_connection_settle(vestry_connection *connection, vsi_delivery *delivery, bool written, vsi_settled *settled,
                           vsi_settlement *all) {
  vsi_budget *budget = connection->environment->budget;
  const size_t len = delivery->event->len;
  const uint64_t cost = vsi_event_cost(delivery->event);
  vsi_connection_count(written ? &connection->written_count : &connection->discarded_count, 1);
  vsi_connection_count(written ? &connection->written_bytes : &connection->discarded_bytes, len);
  vsi_connection_free_delivery(connection, delivery, all);
  if (all->budget != budget) {
    give_back(all);
    all->budget = budget;
  }
  all->cost += cost;
  settled->count++;
  settled->bytes += len;
}

void vsi_settlement_finish(vsi_settlement *all) {
  give_back(all);
  drop_references(all);
}

void vsi_connection_release(vestry_connection *connection, const vsi_settled *settled) {
  if (settled->count && vsi_queue_settle(&connection->queue, settled->count, settled->bytes))
    atomic_fetch_sub_explicit(&connection->environment->budget->going, vsi_budget_cost(settled->count, settled->bytes),
                              memory_order_relaxed);
}
