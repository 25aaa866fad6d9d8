/* Room, stalled readers, and the end: of streams, of the adapter, of the server. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "civetweb/server.h"
#include "support/test.h"
#include "web/client.h"

static server s;

enum { STALLING_BYTES = 32 << 20 }; /* more than the buffers of two sockets hold */

/* A stream to a client that stopped reading in the middle of an event: its worker is stuck in the write. */
static vestry_connection *open_stalled(client *c) {
  unsigned index = s.witness.opened;
  client_connect(c, s.port, true);
  client_say(c, "GET /stream HTTP/1.1\r\nHost: a\r\nDatastar-Request: true\r\n\r\n");
  assert_true(witness_wait_opened(&s.witness, index + 1));
  vestry_connection *connection = witness_connection(&s.witness, index);
  char *html = malloc(STALLING_BYTES);
  memset(html, 'x', STALLING_BYTES);
  assert_int_equal(vestry_connection_patch_elements(connection, html, STALLING_BYTES, NULL), VESTRY_OK);
  free(html);
  client_expect(c, "data: elements x");
  return connection;
}

static server_settings with_large_events(void) {
  return (server_settings){.options.connection.max_queued_bytes = STALLING_BYTES + 4096};
}

/* ---- room -------------------------------------------------------------------------------------------------------- */

static void counts_its_places(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.threads = 9, .reserve = 5});
  uint32_t parked, capacity;
  vestry_civetweb_room(s.adapter, &parked, &capacity);
  assert_int_equal(parked, 0);
  assert_int_equal(capacity, 4);
  client clients[4];
  vestry_connection *connections[4];
  for (int i = 0; i < 4; i++) connections[i] = server_open(&s, &clients[i]);
  vestry_civetweb_room(s.adapter, &parked, NULL);
  assert_int_equal(parked, 4);
  client refused;
  client_ask(&refused, s.port, "GET", "/stream", "Datastar-Request: true\r\n");
  assert_int_equal(client_status(&refused), 503);
  client_close(&refused);
  vestry_connection_close(connections[0], VESTRY_CAUSE_CLOSED);
  client_read_all(&clients[0]); /* its worker has closed: the place is free */
  do vestry_civetweb_room(s.adapter, &parked, NULL);
  while (parked != 3);
  client_close(&clients[0]);
  server_open(&s, &clients[0]);
  for (int i = 0; i < 4; i++) client_close(&clients[i]);
  server_stop(&s);
}

static void the_reserve_is_a_tenth_between_2_and_32(void **state) {
  static const unsigned cases[][2] = {{3, 1}, {20, 18}, {50, 45}, {400, 368}};
  (void)state;
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    server_start(&s, &(server_settings){.threads = cases[i][0], .reserve = UINT32_MAX});
    uint32_t capacity;
    vestry_civetweb_room(s.adapter, NULL, &capacity);
    assert_int_equal(capacity, cases[i][1]);
    server_stop(&s);
  }
}

/* ---- stalled readers --------------------------------------------------------------------------------------------- */

static void a_stalled_reader_delays_nobody(void **state) {
  (void)state;
  server_settings settings = with_large_events();
  server_start(&s, &settings);
  client stalled, well;
  vestry_connection *stuck = open_stalled(&stalled);
  vestry_connection *moving = server_open(&s, &well);
  for (int i = 0; i < 100; i++) {
    char json[32];
    snprintf(json, sizeof json, "{\"n\":%d}", i);
    server_patch(moving, json);
    client_expect(&well, json);
  }
  assert_int_equal(vestry_connection_cause(stuck), VESTRY_CAUSE_NONE);
  /* When it reads again, all comes, to the last byte. */
  vestry_connection_close(stuck, VESTRY_CAUSE_CLOSED);
  client_read_all(&stalled);
  assert_true(stalled.complete);
  vestry_connection_stats stats;
  assert_int_equal(server_cause(&s, stuck), VESTRY_CAUSE_CLOSED);
  vestry_connection_stats_get(stuck, &stats);
  assert_int_equal(stats.written_count, stats.accepted_count);
  assert_int_equal(stats.written_bytes, stalled.body_len);
  client_close(&stalled);
  client_close(&well);
  server_stop(&s);
}

static void a_reader_that_stalls_too_long_is_stalled(void **state) {
  (void)state;
  server_settings settings = with_large_events();
  settings.timeout_ms = 200; /* which civetweb looks at every two seconds */
  server_start(&s, &settings);
  client c;
  vestry_connection *connection = open_stalled(&c);
  assert_int_equal(server_cause(&s, connection), VESTRY_CAUSE_STALLED);
  client_close(&c);
  server_stop(&s);
}

