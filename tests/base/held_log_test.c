/* SPDX-License-Identifier: MIT */
/* Which lines about repeated failures are logged: each reason once a minute, with the number of lines left out. */
#include "base/held_log.h"

#include <pthread.h>

#include "base/log.h"
#include "support/test.h"
#include "support/test_host.h"

#define SECOND UINT64_C(1000000000)

TEST_CASE(each_reason_is_due_once_a_minute) {
  vsi_repeated_log log = {0};
  const uint32_t a = vsi_log_reason("a"), b = vsi_log_reason("b");
  uint32_t left_out = 77;
  assert_int_not_equal(a, b);
  for (unsigned second = 0; second < 300; second++) { /* a and b alternate */
    const bool is_first = second == 0, is_due = second % 60 == 0;
    assert_int_equal(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, a, second * SECOND, &left_out), is_due);
    if (is_due) assert_int_equal(left_out, is_first ? 0 : 59);
    assert_int_equal(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, b, second * SECOND + SECOND / 2, NULL), is_due);
  }
  /* a clock that is behind, as of a thread that was interrupted after it had read the time */
  assert_false(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, a, 239 * SECOND, &left_out));
}

TEST_CASE(burst_of_a_reason_is_due_at_once) {
  vsi_repeated_log log = {0};
  const vsi_log_rate rate = {10 * SECOND, 20};
  uint32_t left_out;
  unsigned lines = 0, again = 0; /* again: after a pause, a burst is due again */
  for (unsigned i = 0; i < 30; i++) lines += vsi_log_is_due(&log, rate, 1, SECOND, &left_out);
  assert_int_equal(lines, 20);
  for (unsigned second = 2; second < 300; second++) { /* less than one each 10 s is lost by the units of time */
    if (!vsi_log_is_due(&log, rate, 1, second * SECOND, &left_out)) continue;
    assert_int_equal(left_out, lines == 20 ? 19 : 9);
    lines++;
  }
  assert_int_equal(lines, 20 + 29);
  for (unsigned i = 0; i < 30; i++) again += vsi_log_is_due(&log, rate, 1, 600 * SECOND, NULL);
  assert_int_equal(again, 20);
}

TEST_CASE(new_reason_replaces_one_that_was_not_logged_for_a_minute) {
  vsi_repeated_log log = {0};
  uint32_t left_out;
  for (unsigned i = 0; i < VSI_REPEATED_REASONS; i++)
    for (unsigned k = 0; k < 2; k++)
      assert_int_equal(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 1 + i, i * SECOND, NULL), k == 0);
  assert_false(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 100, 59 * SECOND, NULL)); /* no more reasons in this minute */
  assert_true(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 100, 60 * SECOND, &left_out));
  assert_int_equal(left_out, 0); /* the lines that were left out had another reason */
  assert_false(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 101, 60 * SECOND, NULL));
  assert_false(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 2, 60 * SECOND, NULL));
  assert_true(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 2, 61 * SECOND, &left_out));
  assert_int_equal(left_out, 2);
  assert_false(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 100, 119 * SECOND, NULL));
  assert_true(vsi_log_is_due(&log, VSI_ONCE_A_MINUTE, 100, 120 * SECOND, &left_out));
  assert_int_equal(left_out, 1);
}

enum { THREADS = 4, MINUTES = 500, TRIES = 20 };

static struct {
  vsi_repeated_log log;
  pthread_barrier_t minute;
  _Atomic(unsigned) due[MINUTES];
} shared;

static void *report(void *ctx) {
  for (unsigned minute = 0; minute < MINUTES; minute++) {
    pthread_barrier_wait(&shared.minute);
    for (unsigned i = 0; i < TRIES; i++)
      if (vsi_log_is_due(&shared.log, VSI_ONCE_A_MINUTE, 1 + minute % 3, minute * 61 * SECOND, NULL))
        atomic_fetch_add(&shared.due[minute], 1);
  }
  return NULL;
}

TEST_CASE(one_of_several_threads_logs_a_reason) {
  pthread_t threads[THREADS];
  pthread_barrier_init(&shared.minute, NULL, THREADS);
  for (size_t i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, report, NULL), 0);
  for (size_t i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&shared.minute);
  for (size_t i = 0; i < MINUTES; i++) assert_int_equal(atomic_load(&shared.due[i]), 1);
}

HOST_CASE(line_has_the_number_of_those_that_were_left_out) {
  char text[2000];
  vsi_repeated_log log = {0};
  for (int i = 0; i < 3; i++)
    assert_int_equal(vsi_log_repeated(&th->host, &log, 7, VESTRY_LOG_WARN, "row %d is dropped", i), i == 0);
  assert_int_equal(th->log_lines, 1);
  assert_string_equal(th->last_log, "row 0 is dropped");
  test_host_advance_ms(th, 60000);
  assert_true(vsi_log_repeated(&th->host, &log, 7, VESTRY_LOG_WARN, "row 3 is dropped"));
  assert_string_equal(th->last_log, "row 3 is dropped (and 2 times before)");
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  for (int i = 0; i < 3; i++) { /* without a reason, the text is the reason; the number has room */
    assert_int_equal(vsi_log_repeated(&th->host, &log, 0, VESTRY_LOG_ERROR, "%s", text), i != 1);
    if (i) test_host_advance_ms(th, 60000);
  }
  assert_non_null(strstr(th->last_log, "xxx (and 1 times before)"));
  const long lines = th->log_lines;
  for (int i = 0; i < 3; i++) assert_true(vsi_log_repeated(&th->host, NULL, 7, VESTRY_LOG_WARN, "once"));
  assert_int_equal(th->log_lines, lines + 3);
  th->host.log = NULL;
  assert_false(vsi_log_repeated(&th->host, NULL, 7, VESTRY_LOG_WARN, "once"));
}

/* Frequent lines at DEBUG leave the reasons to others. */
HOST_CASE(lines_at_debug_use_up_no_reasons) {
  vsi_repeated_log log = {0};
  for (uint32_t i = 1; i <= VSI_REPEATED_REASONS; i++)
    for (int j = 0; j < 2; j++) assert_true(vsi_log_repeated(&th->host, &log, i, VESTRY_LOG_DEBUG, "a stream closed"));
  assert_true(vsi_log_repeated(&th->host, &log, VSI_REPEATED_REASONS + 1, VESTRY_LOG_ERROR, "the disk is full"));
  assert_string_equal(th->last_log, "the disk is full");
}

/* The code that holds a line back decides how often it logs it, and needs it each time. */
TEST_CASE(line_that_is_held_back_is_always_due) {
  enum { CALLS = 100 };
  vsi_repeated_log log = {0};
  test_host th;
  test_host_init(&th);
  for (int i = 0; i < CALLS; i++) {
    vsi_held_log held;
    vsi_log_hold(&held);
    if (i % 2)
      assert_true(vsi_log_repeated(&th.host, &log, 7, VESTRY_LOG_ERROR, "the cause"));
    else
      assert_int_equal(vsi_mistake(&th.host, "the", "cause"), VESTRY_INVALID);
    vsi_log_release(&held);
    assert_string_equal(held.line, i % 2 ? "the cause" : "the: cause");
  }
  assert_int_equal(th.log_lines, 0);
  test_host_assert_clean(&th);
}
