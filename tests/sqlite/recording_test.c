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
  vestry_sql_kind use;
  char text[40];
  unsigned renders;
} scene;

static void copy_first_column(const vestry_sql_row *row, void *ctx) {
  snprintf(ctx, 40, "%s", vestry_sql_text(row, 0));
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  scene *s = app;
  vestry_sql_transaction *loan;
  s->renders++;
  vestry_err error = vestry_render_topic(render, "own");
  if (!error) error = vestry_sql_begin(s->pool, s->use, &loan);
  if (!error) error = vestry_sql_end(loan, vestry_sql_run(loan, s->sql, NULL, copy_first_column, s->text));
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
                                              .wait_ms = 1};
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
  vestry_sql_transaction *loan;
  const vestry_err error = vestry_sql_begin(h->s->pool, h->s->use, &loan);
  atomic_store(&h->is_held, 1);
  UNTIL(atomic_load(&h->is_held) == 2);
  return error || vestry_sql_end(loan, VESTRY_OK) ? ctx : NULL;
}

/* After any commit, unless the page reads aside; otherwise after one second, and then two. */
static void page_without_a_free_connection_renders_again(void **state) {
  (void)state;
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_DEFAULT, VESTRY_SQLITE_TABLES, VESTRY_SQLITE_TOPICS};
  for (int i = 0; i < 12; i++) {
    scene s;
    pthread_t thread;
    void *failed;
    const bool is_aside = i & 1, by_commit = i & 2 && !is_aside && levels[i / 4] != VESTRY_SQLITE_TOPICS;
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
static void page_with_a_failed_statement_depends_on_all_commits(void **state) {
  (void)state;
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

int main(void) {
  (void)vestry_sqlite_record_pages();
  const struct CMUnitTest tests[] = {cmocka_unit_test(page_without_a_free_connection_renders_again),
                                     cmocka_unit_test(page_with_a_failed_statement_depends_on_all_commits)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
