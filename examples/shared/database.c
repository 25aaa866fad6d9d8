/* SPDX-License-Identifier: MIT */
/* Over SQLite, only one transaction writes at a time. Over PostgreSQL, all nodes share one database, and each node
 * follows the commits of all others. If commits cannot be followed (level TOPICS; the log names the settings to
 * change), each commit of a node refreshes all pages that have read data, on all nodes. */
#include "database.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef EXAMPLES_POSTGRES
#include "vestry/app/tab.h"
#include "vestry/data/postgres.h"
#include "vestry/data/postgres_topics.h"
#endif

enum { CONNECTIONS = 6, STATE_CONNECTIONS = 3, LEASE_MS = 2000, LOCK_NUMBER = 1, LOCK_TAB = 2 };
#define DATABASE "database" /* topic of all pages that have read the database */

static bool is_postgres(const struct database *db) {
  return db->options.postgres_url != NULL;
}

/* --------------------------------------------------------------------------------------------- PostgreSQL -------- */

#ifdef EXAMPLES_POSTGRES
static vestry_err open_server(struct database *db) {
  const struct database_options *of = &db->options;
  /* By default PostgreSQL scans a small table completely, and then a change of any row renders the page again. Queries
   * without an index still scan the table; because their estimated cost is now high, the JIT compiler is disabled. */
  const vestry_postgres_pool_options options = {
      .url = of->postgres_url, .setup = "SET enable_seqscan = off; SET jit = off", .connections_count = CONNECTIONS};
  const vestry_postgres_pool_options state_options = {.url = of->postgres_url, .connections_count = STATE_CONNECTIONS};
  /* An action that was running on a killed node may run again soon, because actions that can be repeated have no
   * further effect the second time. */
  const vestry_sql_once_options once = {.lease_ms = LEASE_MS, .runs_again = true};
  vestry_err err = vestry_postgres_pool_create(&options, &db->pool);
  if (!err) err = vestry_postgres_pool_create(&state_options, &db->state_pool);
  if (!err) err = vestry_sql_run_alone(db->pool, of->postgres_schema, NULL, NULL, NULL);
  return err ? err : vestry_sql_once_create(db->state_pool, &once, &db->once);
}

static vestry_err follow_server(struct database *db) {
  vestry_err err = vestry_postgres_create(db->pages, db->pool, NULL, &db->server);
  return err ? err : vestry_postgres_topics_create(db->pages, db->pool, NULL, &db->topics);
}

static void leave_server(struct database *db) {
  vestry_postgres_topics_destroy(db->topics);
  db->topics = NULL;
  vestry_postgres_detach(db->server);
}

static void close_server(struct database *db) {
  vestry_postgres_destroy(db->server);
}

/* Called at the end of a transaction. */
static vestry_err tell_server(struct database *db, vestry_sql_transaction *transaction) {
  if (!db->server || vestry_postgres_level_get(db->server) != VESTRY_POSTGRES_TOPICS) return VESTRY_OK;
  return vestry_postgres_refresh(transaction, DATABASE);
}

static bool has_refused(vestry_sql_transaction *transaction) {
  return *vestry_postgres_sqlstate(transaction);
}

/* Two requests of a tab may arrive at two nodes. The second one waits, and reads the state that the first one has
 * written. */
static vestry_err lock_tab(vestry_sql_transaction *transaction, const vestry_request *req) {
  char tab[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(req, tab);
  if (err) return err;
  return vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                        VESTRY_LIST((int)LOCK_TAB, (const char *)tab), NULL, NULL);
}

static void count_server(struct database *db, struct database_counters *ret) {
  static const char *const names[] = {[VESTRY_POSTGRES_DEFAULT] = "topics",
                                      [VESTRY_POSTGRES_TOPICS] = "topics",
                                      [VESTRY_POSTGRES_TABLES] = "tables",
                                      [VESTRY_POSTGRES_READS] = "reads"};
  vestry_postgres_stats followed = {0};
  vestry_postgres_pool_stats pool = {0};
  vestry_postgres_stats_get(db->server, &followed);
  vestry_postgres_pool_stats_get(db->pool, &pool);
  *ret = (struct database_counters){.level = names[followed.level],
                                    .commits = followed.commits_count, /* commits of all nodes */
                                    .recorded = followed.recorded_count,
                                    .coarse = followed.table_level_count,
                                    .refreshed = followed.refreshed_count,
                                    .committed = pool.committed_count};
}

static void measure_server(struct database *db, struct console_metrics *metrics) {
  console_metrics_of(metrics, vestry_postgres_metrics, db->server);
  console_metrics_of(metrics, vestry_postgres_pool_metrics, db->pool);
}
#else
static vestry_err open_server(struct database *db) {
  fprintf(stderr,
          "%s: --postgres: this program was built without libpq; install it (Debian: libpq-dev), and build again\n",
          db->options.program);
  return VESTRY_UNSUPPORTED;
}
/* No server can be open. */
#define follow_server(db)            VESTRY_UNSUPPORTED
#define leave_server(db)             (void)0
#define close_server(db)             (void)0
#define tell_server(db, transaction) VESTRY_OK
#define has_refused(transaction)     true
#define lock_tab(transaction, req)   VESTRY_UNSUPPORTED
#define count_server(db, ret)        (void)0
#define measure_server(db, metrics)  (void)0
#endif

