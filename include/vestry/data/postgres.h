/* SPDX-License-Identifier: MIT */
/** PostgreSQL (libvestry-postgres): a pool of connections for vestry/data/sql.h, and live pages: a commit of any client
 *  refreshes the pages that have read the data that it changed, and no others.
 *
 *      vestry_postgres_pool_create(&(vestry_postgres_pool_options){.url = "postgresql:///chat"}, &pool);
 *      vestry_postgres_create(pages, pool, NULL, &database);
 *
 *      // In a page's render:
 *      err = vestry_sql_read(pool, "SELECT id, text FROM message WHERE room = $1 ORDER BY id DESC LIMIT 50",
 *                            VESTRY_LIST(room), add_row, html);
 *
 *  The server needs no extension, no replication slot and no trigger. No SQL is parsed, and a page names no topic. A
 *  page renders again once the commit is visible, never earlier, and never for a change that was rolled back.
 *  docs/guide/postgres.md has the rules. */
#ifndef VESTRY_POSTGRES_H
#define VESTRY_POSTGRES_H

#include "vestry/app/application.h"
#include "vestry/app/page.h"
#include "vestry/data/sql.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A database that pages follow: they render again when a commit changes data that they have read.
 *  - Reads: a render's transaction is serializable, so the server records its reads as predicate locks, which block no
 *    other transaction. vestry queries these locks at the end of the render.
 *  - Writes: one connection for replication reads the WAL, which contains the writes of all commits.
 *  - While the server is away, pages stay as they are. When the server is back, all pages that have read the database
 *    render once, even if its commits can no longer be followed.
 *  - A page that shows content although a read has failed renders again after any commit, and, if the failure may be
 *    temporary, also after some time (vestry_render_again). A page that calls vestry_sql_read in its own write
 *    transaction renders again after any commit.
 *  - Not followed: unlogged and temporary tables, foreign tables, sequences, system tables, large objects, clocks and
 *    random(). A page that depends on these names a topic (vestry_render_topic). */
typedef struct vestry_postgres vestry_postgres;

/** How precisely a commit selects the pages that it refreshes.
 *  - READS: pages that have read rows, or parts of an index, that the commit wrote. An insert into the range that a
 *    page shows counts, too.
 *  - TABLES: pages that have read a table that the commit wrote.
 *  - TOPICS: pages with topics that a transaction names, at all nodes (vestry/data/postgres_topics.h); commits are not
 *    followed.
 *  The level is determined by vestry_postgres_create, and again whenever the server comes back; the log has the level,
 *  the reason, and the settings to change. READS and TABLES need a user with REPLICATION, wal_level replica or higher
 *  (the default), a free WAL sender, the primary, and PostgreSQL 13 to 18. A render for whose locks the server has no
 *  memory is followed at level TABLES. */
typedef enum vestry_postgres_level {
  VESTRY_POSTGRES_DEFAULT, /**< READS if possible, else TOPICS */
  VESTRY_POSTGRES_TOPICS,
  VESTRY_POSTGRES_TABLES,
  VESTRY_POSTGRES_READS
} vestry_postgres_level;

/** Options of a followed database. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_postgres_options {
  vestry_postgres_level level;   /**< highest level to use [READS] */
  size_t max_bytes;              /**< maximum memory for the reads of renders [256 MiB]; beyond it renders are followed
                                      at level TABLES, and beyond twice this size every commit renders further pages. A
                                      page that has read one row takes about 200 bytes */
  uint32_t max_render_keys;      /**< maximum number of rows and parts of indexes that a render may read [4,096]; beyond
                                      it the render is followed at level TABLES */
  uint32_t max_transaction_keys; /**< maximum number of rows and parts of indexes that a transaction may write
                                      [1,048,576]; beyond it the transaction renders all pages that have read the
                                      database */
  uint32_t connect_ms;           /**< maximum time for which vestry_postgres_create waits for the level [5,000] */
  uint32_t silence_ms;           /**< a server that has sent nothing for this time is sent a request. If it stays silent
                                      as long again, for example because a network is cut, the connection counts as lost
                                      [10,000] */
} vestry_postgres_options;

