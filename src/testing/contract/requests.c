/* SPDX-License-Identifier: MIT */
/* Requests, bodies, streams and guards, as handlers and clients see them, over any seam. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "testing/contract/recorder.h"
#include "testing/contract/rules.h"
#include "testing/contract/seam.h"
#include "testing/contract/suites.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/tab.h"
#include "vestry/registry.h"
#include "vestry/routes.h"

enum { SEEN_MAX = 256, ROOM = 8 };

/* The server of a test, and the values that its handlers received. */
typedef struct scene {
  void *server;
  vsi_recorder recorder;
  /* guarded by the lock of the recorder */
  unsigned served;
  char method[SEEN_MAX], path[SEEN_MAX], query[SEEN_MAX], header[SEEN_MAX], peer[SEEN_MAX], signals[SEEN_MAX];
  char *body;
  size_t body_len;
  bool is_datastar;
} scene;

const vsi_contract_seam *vsi_seam;
static scene the;

static void keep_text(char into[SEEN_MAX], const char *text) {
  snprintf(into, SEEN_MAX, "%s", text ? text : "(null)");
}

/* ------------------------------------------------------------------------------------------------- handlers ------- */

static vestry_err echo(const vestry_request *req, vestry_reply *reply, void *app) {
  scene *s = app;
  vsi_mutex_lock(&s->recorder.lock);
  s->served++;
  keep_text(s->method, req->method);
  keep_text(s->path, req->path);
  keep_text(s->query, req->query);
  keep_text(s->header, vestry_request_header(req, "x-asked"));
  keep_text(s->peer, vestry_request_peer(req));
  s->is_datastar = req->is_datastar;
  json_t *signals = req->signals;
  char *dumped = signals ? json_dumps(signals, JSON_COMPACT) : NULL;
  keep_text(s->signals, dumped);
  free(dumped);
  vestry_slice body = req->body;
  free(s->body);
  s->body = malloc(body.len + 1);
  s->body_len = body.len;
  if (body.len) memcpy(s->body, body.data, body.len);
  vsi_mutex_unlock(&s->recorder.lock);
  vestry_reply_header(reply, "X-Echo", "heard");
  return vestry_reply_body(reply, "text/plain", "echo echo", 9);
}

static vestry_err nothing(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)reply, (void)app;
  return VESTRY_OK;
}

/* Answers with the error whose number is the query. */
static vestry_err answer_error(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)reply, (void)app;
  return (vestry_err)atoi(req->query);
}

static vestry_err large(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  size_t len = 3000000;
  char *body = malloc(len);
  for (size_t i = 0; i < len; i++) body[i] = (char)('a' + i % 23);
  vestry_err error = vestry_reply_body(reply, "text/plain", body, len);
  free(body);
  return error;
}

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  scene *s = app;
  vestry_connection_hooks hooks = vsi_recorder_hooks(&s->recorder);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static vestry_err keep_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_key(reply, VESTRY_KEY("stream", 1));
  return open_stream(req, reply, app);
}

static vestry_err send_to_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  vestry_reply_key(reply, VESTRY_KEY("stream", 1));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("n", 42));
}

static vestry_err effects_only(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  scene *s = app;
  vestry_connection_hooks hooks = vsi_recorder_hooks(&s->recorder);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("first", 1));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("second", 2));
}

/* ------------------------------------------------------------------------------------------------ the scene ------- */

static void mount(const char *method, const char *path, vestry_handler_fn handler) {
  CHECK_ERROR(vestry_route(vsi_seam->instance(the.server), method, path, handler, &the), VESTRY_OK);
}

static void begin_with(const vestry_options *options) {
  static const vestry_options defaults = {0};
  memset(&the, 0, sizeof the);
  vsi_recorder_init(&the.recorder);
  the.server = vsi_seam->start(options ? options : &defaults, ROOM);
  mount("GET", "/echo", echo);
  mount("POST", "/echo", echo);
  mount("DELETE", "/echo", echo);
  mount("GET", "/nothing", nothing);
  mount("GET", "/fail", answer_error);
  mount("GET", "/large", large);
  mount("GET", "/stream", open_stream);
  mount("PUT", "/stream", open_stream);
  mount("PUT", "/kept", keep_stream);
  mount("POST", "/kept", send_to_stream);
  mount("GET", "/effects", effects_only);
}

