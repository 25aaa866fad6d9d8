/* SPDX-License-Identifier: MIT */
/* Routes: the handler of a path, its guards, the answers without a route, and removing routes while they are used. */
#include "http/routes/routes.h"
#include "serve/wire.h"
#include "vestry/routes.h"

/* Answer with the text app, and the parameters. */
static vestry_err tell(const vestry_request *req, vestry_reply *reply, void *app) {
  static const char *const names[] = {"id", "card", "rest"};
  vestry_html html;
  vestry_html_init(&html, NULL);
  vestry_html_add(&html, "%s", (const char *)app);
  for (size_t i = 0; i < 3; i++) {
    const char *value = vestry_request_value(req, VESTRY_IN_PATH, names[i]);
    if (value) vestry_html_add(&html, " %s=[%s]", names[i], value);
  }
  vestry_err error = vestry_reply_html(reply, &html);
  vestry_html_finish(&html);
  return error;
}

static wire serve(site *w, const char *method, const char *path) {
  wire r = {.method = method, .path = path};
  wire_request(w, &r, NULL, NULL);
  return r;
}

static void assert_served(site *w, const char *method, const char *path, int status, const char *text) {
  wire r = serve(w, method, path);
  if (r.status != status) fail_msg("%s %s: %d, not %d", method, path, r.status, status);
  if (text) wire_assert_text(&r, text);
  wire_finish(&r);
}

static void mount(site *w, const char *method, const char *pattern, const char *says) {
  if (vestry_route(w->v, method, pattern, tell, (void *)(uintptr_t)says)) fail_msg("%s %s", method, pattern);
}

static void assert_logged(const site *w, const char *text) {
  if (!strstr(w->th.last_log, text)) fail_msg("\"%s\" is not in: %s", text, w->th.last_log);
}

/* ------------------------------------------------------------------------------------------------ patterns -------- */

