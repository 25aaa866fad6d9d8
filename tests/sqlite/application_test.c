/* SPDX-License-Identifier: MIT */
/* An application over SQLite: everything in one file, which survives a restart; and the undoing of an incomplete
 * application. */
#include "vestry/app/application.h"

#include <sqlite3.h>
#include <stdlib.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/data/sqlite.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/browser.h"

static char folder[FOLDER_BYTES], path[96];
static const char schema[] = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)";

static void add_note(const vestry_sql_row *row, void *html) {
  vestry_html_add(html, "<li>%s</li>", vestry_sql_text(row, 0));
}

static vestry_err notes(vestry_render *render, vestry_html *html, void *ctx) {
  vestry_application *app = ctx;
  const char *user = vestry_session_user(render->request);
  vestry_err error = vestry_application_document_begin(app, render, html, NULL);
  if (error) return error;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<i>%s</i>", user ? user : "nobody");
  error = vestry_sql_read(app->pool, "SELECT text FROM note ORDER BY id", NULL, add_note, html);
  if (error && error != VESTRY_NOT_FOUND) return error;
  vestry_render_end(render, html);
  return vestry_application_document_end(html);
}

static vestry_err login(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  return vestry_session_login(req, reply, "ada") ? VESTRY_IO : vestry_reply_redirect(reply, 303, "/");
}

/* A press enqueues a job in its transaction, and the job writes the note. */
static vestry_err enqueue(vestry_sql_transaction *transaction, void *jobs) {
  return vestry_jobs_enqueue(jobs, transaction, &(vestry_job_order){.kind = "note", .payload = {"done later", 10}},
                             NULL);
}

static vestry_err press(const vestry_request *req, vestry_reply *reply, void *ctx) {
  vestry_application *app = ctx;
  (void)req;
  vestry_err error = vestry_sql_act(app->pool, VESTRY_SQL_WRITE, enqueue, app->jobs);
  return error ? error : vestry_reply_status(reply, 204);
}

static vestry_err write_note(vestry_job *job, void *ctx) {
  vestry_application *app = ctx;
  return vestry_sql_run_alone(app->pool, "INSERT INTO note(text) VALUES($1)",
                              VESTRY_LIST((const char *)job->payload.data), NULL, NULL);
}

static vestry_err create(test_host *th, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_sqlite_pool_options pool = {
      .path = path, .schema = schema, .schema_version = 1, .setup = "PRAGMA synchronous = OFF", .connections_count = 2};
  const vestry_application_options options = {
      .name = "notes",
      .insecure = true,
      .instance = &instance,
      .database = &vestry_sqlite_application,
      .database_options = &(vestry_sqlite_database){.pool = &pool},
      .forms = &(vestry_forms_options){0},
      .jobs = &(vestry_jobs_options){0},
  };
  return vestry_application_create(&options, ret_app);
}

