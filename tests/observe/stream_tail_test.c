/* SPDX-License-Identifier: MIT */
/* The tail of a stream returns the written events in order; limits; the end; the stream never waits for its tails. */
#include "ops/observe/stream_tail.h"

#include <pthread.h>
#include <stdio.h>

#include "connection/probe.h"

static void assert_next(vsi_tail *tail, const char *text, bool was_written) {
  vsi_tail_event next;
  assert_true(vsi_tail_take(tail, &next));
  const vestry_slice bytes = vestry_event_bytes(next.event);
  assert_int_equal(bytes.len, strlen(text));
  assert_memory_equal(bytes.data, text, bytes.len);
  assert_int_equal(next.was_written, was_written);
  vestry_event_unref(next.event);
}

static void assert_none(vsi_tail *tail) {
  vsi_tail_event next;
  assert_false(vsi_tail_take(tail, &next));
  assert_null(next.event);
}

/* The next event is one of many, before which others were left out. */
static void assert_left_out(vsi_tail *tail, uint64_t count, size_t least_bytes) {
  vsi_tail_event next;
  assert_true(vsi_tail_take(tail, &next));
  assert_int_equal(next.left_out_count, count);
  assert_true(vestry_event_bytes(next.event).len > least_bytes);
  vestry_event_unref(next.event);
}

static vestry_cause take_cause(vsi_tail *tail, bool has_event) {
  vsi_tail_event next;
  assert_int_equal(vsi_tail_take(tail, &next), has_event);
  vestry_event_unref(next.event);
  return next.cause;
}

static _Atomic(size_t) roused;
static _Atomic(vestry_connection *) roused_to;
static void rouse(vestry_connection *to) {
  roused++;
  roused_to = to;
}

typedef struct pair {
  bench on;
  probe watched, other;
  vestry_connection *connection, *taker;
} pair;

static vestry_connection *start(bench *on, probe *p) {
  vestry_connection *connection = bench_connect(on, p, NULL);
  vsi_connection_start(connection);
  return connection;
}

static void begin(pair *p) {
  bench_init(&p->on, VESTRY_THREADS_NONE, NULL);
  probe_init(&p->watched);
  probe_init(&p->other);
  p->connection = start(&p->on, &p->watched);
  p->taker = start(&p->on, &p->other);
  bench_run(&p->on);
  roused = 0;
}

static void end(pair *p) {
  vestry_connection_unref(p->connection);
  vestry_connection_unref(p->taker);
  bench_finish(&p->on);
  probe_finish(&p->watched);
  probe_finish(&p->other);
}

#define PAIR_CASE(name) TEST_CASE_WITH(name, pair, p, begin(p), end(p))

/* capability: H5 */
PAIR_CASE(tail_returns_the_events_of_its_stream) {
  vsi_tail *tail, *second;
  bench_send(&p->on, p->connection, "before");
  bench_run(&p->on);
  assert_int_equal(vsi_tail_begin(p->connection, &tail), VESTRY_OK);
  vsi_tail_rouse(tail, rouse, p->taker);
  bench_send(&p->on, p->connection, "one");
  bench_send(&p->on, p->connection, "two");
  bench_send(&p->on, p->taker, "of another stream");
  assert_none(tail); /* not written yet */
  bench_run(&p->on);
  assert_int_equal(roused, 1); /* for the first of the two */
  assert_ptr_equal(atomic_load(&roused_to), p->taker);
  assert_int_equal(vsi_tail_begin(p->connection, &second), VESTRY_OK);
  assert_next(tail, ": one\n\n", true);
  assert_next(tail, ": two\n\n", true);
  assert_none(tail);
  bench_send(&p->on, p->connection, "both");
  bench_run(&p->on);
  assert_next(tail, ": both\n\n", true);
  vsi_tail_end(tail);
  bench_send(&p->on, p->connection, "the second's");
  bench_run(&p->on);
  assert_next(second, ": both\n\n", true);
  assert_next(second, ": the second's\n\n", true);
  assert_int_equal(roused, 2);
  vsi_tail_end(second);
  assert_int_equal(atomic_load(&p->connection->tailed), VSI_TAILED_NOT);
  probe_assert_got(&p->watched, ": before\n\n: one\n\n: two\n\n: both\n\n: the second's\n\n");
}

/* capability: H5 */
TEST_CASE(tail_is_bounded_and_counts_lost_events) {
  enum { MORE = 20 };
  pair p;
  vsi_tail *tail;
  begin(&p);
  assert_int_equal(vsi_tail_begin(p.connection, &tail), VESTRY_OK);
  for (int i = 0; i < VSI_TAIL_EVENTS_MAX + MORE; i++) assert_int_equal(bench_send(&p.on, p.connection, "x"), 0);
  bench_run(&p.on);
  assert_left_out(tail, MORE, 0);
  assert_left_out(tail, 0, 0);
  for (int i = 2; i < VSI_TAIL_EVENTS_MAX; i++) assert_next(tail, ": x\n\n", true);
  assert_none(tail);
  static char large[VSI_TAIL_BYTES_MAX / 2 + 1]; /* two of this size exceed the limit */
  memset(large, 'y', sizeof large - 1);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(bench_send(&p.on, p.connection, large), VESTRY_OK);
    bench_run(&p.on);
  }
  bench_send(&p.on, p.connection, "small");
  bench_run(&p.on);
  assert_left_out(tail, 1, sizeof large);
  assert_next(tail, ": small\n\n", true);
  bench_send(&p.on, p.connection, "left in it");
  bench_run(&p.on);
  vsi_tail_end(tail);
  end(&p);
}

