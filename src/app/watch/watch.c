/* SPDX-License-Identifier: MIT */
/* essay: when a step of a watch is due, and the end after its last step */
/* A watch is an actor whose run takes at most one step and checks all conditions anew, so the cause of a run does not
 * matter. The actor and its timer are embedded in the watcher, which is one allocation in the handler; no later
 * operation can fail for lack of memory.
 *
 * When a step is due. A step is due in three cases: the watch was woken, its deadline has come, or the last step set a
 * wait of 0. `is_due` stores this until the step is taken, so a run that must postpone the step does not lose it.
 *
 * No lost wake-up. A wake sets is_woken and notifies the actor; the run that clears is_woken takes a step or sets
 * is_due. A wake that finds is_woken set need not notify, because the wake that set it does. The run that clears
 * is_woken comes after both wakes. It sees everything that both threads wrote before their wakes, because both wrote
 * the word that the run reads. A wake during a step sets is_woken again, and another run follows (runtime/actor.c).
 *
 * Pacing. A step is postponed while more than ahead_count of the events that the stream had accepted when the last step
 * returned are not settled. The watch sets `awaits` and then requests a run of the connection's runner
 * (vsi_connection_await_written). A complete run of the runner follows, sees `awaits`, and notifies the watch in this
 * run or a later one. Therefore neither can sleep while the other waits for it. The condition is a count and not an
 * empty queue, so that another sender to the stream does not delay the watch.
 *
 * End. A step runs inside the connection (vsi_connection_enter): the connection cannot end before the step has left it,
 * and no thread can enter it after the end. So when the close list reports the end, no step is running and none will
 * run, and the end function is called at once. All code that ends a stream uses vestry_connection_close
 * (docs/architecture.md).
 *
 * Memory. A watcher is freed with its connection. Everything that may still use the watcher holds a reference to the
 * connection: the actor from READY to the end of the run, the armed timer, a subscription, and the application. */
#include "vestry/app/watch.h"

#include <stddef.h>

#include "base/log.h"
#include "base/memory.h"
#include "connection/connection.h"
#include "connection/refusal.h"
#include "http/reply.h"
#include "instance/stream_context.h"
#include "runtime/runtime.h"

struct vestry_watcher {
  vsi_attachment attachment; /* first */
  vsi_actor actor;
  vsi_timer timer;      /* while it is armed, it holds a reference to the connection */
  vsi_stream_part part; /* part of the stream context, from the beginning of the stream */
  struct vsi_watches *of;
  vestry_runtime *runtime;
  vestry_connection *connection; /* connection of the stream */
  vestry_watch_step_fn step;
  vestry_watch_end_fn end;
  void *ctx;
  uint64_t every_ns, pause_ns;
  _Atomic(uint64_t) mark; /* number of events accepted when the last step returned; relaxed */
  uint32_t ahead_count;
  _Atomic(bool) is_open;  /* the stream is open, so steps may be taken */
  _Atomic(bool) is_woken; /* set since the last step began */
  _Atomic(bool) awaits;   /* a step is due, and postponed until `mark` is reached */
  /* Used by the run only. */
  bool is_due;
  bool has_stepped;
  bool has_wait; /* this step has set wait_ms */
  uint64_t wait_ms;
  uint64_t deadline_ns; /* UINT64_MAX: none */
  uint64_t earliest_ns; /* earliest time of the next step */
  uint64_t first_ns;    /* time of the first step, from which every_ms counts */
};
_Static_assert(sizeof(struct vestry_watcher) <= 256, "what vestry/app/watch.h says");

/* The watches of an instance. */
typedef struct vsi_watches {
  vestry *v;
  _Atomic(uint64_t) begun, ended, steps, errors; /* counters; relaxed except `ended` */
} vsi_watches;

static vestry_watcher *watcher_of_part(vsi_stream_part *part) {
  return (vestry_watcher *)((char *)part - offsetof(vestry_watcher, part));
}

static vestry_watcher *watcher_of(vsi_actor *actor) {
  return (vestry_watcher *)((char *)actor - offsetof(vestry_watcher, actor));
}

static uint64_t now_of(const vestry_watcher *watcher) {
  return vsi_now_ns(watcher->runtime->host);
}

