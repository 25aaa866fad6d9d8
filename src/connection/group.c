/* SPDX-License-Identifier: MIT */
/* All connections of one instance: a list in the order of their ids, and the sums of the counters of connections that
 * have left it. A walk visits the connections in this order, and keeps its place while connections enter and leave.
 * Walks close all connections at once, close them gradually (a drain), and add up their counters.
 *
 * If all queues together hold nearly the maximum of the budget, connections are closed. The connection that holds the
 * most bytes is closed first. The queue of a stream that is not read grows, and the queue of a stream that is read
 * stays small. So stalled streams are closed. Connections are filed by the bytes that they hold, in ranks
 * (base/load.h). A sender files a connection in a higher rank when it holds more than its rank stands for. The thread
 * that looks for room files a connection in a lower rank when it finds that the connection holds less. So a send takes
 * the lock only if the queue outgrows its rank, and a search does not walk past all other connections.
 *
 * A closed connection releases its memory a little later. Until then its bytes count as `going`, that is, as free
 * (queue.c), because otherwise one burst would close more connections than necessary. (A connection inside
 * a blocking write keeps its bytes until the write returns. Meanwhile the other connections have less room, but no
 * other connection is closed to make up for these bytes.) One thread searches at a time. Other threads that find the
 * budget under pressure do not wait for the search. */
#include "connection/group.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <sys/queue.h>

#include "base/assert.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/refs.h"
#include "base/wait.h"
#include "connection/runner.h"
#include "connection/send.h"
#include "event/layout.h"
#include "runtime/runtime.h"

enum { SOUGHT = 16, STEPS_A_LOCK = 256 };
/* The heartbeat of connections whose page checks that its stream is alive: an empty signals patch changes nothing, but
 * the client reports it to the page (app/stream/stream.c). */
static const char sign[] = "{}";

/* ------------------------------------------------------------------------------------- creating a connection ---- */

enum { DEFAULT_QUEUED_COUNT = 1024, DEFAULT_HEARTBEAT_MS = 15000 };

vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options) {
  static const vestry_connection_options none = {0};
  vestry_connection_options own = options ? *options : (vestry_connection_options){0};
  if (!defaults) defaults = &none;
  vestry_connection_options made = {0};
#define PICK(field, fallback) made.field = own.field ? own.field : defaults->field ? defaults->field : (fallback)
  PICK(max_queued_count, DEFAULT_QUEUED_COUNT);
  PICK(max_queued_bytes, VSI_DEFAULT_QUEUED_BYTES);
  PICK(full, VESTRY_FULL_CLOSE);
  PICK(heartbeat_ms, DEFAULT_HEARTBEAT_MS);
#undef PICK
  if (made.max_queued_count > VSI_QUEUE_MAX_COUNT || made.max_queued_bytes > VSI_QUEUE_MAX_BYTES) return VESTRY_INVALID;
  if (made.full < VESTRY_FULL_CLOSE || made.full > VESTRY_FULL_DROP) return VESTRY_INVALID;
  *ret_options = made;
  return VESTRY_OK;
}

/* Create a connection; on failure the transport is untouched. options: resolved. OK | INVALID (ops) | NO_MEMORY */
static vestry_err create(const vsi_environment *environment, const vestry_transport_ops *ops, void *transport,
                         const vestry_connection_options *options, const vsi_connection_hooks *hooks, void *given,
                         vestry_connection **ret_connection) {
  static const vsi_connection_hooks none = {.on_open = NULL};
  if (!ops || !ops->open || !ops->write || !ops->end || !ops->release) return VESTRY_INVALID;
  const vestry_host *host = environment->host;
  if (!hooks) hooks = &none;
  vestry_connection *connection =
      vsi_calloc(host, 1, sizeof *connection + (hooks->make ? hooks->bytes(given) : sizeof given));
  if (!connection) return VESTRY_NO_MEMORY;
  vsi_actor_init_held(&connection->actor, ops->wake ? &vsi_connection_dedicated : &vsi_connection_pooled,
                      &environment->runtime->pool);
  vsi_queue_init(&connection->queue);
  TAILQ_INIT(&connection->taken);
  /* Three references: of the caller; of the connection itself, which finish in runner.c drops; of the held actor. */
  VSI_REFS_INIT(&connection->refs, 3);
  atomic_init(&connection->state, VESTRY_STATE_OPENING);
  connection->full = (uint8_t)options->full;
  connection->queue.max_count = options->max_queued_count;
  connection->max_queued_bytes = (uint32_t)options->max_queued_bytes;
  connection->heartbeat_ms = options->heartbeat_ms < UINT32_MAX ? (uint32_t)options->heartbeat_ms : UINT32_MAX;
  connection->ops = ops;
  connection->transport = transport;
  connection->hooks = hooks;
  connection->opened_ns = vsi_now_ns(host);
  vsi_timer_init(&connection->timer, vsi_connection_timer_fired);
  connection->environment = environment;
  if (hooks->make)
    hooks->make(connection->context, given);
  else
    *(void **)(void *)connection->context = given;
  *ret_connection = connection;
  return VESTRY_OK;
}

