/* SPDX-License-Identifier: MIT */
#include "postgres/statements.h"

#include <stdio.h>

vestry_err vsi_postgres_statements_init(vsi_postgres_statements *statements, const vestry_host *host, size_t most) {
  statements->host = host;
  statements->most = most;
  statements->all = vsi_calloc(host, most, sizeof *statements->all);
  return statements->all ? VESTRY_OK : VESTRY_NO_MEMORY;
}

void vsi_postgres_statements_finish(vsi_postgres_statements *statements) {
  if (statements->all) vsi_postgres_statements_forget(statements);
  if (statements->all) vsi_free(statements->host, statements->all);
  statements->all = NULL;
}

void vsi_postgres_statements_forget(vsi_postgres_statements *statements) {
  for (size_t i = 0; i < statements->count; i++) vsi_free(statements->host, statements->all[i].sql);
  statements->count = 0;
}

static void name_of(const vsi_postgres_prepared *prepared, char name[VSI_POSTGRES_STATEMENT_NAME_BYTES]) {
  snprintf(name, VSI_POSTGRES_STATEMENT_NAME_BYTES, "vestry_%llu", (unsigned long long)prepared->number);
}

static vsi_postgres_prepared *look(vsi_postgres_statements *statements, const char *sql) {
  for (size_t i = 0; i < statements->count; i++)
    if (strcmp(statements->all[i].sql, sql) == 0) return &statements->all[i];
  return NULL;
}

/* Have the server give up the one used longest ago. */
static PGresult *make_room(vsi_postgres_statements *statements, PGconn *db, uint64_t until_ns) {
  char sql[64], name[VSI_POSTGRES_STATEMENT_NAME_BYTES];
  vsi_postgres_prepared *oldest = statements->all;
  for (size_t i = 1; i < statements->count; i++)
    if (statements->all[i].used < oldest->used) oldest = &statements->all[i];
  name_of(oldest, name);
  snprintf(sql, sizeof sql, "DEALLOCATE %s", name);
  PGresult *result = vsi_postgres_ask(db, sql, until_ns);
  if (!vsi_postgres_is_done(result)) return result;
  vsi_free(statements->host, oldest->sql);
  *oldest = statements->all[--statements->count];
  return result;
}

static PGresult *prepare(vsi_postgres_statements *statements, PGconn *db, const char *sql, uint64_t until_ns,
                         const char *name) {
  if (statements->count == statements->most) {
    PGresult *result = make_room(statements, db, until_ns);
    if (!vsi_postgres_is_done(result)) return result;
    PQclear(result);
  }
  return PQsendPrepare(db, name, sql, 0, NULL) ? vsi_postgres_wait(db, until_ns) : NULL;
}

vestry_err vsi_postgres_statements_find(vsi_postgres_statements *statements, PGconn *db, const char *sql,
                                        uint64_t until_ns, char name[VSI_POSTGRES_STATEMENT_NAME_BYTES],
                                        PGresult **ret_result) {
  vsi_postgres_prepared *found = look(statements, sql);
  if (found) {
    found->used = ++statements->looks;
    name_of(found, name);
    return VESTRY_OK;
  }
  vsi_postgres_prepared made = {.used = ++statements->looks, .number = statements->prepared + 1};
  made.sql = vsi_strdup(statements->host, sql, strlen(sql));
  if (!made.sql) return VESTRY_NO_MEMORY;
  name_of(&made, name);
  PGresult *result = prepare(statements, db, sql, until_ns, name);
  if (!vsi_postgres_is_done(result)) {
    vsi_free(statements->host, made.sql);
    *ret_result = result;
    return VESTRY_IO;
  }
  PQclear(result);
  statements->prepared++;
  statements->all[statements->count++] = made;
  return VESTRY_OK;
}
