/* SPDX-License-Identifier: MIT */
/* A window over a table of a million rows reads only its rows, and renders when they change. */
#include "sqlite/level.h"
#include "sqlite/shown.h"
#include "vestry/app/window.h"

typedef struct suite {
  site on;
  char folder[FOLDER_BYTES], path[96];
  sqlite3 *writer, *reader;
  unsigned renders;
  uint64_t first;
} suite;

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  suite *s = app;
  const vestry_window_options options = {.id = "birds", .rows = {.count = 1000000}};
  vestry_window window = {0};
  sqlite3_stmt *row = NULL;
  vestry_render_begin(render, html);
  vestry_err error = vestry_window_begin(render, html, &options, &window);
  if (error) return error;
  s->renders += render->is_stream;
  s->first = window.first_row;
  assert_int_equal(
      sqlite3_prepare_v2(s->reader, "SELECT id, name FROM bird WHERE id >= ? AND id < ? ORDER BY id", -1, &row, NULL),
      SQLITE_OK);
  sqlite3_bind_int64(row, 1, (sqlite3_int64)window.first_row);
  sqlite3_bind_int64(row, 2, (sqlite3_int64)(window.first_row + window.rows_count));
  while (sqlite3_step(row) == SQLITE_ROW)
    vestry_html_add(html, "<p id=\"bird-%d\">%s</p>", sqlite3_column_int(row, 0),
                    (const char *)sqlite3_column_text(row, 1));
  sqlite3_finalize(row);
  vestry_window_end(html, &window);
  return vestry_render_end(render, html);
}

/* capability: L2 */
TEST_CASE(commit_outside_the_window_renders_nothing) {
  suite s = {0};
  vestry_page *page;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached[2];
  level_needs_pages();
  folder_make(s.folder, "window");
  snprintf(s.path, sizeof s.path, "%s/window.db", s.folder);
  assert_int_equal(sqlite3_open(s.path, &s.writer), SQLITE_OK);
  shown_run(s.writer, "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;"
                      "CREATE TABLE bird(id INTEGER PRIMARY KEY, name);"
                      "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 999999) "
                      "INSERT INTO bird SELECT i, 'bird' FROM n");
  assert_int_equal(sqlite3_open(s.path, &s.reader), SQLITE_OK);
  site_begin_pages(&s.on, (vestry_options){0}, NULL);
  const vestry_page_options options = {.render = render, .layout = "birds", .app = &s};
  assert_int_equal(vestry_page_create(s.on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/birds", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_sqlite_create(
                       s.on.pages,
                       &(vestry_sqlite_options){.path = s.path, .poll_ms = 60000, .level = VESTRY_SQLITE_FILE_PAGES},
                       &database),
                   VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(database, s.writer, &attached[0]), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(database, s.reader, &attached[1]), VESTRY_OK);
  vestry_memory_exchange *tab =
      site_request(&s.on, &(vestry_memory_call){.path = "/birds", .query = "birds=500000", .datastar = true});
  site_settle_pages(&s.on);
  unsigned before = s.renders;
  assert_true(before > 0 && s.first <= 500000 && s.first + 90 > 500000);
  static const char *const outside[] = {"0", "400000", "600000", "999999"};
  for (size_t i = 0; i < sizeof outside / sizeof *outside; i++) {
    char sql[100];
    snprintf(sql, sizeof sql, "UPDATE bird SET name = 'gull' WHERE id = %s", outside[i]);
    shown_run(s.writer, sql);
    assert_int_equal(vestry_sqlite_sync(database, NULL), VESTRY_OK);
    site_settle_pages(&s.on);
    assert_int_equal(s.renders, before);
  }
  shown_run(s.writer, "UPDATE bird SET name = 'wren' WHERE id = 500010");
  assert_int_equal(vestry_sqlite_sync(database, NULL), VESTRY_OK);
  site_settle_pages(&s.on);
  assert_int_equal(s.renders, before + 1);
  assert_non_null(strstr(vestry_memory_look(tab).received.data, "<p id=\"bird-500010\">wren</p>"));
  vestry_memory_destroy(tab);
  site_settle(&s.on);
  vestry_sqlite_detach(attached[0]);
  vestry_sqlite_detach(attached[1]);
  vestry_sqlite_destroy(database);
  site_end(&s.on);
  sqlite3_close(s.reader);
  sqlite3_close(s.writer);
  folder_remove(s.folder);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/window", NULL, NULL);
}