/* -------------------------------------------------------------------------------------------------- the group ---- */

struct vsi_group {
  vsi_environment environment; /* first member: an environment is its group */
  vestry_connection_options defaults;
  vsi_codings *codings;
  vsi_refs refs;
  vsi_mutex lock;                       /* see docs/locking.md; no function is called while it is held */
  pthread_cond_t left;                  /* a connection has left, or the last hold was released */
  TAILQ_HEAD(, vestry_connection) list; /* guarded by lock; ascending ids */
  vsi_group_walk *walks;                /* guarded by lock: the active walks, which keep their places in the list */
  bool closed;                          /* guarded by lock: no connection is accepted */
  bool is_ending;                       /* guarded by lock: vsi_group_close was called */
  size_t holds_count;                   /* guarded by lock: threads between vsi_group_hold and vsi_group_release */
  vsi_loads loads;                      /* guarded by lock: connections whose queues hold something, or held something
                                           when they were last checked */
  vsi_group_stats totals;               /* guarded by lock; events: of connections that have left */
  _Atomic(uint32_t) waiting_count;      /* threads that wait to change the list; relaxed */
  _Atomic(bool) relieving;              /* a thread closes connections: a try-lock */
  vsi_budget budget;
  vsi_group_tally tally;
};

static vsi_group *group_of(const vsi_environment *environment) {
  return (vsi_group *)(uintptr_t)environment;
}

vsi_group *vsi_group_ref(vsi_group *group) {
  VSI_REFS_TAKE(&group->refs);
  return group;
}

void vsi_group_unref(vsi_group *group) {
  if (!group || !VSI_REFS_DROP(&group->refs)) return;
  vestry_event_unref(group->environment.heartbeat);
  vestry_event_unref(group->environment.sign);
  if (VSI_ENCODES) vsi_codings_destroy(group->codings);
  pthread_cond_destroy(&group->left);
  vsi_mutex_finish(&group->lock);
  vsi_free(group->environment.host, group);
}

const vsi_environment *vsi_group_environment(const vsi_group *group) {
  return &group->environment;
}
bool vsi_group_has(const vsi_group *group, const vestry_connection *connection) {
  return connection->environment == &group->environment;
}
uint64_t vsi_group_heartbeat_ms(const vsi_group *group) {
  return group->defaults.heartbeat_ms;
}
void vsi_group_own(vsi_group *group, void *owner) {
  group->environment.owner = owner;
}
void vsi_group_limit(vsi_group *group, size_t max_queued_bytes) {
  vsi_budget_init(&group->budget, max_queued_bytes);
}
vsi_codings *vsi_group_codings(const vsi_group *group) {
  return group->codings;
}

static void begin_walk_locked(vsi_group *group, vsi_group_walk *walk, vsi_group_stats *sums) {
  *walk = (vsi_group_walk){TAILQ_FIRST(&group->list), group->walks, sums, group->totals.opened};
  group->walks = walk;
}

static void end_walk_locked(vsi_group *group, const vsi_group_walk *walk) {
  vsi_group_walk **at = &group->walks;
  while (*at != walk) at = &(*at)->other;
  *at = walk->other;
}

