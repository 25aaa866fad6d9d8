/* SPDX-License-Identifier: MIT */
/* Inside a daemon of the program: each contract that vestry's own daemon keeps, for each way to run a daemon. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "microhttpd/server.h"
#include "microhttpd/tls.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/tries.h"
#include "support/until.h"
#include "testing/contract/client.h"

/* ---- ways to run a daemon ---------------------------------------------------------------------------------------- */

/* A truncated request may wait for the time-out. */
#define WAY(...)                                                                                                       \
  { .silent_s = 2, __VA_ARGS__ }

static const struct way {
  const char *name;
  attached_settings settings;
} ways[] = {
    {"attached to a thread with select", WAY(.flags = MHD_USE_SELECT_INTERNALLY)},
    {"attached to a thread with poll", WAY(.flags = MHD_USE_POLL_INTERNAL_THREAD)},
    {"attached to a thread with epoll", WAY(.flags = MHD_USE_EPOLL_INTERNAL_THREAD)},
    {"attached to a pool with epoll", WAY(.flags = MHD_USE_EPOLL_INTERNAL_THREAD, .threads = 3)},
    {"attached to a pool with poll", WAY(.flags = MHD_USE_POLL_INTERNAL_THREAD, .threads = 3)},
    {"attached to a loop of the program's", WAY(.flags = MHD_USE_ITC, .external = true)},
    {"attached to a loop of the program's, with epoll", WAY(.flags = MHD_USE_EPOLL, .external = true)},
    {"attached, with TLS", WAY(.flags = MHD_USE_POLL_INTERNAL_THREAD, .threads = 2, .tls = true)},
};

/* Run a suite of the contract; that of requests in all ways. */
static unsigned run_contract(const char *suite) {
  static const attached_settings strict = {.flags = 0}, lenient = {.lenient = true};
  static const attached_settings looped = {.flags = MHD_USE_ITC, .external = true};
  const bool in_all_ways = strcmp(suite, "requests") == 0;
  unsigned failed = 0;
  for (size_t i = 0; in_all_ways && i < sizeof ways / sizeof *ways; i++)
    failed += attached_contract_run(ways[i].name, &ways[i].settings, suite);
  if (in_all_ways) return failed;
  vsi_client_tls_ops_offered = &tls_client_ops;
  if (strcmp(suite, "hostile") == 0)
    failed += attached_contract_run("attached to a daemon that is not strict", &lenient, suite);
  if (strcmp(suite, "uploads") == 0)
    failed += attached_contract_run("attached to a loop of the program's", &looped, suite);
  return failed + attached_contract_run("attached", &strict, suite);
}

/* ---- the program's requests -------------------------------------------------------------------------------------- */

static vsi_server s;

/* Send a request on an existing connection, and return the answer's body. */
static const char *ask(vsi_client *c, const char *method, const char *path, const char *body) {
  vsi_client_sendf(c, "%s %s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n%s", method, path, strlen(body), body);
  vsi_client_finish(c, false);
  return c->body;
}

TEST_CASE(requests_without_a_route_reach_the_program) {
  unsigned before = atomic_load(&attached_own_count), ended = atomic_load(&attached_own_ended);
  attached_start(&s, &(attached_settings){.threads = 2});
  vsi_client c;
  vsi_client_connect(&c, s.port, false);
  for (int i = 0; i < 3; i++) {
    assert_string_equal(ask(&c, "POST", "/own", "twelve bytes"), "own 12");
    vsi_client_next(&c);
    assert_string_equal(ask(&c, "POST", "/echo", "vestry's"), "vestry's");
    vsi_client_next(&c);
    assert_string_equal(ask(&c, "GET", "/echo/own?a=b", ""), "own 0");
    vsi_client_next(&c);
  }
  vsi_client_close(&c);
  vsi_server_stop(&s);
  assert_int_equal(atomic_load(&attached_own_count) - before, 6);
  assert_int_equal(atomic_load(&attached_own_ended) - ended, 6);
}

static vestry_err say_query(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *query = req->query;
  return vestry_reply_body(reply, "text/plain", query ? query : "", query ? strlen(query) : 0);
}

