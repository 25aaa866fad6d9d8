/* SPDX-License-Identifier: MIT */
/* Permission to see mounted routes: none by default; with the token, from this machine, or by a function. All other
 * requests get 403 without a body. */
#include "serve/wire.h"
#include "vestry/ops/observe.h"

typedef struct suite {
  site on;
  vestry_observe *observe;
} suite;

static void begin(suite *s, vestry_observe_options options) {
  site_begin(&s->on, (vestry_options){.scope = NULL});
  assert_int_equal(vestry_observe_create(s->on.v, &options, &s->observe), VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s->observe, "/observe"), VESTRY_OK);
}

static void end(suite *s) {
  vestry_observe_destroy(s->observe);
  site_end(&s->on);
}

static int request_metrics(suite *s, const char *peer, const char *host, const char *name, const char *value,
                           bool *ret_open) {
  wire r = {.path = "/observe/metrics", .peer = peer};
  int count = 0;
  if (host) r.headers[count++] = (vestry_header){"Host", host};
  if (name) r.headers[count++] = (vestry_header){name, value};
  wire_request(&s->on, &r, NULL, NULL);
  const bool is_shown = r.text && strstr(r.text, "vestry_streams_open ");
  assert_int_equal(is_shown, r.status == 200);
  if (r.status != 200) assert_true(!r.text || !strstr(r.text, "vestry"));
  if (ret_open)
    *ret_open = wire_has_header(&r, "Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8");
  const int status = r.status;
  wire_finish(&r);
  return status;
}

/* The requests may come from a proxy on this machine, with or without the Host of its client. */
/* capability: H2 */
TEST_CASE(every_request_gets_403_by_default) {
  static const char *const hosts[] = {"localhost", "127.0.0.1:8080", "example.org", NULL};
  static const char *const paths[] = {"console", "console/events", "streams", "streams/1", "streams/1/tail", "channels",
                                      "store",   "pages",          "cluster", "closed",    "live",           "ready"};
  suite s;
  begin(&s, (vestry_observe_options){.more = NULL});
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    assert_int_equal(request_metrics(&s, "127.0.0.1", hosts[i], NULL, NULL, NULL), 403);
    assert_int_equal(request_metrics(&s, "127.0.0.1", hosts[i], "Authorization", "Bearer ", NULL), 403);
    assert_int_equal(request_metrics(&s, "127.0.0.1", hosts[i], "Cookie", "vestry-observe=", NULL), 403);
  }
  for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
    char path[64];
    snprintf(path, sizeof path, "/observe/%s", paths[i]);
    wire r = {.path = path, .query = "token=", .peer = "127.0.0.1", .headers = {{"Host", "localhost"}}};
    wire_request(&s.on, &r, NULL, NULL);
    assert_int_equal(r.status, 403);
    wire_finish(&r);
  }
  end(&s);
}

/* capability: H2 */
TEST_CASE(token_gives_permission) {
  static const char token[] = "Zm9vYmFyYmF6cXV4-._~1";
  suite s;
  begin(&s, (vestry_observe_options){.token = token});
  assert_int_equal(
      request_metrics(&s, "192.0.2.1", "example.org", "Authorization", "Bearer Zm9vYmFyYmF6cXV4-._~1", NULL), 200);
  assert_int_equal(
      request_metrics(&s, "192.0.2.1", "example.org", "Cookie", "a=b; vestry-observe=Zm9vYmFyYmF6cXV4-._~1", NULL),
      200);
  static const char *const wrong[] = {"Bearer Zm9vYmFyYmF6cXV4-._~2",
                                      "Bearer Zm9vYmFyYmF6cXV4-._~",
                                      "Bearer Zm9vYmFyYmF6cXV4-._~12",
                                      "Basic Zm9vYmFyYmF6cXV4-._~1",
                                      "Bearer ",
                                      ""};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", "Authorization", wrong[i], NULL), 403);
  assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", NULL, NULL, NULL), 403);
  wire r = {.path = "/observe/console", .query = "token=Zm9vYmFyYmF6cXV4-._~1", .peer = "192.0.2.1"};
  wire_request(&s.on, &r, NULL, NULL);
  assert_int_equal(r.status, 303);
  assert_true(wire_has_header(&r, "Location: console"));
  /* without a Path, it belongs to /observe: to the folder of this address */
  assert_true(wire_has_header(&r, "Set-Cookie: vestry-observe=Zm9vYmFyYmF6cXV4-._~1; HttpOnly; SameSite=Strict"));
  wire_finish(&r);
  wire other = {.path = "/observe/console", .query = "token=Zm9vYmFyYmF6cXV4-._~2", .peer = "127.0.0.1"};
  wire_request(&s.on, &other, NULL, NULL);
  assert_int_equal(other.status, 403);
  wire_finish(&other);
  end(&s);
  site_begin(&s.on, (vestry_options){.scope = NULL});
  static const char *const none[] = {"", "fifteen-letters", "sixteen letters ", "sixteen,letters,",
                                     "sixteen-letters\n"};
  vestry_observe *observe = NULL;
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.token = none[i]}, &observe),
                     VESTRY_INVALID);
  assert_null(observe);
  site_end(&s.on);
}

