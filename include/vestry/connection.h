/* SPDX-License-Identifier: MIT */
/** Connections: one browser's stream, kept open, and spoken to from any thread.
 *
 *  A connection lives once: OPENING → OPEN → CLOSING → CLOSED, with one cause. Sending never blocks: an event goes into
 *  the connection's bounded queue, and the connection's own runner writes all that waits in one write. A reference
 *  keeps the memory, not the stream: calls on a closed connection return VESTRY_CLOSED.
 *
 *      vestry_connection_patch_signals(connection, VESTRY_OBJECT("counter", 4), NULL);
 *      vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);   // ends cleanly, after what was sent before
 *
 *  Order: what one thread sends arrives in that order; so does what several threads send, if one send happened before
 *  the other. Exactly-once: an event that was accepted (VESTRY_OK) is written once, unless the connection ends first;
 *  accepted = written + discarded + conflated + queued. */
#ifndef VESTRY_CONNECTION_H
#define VESTRY_CONNECTION_H

#include "vestry/cause.h"
#include "vestry/script.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One stream; reference-counted. */
typedef struct vestry_connection vestry_connection;

/** Where a connection is in its life; it only ever moves forward. */
typedef enum vestry_connection_state {
  VESTRY_STATE_OPENING, /**< made; the head of the answer is not written yet. Accepts events */
  VESTRY_STATE_OPEN,    /**< accepts events */
  VESTRY_STATE_CLOSING, /**< has its cause, accepts nothing; a clean end still writes what was accepted before */
  VESTRY_STATE_CLOSED   /**< the transport is gone and the close hook has run or is running */
} vestry_connection_state;

/** What happens to an event that finds the queue full, unless an on_error hook decides. Either way the sender gets
 *  VESTRY_FULL, and never waits. */
typedef enum vestry_full_policy {
  VESTRY_FULL_DEFAULT = 0, /**< the instance's policy, which is CLOSE unless it was set */
  VESTRY_FULL_CLOSE,       /**< the connection is closed for FULL: the browser comes back and starts from fresh state */
  VESTRY_FULL_DROP,        /**< the event is dropped and counted; the connection stays */
  /** Close, as above; but before it comes to that, waiting events that later ones make superfluous are left out, so a
   *  slow page is shown the latest state and not all that led to it. Left out is
   *  - a morph (outer, inner, replace) of one element when a later one sets the same, by mode, namespace and id: the
   *    selector is "#id", or there is none and the HTML is one element with an id;
   *  - a signals patch, when the one after it can say both (RFC 7386): they become one, in the later one's place.
   *  Appends, prepends, before, after, removes, scripts, what belongs to a batch, and signals that are only set if
   *  missing never are; and nothing is left out across a script, a batch, a selector that is not one id, or HTML that
   *  could run something: handlers, embedded documents, elements that the page defines, Datastar attributes but those
   *  that show signals, bind them, or wait for the user. All others keep their order.
   *  What a user has typed is not lost by it, nor a signal: a morph with fields, data-bind or signals that are shown
   *  goes for a later one only if the page is the same in the end, with what the user has done kept at least as well.
   *  docs/guide/connections.md has the rules. In short: tags are closed; fields have ids; what the earlier one binds
   *  or shows (16 different ones at most) so does the later one, and nothing in between is about the same signals;
   *  selects are alike. What stays for that is counted: vestry_connection_stats.kept_count.
   *  Ids must be unique in the page, and an event must find what it is for: it is not to be for an element that an
   *  earlier event took away.
   *  Where the connection's own thread is inside of a write that blocks, a sender that finds the queue full leaves out
   *  what it can in its place, or waits for another sender that does: a number of steps, no write. */
  VESTRY_FULL_CONFLATE
} vestry_full_policy;

/** The stream is open and its head is written. On the connection's runner, no lock held; must not block. */
typedef void (*vestry_on_open_fn)(vestry_connection *connection, void *ctx);
/** The stream has ended; nothing will be written any more. Exactly once for each connection that was created, opened or
 *  not, on the connection's runner, no lock held; must not block; may use other connections and stores. */
typedef void (*vestry_on_close_fn)(vestry_connection *connection, vestry_cause cause, void *ctx);

