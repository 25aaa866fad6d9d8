/* SPDX-License-Identifier: MIT */
/** SQLite (libvestry-sqlite): a pool of connections for vestry/data/sql.h, and live pages: a write to the database
 *  refreshes the pages that show the written data.
 *
 *      vestry_sqlite_record_pages();                          // exact refresh; before any other use of SQLite
 *      vestry_sqlite_pool_create(
 *          &(vestry_sqlite_pool_options){.path = "chat.db", .schema = schema, .schema_version = 1}, &pool);
 *      vestry_sqlite_create(pages, &(vestry_sqlite_options){.path = "chat.db"}, &database);
 *      vestry_sqlite_pool_follow(pool, database);             // or vestry_sqlite_attach, for connections of your own
 *
 *  A handler then inserts a row and returns. The pages that read it render again once every connection can see the
 *  commit, never earlier, and never for a change that was rolled back. The reads of a page are recorded while it
 *  renders, so it names no topic. Commits of other processes, for example of the sqlite3 shell, are seen within
 *  poll_ms. */
#ifndef VESTRY_SQLITE_H
#define VESTRY_SQLITE_H

#include <sqlite3.h>

#include "vestry/app/application.h"
#include "vestry/app/page.h"
#include "vestry/data/sql.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A database that pages follow: they render again when a commit changes data that they have read.
 *  - Schema: a change of the schema, VACUUM, and a commit that cannot be followed refresh at least every page that has
 *    read the database.
 *  - Not recorded: a render's reads from clocks, random(), application functions that have state, virtual tables over
 *    other data, tables of TEMP and of files attached by SQL, blobs opened in a render (sqlite3_blob_open), and
 *    statements begun before the render. A page that depends on such data names a topic (vestry_render_topic), which
 *    the application refreshes (vestry_refresh).
 *  - Writes of a render refresh nothing, because a page that refreshes itself would never stop rendering. */
typedef struct vestry_sqlite vestry_sqlite;
/** An attached connection. */
typedef struct vestry_sqlite_connection vestry_sqlite_connection;

/** How precisely a commit selects the pages that it refreshes. Both levels miss no page that has read changed data.
 *  - TABLES: pages that have read a table and columns that the commit changed. If a statement looks rows up by an
 *    integer key (of the rowid, or of the first column of an index), only a change of rows with that key counts.
 *  - FILE_PAGES: of the pages that level TABLES selects, only those that have read a file page (a block of the database
 *    file) that the commit wrote. An insert writes the file page where its row belongs, so reads of ranges, and of rows
 *    that do not exist yet, are covered, too.
 *  FILE_PAGES needs vestry_sqlite_record_pages before SQLite is first used; otherwise the level is TABLES. TABLES also
 *  applies if this SQLite lacks the necessary functions, to a connection that shares its cache (the log reports both
 *  once), and to a render that reads more than max_file_pages. */
typedef enum vestry_sqlite_level {
  VESTRY_SQLITE_DEFAULT, /**< FILE_PAGES if possible, else TABLES */
  VESTRY_SQLITE_TABLES,
  VESTRY_SQLITE_FILE_PAGES
} vestry_sqlite_level;

/** Options of a followed database. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_sqlite_options {
  const char *path;          /**< the database's file; created if it does not exist. Copied */
  vestry_sqlite_level level; /**< [FILE_PAGES if possible, else TABLES] */
  uint32_t poll_ms;          /**< maximum time until commits of other connections are seen [50]; at most 60,000 */
  uint32_t max_file_pages;   /**< maximum number of file pages that a render may read at level FILE_PAGES [2,048];
                                  beyond it the render is followed at level TABLES */
  size_t max_bytes;          /**< maximum memory for all recorded reads [256 MiB, about 1.7 million pages that read
                                  one row each]. Beyond it a further render is followed at level TABLES without its
                                  keys; such records take at most as much again. The log reports the first
                                  one */
} vestry_sqlite_options;

/** Let SQLite record which file pages a render reads, for level FILE_PAGES. This is a setting of the whole process
 *  (sqlite3_config), and costs all connections one function call for each file page.
 *  Returns  OK, also when it was set before | BUSY (SQLite is in use already) | UNSUPPORTED (the page cache of this
 *           SQLite cannot be replaced; level DEFAULT is then TABLES, and vestry_sqlite_create logs a warning)
 *  Threads  before any other use of SQLite */
