/* SPDX-License-Identifier: MIT */
#include "web/lifecycle_contract.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/test.h"
#include "support/tries.h"
#include "support/until.h"
#include "vestry/registry.h"
#include "web/client.h"

static const server_seam *seam;
static server s;

static void start(const web_settings *settings) {
  seam->start(&s, settings);
}

/* The reader may stall for a long time, because a reader that continues may be slow on a busy machine and under
 * valgrind. */
static web_settings with_large_events(bool tls) {
  static const vestry_connection_options connection = {.max_queued_bytes = STALLING_QUEUE_BYTES,
                                                       .heartbeat_ms = 300000};
  return (web_settings){.tls = tls, .stalled_ms = 300000, .options.connection = &connection};
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static void streams_are_limited_to_the_places(void **state) {
  (void)state;
  start(&(web_settings){.room = 4});
  uint32_t streams, capacity;
  seam->room(&s, &streams, &capacity);
  assert_int_equal(streams, 0);
  assert_int_equal(capacity, 4);
  seam->room(&s, NULL, NULL);
  client clients[4], refused;
  vestry_connection *connections[4];
  for (int i = 0; i < 4; i++) connections[i] = server_open(&s, &clients[i]);
  seam->room(&s, &streams, NULL);
  assert_int_equal(streams, 4);
  client_ask(&refused, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
  assert_int_equal(client_status(&refused), 503);
  client_close(&refused);
  vestry_connection_close(connections[0], VESTRY_CAUSE_CLOSED);
  client_read_all(&clients[0]); /* it was not configured to keep connections */
  UNTIL((seam->room(&s, &streams, NULL), streams == 3));
  client_close(&clients[0]);
  server_open(&s, &clients[0]);
  for (int i = 0; i < 4; i++) client_close(&clients[i]);
  server_stop(&s);
}

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

/* End the stream of a stalled reader that reads again: all accepted events arrive completely. Returns the bytes after
 * the event. */
static const char *end_and_read_on(client *c, vestry_connection *stuck, uint64_t events_count) {
  vestry_connection_close(stuck, VESTRY_CAUSE_CLOSED);
  client_read_all(c);
  assert_true(c->complete);
  assert_int_equal(server_cause(&s, stuck), VESTRY_CAUSE_CLOSED);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(stuck, &stats);
  assert_int_equal(stats.accepted_count, events_count);
  assert_int_equal(stats.written_count, events_count);
  assert_int_equal(stats.written_bytes, c->body_len);
  const char *at = strstr(c->body, "data: elements ") + strlen("data: elements ");
  server_assert_stalling_text(at);
  return at + STALLING_BYTES;
}

static void delays_no_request(bool tls) {
  const web_settings settings = with_large_events(tls);
  start(&settings);
  client stalled, well;
  vestry_connection *stuck = server_open_stalled(&s, &stalled), *moving = server_open(&s, &well);
  for (int i = 0; i < 100; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    server_patch(moving, json);
    server_patch(stuck, json);
    client_expect(&well, json);
  }
  assert_int_equal(vestry_connection_look(stuck).cause, VESTRY_CAUSE_NONE);
  while (stalled.len < STALLING_BYTES) client_read(&stalled);
  assert_non_null(strstr(end_and_read_on(&stalled, stuck, 101), "{\"n\":99}\n\n"));
  client_close(&stalled);
  client_close(&well);
  server_stop(&s);
}

static void stalled_reader_does_not_delay_others(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) delays_no_request(tls);
}

/* The connection is closed while the event is being written. */
static void partially_written_event_is_completed_before_the_end(void **state) {
  (void)state;
  const web_settings settings = with_large_events(false);
  start(&settings);
  client stalled;
  vestry_connection *stuck = server_open_stalled(&s, &stalled);
  end_and_read_on(&stalled, stuck, 1);
  client_close(&stalled);
  server_stop(&s);
}

static void reader_over_stalled_ms_ends_with_cause_stalled(void **state) {
  (void)state;
  if (seam->no_stalled) TEST_SKIP("this server finds a reader that stalls by its full queue, not by time");
  web_settings settings = with_large_events(false);
  settings.stalled_ms = 300;
  start(&settings);
  client c;
  vestry_connection *connection = server_open_stalled(&s, &c);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_STALLED);
  client_close(&c);
  server_stop(&s);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static double seconds_to_stop(bool tls) {
  const web_settings settings = with_large_events(tls);
  start(&settings);
  client clients[5], stalled, silent, late;
  vestry_connection *connections[5];
  for (int i = 0; i < 5; i++) connections[i] = server_open(&s, &clients[i]);
  if (seam->waits_for_none) {
    server_open_stalled(&s, &stalled);
    client_connect(&silent, s.port, false);
  }
  double since = seconds_now();
  server_stop_adapter(&s);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(vestry_connection_look(connections[i]).cause, VESTRY_CAUSE_SHUTDOWN);
    client_read_all(&clients[i]);
    assert_false(clients[i].complete); /* so the browser reconnects */
    client_close(&clients[i]);
  }
  client_ask(&late, s.port, "GET", "/echo", NULL);
  assert_int_equal(client_status(&late), 503);
  assert_string_equal(client_header(&late, "Retry-After"), "2");
  assert_string_equal(client_header(&late, "Connection"), "close");
  client_read_all(&late);
  client_close(&late);
  assert_int_equal(seam->stop(&s, 0), VESTRY_OK); /* again */
  server_finish(&s);
  double took = seconds_now() - since;
  if (seam->waits_for_none) {
    client_close(&stalled);
    client_close(&silent);
  }
  return took;
}