TEST_CASE(queries_are_passed_with_their_meaning) {
  static const char *const rows[][2] = {{"/query?a=b", "a=b"},
                                        {"/query?a=b%20c+d&e", "a=b%20c%20d&e"},
                                        {"/query?x=%7B%22a%22%3A1%7D&y=%C3%A9%23", "x=%7B%22a%22%3A1%7D&y=%C3%A9%23"},
                                        {"/query?", ""},
                                        {"/query?a=%26%3D%00b", "a=%26%3D%00b"}};
  attached_start(&s, &(attached_settings){.threads = 0});
  assert_int_equal(vestry_route(s.v, "GET", "/query", say_query, NULL), VESTRY_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_client c;
    vsi_client_ask(&c, s.port, "GET", rows[i][0], NULL);
    assert_int_equal(vsi_client_status(&c), 200);
    vsi_client_finish(&c, false);
    assert_string_equal(c.body, rows[i][1]);
    vsi_client_close(&c);
  }
  vsi_server_stop(&s);
}

/* 0: the server closed without an answer. */
static int status_of(const char *path) {
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", path, "Connection: close\r\n");
  vsi_client_read_all(&c);
  int status = c.len ? vsi_client_status(&c) : 0;
  vsi_client_close(&c);
  return status;
}

/* Aborted requests release their places; there are two. */
TEST_CASE(aborted_requests_release_their_places) {
  attached_start(&s, &(attached_settings){.adapter.max_requests = 2});
  for (int i = 0; i < 20; i++) {
    vsi_client c;
    vsi_client_connect(&c, s.port, false);
    vsi_client_sendf(&c, "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nnot all of it");
    if (i % 2)
      vsi_client_abort(&c);
    else
      vsi_client_close(&c);
    UNTIL(status_of("/echo") == 200);
  }
  vsi_server_stop(&s);
}

static vestry_err say_much(const vestry_request *req, vestry_reply *reply, void *app) {
  char *text = app;
  return vestry_reply_body(reply, "text/plain", text, strlen(text));
}

/* vestry has finished with a request when it has answered, but the daemon still sends. From then on, vestry must not
 * access the request's data. */
TEST_CASE(answers_are_sent_after_their_requests_end) {
  enum { MUCH = 16 << 20 }; /* more than the kernel takes for a peer that reads nothing */
  static vsi_client clients[2];
  char *much = calloc(1, MUCH + 1);
  assert_non_null(much);
  memset(much, 'a', MUCH);
  attached_start(
      &s, &(attached_settings){.threads = 2, .options.bounds = &(vestry_bounds){.max_all_responses_bytes = 3 * MUCH}});
  assert_int_equal(vestry_route(s.v, "GET", "/much", say_much, much), VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    vsi_client_ask(&clients[i], s.port, "GET", "/much", NULL);
    assert_int_equal(vsi_client_status(&clients[i]), 200);
  }
  for (int i = 0; i < 8; i++) assert_int_equal(status_of("/echo"), 200);
  vestry_stats stats = {0};
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.responses_cut_count, 0);
  for (int i = 0; i < 2; i++) {
    vsi_client_finish(&clients[i], false);
    assert_int_equal(clients[i].body_len, MUCH);
    vsi_client_close(&clients[i]);
  }
  UNTIL(status_of("/much") == 200);
  vsi_server_stop(&s);
  free(much);
}

/* Clients that do not read their answers lose them, if others need the room. */
TEST_CASE(answers_of_stalled_readers_are_cut) {
  enum { MUCH = 16 << 20, READERS = 3 };
  static vsi_client readers[READERS];
  char *much = calloc(1, MUCH + 1);
  assert_non_null(much);
  memset(much, 'a', MUCH);
  for (int external = 0; external < 2; external++) {
    attached_start(&s,
                   &(attached_settings){.external = external,
                                        .options.bounds = &(vestry_bounds){.max_all_responses_bytes = MUCH / 2 * 5}});
    assert_int_equal(vestry_route(s.v, "GET", "/much", say_much, much), VESTRY_OK);
    for (int i = 0; i < READERS; i++) vsi_client_ask(&readers[i], s.port, "GET", "/much", NULL);
    UNTIL(status_of("/much") == 200); /* once the room of the cut ones is free */
    vestry_stats stats = {0};
    vestry_stats_get(s.v, &stats);
    assert_true(stats.responses_cut_count > 0);
    for (int i = 0; i < READERS; i++) vsi_client_close(&readers[i]);
    vsi_server_stop(&s);
  }
  free(much);
}

