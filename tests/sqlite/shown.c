/* SPDX-License-Identifier: MIT */
#include "sqlite/shown.h"

#include <stdlib.h>

#include "sqlite/level.h"

const char shown_channels[] = "CREATE TABLE message(channel INT, id INT, body, likes INT DEFAULT 0, "
                              "PRIMARY KEY(channel, id)) WITHOUT ROWID;"
                              "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 3999) "
                              "INSERT INTO message SELECT i / 400, i % 400, hex(zeroblob(40)), 0 FROM n;"
                              "CREATE TABLE other(x); CREATE TABLE name(id INTEGER PRIMARY KEY, text)";
const char shown_first[] = "SELECT id FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 2";
const char shown_eighth[] = "SELECT id FROM message WHERE channel = 8 ORDER BY id DESC LIMIT 2";

void shown_run(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s: %s", sql, message);
}

/* Return the rows of all statements as text. */
void shown_text(sqlite3 *db, const char *sql, char text[SHOWN_TEXT_BYTES]) {
  size_t len = 0;
  text[0] = '\0';
  while (*sql) {
    sqlite3_stmt *row = NULL;
    const char *rest;
    int result;
    if (sqlite3_prepare_v2(db, sql, -1, &row, &rest)) fail_msg("%s: %s", sql, sqlite3_errmsg(db));
    sql = rest;
    while (row && (result = sqlite3_step(row)) == SQLITE_ROW)
      for (int i = 0; i < sqlite3_column_count(row) && len < SHOWN_TEXT_BYTES - 40; i++)
        len +=
            (size_t)snprintf(text + len, SHOWN_TEXT_BYTES - len, "%.30s ", (const char *)sqlite3_column_text(row, i));
    sqlite3_finalize(row);
  }
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  shown_site *s = app;
  shown *is = &s->all[strtoul(render->request->query, NULL, 10)];
  is->renders++;
  shown_text(s->reader, is->sql, is->text);
  if (s->committed) shown_run(s->other, s->committed);
  s->committed = NULL;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", is->text);
  return vestry_render_end(render, html);
}

/* An observer registered before the database's is called last, after the reads are recorded. */
static void begin(vestry_render *render, void *ctx) {
  shown_site *s = ctx;
  if (s->ahead) s->ahead(s, render);
}

static void end(vestry_render *render, void *ctx) {
  shown_site *s = ctx;
  if (s->behind) s->behind(s, render);
  s->behind = NULL;
}

void shown_settle(shown_site *s) {
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
  site_settle_pages(&s->on);
}

/* Open the site's database, which exists. */
static void open_database(shown_site *s, vestry_sqlite_options options) {
  assert_int_equal(sqlite3_open(s->path, &s->reader), SQLITE_OK);
  assert_int_equal(sqlite3_open(s->path, &s->other), SQLITE_OK);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  vestry_page *page;
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_pages_observe(s->on.pages, &(vestry_render_observer){.begin = begin, .end = end, .ctx = s}),
                   VESTRY_OK);
  options.path = s->path;
  options.poll_ms = 60000;
  assert_int_equal(vestry_sqlite_create(s->on.pages, &options, &s->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(s->database, s->writer, &s->attached[0]), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(s->database, s->reader, &s->attached[1]), VESTRY_OK);
}

void shown_open_with(shown_site *s, const char *mode, const char *schema, vestry_sqlite_options options) {
  char sql[100];
  if (options.level == VESTRY_SQLITE_FILE_PAGES) level_needs_pages();
  memset(s, 0, sizeof *s);
  folder_make(s->folder, "shown");
  snprintf(s->path, sizeof s->path, "%s/shown.db", s->folder);
  snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s; PRAGMA synchronous = OFF", mode);
  assert_int_equal(sqlite3_open(s->path, &s->writer), SQLITE_OK);
  shown_run(s->writer, sql);
  shown_run(s->writer, schema);
  open_database(s, options);
}

void shown_join(shown_site *s, const shown_site *first, vestry_sqlite_level level) {
  memset(s, 0, sizeof *s);
  snprintf(s->path, sizeof s->path, "%s", first->path);
  assert_int_equal(sqlite3_open(s->path, &s->writer), SQLITE_OK);
  shown_run(s->writer, "PRAGMA synchronous = OFF");
  open_database(s, (vestry_sqlite_options){.level = level});
}

void shown_open(shown_site *s, const char *schema, vestry_sqlite_level level) {
  shown_open_with(s, "WAL", schema, (vestry_sqlite_options){.level = level});
}

void shown_close(shown_site *s) {
  for (size_t i = 0; i < s->count; i++) vestry_memory_destroy(s->all[i].stream);
  site_settle(&s->on);
  for (int i = 0; i < 2; i++) vestry_sqlite_detach(s->attached[i]);
  vestry_sqlite_destroy(s->database);
  site_close(&s->on);
  assert_int_equal(sqlite3_close(s->writer), SQLITE_OK);
  assert_int_equal(sqlite3_close(s->reader), SQLITE_OK);
  assert_int_equal(sqlite3_close(s->other), SQLITE_OK);
  test_host_assert_clean(&s->on.th);
  if (*s->folder) folder_remove(s->folder);
}

void shown_tab(shown_site *s, size_t at) {
  char query[8];
  snprintf(query, sizeof query, "%zu", at);
  const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
  s->all[at].stream = site_request(&s->on, &call);
  shown_settle(s);
}

size_t shown_watch(shown_site *s, const char *sql) {
  size_t at = s->count++;
  assert_true(at < SHOWN_MOST);
  s->all[at].sql = sql;
  shown_tab(s, at);
  s->all[at].renders = 0;
  return at;
}

/* Follow all commits, and return the number of renders since the last call. */
unsigned shown_renders(shown_site *s, size_t at) {
  shown_settle(s);
  unsigned count = s->all[at].renders;
  s->all[at].renders = 0;
  return count;
}

vestry_sqlite_stats shown_stats(shown_site *s) {
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  return stats;
}
