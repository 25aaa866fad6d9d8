/* SPDX-License-Identifier: MIT */
/** Connections to a database of SQLite (libvestry-sqlite): opened once, with their statements prepared once, lent for
 *  each read or write, and followed by pages if they are to be.
 *
 *      vestry_sqlite_pool_create(
 *          &(vestry_sqlite_pool_options){.path = "chat.db", .schema = schema, .schema_version = 1}, &pool);
 *      vestry_sqlite_create(pages, &(vestry_sqlite_options){.path = "chat.db"}, &database);
 *      vestry_sqlite_pool_follow(pool, database);            // live pages: see vestry/data/sqlite.h. Else leave both
 *      out
 *
 *      vestry_sqlite_borrow(pool, VESTRY_SQLITE_WRITE, &loan); // a handler: one transaction, one writer at a time
 *      err = vestry_sqlite_run(loan, "INSERT INTO message(text) VALUES(?)", VESTRY_LIST(text), NULL, NULL);
 *      err = vestry_sqlite_give(loan, err);                  // commits if OK, rolls back otherwise
 *
 *      vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ, &loan);  // a render
 *      err = vestry_sqlite_run(loan, "SELECT id, text FROM message", NULL, add_row, html);
 *      err = vestry_sqlite_give(loan, err);
 *
 *  What fails is said in the host's log: which function, which file, why, and what helps. The errors of the functions
 *  here that use the database: NO_MEMORY | LIMIT (not now: another program has been writing for busy_ms, the disk is
 *  full or fails, no connection was given back within wait_ms; a handler that returns it answers 503, and what is
 *  repeated by vestry/app/once.h is done when that is over) | TOO_LARGE | IO (all else, as SQL that is wrong). */
#ifndef VESTRY_SQLITE_POOL_H
#define VESTRY_SQLITE_POOL_H

#include "vestry/data/sqlite.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Connections to one database. */
typedef struct vestry_sqlite_pool vestry_sqlite_pool;
/** One of them, in use by one thread. To be read, until it is given back. */
typedef struct vestry_sqlite_loan {
  sqlite3 *db;                          /**< for SQLite's own functions */
  vestry_sqlite_connection *connection; /**< for vestry_sqlite_tab_get and _set; NULL: no pages follow it */
} vestry_sqlite_loan;

/** How a database is opened. Zero is the default, in brackets. */
typedef struct vestry_sqlite_pool_options {
  size_t size;             /**< sizeof(vestry_sqlite_pool_options), or 0 */
  const vestry_host *host; /**< memory, time and the log. Borrowed; NULL: vestry_host_default() */
  const char *path;        /**< the file; it is made if there is none, in WAL mode. Copied */
  uint32_t file_mode;      /**< of a file that is made [0600: what it has of sessions and secrets is this user's] */
  const char *schema; /**< SQL that makes the tables of this version, from nothing or from any version before: it is
                                run in one transaction when the file has an older one. Borrowed for the call; NULL: the
                                pool makes no tables */
  int schema_version; /**< the file's `user_version` once it has those tables; 1 or more. A file of a later version is
                                left as it is, and not opened */
  const char *setup; /**< SQL for each connection when it is opened, pragmas such as "PRAGMA synchronous = FULL" [none].
                          Borrowed for the call */
  uint32_t connections_count; /**< to read and write with [8]; at most 1,024 */
  uint32_t aside_count;       /**< to read with aside of pages that follow [1]; at most 1,024 */
  uint32_t statements_count;  /**< kept prepared of each connection; the one used longest ago makes room [64] */
  uint32_t wait_ms;           /**< so long it is waited for a connection, or for the one writer [5,000] */
  uint32_t busy_ms;           /**< so long SQLite waits for other processes [5,000] */
  uint64_t max_wal_bytes; /**< of the file's WAL, beyond which a commit empties it: threads that are to get a connection
                             wait until the others have given theirs back, for 250 ms at most [16 MiB]. A reader that
                             takes longer, or another program's, is logged, and the WAL grows meanwhile */
} vestry_sqlite_pool_options;

