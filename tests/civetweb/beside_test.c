/* SPDX-License-Identifier: MIT */
/* vestry beside others in one server: the program's own handlers, registered in any order, and other instances. */
#include <civetweb.h>
#include <stdlib.h>

#include "adapter/civetweb/adapter.h"
#include "civetweb/server.h"
#include "http/routes/routes.h"
#include "runtime/random.h"
#include "support/patience.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"
#include "testing/contract/client.h"

static vsi_server s;

/* ---- the program's own handlers ---------------------------------------------------------------------------------- */

/* Answers with its name and the request's body. */
static int own(struct mg_connection *conn, void *name) {
  char body[64];
  int len = mg_read(conn, body, sizeof body);
  if (len < 0) len = 0;
  mg_printf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s:%.*s",
            strlen(name) + 1 + (size_t)len, (const char *)name, len, body);
  return 200;
}

static void set_own(const char *uri) {
  mg_set_request_handler(civetweb_of(&s)->context, uri, own, (void *)(uintptr_t)uri);
}

static vestry_err say(const vestry_request *req, vestry_reply *reply, void *text) {
  return vestry_reply_body(reply, "text/plain", text, strlen(text));
}

static vestry_err try_route(vestry *v, const char *method, const char *pattern, const char *says) {
  return vestry_route(v, method, pattern, say, (void *)(uintptr_t)says);
}

/* Texts whose routes end (vsi_routes_end). */
static const char first_text[] = "first", echo_text[] = "echo";

static void route(vestry *v, const char *pattern, const char *says) {
  assert_int_equal(try_route(v, "GET", pattern, says), VESTRY_OK);
}

