/* SPDX-License-Identifier: MIT */
/* Sending: putting events into the queue, if there is room, and waking the runner. */
#include "connection/send.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/probe.h"
#include "connection/backlog.h"
#include "connection/refusal.h"
#include "event/extras.h"
#include "event/layout.h"
#include "event/mark.h"

/* For both allocations the allocator adds 8 bytes and rounds up to 16. The event's room may be unused. */
_Static_assert(sizeof(vsi_delivery) + 8 + sizeof(vestry_event) + VSI_EVENT_ROOM_BYTES + 8 + 16 <= VSI_DELIVERY_COST,
               "a delivery and its event cost more than VSI_DELIVERY_COST, without the event's bytes");

_Static_assert(sizeof(vsi_delivery) <= VSI_EVENT_ROOM_BYTES, "a delivery has room in its event");

vsi_delivery *vsi_delivery_make(vestry_connection *connection, vestry_event *event) {
  vsi_delivery *delivery = vsi_event_take_room(event);
  const bool is_in_event = delivery != NULL;
  if (!is_in_event) delivery = vsi_queue_spare(&connection->queue);
  if (!delivery) delivery = vsi_alloc(connection->environment->host, sizeof *delivery);
  if (delivery) *delivery = (vsi_delivery){.event = event, .is_in_event = is_in_event};
  return delivery;
}

static void free_all(vestry_connection *connection, vsi_deliveries *list) {
  for (vsi_delivery *delivery; (delivery = TAILQ_FIRST(list));) {
    TAILQ_REMOVE(list, delivery, in);
    vestry_event *event = delivery->event;
    vsi_delivery_free(connection, delivery);
    vestry_event_unref(event);
  }
}

/* Take the room of all sends at once if it is a small part of the budget, because room that is not used in the end must
 * not make the budget seem full. */
void vsi_burst_begin(vsi_burst *burst, const vsi_environment *environment, const vestry_event *event, size_t count) {
  enum { SMALL_PART = 256 };
  vsi_budget *budget = environment->budget;
  const uint64_t cost = vsi_event_cost(event) * count;
  const bool has_room = count > 1 && cost <= budget->max / SMALL_PART && vsi_budget_take(budget, cost);
  burst->room = has_room ? cost : 0;
  vsi_notices_init(&burst->notices);
}

void vsi_burst_end(vsi_burst *burst, const vsi_environment *environment) {
  if (burst->room) vsi_budget_give_back(environment->budget, burst->room);
  vsi_environment_relieve(environment);
}

/* Put deliveries, whose number, bytes and cost are given, in place of `old`; NULL: none. whole: the event to send
 * instead of the first one; NULL: that one. */
static vestry_err put_locked(vestry_connection *connection, vsi_deliveries *list, uint32_t count, size_t bytes,
                             uint64_t cost, vsi_delivery *old, vestry_event *whole, vsi_burst *burst) {
  vsi_queue *queue = &connection->queue;
  vsi_budget *budget = connection->environment->budget;
  vsi_delivery *const first = TAILQ_FIRST(list);
  const size_t freed = old ? old->event->len : 0;
  const uint64_t load = atomic_load_explicit(&queue->load, memory_order_relaxed);
  const uint32_t queued_count = vsi_queue_count_of(load) - (old != NULL);
  const size_t queued_bytes = (size_t)(load & VSI_QUEUE_BYTES_MASK) - freed;
  if (load & VSI_QUEUE_SHUT) return VESTRY_CLOSED;
  if (bytes > connection->max_queued_bytes || cost > budget->max) return VESTRY_TOO_LARGE;
  if (queued_count > connection->queue.max_count - count || queued_bytes > connection->max_queued_bytes - bytes)
    return VESTRY_FULL;
  const uint64_t back = old ? vsi_event_cost(old->event) : 0;
  if (cost < back)
    vsi_budget_give_back(budget, back - cost);
  else if (burst && burst->room >= cost - back)
    burst->room -= cost - back;
  else if (cost > back && !vsi_budget_take(budget, cost - back))
    return VESTRY_FULL;
  if (old) {
    TAILQ_REMOVE(&queue->waiting, old, in);
    vsi_group_tally_fold(&old->times, &first->times);
    vsi_connection_count(&connection->conflated_count, 1);
    vsi_connection_count(&connection->conflated_bytes, freed);
    if (whole) {
      vestry_event_ref(whole); /* before the patches, which hold it, are dropped */
      vsi_delivery_drop_event(first);
      first->broadcast = NULL;
      first->event = whole;
    }
  }
  VSI_PROBE3(accept, connection->id, count, bytes); /* before another thread can end the event */
  TAILQ_CONCAT(&queue->waiting, list, in);
  atomic_store_explicit(&queue->load,
                        (load & (VSI_QUEUE_SHUT | VSI_QUEUE_GOING)) + (queued_count + count) * VSI_QUEUE_ONE_EVENT +
                            queued_bytes + bytes,
                        memory_order_release); /* pairs with vsi_queue_load */
  /* release: as vsi_connection_settled needs it */
  atomic_store_explicit(&connection->accepted_count, vsi_connection_accepted(connection) + count, memory_order_release);
  return VESTRY_OK;
}

