/* SPDX-License-Identifier: MIT */
/* A connection: what it is made of, its references, its state and its end. It is made by create.c, and run by runner.c;
 * send.c sends to it. */
#ifndef VSI_CONNECTION_CONNECTION_H
#define VSI_CONNECTION_CONNECTION_H

#include <sys/queue.h>

#include "base/load.h"
#include "base/refs.h"
#include "coding/coder.h"
#include "connection/budget.h"
#include "connection/close_list.h"
#include "connection/conflation.h"
#include "connection/environment.h"
#include "connection/queue.h"
#include "runtime/actor.h"
#include "runtime/wheel.h"
#include "vestry/transport.h"

/* What a connection tells about its life: to the room that made it, by one table for all that the room makes. As
 * vestry_connection_hooks; each may be NULL. on_free: the last reference is gone, and so is the instance, perhaps; on
 * the thread that dropped it. The context is not used any more. on_written: on the runner, of an open connection: once
 * or more often after a vsi_connection_await_written, when something may have been written since; returns whether it is
 * to be called again. Must not block. */
typedef struct vsi_connection_hooks {
  vestry_on_open_fn on_open;
  vestry_on_close_fn on_close;
  vestry_on_error_fn on_error;
  void (*on_free)(const vestry_host *host, void *ctx);
  bool (*on_written)(vestry_connection *connection, void *ctx);
  bool has_stream_context; /* its context is a vsi_stream_context (instance/stream_context.h) */
} vsi_connection_hooks;

/* A clean end that waits for its peer: as long as that takes of it, for so long only, or not any more. */
enum { VSI_HURRY_NONE, VSI_HURRY_SOON, VSI_HURRY_NOW };

/* Whether the stream has a tail (tail.h), or must have none. */
enum { VSI_TAILED_NOT, VSI_TAILED_NOW, VSI_TAILED_NEVER };

/* There are many, and most are idle: what one costs is what it is made of here. So there are no holes, and what few of
 * them need is elsewhere: what is said of conflated events (conflation.h), and what an encoded stream remembers. */
struct vestry_connection {
  vsi_actor actor; /* first: an actor is its connection; held until the start */
  vsi_queue queue;
  vsi_refs refs;
  _Atomic(uint32_t) telling; /* how many threads are inside an on_error hook or a step, and whether there may be more
                                (refusal.c) */
  _Atomic(uint8_t) state;    /* vestry_connection_state but CLOSING, which is "has a cause"; written by the runner */
  _Atomic(uint8_t) cause;    /* vestry_cause; NONE → a cause, once */
  _Atomic(bool) writable;    /* set by the adapter, taken by the runner */
  _Atomic(uint8_t) hurry;    /* how a clean end waits for its peer: VSI_HURRY_…; it only grows */
  _Atomic(bool) timer_fired;
  _Atomic(bool) is_awaited; /* on_written is to be called */
  _Atomic(uint8_t) tailed;  /* VSI_TAILED_…; relaxed: tail.c says what it is for */
  uint8_t full : 4;         /* vestry_full_policy */
  uint8_t signs : 1;        /* its heartbeats are signs (environment.h); these are set before the start */
  uint8_t is_answer : 1;    /* it ends when it has more events than it begins with */
  uint8_t begins_with : 2;
  /* vestry_err of the last send that was refused; relaxed: a mere notice. Here, since the bits before it and
   * the bits after it are different threads'. */
  _Atomic(uint8_t) refusal;
  /* The runner's own, here and below. */
  bool timer_armed : 1; /* as far as the runner knows; timer_fired tells it otherwise */
  bool blocked : 1;     /* the transport has no room; wait for writable */
  bool broken : 1;      /* the transport or the coder failed: no clean end any more */
  bool ended : 1;       /* what ends an encoded stream is among the taken, or written */
  vsi_load_place place; /* of its load */
  uint8_t taken_count;  /* SLICES_A_WRITE (runner.c), and some of the coder's own */
  uint32_t max_queued_count;
  uint32_t max_queued_bytes;
  uint32_t heartbeat_ms; /* UINT32_MAX: none */
  const vestry_transport_ops *ops;
  void *transport;
  uint64_t id;
  const vsi_connection_hooks *hooks;
  void *hooks_ctx;
  vsi_close_list at_close; /* told after the transport, before the hooks */