static void begin(void) {
  begin_with(NULL);
}

static void finish(void) {
  vsi_seam->stop(the.server);
  vsi_recorder_finish(&the.recorder); /* its references may be the last ones */
  vsi_seam->destroy(the.server);
  free(the.body);
}

static void *request(vsi_contract_call what) {
  return vsi_seam->ask(the.server, &what);
}

/* Open a stream and return its connection. */
static vestry_connection *stream(void **ret_exchange) {
  unsigned index = the.recorder.opened;
  *ret_exchange = request((vsi_contract_call){.path = "/stream", .datastar = true});
  vsi_seam->settle(the.server);
  CHECK(vsi_recorder_wait_opened(&the.recorder, index + 1));
  return vsi_recorder_connection(&the.recorder, index);
}

static vestry_cause cause_of(vestry_connection *connection) {
  unsigned count = 1;
  while (!vsi_recorder_cause(&the.recorder, connection)) {
    vsi_seam->settle(the.server);
    CHECK(vsi_recorder_wait_closed(&the.recorder, count++));
  }
  return vsi_recorder_cause(&the.recorder, connection);
}

static void patch(vestry_connection *connection, const char *json) {
  CHECK_ERROR(vestry_connection_patch_signals(connection, VESTRY_VALUES(json), NULL), VESTRY_OK);
}

static void assert_body(void *exchange, const char *text) {
  vestry_slice body = vsi_seam->body(exchange);
  CHECK_EQUAL(body.len, strlen(text));
  CHECK_BYTES(body.data, text, body.len);
}

/* ------------------------------------------------------------------------------------------- plain requests ------- */

/* capability: B6, C14 */
static void response_has_status_headers_and_body(void) {
  begin();
  void *exchange = request((vsi_contract_call){.path = "/echo"});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  CHECK_TEXT(vsi_seam->header(exchange, "x-echo"), "heard");
  CHECK_TEXT(vsi_seam->header(exchange, "Content-Type"), "text/plain");
  CHECK_NOT(vsi_seam->header(exchange, "X-Other"));
  assert_body(exchange, "echo echo");
  vsi_seam->forget(exchange);
  finish();
}

static void empty_reply_gets_204(void) {
  begin();
  void *exchange = request((vsi_contract_call){.path = "/nothing"});
  CHECK_EQUAL(vsi_seam->status(exchange), 204);
  assert_body(exchange, "");
  vsi_seam->forget(exchange);
  finish();
}

static void large_body_is_sent_whole(void) {
  begin();
  void *exchange = request((vsi_contract_call){.path = "/large"});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  vestry_slice body = vsi_seam->body(exchange);
  CHECK_EQUAL(body.len, 3000000);
  for (size_t i = 0; i < body.len; i++)
    if (((const char *)body.data)[i] != (char)('a' + i % 23)) FAIL("byte %zu is wrong", i);
  vsi_seam->forget(exchange);
  finish();
}

static void error_of_a_handler_gets_its_status(void) {
  static const struct {
    vestry_err error;
    int status;
  } cases[] = {{VESTRY_INVALID, 500},   {VESTRY_MALFORMED, 400}, {VESTRY_NOT_FOUND, 404}, {VESTRY_EXISTS, 409},
               {VESTRY_TOO_LARGE, 413}, {VESTRY_LIMIT, 503},     {VESTRY_FULL, 503},      {VESTRY_FAILED, 500}};
  begin();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", (int)cases[i].error);
    void *exchange = request((vsi_contract_call){.path = "/fail", .query = number});
    CHECK_EQUAL(vsi_seam->status(exchange), cases[i].status);
    const char *retry = vsi_seam->header(exchange, "Retry-After");
    if (cases[i].status == 503)
      CHECK_TEXT(retry, "2");
    else
      CHECK_NOT(retry);
    vsi_seam->forget(exchange);
  }
  finish();
}