/* capability: K4 */
TEST_CASE(patterns_are_matched_by_segments) {
  site w;
  site_begin(&w, (vestry_options){0});
  mount(&w, "GET", "/", "root");
  mount(&w, "GET", "/board", "boards");
  mount(&w, "GET", "/board/", "slash");
  mount(&w, "GET", "/board/new", "new");
  mount(&w, "GET", "/board/{id}", "board");
  mount(&w, "GET", "/board/{id}/card/{card}", "card");
  mount(&w, "POST", "/board/new/card/1", "other method");
  mount(&w, "GET", "/static/{rest...}", "file");
  mount(&w, "GET", "/static/a/b", "literal");
  mount(&w, "GET", "/r\xc3\xa4um", "utf-8");
  static const struct {
    const char *path, *text; /* NULL: 404 */
  } rows[] = {
      {"/", "root"},
      {"/board", "boards"},
      {"/board/", "slash"},
      {"/board/new", "new"},
      {"/board/newer", "board id=[newer]"},
      {"/board/7", "board id=[7]"},
      {"/board/a b", "board id=[a b]"},
      {"/board/<b>", "board id=[&lt;b&gt;]"},
      {"/board/7/card/9", "card id=[7] card=[9]"},
      {"/board/new/card/1", "card id=[new] card=[1]"}, /* a literal path without the method does not end the search */
      {"/board/7/card/", NULL},
      {"/board//card/9", NULL},
      {"/board/7/card/9/", NULL},
      {"/board/7/cards", NULL},
      {"/static/", "file rest=[]"},
      {"/static/a", "file rest=[a]"},
      {"/static/a/b", "literal"},
      {"/static/a/b/c", "file rest=[a/b/c]"},
      {"/static", NULL},
      {"/r\xc3\xa4um", "utf-8"},
      {"/R\xc3\xa4um", NULL},
      {"/Board", NULL},
      {"", NULL},
      {"board", NULL},
      {"*", NULL},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_served(&w, "GET", rows[i].path, rows[i].text ? 200 : 404, rows[i].text ? rows[i].text : "not found\n");
  site_end(&w);
}

TEST_CASE(bad_patterns_are_refused) {
  site w;
  site_begin(&w, (vestry_options){0});
  static const struct {
    const char *method, *pattern;
    vestry_err error;
  } rows[] = {
      {"GET", NULL, VESTRY_INVALID},
      {NULL, "/", VESTRY_INVALID},
      {"", "/", VESTRY_INVALID},
      {"GE T", "/", VESTRY_INVALID},
      {"GET", "", VESTRY_INVALID},
      {"GET", "a", VESTRY_INVALID},
      {"GET", "//", VESTRY_INVALID},
      {"GET", "/a//b", VESTRY_INVALID},
      {"GET", "/a/..", VESTRY_INVALID},
      {"GET", "/a./b", VESTRY_INVALID},
      {"GET", "/a\\b", VESTRY_INVALID},
      {"GET", "/a\nb", VESTRY_INVALID},
      {"GET", "/a\xff", VESTRY_INVALID},
      {"GET", "/{}", VESTRY_INVALID},
      {"GET", "/{a-b}", VESTRY_INVALID},
      {"GET", "/{a}b", VESTRY_INVALID},
      {"GET", "/a{b}", VESTRY_INVALID},
      {"GET", "/{a}/{a}", VESTRY_INVALID},
      {"GET", "/{a...}/b", VESTRY_INVALID},
      {"GET", "/{a..}", VESTRY_INVALID},
      {"GET", "/{...}", VESTRY_INVALID},
      {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}", VESTRY_LIMIT},
      {"GET", "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}", VESTRY_OK},
      {"GET", "/x/{id}", VESTRY_OK},
      {"GET", "/x/{other}", VESTRY_EXISTS},
      {"POST", "/x/{other}", VESTRY_OK},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    if (vestry_route(w.v, rows[i].method, rows[i].pattern, tell, (char[]){"x"}) != rows[i].error)
      fail_msg("%s", rows[i].pattern ? rows[i].pattern : "NULL");
  assert_int_equal(vestry_route(w.v, "GET", "/y", NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_route(NULL, "GET", "/y", tell, NULL), VESTRY_INVALID);
  site_end(&w);
}

/* ------------------------------------------------------------------------------------------------- methods -------- */

/* capability: K4 */
TEST_CASE(unsupported_methods_get_405_and_allow) {
  site w;
  site_begin(&w, (vestry_options){0});
  mount(&w, "GET", "/a/{id}", "get");
  mount(&w, "POST", "/a/b", "post");
  mount(&w, "OPTIONS", "/own", "own options");
  wire r = serve(&w, "PUT", "/a/b");
  assert_int_equal(r.status, 405);
  assert_true(wire_has_header(&r, "Allow: POST, GET, HEAD, OPTIONS"));
  wire_finish(&r);
  r = serve(&w, "OPTIONS", "/a/c");
  assert_int_equal(r.status, 204);
  assert_true(wire_has_header(&r, "Allow: GET, HEAD, OPTIONS"));
  wire_finish(&r);
  assert_served(&w, "OPTIONS", "/own", 200, "own options");
  assert_served(&w, "OPTIONS", "/nowhere", 404, NULL);
  assert_served(&w, "OPTIONS", "*", 204, NULL);
  assert_served(&w, "HEAD", "/a/c", 200, "get id=[c]"); /* the server omits the body */
  assert_served(&w, "get", "/a/c", 405, NULL);
  assert_int_equal(vestry_route_status(w.v, "HEAD", "/a/b", NULL), 200);
  assert_int_equal(vestry_route_status(w.v, "PUT", "/a/b", NULL), 405);
  assert_int_equal(vestry_route_status(w.v, "PUT", "/b", NULL), 404);
  assert_int_equal(vestry_route_status(w.v, "OPTIONS", "/a/b", NULL), 204);
  mount(&w, "HEAD", "/a/{card}", "own head");
  assert_served(&w, "HEAD", "/a/c", 200, "own head card=[c]");
  assert_served(&w, "GET", "/a/c", 200, "get id=[c]");
  site_end(&w);
}

static vestry_err stream_for_anybody(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_any_client(reply);
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 1));
}

TEST_CASE(head_opens_no_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_route(w.v, "GET", "/", stream_for_anybody, NULL), VESTRY_OK);
  wire r = {.method = "HEAD", .datastar = true};
  wire_request(&w, &r, NULL, NULL);
  assert_int_equal(r.status, 204);
  assert_int_equal(r.opens, 0);
  wire_finish(&r);
  site_end(&w);
}

