/* SPDX-License-Identifier: MIT */
/** Transactions and statements, the same over SQLite (vestry/data/sqlite.h) and over PostgreSQL
 *  (vestry/data/postgres.h), which make the pool of connections.
 *
 *      vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.path = "chat.db"}, &pool);          // either of
 *      vestry_postgres_pool_create(&(vestry_postgres_pool_options){.url = "postgresql:///chat"}, &pool); // these
 *
 *      err = vestry_sql_read(pool, "SELECT id, text FROM message WHERE room = $1", VESTRY_LIST(room), add_row, html);
 *
 *      static vestry_err post(vestry_sql_transaction *transaction, void *text) {
 *        return vestry_sql_run(transaction, "INSERT INTO message(text) VALUES($1)", VESTRY_LIST((char *)text), NULL,
 *                              NULL);
 *      }
 *      err = vestry_sql_act(pool, VESTRY_SQL_WRITE, post, text); // a handler: commits, or rolls back and says why
 *
 *  Parameters of statements are $1, $2 and so on; SQLite's ?1 are for statements of SQLite alone.
 *
 *  What fails is said in the host's log: which function, which database, which statement, why, and what helps. No value
 *  is in it: "..." stands for a statement's literals. The errors of the functions here that use the database:
 *  - LIMIT: not now, and nothing was done. The server is away, another program has been writing for busy_ms, the disk
 *    is full, or no connection was given back within wait_ms. A handler that returns it answers 503, and what is
 *    repeated by vestry/app/once.h is done when that is over
 *  - BUSY: PostgreSQL: another transaction was in the way (40001, 40P01), or another client has altered a table of a
 *    statement since that was prepared. Begin again, as vestry_sql_act does by itself
 *  - TIMEOUT, CLOSED, EXISTS, UNSUPPORTED: PostgreSQL, see vestry/data/postgres.h
 *  - INVALID: values that do not fit the parameters
 *  - TOO_LARGE | NO_MEMORY | IO: all else, as SQL that is wrong. PostgreSQL: also, the connection was lost during a
 *    commit, so that it is not known whether it was done. */
#ifndef VESTRY_SQL_H
#define VESTRY_SQL_H

#include "vestry/app/form.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/session.h"
#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Connections to one database. */
typedef struct vestry_sql_pool vestry_sql_pool;
/** One of them, in use by one thread, in a transaction. */
typedef struct vestry_sql_transaction vestry_sql_transaction;
/** A row that a statement has found. */
typedef struct vestry_sql_row vestry_sql_row;

/** Close the connections. All have been given back, and no page follows. NULL is accepted. Threads one; SQLite: blocks
 *  on the disk. */
VESTRY_API void vestry_sql_pool_destroy(vestry_sql_pool *pool);

/* ------------------------------------------------------------------------------------------ transactions --------- */

/** What a transaction sees, and whether it is kept. A thread that has a transaction of a pool gets no second one of it
 *  to write with. */
typedef enum vestry_sql_kind {
  /** To read with: for a render, or a handler. A thread that has a transaction of this pool, of whatever kind, is in
   *  that one again, and ends it as often. PostgreSQL: one snapshot, rolled back at the end. SQLite: no snapshot, each
   *  statement sees what is committed when it begins, so a commit between two statements is seen by the second one
   *  alone: a page that has read both is rendered again after that commit, a handler's answer stays as it is. For one
   *  snapshot: one statement, or those between "BEGIN" and "COMMIT". */
  VESTRY_SQL_READ = 1,
  /** SQLite: to read with a connection that pages do not follow: what a render reads with it renders it again only for
   *  a topic that it names (vestry_render_topic). A thread may have one of each; give it back before the other is taken
   *  where many threads do so, or they wait for each other. PostgreSQL: as READ, which concerns no row but those that
   *  are read. */
  VESTRY_SQL_READ_ASIDE,
  /** To write with. SQLite: one writer at a time (BEGIN IMMEDIATE), so that no writer of this process is told that the
   *  database is busy; and so for the next two. PostgreSQL: READ COMMITTED, each statement sees what is committed by
   *  then. */
  VESTRY_SQL_WRITE,
  /** To write with. PostgreSQL: one snapshot; what another has written since cannot be written. */
  VESTRY_SQL_REPEATABLE_READ,
  /** To write with, as if it were alone. */
  VESTRY_SQL_SERIALIZABLE
} vestry_sql_kind;

