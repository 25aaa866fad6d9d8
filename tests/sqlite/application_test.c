/* SPDX-License-Identifier: MIT */
/* An application over SQLite: everything in one file, which survives a restart; and the undoing of an incomplete
 * application. */
#include "vestry/app/application.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/guest.h"
#include "vestry/data/sqlite.h"
#include "vestry/ops/observe.h"
#include "vestry/testing/browser.h"

static char folder[FOLDER_BYTES], path[96];
static const char schema[] = "CREATE TABLE note(id INTEGER PRIMARY KEY, text TEXT NOT NULL)";

VESTRY_STRUCT(note, (const char *, text));

static void notes(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_call_content(call);
  vestry_html_add(call->html, "<i>%s</i>", call->user ? call->user : "nobody");
  vestry_rows rows = vestry_call_rows(call, &note_shape, "SELECT text FROM note ORDER BY id", NULL);
  for (const note *at; (at = vestry_next(&rows));) vestry_html_add(call->html, "<li>%s</li>", at->text);
}

static void login(vestry_call *call) {
  vestry_call_fail(call, vestry_session_login(call->req, call->reply, "ada"));
  vestry_call_go(call, "/");
}

/* A press enqueues a job in its transaction, and the job writes the note. */
static void press(vestry_call *call) {
  vestry_call_enqueue(call, "note", -7, 0);
}

static void write_note(vestry_call *call) {
  vestry_call_run(call, "INSERT INTO note(text) VALUES('done later: ' || $1)", VESTRY_LIST(call->key));
}

/* POST /act/{case}: what an act can do. */
static void act(vestry_call *call) {
  int64_t number = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "case", vestry_into_between(&number, 1, 11));
  const char *first = vestry_call_text(call, "SELECT text FROM note ORDER BY id", NULL);
  if (number == 4) assert_null(vestry_call_row(call, &note_shape, "SELECT text FROM note WHERE id = 0", NULL));
  if (number == 5) assert_null(vestry_call_row(call, &note_shape, "SELECT text FROM note UNION SELECT 'x'", NULL));
  assert_true(vestry_call_run(call, "INSERT INTO note(text) VALUES('of an act')", NULL) == !call->error);
  if (call->error) return;
  assert_null(call->reply);
  assert_non_null(vestry_call_row(call, &note_shape, "SELECT text FROM note WHERE text = 'of an act'", NULL));
  assert_string_equal(first, "first"); /* valid until the call ends */
  assert_string_equal(vestry_call_text(call, "SELECT $1 * 6", VESTRY_LIST(7)), "42");
  assert_null(vestry_call_text(call, "SELECT text FROM note WHERE id = 0", NULL));
  assert_null(vestry_call_text(call, "SELECT NULL UNION ALL SELECT 'x'", NULL));
  if (number == 1) vestry_call_refuse(call, "Not %d.", (int)number);
  if (number == 2) vestry_call_run(call, "INSERT INTO nowhere VALUES(1)", NULL);
  if (number == 3) vestry_call_signals(call, VESTRY_OBJECT("sum", vestry_call_integer(call, "SELECT 40 + 2", NULL)));
  if (number == 6) vestry_call_go(call, "/elsewhere/%d", (int)number);
  if (number == 7) assert_false(vestry_call_run(call, "DELETE FROM note WHERE id = 0 RETURNING id", NULL));
  if (number == 8) vestry_call_fail(call, VESTRY_NOT_FOUND);
  if (number == 10) vestry_call_enqueue(call, "nite", 1, 0);
  if (number == 11) vestry_call_enqueue(call, "own", 1, 0);
  vestry_call_fail(call, number == 9 ? VESTRY_FAILED : VESTRY_OK);
  if (!call->error) return;
  assert_int_equal(vestry_call_integer(call, "SELECT 1", NULL), 0); /* nothing is done any more */
  assert_null(vestry_call_text(call, "SELECT 'x'", NULL));
  assert_int_equal(vestry_call_path(call, "case"), 0);
}

