/* SPDX-License-Identifier: MIT */
#include "adapter/web/gate.h"
#include "base/wait.h"

#include "support/test.h"
#include "support/test_host.h"
#include "vestry/instance.h"

TEST_CASE(gate_counts_requests_and_streams) {
  vestry *v = NULL;
  vsi_web_gate gate;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  vsi_web_gate_init(&gate, 2);
  uint64_t now_ns = vsi_monotonic_in_ms(0);
  assert_int_equal(vsi_web_gate_wait(&gate, v, now_ns), VESTRY_OK);
  assert_true(vsi_web_gate_enter(&gate));
  assert_int_equal(vsi_web_gate_wait(&gate, v, now_ns), VESTRY_TIMEOUT);
  assert_true(vsi_web_gate_take_place(&gate));
  assert_true(vsi_web_gate_take_place(&gate));
  assert_false(vsi_web_gate_take_place(&gate)); /* there are two */
  assert_int_equal(vsi_web_gate_streams(&gate), 2);
  vsi_web_gate_give_place(&gate);
  assert_true(vsi_web_gate_take_place(&gate));
  assert_false(vsi_web_gate_is_shut(&gate));
  vsi_web_gate_shut(&gate);
  assert_true(vsi_web_gate_is_shut(&gate));
  vsi_web_gate_give_place(&gate);
  assert_false(vsi_web_gate_take_place(&gate)); /* there is a place, but the gate is shut */
  assert_false(vsi_web_gate_enter(&gate));
  vsi_web_gate_leave(&gate);
  assert_int_equal(vsi_web_gate_wait(&gate, v, now_ns), VESTRY_TIMEOUT); /* one stream is left */
  vsi_web_gate_give_place(&gate);
  assert_int_equal(vsi_web_gate_wait(&gate, v, now_ns), VESTRY_OK);
  vsi_web_gate_finish(&gate);
  vestry_destroy(v);
}

static void *leave(void *gate) {
  vsi_web_gate_leave(gate);
  vsi_web_gate_give_place(gate);
  return NULL;
}

TEST_CASE(gate_waits_for_the_last_stream) {
  vestry *v = NULL;
  vsi_web_gate gate;
  assert_int_equal(vestry_create(NULL, &v), VESTRY_OK);
  vsi_web_gate_init(&gate, 1);
  assert_true(vsi_web_gate_enter(&gate));
  assert_true(vsi_web_gate_take_place(&gate));
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, leave, &gate), 0);
  uint64_t until_ns = vsi_monotonic_in_ms(UINT64_MAX); /* "never" is at most a year */
  assert_int_equal(vsi_web_gate_wait(&gate, v, until_ns), VESTRY_OK);
  pthread_join(thread, NULL);
  vsi_web_gate_finish(&gate);
  vestry_destroy(v);
}

/* A log that a flood of refused streams cannot fill; while the server stops, 503 is expected. */
HOST_CASE(stream_without_a_place_is_logged_once) {
  vsi_web_gate gate;
  vsi_web_gate_init(&gate, 3);
  vsi_web_gate_log_full(&gate, &th->host, "server", "raise max_streams");
  assert_string_equal(th->last_log, "server: a stream got 503, because all 3 places are taken; raise max_streams");
  *th->last_log = '\0';
  vsi_web_gate_log_full(&gate, &th->host, "server", "raise max_streams");
  assert_string_equal(th->last_log, "");
  vsi_web_gate_finish(&gate);
  vsi_web_gate_init(&gate, 3);
  vsi_web_gate_shut(&gate);
  vsi_web_gate_log_full(&gate, &th->host, "server", "raise max_streams");
  assert_string_equal(th->last_log, "");
  vsi_web_gate_finish(&gate);
}
