/** The broker seam: what carries messages between the nodes of a cluster. For those who write brokers; applications make
 *  one (vestry/nats.h, or the memory broker below, for tests) and hand it to vestry_cluster_create.
 *
 *  A broker delivers bytes to all nodes that are subscribed to a subject, the sender's own included. It promises little:
 *  what one node publishes to one subject arrives in order, as far as it arrives. It may lose and repeat messages, and
 *  need not notice; what it notices it says as VESTRY_BROKER_MAYBE_LOST. It keeps nothing for those who are away. Order,
 *  repetition and loss are the cluster's to find out.
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

/** What a broker tells the one who uses it. Its functions are never called two at once, nor from inside a function of
 *  the broker's; they do not block for long. */
typedef struct vestry_broker_events {
  size_t size; /**< sizeof(vestry_broker_events), or 0 */
  /** A message. subject and data: valid during the call. */
  void (*on_message)(const char *subject, const void *data, size_t len, void *ctx);
  /** It is up, down, or has dropped something. After UP, all subscriptions stand again. */
  void (*on_state)(vestry_broker_state state, void *ctx);
  void *ctx;
} vestry_broker_events;

/** What a broker does. Its functions may be called by any thread, several at once, but for start, stop and destroy. */
typedef struct vestry_broker_ops {
  size_t size; /**< sizeof(vestry_broker_ops), or 0 */
  /** Connect, and go on trying for ever. Once.
   *  events   copied
   *  Returns  OK, also if it is down yet | INVALID (what it was made with) | NO_MEMORY | IO */
  vestry_err (*start)(void *broker, const vestry_broker_events *events);
  /** Disconnect: when it returns, no event's function runs or will run. What was published before is handed to the
   *  broker first, for at most a second. Idempotent. */
  void (*stop)(void *broker);
  /** Send to all who are subscribed.
   *  Returns  OK (handed over; it can still be lost) | INVALID (subject) | TOO_LARGE | FULL (what waits to be handed
   *           over has reached its bound) | IO (down: it was not sent) | NO_MEMORY. Does not block */
  vestry_err (*publish)(void *broker, const char *subject, const void *data, size_t len);
  /** From now on messages to a subject arrive, and after each time that it was down. A second time: OK.
   *  Returns  OK, also while it is down | INVALID (subject) | NO_MEMORY | IO */
  vestry_err (*subscribe)(void *broker, const char *subject);
  /** No more. What is under way may still arrive. One that is not there: OK.
   *  Returns  OK | INVALID (subject) | IO */
  vestry_err (*unsubscribe)(void *broker, const char *subject);
  /** UP or DOWN, now. */
  vestry_broker_state (*state)(void *broker);
  /** The largest message, in bytes. */
  size_t (*max_payload)(void *broker);
  /** Set a name's value if it is what is expected: for those who must not be two. NULL: it cannot.
   *  expected  the revision that it must have; 0: it must not exist
   *  ret       the revision that it has now, also with EXISTS
   *  Returns   OK | EXISTS (it has another) | INVALID (name: as subjects) | TOO_LARGE | TIMEOUT (unknown) | IO.
   *            Blocks, for at most a second */
  vestry_err (*claim)(void *broker, const char *name, uint64_t expected, const void *data, size_t len, uint64_t *ret);
  /** Free it. After stop. */
  void (*destroy)(void *broker);
} vestry_broker_ops;

/** A broker: what it does, and the thing itself. */
typedef struct vestry_broker {
  const vestry_broker_ops *ops; /**< must live as long as the broker */
  void *broker;                 /**< handed to all of them */
} vestry_broker;

/** Whether that is a subject.
 *  Threads  any; does not block */
VESTRY_API bool vestry_subject_is_valid(const char *subject);

/* ------------------------------------------------------------------------------------- the memory broker ------- */

/** Several nodes in one process, with a network between them that is as bad as a seed says: for tests. */
typedef struct vestry_memory_network vestry_memory_network;

/** What goes wrong. Zero is a network without faults. Chances are per 10,000 messages and receiver. */
typedef struct vestry_memory_network_options {
  size_t size;           /**< sizeof(vestry_memory_network_options), or 0 */
  uint64_t seed;         /**< the same seed, the same calls: the same faults */
  uint32_t drop;         /**< is lost without a word */
  uint32_t duplicate;    /**< arrives twice, the second time later */
  uint32_t delay;        /**< arrives up to max_delay_ms later, and so behind messages of other senders */
  uint32_t tell;         /**< of 10,000 that are lost, so many are noticed (MAYBE_LOST) */
  uint32_t max_delay_ms; /**< [100] */
  size_t max_payload;    /**< in bytes [1 MiB] */
} vestry_memory_network_options;

/** Make a network.
 *  runtime      on which messages are delivered; stepped, if it is to be repeatable. Borrowed
 *  options      copied; NULL: no faults
 *  ret_network  owned by the caller; untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY */
VESTRY_API vestry_err vestry_memory_network_create(vestry_runtime *runtime,
                                                   const vestry_memory_network_options *options,
                                                   vestry_memory_network **ret_network);
/** Free it, after its brokers. NULL is accepted. */
VESTRY_API void vestry_memory_network_destroy(vestry_memory_network *network);
/** Connect one more node: its broker. It belongs to who has it; destroy frees it.
 *  Returns  OK | NO_MEMORY | CLOSED (the runtime) */
VESTRY_API vestry_err vestry_memory_network_join(vestry_memory_network *network, vestry_broker *ret_broker);
/** Change what goes wrong from now on; the seed is not begun anew. */
VESTRY_API void vestry_memory_network_set(vestry_memory_network *network, const vestry_memory_network_options *options);
/** Divide it: nodes hear each other only within one part. parts: by the order of joining, which part a node is in; 0 to
 *  63, 63: it is cut off from the broker and knows it (DOWN). count 0: whole again.
 *  Returns  OK | INVALID (count, parts) */
VESTRY_API vestry_err vestry_memory_network_divide(vestry_memory_network *network, const uint8_t *parts, size_t count);

/** What came of messages, for each receiver. sent_count = delivered_count + dropped_count + cut_count + waiting_count. */
typedef struct vestry_memory_network_stats {
  size_t size; /**< sizeof(vestry_memory_network_stats), or 0 */
  uint64_t sent_count, delivered_count, dropped_count, cut_count, waiting_count, duplicated_count;
} vestry_memory_network_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_memory_network_stats_get(vestry_memory_network *network, vestry_memory_network_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
