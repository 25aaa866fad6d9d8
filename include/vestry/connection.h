/* SPDX-License-Identifier: MIT */
/** Connections: open streams to browsers, to which any thread can send events.
 *
 *  A connection passes through OPENING → OPEN → CLOSING → CLOSED once, and ends with one cause. Sending never blocks:
 *  an event goes into the connection's bounded queue. The connection's runner, the only thread that writes to the
 *  stream at that time, writes all queued events in one write. A reference keeps the object allocated, but not the
 *  stream open: a send to a closed connection returns VESTRY_CLOSED.
 *
 *      vestry_connection_patch_signals(connection, VESTRY_OBJECT("counter", 4), NULL);
 *      vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);   // ends cleanly, after the events sent before
 *
 *  Order: the client receives two events in the order of their sends, if one thread sent both or one send happened
 *  before the other. Delivery: an accepted event (VESTRY_OK) is written exactly once, unless the connection ends first
 *  or a later event of the same state takes its place (`state` in vestry_elements_options). */
#ifndef VESTRY_CONNECTION_H
#define VESTRY_CONNECTION_H

#include "vestry/cause.h"
#include "vestry/event.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A stream to one client; reference-counted. */
typedef struct vestry_connection vestry_connection;

/** State of a connection. It changes only in this order. */
typedef enum vestry_connection_state {
  VESTRY_STATE_OPENING, /**< created; the response head is not written yet. Accepts events */
  VESTRY_STATE_OPEN,    /**< accepts events */
  VESTRY_STATE_CLOSING, /**< has a cause and accepts no events; before a clean end, the events accepted earlier are
                             written */
  VESTRY_STATE_CLOSED   /**< the transport is gone and the close hook has run or is running */
} vestry_connection_state;

/** Behaviour of a send to a full queue, if no on_error hook decides. The sender gets VESTRY_FULL. A sender never
 *  waits for the client. */
typedef enum vestry_full_policy {
  VESTRY_FULL_DEFAULT = 0, /**< the instance's policy, which is CLOSE unless it was set */
  VESTRY_FULL_CLOSE,       /**< the connection ends with cause FULL: the browser reconnects and starts from fresh
                                state */
  VESTRY_FULL_DROP,        /**< the event is dropped and counted; the connection stays */
  VESTRY_FULL_CONFLATE = VESTRY_FULL_CLOSE /**< former name: events with a `state` are conflated under each policy
                                                (vestry_elements_options) */
} vestry_full_policy;

/** Called when the stream is open and its head is written. On the connection's runner, no lock held; must not block. */
typedef void (*vestry_on_open_fn)(vestry_connection *connection, void *ctx);
/** Called when the stream has ended and nothing more will be written. Exactly once for each connection that was
 *  created, opened or not, on the connection's runner (on the request's thread if the stream was given up before it
 *  opened), no lock held; must not block; may use other connections and stores. */
typedef void (*vestry_on_close_fn)(vestry_connection *connection, vestry_cause cause, void *ctx);

/** Decision about a connection after a failed send. */
typedef enum vestry_verdict {
  VESTRY_VERDICT_DEFAULT = 0, /**< as without a hook: after FULL, the connection's vestry_full_policy decides; after
                                   another error, it stays open */
  VESTRY_VERDICT_GO_ON,       /**< the connection stays open; the sender knows from the error what was lost */
  VESTRY_VERDICT_CLOSE        /**< the connection closes, after FULL with cause FULL, otherwise with ERROR: the browser
                                   reconnects and starts from fresh state */
} vestry_verdict;

/** Decides whether an open connection continues after a send to it has failed with FULL, TOO_LARGE or NO_MEMORY. This
 *  includes an event that vestry_connection_patch_elements or a similar function could not make. The sender gets the
 *  error in any case. Called on the sender's thread, before its send returns, no lock held; possibly before on_open,
 *  and possibly for several senders at once. It must not block or send to this connection, but may send to others.
 *  vestry never calls it during or after on_close: if the connection closes during this call, on_close follows after
 *  the return. */
typedef vestry_verdict (*vestry_on_error_fn)(vestry_connection *connection, vestry_err error, void *ctx);

/** Hooks of a connection. If a connection and its instance have hooks, all are called, those of the connection first;
 *  the first verdict that is not DEFAULT counts. */
typedef struct vestry_connection_hooks {
  vestry_on_open_fn on_open;   /**< NULL: none */
  vestry_on_close_fn on_close; /**< NULL: none */
  vestry_on_error_fn on_error; /**< NULL: none */
  void *ctx;                   /**< must remain valid until on_close has returned */
} vestry_connection_hooks;

