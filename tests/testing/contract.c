/* SPDX-License-Identifier: MIT */
#include "testing/contract.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "support/test.h"
#include "support/until.h"
#include "testing/recorder.h"
#include "vestry/app/csrf.h"
#include "vestry/app/once.h"
#include "vestry/app/tab.h"
#include "vestry/registry.h"
#include "vestry/routes.h"

enum { SEEN_MAX = 256, ROOM = 8 };

/* The server of a test, and the values that its handlers received. */
typedef struct scene {
  const contract_seam *seam;
  void *server;
  recorder recorder;
  pthread_mutex_t lock;
  /* guarded by lock */
  unsigned served;
  char method[SEEN_MAX], path[SEEN_MAX], query[SEEN_MAX], header[SEEN_MAX], peer[SEEN_MAX], signals[SEEN_MAX];
  char *body;
  size_t body_len;
  bool is_datastar;
} scene;

static scene the;

static void keep_text(char into[SEEN_MAX], const char *text) {
  snprintf(into, SEEN_MAX, "%s", text ? text : "(null)");
}

/* ------------------------------------------------------------------------------------------------- handlers ------- */

static vestry_err echo(const vestry_request *req, vestry_reply *reply, void *app) {
  scene *s = app;
  pthread_mutex_lock(&s->lock);
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
  pthread_mutex_unlock(&s->lock);
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
  vestry_connection_hooks hooks = recorder_hooks(&s->recorder);
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
  vestry_connection_hooks hooks = recorder_hooks(&s->recorder);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("first", 1));
  return vestry_reply_patch_signals(reply, VESTRY_OBJECT("second", 2));
}

/* ------------------------------------------------------------------------------------------------ the scene ------- */

static void mount(const char *method, const char *path, vestry_handler_fn handler) {
  assert_int_equal(vestry_route(the.seam->instance(the.server), method, path, handler, &the), VESTRY_OK);
}

