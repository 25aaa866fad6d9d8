/* SPDX-License-Identifier: MIT */
/* An application without a database: its parts, the document of its pages, and the undoing of an incomplete one.
 * tests/sqlite/application_test.c tests applications with a database. */
#include "vestry/app/application.h"

#include <stdlib.h>

#include "application/world.h"
#include "vestry/app/bus.h"
#include "vestry/app/history.h"
#include "vestry/app/stream.h"

static int presses;

static void home(vestry_call *call) {
  vestry_render_topic(call->render, "presses");
  vestry_call_document(call, "Tea & <co>");
  vestry_call_content(call);
  vestry_html_add(call->html, "<p>%d</p>", presses);
}

static void press(vestry_call *call) {
  presses++;
  vestry_call_fail(call, vestry_refresh(call->app->pages, "presses", NULL));
}

/* POST /guest */
static vestry_err become_guest(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *guest;
  vestry_err error = vestry_guest_begin(req, reply, &guest);
  return error ? error : vestry_reply_status(reply, 204);
}

static const char *const origin = "http://other.example";
static const vestry_entry entries[] = {VESTRY_PAGE("/", home), VESTRY_ACT("/press", press), {0}};
static const vestry_clock clock_of_pages = {.url = "/clock"};
static const char *german(vestry_call *call) {
  return "de";
}
static const vestry_application_document frame = {
    .language = german, .head = "<meta name=\"x\">", .clock = &clock_of_pages, .begin = "<nav></nav>", .end = "<hr>"};
static const vestry_file table[] = {{.path = "a.css", .bytes = "p{}", .len = 3}};

static vestry_err begin(test_host *th, unsigned without, vestry_application **ret_app) {
  const vestry_application_options options = {
      .name = "tea",
      .without = without,
      .csrf = &(vestry_csrf_options){.trusted_origins = &origin, .trusted_origins_count = 1},
      .rate = &(vestry_rate_options){.count = 100},
      .guests = without & VESTRY_WITHOUT_SESSIONS ? NULL : &(vestry_guests_options){0},
      .forms = &(vestry_forms_options){.path = "/typed"},
      .files = &(vestry_files_options){.host = &th->host, .embedded = table, .embedded_count = 1},
      .files_path = "/static",
      .entries = entries,
      .document = &frame,
  };
  vestry_err error = world_create(th, options, ret_app);
  return error ? error : vestry_route((*ret_app)->instance, "POST", "/guest", become_guest, NULL);
}

static int status_of(vestry_browser *browser, const char *method, const char *url, const vestry_value *signals) {
  vestry_memory_exchange *answer;
  assert_int_equal(vestry_browser_send(browser, method, url, signals, &answer), VESTRY_OK);
  const int status = vestry_memory_look(answer).status;
  vestry_memory_destroy(answer);
  return status;
}

/* capability: L16 */
HOST_CASE(parts_serve_and_guard_a_page) {
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document, *tab;
  char token[VESTRY_CSRF_TOKEN_BYTES];
  presses = 0;
  assert_int_equal(begin(th, 0, &app), VESTRY_OK);
  assert_null(app->pool);
  assert_null(app->jobs);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_get(ada, "/", &document), VESTRY_OK);
  const char *html = vestry_memory_look(document).received.data;
  assert_non_null(strstr(html, "<!doctype html><html lang=\"de\">"));
  assert_non_null(strstr(html, "<title>Tea &amp; &lt;co&gt;</title>"));
  assert_non_null(strstr(html, "<meta name=\"x\">"));
  assert_non_null(strstr(html, VESTRY_DATASTAR_CDN_URL));
  assert_non_null(strstr(html, "<script>{let held=[]")); /* vestry_html_early */
  assert_non_null(strstr(html, "data-init__once"));
  assert_non_null(strstr(html, "b.dataset.press"));
  assert_non_null(strstr(html, "/clock"));
  assert_non_null(strstr(html, "tabId"));
  assert_non_null(strstr(html, "<p>0</p>"));
  assert_non_null(strstr(html, "><nav></nav><main"));
  assert_non_null(strstr(html, "<hr></body></html>"));
  world_cut(html, "data-signals:_csrf=\"'", "'", token, sizeof token);
  assert_int_equal(strlen(token), VESTRY_CSRF_TOKEN_BYTES - 1);
  vestry_memory_destroy(document);
  assert_non_null(vestry_browser_cookie(ada, "tea-session")); /* plain http, and of this application */
  assert_null(vestry_browser_cookie(ada, "session"));
  assert_int_equal(vestry_browser_send(ada, "GET", "/", NULL, &tab), VESTRY_OK);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK);
  (void)vestry_memory_since(tab);
  assert_int_equal(status_of(ada, "POST", "/press", NULL), 403); /* no token */
  assert_int_equal(status_of(ada, "POST", "/press", VESTRY_OBJECT("csrf", (const char *)token, "once", "x")), 403);
  assert_int_equal(status_of(ada, "POST", "/press", VESTRY_OBJECT("csrf", (const char *)token)), 204);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK);
  assert_non_null(strstr(vestry_memory_since(tab).data, "<p>1</p>"));
  assert_int_equal(status_of(ada, "POST", "/guest", VESTRY_OBJECT("csrf", (const char *)token)), 204);
  assert_int_equal(status_of(ada, "GET", "/clock", NULL), 200);
  assert_int_equal(status_of(ada, "GET", "/static/a.css", NULL), 200);
  assert_int_equal(status_of(ada, "GET", "/static/b.css", NULL), 404);
  assert_int_equal(status_of(ada, "POST", "/typed", VESTRY_OBJECT("csrf", (const char *)token)), 400);
  vestry_memory_destroy(tab);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
}

