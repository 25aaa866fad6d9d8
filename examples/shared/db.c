/* SPDX-License-Identifier: MIT */
/* What both kinds of database have in common. */
#include "db.h"

#include <stdio.h>
#include <stdlib.h>

vestry_err db_open(struct db *db, const struct db_options *options) {
  db->options = *options;
  if (!options->file) db->options.file = options->default_file;
  if (options->file && options->postgres_url) {
    fprintf(stderr, "%s: --db and --postgres: one of them, please\n", options->program);
    return VESTRY_INVALID;
  }
#ifdef EXAMPLES_POSTGRES
  db->ops = options->postgres_url ? &db_postgres_ops : &db_sqlite_ops;
#else
  if (options->postgres_url) {
    fprintf(stderr, "%s: --postgres: it was built without libpq; install that (Debian: libpq-dev), and build again\n",
            options->program);
    return VESTRY_UNSUPPORTED;
  }
  db->ops = &db_sqlite_ops;
#endif
  return db->ops->open(db);
}

vestry_err db_secret(struct db *db, unsigned char secret[SECRET_BYTES]) {
  return db->ops->secret(db, secret);
}

void db_close(struct db *db) {
  if (db->ops) db->ops->close(db);
  *db = (struct db){0};
}

vestry_err db_attach(struct db *db, vestry_pages *pages) {
  db->pages = pages;
  return db->ops->attach(db);
}

void db_detach(struct db *db) {
  db->ops->detach(db);
}

/* ------------------------------------------------------------------------------------------------ rows ----------- */

int64_t db_integer(const struct db_row *row, int column) {
  return row->ops->integer(row, column);
}

const char *db_text(const struct db_row *row, int column) {
  return row->ops->text(row, column);
}

void db_take_integer(const struct db_row *row, void *ctx) {
  *(int64_t *)ctx = db_integer(row, 0);
}

vestry_err db_read(struct db *db, vestry_render *render, const char *sql, const vestry_value *values, db_row_fn row,
                   void *ctx) {
  return db->ops->read(db, render, false, sql, values, row, ctx);
}

vestry_err db_read_aside(struct db *db, vestry_render *render, const char *sql, const vestry_value *values,
                         db_row_fn row, void *ctx) {
  return db->ops->read(db, render, true, sql, values, row, ctx);
}

vestry_err db_act(struct db *db, db_act_fn fn, void *ctx) {
  return db->ops->act(db, fn, ctx);
}

vestry_err db_run(struct db_loan *loan, const char *sql, const vestry_value *values, db_row_fn row, void *ctx) {
  return loan->db->ops->run(loan, sql, values, row, ctx);
}

vestry_err db_lock(struct db_loan *loan, int number) {
  return loan->db->ops->lock(loan, number);
}

struct statement {
  const char *sql;
  const vestry_value *values;
  db_row_fn row;
  void *ctx;
};

static vestry_err run_one(struct db_loan *loan, void *ctx) {
  const struct statement *one = ctx;
  return db_run(loan, one->sql, one->values, one->row, one->ctx);
}

vestry_err db_run_alone(struct db *db, const char *sql, const vestry_value *values, db_row_fn row, void *ctx) {
  struct statement one = {.sql = sql, .values = values, .row = row, .ctx = ctx};
  return db_act(db, run_one, &one);
}

/* ---------------------------------------------------------------------------------------- state of tabs ---------- */

json_t *db_tab(struct db *db, const vestry_request *req, vestry_render *render) {
  size_t len = 0;
  char *bytes = malloc(DB_TAB_MAX_BYTES);
  if (!bytes) return NULL;
  vestry_err err = db->ops->tab_get(db, req, render, bytes, &len);
  json_t *state = len > 0 && !err ? json_loadb(bytes, len, 0, NULL) : NULL;
  free(bytes);
  return state || (err && err != VESTRY_NOT_FOUND) ? state : json_object();
}

char *db_tab_changed(struct db *db, const vestry_request *req, db_tab_fn tab, void *ctx, vestry_err *ret_error) {
  json_t *state = db_tab(db, req, NULL);
  vestry_err err = state ? tab(state, ctx) : VESTRY_LIMIT;
  char *text = err ? NULL : json_dumps(state, JSON_COMPACT);
  json_decref(state);
  if (!text) *ret_error = err ? err : VESTRY_NO_MEMORY;
  return text;
}

vestry_err db_change(struct db *db, const vestry_request *req, db_act_fn fn, db_tab_fn tab, void *ctx) {
  return db->ops->change(db, req, fn, tab, ctx);
}

/* ------------------------------------------------------------------------------------- several processes --------- */

void db_on_commit(struct db *db, db_commit_fn fn, void *ctx) {
  db->ops->on_commit(db, fn, ctx);
}

void db_look(struct db *db) {
  db->ops->look(db);
}

void db_expire(struct db *db) {
  db->ops->expire(db);
}

void db_counters(struct db *db, struct db_counters *ret_counters) {
  db->ops->counters(db, ret_counters);
}

void db_metrics(struct db *db, struct console_metrics *metrics) {
  db->ops->metrics(db, metrics);
}
