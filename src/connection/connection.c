/* Connections as their holders see them: references, sending, closing, statistics. */
#include "connection/connection.h"

#include "base/memory.h"
#include "base/options.h"
#include "event/target.h"
#include "runtime/runtime.h"

_Static_assert(sizeof(vsi_delivery) <= VSI_DELIVERY_COST / 2, "the other half is the event's head and the allocator's");

enum { DEFAULT_QUEUED_COUNT = 1024, DEFAULT_HEARTBEAT_MS = 15000 };
#define DEFAULT_QUEUED_BYTES ((size_t)1 << 20)

vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options) {
  static const vestry_connection_options none = {0};
  vestry_connection_options own;
  if (VSI_OPTIONS_TAKE(own, options)) return VESTRY_INVALID;
  if (!defaults) defaults = &none;
  vestry_connection_options made = {.size = sizeof made};
#define PICK(field, fallback) made.field = own.field ? own.field : defaults->field ? defaults->field : (fallback)
  PICK(max_queued_count, DEFAULT_QUEUED_COUNT);
  PICK(max_queued_bytes, DEFAULT_QUEUED_BYTES);
  PICK(full, VESTRY_FULL_CLOSE);
  PICK(heartbeat_ms, DEFAULT_HEARTBEAT_MS);
#undef PICK
  if (made.max_queued_count > VSI_QUEUE_MAX_COUNT || made.max_queued_bytes > VSI_QUEUE_MAX_BYTES) return VESTRY_INVALID;
  if (made.full < VESTRY_FULL_CLOSE || made.full > VESTRY_FULL_CONFLATE) return VESTRY_INVALID;
  *ret_options = made;
  return VESTRY_OK;
}

vestry_err vsi_connection_create(const vsi_environment *environment, const vestry_transport_ops *ops, void *transport,
                                 const vestry_connection_options *options, const vsi_connection_hooks *hooks,
                                 void *hooks_ctx, vestry_connection **ret_connection) {
  static const vsi_connection_hooks none = {.on_open = NULL};
  if (!ops || !VSI_OPS_ARE_KNOWN(ops) || !ops->open || !ops->write || !ops->end || !ops->release) return VESTRY_INVALID;
  const vestry_host *host = environment->host;
  vestry_connection *connection = vsi_calloc(host, 1, sizeof *connection);
  if (!connection) return VESTRY_NO_MEMORY;
  vsi_actor_init_held(&connection->actor, ops->wake ? &vsi_connection_parked : &vsi_connection_pooled,
                      &environment->runtime->pool);
  vsi_queue_init(&connection->queue);
  vsi_close_list_init(&connection->at_close);
  /* The caller's; that of its own life, which vsi_connection_finish drops; the held actor's. */
  atomic_init(&connection->refs, 3);
  atomic_init(&connection->state, VESTRY_STATE_OPENING);
  atomic_init(&connection->telling, 0);
  connection->full = (uint8_t)options->full;
  connection->max_queued_count = options->max_queued_count;
  connection->max_queued_bytes = (uint32_t)options->max_queued_bytes;
  connection->heartbeat_ms = options->heartbeat_ms < UINT32_MAX ? (uint32_t)options->heartbeat_ms : UINT32_MAX;
  connection->ops = ops;
  connection->transport = transport;
  connection->hooks = hooks ? hooks : &none;
  connection->hooks_ctx = hooks_ctx;
  connection->opened_ns = vsi_now_ns(host);
  vsi_timer_init(&connection->timer, vsi_connection_timer_fired);
  connection->environment = environment;
  if (connection->full == VESTRY_FULL_CONFLATE && vsi_conflation_create(host, &connection->conflation)) {
    vsi_free(host, connection);
    return VESTRY_NO_MEMORY;
  }
  *ret_connection = connection;
  return VESTRY_OK;
}

void vsi_connection_discard(vestry_connection *connection) {
  const vsi_environment *environment = connection->environment;
  vsi_coder_free(connection->coder);
  vsi_conflation_destroy(environment->host, connection->conflation);
  vsi_free(environment->host, connection);
  environment->let_go(environment);
}

