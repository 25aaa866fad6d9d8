/* SPDX-License-Identifier: MIT */
/* A pool, and its connections, which threads check out and release. */
#ifndef VSI_POSTGRES_POOL_H
#define VSI_POSTGRES_POOL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "data/postgres/keys.h"
#include "data/postgres/link.h"
#include "data/postgres/statements.h"
#include "data/sql/pool.h"
#include "vestry/data/postgres.h"

typedef struct vsi_postgres_pool vsi_postgres_pool;

typedef struct vsi_postgres_conn {
  vestry_sql_transaction is;               /* the part that the caller sees; the first member */
  PGconn *db;                              /* NULL: the connection was lost, or does not exist yet */
  char sqlstate[VSI_POSTGRES_STATE_BYTES]; /* of the last statement that failed; "": none */
  vsi_postgres_pool *pool;
  vsi_postgres_statements statements;
  vsi_postgres_around around; /* of its next statement */
  uint32_t setup_ms;          /* the server's time limit for a statement after the setup; 0: none */
  uint32_t limit_ms;          /* the same now; reset when the connection is released */
  uint64_t opened_ns;         /* when the connection was opened; guarded by pool->is.lock */
  bool is_lost;               /* the connection was lost since it was checked out */
  bool is_conflict;           /* the transaction may succeed if it is begun again */
  bool is_stale;              /* the same, because the definitions of a statement have changed */
  bool is_reset;     /* its statements may have been dropped, or the application wants it: it is closed when it is
                        released */
  bool begins_again; /* the caller begins again by itself */
  bool *has_met;     /* whether it has begun again because a unique value existed (pool.c); NULL: it does not begin
                        again for this reason */
} vsi_postgres_conn;

struct vsi_postgres_pool {
  vestry_sql_pool is;                   /* the part that the application sees; the first member */
  char *search_path;                    /* that of the first connection, once it exists */
  char name[128];                       /* is.name */
  vestry_postgres_pool_options options; /* defaults filled in; do not use its texts */
  uint64_t away_until_ns, away_ms; /* guarded by is.lock: no attempt to connect before that time; away_ms: 0: the last
                                         attempt has succeeded */
  uint64_t
      left_ns; /* guarded by is.lock: connections that were opened before are closed, because another server has the
                       role of theirs */
  _Atomic(uint64_t)
      server; /* start (VSI_POSTGRES_STARTED) of the server of the last connection; 0: none. Set under is.lock;
                               relaxed, because it is read again and again */
  /* The one that is aside is reserved: the application cannot check it out. It is for short statements that must not
   * wait for the application's transactions, for example the renewal of leases. Such a statement uses another
   * connection only while the server refuses the reserved one. */
  vsi_postgres_conn conns[];
};

/* Return the time until which a statement that begins now may take. It includes a reserve for the server's report that
 * it has cancelled the statement. */
static inline uint64_t vsi_postgres_until_ns(const vsi_postgres_conn *conn) {
  return vsi_monotonic_in_ms(conn->limit_ms ? (uint64_t)conn->limit_ms + 2000 : UINT64_MAX);
}

/* The connections that a thread may check out (`which`).
 * ANY       any, except for the reserved one
 * SOON      the same; the wait is short, and it is not logged if none becomes free
 * OPEN      as SOON, but one that is open
 * RESERVED  the reserved one */
typedef enum vsi_postgres_choice {
  VSI_POSTGRES_ANY,
  VSI_POSTGRES_RESERVED = VSI_SQL_ASIDE,
  VSI_POSTGRES_SOON = 2,
  VSI_POSTGRES_OPEN = 4
} vsi_postgres_choice;

/* Check out a connection without a transaction, and open it, unless it is open and the server has not ended it. If this
 * thread has checked out a connection already, it gets the same one as it is. While the server refuses to open another
 * connection, this waits for one that is open.
 *  Returns  OK | NO_MEMORY | LIMIT (no connection was released in time, or the server is away or was a moment ago) |
 *           IO */
vestry_err vsi_postgres_check_out(vsi_postgres_pool *pool, vsi_postgres_choice which, const char *function,
                                  vsi_postgres_conn **ret_conn);
void vsi_postgres_release(vsi_postgres_conn *conn);

