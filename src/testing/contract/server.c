/* SPDX-License-Identifier: MIT */
#include "testing/contract/server.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http/request.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"

vestry_contract_adapter vsi_adapter;

/* ---------------------------------------------------------------------------------------------------- the host ---- */

_Atomic(uint64_t) vsi_server_clock_ahead_ns;
static _Atomic(uint64_t) clock_held_ns; /* 0: the clock runs */
_Atomic(long) vsi_server_debug_lines;

static uint64_t now_ns(void *ctx) {
  (void)ctx;
  uint64_t held_ns = atomic_load(&clock_held_ns);
  return (held_ns ? held_ns : vestry_host_default()->now_ns(NULL)) + atomic_load(&vsi_server_clock_ahead_ns);
}

void vsi_server_hold_clock(bool hold) {
  atomic_store(&clock_held_ns, hold ? vestry_host_default()->now_ns(NULL) : 0);
}

static vestry_err random_bytes(void *ctx, void *buffer, size_t len) {
  (void)ctx;
  return vestry_host_default()->random(NULL, buffer, len);
}

/* Debug lines come from several threads at once. */
static void log_line(void *ctx, vestry_log_level level, const char *line) {
  vsi_server_host *th = ctx;
  if (level == VESTRY_LOG_DEBUG) {
    atomic_fetch_add(&vsi_server_debug_lines, 1);
    return;
  }
  atomic_fetch_add(&th->log_lines, 1);
  snprintf(th->last_log, sizeof th->last_log, "%s", line);
}

static void *reallocate(void *ctx, void *memory, size_t size_bytes) {
  vsi_server_host *th = ctx;
  if (!size_bytes) {
    atomic_fetch_sub(&th->live, memory != NULL);
    free(memory);
    return NULL;
  }
  if (atomic_load(&th->fail_in) >= 0 && atomic_fetch_sub(&th->fail_in, 1) == 0) return NULL;
  void *made = realloc(memory, size_bytes);
  atomic_fetch_add(&th->live, made && !memory);
  return made;
}

static void begin_host(vsi_server_host *th) {
  th->host =
      (vestry_host){.ctx = th, .reallocate = reallocate, .now_ns = now_ns, .random = random_bytes, .log = log_line};
  atomic_store(&th->fail_in, -1);
  vsi_last_log = th->last_log;
}

/* -------------------------------------------------------------------------------------------------- the server ---- */

vestry_err vsi_server_open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req;
  vestry_connection_hooks hooks = vsi_recorder_hooks(&((vsi_server *)app)->recorder);
  vestry_reply_stream(reply, &(vestry_stream_options){.hooks = &hooks});
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static _Atomic(bool) has_body_function; /* of the adapter of the last request for an echo */

vestry_err vsi_server_echo(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  atomic_store(&has_body_function, req->own->ops->respond_body);
  vestry_slice body = req->body;
  return body.len ? vestry_reply_body(reply, "text/plain", body.data, body.len)
                  : vestry_reply_body(reply, "text/plain", "nothing", 7);
}

void vsi_server_begin(vsi_server *s, const vestry_options *given) {
  vestry_options options = {0};
  memset(s, 0, sizeof *s);
  begin_host(&s->th);
  vsi_recorder_init(&s->recorder);
  if (given) options = *given;
  options.host = &s->th.host;
  if (!options.threads_count) options.threads_count = vsi_adapter.has_one_loop ? VESTRY_THREADS_NONE : 2;
  CHECK_ERROR(vestry_create(&options, &s->v), VESTRY_OK);
}

void vsi_server_mount(vsi_server *s) {
  CHECK_ERROR(vestry_route(s->v, "GET", "/stream", vsi_server_open_stream, s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s->v, "PUT", "/stream", vsi_server_open_stream, s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s->v, "GET", "/echo", vsi_server_echo, s), VESTRY_OK);
  CHECK_ERROR(vestry_route(s->v, "POST", "/echo", vsi_server_echo, s), VESTRY_OK);
}

void vsi_server_run(vsi_server *s, const vestry_contract_settings *given) {
  vestry_contract_settings settings = {0};
  if (given) settings = *given;
  CHECK_ERROR(vsi_adapter.start(s->v, &settings, &s->running, &s->port), VESTRY_OK);
}

void vsi_server_start(vsi_server *s, const vestry_contract_settings *settings, const vestry_options *options) {
  vsi_server_begin(s, options);
  vsi_server_mount(s);
  vsi_server_run(s, settings);
}

vestry_stats vsi_server_stats(const vsi_server *s) {
  vestry_stats stats = {0};
  vestry_stats_get(s->v, &stats);
  return stats;
}

uint32_t vsi_server_streams(vsi_server *s) {
  uint32_t streams = (uint32_t)vsi_server_stats(s).open_count;
  if (vsi_adapter.room) vsi_adapter.room(s->running, &streams, NULL);
  return streams;
}