static void begin_with(void **state, const vestry_options *options) {
  static const vestry_options defaults = {0};
  memset(&the, 0, sizeof the);
  the.seam = *state;
  pthread_mutex_init(&the.lock, NULL);
  recorder_init(&the.recorder);
  the.server = the.seam->start(options ? options : &defaults, ROOM);
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

static void begin(void **state) {
  begin_with(state, NULL);
}

static void finish(void) {
  the.seam->stop(the.server);
  recorder_finish(&the.recorder); /* its references may be the last ones */
  the.seam->destroy(the.server);
  free(the.body);
  pthread_mutex_destroy(&the.lock);
}

static void *request(contract_ask what) {
  return the.seam->ask(the.server, &what);
}

/* Open a stream and return its connection. */
static vestry_connection *stream(void **ret_exchange) {
  unsigned index = the.recorder.opened;
  *ret_exchange = request((contract_ask){.path = "/stream", .datastar = true});
  the.seam->settle(the.server);
  assert_true(recorder_wait_opened(&the.recorder, index + 1));
  return recorder_connection(&the.recorder, index);
}

static vestry_cause cause_of(vestry_connection *connection) {
  unsigned count = 1;
  while (!recorder_cause(&the.recorder, connection)) {
    the.seam->settle(the.server);
    assert_true(recorder_wait_closed(&the.recorder, count++));
  }
  return recorder_cause(&the.recorder, connection);
}

static void patch(vestry_connection *connection, const char *json) {
  assert_int_equal(vestry_connection_patch_signals_text(connection, json, strlen(json), NULL), VESTRY_OK);
}

static void assert_body(void *exchange, const char *text) {
  vestry_slice body = the.seam->body(exchange);
  assert_int_equal(body.len, strlen(text));
  assert_memory_equal(body.data, text, body.len);
}

/* ------------------------------------------------------------------------------------------- plain requests ------- */

/* capability: B6, C14 */
static void answer_has_status_headers_and_body(void **state) {
  begin(state);
  void *exchange = request((contract_ask){.path = "/echo"});
  assert_int_equal(the.seam->status(exchange), 200);
  assert_string_equal(the.seam->header(exchange, "x-echo"), "heard");
  assert_string_equal(the.seam->header(exchange, "Content-Type"), "text/plain");
  assert_null(the.seam->header(exchange, "X-Other"));
  assert_body(exchange, "echo echo");
  the.seam->forget(exchange);
  finish();
}

static void empty_reply_gets_204(void **state) {
  begin(state);
  void *exchange = request((contract_ask){.path = "/nothing"});
  assert_int_equal(the.seam->status(exchange), 204);
  assert_body(exchange, "");
  the.seam->forget(exchange);
  finish();
}

static void large_body_is_sent_whole(void **state) {
  begin(state);
  void *exchange = request((contract_ask){.path = "/large"});
  assert_int_equal(the.seam->status(exchange), 200);
  vestry_slice body = the.seam->body(exchange);
  assert_int_equal(body.len, 3000000);
  for (size_t i = 0; i < body.len; i++)
    if (((const char *)body.data)[i] != (char)('a' + i % 23)) fail_msg("byte %zu is wrong", i);
  the.seam->forget(exchange);
  finish();
}

static void error_of_a_handler_gets_its_status(void **state) {
  static const struct {
    vestry_err error;
    int status;
  } cases[] = {{VESTRY_INVALID, 500},   {VESTRY_MALFORMED, 400}, {VESTRY_NOT_FOUND, 404}, {VESTRY_EXISTS, 409},
               {VESTRY_TOO_LARGE, 413}, {VESTRY_LIMIT, 503},     {VESTRY_FULL, 503},      {VESTRY_FAILED, 500}};
  begin(state);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    char number[16];
    snprintf(number, sizeof number, "%d", (int)cases[i].error);
    void *exchange = request((contract_ask){.path = "/fail", .query = number});
    assert_int_equal(the.seam->status(exchange), cases[i].status);
    const char *retry = the.seam->header(exchange, "Retry-After");
    if (cases[i].status == 503)
      assert_string_equal(retry, "2");
    else
      assert_null(retry);
    the.seam->forget(exchange);
  }
  finish();
}

/* capability: C6 */
static void handler_receives_the_request(void **state) {
  begin(state);
  const vestry_header headers[] = {{"X-Asked", "a \xc3\xa9 value"}, {"X-Asked", "another"}};
  void *exchange =
      request((contract_ask){.path = "/echo", .query = "a=1&b=%20", .headers = headers, .headers_count = 2});
  assert_int_equal(the.seam->status(exchange), 200);
  pthread_mutex_lock(&the.lock);
  assert_string_equal(the.method, "GET");
  assert_string_equal(the.path, "/echo");
  assert_string_equal(the.query, "a=1&b=%20");
  assert_string_equal(the.header, "a \xc3\xa9 value"); /* the first of several */
  assert_true(!*the.peer == the.seam->no_peer_address);
  assert_false(the.is_datastar);
  assert_string_equal(the.signals, "(null)");
  assert_int_equal(the.body_len, 0);
  pthread_mutex_unlock(&the.lock);
  the.seam->forget(exchange);
  finish();
}

/* capability: B7 */
static void handler_receives_signals(void **state) {
  begin(state);
  void *exchange = request((contract_ask){.path = "/echo", .query = "datastar=%7B%22a%22%3A1%7D", .datastar = true});
  assert_int_equal(the.seam->status(exchange), 200);
  assert_true(the.is_datastar);
  assert_string_equal(the.signals, "{\"a\":1}");
  the.seam->forget(exchange);
  exchange = request((contract_ask){"POST", "/echo", .datastar = true, .body = "{\"b\":[2]}", .body_len = 9});
  assert_int_equal(the.seam->status(exchange), 200);
  assert_string_equal(the.signals, "{\"b\":[2]}");
  the.seam->forget(exchange);
  exchange = request((contract_ask){"DELETE", "/echo", .query = "datastar=%7B%22c%22%3A3%7D", .datastar = true});
  assert_int_equal(the.seam->status(exchange), 200);
  assert_string_equal(the.signals, "{\"c\":3}");
  the.seam->forget(exchange);
  finish();
}