/** Bounds and behaviour of a connection. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_connection_options {
  uint32_t max_queued_count; /**< maximum number of events accepted and not yet handed to the transport [1,024]; at most
                                  1,000,000 */
  size_t max_queued_bytes;   /**< maximum of their bytes [1 MiB, or half of vestry_bounds.max_queued_bytes if that is
                                  less]; at most 1 GiB. A single event larger than this is TOO_LARGE */
  vestry_full_policy full;   /**< [close] */
  uint64_t heartbeat_ms;     /**< idle time after which a comment is sent [15,000]; up to a sixteenth of it earlier,
                                  together with the comments of other streams; VESTRY_NEVER_MS, or more than 49 days:
                                  none. If there is no memory for the comment, it is skipped */
} vestry_connection_options;

/** Counters of one connection since it was created. */
typedef struct vestry_connection_stats {
  uint64_t accepted_count, accepted_bytes;   /**< events accepted from senders */
  uint64_t written_count, written_bytes;     /**< events handed to the transport as a whole; without heartbeats */
  uint64_t discarded_count, discarded_bytes; /**< accepted events that were not written, because the connection ended */
  uint64_t conflated_count, conflated_bytes; /**< accepted events that were dropped in favour of a later one of the
                                                  same state */
  uint64_t refused_count;                    /**< events of sends that returned FULL */
  uint32_t queued_count;                     /**< accepted = written + discarded + conflated + queued; bytes likewise */
  size_t queued_bytes;
  uint64_t heartbeats_count;
  uint64_t writes_count;  /**< calls of the transport's write */
  uint64_t wire_bytes;    /**< bytes that the transport took: encoded, with heartbeats and the overhead of the encoding.
                               All other counters of bytes count bytes of events */
  uint64_t opened_ns;     /**< time of creation, on the host's clock */
  uint64_t last_write_ns; /**< time when the transport last took bytes of an event, or the head; 0: never */
  vestry_connection_state state;
  vestry_cause cause;      /**< NONE until it closes */
  uint64_t followed_count; /**< events encoded as the difference from the event before (vestry_event_follow) */
} vestry_connection_stats;

/** Take a reference. Returns its argument. Threads any. */
VESTRY_API vestry_connection *vestry_connection_ref(vestry_connection *connection);
/** Drop a reference (NULL accepted). This does not end the stream; vestry_connection_close does. Returns NULL. Threads
 *  any; does not block. */
VESTRY_API vestry_connection *vestry_connection_unref(vestry_connection *connection);

/** Snapshot of a connection. The state may have changed when the caller reads it. */
typedef struct vestry_connection_now {
  uint64_t id;             /**< unique within the instance, from 1; never reused */
  const vestry_host *host; /**< the instance's host, for events that are made for this connection */
  vestry_connection_state state;
  vestry_cause cause; /**< why it ends or has ended; NONE while it is OPENING or OPEN */
} vestry_connection_now;
/** Get a snapshot of a connection. Threads any; lock-free. */
VESTRY_API vestry_connection_now vestry_connection_look(const vestry_connection *connection);
/** Return whether a send could be accepted now. Threads any; lock-free. */
VESTRY_API bool vestry_connection_is_open(const vestry_connection *connection);
/** Frees the data that was passed to vestry together with this function. */
typedef void (*vestry_destroy_fn)(void *data);
/** Get the data of the reply that opened the stream (vestry_stream_options.data); NULL: none. The pointer is set before
 *  the first hook and does not change. The data lives as long as the caller's reference, also after the end of the
 *  stream. If several threads use the data at once, the application must synchronize them. Threads any; lock-free. */
VESTRY_API void *vestry_connection_data(const vestry_connection *connection);

/** Send several events with nothing in between: all are accepted or none.
 *  events   count ≥ 1 events, borrowed; references are taken on OK only
 *  Returns  OK (accepted) | CLOSED | FULL (see vestry_full_policy; also if all queues together are full) | TOO_LARGE
 *           (they do not fit into this connection's queue, or into vestry_bounds.max_queued_bytes, even if all queues
 *           are empty) | NO_MEMORY | INVALID (count 0)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_connection_send_all(vestry_connection *connection, vestry_event *const *events,
                                                 size_t count);
/** Send one event, as vestry_connection_send_all. */
static inline vestry_err vestry_connection_send(vestry_connection *connection, vestry_event *event) {
  return vestry_connection_send_all(connection, &event, 1);
}
/* ---- make and send ----------------------------------------------------------------------------------------------- */