/* capability: C6 */
static void handler_receives_the_request(void) {
  begin();
  const vestry_header headers[] = {{"X-Asked", "a \xc3\xa9 value"}, {"X-Asked", "another"}};
  void *exchange =
      request((vsi_contract_call){.path = "/echo", .query = "a=1&b=%20", .headers = headers, .headers_count = 2});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  vsi_mutex_lock(&the.recorder.lock);
  CHECK_TEXT(the.method, "GET");
  CHECK_TEXT(the.path, "/echo");
  CHECK_TEXT(the.query, "a=1&b=%20");
  CHECK_TEXT(the.header, "a \xc3\xa9 value"); /* the first of several */
  CHECK(!*the.peer == vsi_seam->no_peer_address);
  CHECK_NOT(the.is_datastar);
  CHECK_TEXT(the.signals, "(null)");
  CHECK_EQUAL(the.body_len, 0);
  vsi_mutex_unlock(&the.recorder.lock);
  vsi_seam->forget(exchange);
  finish();
}

/* capability: B7 */
static void handler_receives_signals(void) {
  begin();
  void *exchange =
      request((vsi_contract_call){.path = "/echo", .query = "datastar=%7B%22a%22%3A1%7D", .datastar = true});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  CHECK(the.is_datastar);
  CHECK_TEXT(the.signals, "{\"a\":1}");
  vsi_seam->forget(exchange);
  exchange = request((vsi_contract_call){"POST", "/echo", .datastar = true, .body = "{\"b\":[2]}", .body_len = 9});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  CHECK_TEXT(the.signals, "{\"b\":[2]}");
  vsi_seam->forget(exchange);
  exchange = request((vsi_contract_call){"DELETE", "/echo", .query = "datastar=%7B%22c%22%3A3%7D", .datastar = true});
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  CHECK_TEXT(the.signals, "{\"c\":3}");
  vsi_seam->forget(exchange);
  finish();
}

/* capability: C5 */
static void malformed_signals_get_400(void) {
  begin();
  void *exchange = request((vsi_contract_call){"POST", "/echo", .datastar = true, .body = "{\"b\":", .body_len = 5});
  CHECK_EQUAL(vsi_seam->status(exchange), 400);
  vsi_seam->forget(exchange);
  exchange = request((vsi_contract_call){.path = "/echo", .query = "datastar=%7", .datastar = true});
  CHECK_EQUAL(vsi_seam->status(exchange), 400);
  vsi_seam->forget(exchange);
  CHECK_EQUAL(the.served, 0);
  finish();
}

/* --------------------------------------------------------------------------------------------------- bodies ------- */

/* Bytes of all values, without a pattern that could hide an error of framing. */
static char *made_body(size_t len) {
  char *body = malloc(len ? len : 1);
  uint32_t at = 1;
  for (size_t i = 0; i < len; i++) {
    at = at * 1664525u + 1013904223u;
    body[i] = (char)(at >> 24);
  }
  return body;
}

static void post_body(size_t len, bool no_length, int status) {
  char *body = made_body(len);
  unsigned served = the.served;
  void *exchange = request((vsi_contract_call){"POST", "/echo", .body = body, .body_len = len, .no_length = no_length});
  CHECK_EQUAL(vsi_seam->status(exchange), status);
  if (status == 200) {
    CHECK_EQUAL(the.body_len, len);
    CHECK_BYTES(the.body, body, len);
  } else {
    CHECK_EQUAL(the.served, served);
  }
  vsi_seam->forget(exchange);
  free(body);
}

static void bodies_up_to_the_limit_are_read_whole(void) {
  begin();
  for (int no_length = 0; no_length < 2; no_length++) {
    post_body(0, no_length, 200);
    post_body(1, no_length, 200);
    post_body(70000, no_length, 200);
    post_body(1 << 20, no_length, 200); /* the limit */
  }
  finish();
}

static void body_over_limit_gets_413(void) {
  begin();
  for (int no_length = 0; no_length < 2; no_length++) {
    post_body((1 << 20) + 1, no_length, 413);
    post_body(3 << 20, no_length, 413);
    post_body(5, no_length, 200); /* and the server continues */
  }
  finish();
}

