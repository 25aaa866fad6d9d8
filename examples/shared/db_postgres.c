/* SPDX-License-Identifier: MIT */
/* PostgreSQL, one for all nodes: a few connections to read and write with (vestry/data/postgres_pool.h), and some more
 * for sessions, states of tabs, and actions that run once, which have transactions of their own.
 *
 * What others commit is seen by each node by itself. Where commits cannot be followed (level TOPICS, which the log says
 * with what is to be set), each that a node makes refreshes all pages that have read something, at all nodes. */
#include <stdlib.h>
#include <string.h>

#include "db.h"
#include "vestry/app/tab.h"
#include "vestry/data/postgres.h"
#include "vestry/data/postgres_forms.h"
#include "vestry/data/postgres_once.h"
#include "vestry/data/postgres_sessions.h"
#include "vestry/data/postgres_tab.h"
#include "vestry/data/postgres_topics.h"

enum { CONNECTIONS = 6, STATE_CONNECTIONS = 3, LEASE_MS = 2000, LOCK_NUMBER = 1, LOCK_TAB = 2 };
#define DATABASE "database" /* the topic of all that has read it */

struct own {
  vestry_postgres_pool *pool, *state_pool;
  vestry_postgres *database;
  vestry_postgres_topics *topics;
  vestry_postgres_tabs *tabs;
};

static vestry_err open_url(struct db *db) {
  const struct db_options *of = &db->options;
  /* A small table would be read whole, and a page that has read all of it is rendered again for each of its rows. What
   * has no index is read whole all the same, at a price that no compiler is to be called for. */
  const vestry_postgres_pool_options options = {
      .url = of->postgres_url, .setup = "SET enable_seqscan = off; SET jit = off", .connections_count = CONNECTIONS};
  const vestry_postgres_pool_options state_options = {.url = of->postgres_url, .connections_count = STATE_CONNECTIONS};
  struct own *own = db->own = calloc(1, sizeof *own);
  /* What a node was doing when it was killed may be done again, soon: what can be repeated does no more then (db.h). */
  const vestry_postgres_once_options once_options = {.lease_ms = LEASE_MS, .runs_again = true};
  vestry_postgres_sessions *sessions = NULL;
  vestry_postgres_once *once = NULL;
  if (!own) return VESTRY_NO_MEMORY;
  vestry_err err = vestry_postgres_pool_create(&options, &own->pool);
  if (!err) err = vestry_postgres_pool_create(&state_options, &own->state_pool);
  if (!err) err = vestry_postgres_run_alone(own->pool, of->postgres_schema, NULL, NULL, NULL);
  if (!err && of->has_sessions) err = vestry_postgres_sessions_create(own->state_pool, NULL, &sessions);
  if (!err) err = vestry_postgres_once_create(own->state_pool, &once_options, &once);
  if (!err && of->has_forms)
    err = vestry_postgres_forms_create(own->pool, NULL, &db->forms); /* a submit's transaction */
  db->sessions = sessions;
  db->sessions_ops = &vestry_postgres_sessions_ops;
  db->once = once;
  db->once_ops = &vestry_postgres_once_ops;
  return err;
}

static void close_url(struct db *db) {
  struct own *own = db->own;
  if (!own) return;
  vestry_postgres_tabs_destroy(own->tabs);
  vestry_postgres_destroy(own->database);
  vestry_postgres_forms_destroy(db->forms);
  vestry_postgres_once_destroy(db->once);
  vestry_postgres_sessions_destroy(db->sessions);
  vestry_postgres_pool_destroy(own->state_pool);
  vestry_postgres_pool_destroy(own->pool);
  free(own);
}

static void take_secret(const vestry_postgres_row *row, void *secret) {
  const char *digits = vestry_postgres_text(row, 0);
  unsigned char *bytes = secret;
  for (size_t i = 0; i < SECRET_BYTES && digits && strlen(digits) == 2 * SECRET_BYTES; i++) {
    const char pair[] = {digits[2 * i], digits[2 * i + 1], '\0'};
    bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
  }
}

static vestry_err read_secret(struct db *db, unsigned char secret[SECRET_BYTES]) {
  struct own *own = db->own;
  return vestry_postgres_run_alone(own->pool, "SELECT encode(bytes, 'hex') FROM secret", NULL, take_secret, secret);
}

static vestry_err attach(struct db *db) {
  struct own *own = db->own;
  vestry_err err = vestry_postgres_create(db->pages, own->pool, NULL, &own->database);
  if (!err) err = vestry_postgres_topics_create(db->pages, own->pool, NULL, &own->topics);
  if (!err && db->options.has_tabs) err = vestry_postgres_tabs_create(db->pages, own->state_pool, NULL, &own->tabs);
  return err;
}

static void detach(struct db *db) {
  struct own *own = db->own;
  vestry_postgres_topics_destroy(own->topics);
  own->topics = NULL;
  vestry_postgres_detach(own->database);
}

/* ------------------------------------------------------------------------------------------------ rows ----------- */

static int64_t integer_of(const struct db_row *row, int column) {
  return vestry_postgres_integer(row->own, (size_t)column);
}

static const char *text_of(const struct db_row *row, int column) {
  return vestry_postgres_text(row->own, (size_t)column);
}

struct receiver {
  db_row_fn row;
  void *ctx;
};

static void give_row(const vestry_postgres_row *row, void *ctx) {
  const struct receiver *receiver = ctx;
  receiver->row(&(struct db_row){.ops = &db_postgres_ops, .own = (void *)(uintptr_t)row}, receiver->ctx);
}

