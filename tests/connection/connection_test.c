/* SPDX-License-Identifier: MIT */
/* The states of a connection, step by step on a stepped runtime. */
#include "vestry/connection.h"

#include "connection/connection.h"
#include "connection/probe.h"
#include "runtime/deadline.h"
#include "runtime/runtime.h"

TEST_CASE(queued_events_are_one_write_after_open) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_OPENING);
  assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
  bench_run(&b);
  assert_int_equal(p.opens, 0); /* not started: nothing is written */
  assert_int_equal(bench_send(&b, c, "b"), VESTRY_OK);
  vsi_connection_start(c);
  bench_run(&b);
  assert_int_equal(p.opens, 1);
  assert_int_equal(p.opened, 1);
  assert_int_equal(p.writes, 1); /* all queued events, one write */
  probe_assert_got(&p, ": a\n\n: b\n\n");
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_OPEN);
  assert_true(vestry_connection_close(c, VESTRY_CAUSE_CLOSED));
  assert_false(vestry_connection_close(c, VESTRY_CAUSE_IDLE)); /* the first cause wins */
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSING);
  assert_int_equal(bench_send(&b, c, "c"), VESTRY_CLOSED);
  bench_run(&b);
  assert_int_equal(vestry_connection_look(c).state, VESTRY_STATE_CLOSED);
  assert_true(p.clean);
  assert_int_equal(p.close_cause, VESTRY_CAUSE_CLOSED);
  assert_int_equal(bench_send(&b, c, "d"), VESTRY_CLOSED); /* a reference keeps memory, not liveness */
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(clean_end_flushes_and_abort_discards) {
  static const struct {
    vestry_cause cause;
    bool clean;
    const char *got;
  } cases[] = {
      {VESTRY_CAUSE_CLOSED, true, ": a\n\n"},   {VESTRY_CAUSE_REMOVED, true, ": a\n\n"},
      {VESTRY_CAUSE_REPLACED, true, ": a\n\n"}, {VESTRY_CAUSE_SIZE, false, ""},
      {VESTRY_CAUSE_IDLE, false, ""},           {VESTRY_CAUSE_EXPIRED, false, ""},
      {VESTRY_CAUSE_SHUTDOWN, false, ""},       {VESTRY_CAUSE_HANGUP, false, ""},
      {VESTRY_CAUSE_LOST, false, ""},           {VESTRY_CAUSE_ERROR, false, ""},
      {VESTRY_CAUSE_DRAIN, false, ": a\n\n"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    bench_run(&b);
    assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
    assert_true(vestry_connection_close(c, cases[i].cause));
    bench_run(&b);
    assert_int_equal(p.clean, cases[i].clean);
    assert_int_equal(p.close_cause, cases[i].cause);
    probe_assert_got(&p, cases[i].got);
    vestry_connection_stats stats = probe_stats(c);
    assert_int_equal(stats.accepted_count, 1);
    assert_int_equal(stats.written_count + stats.discarded_count, 1);
    assert_int_equal(stats.accepted_bytes, stats.written_bytes + stats.discarded_bytes);
    assert_int_equal(stats.queued_bytes, 0);
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
  }
}

typedef struct looking {
  vestry_connection *connection;
  const bench *b;
  int looks, full_looks;
} looking;

/* When an event is freed as settled, its room in the queue and in the budget must be free already. */
static void look_at_room(void *ctx) {
  looking *l = ctx;
  vestry_connection_stats stats = {0};
  vsi_group_stats all = {0};
  vestry_connection_stats_get(l->connection, &stats);
  vsi_group_stats_get(l->b->group, &all);
  uint64_t settled = vsi_connection_settled(l->connection);
  assert_in_range(settled, 0, stats.accepted_count);
  uint64_t waiting = vsi_connection_accepted(l->connection) - settled;
  assert_true(waiting >= stats.queued_count);
  if (!waiting) assert_int_equal(all.queued_bytes, 0);
  l->looks++;
  l->full_looks += waiting > 0;
}

TEST_CASE(settled_event_has_freed_its_room) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  looking l = {.connection = c, .b = &b};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
    b.th.on_free_ctx = &l;
    b.th.on_free = look_at_room;
    bench_run(&b);
    b.th.on_free = NULL;
    assert_int_equal(vsi_connection_settled(c), i + 1);
  }
  assert_true(l.looks >= 3 && l.full_looks >= 3); /* the hook ran during each settlement */
  assert_true(vestry_connection_close(c, VESTRY_CAUSE_CLOSED));
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(close_refuses_invalid_causes) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  assert_false(vestry_connection_close(c, VESTRY_CAUSE_NONE));
  assert_false(vestry_connection_close(c, VESTRY_CAUSE_COUNT));
  assert_false(vestry_connection_close(c, VESTRY_CAUSE_DETACHED));
  assert_true(vestry_connection_is_open(c));
  vsi_connection_start(c);
  vestry_connection_unref(c);
  bench_run(&b);
  vsi_group_close(b.group);
  bench_run(&b);
  assert_int_equal(p.close_cause, VESTRY_CAUSE_SHUTDOWN);
  probe_finish(&p);
  bench_finish(&b);
}