/* capability: L16 */
HOST_CASE(parts_can_be_left_out) {
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document;
  assert_int_equal(begin(th, VESTRY_WITHOUT_SESSIONS | VESTRY_WITHOUT_CSRF | VESTRY_WITHOUT_ONCE, &app), VESTRY_OK);
  assert_null(app->csrf);
  assert_null(app->once);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(vestry_browser_get(ada, "/", &document), VESTRY_OK);
  assert_null(strstr(vestry_memory_look(document).received.data, "_csrf"));
  assert_null(strstr(vestry_memory_look(document).received.data, "__once"));
  vestry_memory_destroy(document);
  assert_null(vestry_browser_cookie(ada, "tea-session"));
  assert_int_equal(status_of(ada, "POST", "/press", NULL), 204);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
}

/* ---- the kinds of entries ---- */

static char seen[128]; /* the guest of the last act */

/* Shows the guest, and a part twice with different keys. */
static void lobby(vestry_call *call) {
  vestry_call_document(call, "Lobby");
  vestry_call_content(call);
  vestry_html_add(call->html, "<i>%s</i>", call->guest ? call->guest : "nobody");
  vestry_call_part(call, "score", 0);
  vestry_call_part(call, "score", -9);
  vestry_call_content_end(call);
  vestry_html_add(call->html, "<footer></footer>");
}

static void score(vestry_call *call) {
  assert_null(call->req);
  vestry_render_topic(call->render, "score");
  vestry_html_add(call->html, "%d", (int)call->key);
}

static void about(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_html_add(call->html, "<p>about</p>");
}

/* POST /join: becomes the guest that the page has made. */
static void join(vestry_call *call) {
  snprintf(seen, sizeof seen, "%s", call->guest ? call->guest : "nobody");
}

/* A shared page contains nothing of a user. */
static void all(vestry_call *call) {
  assert_null(call->user);
  assert_null(call->guest);
  vestry_call_document(call, "All");
  vestry_call_content(call);
}

static void missing(vestry_call *call) {
  vestry_call_document(call, "Missing");
  vestry_call_content(call);
  vestry_call_fail(call, VESTRY_NOT_FOUND);
  vestry_html_add(call->html, "<p>not shown</p>");
}

static void keep_out(vestry_call *call) {
  if (!vestry_request_value(call->req, VESTRY_IN_QUERY, "open")) vestry_call_go(call, "/about?%d", 7);
}

/* Mistakes of a program. */
static void mistaken(vestry_call *call) {
  int64_t which = 0;
  vestry_call_get(call, VESTRY_IN_PATH, "which", VESTRY_INTO(&which));
  if (which == 1) vestry_call_content(call); /* before the document */
  if (which == 2) vestry_call_document(call, NULL), vestry_call_document(call, NULL);
  if (which == 3) vestry_call_integer(call, "SELECT 1", NULL); /* without a database */
  if (which == 4) vestry_call_document(call, NULL), vestry_call_part(call, "nothing", 0);
  if (which == 5) vestry_call_enqueue(call, "job", 0, 0);
  if (which == 6) vestry_call_refuse(call, "no");
  if (which == 7) vestry_call_document(call, NULL), vestry_html_add(call->html, "<p id=%s>", "x");
  if (which == 8) assert_int_equal(vestry_call_path(call, "witch"), 0);
}

