/* SPDX-License-Identifier: MIT */
/* A pool and its connections, which are lent. */
#ifndef VSI_POSTGRES_LOAN_H
#define VSI_POSTGRES_LOAN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "base/after.h"
#include "base/line.h"
#include "data/postgres/statements.h"
#include "vestry/data/postgres_pool.h"

typedef struct vsi_postgres_loan {
  vestry_postgres_loan lent; /* what its borrower sees; the first member */
  vestry_postgres_pool *pool;
  vsi_postgres_statements statements;
  int backend;               /* through a pooler: the server's process that its connection was set up with; else 0 */
  PGcancel *cancel;          /* of its last connection: another thread may use it when that is lost already */
  vestry_postgres_kind kind; /* the borrower's: of its transaction; 0: each statement has its own */
  vsi_after *after;          /* the borrower's: what comes after its transaction, if it writes */
  bool is_lost;              /* the borrower's: the connection was lost since it was lent */
  bool is_conflict;          /* the borrower's: if it begins again, it may succeed */
  bool is_stale;             /* the borrower's: so it is for a statement's definitions, which are others now */
  bool begins_again;         /* the borrower's: it does so then, by itself */
  bool *has_met;             /* the borrower's: whether it did because of a value; NULL: it does not */
  /* Set by vestry_postgres_cancel, read by the borrower; relaxed: the statement that is cancelled says so, too. */
  atomic_bool is_cancelled;
  unsigned depth;  /* times that it was lent; guarded by pool->lock; 0: it is free */
  pthread_t owner; /* guarded by pool->lock, while it is lent */
} vsi_postgres_loan;

typedef struct vsi_postgres_ear vsi_postgres_ear;

/* The last loans of a pool are not lent to the application: they are for short statements that must not wait for its
 * transactions, such as the renewal of leases. */
enum { VSI_POSTGRES_ASIDE = 1 };

struct vestry_postgres_pool {
  const vestry_host *host;
  char *url, *setup;                    /* setup: NULL: none */
  char *search_path;                    /* of the first connection, once it is there */
  char name[128];                       /* of the database, for the log */
  vestry_postgres_pool_options options; /* defaults filled in; texts are not to be used */
  vsi_mutex lock;
  vsi_thread_line line, aside_line;   /* guarded by lock */
  uint64_t away_until_ns, away_ms;    /* guarded by lock: the server was away, and is not asked before that time */
  vestry_postgres_pool_stats stats;   /* guarded by lock */
  LIST_HEAD(, vsi_postgres_ear) ears; /* guarded by lock: what is to hear of commits */
  unsigned followers_count;           /* guarded by lock: that go */
  vsi_postgres_loan loans[];          /* options.connections_count of them, and VSI_POSTGRES_ASIDE */
};

/* For what is logged. */
static inline vsi_call vsi_postgres_pool_call(const vestry_postgres_pool *pool, const char *function) {
  return (vsi_call){pool->host, function, pool->name};
}
/* So long a statement that begins now may take. The server has a moment more to say that it has ended it. */
static inline uint64_t vsi_postgres_until_ns(const vestry_postgres_pool *pool) {
  return vsi_monotonic_in_ms((uint64_t)pool->options.statement_ms + 2000);
}

/* Lend a connection to this thread, without a transaction; that which it has already, if it has one.
 *  Returns  OK | LIMIT */
vestry_err vsi_postgres_lend(vestry_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan);
/* The same, of those aside. */
vestry_err vsi_postgres_lend_aside(vestry_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan);
/* Whether this thread has one. */
bool vsi_postgres_is_lent(vestry_postgres_pool *pool);
/* Give it back. Returns whether it was lent once; else nothing has happened but that it is lent once less. */
bool vsi_postgres_is_last(vsi_postgres_loan *loan);
void vsi_postgres_give_back(vsi_postgres_loan *loan);

/* vestry_postgres_begin, by other SQL for that. */
vestry_err vsi_postgres_begin(vestry_postgres_pool *pool, vestry_postgres_kind kind, const char *begin,
                              vestry_postgres_loan **ret_loan);

/* vestry_postgres_run of arguments that are there, whatever the thread renders. */
vestry_err vsi_postgres_run(vsi_postgres_loan *loan, const char *sql, const vestry_value *values,
                            vestry_postgres_row_fn row, void *ctx);
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
/* vestry_postgres_run in a thread's transaction if it has one, otherwise alone; if the connection is lost meanwhile it
 * is done again: for statements that may be done twice. */
vestry_err vsi_postgres_run_again(vestry_postgres_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_postgres_row_fn row, void *ctx);
/* The same by a connection aside, for a thread that has none. */
vestry_err vsi_postgres_run_aside(vestry_postgres_pool *pool, const char *sql, const vestry_value *values,
                                  vestry_postgres_row_fn row, void *ctx);

#endif
