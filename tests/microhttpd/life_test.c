/* The contract of life and of peers that go; then how libmicrohttpd sees a cut, and a destroy without a stop. */
#include "microhttpd/server.h"
#include "support/test.h"
#include "web/client.h"
#include "web/life_contract.h"
#include "web/peers_contract.h"

static server s;

/* ---- peers that go ----------------------------------------------------------------------------------------------- */

static void finds_one_behind_a_cut(void **state) {
  (void)state;
  const web_settings settings = {.lost_ms = 500, .options.connection.heartbeat_ms = 100};
  double took = peers_seconds_until_lost(&microhttpd_seam, &settings, 7);
  print_message("lost after %.0f ms; promised: heartbeat 100 + lost 500\n", took * 1e3);
  assert_true(took >= 0.4 && took < 10);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */

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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_one_behind_a_cut),
      cmocka_unit_test(destroy_stops),
  };
  return life_contract_run(&microhttpd_seam) + peers_contract_run(&microhttpd_seam) +
         cmocka_run_group_tests_name("libmicrohttpd, its own life", tests, NULL, NULL);
}