/* ---------------------------------------------------------------------------------------------------- life ------- */

static vestry_err open_file(struct database *db) {
  const struct database_options *of = &db->options;
  /* FULL: confirmed writes are on the disk, even if the machine fails. */
  const vestry_sqlite_pool_options options = {.path = of->file,
                                              .schema = of->sqlite_schema,
                                              .schema_version = of->sqlite_version,
                                              .setup = "PRAGMA synchronous = FULL",
                                              .connections_count = CONNECTIONS};
  /* before any use of SQLite: then a page is rendered again only for data that it has read */
  vestry_sqlite_record_pages();
  return vestry_sqlite_pool_create(&options, &db->pool);
}

vestry_err database_open(struct database *db, const struct database_options *options) {
  db->options = *options;
  if (!options->file) db->options.file = options->default_file;
  if (options->file && options->postgres_url) {
    fprintf(stderr, "%s: --db and --postgres exclude each other\n", options->program);
    return VESTRY_INVALID;
  }
  vestry_err err = is_postgres(db) ? open_server(db) : open_file(db);
  if (!err && options->has_sessions)
    err = vestry_sql_sessions_create(db->state_pool ? db->state_pool : db->pool, NULL, &db->sessions);
  if (!err && options->has_forms)
    err = vestry_sql_forms_create(db->pool, NULL, &db->forms); /* for the transaction of a submit */
  return err;
}

vestry_err database_secret(struct database *db, unsigned char secret[SECRET_BYTES]) {
  return secret_read(db->pool, secret);
}

void database_close(struct database *db) {
  vestry_sql_tabs_destroy(db->tabs);
  if (is_postgres(db)) close_server(db);
  vestry_sql_forms_destroy(db->forms);
  vestry_sql_once_destroy(db->once);
  vestry_sql_sessions_destroy(db->sessions);
  vestry_sql_pool_destroy(db->state_pool);
  vestry_sql_pool_destroy(db->pool);
  *db = (struct database){0};
}

static vestry_err follow_file(struct database *db) {
  vestry_sqlite_options options = {
      .path = db->options.file, .topics = db->options.sqlite_topics, .level = VESTRY_SQLITE_FILE_PAGES};
  vestry_err err = vestry_sqlite_create(db->pages, &options, &db->file);
  /* the log has the reason; a commit renders more pages, but all pages are correct */
  if (err == VESTRY_UNSUPPORTED) {
    options.level = VESTRY_SQLITE_TABLES;
    err = vestry_sqlite_create(db->pages, &options, &db->file);
  }
  db->level = options.level;
  return err ? err : vestry_sqlite_pool_follow(db->pool, db->file);
}

vestry_err database_attach(struct database *db, vestry_pages *pages) {
  db->pages = pages;
  vestry_err err = is_postgres(db) ? follow_server(db) : follow_file(db);
  if (err || !db->options.has_tabs) return err;
  return vestry_sql_tabs_create(pages, db->state_pool ? db->state_pool : db->pool, NULL, &db->tabs);
}

void database_detach(struct database *db) {
  if (is_postgres(db)) {
    leave_server(db);
    return;
  }
  vestry_sqlite_pool_follow(db->pool, NULL);
  vestry_sqlite_destroy(db->file);
  db->file = NULL;
}

/* ---------------------------------------------------------------------------------------------- statements ------- */

vestry_err database_read(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                         vestry_sql_row_fn row, void *ctx) {
  vestry_err err = render && is_postgres(db) ? vestry_render_topic(render, DATABASE) : VESTRY_OK;
  return err ? err : vestry_sql_read(db->pool, sql, values, row, ctx);
}

vestry_err database_read_aside(struct database *db, vestry_render *render, const char *sql, const vestry_value *values,
                               vestry_sql_row_fn row, void *ctx) {
  vestry_sql_transaction *transaction;
  if (is_postgres(db)) return database_read(db, render, sql, values, row, ctx);
  vestry_err err = vestry_sql_begin(db->pool, VESTRY_SQL_READ_ASIDE, &transaction);
  return err ? err : vestry_sql_end(transaction, vestry_sql_run(transaction, sql, values, row, ctx));
}

struct acting {
  struct database *db;
  vestry_sql_act_fn fn;
  void *ctx;
  bool is_refused; /* the server rejected it, with an error code */
};

static vestry_err act_once(vestry_sql_transaction *transaction, void *ctx) {
  struct acting *of = ctx;
  vestry_err err = of->fn(transaction, of->ctx);
  if (!is_postgres(of->db)) return err;
  if (!err) err = tell_server(of->db, transaction);
  of->is_refused = err && has_refused(transaction);
  return err;
}

