/* SPDX-License-Identifier: MIT */
/* essay: work that a runner must not leave undone when it sleeps */
/* The runner is the only thread that is inside a connection at a given time. It opens the stream, writes the waiting
 * events, sends heartbeats, and ends the stream. A pooled connection runs on a thread of the runtime's pool; a
 * dedicated one has its own thread.
 *
 * An event that was sent waits in the queue. The runner takes it from there and encodes it (coding/coder.h); `wire` is
 * the result. When its bytes are written, or when it is discarded, it is settled: its room is released.
 *
 *   sender ──> queue ──────────────> taken deliveries ──> transport ──> settled
 *   coder: primer, heartbeat, end ──^ (encoded, in this order)
 *
 * A run checks everything again, so it does not depend on the reason for which it was woken: a send, a close, the
 * timer, or room in the transport. But a runner must not sleep while there is work for which no notify will come:
 * - A send puts its events and then notifies. A close sets the cause, shuts the queue and then notifies. The adapter
 *   sets `writable` and then notifies. The timer sets timer_fired and then notifies. A whole run follows each notify
 *   (actor.c), so no change is missed.
 * - After a shut, the runner ends only if the queue's count is 0: then no event waits, and none ever will. (A notify
 *   that comes later, for events that the runner has taken already, finds the connection CLOSED.)
 * - The runner does not end while a thread is inside an on_error hook, or inside the step function of a watch: the last
 *   thread that leaves notifies (refusal.c).
 * - A worker that waits until its events are written sets is_awaited, then notifies. One whole run checks it, and so
 *   does each later run until on_written was called.
 * - The transport may get room just while a write finds that it has none. The runner clears `writable`, then the
 *   transport looks for room; the adapter makes room, then sets `writable`. Each side writes one variable and then
 *   accesses the other. Without fences, room could be missed in this way: the transport looks for room before the
 *   clearing of `writable` is visible to the adapter, and this clearing then overwrites the value that the adapter has
 *   set. So a full fence stands between the two steps on either side: [C] on the runner, [W] on the adapter. All
 *   threads see the two fences in the same order. If [W] is first, the transport finds the room. If [C] is first, the
 *   adapter sets `writable` after the runner has cleared it, and the value stays. The transport and its adapter may
 *   communicate room in any way that uses atomics, a lock or the kernel.
 *
 * Words. The primer is the first bytes of an encoded stream (coding/coding.h). A tail is a copy of a stream's events
 * for an observer (runner.h). A sign is a heartbeat that the page can see (connection.h). A response is the stream of a
 * long poll, and hurry shortens the end of a stream (connection.h). `times` are the times of a delivery that are
 * measured (tally.h). A watch makes a stream's events by a step function (app/watch/watch.c). */
#include "connection/runner.h"

#include <sched.h>

#include "base/assert.h"
#include "base/memory.h"
#include "base/probe.h"
#include "base/trace.h"
#include "connection/backlog.h"
#include "connection/refusal.h"
#include "event/extras.h"
#include "runtime/runtime.h"
#include "runtime/sends.h"

/* How long the end of a stream waits for a peer that does not take all bytes:
 *
 * - A clean end waits LINGER_NS after its beginning, or after the last bytes that the peer took since then, but at most
 *   LINGER_MOST_NS in all. This maximum prevents a peer that takes a little now and then from holding a stream for
 *   ever.
 * - The end of a drained stream, and a clean end while the server stops, wait LINGER_NS in all.
 * - Any other end discards its events and does not wait. */
#define LINGER_NS      UINT64_C(5000000000)
#define LINGER_MOST_NS UINT64_C(60000000000)

/* WRITES_A_RUN: maximum number of writes of one run, so that a busy stream does not occupy the pool's thread for too
 * long. SLICES_A_WRITE: maximum number of deliveries in one write. taken_count has one byte, which must have room for
 * this number and a few more. */
enum { WRITES_A_RUN = 16, SLICES_A_WRITE = 64 };

/* A heartbeat may come early by this part of heartbeat_ms, so that one wake-up sends those of many streams. */
enum { HEARTBEAT_SLACK = 16 };

