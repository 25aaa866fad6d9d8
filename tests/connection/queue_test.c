/* SPDX-License-Identifier: MIT */
/* Events that wait while the stream is written in parts, behind a heartbeat, or at its end. */
#include "connection/probe.h"

static void end(bench *b, probe *p, vestry_connection *c) {
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  p->write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(p);
  bench_finish(b);
}

TEST_CASE(event_is_written_in_parts_before_later_events) {
  for (size_t take = 1; take < 12; take++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    bench_run(&b);
    p.write_answer = VESTRY_IO_WOULD_BLOCK;
    p.take = take;
    bench_send(&b, c, "a");
    bench_run(&b);
    bench_send(&b, c, "b");
    bench_send(&b, c, "c");
    bench_run(&b);
    const char all[] = ": a\n\n: b\n\n: c\n\n";
    for (size_t written = take < 5 ? take : 5; written < sizeof all - 1;) {
      assert_int_equal(p.got.len, written);
      assert_memory_equal(p.got.data, all, written);
      assert_int_equal(probe_stats(c).written_count, written / 5);
      vestry_connection_writable(c);
      bench_run(&b);
      written += take < sizeof all - 1 - written ? take : sizeof all - 1 - written;
    }
    probe_assert_got(&p, all);
    assert_int_equal(probe_stats(c).queued_count, 0);
    end(&b, &p, c);
  }
}

TEST_CASE(event_waits_for_the_rest_of_a_heartbeat) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = 1000});
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  p.take = 1;
  test_host_advance_ms(&b.th, 1001);
  bench_run(&b);
  probe_assert_got(&p, ":");
  bench_send(&b, c, "a");
  bench_send(&b, c, "b");
  bench_run(&b);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  probe_assert_got(&p, ":\n\n: a\n\n: b\n\n");
  end(&b, &p, c);
  assert_int_equal(p.close_cause, VESTRY_CAUSE_CLOSED);
}

/* taken: the runner has begun to write it. */
TEST_CASE(event_of_an_aborted_stream_is_discarded) {
  for (int taken = 0; taken < 2; taken++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    bench_run(&b);
    p.write_answer = VESTRY_IO_WOULD_BLOCK;
    p.take = 2;
    bench_send(&b, c, "a");
    if (taken) bench_run(&b);
    vestry_connection_close(c, VESTRY_CAUSE_ERROR);
    bench_run(&b);
    probe_assert_got(&p, taken ? ": " : "");
    assert_int_equal(probe_stats(c).discarded_count, 1);
    assert_int_equal(probe_stats(c).queued_count, 0);
    end(&b, &p, c);
  }
}

static long allocations_of_a_send(bench *b, vestry_connection *c, vestry_event *event) {
  const long before = b->th.allocations;
  assert_int_equal(vestry_connection_send(c, event), VESTRY_OK);
  return b->th.allocations - before;
}

/* An event contains the delivery of one stream at a time; an event with a state contains none, because a later event
 * may replace it in its delivery. */
TEST_CASE(event_has_room_for_one_delivery) {
  bench b;
  probe p[2];
  vestry_connection *c[2];
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  for (int i = 0; i < 2; i++) {
    probe_init(&p[i]);
    c[i] = bench_connect(&b, &p[i], NULL);
    vsi_connection_start(c[i]);
  }
  bench_run(&b);
  vestry_event *event = bench_event(&b, "a"), *shows = NULL;
  const vestry_elements_options options = {.state = "s"};
  assert_int_equal(vestry_event_elements(&b.th.host, "<b id=\"b\"></b>", 14, &options, &shows), VESTRY_OK);
  assert_int_equal(allocations_of_a_send(&b, c[0], event), 0);
  assert_int_equal(allocations_of_a_send(&b, c[0], event), 1);
  assert_int_equal(allocations_of_a_send(&b, c[1], event), 1);
  assert_int_equal(allocations_of_a_send(&b, c[1], shows), 1);
  bench_run(&b);
  assert_int_equal(allocations_of_a_send(&b, c[1], event), 0);
  bench_run(&b);
  probe_assert_got(&p[0], ": a\n\n: a\n\n");
  /* refused: the room is free again */
  vestry_connection_close(c[1], VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_connection_send(c[1], event), VESTRY_CLOSED);
  assert_int_equal(allocations_of_a_send(&b, c[0], event), 0);
  vestry_event_unref(event); /* the queue has the last reference of the delivery's memory */
  vestry_event_unref(shows);
  bench_run(&b);
  probe_assert_got(&p[0], ": a\n\n: a\n\n: a\n\n");
  vestry_connection_unref(c[1]);
  probe_finish(&p[1]);
  end(&b, &p[0], c[0]);
}
