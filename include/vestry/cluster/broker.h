/* SPDX-License-Identifier: MIT */
/** The broker seam: what carries messages between the nodes of a cluster. For those who write brokers; applications
 *  make one (vestry/cluster/nats.h; memory_network.h for tests) and hand it to vestry_cluster_create.
 *
 *  A broker delivers bytes to all nodes that are subscribed to a subject, the sender's own included. It promises
 *  little: what one node publishes to one subject arrives in order, as far as it arrives. It may lose and repeat
 *  messages, and need not notice; what it notices it says as VESTRY_BROKER_MAYBE_LOST. It keeps nothing for nodes that
 *  are away. Order, repetition and loss are the cluster's to find out.
 *
 *  Subjects are 1 to VESTRY_SUBJECT_MAX_BYTES characters of a–z, 0–9 and '.', neither at an end nor beside another. A
 *  broker refuses all others: no key, and no text of a client's, ever becomes part of a broker's protocol. */
#ifndef VESTRY_BROKER_H
#define VESTRY_BROKER_H

#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A subject has at most so many characters. */
#define VESTRY_SUBJECT_MAX_BYTES ((size_t)64)

/** How it stands with the broker. */
typedef enum vestry_broker_state {
  VESTRY_BROKER_DOWN,      /**< nothing is carried. Publishing fails at once: nothing is held back for later */
  VESTRY_BROKER_UP,        /**< what is published is carried, as far as anybody knows */
  VESTRY_BROKER_MAYBE_LOST /**< said to on_state only, while it is up: messages to this node were dropped */
} vestry_broker_state;

/** What a broker tells its user, the cluster. Its functions are never called two at once, nor from inside a function of
 *  the broker's, on threads of the broker's choice, no lock held. They may call publish, flush, state and max_payload;
 *  they do not block for long, because what arrives meanwhile waits within bounds. */
typedef struct vestry_broker_events {
  size_t size; /**< sizeof(vestry_broker_events), or 0 */
  /** A message. subject, terminated, and data: valid during the call. */
  void (*on_message)(const char *subject, const void *data, size_t len, void *ctx);
  /** It is up, is down, or has dropped something. At first it is down, and nothing is said of that. DOWN and UP come by
   *  turns; what happened too fast is told all the same. When UP is told, all subscriptions stand again; messages may
   *  come just before it. MAYBE_LOST comes where the gap is: between the messages before it and those after it. */
  void (*on_state)(vestry_broker_state state, void *ctx);
  void *ctx;
} vestry_broker_events;

/** What a broker does. Its functions may be called by any thread, several at once, but for start, stop and destroy. */
typedef struct vestry_broker_ops {
  size_t size; /**< sizeof(vestry_broker_ops), or 0 */
  /** Connect, and go on trying for ever. Once. Does not wait for the connection. From now on messages to these subjects
   *  arrive, and after each time that it was down: what this node publishes afterwards for sure, what others publish
   *  from when the broker has heard of it.
   *  subjects  copied; no two alike. NULL when count is 0
   *  events    copied
   *  Returns   OK, also if it is down yet | INVALID (an argument, or a second time) | NO_MEMORY | IO (no thread, or no
   *            descriptor) | CLOSED (its runtime) */
  vestry_err (*start)(void *broker, const char *const *subjects, size_t count, const vestry_broker_events *events);
  /** Disconnect: when it returns, no event's function runs or will run. What was published before is handed to the
   *  broker first, for at most a second or so. Idempotent. Not from an event's function. */
  void (*stop)(void *broker);
  /** Send to all subscribers, at the next flush at the latest.
   *  data     copied; NULL when len is 0
   *  Returns  OK (taken; it can still be lost) | INVALID (subject) | TOO_LARGE | FULL (what waits to be handed over has
   *           reached its bound) | IO (down: it was not sent and will not be) | NO_MEMORY. Does not block */
  vestry_err (*publish)(void *broker, const char *subject, const void *data, size_t len);
  /** Hand over what was published. A thread that publishes calls it afterwards, once for all that is to go together.
   *  at_once  this thread may write, because it has nothing else to do; otherwise a thread of the broker's writes, and
   *           takes along what is published until it comes to it
   *  Does not block */
  void (*flush)(void *broker, bool at_once);
  /** UP or DOWN, now: publish asks the same. Does not block. */
  vestry_broker_state (*state)(void *broker);
  /** The largest message, in bytes; while it has never been up, a guess. Does not block. */
  size_t (*max_payload)(void *broker);
  /** Set a name's value if its revision is the one expected: for nodes of which only one may win. NULL: it cannot.
   *  name      as subjects are
   *  expected  the revision that it must have; 0: it must not exist
   *  ret       the revision that it has now, also with EXISTS
   *  Returns   OK | EXISTS (it has another) | INVALID (name) | TOO_LARGE | TIMEOUT (unknown: it may have been set) |
   *            IO (down) | UNSUPPORTED (what it is connected to cannot) | NO_MEMORY
   *  Blocks, for some seconds at most: not from an event's function */
  vestry_err (*reserve)(void *broker, const char *name, uint64_t expected, const void *data, size_t len, uint64_t *ret);
  /** Stop, and free it. NULL is accepted. */
  void (*destroy)(void *broker);
  /** Asked inside of on_message, by its thread: whether another message is there already, and is told right after this
   *  one. If it can say so, the cluster does on that thread some of what messages want, where that is quickly done, and
   *  another thread need not wake; what is published meanwhile the broker hands over when it has told all. NULL: all is
   *  done by other threads. Does not block. */
  bool (*has_more)(void *broker);
} vestry_broker_ops;

/** A broker: what it does, and the thing itself. */
typedef struct vestry_broker {
  const vestry_broker_ops *ops; /**< must live as long as the broker */
  void *broker;                 /**< handed to all of them */
} vestry_broker;

/** Whether that is a subject. NULL is none.
 *  Threads  any; does not block */
VESTRY_API bool vestry_subject_is_valid(const char *subject);
/** Whether these are subjects, no two alike: what start takes. They are few: each is compared with each.
 *  Threads  any; does not block */
VESTRY_API bool vestry_subjects_are_valid(const char *const *subjects, size_t count);

#ifdef __cplusplus
}
#endif
#endif
