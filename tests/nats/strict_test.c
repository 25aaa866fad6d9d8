/* SPDX-License-Identifier: MIT */
/* capability: G4 */
/* Keys that one stream holds alone, by reservations of JetStream. */
#include "cluster/strict_race.h"
#include "nats/server.h"
#include "support/test.h"
#include "vestry/cluster/nats.h"

static void key_has_at_most_one_stream_with_threads(void **state) {
  (void)state;
  nats_server server;
  vestry_broker brokers[STRICT_RACE_NODES];
  nats_server_init(&server);
  nats_server_start(&server, NULL);
  const char *servers[] = {server.url};
  for (size_t i = 0; i < STRICT_RACE_NODES; i++)
    assert_int_equal(vestry_nats_create(&(vestry_nats_options){.servers = servers,
                                                               .servers_count = 1,
                                                               .reservations_bucket = "reservations",
                                                               .reservations_ms = 30000},
                                        &brokers[i]),
                     VESTRY_OK);
  strict_race(brokers, 60);
  nats_server_finish(&server);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(key_has_at_most_one_stream_with_threads)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
