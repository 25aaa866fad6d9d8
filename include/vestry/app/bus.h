/* SPDX-License-Identifier: MIT */
/** The event bus: messages by topic, within the process. A page's stream subscribes for its lifetime.
 *
 *      static void on_price(const vestry_bus_message *message, void *ctx) {
 *        const price *p = message->data;                  // the publisher's data, valid during the call
 *        vestry_connection_patch_signals(message->connection, VESTRY_OBJECT("price", p->cents), NULL);
 *      }
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
 *        const vestry_subscriber page = {.call = on_price};
 *        return vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("prices"), &page);
 *      }
 *      vestry_publish(v, scope, VESTRY_KEY("prices"), &latest, sizeof latest, NULL);   // from any thread
 *
 *  A topic has a scope and a key, separate from the keys of streams. vestry/cluster/cluster.h publishes to other
 *  nodes. */
#ifndef VESTRY_BUS_H
#define VESTRY_BUS_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A subscription, for its owner. */
typedef struct vestry_subscription vestry_subscription;

/** A message, for a subscriber. Borrowed, and valid during the call; may grow at its end. Nothing is copied or
 *  allocated, because the publisher's thread calls the subscribers before vestry_publish returns. So data can be a
 *  struct, text, a vestry_event that is formatted once and sent by each subscriber, or a json_t that no thread changes
 *  meanwhile. */
typedef struct vestry_bus_message {
  vestry_slice topic; /**< the key, as vestry_key_encode makes it */
  const void *data;   /**< owned by the publisher */
  size_t len;
  vestry_connection *connection; /**< the connection to which the subscription is bound; NULL: none */
  vestry_slice scope;            /**< the scope of the topic */
} vestry_bus_message;

/** Receives a message on the publisher's thread, no lock held. Messages of one publisher arrive in order; two
 *  publishers may call one subscriber at once. Must not block, because the end of its connection and vestry_unsubscribe
 *  wait for it. May publish, subscribe and unsubscribe, also itself. */
typedef void (*vestry_bus_message_fn)(const vestry_bus_message *message, void *ctx);

/** Called when a subscription is over: its function is not running and will not be called again; ctx may be freed.
 *  Called exactly once for each subscription, no lock held, on the thread that unsubscribes, runs its connection, calls
 *  vestry_destroy, or returns from the last running call. Must not block. */
typedef void (*vestry_subscription_over_fn)(void *ctx);

/** A subscriber. */
typedef struct vestry_subscriber {
  size_t size; /**< sizeof(vestry_subscriber), or 0 */
  vestry_bus_message_fn call;
  vestry_subscription_over_fn over; /**< NULL: none */
  void *ctx;                        /**< passed to both */
  vestry_connection *connection;    /**< referenced until the subscription is over; NULL: not bound. The subscription
                                         ends with the connection: no call begins after vestry_connection_close, and
                                         `over` is called before the close hooks of the connection */
} vestry_subscriber;

/** Options of an instance's bus. Zero is the default. */
typedef struct vestry_bus_options {
  size_t size;                    /**< sizeof(vestry_bus_options), or 0 */
  size_t max_subscriptions_count; /**< maximum number of concurrent subscriptions; 0: 100,000 */
} vestry_bus_options;

/** Create the bus of an instance with options. Without this call it is created at its first use, with the defaults.
 *  options  NULL: the defaults
 *  Returns  OK | INVALID | EXISTS (it has a bus already) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_bus_create(vestry *v, const vestry_bus_options *options);

/** Counters since the creation of the bus; zero before. subscribed_count = live_count + ended_count. */
typedef struct vestry_bus_stats {
  size_t size; /**< sizeof(vestry_bus_stats), or 0 */
  uint64_t subscribed_count, live_count, ended_count;
  uint64_t ended_by_connection_count;     /**< subscriptions that ended with their connection */
  uint64_t refused_count;                 /**< subscriptions refused with LIMIT */
  uint64_t topics_count;                  /**< topics that have subscribers now */
  uint64_t published_count, called_count; /**< messages; calls of subscribers */
} vestry_bus_stats;

/** Subscribe with the stream that this reply opens, until the stream ends. If the reply opens none, or its stream is
 *  given up for a stored one, `call` is never called. If this returns OK, `over` is called once: when the stream ends,
 *  before its close hooks; without a stream when the request has been answered, on the serving thread.
 *
 *  The subscription begins after the handler and before the reply's effects, as with vestry_reply_join. Earlier
 *  messages are not received; events that `call` sends are written when the stream opens.
 *  scope       of the topic; req->scope: the request's
 *  key         copied
 *  subscriber  call is mandatory, connection is NULL: messages have that of the stream. Copied
 *  Returns  OK | INVALID (scope, key, subscriber) | TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of
 *           vestry_bounds; or max_subscriptions_count) | CLOSED (the instance) | NO_MEMORY (a handler may ignore it:
 *           the request is answered with it). After a failure neither function is called
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_subscribe(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                             const vestry_subscriber *subscriber);

/** Subscribe to the messages of a topic from now on. Earlier subscribers are called before this one. A subscription
 *  without a connection ends by vestry_unsubscribe or vestry_destroy.
 *  scope, key        copied
 *  subscriber        call is mandatory; copied
 *  ret_subscription  to be passed to vestry_unsubscribe exactly once, also after it has ended by itself. NULL: it lives
 *                    until its connection or the instance ends. Set before the first call; untouched on failure, after
 *                    which neither function is called
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | INVALID (subscriber) | LIMIT (max_subscriptions_count) | CLOSED (the
 *           instance; or the connection is not open) | NO_MEMORY
 *  Threads  any; takes a lock of the bus; runs no callbacks */
VESTRY_API vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key,
                                       const vestry_subscriber *subscriber, vestry_subscription **ret_subscription);

/** End a subscription, if it has not ended, and free it. No call begins after the return. Outside of callbacks of the
 *  bus it waits until the subscription is over: hold no lock that its functions take. Inside a callback it does not
 *  wait, because that would be a deadlock.
 *  subscription  invalid after the call; NULL is accepted
 *  Returns  true: it is over; false: called inside a callback while a call of it is still running; `over` is called
 *           later
 *  Threads  any; may wait for running callbacks of this subscription; runs its `over` */
VESTRY_API bool vestry_unsubscribe(vestry_subscription *subscription);

/** Publish a message: call all current subscribers of a topic in the order of their subscription, on this thread. A
 *  subscriber that unsubscribes meanwhile is not called any more; one that subscribes meanwhile is not called yet. The
 *  cost does not depend on other topics. The message stays on this node.
 *  data       borrowed; may be NULL
 *  ret_count  number of calls; may be NULL; untouched on failure, except for NOT_FOUND, which sets it to 0
 *  Returns  OK | NOT_FOUND (no subscriber) | INVALID, TOO_LARGE (scope, key) | CLOSED (the instance) | NO_MEMORY (for a
 *           long key) | LIMIT (inside 32 nested subscribers that publish; no subscriber was called)
 *  Threads  any; runs the subscribers on this thread; takes a lock of the bus between them; otherwise needs no
 *           memory */
VESTRY_API vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                                     size_t *ret_count);

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_bus_stats_get(vestry *v, vestry_bus_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
