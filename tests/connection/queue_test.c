/* SPDX-License-Identifier: MIT */
/* Bare events: an event that finds an empty queue waits without a delivery. */
#include "connection/probe.h"
#include "connection/send.h"

static void end(bench *b, probe *p, vestry_connection *c) {
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  p->write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(p);
  bench_finish(b);
}

/* Only the first of several waiting events needs no memory; before the stream has opened, each event needs some. */
static void event_in_an_empty_queue_takes_no_memory(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, &(vestry_connection_options){.full = VESTRY_FULL_DROP});
  vestry_event *event = bench_event(&b, "a");
  vsi_connection_start(c);
  for (int round = 0; round < 4; round++) {
    const size_t bytes = b.th.bytes;
    test_host_fail_in(&b.th, 0);
    b.th.fail_after = true;
    const bool is_open = vsi_connection_state(c) == VESTRY_STATE_OPEN;
    assert_int_equal(vsi_connection_put(c, &event, 1, 0), is_open ? VESTRY_OK : VESTRY_NO_MEMORY);
    assert_int_equal(b.th.bytes, bytes);
    assert_int_equal(vsi_connection_put(c, &event, 1, 0), VESTRY_NO_MEMORY);
    assert_int_equal(probe_stats(c).queued_count, is_open);
    b.th.fail_after = false;
    test_host_fail_no_more(&b.th);
    vsi_connection_posted(c, VESTRY_OK);
    bench_run(&b);
    assert_int_equal(probe_stats(c).queued_count, 0);
    assert_int_equal(probe_stats(c).written_count, round);
  }
  probe_assert_got(&p, ": a\n\n: a\n\n: a\n\n");
  vestry_event_unref(event);
  end(&b, &p, c);
}

static void bare_event_is_written_in_parts_before_later_events(void **state) {
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

/* The event needs a delivery then. Without memory the stream ends, and the event counts as discarded. */
static void bare_event_waits_for_the_rest_of_a_heartbeat(void **state) {
  for (int fails = 0; fails < 2; fails++) {
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
    if (fails) test_host_fail_in(&b.th, 0);
    vestry_connection_writable(c);
    bench_run(&b);
    test_host_fail_no_more(&b.th);
    probe_assert_got(&p, fails ? ":" : ":\n\n: a\n\n: b\n\n");
    assert_int_equal(vestry_connection_is_open(c), !fails);
    assert_int_equal(probe_stats(c).discarded_count, fails ? 2 : 0);
    end(&b, &p, c);
    assert_int_equal(p.close_cause, fails ? VESTRY_CAUSE_ERROR : VESTRY_CAUSE_CLOSED);
  }
}

/* taken: the runner has begun to write it. */
/* A sender has reserved the place of a bare event, and is interrupted before it puts the event. Meanwhile another one
 * sends a batch that needs two writes. */
static void late_bare_event_follows_a_batch(void **state) {
  enum { SIZE = 65 }; /* one more than a write takes */
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  p.take = 1;
  vestry_event *late = bench_event(&b, "z"), *events[SIZE];
  assert_true(vsi_queue_reserve_bare(&c->queue, vestry_event_bytes(late).len));
  atomic_fetch_add(&c->accepted_count, 1);
  atomic_fetch_add(&c->environment->budget->used, vsi_budget_cost(1, vestry_event_bytes(late).len));
  vsi_buffer wanted;
  vsi_buffer_init(&wanted, &b.th.host);
  for (int i = 0; i < SIZE; i++) {
    char text[8];
    snprintf(text, sizeof text, "%d", i);
    events[i] = bench_event(&b, text);
    vsi_buffer_printf(&wanted, ": %d\n\n", i);
  }
  vsi_buffer_append_str(&wanted, ": z\n\n");
  assert_int_equal(vestry_connection_send_all(c, events, SIZE), VESTRY_OK);
  bench_run(&b); /* takes as many as a write takes, and writes a byte */
  assert_int_equal(p.got.len, 1);
  vsi_queue_put_bare(&c->queue, late);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  probe_assert_got(&p, vsi_buffer_terminate(&wanted));
  for (int i = 0; i < SIZE; i++) vestry_event_unref(events[i]);
  vsi_buffer_finish(&wanted);
  end(&b, &p, c);
}

static void bare_event_of_an_aborted_stream_is_discarded(void **state) {
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(event_in_an_empty_queue_takes_no_memory),
      cmocka_unit_test(bare_event_is_written_in_parts_before_later_events),
      cmocka_unit_test(bare_event_waits_for_the_rest_of_a_heartbeat),
      cmocka_unit_test(late_bare_event_follows_a_batch),
      cmocka_unit_test(bare_event_of_an_aborted_stream_is_discarded),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