static vestry_connection *connection_of(vsi_actor *actor) {
  return (vestry_connection *)actor;
}

static void append_taken(vestry_connection *connection, vsi_delivery *delivery) {
  TAILQ_INSERT_TAIL(&connection->taken, delivery, in);
  connection->taken_count++;
}

static bool has_taken(const vestry_connection *connection) {
  return connection->taken_count;
}

/* Close the stream because the coder failed or memory is exhausted. */
static void break_off(vestry_connection *connection) {
  connection->broken = true;
  vestry_connection_close(connection, VESTRY_CAUSE_ERROR); /* if it is closing already, its cause stays */
}

static vestry_event *heartbeat_of(const vestry_connection *connection) {
  const vsi_environment *environment = connection->environment;
  return connection->signs ? environment->sign : environment->heartbeat;
}

/* An event that is about to be written no longer needs the one that it follows: a stream that has yet to write that one
 * has its own reference. */
static void encode(vestry_connection *connection, vsi_delivery *delivery) {
  vsi_coder *coder = vsi_connection_coder(connection);
  if (coder && vsi_coder_encode(coder, delivery, heartbeat_of(connection))) break_off(connection);
  vestry_event *previous = vsi_event_take_previous(delivery->event);
  if (previous) vestry_event_unref(previous);
}

/* Append bytes of the coder that belong to no event: the primer, or the end of the coding. */
static void append_coded(vestry_connection *connection, const vsi_segment *segment) {
  vsi_delivery *delivery = vsi_calloc(connection->environment->host, 1, sizeof *delivery);
  if (delivery) {
    delivery->wire = segment;
    append_taken(connection, delivery);
    return;
  }
  if (segment != connection->coder->coding->primer) vsi_segment_destroy((vsi_segment *)segment);
  break_off(connection);
}

static _Atomic(vsi_report_fn) report;

void vsi_connection_report_to(vsi_report_fn fn) {
  atomic_store_explicit(&report, fn, memory_order_relaxed);
}

/* The room in a budget and the references to an event that settled deliveries of one or several connections have held.
 * They are released together, because all threads write their counters. Zero: nothing yet. */
typedef struct settlement {
  vsi_budget *budget;
  uint64_t cost;
  vestry_event *event; /* NULL: the references are to `broadcast` */
  vsi_broadcast *broadcast;
  uint32_t references_count;
} settlement;

/* To be called before the room in the queues is released: a thread that finds an event settled (vsi_connection_settled)
 * also finds its bytes free in the budget. */
static void finish_settlement(settlement *all) {
  if (!all->references_count) return;
  if (all->cost) vsi_budget_give_back(all->budget, all->cost);
  if (VSI_ENCODES && all->broadcast)
    vsi_broadcast_unref(all->broadcast, all->references_count);
  else
    vsi_event_unref_many(all->event, all->references_count);
  all->cost = all->references_count = 0;
}

/* Settle an event, or a heartbeat, which no queue has counted. Its references move to the settlement. */
static void settle(vestry_connection *connection, vsi_delivery *delivery, bool written, vsi_settled *one,
                   settlement *all) {
  vsi_budget *budget = connection->environment->budget;
  vestry_event *event = delivery->broadcast ? NULL : delivery->event;
  const size_t len = delivery->event->len;
  const bool is_same = all->event == event && all->broadcast == delivery->broadcast && all->budget == budget;
  if (all->references_count && !is_same) finish_settlement(all);
  all->event = event;
  all->broadcast = delivery->broadcast;
  all->budget = budget;
  all->references_count++;
  if (!delivery->is_heartbeat) {
    vsi_connection_count(written ? &connection->written_count : &connection->discarded_count, 1);
    vsi_connection_count(written ? &connection->written_bytes : &connection->discarded_bytes, len);
    all->cost += vsi_event_cost(delivery->event);
    one->count++;
    one->bytes += len;
  } else if (written) {
    vsi_connection_count(&connection->heartbeats_count, 1);
  }
  vsi_delivery_free(connection, delivery);
}

