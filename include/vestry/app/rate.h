/* SPDX-License-Identifier: MIT */
/** Rates: how many requests a client may send in a time. A guard with a token bucket for each address, scope, or
 *  whatever a function names; a client that sends more is answered 429, with Retry-After.
 *
 *      vestry_rate_create(v, &(vestry_rate_options){.count = 20, .period_ms = 1000, .burst_count = 40}, &rate);
 *      vestry_guard(v, "/bid", vestry_rate_guard, rate);     // before the guards that cost more
 *
 *  A bucket has burst_count tokens when it is full, and gets count in each period, evenly; a request takes one. So this
 *  client may send 40 at once, and 20 in each second after that. A request that is refused takes no token. A bucket
 *  that is full again is forgotten.
 *
 *  An IPv4 address counts as itself, an IPv6 address as its /64, which is what one client is given. With
 *  VESTRY_RATE_SCOPE a request that has no user, of an instance with sessions, or no scope, counts by its address: any
 *  client can invent such a session. A bucket takes 16 bytes, of memory that is allocated when the rate is made and
 *  never grows. When there is no room for another client, the bucket that is nearest to full is forgotten, and counted
 *  (vestry_rate_stats.forgotten_count): its client may send more than it should, and no other client is harmed.
 *
 *  Each node of a cluster counts for itself. */
#ifndef VESTRY_RATE_H
#define VESTRY_RATE_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The buckets of one rate. */
typedef struct vestry_rate vestry_rate;

/** Whose requests are counted together. */
typedef enum vestry_rate_by {
  VESTRY_RATE_ADDRESS, /**< an address's */
  VESTRY_RATE_SCOPE    /**< a user's, in all his sessions, or a scope's (vestry_options.scope) */
} vestry_rate_by;

/** Names what a request counts for, instead of its address or its scope: the room that it speaks in, a tenant, a kind
 *  of work. Called as a guard is.
 *  buffer   of VESTRY_SCOPE_MAX_BYTES bytes, for the name
 *  ret_len  its length
 *  Returns  OK | NOT_FOUND: this request is not counted, and passes | any other error: it is answered as a guard's */
typedef vestry_err (*vestry_rate_key_fn)(const vestry_request *req, void *app, char *buffer, size_t *ret_len);

/** What may be sent. Zero is the default, but for count. */
typedef struct vestry_rate_options {
  size_t size;            /**< sizeof(vestry_rate_options), or 0 */
  uint64_t count;         /**< requests in each period, 1 to 1,000,000 */
  uint64_t period_ms;     /**< up to a day; 0: a second */
  uint64_t burst_count;   /**< at once, 1 to 1,000,000; 0: count. All of them come back within 400 days */
  vestry_rate_by by;      /**< whose requests count together, where there is no key. SCOPE is INVALID for an instance
                               without sessions and scope */
  vestry_rate_key_fn key; /**< NULL: by address or scope */
  void *key_app;          /**< handed to key */
  size_t max_count; /**< buckets remembered, rounded up to a power of two, at most 16,777,216; 0: 65,536 (1 MiB) */
  bool
      is_behind_proxy; /**< as that of vestry_options, for this rate: an address is what X-Forwarded-For says, which the
                               proxy must set to its peer's, not append to (docs/guide/proxies.md). A request without
                               it, or with something that is not one address, counts as the proxy's own */
} vestry_rate_options;

/** Counters of a rate. */
typedef struct vestry_rate_stats {
  size_t size;            /**< sizeof(vestry_rate_stats), or 0 */
  uint64_t passed_count;  /**< had a token */
  uint64_t refused_count; /**< had none */
  uint64_t
      forgotten_count;    /**< buckets that were forgotten before they were full. Rises: an attack from many addresses,
                                 or max_count is too low */
  uint64_t filling_count; /**< buckets that are not full now */
} vestry_rate_stats;

/** Create one.
 *  v         borrowed; must not be destroyed before
 *  ret_rate  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options: the host's log says which) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_rate_create(vestry *v, const vestry_rate_options *options, vestry_rate **ret_rate);
/** No request may use it any more. NULL is accepted. */
VESTRY_API void vestry_rate_destroy(vestry_rate *rate);

/** The guard, for vestry_guard; app is the vestry_rate. One rate can guard several paths, which share its buckets; one
 *  path can have several rates (20 a second, and 1,000 an hour). A refused request is answered 429 with Retry-After and
 *  a sentence, or the application's error page for 429; it is counted in vestry_stats, too (VESTRY_REFUSAL_RATE). A
 *  request that has no address (of a UNIX socket, without is_behind_proxy) passes, and the log says so once. */
VESTRY_API vestry_err vestry_rate_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Take a token from inside a handler: attempts to log in under a name, messages to one room. These names are apart
 *  from those of the guard.
 *  name         any bytes; borrowed
 *  ret_wait_ms  set on LIMIT: until there is a token again, rounded up; may be NULL
 *  Returns  OK | LIMIT (no token: say so, status 429) | INVALID (name NULL with len > 0)
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_err vestry_rate_take(vestry_rate *rate, const void *name, size_t len, uint64_t *ret_wait_ms);

/** Counters, a snapshot. Threads any; takes each of the rate's locks briefly, and looks at all buckets. */
VESTRY_API void vestry_rate_stats_get(vestry_rate *rate, vestry_rate_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