/* Send a request, and return the body of the answer; for a status other than 200, return the status. */
static const char *ask(const char *method, const char *path, const char *body) {
  static char answer[256];
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  vsi_client_sendf(&c, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", method, path, strlen(body), body);
  int status = vsi_client_status(&c);
  vsi_client_finish(&c, false);
  snprintf(answer, sizeof answer, "%s", c.body ? c.body : "");
  if (status != 200) snprintf(answer, sizeof answer, "%d", status);
  vsi_client_close(&c);
  return answer;
}

/* Wait until the request gets this answer, because a timer removes handlers. */
static void wait_for(const char *method, const char *path, const char *answer) {
  unsigned looks = 0;
  for (double until = vsi_seconds_now() + PATIENCE_S; strcmp(ask(method, path, ""), answer) != 0; until_pause(looks++))
    if (vsi_seconds_now() > until) fail_msg("%s %s is not answered %s", method, path, answer);
}

TEST_CASE(handlers_registered_after_vestry_are_reached) {
  server_start(&s, NULL);
  set_own("/plain");
  set_own("/a/*");
  set_own("**.json$");
  set_own("/echo*");
  assert_string_equal(ask("GET", "/plain", ""), "/plain:");
  assert_string_equal(ask("POST", "/a/b", "with a body"), "/a/*:with a body");
  assert_string_equal(ask("PUT", "/x/y.json", "{}"), "**.json$:{}");
  assert_string_equal(ask("GET", "/echo/below", ""), "/echo*:");
  assert_string_equal(ask("POST", "/echo", "mine"), "mine"); /* vestry's, which was registered before */
  assert_string_equal(ask("PUT", "/echo", ""), "405");
  assert_string_equal(ask("GET", "/nobody", ""), "404");
  vsi_server_stop(&s);
}

static void before_mount(uint16_t port) {}

/* In the recommended order: vestry in init_context, the program's handlers after mg_start. Also routes that are mounted
 * after the program's handlers. */
TEST_CASE(routes_mounted_after_other_handlers_are_served) {
  server_start(&s, &(server_settings){.before_mount = before_mount});
  set_own("/late/*.json$");
  route(s.v, "/late/{name}", "late");
  route(s.v, "/files/{path...}", "file");
  assert_string_equal(ask("GET", "/late/a", ""), "late");
  assert_string_equal(ask("GET", "/late/a.json", ""), "/late/*.json$:"); /* which was registered before */
  assert_string_equal(ask("GET", "/late/", ""), "404");
  assert_string_equal(ask("GET", "/late/a/b", ""), "404");
  assert_string_equal(ask("GET", "/files/", ""), "file");
  assert_string_equal(ask("GET", "/files/a/b", ""), "file");
  assert_string_equal(ask("GET", "/files", ""), "404");
  vsi_server_stop(&s);
}

static int own_above(struct mg_connection *conn, void *text) {
  int status = vestry_civetweb_serve(civetweb_of(&s)->web, conn);
  return status ? status : own(conn, text);
}

/* A handler for a path above vestry's is called first, and can pass the request on. */
TEST_CASE(handler_above_may_pass_requests_on) {
  server_start(&s, NULL);
  static char name[] = "above";
  route(s.v, "/api/live", "live");
  mg_set_request_handler(civetweb_of(&s)->context, "/api", own, name);
  assert_string_equal(ask("GET", "/api/live", ""), "above:");
  mg_set_request_handler(civetweb_of(&s)->context, "/api", own_above, name);
  assert_string_equal(ask("GET", "/api/live", ""), "live");
  assert_string_equal(ask("POST", "/api/other", "body"), "above:body");
  mg_set_request_handler(civetweb_of(&s)->context, "/echo", own_above, name);
  assert_string_equal(ask("POST", "/echo", "whole"), "whole");
  vsi_server_stop(&s);
}

/* ---- the server's own request ------------------------------------------------------------------------------------ */

/* The program's own login, for example by digest or cookie. */
static vestry_err scope_by_header(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                  void *app) {
  struct mg_connection *conn = vestry_civetweb_request_of(req);
  const char *user = conn ? mg_get_header(conn, "X-User") : NULL;
  *ret_len = user ? strlen(user) : 0;
  if (user) memcpy(buffer, user, *ret_len);
  return VESTRY_OK;
}

static vestry_err say_scope(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_scope scope = req->scope;
  return vestry_reply_body(reply, "text/plain", scope.data, scope.len);
}

TEST_CASE(login_of_the_program_becomes_the_scope) {
  server_start(&s, &(server_settings){.options.scope = scope_by_header});
  assert_int_equal(vestry_route(s.v, "GET", "/who", say_scope, NULL), VESTRY_OK);
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/who", "X-User: ada\r\n");
  vsi_client_finish(&c, false);
  assert_string_equal(c.body, "ada");
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- any handlers in any order ----------------------------------------------------------------------------------- */

enum { WORLDS = 40, STEPS = 14, ASKED = 40 };

static const char *const segments[] = {"a", "b", "c.json"};
static const char *const route_patterns[] = {"/",      "/a",     "/a/",     "/a/b",      "/{x}",
                                             "/a/{x}", "/{x}/b", "/{x...}", "/a/{x...}", "/b/{x}/{y}"};
static const char *const own_patterns[] = {"/a$",      "/a",  "/b/c.json", "/a/*", "/**",
                                           "**.json$", "/?$", "/b/**b$",   "/b*"};
enum {
  SEGMENTS = sizeof segments / sizeof *segments,
  ROUTES = sizeof route_patterns / sizeof *route_patterns,
  OWN = sizeof own_patterns / sizeof *own_patterns
};

/* The registrations in order: names of own handlers, patterns of routes. */
typedef struct model {
  struct {
    const char *text;
    bool is_route;
  } steps[STEPS];
  size_t count;
} model;

/* A naive matcher of civetweb's patterns: they match the whole path, or its beginning if they have no '$'. */
static bool own_matches(const char *pattern, const char *path) {
  if (!*pattern) return true;
  if (*pattern == '$') return !*path;
  if (*pattern == '*') {
    bool is_long = pattern[1] == '*';
    for (const char *at = path;; at++) {
      if (own_matches(pattern + (is_long ? 2 : 1), at)) return true;
      if (!*at || (!is_long && *at == '/')) return false;
    }
  }
  return *path && (*pattern == '?' || *pattern == *path) && own_matches(pattern + 1, path + 1);
}

static bool route_matches(const char *pattern, const char *path) {
  if (*pattern == '{') {
    const char *end = strchr(pattern, '}') + 1;
    if (end[-2] == '.') return true;
    size_t len = strcspn(path, "/");
    return len && route_matches(end, path + len);
  }
  if (*pattern != *path) return false;
  return !*pattern || route_matches(pattern + 1, path + 1);
}

/* The handler that must answer: the text of a registration; NULL: none. */
static const char *who(const model *m, const char *path, bool *ret_route) {
  *ret_route = false;
  for (size_t i = 0; i < m->count; i++)
    if (!m->steps[i].is_route && strcmp(m->steps[i].text, path) == 0) return m->steps[i].text;
  for (size_t i = 0; i < m->count; i++) {
    size_t len = strlen(m->steps[i].text);
    if (!m->steps[i].is_route && strncmp(m->steps[i].text, path, len) == 0 && path[len] == '/') return m->steps[i].text;
  }
  for (size_t i = 0; i < m->count; i++) {
    const char *text = m->steps[i].text;
    *ret_route = m->steps[i].is_route;
    if (*ret_route ? route_matches(text, path) : own_matches(text, path)) return text;
  }
  return NULL;
}

static bool has_step(const model *m, const char *text) {
  for (size_t i = 0; i < m->count; i++)
    if (m->steps[i].text == text) return true;
  return false;
}

static void set_any(model *m, uint64_t *seed) {
  bool is_route = random_below(seed, 2);
  const char *text = is_route ? route_patterns[random_below(seed, ROUTES)] : own_patterns[random_below(seed, OWN)];
  if (has_step(m, text)) return;
  m->steps[m->count].text = text;
  m->steps[m->count++].is_route = is_route;
  if (is_route)
    route(s.v, text, "vestry");
  else
    set_own(text);
}

static void ask_any(const model *m, uint64_t *seed, uint64_t world) {
  char path[64] = "", expected[64] = "404";
  for (uint64_t left = 1 + random_below(seed, 3); left; left--) {
    strcat(path, "/");
    if (left > 1 || random_below(seed, 5)) strcat(path, segments[random_below(seed, SEGMENTS)]);
  }
  bool is_route;
  const char *by = who(m, path, &is_route);
  if (by) snprintf(expected, sizeof expected, is_route ? "vestry" : "%s:body", by);
  const char *answer = ask("GET", path, "body");
  if (strcmp(answer, expected) == 0) return;
  for (size_t i = 0; i < m->count; i++)
    print_error("%s %s\n", m->steps[i].is_route ? "route" : "own", m->steps[i].text);
  fail_msg("world %llu: %s is answered %s, not %s", (unsigned long long)world, path, answer, expected);
}

TEST_CASE(random_handlers_in_any_order_match_the_model) {
  for (uint64_t world = 1; world <= WORLDS; world++) {
    uint64_t seed = world;
    model m = {.count = 0};
    server_start(&s, &(server_settings){.bare = true});
    for (size_t i = 0; i < STEPS; i++) set_any(&m, &seed);
    for (size_t i = 0; i < ASKED; i++) ask_any(&m, &seed, world);
    vsi_server_finish(&s);
  }
}

/* ---- several instances ------------------------------------------------------------------------------------------- */

enum { ROOM = 8 }; /* of server_start */

typedef struct second {
  test_host th;
  vestry *v;
  vestry_server *adapter;
  vsi_recorder recorder;
} second;

static void second_begin(second *b) {
  memset(b, 0, sizeof *b);
  test_host_init(&b->th);
  b->th.host.now_ns = s.th.host.now_ns;
  b->th.host.random = s.th.host.random;
  vsi_recorder_init(&b->recorder);
  assert_int_equal(vestry_create(&(vestry_options){.host = &b->th.host, .threads_count = 1}, &b->v), VESTRY_OK);
}

static vestry_err second_add(second *b, uint32_t per_address) {
  const vestry_civetweb_options options = {.reserve_threads = 4, .max_per_address = per_address};
  return vestry_civetweb_create(b->v, civetweb_of(&s)->context, &options, &b->adapter);
}

/* After the end of the server. */
static void second_finish(second *b) {
  vestry_server_destroy(b->adapter);
  assert_int_equal(vestry_stop(b->v, PATIENCE_S * 1000), VESTRY_OK);
  vsi_recorder_finish(&b->recorder);
  vestry_destroy(b->v);
  test_host_assert_clean(&b->th);
}

static void end(second *b) {
  assert_int_equal(vestry_server_stop(b->adapter, PATIENCE_S * 1000), VESTRY_OK);
  vsi_server_stop_adapter(&s);
  vestry_civetweb_stop_server(civetweb_of(&s)->context);
  second_finish(b);
  civetweb_of(&s)->context = NULL;
  vsi_server_finish(&s);
}

static vestry_err open_second(const vestry_request *req, vestry_reply *reply, void *b) {
  vestry_connection_hooks hooks = vsi_recorder_hooks(&((second *)b)->recorder);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

TEST_CASE(two_instances_serve_their_own_routes) {
  second b;
  server_start(&s, NULL);
  second_begin(&b);
  route(s.v, "/of/{x}", first_text);
  route(b.v, "/b", "second");
  assert_int_equal(second_add(&b, 0), VESTRY_OK);
  route(b.v, "/of/b", "second");
  route(b.v, "/later", "second");
  set_own("/c*");
  assert_string_equal(ask("GET", "/b", ""), "second");
  assert_string_equal(ask("GET", "/later", ""), "second");
  assert_string_equal(ask("GET", "/echo", ""), "nothing");
  assert_string_equal(ask("GET", "/of/a", ""), "first");
  assert_string_equal(ask("GET", "/of/b", ""), "first"); /* the older one's */
  assert_string_equal(ask("GET", "/c", ""), "/c*:");
  assert_string_equal(ask("POST", "/b", ""), "405");
  assert_int_equal(try_route(b.v, "POST", "/echo", "x"), VESTRY_EXISTS);
  assert_int_equal(try_route(b.v, "PUT", "/echo", "put"), VESTRY_OK); /* a method that neither supports */
  assert_string_equal(ask("PUT", "/echo", ""), "put");
  assert_int_equal(try_route(s.v, "GET", "/of/{other}", "x"), VESTRY_EXISTS);
  /* a refused route leaves nothing registered, and removes nothing */
  assert_string_equal(ask("GET", "/of/a", ""), "first");
  vsi_routes_end(s.v, first_text);
  assert_int_equal(try_route(b.v, "GET", "/of/{x}", "taken"), VESTRY_OK);
  wait_for("GET", "/of/a", "taken");
  end(&b);
}

TEST_CASE(duplicate_routes_of_two_instances_are_refused) {
  second b;
  server_start(&s, NULL);
  second_begin(&b);
  route(b.v, "/fine", "second");
  route(b.v, "/echo", echo_text);
  assert_int_equal(second_add(&b, 0), VESTRY_EXISTS);
  assert_null(b.adapter);
  assert_non_null(strstr(b.th.last_log, "GET /echo"));
  assert_string_equal(ask("GET", "/echo", ""), "nothing");
  set_own("/f*");
  assert_string_equal(ask("GET", "/fine", ""), "/f*:"); /* it left nothing registered */
  vsi_routes_end(b.v, echo_text);
  assert_int_equal(second_add(&b, 3), VESTRY_INVALID); /* the limit belongs to the server */
  assert_int_equal(second_add(&b, 0), VESTRY_OK);
  assert_string_equal(ask("GET", "/fine", ""), "/f*:"); /* which is now registered before */
  end(&b);
}

TEST_CASE(failed_creation_leaves_nothing_registered) {
  second b;
  server_start(&s, NULL);
  second_begin(&b);
  route(b.v, "/b", "second");
  route(b.v, "/b/{x}", "second");
  set_own("/echo/*");
  vestry_err error = VESTRY_NO_MEMORY;
  for (long n = 0; error; n++) {
    test_host_fail_in(&b.th, n);
    error = second_add(&b, 0);
    test_host_fail_no_more(&b.th);
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    assert_string_equal(ask("GET", "/b/c", ""), error ? "404" : "second");
  }
  assert_string_equal(ask("GET", "/echo/a", ""), "/echo/*:");
  end(&b);
}

/* Their streams use the same workers. */
TEST_CASE(streams_of_both_instances_share_the_limit) {
  second b;
  vsi_client clients[ROOM], more;
  server_start(&s, NULL);
  second_begin(&b);
  assert_int_equal(vestry_route(b.v, "GET", "/second", open_second, &b), VESTRY_OK);
  assert_int_equal(second_add(&b, 0), VESTRY_OK);
  for (unsigned i = 0; i < ROOM; i++) {
    vsi_client_ask(&clients[i], s.port, "GET", i % 2 ? "/second" : "/stream", "Datastar-Request: true\r\n");
    assert_int_equal(vsi_client_status(&clients[i]), 200);
  }
  assert_true(vsi_recorder_wait_opened(&s.recorder, ROOM / 2) && vsi_recorder_wait_opened(&b.recorder, ROOM / 2));
  for (int i = 0; i < 2; i++) {
    vsi_client_ask(&more, s.port, "GET", i ? "/second" : "/stream", "Datastar-Request: true\r\n");
    assert_int_equal(vsi_client_status(&more), 503);
    vsi_client_close(&more);
  }
  uint32_t dedicated;
  vestry_server_room(b.adapter, &dedicated, NULL);
  assert_int_equal(dedicated, ROOM / 2);
  assert_string_equal(ask("GET", "/echo", ""), "nothing");
  for (unsigned i = 0; i < ROOM; i++) vsi_client_close(&clients[i]);
  end(&b);
}

/* One instance stops and is replaced while the server runs; the other one is not affected. */
TEST_CASE(stopped_instance_can_be_replaced) {
  second b, c;
  vsi_client stream;
  server_start(&s, NULL);
  second_begin(&b);
  route(b.v, "/b", "second");
  assert_int_equal(second_add(&b, 0), VESTRY_OK);
  vestry_connection *connection = vsi_server_open(&s, &stream);
  assert_int_equal(vestry_server_stop(b.adapter, PATIENCE_S * 1000), VESTRY_OK);
  assert_string_equal(ask("GET", "/b", ""), "503");
  route(b.v, "/echo", "not served any more");
  assert_string_equal(ask("GET", "/echo", ""), "nothing");
  second_begin(&c);
  route(c.v, "/b", "third");
  assert_int_equal(second_add(&c, 0), VESTRY_OK);
  assert_string_equal(ask("GET", "/b", ""), "third");
  vsi_server_patch(connection, "{\"still\":1}");
  vsi_client_expect(&stream, "still");
  vsi_client_close(&stream);
  assert_int_equal(vestry_server_stop(c.adapter, PATIENCE_S * 1000), VESTRY_OK);
  vsi_server_stop_adapter(&s);
  vestry_civetweb_stop_server(civetweb_of(&s)->context);
  second_finish(&c);
  second_finish(&b);
  civetweb_of(&s)->context = NULL;
  vsi_server_finish(&s);
}

/* ---- civetweb's patterns ----------------------------------------------------------------------------------------- */

TEST_CASE(routes_map_to_civetweb_patterns) {
  static const char *const rows[][2] = {
      {"/", "/$"},
      {"/a/", "/a/$"},
      {"/a/{id}", "/a/?*$"},
      {"/a/{p...}", "/a/**"},
      {"/{p...}", "/**"},
      {"/{a}/b/{c}", "/?*/b/?*$"},
      {"/a*b?c$d|e", "/a?b?c?d?e$"},
      {"/{a}/{b...}", "/?*/**"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char uri[64];
    uri[vsi_civetweb_uri_of(rows[i][0], uri)] = '\0';
    assert_string_equal(uri, rows[i][1]);
  }
}

int main(void) {
  return cases_run("civetweb, beside others", NULL, NULL);
}
