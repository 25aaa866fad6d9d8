/* SPDX-License-Identifier: MIT */
/** The event bus: publish messages on topics to callbacks in this process, for example to one for each stream.
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
 *  A topic is identified by a scope and a key (vestry/key.h); streams may have equal keys. vestry/cluster/cluster.h
 *  publishes to other nodes. */
#ifndef VESTRY_BUS_H
#define VESTRY_BUS_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Handle of a subscription. */
typedef struct vestry_subscription vestry_subscription;

/** The message that a subscriber receives. Valid during the call; later versions may add members at the end. The data
 *  is neither copied nor allocated, because the publisher's thread calls the subscribers before vestry_publish returns.
 *  It can be a struct, text, a vestry_event that is formatted once and sent by each subscriber, or a json_t that no
 *  thread changes during the call. */
typedef struct vestry_bus_message {
  vestry_slice topic; /**< the topic's key, encoded by vestry_key_encode */
  const void *data;   /**< owned by the publisher */
  size_t len;
  vestry_connection *connection; /**< the connection to which the subscription is bound; NULL: none */
  vestry_slice scope;            /**< the scope of the topic */
} vestry_bus_message;

/** Receives a message. Called on the publisher's thread, no lock held. Messages of one publisher arrive in order; two
 *  publishers may call one subscriber at once. Must not block, because vestry_unsubscribe and the end of the connection
 *  wait for the call. May publish, subscribe, and end any subscription, including its own. */
typedef void (*vestry_bus_message_fn)(const vestry_bus_message *message, void *ctx);

/** Called when a subscription is over: `call` is not running and will not be called again, so ctx may be freed. Called
 *  exactly once for each subscription, no lock held: on the thread that calls vestry_unsubscribe or vestry_destroy, on
 *  the thread of the connection, or on the thread of the last running call. Must not block. */
typedef void (*vestry_subscription_over_fn)(void *ctx);

/** A subscriber. */
typedef struct vestry_subscriber {
  vestry_bus_message_fn call;
  vestry_subscription_over_fn over; /**< NULL: none */
  void *ctx;                        /**< passed to both */
  vestry_connection *connection;    /**< referenced until the subscription is over; NULL: not bound. The subscription
                                         ends with the connection: no call begins after vestry_connection_close, and
                                         `over` is called before the close hooks of the connection */
} vestry_subscriber;

/** Options of an instance's bus. Zero is the default. */
typedef struct vestry_bus_options {
  size_t max_subscriptions_count; /**< maximum number of concurrent subscriptions; 0: 100,000 */
} vestry_bus_options;

/** Set the options of an instance's bus, once, before or after its first use, for example by vestry_pages_create.
 *  options  NULL: the defaults
 *  Returns  OK | INVALID | EXISTS (a second call; logged) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_bus_create(vestry *v, const vestry_bus_options *options);

/** Counters since the creation of the bus; zero before. subscribed_count = live_count + ended_count. */
typedef struct vestry_bus_stats {
  uint64_t subscribed_count, live_count, ended_count;
  uint64_t ended_by_connection_count;     /**< subscriptions that ended with their connection */
  uint64_t refused_count;                 /**< subscriptions refused with LIMIT */
  uint64_t topics_count;                  /**< topics that have subscribers now */
  uint64_t published_count, called_count; /**< messages; calls of subscribers */
} vestry_bus_stats;

/** Subscribe the stream that this reply opens to a topic, until the stream ends. If the reply opens no stream, or
 *  vestry_reply_keep reuses a stored stream instead, `call` is never called. If other streams take the last places
 *  before this one begins, the request is answered with 503 instead. If this returns OK, `over` is called once:
 *  when the stream ends, before its close hooks; or, without a stream, on the serving thread after the request has been
 *  answered.
 *
 *  As with vestry_reply_join, the subscription begins after the handler has returned and before the reply's effects are
 *  sent. It receives no earlier message. Events that `call` sends before the stream opens are written when it opens.
 *  scope       scope of the topic, for example req->scope, that of the request
 *  key         copied
 *  subscriber  copied; `call` is mandatory. `connection` must be NULL: messages contain the stream's connection
 *  Returns  OK | INVALID (scope, key, subscriber) | TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of
 *           vestry_bounds; or max_subscriptions_count) | CLOSED (the instance) | NO_MEMORY (a handler need not check
 *           this: the request then fails with it). After a failure neither `call` nor `over` is called
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_subscribe(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                             const vestry_subscriber *subscriber);

/** Subscribe to the messages of a topic from now on. Subscribers are called in the order of their subscription. A
 *  subscription without a connection lasts until vestry_unsubscribe or vestry_destroy.
 *  scope, key        copied
 *  subscriber        copied; `call` is mandatory
 *  ret_subscription  owned by the caller, who passes it to vestry_unsubscribe exactly once, even if the subscription
 *                    has already ended with its connection. Set before the first call; untouched on failure. NULL: the
 *                    subscription ends with its connection or with the instance
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | INVALID (subscriber; also a connection of another instance) | LIMIT
 *           (max_subscriptions_count) | CLOSED (the instance; or the connection is not open) | NO_MEMORY. After a
 *           failure neither `call` nor `over` is called
 *  Threads  any; takes a lock of the bus; runs no callbacks */
VESTRY_API vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key,
                                       const vestry_subscriber *subscriber, vestry_subscription **ret_subscription);

/** End a subscription, if it has not ended, and free it. No call begins after this returns. Outside of bus callbacks
 *  this waits until the subscription is over, so the caller must not hold a lock that `call` or `over` takes. Inside a
 *  callback it does not wait, because that could deadlock.
 *  subscription  invalid after the call; NULL is accepted
 *  Returns  true: the subscription is over | false (only inside a callback): a call of the subscription is still
 *           running, and `over` is called after it; or `over` is running
 *  Threads  any; may wait for running calls of this subscription; runs its `over` */
VESTRY_API bool vestry_unsubscribe(vestry_subscription *subscription);

/** Publish a message: call all current subscribers of a topic, on this thread, in the order of their subscription. A
 *  subscriber removed during the publish is not called afterwards; a subscriber added during it does not receive this
 *  message. The cost does not depend on the number of other topics. The message stays on this node.
 *  data       borrowed; may be NULL
 *  ret_count  number of calls; may be NULL; untouched on failure, except for NOT_FOUND, which sets it to 0
 *  Returns  OK | NOT_FOUND (no subscriber) | INVALID, TOO_LARGE (scope, key) | CLOSED (the instance) | NO_MEMORY (for a
 *           long key) | LIMIT (subscribers that publish are nested 32 deep; no subscriber was called)
 *  Threads  any; runs the subscribers on this thread and takes a lock of the bus between them. Allocates no memory,
 *           except for a long key */
VESTRY_API vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                                     size_t *ret_count);

/** Get a snapshot of the counters. Threads any. */
VESTRY_API void vestry_bus_stats_get(vestry *v, vestry_bus_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