/** What becomes of a connection to which something could not be sent. */
typedef enum vestry_verdict {
  VESTRY_VERDICT_DEFAULT = 0, /**< as without a hook: after FULL what vestry_full_policy says, otherwise it goes on */
  VESTRY_VERDICT_GO_ON,       /**< it stays as it is, and the sender knows what was lost */
  VESTRY_VERDICT_CLOSE        /**< it is closed, after FULL for FULL, otherwise for ERROR: the browser comes back and
                                   starts from fresh state */
} vestry_verdict;

/** A send to this open connection was refused, or failed: FULL, TOO_LARGE or NO_MEMORY (also: an event for it could not
 *  be made, by vestry_connection_patch_elements and the like). Decides whether the connection goes on; the sender gets
 *  the error either way. On the sender's thread, before its send returns, perhaps for several senders at once and
 *  before on_open; no lock held; must not block, nor send to this connection, but may use others. Never while on_close
 *  runs, nor after it: a connection that closes meanwhile ends when this has returned. */
typedef vestry_verdict (*vestry_on_error_fn)(vestry_connection *connection, vestry_err error, void *ctx);

/** What is told about a connection's life. Where a connection has hooks of its own and of its instance, all are told,
 *  its own first; of the verdicts the first that is not DEFAULT counts. */
typedef struct vestry_connection_hooks {
  size_t size;                 /**< sizeof(vestry_connection_hooks), or 0 */
  vestry_on_open_fn on_open;   /**< NULL: none */
  vestry_on_close_fn on_close; /**< NULL: none */
  vestry_on_error_fn on_error; /**< NULL: none */
  void *ctx;                   /**< must live until on_close has returned */
} vestry_connection_hooks;

/** Bounds and habits of a connection. Zero: the default in brackets. */
typedef struct vestry_connection_options {
  size_t size;               /**< sizeof(vestry_connection_options), or 0 */
  uint32_t max_queued_count; /**< events accepted and not yet handed to the transport [1,024]; at most 1,000,000 */
  size_t max_queued_bytes;   /**< their bytes [1 MiB]; at most 1 GiB. One event larger than this is TOO_LARGE */
  vestry_full_policy full;   /**< [close] */
  uint64_t heartbeat_ms;     /**< a comment is sent when nothing was sent for so long [15,000]; VESTRY_NEVER_MS, or more
                                  than 49 days: none. Without memory for it the comment is left out */
} vestry_connection_options;

/** Counters of one connection, since it was created. */
typedef struct vestry_connection_stats {
  size_t size;                               /**< sizeof(vestry_connection_stats), or 0 */
  uint64_t accepted_count, accepted_bytes;   /**< events taken from senders */
  uint64_t written_count, written_bytes;     /**< handed to the transport whole; without heartbeats */
  uint64_t discarded_count, discarded_bytes; /**< accepted, but the connection ended first */
  uint64_t conflated_count, conflated_bytes; /**< accepted, and left out for a later one (VESTRY_FULL_CONFLATE) */
  /** Of a connection that conflates: why less was left out. If one of them grows with every event, look there. */
  uint64_t barriers_count;  /**< accepted, and nothing before it is left out for what comes after it */
  uint64_t kept_count;      /**< morphs that stayed though a later one has their target: what they hold, or what came
                                 in between (a barrier, too), would be lost */
  uint64_t forgotten_count; /**< morphs that stayed since too many targets wait: of the 64 places for them each keeps
                                 one, and another target has taken theirs */
  uint64_t refused_count;   /**< answered FULL */
  uint32_t queued_count;    /**< accepted = written + discarded + conflated + queued; bytes likewise */
  size_t queued_bytes;
  uint64_t heartbeats_count;
  uint64_t writes_count;  /**< calls of the transport's write */
  uint64_t wire_bytes;    /**< taken by the transport, as they go out: encoded, with heartbeats and what a coding needs.
                               All others above are bytes of events */
  uint64_t opened_ns;     /**< when it was created, on the host's clock */
  uint64_t last_write_ns; /**< when the transport last took bytes of an event, or the head; 0: never */
  vestry_connection_state state;
  vestry_cause cause;      /**< NONE until it closes */
  uint64_t followed_count; /**< events encoded as what has changed since the one before (vestry_event_follow) */
} vestry_connection_stats;

