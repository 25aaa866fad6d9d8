/* SPDX-License-Identifier: MIT */
/* The size of the WAL: unbounded during a reader that does not end, and reset without
 * lost refreshes. */
#include <sys/stat.h>

#include "support/folder.h"
#include "support/site.h"
#include "support/until.h"
#include "vestry/data/sqlite.h"

enum { MAX_BYTES = 1 << 20, ROW_BYTES = 64 << 10 };

typedef struct scene {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
  vestry_sqlite *database;
} scene;

static const char schema[] = "CREATE TABLE t(id INTEGER PRIMARY KEY, v BLOB); INSERT INTO t VALUES(1, 'one')";

static void open_scene(scene *s) {
  memset(s, 0, sizeof *s);
  folder_make(s->folder, "wal");
  snprintf(s->path, sizeof s->path, "%s/x.db", s->folder);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  const vestry_sqlite_pool_options options = {
      .host = &s->on.th.host, .path = s->path, .schema = schema, .schema_version = 1, .max_wal_bytes = MAX_BYTES};
  assert_int_equal(vestry_sqlite_pool_create(&options, &s->pool), VESTRY_OK);
}

static void close_scene(scene *s) {
  site_settle(&s->on);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, NULL), VESTRY_OK);
  vestry_sql_pool_destroy(s->pool);
  if (s->database) vestry_sqlite_destroy(s->database);
  site_end(&s->on);
  folder_remove(s->folder);
}

static uint64_t wal_bytes(const scene *s) {
  char path[120];
  struct stat is;
  snprintf(path, sizeof path, "%s-wal", s->path);
  return stat(path, &is) == 0 ? (uint64_t)is.st_size : 0;
}

static vestry_sql_pool_stats stats_of(const scene *s) {
  vestry_sql_pool_stats stats = {0};
  vestry_sql_pool_stats_get(s->pool, &stats);
  return stats;
}

static void write_row(scene *s) {
  assert_int_equal(
      vestry_sql_run_alone(s->pool, "INSERT INTO t(v) VALUES(zeroblob(?))", VESTRY_LIST(ROW_BYTES), NULL, NULL),
      VESTRY_OK);
}

/* With a reader of another program, commits continue and one line is logged. After the reader's end the WAL is
 * reset. */
TEST_CASE(reader_that_blocks_the_checkpoint_is_logged_once) {
  scene s;
  sqlite3 *other;
  sqlite3_stmt *statement;
  open_scene(&s);
  assert_int_equal(sqlite3_open(s.path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(other, "SELECT id FROM t", -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  const long lines = s.on.th.log_lines;
  while (stats_of(&s).wal_stuck_count < 3) write_row(&s);
  assert_int_equal(s.on.th.log_lines, lines + 1);
  assert_non_null(strstr(s.on.th.last_log,
                         "cannot be emptied, because a connection of this or of another program has been reading"));
  assert_true(wal_bytes(&s) > MAX_BYTES);
  sqlite3_finalize(statement);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  for (int i = 0; wal_bytes(&s) > MAX_BYTES; i++) { /* the reset is tried again when the WAL has grown by half */
    assert_in_range(i, 0, 256);
    write_row(&s);
  }
  assert_int_equal(s.on.th.log_lines, lines + 1);
  close_scene(&s);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  scene *s = app;
  int64_t count = 0;
  vestry_err error = vestry_sql_run_alone(s->pool, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &count);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", (int)count);
  return vestry_render_end(render, html);
}

/* The commit before the reset is followed, and no commit counts as lost. */
TEST_CASE(commits_before_a_wal_reset_are_followed) {
  scene s;
  vestry_page *page;
  open_scene(&s);
  assert_int_equal(vestry_sqlite_create(s.on.pages, &(vestry_sqlite_options){.path = s.path}, &s.database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(s.pool, s.database), VESTRY_OK);
  assert_int_equal(vestry_page_create(s.on.pages, &(vestry_page_options){.render = render, .app = &s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s.on.v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  vestry_memory_exchange *stream = site_request(&s.on, &(vestry_memory_call){.path = "/", .datastar = true});
  site_settle_pages(&s.on);
  for (int i = 1; i <= 64; i++) write_row(&s);
  assert_in_range(wal_bytes(&s), 0, MAX_BYTES);
  assert_int_equal(vestry_sqlite_sync(s.database, NULL), VESTRY_OK);
  site_settle_pages(&s.on);
  assert_non_null(strstr(vestry_memory_look(stream).received.data, "<b>65</b>"));
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s.database, &stats);
  assert_int_equal(stats.whole_count, 0);
  vestry_memory_destroy(stream);
  close_scene(&s);
}

int main(void) {
  (void)vestry_sqlite_record_pages();
  return cases_run("sqlite/checkpoint", NULL, NULL);
}
