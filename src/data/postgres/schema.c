/* SPDX-License-Identifier: MIT */
/* Creating the tables of a part of this library, or bringing them to the current version. Another client may have
 * deleted a row of vestry_schema, or dropped a table whose row remained. Then the statements of all steps are run one
 * by one, and a statement whose objects exist does nothing. */
#include "base/assert.h"
#include "data/postgres/pool.h"

enum { NAMES_BYTES = 1024 };

#define LOCK INT64_C(0x766573747279) /* "vestry", for pg_advisory_xact_lock: one node at a time */

typedef struct bringing {
  vsi_call call;
  const vsi_sql_schema *schema;
  int64_t version; /* the existing one; 0: none */
  bool is_lost;    /* the tables exist, but vestry_schema has no version of them */
  bool is_dropped; /* it has one, but a table or an index does not exist */
} bringing;

/* ------------------------------------------------------------------------------------------------- looking -------- */

/* This reads pg_class instead of only calling to_regclass, because that uses the connection's cache, which lacks a
 * table of another node until a lock of a table is taken. */
static const char has_table_sql[] =
    "SELECT count(*) FROM pg_class WHERE relname = 'vestry_schema' AND relkind = 'r' AND pg_table_is_visible(oid)";

/* Return the length of a statement; no literal in a step contains a semicolon. */
static size_t statement_len(const char *at) {
  return strcspn(at, ";");
}

/* Return the name of the table or index that a statement creates, and its length. NULL: it creates none. */
static const char *created_name(const char *statement, size_t *ret_len) {
  static const char *const kinds[] = {"CREATE TABLE ", "CREATE INDEX ", "CREATE UNIQUE INDEX "};
  for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
    const char *name = statement + strlen(kinds[i]);
    if (strncmp(statement, kinds[i], strlen(kinds[i])) != 0) continue;
    *ret_len = strcspn(name, " (");
    return name;
  }
  return NULL;
}

/* Write the names of all tables and indexes that some steps create, as an array of the server. Returns the number. */
static int64_t write_names(const vsi_sql_schema *schema, int64_t steps_count, char names[NAMES_BYTES]) {
  int64_t count = 0;
  size_t len = 0, name_len;
  for (int64_t i = 0; i < steps_count; i++)
    for (const char *at = schema->steps[i]; *at; at += statement_len(at), at += *at == ';') {
      const char *name = created_name(at, &name_len);
      if (!name) continue;
      len += (size_t)snprintf(names + len, NAMES_BYTES - len, "%c%.*s", count++ ? ',' : '{', (int)name_len, name);
      VSI_ASSERT(len + 1 < NAMES_BYTES);
    }
  snprintf(names + len, NAMES_BYTES - len, "%s", count ? "}" : "{}");
  return count;
}

/* Find out whether the tables and indexes of the existing version exist; without a version, whether any exists. */
static vestry_err look_for_objects(vestry_sql_transaction *transaction, bringing *of) {
  char names[NAMES_BYTES];
  const int64_t most = of->schema->version;
  const int64_t wanted = write_names(of->schema, of->version && of->version < most ? of->version : most, names);
  int64_t count = 0;
  vestry_err error = vestry_sql_run(
      transaction, "SELECT count(*) FROM pg_class WHERE relname::text = ANY($1::text[]) AND pg_table_is_visible(oid)",
      VESTRY_LIST((const char *)names), vestry_sql_row_integer, &count);
  of->is_lost = !of->version && count > 0;
  of->is_dropped = of->version && count < wanted;
  return error;
}