/** Begin a transaction.
 *  ret_transaction  to be ended by vestry_sql_end; untouched on failure
 *  Returns  OK | INVALID (also: this thread is to write, and has a transaction already) | the errors above
 *  Threads  any; waits for at most wait_ms, and blocks on the network or the disk. What it returns belongs to this
 *           thread */
VESTRY_API vestry_err vestry_sql_begin(vestry_sql_pool *pool, vestry_sql_kind kind,
                                       vestry_sql_transaction **ret_transaction);
/** End it. One to write with is committed if error is OK, and rolled back otherwise. NULL: nothing is done.
 *  Returns  error; if that is OK, what committing said: the errors above
 *  Threads  that which has begun it; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_end(vestry_sql_transaction *transaction, vestry_err error);

/** Does the statements of a transaction. On the calling thread; perhaps several times, each time from the beginning: it
 *  changes nothing but the database. OK | any error: it is rolled back. */
typedef vestry_err (*vestry_sql_act_fn)(vestry_sql_transaction *transaction, void *ctx);
/** Do a transaction to write with, and commit it. PostgreSQL: again from the beginning, after a moment that is longer
 *  each time, while another transaction is in its way.
 *  Returns  OK | what fn says | BUSY (tries_count times) | as vestry_sql_begin
 *  Threads  any; as those; after a conflict it sleeps, for less than half a second each time */
VESTRY_API vestry_err vestry_sql_act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx);

/* --------------------------------------------------------------------------------------------- statements -------- */

/** Columns, from 0. Threads: the function's that was called with the row, and so for the next ones. */
VESTRY_API size_t vestry_sql_columns_count(const vestry_sql_row *row);
/** A column's value as a text, terminated, as the database writes it; NULL: it is null, or there is no such column.
 *  Valid until the function that was called with the row returns. */
VESTRY_API const char *vestry_sql_text(const vestry_sql_row *row, size_t column);
/** The same as an integer: 1 for true. 0: it is null, or no integer. */
VESTRY_API int64_t vestry_sql_integer(const vestry_sql_row *row, size_t column);
/** The bytes of a BLOB, or bytea.
 *  buffer   receives them, if they are at most capacity bytes. NULL, with capacity 0: they are only counted
 *  Returns  how many they are. 0: none, or it is null */
VESTRY_API size_t vestry_sql_bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity);

/** Does something with a row. On the thread that runs the statement; it may run others in the same transaction. */
typedef void (*vestry_sql_row_fn)(const vestry_sql_row *row, void *ctx);
/** One that puts the first column into the int64_t that ctx points to. */
VESTRY_API void vestry_sql_row_integer(const vestry_sql_row *row, void *ctx);

/** Run one statement, which is prepared once for each connection and kept.
 *  sql     one statement
 *  values  for its parameters, as VESTRY_LIST(id, text) makes them: nulls, booleans, integers, numbers, texts, and
 *          bytes (vestry_value_bytes). Borrowed; NULL: it has none
 *  row     called for each row. PostgreSQL: when all have come, which are in memory until it returns. NULL: none is
 *          wanted
 *  Returns  OK (a row, or a statement that gives none) | NOT_FOUND (it gives rows, and there was none) | the errors
 *           above. PostgreSQL: when the server has refused a statement, all that is left to do is to end the
 *           transaction
 *  Threads  that which has begun it; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                                     vestry_sql_row_fn row, void *ctx);
/** The same in a transaction of its own, which is committed; in a thread that has a transaction already, in that one.
 *  The errors of vestry_sql_begin, too. Threads any; as those. */
VESTRY_API vestry_err vestry_sql_run_alone(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                           vestry_sql_row_fn row, void *ctx);
/** Read. In the render of a page that follows the pool, the page renders again when a commit changed what was read.
 *  Elsewhere, and in documents, it is vestry_sql_run_alone. PostgreSQL: all reads of a render are of one snapshot, and
 *  nothing that they write is kept. Returns, threads: as vestry_sql_run_alone. */
VESTRY_API vestry_err vestry_sql_read(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                      vestry_sql_row_fn row, void *ctx);

/* ---------------------------------------------------------------------------------------------- sessions --------- */