/* capability: C5 */
static void malformed_signals_get_400(void **state) {
  begin(state);
  void *exchange = request((contract_ask){"POST", "/echo", .datastar = true, .body = "{\"b\":", .body_len = 5});
  assert_int_equal(the.seam->status(exchange), 400);
  the.seam->forget(exchange);
  exchange = request((contract_ask){.path = "/echo", .query = "datastar=%7", .datastar = true});
  assert_int_equal(the.seam->status(exchange), 400);
  the.seam->forget(exchange);
  assert_int_equal(the.served, 0);
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
  void *exchange = request((contract_ask){"POST", "/echo", .body = body, .body_len = len, .no_length = no_length});
  assert_int_equal(the.seam->status(exchange), status);
  if (status == 200) {
    assert_int_equal(the.body_len, len);
    assert_memory_equal(the.body, body, len);
  } else {
    assert_int_equal(the.served, served);
  }
  the.seam->forget(exchange);
  free(body);
}

static void bodies_up_to_the_limit_are_read_whole(void **state) {
  begin(state);
  for (int no_length = 0; no_length < 2; no_length++) {
    post_body(0, no_length, 200);
    post_body(1, no_length, 200);
    post_body(70000, no_length, 200);
    post_body(1 << 20, no_length, 200); /* the limit */
  }
  finish();
}

static void body_over_limit_gets_413(void **state) {
  begin(state);
  for (int no_length = 0; no_length < 2; no_length++) {
    post_body((1 << 20) + 1, no_length, 413);
    post_body(3 << 20, no_length, 413);
    post_body(5, no_length, 200); /* and the server continues */
  }
  finish();
}

static void body_limit_depends_on_the_path(void **state) {
  begin(state);
  for (int no_length = 0; no_length < 2; no_length++) {
    assert_int_equal(vestry_body_limit(the.seam->instance(the.server), "/echo", 100), VESTRY_OK);
    post_body(100, no_length, 200);
    post_body(101, no_length, 413);
    assert_int_equal(vestry_body_limit(the.seam->instance(the.server), "/echo", 2 << 20),
                     VESTRY_OK); /* more than the instance's limit */
    post_body(2 << 20, no_length, 200);
    post_body((2 << 20) + 1, no_length, 413);
  }
  finish();
}

static void request_broken(bool no_length) {
  void *exchange =
      request((contract_ask){"POST", "/echo", .body = "short", .body_len = 5, .no_length = no_length, .breaks = true});
  if (the.seam->closes_broken)
    assert_false(the.seam->end(exchange));
  else
    assert_int_equal(the.seam->status(exchange), 400);
  the.seam->forget(exchange);
}

static void incomplete_body_is_refused(void **state) {
  begin(state);
  request_broken(false);
  request_broken(true);
  assert_int_equal(the.served, 0);
  finish();
}

/* -------------------------------------------------------------------------------------------------- streams ------- */