/** Follow a database.
 *  pages         borrowed; call vestry_postgres_detach before they are destroyed
 *  pool          its connections serve the renders; borrowed until vestry_postgres_destroy. Four to eight connections
 *                are best, because the server holds a lock while vestry queries the reads of a render
 *  options       copied; NULL: the defaults
 *  ret_database  owned by the caller; untouched on failure
 *  Returns  OK, also at level TOPICS, and while the server is away | INVALID | NO_MEMORY | LIMIT (too many observers of
 *           the pages) | IO (no thread)
 *  Threads  any; starts a thread. Blocks on the network, at most connect_ms */
VESTRY_API vestry_err vestry_postgres_create(vestry_pages *pages, vestry_sql_pool *pool,
                                             const vestry_postgres_options *options, vestry_postgres **ret_database);
/** Stop following a database: commits no longer refresh the pages. Renders can still read. Call this before
 *  vestry_pages_destroy. A second call does nothing; NULL is accepted.
 *  Threads  one at a time, not that of a render; waits for running renders, and for its own thread, which may wait five
 *           seconds for the network */
VESTRY_API void vestry_postgres_detach(vestry_postgres *database);
/** Detach a database if necessary, and free it. No render may use it any more: the pages are destroyed, or read another
 *  database. If the database was not detached before, the pages must still exist. NULL is accepted.
 *  Threads  as vestry_postgres_detach */
VESTRY_API void vestry_postgres_destroy(vestry_postgres *database);

/** Return the current level of renders; never DEFAULT. Threads any; takes a lock briefly. */
VESTRY_API vestry_postgres_level vestry_postgres_level_get(vestry_postgres *database);

/** Refresh pages for all commits so far, of any client. For tests: call vestry_pages_settle afterwards.
 *  ret_seq  for vestry_pages_settle; may be NULL
 *  Returns  OK | TIMEOUT (also: commits are not followed) | the errors of vestry_sql_run_alone
 *  Threads  any, not that of a render; blocks on the network */
VESTRY_API vestry_err vestry_postgres_settle(vestry_postgres *database, uint64_t timeout_ms, uint64_t *ret_seq);

/** Counters since the database was created, and the current state. */
typedef struct vestry_postgres_stats {
  vestry_postgres_level level;  /**< now */
  bool is_following;            /**< now */
  uint64_t starts_count;        /**< times that following began */
  uint64_t records_count;       /**< records of the WAL that were read */
  uint64_t read_bytes;          /**< bytes of the WAL that were read */
  uint64_t lag_bytes;           /**< bytes of the WAL that have not been read yet */
  uint64_t lag_ms;              /**< time for which there have been such bytes */
  uint64_t commits_count;       /**< commits that wrote data that a render can read */
  uint64_t recorded_count;      /**< renders whose reads were recorded */
  uint64_t table_level_count;   /**< of recorded_count: at level TABLES, because they read too much, wrote, had
                                     conflicts, or there was no memory */
  uint64_t promoted_count;      /**< of recorded_count: the render locked too many rows, so the server locked a whole
                                     table, and every update of that table counts. The log reports the first one */
  uint64_t again_count;         /**< renders that ran again because the server had no memory for locks, or because of a
                                     conflict */
  uint64_t fallbacks_count;     /**< times that a render was followed at level TABLES because the server had no memory
                                     for its locks */
  uint64_t refreshed_count;     /**< renders that a commit requested: the sum of the next six */
  uint64_t refreshed_by_row;    /**< because of a row that was changed or deleted */
  uint64_t refreshed_by_leaf;   /**< because of an entry of an index */
  uint64_t refreshed_by_table;  /**< because of a table or index that was read completely */
  uint64_t refreshed_by_schema; /**< because of a changed definition of a table or index that was read */
  uint64_t refreshed_by_all;    /**< because any data may have changed */
  uint64_t overtaken_count;     /**< because a commit changed its data during the render */
  size_t sets_count;            /**< read sets, now */
  size_t sets_bytes;            /**< memory of read sets, now */
  size_t ring_count;            /**< commits kept for running renders, now */
  /* Bounds that were reached; the log has a line for the first time of each. */
  uint64_t over_bytes_count;            /**< of recorded_count: renders whose reads had no room in max_bytes. Beyond
                                             twice max_bytes, every commit renders such a page. The log reports the
                                             first one of each kind */
  uint64_t over_render_keys_count;      /**< of table_level_count: renders that read more than max_render_keys */
  uint64_t over_transaction_keys_count; /**< transactions that wrote more than max_transaction_keys, and whose commits
                                             refresh all pages that have read the database */
  uint64_t over_ring_count; /**< commits, and splits of leaves of indexes, that could not be kept for running renders,
                                 because more than 4,096, or 64 MiB of their keys, came during a render. That render
                                 runs again */
} vestry_postgres_stats;

