/* SPDX-License-Identifier: MIT */
/* Creating the tables of a part of this library, bringing them to the current version, or repairing them
 * (data/sql/schema.c); and the application's own tables. */
#include <time.h>

#include "base/ascii.h"
#include "base/assert.h"
#include "base/held_log.h"
#include "data/postgres/pool.h"
#include "data/sql/syntax.h"

#define LOCK INT64_C(0x766573747279) /* "vestry", for pg_advisory_xact_lock: one node at a time */

typedef struct bringing {
  vsi_call call;
  const vsi_sql_schema *schema;
  vsi_sql_found found;
  bool has_versions;  /* vestry_schema exists */
  const char *script; /* of the application; NULL: a part of vestry */
  bool may_not;       /* only indexes are due, and this role may not create one of them */
} bringing;

/* ------------------------------------------------------------------------------------------------- looking -------- */

/* This reads pg_class, because to_regclass uses the connection's cache. A table that another node has created is
 * missing in the cache until a lock of a table is taken. */
static const char has_table_sql[] =
    "SELECT count(*) FROM pg_class WHERE relname = 'vestry_schema' AND relkind = 'r' AND pg_table_is_visible(oid)";
static const char objects_sql[] =
    "SELECT relname::text, ''::text FROM pg_class WHERE relname = ANY($1::text[]::name[]) AND pg_table_is_visible(oid)"
    " UNION ALL SELECT c.relname::text, a.attname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
    " WHERE c.relname = ANY($1::text[]::name[]) AND pg_table_is_visible(c.oid)"
    " AND a.attname = ANY($1::text[]::name[]) AND NOT a.attisdropped";

enum { NAMES_BYTES = 1024, STEPS_TRIES = 20 };

typedef struct objects {
  const vsi_sql_schema *schema;
  uint64_t are_there; /* bits by the numbers of the statements that create them */
} objects;

static void note_name(const vestry_sql_row *row, void *ctx) {
  objects *of = ctx;
  for (vsi_sql_statement at = {0}; vsi_sql_next_statement(of->schema, &at);)
    if (strcmp(at.name, vestry_sql_text(row, 0)) == 0 && strcmp(at.column, vestry_sql_text(row, 1)) == 0)
      of->are_there |= UINT64_C(1) << at.number;
}

static void add_name(char names[NAMES_BYTES], const char *name) {
  const size_t len = strlen(names);
  if (!*name) return;
  const int added = snprintf(names + len, NAMES_BYTES - len, "%s%s", len > 1 ? "," : "", name);
  VSI_ASSERT(len + (size_t)added + 1 < NAMES_BYTES);
}

/* Find out by one query which tables, indexes and added columns exist. */
static vestry_err look_for_objects(vestry_sql_transaction *transaction, const vsi_sql_schema *schema,
                                   vsi_sql_found *found) {
  char names[NAMES_BYTES] = "{";
  objects of = {.schema = schema};
  if (found->version > schema->version) return VESTRY_OK;
  for (vsi_sql_statement at = {0}; vsi_sql_next_statement(schema, &at);) {
    add_name(names, at.name);
    add_name(names, at.column);
  }
  strcat(names, "}");
  vestry_err error =
      vsi_sql_if_any(vestry_sql_run(transaction, objects_sql, VESTRY_LIST((const char *)names), note_name, &of));
  for (vsi_sql_statement at = {0}; !error && vsi_sql_next_statement(schema, &at);)
    if (*at.name) vsi_sql_note_object(found, &at, of.are_there >> at.number & 1);
  return error;
}

/* Read the existing version. */
static vestry_err read_version(vestry_sql_transaction *transaction, bringing *of) {
  int64_t has_table = 0;
  of->found = (vsi_sql_found){0};
  vestry_err error = vestry_sql_run(transaction, has_table_sql, NULL, vestry_sql_row_integer, &has_table);
  if (!error && has_table)
    error = vestry_sql_run(transaction, "SELECT version FROM vestry_schema WHERE part = $1",
                           VESTRY_LIST(of->schema->part), vestry_sql_row_integer, &of->found.version);
  of->has_versions = has_table;
  return vsi_sql_if_any(error);
}

static vestry_err write_version(vestry_sql_transaction *transaction, const bringing *of) {
  return vestry_sql_run(transaction,
                        "INSERT INTO vestry_schema(part, version) VALUES($1, $2)"
                        " ON CONFLICT(part) DO UPDATE SET version = excluded.version",
                        VESTRY_LIST(of->schema->part, of->schema->version), NULL, NULL);
}

/* Read the existing version, and find out whether its tables and indexes exist. */
static vestry_err look(vestry_sql_transaction *transaction, bringing *of) {
  vestry_err error = read_version(transaction, of);
  return error ? error : look_for_objects(transaction, of->schema, &of->found);
}

/* The owner of a table may create its indexes, if it may create objects in the schema. A standby creates nothing. */
static const char may_create_index_sql[] =
    "SELECT count(*) FROM pg_class c WHERE c.relname::text = $1::text AND pg_table_is_visible(c.oid)"
    " AND NOT pg_catalog.pg_is_in_recovery() AND pg_catalog.pg_has_role(c.relowner, 'USAGE'::text)"
    " AND pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE'::text)";

