/* SPDX-License-Identifier: MIT */
/* Over SQLite, only one transaction writes at a time. Over PostgreSQL, all nodes share one database, and each node
 * follows the commits of all others. If commits cannot be followed (level TOPICS; the log names the settings to
 * change), each commit of a node refreshes all pages that have read data, on all nodes. */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef EXAMPLES_POSTGRES
#include "vestry/data/postgres.h"
#include "vestry/data/postgres_topics.h"
#endif

enum { CONNECTIONS = 6, POSTGRES_CONNECTIONS = 9 };
#define DATABASE "database" /* topic of all pages that have read the database */

bool database_is_postgres(const struct database *db) {
  return db->postgres_url != NULL;
}

#ifdef EXAMPLES_POSTGRES
static void create_over_postgres(struct database *db, struct program *program, vestry_application_options *options) {
  /* By default PostgreSQL scans a small table completely, and then a change of any row renders the page again. Queries
   * without an index still scan the table; because their estimated cost is now high, the JIT compiler is disabled. */
  const vestry_postgres_pool_options pool = {.url = db->postgres_url,
                                             .setup = "SET enable_seqscan = off; SET jit = off",
                                             .connections_count = POSTGRES_CONNECTIONS};
  options->database = &vestry_postgres_application;
  options->database_options = &(vestry_postgres_database){.pool = &pool};
  program_create(program, options);
}

static vestry_err begin_server(struct database *db, vestry_pages *pages) {
  vestry_err err = vestry_sql_run_alone(db->pool, db->postgres_schema, NULL, NULL, NULL);
  return err ? err : vestry_postgres_topics_create(pages, db->pool, NULL, &db->topics);
}

static void end_server(struct database *db) {
  vestry_postgres_topics_destroy(db->topics);
}

/* Called at the end of a transaction. */
static vestry_err tell_server(struct database *db, vestry_sql_transaction *transaction) {
  if (vestry_postgres_level_get(db->followed) != VESTRY_POSTGRES_TOPICS) return VESTRY_OK;
  return vestry_postgres_refresh(transaction, DATABASE);
}

static void count_server(struct database *db, struct database_counters *ret) {
  static const char *const names[] = {[VESTRY_POSTGRES_DEFAULT] = "topics",
                                      [VESTRY_POSTGRES_TOPICS] = "topics",
                                      [VESTRY_POSTGRES_TABLES] = "tables",
                                      [VESTRY_POSTGRES_READS] = "reads"};
  vestry_postgres_stats followed = {0};
  vestry_sql_pool_stats pool = {0};
  vestry_postgres_stats_get(db->followed, &followed);
  vestry_sql_pool_stats_get(db->pool, &pool);
  *ret = (struct database_counters){.level = names[followed.level],
                                    .commits = followed.commits_count, /* commits of all nodes */
                                    .recorded = followed.recorded_count,
                                    .coarse = followed.table_level_count,
                                    .refreshed = followed.refreshed_count,
                                    .committed = pool.committed_count};
}
#else
static void create_over_postgres(struct database *db, struct program *program, vestry_application_options *options) {
  (void)options;
  program_refuse(program->is->name, "postgres", db->postgres_url,
                 "this program was built without libpq; install it (Debian: libpq-dev)");
}
/* No server can be open. */
#define begin_server(db, pages)      VESTRY_UNSUPPORTED
#define end_server(db)               (void)0
#define tell_server(db, transaction) VESTRY_OK
#define count_server(db, ret)        (void)0
#endif

/* Confirmed writes are on the disk, even if the machine fails (FULL). */
static void create_over_sqlite(struct database *db, struct program *program, vestry_application_options *options) {
  const vestry_sqlite_pool_options pool = {.path = db->default_file,
                                           .schema = db->sqlite_schema,
                                           .schema_version = db->sqlite_version,
                                           .setup = "PRAGMA synchronous = FULL",
                                           .connections_count = CONNECTIONS};
  options->database = &vestry_sqlite_application;
  options->database_options = &(vestry_sqlite_database){.pool = &pool};
  program_create(program, options);
}

void database_create(struct database *db, struct program *program, const vestry_application_options *given) {
  vestry_application_options options = *given;
  db->file = program->is->database ? program->is->database : db->default_file;
  if (db->postgres_url && program->is->database)
    program_refuse(program->is->name, "db", program->is->database, "--db and --postgres exclude each other");
  (database_is_postgres(db) ? create_over_postgres : create_over_sqlite)(db, program, &options);
  db->app = program->app;
  db->pool = program->app->pool;
  db->followed = program->app->database;
  vestry_err err = database_is_postgres(db) ? begin_server(db, program->app->pages) : VESTRY_OK;
  if (!err) return;
  fprintf(stderr, "%s: cannot start (%s)\n", program->is->name, vestry_err_name(err));
  database_end(db);
  exit(program_finish(program));
}

void database_end(struct database *db) {
  end_server(db);
}

vestry_err database_follow(struct database *db, vestry_render *render) {
  return database_is_postgres(db) ? vestry_render_topic(render, DATABASE) : VESTRY_OK;
}

void database_tell(struct database *db, vestry_call *call) {
  if (!call->error && database_is_postgres(db)) vestry_call_fail(call, tell_server(db, call->transaction));
}

struct acting {
  struct database *db;
  vestry_sql_act_fn fn;
  void *ctx;
};

static vestry_err act_once(vestry_sql_transaction *transaction, void *ctx) {
  struct acting *of = ctx;
  vestry_err err = of->fn(transaction, of->ctx);
  return !err && database_is_postgres(of->db) ? tell_server(of->db, transaction) : err;
}

vestry_err database_act(struct database *db, vestry_sql_act_fn fn, void *ctx) {
  return vestry_application_act(db->app, act_once, &(struct acting){.db = db, .fn = fn, .ctx = ctx});
}

struct statement {
  const char *sql;
  const vestry_value *values;
  vestry_sql_row_fn row;
  void *ctx;
};

static vestry_err run_one(vestry_sql_transaction *transaction, void *ctx) {
  const struct statement *one = ctx;
  return vestry_sql_run(transaction, one->sql, one->values, one->row, one->ctx);
}

vestry_err database_run_alone(struct database *db, const char *sql, const vestry_value *values, vestry_sql_row_fn row,
                              void *ctx) {
  return database_act(db, run_one, &(struct statement){.sql = sql, .values = values, .row = row, .ctx = ctx});
}

vestry_err database_lock(struct database *db, vestry_sql_transaction *transaction, int number) {
  if (!database_is_postgres(db)) return VESTRY_OK; /* only one transaction writes at a time */
  return vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock(1, $1)", VESTRY_LIST(number), NULL, NULL);
}

void database_counters(struct database *db, struct database_counters *ret_counters) {
  vestry_sqlite_stats followed = {0};
  vestry_sql_pool_stats pool = {0};
  if (database_is_postgres(db)) {
    count_server(db, ret_counters);
    return;
  }
  vestry_sqlite_stats_get(db->followed, &followed);
  vestry_sql_pool_stats_get(db->pool, &pool);
  *ret_counters = (struct database_counters){.level = followed.level == VESTRY_SQLITE_FILE_PAGES ? "pages" : "tables",
                                             .commits = followed.commits_count,
                                             .other_commits = followed.other_commits_count,
                                             .recorded = followed.recorded_count,
                                             .coarse = followed.table_level_count,
                                             .refreshed = followed.refreshed_count,
                                             .committed = pool.committed_count};
}