/* GET /lost: a page whose part reads the path. */
static void show_lost(vestry_call *call) {
  vestry_call_document(call, NULL);
  vestry_call_content(call);
  vestry_call_part(call, "lost", 0);
}

static void lose_path(vestry_call *call) {
  assert_int_equal(vestry_call_path(call, "which"), 0);
}

/* A helper that reads the path; its caller does not check it. */
static int64_t helper(vestry_call *call) {
  return vestry_call_path(call, "a") - vestry_call_path(call, "b");
}

/* GET /less/{a}/{b} */
static void less(vestry_call *call) {
  const int64_t difference = helper(call);
  vestry_call_document(call, NULL);
  vestry_html_add(call->html, "<p>%lld</p>", (long long)difference);
}

/* A guard may see paths without its parameter. */
static void guard_path(vestry_call *call) {
  if (vestry_call_path(call, "a") == 3) vestry_call_go(call, "/about");
}

static const vestry_entry kinds[] = {VESTRY_PAGE("/lobby", lobby, .makes_guest = true),
                                     VESTRY_PART("score", score, .element = "b", .attributes = "class=\"x\""),
                                     VESTRY_DOCUMENT("/about", about),
                                     VESTRY_ACT("/join", join),
                                     VESTRY_PAGE("/missing", missing),
                                     VESTRY_PAGE("/all", all, .share = "all"),
                                     VESTRY_DOCUMENT("/closed/{room}", about),
                                     VESTRY_GUARD("/closed", keep_out),
                                     VESTRY_DOCUMENT("/mistaken/{which}", mistaken),
                                     VESTRY_PAGE("/lost", show_lost),
                                     VESTRY_PART("lost", lose_path),
                                     VESTRY_DOCUMENT("/less/{a}/{b}", less),
                                     VESTRY_DOCUMENT("/less/nothing", about),
                                     VESTRY_GUARD("/less", guard_path),
                                     {0}};

static char logged[4096]; /* all lines of the last request */

static void log_all(void *ctx, vestry_log_level level, const char *line) {
  test_host *th = ctx;
  const size_t len = strlen(logged);
  atomic_fetch_add(&th->log_lines, 1);
  snprintf(logged + len, sizeof logged - len, "%s\n", line);
}

static const char *got(vestry_browser *browser, const char *url, int status, vestry_memory_exchange **ret_document) {
  assert_int_equal(vestry_browser_get(browser, url, ret_document), VESTRY_OK);
  assert_int_equal(vestry_memory_look(*ret_document).status, status);
  return vestry_memory_look(*ret_document).received.data;
}

static void begin_kinds(test_host *th, vestry_application **ret_app) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {.name = "kinds & co",
                                              .insecure = true,
                                              .instance = &instance,
                                              .guests = &(vestry_guests_options){0},
                                              .entries = kinds};
  test_host_init(th);
  th->host.log = log_all;
  *seen = '\0';
  assert_int_equal(vestry_application_create(&options, ret_app), VESTRY_OK);
}

/* capability: L23 */
TEST_CASE(each_kind_of_entry_is_served) {
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document;
  char guest[VESTRY_GUEST_ID_BYTES], token[VESTRY_CSRF_TOKEN_BYTES];
  begin_kinds(&th, &app);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  const char *html = got(ada, "/lobby", 200, &document);
  world_cut(html, "<i>", "<", guest, sizeof guest);
  world_cut(html, "data-signals:_csrf=\"'", "'", token, sizeof token);
  assert_int_equal(strlen(guest), VESTRY_GUEST_ID_BYTES - 1);
  assert_non_null(strstr(html, "<b id=\"score\" data-ignore-morph class=\"x\">0</b>"
                               "<b id=\"score--9\" data-ignore-morph class=\"x\">-9</b></main>"));
  assert_non_null(strstr(html, "<footer></footer></body></html>"));
  vestry_memory_destroy(document);
  assert_int_equal(status_of(ada, "POST", "/join", VESTRY_OBJECT("csrf", (const char *)token)), 204);
  assert_string_equal(seen, guest);
  html = got(ada, "/about", 200, &document);
  assert_non_null(strstr(html, "<title>kinds &amp; co</title>"));
  assert_non_null(strstr(html, "<p>about</p></body></html>"));
  vestry_memory_destroy(document);
  html = got(ada, "/all", 200, &document);
  assert_null(strstr(html, "_csrf"));
  assert_non_null(strstr(html, "<body>"));
  vestry_memory_destroy(document);
  html = got(ada, "/closed/1?open=1", 200, &document);
  assert_non_null(strstr(html, "<p>about</p>"));
  vestry_memory_destroy(document);
  assert_int_equal(status_of(ada, "GET", "/closed/1", NULL), 401); /* a tab reloads its page */
  html = got(ada, "/closed/1", 200, &document);                    /* it leads to /about */
  assert_non_null(strstr(html, "<p>about</p>"));
  vestry_memory_destroy(document);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}

