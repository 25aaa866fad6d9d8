/* SPDX-License-Identifier: MIT */
#include "web/server.h"
#include "support/patience.h"

#include <stdlib.h>
#include <time.h>

#include "support/test.h"
#include "web/client.h"

enum { STOP_MS = PATIENCE_S * 1000 };

double seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

_Atomic(uint64_t) server_clock_ahead_ns;
static _Atomic(uint64_t) server_clock_held_ns; /* 0: it goes */
_Atomic(long) server_debug_lines;

static uint64_t real_now_ns(void *ctx) {
  (void)ctx;
  uint64_t held_ns = atomic_load(&server_clock_held_ns);
  return (held_ns ? held_ns : vestry_host_default()->now_ns(NULL)) + atomic_load(&server_clock_ahead_ns);
}

void server_hold_clock(bool hold) {
  atomic_store(&server_clock_held_ns, hold ? vestry_host_default()->now_ns(NULL) : 0);
}

static vestry_err real_random(void *ctx, void *buffer, size_t len) {
  (void)ctx;
  return vestry_host_default()->random(NULL, buffer, len);
}

/* What is only of interest to somebody who looks for it comes from several threads at once. */
static void log_but_debug(void *ctx, vestry_log_level level, const char *line) {
  test_host *th = ctx;
  if (level == VESTRY_LOG_DEBUG) {
    atomic_fetch_add(&server_debug_lines, 1);
    return;
  }
  atomic_fetch_add(&th->log_lines, 1);
  snprintf(th->last_log, sizeof th->last_log, "%s", line);
}

vestry_err server_open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  vestry_connection_hooks hooks = witness_hooks(&((server *)app)->witness);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

vestry_err server_echo(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  vestry_slice body = req->body;
  return body.len ? vestry_reply_body(reply, "text/plain", body.data, body.len)
                  : vestry_reply_body(reply, "text/plain", "nothing", 7);
}

void server_begin(server *s, const server_seam *seam, const vestry_options *given) {
  memset(s, 0, sizeof *s);
  s->seam = seam;
  test_host_init(&s->th);
  s->th.host.now_ns = real_now_ns;
  s->th.host.random = real_random;
  s->th.host.log = log_but_debug;
  witness_init(&s->witness);
  vestry_options options = *given;
  options.host = &s->th.host;
  if (!options.threads_count) options.threads_count = 2;
  assert_int_equal(vestry_create(&options, &s->v), VESTRY_OK);
}

void server_mount(server *s) {
  assert_int_equal(vestry_route(s->v, "GET", "/stream", server_open_stream, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->v, "PUT", "/stream", server_open_stream, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->v, "GET", "/echo", server_echo, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->v, "POST", "/echo", server_echo, s), VESTRY_OK);
}

void server_stop_adapter(server *s) {
  assert_int_equal(s->seam->stop(s, STOP_MS), VESTRY_OK);
  uint32_t streams = 1;
  s->seam->room(s, &streams, NULL);
  assert_int_equal(streams, 0);
}

void server_finish(server *s) {
  s->seam->destroy(s);
  assert_int_equal(vestry_stop(s->v, STOP_MS), VESTRY_OK);
  vestry_stats stats = {0};
  vestry_stats_get(s->v, &stats);
  assert_int_equal(stats.open_count, 0);
  assert_int_equal(stats.opened_count, stats.closed_count);
  assert_int_equal(stats.accepted_count, stats.written_count + stats.discarded_count + stats.conflated_count);
  assert_int_equal(stats.request_bytes, 0);
  witness_finish(&s->witness);
  vestry_destroy(s->v);
  test_host_assert_clean(&s->th);
}

void server_stop(server *s) {
  server_stop_adapter(s);
  server_finish(s);
}

vestry_connection *server_open(server *s, client *c) {
  unsigned index = s->witness.opened;
  client_ask(c, s->port, "GET", "/stream", "Datastar-Request: true\r\n");
  assert_int_equal(client_status(c), 200);
  assert_true(witness_wait_opened(&s->witness, index + 1));
  return witness_connection(&s->witness, index);
}

vestry_cause server_cause(server *s, const vestry_connection *connection) {
  for (unsigned count = 1; !witness_cause(&s->witness, connection); count++)
    assert_true(witness_wait_closed(&s->witness, count));
  return witness_cause(&s->witness, connection);
}

void server_patch(vestry_connection *connection, const char *json) {
  assert_int_equal(vestry_connection_patch_signals_text(connection, json, strlen(json), NULL), VESTRY_OK);
}

/* It begins anew all so many bytes: valgrind takes its time for a byte. */
enum { PERIOD = 23 };

static char *make_stalling_text(void) {
  char *text = malloc(STALLING_BYTES);
  assert_non_null(text);
  for (size_t i = 0; i < PERIOD; i++) text[i] = (char)('a' + i);
  for (size_t len = PERIOD; len < STALLING_BYTES; len *= 2)
    memcpy(text + len, text, len < STALLING_BYTES - len ? len : STALLING_BYTES - len);
  return text;
}

void server_assert_stalling_text(const char *text) {
  for (size_t i = 0; i < PERIOD; i++) assert_int_equal(text[i], 'a' + i);
  assert_int_equal(memcmp(text, text + PERIOD, STALLING_BYTES - PERIOD), 0);
}

vestry_connection *server_open_stalled(server *s, client *c) {
  unsigned index = s->witness.opened;
  client_connect(c, s->port, true);
  client_say(c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDatastar-Request: true\r\n\r\n");
  assert_true(witness_wait_opened(&s->witness, index + 1));
  vestry_connection *connection = witness_connection(&s->witness, index);
  char *html = make_stalling_text(); /* more than the buffers of two sockets hold */
  assert_int_equal(vestry_connection_patch_elements(connection, html, STALLING_BYTES, NULL), VESTRY_OK);
  free(html);
  client_expect(c, "data: elements a");
  return connection;
}

void server_assert_serves(server *s) {
  client c;
  client_ask(&c, s->port, "GET", "/echo", NULL);
  assert_int_equal(client_status(&c), 200);
  client_close(&c);
}

int server_status_of(server *s, const char *request) {
  client c;
  client_connect(&c, s->port, false);
  client_send(&c, request, strlen(request));
  int status = client_status(&c);
  client_close(&c);
  server_assert_serves(s);
  return status;
}