/* Free the oldest taken delivery, which is written completely or discarded, and add what it has held to the other
 * arguments. */
static void drop_first(vestry_connection *connection, bool written, vsi_settled *one, settlement *all) {
  const vestry_host *host = connection->environment->host;
  vsi_delivery *delivery = TAILQ_FIRST(&connection->taken);
  connection->offset = 0;
  VSI_ASSERT(connection->taken_count > 0);
  connection->taken_count--;
  TAILQ_REMOVE(&connection->taken, delivery, in);
  if (VSI_ENCODES && !delivery->event) {
    if (delivery->wire != connection->coder->coding->primer) vsi_segment_destroy((vsi_segment *)delivery->wire);
    vsi_free(host, delivery);
    return;
  }
  if (written && host->tracer) vsi_event_trace_written(host, vsi_event_extras(delivery->event), delivery->event->len);
  if (written && delivery->times.stamp)
    vsi_group_tally_delivered(connection->environment->tally, host, &delivery->times);
  vsi_coder_settle(delivery);
  if (!delivery->is_heartbeat && atomic_load_explicit(&connection->tailed, memory_order_relaxed) == VSI_TAILED_NOW) {
    const vsi_report_fn fn = atomic_load_explicit(&report, memory_order_relaxed);
    if (fn) fn(connection, delivery->event, written); /* NULL: this thread does not see the function yet */
  }
  settle(connection, delivery, written, one, all);
}

/* Return whether nothing more may be written, because the transport or the coder failed or because the cause
 * discards. */
static inline bool is_over(const vestry_connection *connection) {
  const vestry_cause cause = vsi_connection_cause(connection);
  return connection->broken || atomic_load_explicit(&connection->hurry, memory_order_relaxed) == VSI_HURRY_NOW ||
         (cause && !vsi_cause_flushes(cause));
}

/* Take waiting events and encode them, in the order of writing, because the encoding depends on what went before. An
 * event that is taken is not superseded any more. So while taken events are not written, none is taken that could be:
 * a client that reads a little at a time would otherwise get old states. */
static void take_waiting(vestry_connection *connection) {
  if (connection->taken_count >= SLICES_A_WRITE || !vsi_queue_count(&connection->queue)) return;
  vsi_delivery *delivery = TAILQ_LAST(&connection->taken, vsi_deliveries);
  const uint8_t count = (uint8_t)vsi_queue_take(&connection->queue, &connection->taken,
                                                SLICES_A_WRITE - connection->taken_count, has_taken(connection));
  connection->taken_count += count;
  if (!count) return;
  delivery = delivery ? TAILQ_NEXT(delivery, in) : TAILQ_FIRST(&connection->taken);
  for (; delivery && !connection->broken; delivery = TAILQ_NEXT(delivery, in)) encode(connection, delivery);
}

static void discard_waiting(vestry_connection *connection) {
  vsi_settled one = {0};
  settlement all = {0};
  do {
    while (has_taken(connection)) drop_first(connection, false, &one, &all);
    connection->taken_count = (uint8_t)vsi_queue_take(&connection->queue, &connection->taken, SLICES_A_WRITE, false);
  } while (has_taken(connection));
  finish_settlement(&all);
  vsi_queue_settle(&connection->queue, &one, connection->environment->budget);
}

static void arm(vestry_connection *connection, uint64_t due_ns, uint64_t slack_ns) {
  vsi_ticker *ticker = &connection->environment->runtime->ticker;
  bool was_armed = false;
  vestry_connection_ref(connection); /* held by the armed timer */
  vestry_err error = vsi_ticker_arm(ticker, &connection->timer, due_ns, slack_ns, &was_armed);
  if (error || was_armed) vestry_connection_unref(connection);
  connection->timer_armed = !error; /* fails if the runtime is closed: it has no timers */
}

void vsi_connection_timer_fired(vsi_timer *timer, vsi_notices *notices) {
  vestry_connection *connection = (vestry_connection *)((char *)timer - offsetof(vestry_connection, timer));
  /* release pairs with the exchange in keep_heartbeat */
  atomic_store_explicit(&connection->timer_fired, true, memory_order_release);
  vsi_notices_add(notices, &connection->actor);
  vestry_connection_unref(connection);
}