/** Sessions of one database: the storage of vestry/app/session.h, over a table that vestry makes there.
 *
 *      vestry_sql_sessions_create(pool, NULL, &stored);
 *      vestry_sessions_create(
 *          v, &(vestry_session_options){.storage = &vestry_sql_sessions_ops, .storage_ctx = stored});
 *
 *  A user that has logged in at one node has at all of them, and still has after a restart, or a crash. The table,
 *  vestry_session, has a hash of each session's id: a stolen database opens no session. Memory is a cache of it: a node
 *  that logs a user out tells the others, which call vestry_session_check. A session whose time is over is deleted,
 *  also if its cookie never comes back: each log-in deletes some of them, and vestry_sql_sessions_expire does so from a
 *  timer. */
typedef struct vestry_sql_sessions vestry_sql_sessions;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_sql_sessions_options {
  size_t size;                 /**< sizeof(vestry_sql_sessions_options), or 0 */
  uint64_t idle_ms;            /**< as vestry_session_options has it [7 days] */
  uint64_t lifetime_ms;        /**< likewise [30 days] */
  uint32_t max_per_user_count; /**< of one user: the one that began first goes, when he logs in once more [100] */
  uint32_t expired_at_once;    /**< so many that are over are deleted at once, at most [64] */
  int64_t (*now_s)(void *ctx); /**< seconds since 1970; NULL: the system's clock. For tests */
  void *now_ctx;               /**< handed to it */
} vestry_sql_sessions_options;

/** Make the table, unless it is there.
 *  pool          borrowed; must not be destroyed before
 *  options       NULL: the defaults
 *  ret_sessions  owned by the caller, which destroys it after the instance. Untouched on failure
 *  Returns  OK | INVALID | the errors above (IO also: the table is of a later version of vestry; nothing was changed).
 *           The log says why, and what helps
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_sessions_create(vestry_sql_pool *pool, const vestry_sql_sessions_options *options,
                                                 vestry_sql_sessions **ret_sessions);
/** NULL is accepted. */
VESTRY_API void vestry_sql_sessions_destroy(vestry_sql_sessions *sessions);

/** The functions for vestry_session_options.storage; storage_ctx is the vestry_sql_sessions. They use a transaction of
 *  their own: vestry_session_login, and all that ends sessions, is called by a thread that has none of this pool. */
extern VESTRY_API const vestry_session_storage_ops vestry_sql_sessions_ops;

/** Delete some of those whose time is over, for a timer: expired_at_once at most.
 *  ret_count  how many; so many as expired_at_once: there may be more. NULL: not wanted
 *  Returns  OK | the errors above
 *  Threads  any; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_sessions_expire(vestry_sql_sessions *sessions, size_t *ret_count);

/* -------------------------------------------------------------------------------- actions that run once ---------- */

/** Submissions of one database (vestry/app/once.h): one that is repeated at another node, or after a restart, is
 *  answered there as it was answered, and its handler runs at one node.
 *
 *      vestry_sql_once_create(pool, NULL, &stored);
 *      vestry_once_create(v, &(vestry_once_options){.storage = &vestry_sql_once_ops, .storage_ctx = stored}, &once);
 *
 *  A submission whose node dies while it runs is held by it for lease_ms. Until then repetitions are answered 503,
 *  after waiting for vestry_once_options.wait_ms: the node may yet live. Then they are answered 409, and are not done:
 *  how far the handler had come is not known. So lease_ms is longer than any handler takes. Where a handler is harmless
 *  when it is done twice, as one transaction that keeps the nonce beside the data is, set runs_again: then one
 *  repetition runs.
 *
 *  A row of vestry_once has a hash of the submission's nonce, and its answer, sealed with another hash of it: readers
 *  of the database, or of a copy, learn neither the nonce nor the answer. */
typedef struct vestry_sql_once vestry_sql_once;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_sql_once_options {
  size_t size;              /**< sizeof(vestry_sql_once_options), or 0 */
  uint64_t lifetime_ms;     /**< a submission is forgotten so long after it began [10 minutes] */
  uint64_t lease_ms;        /**< so long it is the node's that runs it [1 minute] */
  bool runs_again;          /**< when a run's lease is over, and its end is not known: another run begins */
  uint32_t per_owner_count; /**< of one user or scope, and if it is set, of all submissions without a scope together;
                                     the oldest that are done make room. Looked after once in 64 submissions of a node,
                                     so there may be so many more for each node [1,000] */
  uint32_t expired_at_once; /**< so many that are over are deleted at once, at most [64] */
  int64_t (*now_ms)(void *ctx); /**< since 1970; NULL: the database's clock, which is one for all nodes. For tests */
  void *now_ctx;                /**< handed to it */
} vestry_sql_once_options;

