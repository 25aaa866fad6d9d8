/* SPDX-License-Identifier: MIT */
/* A pool and its connections, which are lent. */
#ifndef VSI_SQLITE_LOAN_H
#define VSI_SQLITE_LOAN_H

#include <pthread.h>
#include <stdbool.h>

#include "base/after.h"
#include "base/line.h"
#include "data/sqlite/fault.h"
#include "data/sqlite/statements.h"
#include "vestry/data/sqlite_pool.h"

/* What is given, and waited for. */
typedef enum vsi_sqlite_given {
  VSI_SQLITE_GIVEN_CONNECTION,
  VSI_SQLITE_GIVEN_ASIDE,
  VSI_SQLITE_GIVEN_TURN, /* to write */
  VSI_SQLITE_GIVEN_COUNT
} vsi_sqlite_given;

typedef struct vsi_sqlite_loan {
  vestry_sqlite_loan lent; /* what its borrower sees; the first member */
  vestry_sqlite_pool *pool;
  vsi_sqlite_statements statements;
  bool is_aside;
  bool is_writing;  /* the borrower's */
  vsi_after *after; /* the borrower's: what comes after its transaction, if it writes */
  unsigned depth;   /* times that it was lent; guarded by pool->lock; 0: it is free */
  pthread_t owner;  /* guarded by pool->lock, while it is lent */
} vsi_sqlite_loan;

struct vestry_sqlite_pool {
  const vestry_host *host;
  char *path;
  vestry_sqlite_pool_options options; /* defaults filled in; texts are not to be used */
  vsi_mutex lock;
  vsi_thread_line lines[VSI_SQLITE_GIVEN_COUNT]; /* guarded by lock */
  vestry_sqlite_commit_fn on_commit;             /* guarded by lock; NULL: it is not told */
  void *on_commit_ctx;
  bool is_written;                /* guarded by lock: a thread is the writer */
  bool is_held;                   /* guarded by lock: threads without a connection get none now */
  pthread_cond_t returned;        /* a connection was given back while they are held */
  uint64_t wal_next_bytes;        /* guarded by lock: a WAL that could not be emptied is tried again from there; or 0 */
  vestry_sqlite *database;        /* guarded by lock: whose pages follow; NULL: none */
  vestry_sqlite_pool_stats stats; /* guarded by lock */
  size_t loans_count;             /* aside ones stand last */
  vsi_sqlite_loan loans[];
};

/* Whether this thread has a connection to write with. */
bool vsi_sqlite_pool_is_writing(vestry_sqlite_pool *pool);
/* Something has failed on this thread, by this pool: if the thread renders a page that follows, the page depends on
 * every commit from then on, unless it reads aside; and it is rendered again after a while, if that may help. */
void vsi_sqlite_pool_note(vestry_sqlite_pool *pool, bool is_aside, vestry_err error);
/* For what is logged. */
static inline vsi_call vsi_sqlite_pool_call(const vestry_sqlite_pool *pool, const char *function) {
  return (vsi_call){pool->host, function, pool->path};
}
/* vsi_sqlite_fail, for a borrower. What will be over is LIMIT: another program writes, the disk is full, or fails. */
static inline vestry_err vsi_sqlite_pool_fail(const vsi_call *call, sqlite3 *db, int result, const char *doing) {
  vestry_err error = vsi_sqlite_fail(call, db, result, doing);
  return error == VESTRY_BUSY || (result & 0xff) == SQLITE_IOERR ? VESTRY_LIMIT : error;
}

#endif
