/* SPDX-License-Identifier: MIT */
#include "postgres/shown.h"
#include "data/sql/sql.h"

#include <stdlib.h>

static void run(PGconn *db, const char *sql) {
  PGresult *result = PQexec(db, sql);
  ExecStatusType status = PQresultStatus(result);
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) fail_msg("%s: %s", sql, PQresultErrorMessage(result));
  PQclear(result);
}

void shown_run(shown_site *s, const char *sql) {
  run(s->writer, sql);
}

static void add_row(const vestry_sql_row *row, void *ctx) {
  char *text = ctx;
  size_t len = strlen(text);
  for (size_t i = 0; i < row->ops->columns_count(row) && len < SHOWN_TEXT_BYTES - 40; i++) {
    const char *value = vestry_sql_text(row, i);
    len += (size_t)snprintf(text + len, SHOWN_TEXT_BYTES - len, "%.30s ", value ? value : "null");
  }
}

static vestry_err read_one(shown_site *s, vestry_sql_transaction *transaction, const char *sql, char *text) {
  vestry_err error = transaction ? vestry_sql_run(transaction, sql, NULL, add_row, text)
                                 : vestry_sql_read(s->pool, sql, NULL, add_row, text);
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error;
}

/* The first read of the render is refused, so nothing was sent to the server before. */
static vestry_err read_by_handle(shown_site *s, const char *sql, char *text) {
  vestry_sql_transaction *transaction;
  const vestry_value none = {.type = VESTRY_VALUE_STRING};
  assert_int_equal(vestry_sql_read(s->pool, "SELECT $1::text", VESTRY_LIST(none), NULL, NULL), VESTRY_INVALID);
  vestry_err error = vestry_sql_begin(s->pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  PGresult *result = PQexec(vestry_postgres_handle(transaction), sql);
  if (PQntuples(result) == 1) snprintf(text, SHOWN_TEXT_BYTES, "%s ", PQgetvalue(result, 0, 0));
  PQclear(result);
  return vestry_sql_end(transaction, VESTRY_OK);
}

static vestry_err read_all(shown_site *s, shown *is) {
  vestry_sql_transaction *transaction = NULL;
  vestry_err error = VESTRY_OK;
  is->text[0] = '\0';
  if (is->how == SHOWN_HANDLED) return read_by_handle(s, is->sql, is->text);
  if (is->how != SHOWN_READS)
    error = vestry_sql_begin(s->pool, is->how == SHOWN_COMMITTED ? VESTRY_SQL_WRITE : VESTRY_SQL_READ, &transaction);
  if (error) return error;
  error = read_one(s, is->how == SHOWN_RUNS ? transaction : NULL, is->sql, is->text);
  void (*inside)(shown_site *) = s->inside;
  s->inside = NULL;
  if (inside) inside(s);
  if (is->second && !error) error = read_one(s, is->how == SHOWN_RUNS ? transaction : NULL, is->second, is->text);
  return transaction ? vestry_sql_end(transaction, error) : error;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  shown_site *s = app;
  shown *is = &s->all[strtoul(render->request->query, NULL, 10)];
  is->renders++;
  vestry_err error = is->catches ? vestry_render_topic(render, "own") : VESTRY_OK;
  if (!error) error = read_all(s, is);
  if (error && !is->catches) return error;
  if (error) snprintf(is->text, sizeof is->text, "%s", vestry_err_name(error));
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", is->text);
  return vestry_render_end(render, html);
}

void shown_open_with(shown_site *s, const char *schema, vestry_postgres_pool_options pool,
                     void (*log)(void *ctx, vestry_log_level level, const char *line),
                     const vestry_postgres_options *options) {
  memset(s, 0, sizeof *s);
  shop_clear();
  s->writer = postgres_server_connect(shop_server());
  assert_int_equal(PQstatus(s->writer), CONNECTION_OK);
  run(s->writer, schema);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  if (log) s->on.th.host.log = log;
  pool.host = &s->on.th.host;
  if (!pool.url) pool.url = shop_server()->url;
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_postgres_pool_create(&pool, &s->pool), VESTRY_OK);
  assert_int_equal(vestry_postgres_create(s->on.pages, s->pool, options, &s->database), VESTRY_OK);
  if (!(options && options->level == VESTRY_POSTGRES_TOPICS) && !shown_stats(s).is_following)
    fail_msg("it does not follow: %s", s->on.th.last_log);
}

void shown_open(shown_site *s, const char *schema, const vestry_postgres_options *options) {
  shown_open_with(s, schema, (vestry_postgres_pool_options){0}, NULL, options);
}

void shown_close(shown_site *s) {
  for (size_t i = 0; i < s->count; i++) vestry_memory_destroy(s->all[i].stream);
  site_settle(&s->on);
  vestry_postgres_detach(s->database);
  site_close(&s->on);
  vestry_postgres_destroy(s->database);
  vestry_sql_pool_destroy(s->pool);
  PQfinish(s->writer);
  test_host_assert_clean(&s->on.th);
}

static unsigned count_renders(const shown_site *s) {
  unsigned sum = 0;
  for (size_t i = 0; i < s->count; i++) sum += s->all[i].renders;
  return sum;
}

/* A commit made within a render may be followed after it, hence the loop. */
void shown_settle(shown_site *s) {
  unsigned before;
  do {
    before = count_renders(s);
    assert_int_equal(vestry_postgres_settle(s->database, SHOWN_WAIT_MS, NULL), VESTRY_OK);
    site_settle_pages(&s->on);
  } while (count_renders(s) != before);
}

void shown_settle_again(shown_site *s, size_t at) {
  vestry_err error;
  do error = vestry_postgres_settle(s->database, SHOWN_WAIT_MS, NULL);
  while (error == VESTRY_LIMIT || error == VESTRY_TIMEOUT || error == VESTRY_IO);
  assert_int_equal(error, VESTRY_OK);
  shown_settle(s);
  while (s->all[at].renders == 0) {
    site_pass_ms(&s->on, 1000);
    shown_settle(s);
  }
}

static size_t watch(shown_site *s, const shown *of) {
  char query[8];
  size_t at = s->count++;
  assert_true(at < SHOWN_MOST);
  s->all[at] = *of;
  snprintf(query, sizeof query, "%zu", at);
  const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
  s->all[at].stream = site_request(&s->on, &call);
  if (shown_stats(s).is_following)
    shown_settle(s);
  else
    site_settle_pages(&s->on);
  s->all[at].renders = 0;
  return at;
}

size_t shown_watch(shown_site *s, const char *sql, const char *second) {
  return watch(s, &(shown){.sql = sql, .second = second});
}

size_t shown_watch_as(shown_site *s, const char *sql, shown_how how, bool catches) {
  return watch(s, &(shown){.sql = sql, .how = how, .catches = catches});
}

unsigned shown_renders(shown_site *s, size_t at) {
  shown_settle(s);
  unsigned renders = s->all[at].renders;
  s->all[at].renders = 0;
  return renders;
}

vestry_postgres_stats shown_stats(shown_site *s) {
  vestry_postgres_stats stats = {0};
  vestry_postgres_stats_get(s->database, &stats);
  return stats;
}
