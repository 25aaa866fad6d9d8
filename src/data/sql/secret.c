/* SPDX-License-Identifier: MIT */
/* The secret of an instance in the application's database: one row, written by the first process that needs it. */
#include "vestry/app/secret.h"
#include "data/sql/sql.h"

enum { SECRET_BYTES = 32 };

#define STEPS(integer, bytes, end)                                                                                     \
  "CREATE TABLE IF NOT EXISTS vestry_secret(id " integer " PRIMARY KEY, secret " bytes " NOT NULL)" end
static const char *const steps[VSI_SQL_DIALECTS] = {STEPS("INTEGER", "BLOB", " STRICT"), STEPS("integer", "bytea", "")};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS] = {{"secret", &steps[0], 1, false},
                                                         {"secret", &steps[1], 1, false}};

static const char find_sql[] = "SELECT secret FROM vestry_secret WHERE id = 1";
static const char insert_sql[] =
    "INSERT INTO vestry_secret(id, secret) VALUES(1, $1) ON CONFLICT(id) DO NOTHING RETURNING 1";

typedef struct found {
  unsigned char bytes[SECRET_BYTES];
  size_t len;
} found;

static void take(const vestry_sql_row *row, void *ctx) {
  found *of = ctx;
  of->len = vestry_sql_bytes(row, 0, of->bytes, sizeof of->bytes);
}

/* Find the secret; if there is none, write a new one, unless another process was faster. */
static vestry_err find(vestry_sql_pool *pool, found *ret_found) {
  unsigned char made[SECRET_BYTES];
  vestry_err error = pool->ops->run_by(pool, VSI_SQL_RUN_AGAIN, find_sql, NULL, take, ret_found);
  if (error != VESTRY_NOT_FOUND) return error;
  error = pool->host->random(pool->host->ctx, made, sizeof made);
  const vestry_value bytes = vestry_value_bytes(made, sizeof made);
  if (!error)
    error = vsi_sql_if_any(pool->ops->run_by(pool, VSI_SQL_RUN_AGAIN, insert_sql, VESTRY_LIST(bytes), NULL, NULL));
  if (!error) error = pool->ops->run_by(pool, VSI_SQL_RUN_AGAIN, find_sql, NULL, take, ret_found);
  return vsi_sql_if_written(pool, "vestry_sql_secret_set", "vestry_secret", error);
}

vestry_err vestry_sql_secret_set(vestry_sql_pool *pool, vestry *v) {
  found is = {.len = 0};
  if (!pool) return VESTRY_INVALID;
  if (!v) return vsi_mistake(pool->host, "vestry_sql_secret_set", "v is NULL; create the instance first");
  vestry_err error = pool->ops->bring(pool, "vestry_sql_secret_set", &schemas[pool->ops->dialect]);
  if (!error) error = find(pool, &is);
  const vsi_call call = vsi_sql_call(pool, "vestry_sql_secret_set");
  if (!error && is.len != SECRET_BYTES)
    error = vsi_refuse(&call, VESTRY_IO,
                       "the secret in the table vestry_secret has another length than 32 bytes; restore the row, or "
                       "delete it, after which open pages are reloaded");
  return error ? error : vestry_secret_set(v, &(vestry_secret){.secret = is.bytes, .secret_len = is.len});
}