/** Take a reference. Returns its argument. Threads any. */
VESTRY_API vestry_connection *vestry_connection_ref(vestry_connection *connection);
/** Drop a reference (NULL accepted); the stream stays open: its server holds one too. Returns NULL. Threads any; does
 *  not block. */
VESTRY_API vestry_connection *vestry_connection_unref(vestry_connection *connection);

/** A connection at a moment; its state may have moved on when you look. */
typedef struct vestry_connection_now {
  uint64_t id;             /**< a number of its own within the instance, from 1; never reused */
  const vestry_host *host; /**< the instance's: for events that are made for this connection */
  vestry_connection_state state;
  vestry_cause cause; /**< why it ends or ended; NONE while it is OPENING or OPEN */
} vestry_connection_now;
/** Look at it. Threads any; a few loads. */
VESTRY_API vestry_connection_now vestry_connection_look(const vestry_connection *connection);
/** Whether a send could be accepted now. Threads any; one load. */
VESTRY_API bool vestry_connection_is_open(const vestry_connection *connection);
/** Disposes of data that was handed over. */
typedef void (*vestry_destroy_fn)(void *data);
/** The data of the reply that opened the stream (vestry_reply_data); NULL: none. The pointer is there before the first
 *  hook and does not change. The data lives as long as the caller's reference, past the end of the stream too. Several
 *  threads may use the data at once: the application has to order that. Threads any; one load. */
VESTRY_API void *vestry_connection_data(const vestry_connection *connection);

/** Send several events with nothing in between: all are accepted or none.
 *  events   count ≥ 1 events, borrowed; references are taken on OK only
 *  Returns  OK (accepted) | CLOSED | FULL (see vestry_full_policy) | TOO_LARGE (for any queue of this connection) |
 *           NO_MEMORY | INVALID (count 0)
 *  Threads  any; lock-free but for waking the runner, and a full queue of VESTRY_FULL_CONFLATE; does not block */
VESTRY_API vestry_err vestry_connection_send_all(vestry_connection *connection, vestry_event *const *events,
                                                 size_t count);
/** Send one event: vestry_connection_send_all. */
static inline vestry_err vestry_connection_send(vestry_connection *connection, vestry_event *event) {
  return vestry_connection_send_all(connection, &event, 1);
}
/** Send an event that was just made, and drop it. An error in making it is one in sending: vestry_on_error_fn.
 *  made     what the function of event.h or script.h returned that made the event
 *  event    a reference, which is taken whatever comes of it; not looked at where made is an error
 *  Returns  made | as vestry_connection_send_all
 *  Threads  as vestry_connection_send_all */
VESTRY_API vestry_err vestry_connection_send_made(vestry_connection *connection, vestry_err made, vestry_event *event);

/* ---------------------------------------------------------------------------------------- make, and send --------- */

/** Elements by a format: vestry_event_elementsf (escapes each %s for where it stands), and then
 *  vestry_connection_send_made.
 *      vestry_connection_patch_elementsf(connection, NULL, "<li id=\"m%d\">%s</li>", id, message);
 *  Threads any; does not block. */
VESTRY_API vestry_err vestry_connection_patch_elementsf(vestry_connection *connection,
                                                        const vestry_elements_options *options, const char *format, ...)
    VESTRY_PRINTF(3, 4);

/* The others likewise, with the errors of both functions. Events of other kinds are made by their own functions
 * (event.h, script.h). */

