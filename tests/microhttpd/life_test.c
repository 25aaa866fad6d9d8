/* Room, stalled readers, peers that go, and the end: of streams, of the adapter. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "microhttpd/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/network.h"

static server s;

enum { STALLING_BYTES = 8 << 20 }; /* more than the buffers of two sockets hold */

/* A stream to a client that stopped reading in the middle of an event. */
static vestry_connection *open_stalled(client *c) {
  unsigned index = s.witness.opened;
  client_connect(c, s.port, true);
  client_say(c, "GET /stream HTTP/1.1\r\nHost: a\r\nConnection: close\r\nDatastar-Request: true\r\n\r\n");
  assert_true(witness_wait_opened(&s.witness, index + 1));
  vestry_connection *connection = witness_connection(&s.witness, index);
  char *html = malloc(STALLING_BYTES);
  for (size_t i = 0; i < STALLING_BYTES; i++) html[i] = (char)('a' + i % 23);
  assert_int_equal(vestry_connection_patch_elements(connection, html, STALLING_BYTES, NULL), VESTRY_OK);
  free(html);
  client_expect(c, "data: elements a");
  return connection;
}

static server_settings with_large_events(bool tls) {
  return (server_settings){.tls = tls, .options.connection.max_queued_bytes = STALLING_BYTES + 65536};
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static void counts_its_places(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.adapter.max_streams = 4});
  uint32_t streams, capacity;
  vestry_microhttpd_room(s.adapter, &streams, &capacity);
  assert_int_equal(streams, 0);
  assert_int_equal(capacity, 4);
  vestry_microhttpd_room(s.adapter, NULL, NULL);
  client clients[4], refused;
  vestry_connection *connections[4];
  for (int i = 0; i < 4; i++) connections[i] = server_open(&s, &clients[i]);
  vestry_microhttpd_room(s.adapter, &streams, NULL);
  assert_int_equal(streams, 4);
  client_ask(&refused, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
  assert_int_equal(client_status(&refused), 503);
  client_close(&refused);
  vestry_connection_close(connections[0], VESTRY_CAUSE_CLOSED);
  client_finish(&clients[0], false);
  do vestry_microhttpd_room(s.adapter, &streams, NULL);
  while (streams != 3);
  client_close(&clients[0]);
  server_open(&s, &clients[0]);
  for (int i = 0; i < 4; i++) client_close(&clients[i]);
  server_stop(&s);
}

/* More than one growing of the watch's table, and its places used again. */
static void finds_many_at_once(void **state) {
  (void)state;
  enum { MANY = 100 };
  server_start(&s, &(server_settings){.adapter.max_streams = MANY, .options.connection.heartbeat_ms = VESTRY_NEVER_MS});
  static client clients[MANY];
  for (unsigned round = 0; round < 2; round++) {
    unsigned first = round * MANY;
    for (int i = 0; i < MANY; i++) server_open(&s, &clients[i]);
    for (int i = 0; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(witness_wait_closed(&s.witness, first + MANY / 2));
    for (unsigned i = 0; i < MANY; i++)
      assert_int_equal(witness_cause(&s.witness, witness_connection(&s.witness, first + i)),
                       i % 2 ? VESTRY_CAUSE_NONE : VESTRY_CAUSE_HANGUP);
    for (int i = 1; i < MANY; i += 2) client_close(&clients[i]);
    assert_true(witness_wait_closed(&s.witness, first + MANY));
    uint32_t streams;
    do vestry_microhttpd_room(s.adapter, &streams, NULL);
    while (streams);
  }
  server_stop(&s);
}

/* ---- peers that go ----------------------------------------------------------------------------------------------- */

typedef void (*leave_fn)(client *c);

/* Nothing is ever written to these streams, so no write can fail. */
static void finds_one_that(leave_fn leaves, bool tls) {
  server_start(&s, &(server_settings){.tls = tls, .options.connection.heartbeat_ms = VESTRY_NEVER_MS});
  client gone, stays;
  vestry_connection *connection = server_open(&s, &gone), *other = server_open(&s, &stays);
  leaves(&gone);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats;
  vestry_connection_stats_get(connection, &stats);
  assert_int_equal(stats.written_count, 0);
  assert_true(vestry_connection_is_open(other));
  server_patch(other, "{\"still\":1}");
  client_expect(&stays, "still");
  client_close(&gone);
  client_close(&stays);
  server_stop(&s);
}

static void send_and_close(client *c) {
  client_say(c, "GET /echo HTTP/1.1\r\n\r\n"); /* unread bytes are in front of the end */
  client_close(c);
}

static void finds_one_that_leaves_at_once(void **state) {
  (void)state;
  static const leave_fn ways[] = {client_close, client_abort, client_shut, send_and_close};
  for (int tls = 0; tls < 2; tls++)
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) finds_one_that(ways[i], tls);
}

typedef struct far_client {
  client client;
  const network *network;
} far_client;