void vsi_connection_encode(vestry_connection *connection, vsi_coder *coder) {
  connection->coder = coder;
}

/* acquire pairs with the release of the state (runner.c), which comes behind the coder. */
bool vsi_connection_may_encode(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->state, memory_order_acquire) == VESTRY_STATE_OPENING || connection->coder;
}

void vsi_connection_start(vestry_connection *connection) {
  vsi_actor_notify(&connection->actor);
  vsi_actor_release(&connection->actor);
}

vestry_connection *vestry_connection_ref(vestry_connection *connection) {
  atomic_fetch_add_explicit(&connection->refs, 1, memory_order_relaxed); /* who refs holds one already */
  return connection;
}

vestry_connection *vestry_connection_unref(vestry_connection *connection) {
  if (!connection) return NULL;
  /* acq_rel: the last one sees all that the others did */
  if (atomic_fetch_sub_explicit(&connection->refs, 1, memory_order_acq_rel) != 1) return NULL;
  connection->ops->release(connection->transport);
  if (connection->hooks->on_free) connection->hooks->on_free(connection->environment->host, connection->hooks_ctx);
  vsi_connection_discard(connection);
  return NULL;
}

uint64_t vestry_connection_id(const vestry_connection *connection) {
  return connection->id;
}

vestry_cause vestry_connection_cause(const vestry_connection *connection) {
  /* acquire pairs with the swap in close */
  return (vestry_cause)atomic_load_explicit(&connection->cause, memory_order_acquire);
}

vestry_connection_state vestry_connection_state_get(const vestry_connection *connection) {
  /* acquire pairs with the runner's release stores */
  vestry_connection_state state =
      (vestry_connection_state)atomic_load_explicit(&connection->state, memory_order_acquire);
  if (state != VESTRY_STATE_CLOSED && vestry_connection_cause(connection)) return VESTRY_STATE_CLOSING;
  return state;
}

bool vestry_connection_is_open(const vestry_connection *connection) {
  return vestry_connection_cause(connection) == VESTRY_CAUSE_NONE;
}

const vestry_host *vsi_connection_host(const vestry_connection *connection) {
  return connection->environment->host;
}

static void hurry(vestry_connection *connection, uint8_t how) {
  /* A closed connection has no runner. relaxed: if it closes just after this load, one notify is in vain. */
  if (atomic_load_explicit(&connection->state, memory_order_relaxed) == VESTRY_STATE_CLOSED) return;
  uint8_t before = atomic_load_explicit(&connection->hurry, memory_order_relaxed);
  while (before < how) /* relaxed: the notify hands it over */
    if (atomic_compare_exchange_weak_explicit(&connection->hurry, &before, how, memory_order_relaxed,
                                              memory_order_relaxed))
      break;
  vsi_actor_notify(&connection->actor);
}

void vsi_connection_hurry(vestry_connection *connection) {
  hurry(connection, VSI_HURRY_NOW);
}

/* The stream's socket is the parent's, and so is its runner. A closed connection that somebody holds outlives its
 * runtime, so that one is not asked. (relaxed: a holder that outlives the runtime saw it end.) */
static bool is_forked(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->state, memory_order_relaxed) != VESTRY_STATE_CLOSED &&
         vsi_runtime_is_forked(connection->environment->runtime);
}

bool vestry_connection_close(vestry_connection *connection, vestry_cause cause) {
  if (is_forked(connection) || cause == VESTRY_CAUSE_NONE || (unsigned)cause >= VESTRY_CAUSE_COUNT) return false;
  uint8_t none = VESTRY_CAUSE_NONE;
  /* The door. acq_rel pairs with vestry_connection_cause: whoever sees the cause sees what led to it. */
  if (!atomic_compare_exchange_strong_explicit(&connection->cause, &none, (uint8_t)cause, memory_order_acq_rel,
                                               memory_order_acquire)) {
    if (vsi_cause_is_of_peer(cause)) hurry(connection, VSI_HURRY_NOW); /* what waits for the peer waits in vain */
    if (cause == VESTRY_CAUSE_SHUTDOWN) hurry(connection, VSI_HURRY_SOON);
    return false;
  }
  vsi_queue_shut(&connection->queue);
  vsi_actor_notify(&connection->actor);
  return true;
}