static void head_of_a_stream_is_sent_at_once(void **state) {
  begin(state);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  assert_int_equal(the.seam->status(exchange), 200); /* before any event */
  assert_string_equal(the.seam->header(exchange, "Content-Type"), "text/event-stream");
  assert_string_equal(the.seam->header(exchange, "Cache-Control"), "no-cache, no-transform");
  assert_string_equal(the.seam->header(exchange, "X-Accel-Buffering"), "no");
  assert_int_equal(vestry_connection_look(connection).state, VESTRY_STATE_OPEN);
  the.seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void events_are_written_in_order(void **state) {
  begin(state);
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
  the.seam->expect(exchange, "{\"n\":49}\n\n");
  assert_body(exchange, expected);
  the.seam->forget(exchange);
  finish();
}

static void batch_of_events_is_one_write(void **state) {
  begin(state);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"before\":1}");
  the.seam->expect(exchange, "before");
  vestry_event *events[60];
  for (int i = 0; i < 60; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    const vestry_host *host = vestry_parts_of(the.seam->instance(the.server))->host;
    assert_int_equal(vestry_event_signals_text(host, json, strlen(json), NULL, &events[i]), VESTRY_OK);
  }
  vestry_connection_stats before = {0}, after = {0};
  /* The client may read a write before the runner has counted it, so wait for the count before the next write. */
  UNTIL((vestry_connection_stats_get(connection, &before), before.written_count >= 1));
  assert_int_equal(vestry_connection_send_all(connection, events, 60), VESTRY_OK);
  the.seam->expect(exchange, "{\"n\":59}\n\n");
  UNTIL((vestry_connection_stats_get(connection, &after), after.written_count >= 61));
  assert_int_equal(after.writes_count - before.writes_count, 1);
  for (int i = 0; i < 60; i++) vestry_event_unref(events[i]);
  the.seam->forget(exchange);
  finish();
}

static void large_event_is_written_whole(void **state) {
  vestry_options options = {.connection = &(vestry_connection_options){.max_queued_bytes = 16 << 20}};
  begin_with(state, &options);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  size_t len = 5000000;
  char *html = malloc(len);
  for (size_t i = 0; i < len; i++) html[i] = (char)('a' + i % 23);
  assert_int_equal(vestry_connection_patch_elements(connection, html, len, NULL), VESTRY_OK);
  patch(connection, "{\"after\":1}");
  the.seam->expect(exchange, "{\"after\":1}\n\n");
  vestry_slice body = the.seam->body(exchange);
  const char *at = strstr(body.data, "data: elements ") + strlen("data: elements ");
  assert_true(body.len > len);
  assert_memory_equal(at, html, len);
  free(html);
  the.seam->forget(exchange);
  finish();
}

/* 18 MB of morphs, several times what the buffers of two sockets hold, with a field in each. The client does not read
 * until all are sent, so a blocking transport is inside of a write. The stream is not taken for lost on a slow machine,
 * because that takes as long as a heartbeat. */
/* capability: F3 */
static void slow_client_receives_the_last_state(void **state) {
  enum { MORPHS = 600, LEN = 30000 };
  vestry_options options = {.connection = &(vestry_connection_options){
                                .full = VESTRY_FULL_CONFLATE, .max_queued_bytes = 4 * LEN, .heartbeat_ms = 300000}};
  begin_with(state, &options);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  static char html[LEN + 1];
  for (int i = 1; i <= MORPHS; i++) {
    int len = snprintf(html, sizeof html, "<div id=\"a\"><input id=\"b\" data-bind:c>%d</div>", i);
    memset(html + len, ' ', (size_t)(LEN - len));
    assert_int_equal(vestry_connection_patch_elements(connection, html, LEN, NULL), VESTRY_OK);
  }
  the.seam->expect(exchange, "data-bind:c>600</div>");
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.accepted_count, MORPHS);
  assert_int_equal(stats.refused_count + stats.kept_count + stats.fences_count, 0);
  assert_true(stats.conflated_count > MORPHS / 4);
  assert_true(vestry_connection_is_open(connection));
  the.seam->forget(exchange);
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
    vestry_connection_patch_signals_text(s->connection, json, strlen(json), NULL);
  }
  return NULL;
}