/* The body of a request without a route is not read. */
TEST_CASE(body_without_a_route_is_not_read) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {.method = "POST", .path = "/nowhere", .body = "abc", .body_len = 3};
  wire_request(&w, &r, NULL, NULL);
  assert_int_equal(r.status, 404);
  assert_int_equal(r.at, 0);
  wire_finish(&r);
  site_end(&w);
}

/* ----------------------------------------------------------------------------------------- tables, guards --------- */

TEST_CASE(route_table_is_mounted_whole_or_not_at_all) {
  site w;
  site_begin(&w, (vestry_options){0});
  static const vestry_mounted rows[] = {{"GET", "/", tell}, {"GET", "/{id}", tell}, {"POST", "/{id}", tell}};
  assert_int_equal(vestry_mount(w.v, "/rooms", rows, 3, (char[]){"room"}), VESTRY_OK);
  assert_served(&w, "GET", "/rooms/", 200, "room");
  assert_served(&w, "POST", "/rooms/7", 200, "room id=[7]");
  static const vestry_mounted clash[] = {{"PUT", "/{x}", tell}, {"GET", "/{x}", tell}};
  assert_int_equal(vestry_mount(w.v, "/rooms", clash, 2, (char[]){"clash"}), VESTRY_EXISTS);
  assert_non_null(strstr(w.th.last_log, "refused GET /rooms/{x}")); /* the row of a table */
  assert_served(&w, "PUT", "/rooms/7", 405, NULL);
  assert_int_equal(vestry_mount(w.v, "/rooms/", rows, 3, (char[]){"x"}), VESTRY_INVALID);
  site_end(&w);
}

typedef struct watch {
  char seen[64];
  const char *name, *stops; /* its action in "stops": "error", "answer" */
} watch;

static vestry_err stand(const vestry_request *req, vestry_reply *reply, void *app) {
  watch *one = app;
  strcat(one->seen, one->name);
  const char *id = vestry_request_value(req, VESTRY_IN_PATH, "id");
  if (id) strcat(one->seen, id);
  vestry_reply_header(reply, "X-Seen", one->name);
  if (!one->stops) return VESTRY_OK;
  if (strcmp(one->stops, "answer") == 0) vestry_reply_redirect(reply, 303, "/login");
  return VESTRY_NOT_FOUND;
}

/* capability: K4 */
TEST_CASE(guards_run_from_the_outermost) {
  site w;
  site_begin(&w, (vestry_options){0});
  mount(&w, "GET", "/admin", "admin");
  mount(&w, "GET", "/admin/user/{id}", "user");
  mount(&w, "GET", "/administrator", "other");
  watch inner = {.name = "i"}, all = {.name = "a"}, below = {.name = "b"};
  assert_int_equal(vestry_guard(w.v, "/admin", stand, &inner), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/", stand, &all), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/admin/", stand, &below), VESTRY_OK);
  assert_served(&w, "GET", "/admin", 200, "admin");
  assert_string_equal(inner.seen, "i");
  assert_string_equal(below.seen, "");
  assert_served(&w, "GET", "/administrator", 200, "other");
  assert_string_equal(inner.seen, "i");
  assert_string_equal(all.seen, "aa");
  assert_served(&w, "GET", "/admin/user/7", 200, "user id=[7]");
  assert_string_equal(inner.seen, "ii7");
  assert_string_equal(below.seen, "b7");
  assert_served(&w, "GET", "/admin/nowhere", 404, NULL); /* no guard runs for a path without a route */
  assert_string_equal(all.seen, "aaa7");
  all.stops = "error";
  assert_served(&w, "GET", "/admin", 404, "not found\n");
  assert_string_equal(inner.seen, "ii7");
  all.stops = "answer";
  wire r = serve(&w, "GET", "/admin");
  assert_int_equal(r.status, 303);
  assert_true(wire_has_header(&r, "Location: /login"));
  wire_finish(&r);
  all.stops = NULL;
  assert_served(&w, "GET", "/admin", 200, "admin");
  assert_int_equal(vestry_guard(w.v, "admin", stand, &all), VESTRY_INVALID);
  assert_int_equal(vestry_guard(w.v, "/{a...}", stand, &all), VESTRY_INVALID);
  assert_int_equal(vestry_guard(w.v, "/a", NULL, &all), VESTRY_INVALID);
  assert_logged(&w, "refused guard of /a: guard is NULL");
  for (size_t i = 3; i < VESTRY_GUARDS_MAX; i++) assert_int_equal(vestry_guard(w.v, "/b", stand, &all), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/b", stand, &all), VESTRY_LIMIT);
  site_end(&w);
}

