/* SPDX-License-Identifier: MIT */
/* The functions of a connection that any thread may call: references, close, state, statistics, hooks at the close.
 * They change the state by atomic operations and notify the actor. The runner, the only thread inside the connection,
 * then does the work (runner.c).
 *
 * Words. If a close will discard the queued events, their bytes count as going (budget.h) until the runner has released
 * them. Signs are heartbeats that the page can see (vsi_environment). A response is the stream of a long poll, a
 * request that waits for the next event of a page. It may begin with up to three events that do not count
 * (begins_with), and ends after the next event. To hurry is to shorten the end of a stream (VSI_HURRY_…). A cause
 * flushes if the events accepted before the close are still written (vsi_cause_flushes). An event is settled when it
 * has left the queue: it was written or discarded, or a later event has superseded it. */
#include "connection/connection.h"

#include "base/memory.h"
#include "base/refs.h"
#include "runtime/runtime.h"

void vsi_connection_discard(vestry_connection *connection) {
  const vsi_environment *environment = connection->environment;
  if (vsi_connection_coder(connection)) vsi_coder_free(connection->coder);
  vsi_free(environment->host, vsi_queue_spare(&connection->queue));
  vsi_free(environment->host, connection);
  environment->let_go(environment);
}

void vsi_connection_give_signs(vestry_connection *connection, bool has_first) {
  connection->signs = true;
  /* If this fails, the first heartbeat is the first sign. */
  if (!has_first) (void)vestry_connection_send(connection, connection->environment->sign);
}

void vsi_connection_answer(vestry_connection *connection, uint32_t hold_ms, unsigned events_count) {
  connection->is_response = true;
  connection->begins_with = events_count & 3;
  connection->heartbeat_ms = hold_ms;
  atomic_store_explicit(&connection->is_awaited, true, memory_order_relaxed); /* its first run is still to come */
}

bool vsi_connection_is_answered(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->accepted_count, memory_order_relaxed) > connection->begins_with;
}

/* acquire pairs with the runner's release of the state (runner.c), which follows the setting of the coder. */
bool vsi_connection_may_encode(const vestry_connection *connection) {
  return VSI_ENCODES &&
         (atomic_load_explicit(&connection->state, memory_order_acquire) == VESTRY_STATE_OPENING || connection->coder);
}

void vsi_connection_start(vestry_connection *connection) {
  vsi_actor_notify(&connection->actor);
  vsi_actor_release(&connection->actor);
}

vestry_connection *vestry_connection_ref(vestry_connection *connection) {
  return vsi_connection_hold(connection);
}

void *vsi_connection_context(vestry_connection *connection) {
  void *context = connection->context;
  return connection->hooks->make ? context : *(void **)context;
}

void vsi_connection_free(vestry_connection *connection) {
  connection->ops->release(connection->transport);
  if (connection->hooks->on_free)
    connection->hooks->on_free(connection->environment->host, vsi_connection_context(connection));
  vsi_connection_discard(connection);
}

vestry_connection *vestry_connection_unref(vestry_connection *connection) {
  if (connection) vsi_connection_let_go(connection);
  return NULL;
}

vestry_connection_state vsi_connection_state(const vestry_connection *connection) {
  /* acquire pairs with the runner's release stores */
  vestry_connection_state state =
      (vestry_connection_state)atomic_load_explicit(&connection->state, memory_order_acquire);
  if (state != VESTRY_STATE_CLOSED && vsi_connection_cause(connection)) return VESTRY_STATE_CLOSING;
  return state;
}

vestry_connection_now vestry_connection_look(const vestry_connection *connection) {
  return (vestry_connection_now){.id = connection->id,
                                 .host = connection->environment->host,
                                 .state = vsi_connection_state(connection),
                                 .cause = vsi_connection_cause(connection)};
}

bool vestry_connection_is_open(const vestry_connection *connection) {
  return vsi_connection_is_open(connection);
}

const vestry_host *vsi_connection_host(const vestry_connection *connection) {
  return connection->environment->host;
}

void vsi_connection_hurry(vestry_connection *connection, uint8_t how) {
  /* A closed connection has no runner. relaxed: if it closes after this load, one notify has no effect. */
  if (atomic_load_explicit(&connection->state, memory_order_relaxed) == VESTRY_STATE_CLOSED) return;
  (void)atomic_fetch_or_explicit(&connection->hurry, how, memory_order_relaxed); /* the notify publishes it */
  /* The connection has a cause, and its queue is shut or will be at once, so the queue no longer grows. */
  if (how == VSI_HURRY_NOW) vsi_queue_shut(&connection->queue, connection->environment->budget);
  vsi_actor_notify(&connection->actor);
}