/* GET /first */
static void show_first(vestry_call *call) {
  const char *first = vestry_call_text(call, "SELECT text FROM note ORDER BY id", NULL);
  assert_true(call->error ? !first : strcmp(first, "first") == 0);
  const vestry_choice *all = vestry_call_choices(call, "SELECT text AS value, id || '' AS label FROM note", NULL);
  assert_true(call->error ? !all : strcmp(all[0].value, "first") == 0 && strcmp(all[0].label, "1") == 0);
  vestry_call_document(call, first);
}

static void every(vestry_call *call) {
  assert_true(call->job->period_at_ms > 0);
  vestry_call_run(call, "INSERT INTO note(text) VALUES('scheduled')", NULL);
}

static const vestry_entry entries[] = {VESTRY_PAGE("/", notes),
                                       VESTRY_HANDLER("POST", "/login", login),
                                       VESTRY_ACT("/press", press),
                                       VESTRY_ACT("/act/{case}", act),
                                       VESTRY_DOCUMENT("/first", show_first),
                                       VESTRY_JOB("note", write_note),
                                       VESTRY_EVERY("daily", 86400000, every),
                                       {0}};

static vestry_err create(test_host *th, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .name = "notes",
      .insecure = true,
      .instance = &instance,
      VESTRY_SQLITE(.path = path, .schema = schema, .schema_version = 1, .setup = "PRAGMA synchronous = OFF",
                    .connections_count = 2),
      .forms = &(vestry_forms_options){0},
      .jobs = &(vestry_jobs_options){0},
      .entries = entries,
  };
  return vestry_application_create(&options, ret_app);
}

