/* SPDX-License-Identifier: MIT */
/** Brokers: the interface that transports messages between the nodes of a cluster. This header is for implementations
 *  of brokers; an application creates one (vestry/cluster/nats.h, or memory_network.h for tests) and passes it to
 *  vestry_cluster_create.
 *
 *  A broker delivers bytes to all nodes that are subscribed to a subject, including the sender. Messages that one node
 *  publishes to one subject arrive in order, if they arrive. A broker may lose and repeat messages without noticing,
 *  because the cluster itself detects wrong order, repetition and loss; a broker that notices a loss reports
 *  VESTRY_BROKER_MAYBE_LOST. It stores nothing for nodes that are disconnected.
 *
 *  Subjects have 1 to VESTRY_SUBJECT_MAX_BYTES characters of a–z, 0–9 and '.', with no '.' at an end or beside another.
 *  A broker rejects all other subjects, so that no key and no text of a client becomes part of its protocol. */
#ifndef VESTRY_BROKER_H
#define VESTRY_BROKER_H

#include "vestry/runtime.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Maximum number of characters in a subject. */
#define VESTRY_SUBJECT_MAX_BYTES ((size_t)64)

/** State of a broker's connection. */
typedef enum vestry_broker_state {
  VESTRY_BROKER_DOWN,      /**< disconnected. Publishing fails at once; nothing is queued for later */
  VESTRY_BROKER_UP,        /**< connected, as far as this process knows */
  VESTRY_BROKER_MAYBE_LOST /**< passed to on_state only, while connected: messages to this node were dropped */
} vestry_broker_state;

/** Functions that a broker calls. They run one at a time, never inside a function of the broker, on threads that the
 *  broker chooses, no lock held. They may call publish, flush, state and max_payload. They must not block for long,
 *  because messages that arrive meanwhile wait in a bounded queue. */
typedef struct vestry_broker_events {
  /** Receives a message. subject (terminated) and data are valid during the call. */
  void (*on_message)(const char *subject, const void *data, size_t len, void *ctx);
  /** Receives a change of state. A broker begins DOWN, which is not reported. UP and DOWN alternate, and every change
   *  is reported, however short the state was. At UP all subscriptions are active again; messages may arrive just
   *  before UP. MAYBE_LOST comes at the position of the gap, between the messages before and after the gap. */
  void (*on_state)(vestry_broker_state state, void *ctx);
  void *ctx;
} vestry_broker_events;

/** Functions of a broker. Any thread may call them, several at once, except start, stop and destroy. */
typedef struct vestry_broker_ops {
  /** Connect, and retry without end. Called once; does not wait for the connection. After each connect, messages to
   *  these subjects arrive: all that this node publishes afterwards, and those of other nodes from the time when the
   *  broker's server has received the subscription.
   *  subjects  copied; no two alike. NULL if count is 0
   *  events    copied
   *  Returns  OK, also while disconnected | INVALID (an argument, or a second call) | NO_MEMORY | IO (no thread, or no
   *           descriptor) | CLOSED (its runtime) */
  vestry_err (*start)(void *broker, const char *const *subjects, size_t count, const vestry_broker_events *events);
  /** Disconnect. Messages that were published before are sent first, for at most about a second. After the return no
   *  function of the events runs or will run. Idempotent. Not from a function of the events. */
  void (*stop)(void *broker);
  /** Send a message to all subscribers, at the next flush at the latest.
   *  data  copied; NULL if len is 0
   *  Returns  OK (queued; it can still be lost) | INVALID (subject) | TOO_LARGE | FULL (the send queue is full) | IO
   *           (disconnected: the message was not sent and will not be) | NO_MEMORY. Does not block */
  vestry_err (*publish)(void *broker, const char *subject, const void *data, size_t len);
  /** Flush the published messages. A publishing thread calls it once after all messages that belong together.
   *  at_once  this thread may write to the socket, because it has no other work; otherwise a thread of the broker
   *           writes, together with everything published until then
   *  Does not block */
  void (*flush)(void *broker, bool at_once);
  /** Get the current state, UP or DOWN, as publish checks it. Does not block. */
  vestry_broker_state (*state)(void *broker);
  /** Get the maximum size of a message in bytes; an estimate before the first connection. It can change at any time.
   *  Does not block. */
  size_t (*max_payload)(void *broker);
  /** Stop and free. NULL is accepted. */
  void (*destroy)(void *broker);
  /** Return whether another message has arrived and will be passed to on_message right after this one. The cluster
   *  calls it inside on_message, on that thread. If the broker has this function, the cluster does short work for a
   *  message on that thread instead of waking another, and the broker flushes the messages published meanwhile after
   *  the last received message. NULL: other threads do all the work. Does not block. */
  bool (*has_more)(void *broker);
} vestry_broker_ops;

/** A broker: its functions and its state. */
typedef struct vestry_broker {
  const vestry_broker_ops *ops; /**< borrowed for the lifetime of the broker */
  void *broker;                 /**< passed to all of them */
} vestry_broker;

/** Check whether a text is a subject. NULL is not.
 *  Threads  any; does not block */
VESTRY_API bool vestry_subject_is_valid(const char *subject);
/** Check whether texts are subjects, no two alike, as start requires. Compares each text with each other, so pass few.
 *  Threads  any; does not block */
VESTRY_API bool vestry_subjects_are_valid(const char *const *subjects, size_t count);

#ifdef __cplusplus
}
#endif
#endif
