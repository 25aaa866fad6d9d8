/* SPDX-License-Identifier: MIT */
/* Sending: reserving room for events, putting them into the queue, and waking the runner. */
#include "connection/send.h"

#include "base/log.h"
#include "base/memory.h"
#include "base/probe.h"
#include "connection/backlog.h"
#include "connection/refusal.h"
#include "connection/runner.h"
#include "event/extras.h"
#include "event/mark.h"
#include "event/target.h"

/* The event's head has 72 bytes. For both allocations the allocator adds 8 bytes and rounds up to 16. */
_Static_assert(sizeof(vsi_delivery) + 8 + 72 + 8 + 16 <= VSI_DELIVERY_COST,
               "a delivery and its event cost more than VSI_DELIVERY_COST, without the event's bytes");

static void free_chain(const vestry_host *host, vsi_delivery *delivery) {
  while (delivery) {
    vsi_delivery *next = vsi_delivery_next(delivery);
    vestry_event_unref(delivery->event);
    vsi_free(host, delivery);
    delivery = next;
  }
}

static void relieve(const vsi_environment *environment) {
  if (vsi_budget_is_pressed(environment->budget)) environment->relieve(environment);
}

/* Take room in the budget for one send of a burst. The first send takes the room of all sends that are still to come,
 * if this is a small part of the budget, because room that is not used in the end must not make the budget seem
 * full. */
static bool take_room(vsi_budget *budget, uint64_t cost, vsi_burst *burst) {
  enum { SMALL_PART = 256 };
  if (!burst) return vsi_budget_take(budget, cost);
  if (burst->room < cost && burst->left > 1 && cost <= budget->max / SMALL_PART / burst->left &&
      vsi_budget_take(budget, cost * burst->left))
    burst->room += cost * burst->left;
  if (burst->left) burst->left--;
  if (burst->room < cost) return vsi_budget_take(budget, cost);
  burst->room -= cost;
  return true;
}

void vsi_burst_end(vsi_burst *burst, const vsi_environment *environment) {
  vsi_notices_send(&burst->notices);
  if (burst->room) vsi_budget_give_back(environment->budget, burst->room);
  relieve(environment);
}

/* Reserve room in the budget, then in the queue. If there is none, conflate the waiting events and try again. */
static vestry_err reserve(vestry_connection *connection, size_t count, size_t bytes, size_t target_bytes,
                          vsi_burst *burst) {
  enum { TRIES = 3 }; /* other senders may take the room first */
  vsi_budget *budget = connection->environment->budget;
  uint64_t cost = vsi_budget_cost(count, bytes) + target_bytes;
  if (cost > budget->max) return VESTRY_TOO_LARGE;
  vestry_err error = VESTRY_FULL;
  for (int i = vsi_connection_conflation(connection) ? TRIES : 0; error == VESTRY_FULL && i >= 0; i--) {
    if (take_room(budget, cost, burst)) {
      error = vsi_queue_reserve(&connection->queue, (uint32_t)count, bytes, connection->max_queued_count,
                                connection->max_queued_bytes);
      if (error) vsi_budget_give_back(budget, cost);
    }
    if (error == VESTRY_FULL && i) vsi_connection_conflate(connection);
  }
  if (error == VESTRY_FULL) atomic_fetch_add_explicit(&connection->refused_count, count, memory_order_relaxed);
  return error;
}

/* Return the event to send for a delivery. Patches need all content before them, so they cannot be conflated. If other
 * events wait, the whole content is sent instead. */
static vestry_event *event_of(const vestry_connection *connection, const vsi_delivery *delivery) {
  if (!vsi_connection_conflation(connection) || !vsi_queue_count(&connection->queue)) return delivery->event;
  vestry_event *whole = vsi_event_whole(delivery->event);
  return whole ? whole : delivery->event;
}

/* File a connection whose queue has grown, and count accepted events. Returns the number of events accepted before. */
static uint64_t count_accepted(vestry_connection *connection, size_t count) {
  if (vsi_load_rank(vsi_connection_held(connection)) > vsi_load_rank_of(&connection->place))
    connection->environment->grew(connection->environment, connection);
  return atomic_fetch_add_explicit(&connection->accepted_count, count, memory_order_relaxed);
}

