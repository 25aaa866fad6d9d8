/* SPDX-License-Identifier: MIT */
/* C10: events that are sent together are written complete, in order and without other events in between, or not at
 * all. */
#include <pthread.h>

#include "connection/probe.h"

enum { MOST = 20 };

/* Send comments, from the number `from` on. */
static vestry_err send_numbers(bench *b, vestry_connection *c, const char *before, int from, size_t count) {
  vestry_event *events[MOST] = {NULL};
  for (size_t i = 0; i < count; i++) {
    char text[32];
    snprintf(text, sizeof text, "%s%d", before, from + (int)i);
    events[i] = bench_event(b, text);
  }
  vestry_err error = vestry_connection_send_all(c, events, count);
  for (size_t i = 0; i < count; i++) vestry_event_unref(events[i]);
  return error;
}

static void end(bench *b, probe *p, vestry_connection *c) {
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(p);
}

/* capability: C10 */
BENCH_CASE(c10_effects_are_one_write) {
  probe p;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  vsi_connection_start(c);
  assert_int_equal(vestry_connection_effects(
                       c, VESTRY_LIST(VESTRY_LIST("patch-elements", "<p>"), VESTRY_LIST("patch-signals", "{}"),
                                      VESTRY_LIST("execute-script", "f()"), VESTRY_LIST("send-event", "n", "more"))),
                   VESTRY_OK);
  bench_run(b);
  assert_int_equal(p.writes, 1);
  probe_assert_got(&p, "event: datastar-patch-elements\ndata: elements <p>\n\n"
                       "event: datastar-patch-signals\ndata: signals {}\n\n"
                       "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
                       "data: elements <script data-effect=\"el.remove()\">f()</script>\n\nevent: n\ndata: more\n\n");
  end(b, &p, c);
}

/* capability: C10 */
BENCH_CASE(c10_batch_over_limit_is_refused_whole) {
  probe p;
  probe_init(&p);
  vestry_connection_options options = {.max_queued_count = 3, .full = VESTRY_FULL_DROP};
  vestry_connection *c = bench_connect(b, &p, &options);
  vsi_connection_start(c);
  assert_int_equal(send_numbers(b, c, "", 1, 2), VESTRY_OK);
  assert_int_equal(send_numbers(b, c, "", 1, 2), VESTRY_FULL);      /* one place is left, two are needed */
  assert_int_equal(send_numbers(b, c, "", 1, 4), VESTRY_TOO_LARGE); /* never fits */
  bench_run(b);
  probe_assert_got(&p, ": 1\n\n: 2\n\n");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(send_numbers(b, c, "", 1, 4), VESTRY_CLOSED);
  end(b, &p, c);
}

/* capability: C10 */
BENCH_CASE(c10_one_refused_effect_refuses_all) {
  probe p;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  vsi_connection_start(c);
  const struct {
    const vestry_value *effects;
    vestry_err error;
  } rows[] = {
      {VESTRY_LIST(VESTRY_LIST("patch-elements", "<p>"), VESTRY_LIST("patch-signals", "alert(1)")), VESTRY_INVALID},
      {VESTRY_LIST(VESTRY_LIST("patch-elements", "<p>"), VESTRY_LIST("close-sse")), VESTRY_NOT_FOUND},
      {VESTRY_LIST(VESTRY_LIST("patch-elements", "<p>"), 7), VESTRY_NOT_FOUND},
      {VESTRY_LIST("patch-elements", "\xff"), VESTRY_INVALID},
      {VESTRY_LIST("my-effect"), VESTRY_NOT_FOUND},
      {VESTRY_OBJECT("a", 1), VESTRY_INVALID},
      {VESTRY_VALUES("patch-elements"), VESTRY_INVALID},
      {NULL, VESTRY_INVALID},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const size_t lines = b->th.log_lines;
    assert_int_equal(vestry_connection_effects(c, rows[i].effects), rows[i].error);
    assert_int_equal(b->th.log_lines, lines + 1);
  }
  bench_run(b);
  probe_assert_got(&p, "");
  end(b, &p, c);
}

BENCH_CASE(c10_failed_allocation_sends_nothing) {
  probe p;
  probe_init(&p);
  vestry_connection *c = bench_connect(b, &p, NULL);
  vsi_connection_start(c);
  bench_run(b);
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    const long live = b->th.live;
    test_host_fail_in(&b->th, number);
    error = vestry_connection_effects(
        c, VESTRY_LIST(VESTRY_LIST("patch-elements", "<p>"), VESTRY_LIST("patch-signals", "{}")));
    test_host_fail_no_more(&b->th);
    assert_true(!error || (error == VESTRY_NO_MEMORY && b->th.live == live));
  }
  bench_run(b);
  probe_assert_got(&p, "event: datastar-patch-elements\ndata: elements <p>\n\n"
                       "event: datastar-patch-signals\ndata: signals {}\n\n");
  end(b, &p, c);
}