static void order_of_each_sender_is_kept(void **state) {
  begin(state);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  sender senders[4];
  for (int i = 0; i < 4; i++) {
    senders[i] = (sender){.connection = connection, .name = (char)('a' + i)};
    assert_int_equal(pthread_create(&senders[i].thread, NULL, send_many, &senders[i]), 0);
  }
  for (int i = 0; i < 4; i++) pthread_join(senders[i].thread, NULL);
  patch(connection, "{\"last\":1}");
  the.seam->expect(exchange, "last");
  const char *text = the.seam->body(exchange).data;
  for (int i = 0; i < 4; i++) {
    const char *at = text;
    for (int n = 0; n < 200; n++) {
      char json[64];
      snprintf(json, sizeof json, "{\"%c\":%d}\n", 'a' + i, n);
      at = strstr(at, json); /* each after the one before, so none is missing */
      assert_non_null(at);
    }
  }
  the.seam->forget(exchange);
  finish();
}

/* capability: E2 */
static void silent_stream_sends_heartbeats(void **state) {
  vestry_options options = {.connection = &(vestry_connection_options){.heartbeat_ms = 20}};
  begin_with(state, &options);
  void *exchange;
  stream(&exchange);
  the.seam->pass_ms(the.server, 20);
  the.seam->expect(exchange, ":\n\n");
  the.seam->pass_ms(the.server, 20);
  the.seam->expect(exchange, ":\n\n:\n\n");
  the.seam->forget(exchange);
  finish();
}

/* capability: C14, C18 */
static void closed_stream_ends_cleanly_after_its_events(void **state) {
  begin(state);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"bye\":1}");
  assert_true(vestry_connection_close(connection, VESTRY_CAUSE_CLOSED));
  assert_true(the.seam->end(exchange));
  assert_body(exchange, "event: datastar-patch-signals\ndata: signals {\"bye\":1}\n\n");
  assert_int_equal(cause_of(connection), VESTRY_CAUSE_CLOSED);
  the.seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void aborted_stream_ends_without_a_clean_end(void **state) {
  begin(state);
  void *exchange;
  vestry_connection *connection = stream(&exchange);
  patch(connection, "{\"there\":1}");
  the.seam->expect(exchange, "there");
  assert_true(vestry_connection_close(connection, VESTRY_CAUSE_IDLE));
  assert_false(the.seam->end(exchange));
  assert_int_equal(cause_of(connection), VESTRY_CAUSE_IDLE);
  the.seam->forget(exchange);
  finish();
}

static void stream_of_effects_ends_when_they_are_written(void **state) {
  begin(state);
  void *exchange = request((contract_ask){.path = "/effects", .datastar = true});
  the.seam->settle(the.server);
  assert_int_equal(the.seam->status(exchange), 200);
  assert_true(the.seam->end(exchange));
  assert_body(exchange, "event: datastar-patch-signals\ndata: signals {\"first\":1}\n\n"
                        "event: datastar-patch-signals\ndata: signals {\"second\":2}\n\n");
  the.seam->forget(exchange);
  finish();
}

/* capability: C14 */
static void client_that_hangs_up_ends_only_its_stream(void **state) {
  begin(state);
  void *first, *second;
  vestry_connection *gone = stream(&first), *stays = stream(&second);
  the.seam->hang_up(first);
  assert_int_equal(cause_of(gone), VESTRY_CAUSE_HANGUP);
  assert_true(vestry_connection_is_open(stays));
  patch(stays, "{\"still\":1}");
  the.seam->expect(second, "still");
  assert_int_equal(vestry_connection_patch_signals_text(gone, "{}", 2, NULL), VESTRY_CLOSED);
  the.seam->forget(first);
  the.seam->forget(second);
  finish();
}