VESTRY_API vestry_err vestry_sqlite_record_pages(void);

/** Follow a database, and set WAL mode for it, which stays in the file.
 *  pages         borrowed; must not be destroyed before the database. A database can be followed for one `pages` at a
 *                time
 *  options       copied
 *  ret_database  owned by the caller; untouched on failure
 *  Returns  OK, also if the database was left by a killed program or is in use by others | INVALID (also: a database in
 *           memory) | NO_MEMORY | UNSUPPORTED (level FILE_PAGES without vestry_sqlite_record_pages; no WAL mode; or
 *           this SQLite has no preupdate hook, or no threads) | BUSY (another program has been writing for five
 *           seconds) | LIMIT (the disk is full; or too many observers of the pages) | IO (it cannot be opened; it is
 *           not a database; or there is no randomness). The log has the reason and a remedy
 *  Threads  any; starts a thread. Blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_create(vestry_pages *pages, const vestry_sqlite_options *options,
                                           vestry_sqlite **ret_database);
/** Stop following a database, and free it. All its connections must be detached. NULL is accepted.
 *  Threads  not that of a render or of a hook of SQLite; waits for its own thread */
VESTRY_API void vestry_sqlite_destroy(vestry_sqlite *database);

/** Attach a connection of the application, so that its commits refresh pages, and reads through it in renders are
 *  recorded.
 *  - vestry uses the connection's authorizer, and its hooks for preupdate, commit, rollback, the WAL and trace. The
 *    application must not set these. PRAGMA wal_autocheckpoint takes the WAL hook away: set it before. Without that
 *    hook, commits of the connection are followed like those of one that is not attached.
 *  - Level FILE_PAGES: until the file is closed, the methods of the connection's file (sqlite3_io_methods) are replaced
 *    by a copy that also reports reads, for any VFS. A VFS that inspects them must accept the replacement.
 *  - A connection that shares its cache (SQLITE_OPEN_SHAREDCACHE) must be attached together with all connections that
 *    share it. Its renders are followed at level TABLES, and the log reports this once.
 *  db              of the same file, outside of a transaction; in use by one thread at a time. Borrowed
 *  ret_connection  owned by the caller, who detaches it before sqlite3_close. Untouched on failure
 *  Returns  OK | INVALID (of another file, or the file has been replaced since) | NO_MEMORY | BUSY (in a transaction) |
 *           EXISTS (attached already) | IO. The log has the reason and a remedy
 *  Threads  that of the connection; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_attach(vestry_sqlite *database, sqlite3 *db,
                                           vestry_sqlite_connection **ret_connection);
/** Detach a connection: remove its hooks and finalize vestry's statements. NULL is accepted.
 *  Threads  that of the connection, outside of a transaction */
VESTRY_API void vestry_sqlite_detach(vestry_sqlite_connection *connection);

