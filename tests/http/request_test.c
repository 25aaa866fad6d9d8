/* SPDX-License-Identifier: MIT */
/* The parts of a request that a handler sees, and the requests that never reach it. */
#include <stdlib.h>

#include "serve/wire.h"

/* The parts that the handler saw. */
typedef struct seen {
  int calls;
  char method[16], path[64], query[128], peer[64], body[256], cookie[64], scope[64];
  bool is_datastar;
  json_t *signals; /* a reference */
  vestry_err cookie_error;
  vestry *instance;
} seen;

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  seen *s = app;
  s->calls++;
  snprintf(s->method, sizeof s->method, "%s", req->method);
  snprintf(s->path, sizeof s->path, "%s", req->path);
  snprintf(s->query, sizeof s->query, "%s", req->query);
  snprintf(s->peer, sizeof s->peer, "%s", vestry_request_peer(req));
  vestry_slice body = req->body;
  snprintf(s->body, sizeof s->body, "%.*s", (int)body.len, body.len ? (const char *)body.data : "");
  s->is_datastar = req->is_datastar;
  s->signals = json_incref(req->signals);
  s->cookie_error = vestry_request_cookie(req, "id", s->cookie, sizeof s->cookie);
  vestry_scope scope = req->scope;
  snprintf(s->scope, sizeof s->scope, "%.*s", (int)scope.len, scope.len ? (const char *)scope.data : "");
  s->instance = req->v;
  return VESTRY_OK;
}

/* Serve r by a site with these options. Returns the status of the answer. */
static int ask(vestry_options options, wire *r, seen *s) {
  site w;
  site_begin(&w, options);
  int calls = s->calls;
  wire_request(&w, r, look, s);
  if (s->calls > calls) assert_ptr_equal(s->instance, w.v);
  wires_end(&w, r);
  return r->status;
}

TEST_CASE(handler_gets_the_parts_of_the_request) {
  seen s = {0};
  wire r = {.method = "POST",
            .path = "/a b",
            .query = "x=1",
            .body = "hello",
            .body_len = 5,
            .headers = {{"Cookie", "id=7"}}};
  assert_int_equal(ask((vestry_options){0}, &r, &s), 204);
  assert_string_equal(s.method, "POST");
  assert_string_equal(s.path, "/a b");
  assert_string_equal(s.query, "x=1");
  assert_string_equal(s.peer, "192.0.2.1");
  assert_string_equal(s.body, "hello");
  assert_string_equal(s.cookie, "7");
  assert_string_equal(s.scope, "");
  assert_false(s.is_datastar);
  assert_null(s.signals);
  seen none = {0};
  wire bare = {0};
  assert_int_equal(ask((vestry_options){0}, &bare, &none), 204);
  assert_string_equal(none.query, "");
  assert_int_equal(none.cookie_error, VESTRY_NOT_FOUND);
}

static vestry_err small_buffers(const vestry_request *req, vestry_reply *reply, void *app) {
  char buffer[4] = "xyz";
  assert_int_equal(vestry_request_cookie(req, "id", buffer, 4), VESTRY_TOO_LARGE);
  assert_string_equal(buffer, "xyz");
  assert_int_equal(vestry_request_cookie(req, "id", NULL, 0), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_request_cookie(req, "ok", buffer, 4), VESTRY_OK);
  assert_string_equal(buffer, "123");
  assert_int_equal(vestry_request_cookie(req, NULL, buffer, 4), VESTRY_NOT_FOUND);
  ++*(int *)app;
  return VESTRY_OK;
}

TEST_CASE(cookie_over_buffer_is_too_large) {
  site w;
  site_begin(&w, (vestry_options){0});
  int calls = 0;
  wire r = {.headers = {{"Cookie", "id=1234; ok=123"}}};
  wire_request(&w, &r, small_buffers, &calls);
  assert_int_equal(calls, 1);
  wires_end(&w, &r);
}

/* ------------------------------------------------------------------------------------------------ signals --------- */

