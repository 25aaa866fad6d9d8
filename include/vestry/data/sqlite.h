/* SPDX-License-Identifier: MIT */
/** SQLite (libvestry-sqlite): a pool of connections for vestry/data/sql.h, opened once, with their statements prepared
 *  once, lent for each read or write; and pages over them: a write to the database refreshes the pages that show what
 *  was written.
 *
 *      vestry_sqlite_record_pages();                          // exact refresh: first thing in main, see below
 *      vestry_sqlite_pool_create(
 *          &(vestry_sqlite_pool_options){.path = "chat.db", .schema = schema, .schema_version = 1}, &pool);
 *      vestry_sqlite_create(pages, &(vestry_sqlite_options){.path = "chat.db"}, &database);
 *      vestry_sqlite_pool_follow(pool, database);             // live pages; or vestry_sqlite_attach for each
 *                                                             connection // of yours that pages read or handlers write
 *                                                             with
 *
 *  From then on a handler inserts a row and returns; the pages that read it render again once every connection can see
 *  the commit, never before, and never for what was rolled back. What a page reads is recorded while it renders: it
 *  names no topic. Commits of other processes (the sqlite3 shell, a cron job) are seen too, within poll_ms.
 *
 *  Three levels say how much a commit refreshes; each is sound, the later ones refresh less:
 *    TOPICS      what was changed becomes topics, by `topics` or as "table/NAME"; pages name what they depend on
 *    TABLES      also: pages that read a table and columns that the commit changed; where a statement looks rows up by
 *                an integer key (of the rowid, or the first column of an index), rows of that key
 *    FILE_PAGES  of the pages at level TABLES, only those that read a page of the database file that the commit wrote.
 *                An insert writes the page where its row belongs, so ranges and what is not there yet are covered too
 *  Level FILE_PAGES needs vestry_sqlite_record_pages before SQLite is first used, and a database in WAL mode;
 *  otherwise the level is TABLES. The level is TABLES, too, where this SQLite cannot do it and for a connection that
 *  shares its cache (the log says so once), and for a render that reads more than max_file_pages. A change of the
 *  schema, VACUUM and what cannot be followed refresh every page that read the database.
 *
 *  What a render reads by other means is not seen: clocks, random(), application functions with a memory of their own,
 *  virtual tables over other things, tables of TEMP and of files that were attached by SQL, blobs that are opened in a
 *  render (sqlite3_blob_open), statements that were begun before the render. For these a page names a topic
 *  (vestry_render_topic). Topics are refreshed by what attached connections commit; what others commit refreshes the
 *  pages that read it, and at level TOPICS all. What a render writes refreshes nothing, or it would go on for ever. */
#ifndef VESTRY_SQLITE_H
#define VESTRY_SQLITE_H

#include <sqlite3.h>

#include "vestry/app/page.h"
#include "vestry/data/sql.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A database that pages are made from. */
typedef struct vestry_sqlite vestry_sqlite;
/** One connection to it that is attached. */
typedef struct vestry_sqlite_connection vestry_sqlite_connection;

/** How much a commit refreshes. */
typedef enum vestry_sqlite_level {
  VESTRY_SQLITE_DEFAULT, /**< FILE_PAGES where it can be had, else TABLES */
  VESTRY_SQLITE_TOPICS,
  VESTRY_SQLITE_TABLES,
  VESTRY_SQLITE_FILE_PAGES
} vestry_sqlite_level;

/** Takes the topics of a change. */
typedef struct vestry_sqlite_change vestry_sqlite_change;
/** Says which topics a changed row refreshes, by vestry_sqlite_topic. Called while the row is being changed, on the
 *  thread that does so: it must not use the connection. For tables without rowid, rowid is 0. For a virtual table it is
 *  called with the tables that store that. States of tabs refresh their tabs, whatever it says.
 *  Threads  any */
typedef void (*vestry_sqlite_topics_fn)(vestry_sqlite_change *change, const char *table, int64_t rowid, void *app);
/** Refresh a topic when the transaction is committed. A change of a thousand rows may say it a thousand times. Topics
 *  that there is no memory for become "all".
 *  topic  1 to VESTRY_PAGE_TOPIC_MAX_BYTES bytes, copied; others are left out */
VESTRY_API void vestry_sqlite_topic(vestry_sqlite_change *change, const char *topic);
/** Of a changed row: as it was before, and as it is to be. */
typedef enum vestry_sqlite_side { VESTRY_SQLITE_OLD, VESTRY_SQLITE_NEW } vestry_sqlite_side;
/** A column of the changed row; columns count from 0. A message that moves to another room changes both rooms.
 *  Returns  valid until vestry_sqlite_topics_fn returns; NULL: a new row has no old values, a deleted one no new ones;
 *           there is no such column, or no memory */
