/* SPDX-License-Identifier: MIT */
/* A connection: its struct, references, state and end. group.c creates it, runner.c runs it, send.c sends to it. */
#ifndef VSI_CONNECTION_CONNECTION_H
#define VSI_CONNECTION_CONNECTION_H

#include <sys/queue.h>

#include "base/load.h"
#include "base/refs.h"
#include "coding/coder.h"
#include "connection/budget.h"
#include "connection/close_node.h"
#include "connection/queue.h"
#include "connection/tally.h"
#include "runtime/actor.h"
#include "runtime/wheel.h"
#include "vestry/runtime.h"
#include "vestry/transport.h"

typedef struct vsi_environment vsi_environment;

/* The data that a connection needs from its surroundings, filled in by the group that holds the connections (group.c).
 * Constant, except observers_count. Lives as long as the last reference to a connection. Functions are called without a
 * lock. */
struct vsi_environment {
  void *owner; /* the instance of all connections; NULL: none */
  const vestry_host *host;
  vestry_runtime *runtime;
  vestry_event *heartbeat; /* a comment */
  vestry_event *sign;      /* the heartbeat of connections whose page checks that the stream is alive */
  vsi_budget *budget;      /* bounds what all queues hold together */
  vsi_group_tally *tally;
  _Atomic(uint32_t) observers_count; /* changes at any time; soon after it is not 0, events are timed; relaxed */
  /* The connection's queue holds more than its rank stands for, or held more a moment ago. Any thread. */
  void (*grew)(const vsi_environment *environment, vestry_connection *connection);
  /* The budget is under pressure: close connections. Any thread; does not block. */
  void (*relieve)(const vsi_environment *environment);
  /* The connection has ended and its hooks have returned. Once, on its runner. */
  void (*ended)(const vsi_environment *environment, vestry_connection *connection);
  /* The connection is freed and no longer needs the environment. Once. */
  void (*let_go)(const vsi_environment *environment);
};

/* Hooks for the module that creates connections, one table for all its connections. They are as in
 * vestry_connection_hooks; each may be NULL.
 *
 * make        NULL: the hooks get the context that vsi_group_connect was given. Otherwise the connection's memory ends
 *             with a context of bytes(given) bytes, zeroed, which `make` fills before other threads find the
 *             connection, and which the hooks get. So a stream and its context take one allocation.
 * on_free     The last reference is gone; the instance may be gone, too. Called on the thread that dropped the
 *             reference. The context is not used afterwards.
 * on_written  Called on the runner of an open connection, once or more often after a vsi_connection_await_written, when
 *             events may have been written since. Returns whether it is to be called again. Must not block. */
typedef struct vsi_connection_hooks {
  vestry_on_open_fn on_open;
  vestry_on_close_fn on_close;
  vestry_on_error_fn on_error;
  void (*on_free)(const vestry_host *host, void *ctx);
  bool (*on_written)(vestry_connection *connection, void *ctx);
  size_t (*bytes)(const void *given);
  void (*make)(void *context, const void *given);
} vsi_connection_hooks;

/* How long a clean end waits for its peer (runner.c). NONE: while the peer takes bytes, at most LINGER_MOST_NS; SOON:
 * LINGER_NS; NOW: not at all. */
enum { VSI_HURRY_NONE, VSI_HURRY_SOON = 1, VSI_HURRY_NOW = 3 }; /* of bits, which are only set */

/* Whether each settled event of the stream is reported (vsi_connection_report_to), or never may be. */
enum { VSI_TAILED_NOT, VSI_TAILED_NOW, VSI_TAILED_NEVER };

/* There are many connections, and most are idle. Their cost is the size of this struct. So it has no holes, and data
 * that few connections need is stored elsewhere: the state of an encoded stream.
 *
 * A delivery waits for each cache line that it uses, because a broadcast visits more connections than the caches hold.
 * So the members that every send uses stand together at the beginning, and those that only a write uses follow them. A
 * sender does not touch the latter, which another processor would then have to fetch back. */