/* If the peer is lost, a closing stream does not wait for it any longer; its first cause remains. */
TEST_CASE(closing_stream_ends_when_its_peer_is_lost) {
  static const vestry_cause ends[] = {VESTRY_CAUSE_CLOSED, VESTRY_CAUSE_DRAIN};
  static const struct {
    vestry_cause cause;
    bool is_gone;
  } later[] = {{VESTRY_CAUSE_HANGUP, true},  {VESTRY_CAUSE_LOST, true},      {VESTRY_CAUSE_STALLED, true},
               {VESTRY_CAUSE_CLOSED, false}, {VESTRY_CAUSE_SHUTDOWN, false}, {VESTRY_CAUSE_ERROR, false}};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
    for (size_t k = 0; k < sizeof later / sizeof *later; k++) {
      bench b;
      probe p;
      bench_init(&b, VESTRY_THREADS_NONE, NULL);
      probe_init(&p);
      vestry_connection *c = bench_connect(&b, &p, NULL);
      vsi_connection_start(c);
      p.write_answer = VESTRY_IO_WOULD_BLOCK;
      assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
      assert_true(vestry_connection_close(c, ends[i]));
      bench_run(&b);
      assert_false(vestry_connection_close(c, later[k].cause));
      bench_run(&b);
      assert_int_equal(vestry_connection_look(c).state, later[k].is_gone ? VESTRY_STATE_CLOSED : VESTRY_STATE_CLOSING);
      p.write_answer = VESTRY_IO_OK;
      vestry_connection_writable(c);
      bench_run(&b);
      assert_int_equal(p.close_cause, ends[i]);
      assert_int_equal(p.clean, !later[k].is_gone && vsi_cause_is_clean(ends[i]));
      probe_assert_got(&p, later[k].is_gone ? "" : ": a\n\n");
      vestry_connection_unref(c);
      probe_finish(&p);
      bench_finish(&b);
    }
}

/* capability: C12 */
TEST_CASE(a_full_queue_closes_or_drops) {
  for (int drop = 0; drop < 2; drop++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection_options options = {.max_queued_count = 2, .full = drop ? VESTRY_FULL_DROP : VESTRY_FULL_CLOSE};
    vestry_connection *c = bench_connect(&b, &p, &options);
    vsi_connection_start(c);
    assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
    assert_int_equal(bench_send(&b, c, "b"), VESTRY_OK);
    assert_int_equal(bench_send(&b, c, "c"), VESTRY_FULL);
    assert_int_equal(bench_send(&b, c, "d"), drop ? VESTRY_FULL : VESTRY_CLOSED);
    bench_run(&b);
    vestry_connection_stats stats = probe_stats(c);
    assert_int_equal(stats.refused_count, drop ? 2 : 1);
    if (drop) {
      probe_assert_got(&p, ": a\n\n: b\n\n");
      assert_int_equal(bench_send(&b, c, "e"), VESTRY_OK); /* there is room again */
      bench_run(&b);
      probe_assert_got(&p, ": a\n\n: b\n\n: e\n\n");
      vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
      bench_run(&b);
    } else {
      assert_int_equal(p.close_cause, VESTRY_CAUSE_FULL);
      assert_false(p.clean);
    }
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
  }
}

/* capability: C12 */
TEST_CASE(queue_is_bounded_in_bytes) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection_options options = {.max_queued_bytes = 12, .full = VESTRY_FULL_DROP};
  vestry_connection *c = bench_connect(&b, &p, &options);
  vsi_connection_start(c);
  assert_int_equal(bench_send(&b, c, "0123456789"), VESTRY_TOO_LARGE); /* 14 bytes: never */
  assert_int_equal(bench_send(&b, c, "012"), VESTRY_OK);               /* 7 bytes */
  assert_int_equal(bench_send(&b, c, "012"), VESTRY_FULL);             /* 14: not now */
  assert_int_equal(bench_send(&b, c, "0"), VESTRY_OK);                 /* 12: exactly */
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.queued_bytes, 12);
  assert_int_equal(stats.queued_count, 2);
  bench_run(&b);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* capability: C10 */