VESTRY_API sqlite3_value *vestry_sqlite_change_value(const vestry_sqlite_change *change, vestry_sqlite_side side,
                                                     int column);

/** How a database is followed. Zero is the default, in brackets. */
typedef struct vestry_sqlite_options {
  size_t size;                    /**< sizeof(vestry_sqlite_options), or 0 */
  const char *path;               /**< the database's file; it is made if there is none. Copied */
  vestry_sqlite_level level;      /**< [FILE_PAGES where it can be had] */
  vestry_sqlite_topics_fn topics; /**< ["table/NAME"] */
  void *app;                      /**< handed to topics; must live as long as an attached connection */
  uint32_t poll_ms;               /**< commits of others are seen after this at the latest [50]; at most 60,000 */
  uint32_t max_file_pages;        /**< of the database's file that one render may read [2,048] */
  size_t max_bytes;               /**< of all that is recorded [16 MiB]; beyond it renders are followed by tables */
} vestry_sqlite_options;

/** Have SQLite say which pages of a database a render reads: for level FILE_PAGES. It is a setting of the whole
 *  process, made by sqlite3_config, and costs other connections a function call a page.
 *  Returns  OK, also when it was done before | BUSY (SQLite is in use already) | UNSUPPORTED (this SQLite has a page
 *           cache that cannot be replaced). Level DEFAULT is TABLES then, and vestry_sqlite_create logs a warning
 *  Threads  before any other use of SQLite */
VESTRY_API vestry_err vestry_sqlite_record_pages(void);

/** Follow a database.
 *  pages         borrowed; must not be destroyed before. One database may be followed for one `pages` at a time
 *  options       copied
 *  ret_database  owned by the caller; untouched on failure
 *  Returns  OK, also where the database was left by a program that was killed, or is in use by others |
 *           INVALID (also: a database in memory) | NO_MEMORY | UNSUPPORTED (level FILE_PAGES without record_pages or
 *           WAL) | BUSY (another program has been writing for five seconds) | LIMIT (the disk is full) |
 *           IO (it cannot be opened, or not be written where vestry's tables are to be made; it is no database; its
 *           tables of vestry's are of a later version: then nothing is changed). The log says which, and what helps
 *  Threads  any; starts one of its own. Blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_create(vestry_pages *pages, const vestry_sqlite_options *options,
                                           vestry_sqlite **ret_database);
/** Follow it no more, and free it. After all its connections were detached. NULL is accepted.
 *  Threads  not from a render or a hook of SQLite's; waits for its own */
VESTRY_API void vestry_sqlite_destroy(vestry_sqlite *database);

/** Attach a connection: what it commits refreshes pages, and what renders read with it is recorded. It takes the
 *  connection's hooks for preupdate, commit, rollback, trace and, from level TABLES on, its authorizer: the
 *  application must not set them. A SQLite that reads pages past its cache (3.45 and later) has the methods of the
 *  connection's file (sqlite3_io_methods) replaced by a copy that tells of reads, whichever VFS has opened it,
 *  until it is closed: a VFS that looks at them must not mind. Otherwise, and below level FILE_PAGES, the connection
 *  has mmap_size 0 from then on, and PRAGMA mmap_size does nothing; if its file is mapped all the same, renders are
 *  followed by tables.
 *  A connection that shares its cache (SQLITE_OPEN_SHAREDCACHE) is attached together with all that share it.
 *  db              of the same file, outside of a transaction; in use by one thread at a time. Borrowed
 *  ret_connection  must be detached before sqlite3_close. Untouched on failure
 *  Returns  OK | INVALID (of another file; it was replaced since) | NO_MEMORY | BUSY (in a transaction) |
 *           EXISTS (attached already) | IO. The log says which, and what helps
 *  Threads  that of the connection; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_attach(vestry_sqlite *database, sqlite3 *db,
                                           vestry_sqlite_connection **ret_connection);
/** Detach it: its hooks are taken away, its statements finalized. NULL is accepted.
 *  Threads  that of the connection, outside of a transaction */
VESTRY_API void vestry_sqlite_detach(vestry_sqlite_connection *connection);

