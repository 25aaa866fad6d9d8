/* SPDX-License-Identifier: MIT */
/* A connection to a server: whatever it does, it does within a time, also when the network is cut and nothing comes. */
#ifndef VSI_POSTGRES_LINK_H
#define VSI_POSTGRES_LINK_H

#include "data/postgres/fault.h"

/* Make a connection, and set what this library depends on there.
 *  url         for libpq: a URL, or words and values
 *  is_own      no statement of the application's is run there: its settings are all this library's
 *  words, values  more of libpq's parameters, each list ended by a NULL, which the URL does not change; NULL: none
 *  until_ns    by the monotonic clock
 *  ret_db      the caller's (PQfinish); untouched on failure
 *  Returns     OK | NO_MEMORY | LIMIT | UNSUPPORTED (a pooler that gives each transaction another server) | IO; each
 *              is logged
 *  Threads     any; blocks on the network */
vestry_err vsi_postgres_connect(const vsi_call *call, const char *url, bool is_own, const char *const *words,
                                const char *const *values, uint64_t until_ns, PGconn **ret_db);

/* Set what this library depends on, as vsi_postgres_connect does: again after statements of the application's.
 *  Returns  OK | the errors of vsi_postgres_fail, which has logged it */
vestry_err vsi_postgres_set(const vsi_call *call, PGconn *db, bool is_own, uint64_t until_ns);

/* The last result of what was sent; earlier ones are dropped. NULL: the connection is lost, or it is to be given up
 * because nothing came in time. The caller's (PQclear). */
PGresult *vsi_postgres_wait(PGconn *db, uint64_t until_ns);
/* A statement without parameters, or several. As vsi_postgres_wait. */
PGresult *vsi_postgres_ask(PGconn *db, const char *sql, uint64_t until_ns);
/* The number of the server's process that the connection leads to now. 0: there was no answer */
int vsi_postgres_backend(PGconn *db, uint64_t until_ns);
/* Whether a result is a success. NULL is none. */
static inline bool vsi_postgres_is_done(const PGresult *result) {
  ExecStatusType status = PQresultStatus(result);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}
/* Whether the server has ended a connection that waits: one look at its socket. */
bool vsi_postgres_is_lost(PGconn *db);

#endif
