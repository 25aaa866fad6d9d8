/* SPDX-License-Identifier: MIT */
/** PostgreSQL (libvestry-postgres): a pool of connections for vestry/data/sql.h, a few, with their statements prepared
 *  once, and made anew when the server was away; and pages over them: a commit, of whatever client, renders the pages
 *  again that have read what it changed, and no others.
 *
 *      vestry_postgres_pool_create(&(vestry_postgres_pool_options){.url = "postgresql:///chat"}, &pool);
 *      vestry_postgres_create(pages, pool, NULL, &database);
 *
 *      // In a page's render:
 *      err = vestry_sql_read(pool, "SELECT id, text FROM message WHERE room = $1 ORDER BY id DESC LIMIT 50",
 *                            VESTRY_LIST(room), add_row, html);
 *
 *  The server is a stock one: no extension, no replication slot, no trigger. No SQL is parsed, and a page names no
 *  topic. What a render read is asked of the server when it ends: its transaction is serializable, so the server keeps
 *  the locks of what it read; no other transaction waits for these. What a commit wrote is read in the WAL, by one
 *  connection for replication. A page renders again once the commit can be seen, never before, and never for what was
 *  rolled back.
 *
 *  Three levels say how much a commit refreshes:
 *    READS   pages that read rows, or parts of an index, that the commit wrote: an insert into the range that a page
 *            shows, too
 *    TABLES  pages that read a table that the commit wrote
 *    TOPICS  pages of the topics that a transaction names, at all nodes (vestry/data/postgres_topics.h): commits are
 *            not followed
 *  The level is found when it is created, and whenever the server comes back; the log says which, why, and what to set.
 *  READS and TABLES want a user with REPLICATION, wal_level replica or more (the default), a free wal sender, the
 *  primary, and PostgreSQL 13 to 18. When the server has no room for more locks, renders are followed by tables for a
 *  while.
 *
 *  While the server is away pages stay as they are; once it is back, all that read it are rendered, once, also when its
 *  commits cannot be followed any more. A page that catches a read that failed is rendered again after a while
 *  (vestry_render_again), and by any commit. So is a page that calls vestry_sql_read in a write transaction of its
 *  own. What is not seen: unlogged and temporary tables, foreign tables, sequences, the server's own tables, large
 *  objects, clocks and random(). For these a page names a topic (vestry_render_topic). */
#ifndef VESTRY_POSTGRES_H
#define VESTRY_POSTGRES_H

#include "vestry/app/page.h"
#include "vestry/data/sql.h"
#include "vestry/ops/metrics.h"