bool vsi_connection_is_forked(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->state, memory_order_relaxed) != VESTRY_STATE_CLOSED &&
         vsi_runtime_is_forked(connection->environment->runtime);
}

bool vestry_connection_close(vestry_connection *connection, vestry_cause cause) {
  if (vsi_connection_is_forked(connection) || cause == VESTRY_CAUSE_NONE || cause == VESTRY_CAUSE_DETACHED ||
      (unsigned)cause >= VESTRY_CAUSE_COUNT)
    return false;
  uint8_t none = VESTRY_CAUSE_NONE;
  /* The only place where a cause is set. acq_rel pairs with vsi_connection_cause: a thread that sees the cause also
   * sees the writes before it. */
  if (!atomic_compare_exchange_strong_explicit(&connection->cause, &none, (uint8_t)cause, memory_order_acq_rel,
                                               memory_order_acquire)) {
    if (vsi_cause_is_of_peer(cause)) vsi_connection_hurry(connection, VSI_HURRY_NOW); /* it is gone */
    if (cause == VESTRY_CAUSE_SHUTDOWN) vsi_connection_hurry(connection, VSI_HURRY_SOON);
    return false;
  }
  vsi_queue_shut(&connection->queue, vsi_cause_flushes(cause) ? NULL : connection->environment->budget);
  vsi_actor_notify(&connection->actor);
  return true;
}

/* Return the number of accepted events that have left the queue, computed from the queue's own count. When an event
 * counts as settled here, its room in the queue is free again. So is its room in the budget, which is released first.
 *
 * A sender first counts the event in the queue, and then increments accepted_count. Therefore accepted_count is read
 * first (acquire, so that the queue's count is read after it). Concurrent sends can then make the result too small,
 * never too large. Each such send notifies the runner afterwards, which computes the result again. */
uint64_t vsi_connection_settled(const vestry_connection *connection) {
  uint64_t accepted = atomic_load_explicit(&connection->accepted_count, memory_order_acquire);
  uint32_t queued = vsi_queue_count(&connection->queue);
  return accepted > queued ? accepted - queued : 0;
}

/* No fence is needed: a whole run follows the notify (actor.c), and it sees the flag and all writes before it. */
void vsi_connection_await_written(vestry_connection *connection) {
  atomic_store_explicit(&connection->is_awaited, true, memory_order_relaxed);
  vsi_actor_notify(&connection->actor);
}

/* While a connection is OPENING, other threads may find it before its coder is set. */
vsi_coding_kind vsi_connection_coding_kind(const vestry_connection *connection) {
  /* acquire pairs with the release of the state after the coder was set (runner.c) */
  bool has_begun = atomic_load_explicit(&connection->state, memory_order_acquire) != VESTRY_STATE_OPENING;
  const vsi_coder *coder = has_begun ? vsi_connection_coder(connection) : NULL;
  return coder ? coder->coding->kind : VSI_CODING_IDENTITY;
}

void vestry_connection_stats_get(const vestry_connection *connection, vestry_connection_stats *ret_stats) {
#define READ(field) atomic_load_explicit(&connection->field, memory_order_relaxed)
  vestry_connection_stats stats = {
      .accepted_count = READ(accepted_count),
      .conflated_count = READ(conflated_count),
      .conflated_bytes = READ(conflated_bytes),
      .written_count = READ(written_count),
      .written_bytes = READ(written_bytes),
      .discarded_count = READ(discarded_count),
      .discarded_bytes = READ(discarded_bytes),
      .refused_count = READ(refused_count),
      .heartbeats_count = READ(heartbeats_count),
      .writes_count = READ(writes_count),
      .wire_bytes = READ(wire_bytes),
      .opened_ns = connection->opened_ns,
      .last_write_ns = READ(last_write_ns),
      .state = vsi_connection_state(connection),
      .cause = vsi_connection_cause(connection),
  };
  if (vsi_connection_coding_kind(connection) != VSI_CODING_IDENTITY) stats.followed_count = READ(coder->followed_count);
#undef READ
  vsi_queue_load(&connection->queue, &stats.queued_count, &stats.queued_bytes, NULL);
  stats.accepted_bytes = stats.written_bytes + stats.discarded_bytes + stats.conflated_bytes + stats.queued_bytes;
  if (ret_stats) *ret_stats = stats;
}