/** vestry_event_elements. */
static inline vestry_err vestry_connection_patch_elements(vestry_connection *connection, const char *html, size_t len,
                                                          const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_elements(vestry_connection_look(connection).host, html, len, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_remove. */
static inline vestry_err vestry_connection_remove_elements(vestry_connection *connection, const char *selector,
                                                           const vestry_elements_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_remove(vestry_connection_look(connection).host, selector, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_signals, of C's own values: vestry_connection_patch_signals(c, VESTRY_OBJECT("counter", 4), NULL). */
static inline vestry_err vestry_connection_patch_signals(vestry_connection *connection, const vestry_value *signals,
                                                         const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_signals(vestry_connection_look(connection).host, signals, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_signals_text. */
static inline vestry_err vestry_connection_patch_signals_text(vestry_connection *connection, const char *json,
                                                              size_t len, const vestry_signals_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_signals_text(vestry_connection_look(connection).host, json, len, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_script. */
static inline vestry_err vestry_connection_execute_script(vestry_connection *connection, const char *script, size_t len,
                                                          const vestry_script_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_script(vestry_connection_look(connection).host, script, len, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_redirect. */
static inline vestry_err vestry_connection_redirect(vestry_connection *connection, const char *url,
                                                    const vestry_script_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_redirect(vestry_connection_look(connection).host, url, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_navigate. */
static inline vestry_err vestry_connection_navigate(vestry_connection *connection, const char *url,
                                                    const vestry_script_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_navigate(vestry_connection_look(connection).host, url, options, &event);
  return vestry_connection_send_made(connection, made, event);
}
/** vestry_event_plain: a name and data of your own, for pages without Datastar and for other programs
 *  (vestry_reply_any_client lets those in). */
static inline vestry_err vestry_connection_event(vestry_connection *connection, const char *name, const char *data,
                                                 size_t len, const vestry_plain_options *options) {
  vestry_event *event = NULL;
  vestry_err made = vestry_event_plain(vestry_connection_look(connection).host, name, data, len, options, &event);
  return vestry_connection_send_made(connection, made, event);
}

/* ------------------------------------------------------------------------------------------------- its end ------- */

/** End it for a cause. The first cause wins. A clean cause (vestry_cause_is_clean) lets what was accepted before be
 *  written, and ends the stream so that the browser stays away; any other discards it and aborts. A clean end gives a
 *  peer that does not read five seconds, and a peer that reads slowly a minute; what has not gone out then is
 *  discarded, and the end is an abort. Later calls do nothing, with these exceptions. HANGUP, LOST and STALLED say that
 *  the peer is gone: what waits for it is discarded at once. After SHUTDOWN a peer that reads slowly, too, has five
 *  seconds, from the first call on.
 *  Returns  true: this call decided the cause; false: it was closing already (or the cause is NONE)
 *  Threads  any; does not block; hooks run later, on the runner */
VESTRY_API bool vestry_connection_close(vestry_connection *connection, vestry_cause cause);

/** Wake what feeds a stream: have the steps of its watches called (vestry/app/watch.h). A stream that has none takes no
 *  notice. The effect wake [] does so for all streams of a dispatch:
 *  vestry_dispatch(v, scope, key, VESTRY_LIST("wake")).
 *  Threads  any; lock-free but to wake a thread; does not block */
VESTRY_API void vestry_connection_wake(vestry_connection *connection);

/** Close *connection for CLOSED, cleanly, after what was sent before; drop the reference and set it to NULL. A NULL is
 *  left alone. Threads any; does not block. */
static inline void vestry_connection_leave(vestry_connection **connection) {
  if (!*connection) return;
  vestry_connection_close(*connection, VESTRY_CAUSE_CLOSED);
  *connection = vestry_connection_unref(*connection);
}

/** What is done with a stream before it is closed. On the caller's thread; its error is returned to the caller. */
typedef vestry_err (*vestry_connection_fn)(vestry_connection *connection, void *ctx);

/** Use a stream and close it, whatever fn returns: calls fn, then vestry_connection_leave. fn may close the stream for
 *  another cause: the first cause counts.
 *  connection  borrowed; a reference is held meanwhile
 *  Returns  what fn returned | CLOSED: it was not open, and fn was not called
 *  Threads  any; blocks as fn does */
static inline vestry_err vestry_connection_with(vestry_connection *connection, vestry_connection_fn fn, void *ctx) {
  if (!vestry_connection_is_open(connection)) return VESTRY_CLOSED;
  vestry_connection *held = vestry_connection_ref(connection); /* fn may drop the caller's */
  vestry_err error = fn(held, ctx);
  vestry_connection_leave(&held);
  return error;
}

#if defined(__GNUC__)
/** In front of a variable that holds a reference: vestry_connection_leave when the variable goes out of scope, by
 *  return, break, goto or at the end of the block (but not by longjmp). This is C's scope: vestry_scope is another
 *  thing. For gcc and clang.
 *
 *      VESTRY_CLOSED_AT_END vestry_connection *stream = vestry_connection_ref(connection); */
#define VESTRY_CLOSED_AT_END __attribute__((cleanup(vestry_connection_leave)))
#endif

/** Counters, a snapshot. Threads any. */
VESTRY_API void vestry_connection_stats_get(const vestry_connection *connection, vestry_connection_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