/** Open all connections, and bring the tables to their version.
 *  ret_pool  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (no path, or one without a file such as ":memory:"; a schema without a version) | NO_MEMORY |
 *           BUSY | LIMIT (the disk is full) | IO (it cannot be opened or written, is no database, its tables are of a
 *           later version). The log says why, and what helps; the file is as it was
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *options,
                                                vestry_sqlite_pool **ret_pool);
/** Close them. All have been given back, and no page follows. NULL is accepted. Threads one; blocks on the disk. */
VESTRY_API void vestry_sqlite_pool_destroy(vestry_sqlite_pool *pool);

/** Have pages follow all connections, but those aside: vestry_sqlite_attach for each.
 *  database  borrowed; of the same file. Until the call with NULL, which follows no more: it comes before
 *            vestry_sqlite_destroy, and waits for connections that are lent, as to a render that is not over
 *  Returns  OK | INVALID (another file, or it is followed already) | BUSY (one is lent; with NULL: to this thread) |
 *           NO_MEMORY | IO
 *  Threads  any, one at a time; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_follow(vestry_sqlite_pool *pool, vestry_sqlite *database);

/** Is told of a transaction that was committed by vestry_sqlite_give, or by what calls it here. On the thread that
 *  commits, when the connection has been given back; no lock is held. It may borrow one. */
typedef void (*vestry_sqlite_commit_fn)(void *ctx);
/** Call a function for each commit of this pool: to tell other processes, say. NULL: no more; when it returns, a call
 *  that has begun may still be under way. Threads any. */
VESTRY_API void vestry_sqlite_pool_on_commit(vestry_sqlite_pool *pool, vestry_sqlite_commit_fn fn, void *ctx);

/* ------------------------------------------------------------------------------------------------- loans --------- */

/** What a connection is borrowed for. */
typedef enum vestry_sqlite_use {
  /** To read with: for a render, or a handler. A thread that has one of this pool gets the same one again, inside of
   *  its transaction too, and gives it back as often.
   *
   *  This is no snapshot: each statement sees what is committed when it begins, so a commit between two statements is
   *  seen by the second one alone. A page that has read both is rendered again after that commit; a handler's answer
   *  stays as it is. For one snapshot: one statement, or those between "BEGIN" and "COMMIT" of the same loan. */
  VESTRY_SQLITE_READ,
  /** To read with one that pages do not follow: what a render reads with it renders it again only for a topic that it
   *  names (vestry_render_topic). Only for reading: what it wrote would refresh nothing. A thread may have one of each
   *  kind; give it back before the other is taken where many threads do so, or they wait for each other. */
  VESTRY_SQLITE_READ_ASIDE,
  /** To write with, in a transaction (BEGIN IMMEDIATE): one writer at a time, so that no writer of this process is told
   *  that the database is busy. */
  VESTRY_SQLITE_WRITE
} vestry_sqlite_use;

/** Borrow a connection.
 *  ret_loan  to be given back by vestry_sqlite_give; untouched on failure
 *  Returns   OK | LIMIT (none within wait_ms) | INVALID (also: this thread is to write, and has a connection to read
 *            with, or writes already: give it back first) | the errors above
 *  Threads   any; waits for at most wait_ms; to write it blocks on the disk. What it returns belongs to this thread */
VESTRY_API vestry_err vestry_sqlite_borrow(vestry_sqlite_pool *pool, vestry_sqlite_use use,
                                           vestry_sqlite_loan **ret_loan);
/** Give it back. What was written is committed if error is OK, and rolled back otherwise; statements are reset. A
 *  transaction that was begun by SQL on a connection to read with, and not ended, is rolled back, and the log says so.
 *  Returns  error; if that is OK, what committing said: the errors above
 *  Threads  that which has borrowed it; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_give(vestry_sqlite_loan *loan, vestry_err error);

/* --------------------------------------------------------------------------------------------- statements -------- */