static void assert_signals(wire *r, json_int_t expected) {
  seen s = {0};
  r->datastar = true;
  assert_int_equal(ask((vestry_options){0}, r, &s), 204);
  assert_true(s.is_datastar);
  assert_true(json_is_object(s.signals));
  if (expected < 0)
    assert_int_equal(json_object_size(s.signals), 0);
  else
    assert_int_equal(json_integer_value(json_object_get(s.signals, "n")), expected);
  json_decref(s.signals);
}

/* capability: B7 */
TEST_CASE(signals_are_read_by_method_from_query_or_body) {
  static const char *const in_query[] = {"GET", "DELETE", "GET"}, *const in_body[] = {"POST", "PUT", "PATCH"};
  for (size_t i = 0; i < 3; i++) {
    wire query = {.method = in_query[i], .query = "datastar=%7B%22n%22%3A5%7D", .body = "{\"n\":9}", .body_len = 7};
    assert_signals(&query, 5);
    wire body = {.method = in_body[i], .query = "datastar=%7B%22n%22%3A5%7D", .body = "{\"n\":9}", .body_len = 7};
    assert_signals(&body, 9);
    wire neither = {.method = in_query[i]}, empty = {.method = in_body[i]};
    assert_signals(&neither, -1);
    assert_signals(&empty, -1);
  }
}

TEST_CASE(forms_have_no_signals) {
  static const char *const types[] = {"application/x-www-form-urlencoded", "Multipart/Form-Data; boundary=x",
                                      "application/x-www-form-urlencoded ;charset=utf-8"};
  for (size_t i = 0; i < 3; i++) {
    wire r = {.method = "POST", .headers = {{"Content-Type", types[i]}}, .body = "n=1", .body_len = 3};
    assert_signals(&r, -1);
  }
  wire json = {.method = "POST", .headers = {{"Content-Type", "application/json"}}, .body = "{\"n\":1}", .body_len = 7};
  assert_signals(&json, 1);
}

/* capability: C6 */
TEST_CASE(signals_of_plain_requests_are_not_parsed) {
  seen s = {0};
  wire r = {.method = "POST", .body = "{{{", .body_len = 3};
  assert_int_equal(ask((vestry_options){0}, &r, &s), 204);
  assert_string_equal(s.body, "{{{");
  seen other = {0};
  wire almost = {.method = "POST", .headers = {{"Datastar-Request", "yes"}}, .body = "{{{", .body_len = 3};
  assert_int_equal(ask((vestry_options){0}, &almost, &other), 204);
  assert_null(other.signals);
}

/* capability: C6 */
TEST_CASE(c6_datastar_request_must_be_true) {
  static const struct {
    vestry_header header;
    bool is_datastar;
  } cases[] = {
      {{"Datastar-Request", "true"}, true},        {{"datastar-request", "true"}, true},
      {{"Datastar-Request", ""}, false},           {{"Datastar-Request", "false"}, false},
      {{"Datastar-Request", "1"}, false},          {{"Datastar", "true"}, false},
      {{"Datastar-Request", "true, true"}, false},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    seen s = {0};
    wire r = {.headers = {cases[i].header}};
    assert_int_equal(ask((vestry_options){0}, &r, &s), 204);
    assert_int_equal(s.is_datastar, cases[i].is_datastar);
    assert_int_equal(s.signals != NULL, cases[i].is_datastar);
    json_decref(s.signals);
  }
}

/* capability: C5 */
TEST_CASE(malformed_signals_get_400_with_their_offset) {
  static const char *const bodies[] = {"{\"n\":}", "[1]", "7", "{} x", "{\"n\":\"\xff\"}", "nul"};
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    seen s = {0};
    wire r = {.datastar = true, .method = "POST", .body = bodies[i], .body_len = strlen(bodies[i])};
    wire_request(&w, &r, look, &s);
    assert_int_equal(r.status, 400);
    assert_int_equal(s.calls, 0);
    assert_int_equal(strncmp(r.text, "signals: ", 9), 0);
    assert_non_null(strstr(r.text, ", at byte "));
    wires_end(&w, &r);
  }
  seen s = {0};
  wire escape = {.datastar = true, .query = "datastar=%7"};
  assert_int_equal(ask((vestry_options){0}, &escape, &s), 400);
}