/* ------------------------------------------------------------------------------------------------- steps ---------- */

static void arm(vestry_watcher *watcher, uint64_t due_ns) {
  bool was_armed = false;
  if (due_ns == UINT64_MAX) return;
  vestry_connection_ref(watcher->connection); /* reference of the armed timer */
  vestry_err error = vsi_ticker_arm(&watcher->runtime->ticker, &watcher->timer, due_ns, 0, &was_armed);
  /* error: there are no timers any more; was_armed: the timer has a reference already */
  if (error || was_armed) vestry_connection_unref(watcher->connection);
}

static void timer_fired(vsi_timer *timer, vsi_notices *notices) {
  vestry_watcher *watcher = (vestry_watcher *)((char *)timer - offsetof(vestry_watcher, timer));
  (void)notices;
  vsi_actor_notify(&watcher->actor); /* the run checks the clock: the deadline may have changed */
  vestry_connection_unref(watcher->connection);
}

static bool is_written(const vestry_watcher *watcher, const vestry_connection *connection) {
  uint64_t mark = atomic_load_explicit(&watcher->mark, memory_order_relaxed);
  return vsi_connection_settled(connection) + watcher->ahead_count >= mark;
}

static void set_mark(vestry_watcher *watcher) {
  atomic_store_explicit(&watcher->mark, vsi_connection_accepted(watcher->connection), memory_order_relaxed);
}

/* Return the deadline after a step. */
static uint64_t next_deadline(const vestry_watcher *watcher) {
  uint64_t now = now_of(watcher);
  if (watcher->has_wait) return vsi_add_saturating(now, vsi_ms_to_ns(watcher->wait_ms));
  if (!watcher->every_ns) return UINT64_MAX;
  uint64_t since_tick = (now - watcher->first_ns) % watcher->every_ns;
  return vsi_add_saturating(now - since_tick, watcher->every_ns);
}

static void fail(vestry_watcher *watcher, vestry_err error) {
  if (!vestry_connection_close(watcher->connection, VESTRY_CAUSE_ERROR)) return; /* it was closing already */
  atomic_fetch_add_explicit(&watcher->of->errors, 1, memory_order_relaxed);
  /* Browsers reconnect, and their watchers may fail again. */
  vsi_log_repeated(watcher->of->v->host, &watcher->of->v->repeated, vsi_log_reason("watch") + (uint32_t)error,
                   VESTRY_LOG_ERROR, "watch of connection %llu: its step failed, so the stream is closed: %s",
                   (unsigned long long)vsi_connection_id(watcher->connection), vestry_strerror(error));
}

/* Call the step function, and compute the time of the next step. */
static void take_step(vestry_watcher *watcher, uint64_t now_ns) {
  if (!watcher->has_stepped) watcher->first_ns = now_ns;
  watcher->is_due = watcher->has_wait = false;
  watcher->earliest_ns = vsi_add_saturating(now_ns, watcher->pause_ns);
  atomic_fetch_add_explicit(&watcher->of->steps, 1, memory_order_relaxed);
  vestry_err error = watcher->step(watcher, watcher->connection, watcher->ctx);
  watcher->has_stepped = true;
  set_mark(watcher);
  if (error) fail(watcher, error);
  if (watcher->has_wait && !watcher->wait_ms) {
    watcher->is_due = true;
    watcher->deadline_ns = UINT64_MAX;
    vsi_actor_notify(&watcher->actor); /* this run comes after all actors that are ready now */
  } else {
    watcher->deadline_ns = next_deadline(watcher);
    arm(watcher, watcher->deadline_ns);
  }
}

/* Take a step if one is due and neither pause_ms nor pacing postpones it. */
static void look(vestry_watcher *watcher) {
  uint64_t now = now_of(watcher);
  /* acquire pairs with the exchange in vestry_watch_wake */
  if (atomic_exchange_explicit(&watcher->is_woken, false, memory_order_acq_rel)) watcher->is_due = true;
  if (watcher->deadline_ns <= now) {
    watcher->is_due = true;
    watcher->deadline_ns = UINT64_MAX;
  }
  if (!watcher->is_due) return;
  if (now < watcher->earliest_ns) {
    arm(watcher, watcher->earliest_ns);
  } else if (!is_written(watcher, watcher->connection)) {
    atomic_store_explicit(&watcher->awaits, true, memory_order_release); /* release pairs with the acquire in written */
    vsi_connection_await_written(watcher->connection);
  } else {
    take_step(watcher, now);
  }
}

