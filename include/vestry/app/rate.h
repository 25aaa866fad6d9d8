/* SPDX-License-Identifier: MIT */
/** Rate limits: a guard with a token bucket for each address, scope or name. A client beyond its rate gets 429 with
 *  Retry-After.
 *
 *      vestry_rate_create(v, &(vestry_rate_options){.count = 20, .period_ms = 1000, .burst_count = 40}, &rate);
 *      vestry_guard(v, "/bid", vestry_rate_guard, rate);     // before guards that cost more
 *
 *  A bucket holds at most burst_count tokens, and gains count tokens per period, evenly. Each request takes a token; a
 *  rejected request takes none. With the options above, a client may send 40 requests at once, and then 20 per second.
 *  Each node of a cluster counts separately. docs/guide/csp.md#rates has the rules. */
#ifndef VESTRY_RATE_H
#define VESTRY_RATE_H

#include "vestry/routes.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The buckets of one rate. vestry_rate_create allocates all buckets, of 16 bytes each; memory never grows. A bucket
 *  that is full again is free for another client. The hash of a client selects the eight buckets that it can use. If
 *  none of the eight is free, the one that is nearest to full is reassigned: its former client may then exceed its
 *  rate; other clients are not affected. */
typedef struct vestry_rate vestry_rate;

/** The requests that share a bucket. */
typedef enum vestry_rate_by {
  VESTRY_RATE_ADDRESS, /**< requests from one IPv4 address, or from one IPv6 /64, which is the usual assignment to one
                            client. A client is unknown if its connection comes from a proxy, so that vestry cannot
                            determine its address (docs/security.md, "Bounds for one person"). All unknown clients share
                            one bucket with the rate of 100 clients */
  VESTRY_RATE_SCOPE    /**< requests of one user, in all sessions, or of one scope (vestry_options.scope). A request
                            without a user (in an instance with sessions) or without a scope counts by its address,
                            because any client can create a session without a user */
} vestry_rate_by;

/** Options of a rate. Zero is the default, except for count. */
typedef struct vestry_rate_options {
  uint64_t count;       /**< requests in each period, 1 to 1,000,000 */
  uint64_t period_ms;   /**< at most a day; 0: one second */
  uint64_t burst_count; /**< tokens of a full bucket, which is the number of requests at once; 1 to 1,000,000; 0:
                               count. An empty bucket must be full again within 400 days, otherwise INVALID */
  vestry_rate_by by;    /**< the requests that share a bucket. SCOPE is INVALID for an instance without sessions and
                               without vestry_options.scope */
  size_t max_count;     /**< number of buckets, rounded up to a power of two and to at least 256; at most 16,777,216.
                               0: 65,536 (1 MiB) */
  bool is_behind_proxy; /**< as vestry_options.is_behind_proxy, for this rate: the client's address is taken from
                               X-Forwarded-For. The proxy must set this header to the address of its peer, not append to
                               it (docs/guide/proxies.md). If the header does not contain exactly one address, the
                               client is unknown */
} vestry_rate_options;

/** Create a rate.
 *  v         borrowed until vestry_rate_destroy
 *  ret_rate  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options; the host's log names them) | NO_MEMORY | IO (no randomness)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_rate_create(vestry *v, const vestry_rate_options *options, vestry_rate **ret_rate);
/** Destroy a rate, after the last request that uses it. NULL is accepted. Threads any; does not block. */
VESTRY_API void vestry_rate_destroy(vestry_rate *rate);

/** Limit requests: a guard for vestry_guard; app is the vestry_rate. A rate can guard several paths, which then share
 *  its buckets; a path can have several rates (20 a second, and 1,000 an hour). A rejected request gets 429 with
 *  Retry-After, and a sentence or the application's error page for 429. vestry_stats counts it, too
 *  (VESTRY_REFUSAL_RATE). A request from an unknown client (VESTRY_RATE_ADDRESS) is logged as a warning, once for each
 *  rate, if it came through a proxy or is rejected. */
VESTRY_API vestry_err vestry_rate_guard(const vestry_request *req, vestry_reply *reply, void *app);

/** Take a token in a handler, from the bucket of a name: for example to limit log-in attempts for one user name, or
 *  messages to one room. These buckets are separate from those of the guard.
 *  name         any bytes; borrowed
 *  ret_wait_ms  set on LIMIT: time until the next token, rounded up; may be NULL
 *  Returns  OK | LIMIT (no token: answer with status 429) | INVALID (name NULL with len > 0)
 *  Threads  any; takes a lock briefly */
VESTRY_API vestry_err vestry_rate_take(vestry_rate *rate, const void *name, size_t len, uint64_t *ret_wait_ms);

#ifdef __cplusplus
}
#endif
#endif
