/* The contract of life; then room by threads, stalled readers that hold a worker, and the end of the server. */
#include "civetweb/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/life_contract.h"

static server s;

/* ---- room -------------------------------------------------------------------------------------------------------- */

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

static void stops_with_a_stalled_reader(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.options.connection.max_queued_bytes = STALLING_QUEUE_BYTES});
  client stalled, well;
  vestry_connection *stuck = server_open_stalled(&s, &stalled);
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

/* Clients that come when the port is there and the handlers are not: so many that a server which answers early has
 * answered the first of them by the last. */
enum { EARLY = 300 };
static client early[EARLY];

static void ask_early(server *listening) {
  for (int i = 0; i < EARLY; i++) client_ask(&early[i], listening->port, "GET", "/echo", "");
}

static void early_clients_wait_for_the_handlers(void **state) {
  (void)state;
  server_start(&s, &(server_settings){.before_mount = ask_early});
  for (int i = 0; i < EARLY; i++) {
    assert_int_equal(client_status(&early[i]), 200);
    client_close(&early[i]);
  }
  server_stop(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_reserve_is_a_tenth_between_2_and_32), cmocka_unit_test(stops_with_a_stalled_reader),
      cmocka_unit_test(stops_on_an_address_of_its_own),          cmocka_unit_test(stops_while_a_client_says_nothing),
      cmocka_unit_test(connections_outlive_the_adapter),         cmocka_unit_test(early_clients_wait_for_the_handlers),
  };
  return life_contract_run(&civetweb_seam) + cmocka_run_group_tests_name("civetweb, its own life", tests, NULL, NULL);
}