static enum MHD_Result serve_nothing(void *cls, struct MHD_Connection *conn, const char *url, const char *method,
                                     const char *version, const char *data, size_t *data_len, void **req_cls) {
  return MHD_NO;
}

TEST_CASE(unsuitable_daemons_are_refused) {
  static const struct {
    unsigned flags;
    const char *why;
  } rows[] = {{MHD_USE_INTERNAL_POLLING_THREAD, "MHD_ALLOW_SUSPEND_RESUME"},
              {MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_ALLOW_SUSPEND_RESUME,
               "MHD_USE_THREAD_PER_CONNECTION"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_server_begin(&s, NULL);
    struct MHD_Daemon *daemon = MHD_start_daemon(rows[i].flags, 0, NULL, NULL, serve_nothing, NULL, MHD_OPTION_END);
    assert_non_null(daemon);
    vestry_server *web = NULL;
    assert_int_equal(vestry_microhttpd_attach(s.v, daemon, NULL, &web), VESTRY_UNSUPPORTED);
    assert_null(web);
    assert_non_null(strstr(s.th.last_log, rows[i].why));
    MHD_stop_daemon(daemon);
    vsi_server_finish(&s);
  }
}

TEST_CASE(options_out_of_range_are_named) {
  static const struct {
    vestry_microhttpd_attach_options options;
    const char *why;
  } rows[] = {{{.max_streams = 1000001}, "max_streams is 1000001, but must be from 1 to 1000000"},
              {{.max_requests = 1048577}, "max_requests is 1048577, but must be from 1 to 1048576"},
              {{.send_buffer_bytes = 1}, "send_buffer_bytes is 1, but must be from 4096 to 67108864"}};
  vsi_server_begin(&s, NULL);
  vestry_server *web = NULL;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const long before = atomic_load(&s.th.log_lines);
    assert_int_equal(vestry_microhttpd_attach(s.v, NULL, &rows[i].options, &web), VESTRY_INVALID);
    assert_int_equal(atomic_load(&s.th.log_lines), before + 1);
    assert_ptr_equal(strstr(s.th.last_log, "vestry_microhttpd_attach: "), s.th.last_log);
    assert_non_null(strstr(s.th.last_log, rows[i].why));
  }
  assert_null(web);
  vsi_server_finish(&s);
}

static vestry_err scope_by_header(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len,
                                  void *app) {
  struct MHD_Connection *conn = vestry_microhttpd_connection_of(req);
  const char *user = conn ? MHD_lookup_connection_value(conn, MHD_HEADER_KIND, "X-User") : NULL;
  if (!user) return VESTRY_OK;
  *ret_len = strlen(user);
  memcpy(buffer, user, *ret_len);
  return VESTRY_OK;
}

static vestry_err say_scope(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_scope scope = req->scope;
  return vestry_reply_body(reply, "text/plain", scope.data, scope.len);
}

TEST_CASE(login_of_the_program_becomes_the_scope) {
  attached_start(&s, &(attached_settings){.options.scope = scope_by_header});
  assert_int_equal(vestry_route(s.v, "GET", "/who", say_scope, NULL), VESTRY_OK);
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/who", "X-User: ada\r\n");
  vsi_client_finish(&c, false);
  assert_string_equal(c.body, "ada");
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

static vestry_err attach_again(test_host *th, void *ctx) {
  vestry *v = NULL;
  vestry_server *web = NULL;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = 1}, &v);
  if (!error) error = vestry_microhttpd_attach(v, NULL, NULL, &web);
  vestry_server_destroy(web);
  vestry_destroy(v);
  return error;
}

TEST_CASE(attach_survives_every_allocation_failure) {
  test_host_fail_each(attach_again, NULL, false);
}