  const vsi_environment *environment;
  TAILQ_ENTRY(vestry_connection) in_group; /* guarded by the group's lock */
  vsi_load load;                           /* likewise; by what its queue holds, or held since it was looked at */

  vsi_coder
      *coder; /* NULL: a plain stream; set before the start. What is in it is the runner's, but what is constant */

  /* The runner's own. */
  vsi_delivery *taken_last;   /* taken from the queue, encoded, not yet written whole: a ring, after the last is the
                                 first, the oldest; NULL: none */
  vsi_conflation *conflation; /* of a connection that conflates: where events wait before they are taken; NULL: none */
  size_t offset;              /* bytes of the first taken one that are written, as they go out */
  uint64_t closing_ns;        /* when the runner first saw the cause; 0: not yet */
  uint64_t opened_ns;
  vsi_timer timer; /* heartbeat, then linger. Armed: it holds a reference */

  /* Counted where it happens: by senders (fetch_add), by the runner (store), read by anybody. Relaxed: mere counts. */
  _Atomic(uint64_t) accepted_count, accepted_bytes, refused_count;
  _Atomic(uint64_t) written_count, written_bytes, discarded_count, discarded_bytes;
  _Atomic(uint64_t) heartbeats_count, writes_count, wire_bytes, last_write_ns;
};
_Static_assert(sizeof(struct vestry_connection) <= 360, "an idle stream's own memory: docs/bench-streams.md");

/* Take a reference, and drop one. */
static inline vestry_connection *vsi_connection_hold(vestry_connection *connection) {
  VSI_REFS_TAKE(&connection->refs);
  return connection;
}
VESTRY_API void vsi_connection_free(vestry_connection *connection); /* the last one was dropped */
static inline void vsi_connection_let_go(vestry_connection *connection) {
  if (VSI_REFS_DROP(&connection->refs)) vsi_connection_free(connection);
}

/* What its queue holds of the budget. Any thread. */
static inline uint64_t vsi_connection_held(const vestry_connection *connection) {
  uint32_t count;
  size_t bytes;
  vsi_queue_load(&connection->queue, &count, &bytes, NULL);
  uint64_t held = vsi_budget_cost(count, bytes);
  if (connection->conflation)
    held += atomic_load_explicit(&connection->conflation->targets_bytes, memory_order_relaxed); /* a mere number */
  return held;
}
/* It gives back all it holds, soon: from here on that counts as gone, as often as it is called. Shuts the queue. */
void vsi_connection_goes(vestry_connection *connection);
/* So much that is gone, and is given back, for each of its events. */
uint64_t vsi_connection_cost(const vestry_connection *connection, uint32_t count, size_t bytes);

/* Undo a create; no other thread knows the connection. Its transport is untouched: the caller owns it again. */
void vsi_connection_discard(vestry_connection *connection);

/* Have its bytes encoded; before the start. Takes the coder. */
void vsi_connection_encode(vestry_connection *connection, vsi_coder *coder);
/* Whether its bytes are encoded, or might be, as it has not begun. */
VESTRY_API bool vsi_connection_may_encode(const vestry_connection *connection);

/* Let it run: the head is written, then what was sent meanwhile. Once. */
VESTRY_API void vsi_connection_start(vestry_connection *connection);

/* When the transport last took bytes of an event, or the head; 0: never. Any thread. */
static inline uint64_t vsi_connection_last_write_ns(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->last_write_ns, memory_order_relaxed);
}

/* Have its heartbeats be seen by its page; before the start. */
VESTRY_API void vsi_connection_give_signs(vestry_connection *connection);
/* Make it an answer, which begins with so many events, three at most: it ends cleanly when it has written nothing for
 * so long, and on_written is called after each write, to end it earlier. Before the start. */