/* Settle the remaining events, end the transport, call the hooks, leave the group. */
static void finish(vestry_connection *connection, bool clean) {
  vestry_cause cause = vsi_connection_cause(connection);
  VSI_PROBE3(close, connection->id, cause, connection->opened_ns);
  discard_waiting(connection);
  if (vsi_ticker_cancel(&connection->environment->runtime->ticker, &connection->timer))
    vestry_connection_unref(connection);
  connection->ops->end(connection->transport, clean, cause);
  /* release pairs with vsi_connection_state */
  atomic_store_explicit(&connection->state, VESTRY_STATE_CLOSED, memory_order_release);
  vsi_connection_call_close_nodes(connection, cause);
  if (connection->hooks->on_close) connection->hooks->on_close(connection, cause, vsi_connection_context(connection));
  connection->environment->ended(connection->environment, connection);
  vestry_connection_unref(connection); /* the reference that the connection held since its creation */
}

/* The connection was never started, so no runner is or will be inside it: this thread acts as the runner. But other
 * threads may know the connection and be inside an on_error hook, and their notify brings no runner. So this thread
 * waits for them: the hook does not block. */
void vsi_connection_abandon(vestry_connection *connection, vestry_cause cause) {
  vestry_connection_close(connection, cause);
  vsi_queue_shut(&connection->queue, NULL); /* another thread that closed it may not have reached this step */
  while (!vsi_connection_bar_senders(connection)) sched_yield();
  finish(connection, false);
  vsi_actor_release(&connection->actor);
}

/* Handle the result of a transport's function. Returns true if the connection continues. */
static bool survived(vestry_connection *connection, vestry_io io) {
  vestry_cause cause = VESTRY_CAUSE_ERROR;
  switch (io) {
  case VESTRY_IO_OK:
  case VESTRY_IO_WOULD_BLOCK: return true;
  case VESTRY_IO_HANGUP: cause = VESTRY_CAUSE_HANGUP; break;
  case VESTRY_IO_STALLED: cause = VESTRY_CAUSE_STALLED; break;
  case VESTRY_IO_ERROR: break;
  }
  connection->broken = true;
  vestry_connection_close(connection, cause); /* if it is closing already, its cause stays */
  return false;
}

static void open_stream(vestry_connection *connection) {
  const vestry_io io = connection->ops->open(connection->transport); /* which must queue the head itself */
  if (!survived(connection, io == VESTRY_IO_WOULD_BLOCK ? VESTRY_IO_ERROR : io)) return;
  /* release pairs with vsi_connection_state */
  atomic_store_explicit(&connection->state, VESTRY_STATE_OPEN, memory_order_release);
  atomic_store_explicit(&connection->last_write_ns, vsi_now_ns(connection->environment->host), memory_order_relaxed);
  VSI_PROBE1(open, connection->id);
  const vsi_coder *coder = vsi_connection_coder(connection);
  if (coder && vsi_coder_primer(coder).len) append_coded(connection, coder->coding->primer);
  if (connection->hooks->on_open) connection->hooks->on_open(connection, vsi_connection_context(connection));
}

/* The bytes of one write: those of the taken events. */
typedef struct write_offer {
  size_t count, wanted; /* wanted: all bytes */
  vestry_slice slices[SLICES_A_WRITE];
} write_offer;

static void get_offer(const vestry_connection *connection, write_offer *ret_offer) {
  size_t count = 0, wanted = 0;
  const vsi_delivery *at = TAILQ_FIRST(&connection->taken);
  for (; at && count < SLICES_A_WRITE; at = TAILQ_NEXT(at, in)) {
    ret_offer->slices[count] = vsi_delivery_wire(at);
    wanted += ret_offer->slices[count++].len;
  }
  ret_offer->count = count;
  ret_offer->wanted = wanted - connection->offset;
  if (!connection->offset) return;
  ret_offer->slices[0].data = (const char *)ret_offer->slices[0].data + connection->offset;
  ret_offer->slices[0].len -= connection->offset;
}

