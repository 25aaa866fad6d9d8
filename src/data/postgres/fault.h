/* SPDX-License-Identifier: MIT */
/* What is said when PostgreSQL refuses something: for people, one line in the log, which names the function that was
 * called, the database, the SQLSTATE, what is wrong, and what helps. It has no value of the application's: neither a
 * statement's literals, nor what the server cites of them. */
#ifndef VSI_POSTGRES_FAULT_H
#define VSI_POSTGRES_FAULT_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/call.h"
#include "base/memory.h"
#include "vestry/error.h"

enum { VSI_POSTGRES_STATE_BYTES = 6 }; /* an SQLSTATE: five letters and digits, and a NUL */

/* What an SQLSTATE is here. "": the connection is lost, or no answer came in time. Nothing is logged. See
 * vestry/data/postgres.h for what each stands for. */
vestry_err vsi_postgres_code(const char *state);
/* Whether the transaction may succeed if it is begun again. */
bool vsi_postgres_is_conflict(const char *state);

/* A result that ends the call, logged.
 *  result   NULL: the connection says why
 *  doing    what was tried: a statement, which is logged without its literals; or words, without quotes
 *  Returns  vsi_postgres_code; never OK */
vestry_err vsi_postgres_fail(const vsi_call *call, PGconn *db, const PGresult *result, const char *doing);

#endif