#ifdef __cplusplus
extern "C" {
#endif

/** A database that pages are made from. */
typedef struct vestry_postgres vestry_postgres;

/** How much a commit refreshes. */
typedef enum vestry_postgres_level {
  VESTRY_POSTGRES_DEFAULT, /**< READS where it can be had, else TOPICS */
  VESTRY_POSTGRES_TOPICS,
  VESTRY_POSTGRES_TABLES,
  VESTRY_POSTGRES_READS
} vestry_postgres_level;

/** How a database is followed. Zero is the default, in brackets. */
typedef struct vestry_postgres_options {
  size_t size;                   /**< sizeof(vestry_postgres_options), or 0 */
  vestry_postgres_level level;   /**< at most [READS]; below it where it cannot be had */
  size_t max_bytes;              /**< of what is kept of renders [64 MiB]; beyond it they are followed by tables */
  uint32_t max_render_keys;      /**< rows and parts of indexes that one render may read [4,096]; likewise */
  uint32_t max_transaction_keys; /**< that one transaction may write [16,384]; beyond them it counts by tables */
  uint32_t connect_ms;           /**< vestry_postgres_create waits so long for the level to be found [5,000] */
  uint32_t fallback_ms;          /**< so long renders are followed by tables after the server had no room [10,000] */
  uint32_t silence_ms;           /**< a server that has sent nothing for so long is asked for a word; when it is silent
                                      for as long again it is taken for gone, as when a network is cut [10,000] */
} vestry_postgres_options;

/** Follow a database.
 *  pages         borrowed; vestry_postgres_detach comes before they are destroyed
 *  pool          its connections serve the renders; borrowed until vestry_postgres_destroy. Four to eight are best:
 *                what a render has read is asked under a lock of the server's
 *  options       copied; NULL: the defaults
 *  ret_database  owned by the caller; untouched on failure
 *  Returns  OK, also at level TOPICS, or while the server is away | INVALID | NO_MEMORY | LIMIT (too many observe the
 *           pages) | IO (no thread)
 *  Threads  any; starts one of its own. Blocks on the network, for connect_ms at most */
VESTRY_API vestry_err vestry_postgres_create(vestry_pages *pages, vestry_sql_pool *pool,
                                             const vestry_postgres_options *options, vestry_postgres **ret_database);
/** Follow it no more: no commit refreshes the pages from then on. Renders that run, or begin, read all the same. Before
 *  vestry_pages_destroy. A second call does nothing, nor does NULL.
 *  Threads  one at a time, not from a render; waits for renders that run, and for its own thread, which may be waiting
 *           for the network for five seconds */
VESTRY_API void vestry_postgres_detach(vestry_postgres *database);
/** Free it, once no render can read with it: the pages are destroyed, or read something else. It is detached before, if
 *  it was not, so the pages must be there then. NULL is accepted.
 *  Threads  as vestry_postgres_detach */
VESTRY_API void vestry_postgres_destroy(vestry_postgres *database);

/** The level that renders have now: never DEFAULT. Threads any; takes a lock briefly. */
VESTRY_API vestry_postgres_level vestry_postgres_level_get(vestry_postgres *database);

/** Refresh pages for everything that was committed until now, by any client. For tests: vestry_pages_settle after it.
 *  ret_seq  for that; NULL: not wanted
 *  Returns  OK | TIMEOUT (also: commits are not followed) | the errors of vestry_sql_run_alone
 *  Threads  any, not from a render; blocks on the network */
VESTRY_API vestry_err vestry_postgres_settle(vestry_postgres *database, uint64_t timeout_ms, uint64_t *ret_seq);

/** Counters, since it was created, and how things are now. */
typedef struct vestry_postgres_stats {
  size_t size;                  /**< sizeof(vestry_postgres_stats), or 0 */
  vestry_postgres_level level;  /**< now */
  bool is_following;            /**< now */
  uint64_t starts_count;        /**< times that following began */
  uint64_t records_count;       /**< of the WAL, that were read */
  uint64_t read_bytes;          /**< of the WAL, likewise */
  uint64_t lag_bytes;           /**< of the WAL, that are not read yet */
  uint64_t lag_ms;              /**< since when there have been some */
  uint64_t commits_count;       /**< that wrote what a render can read */
  uint64_t recorded_count;      /**< renders whose reads were recorded */
  uint64_t coarse_count;        /**< of these, by tables: they read much, wrote, met conflicts, or had no room */
  uint64_t promoted_count;      /**< of these, the server had too many rows locked: all updates of a table count */
  uint64_t again_count;         /**< renders that were made again because the server had no room, or a conflict */
  uint64_t fallbacks_count;     /**< times that all renders were followed by tables: the server had no room */
  uint64_t refreshed_count;     /**< renders that a commit asked for */
  uint64_t refreshed_by_row;    /**< of these: by a row that was changed or deleted */
  uint64_t refreshed_by_leaf;   /**< by an entry of an index */
  uint64_t refreshed_by_table;  /**< by a table, or an index, of which all was read */
  uint64_t refreshed_by_schema; /**< by the definition of what was read */
  uint64_t refreshed_by_all;    /**< because anything may have changed */
  uint64_t overtaken_count;     /**< renders during which a commit changed what they had read */
  size_t sets_count;            /**< of what was read, now */
  size_t sets_bytes;            /**< that they take */
  size_t ring_count;            /**< commits that are kept for renders that run, now */
} vestry_postgres_stats;

/** A snapshot. Threads any; takes locks briefly. */
VESTRY_API void vestry_postgres_stats_get(vestry_postgres *database, vestry_postgres_stats *ret_stats);

/** Add the counters to metrics, as vestry_postgres_…: a vestry_metrics_fn, or for yours to call (observe.h). Of one
 *  database only.
 *  database  a vestry_postgres
 *  Returns   OK | INVALID | the errors of vestry_metrics_add
 *  Threads   as vestry_postgres_stats_get */
VESTRY_API vestry_err vestry_postgres_metrics(vestry_metrics *metrics, void *database);

/* ------------------------------------------------------------------------------------------------ a pool --------- */

/** How a database is reached. Zero is the default, in brackets. */
typedef struct vestry_postgres_pool_options {
  size_t size;             /**< sizeof(vestry_postgres_pool_options), or 0 */
  const vestry_host *host; /**< memory, randomness and the log. Borrowed; NULL: vestry_host_default() */
  const char *url;   /**< for libpq: "postgresql://user@host/database?sslmode=verify-full", or words and values. The
                                rest is libpq's defaults, its environment and password file included. Copied */
  const char *setup; /**< SQL for each connection when it is made, such as "SET search_path = shop" [none]. Copied. The
                          settings that vestry depends on are set after it: see guide/postgres.md */
  uint32_t connections_count; /**< made when they are needed, but for the first [8]; at most 1,024. There is one more
                                   once threads of vestry/data/jobs.h renew leases, which wait for no other */
  uint32_t statements_count;  /**< kept prepared of each connection; the one used longest ago makes room [64] */
  uint32_t wait_ms;           /**< so long it is waited for a connection [5,000] */
  uint32_t connect_ms;        /**< so long a new connection may take [5,000] */
  uint32_t statement_ms;      /**< so long a statement may take; the server ends it then [10,000] */
  uint32_t retry_ms;    /**< while the server is away it is asked for after 50 ms, then after twice that, and at last so
                          often [1,000]. Between these the functions return LIMIT at once */
  uint32_t tries_count; /**< vestry_sql_act does a transaction so often at most, before it returns BUSY [10] */
} vestry_postgres_pool_options;

/** Make the first connection.
 *  ret_pool  owned by the caller (vestry_sql_pool_destroy); untouched on failure
 *  Returns  OK | INVALID (no url, or none that libpq can read; too many connections) | NO_MEMORY | LIMIT (the server
 *           cannot be reached, or does not let this user in) | UNSUPPORTED (a pooler in transaction mode) | IO
 *           (options.setup fails). The log says why
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *options,
                                                  vestry_sql_pool **ret_pool);
/** Errors of PostgreSQL's beyond those of vestry/data/sql.h. The log has the SQLSTATE, too, and "..." for what the
 *  server cites that is no name of the statement's. A conflict after which vestry_sql_act begins again is counted, and
 *  not said.
 *  - TIMEOUT: a statement took longer than statement_ms. CLOSED: vestry_postgres_cancel has met it
 *  - EXISTS: a value that is to be there once is there already (23505); in a serializable transaction, perhaps since it
 *    began: vestry_sql_act does that again, once, as if it were BUSY
 *  - UNSUPPORTED: the connection leads through a pooler that gives each transaction another backend of the server */
struct pg_conn; /* libpq's PGconn */
/** A transaction's connection, for libpq's own functions; NULL: it was lost, or is not PostgreSQL's. Threads as
 *  vestry_sql_run, and so for the next one. */
VESTRY_API struct pg_conn *vestry_postgres_handle(vestry_sql_transaction *transaction);
/** Of the last statement that failed in this transaction; "": none has, or none was said. Until the transaction ends.
 *  */
VESTRY_API const char *vestry_postgres_sqlstate(vestry_sql_transaction *transaction);
/** Have the server end the statement that runs in a transaction: its page is gone, say. That statement and all later
 *  ones of the transaction return CLOSED, and it is rolled back.
 *  transaction  its thread has not ended it, and does not until this returns
 *  Threads  any; blocks on the network */
VESTRY_API void vestry_postgres_cancel(vestry_sql_transaction *transaction);

/** Counters, since it was created, and how things are now. */
typedef struct vestry_postgres_pool_stats {
  size_t size;                /**< sizeof(vestry_postgres_pool_stats), or 0 */
  uint64_t loans_count;       /**< transactions that were begun */
  uint64_t waits_count;       /**< of these, after waiting for a connection */
  uint64_t refused_count;     /**< LIMIT: none was given back in time */
  uint64_t prepared_count;    /**< statements that were prepared: should not grow in the end */
  uint64_t committed_count;   /**< transactions */
  uint64_t rolled_back_count; /**< likewise: renders, too */
  uint64_t conflicts_count;   /**< of these, because another transaction was in the way */
  uint64_t connects_count;    /**< connections that were made */
  uint64_t failed_count;      /**< that could not be made */
  size_t lent_count;          /**< now */
  size_t connected_count;     /**< now: connections that are not known to be lost */
} vestry_postgres_pool_stats;

/** A snapshot. Threads any; takes a lock briefly. */
VESTRY_API void vestry_postgres_pool_stats_get(vestry_sql_pool *pool, vestry_postgres_pool_stats *ret_stats);

/** Add the counters to metrics, as vestry_postgres_pool_…: as vestry_postgres_metrics. Of one pool only.
 *  pool     a vestry_sql_pool of PostgreSQL
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_postgres_pool_stats_get */
VESTRY_API vestry_err vestry_postgres_pool_metrics(vestry_metrics *metrics, void *pool);

#ifdef __cplusplus
}
#endif
#endif