/* capability: L23 */
TEST_CASE(first_error_of_a_call_is_its_response) {
  static const char *const said[] = {[1] = "vestry_call_content: the document has not begun",
                                     [2] = "vestry_call_document: this call has no document",
                                     [3] = "vestry_call_integer: the application has no database",
                                     [4] = "vestry_call_part: the application has no VESTRY_PART \"nothing\"",
                                     [5] = "vestry_call_enqueue: the call has no transaction",
                                     [6] = "vestry_call_refuse: only a form or an act",
                                     [7] = "",
                                     [8] = "the path of the entry has no parameter \"witch\""};
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document;
  char url[32];
  begin_kinds(&th, &app);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  const char *html = got(ada, "/missing", 404, &document);
  assert_non_null(strstr(html, "<h1>There is no such page</h1>")); /* in the frame */
  assert_null(strstr(html, "not shown"));
  vestry_memory_destroy(document);
  (void)got(ada, "/nowhere", 404, &document);
  vestry_memory_destroy(document);
  (void)got(ada, "/mistaken/x", 404, &document);
  vestry_memory_destroy(document);
  for (int i = 1; i < (int)(sizeof said / sizeof *said); i++) {
    snprintf(url, sizeof url, "/mistaken/%d", i);
    const long before = atomic_load(&th.log_lines);
    *logged = '\0';
    html = got(ada, url, 500, &document);
    assert_non_null(strstr(html, "<h1>That did not work</h1>"));
    assert_true(atomic_load(&th.log_lines) > before);
    assert_non_null(strstr(logged, said[i]));
    vestry_memory_destroy(document);
  }
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}

/* capability: L23 */
TEST_CASE(parameters_of_a_path_are_integers) {
  static const struct {
    const char *url, *shown;
    int status;
  } cases[] = {{"/less/7/9", "<p>-2</p>", 200},
               {"/less/-7/9223372036854775800", "<p>-9223372036854775807</p>", 200},
               {"/less/x/1", "There is no such page", 404},
               {"/less/1/x", "There is no such page", 404},
               {"/less/1/1.0", "There is no such page", 404},
               {"/less/9223372036854775808/1", "There is no such page", 404},
               {"/less/3/1", "<p>about</p>", 200},
               {"/less/nothing", "There is no such page", 404}};
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  vestry_memory_exchange *document;
  begin_kinds(&th, &app);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  const long before = atomic_load(&th.log_lines);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_non_null(strstr(got(ada, cases[i].url, cases[i].status, &document), cases[i].shown));
    vestry_memory_destroy(document);
  }
  assert_int_equal(atomic_load(&th.log_lines), before); /* a wrong path is no mistake of the program */
  *logged = '\0';
  (void)got(ada, "/lost", 500, &document);
  vestry_memory_destroy(document);
  assert_non_null(strstr(logged, "vestry_call_path: a job or a part has no path; use call->key"));
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}

static test_host *ticking;
static int64_t came_ms[] = {-1, -1, -1};

static int64_t tick(void *ctx) {
  return INT64_C(1800000000000) + (int64_t)(atomic_load(&ticking->now_ns) / 1000000);
}

/* A guard that waits for three seconds. */
static void linger(vestry_call *call) {
  atomic_fetch_add(&ticking->now_ns, UINT64_C(3000000000));
}

static void note_time(vestry_call *call) {
  came_ms[0] = vestry_call_came_ms(call);
  linger(call);
  came_ms[1] = vestry_call_came_ms(call);
}

static void note_page(vestry_call *call) {
  came_ms[2] = vestry_call_came_ms(call);
  vestry_call_document(call, NULL);
}