/* Rows have no neighbours here: there is no need to read anything aside. */
static vestry_err read_with(struct db *db, vestry_render *render, bool is_aside, const char *sql,
                            const vestry_value *values, db_row_fn row, void *ctx) {
  struct own *own = db->own;
  struct receiver receiver = {.row = row, .ctx = ctx};
  (void)is_aside;
  vestry_err err = render ? vestry_render_topic(render, DATABASE) : VESTRY_OK;
  if (err) return err;
  return vestry_postgres_read(own->database, sql, values, row ? give_row : NULL, &receiver);
}

static vestry_err run(struct db_loan *loan, const char *sql, const vestry_value *values, db_row_fn row, void *ctx) {
  struct receiver receiver = {.row = row, .ctx = ctx};
  return vestry_postgres_run(loan->own, sql, values, row ? give_row : NULL, &receiver);
}

struct acting {
  struct db *db;
  db_act_fn fn;
  void *ctx;
  bool is_refused; /* by the server, with a reason */
};

static vestry_err act_once(vestry_postgres_loan *lent, void *ctx) {
  struct acting *of = ctx;
  struct db_loan loan = {.db = of->db, .own = lent};
  const struct own *own = of->db->own;
  vestry_err err = of->fn(&loan, of->ctx);
  if (!err && own->database && vestry_postgres_level_get(own->database) == VESTRY_POSTGRES_TOPICS)
    err = vestry_postgres_refresh(lent, DATABASE);
  of->is_refused = err && *lent->sqlstate;
  return err;
}

static vestry_err act(struct db *db, db_act_fn fn, void *ctx) {
  struct own *own = db->own;
  struct acting of = {.db = db, .fn = fn, .ctx = ctx};
  const vestry_postgres_kind kind =
      db->options.is_serializable ? VESTRY_POSTGRES_SERIALIZABLE : VESTRY_POSTGRES_READ_COMMITTED;
  vestry_err err = vestry_postgres_act(own->pool, kind, act_once, &of);
  const bool is_over_soon = err == VESTRY_BUSY || err == VESTRY_TIMEOUT || (err == VESTRY_IO && !of.is_refused);
  return is_over_soon ? VESTRY_LIMIT : err;
}

static vestry_err lock(struct db_loan *loan, int number) {
  return vestry_postgres_run(loan->own, "SELECT pg_advisory_xact_lock($1, $2)", VESTRY_LIST((int)LOCK_NUMBER, number),
                             NULL, NULL);
}

/* ---------------------------------------------------------------------------------------- state of tabs ---------- */

static vestry_err tab_get(struct db *db, const vestry_request *req, vestry_render *render, char *bytes,
                          size_t *ret_len) {
  struct own *own = db->own;
  return vestry_postgres_tab_get(own->tabs, req, render, bytes, DB_TAB_MAX_BYTES, ret_len);
}

struct changing {
  const vestry_request *req;
  db_tab_fn tab;
  void *ctx;
};

/* Two requests of a tab may be at two nodes: the second one waits, and reads what the first one has written. */
static vestry_err change_tab(struct db_loan *loan, void *ctx) {
  const struct changing *of = ctx;
  struct own *own = loan->db->own;
  char tab[VESTRY_TAB_ID_BYTES];
  vestry_err err = vestry_tab_id(of->req, tab);
  if (!err)
    err = vestry_postgres_run(loan->own, "SELECT pg_advisory_xact_lock($1, hashtext($2))",
                              VESTRY_LIST((int)LOCK_TAB, (const char *)tab), NULL, NULL);
  char *text = err ? NULL : db_tab_changed(loan->db, of->req, of->tab, of->ctx, &err);
  if (text) err = vestry_postgres_tab_set(own->tabs, of->req, text, strlen(text));
  free(text);
  return err;
}

static vestry_err change(struct db *db, const vestry_request *req, db_act_fn fn, db_tab_fn tab, void *ctx) {
  struct changing of = {.req = req, .tab = tab, .ctx = ctx};
  vestry_err err = fn ? act(db, fn, ctx) : VESTRY_OK;
  return err ? err : act(db, change_tab, &of);
}

/* ------------------------------------------------------------------------------------- several processes --------- */

static void on_commit(struct db *db, db_commit_fn fn, void *ctx) {
  (void)db, (void)fn, (void)ctx; /* all see it by themselves, at once */
}

static void look(struct db *db) {
  (void)db;
}

static void expire(struct db *db) {
  if (db->sessions) (void)vestry_postgres_sessions_expire(db->sessions, NULL);
  (void)vestry_postgres_once_expire(db->once, NULL);
}

static const char *level_name(vestry_postgres_level level) {
  if (level == VESTRY_POSTGRES_READS) return "reads";
  return level == VESTRY_POSTGRES_TABLES ? "tables" : "topics";
}

static void counters(struct db *db, struct db_counters *ret_counters) {
  struct own *own = db->own;
  vestry_postgres_stats followed = {0};
  vestry_postgres_pool_stats pool = {0};
  vestry_postgres_stats_get(own->database, &followed);
  vestry_postgres_pool_stats_get(own->pool, &pool);
  *ret_counters = (struct db_counters){.level = level_name(followed.level),
                                       .commits = followed.commits_count, /* of all nodes */
                                       .recorded = followed.recorded_count,
                                       .coarse = followed.coarse_count,
                                       .refreshed = followed.refreshed_count,
                                       .committed = pool.committed_count};
}

static void add_metrics(struct db *db, struct console_metrics *metrics) {
  struct own *own = db->own;
  console_metrics_of(metrics, vestry_postgres_metrics, own->database);
  console_metrics_of(metrics, vestry_postgres_pool_metrics, own->pool);
}

const struct db_ops db_postgres_ops = {.open = open_url,
                                       .secret = read_secret,
                                       .close = close_url,
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
