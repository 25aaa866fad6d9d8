/* SPDX-License-Identifier: MIT */
/* Converting failures of PostgreSQL to error codes and log lines. The server's messages can quote values of the
 * application, so most of this file determines which part of a message may be shown. */
#include "data/postgres/fault.h"

#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
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

enum { SHOWN_BYTES = 400 };

static const char *field_of(const PGresult *result, int field) {
  const char *text = PQresultErrorField(result, field);
  return text ? text : "";
}

/* Return whether a word of the text is this name. */
static bool has_word(const char *text, const char *name, size_t len) {
  for (const char *at = text; (at = strstr(at, name)) != NULL; at++) {
    const bool begins = at == text || !vsi_sql_is_word(at[-1]);
    if (begins && !vsi_sql_is_word(at[len])) return true;
  }
  return false;
}

/* Return whether a text is a name in the statement, or the name of a table, column or constraint according to the
 * server. */
static bool is_name(const PGresult *result, const char *shown, const char *text, size_t len) {
  static const int fields[] = {PG_DIAG_TABLE_NAME, PG_DIAG_COLUMN_NAME, PG_DIAG_CONSTRAINT_NAME, PG_DIAG_DATATYPE_NAME,
                               PG_DIAG_SCHEMA_NAME};
  char name[128];
  if (!len || len >= sizeof name) return false;
  for (size_t i = 0; i < len; i++)
    if (!vsi_sql_is_word(text[i])) return false;
  memcpy(name, text, len);
  name[len] = '\0';
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    if (strcmp(field_of(result, fields[i]), name) == 0) return true;
  return has_word(shown, name, len);
}

/* Return a replacement for messages that can quote any value: about data that do not fit (22), and of functions that
 * the application has written. NULL: none. */
static const char *replacement(const PGresult *result, const char *state) {
  const bool is_function =
      is(state, "P0") || is(state, "38") || is(state, "39") || strstr(field_of(result, PG_DIAG_CONTEXT), "PL/") != NULL;
  return is(state, "22") ? "a value is invalid" : is_function ? "a function has raised an error" : NULL;
}

/* Append a text; it is cut if there is not enough room. */
static void put(char message[SHOWN_BYTES], const char *text, size_t len) {
  const size_t has = strlen(message), room = SHOWN_BYTES - 1 - has;
  if (len > room) len = room;
  memcpy(message + has, text, len);
  message[has + len] = '\0';
}

/* Return whether a quotation begins here. The server uses the language of its lc_messages. */
static bool is_quote(const char *at) {
  static const char *const quotes[] = {"\"",
                                       "'",
                                       "`",
                                       "\xC2\xAB",
                                       "\xC2\xBB",
                                       "\xE2\x80\x98",
                                       "\xE2\x80\x99",
                                       "\xE2\x80\x9A",
                                       "\xE2\x80\x9C",
                                       "\xE2\x80\x9D",
                                       "\xE2\x80\x9E",
                                       "\xE2\x80\xB9",
                                       "\xE2\x80\xBA",
                                       "\xE3\x80\x8C",
                                       "\xE3\x80\x8D"};
  for (size_t i = 0; i < sizeof quotes / sizeof *quotes; i++)
    if (is(at, quotes[i])) return true;
  return false;
}

/* Return the end of a quotation if it is a name that may be shown; otherwise NULL. */
static const char *skip_name(const PGresult *result, const char *shown, const char *at) {
  const size_t len = strcspn(at + 1, "\"");
  const bool is_shown = *at == '"' && at[1 + len] && is_name(result, shown, at + 1, len);
  return is_shown ? at + len + 2 : NULL;
}

/* Copy a message without values. The server quotes names, but also literals, and values used as names. A quotation is
 * shown if it is a name that may be shown anyway. Otherwise the message ends there, because the quotation may contain
 * quotes itself. Numbers are not shown. */
static void show_message(const PGresult *result, const char *shown, char message[SHOWN_BYTES]) {
  const char *at = field_of(result, PG_DIAG_MESSAGE_PRIMARY), *end = at + line_of(at);
  *message = '\0';
  while (at < end) {
    const char *from = at;
    if (is_quote(from)) {
      at = skip_name(result, shown, from);
      if (!at) break;
    } else {
      at++;
      while (at < end && vsi_sql_is_word(*from) && vsi_sql_is_word(*at) && !is_quote(at)) at++;
    }
    if (vsi_is_digit(*from))
      put(message, "...", 3);
    else
      put(message, from, (size_t)(at - from));
  }
  if (!at) put(message, "\"...\"", 5);
}

vestry_err vsi_postgres_fail(const vsi_call *call, PGconn *db, const PGresult *result, const char *doing) {
  char shown[SHOWN_BYTES], message[SHOWN_BYTES];
  const char *state = result ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
  const char *why = state ? replacement(result, state) : PQerrorMessage(db);
  vsi_sql_show(VSI_SQL_POSTGRES, doing, shown, sizeof shown);
  if (state && !why) show_message(result, shown, message);
  if (state && !why) why = message;
  if (!state) state = "";
  if (!why || !*why) why = "the connection was lost";
  const char *helps = advice(state);
  /* Without the message of a statement's result, whose text a function of the application can choose. Why there is no
   * connection differs from attempt to attempt. */
  const uint32_t reason = vsi_log_reason(call->function) ^ vsi_log_reason(shown) ^ vsi_log_reason(result ? state : why);
  vsi_log_repeated(call->host, call->repeated, reason, VESTRY_LOG_ERROR, "%s, %s: %.*s: %.*s%s%s%s%s%s", call->function,
                   call->name, line_of(shown), shown, line_of(why), why, *state ? " (" : "", state, *state ? ")" : "",
                   helps ? "; " : "", helps ? helps : "");
  return vsi_postgres_code(state);
}