TEST_CASE(batch_is_queued_whole_or_refused) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection_options options = {.max_queued_count = 3, .full = VESTRY_FULL_DROP};
  vestry_connection *c = bench_connect(&b, &p, &options);
  vsi_connection_start(c);
  vestry_event *two[2] = {bench_event(&b, "1"), bench_event(&b, "2")};
  vestry_event *four[4] = {two[0], two[0], two[0], two[0]};
  assert_int_equal(vestry_connection_send_all(c, two, 0), VESTRY_INVALID);
  assert_int_equal(vestry_connection_send_all(c, two, 2), VESTRY_OK);
  assert_int_equal(vestry_connection_send_all(c, two, 2), VESTRY_FULL);
  assert_int_equal(vestry_connection_send_all(c, four, 4), VESTRY_TOO_LARGE);
  assert_int_equal(bench_send(&b, c, "3"), VESTRY_OK);
  bench_run(&b);
  probe_assert_got(&p, ": 1\n\n: 2\n\n: 3\n\n");
  vestry_event_unref(two[0]);
  vestry_event_unref(two[1]);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(blocked_transport_resumes_where_it_stopped) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  p.take = 3;
  assert_int_equal(bench_send(&b, c, "a"), VESTRY_OK);
  assert_int_equal(bench_send(&b, c, "b"), VESTRY_OK);
  bench_run(&b);
  assert_int_equal(p.writes, 1);
  bench_send(&b, c, "c");
  bench_run(&b);
  assert_int_equal(p.writes, 1); /* the runner waits until the transport is writable */
  for (int i = 0; i < 4; i++) {
    vestry_connection_writable(c);
    bench_run(&b);
  }
  probe_assert_got(&p, ": a\n\n: b\n\n: c\n\n");
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.written_count, 3);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  p.write_answer = VESTRY_IO_OK;
  vestry_connection_writable(c);
  bench_run(&b);
  assert_true(p.clean);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(clean_end_times_out) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  bench_send(&b, c, "a");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  assert_int_equal(p.ends, 0);
  test_host_advance_ms(&b.th, 4990);
  bench_run(&b);
  assert_int_equal(p.ends, 0);
  test_host_advance_ms(&b.th, 20);
  bench_run(&b);
  assert_int_equal(p.ends, 1);
  assert_false(p.clean); /* accepted events could not be written, so the end is not clean */
  assert_int_equal(p.close_cause, VESTRY_CAUSE_CLOSED);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* The same if the last write took everything and then reported WOULD_BLOCK. */
TEST_CASE(clean_end_times_out_after_a_complete_write) {
  for (int drained = 0; drained < 2; drained++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    p.write_answer = VESTRY_IO_WOULD_BLOCK;
    p.take = SIZE_MAX;
    bench_send(&b, c, "a");
    bench_run(&b);
    probe_assert_got(&p, ": a\n\n");
    bench_send(&b, c, "b");
    bench_run(&b);
    vestry_connection_close(c, drained ? VESTRY_CAUSE_DRAIN : VESTRY_CAUSE_CLOSED);
    bench_run(&b);
    assert_int_equal(p.writes, 1); /* the runner waits until the transport is writable */
    assert_int_equal(p.ends, 0);
    test_host_advance_ms(&b.th, 5010);
    bench_run(&b);
    assert_int_equal(p.ends, 1);
    assert_false(p.clean);
    vestry_connection_unref(c);
    probe_finish(&p);
    bench_finish(&b);
  }
}

/* A peer that reads slowly, but continues to read, is not treated as stalled. */
enum { SLOW_STEP_MS = 4000, SLOW_BYTES = 90 };

