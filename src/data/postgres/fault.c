/* SPDX-License-Identifier: MIT */
/* Converting failures of PostgreSQL to error codes and log lines, without the values of the application that its
 * messages can quote. */
#include "data/postgres/fault.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/sql/syntax.h"

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
  if (is(state, "08P01")) return VESTRY_INVALID; /* the number of values is not that of the parameters */
  if (is(state, "53") || is(state, "55P03") || is(state, "08")) return VESTRY_LIMIT;
  if (is(state, "23505")) return VESTRY_EXISTS;
  if (is(state, "54")) return VESTRY_TOO_LARGE;
  return VESTRY_IO;
}

static const char *advice(const char *state) {
  if (is(state, "40")) return "begin the transaction again, as vestry_sql_act does";
  if (is(state, "53300")) return "raise max_connections, or use smaller pools";
  if (is(state, "53200")) return "raise max_pred_locks_per_transaction, or the server's memory";
  if (is(state, "53100")) return "free space on the server's disk";
  if (is(state, "57014")) return "raise options.statement_ms, or make the statement faster";
  if (is(state, "42501")) return "grant the privilege to the pool's user, or change the policies of the table";
  if (is(state, "42P01")) return "create the table, or name its schema in the search_path";
  if (is(state, "55P03")) return "another transaction holds a lock: end it, or raise lock_timeout";
  if (is(state, "42P05") || is(state, "26000"))
    return "another client shares the connection; connect to the server itself, or to a pooler in session mode";
  if (is(state, "25006")) return "renders cannot write: use vestry_sql_act; or the server is a standby";
  return NULL;
}

/* Return the length of the first line; further lines contain hints, and positions in the server's source. */
static int line_of(const char *text) {
  const size_t len = strcspn(text, "\r\n");
  return len < 400 ? (int)len : 400;
}

/* --------------------------------------------------------------------------- messages of the server --------------- */

enum { SHOWN_BYTES = 400, NEAR_BYTES = 64 };

static const char *field_of(const PGresult *result, int field) {
  const char *text = PQresultErrorField(result, field);
  return text ? text : "";
}

/* Return a replacement for messages that can quote any value: about data that do not fit (22), and of functions that
 * the application has written. NULL: none. */
static const char *replacement(const PGresult *result, const char *state) {
  const bool is_function =
      is(state, "P0") || is(state, "38") || is(state, "39") || strstr(field_of(result, PG_DIAG_CONTEXT), "PL/") != NULL;
  return is(state, "22") ? "a value is invalid" : is_function ? "a function has raised an error" : NULL;
}

/* Return the place of an error in the statement, where a token begins; NULL: unknown, or inside of a literal. */
static const char *place_of(const PGresult *result, const char *sql) {
  long left = strtol(field_of(result, PG_DIAG_STATEMENT_POSITION), NULL, 10); /* in characters, from 1 */
  const char *place = sql, *at = sql, *text;
  if (left <= 0 || !strchr(sql, ' ')) return NULL; /* not a statement */
  for (; *place && (left > 1 || (*place & 0xC0) == 0x80); place++) left -= (place[1] & 0xC0) != 0x80;
  while (at < place) vsi_sql_next(VSI_SQL_POSTGRES, at, &at, &text);
  return at == place && *at ? at : NULL;
}

/* Write a message without values. The server quotes names, but also literals, and values used as names. Therefore the
 * message ends at its first quotation or number; the names and the place of the error that the server reports
 * separately follow. */
static void show_message(const PGresult *result, const char *sql, char message[SHOWN_BYTES]) {
  static const struct {
    int field;
    const char *name;
  } names[] = {{PG_DIAG_CONSTRAINT_NAME, "constraint"}, {PG_DIAG_TABLE_NAME, "table"}, {PG_DIAG_COLUMN_NAME, "column"}};
  const char *primary = field_of(result, PG_DIAG_MESSAGE_PRIMARY), *place = place_of(result, sql);
  char near[NEAR_BYTES];
  size_t len = 0;
  while (primary[len] >= ' ' && (unsigned char)primary[len] < 0x80 && !strchr("\"'`0123456789", primary[len])) len++;
  snprintf(message, SHOWN_BYTES, "%.*s%s", (int)(len < SHOWN_BYTES / 2 ? len : SHOWN_BYTES / 2), primary,
           primary[len] ? "..." : "");
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char *name = field_of(result, names[i].field);
    if (*name) snprintf(message + strlen(message), SHOWN_BYTES - strlen(message), ", %s %s", names[i].name, name);
  }
  if (!place) return;
  vsi_sql_show(VSI_SQL_POSTGRES, place, near, sizeof near);
  snprintf(message + strlen(message), SHOWN_BYTES - strlen(message), ", at: %s", near);
}

vestry_err vsi_postgres_fail(const vsi_call *call, PGconn *db, const PGresult *result, const char *doing) {
  char shown[SHOWN_BYTES], message[SHOWN_BYTES];
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  const char *why = state ? replacement(result, state) : PQerrorMessage(db);
  vsi_sql_show(VSI_SQL_POSTGRES, doing, shown, sizeof shown);
  if (state && !why) show_message(result, doing, message);
  if (state && !why) why = message;
  if (!state) state = "";
  if (!why || !*why) why = "the connection was lost";
  const char *helps = advice(state);
  /* Without the message of a statement's result, whose text a function of the application can choose. Why there is no
   * connection differs from attempt to attempt, and not by statement. */
  const uint32_t reason =
      vsi_log_reason(call->function) ^ (result ? vsi_log_reason(shown) ^ vsi_log_reason(state) : vsi_log_reason(why));
  vsi_log_repeated(call->host, call->repeated, reason, VESTRY_LOG_ERROR, "%s, %s: %.*s: %.*s%s%s%s%s%s", call->function,
                   call->name, line_of(shown), shown, line_of(why), why, *state ? " (" : "", state, *state ? ")" : "",
                   helps ? "; " : "", helps ? helps : "");
  return vsi_postgres_code(state);
}