static void stops_with_a_stalled_reader(void **state) {
  (void)state;
  server_settings settings = with_large_events();
  server_start(&s, &settings);
  client stalled, well;
  vestry_connection *stuck = open_stalled(&stalled);
  vestry_connection *moving = server_open(&s, &well);
  double since = seconds_now();
  assert_int_equal(vestry_civetweb_stop(s.adapter, 100), VESTRY_TIMEOUT);
  assert_int_equal(server_cause(&s, moving), VESTRY_CAUSE_SHUTDOWN);
  assert_int_equal(vestry_connection_cause(stuck), VESTRY_CAUSE_SHUTDOWN);
  client_read_all(&well);
  server_finish(&s);                       /* ends the stuck write */
  assert_true(seconds_now() - since < 10); /* two seconds, were the machine idle; not the half minute of its timeout */
  client_close(&stalled);
  client_close(&well);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

static void stops_at_once(void **state) {
  (void)state;
  server_start(&s, NULL);
  client clients[5], late;
  vestry_connection *connections[5];
  for (int i = 0; i < 5; i++) connections[i] = server_open(&s, &clients[i]);
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
  assert_int_equal(vestry_civetweb_handle(s.adapter, "GET", "/more", server_echo, &s), VESTRY_CLOSED);
  assert_int_equal(vestry_civetweb_stop(s.adapter, 0), VESTRY_OK); /* again */
  server_finish(&s);
  assert_true(seconds_now() - since < 1.5); /* without the knocking it is two seconds and more */
}

static void stops_on_an_address_of_its_own(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.ports = "127.0.0.3:0, 127.0.0.2:0"});
  client c;
  client_connect_to(&c, "127.0.0.3", s.port, false);
  client_say(&c, "GET /echo HTTP/1.1\r\nHost: a\r\n\r\n");
  assert_int_equal(client_status(&c), 200);
  client_read_all(&c);
  client_close(&c);
  double since = seconds_now();
  server_stop(&s);
  assert_true(seconds_now() - since < 1.5);
}

static void stops_while_a_client_says_nothing(void **state) {
  (void)state;
  server_start(&s, NULL);
  client silent[3], c;
  for (int i = 0; i < 3; i++) client_connect(&silent[i], s.port, false);
  client_say(&silent[1], "GET /echo HT");
  server_open(&s, &c); /* others are served */
  double since = seconds_now();
  server_stop(&s);
  assert_true(seconds_now() - since < 10); /* civetweb lets go of them within two seconds */
  for (int i = 0; i < 3; i++) client_close(&silent[i]);
  client_close(&c);
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
  assert_int_equal(vestry_civetweb_handle(s.adapter, "GET", "/gate", wait_in_handler, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_somebody();
  assert_int_equal(vestry_civetweb_stop(s.adapter, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_int_equal(client_status(&c), 503); /* the stream that it asks for now finds no place */
  client_read_all(&c);
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
  assert_int_equal(vestry_civetweb_handle(s.adapter, "GET", "/gate", open_through_gate, &s), VESTRY_OK);
  client c;
  client_ask(&c, s.port, "GET", "/gate", "Datastar-Request: true\r\n");
  gate_wait_for_somebody(); /* the stream has its place, but its worker is not parked yet */
  assert_int_equal(vestry_civetweb_stop(s.adapter, 10), VESTRY_TIMEOUT);
  gate_open();
  assert_true(witness_wait_closed(&s.witness, 1));
  assert_int_equal(s.witness.causes[0], VESTRY_CAUSE_SHUTDOWN);
  client_read_all(&c);
  assert_false(c.complete);
  client_close(&c);
  server_stop(&s);
}

static void connections_outlive_the_adapter(void **state) {
  (void)state;
  server_start(&s, NULL);
  client c;
  vestry_connection *connection = vestry_connection_ref(server_open(&s, &c));
  server_stop_adapter(&s);
  vestry_civetweb_stop_server(s.context);
  vestry_civetweb_destroy(s.adapter);
  s.context = NULL;
  s.adapter = NULL;
  assert_int_equal(vestry_connection_patch_signals(connection, "{}", 2, NULL), VESTRY_CLOSED);
  assert_false(vestry_connection_close(connection, VESTRY_CAUSE_CLOSED));
  vestry_connection_writable(connection); /* rouses a transport that has ended */
  assert_int_equal(vestry_connection_run(connection), VESTRY_STATE_CLOSED);
  vestry_connection_unref(connection);
  server_finish(&s); /* takes NULL for both */
  client_close(&c);
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

static void patch_it(vestry_connection *connection) {
  vestry_connection_patch_signals(connection, "{\"a\":1}", 7, NULL);
}

static void survives_clients_that_come_and_go(void **state) {
  (void)state;
  server_start(&s,
               &(server_settings){.threads = 12, .reserve = 4, .watch_ms = 1, .options.connection.heartbeat_ms = 5});
  atomic_store(&hammering, true);
  pthread_t threads[4];
  for (uintptr_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&threads[i], NULL, open_and_leave, (void *)i), 0);
  for (unsigned n = 0; n < 300; n++) {
    assert_true(witness_wait_opened(&s.witness, n + 1));
    patch_it(witness_connection(&s.witness, n));
    if (n % 7 == 0) vestry_connection_close(witness_connection(&s.witness, n), VESTRY_CAUSE_CLOSED);
  }
  atomic_store(&hammering, false);
  for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_its_places),
      cmocka_unit_test(the_reserve_is_a_tenth_between_2_and_32),
      cmocka_unit_test(a_stalled_reader_delays_nobody),
      cmocka_unit_test(a_reader_that_stalls_too_long_is_stalled),
      cmocka_unit_test(stops_with_a_stalled_reader),
      cmocka_unit_test(stops_at_once),
      cmocka_unit_test(stops_on_an_address_of_its_own),
      cmocka_unit_test(stops_while_a_client_says_nothing),
      cmocka_unit_test(waits_for_handlers_that_run),
      cmocka_unit_test(ends_streams_that_open_while_it_stops),
      cmocka_unit_test(connections_outlive_the_adapter),
      cmocka_unit_test(survives_clients_that_come_and_go),
  };
  return cmocka_run_group_tests_name("civetweb, its life", tests, NULL, NULL);
}