static vestry_connection *begin_slow(bench *b, probe *p, size_t take) {
  char text[SLOW_BYTES - 3] = {
      0}; /* SLOW_BYTES with the framing of the comment (": " and two line ends), but without the terminator */
  memset(text, 'x', sizeof text - 1);
  bench_init(b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
  probe_init(p);
  vestry_connection *c = bench_connect(b, p, NULL);
  vsi_connection_start(c);
  p->write_answer = VESTRY_IO_WOULD_BLOCK;
  assert_int_equal(bench_send(b, c, text), VESTRY_OK);
  bench_run(b);
  p->take = take;
  return c;
}

static void take_some(bench *b, vestry_connection *c, uint64_t after_ms) {
  test_host_advance_ms(&b->th, after_ms);
  bench_run(b);
  vestry_connection_writable(c);
  bench_run(b);
}

static void finish_slow(bench *b, probe *p, vestry_connection *c, bool clean) {
  assert_int_equal(p->ends, 1);
  assert_int_equal(p->clean, clean);
  vestry_connection_unref(c);
  probe_finish(p);
  bench_finish(b);
}

TEST_CASE(clean_end_waits_while_the_peer_reads) {
  bench b;
  probe p;
  vestry_connection *c = begin_slow(&b, &p, SLOW_BYTES / 10);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  for (int i = 0; i < 9; i++) {
    take_some(&b, c, SLOW_STEP_MS);
    assert_int_equal(p.ends, 0);
  }
  take_some(&b, c, SLOW_STEP_MS); /* the last bytes, after 40 s */
  assert_int_equal(p.got.len, SLOW_BYTES);
  finish_slow(&b, &p, c, true);
}

TEST_CASE(clean_end_times_out_if_the_peer_stops_reading) {
  bench b;
  probe p;
  vestry_connection *c = begin_slow(&b, &p, 1);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  take_some(&b, c, SLOW_STEP_MS);
  p.take = 0;
  take_some(&b, c, SLOW_STEP_MS);
  assert_int_equal(p.ends, 0);
  test_host_advance_ms(&b.th, 1010);
  bench_run(&b);
  finish_slow(&b, &p, c, false);
}

TEST_CASE(clean_end_waits_one_minute_at_most) {
  bench b;
  probe p;
  vestry_connection *c = begin_slow(&b, &p, 1);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  for (int i = 0; i < 14; i++) take_some(&b, c, SLOW_STEP_MS);
  take_some(&b, c, 3990);
  assert_int_equal(p.ends, 0);
  test_host_advance_ms(&b.th, 20);
  bench_run(&b);
  finish_slow(&b, &p, c, false);
}

/* A slow peer does not delay a drain or a stop. */
TEST_CASE(slow_peer_does_not_delay_drain_or_stop) {
  static const struct {
    vestry_cause cause;
    uint64_t stop_ms; /* 0: none */
    bool ends_at_once;
  } cases[] = {{VESTRY_CAUSE_DRAIN, 0, false}, {VESTRY_CAUSE_CLOSED, 1000, false}, {VESTRY_CAUSE_CLOSED, 8000, true}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bench b;
    probe p;
    vestry_connection *c = begin_slow(&b, &p, 1);
    vestry_connection_close(c, cases[i].cause);
    bench_run(&b);
    for (uint64_t ms = 0; ms < 4000 || ms < cases[i].stop_ms; ms += 1000) {
      if (ms && ms == cases[i].stop_ms) assert_false(vestry_connection_close(c, VESTRY_CAUSE_SHUTDOWN));
      take_some(&b, c, 1000);
      assert_int_equal(p.ends, 0);
    }
    if (cases[i].ends_at_once) {
      assert_false(vestry_connection_close(c, VESTRY_CAUSE_SHUTDOWN));
    } else {
      take_some(&b, c, 990);
      assert_int_equal(p.ends, 0);
      test_host_advance_ms(&b.th, 20);
    }
    bench_run(&b);
    assert_int_equal(p.close_cause, cases[i].cause);
    finish_slow(&b, &p, c, false);
  }
}

/* capability: E2 */
TEST_CASE(idle_stream_sends_heartbeats) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = 1000});
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  test_host_advance_ms(&b.th, 1000 - 1000 / 16 - 1); /* it may come up to a sixteenth early */
  bench_run(&b);
  probe_assert_got(&p, "");
  test_host_advance_ms(&b.th, 1000 / 16 + 2); /* the wheel ticks in milliseconds: at most one late */
  bench_run(&b);
  probe_assert_got(&p, ":\n\n");
  test_host_advance_ms(&b.th, 600);
  bench_send(&b, c, "x"); /* an event also counts as a sign of life */
  bench_run(&b);
  test_host_advance_ms(&b.th, 600);
  bench_run(&b);
  probe_assert_got(&p, ":\n\n: x\n\n");
  test_host_advance_ms(&b.th, 402);
  bench_run(&b);
  probe_assert_got(&p, ":\n\n: x\n\n:\n\n");
  p.write_answer = VESTRY_IO_HANGUP; /* the next heartbeat detects that the peer is lost */
  test_host_advance_ms(&b.th, 1002);
  bench_run(&b);
  assert_int_equal(p.close_cause, VESTRY_CAUSE_HANGUP);
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.heartbeats_count, 2);
  assert_int_equal(stats.accepted_count, 1);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