/* Return the pool, or the connection; NULL: of another database. */
static inline vsi_postgres_pool *vsi_postgres_pool_of(vestry_sql_pool *pool) {
  return pool && pool->ops->dialect == VSI_SQL_POSTGRES ? (vsi_postgres_pool *)pool : NULL;
}
static inline vsi_postgres_conn *vsi_postgres_conn_of(vestry_sql_transaction *transaction) {
  return transaction && vsi_postgres_pool_of(transaction->pool) ? (vsi_postgres_conn *)transaction : NULL;
}

/* Open a connection that this thread has checked out, unless it is open. As vsi_postgres_check_out. */
vestry_err vsi_postgres_reconnect(vsi_postgres_conn *conn, const char *function);
/* Return whether the last connection of the pool was opened to another server than the one with this start
 * (VSI_POSTGRES_STARTED). */
static inline bool vsi_postgres_pool_has_left(const vsi_postgres_pool *pool, uint64_t server) {
  return atomic_load_explicit(&pool->server, memory_order_relaxed) != server;
}
/* Find the server of a connection of this library, and compare it with that of the pool, which connects if it has no
 * connection. If they differ, the pool's connections are given up, because the next ones may lead to that server. This
 * thread has no connection of the pool.
 *  Returns  OK: ret_server is its start | LIMIT: they differ, which is logged | as vsi_postgres_ask_own */
vestry_err vsi_postgres_pool_join(vsi_postgres_pool *pool, const vsi_call *call, PGconn *db, uint64_t *ret_server);
/* Give up the server, because it cannot write: all connections opened so far are closed when they are free, so that the
 * next ones lead to the primary. Returns whether this one is older than options.retry_ms; otherwise its server was just
 * found, and is kept. */
bool vsi_postgres_leave(vsi_postgres_conn *conn);
/* Close the connection. */
void vsi_postgres_hang_up(vsi_postgres_conn *conn);
/* Run a statement without parameters. Failures are logged, and may close the connection. */
vestry_err vsi_postgres_command(vsi_postgres_conn *conn, const char *function, const char *sql);
/* Raise limit_ms to the time limit that the server has now, because a statement may have raised that. */
void vsi_postgres_read_limit(vsi_postgres_conn *conn);
/* End a transaction that is open, before the connection is released. If this fails, the connection is closed. */
void vsi_postgres_roll_back(vsi_postgres_conn *conn, const char *function);
/* Undo all that the connection has kept, and begin a transaction with these statements. As vsi_postgres_command. */
vestry_err vsi_postgres_begin_in(vsi_postgres_conn *conn, const char *function, const char *const *begin);
/* Note a failed result, and log it. result: cleared; NULL: the connection is lost */
vestry_err vsi_postgres_conn_fail(vsi_postgres_conn *conn, const char *function, PGresult *result, const char *doing);

/* ---- functions of vsi_sql_ops (data/sql/sql.h), whose table is in run.c ---- */

void vsi_postgres_pool_destroy(vestry_sql_pool *pool);
vestry_sql_transaction *vsi_postgres_find_free(vestry_sql_pool *pool, unsigned which);
/* Each part of this library that has tables in the application's database has a name and a version, in the table
 * vestry_schema. So a program gets the tables of the parts that it uses, independently of the others. The first part
 * creates its tables, and vestry_schema, in the first schema of the connection's search_path; later ones use the schema
 * of vestry_schema. A new part is a list of steps next to the code that uses its tables:
 *
 *      static const char *const steps[] = {"CREATE TABLE IF NOT EXISTS vestry_x(…)"}; // a version each
 *      static const vsi_sql_schema schema = {"x", steps, sizeof steps / sizeof *steps};
 *      error = pool->ops->bring(pool, "vestry_postgres_x_create", &schema);
 *
 * A step that was released must never change.
 *
 * Create the tables of a part, or bring them to this version, in one transaction, under an advisory lock, so that nodes
 * may do this concurrently. If they have this version, only a read is necessary, which needs no privilege to create
 * tables.
 *  function  called by the application, for the log
 *  Returns   vsi_sql_schema_result, of OK | the errors of vestry/data/postgres.h */
vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema);

#endif