vestry_err database_act(struct database *db, vestry_sql_act_fn fn, void *ctx) {
  struct acting of = {.db = db, .fn = fn, .ctx = ctx};
  vestry_err err =
      vestry_sql_act(db->pool, db->options.is_serializable ? VESTRY_SQL_SERIALIZABLE : VESTRY_SQL_WRITE, act_once, &of);
  const bool is_over_soon = err == VESTRY_BUSY || err == VESTRY_TIMEOUT || (err == VESTRY_IO && !of.is_refused);
  return is_over_soon && is_postgres(db) ? VESTRY_LIMIT : err;
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
  if (!is_postgres(db)) return VESTRY_OK; /* only one transaction writes at a time */
  return vestry_sql_run(transaction, "SELECT pg_advisory_xact_lock($1, $2)", VESTRY_LIST((int)LOCK_NUMBER, number),
                        NULL, NULL);
}

/* ------------------------------------------------------------------------------------------ state of tabs -------- */

json_t *database_tab(struct database *db, const vestry_request *req, vestry_render *render) {
  size_t len = 0;
  char *bytes = malloc(DATABASE_TAB_MAX_BYTES);
  if (!bytes) return NULL;
  vestry_err err = vestry_sql_tab_get(db->tabs, req, render, bytes, DATABASE_TAB_MAX_BYTES, &len);
  json_t *state = len > 0 && !err ? json_loadb(bytes, len, 0, NULL) : NULL;
  free(bytes);
  return state || (err && err != VESTRY_NOT_FOUND) ? state : json_object();
}

struct changing {
  struct database *db;
  const vestry_request *req;
  vestry_sql_act_fn fn;
  database_tab_fn tab;
  void *ctx;
};

static vestry_err change_state(vestry_sql_transaction *transaction, void *ctx) {
  const struct changing *of = ctx;
  vestry_err err = of->fn ? of->fn(transaction, of->ctx) : VESTRY_OK;
  if (!err && is_postgres(of->db)) err = lock_tab(transaction, of->req);
  if (err) return err;
  json_t *state = database_tab(of->db, of->req, NULL);
  err = state ? of->tab(state, of->ctx) : VESTRY_LIMIT;
  char *text = err ? NULL : json_dumps(state, JSON_COMPACT);
  json_decref(state);
  if (!err) err = text ? vestry_sql_tab_set(of->db->tabs, of->req, text, strlen(text)) : VESTRY_NO_MEMORY;
  free(text);
  return err;
}

vestry_err database_change(struct database *db, const vestry_request *req, vestry_sql_act_fn fn, database_tab_fn tab,
                           void *ctx) {
  struct changing of = {.db = db, .req = req, .fn = fn, .tab = tab, .ctx = ctx};
  vestry_err err = fn && is_postgres(db) ? database_act(db, fn, ctx) : VESTRY_OK;
  if (is_postgres(db)) of.fn = NULL; /* fn has run */
  return err ? err : database_act(db, change_state, &of);
}

/* --------------------------------------------------------------------------------------- several processes ------- */

/* With PostgreSQL all processes detect commits at once, and fn is not called. */
void database_on_commit(struct database *db, vestry_sqlite_commit_fn fn, void *ctx) {
  vestry_sqlite_pool_on_commit(db->pool, fn, ctx);
}

void database_look(struct database *db) {
  if (db->file) (void)vestry_sqlite_sync(db->file, NULL);
}

void database_expire(struct database *db) {
  if (db->sessions) (void)vestry_sql_sessions_expire(db->sessions, NULL);
  if (db->once) (void)vestry_sql_once_expire(db->once, NULL);
}

void database_counters(struct database *db, struct database_counters *ret_counters) {
  vestry_sqlite_stats followed = {0};
  vestry_sqlite_pool_stats pool = {0};
  if (is_postgres(db)) {
    count_server(db, ret_counters);
    return;
  }
  vestry_sqlite_stats_get(db->file, &followed);
  vestry_sqlite_pool_stats_get(db->pool, &pool);
  *ret_counters = (struct database_counters){.level = db->level == VESTRY_SQLITE_FILE_PAGES ? "pages" : "tables",
                                             .commits = followed.commits_count,
                                             .other_commits = followed.other_commits_count,
                                             .recorded = followed.recorded_count,
                                             .coarse = followed.table_level_count,
                                             .refreshed = followed.refreshed_count,
                                             .committed = pool.committed_count};
}

void database_metrics(struct database *db, struct console_metrics *metrics) {
  if (is_postgres(db)) {
    measure_server(db, metrics);
    return;
  }
  console_metrics_of(metrics, vestry_sqlite_metrics, db->file);
  console_metrics_of(metrics, vestry_sqlite_pool_metrics, db->pool);
}