/* Streams leave descriptors to the program, whose limit is low, and are refused before a head is sent. */
TEST_CASE(streams_leave_descriptors_to_the_program) {
  enum { LIMIT = 128, KEPT = 24 };
  struct rlimit before;
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &(struct rlimit){LIMIT, before.rlim_max}), 0);
  attached_start(&s, &(attached_settings){.threads = 2});
  assert_non_null(strstr(s.th.last_log, "RLIMIT_NOFILE"));
  static vsi_client clients[LIMIT];
  unsigned count = 0, status;
  do {
    vsi_client_ask(&clients[count], s.port, "GET", "/stream", "Datastar-Request: true\r\n");
    status = vsi_client_status(&clients[count]);
  } while (status == 200 && ++count < LIMIT / 2);
  assert_int_equal(status, 503);
  assert_true(count > 10);
  vsi_client_close(&clients[count]);
  WAIT_WHILE(vsi_server_streams(&s) < count);
  int own[KEPT / 2];
  for (size_t i = 0; i < KEPT / 2; i++) assert_true((own[i] = open("/dev/null", O_RDONLY)) >= 0);
  for (size_t i = 0; i < KEPT / 2; i++) close(own[i]);
  vestry_stats stats = vsi_server_stats(&s);
  assert_int_equal(stats.refused_by_reason[VESTRY_REFUSAL_DESCRIPTORS], 1);
  for (unsigned i = 0; i < count; i++) vsi_client_close(&clients[i]);
  vsi_server_stop(&s);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* ---- the program stops its daemon first -------------------------------------------------------------------------- */

static _Atomic(bool) is_stepped_elsewhere;

static void *step_runtime(void *runtime) {
  for (unsigned looks = 0; atomic_load(&is_stepped_elsewhere); looks++) {
    while (vestry_runtime_step(runtime)) looks = 0;
    vsi_pause(looks);
  }
  return NULL;
}

/* There are open streams, one whose client reads nothing, and requests that are not complete. */
static double seconds_to_end(const struct way *way, bool is_stepped, bool ends_instance_first) {
  static const vestry_connection_options large_events = {.max_queued_bytes = VSI_STALLING_QUEUE_BYTES};
  attached_settings settings = way->settings;
  settings.options.connection = &large_events;
  if (is_stepped) settings.options.threads_count = VESTRY_THREADS_NONE;
  settings.silent_s = 0;
  attached_start(&s, &settings);
  pthread_t loop;
  atomic_store(&is_stepped_elsewhere, is_stepped);
  if (is_stepped) assert_int_equal(pthread_create(&loop, NULL, step_runtime, vestry_parts_of(s.v)->runtime), 0);
  static vsi_client streams[3], stalled, posts[2];
  for (int i = 0; i < 3; i++) vsi_server_open(&s, &streams[i]);
  vsi_server_open_stalled(&s, &stalled);
  for (int i = 0; i < 2; i++) {
    vsi_client_connect(&posts[i], s.port, false);
    vsi_client_sendf(&posts[i], "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nnot all of it");
  }
  double since = vsi_seconds_now();
  attached_stop_daemon(&s);
  atomic_store(&is_stepped_elsewhere, false);
  if (is_stepped) pthread_join(loop, NULL);
  if (ends_instance_first) assert_int_equal(vestry_stop(s.v, PATIENCE_S * UINT64_C(1000)), VESTRY_OK);
  vsi_server_finish(&s);
  const double took = vsi_seconds_now() - since;
  for (int i = 0; i < 3; i++) vsi_client_close(&streams[i]);
  vsi_client_close(&stalled);
  for (int i = 0; i < 2; i++) vsi_client_close(&posts[i]);
  return took;
}

/* Streams over TLS are the exception: the library ends the process (docs/guide/embedding.md). */
TEST_CASE(daemon_may_stop_before_vestry) {
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
    for (unsigned kind = 0; kind < 4 && !ways[i].settings.tls; kind++)
      BELOW_S(5, seconds_to_end(&ways[i], kind & 1, kind & 2));
}

/* attached [own | SUITE]: the program's requests; a suite of the contract */
int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "own") != 0) return (int)run_contract(argv[1]);
  return cases_run("libmicrohttpd, attached", NULL, NULL);
}