/* capability: A11 */
static void later_requests_send_to_the_stored_stream(void **state) {
  begin(state);
  void *kept = request((contract_ask){"PUT", "/kept", .datastar = true});
  the.seam->settle(the.server);
  assert_int_equal(the.seam->status(kept), 200);
  void *action = request((contract_ask){"POST", "/kept", .datastar = true});
  assert_int_equal(the.seam->status(action), 204);
  the.seam->expect(kept, "data: signals {\"n\":42}\n\n");
  the.seam->forget(action);
  vestry_scope scope = {NULL, 0};
  assert_int_equal(vestry_dispatch(the.seam->instance(the.server), scope, VESTRY_KEY("stream", 1),
                                   VESTRY_LIST("patch-signals", VESTRY_OBJECT("m", 43))),
                   VESTRY_OK);
  the.seam->expect(kept, "data: signals {\"m\":43}\n\n");
  /* A second stream of the key replaces the first one, which ends cleanly, so that its client does not reconnect. */
  void *next = request((contract_ask){"PUT", "/kept", .datastar = true});
  the.seam->settle(the.server);
  assert_int_equal(the.seam->status(next), 200);
  assert_true(the.seam->end(kept));
  the.seam->forget(kept);
  the.seam->forget(next);
  finish();
}

static void stream_over_server_limit_gets_503(void **state) {
  begin(state);
  void *streams[ROOM];
  for (int i = 0; i < ROOM; i++) stream(&streams[i]);
  for (int i = 0; i < 3; i++) {
    void *refused = request((contract_ask){.path = "/stream", .datastar = true});
    assert_int_equal(the.seam->status(refused), 503);
    assert_string_equal(the.seam->header(refused, "Retry-After"), "2");
    the.seam->forget(refused);
    void *action = request((contract_ask){.path = "/echo", .datastar = true}); /* ordinary requests are still served */
    assert_int_equal(the.seam->status(action), 200);
    the.seam->forget(action);
  }
  vestry_connection *gone = recorder_connection(&the.recorder, 0);
  the.seam->forget(streams[0]);
  assert_int_equal(cause_of(gone), VESTRY_CAUSE_HANGUP);
  vestry_stats stats = {0};
  vestry_stats_get(the.seam->instance(the.server), &stats);
  assert_int_equal(stats.rejected_count, 3);
  for (int i = 1; i < ROOM; i++) the.seam->forget(streams[i]);
  finish();
}

static void stop_ends_open_streams_once(void **state) {
  begin(state);
  void *exchanges[3];
  vestry_connection *connections[3];
  for (int i = 0; i < 3; i++) connections[i] = vestry_connection_ref(stream(&exchanges[i]));
  recorder *w = &the.recorder;
  vestry_close(the.seam->instance(the.server));
  for (int i = 0; i < 3; i++) {
    assert_int_equal(cause_of(connections[i]), VESTRY_CAUSE_SHUTDOWN);
    assert_false(the.seam->end(exchanges[i]));
    the.seam->forget(exchanges[i]);
  }
  void *late = request((contract_ask){.path = "/echo"});
  assert_int_equal(the.seam->status(late), 503);
  the.seam->forget(late);
  assert_int_equal(recorder_closed(w), 3); /* once each */
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
  return request((contract_ask){.method = "POST",
                                .path = "/guarded",
                                .datastar = true,
                                .headers = headers,
                                .headers_count = headers_count,
                                .body = "{}",
                                .body_len = 2});
}

