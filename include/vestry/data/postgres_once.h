/* SPDX-License-Identifier: MIT */
/** Actions that run once (vestry/app/once.h), kept in PostgreSQL (libvestry-postgres): a submission that is repeated at
 *  another node, or after a restart, is answered there as it was answered, and its handler runs at one node.
 *
 *      vestry_postgres_once_create(pool, NULL, &stored);
 *      const vestry_once_options options = {.storage = &vestry_postgres_once_ops, .storage_ctx = stored};
 *      vestry_once_create(v, &options, &once);
 *
 *  A submission whose node dies while it runs is held by it for lease_ms. Until then repetitions are answered 503,
 *  after waiting for vestry_once_options.wait_ms: the node may yet live. Then they are answered 409, and are not done:
 *  how far the handler had come is not known. So lease_ms is longer than any handler takes. Where a handler is harmless
 *  when it is done twice, as one transaction that keeps the nonce beside the data is, set runs_again: then one
 *  repetition runs.
 *
 *  A row has a hash of the submission's nonce, and its answer, sealed with another hash of it: readers of the database,
 *  or of a copy, learn neither the nonce nor the answer.
 */
#ifndef VESTRY_POSTGRES_ONCE_H
#define VESTRY_POSTGRES_ONCE_H

#include "vestry/app/once.h"
#include "vestry/data/postgres_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Presses of one database. */
typedef struct vestry_postgres_once vestry_postgres_once;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_postgres_once_options {
  size_t size;              /**< sizeof(vestry_postgres_once_options), or 0 */
  uint64_t lifetime_ms;     /**< a submission is forgotten so long after it began [10 minutes] */
  uint64_t lease_ms;        /**< so long it is the node's that runs it [1 minute] */
  bool runs_again;          /**< when a run's lease is over, and its end is not known: another run begins */
  uint32_t per_owner_count; /**< of one user or scope, and if it is set, of all submissions without a scope together;
                                     the oldest that are done make room. Looked after once in 64 submissions of a node,
                                     so there may be so many more for each node [1,000] */
  uint32_t expired_at_once; /**< so many that are over are deleted at once, at most [64] */
  int64_t (*now_ms)(void *ctx); /**< since 1970; NULL: the database's clock, which is one for all nodes. For tests */
  void *now_ctx;                /**< handed to it */
} vestry_postgres_once_options;

/** Make the table, unless it is there.
 *  pool      borrowed; must not be destroyed before
 *  options   NULL: the defaults
 *  ret_once  owned by the caller, which destroys it after the vestry_once. Untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | the errors of vestry/data/postgres_pool.h (IO also: the table is of a later
 *  version
 *           of vestry). The log says why, and what helps
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_once_create(vestry_postgres_pool *pool,
                                                  const vestry_postgres_once_options *options,
                                                  vestry_postgres_once **ret_once);
/** NULL is accepted. */
VESTRY_API void vestry_postgres_once_destroy(vestry_postgres_once *once);

/** The functions for vestry_once_options.storage; storage_ctx is the vestry_postgres_once. While the server is away
 *  requests with a nonce are answered 503, and not done. */
extern VESTRY_API const vestry_once_storage_ops vestry_postgres_once_ops;

/** Delete some of those whose time is over, for a timer: expired_at_once at most. Presses do so, too.
 *  ret_count  how many; so many as expired_at_once: there may be more. NULL: not wanted
 *  Returns  OK | the errors of vestry/data/postgres_pool.h
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_once_expire(vestry_postgres_once *once, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