void vsi_server_stop_adapter(vsi_server *s) {
  CHECK_ERROR(vsi_adapter.stop(s->running, vsi_patience_s * UINT64_C(1000)), VESTRY_OK);
  CHECK_EQUAL(vsi_server_streams(s), 0);
}

void vsi_server_finish(vsi_server *s) {
  if (s->running) vsi_adapter.destroy(s->running);
  CHECK_ERROR(vestry_stop(s->v, vsi_patience_s * UINT64_C(1000)), VESTRY_OK);
  const vestry_stats stats = vsi_server_stats(s);
  CHECK_EQUAL(stats.open_count, 0);
  CHECK_EQUAL(stats.opened_count, stats.closed_count);
  CHECK_EQUAL(stats.accepted_count, stats.written_count + stats.discarded_count + stats.conflated_count);
  CHECK_EQUAL(stats.request_bytes, 0);
  CHECK_EQUAL(stats.response_bytes, 0);
  vsi_recorder_finish(&s->recorder);
  vestry_destroy(s->v);
  CHECK_EQUAL(atomic_load(&s->th.live), 0);
}

void vsi_server_stop(vsi_server *s) {
  vsi_server_stop_adapter(s);
  vsi_server_finish(s);
}

/* --------------------------------------------------------------------------------------------------- for cases ---- */

vestry_connection *vsi_server_open(vsi_server *s, vsi_client *c) {
  const unsigned index = vsi_recorder_opened(&s->recorder);
  vsi_client_ask(c, s->port, "GET", "/stream", "Datastar-Request: true\r\n");
  CHECK_EQUAL(vsi_client_status(c), 200);
  CHECK(vsi_recorder_wait_opened(&s->recorder, index + 1));
  return vsi_recorder_connection(&s->recorder, index);
}

vestry_cause vsi_server_cause(vsi_server *s, const vestry_connection *connection) {
  for (unsigned count = 1; !vsi_recorder_cause(&s->recorder, connection); count++)
    CHECK(vsi_recorder_wait_closed(&s->recorder, count));
  return vsi_recorder_cause(&s->recorder, connection);
}

void vsi_server_patch(vestry_connection *connection, const char *json) {
  CHECK_ERROR(vestry_connection_patch_signals(connection, VESTRY_VALUES(json), NULL), VESTRY_OK);
}

/* The text is periodic, because valgrind is slow for each generated byte. */
enum { PERIOD = 23 };

static char *make_stalling_text(void) {
  char *text = malloc(VSI_STALLING_BYTES);
  CHECK(text);
  for (size_t i = 0; i < PERIOD; i++) text[i] = (char)('a' + i);
  for (size_t len = PERIOD; len < VSI_STALLING_BYTES; len *= 2)
    memcpy(text + len, text, len < VSI_STALLING_BYTES - len ? len : VSI_STALLING_BYTES - len);
  return text;
}

void vsi_server_assert_stalling_text(const char *text) {
  for (size_t i = 0; i < PERIOD; i++) CHECK_EQUAL(text[i], 'a' + i);
  CHECK_EQUAL(memcmp(text, text + PERIOD, VSI_STALLING_BYTES - PERIOD), 0);
}

vestry_connection *vsi_server_open_stalled(vsi_server *s, vsi_client *c) {
  const unsigned index = vsi_recorder_opened(&s->recorder);
  vsi_client_connect(c, s->port, true);
  vsi_client_sendf(c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDatastar-Request: true\r\n\r\n");
  CHECK(vsi_recorder_wait_opened(&s->recorder, index + 1));
  vestry_connection *connection = vsi_recorder_connection(&s->recorder, index);
  char *html = make_stalling_text(); /* more than the buffers of two sockets hold */
  CHECK_ERROR(vestry_connection_patch_elements(connection, html, VSI_STALLING_BYTES, NULL), VESTRY_OK);
  free(html);
  vsi_client_expect(c, "data: elements a");
  return connection;
}

void vsi_server_assert_serves(vsi_server *s) {
  vsi_client c;
  vsi_client_ask(&c, s->port, "GET", "/echo", NULL);
  CHECK_EQUAL(vsi_client_status(&c), 200);
  vsi_client_close(&c);
}

bool vsi_server_has_body_function(vsi_server *s) {
  vsi_server_assert_serves(s);
  return atomic_load(&has_body_function);
}

int vsi_server_status_of(vsi_server *s, const char *request) {
  vsi_client c;
  vsi_client_connect(&c, s->port, false);
  vsi_client_send(&c, request, strlen(request));
  int status = vsi_client_status(&c);
  vsi_client_close(&c);
  vsi_server_assert_serves(s);
  return status;
}