TEST_CASE(guard_may_apply_to_one_path_only) {
  site w;
  site_begin(&w, (vestry_options){0});
  static const char *const paths[] = {"/", "/a", "/a/", "/a/b", "/a/{id}/c"};
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) mount(&w, "GET", paths[i], "p");
  watch front = {.name = "f"}, a = {.name = "a"}, slash = {.name = "s"}, id = {.name = "i"}, all = {.name = "l"};
  assert_int_equal(vestry_guard(w.v, "/{$}", stand, &front), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/a{$}", stand, &a), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/a/{$}", stand, &slash), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/a/{id}/c{$}", stand, &id), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/", stand, &all), VESTRY_OK);
  static const char *const asked[] = {"/", "/a", "/a/", "/a/b", "/a/7/c"};
  for (size_t i = 0; i < 5; i++) assert_served(&w, "GET", asked[i], 200, NULL);
  assert_string_equal(front.seen, "f");
  assert_string_equal(a.seen, "a");
  assert_string_equal(slash.seen, "s");
  assert_string_equal(id.seen, "i7");
  assert_string_equal(all.seen, "lllll7");
  front.stops = "answer";
  wire r = serve(&w, "GET", "/");
  assert_int_equal(r.status, 303);
  wire_finish(&r);
  assert_served(&w, "GET", "/a", 200, NULL);
  static const char *const bad[] = {"{$}", "/{$}/a", "/{$}{$}", "/a{b}{$}", "/{a...}{$}"};
  for (size_t i = 0; i < 5; i++) assert_int_equal(vestry_guard(w.v, bad[i], stand, &all), VESTRY_INVALID);
  site_end(&w);
}

/* The log names the bound that is reached, and the remedy. */
TEST_CASE(log_names_the_bound_of_a_pattern) {
  static const char many[] = "/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}/{n}/{o}/{p}/{q}";
  site w;
  site_begin(&w, (vestry_options){0});
  watch all = {.name = "a"};
  for (int i = 0; i < 3; i++) {
    const vestry_err error = i == 0   ? vestry_route(w.v, "GET", many, tell, NULL)
                             : i == 1 ? vestry_guard(w.v, many, stand, &all)
                                      : vestry_body_limit(w.v, many, 1);
    assert_int_equal(error, VESTRY_LIMIT);
    assert_int_equal(atomic_exchange(&w.th.log_lines, 0), 1);
    assert_non_null(strstr(w.th.last_log, "VESTRY_ROUTE_PARAMETERS_MAX parameters; use fewer"));
    assert_null(strstr(w.th.last_log, "invalid"));
  }
  assert_int_equal(vestry_guard(w.v, "/{a}/{a}", stand, &all), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "refused guard of /{a}/{a}: the pattern is invalid"));
  for (size_t i = 0; i < VESTRY_GUARDS_MAX; i++) assert_int_equal(vestry_guard(w.v, "/b", stand, &all), VESTRY_OK);
  assert_int_equal(vestry_guard(w.v, "/b", stand, &all), VESTRY_LIMIT);
  assert_non_null(strstr(w.th.last_log, "VESTRY_GUARDS_MAX guards; check several paths in one guard"));
  site_end(&w);
}

