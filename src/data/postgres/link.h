/* SPDX-License-Identifier: MIT */
/* A connection to a server, and threads that wait for it. Every operation has a time limit, also if the network is cut
 * and nothing arrives, unless the application has set statement_timeout to 0. */
#ifndef VSI_POSTGRES_LINK_H
#define VSI_POSTGRES_LINK_H

#include <pthread.h>
#include <stdatomic.h>

#include "data/postgres/fault.h"

/* ---- connections ---- */

enum { VSI_POSTGRES_ASK_MS = 5000 };

/* Open a connection, and make the settings on which this library depends.
 *  url         for libpq: a URL, or keywords and values
 *  is_own      no statement of the application runs on it, so all its settings are those of this library
 *  replication  for libpq's parameter of that name, which the URL does not change; NULL: none
 *  ret_db      owned by the caller (PQfinish); untouched on failure
 *  Returns     OK | NO_MEMORY | the errors of vsi_postgres_fail, which has logged them
 *  Threads     any; blocks on the network */
vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, bool is_own, const char *replication,
                                PGconn **ret_db);

/* Make the settings on which this library depends, as vsi_postgres_connect does. Call this again after statements of
 * the application.
 *  Returns  OK | the errors of vsi_postgres_fail, which has logged them */
vestry_err vsi_postgres_set(const vsi_call *call, PGconn *db, bool is_own, uint64_t until_ns);

/* Wait for the last result of what was sent; earlier results are dropped. NULL: the connection is lost, or must be
 * given up because nothing came in time. Owned by the caller (PQclear). */
PGresult *vsi_postgres_wait(PGconn *db, uint64_t until_ns);
/* Run one or several statements without parameters. As vsi_postgres_wait. */
PGresult *vsi_postgres_ask(PGconn *db, const char *sql, uint64_t until_ns);
/* The same for statements of this library's own connections, which must succeed within VSI_POSTGRES_ASK_MS.
 *  columns     number of columns of the row that the result must have; 0: it may be any result
 *  ret_result  NULL: the result is not needed
 *  Returns     OK | the errors of vsi_postgres_fail, which has logged them */
vestry_err vsi_postgres_ask_own(const vsi_call *call, PGconn *db, const char *sql, int columns, PGresult **ret_result);
/* The time at which the server was started, in microseconds, in SQL. It distinguishes running servers, also if one is a
 * copy of another one. */
#define VSI_POSTGRES_STARTED                                                                                           \
  "(extract(epoch FROM pg_catalog.pg_postmaster_start_time())::float8 * 1000000::float8)::bigint"
/* Return whether a result is a success. NULL: no. */
static inline bool vsi_postgres_is_done(const PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}
/* Return whether the server has ended an idle connection, by checking its socket. */
bool vsi_postgres_is_lost(PGconn *db);

/* ---- threads ---- */

/* A thread that waits for a socket, and that other threads can wake. */
typedef struct vsi_postgres_thread {
  pthread_t thread;
  bool is_running;
  int wake;            /* an eventfd; -1: none */
  atomic_bool is_over; /* the thread must end */
} vsi_postgres_thread;

/* Initialize: OK | IO (no descriptor). Call vsi_postgres_thread_finish in any case. */
vestry_err vsi_postgres_thread_init(vsi_postgres_thread *thread);
/* Start the thread. OK | IO */
vestry_err vsi_postgres_thread_start(vsi_postgres_thread *thread, const vestry_host *host, const char *name,
                                     void *(*run)(void *ctx), void *ctx);
/* Let the thread end, and wait for it, if it was started. Other threads may still wake it. */
void vsi_postgres_thread_stop(vsi_postgres_thread *thread);
void vsi_postgres_thread_finish(vsi_postgres_thread *thread);
void vsi_postgres_thread_wake(const vsi_postgres_thread *thread);
/* On the thread: wait until the socket (-1: none) is readable, the thread is woken, or the time is over. */
typedef enum vsi_postgres_event {
  VSI_POSTGRES_TIMED_OUT,
  VSI_POSTGRES_WOKEN,
  VSI_POSTGRES_READABLE
} vsi_postgres_event;
vsi_postgres_event vsi_postgres_thread_wait(const vsi_postgres_thread *thread, int fd, uint32_t ms);

#endif
