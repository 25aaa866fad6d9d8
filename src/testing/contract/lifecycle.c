/* SPDX-License-Identifier: MIT */
/* Places, stalled readers, and the end of streams and of the adapter. */

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "connection/connection.h"
#include "runtime/runtime.h"
#include "testing/contract/check.h"
#include "testing/contract/client.h"
#include "testing/contract/rules.h"
#include "testing/contract/server.h"
#include "testing/contract/suites.h"
#include "vestry/registry.h"

static vsi_server s;

/* A reader may stall for STALLED_MS, because a reader that continues may be slow on a busy machine and under
 * valgrind. */
enum { STALLED_MS = 300000 };
static const vestry_connection_options large_events = {.max_queued_bytes = VSI_STALLING_QUEUE_BYTES,
                                                       .heartbeat_ms = 300000};

static void start_with_large_events(uint64_t stalled_ms) {
  vsi_server_start(&s, &(vestry_contract_settings){.stalled_ms = stalled_ms},
                   &(vestry_options){.connection = &large_events});
}

/* ---- places ------------------------------------------------------------------------------------------------------ */

static void streams_are_limited_to_the_places(void) {
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = 4}, NULL);
  uint32_t capacity = 4;
  if (vsi_adapter.room) vsi_adapter.room(s.running, NULL, &capacity);
  CHECK_EQUAL(vsi_server_streams(&s), 0);
  CHECK_EQUAL(capacity, 4);
  if (vsi_adapter.room) vsi_adapter.room(s.running, NULL, NULL);
  vsi_client clients[4], refused;
  vestry_connection *connections[4];
  for (int i = 0; i < 4; i++) connections[i] = vsi_server_open(&s, &clients[i]);
  CHECK_EQUAL(vsi_server_streams(&s), 4);
  vsi_client_ask(&refused, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
  CHECK_EQUAL(vsi_client_status(&refused), 503);
  vsi_client_close(&refused);
  vestry_connection_close(connections[0], VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&clients[0]); /* it was not configured to keep connections */
  CHECK_UNTIL(vsi_server_streams(&s) == 3);
  vsi_client_close(&clients[0]);
  vsi_server_open(&s, &clients[0]);
  for (int i = 0; i < 4; i++) vsi_client_close(&clients[i]);
  vsi_server_stop(&s);
}

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

/* End the stream of a stalled reader that reads again: all accepted events arrive completely. Returns the bytes after
 * the event. */