/* What was accepted and is in the queue no more, from the word that counts the room: whoever sees an event settled
 * finds its room, and that of the budget, which was given back before. An event is in the word before it is accepted.
 * So the count of those that are accepted is read first (acquire: the word behind it), and others who send meanwhile
 * make the answer too small, never too large; their events bring a run of the runner's, which looks again. */
uint64_t vsi_connection_settled(const vestry_connection *connection) {
  uint64_t accepted = atomic_load_explicit(&connection->accepted_count, memory_order_acquire);
  uint32_t queued;
  vsi_queue_load(&connection->queue, &queued, NULL, NULL);
  return accepted > queued ? accepted - queued : 0;
}

/* No fence is needed: the whole run that follows the notify sees the flag, and what was written before it. */
void vsi_connection_await_written(vestry_connection *connection) {
  atomic_store_explicit(&connection->is_awaited, true, memory_order_relaxed);
  vsi_actor_notify(&connection->actor);
}

vestry_err vsi_connection_at_close(vestry_connection *connection, vsi_close_node *node) {
  return vsi_close_list_add(&connection->at_close, node);
}

bool vsi_connection_cancel_at_close(vestry_connection *connection, vsi_close_node *node) {
  return vsi_close_list_remove(&connection->at_close, node);
}

static void free_chain(const vestry_host *host, vsi_delivery *delivery) {
  while (delivery) {
    vsi_delivery *next = vsi_delivery_next(delivery);
    vestry_event_unref(delivery->event);
    vsi_free(host, delivery);
    delivery = next;
  }
}

static vestry_err try_reserve(vestry_connection *connection, size_t count, size_t bytes) {
  vsi_budget *budget = connection->environment->budget;
  uint64_t cost = vsi_budget_cost(count, bytes);
  if (cost > budget->max) return VESTRY_TOO_LARGE;
  if (!vsi_budget_take(budget, cost)) return VESTRY_FULL;
  vestry_err error = vsi_queue_reserve(&connection->queue, (uint32_t)count, bytes, connection->max_queued_count,
                                       connection->max_queued_bytes);
  if (error) vsi_budget_give_back(budget, cost);
  return error;
}

static vestry_err reserve(vestry_connection *connection, size_t count, size_t bytes) {
  enum { TRIES = 3 }; /* others may be faster to take the room that was made */
  vestry_err error = try_reserve(connection, count, bytes);
  for (int i = 0; connection->conflation && error == VESTRY_FULL && i < TRIES; i++) {
    vsi_connection_conflate(connection);
    error = try_reserve(connection, count, bytes);
  }
  if (error == VESTRY_FULL) atomic_fetch_add_explicit(&connection->refused_count, count, memory_order_relaxed);
  return error;
}

vestry_err vsi_connection_post(vestry_connection *connection, vsi_delivery *first) {
  if (!vestry_connection_is_open(connection) || is_forked(connection)) return VESTRY_CLOSED;
  size_t count = 0, bytes = 0;
  vsi_delivery *last = NULL;
  for (vsi_delivery *at = first; at; at = vsi_delivery_next(at)) {
    size_t len = vestry_event_bytes(at->event).len;
    if (len > connection->max_queued_bytes - bytes || count == connection->max_queued_count) return VESTRY_TOO_LARGE;
    bytes += len;
    count++;
    last = at;
  }
  if (connection->conflation && count == 1)
    (void)vsi_event_target(first->event); /* read once for all, here, not by the runner */
  vestry_err error = reserve(connection, count, bytes);
  if (error) return error;
  atomic_fetch_add_explicit(&connection->accepted_count, count, memory_order_relaxed);
  atomic_fetch_add_explicit(&connection->accepted_bytes, bytes, memory_order_relaxed);
  vsi_queue_put_chain(&connection->queue, first, last); /* release: the runner that takes them sees the counts */
  return VESTRY_OK;
}