/** Refresh pages for all commits so far, of any process. For tests: call vestry_pages_settle afterwards.
 *  ret_seq  for vestry_pages_settle; may be NULL
 *  Returns  OK | BUSY (connections or processes did not publish their commits within five seconds)
 *  Threads  any, not that of a render; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_sync(vestry_sqlite *database, uint64_t *ret_seq);

/** Counters since the database was created, and current sizes. */
typedef struct vestry_sqlite_stats {
  uint64_t commits_count;       /**< commits of attached connections */
  uint64_t other_commits_count; /**< commits of other connections, as far as they could be distinguished */
  uint64_t refreshed_count;     /**< renders requested because of data that they had read */
  uint64_t whole_count;         /**< times that everything was refreshed: schema, VACUUM, commits that could not be
                                      followed */
  uint64_t recorded_count;      /**< renders whose reads were recorded */
  uint64_t table_level_count;   /**< of recorded_count: followed at level TABLES because of max_file_pages
                                      (over_pages_count) or max_bytes (over_bytes_count), or without the memory or
                                      the means to record its file pages */
  size_t recorded_bytes;        /**< memory for recorded reads, now */
  size_t connections_count;     /**< attached connections, now */
  uint64_t everything_count;    /**< of recorded_count: they render at every commit, because there was no memory, not
                                      even for its tables, because a read has failed, because they read a full-text
                                      index (FTS5), or because there were more than 65,536 names of tables */
  uint64_t large_commits_count; /**< of commits_count: changed more than 65,536 keys of rows (consecutive ones count as
                                      one), or updated more than 65,536 rows, so they also render pages that show other
                                      rows or columns. The log reports the first one */
  uint64_t over_pages_count;    /**< of table_level_count: the render read more than max_file_pages. The log reports
                                      the first one */
  uint64_t over_bytes_count;    /**< of table_level_count: the recorded reads had reached max_bytes */
  uint64_t promoted_count;      /**< of recorded_count: the render looked up more than 64 keys of a table, or by more
                                      than 64 parameters of a statement, by a statement whose program (EXPLAIN) has more
                                      than 4,096 operations, or by a column after the 62nd of the table, so it is
                                      followed as one that has read any row of that table. The log reports the first one
                                      with the table */
  size_t peers_count;           /**< other processes that follow the file, now */
  uint64_t peer_commits_count;  /**< of other_commits_count: commits of attached connections in other processes whose
                                      changed rows are known */
  vestry_sqlite_level level;    /**< level of renders, never DEFAULT. Single renders and connections can have a lower
                                      one: see vestry_sqlite_level */
  uint64_t over_recent_count;   /**< of recorded_count: run again, because more than 1,024 commits, or 4 MiB of their
                                      changes, came while the render ran. The log reports the first one */
} vestry_sqlite_stats;

/** Get a snapshot of the counters. Threads any; takes a lock briefly. */
VESTRY_API void vestry_sqlite_stats_get(vestry_sqlite *database, vestry_sqlite_stats *ret_stats);

/** Add the counters to metrics, as vestry_sqlite_…. This is a vestry_metrics_fn; a function of yours can also call it
 *  (vestry/ops/observe.h). Only for one database of a process.
 *  database  a vestry_sqlite
 *  Returns   OK | INVALID | the errors of vestry_metrics_add
 *  Threads   as vestry_sqlite_stats_get */
VESTRY_API vestry_err vestry_sqlite_metrics(vestry_metrics *metrics, void *database);

/* ------------------------------------------------------------------------------------------------ a pool --------- */

/** Options of a pool. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_sqlite_pool_options {
  const vestry_host *host; /**< memory, time and the log. Borrowed; NULL: vestry_host_default() */
  const char *path;        /**< the file; created in WAL mode if it does not exist. Copied */
  uint32_t file_mode;      /**< mode of a file that is created [0600, because it contains sessions and secrets of this
                                user] */
  const char *schema; /**< SQL that creates the tables of this version, from an empty file or from any earlier version.
                           It runs in one transaction if the file has an earlier version. Borrowed for the call; NULL:
                           the pool creates no tables */
  int schema_version; /**< the file's `user_version` with these tables; at least 1. A file of a later version is not
                           opened, and not changed */
  const char *setup;  /**< SQL for each new connection, also for one that replaces another later, for example "PRAGMA
                           synchronous = FULL" [none]. Copied. "PRAGMA wal_autocheckpoint" is the number of
                           frames after which the pool copies the WAL [1,000]; 0: never */
  uint32_t connections_count; /**< connections for reading and writing [8]; at most 1,024. VESTRY_SQL_READ_ASIDE has one
                                   more. Each keeps the 64 statements that were used last prepared */
  uint32_t wait_ms;           /**< maximum time to wait for a connection, or for the end of another thread's write
                                   [5,000] */
  uint32_t busy_ms;           /**< time to wait for other programs that write; other pools are waited for in a queue
                                   before, for half of this time at most [5,000] */
  uint64_t max_wal_bytes;     /**< if the file's WAL exceeds this size after a commit, the thread that has committed
                                   empties it [16 MiB]. It waits at most 250 ms for connections that read, in all
                                   processes. If one takes longer, the log reports it, and the WAL grows */
} vestry_sqlite_pool_options;