/** Make the table, unless it is there. As vestry_sql_sessions_create.
 *  ret_once  owned by the caller, which destroys it after the vestry_once. Untouched on failure */
VESTRY_API vestry_err vestry_sql_once_create(vestry_sql_pool *pool, const vestry_sql_once_options *options,
                                             vestry_sql_once **ret_once);
/** NULL is accepted. */
VESTRY_API void vestry_sql_once_destroy(vestry_sql_once *once);

/** The functions for vestry_once_options.storage; storage_ctx is the vestry_sql_once. While the server is away requests
 *  with a nonce are answered 503, and not done. */
extern VESTRY_API const vestry_once_storage_ops vestry_sql_once_ops;

/** Delete some of those whose time is over. Submissions do so, too. As vestry_sql_sessions_expire. */
VESTRY_API vestry_err vestry_sql_once_expire(vestry_sql_once *once, size_t *ret_count);

/* ------------------------------------------------------------------------------------------------- forms --------- */

/** How forms that come back (vestry/app/form.h) are kept, in tables that vestry makes in the application's database,
 *  for all nodes that use it. Zero is the default, in brackets.
 *
 *      vestry_sql_forms_create(pool, NULL, &stored);
 *      vestry_forms_create(v, &(vestry_forms_options){.pages = pages, .storage = stored}, &forms);
 *
 *      static vestry_err report(vestry_sql_transaction *transaction, void *ctx) {     // the submit's handler's
 *        vestry_err err = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES($1)", VESTRY_LIST(title), NULL,
 *                                        NULL);
 *        return err ? err : vestry_forms_clear(forms, req, "report");
 *      }                                                            // both are committed, or neither
 *
 *  In vestry_sql_act it is the same, however often that begins again. What was typed outlives a node that is killed;
 *  all nodes with the database and vestry_secret_set find it. Over SQLite it is durable as the pool's `synchronous`
 *  says. What is typed refreshes no page. A form that is cleared refreshes its page, once that is committed: at this
 *  node always; at others if their pages follow the database, or are of one cluster. PostgreSQL: at level READS it
 *  refreshes others of these pages seldom: a form has one of 4,096 rows, by its tab and name. At level TABLES it
 *  refreshes all pages with forms.
 *
 *  Bounds are those of vestry_forms_options, for all nodes together; more than eight nodes of PostgreSQL that fill them
 *  at once may pass max_bytes by a little, until the next form is kept. Where that is full, a 32nd of it is made free.
 *  A form's age is known to a tenth of ttl_ms. What is over is found no more, and is deleted, some at a time, when
 *  others come. While the server is away, or the database is locked or full, what is typed is refused (503), and the
 *  page says it again each five seconds; what was kept before stays. */
typedef struct vestry_sql_forms_options {
  size_t size;                  /**< sizeof(vestry_sql_forms_options), or 0 */
  int64_t (*now_ms)(void *ctx); /**< since 1970; NULL: the database's clock, which is one for all nodes. For tests */
  void *now_ctx;                /**< handed to it */
} vestry_sql_forms_options;

/** Make the tables vestry_form and vestry_form_cleared, unless they are there. As vestry_sql_sessions_create.
 *  ret_storage  for vestry_forms_options.storage, of one vestry_forms at a time. Owned by the caller; untouched on
 *               failure */
VESTRY_API vestry_err vestry_sql_forms_create(vestry_sql_pool *pool, const vestry_sql_forms_options *options,
                                              vestry_forms_storage **ret_storage);
/** After vestry_forms_destroy; no transaction that has cleared a form may be open. NULL is accepted. */
VESTRY_API void vestry_sql_forms_destroy(vestry_forms_storage *storage);

/* ------------------------------------------------------------------------------------------ states of tabs ------- */