static void begin(test_host *th, vestry_application **ret_app) {
  test_host_init(th);
  assert_int_equal(create(th, ret_app), VESTRY_OK);
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
TEST_CASE(commits_jobs_sessions_and_secret_are_in_one_file) {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document, *tab, *answer;
  char token[VESTRY_CSRF_TOKEN_BYTES], cookie[128];
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  begin(&th, &app);
  vestry_sqlite_stats stats = {0};
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
  assert_non_null(strstr(vestry_memory_since(tab).data, "<li>done later: -7</li>"));
  snprintf(cookie, sizeof cookie, "notes-session=%s", vestry_browser_cookie(ada, "notes-session"));
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
  assert_non_null(strstr(vestry_memory_look(document).received.data, "<li>done later: -7</li><li>done later: -7</li>"));
  vestry_memory_destroy(document);
  assert_int_equal(vestry_application_run(app, NULL, NULL), VESTRY_INVALID); /* settle has run jobs */
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
  folder_remove(folder);
}

static int64_t notes_count(vestry_application *app) {
  int64_t count = -1;
  assert_int_equal(vestry_sql_run_alone(app->pool, "SELECT count(*) FROM note", NULL, vestry_sql_row_integer, &count),
                   VESTRY_OK);
  return count;
}

/* A job of a kind without an entry. */
static vestry_err own_job(vestry_job *job, void *ctx) {
  return job == ctx ? VESTRY_FAILED : VESTRY_OK;
}

/* capability: L23 */
TEST_CASE(act_is_committed_or_undone_as_a_whole) {
  static const struct {
    int status, notes; /* written notes */
    const char *answer;
  } cases[] = {[1] = {200, 0, "{\"_said\":{\"act\":\"Not 1.\"}}"},
               [2] = {500, 0, ""},
               [3] = {200, 1, "{\"sum\":42}"},
               [4] = {204, 1, ""},
               [5] = {500, 0, ""},
               [6] = {200, 1, "/elsewhere/6"},
               [7] = {204, 1, ""},
               [8] = {404, 0, ""},
               [9] = {403, 0, "You may not do this."},
               [10] = {500, 0, ""},
               [11] = {204, 1, ""},
               [12] = {404, 0, ""}};
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *answer;
  char token[VESTRY_CSRF_TOKEN_BYTES], url[32];
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  begin(&th, &app);
  assert_int_equal(vestry_jobs_on(app->jobs, "own", own_job, NULL), VESTRY_OK);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_get(ada, "/", &answer), VESTRY_OK);
  token_of(answer, token);
  vestry_memory_destroy(answer);
  vestry_sql_run_alone(app->pool, "INSERT INTO note(text) VALUES('first')", NULL, NULL, NULL);
  for (int i = 1; i < (int)(sizeof cases / sizeof *cases); i++) {
    const int64_t before = notes_count(app);
    snprintf(url, sizeof url, "/act/%d", i);
    assert_int_equal(vestry_browser_send(ada, "POST", url, VESTRY_OBJECT("csrf", (const char *)token), &answer),
                     VESTRY_OK);
    assert_int_equal(vestry_memory_look(answer).status, cases[i].status);
    assert_non_null(strstr(vestry_memory_look(answer).received.data, cases[i].answer));
    assert_int_equal(notes_count(app) - before, cases[i].notes);
    if (i == 10) assert_non_null(strstr(th.last_log, "no VESTRY_JOB of the table has the kind \"nite\""));
    vestry_sql_run_alone(app->pool, "DELETE FROM note WHERE text = 'of an act'", NULL, NULL, NULL);
    vestry_memory_destroy(answer);
  }
  vestry_browser_destroy(ada);
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
TEST_CASE(each_failed_allocation_is_undone) {
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  test_host_fail_each(create_and_end, NULL, true);
  folder_remove(folder);
}

/* capability: L23 */
TEST_CASE(text_without_memory_is_an_error) {
  const vestry_memory_call get = {.path = "/first"};
  bool has_failed = true;
  folder_make(folder, "application");
  snprintf(path, sizeof path, "%s/notes.db", folder);
  for (long n = 0; has_failed; n++) {
    test_host th;
    vestry_application *app;
    vestry_memory_exchange *answer = NULL;
    begin(&th, &app);
    vestry_sql_run_alone(app->pool, "INSERT INTO note(text) VALUES('first')", NULL, NULL, NULL);
    test_host_fail_in(&th, n);
    vestry_err error = vestry_memory_request(app->instance, &get, NULL, NULL, &answer);
    has_failed = test_host_has_failed(&th);
    test_host_fail_no_more(&th);
    assert_true(has_failed || (!error && strstr(vestry_memory_look(answer).received.data, "<title>first</title>")));
    if (!error) vestry_memory_destroy(answer);
    assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
    test_host_assert_clean(&th);
  }
  folder_remove(folder);
}

static void run(const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

/* capability: L16 */
TEST_CASE(damaged_secret_is_reported) {
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

/* ---- acts that are killed. A process is an application with its own pool of the file. What a killed process does not
 * write is prevented by a trigger. */

static void show_nonce(vestry_call *call) {
  char nonce[VESTRY_ONCE_NONCE_BYTES];
  vestry_call_fail(call, vestry_once_nonce(call->req, nonce));
  vestry_call_fail(call, vestry_reply_bodyf(call->reply, "%s", nonce));
}

static _Atomic(int) marks; /* runs of the act */
static bool is_refused_for_now, has_empty_response, has_signals;

static void mark(vestry_call *call) {
  marks++;
  vestry_call_run(call, "INSERT INTO note(text) VALUES('marked')", NULL);
  if (has_signals) vestry_call_signals(call, VESTRY_OBJECT("marks", 1));
  if (!has_empty_response && !has_signals) vestry_call_go(call, "/marked");
  if (is_refused_for_now) vestry_call_fail(call, VESTRY_LIMIT);
}

static bool has_guests;

static void show_guest(vestry_call *call) {
  vestry_call_fail(call, vestry_reply_bodyf(call->reply, "%s", call->guest ? call->guest : "nobody"));
}

static const vestry_entry guest_entries[] = {VESTRY_HANDLER("GET", "/nonce", show_nonce),
                                             VESTRY_HANDLER("GET", "/marked", show_guest),
                                             VESTRY_ACT("/mark", mark, .makes_guest = true),
                                             {0}};
static const vestry_application_form marked_form = {.action = "/form"};
static const vestry_entry marked_entries[] = {
    VESTRY_HANDLER("GET", "/nonce", show_nonce), VESTRY_ACT("/mark", mark), VESTRY_FORM(&marked_form, mark), {0}};

typedef struct process {
  test_host th;
  vestry_application *app;
  vestry_browser *browser;
} process;

/* No two moments are the same. */
static uint64_t passing(void *ctx) {
  return ++((test_host *)ctx)->now_ns;
}

static void start(process *p, uint64_t act_lease_ms) {
  static uint64_t starts;
  test_host_init(&p->th);
  p->th.seed = ++starts << 32; /* no two processes have the same random numbers */
  p->th.host.now_ns = passing;
  const vestry_options instance = {.host = &p->th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_sqlite_pool_options pool = {
      .path = path, .schema = schema, .schema_version = 1, .setup = "PRAGMA synchronous = OFF", .connections_count = 2};
  const vestry_guests_options guests = {0};
  const vestry_application_options options = {.without =
                                                  (has_guests ? 0 : VESTRY_WITHOUT_SESSIONS) | VESTRY_WITHOUT_CSRF,
                                              .insecure = true,
                                              .guests = has_guests ? &guests : NULL,
                                              .instance = &instance,
                                              .database = &vestry_sqlite_application,
                                              .database_options = &(vestry_sqlite_database){.pool = &pool},
                                              .once = &(vestry_once_options){.wait_ms = 1},
                                              .act_lease_ms = act_lease_ms,
                                              .entries = has_guests ? guest_entries : marked_entries};
  assert_int_equal(vestry_application_create(&options, &p->app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(p->app->instance, &p->browser), VESTRY_OK);
}

static void stop(process *p) {
  vestry_browser_destroy(p->browser);
  assert_int_equal(vestry_application_destroy(p->app), VESTRY_OK);
  test_host_assert_clean(&p->th);
}

static int64_t number_of(process *p, const char *sql) {
  int64_t number = -1;
  assert_int_equal(vestry_sql_read(p->app->pool, sql, NULL, vestry_sql_row_integer, &number), VESTRY_OK);
  return number;
}

static void execute(process *p, const char *sql) {
  assert_int_equal(vestry_sql_run_alone(p->app->pool, sql, NULL, NULL, NULL), VESTRY_OK);
}

static void nonce_for(process *p, char nonce[VESTRY_ONCE_NONCE_BYTES]) {
  vestry_memory_exchange *page;
  assert_int_equal(vestry_browser_get(p->browser, "/nonce", &page), VESTRY_OK);
  snprintf(nonce, VESTRY_ONCE_NONCE_BYTES, "%.64s", (const char *)vestry_memory_look(page).received.data);
  vestry_memory_destroy(page);
}

/* Press the button. Returns the status: 404 is the page to which the act leads. */
static int status_of(process *p, const char *nonce) {
  vestry_memory_exchange *page;
  assert_int_equal(vestry_browser_form(p->browser, "/mark", VESTRY_OBJECT("once", nonce), &page), VESTRY_OK);
  const int status = vestry_memory_look(page).status;
  vestry_memory_destroy(page);
  return status;
}

#define NOTES    "SELECT count(*) FROM note WHERE text = 'marked'"
#define ANSWERED "SELECT count(*) FROM vestry_once WHERE answer IS NOT NULL"
enum { LONG_MS = 600000, SHORT_MS = 1 };

static void begin_marked(process *one, process *other, uint64_t act_lease_ms) {
  folder_make(folder, "marked");
  snprintf(path, sizeof path, "%s/marked.db", folder);
  marks = 0;
  is_refused_for_now = false;
  start(one, act_lease_ms);
  start(other, act_lease_ms);
}

static void end_marked(process *one, process *other) {
  stop(one);
  stop(other);
  folder_remove(folder);
}

/* capability: D18 */
TEST_CASE(act_killed_after_its_commit_does_not_run_again) {
  process one, other;
  char nonce[VESTRY_ONCE_NONCE_BYTES];
  begin_marked(&one, &other, SHORT_MS);
  execute(&one, "CREATE TRIGGER killed BEFORE UPDATE OF answer ON vestry_once WHEN OLD.answer IS NOT NULL"
                " BEGIN SELECT RAISE(ABORT, 'killed'); END");
  nonce_for(&one, nonce);
  assert_int_equal(status_of(&one, nonce), 404);
  assert_int_equal(number_of(&other, ANSWERED), 1);
  for (int i = 0; i < 2; i++) assert_int_equal(status_of(&other, nonce), 404); /* its response, of the mark */
  execute(&one, "DROP TRIGGER killed");
  nonce_for(&one, nonce); /* the real response is stored before the next submission */
  assert_int_equal(status_of(&one, nonce), 404);
  assert_int_equal(status_of(&other, nonce), 404);
  assert_int_equal(marks, 2);
  assert_int_equal(number_of(&one, NOTES), 2);
  end_marked(&one, &other);
}

/* Press the button in the Datastar client. Returns the response, without its head. */
static char *action_of(process *p, const char *path_of_act, const char *nonce) {
  vestry_memory_exchange *answer;
  assert_int_equal(vestry_browser_send(p->browser, "POST", path_of_act, VESTRY_OBJECT("once", nonce), &answer),
                   VESTRY_OK);
  const vestry_memory_seen seen = vestry_memory_look(answer);
  const char *type = vestry_memory_header(answer, "Content-Type", 0),
             *mode = vestry_memory_header(answer, "datastar-mode", 0);
  char *text = NULL;
  assert_true(asprintf(&text, "%d %s %s %.*s", seen.status, type, mode ? mode : "", (int)seen.received.len,
                       (const char *)seen.received.data) > 0);
  vestry_memory_destroy(answer);
  return text;
}

/* capability: D18 */
TEST_CASE(repetition_of_an_act_that_was_killed_after_its_commit_gets_its_response) {
  for (int round = 0; round < 2; round++) {
    process one, other;
    char nonce[VESTRY_ONCE_NONCE_BYTES];
    begin_marked(&one, &other, SHORT_MS);
    has_signals = round;
    execute(&one, "CREATE TRIGGER killed BEFORE UPDATE OF answer ON vestry_once WHEN OLD.answer IS NOT NULL"
                  " BEGIN SELECT RAISE(ABORT, 'killed'); END");
    nonce_for(&one, nonce);
    char *first = action_of(&one, "/mark", nonce), *again = action_of(&other, "/mark", nonce);
    assert_non_null(
        strstr(first, round ? "200 application/json  {\"marks\":1}" : "200 text/html; charset=utf-8 append <"));
    assert_string_equal(first, again);
    assert_int_equal(marks, 1);
    free(first);
    free(again);
    has_signals = false;
    execute(&one, "DROP TRIGGER killed");
    end_marked(&one, &other);
  }
}

/* capability: D18 */
TEST_CASE(guest_of_an_act_that_was_killed_after_its_commit_is_the_same) {
  process one, other;
  char nonce[VESTRY_ONCE_NONCE_BYTES], guest[VESTRY_GUEST_ID_BYTES];
  vestry_memory_exchange *page;
  has_guests = true;
  begin_marked(&one, &other, SHORT_MS);
  nonce_for(&one, nonce);
  vestry_browser_destroy(other.browser);
  assert_int_equal(vestry_browser_move(one.browser, other.app->instance, &other.browser), VESTRY_OK);
  execute(&one, "CREATE TRIGGER killed BEFORE UPDATE OF answer ON vestry_once WHEN OLD.answer IS NOT NULL"
                " BEGIN SELECT RAISE(ABORT, 'killed'); END");
  for (int i = 0; i < 2; i++) {
    vestry_browser *browser = i ? other.browser : one.browser;
    assert_int_equal(vestry_browser_form(browser, "/mark", VESTRY_OBJECT("once", (const char *)nonce), &page),
                     VESTRY_OK);
    const vestry_slice shown = vestry_memory_look(page).received;
    if (!i) snprintf(guest, sizeof guest, "%.*s", (int)shown.len, (const char *)shown.data);
    assert_int_equal(shown.len, VESTRY_GUEST_ID_BYTES - 1);
    assert_memory_equal(shown.data, guest, shown.len);
    vestry_memory_destroy(page);
  }
  assert_int_equal(marks, 1);
  execute(&one, "DROP TRIGGER killed");
  has_guests = false;
  end_marked(&one, &other);
}

/* The mark is the response, so an act takes one write less. A repetition gets its cookies anew. */
TEST_CASE(response_of_an_act_is_written_with_its_mark) {
  enum { EMPTY, REDIRECT, SIGNALS, REDIRECT_BY_SCRIPT, FORM, COOKIE, ROUNDS };
  for (int round = 0; round < ROUNDS; round++) {
    process one, other;
    char nonce[VESTRY_ONCE_NONCE_BYTES], *responses[3];
    const bool is_plain = round == EMPTY || round == REDIRECT || round == COOKIE;
    const char *path_of_act = round == FORM ? "/form" : "/mark";
    const int status = round == EMPTY ? 204 : round == COOKIE ? 200 : 404;
    has_guests = round == COOKIE;
    begin_marked(&one, &other, SHORT_MS);
    has_empty_response = round == EMPTY || round == FORM;
    has_signals = round == SIGNALS;
    execute(&one, "CREATE TABLE written(id INT)");
    execute(&one,
            "CREATE TRIGGER counts AFTER UPDATE OF answer ON vestry_once BEGIN INSERT INTO written VALUES(1); END");
    nonce_for(&one, nonce);
    if (is_plain)
      assert_int_equal(status_of(&one, nonce), status);
    else
      responses[0] = action_of(&one, path_of_act, nonce);
    assert_int_equal(number_of(&one, "SELECT count(*) FROM written"), 1);
    for (int i = 1; i < 3 && !is_plain; i++) {
      responses[i] = action_of(i == 1 ? &other : &one, path_of_act, nonce);
      assert_string_equal(responses[i], responses[0]);
    }
    for (int i = 0; i < 3 && !is_plain; i++) free(responses[i]);
    if (is_plain && round != COOKIE) assert_int_equal(status_of(&other, nonce), status); /* of another visitor */
    assert_int_equal(number_of(&one, "SELECT count(*) FROM written"), 1);
    assert_int_equal(marks, 1);
    end_marked(&one, &other);
  }
  has_guests = has_empty_response = has_signals = false;
}

/* capability: D18 */
TEST_CASE(act_killed_before_its_commit_runs_again_after_the_lease) {
  for (int round = 0; round < 2; round++) {
    process one, other;
    char nonce[VESTRY_ONCE_NONCE_BYTES];
    begin_marked(&one, &other, round ? SHORT_MS : LONG_MS);
    execute(&one, "CREATE TRIGGER killed BEFORE DELETE ON vestry_once BEGIN SELECT RAISE(ABORT, 'killed'); END");
    is_refused_for_now = true;
    nonce_for(&one, nonce);
    assert_int_equal(status_of(&one, nonce), 503);
    assert_int_equal(number_of(&other, NOTES), 0);
    assert_int_equal(number_of(&other, ANSWERED), 0);
    is_refused_for_now = false;
    int status = 503;
    for (int i = 0; round ? status == 503 : i < 3; i++) status = status_of(&other, nonce);
    assert_int_equal(status, round ? 404 : 503);
    assert_int_equal(marks, round ? 2 : 1);
    assert_int_equal(number_of(&other, NOTES), round);
    execute(&one, "DROP TRIGGER killed");
    if (round) assert_int_equal(status_of(&one, nonce), 404);
    assert_int_equal(marks, round ? 2 : 1);
    end_marked(&one, &other);
  }
}

typedef struct late {
  process *other;
  const char *nonce;
  int status;
} late;

static void *press_there(void *ctx) {
  late *of = ctx;
  do of->status = status_of(of->other, of->nonce);
  while (of->status == 503);
  return NULL;
}

/* After the guard, and before the transaction, another process takes the submission over. */
static vestry_err be_late(const vestry_request *req, vestry_reply *reply, void *app) {
  late *of = app;
  pthread_t thread;
  if (of->status || strcmp(req->path, "/mark") != 0) return VESTRY_OK;
  assert_int_equal(pthread_create(&thread, NULL, press_there, of), 0);
  pthread_join(thread, NULL);
  return VESTRY_OK;
}

/* capability: D18 */
TEST_CASE(act_that_was_taken_over_is_rolled_back) {
  process one, other;
  char nonce[VESTRY_ONCE_NONCE_BYTES];
  begin_marked(&one, &other, SHORT_MS);
  nonce_for(&one, nonce);
  late of = {.other = &other, .nonce = nonce};
  assert_int_equal(vestry_guard(one.app->instance, "/", be_late, &of), VESTRY_OK);
  assert_int_equal(status_of(&one, nonce), 503);
  assert_int_equal(of.status, 404);
  assert_int_equal(marks, 2);
  assert_int_equal(number_of(&one, NOTES), 1);
  assert_int_equal(status_of(&one, nonce), 404);
  assert_int_equal(marks, 2);
  assert_int_equal(number_of(&one, NOTES), 1);
  end_marked(&one, &other);
}
