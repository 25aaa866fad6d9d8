/* SPDX-License-Identifier: MIT */
/* A file of SQLite: connections that are lent (vestry/data/sqlite_pool.h), one transaction that writes at a time. */
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "vestry/data/sqlite_forms.h"
#include "vestry/data/sqlite_sessions.h"

enum { CONNECTIONS = 6, SQL_MAX_BYTES = 1024 };

struct own {
  vestry_sqlite_pool *pool;
  vestry_sqlite *followed;   /* by the pages; NULL: not */
  vestry_sqlite_level level; /* how closely */
};

static vestry_err open_file(struct db *db) {
  const struct db_options *of = &db->options;
  /* FULL: what was acknowledged is on the disk, whatever becomes of the machine. */
  const vestry_sqlite_pool_options options = {.path = of->file,
                                              .schema = of->sqlite_schema,
                                              .schema_version = of->sqlite_version,
                                              .setup = "PRAGMA synchronous = FULL",
                                              .connections_count = CONNECTIONS};
  struct own *own = db->own = calloc(1, sizeof *own);
  vestry_sqlite_sessions *sessions = NULL;
  vestry_sqlite_record_pages(); /* before SQLite is used: then only what a page has read renders it again */
  vestry_err err = own ? vestry_sqlite_pool_create(&options, &own->pool) : VESTRY_NO_MEMORY;
  if (!err && of->has_sessions) err = vestry_sqlite_sessions_create(own->pool, NULL, &sessions);
  if (!err && of->has_forms) err = vestry_sqlite_forms_create(own->pool, &db->forms);
  db->sessions = sessions;
  db->sessions_ops = &vestry_sqlite_sessions_ops;
  return err;
}

static void close_file(struct db *db) {
  struct own *own = db->own;
  if (!own) return;
  vestry_sqlite_forms_destroy(db->forms);
  vestry_sqlite_sessions_destroy(db->sessions);
  vestry_sqlite_pool_destroy(own->pool);
  free(own);
}

static vestry_err read_secret(struct db *db, unsigned char secret[SECRET_BYTES]) {
  struct own *own = db->own;
  return secret_read(own->pool, secret);
}

static vestry_err attach(struct db *db) {
  struct own *own = db->own;
  const struct db_options *of = &db->options;
  vestry_sqlite_options options = {.path = of->file, .topics = of->sqlite_topics, .level = VESTRY_SQLITE_FILE_PAGES};
  vestry_err err = vestry_sqlite_create(db->pages, &options, &own->followed);
  if (err == VESTRY_UNSUPPORTED) { /* why is in the log: a commit renders more then, and no page is wrong */
    options.level = VESTRY_SQLITE_TABLES;
    err = vestry_sqlite_create(db->pages, &options, &own->followed);
  }
  own->level = options.level;
  return err ? err : vestry_sqlite_pool_follow(own->pool, own->followed);
}

static void detach(struct db *db) {
  struct own *own = db->own;
  vestry_sqlite_pool_follow(own->pool, NULL);
  vestry_sqlite_destroy(own->followed);
}

/* ------------------------------------------------------------------------------------------------ rows ----------- */

static int64_t integer_of(const struct db_row *row, int column) {
  return sqlite3_column_int64(row->own, column);
}

static const char *text_of(const struct db_row *row, int column) {
  return (const char *)sqlite3_column_text(row->own, column);
}

struct receiver {
  db_row_fn row;
  void *ctx;
};

static void give_row(sqlite3_stmt *statement, void *ctx) {
  const struct receiver *receiver = ctx;
  receiver->row(&(struct db_row){.ops = &db_sqlite_ops, .own = statement}, receiver->ctx);
}

/* SQLite numbers its parameters ?1, ?2 and so on. */
static vestry_err run_with(vestry_sqlite_loan *loan, const char *sql, const vestry_value *values, db_row_fn row,
                           void *ctx) {
  char own[SQL_MAX_BYTES];
  struct receiver receiver = {.row = row, .ctx = ctx};
  const size_t len = strlen(sql);
  if (len >= sizeof own) return VESTRY_TOO_LARGE;
  for (size_t i = 0; i <= len; i++) own[i] = (char)(sql[i] == '$' ? '?' : sql[i]);
  return vestry_sqlite_run(loan, own, values, row ? give_row : NULL, &receiver);
}

static vestry_err read_with(struct db *db, vestry_render *render, bool is_aside, const char *sql,
                            const vestry_value *values, db_row_fn row, void *ctx) {
  struct own *own = db->own;
  vestry_sqlite_loan *loan;
  (void)render;
  vestry_err err = vestry_sqlite_borrow(own->pool, is_aside ? VESTRY_SQLITE_READ_ASIDE : VESTRY_SQLITE_READ, &loan);
  return err ? err : vestry_sqlite_give(loan, run_with(loan, sql, values, row, ctx));
}

