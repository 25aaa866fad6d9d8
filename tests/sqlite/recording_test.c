/* SPDX-License-Identifier: MIT */
/* A read fails in a render, and the page shows other content. The page renders again later. */
#include <pthread.h>
#include <stdatomic.h>

#include "support/folder.h"
#include "support/site.h"
#include "support/until.h"
#include "vestry/data/sqlite.h"

typedef struct scene {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
  vestry_sqlite *database;
  vestry_memory_exchange *stream;
  const char *sql;
  vestry_sql_kind use; /* 0: the read has a transaction by itself */
  bool is_starved;     /* SQLite has no memory for the read */
  char text[40];
  unsigned renders;
} scene;

static void copy_first_column(const vestry_sql_row *row, void *ctx) {
  snprintf(ctx, 40, "%s", vestry_sql_text(row, 0));
}

static vestry_err read_text(scene *s) {
  vestry_sql_transaction *transaction;
  if (!s->use) return vestry_sql_read(s->pool, s->sql, NULL, copy_first_column, s->text);
  vestry_err error = vestry_sql_begin(s->pool, s->use, &transaction);
  return error ? error
               : vestry_sql_end(transaction, vestry_sql_run(transaction, s->sql, NULL, copy_first_column, s->text));
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  scene *s = app;
  s->renders++;
  vestry_err error = vestry_render_topic(render, "own");
  if (s->is_starved) sqlite3_hard_heap_limit64(sqlite3_memory_used() + 1);
  if (!error) error = read_text(s);
  sqlite3_hard_heap_limit64(0);
  if (error) snprintf(s->text, sizeof s->text, "%s", vestry_err_name(error));
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%s</b>", s->text);
  return vestry_render_end(render, html);
}

static void open_scene(scene *s, const char *sql, vestry_sql_kind use, vestry_sqlite_level level) {
  vestry_page *page;
  memset(s, 0, sizeof *s);
  s->sql = sql;
  s->use = use;
  folder_make(s->folder, "reads");
  snprintf(s->path, sizeof s->path, "%s/x.db", s->folder);
  site_begin_pages(&s->on, (vestry_options){0}, NULL);
  const vestry_sqlite_pool_options options = {.host = &s->on.th.host,
                                              .path = s->path,
                                              .schema = "CREATE TABLE t(id INTEGER PRIMARY KEY, v TEXT);"
                                                        "INSERT INTO t VALUES(1, 'one'); CREATE TABLE other(x)",
                                              .schema_version = 1,
                                              .connections_count = 1,
                                              .wait_ms = 1,
                                              .busy_ms = 1};
  assert_int_equal(vestry_sqlite_pool_create(&options, &s->pool), VESTRY_OK);
  assert_int_equal(
      vestry_sqlite_create(s->on.pages, &(vestry_sqlite_options){.path = s->path, .level = level}, &s->database),
      VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, s->database), VESTRY_OK);
  assert_int_equal(vestry_page_create(s->on.pages, &(vestry_page_options){.render = render, .app = s}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", vestry_page_handler, page), VESTRY_OK);
  s->stream = site_request(&s->on, &(vestry_memory_call){.path = "/", .datastar = true});
  site_settle(&s->on);
}

static void close_scene(scene *s) {
  vestry_memory_destroy(s->stream);
  site_settle(&s->on);
  assert_int_equal(vestry_sqlite_pool_follow(s->pool, NULL), VESTRY_OK);
  vestry_sql_pool_destroy(s->pool);
  vestry_sqlite_destroy(s->database);
  site_end(&s->on);
  folder_remove(s->folder);
}

static void commit(scene *s, const char *sql) {
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sqlite_sync(s->database, NULL), VESTRY_OK);
  site_settle(&s->on);
  site_pass_ms(&s->on, 20);
}

typedef struct holder {
  scene *s;
  _Atomic(int) is_held; /* 1: held; 2: to be released */
} holder;

static void *hold(void *ctx) {
  holder *h = ctx;
  vestry_sql_transaction *transaction;
  const vestry_err error = vestry_sql_begin(h->s->pool, h->s->use, &transaction);
  atomic_store(&h->is_held, 1);
  UNTIL(atomic_load(&h->is_held) == 2);
  return error || vestry_sql_end(transaction, VESTRY_OK) ? ctx : NULL;
}