struct vestry_connection {
  vsi_actor actor; /* first member: an actor is its connection; held until the start */
  vsi_queue queue;
  vsi_refs refs;
  _Atomic(uint8_t) state; /* vestry_connection_state except CLOSING, which means "has a cause"; written by the
                                runner */
  _Atomic(uint8_t) cause; /* vestry_cause; changes once, from NONE */
  _Atomic(bool) writable; /* set by the adapter, cleared by the runner */
  _Atomic(uint8_t) hurry; /* VSI_HURRY_…; only grows */
  _Atomic(bool) timer_fired;
  _Atomic(bool) is_awaited; /* on_written has to be called */
  _Atomic(uint8_t) tailed;  /* VSI_TAILED_…; relaxed */
  uint8_t full : 4;         /* vestry_full_policy */
  uint8_t signs : 1;        /* its heartbeats are signs; set before the start, like the next two
                               members */
  uint8_t is_response : 1;  /* a response: it ends when it has more events than begins_with */
  uint8_t begins_with : 2;
  /* vestry_err of the last refused send; relaxed: information only. This member stands here because the bits before and
   * after it are written by different threads. */
  _Atomic(uint8_t) refusal;
  /* Only the runner uses the members from here on. */
  bool timer_armed : 1; /* as far as the runner knows; timer_fired corrects it */
  bool blocked : 1;     /* the transport has no room; the runner waits for writable */
  bool broken : 1;      /* the transport or the coder failed: a clean end is impossible */
  bool ended : 1;       /* the end of the encoded stream is among the taken deliveries, or written */
  bool greets : 1;      /* a heartbeat follows its head at once, if no event does; set before the start */
  vsi_load_place place; /* rank of `load` */
  uint8_t taken_count;  /* of `taken`: up to SLICES_A_WRITE (runner.c), plus some of the coder */
  uint32_t offset;      /* encoded bytes of the oldest taken event that are written */
  uint32_t max_queued_bytes;
  const vsi_environment *environment;
  vsi_coder *coder; /* owned; NULL: a plain stream; set before the start. Only the runner uses its content, except
                       constants */
  /* Counters, here and below: updated by senders (under the queue's lock, or by fetch_add) and by the runner (store),
   * and read by any thread. Relaxed. */
  _Atomic(uint64_t) accepted_count, conflated_count, conflated_bytes; /* under the lock */

  /* From here on, members that a send of an event does not use. */
  const vestry_transport_ops *ops;
  void *transport;
  vsi_deliveries taken; /* used by the runner only: deliveries taken from the queue, encoded, and not yet completely
                           written */
  _Atomic(uint64_t) written_count, written_bytes, writes_count, wire_bytes, last_write_ns;

  /* From here on, members that a delivery seldom uses. */
  uint32_t heartbeat_ms;       /* UINT32_MAX: none */
  _Atomic(uint32_t) reporting; /* number of threads inside an on_error hook or the step of a watch, and whether more may
                                enter (refusal.c) */
  _Atomic(uint64_t) refused_count, discarded_count, discarded_bytes, heartbeats_count;
  uint64_t id;
  const vsi_connection_hooks *hooks;
  vsi_ring *at_close; /* the first close node; NULL: none. Called after the end of the transport, before the hooks */

  TAILQ_ENTRY(vestry_connection) in_group; /* guarded by the group's lock */
  vsi_load load;                           /* likewise; the bytes that its queue holds, or held when it was last
                                              checked */

  uint64_t closing_ns; /* when the runner first saw the cause; 0: not yet; used by the runner only */
  uint64_t opened_ns;
  vsi_timer timer; /* heartbeat, then linger. While armed, it holds a reference */

  _Alignas(void *) unsigned char context[]; /* of the hooks: the one that they have made, or a pointer */
};
_Static_assert(sizeof(struct vestry_connection) <= 352, "an idle stream's own memory: docs/guide/connections.md#costs");

/* Close connections if the budget is under pressure. No lock held. */
static inline void vsi_environment_relieve(const vsi_environment *environment) {
  if (vsi_budget_is_pressed(environment->budget)) environment->relieve(environment);
}