/** Open all connections, and bring the tables to their version.
 *  ret_pool  owned by the caller (vestry_sql_pool_destroy); untouched on failure
 *  Returns  OK | INVALID (no path, or a path without a file such as ":memory:"; a schema without a version; too many
 *           connections) | NO_MEMORY | BUSY (locked; or another process uses the file, whose file system does not
 *           share memory, for example NFS) | LIMIT (the disk is full) | IO (the file cannot be opened or written, is
 *           not a database, or has tables of a later version). On failure the file is unchanged. The log has the reason
 *           and a remedy
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *options, vestry_sql_pool **ret_pool);
/** Let pages follow all connections of a pool except those for READ_ASIDE: vestry_sqlite_attach for each.
 *  database  borrowed; of the same file. NULL: stop following; call this before vestry_sqlite_destroy. It waits until
 *            all connections are released, for example by a render that has not ended
 *  Returns  OK | INVALID (another file, or a database follows the pool already) | BUSY (a connection is in use; with
 *           NULL: by this thread) | NO_MEMORY | IO
 *  Threads  any, one at a time; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_follow(vestry_sql_pool *pool, vestry_sqlite *database);

/** Called after a transaction was committed by vestry_sql_end, or by a function that calls it, on the thread that
 *  commits. The connection has been released, and no lock is held, so it may begin a transaction. */
typedef void (*vestry_sqlite_commit_fn)(void *ctx);
/** Set a function to call after each commit of this pool, for example to notify other processes. NULL: none; a call
 *  that has begun may still run when this returns. So ctx must live until no thread commits; sessions and submissions
 *  that are stored in the pool commit on threads of the runtime, until vestry_destroy. Threads any. */
VESTRY_API void vestry_sqlite_pool_on_commit(vestry_sql_pool *pool, vestry_sqlite_commit_fn fn, void *ctx);

/** Get a transaction's connection, for functions of SQLite. NULL: the transaction is not one of SQLite. Statements that
 *  cannot run in a transaction, VACUUM and some pragmas, need sqlite3_exec and the connection of a transaction for
 *  reading. Finalize your statements before the transaction ends. If your call of sqlite3_step fails in a transaction
 *  for writing, SQLite may have rolled the transaction back, and would commit your next statement by itself: end the
 *  transaction if sqlite3_get_autocommit returns non-zero. The pool uses the connection's authorizer, and replaces the
 *  connection after a transaction that has changed its settings, attached a file or created an object of TEMP. Threads
 *  as vestry_sql_run. */
VESTRY_API sqlite3 *vestry_sqlite_handle(vestry_sql_transaction *transaction);
/** Add the counters to metrics, as vestry_sqlite_pool_…, like vestry_sqlite_metrics. Only for one pool of a process.
 *  pool     a vestry_sql_pool of SQLite
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_sql_pool_stats_get */
VESTRY_API vestry_err vestry_sqlite_pool_metrics(vestry_metrics *metrics, void *pool);

/* ----------------------------------------------------------------------------------------- an application --------- */

/** Options of a SQLite database of an application (vestry/app/application.h). */
typedef struct vestry_sqlite_database {
  const vestry_sqlite_pool_options *pool; /**< names the file; mandatory. Borrowed for the call */
  const vestry_sqlite_options *follow;    /**< how pages follow it; its path is that of the pool. Borrowed for the call
                                               [the defaults] */
} vestry_sqlite_database;

/** SQLite, for vestry_application_options.database; database_options is a vestry_sqlite_database. VESTRY_SQLITE sets
 *  both. Calls vestry_sqlite_record_pages, unless another level is set, vestry_sqlite_pool_create, vestry_sqlite_create
 *  and vestry_sqlite_pool_follow. */
extern VESTRY_API const vestry_application_database vestry_sqlite_application;

#ifndef __cplusplus
/* clang-format off */
/** Set database and database_options of vestry_application_options by members of vestry_sqlite_pool_options:
 *  VESTRY_SQLITE(.path = "shelf.db", .schema = schema, .schema_version = 1). */
#define VESTRY_SQLITE(...)                                                                                             \
  .database = &vestry_sqlite_application,                                                                              \
  .database_options = &(const vestry_sqlite_database){.pool = &(const vestry_sqlite_pool_options){__VA_ARGS__}}
/* clang-format on */
#endif

#ifdef __cplusplus
}
#endif
#endif
