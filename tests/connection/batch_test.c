/* SPDX-License-Identifier: MIT */
/* C10: a batch is written complete, in order and without other events in between, or not at all. */
#include "vestry/batch.h"

#include <pthread.h>

#include "connection/probe.h"

static void add(bench *b, vestry_batch *batch, const char *text) {
  vestry_event *event = bench_event(b, text);
  assert_int_equal(vestry_batch_add(batch, event), VESTRY_OK);
  vestry_event_unref(event);
}

static void end(bench *b, probe *p, vestry_connection *c) {
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  bench_run(b);
  vestry_connection_unref(c);
  probe_finish(p);
}

/* capability: C10 */
static void c10_a_batch_is_one_write(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  vestry_batch *batch = NULL;
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK); /* nothing to send */
  add(&b, batch, "a");
  assert_int_equal(vestry_batch_patch_elements(batch, "<p>", 3, NULL), VESTRY_OK);
  assert_int_equal(vestry_batch_patch_signals_text(batch, "{}", 2, NULL), VESTRY_OK);
  assert_int_equal(vestry_batch_execute_script(batch, "f()", 3, &(vestry_script_options){.keep = true}), VESTRY_OK);
  for (int i = 0; i < 9; i++) add(&b, batch, "more");
  assert_int_equal(batch->count, 13);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK);
  bench_run(&b);
  assert_int_equal(p.writes, 1);
  static const char head[] = ": a\n\nevent: datastar-patch-elements\ndata: elements <p>\n\n"
                             "event: datastar-patch-signals\ndata: signals {}\n\n"
                             "event: datastar-patch-elements\ndata: selector body\ndata: mode append\n"
                             "data: elements <script>f()</script>\n\n: more\n\n: more\n\n";
  assert_memory_equal(p.got.data, head, sizeof head - 1);
  size_t len = p.got.len;
  vestry_batch_destroy(batch);
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  add(&b, batch, "again");
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK); /* a batch can be sent any number of times */
  vestry_batch_destroy(batch);                              /* the events sent before are queued */
  bench_run(&b);
  assert_int_equal(p.got.len, len + 2 * strlen(": again\n\n"));
  vestry_batch_destroy(NULL);
  end(&b, &p, c);
  bench_finish(&b);
}

/* capability: C10 */
static void c10_batch_over_limit_is_refused_whole(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection_options options = {.max_queued_count = 3, .full = VESTRY_FULL_DROP};
  vestry_connection *c = bench_connect(&b, &p, &options);
  vsi_connection_start(c);
  vestry_batch *batch = NULL;
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  add(&b, batch, "1");
  add(&b, batch, "2");
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_FULL); /* one place is left, two are needed */
  add(&b, batch, "3");
  add(&b, batch, "4");
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_TOO_LARGE); /* never fits */
  bench_run(&b);
  probe_assert_got(&p, ": 1\n\n: 2\n\n");
  vestry_connection_close(c, VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_CLOSED);
  vestry_batch_destroy(batch);
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_CLOSED);
  vestry_batch_destroy(batch);
  end(&b, &p, c);
  bench_finish(&b);
}

static void c10_batch_is_sent_to_each_connection(void **state) {
  bench b;
  probe p[3];
  vestry_connection *c[3];
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  vestry_connection_options small = {.max_queued_count = 1, .full = VESTRY_FULL_DROP};
  for (int i = 0; i < 3; i++) {
    probe_init(&p[i]);
    c[i] = bench_connect(&b, &p[i], i == 1 ? &small : NULL);
    vsi_connection_start(c[i]);
  }
  vestry_batch *batch = NULL;
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  add(&b, batch, "x");
  for (int i = 0; i < 3; i++) assert_int_equal(vestry_batch_send(batch, c[i]), VESTRY_OK);
  add(&b, batch, "y");
  for (int i = 0; i < 3; i++) assert_int_equal(vestry_batch_send(batch, c[i]), i == 1 ? VESTRY_TOO_LARGE : VESTRY_OK);
  bench_run(&b);
  probe_assert_got(&p[0], ": x\n\n: x\n\n: y\n\n");
  probe_assert_got(&p[1], ": x\n\n");
  probe_assert_got(&p[2], ": x\n\n: x\n\n: y\n\n");
  vestry_batch_destroy(batch);
  bench_run(&b);
  for (int i = 0; i < 3; i++) end(&b, &p[i], c[i]);
  bench_finish(&b);
}