static int post_bytes(site *w, const char *path, size_t len) {
  char *body = malloc(len + 1);
  memset(body, 'x', len);
  wire r = {.method = "POST", .path = path, .body = body, .body_len = len};
  wire_request(w, &r, NULL, NULL);
  wire_finish(&r);
  free(body);
  return r.status;
}

TEST_CASE(body_limits_apply_by_path) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_body_bytes = 1000}});
  static const char *const paths[] = {"/", "/a", "/a/{id}", "/a/{id}/file"};
  for (size_t i = 0; i < 4; i++) mount(&w, "POST", paths[i], "p");
  assert_int_equal(post_bytes(&w, "/a/7/file", 1000), 200);
  assert_int_equal(post_bytes(&w, "/a/7/file", 1001), 413);
  assert_int_equal(vestry_body_limit(w.v, "/", 100), VESTRY_OK);
  assert_int_equal(vestry_body_limit(w.v, "/a/{any}/file", 100000), VESTRY_OK);
  assert_int_equal(vestry_body_limit(w.v, "/a", 200), VESTRY_OK);
  assert_int_equal(vestry_body_limit(w.v, "/a{$}", 300), VESTRY_OK);
  static const struct {
    const char *path;
    size_t most;
  } rows[] = {{"/", 100}, {"/a", 300}, {"/a/7", 200}, {"/a/7/file", 100000}};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(post_bytes(&w, rows[i].path, rows[i].most), 200);
    assert_int_equal(post_bytes(&w, rows[i].path, rows[i].most + 1), 413);
    size_t most;
    assert_int_equal(vestry_route_status(w.v, "POST", rows[i].path, &most), 200);
    assert_int_equal(most, rows[i].most);
  }
  assert_int_equal(vestry_body_limit(w.v, "/a", 0), VESTRY_OK); /* the instance's limit again */
  assert_int_equal(post_bytes(&w, "/a/7", 1000), 200);
  assert_int_equal(post_bytes(&w, "/a/7", 1001), 413);
  assert_int_equal(vestry_parts_of(w.v)->max_body_bytes, 1000);
  assert_int_equal(vestry_body_limit(w.v, "a", 1), VESTRY_INVALID);
  assert_int_equal(vestry_body_limit(w.v, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_body_limit(w.v, "/a", SIZE_MAX), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "refused body limit of /a"));
  site_end(&w);
}

/* A limit that no body could ever reach is refused. */
TEST_CASE(body_limits_fit_into_the_bytes_of_all_requests) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_request_bytes = 160000}});
  assert_int_equal(vestry_body_limit(w.v, "/a", 70001), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "raise vestry_bounds.max_request_bytes"));
  assert_int_equal(vestry_body_limit(w.v, "/a", 70000), VESTRY_OK);
  mount(&w, "POST", "/a", "p");
  assert_int_equal(post_bytes(&w, "/a", 70000), 200);
  site_end(&w);
}

/* ------------------------------------------------------------------------------------- errors with an answer ------ */

typedef struct says {
  int status; /* 0: none */
  const char *body, *header, *location;
  vestry_err error;
} says;

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *app) {
  const says *one = app;
  if (one->location) vestry_reply_redirect(reply, 303, one->location);
  if (one->status) vestry_reply_status(reply, one->status);
  if (one->header) vestry_reply_header(reply, "X-Why", one->header);
  if (one->body) vestry_reply_bodyf(reply, "%s", one->body);
  return one->error;
}

/* A guard that fails answers with the parts that it has set: body, headers, redirect, status. So does a handler, if its
 * status is an error. Parts that were set for success are discarded. */
