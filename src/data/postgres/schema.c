/* SPDX-License-Identifier: MIT */
/* Creating the tables of a part of this library, or bringing them to the current version; and the application's own
 * tables. */
#include <time.h>

#include "base/held_log.h"
#include "data/postgres/pool.h"

#define LOCK INT64_C(0x766573747279) /* "vestry", for pg_advisory_xact_lock: one node at a time */

enum { STEPS_TRIES = 20 };

typedef struct bringing {
  vsi_call call;
  const vsi_sql_schema *schema;
  const char *part;  /* in vestry_schema */
  int64_t version;   /* that the tables have */
  bool has_versions; /* vestry_schema exists */
} bringing;

/* This reads pg_class, because to_regclass uses the connection's cache. A table that another node has created is
 * missing in the cache until a lock of a table is taken. */
static const char has_table_sql[] =
    "SELECT count(*) FROM pg_class WHERE relname = 'vestry_schema' AND relkind = 'r' AND pg_table_is_visible(oid)";

/* Read the existing version. */
static vestry_err read_version(vestry_sql_transaction *transaction, bringing *of) {
  int64_t has_table = 0;
  of->version = 0;
  vestry_err error = vestry_sql_run(transaction, has_table_sql, NULL, vestry_sql_row_integer, &has_table);
  if (!error && has_table)
    error = vestry_sql_run(transaction, "SELECT version FROM vestry_schema WHERE part = $1", VESTRY_LIST(of->part),
                           vestry_sql_row_integer, &of->version);
  of->has_versions = has_table;
  return vsi_sql_if_any(error);
}

/* In this transaction, let the schema of an existing vestry_schema be the first of the search_path. Otherwise a schema
 * that was created in front of it since would get the new tables, which other roles with the same vestry_schema would
 * not find. */
static const char stay_sql[] =
    "SELECT set_config('search_path', quote_ident(n.nspname::text) || ', ' || current_setting('search_path'), true)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'vestry_schema'"
    " AND c.relkind = 'r' AND pg_table_is_visible(c.oid)";

/* A statement that waits for the lock of a table makes all later writers of the table wait, too. Therefore a step of
 * this library waits briefly. */
static vestry_err take_steps(vestry_sql_transaction *transaction, void *ctx) {
  static const char *const prepare[] = {
      "CREATE TABLE IF NOT EXISTS vestry_schema(part text PRIMARY KEY, version integer NOT NULL)", stay_sql};
  bringing *of = ctx;
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1::bigint)", VESTRY_LIST(LOCK), NULL, NULL);
  if (!error) error = read_version(transaction, of); /* another node may have been faster */
  if (error || of->version >= of->schema->version) return error;
  error = vsi_postgres_command(own, of->call.function, prepare[of->has_versions]);
  const bool is_application = !of->schema->part; /* it has one step, from any version */
  if (!error && !is_application) error = vsi_postgres_command(own, of->call.function, "SET LOCAL lock_timeout = 100");
  for (int64_t i = is_application ? of->schema->version - 1 : of->version; !error && i < of->schema->version; i++)
    error = vsi_postgres_command(own, of->call.function, of->schema->steps[is_application ? 0 : i]);
  if (error) return error;
  return vestry_sql_run(transaction,
                        "INSERT INTO vestry_schema(part, version) VALUES($1, $2)"
                        " ON CONFLICT(part) DO UPDATE SET version = excluded.version",
                        VESTRY_LIST(of->part, of->schema->version), NULL, NULL);
}

static vestry_err look_alone(vestry_sql_pool *pool, bringing *of) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction);
  return error ? error : vestry_sql_end(transaction, read_version(transaction, of));
}

/* Take the steps; if a lock was not free, those of this library are taken again after a pause. Only the last failure is
 * logged. */
vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema) {
  const struct timespec pause = {.tv_nsec = 400 * 1000000};
  const char *part = schema->part ? schema->part : "application";
  bringing of = {.call = vsi_sql_call(pool, function), .schema = schema, .part = part};
  vsi_held_log held = {.line = ""};
  vestry_err error = look_alone(pool, &of);
  if (error) return error;
  for (int tries = of.version < schema->version ? STEPS_TRIES : 0; tries; tries--) {
    vsi_log_hold(&held);
    error = vestry_sql_act(pool, VESTRY_SQL_WRITE, take_steps, &of);
    vsi_log_release(&held);
    if (error != VESTRY_LIMIT || !schema->part) break;
    if (tries > 1) nanosleep(&pause, NULL);
  }
  if (error && *held.line && !schema->is_optional) vsi_log(of.call.host, VESTRY_LOG_ERROR, "%s", held.line);
  return vsi_sql_schema_result(&of.call, schema, of.version, error, held.line);
}