static void run(vsi_actor *actor) {
  vestry_watcher *watcher = watcher_of(actor);
  /* acquire pairs with the release in opened */
  if (!atomic_load_explicit(&watcher->is_open, memory_order_acquire)) return;
  if (!vsi_connection_enter(watcher->connection)) return;
  if (vestry_connection_is_open(watcher->connection)) look(watcher);
  vsi_connection_leave(watcher->connection);
}

static void hold(vsi_actor *actor) {
  vestry_connection_ref(watcher_of(actor)->connection);
}

static void let_go(vsi_actor *actor) {
  vestry_connection_unref(watcher_of(actor)->connection);
}

static const vsi_actor_class watch_actor = {.run = run, .ref = hold, .unref = let_go};

/* ------------------------------------------------------------------------- functions for steps and wakes ---------- */

void vestry_watch_wait(vestry_watcher *watcher, uint64_t ms) {
  watcher->has_wait = true;
  watcher->wait_ms = ms;
}

void vestry_watch_finish(vestry_watcher *watcher) {
  vestry_connection_close(watcher->connection, VESTRY_CAUSE_CLOSED);
}

bool vestry_watch_is_first(const vestry_watcher *watcher) {
  return !watcher->has_stepped;
}

void vestry_watch_wake(vestry_watcher *watcher) {
  if (!vestry_connection_is_open(watcher->connection)) return;
  /* acq_rel pairs with the exchange in look, both ways: a coalesced wake also publishes what its thread wrote before */
  if (atomic_exchange_explicit(&watcher->is_woken, true, memory_order_acq_rel)) return;
  vsi_actor_notify(&watcher->actor);
}

static void wake_for(const vestry_bus_message *message, void *ctx) {
  (void)message;
  vestry_watch_wake(ctx);
}

vestry_err vestry_watch_subscribe(vestry_watcher *watcher, vestry_scope scope, const vestry_key *key) {
  const vestry_subscriber subscriber = {.call = wake_for, .ctx = watcher, .connection = watcher->connection};
  return vestry_subscribe(watcher->of->v, scope, key, &subscriber, NULL);
}

/* -------------------------------------------------------------------------------------- part of a stream ---------- */

static void opened(vsi_stream_part *part) {
  vestry_watcher *watcher = watcher_of_part(part);
  set_mark(watcher);
  atomic_store_explicit(&watcher->is_open, true, memory_order_release); /* pairs with the acquire in run */
  vsi_actor_notify(&watcher->actor);
}

static bool written(vsi_stream_part *part, const vestry_connection *connection) {
  vestry_watcher *watcher = watcher_of_part(part);
  if (!atomic_load_explicit(&watcher->awaits, memory_order_acquire)) return false;
  if (!is_written(watcher, connection)) return true;
  atomic_store_explicit(&watcher->awaits, false, memory_order_relaxed); /* the run that follows checks again */
  vsi_actor_notify(&watcher->actor);
  return false;
}

static void woken(vsi_stream_part *part) {
  vestry_watch_wake(watcher_of_part(part));
}

static void freed(vsi_stream_part *part, const vestry_host *host) {
  vsi_free(host, watcher_of_part(part));
}

static const vsi_stream_part_ops watch_part = {.opened = opened, .written = written, .woken = woken, .free = freed};

/* ------------------------------------------------------------------------------ begin and end of a watch ---------- */

static void call_end(const vestry_watcher *watcher, vestry_cause cause) {
  if (watcher->end) watcher->end(cause, watcher->ctx);
}

static void stream_ended(vsi_close_node *node, vestry_connection *connection, vestry_cause cause) {
  vestry_watcher *watcher = (vestry_watcher *)(void *)node;
  if (vsi_ticker_cancel(&watcher->runtime->ticker, &watcher->timer)) vestry_connection_unref(connection);
  /* release pairs with vestry_watch_stats_get: a thread that reads this end also reads the beginning of the watch */
  atomic_fetch_add_explicit(&watcher->of->ended, 1, memory_order_release);
  call_end(watcher, cause);
}