/* capability: C10 */
static void c10_failed_add_fails_the_batch(void **state) {
  bench b;
  probe p;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  probe_init(&p);
  vestry_connection *c = bench_connect(&b, &p, NULL);
  vsi_connection_start(c);
  vestry_batch *batch = NULL;
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  add(&b, batch, "1");
  assert_int_equal(vestry_batch_patch_signals_text(batch, "alert(1)", 8, NULL), VESTRY_INVALID);
  vestry_event *event = bench_event(&b, "2");
  assert_int_equal(vestry_batch_add(batch, event), VESTRY_INVALID);
  assert_int_equal(vestry_batch_patch_elements(batch, "<p>", 3, NULL), VESTRY_INVALID);
  assert_int_equal(batch->count, 1);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_INVALID);
  vestry_batch_destroy(batch);
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  assert_int_equal(vestry_batch_add(batch, NULL), VESTRY_INVALID);
  vestry_batch_destroy(batch);
  assert_int_equal(vestry_batch_create(&b.th.host, &batch), VESTRY_OK);
  assert_int_equal(vestry_batch_add(batch, event), VESTRY_OK);
  assert_int_equal(vestry_batch_send(batch, c), VESTRY_OK);
  vestry_event_unref(event);
  vestry_batch_destroy(batch);
  bench_run(&b);
  probe_assert_got(&p, ": 2\n\n");
  end(&b, &p, c);
  bench_finish(&b);
}

static vestry_err fill(test_host *th, void *ctx) {
  vestry_batch *batch = NULL;
  vestry_err error = vestry_batch_create(&th->host, &batch);
  for (int i = 0; i < 20 && !error; i++) error = vestry_batch_patch_elements(batch, "<p>", 3, NULL);
  vestry_batch_destroy(batch);
  return error;
}

static void c10_out_of_memory_is_reported(void **state) {
  test_host_fail_each(fill, NULL, false);
}

/* -------------------------------------------------------------------------------------------- under threads ---- */

enum { SENDERS = 4, CONNECTIONS = 3, BATCHES = 500, SIZE = 20 };

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
    vestry_batch *batch = NULL;
    assert_int_equal(vestry_batch_create(&s->b->th.host, &batch), VESTRY_OK);
    for (int i = 0; i < SIZE; i++) {
      snprintf(text, sizeof text, "%d/%d/%d", s->number, n, i);
      add(s->b, batch, text);
    }
    for (int c = 0; c < CONNECTIONS; c++) vestry_batch_send(batch, s->connections[c]);
    snprintf(text, sizeof text, "%d/%d/-1", s->number, n);
    for (int c = 0; c < CONNECTIONS; c++) bench_send(s->b, s->connections[c], text);
    vestry_batch_destroy(batch);
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
static void c10_no_event_interrupts_a_batch(void **state) {
  for (int i = 0; i < 3; i++) send_batches_concurrently(false);
}

static void c10_refused_batches_leave_no_events(void **state) {
  for (int i = 0; i < 3; i++) send_batches_concurrently(true);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(c10_a_batch_is_one_write),
      cmocka_unit_test(c10_batch_over_limit_is_refused_whole),
      cmocka_unit_test(c10_batch_is_sent_to_each_connection),
      cmocka_unit_test(c10_failed_add_fails_the_batch),
      cmocka_unit_test(c10_out_of_memory_is_reported),
      cmocka_unit_test(c10_no_event_interrupts_a_batch),
      cmocka_unit_test(c10_refused_batches_leave_no_events),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