/** Get a snapshot of the counters. Threads any; takes locks briefly. */
VESTRY_API void vestry_postgres_stats_get(vestry_postgres *database, vestry_postgres_stats *ret_stats);

/** Add the counters to metrics, as vestry_postgres_…. This is a vestry_metrics_fn; a function of yours can also call it
 *  (vestry/ops/observe.h). Only for one database of a process.
 *  database  a vestry_postgres
 *  Returns   OK | INVALID | the errors of vestry_metrics_add
 *  Threads   as vestry_postgres_stats_get */
VESTRY_API vestry_err vestry_postgres_metrics(vestry_metrics *metrics, void *database);

/* ------------------------------------------------------------------------------------------------ a pool --------- */

/** Options of a pool. Zero selects the default, which is given in [brackets]. */
typedef struct vestry_postgres_pool_options {
  const vestry_host *host; /**< memory, randomness and the log. Borrowed; NULL: vestry_host_default() */
  const char *url;   /**< for libpq: "postgresql://user@host/database?sslmode=verify-full", or keywords and values.
                          libpq's defaults apply to the rest, including its environment and password file, but each
                          host has 5 s to connect (connect_timeout of the URL). A pooler must be in session mode:
                          otherwise other clients share prepared statements, settings and LISTEN. Copied */
  const char *setup; /**< SQL that makes settings and the role of each new connection, for example "SET search_path =
                          shop" [none]. Copied. Settings on which vestry depends are set afterwards: see
                          docs/guide/postgres.md. Each transaction begins with these settings */
  uint32_t connections_count; /**< maximum number of connections [8]; at most 1,024. The first is opened at once, others
                                   when needed. Threads of vestry/data/jobs.h open one more connection to renew leases,
                                   because renewals must not wait for other transactions. If the server refuses some of
                                   them, the pool works with the others. Each keeps the 64 statements that were used
                                   last prepared */
  uint32_t wait_ms;           /**< maximum time to wait for a connection [5,000] */
  uint32_t statement_ms;      /**< maximum time for a statement, after which the server cancels it [10,000] */
  uint32_t retry_ms;    /**< maximum interval between connection attempts after a failure; the interval begins with 50
                             ms and doubles [1,000]. Between attempts the functions return LIMIT at once; if the pool
                             has an open connection, they wait for it, at most wait_ms */
  uint32_t tries_count; /**< maximum number of attempts of vestry_sql_act, after which it returns BUSY [10] */
  const char *schema;   /**< SQL that creates the tables of this version, from an empty database or from any earlier
                           version. Its statements run in one transaction, under a lock against other nodes, if the
                           database has an earlier version; each may take statement_ms. Bodies of functions are quoted
                           ($$…$$). Borrowed for the call; NULL: the pool creates no tables */
  int schema_version; /**< version of the database with these tables, the row "application" of the table vestry_schema;
                           at least 1. A database of a later version is refused, and not changed */
} vestry_postgres_pool_options;