/* Read the existing version, and find out whether its tables exist. */
static vestry_err look(vestry_sql_transaction *transaction, bringing *of) {
  int64_t has_table = 0;
  of->version = 0;
  of->is_lost = of->is_dropped = false;
  vestry_err error = vestry_sql_run(transaction, has_table_sql, NULL, vestry_sql_row_integer, &has_table);
  if (!error && has_table)
    error = vestry_sql_run(transaction, "SELECT version FROM vestry_schema WHERE part = $1",
                           VESTRY_LIST(of->schema->part), vestry_sql_row_integer, &of->version);
  error = vsi_sql_if_any(error);
  return error ? error : look_for_objects(transaction, of);
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

#define IF_NEW(step)                                                                                                   \
  "DO $vestry$ BEGIN " step "; EXCEPTION WHEN duplicate_table OR duplicate_column OR invalid_table_definition THEN "   \
  "NULL; END $vestry$"

/* Run one statement of a step whose other statements may have been executed before. Rows are not inserted: the code
 * that uses such a table does without them. */
static vestry_err repair(vsi_postgres_conn *own, const bringing *of, const char *statement) {
  const int len = (int)statement_len(statement);
  if (strncmp(statement, "INSERT", 6) == 0) return VESTRY_OK;
  const size_t size = sizeof IF_NEW("") + (size_t)len;
  char *sql = vsi_alloc(of->call.host, size);
  if (!sql) return VESTRY_NO_MEMORY;
  snprintf(sql, size, IF_NEW("%.*s"), len, statement);
  vestry_err error = vsi_postgres_command(own, of->call.function, sql);
  vsi_free(of->call.host, sql);
  return error;
}

static vestry_err take_step(vsi_postgres_conn *own, const bringing *of, const char *step) {
  vestry_err error = VESTRY_OK;
  if (!of->is_lost && !of->is_dropped) return vsi_postgres_command(own, of->call.function, step);
  for (const char *at = step; *at && !error; at += statement_len(at), at += *at == ';') error = repair(own, of, at);
  return error;
}

/* Return whether steps must be taken. */
static bool is_behind(const bringing *of) {
  return of->version < of->schema->version || (of->is_dropped && of->version == of->schema->version);
}

static vestry_err take_steps(vestry_sql_transaction *transaction, void *ctx) {
  bringing *of = ctx;
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1::bigint)", VESTRY_LIST(LOCK), NULL, NULL);
  if (!error) error = look(transaction, of); /* another node may have been faster */
  if (error || !is_behind(of)) return error;
  error = vsi_sql_if_any(vestry_sql_run(transaction, stay_sql, NULL, log_schema, of));
  if (error) return error;
  error =
      vsi_postgres_command(own, of->call.function,
                           "CREATE TABLE IF NOT EXISTS vestry_schema(part text PRIMARY KEY, version integer NOT NULL)");
  for (int64_t at = of->is_dropped ? 0 : of->version; !error && at < of->schema->version; at++)
    error = take_step(own, of, of->schema->steps[at]);
  return error ? error
               : vestry_sql_run(transaction,
                                "INSERT INTO vestry_schema(part, version) VALUES($1, $2)"
                                " ON CONFLICT(part) DO UPDATE SET version = excluded.version",
                                VESTRY_LIST(of->schema->part, of->schema->version), NULL, NULL);
}

vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema) {
  bringing of = {.call = vsi_sql_call(pool, function), .schema = schema};
  vestry_err error = look_alone(pool, &of);
  if (!error && is_behind(&of)) error = vestry_sql_act(pool, VESTRY_SQL_WRITE, take_steps, &of);
  if (!error && of.is_lost) vsi_sql_log_lost_version(&of.call, schema);
  if (!error && of.is_dropped && of.version <= schema->version)
    vsi_log(of.call.host, VESTRY_LOG_WARN,
            "%s, %s: a table or an index of vestry's (%s) was missing, although vestry_schema has its version. It was "
            "created again; the rows of a table are lost",
            function, of.call.name, schema->part);
  if (error || of.version <= schema->version) return error;
  return vsi_refuse(&of.call, VESTRY_IO,
                    "vestry's tables (%s) have version %d, but this version of vestry supports at most version %d; "
                    "nothing was changed; use a later vestry",
                    schema->part, (int)of.version, schema->version);
}