/* Begin to fetch what a write uses beside the connection and its events. */
static void fetch_transport(const vestry_connection *connection) {
  vsi_prefetch_lines_to_write(connection->transport, 0, 1);
  vsi_prefetch_lines_to_write(connection->coder, 0, 0);
}

static VSI_SELDOM void report_stall(const vestry_connection *connection, size_t taken) {
  write_offer rest;
  get_offer(connection, &rest);
  VSI_PROBE2(stall, connection->id, taken + rest.wanted);
}

/* Settle a write of the taken events. written: as the transport has set it, unless io is OK. The caller finishes `all`,
 * and then releases `ret_one`. */
static void settle_write(vestry_connection *connection, vestry_io io, size_t written, uint64_t now_ns,
                         vsi_settled *ret_one, settlement *all) {
  *ret_one = (vsi_settled){0};
  vsi_connection_count(&connection->writes_count, 1);
  if (!survived(connection, io)) return;
  size_t taken = 0;
  bool has_event = false;
  for (int left = SLICES_A_WRITE; left && has_taken(connection); left--) {
    const vsi_delivery *first = TAILQ_FIRST(&connection->taken);
    const size_t len = vsi_delivery_wire(first).len - connection->offset;
    if (io != VESTRY_IO_OK && written - taken < len) { /* at most a part of it is written */
      has_event = written > taken && first->event && !first->is_heartbeat;
      connection->offset += (uint32_t)(written - taken); /* an event has at most 1 GiB (VSI_QUEUE_MAX_BYTES) */
      taken = written;
      break;
    }
    taken += len;
    drop_first(connection, true, ret_one, all);
  }
  has_event |= ret_one->count > 0;
  vsi_connection_count(&connection->wire_bytes, taken);
  VSI_PROBE2(write, connection->id, taken);
  if (has_event) atomic_store_explicit(&connection->last_write_ns, now_ns, memory_order_relaxed);
  connection->blocked = io == VESTRY_IO_WOULD_BLOCK;
  if (connection->blocked) report_stall(connection, taken);
}

static bool can_batch(const vestry_connection *connection, size_t bytes) {
  const vestry_transport_ops *ops = connection->ops;
  const bool has_compose = ops->sent && ops->compose;
  return has_compose && connection->actor.class->sent && bytes <= VSI_SEND_ROOM;
}

bool vsi_connection_may_batch(const vestry_connection *connection, size_t bytes) {
  return !vsi_connection_coder(connection) && can_batch(connection, bytes) &&
         atomic_load_explicit(&connection->actor.pool->batches, memory_order_relaxed);
}

/* Queue a small write in the batch of this thread, a worker of the pool `here` (runtime/sends.h); `sent` continues the
 * run. false: write it directly. */
static bool queue_write(vestry_connection *connection, const write_offer *offer, vsi_pool *here) {
#ifdef VSI_WITHOUT_URING
  (void)connection, (void)offer, (void)here;
  return false;
#else
  const vestry_transport_ops *ops = connection->ops;
  if (!here || !can_batch(connection, offer->wanted)) return false;
  vsi_sends *sends = vsi_sends_here(here, connection->actor.pool);
  if (!sends) return false;
  int descriptor = -1;
  const size_t len = ops->compose(connection->transport, offer->slices, offer->count, vsi_sends_room(sends),
                                  VSI_SEND_ROOM, &descriptor);
  if (len > VSI_SEND_ROOM) return !survived(connection, VESTRY_IO_ERROR); /* the bytes behind it are another stream's */
  if (len) vsi_sends_add(sends, &connection->actor, descriptor, len);
  return len;
#endif
}

/* Write the taken deliveries with one call. here: the write may be queued instead, as for queue_write; then
 * actor.is_sending is set. NULL: it may not. */