/** Send the events of one or several built-in effects, with nothing in between: all are accepted or none.
 *      vestry_connection_effects(connection, VESTRY_LIST("redirect", "/people"));
 *      vestry_connection_effects(connection, VESTRY_LIST(VESTRY_LIST("patch-elements", "<ol id=\"list\"></ol>"),
 *                                                        VESTRY_LIST("patch-signals", VESTRY_OBJECT("count", 0))));
 *  effects  an effect of vestry_event_effect, or a list of at least one
 *  Returns  as vestry_event_effect, also for an empty list (INVALID), and as vestry_connection_send_all
 *  Threads  any; does not block
 *
 *  An error in making an event counts as an error in sending, also for the next functions: see vestry_on_error_fn. */
VESTRY_API vestry_err vestry_connection_effects(vestry_connection *connection, const vestry_value *effects);
/** Send elements: vestry_event_elements, then vestry_connection_send. Threads any; does not block. */
VESTRY_API vestry_err vestry_connection_patch_elements(vestry_connection *connection, const char *html, size_t len,
                                                       const vestry_elements_options *options);
/** Send elements by a format, which escapes each %s for its context: vestry_event_elementsf, then
 *  vestry_connection_send. Threads any; does not block.
 *      vestry_connection_patch_elementsf(connection, NULL, "<li id=\"m%d\">%s</li>", 7, "a message"); */
VESTRY_API vestry_err vestry_connection_patch_elementsf(vestry_connection *connection,
                                                        const vestry_elements_options *options, const char *format, ...)
    VESTRY_PRINTF(3, 4);
/** Send signals: vestry_event_signals, then vestry_connection_send. Threads any; does not block. */
VESTRY_API vestry_err vestry_connection_patch_signals(vestry_connection *connection, const vestry_value *signals,
                                                      const vestry_signals_options *options);

/* ---- end --------------------------------------------------------------------------------------------------------- */

/** End a connection with a cause. Only the first cause counts.
 *  - A clean cause (vestry/cause.h): events accepted before are written, and the stream ends so that the browser
 *    does not reconnect. If the peer takes no bytes for five seconds, or has not taken all of them after a minute, the
 *    remaining events are discarded, and the end is an abort.
 *  - DRAIN: the events accepted before are written, for at most five seconds if the peer is slow. Then the stream is
 *    aborted, so that the browser reconnects.
 *  - Any other cause: the queued events are discarded, and the stream is aborted.
 *  Later calls do nothing, with two exceptions for a connection that is ending cleanly. A call with HANGUP, LOST or
 *  STALLED discards the queued events at once, because the peer is gone. A call with SHUTDOWN shortens the minute for a
 *  slow peer to five seconds, counted from the first close.
 *  Returns  true: this call set the cause; false: the connection was closing already (or the cause is NONE or
 *           DETACHED)
 *  Threads  any; does not block; hooks run later, on the runner */
VESTRY_API bool vestry_connection_close(vestry_connection *connection, vestry_cause cause);

/** Wake the watches of a stream (vestry/app/watch.h), so that the step function of each is called. Without effect on a
 *  stream that has no watch. The effect wake [] wakes all streams of a dispatch (vestry/registry.h): vestry_dispatch(v,
 *  scope, key, VESTRY_LIST("wake")).
 *  Threads  any; lock-free except to wake a thread; does not block */
VESTRY_API void vestry_connection_wake(vestry_connection *connection);

/** Close *connection cleanly with cause CLOSED, after the events sent before; drop the reference and set it to NULL. A
 *  NULL is accepted. Threads any; does not block. */
static inline void vestry_connection_leave(vestry_connection **connection) {
  if (!*connection) return;
  vestry_connection_close(*connection, VESTRY_CAUSE_CLOSED);
  *connection = vestry_connection_unref(*connection);
}

#if defined(__GNUC__)
/** Call vestry_connection_leave when the variable goes out of scope, by return, break, goto or at the end of the block,
 *  but not by longjmp. Write it in front of a variable that holds a reference. The scope is that of C, not a
 *  vestry_scope. For gcc and clang.
 *
 *      VESTRY_CLOSED_AT_END vestry_connection *stream = vestry_connection_ref(connection); */
#define VESTRY_CLOSED_AT_END __attribute__((cleanup(vestry_connection_leave)))
#endif

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_connection_stats_get(const vestry_connection *connection, vestry_connection_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
