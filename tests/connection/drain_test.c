/* SPDX-License-Identifier: MIT */
/* F6 for one stream: a drained stream writes its queued events, then a retry hint, and is then aborted. */
#include "connection/probe.h"
#include "connection/send.h"

static void begin(bench *b, probe *p, vestry_connection **ret_connection, const vestry_connection_options *options) {
  bench_init(b, VESTRY_THREADS_NONE, NULL);
  probe_init(p);
  *ret_connection = bench_connect(b, p, options);
  vsi_connection_start(*ret_connection);
  bench_run(b);
}

static void end(bench *b, probe *p, vestry_connection *c) {
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSED);
  assert_int_equal(p->close_cause, VESTRY_CAUSE_DRAIN);
  assert_false(p->clean);
  vestry_connection_unref(c);
  probe_finish(p);
  bench_finish(b);
}

/* capability: F6 */
TEST_CASE(f6_drained_stream_gets_retry_hint_and_abort) {
  bench b;
  probe p;
  vestry_connection *c;
  begin(&b, &p, &c, NULL);
  assert_int_equal(bench_send(&b, c, "before"), VESTRY_OK);
  assert_true(vsi_connection_send_off(c, 4321));
  assert_false(vsi_connection_send_off(c, 1));
  assert_int_equal(bench_send(&b, c, "after"), VESTRY_CLOSED);
  bench_run(&b);
  probe_assert_got(&p, ": before\n\nretry: 4321\n\n");
  end(&b, &p, c);
}

/* capability: F6 */
TEST_CASE(f6_unopened_stream_opens_and_gets_the_hint) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  assert_true(vsi_connection_send_off(c, 7));
  vsi_connection_start(c);
  bench_run(&b);
  probe_assert_got(&p, "retry: 7\n\n");
  assert_int_equal(p.opened, 1);
  end(&b, &p, c);
}

/* capability: F6 */
TEST_CASE(f6_full_queue_omits_the_hint) {
  bench b;
  probe p;
  vestry_connection *c;
  begin(&b, &p, &c, &(vestry_connection_options){.max_queued_count = 1});
  assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
  assert_true(vsi_connection_send_off(c, 7));
  bench_run(&b);
  probe_assert_got(&p, ": a\n\n");
  end(&b, &p, c);
}

/* capability: F6 */
TEST_CASE(f6_stalled_peer_is_aborted_after_five_seconds) {
  bench b;
  probe p;
  vestry_connection *c;
  begin(&b, &p, &c, NULL);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  assert_true(vsi_connection_send_off(c, 7));
  bench_run(&b);
  test_host_advance_ms(&b.th, 4990);
  bench_run(&b);
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSING);
  test_host_advance_ms(&b.th, 20);
  bench_run(&b);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.discarded_count, 1);
  assert_int_equal(stats.queued_bytes, 0);
  end(&b, &p, c);
}

TEST_CASE(f6_peer_that_reads_again_gets_the_hint) {
  bench b;
  probe p;
  vestry_connection *c;
  begin(&b, &p, &c, NULL);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  p.take = 3;
  assert_true(vsi_connection_send_off(c, 7));
  bench_run(&b);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  probe_assert_got(&p, "retry: 7\n\n");
  end(&b, &p, c);
}

TEST_CASE(f6_allocation_failure_omits_the_hint) {
  bench b;
  probe p;
  vestry_connection *c;
  begin(&b, &p, &c, NULL);
  test_host_fail_in(&b.th, 0);
  assert_true(vsi_connection_send_off(c, 7)); /* the stream is drained nevertheless */
  test_host_fail_no_more(&b.th);
  bench_run(&b);
  probe_assert_got(&p, "");
  end(&b, &p, c);
}