/** Create a pool, and open its first connection.
 *  ret_pool  owned by the caller (vestry_sql_pool_destroy); untouched on failure
 *  Returns  OK | INVALID (no url, or one that libpq cannot parse; a schema without a version; too many
 *           connections) | NO_MEMORY | LIMIT (the server
 *           cannot be reached, or rejects this user) | IO (options.setup or a statement of options.schema fails, or the
 *           tables have a later version). The log has the reason, and the statement
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *options,
                                                  vestry_sql_pool **ret_pool);
/** Errors of PostgreSQL in addition to those of vestry/data/sql.h. The log also has the SQLSTATE; a
 *  message of the server ends at its first quotation or number. A conflict after which vestry_sql_act begins again is
 *  counted, but not logged.
 *  - TIMEOUT: a statement took longer than statement_ms
 *  - EXISTS: a unique value exists already (23505). In a serializable transaction another transaction may have added it
 *    meanwhile: vestry_sql_act therefore begins again once, as after BUSY */
struct pg_conn; /* libpq's PGconn */
/** Get a transaction's connection, for functions of libpq. NULL: it was lost, or the transaction is not one of
 *  PostgreSQL. Threads as vestry_sql_run, also for the next function. */
VESTRY_API struct pg_conn *vestry_postgres_handle(vestry_sql_transaction *transaction);
/** Let the pool replace a transaction's connection when it is released, so that the next thread gets another one.
 *  Each transaction begins with the session as options.setup has left it, whatever earlier ones have set, created or
 *  locked, also by functions. Call this for what the pool does not know: a PREPARE by a function of the server or by
 *  libpq, or what an extension keeps for the session.
 *  transaction  may be NULL, or one of another database: then nothing happens
 *  Threads      that of the transaction */
VESTRY_API void vestry_postgres_replace(vestry_sql_transaction *transaction);
/** Return the SQLSTATE of the last statement that failed in this transaction. "": none failed, or the server sent none.
 *  Valid until the transaction ends. */
VESTRY_API const char *vestry_postgres_sqlstate(vestry_sql_transaction *transaction);

/** Add the counters to metrics, as vestry_postgres_pool_…, like vestry_postgres_metrics. Only for one pool of a
 *  process.
 *  pool     a vestry_sql_pool of PostgreSQL
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_sql_pool_stats_get */
VESTRY_API vestry_err vestry_postgres_pool_metrics(vestry_metrics *metrics, void *pool);

/* ----------------------------------------------------------------------------------------- an application --------- */

/** Options of a PostgreSQL database of an application (vestry/app/application.h). */
typedef struct vestry_postgres_database {
  const vestry_postgres_pool_options *pool; /**< names the server; mandatory. Borrowed for the call */
  const vestry_postgres_options *follow;    /**< how pages follow it. Borrowed for the call [the defaults] */
} vestry_postgres_database;

/** PostgreSQL, for vestry_application_options.database; database_options is a vestry_postgres_database.
 *  VESTRY_POSTGRES sets both. Calls vestry_postgres_pool_create and vestry_postgres_create. */
extern VESTRY_API const vestry_application_database vestry_postgres_application;

#if !defined(__cplusplus) && defined(__STDC_VERSION__) && __STDC_VERSION__ >= 201112L
/* clang-format off */
/** Set database and database_options of vestry_application_options by members of vestry_postgres_pool_options:
 *  VESTRY_POSTGRES(.url = "postgresql:///shelf", .schema = schema, .schema_version = 1). */
#define VESTRY_POSTGRES(...)                                                                                           \
  .database = &vestry_postgres_application,                                                                            \
  .database_options = &(const vestry_postgres_database){                                                               \
      .pool = &(const vestry_postgres_pool_options){__VA_ARGS__}}
/* clang-format on */
#endif

#ifdef __cplusplus
}
#endif
#endif
