/* SPDX-License-Identifier: MIT */
/* Creating the tables of a part of this library, or bringing them to the current version. */
#include "data/postgres/pool.h"

#define LOCK INT64_C(0x766573747279) /* "vestry", for pg_advisory_xact_lock: one node at a time */

typedef struct bringing {
  vsi_call call;
  const vsi_sql_schema *schema;
  int64_t version; /* the existing one; 0: none */
  bool is_lost;    /* the tables exist, but vestry_schema has no version of them */
} bringing;

/* This reads pg_class instead of only calling to_regclass, because that uses the connection's cache, which lacks a
 * table of another node until a lock of a table is taken. */
static const char has_table_sql[] =
    "SELECT count(*) FROM pg_class WHERE relname = 'vestry_schema' AND relkind = 'r' AND pg_table_is_visible(oid)";

/* Read the existing version. */
static vestry_err look(vestry_sql_transaction *transaction, bringing *of) {
  int64_t has_table = 0;
  of->version = 0;
  vestry_err error = vestry_sql_run(transaction, has_table_sql, NULL, vestry_sql_row_integer, &has_table);
  if (error || !has_table) return error;
  error = vestry_sql_run(transaction, "SELECT version FROM vestry_schema WHERE part = $1",
                         VESTRY_LIST(of->schema->part), vestry_sql_row_integer, &of->version);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

static vestry_err look_alone(vestry_sql_pool *pool, bringing *of) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction);
  return error ? error : vestry_sql_end(transaction, look(transaction, of));
}

/* In this transaction, let the schema of an existing vestry_schema be the first of the search_path. Otherwise a schema
 * that was created in front of it since would get the new tables, and a second vestry_schema, which lacks the parts of
 * the first one: their tables would be created once more, and be empty. */
static const char stay_sql[] =
    "SELECT n.nspname, set_config('search_path', quote_ident(n.nspname::text) || ', ' ||"
    " current_setting('search_path'), true)"
    " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relname = 'vestry_schema'"
    " AND c.relkind = 'r' AND pg_table_is_visible(c.oid) AND n.nspname <> current_schema()";

static void log_schema(const vestry_sql_row *row, void *ctx) {
  const bringing *of = ctx;
  vsi_log(of->call.host, VESTRY_LOG_WARN,
          "%s, %s: vestry's tables are in the schema %s, which is not the first of the search_path; new tables of "
          "vestry are created there, too",
          of->call.function, of->call.name, vestry_sql_text(row, 0));
}

/* Find out whether the tables of a part without a version exist. */
static vestry_err look_for_tables(vestry_sql_transaction *transaction, bringing *of) {
  char name[VSI_SQL_NAME_BYTES];
  int64_t count = 0;
  of->is_lost = false;
  if (of->version) return VESTRY_OK;
  vsi_sql_first_name(of->schema, name);
  vestry_err error =
      vestry_sql_run(transaction, "SELECT count(*) FROM pg_class WHERE relname = $1 AND pg_table_is_visible(oid)",
                     VESTRY_LIST((const char *)name), vestry_sql_row_integer, &count);
  of->is_lost = count > 0;
  return error;
}

#define IF_NEW(step)                                                                                                   \
  "DO $vestry$ BEGIN " step "; EXCEPTION WHEN duplicate_table OR duplicate_column OR invalid_table_definition THEN "   \
  "NULL; END $vestry$"

static vestry_err take_step(vsi_postgres_conn *own, const bringing *of, const char *step) {
  if (!of->is_lost) return vsi_postgres_command(own, of->call.function, step);
  const size_t size = sizeof IF_NEW("") + strlen(step);
  char *sql = vsi_alloc(of->call.host, size);
  if (!sql) return VESTRY_NO_MEMORY;
  snprintf(sql, size, IF_NEW("%s"), step);
  vestry_err error = vsi_postgres_command(own, of->call.function, sql);
  vsi_free(of->call.host, sql);
  return error;
}

static vestry_err take_steps(vestry_sql_transaction *transaction, void *ctx) {
  bringing *of = ctx;
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1::bigint)", VESTRY_LIST(LOCK), NULL, NULL);
  if (!error) error = look(transaction, of); /* another node may have been faster */
  if (error || of->version >= of->schema->version) return error;
  error = vsi_sql_if_any(vestry_sql_run(transaction, stay_sql, NULL, log_schema, of));
  if (!error) error = look_for_tables(transaction, of);
  if (error) return error;
  error =
      vsi_postgres_command(own, of->call.function,
                           "CREATE TABLE IF NOT EXISTS vestry_schema(part text PRIMARY KEY, version integer NOT NULL)");
  for (int64_t at = of->version; !error && at < of->schema->version; at++)
    error = take_step(own, of, of->schema->steps[at]);
  return error ? error
               : vestry_sql_run(transaction,
                                "INSERT INTO vestry_schema(part, version) VALUES($1, $2)"
                                " ON CONFLICT(part) DO UPDATE SET version = excluded.version",
                                VESTRY_LIST(of->schema->part, of->schema->version), NULL, NULL);
}

vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema) {
  bringing of = {.call = vsi_sql_call(pool, function), .schema = schema, .is_lost = false};
  vestry_err error = look_alone(pool, &of);
  if (!error && of.version < schema->version) error = vestry_sql_act(pool, VESTRY_SQL_WRITE, take_steps, &of);
  if (!error && of.is_lost) vsi_sql_log_lost_version(&of.call, schema);
  if (error || of.version <= schema->version) return error;
  return vsi_refuse(&of.call, VESTRY_IO,
                    "vestry's tables (%s) have version %d, but this version of vestry supports at most version %d; "
                    "nothing was changed; use a later vestry",
                    schema->part, (int)of.version, schema->version);
}