TEST_CASE(failed_guard_or_handler_may_set_the_answer) {
  static const struct {
    says one;
    int of_guard, of_handler;
    const char *body_of_guard, *body_of_handler;
  } rows[] = {
      {{422, "Too long", "len", NULL, VESTRY_MALFORMED}, 422, 422, "Too long", "Too long"},
      {{403, "Not you", NULL, NULL, VESTRY_FAILED}, 403, 403, "Not you", "Not you"},
      {{503, "Later", NULL, NULL, VESTRY_LIMIT}, 503, 503, "Later", "Later"},
      {{401, "Log in", NULL, "/login", VESTRY_FAILED}, 401, 401, "Log in", "Log in"},
      {{201, "Made", NULL, NULL, VESTRY_IO}, 201, 500, "Made", "internal error\n"},
      {{0, NULL, NULL, "/login", VESTRY_IO}, 303, 500, "", "internal error\n"},
      {{0, "Nearly", NULL, NULL, VESTRY_NOT_FOUND}, 404, 404, "not found\n", "not found\n"},
      {{404, NULL, NULL, NULL, VESTRY_NOT_FOUND}, 404, 404, "", "not found\n"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (int by_guard = 0; by_guard < 2; by_guard++) {
      site w;
      says one = rows[i].one;
      site_begin(&w, (vestry_options){0});
      if (by_guard) {
        mount(&w, "GET", "/", "p");
        assert_int_equal(vestry_guard(w.v, "/", say, &one), VESTRY_OK);
      } else {
        assert_int_equal(vestry_route(w.v, "GET", "/", say, &one), VESTRY_OK);
      }
      wire r = serve(&w, "GET", "/");
      assert_int_equal(r.status, by_guard ? rows[i].of_guard : rows[i].of_handler);
      assert_string_equal(r.text ? r.text : "", by_guard ? rows[i].body_of_guard : rows[i].body_of_handler);
      if (one.header) assert_true(wire_has_header(&r, "X-Why: len"));
      wire_finish(&r);
      site_end(&w);
    }
  }
}

/* XMLHttpRequest would follow the redirect of a guard, and report one to another site as a broken connection. */
TEST_CASE(script_that_sends_files_sees_the_redirect_of_a_guard) {
  for (int i = 0; i < 4; i++) {
    site w;
    const bool by_guard = i < 2, is_script = i % 2;
    says out = {0, NULL, NULL, "https://login.example/", by_guard ? VESTRY_FAILED : VESTRY_OK};
    site_begin(&w, (vestry_options){0});
    if (by_guard) {
      mount(&w, "HEAD", "/a", "a");
      assert_int_equal(vestry_guard(w.v, "/", say, &out), VESTRY_OK);
    } else {
      assert_int_equal(vestry_route(w.v, "HEAD", "/a", say, &out), VESTRY_OK);
    }
    wire r = {.method = "HEAD", .path = "/a"};
    if (is_script) r.headers[0] = (vestry_header){"Vestry-Upload", "1"};
    wire_request(&w, &r, NULL, NULL);
    assert_int_equal(r.status, by_guard && is_script ? 403 : 303);
    assert_true(wire_has_header(&r, "Location: https://login.example/"));
    wire_finish(&r);
    site_end(&w);
  }
}

/* --------------------------------------------------------------------------------------------- error pages -------- */

static vestry_err not_well(const vestry_request *req, vestry_reply *reply, void *app) {
  return *(vestry_err *)app ? *(vestry_err *)app : vestry_reply_body(reply, NULL, "fine", 4);
}

static vestry_err say_error(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(req->scope.len, 0);
  if (strcmp(app, "fails") == 0) return VESTRY_FAILED;
  return vestry_reply_bodyf(reply, "<h1>%s %d %s</h1>", (const char *)app, req->error, req->path);
}

/* capability: K4 */
TEST_CASE(errors_have_pages) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_err error = VESTRY_LIMIT;
  assert_int_equal(vestry_route(w.v, "GET", "/a", not_well, &error), VESTRY_OK);
  assert_int_equal(vestry_error_page(w.v, 404, say_error, (char[]){"lost"}), VESTRY_OK);
  assert_int_equal(vestry_error_page(w.v, 0, say_error, (char[]){"any"}), VESTRY_OK);
  assert_served(&w, "GET", "/<b>", 404, "<h1>lost 404 /&lt;b&gt;</h1>");
  wire r = serve(&w, "PUT", "/a");
  assert_int_equal(r.status, 405);
  wire_assert_text(&r, "<h1>any 405 /a</h1>");
  assert_true(wire_has_header(&r, "Allow: GET, HEAD, OPTIONS"));
  wire_finish(&r);
  r = serve(&w, "GET", "/a");
  assert_int_equal(r.status, 503);
  assert_true(wire_has_header(&r, "Retry-After: 2"));
  wire_assert_text(&r, "<h1>any 503 /a</h1>");
  wire_finish(&r);
  wire client = {.path = "/nowhere", .datastar = true}; /* needs no page */
  wire_request(&w, &client, NULL, NULL);
  assert_int_equal(client.status, 404);
  wire_assert_text(&client, "not found\n");
  wire_finish(&client);
  assert_int_equal(vestry_error_page(w.v, 500, say_error, (char[]){"fails"}), VESTRY_OK);
  error = VESTRY_FAILED;
  assert_served(&w, "GET", "/a", 500, "internal error\n");
  assert_int_equal(vestry_error_page(w.v, 404, NULL, NULL), VESTRY_OK);
  assert_served(&w, "GET", "/b", 404, "<h1>any 404 /b</h1>");
  assert_int_equal(vestry_error_page(w.v, 0, NULL, NULL), VESTRY_OK);
  assert_served(&w, "GET", "/b", 404, "not found\n");
  assert_int_equal(vestry_error_page(w.v, 399, say_error, (char[]){""}), VESTRY_INVALID);
  assert_logged(&w, "vestry_error_page: status is 399, but must be 0, or from 400 to 599");
  assert_int_equal(vestry_error_page(w.v, 600, say_error, (char[]){""}), VESTRY_INVALID);
  site_end(&w);
}