/* A heartbeat whose allocation fails is skipped; the stream continues, and the next heartbeat is sent. */
TEST_CASE(heartbeat_is_skipped_without_memory) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = 1000});
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  test_host_fail_in(&b.th, 0);
  test_host_advance_ms(&b.th, 1001);
  bench_run(&b);
  probe_assert_got(&p, "");
  assert_true(vestry_connection_is_open(c));
  test_host_fail_no_more(&b.th);
  test_host_advance_ms(&b.th, 1001);
  bench_run(&b);
  probe_assert_got(&p, ":\n\n");
  vestry_connection_stats stats = probe_stats(c);
  assert_int_equal(stats.heartbeats_count, 1);
  vestry_connection_unref(c);
  bench_finish(&b);
  probe_finish(&p);
}

/* Intervals at the maximum of the 32-bit field, which means none, and above. The last two have small low words. */
TEST_CASE(heartbeat_interval_of_weeks_works) {
  static const uint64_t intervals_ms[] = {UINT32_MAX - 1, UINT32_MAX, (uint64_t)UINT32_MAX + 1,
                                          (uint64_t)UINT32_MAX + 1001};
  for (int i = 0; i < 4; i++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = intervals_ms[i]});
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    bench_run(&b);
    assert_int_equal(next_deadline_ns(&b.runtime->ticker) == UINT64_MAX, i > 0);
    test_host_advance_ms(&b.th, intervals_ms[0] - intervals_ms[0] / 16 - 1); /* it may come up to a sixteenth early */
    bench_run(&b);
    probe_assert_got(&p, "");
    test_host_advance_ms(&b.th, intervals_ms[0] / 16 + 2);
    bench_run(&b);
    probe_assert_got(&p, i ? "" : ":\n\n");
    vestry_connection_stats stats = probe_stats(c);
    assert_int_equal(stats.heartbeats_count, !i);
    vestry_connection_unref(c);
    bench_finish(&b);
    probe_finish(&p);
  }
}

/* capability: E2 */
TEST_CASE(never_disables_heartbeats) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  bench_run(&b);
  assert_true(next_deadline_ns(&b.runtime->ticker) == UINT64_MAX);
  test_host_advance_ms(&b.th, 1000000);
  bench_run(&b);
  probe_assert_got(&p, "");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(transport_failures_map_to_causes) {
  static const struct {
    vestry_io io;
    vestry_cause cause;
  } cases[] = {{VESTRY_IO_HANGUP, VESTRY_CAUSE_HANGUP},
               {VESTRY_IO_STALLED, VESTRY_CAUSE_STALLED},
               {VESTRY_IO_ERROR, VESTRY_CAUSE_ERROR}};
  for (size_t i = 0; i < 3; i++)
    for (int at_open = 0; at_open < 2; at_open++)
      for (int closing = 0; closing < 2; closing++) {
        bench b;
        probe p;
        bench_init(&b, VESTRY_THREADS_NONE, NULL);
        probe_init(&p);
        vestry_connection *c = bench_connect(&b, &p, NULL);
        if (at_open)
          p.open_answer = cases[i].io;
        else
          p.write_answer = cases[i].io;
        bench_send(&b, c, "a");
        if (closing) vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
        vsi_connection_start(c);
        bench_run(&b);
        assert_int_equal(p.close_cause, closing ? VESTRY_CAUSE_CLOSED : cases[i].cause);
        assert_false(p.clean);
        assert_int_equal(p.opened, at_open ? 0 : 1);
        vestry_connection_unref(c);
        probe_finish(&p);
        bench_finish(&b);
      }
}

