/* SPDX-License-Identifier: MIT */
#include "adapter/civetweb/peer.h"

#include "support/test.h"

#define MS UINT64_C(1000000)

static void reads_addresses(void **state) {
  (void)state;
  static const unsigned char v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 2, [15] = 3};
  static const unsigned char v6[16] = {0xfe, 0x80, [15] = 1};
  vsi_civetweb_peer peer, same;
  assert_true(vsi_civetweb_peer_parse("10.1.2.3", 50000, 8080, &peer));
  assert_memory_equal(peer.address, v4, 16);
  assert_int_equal(peer.port, 50000);
  assert_int_equal(peer.server_port, 8080);
  assert_true(vsi_civetweb_peer_parse("::ffff:10.1.2.3", 50000, 8080, &same)); /* by an IPv6 socket, as civetweb says */
  assert_true(vsi_civetweb_peer_equal(&peer, &same));
  assert_true(vsi_civetweb_peer_hash(&peer, 7) == vsi_civetweb_peer_hash(&same, 7));
  assert_true(vsi_civetweb_peer_parse("fe80::1%eth0", 1, 2, &peer));
  assert_memory_equal(peer.address, v6, 16);
  assert_false(vsi_civetweb_peer_equal(&peer, &same));
  static const char *const none[] = {"",
                                     "localhost",
                                     "10.1.2",
                                     "unix",
                                     "1:2:3",
                                     "%eth0",
                                     "0123456789012345678901234567890123456789012345678901234567890"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_false(vsi_civetweb_peer_parse(none[i], 1, 2, &peer));
  assert_memory_equal(peer.address, v6, 16); /* untouched on failure */
}

static void tells_peers_apart(void **state) {
  (void)state;
  vsi_civetweb_peer peer, other;
  assert_true(vsi_civetweb_peer_parse("10.1.2.3", 50000, 8080, &peer));
  static const struct {
    const char *address;
    int port, server_port;
  } others[] = {{"10.1.2.4", 50000, 8080}, {"10.1.2.3", 50001, 8080}, {"10.1.2.3", 50000, 8081}};
  for (size_t i = 0; i < 3; i++) {
    assert_true(vsi_civetweb_peer_parse(others[i].address, others[i].port, others[i].server_port, &other));
    assert_false(vsi_civetweb_peer_equal(&peer, &other));
    assert_true(vsi_civetweb_peer_hash(&peer, 7) != vsi_civetweb_peer_hash(&other, 7));
  }
  assert_true(vsi_civetweb_peer_hash(&peer, 7) != vsi_civetweb_peer_hash(&peer, 8));
}

/* A peer judged every 100 ms, with 1,000 ms to acknowledge. */
typedef struct watched {
  uint64_t unacked_since_ns, now_ns;
} watched;

static vestry_cause look(watched *w, vsi_civetweb_socket socket) {
  w->now_ns += 100 * MS;
  return vsi_civetweb_peer_judge(&w->unacked_since_ns, &socket, w->now_ns, 1000 * MS);
}

static const watched fresh = {UINT64_MAX, 5000 * MS};

static void one_that_has_all_is_there(void **state) {
  (void)state;
  watched w = fresh;
  /* However long ago its last acknowledgement was: nothing is asked of it. */
  for (uint32_t ms = 0; ms < 100000; ms += 1000)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .since_ack_ms = ms}), VESTRY_CAUSE_NONE);
}

static void one_that_shut_its_side_hung_up(void **state) {
  (void)state;
  watched w = fresh;
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = false}), VESTRY_CAUSE_HANGUP);
}

static void a_heartbeat_after_a_long_silence_does_not_lose_it(void **state) {
  (void)state;
  watched w = fresh;
  /* 15 s since the last acknowledgement, and now there are bytes under way, of this moment. */
  vsi_civetweb_socket socket = {.established = true, .unacked_bytes = 3, .since_ack_ms = 15000};
  for (int i = 0; i < 10; i++) assert_int_equal(look(&w, socket), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, socket), VESTRY_CAUSE_LOST); /* a second later they still are */
}

static void acknowledgements_between_looks_keep_it(void **state) {
  (void)state;
  watched w = fresh;
  /* At each look there is something under way; but it is always something else. */
  for (int i = 0; i < 100; i++)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = 80}),
                     VESTRY_CAUSE_NONE);
  /* The time runs from the last one. */
  for (uint32_t ms = 180; ms < 1000; ms += 100)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = ms}),
                     VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = 1000}),
                   VESTRY_CAUSE_LOST);
}

static void all_acknowledged_begins_anew(void **state) {
  (void)state;
  watched w = fresh;
  vsi_civetweb_socket waiting = {.established = true, .unacked_bytes = 3, .since_ack_ms = 99999};
  for (int i = 0; i < 9; i++) assert_int_equal(look(&w, waiting), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true}), VESTRY_CAUSE_NONE);
  for (int i = 0; i < 10; i++) assert_int_equal(look(&w, waiting), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, waiting), VESTRY_CAUSE_LOST);
}

static void one_that_answers_probes_is_stalled_not_lost(void **state) {
  (void)state;
  watched w = fresh;
  /* Probes of a shut window are up to two minutes apart; each is answered. */
  for (uint32_t ms = 0; ms < 120000; ms += 100)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true,
                                                    .unacked_bytes = 1000000,
                                                    .window_shut = true,
                                                    .probes_count = ms % 300 == 0, /* on its way at times */
                                                    .since_ack_ms = ms}),
                     VESTRY_CAUSE_NONE);
  /* When the second goes out the first was not answered. */
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true,
                                                  .unacked_bytes = 1000000,
                                                  .window_shut = true,
                                                  .probes_count = 2,
                                                  .since_ack_ms = 120000}),
                   VESTRY_CAUSE_LOST);
}

static void nobody_is_lost_when_that_is_not_asked(void **state) {
  (void)state;
  uint64_t since = UINT64_MAX;
  const vsi_civetweb_socket socket = {.established = true, .unacked_bytes = 3, .since_ack_ms = UINT32_MAX};
  assert_int_equal(vsi_civetweb_peer_judge(&since, &socket, 0, UINT64_MAX), VESTRY_CAUSE_NONE);
  assert_int_equal(vsi_civetweb_peer_judge(&since, &socket, UINT64_MAX - 1, UINT64_MAX), VESTRY_CAUSE_NONE);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_addresses),
      cmocka_unit_test(tells_peers_apart),
      cmocka_unit_test(one_that_has_all_is_there),
      cmocka_unit_test(one_that_shut_its_side_hung_up),
      cmocka_unit_test(a_heartbeat_after_a_long_silence_does_not_lose_it),
      cmocka_unit_test(acknowledgements_between_looks_keep_it),
      cmocka_unit_test(all_acknowledged_begins_anew),
      cmocka_unit_test(one_that_answers_probes_is_stalled_not_lost),
      cmocka_unit_test(nobody_is_lost_when_that_is_not_asked),
  };
  return cmocka_run_group_tests_name("peers", tests, NULL, NULL);
}
