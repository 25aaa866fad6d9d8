/* SPDX-License-Identifier: MIT */
/** Sessions in a database of PostgreSQL (libvestry-postgres): the storage of vestry/app/session.h, over a table that
 *  vestry makes in the application's database, for all nodes that use it.
 *
 *      vestry_postgres_sessions_create(pool, NULL, &stored);
 *      vestry_sessions_create(v, &(vestry_session_options){.storage = &vestry_postgres_sessions_ops,
 *                                                          .storage_ctx = stored});
 *
 *  A user that has logged in at one node has at all of them, and still has after a restart, or a crash. The table,
 *  vestry_session, has a hash of each session's id: a stolen database opens no session. Memory is a cache of it: a node
 *  that logs a user out tells the others, which call vestry_session_check. A session whose time is over is deleted,
 *  also if its cookie never comes back: each log-in deletes some of them, and vestry_postgres_sessions_expire does so
 *  from a timer. */
#ifndef VESTRY_POSTGRES_SESSIONS_H
#define VESTRY_POSTGRES_SESSIONS_H

#include "vestry/app/session.h"
#include "vestry/data/postgres_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sessions of one database. */
typedef struct vestry_postgres_sessions vestry_postgres_sessions;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_postgres_sessions_options {
  size_t size;                 /**< sizeof(vestry_postgres_sessions_options), or 0 */
  uint64_t idle_ms;            /**< as vestry_session_options has it [7 days] */
  uint64_t lifetime_ms;        /**< likewise [30 days] */
  uint32_t max_per_user_count; /**< of one user: the one that began first goes, when he logs in once more [100] */
  uint32_t expired_at_once;    /**< so many that are over are deleted at once, at most [64] */
  int64_t (*now_s)(void *ctx); /**< seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;               /**< handed to it */
} vestry_postgres_sessions_options;

/** Make the table, unless it is there.
 *  pool          borrowed; must not be destroyed before
 *  options       NULL: the defaults
 *  ret_sessions  owned by the caller, which destroys it after the instance. Untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | the errors of vestry/data/postgres_pool.h (IO also: the table is of a later
 *  version
 *           of vestry). The log says why, and what helps
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_sessions_create(vestry_postgres_pool *pool,
                                                      const vestry_postgres_sessions_options *options,
                                                      vestry_postgres_sessions **ret_sessions);
/** NULL is accepted. */
VESTRY_API void vestry_postgres_sessions_destroy(vestry_postgres_sessions *sessions);

/** The functions for vestry_session_options.storage; storage_ctx is the vestry_postgres_sessions. They use a
 *  transaction of their own: vestry_session_login, and all that ends sessions, is called by a thread that has none of
 *  this pool. */
extern VESTRY_API const vestry_session_storage_ops vestry_postgres_sessions_ops;

/** Delete some of those whose time is over, for a timer: expired_at_once at most.
 *  ret_count  how many; so many as expired_at_once: there may be more. NULL: not wanted
 *  Returns  OK | the errors of vestry/data/postgres_pool.h
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_sessions_expire(vestry_postgres_sessions *sessions, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