/* The prefix is a pattern. The browser must send the cookie to each address that it matches. */
/* capability: H2 */
TEST_CASE(cookie_of_pattern_has_no_path) {
  suite s;
  site_begin(&s.on, (vestry_options){.scope = NULL});
  assert_int_equal(vestry_observe_create(s.on.v, &(vestry_observe_options){.token = "Zm9vYmFyYmF6cXV4"}, &s.observe),
                   VESTRY_OK);
  assert_int_equal(vestry_observe_mount(s.observe, "/t/{tenant}/observe"), VESTRY_OK);
  wire r = {.path = "/t/a/observe/console", .query = "token=Zm9vYmFyYmF6cXV4", .peer = "192.0.2.1"};
  wire_request(&s.on, &r, NULL, NULL);
  assert_int_equal(r.status, 303);
  assert_true(wire_has_header(&r, "Set-Cookie: vestry-observe=Zm9vYmFyYmF6cXV4; HttpOnly; SameSite=Strict"));
  wire_finish(&r);
  wire again = {
      .path = "/t/a/observe/console", .peer = "192.0.2.1", .headers = {{"Cookie", "vestry-observe=Zm9vYmFyYmF6cXV4"}}};
  wire_request(&s.on, &again, NULL, NULL);
  assert_int_equal(again.status, 200);
  wire_finish(&again);
  end(&s);
}

/* capability: H2 */
TEST_CASE(trusts_loopback_permits_only_this_machine) {
  suite s;
  begin(&s, (vestry_observe_options){.trusts_loopback = true});
  static const char *const here[] = {"localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080"};
  for (size_t i = 0; i < sizeof here / sizeof *here; i++)
    assert_int_equal(request_metrics(&s, "127.0.0.1", here[i], NULL, NULL, NULL), 200);
  assert_int_equal(request_metrics(&s, "::1", "localhost", NULL, NULL, NULL), 200);
  assert_int_equal(request_metrics(&s, "::ffff:127.0.0.1", "localhost", NULL, NULL, NULL), 200);
  static const char *const elsewhere[] = {"192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1", "",
                                          "::",        "localhost",   "1270.0.0.1"};
  for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
    assert_int_equal(request_metrics(&s, elsewhere[i], "localhost", NULL, NULL, NULL), 403);
  static const char *const others[] = {
      "evil.example", "localhost.evil.example", "127.0.0.1.evil.example:80", "", "[", "[::1", "localhostx", "local",
      ":80"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    assert_int_equal(request_metrics(&s, "127.0.0.1", others[i], NULL, NULL, NULL), 403);
  assert_int_equal(request_metrics(&s, "127.0.0.1", NULL, NULL, NULL, NULL), 403);
  static const char *const passed_on[] = {"X-Forwarded-For", "forwarded", "X-Real-IP", "Via", "X-Forwarded-Host"};
  for (size_t i = 0; i < sizeof passed_on / sizeof *passed_on; i++)
    assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", passed_on[i], "127.0.0.1", NULL), 403);
  bool is_open;
  assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", "Accept", "text/plain", &is_open), 200);
  assert_false(is_open);
  assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", "Accept",
                                   "application/openmetrics-text; version=1.0.0,*/*;q=0.1", &is_open),
                   200);
  assert_true(is_open);
  end(&s);
}

static bool has_word(const vestry_request *req, void *ctx) {
  const char *word = vestry_request_header(req, "Authorization");
  return word && strcmp(word, ctx) == 0;
}

/* capability: H2 */
TEST_CASE(may_function_gives_permission) {
  static char word[] = "Bearer open";
  suite s;
  begin(&s, (vestry_observe_options){.may = has_word, .may_ctx = word});
  assert_int_equal(request_metrics(&s, "192.0.2.1", "example.org", "Authorization", "Bearer open", NULL), 200);
  assert_int_equal(request_metrics(&s, "127.0.0.1", "localhost", NULL, NULL, NULL), 403);
  end(&s);
}
