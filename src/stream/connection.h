/* What a connection is made of. connection.c is what its holders call, runner.c what its runner does. */
#ifndef VSI_STREAM_CONNECTION_H
#define VSI_STREAM_CONNECTION_H

#include "runtime/actor.h"
#include "runtime/timer.h"
#include "stream/budget.h"
#include "stream/close_list.h"
#include "stream/coder.h"
#include "stream/conflation.h"
#include "stream/group.h"
#include "stream/queue.h"

/* There are many, and most are idle: what one costs is what it is made of here. So there are no holes, and what few of
 * them need is elsewhere: what is said of conflated events (conflation.h), and what an encoded stream remembers. */
struct vestry_connection {
  vsi_actor actor; /* first: an actor is its connection */
  vsi_queue queue;
  _Atomic(uint32_t) refs;
  _Atomic(uint32_t) telling; /* senders inside an on_error hook, and whether there may be more (refusal.c) */
  _Atomic(uint8_t) state;    /* vestry_connection_state but CLOSING, which is "has a cause"; written by the runner */
  _Atomic(uint8_t) cause;    /* vestry_cause; NONE → a cause, once */
  _Atomic(bool) started;     /* false: runs do nothing yet */
  _Atomic(bool) writable;    /* set by the adapter, taken by the runner */
  _Atomic(bool) hurried;     /* a clean end does not wait for its peer any more */
  _Atomic(bool) timer_fired;
  uint8_t full; /* vestry_full_policy */
  /* The runner's own, here and below. */
  bool timer_armed;    /* as far as the runner knows; timer_fired tells it otherwise */
  bool blocked;        /* the transport has no room; wait for writable */
  bool broken;         /* the transport or the coder failed: no clean end any more */
  bool ended;          /* what ends an encoded stream is among the taken, or written */
  uint8_t taken_count; /* SLICES_A_WRITE (runner.c), and some of the coder's own */
  uint32_t max_queued_count;
  uint32_t max_queued_bytes;
  uint32_t heartbeat_ms; /* UINT32_MAX: none */
  const vestry_transport_ops *ops;
  void *transport;
  uint64_t id;
  const vsi_connection_hooks *hooks;
  void *hooks_ctx;
  vsi_close_list at_close; /* told after the transport, before the hooks */

  vsi_group *group;
  struct vestry_connection *group_next, **group_link; /* guarded by the group's lock */

  vsi_coder
      *coder; /* NULL: a plain stream; set before the start. What is in it is the runner's, but what is constant */

  /* The runner's own. */
  vsi_delivery *taken_last;   /* taken from the queue, encoded, not yet written whole: a ring, behind the last is the
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
_Static_assert(sizeof(struct vestry_connection) <= 344, "an idle stream's own memory: docs/bench-streams.md");

/* After its last use of the runner's transport: for a clean end that the peer does not take, how long to wait. */
#define VSI_LINGER_NS UINT64_C(5000000000)

/* What a shared stream is encoded as; NULL: it is plain, or has its own encoder. Any thread, from the start on. */
static inline vsi_coding *vsi_connection_coding(const vestry_connection *connection) {
  return connection->coder ? vsi_coder_shared(connection->coder) : NULL;
}

/* Put a delivery into the queue: its event, counted, but the runner is not told. Any thread, lock-free, calls nothing.
 * OK: the queue has taken it | CLOSED | FULL (counted) | TOO_LARGE: it is still the caller's. In each case
 * vsi_connection_posted must follow */
vestry_err vsi_connection_post(vestry_connection *connection, vsi_delivery *delivery);
/* What follows a post: rouse the runner, or tell of what was refused and do what the policy says. No lock held. */
void vsi_connection_posted(vestry_connection *connection, vestry_err error);

/* Have it come back in so many milliseconds: write what was accepted, then that hint, then abort it for DRAIN. The hint
 * is left out when there is no memory or no room for it. Returns whether this call decided the cause. Any thread. */
bool vsi_connection_send_off(vestry_connection *connection, uint32_t retry_ms);

/* What was accepted before a close for this cause is written. */
static inline bool vsi_cause_flushes(vestry_cause cause) {
  return cause == VESTRY_CAUSE_DRAIN || vestry_cause_is_clean(cause);
}

/* The actor's class for pool and for parked transports (runner.c). */
extern const vsi_actor_class vsi_connection_pooled, vsi_connection_parked;
/* The timer's callback (runner.c). */
void vsi_connection_timer_fired(vsi_timer *timer);
/* Settle what is left, end the transport, call the hooks, leave the group. Runner, or abandon (runner.c). */
void vsi_connection_finish(vestry_connection *connection, bool clean);

/* A send came to nothing: tell the hooks, if the error is theirs to know, and do what they say. Returns the error. Any
 * thread, no lock held (refusal.c). */
vestry_err vsi_connection_refused(vestry_connection *connection, vestry_err error);
/* No on_error hook is called from here on. Returns whether none is running; if one is, it notifies the actor when it
 * has returned. Idempotent; runner, or abandon (refusal.c). */
bool vsi_connection_hush(vestry_connection *connection);

/* Send an event that was just made, if it was; drops it (connection.c). */
vestry_err vsi_connection_send_made(vestry_connection *connection, vestry_err error, vestry_event *event);

/* The group's side (group.c). */
const vestry_host *vsi_group_host(const vsi_group *group);
vestry_runtime *vsi_group_runtime(const vsi_group *group);
const vestry_connection_options *vsi_group_defaults(const vsi_group *group);
vestry_event *vsi_group_heartbeat(const vsi_group *group);
vsi_budget *vsi_group_budget(vsi_group *group);
/* References to those that hold most in their queues, most first, at most limit, and what each holds; without those
 * that hold nothing, and those that are about to give back all they hold: ret_going, together. */
size_t vsi_group_largest(vsi_group *group, vestry_connection **largest, uint64_t *held, size_t limit,
                         uint64_t *ret_going);
vestry_err vsi_group_enter(vsi_group *group, vestry_connection *connection); /* numbers it; OK | CLOSED */
void vsi_group_leave(vsi_group *group, vestry_connection *connection);       /* counts it; after the hooks */

/* Fill in defaults and check bounds: OK | INVALID. */
vestry_err vsi_connection_options_resolve(const vestry_connection_options *options,
                                          const vestry_connection_options *defaults,
                                          vestry_connection_options *ret_options);

#endif