void vsi_group_walk_begin(vsi_group *group, vsi_group_walk *walk) {
  vsi_mutex_lock(&group->lock);
  begin_walk_locked(group, walk, NULL);
  vsi_mutex_unlock(&group->lock);
}

void vsi_group_walk_end(vsi_group *group, vsi_group_walk *walk) {
  vsi_mutex_lock(&group->lock);
  end_walk_locked(group, walk);
  vsi_mutex_unlock(&group->lock);
}

/* Move all walks that are at one connection to another. */
static void move_walks_locked(vsi_group *group, const vestry_connection *from, vestry_connection *to) {
  for (vsi_group_walk *at = group->walks; at; at = at->other)
    if (at->next == from) at->next = to;
}

/* Lock the group to change the list. A walk takes the lock repeatedly, and could starve a thread that waits here.
 * Therefore it first yields to waiting threads (let_changes_in). */
static void lock_to_change(vsi_group *group) {
  if (vsi_mutex_try(&group->lock)) return;
  atomic_fetch_add_explicit(&group->waiting_count, 1, memory_order_relaxed); /* relaxed: only a hint */
  vsi_mutex_lock(&group->lock);
  atomic_fetch_sub_explicit(&group->waiting_count, 1, memory_order_relaxed);
}

static void let_changes_in(vsi_group *group) {
  enum { PATIENCE = 64 };
  for (int i = 0; i < PATIENCE && atomic_load_explicit(&group->waiting_count, memory_order_relaxed); i++) sched_yield();
}

/* Give a connection its id and append it. Returns false if the group is closed. */
static bool enter(vsi_group *group, vestry_connection *connection) {
  lock_to_change(group);
  const bool enters = !group->closed;
  if (enters) {
    connection->id = ++group->totals.opened;
    group->totals.open++;
    TAILQ_INSERT_TAIL(&group->list, connection, in_group);
    move_walks_locked(group, NULL, connection); /* walks at the end of the list continue here */
  }
  vsi_mutex_unlock(&group->lock);
  return enters;
}

vestry_err vsi_group_connect(vsi_group *group, const vestry_transport_ops *ops, void *transport,
                             const vestry_connection_options *options, const vsi_connection_hooks *hooks, void *given,
                             vestry_connection **ret_connection) {
  if (!group || !ret_connection) return VESTRY_INVALID;
  vestry_connection_options made;
  vestry_err error = vsi_connection_options_resolve(options, &group->defaults, &made);
  if (error) return error;
  vestry_connection *connection;
  error = create(&group->environment, ops, transport, &made, hooks, given, &connection);
  if (error) return error;
  vsi_group_ref(group); /* held by the connection */
  if (!enter(group, connection)) {
    vsi_connection_discard(connection);
    return VESTRY_CLOSED;
  }
  *ret_connection = connection;
  return VESTRY_OK;
}

static void add_events_locked(vsi_group_stats *sum, const vestry_connection *connection) {
#define READ(field) atomic_load_explicit(&connection->field, memory_order_relaxed)
  const uint64_t written_bytes = READ(written_bytes), wire_bytes = READ(wire_bytes);
  sum->accepted += READ(accepted_count);
  sum->written += READ(written_count);
  sum->conflated += READ(conflated_count);
  sum->discarded += READ(discarded_count);
  sum->refused += READ(refused_count);
  sum->heartbeats += READ(heartbeats_count);
#undef READ
  sum->written_bytes += written_bytes;
  sum->wire_bytes += wire_bytes;
  const vsi_coding_kind kind = vsi_connection_coding_kind(connection);
  sum->event_bytes_by[kind] += written_bytes;
  sum->wire_bytes_by[kind] += wire_bytes;
}

/* Add the counters of a leaving connection to the sums of walks that have yet to reach it. A walk has already counted
 * all connections before its next one. */
static void meet_locked(vsi_group *group, const vestry_connection *connection) {
  for (vsi_group_walk *at = group->walks; at; at = at->other)
    if (at->sums && connection->id <= at->last_id && at->next && at->next->id <= connection->id)
      add_events_locked(at->sums, connection);
}