/* -------------------------------------------------------------------------------------------- no memory ----------- */

/* Let the allocation after `count` others fail; -1: none. */
static void fail_from(test_host *th, long count) {
  test_host_fail_in(th, count);
}

TEST_CASE(failed_mount_changes_nothing) {
  site w;
  site_begin(&w, (vestry_options){0});
  mount(&w, "GET", "/a/b", "b");
  for (long at = 0, tries = 0;; at++, tries++) {
    fail_from(&w.th, at);
    vestry_err error = vestry_route(w.v, "GET", "/a/{id}/c/{rest...}", tell, (char[]){"c"});
    fail_from(&w.th, -1);
    if (!error) {
      assert_true(tries > 0);
      break;
    }
    assert_int_equal(error, VESTRY_NO_MEMORY);
    assert_served(&w, "GET", "/a/x/c/y", 404, NULL);
    assert_served(&w, "GET", "/a/b", 200, "b");
  }
  assert_served(&w, "GET", "/a/x/c/y", 200, "c id=[x] rest=[y]");
  site_end(&w);
}

/* ----------------------------------------------------------------------------- changes while requests run ------ */

/* A route that is refused with its table may have been called meanwhile. */
typedef struct fire {
  site *w;
  _Atomic(bool) stops;
  _Atomic(unsigned) served;
} fire;

static vestry_err use(const vestry_request *req, vestry_reply *reply, void *app) {
  _Atomic(int) *life = app;
  assert_int_equal(atomic_load(life), 1);
  sched_yield();
  assert_int_equal(atomic_load(life), 1);
  return VESTRY_OK;
}

static void *ask_all_the_time(void *ctx) {
  fire *f = ctx;
  while (!atomic_load(&f->stops)) {
    wire r = {.path = "/life/7"};
    assert_int_equal(wire_serve(f->w, &r, NULL, NULL), VESTRY_OK);
    assert_true(r.status == 204 || r.status == 404);
    if (r.status == 204) atomic_fetch_add(&f->served, 1);
    wire_finish(&r);
  }
  return NULL;
}