/* capability: H5 */
PAIR_CASE(tail_returns_the_cause_of_the_end) {
  vsi_tail *tail, *late;
  assert_int_equal(vsi_tail_begin(p->connection, &tail), VESTRY_OK);
  vsi_tail_rouse(tail, rouse, p->taker);
  assert_int_equal(take_cause(tail, false), VESTRY_CAUSE_NONE);
  bench_send(&p->on, p->connection, "lost");
  vestry_connection_close(p->connection, VESTRY_CAUSE_STALLED);
  bench_run(&p->on);
  assert_int_equal(roused, 2);
  assert_next(tail, ": lost\n\n", false);
  assert_int_equal(take_cause(tail, false), VESTRY_CAUSE_STALLED);
  assert_int_equal(vsi_tail_begin(p->connection, &late), VESTRY_CLOSED);
  vsi_tail_end(tail);
  vsi_tail_end(NULL);
}

/* capability: H5 */
PAIR_CASE(tails_per_stream_are_limited) {
  vsi_tail *tails[VSI_TAILS_MAX], *more;
  vsi_tail_exclude(p->taker);
  assert_true(vsi_tail_is_excluded(p->taker));
  assert_false(vsi_tail_is_excluded(p->connection));
  assert_int_equal(vsi_tail_begin(p->taker, &more), VESTRY_INVALID);
  for (int i = 0; i < VSI_TAILS_MAX; i++) assert_int_equal(vsi_tail_begin(p->connection, &tails[i]), VESTRY_OK);
  assert_int_equal(vsi_tail_begin(p->connection, &more), VESTRY_LIMIT);
  vsi_tail_end(tails[3]);
  assert_int_equal(vsi_tail_begin(p->connection, &tails[3]), VESTRY_OK);
  bench_send(&p->on, p->connection, "to all");
  bench_run(&p->on);
  for (int i = 0; i < VSI_TAILS_MAX; i++) {
    assert_next(tails[i], ": to all\n\n", true);
    vsi_tail_end(tails[i]);
  }
}

PAIR_CASE(tail_begin_without_memory_fails) {
  vsi_tail *tail;
  test_host_fail_in(&p->on.th, 0);
  assert_int_equal(vsi_tail_begin(p->connection, &tail), VESTRY_NO_MEMORY);
  test_host_fail_no_more(&p->on.th);
  assert_int_equal(vsi_tail_begin(p->connection, &tail), VESTRY_OK);
  vsi_tail_end(tail);
}

/* --------------------------------------------------------------------------------------------- threads ----------- */

typedef struct sender {
  bench *on;
  vestry_connection *connection;
} sender;

enum { SENT = 3000 };

static void *send_all(void *of) {
  sender *s = of;
  for (int i = 0; i < SENT; i++)
    while (bench_send(s->on, s->connection, "x") == VESTRY_FULL) continue;
  vestry_connection_close(s->connection, VESTRY_CAUSE_CLOSED);
  return NULL;
}

/* Tails begin, take and end while the stream runs and ends. Each event is taken or counted while a tail exists. */
TEST_CASE(tails_begin_and_end_while_the_stream_runs) {
  bench on;
  probe watched, other;
  vsi_tail *whole, *brief;
  pthread_t thread;
  bench_init(&on, 2, &(vestry_connection_options){.full = VESTRY_FULL_DROP});
  probe_init(&watched);
  probe_init(&other);
  sender s = {&on, start(&on, &watched)};
  vestry_connection *taker = start(&on, &other);
  assert_int_equal(vsi_tail_begin(s.connection, &whole), VESTRY_OK);
  vsi_tail_rouse(whole, rouse, taker);
  assert_int_equal(pthread_create(&thread, NULL, send_all, &s), 0);
  uint64_t seen = 0;
  vsi_tail_event next = {.cause = VESTRY_CAUSE_NONE};
  do {
    if (!vsi_tail_begin(s.connection, &brief)) {
      vsi_tail_rouse(brief, rouse, taker);
      while (vsi_tail_take(brief, &next)) vestry_event_unref(next.event);
      vsi_tail_end(brief);
    }
    while (vsi_tail_take(whole, &next)) {
      vestry_event_unref(next.event);
      seen += 1 + next.left_out_count;
    }
    seen += next.left_out_count;
  } while (!next.cause);
  assert_int_equal(seen, SENT);
  vsi_tail_end(whole);
  pthread_join(thread, NULL);
  vestry_connection_unref(s.connection);
  vestry_connection_unref(taker);
  bench_finish(&on);
  probe_finish(&watched);
  probe_finish(&other);
}
