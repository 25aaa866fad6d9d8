/* SPDX-License-Identifier: MIT */
/* No value of an application's data is exposed. Marks are planted in bound values, literals and rows, and so in
 * rendered pages; no observe route and no log line contains a mark. Names of tables may appear. */
#include "sqlite/level.h"
#include "sqlite/shown.h"
#include "vestry/data/sqlite.h"
#include "vestry/ops/observe.h"

#define MARK "zq7xk"

typedef struct suite {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sqlite_level level;
  vestry_sqlite *database;
  vestry_sql_pool *pool;
  vestry_observe *observe;
  vestry_memory_exchange *tab;
} suite;

static _Atomic(int) lines_count;
static _Atomic(bool) is_logged;

static void look_at_log(void *ctx, vestry_log_level level, const char *line) {
  if (strstr(line, MARK)) is_logged = true;
  lines_count++;
}

static void add_row(const vestry_sql_row *row, void *html) {
  vestry_html_add(html, "<p>%s</p>", vestry_sql_text(row, 0));
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(s->pool, VESTRY_SQL_READ, &transaction);
  if (error) return error;
  vestry_render_begin(render, html);
  error = vestry_sql_run(transaction, "SELECT name FROM bird WHERE name = ? OR name <> '" MARK "literal'",
                         VESTRY_LIST(MARK "bound"), add_row, html);
  error = vestry_sql_end(transaction, error);
  return error ? error : vestry_render_end(render, html);
}

static vestry_err add_metrics(vestry_metrics *metrics, void *ctx) {
  const suite *s = ctx;
  vestry_err error = vestry_sqlite_metrics(metrics, s->database);
  return error ? error : vestry_sqlite_pool_metrics(metrics, s->pool);
}

static void run(suite *s, const char *sql, const vestry_value *values, vestry_err expected) {
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, values, NULL, NULL), expected);
}

static void begin(suite *s, vestry_sqlite_level level) {
  sqlite3 *db;
  vestry_page *page;
  *s = (suite){.level = level};
  folder_make(s->folder, "secrets");
  snprintf(s->path, sizeof s->path, "%s/secrets.db", s->folder);
  assert_int_equal(sqlite3_open(s->path, &db), SQLITE_OK);
  shown_run(
      db,
      "PRAGMA journal_mode = WAL; CREATE TABLE bird(id INTEGER PRIMARY KEY, name UNIQUE, weight CHECK(weight <> 7));"
      "INSERT INTO bird(name) VALUES('" MARK "row')");
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  s->on.th.host.log = look_at_log;
  assert_int_equal(
      vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.path = s->path, .host = &s->on.th.host}, &s->pool),
      VESTRY_OK);
  const vestry_sqlite_options followed = {.path = s->path, .level = level, .poll_ms = 60000};
  assert_int_equal(vestry_sqlite_create(s->on.pages, &followed, &s->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, s->database), VESTRY_OK);
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/birds", vestry_page_handler, page), VESTRY_OK);
  const vestry_observe_options options = {
      .trusts_loopback = true, .pages = s->on.pages, .more = add_metrics, .more_ctx = s};
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
  s->tab = site_request(&s->on, &(vestry_memory_call){.path = "/birds", .datastar = true});
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
  site_settle_pages(&s->on);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  vestry_memory_destroy(s->tab);
  site_settle(&s->on);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, NULL), VESTRY_OK);
  vestry_sqlite_destroy(s->database);
  vestry_sql_pool_destroy(s->pool);
  site_end(&s->on);
  folder_remove(s->folder);
}

static vestry_memory_exchange *look(suite *s, const char *path) {
  static const vestry_header host = {"Host", "localhost"};
  vestry_memory_exchange *made = site_request(
      &s->on, &(vestry_memory_call){.path = path, .peer = "127.0.0.1", .headers = &host, .headers_count = 1});
  site_settle(&s->on);
  return made;
}