/* Return whether one of the next events is timed. before: number of events accepted so far. */
static bool is_timed(const vestry_connection *connection, uint64_t before, size_t count) {
  return __builtin_expect(atomic_load_explicit(&connection->environment->observers_count, memory_order_relaxed) != 0,
                          0) &&
         vsi_group_tally_wants(connection->id, before, count);
}

bool vsi_connection_post_bare(vestry_connection *connection, vestry_event *event, vsi_burst *burst) {
  /* relaxed: a check; the reservation decides. acquire pairs with the runner's release of the state, which follows the
   * setting of the coder */
  if (atomic_load_explicit(&connection->queue.load, memory_order_relaxed) ||
      atomic_load_explicit(&connection->state, memory_order_acquire) != VESTRY_STATE_OPEN ||
      vsi_connection_coder(connection) || vsi_connection_conflation(connection) ||
      !vsi_connection_is_open(connection) || vsi_connection_is_forked(connection) ||
      is_timed(connection, vsi_connection_accepted(connection), 1))
    return false;
  vsi_budget *budget = connection->environment->budget;
  const size_t len = vestry_event_bytes(event).len;
  const uint64_t cost = vsi_budget_cost(1, len);
  if (len > connection->max_queued_bytes || cost > budget->max || !take_room(budget, cost, burst)) return false;
  if (!vsi_queue_reserve_bare(&connection->queue, len)) { /* another sender was faster */
    vsi_budget_give_back(budget, cost);
    return false;
  }
  (void)count_accepted(connection, 1);
  VSI_PROBE3(accept, connection->id, 1, len); /* before another thread can end the event */
  vsi_queue_put_bare(&connection->queue, event);
  return true;
}

vestry_err vsi_connection_post(vestry_connection *connection, vsi_delivery *first, vsi_burst *burst) {
  if (!vsi_connection_is_open(connection) || vsi_connection_is_forked(connection)) return VESTRY_CLOSED;
  size_t count = 0, bytes = 0;
  vsi_delivery *last = NULL;
  vestry_event *const event = vsi_delivery_next(first) ? first->event : event_of(connection, first);
  for (vsi_delivery *at = first; at; at = vsi_delivery_next(at)) {
    size_t len = vestry_event_bytes(at == first ? event : at->event).len;
    if (len > connection->max_queued_bytes - bytes || count == connection->max_queued_count) return VESTRY_TOO_LARGE;
    bytes += len;
    count++;
    at->is_followed = vsi_delivery_next(at) != NULL;
    last = at;
  }
  size_t target_bytes = 0;
  if (vsi_connection_conflation(connection) && count == 1) {
    (void)vsi_event_target(event); /* computed once for all streams, here instead of on the runner */
    target_bytes = vsi_event_target_cost(event);
  }
  vestry_err error = reserve(connection, count, bytes, target_bytes, burst);
  if (error) return error;
  if (event != first->event) {
    vestry_event_ref(event); /* before the patches, which hold it */
    vsi_delivery_drop_event(first);
    first->broadcast = NULL;
    first->event = event;
  }
  first->counts_target = target_bytes != 0;
  if (target_bytes)
    atomic_fetch_add_explicit(&connection->conflation->targets_bytes, target_bytes, memory_order_relaxed);
  if (is_timed(connection, count_accepted(connection, count), count)) {
    if (!first->times.stamp) first->times.stamp = vsi_group_tally_stamp_at(vsi_now_ns(connection->environment->host));
    first->times.is_counted = 1;
  }
  VSI_PROBE3(accept, connection->id, count, bytes);     /* before another thread can end the event */
  vsi_queue_put_chain(&connection->queue, first, last); /* release: the runner that takes the events sees the counts */
  return VESTRY_OK;
}

void vsi_connection_posted(vestry_connection *connection, vestry_err error) {
  if (!error)
    vsi_actor_notify(&connection->actor);
  else
    (void)vsi_connection_refused(connection, error);
  relieve(connection->environment);
}

bool vsi_connection_send_off(vestry_connection *connection, uint32_t retry_ms) {
  const vestry_host *host = connection->environment->host;
  vsi_delivery *delivery = vsi_calloc(host, 1, sizeof *delivery);
  if (delivery &&
      (vestry_event_retry(host, retry_ms, &delivery->event) || vsi_connection_post(connection, delivery, NULL)))
    free_chain(host, delivery);
  bool decided = vestry_connection_close(connection, VESTRY_CAUSE_DRAIN);
  if (!decided) vsi_actor_notify(&connection->actor); /* another thread may have notified before the post */
  return decided;
}

