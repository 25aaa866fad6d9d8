/* SPDX-License-Identifier: MIT */
/** Connections to a database of PostgreSQL (libvestry-postgres): a few, with their statements prepared once, lent for
 *  each transaction, and made anew when the server was away.
 *
 *      vestry_postgres_pool_create(&(vestry_postgres_pool_options){.url = "postgresql:///chat"}, &pool);
 *
 *      vestry_postgres_begin(pool, VESTRY_POSTGRES_RENDER, &loan);    // a render: one snapshot, and nothing is written
 *      err = vestry_postgres_run(loan, "SELECT text FROM message", NULL, add_row, html);
 *      err = vestry_postgres_end(loan, err);                          // rolls back
 *
 *      static vestry_err post(vestry_postgres_loan *loan, void *text) {
 *        return vestry_postgres_run(loan, "INSERT INTO message VALUES($1)", VESTRY_LIST((char *)text), NULL, NULL);
 *      }
 *      err = vestry_postgres_act(pool, VESTRY_POSTGRES_SERIALIZABLE, post, text); // a handler: commits, and does it
 *                                                                     // again if another transaction was in its way
 *
 *  What fails is said in the host's log: which function, which database, which statement, the SQLSTATE, why, and what
 *  helps. No value is in it: "..." stands for a statement's literals, and for what the server cites that is no name of
 *  the statement's. A conflict after which vestry_postgres_act begins again is counted, and not said. The errors of the
 *  functions here that use the database:
 *  - LIMIT: not now, and nothing was done. The server is away, which is said once until it is back, is full, or no
 *    connection was given back within wait_ms. A handler that returns it answers 503, and what is repeated by
 *    vestry/app/once.h is done when that is over
 *  - BUSY: another transaction was in the way (40001, 40P01), or another client has altered a table of a statement
 *    since that was prepared. Begin again, as vestry_postgres_act does by itself
 *  - TIMEOUT: a statement took longer than statement_ms. CLOSED: vestry_postgres_cancel has met it
 *  - EXISTS: a value that is to be there once is there already (23505); in a serializable transaction, perhaps since it
 *    began: vestry_postgres_act does that again, once, as if it were BUSY. INVALID: values that do not fit the
 *    parameters
 *  - UNSUPPORTED: the connection leads through a pooler that gives each transaction another backend of the server
 *  - TOO_LARGE | NO_MEMORY | IO: all else, as SQL that is wrong. Also: the connection was lost during a commit, so that
 *    it is not known whether it was done. */
#ifndef VESTRY_POSTGRES_POOL_H
#define VESTRY_POSTGRES_POOL_H

#include "vestry/ops/metrics.h"
#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

struct pg_conn; /* libpq's PGconn */

/** Connections to one database. */
typedef struct vestry_postgres_pool vestry_postgres_pool;
/** One of them, in use by one thread, in a transaction. To be read, until it is ended. */
typedef struct vestry_postgres_loan {
  struct pg_conn *db; /**< for libpq's own functions; NULL: the connection was lost */
  char sqlstate[6];   /**< of the last statement that failed in this transaction; "": none has, or none was said */
} vestry_postgres_loan;

/** How a database is reached. Zero is the default, in brackets. */
typedef struct vestry_postgres_pool_options {
  size_t size;             /**< sizeof(vestry_postgres_pool_options), or 0 */
  const vestry_host *host; /**< memory, randomness and the log. Borrowed; NULL: vestry_host_default() */
  const char *url;   /**< for libpq: "postgresql://user@host/database?sslmode=verify-full", or words and values. The
                                rest is libpq's defaults, its environment and password file included. Copied */
  const char *setup; /**< SQL for each connection when it is made, such as "SET search_path = shop" [none]. Copied. The
                          settings that vestry depends on are set after it: see guide/postgres.md */
  uint32_t connections_count; /**< made when they are needed, but for the first [8]; at most 1,024. There is one more
                                   once threads of vestry/data/postgres_jobs.h renew leases, which wait for no other */
  uint32_t statements_count;  /**< kept prepared of each connection; the one used longest ago makes room [64] */
  uint32_t wait_ms;           /**< so long it is waited for a connection [5,000] */
  uint32_t connect_ms;        /**< so long a new connection may take [5,000] */
  uint32_t statement_ms;      /**< so long a statement may take; the server ends it then [10,000] */
  uint32_t retry_ms;    /**< while the server is away it is asked for after 50 ms, then after twice that, and at last so
                          often [1,000]. Between these the functions return LIMIT at once */
  uint32_t tries_count; /**< vestry_postgres_act does a transaction so often at most, before it returns BUSY [10] */
} vestry_postgres_pool_options;

/** Make the first connection.
 *  ret_pool  owned by the caller; untouched on failure
 *  Returns  OK | INVALID (no url, or none that libpq can read; too many connections) | NO_MEMORY | LIMIT (the server
 *           cannot be reached, or does not let this user in) | UNSUPPORTED (a pooler in transaction mode) | IO
 *           (options.setup fails). The log says why
 *  Threads  any; blocks on the network */
VESTRY_API vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *options,
                                                  vestry_postgres_pool **ret_pool);
/** Close the connections. All have been given back. NULL is accepted. Threads one; does not block. */
VESTRY_API void vestry_postgres_pool_destroy(vestry_postgres_pool *pool);

/* ------------------------------------------------------------------------------------------ transactions --------- */