/* capability: D11, D18 */
static void guards_accept_tokens_and_reject_forged_requests(void **state) {
  begin(state);
  guarded g = {.done = 0};
  vestry *v = the.seam->instance(the.server);
  assert_int_equal(vestry_csrf_create(v, NULL, &g.csrf), VESTRY_OK);
  assert_int_equal(vestry_once_create(v, NULL, &g.once), VESTRY_OK);
  assert_int_equal(vestry_guard(v, "/guarded", vestry_csrf_guard, g.csrf), VESTRY_OK);
  assert_int_equal(vestry_guard(v, "/guarded", vestry_once_guard, g.once), VESTRY_OK);
  assert_int_equal(vestry_route(v, "GET", "/guarded", proofs, &g), VESTRY_OK);
  assert_int_equal(vestry_route(v, "POST", "/guarded", count, &g), VESTRY_OK);
  void *page = request((contract_ask){.path = "/guarded"});
  assert_int_equal(the.seam->status(page), 200);
  char text[200], cookie[200];
  vestry_slice body = the.seam->body(page);
  assert_int_equal(body.len, 64 + 1 + 64 + 1 + 32);
  memcpy(text, body.data, body.len);
  text[64] = text[129] = text[body.len] = '\0';
  const char *set = the.seam->header(page, "Set-Cookie");
  snprintf(cookie, sizeof cookie, "%.*s", (int)strcspn(set, ";"), set);
  the.seam->forget(page);
  vestry_header headers[] = {{"Cookie", cookie},
                             {"X-CSRF-Token", text},
                             {"X-Once", text + 65},
                             {"Sec-Fetch-Site", "same-origin"},
                             {"Origin", "https://a.example"}};
  for (int i = 0; i < 3; i++) { /* done once, and the answer is repeated */
    void *exchange = post_guarded(headers, 5);
    assert_int_equal(the.seam->status(exchange), 201);
    assert_string_equal(the.seam->header(exchange, "Location"), "/made");
    assert_body(exchange, "1");
    the.seam->forget(exchange);
  }
  headers[2].value = "x";
  void *forged = post_guarded(headers, 5);
  assert_int_equal(the.seam->status(forged), 403);
  the.seam->forget(forged);
  headers[3].value = "same-site";
  void *other_port = post_guarded(headers, 5);
  assert_int_equal(the.seam->status(other_port), 403);
  the.seam->expect(other_port, "another site");
  the.seam->forget(other_port);
  headers[3] = headers[4]; /* a browser that sends only the origin */
  void *other_host = post_guarded(headers, 4);
  assert_int_equal(the.seam->status(other_host), 403);
  the.seam->expect(other_host, "another site");
  the.seam->forget(other_host);
  assert_int_equal(g.done, 1);
  assert_int_equal(vestry_unguard(v, "/guarded", vestry_csrf_guard, g.csrf), VESTRY_OK);
  assert_int_equal(vestry_unguard(v, "/guarded", vestry_once_guard, g.once), VESTRY_OK);
  vestry_csrf_destroy(g.csrf);
  vestry_once_destroy(g.once);
  finish();
}

int contract_run(const contract_seam *seam) {
#define ITS(test) cmocka_unit_test_prestate(test, (void *)(uintptr_t)seam)
  const struct CMUnitTest tests[] = {
      ITS(answer_has_status_headers_and_body),
      ITS(empty_reply_gets_204),
      ITS(large_body_is_sent_whole),
      ITS(error_of_a_handler_gets_its_status),
      ITS(handler_receives_the_request),
      ITS(handler_receives_signals),
      ITS(malformed_signals_get_400),
      ITS(bodies_up_to_the_limit_are_read_whole),
      ITS(body_over_limit_gets_413),
      ITS(body_limit_depends_on_the_path),
      ITS(incomplete_body_is_refused),
      ITS(head_of_a_stream_is_sent_at_once),
      ITS(events_are_written_in_order),
      ITS(batch_of_events_is_one_write),
      ITS(large_event_is_written_whole),
      ITS(slow_client_receives_the_last_state),
      ITS(order_of_each_sender_is_kept),
      ITS(silent_stream_sends_heartbeats),
      ITS(closed_stream_ends_cleanly_after_its_events),
      ITS(aborted_stream_ends_without_a_clean_end),
      ITS(stream_of_effects_ends_when_they_are_written),
      ITS(client_that_hangs_up_ends_only_its_stream),
      ITS(later_requests_send_to_the_stored_stream),
      ITS(stream_over_server_limit_gets_503),
      ITS(stop_ends_open_streams_once),
      ITS(guards_accept_tokens_and_reject_forged_requests),
  };
#undef ITS
  return cmocka_run_group_tests_name(seam->name, tests, NULL, NULL);
}
