/* SPDX-License-Identifier: MIT */
#include "postgres/fault.h"

#include <stdio.h>
#include <string.h>

static bool is(const char *state, const char *prefix) {
  return strncmp(state, prefix, strlen(prefix)) == 0;
}

bool vsi_postgres_is_conflict(const char *state) {
  return is(state, "40001") || is(state, "40P01");
}

vestry_err vsi_postgres_code(const char *state) {
  if (!*state || is(state, "57P")) return VESTRY_LIMIT;
  if (vsi_postgres_is_conflict(state)) return VESTRY_BUSY;
  if (is(state, "57014")) return VESTRY_TIMEOUT;
  if (is(state, "08P01")) return VESTRY_INVALID; /* of values: not as many as parameters */
  if (is(state, "53") || is(state, "55P03") || is(state, "08")) return VESTRY_LIMIT;
  if (is(state, "23505")) return VESTRY_EXISTS;
  if (is(state, "54")) return VESTRY_TOO_LARGE;
  return VESTRY_IO;
}

static const char *advice(const char *state) {
  if (is(state, "40")) return "begin the transaction again, as vestry_postgres_act does";
  if (is(state, "53300")) return "raise max_connections, or have smaller pools";
  if (is(state, "53200")) return "raise max_pred_locks_per_transaction, or the server's memory";
  if (is(state, "53100")) return "make room on the server's disk";
  if (is(state, "57014")) return "raise options.statement_ms, or make the statement faster";
  if (is(state, "42501")) return "grant the privilege to the pool's user";
  if (is(state, "25006")) return "a render writes nothing: use vestry_postgres_act; or the server is a standby";
  return NULL;
}

/* The first line: further ones are the server's hints, and where in the program it was. */
static int line_of(const char *text) {
  size_t len = strcspn(text, "\r\n");
  return len < 400 ? (int)len : 400;
}

vestry_err vsi_postgres_fail(const vsi_call *call, PGconn *db, const PGresult *result, const char *doing) {
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  const char *why = state ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : PQerrorMessage(db);
  if (!state) state = "";
  if (!why || !*why) why = "the connection is lost";
  if (is(state, "22")) why = "a value does not fit";
  const char *helps = advice(state);
  vsi_log(call->host, VESTRY_LOG_ERROR, "%s, %s: %.*s: %.*s%s%s%s%s%s", call->function, call->name, line_of(doing),
          doing, line_of(why), why, *state ? " (" : "", state, *state ? ")" : "", helps ? "; " : "",
          helps ? helps : "");
  return vsi_postgres_code(state);
}