/* Return whether some events of the connection are timed. Any thread; relaxed: soon after it has begun. */
static inline bool vsi_connection_is_observed(const vestry_connection *connection) {
  const _Atomic(uint32_t) *count = &connection->environment->observers_count;
  return __builtin_expect(atomic_load_explicit(count, memory_order_relaxed) != 0, 0);
}

/* Begin to fetch the cache lines of a connection that a send uses, and those that a write uses in addition. */
static inline void vsi_connection_fetch(const vestry_connection *connection) {
  vsi_prefetch_to_write(&connection->actor);
  vsi_prefetch_to_write(&connection->queue);
  vsi_prefetch_to_write(&connection->accepted_count);
}
static inline void vsi_connection_fetch_written(const vestry_connection *connection) {
  vsi_prefetch_to_write(&connection->last_write_ns);
}

/* Return the context that the hooks get. Any thread. */
void *vsi_connection_context(vestry_connection *connection);

/* Take and release the lock of a connection, for a few instructions. It guards the queue, the close listeners, and the
 * entries and the scope of a stream (instance/stream_entries.h). */
static inline void vsi_connection_lock(vestry_connection *connection) {
  vsi_queue_lock(&connection->queue);
}
static inline void vsi_connection_unlock(vestry_connection *connection) {
  vsi_queue_unlock(&connection->queue);
}

/* Take a reference, and drop one. */
static inline vestry_connection *vsi_connection_hold(vestry_connection *connection) {
  VSI_REFS_TAKE(&connection->refs);
  return connection;
}
VESTRY_API void vsi_connection_free(vestry_connection *connection); /* the last reference was dropped */
static inline void vsi_connection_let_go(vestry_connection *connection) {
  if (VSI_REFS_DROP(&connection->refs)) vsi_connection_free(connection);
}

/* Return the coder; NULL: a plain stream. The runner, or any thread from the start on. */
static inline vsi_coder *vsi_connection_coder(const vestry_connection *connection) {
  return VSI_ENCODES ? connection->coder : NULL;
}

/* Return the number of bytes of the budget that the connection's queue holds. Any thread. */
static inline uint64_t vsi_connection_held(const vestry_connection *connection) {
  uint32_t count;
  size_t bytes;
  vsi_queue_load(&connection->queue, &count, &bytes, NULL);
  return vsi_budget_cost(count, bytes);
}

/* Undo a create while no other thread knows the connection. Its transport is untouched and belongs to the caller
 * again. */
void vsi_connection_discard(vestry_connection *connection);

/* Return whether the connection's bytes are encoded, or may still become so because it has not begun. */
VESTRY_API bool vsi_connection_may_encode(const vestry_connection *connection);

/* Start the connection: its head is written, then the events that were sent meanwhile. Once. */
VESTRY_API void vsi_connection_start(vestry_connection *connection);

/* Return the time when the transport last took bytes of an event, or the head; 0: never. Any thread. */
static inline uint64_t vsi_connection_last_write_ns(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->last_write_ns, memory_order_relaxed);
}

/* Use signs, which the page can see, as the heartbeats of the connection. has_first: an event counts as the first one;
 * otherwise it is sent now. Before the start. */
VESTRY_API void vsi_connection_give_signs(vestry_connection *connection, bool has_first);
/* Make the connection a response, which begins with this number of events, at most three. The connection ends cleanly
 * if nothing was written for hold_ms. on_written is called after each write, so that it can end the connection earlier.
 * Before the start. */
VESTRY_API void vsi_connection_answer(vestry_connection *connection, uint32_t hold_ms, unsigned events_count);
/* Return whether any thread has sent a response more than its first events. Any thread. */
VESTRY_API bool vsi_connection_is_answered(const vestry_connection *connection);

VESTRY_API const vestry_host *vsi_connection_host(const vestry_connection *connection);

/* As in vestry_connection_look. Any thread. */
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
vestry_connection_state vsi_connection_state(const vestry_connection *connection);

/* Call a node's function when the connection ends. A closing connection that has not ended yet is accepted. The node
 * must stay at its address until it was called or cancelled.
 * Returns  OK: the node will be called once, unless it is cancelled; the call may come before this returns | CLOSED:
 *          the connection has ended already, and the node will not be called
 * Threads  any that holds a reference */