/** Does something with a row, by sqlite3_column_int and its like. On the thread that runs the statement; it may run
 *  others with the same loan. */
typedef void (*vestry_sqlite_row_fn)(sqlite3_stmt *row, void *ctx);
/** One that puts the first column into the int64_t that ctx points to. */
static inline void vestry_sqlite_row_integer(sqlite3_stmt *row, void *ctx) {
  *(int64_t *)ctx = sqlite3_column_int64(row, 0);
}

/** Run one statement, which is prepared once for each connection and kept.
 *  sql     one statement; copied by SQLite
 *  values  for its parameters, as VESTRY_LIST(id, text) makes them: nulls, booleans, integers, numbers and texts.
 *          Borrowed; NULL: it has none
 *  row     called for each row; NULL: none is wanted
 *  Returns  OK (a row, or a statement that gives none) | NOT_FOUND (it gives rows, and there was none) | INVALID
 *           (values that do not fit) | the errors above. The log says which statement failed, with "..." for each value
 *  Threads  that which has borrowed it; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_run(vestry_sqlite_loan *loan, const char *sql, const vestry_value *values,
                                        vestry_sqlite_row_fn row, void *ctx);
/** The same with a connection of its own, in a transaction of its own if it writes. The errors of vestry_sqlite_borrow,
 *  too. In a thread that has a connection already, it is run with that one. (What cannot be in a
 *  transaction, VACUUM and some pragmas, is for sqlite3_exec, with vestry_sqlite_loan.db.)
 *  Threads  any; as those */
VESTRY_API vestry_err vestry_sqlite_run_alone(vestry_sqlite_pool *pool, const char *sql, const vestry_value *values,
                                              vestry_sqlite_row_fn row, void *ctx);
/** A statement that is kept prepared, for SQLite's own functions: blobs, say. It is reset, without bindings, and is so
 *  again when the loan is given back: until then no other function uses it, however many statements the loan runs. The
 *  same text again gives the same one, if it does not run. Do not finalize it.
 *  Returns  OK | the errors above
 *  Threads  as vestry_sqlite_run */
VESTRY_API vestry_err vestry_sqlite_prepare(vestry_sqlite_loan *loan, const char *sql, sqlite3_stmt **ret_statement);

/** Counters, since it was created, and how things are now. */
typedef struct vestry_sqlite_pool_stats {
  size_t size;                /**< sizeof(vestry_sqlite_pool_stats), or 0 */
  uint64_t loans_count;       /**< connections that were lent */
  uint64_t waits_count;       /**< of these, after waiting for one */
  uint64_t refused_count;     /**< LIMIT: none was given back in time */
  uint64_t prepared_count;    /**< statements that were prepared: should not grow in the end */
  uint64_t committed_count;   /**< transactions */
  uint64_t rolled_back_count; /**< likewise, for an error */
  size_t lent_count;          /**< now */
  uint64_t wal_bytes;         /**< of the WAL, after the last commit by vestry_sqlite_give */
  uint64_t wal_holds_count;   /**< times that threads had to wait because the WAL was to be emptied */
  uint64_t wal_stuck_count;   /**< of these, those after which it could not be, because something still read */
} vestry_sqlite_pool_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_sqlite_pool_stats_get(vestry_sqlite_pool *pool, vestry_sqlite_pool_stats *ret_stats);

/** Add the counters to metrics, as vestry_sqlite_pool_…: as vestry_sqlite_metrics. Of one pool only.
 *  pool     a vestry_sqlite_pool
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_sqlite_pool_stats_get */
VESTRY_API vestry_err vestry_sqlite_pool_metrics(vestry_metrics *metrics, void *pool);

#ifdef __cplusplus
}
#endif
#endif