static vestry_err begin(vsi_attachment *attachment, vestry_connection *connection) {
  vestry_watcher *watcher = (vestry_watcher *)attachment;
  watcher->connection = connection;
  atomic_fetch_add_explicit(&watcher->of->begun, 1, memory_order_relaxed);
  watcher->part.ops = &watch_part;
  vsi_stream_context_add_part(vsi_stream_context_of(connection), &watcher->part);
  vsi_connection_call_at_close(connection, &attachment->node, stream_ended);
  return VESTRY_OK;
}

static void drop(vsi_attachment *attachment) {
  vestry_watcher *watcher = (vestry_watcher *)attachment;
  const vestry_host *host = watcher->of->v->host;
  call_end(watcher, VESTRY_CAUSE_NONE);
  vsi_free(host, watcher);
}

/* -------------------------------------------------------------------------------- watches of an instance ---------- */

static vestry_err create(vestry *v, void **ret_state) {
  vsi_watches *of = *ret_state = vsi_calloc(v->host, 1, sizeof *of);
  if (!of) return VESTRY_NO_MEMORY;
  of->v = v;
  return VESTRY_OK;
}

static void destroy(vestry *v, void *state) {
  vsi_free(v->host, state);
}

static const vsi_extension kind = {.name = "watches", .create = create, .destroy = destroy};

void vestry_watch_stats_get(vestry *v, vestry_watch_stats *ret_stats) {
  vestry_watch_stats stats = {0};
  vsi_watches *of = vsi_extension_find(v, &kind);
  if (of) {
    /* acquire pairs with the end of a watch. The ends are read first, so that there are never more ends than
     * beginnings */
    stats.ended_count = atomic_load_explicit(&of->ended, memory_order_acquire);
    stats.begun_count = atomic_load_explicit(&of->begun, memory_order_relaxed);
    stats.live_count = stats.begun_count - stats.ended_count;
    stats.steps_count = atomic_load_explicit(&of->steps, memory_order_relaxed);
    stats.errors_count = atomic_load_explicit(&of->errors, memory_order_relaxed);
  }
  if (ret_stats) *ret_stats = stats;
}

static vestry_err add(vestry_reply *reply, const vestry_watch *watch) {
  void *of;
  vestry_err error = vsi_reply_remember(reply, vsi_extension_use(reply->v, &kind, &of));
  if (error) return error;
  if (reply->parts_count == VESTRY_REPLY_WATCHES_MAX) return VESTRY_LIMIT;
  vestry_watcher *watcher = vsi_calloc(reply->host, 1, sizeof *watcher);
  if (!watcher) return vsi_reply_remember(reply, VESTRY_NO_MEMORY);
  watcher->of = of;
  watcher->runtime = watch->runtime ? watch->runtime : reply->v->runtime;
  watcher->step = watch->step;
  watcher->end = watch->end;
  watcher->ctx = watch->ctx;
  watcher->every_ns = watch->every_ms == VESTRY_NEVER_MS ? 0 : vsi_ms_to_ns(watch->every_ms);
  watcher->pause_ns = vsi_ms_to_ns(watch->pause_ms);
  watcher->ahead_count = watch->ahead_count;
  watcher->is_due = true;
  watcher->deadline_ns = UINT64_MAX;
  vsi_actor_init(&watcher->actor, &watch_actor, &watcher->runtime->pool);
  vsi_timer_init(&watcher->timer, timer_fired);
  watcher->attachment.begin = begin;
  watcher->attachment.drop = drop;
  vsi_attachments_add(&reply->attachments, &watcher->attachment);
  reply->parts_count++;
  return VESTRY_OK;
}

vestry_err vestry_reply_watch(vestry_reply *reply, const vestry_watch *given) {
  vestry_watch watch = given ? *given : (vestry_watch){0};
  if (!reply->v || !given || !watch.step) return vsi_reply_refuse(reply, VESTRY_INVALID, "the watch has no step");
  vestry_err error = add(reply, &watch);
  if (error && watch.end) watch.end(VESTRY_CAUSE_NONE, watch.ctx);
  return error;
}