/* capability: C18 */
static void stop_ends_all_streams_quickly(void **state) {
  (void)state;
  for (int tls = 0; tls <= seam->has_tls; tls++) BELOW_S(seam->stops_s, seconds_to_stop(tls));
}

typedef struct gate {
  pthread_mutex_t lock;
  pthread_cond_t changed;
  bool inside, open; /* guarded by lock */
} gate;

static gate the_gate;

static void gate_reset(void) {
  the_gate = (gate){.lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
}

static void gate_pass(void) {
  pthread_mutex_lock(&the_gate.lock);
  the_gate.inside = true;
  pthread_cond_broadcast(&the_gate.changed);
  while (!the_gate.open) pthread_cond_wait(&the_gate.changed, &the_gate.lock);
  pthread_mutex_unlock(&the_gate.lock);
}

static void gate_wait_for_entry(void) {
  pthread_mutex_lock(&the_gate.lock);
  while (!the_gate.inside) pthread_cond_wait(&the_gate.changed, &the_gate.lock);
  pthread_mutex_unlock(&the_gate.lock);
}

static void gate_open(void) {
  pthread_mutex_lock(&the_gate.lock);
  the_gate.open = true;
  pthread_cond_broadcast(&the_gate.changed);
  pthread_mutex_unlock(&the_gate.lock);
}

static vestry_err wait_in_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  gate_pass();
  return server_open_stream(req, reply, app);
}

