/* SPDX-License-Identifier: MIT */
/* Rounds of the watch over dedicated streams without a socket, with connections of the memory adapter. */
#include "adapter/civetweb/dedicated.h"

#include "support/test.h"
#include "support/test_host.h"
#include "testing/recorder.h"
#include "vestry/testing/memory.h"

enum { STREAMS = 100 };

static test_host th;
static vestry *v;
static recorder w;
static vsi_civetweb_dedicated dedicated;
static vestry_memory_exchange *exchanges[STREAMS];
static vsi_civetweb_entry entries[STREAMS];

static vestry_err open_stream(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)req, (void)app;
  return vestry_reply_keep(reply, VESTRY_KEEP_REPLACE, 0);
}

static int begin(void **state) {
  (void)state;
  test_host_init(&th);
  recorder_init(&w);
  const vestry_options options = {.host = &th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_create(&options, &v), VESTRY_OK);
  assert_int_equal(vsi_civetweb_dedicated_init(&dedicated, &th.host, STREAMS), VESTRY_OK);
  memset(exchanges, 0, sizeof exchanges);
  memset(entries, 0, sizeof entries);
  return 0;
}

static int end(void **state) {
  (void)state;
  for (int i = 0; i < STREAMS; i++) vestry_memory_destroy(exchanges[i]);
  vestry_destroy(v);
  assert_int_equal(dedicated.map.count, 0);
  vsi_civetweb_dedicated_finish(&dedicated, &th.host);
  recorder_finish(&w);
  test_host_assert_clean(&th);
  return 0;
}

/* Park stream i at a port; two streams may have the same port. */
static void park(int i, int port) {
  const vestry_memory_call call = {.datastar = true};
  assert_int_equal(vestry_memory_request(v, &call, open_stream, NULL, &exchanges[i]), VESTRY_OK);
  entries[i].connection = vestry_memory_look(exchanges[i]).connection;
  entries[i].has_peer = vsi_civetweb_peer_parse("10.0.0.1", port, 80, &entries[i].peer);
  assert_true(entries[i].has_peer);
  vsi_civetweb_dedicated_add(&dedicated, &entries[i]);
}

static void leave(int i) {
  vsi_civetweb_dedicated_remove(&dedicated, &entries[i]);
}

static void see(int port, uint64_t cookie, bool established) {
  vsi_civetweb_socket socket = {.cookie = cookie, .established = established};
  assert_true(vsi_civetweb_peer_parse("10.0.0.1", port, 80, &socket.peer));
  vsi_civetweb_dedicated_see(&dedicated, &socket, 0, UINT64_MAX);
}

static vestry_cause cause(int i) {
  return vestry_connection_look(entries[i].connection).cause;
}

static void streams_without_a_socket_are_closed(void **state) {
  (void)state;
  assert_false(vsi_civetweb_dedicated_begin(&dedicated)); /* no streams */
  for (int i = 0; i < 3; i++) park(i, 1000 + i);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 3);
  see(1000, 1, true);
  see(1002, 3, false);
  see(7777, 4, true); /* of no stream */
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 1);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_HANGUP); /* no socket */
  assert_int_equal(cause(2), VESTRY_CAUSE_HANGUP); /* a socket, but shut down */
  for (int i = 0; i < 3; i++) leave(i);
}

static void streams_added_during_a_round_are_not_judged(void **state) {
  (void)state;
  park(0, 1000);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  park(1, 1001);
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 1);
  see(1000, 1, true);
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 0);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated)); /* but in the next round */
  see(1000, 1, true);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_HANGUP);
  leave(1);
  leave(0);
}

/* A client reconnects from the same port: its new socket does not keep the old stream. */
static void one_socket_keeps_the_newest_stream(void **state) {
  (void)state;
  park(0, 1000);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  see(1000, 1, true);
  vsi_civetweb_dedicated_close(&dedicated);
  park(1, 1000);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  see(1000, 2, true);
  see(1000, 2, true); /* reported twice */
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(0), VESTRY_CAUSE_HANGUP);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  leave(0);
  leave(1);
}

static void new_socket_belongs_to_the_youngest_stream(void **state) {
  (void)state;
  park(0, 1000); /* never seen */
  park(1, 1000);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  see(1000, 2, true);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(0), VESTRY_CAUSE_HANGUP);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  leave(0);
  leave(1);
}

static void two_sockets_keep_two_streams(void **state) {
  (void)state;
  park(0, 1000); /* of one client, to two addresses of the server */
  park(1, 1000);
  for (int round = 0; round < 3; round++) {
    assert_true(vsi_civetweb_dedicated_begin(&dedicated));
    see(1000, round % 2 ? 1 : 2, true);
    see(1000, round % 2 ? 2 : 1, true);
    assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 0);
    vsi_civetweb_dedicated_close(&dedicated);
  }
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  assert_int_equal(cause(1), VESTRY_CAUSE_NONE);
  leave(0);
  leave(1);
}

static void stream_of_unknown_peer_is_left_open(void **state) {
  (void)state;
  const vestry_memory_call call = {.datastar = true};
  assert_int_equal(vestry_memory_request(v, &call, open_stream, NULL, &exchanges[0]), VESTRY_OK);
  entries[0].connection = vestry_memory_look(exchanges[0]).connection;
  entries[0].has_peer = vsi_civetweb_peer_parse("elsewhere", 1, 2, &entries[0].peer);
  assert_false(entries[0].has_peer);
  vsi_civetweb_dedicated_add(&dedicated, &entries[0]);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 0);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(cause(0), VESTRY_CAUSE_NONE);
  vsi_civetweb_dedicated_close_all(&dedicated, VESTRY_CAUSE_SHUTDOWN);
  assert_int_equal(cause(0), VESTRY_CAUSE_SHUTDOWN);
  leave(0);
}

static void streams_are_closed_once(void **state) {
  (void)state;
  for (int i = 0; i < STREAMS; i++) park(i, 1000 + i);
  assert_true(vsi_civetweb_dedicated_begin(&dedicated));
  for (int i = 0; i < STREAMS; i += 2) see(1000 + i, (uint64_t)i + 1, true);
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), STREAMS / 2);
  vsi_civetweb_dedicated_close(&dedicated);
  assert_int_equal(vsi_civetweb_dedicated_unseen(&dedicated), 0); /* streams that were closed cause no further query */
  vsi_civetweb_dedicated_close_all(&dedicated, VESTRY_CAUSE_SHUTDOWN);
  vsi_civetweb_dedicated_close_all(&dedicated, VESTRY_CAUSE_ERROR);
  for (int i = 0; i < STREAMS; i++) {
    assert_int_equal(cause(i), i % 2 ? VESTRY_CAUSE_HANGUP : VESTRY_CAUSE_SHUTDOWN);
    leave(i);
  }
}

int main(void) {
#define EACH(test) cmocka_unit_test_setup_teardown(test, begin, end)
  const struct CMUnitTest tests[] = {
      EACH(streams_without_a_socket_are_closed),
      EACH(streams_added_during_a_round_are_not_judged),
      EACH(one_socket_keeps_the_newest_stream),
      EACH(new_socket_belongs_to_the_youngest_stream),
      EACH(two_sockets_keep_two_streams),
      EACH(stream_of_unknown_peer_is_left_open),
      EACH(streams_are_closed_once),
  };
  return cmocka_run_group_tests_name("parked streams", tests, NULL, NULL);
}
