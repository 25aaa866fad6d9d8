/* The connections of a pool, as its files see them. */
#ifndef VSI_SQLITE_POOL_H
#define VSI_SQLITE_POOL_H

#include <pthread.h>
#include <stdbool.h>

#include "sqlite/fault.h"
#include "sqlite/statements.h"
#include "vestry/sqlite_pool.h"

struct vestry_sqlite_loan {
  vestry_sqlite_pool *pool;
  sqlite3 *db;
  vestry_sqlite_connection *attached; /* NULL: nobody follows */
  vsi_sqlite_statements statements;
  bool is_aside;
  bool is_writing; /* the borrower's */
  unsigned depth;  /* times that it was lent; guarded by pool->lock; 0: it is free */
  pthread_t owner; /* guarded by pool->lock, while it is lent */
};

struct vestry_sqlite_pool {
  const vestry_host *host;
  char *path;
  vestry_sqlite_pool_options options; /* defaults filled in; texts are not to be used */
  pthread_mutex_t lock;
  pthread_cond_t given;           /* a connection, or the writer's turn */
  bool is_written;                /* guarded by lock: somebody is the writer */
  vestry_sqlite_pool_stats stats; /* guarded by lock */
  size_t loans_count;             /* aside ones stand last */
  struct vestry_sqlite_loan loans[];
};

/* ---- pool_open.c ---- */

/* Open all connections of a pool that has none yet, and see to the tables. What fails is logged.
 * OK | INVALID | NO_MEMORY | BUSY | LIMIT | IO */
vestry_err vsi_sqlite_pool_open(vestry_sqlite_pool *pool, const vestry_sqlite_pool_options *given);

/* ---- pool.c ---- */

/* For what is logged. */
vsi_sqlite_call vsi_sqlite_pool_call(const vestry_sqlite_pool *pool, const char *function);

#endif
