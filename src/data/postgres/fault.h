/* SPDX-License-Identifier: MIT */
/* Failures of PostgreSQL: error codes, and one line in the log for each, which names the function, the database, the
 * SQLSTATE, the reason and a remedy. It contains no value of the application: neither literals of a statement, nor
 * quotations of them by the server. */
#ifndef VSI_POSTGRES_FAULT_H
#define VSI_POSTGRES_FAULT_H

#include <libpq-fe.h>
#include <stdbool.h>

#include "base/memory.h"
#include "data/sql/call.h"
#include "vestry/error.h"

enum { VSI_POSTGRES_STATE_BYTES = 6 }; /* an SQLSTATE: five letters and digits, and a NUL */

/* Return the error for an SQLSTATE. "": the connection is lost, or no response came in time. Nothing is logged.
 * vestry/data/postgres.h explains the errors. */
vestry_err vsi_postgres_code(const char *state);
/* Return whether the transaction may succeed if it is begun again. */
bool vsi_postgres_is_conflict(const char *state);

/* Log a result that ends the call.
 *  result   NULL: the connection has the reason
 *  doing    the operation: a statement, which is logged without its literals; or words without quotes
 *  Returns  vsi_postgres_code; never OK */
vestry_err vsi_postgres_fail(const vsi_call *call, PGconn *db, const PGresult *result, const char *doing);

#endif