static void write_taken(vestry_connection *connection, vsi_pool *here) {
  write_offer offer;
  vsi_settled one = {0};
  settlement all = {0};
  get_offer(connection, &offer);
  if (!offer.wanted) { /* do not call the transport without bytes: an empty chunk ends a stream */
    while (offer.count--) drop_first(connection, true, &one, &all);
  } else {
    /* Cleared before the write, so that room that comes during the write is not lost. If it is clear, nothing is
     * written that could overwrite the value of the adapter. */
    if (atomic_load_explicit(&connection->writable, memory_order_relaxed)) {
      atomic_store_explicit(&connection->writable, false, memory_order_relaxed);
      atomic_thread_fence(memory_order_seq_cst); /* [C] */
    }
    if (queue_write(connection, &offer, here)) return;
    size_t written = 0;
    vestry_io io = connection->ops->write(connection->transport, offer.slices, offer.count, &written);
    settle_write(connection, io, written, vsi_now_ns(connection->environment->host), &one, &all);
  }
  finish_settlement(&all);
  vsi_queue_settle(&connection->queue, &one, connection->environment->budget);
}

/* Append a heartbeat to the taken deliveries. No event waits to be written, so the heartbeat takes no event's place.
 * Without memory it is skipped. */
static void take_heartbeat(vestry_connection *connection) {
  vsi_delivery *delivery = vsi_calloc(connection->environment->host, 1, sizeof *delivery);
  if (!delivery) return;
  delivery->event = vestry_event_ref(heartbeat_of(connection));
  delivery->is_heartbeat = true;
  delivery->is_sign = connection->signs;
  append_taken(connection, delivery);
  encode(connection, delivery);
}

/* Append a heartbeat to the head of a stream that greets, unless an event follows the head: Firefox passes the head to
 * EventSource, and some proxies pass it on, only with the first byte after it. Later, append one if no event was
 * written during the last heartbeat_ms, less a sixteenth, because timers of other streams fire at the same time
 * (ticker.h). The response of a long poll is closed instead, because nothing was written for its whole hold time. A
 * write does not move the timer: when the timer fires, this function computes the time since the last write. */
static void keep_heartbeat(vestry_connection *connection) {
  /* acquire pairs with vsi_connection_timer_fired. The load is cheaper, and a notify follows the store that it may
   * miss. */
  bool fired = atomic_load_explicit(&connection->timer_fired, memory_order_relaxed) &&
               atomic_exchange_explicit(&connection->timer_fired, false, memory_order_acquire);
  if ((connection->timer_armed && !fired) || connection->heartbeat_ms == UINT32_MAX) return;
  uint64_t now = vsi_now_ns(connection->environment->host);
  uint64_t period = vsi_ms_to_ns(connection->heartbeat_ms);
  uint64_t due = vsi_add_saturating(vsi_connection_last_write_ns(connection), period);
  const bool greets = connection->greets && !connection->timer_armed && !vsi_queue_count(&connection->queue);
  const uint64_t slack = connection->is_response ? 0 : period / HEARTBEAT_SLACK;
  if ((greets && !connection->is_response) || vsi_add_saturating(now, slack) >= due) {
    if (connection->is_response) {
      vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
      return;
    }
    if (!has_taken(connection)) take_heartbeat(connection);
    due = vsi_add_saturating(now, period);
  }
  arm(connection, due, slack);
}

/* Write until no event or no room is left, or until other connections must have the thread. most: number of writes; a
 * visit makes one, and a run further ones: a request that sends an event does not write those that other threads send
 * meanwhile. here: as for write_taken. */
static void write_waiting(vestry_connection *connection, int most, vsi_pool *here) {
  for (int writes = 0;; writes++) {
    if (connection->blocked) {
      /* acquire pairs with the release in vestry_connection_writable */
      if (!atomic_exchange_explicit(&connection->writable, false, memory_order_acquire)) return;
      connection->blocked = false;
    }
    take_waiting(connection);
    if (!has_taken(connection) || is_over(connection)) return;
    if (writes == most) {
      vsi_actor_notify(&connection->actor);
      return;
    }
    write_taken(connection, here);
    if (connection->actor.is_sending || is_over(connection)) return;
  }
}