static void body_limit_depends_on_the_path(void) {
  begin();
  for (int no_length = 0; no_length < 2; no_length++) {
    CHECK_ERROR(vestry_body_limit(vsi_seam->instance(the.server), "/echo", 100), VESTRY_OK);
    post_body(100, no_length, 200);
    post_body(101, no_length, 413);
    CHECK_ERROR(vestry_body_limit(vsi_seam->instance(the.server), "/echo", 2 << 20),
                VESTRY_OK); /* more than the instance's limit */
    post_body(2 << 20, no_length, 200);
    post_body((2 << 20) + 1, no_length, 413);
  }
  finish();
}

static void request_broken(bool no_length) {
  void *exchange = request(
      (vsi_contract_call){"POST", "/echo", .body = "short", .body_len = 5, .no_length = no_length, .breaks = true});
  if (vsi_seam->closes_broken)
    CHECK_NOT(vsi_seam->end(exchange));
  else
    CHECK_EQUAL(vsi_seam->status(exchange), 400);
  vsi_seam->forget(exchange);
}

static void incomplete_body_is_refused(void) {
  begin();
  request_broken(false);
  request_broken(true);
  CHECK_EQUAL(the.served, 0);
  finish();
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

static void head_of_a_stream_is_sent_at_once(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  CHECK_EQUAL(vsi_seam->status(exchange), 200); /* before any event */
  CHECK_TEXT(vsi_seam->header(exchange, "Content-Type"), "text/event-stream");
  CHECK_TEXT(vsi_seam->header(exchange, "Cache-Control"), "no-cache, no-transform");
  CHECK_TEXT(vsi_seam->header(exchange, "X-Accel-Buffering"), "no");
  CHECK_EQUAL(vestry_connection_look(connection).state, VESTRY_STATE_OPEN);
  vsi_seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void events_are_written_in_order(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  char expected[8192] = "";
  for (int i = 0; i < 50; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    patch(connection, json);
    size_t len = strlen(expected);
    snprintf(expected + len, sizeof expected - len, "event: datastar-patch-signals\ndata: signals %s\n\n", json);
  }
  vsi_seam->expect(exchange, "{\"n\":49}\n\n");
  assert_body(exchange, expected);
  vsi_seam->forget(exchange);
  finish();
}

static void batch_of_events_is_one_write(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"before\":1}");
  vsi_seam->expect(exchange, "before");
  vestry_event *events[60];
  for (int i = 0; i < 60; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    const vestry_host *host = vestry_parts_of(vsi_seam->instance(the.server))->host;
    CHECK_ERROR(vestry_event_signals(host, VESTRY_VALUES(json), NULL, &events[i]), VESTRY_OK);
  }
  vestry_connection_stats before = {0}, after = {0};
  /* The client may read a write before the runner has counted it, so wait for the count before the next write. */
  CHECK_UNTIL((vestry_connection_stats_get(connection, &before), before.written_count >= 1));
  CHECK_ERROR(vestry_connection_send_all(connection, events, 60), VESTRY_OK);
  vsi_seam->expect(exchange, "{\"n\":59}\n\n");
  CHECK_UNTIL((vestry_connection_stats_get(connection, &after), after.written_count >= 61));
  CHECK_EQUAL(after.writes_count - before.writes_count, 1);
  for (int i = 0; i < 60; i++) vestry_event_unref(events[i]);
  vsi_seam->forget(exchange);
  finish();
}

static void large_event_is_written_whole(void) {
  vestry_options options = {.connection = &(vestry_connection_options){.max_queued_bytes = 16 << 20}};
  begin_with(&options);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  size_t len = 5000000;
  char *html = malloc(len);
  for (size_t i = 0; i < len; i++) html[i] = (char)('a' + i % 23);
  CHECK_ERROR(vestry_connection_patch_elements(connection, html, len, NULL), VESTRY_OK);
  patch(connection, "{\"after\":1}");
  vsi_seam->expect(exchange, "{\"after\":1}\n\n");
  vestry_slice body = vsi_seam->body(exchange);
  const char *at = strstr(body.data, "data: elements ") + strlen("data: elements ");
  CHECK(body.len > len);
  CHECK_BYTES(at, html, len);
  free(html);
  vsi_seam->forget(exchange);
  finish();
}

/* 18 MB of morphs of one state, several times what the buffers of two sockets hold. The client does not read
 * until all are sent, so a blocking transport is inside of a write. The stream is not taken for lost on a slow machine,
 * because that takes as long as a heartbeat. */
/* capability: F3 */
static void slow_client_receives_the_last_state(void) {
  enum { MORPHS = 600, LEN = 30000 };
  vestry_options options = {.connection =
                                &(vestry_connection_options){.max_queued_bytes = 4 * LEN, .heartbeat_ms = 300000}};
  static const vestry_elements_options shows = {.state = "a"};
  begin_with(&options);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  static char html[LEN + 1];
  for (int i = 1; i <= MORPHS; i++) {
    int len = snprintf(html, sizeof html, "<div id=\"a\"><input id=\"b\" data-bind:c>%d</div>", i);
    memset(html + len, ' ', (size_t)(LEN - len));
    CHECK_ERROR(vestry_connection_patch_elements(connection, html, LEN, &shows), VESTRY_OK);
  }
  vsi_seam->expect(exchange, "data-bind:c>600</div>");
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  CHECK_EQUAL(stats.accepted_count, MORPHS);
  CHECK_EQUAL(stats.refused_count, 0);
  CHECK(stats.conflated_count > MORPHS / 4);
  CHECK(vestry_connection_is_open(connection));
  vsi_seam->forget(exchange);
  finish();
}

typedef struct sender {
  pthread_t thread;
  vestry_connection *connection;
  char name;
} sender;

static void *send_many(void *argument) {
  sender *s = argument;
  for (int i = 0; i < 200; i++) {
    char json[64];
    snprintf(json, sizeof json, "{\"%c\":%d}", s->name, i);
    vestry_connection_patch_signals(s->connection, VESTRY_VALUES(json), NULL);
  }
  return NULL;
}

static void order_of_each_sender_is_kept(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  sender senders[4];
  for (int i = 0; i < 4; i++) {
    senders[i] = (sender){.connection = connection, .name = (char)('a' + i)};
    CHECK_EQUAL(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
  }
  for (int i = 0; i < 4; i++) pthread_join(senders[i].thread, NULL);
  patch(connection, "{\"last\":1}");
  vsi_seam->expect(exchange, "last");
  const char *text = vsi_seam->body(exchange).data;
  for (int i = 0; i < 4; i++) {
    const char *at = text;
    for (int n = 0; n < 200; n++) {
      char json[64];
      snprintf(json, sizeof json, "{\"%c\":%d}\n", 'a' + i, n);
      at = strstr(at, json); /* each after the one before, so none is missing */
      CHECK(at);
    }
  }
  vsi_seam->forget(exchange);
  finish();
}

/* capability: E2 */
static void silent_stream_sends_heartbeats(void) {
  vestry_options options = {.connection = &(vestry_connection_options){.heartbeat_ms = 20}};
  begin_with(&options);
  void *exchange;
  stream(&exchange);
  vsi_seam->pass_ms(the.server, 20);
  vsi_seam->expect(exchange, ":\n\n");
  vsi_seam->pass_ms(the.server, 20);
  vsi_seam->expect(exchange, ":\n\n:\n\n");
  vsi_seam->forget(exchange);
  finish();
}

/* capability: C14, C18 */
static void closed_stream_ends_cleanly_after_its_events(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"bye\":1}");
  CHECK(vestry_connection_close(connection, VESTRY_CAUSE_CLOSED));
  CHECK(vsi_seam->end(exchange));
  assert_body(exchange, "event: datastar-patch-signals\ndata: signals {\"bye\":1}\n\n");
  CHECK_CAUSE(cause_of(connection), VESTRY_CAUSE_CLOSED);
  vsi_seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void aborted_stream_ends_without_a_clean_end(void) {
  begin();
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"there\":1}");
  vsi_seam->expect(exchange, "there");
  CHECK(vestry_connection_close(connection, VESTRY_CAUSE_IDLE));
  CHECK_NOT(vsi_seam->end(exchange));
  CHECK_CAUSE(cause_of(connection), VESTRY_CAUSE_IDLE);
  vsi_seam->forget(exchange);
  finish();
}

static void stream_of_effects_ends_when_they_are_written(void) {
  begin();
  void *exchange = request((vsi_contract_call){.path = "/effects", .datastar = true});
  vsi_seam->settle(the.server);
  CHECK_EQUAL(vsi_seam->status(exchange), 200);
  CHECK(vsi_seam->end(exchange));
  assert_body(exchange, "event: datastar-patch-signals\ndata: signals {\"first\":1}\n\n"
                        "event: datastar-patch-signals\ndata: signals {\"second\":2}\n\n");
  vsi_seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void client_that_hangs_up_ends_only_its_stream(void) {
  begin();
  void *first, *second;
  vestry_connection *gone = stream(&first), *stays = stream(&second);
  vsi_seam->hang_up(first);
  CHECK_CAUSE(cause_of(gone), VESTRY_CAUSE_HANGUP);
  CHECK(vestry_connection_is_open(stays));
  patch(stays, "{\"still\":1}");
  vsi_seam->expect(second, "still");
  CHECK_ERROR(vestry_connection_patch_signals(gone, VESTRY_VALUES("{}"), NULL), VESTRY_CLOSED);
  vsi_seam->forget(first);
  vsi_seam->forget(second);
  finish();
}

/* capability: A11 */
static void later_requests_send_to_the_stored_stream(void) {
  begin();
  void *kept = request((vsi_contract_call){"PUT", "/kept", .datastar = true});
  vsi_seam->settle(the.server);
  CHECK_EQUAL(vsi_seam->status(kept), 200);
  void *action = request((vsi_contract_call){"POST", "/kept", .datastar = true});
  CHECK_EQUAL(vsi_seam->status(action), 204);
  vsi_seam->expect(kept, "data: signals {\"n\":42}\n\n");
  vsi_seam->forget(action);
  vestry_scope scope = {NULL, 0};
  CHECK_ERROR(vestry_dispatch(vsi_seam->instance(the.server), scope, VESTRY_KEY("stream", 1),
                              VESTRY_LIST("patch-signals", VESTRY_OBJECT("m", 43))),
              VESTRY_OK);
  vsi_seam->expect(kept, "data: signals {\"m\":43}\n\n");
  /* A second stream of the key replaces the first one, which ends cleanly, so that its client does not reconnect. */
  void *next = request((vsi_contract_call){"PUT", "/kept", .datastar = true});
  vsi_seam->settle(the.server);
  CHECK_EQUAL(vsi_seam->status(next), 200);
  CHECK(vsi_seam->end(kept));
  vsi_seam->forget(kept);
  vsi_seam->forget(next);
  finish();
}

static void stream_over_server_limit_gets_503(void) {
  begin();
  void *streams[ROOM];
  for (int i = 0; i < ROOM; i++) stream(&streams[i]);
  for (int i = 0; i < 3; i++) {
    void *refused = request((vsi_contract_call){.path = "/stream", .datastar = true});
    CHECK_EQUAL(vsi_seam->status(refused), 503);
    CHECK_TEXT(vsi_seam->header(refused, "Retry-After"), "2");
    vsi_seam->forget(refused);
    void *action =
        request((vsi_contract_call){.path = "/echo", .datastar = true}); /* ordinary requests are still served */
    CHECK_EQUAL(vsi_seam->status(action), 200);
    vsi_seam->forget(action);
  }
  vestry_connection *gone = vsi_recorder_connection(&the.recorder, 0);
  vsi_seam->forget(streams[0]);
  CHECK_CAUSE(cause_of(gone), VESTRY_CAUSE_HANGUP);
  vestry_stats stats = {0};
  vestry_stats_get(vsi_seam->instance(the.server), &stats);
  CHECK_EQUAL(stats.rejected_count, 3);
  for (int i = 1; i < ROOM; i++) vsi_seam->forget(streams[i]);
  finish();
}

static void stop_ends_open_streams_once(void) {
  begin();
  void *exchanges[3];
  vestry_connection *connections[3];
  for (int i = 0; i < 3; i++) connections[i] = vestry_connection_ref(stream(&exchanges[i]));
  vsi_recorder *w = &the.recorder;
  vestry_close(vsi_seam->instance(the.server));
  for (int i = 0; i < 3; i++) {
    CHECK_CAUSE(cause_of(connections[i]), VESTRY_CAUSE_SHUTDOWN);
    CHECK_NOT(vsi_seam->end(exchanges[i]));
    vsi_seam->forget(exchanges[i]);
  }
  void *late = request((vsi_contract_call){.path = "/echo"});
  CHECK_EQUAL(vsi_seam->status(late), 503);
  vsi_seam->forget(late);
  CHECK_EQUAL(vsi_recorder_closed(w), 3); /* once each */
  for (int i = 0; i < 3; i++) vestry_connection_unref(connections[i]);
  finish();
}

/* --------------------------------------------------------------------------------------------------- guards ------- */

typedef struct guarded {
  vestry_csrf *csrf;
  vestry_once *once;
  _Atomic(int) done;
} guarded;

/* "TOKEN NONCE TAB" */
static vestry_err proofs(const vestry_request *req, vestry_reply *reply, void *app) {
  guarded *g = app;
  char token[VESTRY_CSRF_TOKEN_BYTES], nonce[VESTRY_ONCE_NONCE_BYTES], tab[VESTRY_TAB_ID_BYTES];
  vestry_err error = vestry_csrf_token(g->csrf, req, reply, token);
  if (!error) error = vestry_once_nonce(req, nonce);
  if (!error) error = vestry_tab_id(req, tab);
  return error ? error : vestry_reply_bodyf(reply, "%s %s %s", token, nonce, tab);
}

static vestry_err count(const vestry_request *req, vestry_reply *reply, void *app) {
  guarded *g = app;
  (void)req;
  vestry_reply_status(reply, 201);
  vestry_reply_header(reply, "Location", "/made");
  return vestry_reply_bodyf(reply, "%d", atomic_fetch_add(&g->done, 1) + 1);
}

static void *post_guarded(const vestry_header *headers, size_t headers_count) {
  return request((vsi_contract_call){.method = "POST",
                                     .path = "/guarded",
                                     .datastar = true,
                                     .headers = headers,
                                     .headers_count = headers_count,
                                     .body = "{}",
                                     .body_len = 2});
}

/* capability: D11, D18 */
static void guards_accept_tokens_and_reject_forged_requests(void) {
  begin();
  guarded g = {.done = 0};
  vestry *v = vsi_seam->instance(the.server);
  CHECK_ERROR(vestry_csrf_create(v, NULL, &g.csrf), VESTRY_OK);
  CHECK_ERROR(vestry_once_create(v, NULL, &g.once), VESTRY_OK);
  CHECK_ERROR(vestry_guard(v, "/guarded", vestry_csrf_guard, g.csrf), VESTRY_OK);
  CHECK_ERROR(vestry_guard(v, "/guarded", vestry_once_guard, g.once), VESTRY_OK);
  CHECK_ERROR(vestry_route(v, "GET", "/guarded", proofs, &g), VESTRY_OK);
  CHECK_ERROR(vestry_route(v, "POST", "/guarded", count, &g), VESTRY_OK);
  void *page = request((vsi_contract_call){.path = "/guarded"});
  CHECK_EQUAL(vsi_seam->status(page), 200);
  char text[200], cookie[200];
  vestry_slice body = vsi_seam->body(page);
  CHECK_EQUAL(body.len, 64 + 1 + 64 + 1 + 32);
  memcpy(text, body.data, body.len);
  text[64] = text[129] = text[body.len] = '\0';
  const char *set = vsi_seam->header(page, "Set-Cookie");
  snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(set, ";"), set);
  vsi_seam->forget(page);
  vestry_header headers[] = {{"Cookie", cookie},
                             {"X-CSRF-Token", text},
                             {"X-Once", text + 65},
                             {"Sec-Fetch-Site", "same-origin"},
                             {"Origin", "https://a.example"}};
  for (int i = 0; i < 3; i++) { /* done once, and the response is repeated */
    void *exchange = post_guarded(headers, 5);
    CHECK_EQUAL(vsi_seam->status(exchange), 201);
    CHECK_TEXT(vsi_seam->header(exchange, "Location"), "/made");
    assert_body(exchange, "1");
    vsi_seam->forget(exchange);
  }
  headers[2].value = "x";
  void *forged = post_guarded(headers, 5);
  CHECK_EQUAL(vsi_seam->status(forged), 403);
  vsi_seam->forget(forged);
  headers[3].value = "same-site";
  void *other_port = post_guarded(headers, 5);
  CHECK_EQUAL(vsi_seam->status(other_port), 403);
  vsi_seam->expect(other_port, "another site");
  vsi_seam->forget(other_port);
  headers[3] = headers[4]; /* a browser that sends only the origin */
  void *other_host = post_guarded(headers, 4);
  CHECK_EQUAL(vsi_seam->status(other_host), 403);
  vsi_seam->expect(other_host, "another site");
  vsi_seam->forget(other_host);
  CHECK_EQUAL(g.done, 1);
  vestry_csrf_destroy(g.csrf);
  vestry_once_destroy(g.once);
  finish();
}

static const vsi_case cases[] = {
    VSI_CASE_TLS(response_has_status_headers_and_body, VSI_RULE_RESPOND, NULL),
    VSI_CASE_TLS(empty_reply_gets_204, VSI_RULE_RESPOND, NULL),
    VSI_CASE_TLS(large_body_is_sent_whole, VSI_RULE_RESPOND, NULL),
    VSI_CASE_TLS(error_of_a_handler_gets_its_status, VSI_RULE_RESPOND, NULL),
    VSI_CASE_TLS(handler_receives_the_request, VSI_RULE_REQUEST, "no_peer_address"),
    VSI_CASE_TLS(handler_receives_signals, VSI_RULE_REQUEST, NULL),
    VSI_CASE_TLS(malformed_signals_get_400, VSI_RULE_REQUEST, NULL),
    VSI_CASE_TLS(bodies_up_to_the_limit_are_read_whole, VSI_RULE_BODY, NULL),
    VSI_CASE_TLS(body_over_limit_gets_413, VSI_RULE_BODY, NULL),
    VSI_CASE_TLS(body_limit_depends_on_the_path, VSI_RULE_BODY, NULL),
    VSI_CASE_TLS(incomplete_body_is_refused, VSI_RULE_BREAKS, "closes_broken"),
    VSI_CASE_TLS(head_of_a_stream_is_sent_at_once, VSI_RULE_OPEN, NULL),
    VSI_CASE_TLS(events_are_written_in_order, VSI_RULE_WRITE, NULL),
    VSI_CASE_TLS(batch_of_events_is_one_write, VSI_RULE_WRITE, NULL),
    VSI_CASE_TLS(large_event_is_written_whole, VSI_RULE_WRITE, NULL),
    VSI_CASE_TLS(slow_client_receives_the_last_state, VSI_RULE_BOUND, NULL),
    VSI_CASE_TLS(order_of_each_sender_is_kept, VSI_RULE_WRITE, NULL),
    VSI_CASE_TLS(silent_stream_sends_heartbeats, VSI_RULE_STEPS, NULL),
    VSI_CASE_TLS(closed_stream_ends_cleanly_after_its_events, VSI_RULE_CLEAN, NULL),
    VSI_CASE_TLS(aborted_stream_ends_without_a_clean_end, VSI_RULE_ABORT, NULL),
    VSI_CASE_TLS(stream_of_effects_ends_when_they_are_written, VSI_RULE_CLEAN, NULL),
    VSI_CASE_TLS(client_that_hangs_up_ends_only_its_stream, VSI_RULE_HANGUP, NULL),
    VSI_CASE_TLS(later_requests_send_to_the_stored_stream, VSI_RULE_WRITE, NULL),
    VSI_CASE_TLS(stream_over_server_limit_gets_503, VSI_RULE_PLACES, NULL),
    VSI_CASE_TLS(stop_ends_open_streams_once, VSI_RULE_STOP, NULL),
    VSI_CASE_TLS(guards_accept_tokens_and_reject_forged_requests, VSI_RULE_REQUEST, NULL),
};

const vsi_suite vsi_requests_suite = VSI_SUITE("requests", cases);