/** Refresh pages for everything that was committed until now, by any process. For tests: settle after it.
 *  ret_seq  for vestry_pages_settle; NULL: not wanted
 *  Returns  OK | IO | BUSY (for five seconds another connection has been writing, or one connection has had the file
 *           for itself, by locking_mode EXCLUSIVE, and its last statement was not stepped to its end; never in WAL
 *           mode)
 *  Threads  any, not from a render; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_sync(vestry_sqlite *database, uint64_t *ret_seq);

/** Counters, since it was created, and sizes now. */
typedef struct vestry_sqlite_stats {
  size_t size;                   /**< sizeof(vestry_sqlite_stats), or 0 */
  uint64_t commits_count;        /**< of attached connections */
  uint64_t other_commits_count;  /**< of others, as far as they were seen apart */
  uint64_t refreshed_count;      /**< renders that were asked for by what they had read */
  uint64_t whole_count;          /**< times that everything was refreshed: schema, VACUUM, what could not be followed */
  uint64_t recorded_count;       /**< renders whose reads were recorded */
  uint64_t coarse_count;         /**< of these, followed by tables because of a bound */
  size_t recorded_bytes;         /**< now */
  size_t connections_count;      /**< attached, now */
  uint64_t refreshed_sets_count; /**< of what was read: renders that have read alike share one, and refreshed_count
                                      counts each of these renders */
} vestry_sqlite_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_sqlite_stats_get(vestry_sqlite *database, vestry_sqlite_stats *ret_stats);

/** Add the counters to metrics, as vestry_sqlite_…: a vestry_metrics_fn, or for yours to call (observe.h). Of one
 *  database only.
 *  database  a vestry_sqlite
 *  Returns   OK | INVALID | the errors of vestry_metrics_add
 *  Threads   as vestry_sqlite_stats_get */
VESTRY_API vestry_err vestry_sqlite_metrics(vestry_metrics *metrics, void *database);

/* ------------------------------------------------------------------------------------------------ a pool --------- */

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
 *  ret_pool  owned by the caller (vestry_sql_pool_destroy); untouched on failure
 *  Returns  OK | INVALID (no path, or one without a file such as ":memory:"; a schema without a version) | NO_MEMORY |
 *           BUSY | LIMIT (the disk is full) | IO (it cannot be opened or written, is no database, its tables are of a
 *           later version). The log says why, and what helps; the file is as it was
 *  Threads  any; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *options, vestry_sql_pool **ret_pool);
/** Have pages follow all connections, but those aside: vestry_sqlite_attach for each.
 *  database  borrowed; of the same file. Until the call with NULL, which follows no more: it comes before
 *            vestry_sqlite_destroy, and waits for connections that are lent, as to a render that is not over
 *  Returns  OK | INVALID (another file, or it is followed already) | BUSY (one is lent; with NULL: to this thread) |
 *           NO_MEMORY | IO
 *  Threads  any, one at a time; blocks on the disk */
VESTRY_API vestry_err vestry_sqlite_pool_follow(vestry_sql_pool *pool, vestry_sqlite *database);

/** Is told of a transaction that was committed by vestry_sql_end, or by what calls it. On the thread that
 *  commits, when the connection has been given back; no lock is held. It may borrow one. */
typedef void (*vestry_sqlite_commit_fn)(void *ctx);
/** Call a function for each commit of this pool: to tell other processes, say. NULL: no more; when it returns, a call
 *  that has begun may still be under way. Threads any. */
VESTRY_API void vestry_sqlite_pool_on_commit(vestry_sql_pool *pool, vestry_sqlite_commit_fn fn, void *ctx);

/** A transaction's connection, for SQLite's own functions; NULL: it is not one of SQLite's. What cannot be in a
 *  transaction, VACUUM and some pragmas, is for sqlite3_exec, with that of one to read with. Threads as vestry_sql_run.
 *  */
VESTRY_API sqlite3 *vestry_sqlite_handle(vestry_sql_transaction *transaction);
/** A statement that is kept prepared, for SQLite's own functions: blobs, say. It is reset, without bindings, and is so
 *  again when the transaction is ended: until then no other function uses it, however many statements the transaction
 *  runs. The same text again gives the same one, if it does not run. Do not finalize it.
 *  Returns  OK | the errors of vestry/data/sql.h
 *  Threads  as vestry_sql_run */
VESTRY_API vestry_err vestry_sqlite_prepare(vestry_sql_transaction *transaction, const char *sql,
                                            sqlite3_stmt **ret_statement);

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
  uint64_t wal_bytes;         /**< of the WAL, after the last commit by vestry_sql_end */
  uint64_t wal_holds_count;   /**< times that threads had to wait because the WAL was to be emptied */
  uint64_t wal_stuck_count;   /**< of these, those after which it could not be, because something still read */
} vestry_sqlite_pool_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_sqlite_pool_stats_get(vestry_sql_pool *pool, vestry_sqlite_pool_stats *ret_stats);

/** Add the counters to metrics, as vestry_sqlite_pool_…: as vestry_sqlite_metrics. Of one pool only.
 *  pool     a vestry_sql_pool of SQLite
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_sqlite_pool_stats_get */
VESTRY_API vestry_err vestry_sqlite_pool_metrics(vestry_metrics *metrics, void *pool);

#ifdef __cplusplus
}
#endif
#endif