/* Write the end of the coding when all events of a stream that ends cleanly are written. */
static void write_end(vestry_connection *connection) {
  if (!vsi_connection_coder(connection) || connection->ended || has_taken(connection) ||
      vsi_queue_count(&connection->queue))
    return;
  connection->ended = true;
  vsi_segment *segment = NULL;
  if (vsi_coder_end(connection->coder, &segment))
    break_off(connection);
  else
    append_coded(connection, segment);
  write_waiting(connection, WRITES_A_RUN, connection->actor.pool);
}

/* Return the time at which an end stops waiting for its peer. */
static uint64_t patience_ends_ns(const vestry_connection *connection, bool clean) {
  uint64_t since = connection->closing_ns;
  /* relaxed: only the runner writes it */
  uint64_t taken = atomic_load_explicit(&connection->last_write_ns, memory_order_relaxed);
  if (clean && taken > since && atomic_load_explicit(&connection->hurry, memory_order_relaxed) == VSI_HURRY_NONE) {
    uint64_t most = vsi_add_saturating(since, LINGER_MOST_NS), due = vsi_add_saturating(taken, LINGER_NS);
    return due < most ? due : most;
  }
  return vsi_add_saturating(since, LINGER_NS);
}

static void tell_written(vestry_connection *connection) {
  /* relaxed: a thread that sets is_awaited notifies afterwards, and the whole run that follows this notify sees it. It
   * is cleared before the call, because another thread may set it again during the call */
  if (!atomic_load_explicit(&connection->is_awaited, memory_order_relaxed)) return;
  atomic_store_explicit(&connection->is_awaited, false, memory_order_relaxed);
  if (connection->hooks->on_written && connection->hooks->on_written(connection, vsi_connection_context(connection)))
    atomic_store_explicit(&connection->is_awaited, true, memory_order_relaxed);
}

static void run(vsi_actor *actor) {
  vestry_connection *connection = connection_of(actor);
  fetch_transport(connection);
  /* relaxed: only the runner writes it */
  vestry_connection_state state =
      (vestry_connection_state)atomic_load_explicit(&connection->state, memory_order_relaxed);
  if (state == VESTRY_STATE_CLOSED) return;
  if (state == VESTRY_STATE_OPENING && !is_over(connection)) open_stream(connection);
  if (!is_over(connection)) {
    if (vsi_connection_is_open(connection)) keep_heartbeat(connection);
    write_waiting(connection, WRITES_A_RUN, connection->actor.pool);
    if (connection->actor.is_sending) return;
  }
  if (vsi_connection_is_open(connection)) {
    tell_written(connection);
    return;
  }

  vsi_queue_shut(&connection->queue, NULL); /* a close sets the cause first, so this run may come before its shut */
  bool clean = vsi_cause_is_clean(vsi_connection_cause(connection)); /* the cause no longer changes */
  if (clean && !is_over(connection)) write_end(connection);
  if (connection->actor.is_sending) return;
  bool complete = !is_over(connection);
  if (complete && connection->blocked && (has_taken(connection) || vsi_queue_count(&connection->queue))) {
    /* without a rest, the last write took everything */
    uint64_t now = vsi_now_ns(connection->environment->host);
    if (!connection->closing_ns) connection->closing_ns = now;
    uint64_t due = patience_ends_ns(connection, clean);
    if (now < due) {
      arm(connection, due, 0);
      return;
    }
    complete = false; /* the peer does not take the rest, so the end is not clean */
  }
  if (!complete) discard_waiting(connection);
  if (vsi_queue_count(&connection->queue) || has_taken(connection)) return; /* it has used up its writes and notified */
  if (!vsi_connection_bar_senders(connection)) return; /* a thread is inside a hook and will notify */
  finish(connection, clean && complete);
}

#ifndef VSI_WITHOUT_URING
/* Settle queued writes, and continue their runs. Other parts of the runs are left to other runs, if they have something
 * to do. */