/* -------------------------------------------------------------------------------------------- under threads ---- */

enum { SENDERS = 4, CONNECTIONS = 3, BATCHES = 500, SIZE = MOST };

typedef struct sender {
  pthread_barrier_t *start;
  bench *b;
  vestry_connection **connections;
  int number;
} sender;

/* Batches "sender/number/place", and between them single events "sender/number/-1". */
static void *send_batches(void *argument) {
  sender *s = argument;
  pthread_barrier_wait(s->start);
  for (int n = 0; n < BATCHES; n++) {
    char text[32];
    snprintf(text, sizeof text, "%d/%d/", s->number, n);
    for (int c = 0; c < CONNECTIONS; c++) send_numbers(s->b, s->connections[c], text, 0, SIZE);
    snprintf(text, sizeof text, "%d/%d/-1", s->number, n);
    for (int c = 0; c < CONNECTIONS; c++) bench_send(s->b, s->connections[c], text);
  }
  return NULL;
}

/* Read a number and the text that must follow it. This is written by hand because sscanf searches for the end of the
 * whole text on each call, and so does strtol under the address sanitizer. */
static int read_number(const char **at, const char *behind) {
  int number = 0, sign = **at == '-' ? -1 : 1;
  if (sign < 0) ++*at;
  assert_true(**at >= '0' && **at <= '9');
  for (; **at >= '0' && **at <= '9'; ++*at) number = number * 10 + (**at - '0');
  for (; *behind; behind++) assert_int_equal(*(*at)++, *behind);
  return sign * number;
}

/* Read one event; place -1: a single one. */
static const char *read_one(const char *at, int *who, int *number, int *place) {
  assert_true(at[0] == ':' && at[1] == ' ');
  at += 2;
  *who = read_number(&at, "/");
  *number = read_number(&at, "/");
  *place = read_number(&at, "\n\n");
  return at;
}

/* Check that each batch is complete and contiguous, and each sender's events are in order. Returns the number of
 * batches. */
static size_t assert_whole(probe *p) {
  int next[SENDERS] = {0};
  size_t batches = 0;
  const char *at = vsi_buffer_terminate(&p->got);
  while (*at) {
    int who, number, place;
    at = read_one(at, &who, &number, &place);
    assert_true(who >= 0 && who < SENDERS && number >= next[who]);
    next[who] = number;
    if (place < 0) continue;
    assert_int_equal(place, 0);
    for (int i = 1; i < SIZE; i++) {
      int same_who, same_number, following;
      at = read_one(at, &same_who, &same_number, &following);
      assert_int_equal(same_who, who);
      assert_int_equal(same_number, number);
      assert_int_equal(following, i);
    }
    batches++;
  }
  return batches;
}

/* tight: the queues are so small that batches are refused all the time. */
static void send_batches_concurrently(bool tight) {
  bench b;
  bench_init(&b, 3,
             &(vestry_connection_options){.max_queued_count = tight ? 2 * SIZE + 1 : 100000,
                                          .full = VESTRY_FULL_DROP,
                                          .heartbeat_ms = VESTRY_NEVER_MS});
  static probe probes[CONNECTIONS];
  vestry_connection *connections[CONNECTIONS];
  for (int c = 0; c < CONNECTIONS; c++) {
    probe_init(&probes[c]);
    connections[c] = bench_connect(&b, &probes[c], NULL);
    vsi_connection_start(connections[c]);
  }
  sender senders[SENDERS];
  pthread_t ids[SENDERS];
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, SENDERS);
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = (sender){.start = &start, .b = &b, .connections = connections, .number = i};
    assert_int_equal(pthread_create(&ids[i], NULL, send_batches, &senders[i]), 0);
  }
  for (int i = 0; i < SENDERS; i++) pthread_join(ids[i], NULL);
  pthread_barrier_destroy(&start);
  for (int c = 0; c < CONNECTIONS; c++) {
    vestry_connection_close(connections[c], VESTRY_CAUSE_CLOSED);
    vestry_connection_unref(connections[c]);
  }
  assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
  bench_finish(&b);
  for (int c = 0; c < CONNECTIONS; c++) {
    size_t batches = assert_whole(&probes[c]);
    if (!tight) assert_int_equal(batches, SENDERS * BATCHES);
    assert_true(batches > 0);
    probe_finish(&probes[c]);
  }
}

/* capability: C10 */
TEST_CASE(c10_no_event_interrupts_a_batch) {
  for (int i = 0; i < 3; i++) send_batches_concurrently(false);
}

TEST_CASE(c10_refused_batches_leave_no_events) {
  for (int i = 0; i < 3; i++) send_batches_concurrently(true);
}