vestry_err vsi_connection_put(vestry_connection *connection, vestry_event *const *events, size_t count,
                              uint64_t changed_ns) {
  if (!vsi_connection_is_open(connection)) return VESTRY_CLOSED;
  const vestry_host *host = connection->environment->host;
  const vsi_delivery_times times = vsi_group_tally_change(host, changed_ns);
  if (count == 1 && !times.stamp) {
    vestry_event_ref(events[0]);
    if (vsi_connection_post_bare(connection, events[0], NULL)) return VESTRY_OK;
    vestry_event_unref(events[0]); /* not the last reference: the caller holds one */
  }
  vsi_delivery *first = NULL, *last = NULL;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++) { /* allocate first, because reserved room must be filled */
    vsi_delivery *delivery = vsi_alloc(host, sizeof *delivery);
    if (!delivery) {
      error = VESTRY_NO_MEMORY;
      break;
    }
    *delivery = (vsi_delivery){.event = vestry_event_ref(events[i]), .is_of_batch = count > 1};
    if (last)
      vsi_delivery_link(last, delivery);
    else
      first = delivery;
    last = delivery;
  }
  if (!error) {
    first->times = times;
    error = vsi_connection_post(connection, first, NULL);
  }
  if (error) free_chain(host, first);
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

void vsi_connection_posted_here(vestry_connection *connection, vsi_pool *here) {
  if (vsi_actor_enter(&connection->actor)) vsi_connection_visit(connection, here);
  relieve(connection->environment);
}

void vsi_connections_posted_here(vestry_connection *const *connections, size_t count, vsi_pool *here) {
  vsi_pool *together = count > 1 ? here : NULL;
  for (size_t i = 0; i < count; i++) vsi_connection_posted_here(connections[i], together);
  if (together) (void)vsi_pool_flush(together, 0);
  for (size_t i = 0; i < count; i++) vsi_connection_let_go(connections[i]);
}

vestry_err vsi_connection_send_here(vestry_connection *connection, vestry_event *event) {
  vestry_err error = vsi_connection_put(connection, &event, 1, 0);
  if (error)
    vsi_connection_posted(connection, error);
  else
    vsi_connection_posted_here(connection, NULL);
  return error;
}

/* Post one event; takes the reference to it on success. */
static vestry_err post_event(vestry_connection *connection, vestry_event *event, vsi_burst *burst) {
  if (vsi_connection_post_bare(connection, event, burst)) return VESTRY_OK;
  const vestry_host *host = connection->environment->host;
  vsi_delivery *delivery = vsi_alloc(host, sizeof *delivery);
  if (!delivery) return VESTRY_NO_MEMORY;
  *delivery = (vsi_delivery){.event = event};
  vestry_err error = vsi_connection_post(connection, delivery, burst);
  if (error) vsi_free(host, delivery);
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
  vsi_burst_begin(&burst, count);
  vsi_event_ref_many(event, count);
  for (size_t i = 0; i < count && i < FETCHED_AHEAD; i++) vsi_connection_fetch(connections[i]);
  for (size_t i = 0; i < count; i++) {
    if (i + FETCHED_AHEAD < count) vsi_connection_fetch(connections[i + FETCHED_AHEAD]);
    ret_errors[i] = post_event(connections[i], event, &burst);
    accepted_count += !ret_errors[i];
  }
  for (size_t i = 0; i < count; i++)
    if (!ret_errors[i]) vsi_notices_add(&burst.notices, &connections[i]->actor);
  vsi_burst_end(&burst, environment);
  if (accepted_count < count) vsi_event_unref_many(event, count - accepted_count);
  for (size_t i = 0; i < count; i++)
    if (ret_errors[i]) (void)vsi_connection_refused(connections[i], ret_errors[i]);
}

vestry_err vestry_connection_send_made(vestry_connection *connection, vestry_err made, vestry_event *event) {
  if (made == VESTRY_INVALID) return vsi_event_refuse(connection->environment->host, "vestry_connection_send_made");
  if (made) return vsi_connection_refused(connection, made);
  vestry_err error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  return error;
}