static vestry_err run(struct db_loan *loan, const char *sql, const vestry_value *values, db_row_fn row, void *ctx) {
  return run_with(loan->own, sql, values, row, ctx);
}

static vestry_err act(struct db *db, db_act_fn fn, void *ctx) {
  struct own *own = db->own;
  struct db_loan loan = {.db = db};
  vestry_sqlite_loan *lent;
  vestry_err err = vestry_sqlite_borrow(own->pool, VESTRY_SQLITE_WRITE, &lent);
  if (err) return err;
  loan.own = lent;
  return vestry_sqlite_give(lent, fn(&loan, ctx));
}

/* There is but one that writes. */
static vestry_err lock(struct db_loan *loan, int number) {
  (void)loan, (void)number;
  return VESTRY_OK;
}

/* ---------------------------------------------------------------------------------------- state of tabs ---------- */

/* In a transaction of this thread it is read with that connection. */
static vestry_err tab_get(struct db *db, const vestry_request *req, vestry_render *render, char *bytes,
                          size_t *ret_len) {
  struct own *own = db->own;
  vestry_sqlite_loan *loan;
  vestry_err err = vestry_sqlite_borrow(own->pool, VESTRY_SQLITE_READ, &loan);
  if (err) return err;
  return vestry_sqlite_give(loan,
                            vestry_sqlite_tab_get(loan->connection, req, render, bytes, DB_TAB_MAX_BYTES, ret_len));
}

struct changing {
  const vestry_request *req;
  db_act_fn fn;
  db_tab_fn tab;
  void *ctx;
};

static vestry_err change_both(struct db_loan *loan, void *ctx) {
  const struct changing *of = ctx;
  vestry_sqlite_loan *lent = loan->own;
  vestry_err err = of->fn ? of->fn(loan, of->ctx) : VESTRY_OK;
  char *text = err ? NULL : db_tab_changed(loan->db, of->req, of->tab, of->ctx, &err);
  if (text) err = vestry_sqlite_tab_set(lent->connection, of->req, text, strlen(text));
  if (text && (err == VESTRY_BUSY || err == VESTRY_IO)) err = VESTRY_LIMIT; /* not now: as vestry_sqlite_run has it */
  free(text);
  return err;
}

static vestry_err change(struct db *db, const vestry_request *req, db_act_fn fn, db_tab_fn tab, void *ctx) {
  struct changing of = {.req = req, .fn = fn, .tab = tab, .ctx = ctx};
  return act(db, change_both, &of);
}

/* ------------------------------------------------------------------------------------- several processes --------- */

static void on_commit(struct db *db, db_commit_fn fn, void *ctx) {
  struct own *own = db->own;
  vestry_sqlite_pool_on_commit(own->pool, fn, ctx);
}

static void look(struct db *db) {
  struct own *own = db->own;
  (void)vestry_sqlite_sync(own->followed, NULL);
}

static void expire(struct db *db) {
  if (db->sessions) (void)vestry_sqlite_sessions_expire(db->sessions, NULL);
}

static void counters(struct db *db, struct db_counters *ret_counters) {
  struct own *own = db->own;
  vestry_sqlite_stats followed = {0};
  vestry_sqlite_pool_stats pool = {0};
  vestry_sqlite_stats_get(own->followed, &followed);
  vestry_sqlite_pool_stats_get(own->pool, &pool);
  *ret_counters = (struct db_counters){.level = own->level == VESTRY_SQLITE_FILE_PAGES ? "pages" : "tables",
                                       .commits = followed.commits_count,
                                       .other_commits = followed.other_commits_count,
                                       .recorded = followed.recorded_count,
                                       .coarse = followed.coarse_count,
                                       .refreshed = followed.refreshed_count,
                                       .committed = pool.committed_count};
}

static void add_metrics(struct db *db, struct console_metrics *metrics) {
  struct own *own = db->own;
  console_metrics_of(metrics, vestry_sqlite_metrics, own->followed);
  console_metrics_of(metrics, vestry_sqlite_pool_metrics, own->pool);
}

const struct db_ops db_sqlite_ops = {.open = open_file,
                                     .secret = read_secret,
                                     .close = close_file,
                                     .attach = attach,
                                     .detach = detach,
                                     .integer = integer_of,
                                     .text = text_of,
                                     .read = read_with,
                                     .act = act,
                                     .run = run,
                                     .lock = lock,
                                     .tab_get = tab_get,
                                     .change = change,
                                     .on_commit = on_commit,
                                     .look = look,
                                     .expire = expire,
                                     .counters = counters,
                                     .metrics = add_metrics};