/* capability: L25 */
TEST_CASE(time_of_a_request_is_before_its_waits) {
  static const vestry_entry timed[] = {
      VESTRY_GUARD("/act", linger), VESTRY_ACT("/act", note_time), VESTRY_PAGE("/", note_page), {0}};
  static const vestry_clock clock = {.now_ms = tick};
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  test_host_init(&th);
  ticking = &th;
  const vestry_options instance = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {.insecure = true,
                                              .without = VESTRY_WITHOUT_CSRF,
                                              .instance = &instance,
                                              .entries = timed,
                                              .document = &(vestry_application_document){.clock = &clock}};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  const int64_t now_ms = tick(NULL);
  assert_int_equal(status_of(ada, "POST", "/act", NULL), 204);
  assert_int_equal(came_ms[0], now_ms);
  assert_int_equal(came_ms[1], now_ms);
  assert_int_equal(status_of(ada, "GET", "/", NULL), 200);
  assert_int_equal(came_ms[2], 0);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}

static void own_clock(vestry_call *call) {
  vestry_call_fail(call, vestry_reply_status(call->reply, 205));
}

/* capability: L16 */
TEST_CASE(route_of_the_program_serves_its_clock) {
  static const vestry_entry own[] = {VESTRY_HANDLER("GET", "/clock", own_clock), {0}};
  static const vestry_clock wrong_clock = {.url = "clock"};
  static const vestry_application_document wrong_frame = {.clock = &wrong_clock};
  test_host th;
  vestry_application *app;
  vestry_browser *ada;
  test_host_init(&th);
  const vestry_options instance = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  vestry_application_options options = {.instance = &instance, .entries = own, .document = &frame};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_OK);
  assert_int_equal(vestry_browser_create(app->instance, &ada), VESTRY_OK);
  assert_int_equal(status_of(ada, "GET", "/clock", NULL), 205);
  vestry_browser_destroy(ada);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  options.document = &wrong_frame;
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "cannot create the route of its clock (document.clock)"));
  test_host_assert_clean(&th);
}

static vestry_err begin_and_end(test_host *th, void *ctx) {
  vestry_application *app;
  vestry_err error = begin(th, 0, &app);
  if (error) return error;
  return vestry_application_destroy(app);
}

/* begin leaves nothing if vestry_application_create fails; a route that fails afterwards leaves an application. */
static vestry_err create_only(test_host *th, void *ctx) {
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_application_options options = {
      .instance = &instance,
      .rate = &(vestry_rate_options){.count = 100},
      .forms = &(vestry_forms_options){.path = "/typed"},
      .files = &(vestry_files_options){.host = &th->host, .embedded = table, .embedded_count = 1},
      .entries = entries,
  };
  vestry_application *app = ctx;
  vestry_err error = vestry_application_create(&options, &app);
  if (error) {
    assert_ptr_equal(app, ctx);        /* untouched */
    if (atomic_load(&th->fail_at) > 0) /* the first allocation is that of the application itself */
      assert_non_null(strstr(th->last_log, "application application: cannot create "));
    return error;
  }
  return vestry_application_destroy(app);
}

/* capability: L16 */
TEST_CASE(each_failed_allocation_is_undone) {
  test_host th;
  test_host_init(&th);
  assert_int_equal(begin_and_end(&th, NULL), VESTRY_OK);
  test_host_fail_each(create_only, NULL, true);
}

static vestry_err no_file(const void *options, const char *place, const vestry_host *host, vestry_sql_pool **ret_pool) {
  host->log(host->ctx, VESTRY_LOG_ERROR, "the reason");
  return VESTRY_IO;
}

static void not_begun(vestry_application *app, void *own) {
  fail_msg("end was called without begin");
}

static vestry_err begin_guests(vestry_application *app, void *own) {
  return own ? VESTRY_FAILED : vestry_guests_create(app->instance, NULL);
}