static void assert_no_mark(suite *s, const char *has) {
  static const char *const paths[] = {"metrics", "live",  "ready",   "streams", "streams/1",     "closed",
                                      "store",   "pages", "cluster", "console", "console/events"};
  bool is_found = false;
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    char path[64];
    snprintf(path, sizeof path, "/observe/%s", paths[i]);
    vestry_memory_exchange *answer = look(s, path);
    const vestry_memory_seen seen = vestry_memory_look(answer);
    assert_int_equal(seen.status, 200);
    assert_true(seen.received.len > 0);
    if (strstr(seen.received.data, MARK)) fail_msg("%s shows %s", path, (const char *)seen.received.data);
    is_found |= strcmp(paths[i], "pages") == 0 && strstr(seen.received.data, has);
    vestry_memory_destroy(answer);
    site_settle(&s->on);
  }
  assert_true(is_found);
}

/* Run statements that fail, each with a log line. */
static void fail_all(suite *s) {
  static const char *const wrong[] = {"INSERT INTO bird(name) VALUES('" MARK "row')",
                                      "INSERT INTO bird(name, weight) VALUES('" MARK "', 7)",
                                      "SELECT 1 '" MARK "' '" MARK "' FROM bird",
                                      "SELECT 'it''s " MARK "', 1 FROM nest",
                                      "SELECT name FROM bird WHERE name = '" MARK,
                                      "SELECT x'" MARK "' FROM bird",
                                      "SELECT \"" MARK "\", \"it's\", '" MARK "' FRM bird",
                                      "SELECT json_extract(name, '" MARK "') FROM bird",
                                      "SELECT 1 /* '*/ WHERE name IN ('" MARK "') AND",
                                      "SELECT 1 -- '\n WHERE name IN ('" MARK "') AND",
                                      "SELECT [it's], '" MARK "' FROM bird",
                                      "SELECT `it's`, '" MARK "' FROM bird",
                                      "SELECT name FROM bird WHERE id IN (1, 12" MARK ")"};
  const int before = lines_count;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) run(s, wrong[i], NULL, VESTRY_IO);
  run(s, "INSERT INTO bird(name) VALUES(?)", VESTRY_LIST(MARK "row"), VESTRY_IO);
  run(s, "SELECT json_extract(?, ?) FROM bird", VESTRY_LIST(MARK "{", MARK "["), VESTRY_IO);
  run(s, "SELECT '" MARK "', ?", NULL, VESTRY_INVALID);
  assert_int_equal(lines_count - before, (int)(sizeof wrong / sizeof *wrong) + 3);
  assert_false(is_logged);
}

/* Write rows by bound values and by literals. The page renders, and its tab receives the marks. */
static void write_rows(suite *s) {
  run(s, "INSERT INTO bird(name) VALUES(?)", VESTRY_LIST(MARK "bound"), VESTRY_OK);
  run(s, "INSERT INTO bird(name) VALUES('" MARK "written')", NULL, VESTRY_OK);
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
  site_settle_pages(&s->on);
  assert_non_null(strstr(vestry_memory_look(s->tab).received.data, MARK "written"));
}

static void follow(vestry_sqlite_level level, const char *has) {
  suite s;
  begin(&s, level);
  vestry_memory_exchange *tail = look(&s, "/observe/streams/1/tail");
  write_rows(&s);
  site_settle(&s.on);
  const vestry_memory_seen seen = vestry_memory_look(tail);
  assert_non_null(strstr(seen.received.data, MARK "written")); /* a tail shows events as they are sent */
  assert_no_mark(&s, has);
  vestry_memory_destroy(tail);
  vestry_memory_mode_set(s.tab, VESTRY_MEMORY_HANGS_UP);
  site_settle(&s.on);
  assert_no_mark(&s, has); /* nor after the stream has ended */
  end(&s);
  assert_false(is_logged);
}

/* capability: H1, H4 */
TEST_CASE(observe_routes_contain_no_value) {
  follow(VESTRY_SQLITE_TABLES, "\"table bird\"");
}

/* capability: H1, H4 */
TEST_CASE(observe_routes_contain_no_value_by_file_pages) {
  level_needs_pages();
  follow(VESTRY_SQLITE_FILE_PAGES, "\"table bird\"");
}

TEST_CASE(log_contains_no_value) {
  suite s;
  begin(&s, VESTRY_SQLITE_TABLES);
  fail_all(&s);
  end(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/secrets", NULL, NULL);
}