static void relieve(const vsi_environment *environment) {
  if (vsi_budget_is_pressed(environment->budget)) environment->relieve(environment);
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
  if (delivery && (vestry_event_retry(host, retry_ms, &delivery->event) || vsi_connection_post(connection, delivery)))
    free_chain(host, delivery);
  bool decided = vestry_connection_close(connection, VESTRY_CAUSE_DRAIN);
  if (!decided) vsi_actor_notify(&connection->actor); /* whoever was first may have roused it before the post */
  return decided;
}

/* A chain of deliveries of events; NULL: no memory. */
static vsi_delivery *make_chain(const vestry_host *host, vestry_event *const *events, size_t count) {
  vsi_delivery *first = NULL, *last = NULL;
  for (size_t i = 0; i < count; i++) {
    vsi_delivery *delivery = vsi_alloc(host, sizeof *delivery);
    if (!delivery) {
      free_chain(host, first);
      return NULL;
    }
    *delivery = (vsi_delivery){.event = vestry_event_ref(events[i]), .is_of_batch = count > 1};
    if (last)
      vsi_delivery_link(last, delivery);
    else
      first = delivery;
    last = delivery;
  }
  return first;
}

static vestry_err put_all(vestry_connection *connection, vestry_event *const *events, size_t count) {
  if (!vestry_connection_is_open(connection)) return VESTRY_CLOSED;
  const vestry_host *host = connection->environment->host;
  vsi_delivery *chain = make_chain(host, events, count); /* memory first, room second: what is reserved must be put */
  vestry_err error = chain ? vsi_connection_post(connection, chain) : VESTRY_NO_MEMORY;
  if (error) free_chain(host, chain);
  return error;
}

void vsi_connection_give_signs(vestry_connection *connection) {
  connection->signs = true;
}

vestry_err vsi_connection_put(vestry_connection *connection, vestry_event *event) {
  return put_all(connection, &event, 1);
}

vestry_err vestry_connection_send_all(vestry_connection *connection, vestry_event *const *events, size_t count) {
  if (!count) return VESTRY_INVALID;
  vestry_err error = put_all(connection, events, count);
  vsi_connection_posted(connection, error);
  return error;
}

vestry_err vsi_connection_send_here(vestry_connection *connection, vestry_event *const *events, size_t count) {
  vestry_err error = put_all(connection, events, count);
  if (error) {
    vsi_connection_posted(connection, error);
    return error;
  }
  if (vsi_actor_enter(&connection->actor)) {
    vsi_connection_visit(connection);
    vsi_actor_release(&connection->actor);
  }
  relieve(connection->environment);
  return VESTRY_OK;
}

vestry_err vestry_connection_send(vestry_connection *connection, vestry_event *event) {
  return vestry_connection_send_all(connection, &event, 1);
}

vestry_err vsi_connection_send_made(vestry_connection *connection, vestry_err error, vestry_event *event) {
  if (error) return vsi_connection_refused(connection, error);
  error = vestry_connection_send(connection, event);
  vestry_event_unref(event);
  return error;
}

void vestry_connection_stats_get(const vestry_connection *connection, vestry_connection_stats *ret_stats) {
#define READ(field) atomic_load_explicit(&connection->field, memory_order_relaxed)
  vestry_connection_stats stats = {
      .accepted_count = READ(accepted_count),
      .accepted_bytes = READ(accepted_bytes),
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
      .state = vestry_connection_state_get(connection),
      .cause = vestry_connection_cause(connection),
  };
  /* The coder comes when others can find the connection already, but before the start: acquire pairs with the release
   * of the state behind that (runner.c). */
  bool has_begun = atomic_load_explicit(&connection->state, memory_order_acquire) != VESTRY_STATE_OPENING;
  if (has_begun && connection->coder) stats.followed_count = READ(coder->followed_count);
  if (connection->conflation) {
    stats.conflated_count = READ(conflation->conflated_count);
    stats.barriers_count = READ(conflation->barriers_count);
    stats.kept_count = READ(conflation->kept_count);
    stats.forgotten_count = READ(conflation->forgotten_count);
    stats.conflated_bytes = READ(conflation->conflated_bytes);
  }
#undef READ
  vsi_queue_load(&connection->queue, &stats.queued_count, &stats.queued_bytes, NULL);
  VSI_RESULT_GIVE(ret_stats, stats);
}