static vestry_err look_for_rights(vestry_sql_transaction *transaction, bringing *of) {
  vestry_err error = VESTRY_OK;
  for (vsi_sql_statement at = {0}; !error && vsi_sql_next_statement(of->schema, &at);) {
    char table[VSI_SQL_NAME_BYTES];
    int64_t count = 0;
    if (!vsi_sql_is_due(&of->found, &at)) continue;
    const char *on = strstr(at.sql, " ON ") + strlen(" ON ");
    snprintf(table, sizeof table, "%.*s", (int)strcspn(on, "("), on);
    error = vestry_sql_run(transaction, may_create_index_sql, VESTRY_LIST((const char *)table), vestry_sql_row_integer,
                           &count);
    of->may_not |= !count;
  }
  return error;
}

static vestry_err look_alone(vestry_sql_pool *pool, bringing *of) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  error = look(transaction, of);
  if (!error && vsi_sql_has_due(&of->found, of->schema, true)) error = look_for_rights(transaction, of);
  return vestry_sql_end(transaction, error);
}

/* ------------------------------------------------------------------------------------------------ creating -------- */

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

/* Finds the first schema of the search_path, if this role may not create tables there. */
static const char may_not_create_sql[] =
    "SELECT quote_ident(n.nspname::text), quote_ident(current_user::text) FROM pg_namespace n"
    " WHERE n.nspname = current_schema() AND NOT pg_catalog.has_schema_privilege(n.oid, 'CREATE'::text)";

static void log_grant(const vestry_sql_row *row, void *ctx) {
  const bringing *of = ctx;
  const char *schema = vestry_sql_text(row, 0), *role = vestry_sql_text(row, 1);
  (void)vsi_refuse(&of->call, VESTRY_IO,
                   "vestry's tables (%s) must be created, brought to a later version or repaired, and the role %s may "
                   "not create tables in the schema %s; run: GRANT CREATE ON SCHEMA %s TO %s",
                   of->schema->part, role, schema, schema, role);
}

/* Choose the schema of new tables, check that this role may create them there, and create vestry_schema. */
static vestry_err prepare(vestry_sql_transaction *transaction, bringing *of) {
  vestry_err error = vsi_sql_if_any(vestry_sql_run(transaction, stay_sql, NULL, log_schema, of));
  if (error) return error;
  error = vestry_sql_run(transaction, may_not_create_sql, NULL, log_grant, of);
  if (error != VESTRY_NOT_FOUND) return error ? error : VESTRY_IO;
  return vsi_postgres_command(
      (vsi_postgres_conn *)transaction, of->call.function,
      "CREATE TABLE IF NOT EXISTS vestry_schema(part text PRIMARY KEY, version integer NOT NULL)");
}

static vestry_err run_one(vestry_sql_transaction *transaction, const bringing *of, const char *text, size_t len) {
  vsi_postgres_conn *own = (vsi_postgres_conn *)transaction;
  char *sql = vsi_strdup(of->call.host, text, len);
  if (!sql) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_postgres_command(own, of->call.function, sql);
  vsi_free(of->call.host, sql);
  return error;
}

static vestry_err take_steps(vestry_sql_transaction *transaction, void *ctx) {
  bringing *of = ctx;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1::bigint)", VESTRY_LIST(LOCK), NULL, NULL);
  if (!error) error = look(transaction, of); /* another node may have been faster */
  if (error || !vsi_sql_is_behind(&of->found, of->schema)) return error;
  error = vestry_sql_run(transaction, "SET LOCAL lock_timeout = 100", NULL, NULL, NULL);
  if (error) return error;
  if (!of->has_versions || vsi_sql_has_due(&of->found, of->schema, false)) error = prepare(transaction, of);
  for (vsi_sql_statement at = {0}; !error && vsi_sql_next_statement(of->schema, &at);)
    if (vsi_sql_is_due(&of->found, &at)) error = run_one(transaction, of, at.sql, at.len);
  return error ? error : write_version(transaction, of);
}

/* Take the steps. A statement that waits for the lock of a table makes all later writers of the table wait, too.
 * Therefore it waits briefly, and all steps are taken again after a pause. Only the last failure is logged. */
static vestry_err take_steps_again(vestry_sql_pool *pool, bringing *of) {
  const struct timespec pause = {.tv_nsec = 400 * 1000000};
  for (int tries = STEPS_TRIES;; tries--) {
    vsi_held_log held;
    vsi_log_hold(&held);
    vestry_err error = vestry_sql_act(pool, VESTRY_SQL_WRITE, take_steps, of);
    vsi_log_release(&held);
    const bool is_over = error != VESTRY_LIMIT || tries == 1;
    if (is_over && *held.line) vsi_log(of->call.host, VESTRY_LOG_ERROR, "%s", held.line);
    if (is_over) return error;
    nanosleep(&pause, NULL);
  }
}

