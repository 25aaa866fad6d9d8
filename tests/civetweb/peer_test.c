/* SPDX-License-Identifier: MIT */
#include "adapter/civetweb/peer.h"

#include "support/test.h"

#define MS UINT64_C(1000000)

TEST_CASE(peer_addresses_are_parsed) {
  static const unsigned char v4[16] = {[10] = 0xff, [11] = 0xff, [12] = 10, [13] = 1, [14] = 2, [15] = 3};
  static const unsigned char v6[16] = {0xfe, 0x80, [15] = 1};
  vsi_civetweb_peer peer, same;
  assert_true(vsi_civetweb_peer_parse("10.1.2.3", 50000, 8080, &peer));
  assert_memory_equal(peer.address, v4, 16);
  assert_int_equal(peer.port, 50000);
  assert_int_equal(peer.server_port, 8080);
  /* on an IPv6 socket, in civetweb's notation */
  assert_true(vsi_civetweb_peer_parse("::ffff:10.1.2.3", 50000, 8080, &same));
  assert_true(vsi_civetweb_peer_equal(&peer, &same));
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

TEST_CASE(peers_differ_by_address_and_ports) {
  vsi_civetweb_peer peer, other;
  assert_true(vsi_civetweb_peer_parse("10.1.2.3", 50000, 8080, &peer));
  static const struct {
    const char *address;
    int port, server_port;
  } others[] = {{"10.1.2.4", 50000, 8080}, {"10.1.2.3", 50001, 8080}, {"10.1.2.3", 50000, 8081}};
  for (size_t i = 0; i < 3; i++) {
    assert_true(vsi_civetweb_peer_parse(others[i].address, others[i].port, others[i].server_port, &other));
    assert_false(vsi_civetweb_peer_equal(&peer, &other));
  }
}

/* A peer checked every 100 ms, with 1,000 ms to acknowledge. */
typedef struct watched {
  uint64_t unacked_since_ns, now_ns;
} watched;

static vestry_cause look(watched *w, vsi_civetweb_socket socket) {
  w->now_ns += 100 * MS;
  return vsi_civetweb_peer_judge(&w->unacked_since_ns, &socket, w->now_ns, 1000 * MS);
}

static const watched fresh = {UINT64_MAX, 5000 * MS};

TEST_CASE(peer_without_unacknowledged_bytes_is_present) {
  watched w = fresh;
  /* The time since its last acknowledgement does not matter, because nothing is unacknowledged. */
  for (uint32_t ms = 0; ms < 100000; ms += 1000)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .since_ack_ms = ms}), VESTRY_CAUSE_NONE);
}

TEST_CASE(half_closed_peer_has_hung_up) {
  watched w = fresh;
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = false}), VESTRY_CAUSE_HANGUP);
}

TEST_CASE(heartbeat_after_a_long_silence_starts_the_time) {
  watched w = fresh;
  /* 15 s have passed since the last acknowledgement, and now bytes are in flight that were just sent. */
  vsi_civetweb_socket socket = {.established = true, .unacked_bytes = 3, .since_ack_ms = 15000};
  for (int i = 0; i < 10; i++) assert_int_equal(look(&w, socket), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, socket), VESTRY_CAUSE_LOST); /* a second later they still are */
}

TEST_CASE(acknowledgements_between_checks_restart_the_time) {
  watched w = fresh;
  /* At each check bytes are in flight, but always different ones. */
  for (int i = 0; i < 100; i++)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = 80}),
                     VESTRY_CAUSE_NONE);
  /* The time starts at the last acknowledgement. */
  for (uint32_t ms = 180; ms < 1000; ms += 100)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = ms}),
                     VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true, .unacked_bytes = 9, .since_ack_ms = 1000}),
                   VESTRY_CAUSE_LOST);
}

TEST_CASE(complete_acknowledgement_resets_the_time) {
  watched w = fresh;
  vsi_civetweb_socket waiting = {.established = true, .unacked_bytes = 3, .since_ack_ms = 99999};
  for (int i = 0; i < 9; i++) assert_int_equal(look(&w, waiting), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true}), VESTRY_CAUSE_NONE);
  for (int i = 0; i < 10; i++) assert_int_equal(look(&w, waiting), VESTRY_CAUSE_NONE);
  assert_int_equal(look(&w, waiting), VESTRY_CAUSE_LOST);
}

TEST_CASE(peer_that_answers_probes_is_not_lost) {
  watched w = fresh;
  /* Probes of a closed window are up to two minutes apart, and each is answered. */
  for (uint32_t ms = 0; ms < 120000; ms += 100)
    assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true,
                                                    .unacked_bytes = 1000000,
                                                    .window_shut = true,
                                                    .probes_count = ms % 300 == 0, /* sometimes in flight */
                                                    .since_ack_ms = ms}),
                     VESTRY_CAUSE_NONE);
  /* The second probe is sent because the first was not answered. */
  assert_int_equal(look(&w, (vsi_civetweb_socket){.established = true,
                                                  .unacked_bytes = 1000000,
                                                  .window_shut = true,
                                                  .probes_count = 2,
                                                  .since_ack_ms = 120000}),
                   VESTRY_CAUSE_LOST);
}

TEST_CASE(peer_is_never_lost_if_disabled) {
  uint64_t since = UINT64_MAX;
  const vsi_civetweb_socket socket = {.established = true, .unacked_bytes = 3, .since_ack_ms = UINT32_MAX};
  assert_int_equal(vsi_civetweb_peer_judge(&since, &socket, 0, UINT64_MAX), VESTRY_CAUSE_NONE);
  assert_int_equal(vsi_civetweb_peer_judge(&since, &socket, UINT64_MAX - 1, UINT64_MAX), VESTRY_CAUSE_NONE);
}