/* capability: K4 */
TEST_CASE(routes_can_be_mounted_and_refused_while_they_serve) {
  static const vestry_mounted clash[] = {{"GET", "/{id}", use}, {"GET", "/{other}", use}};
  site w;
  site_begin(&w, (vestry_options){0});
  _Atomic(int) life = 1;
  fire f = {.w = &w};
  pthread_t askers[3];
  for (size_t i = 0; i < 3; i++) assert_int_equal(pthread_create(&askers[i], NULL, ask_all_the_time, &f), 0);
  for (size_t round = 0; round < 300 || (atomic_load(&f.served) < 300 && round < 100000); round++) {
    if (round < VESTRY_GUARDS_MAX) assert_int_equal(vestry_guard(w.v, "/life", use, &life), VESTRY_OK);
    assert_int_equal(vestry_mount(w.v, "/life", clash, 2, &life), VESTRY_EXISTS);
  }
  assert_int_equal(vestry_mount(w.v, "/life", clash, 1, &life), VESTRY_OK);
  assert_served(&w, "GET", "/life/7", 204, NULL);
  atomic_store(&f.stops, true);
  for (size_t i = 0; i < 3; i++) pthread_join(askers[i], NULL);
  assert_true(atomic_load(&f.served) > 0);
  site_end(&w);
}

/* ---------------------------------------------------------------------------------------------- followers -------- */

/* The notifications of one follower, as a line of text. */
typedef struct reported {
  char text[512];
  const char *refused; /* a pattern; NULL: none */
} reported;

static void note(reported *t, const char *sign, const char *method, const char *pattern) {
  size_t len = strlen(t->text);
  snprintf(t->text + len, sizeof t->text - len, "%s%s %s;", sign, method, pattern);
}

static vestry_err is_mounted(void *ctx, const char *method, const char *pattern) {
  reported *t = ctx;
  if (t->refused && strcmp(t->refused, pattern) == 0) return VESTRY_LIMIT;
  note(t, "+", method, pattern);
  return VESTRY_OK;
}

static void is_unmounted(void *ctx, const char *method, const char *pattern) {
  note(ctx, "-", method, pattern);
}

static void assert_reported(reported *t, const char *text) {
  assert_string_equal(t->text, text);
  t->text[0] = '\0';
}

TEST_CASE(followers_are_notified_of_routes) {
  static const vsi_route_follower follower = {.mounts = is_mounted, .unmounted = is_unmounted};
  site w;
  reported first = {.refused = NULL}, second = {.refused = NULL};
  site_begin(&w, (vestry_options){0});
  static char app[] = "a";
  assert_int_equal(vestry_route(w.v, "GET", "/a/{id}", tell, app), VESTRY_OK);
  assert_int_equal(vsi_routes_follow(w.v, &follower, &first), VESTRY_OK);
  assert_reported(&first, "+GET /a/{id};");
  mount(&w, "PUT", "/b", "b");
  assert_reported(&first, "+PUT /b;");
  second.refused = "/b";
  assert_int_equal(vsi_routes_follow(w.v, &follower, &second), VESTRY_LIMIT);
  assert_reported(&second, "+GET /a/{id};-GET /a/{id};");
  second.refused = "/no";
  assert_int_equal(vsi_routes_follow(w.v, &follower, &second), VESTRY_OK);
  assert_reported(&second, "+GET /a/{id};+PUT /b;");
  /* a follower that was notified before another one refused is notified of the removal */
  assert_int_equal(vestry_route(w.v, "GET", "/no", tell, NULL), VESTRY_LIMIT);
  assert_reported(&first, "+GET /no;-GET /no;");
  assert_reported(&second, "");
  assert_served(&w, "GET", "/no", 404, NULL);
  /* none is notified if such a route exists already */
  assert_int_equal(vestry_route(w.v, "GET", "/a/{other}", tell, NULL), VESTRY_EXISTS);
  assert_reported(&first, "");
  assert_reported(&second, "");
  (void)vsi_routes_follow(w.v, NULL, &second);
  (void)vsi_routes_follow(w.v, NULL, &second);
  assert_served(&w, "GET", "/a/7", 200, "a id=[7]");
  vsi_routes_end(w.v, app);
  assert_served(&w, "GET", "/a/7", 404, NULL);
  assert_reported(&first, "-GET /a/{id};");
  assert_reported(&second, "");
  fail_from(&w.th, 0);
  assert_int_equal(vsi_routes_follow(w.v, &follower, &second), VESTRY_NO_MEMORY);
  fail_from(&w.th, -1);
  assert_reported(&second, "");
  site_close(&w); /* one that still follows */
}
