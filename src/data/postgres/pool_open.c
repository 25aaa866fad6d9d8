/* SPDX-License-Identifier: MIT */
/* Creating a pool, with its first connection. */
#include <stdio.h>

#include "data/postgres/run.h"

enum { CONNECTIONS = 8, WAIT_MS = 5000, STATEMENT_MS = 10000, RETRY_MS = 1000, TRIES = 10 };

static void set_defaults(vestry_postgres_pool_options *options) {
  if (!options->connections_count) options->connections_count = CONNECTIONS;
  if (!options->wait_ms) options->wait_ms = WAIT_MS;
  if (!options->statement_ms) options->statement_ms = STATEMENT_MS;
  if (!options->retry_ms) options->retry_ms = RETRY_MS;
  if (!options->tries_count) options->tries_count = TRIES;
}

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

static vestry_err refuse_options(const vestry_host *host, const char *why) {
  const vsi_call call = {host, "vestry_postgres_pool_create", "PostgreSQL", NULL};
  return vsi_refuse(&call, VESTRY_INVALID, "%s", why);
}

static vsi_postgres_pool *allocate(const vestry_host *host, const vestry_postgres_pool_options *options) {
  const size_t count = (size_t)options->connections_count + VSI_POSTGRES_ASIDE;
  vsi_postgres_pool *pool = vsi_calloc(host, 1, sizeof *pool + count * sizeof *pool->conns);
  if (!pool) return NULL;
  pool->is =
      (vestry_sql_pool){.ops = &vsi_postgres_ops, .host = host, .name = pool->name, .look_ns = &pool->away_until_ns};
  vsi_sql_conns_init(&pool->is, pool->conns, sizeof *pool->conns, options->connections_count, VSI_POSTGRES_ASIDE,
                     options->wait_ms);
  pool->options = *options;
  pool->url = vsi_strdup(host, options->url, strlen(options->url));
  pool->setup = options->setup ? vsi_strdup(host, options->setup, strlen(options->setup)) : NULL;
  bool is_whole = pool->url && (pool->setup || !options->setup);
  for (size_t i = 0; i < count && is_whole; i++) {
    pool->conns[i].pool = pool;
    is_whole = !vsi_postgres_statements_init(&pool->conns[i].statements, host, VSI_SQL_STATEMENTS);
  }
  if (is_whole) return pool;
  vsi_postgres_pool_destroy(&pool->is);
  return NULL;
}

vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *given, vestry_sql_pool **ret_pool) {
  char name[sizeof((vsi_postgres_pool *)0)->name];
  vestry_postgres_pool_options options = given ? *given : (vestry_postgres_pool_options){0};
  const vestry_host *host = vsi_host(options.host);
  if (!ret_pool) return vsi_mistake(host, "vestry_postgres_pool_create", "ret_pool is NULL");
  set_defaults(&options);
  if (!options.url) return refuse_options(host, "options.url must name a database");
  if (!name_it(options.url, name, sizeof name)) return refuse_options(host, "libpq cannot read options.url");
  if (options.connections_count > VSI_SQL_CONNECTIONS_MOST)
    return refuse_options(host, "options.connections_count is more than 1,024");
  if (options.schema && options.schema_version < 1)
    return refuse_options(host, "options.schema requires a schema_version of at least 1");
  vsi_postgres_pool *pool = allocate(host, &options);
  if (!pool) return VESTRY_NO_MEMORY;
  memcpy(pool->name, name, sizeof name);
  vestry_err error = vsi_postgres_reconnect(&pool->conns[0], "vestry_postgres_pool_create");
  const vsi_sql_schema schema = {.steps = &options.schema, .version = options.schema_version};
  if (!error && options.schema) error = vsi_postgres_bring(&pool->is, "vestry_postgres_pool_create", &schema);
  if (error)
    vsi_postgres_pool_destroy(&pool->is);
  else
    *ret_pool = &pool->is;
  return error;
}