static void ask_from_afar(void *ctx) {
  far_client *far = ctx;
  client_connect_to(&far->client, far->network->near_end, s.port, false);
  client_say(&far->client, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
}

/* bytes: it is sent so much when it is gone, more than the kernel takes. */
static void finds_one_behind_a_cut(size_t bytes) {
  network n;
  if (!network_open(&n)) skip();
  server_start(&s, &(server_settings){.adapter = {.address = n.near_end, .lost_ms = 500},
                                      .options.connection = {.heartbeat_ms = 100, .max_queued_bytes = bytes + 4096}});
  far_client far = {.network = &n};
  network_at_far_end(&n, ask_from_afar, &far);
  assert_int_equal(client_status(&far.client), 200);
  assert_true(witness_wait_opened(&s.witness, 1));
  vestry_connection *connection = witness_connection(&s.witness, 0);
  client_expect(&far.client, ":\n\n:\n\n:\n\n:\n\n:\n\n:\n\n:\n\n"); /* longer than lost_ms, and still there */
  assert_int_equal(vestry_connection_cause(connection), VESTRY_CAUSE_NONE);
  double since = seconds_now();
  network_cut(&n);
  if (bytes) {
    char *html = malloc(bytes);
    memset(html, 'x', bytes);
    assert_int_equal(vestry_connection_patch_elements(connection, html, bytes, NULL), VESTRY_OK);
    free(html);
  }
  vestry_cause cause = server_cause(&s, connection);
  double took = seconds_now() - since;
  client_close(&far.client);
  network_close(&n);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500\n", took * 1e3);
  assert_int_equal(cause, VESTRY_CAUSE_LOST);
  assert_true(took >= 0.4 && took < 10); /* the machine may be slow, but not that slow */
  vestry_stats stats;
  vestry_stats_get(s.v, &stats);
  assert_int_equal(stats.queued_bytes, 0); /* what waited for it is given back */
  server_stop(&s);
}

static void f5_finds_one_behind_a_cut(void **state) {
  (void)state;
  finds_one_behind_a_cut(0);
}

static void f5_finds_one_behind_a_cut_in_the_middle_of_a_write(void **state) {
  (void)state;
  finds_one_behind_a_cut((size_t)16 << 20);
}

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

static void delays_nobody(bool tls) {
  server_settings settings = with_large_events(tls);
  server_start(&s, &settings);
  client stalled, well;
  vestry_connection *stuck = open_stalled(&stalled), *moving = server_open(&s, &well);
  for (int i = 0; i < 100; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    server_patch(moving, json);
    server_patch(stuck, json);
    client_expect(&well, json);
  }
  assert_int_equal(vestry_connection_cause(stuck), VESTRY_CAUSE_NONE);
  /* When it reads again, all comes, to the last byte. */
  while (stalled.len < STALLING_BYTES) client_read(&stalled);
  vestry_connection_close(stuck, VESTRY_CAUSE_CLOSED);
  client_read_all(&stalled);
  assert_true(stalled.complete);
  assert_int_equal(server_cause(&s, stuck), VESTRY_CAUSE_CLOSED);
  vestry_connection_stats stats;
  vestry_connection_stats_get(stuck, &stats);
  assert_int_equal(stats.written_count, 101);
  assert_int_equal(stats.written_bytes, stalled.body_len);
  const char *at = strstr(stalled.body, "data: elements ") + strlen("data: elements ");
  for (size_t i = 0; i < STALLING_BYTES; i++)
    if (at[i] != (char)('a' + i % 23)) fail_msg("byte %zu is wrong", i);
  assert_non_null(strstr(at + STALLING_BYTES, "{\"n\":99}\n\n"));
  client_close(&stalled);
  client_close(&well);
  server_stop(&s);
}

static void a_stalled_reader_delays_nobody(void **state) {
  (void)state;
  delays_nobody(false);
  delays_nobody(true);
}

static void a_reader_that_stalls_too_long_is_stalled(void **state) {
  (void)state;
  server_settings settings = with_large_events(false);
  settings.adapter.lost_ms = 300;
  server_start(&s, &settings);
  client c;
  vestry_connection *connection = open_stalled(&c);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_STALLED);
  client_close(&c);
  server_stop(&s);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void stops_at_once(bool tls) {
  server_settings settings = with_large_events(tls);
  server_start(&s, &settings);
  client clients[5], stalled, silent, late;
  vestry_connection *connections[5];
  for (int i = 0; i < 5; i++) connections[i] = server_open(&s, &clients[i]);
  open_stalled(&stalled);
  client_connect(&silent, s.port, false);
  double since = seconds_now();
  server_stop_adapter(&s);
  for (int i = 0; i < 5; i++) {
    assert_int_equal(vestry_connection_cause(connections[i]), VESTRY_CAUSE_SHUTDOWN);
    client_read_all(&clients[i]);
    assert_false(clients[i].complete); /* so the browser comes back */
    client_close(&clients[i]);
  }
  client_ask(&late, s.port, "GET", "/echo", NULL);
  assert_int_equal(client_status(&late), 503);
  assert_string_equal(client_header(&late, "Retry-After"), "2");
  assert_string_equal(client_header(&late, "Connection"), "close");
  client_read_all(&late);
  client_close(&late);
  assert_int_equal(vestry_microhttpd_handle(s.adapter, "GET", "/more", server_echo, &s), VESTRY_CLOSED);
  assert_int_equal(vestry_microhttpd_stop(s.adapter, 0), VESTRY_OK); /* again */
  server_finish(&s);
  assert_true(seconds_now() - since < 5);
  client_close(&stalled);
  client_close(&silent);
}

static void stops_with_streams_of_all_kinds(void **state) {
  (void)state;
  stops_at_once(false);
  stops_at_once(true);
}

static void destroy_stops(void **state) {
  (void)state;
  server_start(&s, NULL);
  client clients[3];
  vestry_connection *kept = NULL;
  for (int i = 0; i < 3; i++) kept = server_open(&s, &clients[i]);
  vestry_connection_ref(kept);
  vestry_microhttpd_destroy(s.adapter);
  s.adapter = NULL;
  assert_int_equal(vestry_connection_cause(kept), VESTRY_CAUSE_SHUTDOWN);
  /* It outlives its adapter. */
  assert_int_equal(vestry_connection_patch_signals(kept, "{}", 2, NULL), VESTRY_CLOSED);
  vestry_connection_writable(kept);
  vestry_connection_unref(kept);
  server_finish(&s); /* destroys NULL */
  for (int i = 0; i < 3; i++) client_close(&clients[i]);
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

static void gate_wait_for_somebody(void) {
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

static void waits_for_handlers_that_run(void **state) {
  (void)state;
  server_start(&s, NULL);
  gate_reset();
  assert_int_equal(vestry_microhttpd_handle(s.adapter, "GET", "/gate", wait_in_handler, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_somebody();
  assert_int_equal(vestry_microhttpd_stop(s.adapter, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_int_equal(client_status(&c), 503); /* the stream that it asks for now finds no place */
  client_close(&c);
  server_stop(&s);
}

static vestry_err wait_in_effect(vestry_dispatch_context *context, const json_t *args, void *ctx) {
  (void)context, (void)args, (void)ctx;
  gate_pass();
  return VESTRY_OK;
}

static vestry_err open_through_gate(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_reply_fx(reply, "[s]", "wait");
  return server_open_stream(req, reply, app);
}

static void ends_streams_that_open_while_it_stops(void **state) {
  (void)state;
  server_start(&s, NULL);
  gate_reset();
  assert_int_equal(vestry_effect(s.v, "wait", wait_in_effect, NULL), VESTRY_OK);
  assert_int_equal(vestry_microhttpd_handle(s.adapter, "GET", "/gate", open_through_gate, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_somebody(); /* the stream has its place, but has not begun */
  assert_int_equal(vestry_microhttpd_stop(s.adapter, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_true(witness_wait_closed(&s.witness, 1));
  assert_int_equal(s.witness.causes[0], VESTRY_CAUSE_SHUTDOWN);
  client_read_all(&c);
  assert_false(c.complete);
  client_close(&c);
  server_stop(&s);
}

/* ---- all at once ------------------------------------------------------------------------------------------------- */

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

static void survives_clients_that_come_and_go(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.adapter.max_streams = 16, .options.connection.heartbeat_ms = 5});
  atomic_store(&hammering, true);
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_leave, (void *)i), 0);
  for (unsigned n = 0; n < 1000; n++) {
    assert_true(witness_wait_opened(&s.witness, n + 1));
    vestry_connection *connection = witness_connection(&s.witness, n);
    vestry_connection_patch_signals(connection, "{\"a\":1}", 7, NULL);
    if (n % 7 == 0) vestry_connection_close(connection, VESTRY_CAUSE_CLOSED);
    if (n % 7 == 1) vestry_connection_close(connection, VESTRY_CAUSE_IDLE);
  }
  server_stop_adapter(&s); /* while they still come */
  atomic_store(&hammering, false);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_its_places),
      cmocka_unit_test(finds_many_at_once),
      cmocka_unit_test(finds_one_that_leaves_at_once),
      cmocka_unit_test(f5_finds_one_behind_a_cut),
      cmocka_unit_test(f5_finds_one_behind_a_cut_in_the_middle_of_a_write),
      cmocka_unit_test(a_stalled_reader_delays_nobody),
      cmocka_unit_test(a_reader_that_stalls_too_long_is_stalled),
      cmocka_unit_test(stops_with_streams_of_all_kinds),
      cmocka_unit_test(destroy_stops),
      cmocka_unit_test(waits_for_handlers_that_run),
      cmocka_unit_test(ends_streams_that_open_while_it_stops),
      cmocka_unit_test(survives_clients_that_come_and_go),
  };
  return cmocka_run_group_tests_name("libmicrohttpd, its life", tests, NULL, NULL);
}