/* capability: C5 */
TEST_CASE(signals_over_limits_get_413) {
  seen s = {0};
  wire deep = {.datastar = true, .method = "POST", .body = "{\"a\":{\"a\":{}}}", .body_len = 14};
  assert_int_equal(ask((vestry_options){.signals = &(vestry_signals_limits){.max_depth = 2}}, &deep, &s), 413);
  wire large = {.datastar = true, .method = "POST", .body = "{\"a\":123456}", .body_len = 12};
  assert_int_equal(ask((vestry_options){.signals = &(vestry_signals_limits){.max_bytes = 11}}, &large, &s), 413);
  wire many = {.datastar = true, .query = "datastar=%7B%22n%22%3A[1,2,3]%7D"};
  assert_int_equal(ask((vestry_options){.signals = &(vestry_signals_limits){.max_count = 3}}, &many, &s), 413);
  assert_int_equal(s.calls, 0);
}

/* ---------------------------------------------------------------------------------------------------- body -------- */

TEST_CASE(body_over_limit_gets_413_announced_or_not) {
  static const struct {
    size_t len;
    int64_t announced;
    size_t piece, max;
    int status;
  } cases[] = {
      {100, 0, 0, 100, 204},  {100, 0, 7, 100, 204},  {101, 0, 0, 100, 413},  {100, -1, 0, 100, 204},
      {100, -1, 1, 100, 204}, {101, -1, 0, 100, 413}, {101, -1, 1, 100, 413}, {5, INT64_MAX, 0, 100, 413},
      {50, 60, 0, 100, 400},  {0, 60, 0, 100, 400},   {60, 50, 0, 100, 204},  {0, -1, 0, 100, 204},
      {100, -9, 0, 100, 204},
  };
  char body[128];
  memset(body, 'x', sizeof body);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    seen s = {0};
    wire r = {.method = "POST",
              .body = body,
              .body_len = cases[i].len,
              .announced = cases[i].announced,
              .piece = cases[i].piece};
    assert_int_equal(ask((vestry_options){.bounds = &(vestry_bounds){.max_body_bytes = cases[i].max}}, &r, &s),
                     cases[i].status);
    assert_int_equal(s.calls, cases[i].status == 204);
    size_t expected = cases[i].announced > 0 ? (size_t)cases[i].announced : cases[i].len;
    if (s.calls) assert_int_equal(strlen(s.body), expected);
  }
}

typedef struct parsed {
  const vestry_signals_limits *limits;
  vestry_err error;
  char *text; /* JSON text of the value; NULL: none */
  vestry_signals_error why;
} parsed;

static vestry_err parse_body(const vestry_request *req, vestry_reply *reply, void *app) {
  parsed *p = app;
  json_t *value = NULL;
  p->error = vestry_request_json(req, p->limits, &value, &p->why);
  assert_int_equal(p->error == VESTRY_OK, value != NULL);
  p->text = value ? json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
  json_decref(value);
  return VESTRY_OK;
}

/* expected: the value; NULL: error. */
static void assert_parsed(const char *body, size_t len, const vestry_signals_limits *limits, vestry_err error,
                          const char *expected) {
  parsed p = {.limits = limits};
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_body_bytes = 4 << 20},
                                  .signals = &(vestry_signals_limits){.max_count = 5}});
  wire r = {.method = "POST", .body = body, .body_len = len};
  wire_request(&w, &r, parse_body, &p);
  assert_int_equal(p.error, error);
  if (expected) assert_string_equal(p.text, expected);
  if (error) assert_true(p.why.message[0]);
  free(p.text);
  wires_end(&w, &r);
}