static void sent(const vsi_send *all, size_t count) {
  vsi_settled ones[VSI_SENDS_TOGETHER];
  settlement together = {0};
  const uint64_t now_ns = vsi_now_ns(connection_of(all[0].actor)->environment->host); /* that of the runtime of all */
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = connection_of(all[i].actor);
    fetch_transport(connection);
    vsi_prefetch_lines_to_write(TAILQ_FIRST(&connection->taken), 0, 0);
  }
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = connection_of(all[i].actor);
    size_t written = 0;
    vestry_io io = connection->ops->sent(connection->transport, all[i].result, &written);
    settle_write(connection, io, written, now_ns, &ones[i], &together);
  }
  finish_settlement(&together);
  for (size_t i = 0; i < count; i++) {
    vestry_connection *connection = connection_of(all[i].actor);
    vsi_queue_settle(&connection->queue, &ones[i], connection->environment->budget);
    const bool has_more = has_taken(connection) || vsi_queue_count(&connection->queue);
    /* relaxed: as in tell_written. A blocked stream waits for a notify of its adapter. */
    if ((has_more && !connection->blocked) || is_over(connection) || !vsi_connection_is_open(connection) ||
        atomic_load_explicit(&connection->is_awaited, memory_order_relaxed))
      vsi_actor_notify(&connection->actor);
  }
}
#endif

/* If no thread is inside, enter and write waiting events once, but do nothing else that a run does. A thread that needs
 * more, such as one that closes the connection, also notifies, and then a run follows. But if a worker waits until the
 * events are written (is_awaited), a run is needed after each write, because only a run calls on_written. */
void vsi_connection_posted_here(vestry_connection *connection, vsi_pool *here) {
  const bool is_inside = vsi_actor_try_enter(&connection->actor);
  /* relaxed: only the runner writes the state */
  const bool is_well = is_inside && !is_over(connection) && vsi_connection_is_open(connection) &&
                       atomic_load_explicit(&connection->state, memory_order_relaxed) == VESTRY_STATE_OPEN;
  if (is_well) write_waiting(connection, 1, here);
  const bool is_sending = is_well && connection->actor.is_sending; /* `sent` does the rest */
  if (!is_well || (!is_sending && atomic_load_explicit(&connection->is_awaited, memory_order_relaxed)))
    vsi_actor_notify(&connection->actor);
  if (is_inside && !is_sending) vsi_actor_release(&connection->actor);
  vsi_environment_relieve(connection->environment);
}

static void hold(vsi_actor *actor) {
  VSI_REFS_TAKE(&((vestry_connection *)actor)->refs);
}

static void let_go(vsi_actor *actor) {
  vsi_connection_let_go((vestry_connection *)actor);
}

/* Wake the thread of a dedicated connection, because the actor was notified. This thread leaves when the
 * connection is CLOSED, and no thread runs the actor any more. But a notified actor holds a reference (READY in
 * actor.c), which only a run drops. So in this state the notifying thread runs the actor itself; the run sees CLOSED
 * and does nothing else. If the dedicated thread ends the stream between the load and the wake, it has handled this
 * notify itself, and the wake has no effect. The wake is safe, because the transport exists until its release. */
static void wake_dedicated(vsi_actor *actor) {
  vestry_connection *connection = connection_of(actor);
  if (atomic_load_explicit(&connection->state, memory_order_acquire) == VESTRY_STATE_CLOSED)
    vsi_actor_run(actor);
  else
    connection->ops->wake(connection->transport);
}

const vsi_actor_class vsi_connection_pooled = {
    .run = run,
    .ref = hold,
    .unref = let_go,
#ifndef VSI_WITHOUT_URING
    .sent = sent,
#endif
};
const vsi_actor_class vsi_connection_dedicated = {.run = run, .ref = hold, .unref = let_go, .wake = wake_dedicated};

vestry_connection_state vestry_connection_run(vestry_connection *connection) {
  if (connection->actor.class == &vsi_connection_dedicated) vsi_actor_run(&connection->actor);
  return vsi_connection_state(connection);
}

void vestry_connection_writable(vestry_connection *connection) {
  atomic_thread_fence(memory_order_seq_cst); /* [W] */
  /* release pairs with the exchange in write_waiting */
  atomic_store_explicit(&connection->writable, true, memory_order_release);
  vsi_actor_notify(&connection->actor);
}