static void begin(test_host *th, vestry_application **ret_app) {
  test_host_init(th);
  assert_int_equal(create(th, ret_app), VESTRY_OK);
  vestry_application *app = *ret_app;
  assert_int_equal(vestry_application_page(app, "/", &(vestry_page_options){.render = notes}), VESTRY_OK);
  assert_int_equal(vestry_route(app->instance, "POST", "/login", login, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(app->instance, "POST", "/press", press, app), VESTRY_OK);
  assert_int_equal(vestry_jobs_on(app->jobs, "note", write_note, app), VESTRY_OK);
}

static void token_of(vestry_memory_exchange *document, char token[VESTRY_CSRF_TOKEN_BYTES]) {
  const char *at = strstr(vestry_memory_look(document).received.data, "_csrf=\"'");
  assert_non_null(at);
  snprintf(token, VESTRY_CSRF_TOKEN_BYTES, "%s", at + strlen("_csrf=\"'"));
}

static void assert_metrics(vestry_application *app) {
  static char text[200000];
  const vestry_observe_options options = {.more = vestry_application_metrics, .more_ctx = app};
  vestry_observe *observe;
  assert_int_equal(vestry_observe_create(app->instance, &options, &observe), VESTRY_OK);
  assert_int_equal(vestry_observe_metrics(observe, VESTRY_METRICS_OPEN, text, sizeof text, NULL), VESTRY_OK);
  assert_non_null(strstr(text, "\nvestry_sqlite_connections "));
  assert_non_null(strstr(text, "\nvestry_sqlite_pool_checkouts_total "));
  assert_int_equal(vestry_application_metrics(NULL, NULL), VESTRY_INVALID);
  vestry_observe_destroy(observe);
}

/* capability: L16 */
static void commits_jobs_sessions_and_secret_are_in_one_file(void **state) {
  (void)state;
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document, *tab, *answer;
  char token[VESTRY_CSRF_TOKEN_BYTES], cookie[128];
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  begin(&th, &app);
  vestry_sqlite_stats stats = {.size = sizeof stats};
  vestry_sqlite_stats_get(app->database, &stats);
  assert_int_equal(stats.level, VESTRY_SQLITE_FILE_PAGES);
  assert_metrics(app);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_get(ada, "/", &document), VESTRY_OK);
  token_of(document, token);
  vestry_memory_destroy(document);
  assert_int_equal(vestry_browser_form(ada, "/login", VESTRY_OBJECT("csrf", (const char *)token), &document),
                   VESTRY_OK);
  assert_non_null(strstr(vestry_memory_look(document).received.data, "<i>ada</i>"));
  token_of(document, token);
  vestry_memory_destroy(document);
  assert_int_equal(vestry_browser_send(ada, "GET", "/", NULL, &tab), VESTRY_OK);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK);
  (void)vestry_memory_since(tab);
  assert_int_equal(vestry_browser_send(ada, "POST", "/press", VESTRY_OBJECT("csrf", (const char *)token), &answer),
                   VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK); /* runs the job, and renders its commit */
  assert_non_null(strstr(vestry_memory_since(tab).data, "<li>done later</li>"));
  snprintf(cookie, sizeof cookie, "session=%s", vestry_browser_cookie(ada, "session"));
  vestry_memory_destroy(tab);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);

  /* After a restart, the user is logged in, and a token of a page from before is valid: the secret is the same. */
  begin(&th, &app);
  const vestry_header headers[] = {{"Cookie", cookie}, {"X-CSRF-Token", token}};
  const vestry_memory_call posted = {
      .method = "POST", .path = "/press", .datastar = true, .headers = headers, .headers_count = 2};
  assert_int_equal(vestry_memory_request(app->instance, &posted, NULL, NULL, &answer), VESTRY_OK);
  assert_int_equal(vestry_memory_look(answer).status, 204);
  vestry_memory_destroy(answer);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK);
  const vestry_memory_call page = {.headers = headers, .headers_count = 1};
  assert_int_equal(vestry_memory_request(app->instance, &page, NULL, NULL, &document), VESTRY_OK);
  assert_non_null(strstr(vestry_memory_look(document).received.data, "<i>ada</i>"));
  assert_non_null(strstr(vestry_memory_look(document).received.data, "<li>done later</li><li>done later</li>"));
  vestry_memory_destroy(document);
  assert_int_equal(vestry_application_run(app, NULL, NULL), VESTRY_INVALID); /* settle has run jobs */
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
  folder_remove(folder);
}

static vestry_err create_and_end(test_host *th, void *ctx) {
  vestry_application *app = ctx;
  vestry_err error = create(th, &app);
  if (error) assert_ptr_equal(app, ctx);
  return error ? error : vestry_application_destroy(app);
}

/* capability: L16 */
static void each_failed_allocation_is_undone(void **state) {
  (void)state;
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  test_host_fail_each(create_and_end, NULL, true);
  folder_remove(folder);
}

static void run(const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* capability: L16 */
static void damaged_secret_is_reported(void **state) {
  (void)state;
  test_host th;
  vestry_application *app = NULL;
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  test_host_init(&th);
  assert_int_equal(create(&th, &app), VESTRY_OK);
  assert_int_equal(vestry_sql_secret_set(app->pool, app->instance), VESTRY_EXISTS);
  assert_int_equal(vestry_sql_secret_set(app->pool, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_secret_set(NULL, app->instance), VESTRY_INVALID);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  app = NULL;
  run("UPDATE vestry_secret SET secret = x'00'");
  assert_int_equal(create(&th, &app), VESTRY_IO);
  assert_null(app);
  assert_non_null(strstr(th.last_log, "the secret of its instance"));
  run("DELETE FROM vestry_secret");
  assert_int_equal(create(&th, &app), VESTRY_OK);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  snprintf(path, sizeof path, "%s/missing/notes.db", folder);
  assert_int_equal(create(&th, &app), VESTRY_IO);
  assert_non_null(strstr(th.last_log, "application notes: cannot create its database (IO)"));
  test_host_assert_clean(&th);
  folder_remove(folder);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(commits_jobs_sessions_and_secret_are_in_one_file),
      cmocka_unit_test(each_failed_allocation_is_undone),
      cmocka_unit_test(damaged_secret_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