VESTRY_API vestry_err vsi_connection_at_close(vestry_connection *connection, vsi_close_node *node);
/* Call a function with the node when the connection ends, or now if it has ended already. */
VESTRY_API void vsi_connection_call_at_close(vestry_connection *connection, vsi_close_node *node, vsi_close_fn fn);
/* Cancel a node.
 * Returns  true: the node was in the list and will not be called; false: its call will come at any moment, is running
 *          or is over, or the node was never accepted or was cancelled before. This does not wait, so the owner of the
 *          function must know when the call is over
 * Threads  any that holds a reference, including the function of this or another node */
VESTRY_API bool vsi_connection_cancel_at_close(vestry_connection *connection, vsi_close_node *node);
/* Return the first node with this function for which `is` returns true; NULL: none.
 * is       runs under the connection's lock, so the node exists during its call; NULL: any node
 * Threads  any that holds a reference, if the node's function waits for a lock that the caller holds before it frees
 *          the node; otherwise the runner, for nodes that are never cancelled, because it calls the node itself */
VESTRY_API vsi_close_node *vsi_connection_find_at_close(vestry_connection *connection, vsi_close_fn fn,
                                                        vsi_close_is_fn is, const void *ctx);

/* Call all nodes in order of registration. Once, on the runner. */
void vsi_connection_call_close_nodes(vestry_connection *connection, vestry_cause cause);

/* Return whether this process is a child of the process that has the stream's socket and its runner. A closed
 * connection may outlive its runtime, so its runtime is not read. (relaxed: a holder that outlives the runtime saw the
 * connection end.) */
bool vsi_connection_is_forked(const vestry_connection *connection);

/* Shorten the end of a connection that has a cause. how: VSI_HURRY_…; NOW: discard events that are not written. Any
 * thread. */
void vsi_connection_hurry(vestry_connection *connection, uint8_t how);

/* Return the coding of a stream; NULL: a plain stream. Any thread, from the start on. */
static inline vsi_coding *vsi_connection_coding(const vestry_connection *connection) {
  const vsi_coder *coder = vsi_connection_coder(connection);
  return coder ? coder->coding : NULL;
}

/* Return the kind of the connection's coding. Any thread; identity before the start. */
vsi_coding_kind vsi_connection_coding_kind(const vestry_connection *connection);

/* Return the number of accepted events, and of settled events. If settled has reached a value that accepted had at some
 * moment, each event accepted until then is written or will never be, and its room is free. Any thread; accepted is
 * exact for the sender's own events; settled is never too large, and too small only while others send. */
static inline uint64_t vsi_connection_accepted(const vestry_connection *connection) {
  return atomic_load_explicit(&connection->accepted_count, memory_order_relaxed);
}
VESTRY_API uint64_t vsi_connection_settled(const vestry_connection *connection);

/* Request a call of on_written. Any thread that holds a reference; does not block. */
VESTRY_API void vsi_connection_await_written(vestry_connection *connection);

/* Return whether a stream that ends with this cause ends cleanly. */
static inline bool vsi_cause_is_clean(vestry_cause cause) {
#define VSI_CLEAN_OF(name, text, clean) clean,
  static const bool is_clean[] = {VESTRY_CAUSES(VSI_CLEAN_OF)};
#undef VSI_CLEAN_OF
  return is_clean[cause];
}

/* Return whether events accepted before a close with this cause are written. */
static inline bool vsi_cause_flushes(vestry_cause cause) {
  return cause == VESTRY_CAUSE_DRAIN || vsi_cause_is_clean(cause);
}

/* Return whether the cause means that the peer is gone, so that no written byte arrives. */
static inline bool vsi_cause_is_of_peer(vestry_cause cause) {
  return cause == VESTRY_CAUSE_HANGUP || cause == VESTRY_CAUSE_LOST || cause == VESTRY_CAUSE_STALLED ||
         cause == VESTRY_CAUSE_LEASE_EXPIRED;
}

#endif