static const char *end_and_read_on(vsi_client *c, vestry_connection *stuck, uint64_t events_count) {
  vestry_connection_close(stuck, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(c);
  CHECK(c->complete);
  CHECK_CAUSE(vsi_server_cause(&s, stuck), VESTRY_CAUSE_CLOSED);
  vestry_connection_stats stats = {0};
  vestry_connection_stats_get(stuck, &stats);
  CHECK_EQUAL(stats.accepted_count, events_count);
  CHECK_EQUAL(stats.written_count, events_count);
  CHECK_EQUAL(stats.written_bytes, c->body_len);
  const char *at = strstr(c->body, "data: elements ") + strlen("data: elements ");
  vsi_server_assert_stalling_text(at);
  return at + VSI_STALLING_BYTES;
}

static void stalled_reader_does_not_delay_others(void) {
  start_with_large_events(STALLED_MS);
  vsi_client stalled, well;
  vestry_connection *stuck = vsi_server_open_stalled(&s, &stalled), *moving = vsi_server_open(&s, &well);
  for (int i = 0; i < 100; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    vsi_server_patch(moving, json);
    vsi_server_patch(stuck, json);
    vsi_client_expect(&well, json);
  }
  CHECK_CAUSE(vestry_connection_look(stuck).cause, VESTRY_CAUSE_NONE);
  while (stalled.len < VSI_STALLING_BYTES) vsi_client_read(&stalled);
  CHECK(strstr(end_and_read_on(&stalled, stuck, 101), "{\"n\":99}\n\n"));
  vsi_client_close(&stalled);
  vsi_client_close(&well);
  vsi_server_stop(&s);
}

/* The connection is closed while the event is being written. */
static void partially_written_event_is_completed_before_the_end(void) {
  start_with_large_events(STALLED_MS);
  vsi_client stalled;
  vestry_connection *stuck = vsi_server_open_stalled(&s, &stalled);
  end_and_read_on(&stalled, stuck, 1);
  vsi_client_close(&stalled);
  vsi_server_stop(&s);
}

static void reader_over_stalled_ms_ends_with_cause_stalled(void) {
  start_with_large_events(300);
  vsi_client c;
  vestry_connection *connection = vsi_server_open_stalled(&s, &c);
  CHECK_CAUSE(vsi_server_cause(&s, connection), VESTRY_CAUSE_STALLED);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

enum { IDLE_STREAMS = 8, SHORT_STALLED_MS = 300 };

static vestry_connection *idle_connections[IDLE_STREAMS];

/* Let more than stalled_ms pass. */
static void pass_stalled_ms(void) {
  const double until = vsi_seconds_now() + 1.5e-3 * SHORT_STALLED_MS;
  CHECK_UNTIL(vsi_seconds_now() > until);
}

/* A loop that serves this request looks for stalled readers in the same turn in which it takes the events, because the
 * handler has made its timer late. */
static vestry_err send_to_idle_streams(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  for (int i = 0; i < IDLE_STREAMS; i++) vsi_server_patch(idle_connections[i], "{\"after\":1}");
  pass_stalled_ms();
  return vestry_reply_status(reply, 204);
}

/* Send an event to streams that were idle for longer than stalled_ms. Returns how many of them ended. */
static unsigned idle_streams_ended(void) {
  static const vestry_connection_options silent = {.heartbeat_ms = VESTRY_NEVER_MS};
  vsi_server_start(&s, &(vestry_contract_settings){.stalled_ms = SHORT_STALLED_MS},
                   &(vestry_options){.connection = &silent});
  CHECK_ERROR(vestry_route(s.v, "GET", "/send", send_to_idle_streams, NULL), VESTRY_OK);
  vsi_client clients[IDLE_STREAMS], sender;
  for (int i = 0; i < IDLE_STREAMS; i++) idle_connections[i] = vsi_server_open(&s, &clients[i]);
  pass_stalled_ms();
  vsi_client_ask(&sender, s.port, "GET", "/send", NULL);
  CHECK_EQUAL(vsi_client_status(&sender), 204);
  for (int i = 0; i < IDLE_STREAMS; i++)
    while (!clients[i].ended && !strstr(clients[i].text, "after")) vsi_client_read(&clients[i]);
  const unsigned ended = vsi_recorder_closed(&s.recorder);
  for (int i = 0; i < IDLE_STREAMS; i++) vsi_client_close(&clients[i]);
  vsi_client_close(&sender);
  vsi_server_stop(&s);
  return ended;
}

/* A busy machine may stop the server between a write and the next look at its sockets, but not each time. */
static void idle_stream_is_not_stalled(void) {
  for (int tries = 1; idle_streams_ended(); tries++)
    if (tries == VSI_TRIES) FAIL("idle streams ended at their next event in each of %d tries", VSI_TRIES);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static double seconds_to_stop(void) {
  start_with_large_events(STALLED_MS);
  vsi_client clients[5], stalled, silent, late;
  vestry_connection *connections[5];
  for (int i = 0; i < 5; i++) connections[i] = vsi_server_open(&s, &clients[i]);
  if (vsi_adapter.waits_for_none) {
    vsi_server_open_stalled(&s, &stalled);
    vsi_client_connect(&silent, s.port, false);
  }
  double since = vsi_seconds_now();
  vsi_server_stop_adapter(&s);
  for (int i = 0; i < 5; i++) {
    CHECK_CAUSE(vestry_connection_look(connections[i]).cause, VESTRY_CAUSE_SHUTDOWN);
    vsi_client_read_all(&clients[i]);
    CHECK_NOT(clients[i].complete); /* so the browser reconnects */
    vsi_client_close(&clients[i]);
  }
  vsi_client_ask(&late, s.port, "GET", "/echo", NULL);
  CHECK_EQUAL(vsi_client_status(&late), 503);
  CHECK_TEXT(vsi_client_header(&late, "Retry-After"), "2");
  CHECK_TEXT(vsi_client_header(&late, "Connection"), "close");
  vsi_client_read_all(&late);
  vsi_client_close(&late);
  vsi_server_stop_adapter(&s); /* again */
  vsi_server_finish(&s);
  double took = vsi_seconds_now() - since;
  if (vsi_adapter.waits_for_none) {
    vsi_client_close(&stalled);
    vsi_client_close(&silent);
  }
  return took;
}

/* capability: C18 */
static void stop_ends_all_streams_quickly(void) {
  CHECK_BELOW_S(vsi_adapter.stop_ms * 1e-3, seconds_to_stop());
}

/* A place in which one thread waits. */
static atomic_bool gate_is_entered, gate_is_open;

static void gate_reset(void) {
  atomic_store(&gate_is_entered, false);
  atomic_store(&gate_is_open, false);
}

static void gate_pass(void) {
  atomic_store(&gate_is_entered, true);
  for (unsigned looks = 0; !atomic_load(&gate_is_open); looks++) vsi_pause(looks);
}

static vestry_err wait_in_handler(const vestry_request *req, vestry_reply *reply, void *app) {
  gate_pass();
  return vsi_server_open_stream(req, reply, app);
}

static void stop_waits_for_running_handlers(void) {
  vsi_server_start(&s, NULL, NULL);
  gate_reset();
  CHECK_ERROR(vestry_route(s.v, "GET", "/gate", wait_in_handler, &s), VESTRY_OK);
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  CHECK_UNTIL(atomic_load(&gate_is_entered));
  CHECK_ERROR(vsi_adapter.stop(s.running, 10), VESTRY_TIMEOUT);
  atomic_store(&gate_is_open, true);
  CHECK_EQUAL(vsi_client_status(&c), 503); /* the stream that it requests now finds no place */
  if (!vsi_adapter.always_keeps) vsi_client_read_all(&c);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

static vestry_err wait_in_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args, (void)ctx;
  gate_pass();
  return VESTRY_OK;
}

static vestry_err open_through_gate(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_effect(reply, VESTRY_LIST("wait"));
  return vsi_server_open_stream(req, reply, app);
}

static void stop_ends_streams_that_open_meanwhile(void) {
  vsi_server_start(&s, NULL, NULL);
  gate_reset();
  CHECK_ERROR(vestry_registry_effect(vestry_parts_of(s.v)->registry, "wait", wait_in_effect, NULL), VESTRY_OK);
  CHECK_ERROR(vestry_route(s.v, "GET", "/gate", open_through_gate, &s), VESTRY_OK);
  vsi_client c;
  vsi_client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  CHECK_UNTIL(atomic_load(&gate_is_entered)); /* the stream has its place, but has not begun */
  CHECK_ERROR(vsi_adapter.stop(s.running, 10), VESTRY_TIMEOUT);
  atomic_store(&gate_is_open, true);
  CHECK(vsi_recorder_wait_closed(&s.recorder, 1));
  CHECK_CAUSE(s.recorder.causes[0], VESTRY_CAUSE_SHUTDOWN);
  vsi_client_read_all(&c);
  CHECK_NOT(c.complete);
  vsi_client_close(&c);
  vsi_server_stop(&s);
}

/* ---- orders of the end, in a program's own server ---------------------------------------------------------------- */

static atomic_bool is_stepped_elsewhere;

/* The program's loop: it steps the runtime until the program ends its server. */
static void *step_runtime(void *runtime) {
  for (unsigned looks = 0; atomic_load(&is_stepped_elsewhere); looks++) {
    while (vestry_runtime_step(runtime)) looks = 0;
    vsi_pause(looks);
  }
  return NULL;
}

static vestry_err end_server(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  CHECK_ERROR(vsi_adapter.stop(s.running, VESTRY_NEVER_MS), VESTRY_BUSY);
  CHECK_ERROR(vestry_stop(s.v, VESTRY_NEVER_MS), VESTRY_BUSY);
  CHECK_ERROR(vestry_destroy(s.v), VESTRY_BUSY);
  return vestry_reply_status(reply, 204);
}

enum { NOTHING, STOP, DESTROY, CLOSE_INSTANCE, STOP_INSTANCE };

static void act(uint8_t step) {
  switch (step) {
  case STOP: vsi_server_stop_adapter(&s); break;
  case DESTROY:
    vsi_adapter.destroy(s.running);
    s.running = NULL;
    break;
  case CLOSE_INSTANCE: vestry_close(s.v); break;
  case STOP_INSTANCE: { /* a stepped one does not wait for streams that threads of the server run */
    const vestry_err error = vestry_stop(s.v, vsi_patience_s * UINT64_C(1000));
    if (error != VESTRY_TIMEOUT || !vsi_runtime_is_stepped(vestry_parts_of(s.v)->runtime))
      CHECK_ERROR(error, VESTRY_OK);
    break;
  }
  default: break;
  }
}

static void end_in_order(const uint8_t order[3], bool is_stepped) {
  const vestry_options stepped = {.threads_count = VESTRY_THREADS_NONE};
  vsi_server_start(&s, NULL, is_stepped ? &stepped : NULL);
  CHECK_ERROR(vestry_route(s.v, "POST", "/end", end_server, NULL), VESTRY_OK);
  pthread_t loop;
  atomic_store(&is_stepped_elsewhere, is_stepped);
  CHECK_EQUAL(pthread_create(&loop, NULL, step_runtime, vestry_parts_of(s.v)->runtime), 0);
  vsi_client clients[2], ender;
  for (int i = 0; i < 2; i++) vsi_server_open(&s, &clients[i]);
  vsi_client_ask(&ender, s.port, "POST", "/end", "Content-Length: 0\r\n");
  CHECK_EQUAL(vsi_client_status(&ender), 204);
  vsi_client_close(&ender);
  vsi_server_assert_serves(&s);
  atomic_store(&is_stepped_elsewhere, false);
  pthread_join(loop, NULL);
  for (int i = 0; i < 3; i++) act(order[i]);
  vsi_server_finish(&s);
  for (int i = 0; i < 2; i++) vsi_client_close(&clients[i]);
}

static void server_ends_in_each_order(void) {
  static const uint8_t orders[][3] = {
      {NOTHING},
      {STOP},
      {STOP, STOP, DESTROY},
      {DESTROY},
      {CLOSE_INSTANCE},
      {STOP_INSTANCE},
      {CLOSE_INSTANCE, STOP, DESTROY},
      {STOP_INSTANCE, STOP},
      {STOP_INSTANCE, DESTROY, STOP_INSTANCE},
      {DESTROY, CLOSE_INSTANCE, STOP_INSTANCE},
  };
  for (size_t i = 0; i < sizeof orders / sizeof *orders; i++)
    for (int is_stepped = 0; is_stepped < 2 && !vsi_adapter.has_one_loop; is_stepped++)
      end_in_order(orders[i], is_stepped);
}

/* A reference to a connection may be kept for a long time: its transport is released after the server was destroyed. */
static void connection_outlives_the_server(void) {
  vsi_server_start(&s, NULL, NULL);
  vsi_client clients[3];
  vestry_connection *kept = NULL;
  for (int i = 0; i < 3; i++) kept = vsi_server_open(&s, &clients[i]);
  vestry_connection_ref(kept);
  vsi_adapter.destroy(s.running); /* without a stop */
  s.running = NULL;
  CHECK_CAUSE(vestry_connection_look(kept).cause, VESTRY_CAUSE_SHUTDOWN);
  CHECK_ERROR(vestry_connection_patch_signals(kept, VESTRY_VALUES("{}"), NULL), VESTRY_CLOSED);
  CHECK_NOT(vestry_connection_close(kept, VESTRY_CAUSE_CLOSED));
  vestry_connection_writable(kept); /* wakes a transport that has ended */
  if (kept->ops->wake) CHECK_EQUAL(vestry_connection_run(kept), VESTRY_STATE_CLOSED);
  vsi_recorder_drop(&s.recorder);
  vestry_connection_unref(kept);
  vsi_server_finish(&s);
  for (int i = 0; i < 3; i++) vsi_client_close(&clients[i]);
}

/* ---- concurrent clients ------------------------------------------------------------------------------------------ */

static atomic_bool hammering;

static void *open_and_leave(void *argument) {
  unsigned number = (unsigned)(uintptr_t)argument;
  while (atomic_load(&hammering)) {
    vsi_client c;
    if (number % 2)
      vsi_client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
    else
      vsi_client_ask(&c, s.port, "PUT", "/stream", "Datastar-Request: true\r\nContent-Length: 2\r\n\r\n{}");
    number = number * 1103515245u + 12345u;
    if (number & 0x10000) vsi_client_read(&c);
    if (number & 0x20000)
      vsi_client_abort(&c);
    else
      vsi_client_close(&c);
  }
  return NULL;
}

static void server_survives_clients_that_connect_and_leave(void) {
  vsi_server_start(&s, &(vestry_contract_settings){.max_streams = 8, .watch_ms = 1},
                   &(vestry_options){.connection = &(vestry_connection_options){.heartbeat_ms = 5}});
  atomic_store(&hammering, true);
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++) CHECK_EQUAL(pthread_create(&threads[i], NULL, open_and_leave, (void *)i), 0);
  for (unsigned n = 0; n < 1000; n++) {
    CHECK(vsi_recorder_wait_opened(&s.recorder, n + 1));
    vestry_connection *connection = vsi_recorder_connection(&s.recorder, n);
    vestry_connection_patch_signals(connection, VESTRY_VALUES("{\"a\":1}"), NULL);
    if (n % 7 == 0) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    if (n % 7 == 1) vestry_connection_close(connection, VESTRY_CAUSE_IDLE);
  }
  vsi_server_stop_adapter(&s); /* while clients still connect */
  atomic_store(&hammering, false);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  vsi_server_stop(&s);
}

/* ---- without memory ---------------------------------------------------------------------------------------------- */

/* Requests and streams while each allocation of vestry fails in turn: they are served, refused or closed, and the
 * server continues. */
static void serving_survives_allocation_failures(void) {
  vsi_server_start(&s, NULL, NULL);
  unsigned served = 0, refused = 0, closed = 0;
  for (long number = 0; number < 60; number++) {
    vsi_client c;
    atomic_store(&s.th.fail_in, number);
    if (number % 2)
      vsi_client_ask(&c, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
    else
      vsi_client_ask(&c, s.port, "POST", "/echo", "Content-Length: 5\r\n\r\nhello");
    vsi_client_read(&c);
    if (!c.len)
      closed++;
    else if (vsi_client_status(&c) == 200)
      served++;
    else
      refused++;
    vsi_client_close(&c);
    atomic_store(&s.th.fail_in, -1);
    vsi_server_assert_serves(&s);
  }
  printf("%u served, %u refused, %u closed\n", served, refused, closed);
  CHECK(served && refused + closed);
  vsi_server_stop(&s);
}

/* ---- a child ----------------------------------------------------------------------------------------------------- */

/* All calls that a child may make. Returns the number of the failed check; 0: none. */
static int call_all_functions(vestry_connection *connection) {
  alarm(30); /* a wait for a thread that does not exist would never end */
  if (!vestry_is_forked(s.v)) return 1;
  if (vsi_adapter.stop(s.running, VESTRY_NEVER_MS) != VESTRY_CLOSED) return 2;
  if (vestry_connection_patch_signals(connection, VESTRY_VALUES("{\"child\":1}"), NULL) != VESTRY_CLOSED) return 3;
  if (vestry_connection_close(connection, VESTRY_CAUSE_CLOSED)) return 4;
  vsi_adapter.destroy(s.running);
  vestry_destroy(s.v);
  return 0;
}

/* A program forks while streams are open, and the child cleans up like the parent: the streams are not affected. */
/* capability: K16 */
static void cleanup_in_a_forked_child_leaves_streams_open(void) {
  vsi_server_start(&s, NULL, NULL);
  vsi_client c;
  vestry_connection *connection = vsi_server_open(&s, &c);
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    CHECK(child >= 0);
    if (!child) {
      static const char *const exits[] = {"exit 0", "exit 1", "exit 2", "exit 3", "exit 4"};
      execl("/bin/sh", "sh", "-c", exits[call_all_functions(connection)], (char *)NULL); /* as most children do */
      _exit(5);
    }
    int status = -1;
    CHECK_EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    CHECK_EQUAL(WEXITSTATUS(status), 0);
    CHECK_NOT(vestry_is_forked(s.v));
  }
  vsi_server_patch(connection, "{\"parent\":1}");
  vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
  vsi_client_read_all(&c);
  CHECK(c.complete);
  CHECK_NOT(strstr(c.text, "child"));
  CHECK(strstr(c.body, "parent"));
  CHECK_CAUSE(vsi_server_cause(&s, connection), VESTRY_CAUSE_CLOSED);
  vsi_client_close(&c);
  vsi_server_assert_serves(&s);
  vsi_server_stop(&s);
}

static const vsi_case cases[] = {
    VSI_CASE(streams_are_limited_to_the_places, VSI_RULE_PLACES, NULL),
    VSI_CASE_TLS(stalled_reader_does_not_delay_others, VSI_RULE_BOUND, NULL),
    VSI_CASE(partially_written_event_is_completed_before_the_end, VSI_RULE_CLEAN, NULL),
    VSI_CASE(reader_over_stalled_ms_ends_with_cause_stalled, VSI_RULE_STALLED, NULL),
    VSI_CASE(idle_stream_is_not_stalled, VSI_RULE_STALL_CLOCK, NULL),
    VSI_CASE_TLS(stop_ends_all_streams_quickly, VSI_RULE_STOP, "waits_for_none"),
    VSI_CASE(stop_waits_for_running_handlers, VSI_RULE_STOP_WAITS, "always_keeps"),
    VSI_CASE(stop_ends_streams_that_open_meanwhile, VSI_RULE_STOP_WAITS, NULL),
    VSI_CASE(server_ends_in_each_order, VSI_RULE_ORDERS, "has_one_loop"),
    VSI_CASE(connection_outlives_the_server, VSI_RULE_RELEASE, NULL),
    VSI_CASE(server_survives_clients_that_connect_and_leave, VSI_RULE_CROWD, NULL),
    VSI_CASE(serving_survives_allocation_failures, VSI_RULE_FAILURE, NULL),
    VSI_CASE(cleanup_in_a_forked_child_leaves_streams_open, VSI_RULE_FORK, NULL),
};

const vsi_suite vsi_lifecycle_suite = VSI_SUITE("lifecycle", cases);