static void ended(const vsi_environment *environment, vestry_connection *connection) {
  vsi_group *group = group_of(environment);
  const uint64_t age_ms = (vsi_now_ns(environment->host) - connection->opened_ns) / 1000000;
  lock_to_change(group);
  meet_locked(group, connection);
  vsi_histogram_add(&group->tally.ages, &vsi_ages, age_ms);
  move_walks_locked(group, connection, TAILQ_NEXT(connection, in_group));
  TAILQ_REMOVE(&group->list, connection, in_group);
  vsi_loads_file(&group->loads, &connection->load, &connection->place, 0);
  VSI_ASSERT(group->totals.open > 0);
  group->totals.open--;
  group->totals.closed++;
  group->totals.closed_by_cause[vsi_connection_cause(connection)]++;
  add_events_locked(&group->totals, connection);
  pthread_cond_broadcast(&group->left);
  vsi_mutex_unlock(&group->lock);
}

size_t vsi_group_walk_next(vsi_group *group, vsi_group_walk *walk, size_t limit,
                           vestry_connection *chunk[VSI_GROUP_CHUNK]) {
  size_t count = 0;
  let_changes_in(group);
  vsi_mutex_lock(&group->lock);
  for (; walk->next && count < limit; walk->next = TAILQ_NEXT(walk->next, in_group))
    chunk[count++] = vestry_connection_ref(walk->next);
  vsi_mutex_unlock(&group->lock);
  return count;
}

vestry_connection *vsi_group_find(vsi_group *group, uint64_t id) {
  vsi_group_walk walk;
  vsi_mutex_lock(&group->lock);
  begin_walk_locked(group, &walk, NULL);
  for (int steps = 1; walk.next && walk.next->id < id; steps++) {
    walk.next = TAILQ_NEXT(walk.next, in_group);
    if (steps % VSI_GROUP_CHUNK) continue;
    vsi_mutex_unlock(&group->lock);
    let_changes_in(group);
    vsi_mutex_lock(&group->lock);
  }
  vestry_connection *found = walk.next && walk.next->id == id ? vestry_connection_ref(walk.next) : NULL;
  end_walk_locked(group, &walk);
  vsi_mutex_unlock(&group->lock);
  return found;
}

/* A connection that has ended holds nothing, so it is not filed again. */
static void grew(const vsi_environment *environment, vestry_connection *connection) {
  vsi_group *group = group_of(environment);
  vsi_mutex_lock(&group->lock);
  uint8_t rank = vsi_load_rank(vsi_connection_held(connection));
  if (rank > vsi_load_rank_of(&connection->place))
    vsi_loads_file(&group->loads, &connection->load, &connection->place, rank);
  vsi_mutex_unlock(&group->lock);
}

static bool is_going(const vestry_connection *connection) {
  return !vsi_cause_flushes(vsi_connection_cause(connection)) ||
         atomic_load_explicit(&connection->hurry, memory_order_relaxed) == VSI_HURRY_NOW;
}

/* Find at most SOUGHT connections whose queues hold the most, in descending order, and take a reference to each.
 * Connections that hold nothing, or are about to release all they hold, are omitted. ret_more: there may be others. */
static size_t find_largest(vsi_group *group, vestry_connection *largest[SOUGHT], bool *ret_more) {
  size_t count = 0, steps = 0;
  uint64_t held[SOUGHT];
  vsi_mutex_lock(&group->lock);
  vsi_load *at = vsi_loads_largest(&group->loads);
  for (vsi_load *next; at && count < SOUGHT && steps < STEPS_A_LOCK; at = next, steps++) {
    vestry_connection *connection = VSI_LOAD_OWNER(at, vestry_connection, load);
    uint64_t holds = is_going(connection) ? 0 : vsi_connection_held(connection);
    uint8_t rank = vsi_load_rank(holds);
    /* It held more when it was filed. The search meets it again further down. */
    if (rank < vsi_load_rank_of(&connection->place)) {
      next = vsi_loads_refile(&group->loads, at, &connection->place, rank);
      continue;
    }
    next = vsi_loads_next(&group->loads, at, vsi_load_rank_of(&connection->place));
    size_t place = count++;
    for (; place && held[place - 1] < holds; place--) {
      held[place] = held[place - 1];
      largest[place] = largest[place - 1];
    }
    held[place] = holds;
    largest[place] = vestry_connection_ref(connection);
  }
  *ret_more = at != NULL;
  vsi_mutex_unlock(&group->lock);
  return count;
}