vestry_err vsi_connection_post(vestry_connection *connection, vsi_deliveries *list, vsi_burst *burst) {
  if (!vsi_connection_is_open(connection) || vsi_connection_is_forked(connection)) return VESTRY_CLOSED;
  uint32_t count = 0;
  size_t bytes = 0;
  uint64_t cost = 0;
  vsi_delivery *at, *old = NULL, *const first = TAILQ_FIRST(list);
  TAILQ_FOREACH(at, list, in) {
    size_t len = at->event->len;
    if (len > connection->max_queued_bytes - bytes || count == connection->queue.max_count) return VESTRY_TOO_LARGE;
    bytes += len;
    cost += vsi_event_cost(at->event);
    count++;
  }
  if (vsi_connection_is_observed(connection) &&
      vsi_group_tally_wants(connection->id, vsi_connection_accepted(connection), count)) {
    if (!first->times.stamp) first->times.stamp = vsi_group_tally_stamp_at(vsi_now_ns(connection->environment->host));
    first->times.is_counted = 1;
  }
  vsi_queue_lock(&connection->queue);
  if (first->event->state_len && !first->is_of_batch)
    old = vsi_queue_superseded_locked(&connection->queue, first->event);
  /* Patches need the content of the event that they supersede, so the whole content is sent instead. */
  vestry_event *const whole = old ? vsi_event_whole(first->event) : NULL;
  if (whole) {
    bytes = whole->len;
    cost = vsi_event_cost(whole);
  }
  const vestry_err error = put_locked(connection, list, count, bytes, cost, old, whole, burst);
  vsi_queue_unlock(&connection->queue);
  if (error == VESTRY_FULL) atomic_fetch_add_explicit(&connection->refused_count, count, memory_order_relaxed);
  if (!error && vsi_load_rank(vsi_connection_held(connection)) > vsi_load_rank_of(&connection->place))
    connection->environment->grew(connection->environment, connection);
  if (error || !old) return error;
  VSI_PROBE2(conflate, connection->id, old->event->len);
  vsi_delivery_drop_event(old);
  vsi_delivery_free(connection, old); /* it names a state, so it is not in its event */
  return VESTRY_OK;
}

void vsi_connection_posted(vestry_connection *connection, vestry_err error) {
  if (!error)
    vsi_actor_notify(&connection->actor);
  else
    (void)vsi_connection_refused(connection, error);
  vsi_environment_relieve(connection->environment);
}

bool vsi_connection_send_off(vestry_connection *connection, uint32_t retry_ms) {
  const vestry_host *host = connection->environment->host;
  vestry_event *event = NULL;
  if (!vsi_event_retry(host, retry_ms, &event)) (void)vsi_connection_put(connection, &event, 1, 0);
  vestry_event_unref(event);
  bool decided = vestry_connection_close(connection, VESTRY_CAUSE_DRAIN);
  if (!decided) vsi_actor_notify(&connection->actor); /* another thread may have notified before the post */
  return decided;
}

