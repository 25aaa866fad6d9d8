/* SPDX-License-Identifier: MIT */
/** The event bus: messages by topic, within the process. Code that notices a change publishes it, without knowing the
 *  subscribers; code that shows it to a page subscribes for as long as that page's stream lives.
 *
 *      static void on_price(const vestry_bus_message *message, void *ctx) {
 *        const price *p = message->data;                  // what the publisher handed over, valid during the call
 *        vestry_connection_patch_signals(message->connection, VESTRY_OBJECT("price", p->cents), NULL);
 *      }
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
 *        const vestry_subscriber page = {.call = on_price};
 *        return vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("prices"), &page);
 *      }
 *      vestry_publish(v, scope, VESTRY_KEY("prices"), &latest, sizeof latest, NULL);   // from anywhere
 *
 *  Each instance has a bus, whose topics are named as streams are, by a scope and a key. Topics and keys of streams do
 *  not meet: vestry_publish alone reaches subscribers. It stays on its node; vestry/cluster/cluster.h says what crosses
 *  nodes, and why.
 *
 *  A message is a pointer and a length: subscribers are called before publish returns, in this process, so nothing is
 *  copied and nothing allocated, and what is published may be a struct, text, a vestry_event that is formatted once and
 *  sent by each, or a json_t. (A json_t alone would make a parser out of a function call, and its containers must not
 *  be read by two threads while one changes them.) Publishers call the subscribers of their topic on their own thread:
 *  of one publisher each subscriber sees the messages in their order; two publishers may be in one subscriber at
 *  once. */
#ifndef VESTRY_BUS_H
#define VESTRY_BUS_H

#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One subscription, as its holder sees it. */
typedef struct vestry_subscription vestry_subscription;

/** What a subscriber is called with; all of it borrowed, valid during the call. May grow at its end. */
typedef struct vestry_bus_message {
  vestry_slice topic; /**< its key, as vestry_key_encode makes it */
  const void *data;   /**< the publisher's */
  size_t len;
  vestry_connection *connection; /**< which the subscription is bound to; NULL: to none */
  vestry_slice scope;            /**< and its scope */
} vestry_bus_message;

/** A message of the topic. On the publisher's thread, no lock held; must not block: its connection's end waits for it,
 *  and so does vestry_unsubscribe. May publish, subscribe and unsubscribe, itself too. */
typedef void (*vestry_bus_message_fn)(const vestry_bus_message *message, void *ctx);

/** The subscription is over: its function is not running and will not be called again; ctx may be freed. Exactly once
 *  for each subscription that was made, no lock held; on the thread that unsubscribed it, that of its connection's
 *  runner, that of vestry_destroy, or that of the last call that was still running. Must not block. */
typedef void (*vestry_subscription_over_fn)(void *ctx);

/** A subscriber. */
typedef struct vestry_subscriber {
  size_t size; /**< sizeof(vestry_subscriber), or 0 */
  vestry_bus_message_fn call;
  vestry_subscription_over_fn over; /**< NULL: none */
  void *ctx;                        /**< of both */
  vestry_connection *connection;    /**< a reference is held until it is over; NULL: bound to none. The subscription
                                         ends with it: no call begins after vestry_connection_close, and it is over
                                         before the connection's close hooks are called */
} vestry_subscriber;

/** What an instance's topics are bounded by. Zero is the default. */
typedef struct vestry_bus_options {
  size_t size;                    /**< sizeof(vestry_bus_options), or 0 */
  size_t max_subscriptions_count; /**< to topics by key, at one time; 0: 100,000 */
} vestry_bus_options;