static void relieve(const vsi_environment *environment) {
  vsi_group *group = group_of(environment);
  const vsi_budget *budget = &group->budget;
  /* acquire pairs with the release below: the next thread sees what the previous one has closed */
  if (atomic_exchange_explicit(&group->relieving, true, memory_order_acquire)) return;
  for (bool more = true; more && vsi_budget_is_pressed(budget);) {
    vestry_connection *largest[SOUGHT];
    size_t count = find_largest(group, largest, &more);
    for (size_t i = 0; i < count; i++) {
      /* A connection that is ending already keeps its cause, and may still wait for its peer. Such an end is
       * hurried. */
      if (vsi_budget_is_pressed(budget) && !vestry_connection_close(largest[i], VESTRY_CAUSE_BUDGET))
        vsi_connection_hurry(largest[i], VSI_HURRY_NOW);
      vestry_connection_unref(largest[i]);
    }
  }
  atomic_store_explicit(&group->relieving, false, memory_order_release);
}

static void let_go(const vsi_environment *environment) {
  vsi_group_unref(group_of(environment));
}

vestry_err vsi_group_create(vestry_runtime *runtime, const vestry_connection_options *defaults, vsi_group **ret_group) {
  vestry_connection_options made;
  vestry_err error = vsi_connection_options_resolve(defaults, NULL, &made);
  if (error) return error;
  const vestry_host *host = runtime->host;
  vsi_group *group = vsi_calloc(host, 1, sizeof *group);
  if (!group) return VESTRY_NO_MEMORY;
  group->environment = (vsi_environment){.host = host,
                                         .runtime = runtime,
                                         .budget = &group->budget,
                                         .tally = &group->tally,
                                         .grew = grew,
                                         .relieve = relieve,
                                         .ended = ended,
                                         .let_go = let_go};
  group->defaults = made;
  VSI_REFS_INIT(&group->refs, 1);
  TAILQ_INIT(&group->list);
  vsi_loads_init(&group->loads);
  vsi_budget_init(&group->budget, 0);
  vsi_mutex_init(&group->lock, VSI_LOCK_GROUP);
  pthread_cond_init(&group->left, NULL);
  error = vsi_event_comment(host, NULL, &group->environment.heartbeat);
  if (!error) error = vsi_event_signals_text(host, sign, sizeof sign - 1, NULL, &group->environment.sign);
  if (!error && VSI_ENCODES) error = vsi_codings_create(host, &group->codings);
  if (error)
    vsi_group_unref(group);
  else
    *ret_group = group;
  return error;
}

uint64_t vsi_group_refuse(vsi_group *group) {
  vsi_mutex_lock(&group->lock);
  group->closed = true;
  uint64_t open = group->totals.open;
  vsi_mutex_unlock(&group->lock);
  return open;
}

bool vsi_group_hold(vsi_group *group) {
  vsi_mutex_lock(&group->lock);
  const bool is_held = !group->is_ending;
  group->holds_count += is_held;
  vsi_mutex_unlock(&group->lock);
  return is_held;
}

void vsi_group_release(vsi_group *group) {
  vsi_mutex_lock(&group->lock);
  if (!--group->holds_count && group->is_ending) pthread_cond_broadcast(&group->left);
  vsi_mutex_unlock(&group->lock);
}

size_t vsi_group_walk_on(vsi_group *group, vsi_group_walk *walk, size_t limit, vsi_group_visit_fn visit, void *ctx) {
  vestry_connection *chunk[VSI_GROUP_CHUNK];
  size_t met = 0, wanted, count;
  do {
    wanted = limit - met < VSI_GROUP_CHUNK ? limit - met : VSI_GROUP_CHUNK;
    count = vsi_group_walk_next(group, walk, wanted, chunk);
    for (size_t i = 0; i < count; i++) {
      visit(chunk[i], ctx);
      vestry_connection_unref(chunk[i]);
    }
    met += count;
  } while (met < limit && count == wanted);
  return met;
}