VESTRY_API void vsi_connection_answer(vestry_connection *connection, uint32_t hold_ms, unsigned events_count);
/* Whether an answer has more than its beginning, by whichever thread. */
VESTRY_API bool vsi_connection_is_answered(const vestry_connection *connection);
/* Have heartbeats be seen, and begin with one. */
void vsi_connection_begin_signs(vestry_connection *connection);

VESTRY_API const vestry_host *vsi_connection_host(const vestry_connection *connection);

/* As vestry_connection_look tells them. Any thread. */
static inline uint64_t vsi_connection_id(const vestry_connection *connection) {
  return connection->id;
}
static inline vestry_cause vsi_connection_cause(const vestry_connection *connection) {
  /* acquire pairs with the swap in close */
  return (vestry_cause)atomic_load_explicit(&connection->cause, memory_order_acquire);
}
static inline bool vsi_connection_is_open(const vestry_connection *connection) {
  return vsi_connection_cause(connection) == VESTRY_CAUSE_NONE;
}
VESTRY_API vestry_connection_state vsi_connection_state(const vestry_connection *connection);

/* Have a node's function called when the connection ends; a closing connection that has not ended counts as one that
 * will. The node must stay where it is until it was called or cancelled.
 * OK: it will be called once, unless it is cancelled; which may be before this returns | CLOSED: the connection has
 * ended already, the node will not be called. Any thread that holds a reference. */
VESTRY_API vestry_err vsi_connection_at_close(vestry_connection *connection, vsi_close_node *node);
/* Take a node back. true: it was in the list, and will not be called. false: its call is to come at any moment, or
 * under way, or over; or it was never let in, or was cancelled before. The function's owner must know when it is over:
 * this does not wait. Any thread that holds a reference, the function of this or another node included. */
VESTRY_API bool vsi_connection_cancel_at_close(vestry_connection *connection, vsi_close_node *node);

/* Whether this process is a child of the one that has the stream's socket and its runner. A closed connection that is
 * held outlives its runtime, so that one is not asked. (relaxed: a holder that outlives the runtime saw it end.) */
bool vsi_connection_is_forked(const vestry_connection *connection);

/* End now: what is not written is discarded, a clean end is not waited for any more. It has a cause. Any thread. */
void vsi_connection_hurry(vestry_connection *connection);

/* What a shared stream is encoded as; NULL: it is plain, or has its own encoder. Any thread, from the start on. */
static inline vsi_coding *vsi_connection_coding(const vestry_connection *connection) {
  return connection->coder ? vsi_coder_shared(connection->coder) : NULL;
}

/* What its bytes are encoded as. Any thread; before the start: as nothing. */
vsi_coding_kind vsi_connection_coding_kind(const vestry_connection *connection);

/* How many events it has accepted, and how many it is done with. As many as had been accepted at some moment are
 * settled: so what was accepted then is written, or is nothing that it will write, and its room is free. Any thread;
 * accepted is exact for a sender's own; settled is never too large, and too small only while others send. */
static inline uint64_t vsi_connection_accepted(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->accepted_count, memory_order_relaxed);
}
VESTRY_API uint64_t vsi_connection_settled(const vestry_connection *connection);
/* Have on_written called. Any thread that holds a reference; does not block. */
VESTRY_API void vsi_connection_await_written(vestry_connection *connection);

/* What was accepted before a close for this cause is written. */
static inline bool vsi_cause_flushes(vestry_cause cause) {
  return cause == VESTRY_CAUSE_DRAIN || vestry_cause_is_clean(cause);
}

/* The peer is not there any more, or as good as: nothing that is written arrives. */
static inline bool vsi_cause_is_of_peer(vestry_cause cause) {
  return cause == VESTRY_CAUSE_HANGUP || cause == VESTRY_CAUSE_LOST || cause == VESTRY_CAUSE_STALLED ||
         cause == VESTRY_CAUSE_LEASE_EXPIRED;
}

#endif