/* After any commit, unless the page reads aside; otherwise after one second, and then two. */
TEST_CASE(page_without_a_free_connection_renders_again) {
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_DEFAULT, VESTRY_SQLITE_TABLES};
  for (int i = 0; i < 8; i++) {
    scene s;
    pthread_t thread;
    void *failed;
    const bool is_aside = i & 1, by_commit = i & 2 && !is_aside;
    open_scene(&s, "SELECT v FROM t WHERE id = 1", is_aside ? VESTRY_SQL_READ_ASIDE : VESTRY_SQL_READ, levels[i / 4]);
    assert_string_equal(s.text, "one");
    holder h = {.s = &s};
    assert_int_equal(pthread_create(&thread, NULL, hold, &h), 0);
    UNTIL(atomic_load(&h.is_held));
    assert_int_equal(vestry_refresh(s.on.pages, "own", NULL), VESTRY_OK);
    site_pass_ms(&s.on, 20);
    assert_string_equal(s.text, "LIMIT");
    site_pass_ms(&s.on, 1000);
    assert_string_equal(s.text, "LIMIT");
    atomic_store(&h.is_held, 2);
    pthread_join(thread, &failed);
    assert_null(failed);
    if (by_commit)
      commit(&s, "INSERT INTO other VALUES(1)");
    else
      site_pass_ms(&s.on, 2000);
    assert_string_equal(s.text, "one");
    s.renders = 0;
    for (int j = 0; j < 60; j++) site_pass_ms(&s.on, 1000);
    assert_int_equal(s.renders, 0); /* the page is current */
    if (!is_aside) commit(&s, "UPDATE t SET v = 'two'");
    if (by_commit) assert_string_equal(s.text, "two");
    close_scene(&s);
  }
}

/* Time does not help, but a commit may. */
TEST_CASE(page_with_a_failed_statement_depends_on_all_commits) {
  scene s;
  open_scene(&s, "SELECT abs(-9223372036854775808) FROM t WHERE v = 'one'", VESTRY_SQL_READ, VESTRY_SQLITE_DEFAULT);
  assert_string_equal(s.text, "IO");
  s.renders = 0;
  for (int j = 0; j < 60; j++) site_pass_ms(&s.on, 1000);
  assert_int_equal(s.renders, 0);
  commit(&s, "INSERT INTO other VALUES(1)");
  assert_int_equal(s.renders, 1);
  close_scene(&s);
}

static void render_and_expect(scene *s, const char *text) {
  assert_int_equal(vestry_refresh(s->on.pages, "own", NULL), VESTRY_OK);
  site_pass_ms(&s->on, 20);
  assert_string_equal(s->text, text);
}

TEST_CASE(page_whose_read_cannot_be_prepared_renders_again) {
  for (int by_commit = 0; by_commit < 2; by_commit++) {
    scene s;
    open_scene(&s, "SELECT v FROM t WHERE id = 1", (vestry_sql_kind)0, VESTRY_SQLITE_DEFAULT);
    assert_string_equal(s.text, "one");
    s.sql = "SELECT v FROM t WHERE id = 1 LIMIT 1"; /* this text is not prepared yet */
    s.is_starved = true;
    render_and_expect(&s, "NO_MEMORY");
    s.is_starved = false;
    if (by_commit)
      commit(&s, "INSERT INTO other VALUES(1)");
    else
      site_pass_ms(&s.on, 1000);
    assert_string_equal(s.text, "one");
    close_scene(&s);
  }
}

/* The read also writes, and another program is writing. */
TEST_CASE(page_that_cannot_begin_to_write_renders_again) {
  static const vestry_sql_kind uses[] = {(vestry_sql_kind)0, VESTRY_SQL_WRITE};
  for (int i = 0; i < 2; i++) {
    scene s;
    sqlite3 *other;
    open_scene(&s, "UPDATE t SET v = v WHERE id = 1 RETURNING v", uses[i], VESTRY_SQLITE_DEFAULT);
    assert_string_equal(s.text, "one");
    assert_int_equal(sqlite3_open(s.path, &other), SQLITE_OK);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    render_and_expect(&s, "LIMIT");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    site_pass_ms(&s.on, 1000);
    assert_string_equal(s.text, "one");
    close_scene(&s);
  }
}

int main(void) {
  (void)vestry_sqlite_record_pages();
  return cases_run("sqlite/recording", NULL, NULL);
}