void vsi_group_each(vsi_group *group, vsi_group_visit_fn visit, void *ctx) {
  vsi_group_walk walk;
  vsi_mutex_lock(&group->lock);
  begin_walk_locked(group, &walk, NULL);
  const size_t open_count = group->totals.open; /* those that are opened meanwhile are newer, and not visited */
  vsi_mutex_unlock(&group->lock);
  (void)vsi_group_walk_on(group, &walk, open_count, visit, ctx);
  vsi_group_walk_end(group, &walk);
}

static void shut_down(vestry_connection *connection, void *ctx) {
  (void)ctx;
  vestry_connection_close(connection, VESTRY_CAUSE_SHUTDOWN);
}

void vsi_group_close(vsi_group *group) {
  vsi_mutex_lock(&group->lock);
  group->closed = group->is_ending = true;
  vsi_mutex_unlock(&group->lock);
  vsi_group_each(group, shut_down, NULL);
}

vestry_err vsi_group_wait(vsi_group *group, uint64_t timeout_ms) {
  bool stepped = vsi_runtime_is_stepped(group->environment.runtime);
  while (stepped && vestry_runtime_step(group->environment.runtime)) continue;
  const uint64_t until_ns = stepped ? 0 : vsi_monotonic_in_ms(timeout_ms);
  for (uint64_t slow_ms = 2000, next_ns = vsi_monotonic_in_ms(slow_ms);; next_ns = vsi_monotonic_in_ms(slow_ms)) {
    const bool is_last = next_ns >= until_ns;
    vsi_mutex_lock(&group->lock);
    for (bool waiting = true; (group->totals.open || group->holds_count) && waiting;)
      waiting = vsi_wait_until(&group->left, &group->lock, is_last ? until_ns : next_ns);
    const uint64_t open = group->totals.open, holds = group->holds_count;
    vsi_mutex_unlock(&group->lock);
    if (!open && !holds) return VESTRY_OK;
    if (is_last) return VESTRY_TIMEOUT;
    vsi_log(group->environment.host, VESTRY_LOG_WARN,
            "vestry_stop: waits for %" PRIu64 " streams and %" PRIu64
            " renders: a hook, a write or a render blocks, or "
            "a server must be destroyed first",
            open, holds);
    slow_ms *= 2;
  }
}

void vsi_group_observe(vsi_group *group, bool observes) {
  atomic_fetch_add_explicit(&group->environment.observers_count, observes ? 1 : UINT32_MAX, memory_order_relaxed);
}

/* Add up to VSI_GROUP_CHUNK connections. Returns whether more are left. */
static bool add_chunk_locked(vsi_group_walk *walk) {
  for (int i = 0; i < VSI_GROUP_CHUNK && walk->next && walk->next->id <= walk->last_id; i++) {
    add_events_locked(walk->sums, walk->next);
    walk->next = TAILQ_NEXT(walk->next, in_group);
  }
  return walk->next && walk->next->id <= walk->last_id;
}

void vsi_group_stats_get(vsi_group *group, vsi_group_stats *ret_stats) {
  vsi_group_walk walk;
  vsi_mutex_lock(&group->lock);
  *ret_stats = group->totals; /* of connections that have left; meet_locked adds the connections that leave from now
                                 on */
  ret_stats->queued_bytes = atomic_load_explicit(&group->budget.used, memory_order_relaxed);
  ret_stats->queued_peak_bytes = atomic_load_explicit(&group->budget.peak, memory_order_relaxed);
  ret_stats->too_large = atomic_load_explicit(&group->tally.too_large_count, memory_order_relaxed);
  ret_stats->no_memory = atomic_load_explicit(&group->tally.no_memory_count, memory_order_relaxed);
  vsi_histogram_get(&group->tally.deliveries, &vsi_moments, &ret_stats->deliveries);
  vsi_histogram_get(&group->tally.changes, &vsi_moments, &ret_stats->changes);
  vsi_histogram_get(&group->tally.ages, &vsi_ages, &ret_stats->ages);
  begin_walk_locked(group, &walk, ret_stats);
  while (add_chunk_locked(&walk)) {
    vsi_mutex_unlock(&group->lock);
    let_changes_in(group);
    vsi_mutex_lock(&group->lock);
  }
  end_walk_locked(group, &walk);
  vsi_mutex_unlock(&group->lock);
}