/** What a transaction sees, and whether it is kept. */
typedef enum vestry_postgres_kind {
  /** To read with: one snapshot (REPEATABLE READ READ ONLY), rolled back at the end. A thread that has a transaction of
   *  this pool, of whatever kind, is in that one again, and ends it as often. */
  VESTRY_POSTGRES_RENDER = 1,
  /** To write with, as if it were alone. A thread that has a transaction of this pool gets no second one; and so for
   *  the next two. */
  VESTRY_POSTGRES_SERIALIZABLE,
  VESTRY_POSTGRES_REPEATABLE_READ, /**< one snapshot; what another has written since cannot be written */
  VESTRY_POSTGRES_READ_COMMITTED   /**< each statement sees what is committed by then */
} vestry_postgres_kind;

/** Begin a transaction.
 *  ret_loan  to be ended by vestry_postgres_end; untouched on failure
 *  Returns   OK | LIMIT | INVALID (also: this thread is to write, and has a transaction already) | the errors above
 *  Threads   any; waits for at most wait_ms, and blocks on the network. What it returns belongs to this thread */
VESTRY_API vestry_err vestry_postgres_begin(vestry_postgres_pool *pool, vestry_postgres_kind kind,
                                            vestry_postgres_loan **ret_loan);
/** End it. A render's is rolled back; another is committed if error is OK, and rolled back otherwise.
 *  Returns  error; if that is OK, what committing said: the errors above
 *  Threads  that which has begun it; blocks on the network */
VESTRY_API vestry_err vestry_postgres_end(vestry_postgres_loan *loan, vestry_err error);

/** Does the statements of a transaction. On the calling thread; perhaps several times, each time from the beginning: it
 *  changes nothing but the database. OK | any error: it is rolled back. */
typedef vestry_err (*vestry_postgres_act_fn)(vestry_postgres_loan *loan, void *ctx);
/** Do a transaction, and commit it. Again from the beginning, after a moment that is longer each time, while another
 *  transaction is in its way.
 *  Returns  OK | what fn says | BUSY (tries_count times) | as vestry_postgres_begin
 *  Threads  any; as those; after a conflict it sleeps, for less than half a second each time */
VESTRY_API vestry_err vestry_postgres_act(vestry_postgres_pool *pool, vestry_postgres_kind kind,
                                          vestry_postgres_act_fn fn, void *ctx);

/** Have the server end the statement that runs in a transaction: its page is gone, say. That statement and all later
 *  ones of the transaction return CLOSED, and it is rolled back.
 *  loan     its thread has not ended it, and does not until this returns
 *  Threads  any; blocks on the network */
VESTRY_API void vestry_postgres_cancel(vestry_postgres_loan *loan);

/* --------------------------------------------------------------------------------------------- statements -------- */

/** A row that a statement has found. */
typedef struct vestry_postgres_row vestry_postgres_row;
/** Columns, from 0. Threads: the function's that was called with the row, and so for the next ones. */
VESTRY_API size_t vestry_postgres_columns_count(const vestry_postgres_row *row);
/** A column's value as PostgreSQL writes it, terminated; NULL: it is null, or there is no such column. Valid until the
 *  function that was called with the row returns. */
VESTRY_API const char *vestry_postgres_text(const vestry_postgres_row *row, size_t column);
/** The same as an integer: 1 for true. 0: it is null, or no integer. */
VESTRY_API int64_t vestry_postgres_integer(const vestry_postgres_row *row, size_t column);

/** Does something with a row. On the thread that runs the statement; it may run others in the same transaction. */
typedef void (*vestry_postgres_row_fn)(const vestry_postgres_row *row, void *ctx);
/** One that puts the first column into the int64_t that ctx points to. */
static inline void vestry_postgres_row_integer(const vestry_postgres_row *row, void *ctx) {
  *(int64_t *)ctx = vestry_postgres_integer(row, 0);
}

/** Run one statement, which is prepared once for each connection and kept.
 *  sql     one statement, whose parameters are $1, $2 and so on
 *  values  for them, as VESTRY_LIST(id, text) makes them: nulls, booleans, integers, numbers and texts, each handed
 *          over as text, of the type that the statement has there. Borrowed; NULL: it has none
 *  row     called for each row, when all have come: they are in memory until it returns. NULL: none is wanted
 *  Returns  OK (a row, or a statement that gives none) | NOT_FOUND (it gives rows, and there was none) | the errors
 *           above: when the server has refused a statement, all that is left to do in its transaction is to end it
 *  Threads  that which has begun it; blocks on the network */
VESTRY_API vestry_err vestry_postgres_run(vestry_postgres_loan *loan, const char *sql, const vestry_value *values,
                                          vestry_postgres_row_fn row, void *ctx);
/** The same in a transaction of its own, which is committed; in a thread that has a transaction already, in that one.
 *  The errors of vestry_postgres_begin, too. Threads any; as those. */
VESTRY_API vestry_err vestry_postgres_run_alone(vestry_postgres_pool *pool, const char *sql, const vestry_value *values,
                                                vestry_postgres_row_fn row, void *ctx);

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
VESTRY_API void vestry_postgres_pool_stats_get(vestry_postgres_pool *pool, vestry_postgres_pool_stats *ret_stats);

/** Add the counters to metrics, as vestry_postgres_pool_…: as vestry_postgres_metrics. Of one pool only.
 *  pool     a vestry_postgres_pool
 *  Returns  OK | INVALID | the errors of vestry_metrics_add
 *  Threads  as vestry_postgres_pool_stats_get */
VESTRY_API vestry_err vestry_postgres_pool_metrics(vestry_metrics *metrics, void *pool);

#ifdef __cplusplus
}
#endif
#endif