/* capability: L16 */
HOST_CASE(failure_names_the_part_and_what_to_do) {
  static const vestry_application_database broken = {.open = no_file};
  vestry_application *app = NULL;
  void (*const plain)(void *, vestry_log_level, const char *) = th->host.log;
  const vestry_options instance = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry_application_options options = {.name = "tea", .instance = &instance, .database = &broken};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_IO);
  assert_string_equal(th->last_log, "application tea: cannot create its database (IO): the line before has the reason, "
                                    "and what to do");
  options = (vestry_application_options){
      .name = "tea", .instance = &instance, .jobs = &(vestry_jobs_options){0}, .end = not_begun};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  assert_non_null(strstr(th->last_log, "its jobs"));
  options = (vestry_application_options){.instance = &instance, .entries = kinds};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  assert_non_null(strstr(th->last_log, "its entries"));
  options.begin = begin_guests; /* the program creates them itself */
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_OK);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  app = NULL;
  options.begin = NULL;
  th->host.log = log_all;
  *logged = '\0';
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  assert_non_null(strstr(logged, "the entry \"/lobby\" makes guests; set options.guests"));
  th->host.log = plain;
  options = (vestry_application_options){.instance = &instance, .without = 1U << 4};
  assert_int_equal(vestry_application_create(&options, &app), VESTRY_INVALID);
  assert_non_null(strstr(th->last_log, "without"));
  assert_null(app);
  assert_int_equal(vestry_application_create(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_destroy(NULL), VESTRY_OK);
  assert_int_equal(vestry_application_act(NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_run(NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_application_settle(NULL, 0), VESTRY_INVALID);
}

/* The coding that a stream of the page gets, by its Content-Encoding. */
static void stream_coding(unsigned without, const char *accepted, char coding[16]) {
  test_host th;
  vestry_application *app;
  vestry_memory_exchange *tab;
  const vestry_header headers[] = {{"Accept-Encoding", accepted}};
  const vestry_memory_call call = {.datastar = true, .headers = headers, .headers_count = 1};
  test_host_init(&th);
  assert_int_equal(begin(&th, without, &app), VESTRY_OK);
  assert_int_equal(vestry_memory_request(app->instance, &call, NULL, NULL, &tab), VESTRY_OK);
  assert_int_equal(vestry_application_settle(app, 1000), VESTRY_OK);
  const char *got = vestry_memory_header(tab, "Content-Encoding", 0);
  snprintf(coding, 16, "%s", got ? got : "identity");
  vestry_memory_destroy(tab);
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}

/* capability: L17 */
TEST_CASE(streams_are_compressed_if_the_client_accepts_it) {
  char coding[16];
  stream_coding(0, "gzip, deflate, br", coding);
  assert_string_equal(coding, "br");
  stream_coding(0, "gzip, deflate", coding);
  assert_string_equal(coding, "gzip");
  stream_coding(0, "identity", coding);
  assert_string_equal(coding, "identity");
  stream_coding(VESTRY_WITHOUT_COMPRESSION, "gzip, deflate, br", coding);
  assert_string_equal(coding, "identity");
}

/* Create a part of an instance that an application creates, or uses, by itself. */
static vestry_err create_part(vestry *v, size_t i) {
  static const vestry_secret secret = {.secret = "0123456789abcdef0123456789abcdef", .secret_len = 32};
  switch (i) {
  case 0: return vestry_leases_create(v, VESTRY_NEVER_MS);
  case 1: return vestry_bus_create(v, NULL);
  case 2: return vestry_histories_create(v, 0);
  case 3: return vestry_secret_set(v, &secret);
  case 4: return vestry_sessions_create(v, NULL);
  default: return vestry_guests_create(v, NULL);
  }
}

/* Parts without an option of the application can be set; the log has the reason why others cannot. */
TEST_CASE(part_is_set_once_or_the_log_has_the_reason) {
  static const char *const names[] = {"vestry_leases_create", "vestry_bus_create",      "vestry_histories_create",
                                      "vestry_secret_set",    "vestry_sessions_create", "vestry_guests_create"};
  enum { PARTS = sizeof names / sizeof *names, FREE_PARTS = 3 };
  test_host th;
  vestry_application *app;
  test_host_init(&th);
  assert_int_equal(begin(&th, 0, &app), VESTRY_OK);
  for (size_t i = 0; i < FREE_PARTS; i++) assert_int_equal(create_part(app->instance, i), VESTRY_OK);
  assert_int_equal(atomic_load(&th.log_lines), 0);
  for (size_t i = 0; i < PARTS; i++) {
    assert_int_equal(create_part(app->instance, i), VESTRY_EXISTS);
    assert_int_equal(atomic_load(&th.log_lines), i + 1);
    assert_memory_equal(th.last_log, names[i], strlen(names[i]));
    assert_non_null(strstr(th.last_log, "vestry_application_options"));
  }
  assert_int_equal(vestry_application_destroy(app), VESTRY_OK);
  test_host_assert_clean(&th);
}