TEST_CASE(bodies_are_read_as_json) {
  static const vestry_signals_limits tight = {.max_bytes = 8, .max_depth = 2, .max_count = 3};
  static const struct {
    const char *body;
    const vestry_signals_limits *limits;
    vestry_err error;
    const char *expected;
  } cases[] = {
      {" {\"a\": [1]} ", NULL, VESTRY_OK, "{\"a\":[1]}"},
      {"[1, \"x\"]", NULL, VESTRY_OK, "[1,\"x\"]"},
      {"7", NULL, VESTRY_OK, "7"},
      {"\"x\"", NULL, VESTRY_OK, "\"x\""},
      {"null", NULL, VESTRY_OK, "null"},
      {"", NULL, VESTRY_MALFORMED, NULL},
      {"  ", NULL, VESTRY_MALFORMED, NULL},
      {"[1", NULL, VESTRY_MALFORMED, NULL},
      {"{} {}", NULL, VESTRY_MALFORMED, NULL},
      {"\"\xff\"", NULL, VESTRY_MALFORMED, NULL},
      {"1e999", NULL, VESTRY_MALFORMED, NULL},
      {"99999999999999999999", NULL, VESTRY_MALFORMED, NULL},
      {"[1,2,3,4,5]", NULL, VESTRY_OK, "[1,2,3,4,5]"}, /* the instance's limit */
      {"[1,2,3,4,5,6]", NULL, VESTRY_TOO_LARGE, NULL},
      {"[1,2,3]", &tight, VESTRY_OK, "[1,2,3]"},
      {"[1,2,3,4]", &tight, VESTRY_TOO_LARGE, NULL},
      {"[[]]", &tight, VESTRY_OK, "[[]]"},
      {"[[[]]]", &tight, VESTRY_TOO_LARGE, NULL},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_parsed(cases[i].body, strlen(cases[i].body), cases[i].limits, cases[i].error, cases[i].expected);
}

/* As many brackets as fit: no nesting may overflow a stack. */
TEST_CASE(deeply_nested_body_is_too_large) {
  enum { DEPTH = 1 << 20 };
  static const vestry_signals_limits loose = {.max_bytes = 4 << 20, .max_depth = UINT32_MAX, .max_count = UINT32_MAX};
  char *body = malloc(2 * DEPTH);
  memset(body, '[', DEPTH);
  memset(body + DEPTH, ']', DEPTH);
  assert_parsed(body, 2 * DEPTH, &loose, VESTRY_TOO_LARGE, NULL);
  assert_parsed(body + DEPTH - 257, 2 * 257, &loose, VESTRY_TOO_LARGE, NULL);
  assert_parsed(body + DEPTH - 256, 2 * 256, &loose, VESTRY_OK, NULL);
  free(body);
}

/* The test host's own allocator, and the size of the largest allocation. */
static void *(*plain_reallocate)(void *ctx, void *memory, size_t size_bytes);
static size_t largest;

static void *watched_reallocate(void *ctx, void *memory, size_t size_bytes) {
  if (size_bytes > largest) largest = size_bytes;
  return plain_reallocate(ctx, memory, size_bytes);
}

/* An announced length allocates nothing before the bytes have arrived. */
TEST_CASE(announced_length_is_not_allocated) {
  site w;
  site_begin(&w, (vestry_options){0});
  plain_reallocate = w.th.host.reallocate;
  w.th.host.reallocate = watched_reallocate;
  largest = 0;
  seen s = {0};
  wire r = {.method = "POST", .body = "x", .body_len = 1, .announced = 1 << 20, .read_error = VESTRY_TIMEOUT};
  wire_request(&w, &r, look, &s);
  assert_int_equal(r.status, 408);
  assert_in_range(largest, 1, 65536);
  wires_end(&w, &r);
}

TEST_CASE(truncated_body_gets_400) {
  seen s = {0};
  wire r = {.method = "POST", .body = "x", .body_len = 1, .announced = 10, .read_error = VESTRY_IO};
  assert_int_equal(ask((vestry_options){0}, &r, &s), 400);
  assert_int_equal(s.calls, 0);
}

TEST_CASE(body_limit_defaults_to_one_mebibyte) {
  size_t len = (size_t)1 << 20;
  char *body = malloc(len + 1);
  memset(body, 'x', len + 1);
  seen s = {0};
  wire fits = {.method = "POST", .body = body, .body_len = len},
       over = {.method = "POST", .body = body, .body_len = len + 1};
  assert_int_equal(ask((vestry_options){0}, &fits, &s), 204);
  assert_int_equal(ask((vestry_options){0}, &over, &s), 413);
  assert_int_equal(s.calls, 1);
  free(body);
}

/* --------------------------------------------------------------------------------------------------- scopes ------- */

static vestry_err by_tab(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  assert_int_equal(*ret_len, 0);
  assert_int_equal(req->scope.len, 0);
  if (*(vestry_err *)ctx) return *(vestry_err *)ctx;
  const char *tab = json_string_value(json_object_get(req->signals, "tab"));
  if (!tab) return VESTRY_OK; /* the scope without a name */
  *ret_len = strlen(tab);
  memcpy(buffer, tab, *ret_len);
  return VESTRY_OK;
}

/* capability: A8 */
TEST_CASE(scope_function_reads_the_request) {
  vestry_err error = VESTRY_OK;
  seen s = {0};
  wire r = {.datastar = true, .query = "datastar=%7B%22tab%22%3A%22t1%22%7D"};
  assert_int_equal(ask((vestry_options){.scope = by_tab, .scope_ctx = &error}, &r, &s), 204);
  assert_string_equal(s.scope, "t1");
  json_decref(s.signals);
  seen none = {0};
  wire plain = {0};
  assert_int_equal(ask((vestry_options){.scope = by_tab, .scope_ctx = &error}, &plain, &none), 204);
  assert_string_equal(none.scope, "");
  error = VESTRY_NOT_FOUND;
  seen refused = {0};
  wire other = {0};
  assert_int_equal(ask((vestry_options){.scope = by_tab, .scope_ctx = &error}, &other, &refused), 404);
  assert_int_equal(refused.calls, 0);
}

static vestry_err claim_too_much(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                 void *ctx) {
  memset(buffer, 's', VESTRY_SCOPE_MAX_BYTES);
  *ret_len = *(size_t *)ctx;
  return VESTRY_OK;
}

/* capability: A8 */
TEST_CASE(scope_over_limit_gets_500) {
  size_t len = VESTRY_SCOPE_MAX_BYTES;
  seen s = {0};
  wire full = {0}, over = {0};
  assert_int_equal(ask((vestry_options){.scope = claim_too_much, .scope_ctx = &len}, &full, &s), 204);
  len++;
  assert_int_equal(ask((vestry_options){.scope = claim_too_much, .scope_ctx = &len}, &over, &s), 500);
  assert_int_equal(s.calls, 1);
}

/* A request without a cookie is answered by the scope function; other requests get one more cookie. */
static vestry_err by_session(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *how = ctx;
  if (strcmp(how, "cookie") == 0) {
    buffer[0] = 's';
    *ret_len = 1;
    return vestry_reply_cookie(reply, &(vestry_cookie){.name = "a", .value = "b"});
  }
  if (strcmp(how, "redirect") == 0) {
    (void)vestry_reply_redirect(reply, 303, "/login");
    return VESTRY_NOT_FOUND;
  }
  if (strcmp(how, "status") == 0) {
    (void)vestry_reply_status(reply, 401);
    (void)vestry_reply_bodyf(reply, "<p>%s</p>", req->path);
    return VESTRY_MALFORMED;
  }
  if (strcmp(how, "mistake") == 0) return vestry_reply_header(reply, "Content-Length", "7");
  return VESTRY_NOT_FOUND; /* no status: the usual one of the error */
}

/* capability: K8 */
TEST_CASE(scope_function_may_answer_the_request) {
  static const struct {
    const char *how, *header;
    int status;
    size_t calls;
  } rows[] = {
      {"cookie", "Set-Cookie: a=b; Path=/; Secure; HttpOnly; SameSite=Lax", 204, 1},
      {"redirect", "Location: /login", 303, 0},
      {"status", "Content-Type: text/html; charset=utf-8", 401, 0},
      {"mistake", NULL, 500, 0},
      {"nothing", NULL, 404, 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    seen s = {0};
    wire r = {0};
    site w;
    site_begin(&w, (vestry_options){.scope = by_session, .scope_ctx = (void *)(uintptr_t)rows[i].how});
    wire_request(&w, &r, look, &s);
    assert_int_equal(r.status, rows[i].status);
    assert_int_equal(s.calls, rows[i].calls);
    if (rows[i].header) assert_true(wire_has_header(&r, rows[i].header));
    wires_end(&w, &r);
  }
}
