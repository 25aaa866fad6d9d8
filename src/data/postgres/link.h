/* SPDX-License-Identifier: MIT */
/* A connection to a server. Every operation has a time limit, also if the network is cut and nothing arrives. */
#ifndef VSI_POSTGRES_LINK_H
#define VSI_POSTGRES_LINK_H

#include "data/postgres/fault.h"

/* Open a connection, and make the settings on which this library depends.
 *  url         for libpq: a URL, or keywords and values
 *  is_own      no statement of the application runs on it, so all its settings are those of this library
 *  words, values  more parameters of libpq, each list ended by a NULL; the URL does not change them. NULL: none
 *  until_ns    on the monotonic clock
 *  ret_db      owned by the caller (PQfinish); untouched on failure
 *  Returns     OK | NO_MEMORY | LIMIT (also: a pooler is too busy to be checked) | UNSUPPORTED (a pooler that gives
 *              each transaction another backend) | IO; failures are logged
 *  Threads     any; blocks on the network */
vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, bool is_own, const char *const *words,
                                const char *const *values, uint64_t until_ns, PGconn **ret_db);

/* Make the settings on which this library depends, as vsi_postgres_connect does. Call this again after statements of
 * the application.
 *  Returns  OK | the errors of vsi_postgres_fail, which has logged them */
vestry_err vsi_postgres_set(const vsi_call *call, PGconn *db, bool is_own, uint64_t until_ns);

/* Wait for the last result of what was sent; earlier results are dropped. NULL: the connection is lost, or must be
 * given up because nothing came in time. Owned by the caller (PQclear). */
PGresult *vsi_postgres_wait(PGconn *db, uint64_t until_ns);
/* Run one or several statements without parameters. As vsi_postgres_wait. */
PGresult *vsi_postgres_ask(PGconn *db, const char *sql, uint64_t until_ns);
/* The number of the server's process that runs a statement, in SQL. */
#define VSI_POSTGRES_BACKEND "pg_catalog.pg_backend_pid()"
/* Return the number of the server's process to which the connection leads now. 0: no response. */
int vsi_postgres_backend(PGconn *db, uint64_t until_ns);
/* Return whether a result is a success. NULL: no. */
static inline bool vsi_postgres_is_done(const PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}
/* Return whether the server has ended an idle connection, by checking its socket. */
bool vsi_postgres_is_lost(PGconn *db);

#endif
