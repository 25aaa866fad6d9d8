/* SPDX-License-Identifier: MIT */
/* A pool and its connections, which are lent. */
#ifndef VSI_POSTGRES_LOAN_H
#define VSI_POSTGRES_LOAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/line.h"
#include "data/postgres/statements.h"
#include "data/sql/sql.h"
#include "vestry/data/postgres.h"

typedef struct vsi_postgres_pool vsi_postgres_pool;

typedef struct vsi_postgres_loan {
  vestry_sql_transaction is;               /* what its borrower sees; the first member */
  PGconn *db;                              /* NULL: the connection was lost, or there is none yet */
  char sqlstate[VSI_POSTGRES_STATE_BYTES]; /* the borrower's: of the last statement that failed; "": none has */
  vsi_postgres_pool *pool;
  vsi_postgres_statements statements;
  int backend;       /* through a pooler: the server's process that its connection was set up with; else 0 */
  PGcancel *cancel;  /* of its last connection: another thread may use it when that is lost already */
  bool is_lost;      /* the borrower's: the connection was lost since it was lent */
  bool is_conflict;  /* the borrower's: if it begins again, it may succeed */
  bool is_stale;     /* the borrower's: so it is for a statement's definitions, which are others now */
  bool begins_again; /* the borrower's: it does so then, by itself */
  bool *has_met;     /* the borrower's: whether it did because of a value; NULL: it does not */
  /* Set by vestry_postgres_cancel, read by the borrower; relaxed: the statement that is cancelled says so, too. */
  atomic_bool is_cancelled;
  unsigned depth;  /* times that it was lent; guarded by pool->lock; 0: it is free */
  pthread_t owner; /* guarded by pool->lock, while it is lent */
} vsi_postgres_loan;

typedef struct vsi_postgres_ear vsi_postgres_ear;

/* The last loans of a pool are not lent to the application: they are for short statements that must not wait for its
 * transactions, such as the renewal of leases. */
enum { VSI_POSTGRES_ASIDE = 1 };

struct vsi_postgres_pool {
  vestry_sql_pool is;                   /* what the application sees; the first member */
  char *url, *setup;                    /* setup: NULL: none */
  char *search_path;                    /* of the first connection, once it is there */
  char name[128];                       /* is.name */
  vestry_postgres_pool_options options; /* defaults filled in; texts are not to be used */
  vsi_mutex lock;
  vsi_thread_line line, aside_line;   /* guarded by lock */
  uint64_t away_until_ns, away_ms;    /* guarded by lock: the server was away, and is not asked before that time */
  vestry_postgres_pool_stats stats;   /* guarded by lock */
  LIST_HEAD(, vsi_postgres_ear) ears; /* guarded by lock: what is to hear of commits */
  unsigned followers_count;           /* guarded by lock: that go */
  vsi_postgres_loan loans[];          /* options.connections_count of them, and VSI_POSTGRES_ASIDE */
};

static inline size_t vsi_postgres_loans_count(const vestry_postgres_pool_options *options) {
  return (size_t)options->connections_count + VSI_POSTGRES_ASIDE;
}
/* For what is logged. */
static inline vsi_call vsi_postgres_pool_call(const vsi_postgres_pool *pool, const char *function) {
  return (vsi_call){pool->is.host, function, pool->is.name};
}
/* So long a statement that begins now may take. The server has a moment more to say that it has ended it. */
static inline uint64_t vsi_postgres_until_ns(const vsi_postgres_pool *pool) {
  return vsi_monotonic_in_ms((uint64_t)pool->options.statement_ms + 2000);
}

/* Lend a connection to this thread, without a transaction; that which it has already, if it has one.
 *  Returns  OK | LIMIT */
vestry_err vsi_postgres_lend(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan);
/* The same, of those aside. */
vestry_err vsi_postgres_lend_aside(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan);
/* Whether this thread has one. */
bool vsi_postgres_is_lent(vsi_postgres_pool *pool);
/* Give it back. Returns whether it was lent once; else nothing has happened but that it is lent once less. */
bool vsi_postgres_is_last(vsi_postgres_loan *loan);
void vsi_postgres_give_back(vsi_postgres_loan *loan);

/* Functions of the seam (data/sql/sql.h), which pool_open.c puts together. */
vestry_sql_transaction *vsi_postgres_own(vestry_sql_pool *pool);
vestry_err vsi_postgres_sql_begin(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_transaction **ret_loan);
vestry_err vsi_postgres_sql_end(vestry_sql_transaction *transaction, vestry_err error);
vestry_err vsi_postgres_sql_act(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_act_fn fn, void *ctx);
vestry_err vsi_postgres_sql_run(vestry_sql_transaction *transaction, const char *sql, const vestry_value *values,
                                vestry_sql_row_fn row, void *ctx);
vestry_err vsi_postgres_run_alone(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_sql_row_fn row, void *ctx);
size_t vsi_postgres_columns_count(const vestry_sql_row *row);
const char *vsi_postgres_text(const vestry_sql_row *row, size_t column);
int64_t vsi_postgres_integer(const vestry_sql_row *row, size_t column);
size_t vsi_postgres_bytes(const vestry_sql_row *row, size_t column, void *buffer, size_t capacity);

/* NULL: it is another database's. */
static inline vsi_postgres_pool *vsi_postgres_pool_of(vestry_sql_pool *pool) {
  return pool && pool->ops->dialect == VSI_SQL_OF_POSTGRES ? (vsi_postgres_pool *)pool : NULL;
}
static inline vsi_postgres_loan *vsi_postgres_loan_of(vestry_sql_transaction *transaction) {
  return transaction && vsi_postgres_pool_of(transaction->pool) ? (vsi_postgres_loan *)transaction : NULL;
}

/* vestry_sql_begin, by other SQL for that. */
vestry_err vsi_postgres_begin(vsi_postgres_pool *pool, vestry_sql_kind kind, const char *begin,
                              vestry_sql_transaction **ret_loan);

/* vestry_sql_run of arguments that are there, whatever the thread renders. */
vestry_err vsi_postgres_run(vsi_postgres_loan *loan, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                            void *ctx);
/* See to it that the loan's connection is there: it is made, unless it is and the server has not ended it.
 *  Returns  OK | NO_MEMORY | LIMIT (also: the server was away a moment ago) | IO */
vestry_err vsi_postgres_reach(vsi_postgres_loan *loan, const char *function);
/* Close it. */
void vsi_postgres_hang_up(vsi_postgres_loan *loan);
/* A statement without parameters in the loan's connection. What fails is logged; the connection may be closed then. */
vestry_err vsi_postgres_command(vsi_postgres_loan *loan, const char *function, const char *sql);
/* Begin a transaction there, by that SQL. As vsi_postgres_command; UNSUPPORTED: a pooler has changed the server's end
 * of it. */
vestry_err vsi_postgres_begin_in(vsi_postgres_loan *loan, const char *function, const char *begin);
/* A result that is no success: note it in the loan, and log it. result: cleared; NULL: the connection is lost */
vestry_err vsi_postgres_loan_fail(vsi_postgres_loan *loan, const char *function, PGresult *result, const char *doing);
/* vestry_sql_run in a thread's transaction if it has one, otherwise alone; if the connection is lost meanwhile it
 * is done again: for statements that may be done twice. */
vestry_err vsi_postgres_run_again(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_sql_row_fn row, void *ctx);
/* The same by a connection aside, for a thread that has none. */
vestry_err vsi_postgres_run_aside(vestry_sql_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_sql_row_fn row, void *ctx);

#endif