/** States of tabs of one database: bytes by (scope, tab), in a table that vestry makes there, which a tab's handlers
 *  write and its page reads, at whichever node: which channel it shows, the draft. A write refreshes that tab's page
 *  and no other.
 *
 *      vestry_sql_tabs_create(pages, pool, NULL, &tabs);
 *      vestry_sql_tab_set(tabs, req, draft, len);                        // a handler: the tab's page renders again
 *      vestry_sql_tab_get(tabs, req, render, draft, sizeof draft, &len); // its render
 *
 *  SQLite: in a transaction of the calling thread they are of that one; the pages follow the pool
 *  (vestry_sqlite_pool_follow). PostgreSQL: both use a transaction of their own, and are called by a thread that has
 *  none of this pool: a render that read it by a snapshot which is older would not know what was written since. Pages
 *  of other nodes are told by the cluster's topics, if there is one. */
typedef struct vestry_sql_tabs vestry_sql_tabs;

/** How they are kept. Zero is the default, in brackets. */
typedef struct vestry_sql_tabs_options {
  size_t size;              /**< sizeof(vestry_sql_tabs_options), or 0 */
  uint32_t ttl_s;           /**< a state is kept this long after it was last written or read [30 days] */
  uint32_t anonymous_ttl_s; /**< as ttl_s, of anonymous users (vestry_session_is_anonymous) [half of ttl_s] */
  uint32_t per_scope_count; /**< at most; the one that is nearest to its end makes room [64]. Not of the scope
                                    without a name, which is everybody's */
  size_t max_bytes;         /**< of one state [64 KiB]; at most 64 MiB */
  uint32_t max_count; /**< of all scopes; those nearest to their end make room, anonymous users' before users'. What
                           other nodes put is counted once in 1,024 new states, so there may be so many more for each
                           of them [100,000] */
  int64_t (*now_s)(void *ctx); /**< seconds since 1970; NULL: the database's clock. For tests */
  void *now_ctx;               /**< handed to it */
} vestry_sql_tabs_options;

/** Make the tables, unless they are there. As vestry_sql_sessions_create.
 *  pages     borrowed; must not be destroyed before
 *  ret_tabs  owned by the caller; untouched on failure */
VESTRY_API vestry_err vestry_sql_tabs_create(vestry_pages *pages, vestry_sql_pool *pool,
                                             const vestry_sql_tabs_options *options, vestry_sql_tabs **ret_tabs);
/** No request may use it any more. NULL is accepted. */
VESTRY_API void vestry_sql_tabs_destroy(vestry_sql_tabs *tabs);

/** Read the state of the tab that a request comes from (vestry/app/tab.h). A document's tab is a guess: read state that
 *  no other tab may show only where vestry_tab_is_known is true. In a render, the page renders again when the state is
 *  written.
 *  req       the handler's, or vestry_render.request
 *  render    the render that reads, NULL: none
 *  buffer    receives it, at most capacity bytes
 *  ret_len   its length, also with TOO_LARGE. 0: it has none yet. Untouched on all other failures
 *  Returns  OK | INVALID | NOT_FOUND (the request has no tab, the render is shared) | TOO_LARGE (capacity) | the errors
 *           above
 *  Threads  the handler's, or the render's; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_tab_get(vestry_sql_tabs *tabs, const vestry_request *req, vestry_render *render,
                                         void *buffer, size_t capacity, size_t *ret_len);
/** Write it, and have the tab's page render again.
 *  data  copied; len 0: the tab has none any more
 *  Returns  OK | INVALID | NOT_FOUND (the request has no tab) | TOO_LARGE (max_bytes) | the errors above
 *  Threads  the handler's, not from a render; blocks on the network or the disk */
VESTRY_API vestry_err vestry_sql_tab_set(vestry_sql_tabs *tabs, const vestry_request *req, const void *data,
                                         size_t len);

/** Counters, since it was created. */
typedef struct vestry_sql_tabs_stats {
  size_t size;            /**< sizeof(vestry_sql_tabs_stats), or 0 */
  uint64_t expired_count; /**< states that this process removed because their time was over */
  uint64_t evicted_count; /**< because there were max_count, or per_scope_count */
} vestry_sql_tabs_stats;

/** A snapshot. Threads any; does not block. */
VESTRY_API void vestry_sql_tabs_stats_get(vestry_sql_tabs *tabs, vestry_sql_tabs_stats *ret_stats);

#ifdef __cplusplus
}
#endif
#endif