/** Give an instance topics with other bounds than the defaults; without it they are made when they are first used.
 *  options  NULL: the defaults
 *  Returns  OK | INVALID | EXISTS (it has topics already) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_bus_create(vestry *v, const vestry_bus_options *options);

/** Everything since the topics were made; zero before. subscribed_count = live_count + ended_count. */
typedef struct vestry_bus_stats {
  size_t size; /**< sizeof(vestry_bus_stats), or 0 */
  uint64_t subscribed_count, live_count, ended_count;
  uint64_t ended_by_connection_count;     /**< of those that ended */
  uint64_t refused_count;                 /**< subscriptions, for LIMIT */
  uint64_t topics_count;                  /**< that have subscribers now */
  uint64_t published_count, called_count; /**< messages; and how often a subscriber was called with one */
} vestry_bus_stats;

/** Subscribe for the stream that this reply opens, until it ends. If the reply opens none, or gives it up for a stored
 *  one, `call` is never called. `over` is called once in any case, if this returns OK: when the stream ends, before its
 *  close hooks; or when there is none, when the request has been answered, on the serving thread.
 *
 *  It begins as vestry_reply_join does: after the handler, before the reply's effects are performed. What is published
 *  until then it is not called for; what it sends from then on is written when the stream opens.
 *  scope       whose topic it is; req->scope: of the request's own
 *  key         copied
 *  subscriber  call is mandatory, connection NULL: messages have the stream's. Copied
 *  Returns  OK | INVALID (scope, key, subscriber) | TOO_LARGE (scope, key) | LIMIT (max_per_stream_count of
 *           vestry_bounds; or max_subscriptions_count) | CLOSED (the instance) |
 *           NO_MEMORY (may be left to vestry). On failure neither function is ever called
 *  Threads  the handler's */
VESTRY_API vestry_err vestry_reply_subscribe(vestry_reply *reply, vestry_scope scope, const vestry_key *key,
                                             const vestry_subscriber *subscriber);

/** Subscribe to a topic: called for what is published from now on, after the earlier subscribers. One that is bound to
 *  no connection ends with vestry_unsubscribe, or with vestry_destroy.
 *  scope, key        copied
 *  subscriber        call is mandatory; copied
 *  ret_subscription  for vestry_unsubscribe, exactly once, also when it has ended by itself. NULL: it lives until its
 *                    connection or the instance ends. Set before the first call; untouched on failure, and then neither
 *                    function is ever called
 *  Returns  OK | INVALID, TOO_LARGE (scope, key) | INVALID (subscriber) | LIMIT (max_subscriptions_count) | CLOSED (the
 *           instance; or the connection is not open) | NO_MEMORY
 *  Threads  any; takes the bus's lock; runs no callbacks */
VESTRY_API vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key,
                                       const vestry_subscriber *subscriber, vestry_subscription **ret_subscription);

/** End a subscription, if it has not ended, and give it back. It is not called after this returns. Outside of the bus's
 *  callbacks it waits until the subscription is over: hold no lock that its functions take. Inside of one it does not
 *  wait, since that callback, or one that waits for this, may be the one waited for.
 *  subscription  must not be used any more; NULL is accepted
 *  Returns  true: it is over; false: inside of a callback, and a call of it is still running; its `over` is to come
 *  Threads  any; may wait for running callbacks of this subscription; runs its `over` */
VESTRY_API bool vestry_unsubscribe(vestry_subscription *subscription);

/** Call all subscribers that a topic has now, in the order in which they subscribed. One that is unsubscribed meanwhile
 *  is not called any more, one that subscribes meanwhile not yet. The cost does not depend on other topics.
 *  data       borrowed; may be NULL
 *  ret_count  how many were called; may be NULL; untouched on failure but NOT_FOUND, which sets it to 0
 *  Returns  OK | NOT_FOUND (none was called) | INVALID, TOO_LARGE (scope, key) | CLOSED (the instance) | NO_MEMORY (for
 *           a long key) | LIMIT (inside of 32 subscribers that publish, one in the other: none was called)
 *  Threads  any; runs the subscribers on this thread; takes the bus's lock between them; needs no memory otherwise */
VESTRY_API vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                                     size_t *ret_count);

/** Counters, a snapshot. Threads any. */
VESTRY_API void vestry_bus_stats_get(vestry *v, vestry_bus_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
