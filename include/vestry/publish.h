/** Publishing by key: functions that are told that something happened.
 *
 *      static vestry_err live(const vestry_request *req, vestry_reply *reply, void *app) {
 *        vestry_reply_keep(reply, VESTRY_PUT_MANY, 0);
 *        return vestry_reply_subscribe(reply, req->scope, VESTRY_KEY("jobs"), &(vestry_subscriber){.call = show_job});
 *      }
 *      vestry_publish(v, scope, VESTRY_KEY("jobs"), &job, sizeof job, NULL);   // from anywhere
 *
 *  Each instance has a bus (vestry/bus.h) whose topics are named as streams are, by a scope and a key. Subscribers,
 *  messages, order and ends are as there. Topics by key and keys of streams do not meet: vestry_publish alone reaches
 *  subscribers. */
#ifndef VESTRY_PUBLISH_H
#define VESTRY_PUBLISH_H

#include "vestry/bus.h"
#include "vestry/instance.h"

#ifdef __cplusplus
extern "C" {
#endif

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

/** Subscribe to a topic: vestry_bus_subscribe, by key. One that is bound to no connection ends with
 *  vestry_bus_unsubscribe, or with vestry_destroy.
 *  scope, key  copied
 *  Returns  as vestry_bus_subscribe; INVALID, TOO_LARGE (scope, key)
 *  Threads  any; takes the bus's lock; runs no callbacks */
VESTRY_API vestry_err vestry_subscribe(vestry *v, vestry_scope scope, const vestry_key *key,
                                       const vestry_subscriber *subscriber, vestry_subscription **ret_subscription);

/** Call all subscribers that a topic has now: vestry_bus_publish, by key.
 *  data       borrowed; may be NULL
 *  ret_count  how many were called; may be NULL; untouched on failure but NOT_FOUND, which sets it to 0
 *  Returns  OK | NOT_FOUND (none was called) | INVALID, TOO_LARGE (scope, key) | CLOSED (the instance) | NO_MEMORY (for
 *           a long key)
 *  Threads  as vestry_bus_publish */
VESTRY_API vestry_err vestry_publish(vestry *v, vestry_scope scope, const vestry_key *key, const void *data, size_t len,
                                     size_t *ret_count);

/** Counters of the instance's bus, a snapshot. Threads any. */
VESTRY_API void vestry_publish_stats_get(vestry *v, vestry_bus_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
