/* SPDX-License-Identifier: MIT */
/** Sessions in a database of SQLite (libvestry-sqlite): the storage of vestry/app/session.h, over a table that vestry
 *  makes in the application's database.
 *
 *      vestry_sqlite_sessions_create(pool, NULL, &stored);
 *      vestry_sessions_create(v, &(vestry_session_options){.storage = &vestry_sqlite_sessions_ops,
 *                                                          .storage_ctx = stored});
 *
 *  A user that has logged in still is after a restart, or a crash. The table, vestry_session, has a hash of each
 *  session's id: a stolen file opens no session. A session whose time is over is deleted, also if its cookie never
 *  comes back: each log-in deletes some of them, and vestry_sqlite_sessions_expire does so from a timer. */
#ifndef VESTRY_SQLITE_SESSIONS_H
#define VESTRY_SQLITE_SESSIONS_H

#include "vestry/app/session.h"
#include "vestry/data/sqlite_pool.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Sessions of one database. */
typedef struct vestry_sqlite_sessions vestry_sqlite_sessions;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_sqlite_sessions_options {
  size_t size;                 /**< sizeof(vestry_sqlite_sessions_options), or 0 */
  uint64_t idle_ms;            /**< as vestry_session_options has it [7 days] */
  uint64_t lifetime_ms;        /**< likewise [30 days] */
  uint32_t max_per_user_count; /**< of one user: the one that began first goes, when he logs in once more [100] */
  uint32_t expired_at_once;    /**< so many that are over are deleted at once, at most [64] */
  int64_t (*now_s)(void *ctx); /**< seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;               /**< handed to it */
} vestry_sqlite_sessions_options;

/** Make the table, unless it is there.
 *  pool          borrowed; must not be destroyed before
 *  options       NULL: the defaults
 *  ret_sessions  owned by the caller, which destroys it after the instance. Untouched on failure
 *  Returns  OK | INVALID | NO_MEMORY | BUSY | LIMIT (the disk is full; no connection) | IO (also: the table is of a
 *           later version of vestry). The log says why, and what helps
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_sessions_create(vestry_sqlite_pool *pool,
                                                    const vestry_sqlite_sessions_options *options,
                                                    vestry_sqlite_sessions **ret_sessions);
/** NULL is accepted. */
VESTRY_API void vestry_sqlite_sessions_destroy(vestry_sqlite_sessions *sessions);

/** The functions for vestry_session_options.storage; storage_ctx is the vestry_sqlite_sessions. They borrow a
 *  connection: vestry_session_login, and all that ends sessions, is called by a thread that has none of this pool. */
extern VESTRY_API const vestry_session_storage_ops vestry_sqlite_sessions_ops;

/** Delete some of those whose time is over, for a timer: expired_at_once at most.
 *  ret_count  how many; so many as expired_at_once: there may be more. NULL: not wanted
 *  Returns  OK | the errors of vestry_sqlite_borrow
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_sessions_expire(vestry_sqlite_sessions *sessions, size_t *ret_count);

#ifdef __cplusplus
}
#endif
#endif