static void stop_waits_for_running_handlers(void **state) {
  (void)state;
  start(NULL);
  gate_reset();
  assert_int_equal(vestry_route(s.v, "GET", "/gate", wait_in_handler, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_entry();
  assert_int_equal(seam->stop(&s, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_int_equal(client_status(&c), 503); /* the stream that it requests now finds no place */
  if (!seam->always_keeps) client_read_all(&c);
  client_close(&c);
  server_stop(&s);
}

static vestry_err wait_in_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args, (void)ctx;
  gate_pass();
  return VESTRY_OK;
}

static vestry_err open_through_gate(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_effect(reply, VESTRY_LIST("wait"));
  return server_open_stream(req, reply, app);
}

static void stop_ends_streams_that_open_meanwhile(void **state) {
  (void)state;
  start(NULL);
  gate_reset();
  assert_int_equal(vestry_registry_effect(vestry_parts_of(s.v)->registry, "wait", wait_in_effect, NULL), VESTRY_OK);
  assert_int_equal(vestry_route(s.v, "GET", "/gate", open_through_gate, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_entry(); /* the stream has its place, but has not begun */
  assert_int_equal(seam->stop(&s, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_true(recorder_wait_closed(&s.recorder, 1));
  assert_int_equal(s.recorder.causes[0], VESTRY_CAUSE_SHUTDOWN);
  client_read_all(&c);
  assert_false(c.complete);
  client_close(&c);
  server_stop(&s);
}

/* ---- concurrent clients ------------------------------------------------------------------------------------------ */

static atomic_bool hammering;

static void *open_and_leave(void *argument) {
  unsigned number = (unsigned)(uintptr_t)argument;
  while (atomic_load(&hammering)) {
    client c;
    if (number % 2)
      client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
    else
      client_ask(&c, s.port, "PUT", "/stream", "Datastar-Request: true\r\nContent-Length: 2\r\n\r\n{}");
    number = number * 1103515245u + 12345u;
    if (number & 0x10000) client_read(&c);
    if (number & 0x20000)
      client_abort(&c);
    else
      client_close(&c);
  }
  return NULL;
}

static void server_survives_clients_that_connect_and_leave(void **state) {
  (void)state;
  start(
      &(web_settings){.room = 8, .watch_ms = 1, .options.connection = &(vestry_connection_options){.heartbeat_ms = 5}});
  atomic_store(&hammering, true);
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_leave, (void *)i), 0);
  for (unsigned n = 0; n < 1000; n++) {
    assert_true(recorder_wait_opened(&s.recorder, n + 1));
    vestry_connection *connection = recorder_connection(&s.recorder, n);
    vestry_connection_patch_signals_text(connection, "{\"a\":1}", 7, NULL);
    if (n % 7 == 0) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    if (n % 7 == 1) vestry_connection_close(connection, VESTRY_CAUSE_IDLE);
  }
  server_stop_adapter(&s); /* while clients still connect */
  atomic_store(&hammering, false);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  server_stop(&s);
}

/* ---- a child ----------------------------------------------------------------------------------------------------- */

/* All calls that a child may make. Returns the number of the failed check; 0: none. */
static int call_all_functions(vestry_connection *connection) {
  alarm(30); /* a wait for a thread that does not exist would never end */
  if (!vestry_is_forked(s.v)) return 1;
  if (seam->stop(&s, VESTRY_NEVER_MS) != VESTRY_CLOSED) return 2;
  if (vestry_connection_patch_signals_text(connection, "{\"child\":1}", 11, NULL) != VESTRY_CLOSED) return 3;
  if (vestry_connection_close(connection, VESTRY_CAUSE_CLOSED)) return 4;
  s.context = NULL; /* the server belongs to the program: mg_stop would wait for its threads */
  seam->destroy(&s);
  vestry_destroy(s.v);
  return 0;
}

/* A program forks while streams are open, and the child cleans up like the parent: the streams are not affected. */
/* capability: K16 */
static void cleanup_in_a_forked_child_leaves_streams_open(void **state) {
  (void)state;
  start(NULL);
  client c;
  vestry_connection *connection = server_open(&s, &c);
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (!child) {
      static const char *const exits[] = {"exit 0", "exit 1", "exit 2", "exit 3", "exit 4"};
      execl("/bin/sh", "sh", "-c", exits[call_all_functions(connection)], (char *)NULL); /* as most children do */
      _exit(5);
    }
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(vestry_is_forked(s.v));
  }
  server_patch(connection, "{\"parent\":1}");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  client_read_all(&c);
  assert_true(c.complete);
  assert_null(strstr(c.text, "child"));
  assert_non_null(strstr(c.body, "parent"));
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_CLOSED);
  client_close(&c);
  server_assert_serves(&s);
  server_stop(&s);
}

int life_contract_run(const server_seam *tested) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(streams_are_limited_to_the_places),
      cmocka_unit_test(stalled_reader_does_not_delay_others),
      cmocka_unit_test(partially_written_event_is_completed_before_the_end),
      cmocka_unit_test(reader_over_stalled_ms_ends_with_cause_stalled),
      cmocka_unit_test(stop_ends_all_streams_quickly),
      cmocka_unit_test(stop_waits_for_running_handlers),
      cmocka_unit_test(stop_ends_streams_that_open_meanwhile),
      cmocka_unit_test(server_survives_clients_that_connect_and_leave),
      cmocka_unit_test(cleanup_in_a_forked_child_leaves_streams_open),
  };
  char name[80];
  seam = tested;
  snprintf(name, sizeof name, "%s, its life", seam->name);
  return cmocka_run_group_tests_name(name, tests, NULL, NULL);
}