vestry_err vsi_connection_put(vestry_connection *connection, vestry_event *const *events, size_t count,
                              uint64_t changed_ns) {
  if (!vsi_connection_is_open(connection)) return VESTRY_CLOSED;
  vsi_deliveries list = TAILQ_HEAD_INITIALIZER(list);
  vestry_err error = VESTRY_NO_MEMORY;
  vsi_delivery *delivery = NULL;
  for (size_t i = 0; i < count && (delivery = vsi_delivery_make(connection, events[i])); i++) {
    vsi_event_ref_many(events[i], 1);
    delivery->is_of_batch = count > 1;
    TAILQ_INSERT_TAIL(&list, delivery, in);
  }
  if (delivery) {
    TAILQ_FIRST(&list)->times = vsi_group_tally_change(connection->environment->host, changed_ns);
    error = vsi_connection_post(connection, &list, NULL);
  }
  free_all(connection, &list);
  return error;
}

vestry_err vestry_connection_send_all(vestry_connection *connection, vestry_event *const *events, size_t count) {
  if (!count)
    return vsi_mistake(connection->environment->host, "vestry_connection_send_all",
                       "count is 0; pass at least one event");
  vestry_err error = vsi_connection_put(connection, events, count, 0);
  vsi_connection_posted(connection, error);
  return error;
}

void vsi_connections_posted_here(vestry_connection *const *connections, size_t count, vsi_pool *here) {
  vsi_pool *together = count > 1 ? here : NULL;
  for (size_t i = 0; i < count; i++) vsi_connection_posted_here(connections[i], together);
  if (together) (void)vsi_pool_flush(together, 0);
  for (size_t i = 0; i < count; i++) vsi_connection_let_go(connections[i]);
}

vestry_err vsi_connection_send_here(vestry_connection *connection, vestry_event *event) {
  vestry_err error = vsi_connection_put(connection, &event, 1, 0);
  if (error || vsi_connection_coder(connection))
    vsi_connection_posted(connection, error);
  else
    vsi_connection_posted_here(connection, NULL);
  return error;
}

/* The references to the event are taken, and dropped, at once. The deliveries are posted before a runner is woken or a
 * hook is called, because either may take long. */
void vsi_connection_send_each(vestry_connection *const *connections, size_t count, vestry_event *event,
                              vestry_err *ret_errors) {
  enum { FETCHED_AHEAD = 8 };
  const vsi_environment *environment = connections[0]->environment;
  size_t accepted_count = 0;
  vsi_burst burst;
  vsi_burst_begin(&burst, environment, event, count);
  vsi_event_ref_many(event, count);
  for (size_t i = 0; i < count && i < FETCHED_AHEAD; i++) vsi_connection_fetch(connections[i]);
  for (size_t i = 0; i < count; i++) {
    if (i + FETCHED_AHEAD < count) vsi_connection_fetch(connections[i + FETCHED_AHEAD]);
    vsi_delivery *delivery = vsi_delivery_make(connections[i], event);
    ret_errors[i] = delivery ? vsi_connection_post_one(connections[i], delivery, &burst) : VESTRY_NO_MEMORY;
    if (delivery && ret_errors[i]) vsi_delivery_free(connections[i], delivery);
    accepted_count += !ret_errors[i];
  }
  for (size_t i = 0; i < count; i++)
    if (!ret_errors[i]) vsi_notices_add(&burst.notices, &connections[i]->actor);
  vsi_notices_send(&burst.notices);
  vsi_burst_end(&burst, environment);
  if (accepted_count < count) vsi_event_unref_many(event, count - accepted_count);
  for (size_t i = 0; i < count; i++)
    if (ret_errors[i]) (void)vsi_connection_refused(connections[i], ret_errors[i]);
}