vestry_err vsi_postgres_bring(vestry_sql_pool *pool, const char *function, const vsi_sql_schema *schema) {
  bringing of = {.call = vsi_sql_call(pool, function), .schema = schema};
  vestry_err error = look_alone(pool, &of);
  if (error) return error;
  if (vsi_sql_is_behind(&of.found, schema) && !of.may_not) error = take_steps_again(pool, &of);
  if (error == VESTRY_NO_MEMORY) return error;
  if ((error || of.may_not) && vsi_sql_has_due(&of.found, schema, true)) {
    vsi_sql_log_missing_indexes(&of.call, schema, &of.found,
                                of.may_not ? "the role does not own the table, or may not create objects in its "
                                             "schema, or the server is a standby"
                                           : vestry_strerror(error));
    return VESTRY_OK;
  }
  if (!error) vsi_sql_log_repaired(&of.call, schema, &of.found);
  if (error || of.found.version <= schema->version) return error;
  return vsi_refuse(&of.call, VESTRY_IO,
                    "vestry's tables (%s) have version %d, but this version of vestry supports at most version %d; "
                    "nothing was changed; use a later vestry",
                    schema->part, (int)of.found.version, schema->version);
}

/* -------------------------------------------------------------------------------------- the application's own ----- */

static const char *or_end(const char *found, const char *at, size_t len) {
  return found ? found + len : at + strlen(at);
}

static const char *skip_comment(const char *at) {
  int depth = 0; /* they nest */
  do {
    const bool opens = strncmp(at, "/*", 2) == 0, closes = strncmp(at, "*/", 2) == 0;
    depth += opens - closes;
    at += opens || closes ? 2 : 1;
  } while (*at && depth);
  return at;
}

/* Return the end of a text or name in quotes. has_escapes: E'…' */
static const char *skip_quoted(const char *at, bool has_escapes) {
  const char quote = *at++;
  for (; *at && *at != quote; at++)
    if (has_escapes && *at == '\\' && at[1]) at++;
  return *at ? at + 1 : at;
}

/* Return the end of $tag$…$tag$, or at + 1 if there is no tag. */
static const char *skip_dollars(const char *at) {
  const char *end = at + 1;
  while (vsi_sql_is_word(*end)) end++;
  if (*end != '$' || vsi_is_digit(at[1])) return at + 1;
  const size_t len = (size_t)(end - at) + 1;
  for (const char *next = end + 1; (next = strchr(next, '$')) != NULL; next++)
    if (strncmp(next, at, len) == 0) return next + len;
  return at + strlen(at);
}

/* Return the end of a statement: its semicolon, which is in no text, name or comment (PostgreSQL's manual, section
 * 4.1), nor in parentheses, as in a rule; or the end of the script. */
static const char *statement_end(const char *at) {
  int depth = 0;
  for (char last = 0, before = 0; *at && (*at != ';' || depth > 0);) {
    const char is = *at;
    if (is == '(' || is == ')') depth += is == '(' ? 1 : -1;
    if (strncmp(at, "--", 2) == 0)
      at = or_end(strchr(at, '\n'), at, 1);
    else if (strncmp(at, "/*", 2) == 0)
      at = skip_comment(at);
    else if (is == '\'' || is == '"')
      at = skip_quoted(at, is == '\'' && vsi_lower(last) == 'e' && !vsi_sql_is_word(before));
    else if (is == '$' && !vsi_sql_is_word(last))
      at = skip_dollars(at);
    else
      at++;
    before = last;
    last = is;
  }
  return at;
}

static vestry_err run_script(vestry_sql_transaction *transaction, void *ctx) {
  bringing *of = ctx;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1::bigint)", VESTRY_LIST(LOCK), NULL, NULL);
  if (!error) error = read_version(transaction, of); /* another node may have been faster */
  if (error || of->found.version >= of->schema->version) return error;
  error = prepare(transaction, of);
  for (const char *at = of->script; !error && *at;) {
    const char *end = statement_end(at);
    error = run_one(transaction, of, at, (size_t)(end - at));
    at = *end ? end + 1 : end;
  }
  return error ? error : write_version(transaction, of);
}

vestry_err vsi_postgres_bring_application(vsi_postgres_pool *pool) {
  const vsi_sql_schema schema = {.part = "application", .version = pool->options.schema_version};
  bringing of = {.call = vsi_sql_call(&pool->is, "vestry_postgres_pool_create"),
                 .schema = &schema,
                 .script = pool->options.schema};
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(&pool->is, VESTRY_SQL_READ, &transaction);
  if (!error) error = vestry_sql_end(transaction, read_version(transaction, &of));
  if (!error && of.found.version < schema.version) error = vestry_sql_act(&pool->is, VESTRY_SQL_WRITE, run_script, &of);
  if (error || of.found.version <= schema.version) return error;
  return vsi_refuse(&of.call, VESTRY_IO,
                    "the tables have version %d, but this program supports at most version %d; nothing was changed; "
                    "use the program that wrote them, or another database",
                    (int)of.found.version, schema.version);
}
