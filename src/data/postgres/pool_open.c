/* SPDX-License-Identifier: MIT */
/* Creating a pool, with its first connection. */
#include <stdio.h>

#include "data/postgres/run.h"

enum { STATEMENT_MS = 10000, RETRY_MS = 1000, TRIES = 10 };

static const char *word(const PQconninfoOption *words, const char *keyword) {
  for (; words->keyword; words++)
    if (strcmp(words->keyword, keyword) == 0) return words->val;
  return NULL;
}

/* Make the name for the log, without the password of the URL. false: libpq cannot parse the URL. */
static bool name_it(const char *url, char *name, size_t len) {
  PQconninfoOption *words = PQconninfoParse(url, NULL);
  if (!words) return false;
  const char *database = word(words, "dbname"), *host = word(words, "host");
  snprintf(name, len, "%s%s%s", database ? database : "the user's database", host ? " at " : "", host ? host : "");
  PQconninfoFree(words);
  return true;
}

/* Open the first connection, and see to the tables of the application. */
static vestry_err open_first(vsi_postgres_pool *pool, const vsi_call *call) {
  const vsi_sql_schema schema = {.steps = &pool->options.schema, .version = pool->options.schema_version};
  vestry_err error = vsi_postgres_reconnect(&pool->conns[0], call->function);
  return error || !pool->options.schema ? error : vsi_postgres_bring(&pool->is, call->function, &schema);
}

vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *given, vestry_sql_pool **ret_pool) {
  char name[sizeof((vsi_postgres_pool *)0)->name];
  const vestry_postgres_pool_options options = given ? *given : (vestry_postgres_pool_options){0};
  const vsi_call call = {vsi_host(options.host), "vestry_postgres_pool_create", "PostgreSQL", NULL};
  if (!ret_pool) return vsi_mistake(call.host, call.function, "ret_pool is NULL");
  if (!options.url) return vsi_refuse(&call, VESTRY_INVALID, "options.url must name a database");
  if (!name_it(options.url, name, sizeof name))
    return vsi_refuse(&call, VESTRY_INVALID, "libpq cannot read options.url");
  const vsi_sql_pool_plan plan = {.ops = &vsi_postgres_ops,
                                  .place = options.url,
                                  .setup = options.setup,
                                  .schema = options.schema,
                                  .schema_version = options.schema_version,
                                  .pool_bytes = sizeof(vsi_postgres_pool),
                                  .conn_bytes = sizeof(vsi_postgres_conn),
                                  .connections_count = options.connections_count,
                                  .wait_ms = options.wait_ms};
  vestry_sql_pool *made;
  vestry_err error = vsi_sql_pool_make(&call, &plan, &made);
  if (error) return error;
  vsi_postgres_pool *pool = (vsi_postgres_pool *)made;
  memcpy(pool->name, name, sizeof name);
  made->name = pool->name;
  made->look_ns = &pool->away_until_ns;
  pool->options = options;
  if (!options.statement_ms) pool->options.statement_ms = STATEMENT_MS;
  if (!options.retry_ms) pool->options.retry_ms = RETRY_MS;
  if (!options.tries_count) pool->options.tries_count = TRIES;
  for (size_t i = 0; i < made->conns_count; i++) {
    pool->conns[i].pool = pool;
    pool->conns[i].statements.host = call.host;
  }
  error = open_first(pool, &call);
  if (error)
    vsi_postgres_pool_destroy(made);
  else
    *ret_pool = made;
  return error;
}