/* Behind the room are bytes of other streams. */
TEST_CASE(a_length_beyond_the_room_of_a_batch_ends_the_stream) {
  static const size_t beyond[] = {1, SIZE_MAX / 2};
  for (size_t i = 0; i < 2; i++) {
    bench b;
    probe p;
    bench_init(&b, VESTRY_THREADS_NONE, NULL);
    probe_init(&p);
    vestry_connection *c = bench_connect(&b, &p, NULL);
    vsi_connection_start(c);
    bench_run(&b);
    p.beyond = beyond[i];
    bench_send(&b, c, "a");
    bench_run(&b);
    probe_assert_got(&p, p.composed.len ? "" : ": a\n\n"); /* without a batch, compose is not called */
    assert_int_equal(p.close_cause, p.composed.len ? VESTRY_CAUSE_ERROR : VESTRY_CAUSE_NONE);
    assert_int_equal(p.ends, p.composed.len ? 1 : 0);
    vestry_connection_unref(c);
    bench_finish(&b);
    probe_finish(&p);
  }
}

/* capability: C12 */
TEST_CASE(abandoned_connection_counts_and_never_opens) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  bench_send(&b, c, "a");
  vsi_connection_abandon(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(p.opens, 0);
  assert_int_equal(p.closed, 1);
  assert_false(p.clean);
  vestry_connection_unref(c);
  bench_run(&b);
  probe_finish(&p);
  bench_finish(&b);
}

TEST_CASE(connect_refuses_bad_options_and_closed_groups) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = NULL;
  vestry_connection_options options = {.max_queued_count = 1000001};
  assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, &options, NULL, NULL, &c), VESTRY_INVALID);
  options = (vestry_connection_options){.max_queued_bytes = ((size_t)1 << 30) + 1};
  assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, &options, NULL, NULL, &c), VESTRY_INVALID);
  options = (vestry_connection_options){.full = (vestry_full_policy)9};
  assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, &options, NULL, NULL, &c), VESTRY_INVALID);
  vestry_transport_ops ops = probe_pooled;
  ops.end = NULL;
  assert_int_equal(vsi_group_connect(b.group, &ops, &p, NULL, NULL, NULL, &c), VESTRY_INVALID);
  vsi_group_close(b.group);
  assert_int_equal(vsi_group_connect(b.group, &probe_pooled, &p, NULL, NULL, NULL, &c), VESTRY_CLOSED);
  assert_null(c);
  assert_int_equal(p.ends + p.releases, 0); /* on failure the transport still belongs to the caller */
  vsi_buffer_finish(&p.got);
  bench_finish(&b);
}

/* Each allocation in the life of a connection fails once. */
static vestry_err live(test_host *th, void *ctx) {
  vestry_runtime *runtime;
  vestry_runtime_options options = {.host = &th->host, .threads_count = VESTRY_THREADS_NONE};
  vestry_err error = vestry_runtime_create(&options, &runtime);
  if (error) return error;
  vsi_group *group = NULL;
  error = vsi_group_create(runtime, NULL, &group);
  probe p;
  probe_init(&p);
  if (!error) {
    vestry_connection *c = NULL;
    error = vsi_group_connect(group, &probe_pooled, &p, NULL, &probe_hooks, &p, &c);
    if (!error) {
      vsi_connection_start(c);
      error = vestry_connection_patch_signals(c, VESTRY_VALUES("{}"), NULL);
      vestry_err later = vestry_connection_patch_elements(c, "<p>", 3, NULL);
      if (!error) error = later;
      while (vestry_runtime_step(runtime)) continue;
      vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
      while (vestry_runtime_step(runtime)) continue;
      vestry_connection_unref(c);
      assert_true(p.clean);
      assert_int_equal(p.releases, 1);
    }
    vsi_group_close(group);
    vsi_group_unref(group);
  }
  vsi_buffer_finish(&p.got);
  vestry_runtime_destroy(runtime);
  return error;
}

TEST_CASE(connection_survives_every_failed_allocation) {
  test_host_fail_each(live, NULL, getenv("TEST_IO")); /* without memory for a batch, a write is direct */
}

TEST_CASE(transport_taking_single_bytes_gets_all_events) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, &(vestry_connection_options){.heartbeat_ms = 10});
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  p.write_answer = VESTRY_IO_WOULD_BLOCK;
  p.take = 1;
  char expected[4096] = "";
  for (int i = 0; i < 100; i++) {
    char text[16];
    snprintf(text, sizeof text, "%d", i);
    assert_int_equal(bench_send(&b, c, text), VESTRY_OK);
    snprintf(expected + strlen(expected), sizeof expected - strlen(expected), ": %d\n\n", i);
  }
  while (p.got.len < strlen(expected)) {
    vestry_connection_writable(c);
    bench_run(&b);
  }
  probe_assert_got(&p, expected);
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  assert_true(p.clean);
  vestry_connection_unref(c);
  probe_finish(&p);
  bench_finish(&b);
}
