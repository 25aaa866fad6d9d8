/* SPDX-License-Identifier: MIT */
#include "event/script.h"
#include "vestry/event.h"

#include <pthread.h>

#include "event/expect.h"
#include "event/extras.h"
#include "event/layout.h"
#include "support/test.h"
#include "support/test_host.h"

TEST_CASE(comment_is_written_and_line_breaks_are_refused) {
  vestry_event *event = expect_untouched;
  expect_event(vsi_event_comment(NULL, NULL, &event), &event, ":\n\n");
  expect_event(vsi_event_comment(NULL, "", &event), &event, ":\n\n");
  expect_event(vsi_event_comment(NULL, "still here: yes", &event), &event, ": still here: yes\n\n");
  event = expect_untouched;
  expect_error(vsi_event_comment(NULL, "a\nb", &event), &event, VESTRY_INVALID);
  expect_error(vsi_event_comment(NULL, "a\rdata: b", &event), &event, VESTRY_INVALID);
}

TEST_CASE(last_unref_frees_the_event) {
  test_host th;
  test_host_init(&th);
  vestry_event *event;
  assert_int_equal(vestry_event_elements(&th.host, "<p>", 3, NULL, &event), VESTRY_OK);
  assert_int_equal(atomic_load(&th.allocations), 1); /* one allocation for header and bytes */
  assert_ptr_equal(vestry_event_ref(event), event);
  assert_null(vestry_event_unref(event));
  assert_int_equal(atomic_load(&th.live), 1);
  assert_memory_equal(vestry_event_bytes(event).data, "event: ", 7);
  assert_null(vestry_event_unref(event));
  test_host_assert_clean(&th);
  assert_null(vestry_event_unref(NULL));
}

/* An event references its predecessor, and no event before that. */
/* capability: F1 */
TEST_CASE(event_keeps_only_its_direct_predecessor) {
  test_host th;
  test_host_init(&th);
  vestry_event *last = NULL;
  for (int i = 0; i < 100; i++) {
    vestry_event *next = NULL;
    assert_int_equal(vsi_event_comment(&th.host, "next", &next), VESTRY_OK);
    vestry_event_follow(next, last);
    vestry_event_unref(last);
    last = next;
    assert_int_equal(atomic_load(&th.live), i ? 2 : 1);
  }
  vestry_event *previous = vsi_event_take_previous(last);
  assert_non_null(previous);
  assert_null(vsi_event_take_previous(last));
  assert_null(vsi_event_take_previous(previous));
  vestry_event_follow(last, previous);
  vestry_event_follow(last, last);     /* no effect */
  vestry_event_follow(last, previous); /* again: still one reference */
  vestry_event_follow(NULL, previous);
  vestry_event_follow(previous, last); /* the opposite direction: no cycle */
  assert_int_equal(atomic_load(&th.live), 2);
  assert_null(vsi_event_take_previous(last));
  vestry_event_unref(previous);
  assert_int_equal(atomic_load(&th.live), 1);
  vestry_event_unref(last);
  test_host_assert_clean(&th);
  /* a chain built from its end has its full length, and is freed without recursion */
  enum { LONG = 300000 };
  for (int i = 0; i < LONG; i++) {
    vestry_event *next = NULL;
    assert_int_equal(vsi_event_comment(&th.host, NULL, &next), VESTRY_OK);
    if (i)
      vestry_event_follow(previous, next);
    else
      last = vestry_event_ref(next);
    if (i) vestry_event_unref(previous);
    previous = next;
  }
  vestry_event_unref(previous);
  assert_int_equal(atomic_load(&th.live), LONG);
  vestry_event_unref(last);
  test_host_assert_clean(&th);
}

TEST_CASE(event_gets_its_number_once) {
  vestry_event *a = NULL, *b = NULL;
  _Atomic(uint64_t) counter = UINT64_MAX, another = 5;
  assert_int_equal(vsi_event_comment(NULL, NULL, &a), VESTRY_OK);
  assert_int_equal(vsi_event_comment(NULL, NULL, &b), VESTRY_OK);
  assert_true(vsi_event_number(a, &counter) == UINT64_MAX);
  assert_true(vsi_event_number(b, &counter) == 1); /* never 0 */
  assert_true(vsi_event_number(a, &another) == UINT64_MAX);
  assert_true(atomic_load(&another) == 5);
  vestry_event_unref(a);
  vestry_event_unref(b);
}

enum { THREADS = 4, ROUNDS = 20000 };

/* Threads set and take predecessors concurrently: each reference is dropped once. */
static void *follow_and_take(void *ctx) {
  vestry_event *const *events = ctx;
  for (int i = 0; i < ROUNDS; i++) {
    vestry_event_follow(events[i % 3], events[(i + 1) % 3]);
    vestry_event_unref(vsi_event_take_previous(events[i % 2]));
  }
  return NULL;
}

TEST_CASE(concurrent_follow_and_take_drop_each_reference) {
  test_host th;
  test_host_init(&th);
  vestry_event *events[3];
  pthread_t threads[THREADS];
  for (int i = 0; i < 3; i++) assert_int_equal(vsi_event_comment(&th.host, NULL, &events[i]), VESTRY_OK);
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, follow_and_take, events), 0);
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < 3; i++) vestry_event_follow(events[i], NULL); /* the threads may have built a cycle */
  for (int i = 0; i < 3; i++) vestry_event_unref(events[i]);
  test_host_assert_clean(&th);
}

static void *share(void *ctx) {
  vestry_event *event = ctx;
  size_t sum = 0;
  for (int i = 0; i < ROUNDS; i++) {
    vestry_event *mine = vestry_event_ref(event);
    sum += ((const unsigned char *)vestry_event_bytes(mine).data)[0];
    vestry_event_unref(mine);
  }
  vestry_event_unref(event); /* the reference of this thread; one of them is the last */
  return sum == (size_t)ROUNDS * 'e' ? NULL : ctx;
}

TEST_CASE(concurrent_references_free_the_event_once) {
  test_host th;
  test_host_init(&th);
  vestry_event *event;
  assert_int_equal(vestry_event_elements(&th.host, "<p>", 3, NULL, &event), VESTRY_OK);
  pthread_t threads[THREADS];
  for (int i = 0; i < THREADS; i++) {
    assert_int_equal(pthread_create(&threads[i], NULL, share, vestry_event_ref(event)), 0);
  }
  vestry_event_unref(event);
  for (int i = 0; i < THREADS; i++) {
    void *wrong;
    assert_int_equal(pthread_join(threads[i], &wrong), 0);
    assert_null(wrong);
  }
  test_host_assert_clean(&th);
}

static vestry_err make_one_of_each(test_host *th, void *ctx) {
  vestry_event *events[5] = {NULL};
  vestry_err error = vestry_event_elements(&th->host, "<p>\n", 4, NULL, &events[0]);
  if (!error) error = vestry_event_effect(&th->host, VESTRY_LIST("remove-elements", "#p"), &events[1]);
  if (!error) error = vsi_event_signals_text(&th->host, "{}", 2, NULL, &events[2]);
  if (!error) error = vsi_event_script(&th->host, "f()", 3, &(vsi_script_options){0}, &events[3]);
  if (!error) error = vsi_event_comment(&th->host, NULL, &events[4]);
  if (error) assert_null(events[4]);
  for (int i = 0; i < 5; i++) vestry_event_unref(events[i]);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(make_one_of_each, NULL, false);
}

/* The limit counts the bytes of the event, not of the text: 5 MiB of line breaks become more than 64 MiB of lines. */
TEST_CASE(event_over_size_limit_is_too_large) {
  static const char head[] = "event: datastar-patch-elements\ndata: elements \n\n";
  vestry_event *event = expect_untouched;
  size_t len = VESTRY_EVENT_MAX_BYTES - (sizeof head - 1);
  char *html = test_malloc(len + 1);
  memset(html, 'x', len + 1);
  expect_error(vestry_event_elements(NULL, html, len + 1, NULL, &event), &event, VESTRY_TOO_LARGE);
  assert_int_equal(vestry_event_elements(NULL, html, len, NULL, &event), VESTRY_OK);
  assert_int_equal(vestry_event_bytes(event).len, VESTRY_EVENT_MAX_BYTES);
  vestry_event_unref(event);
  event = expect_untouched;
  memset(html + 1, '\n', 5 * 1024 * 1024);
  expect_error(vestry_event_elements(NULL, html, 5 * 1024 * 1024, &(vestry_elements_options){0}, &event), &event,
               VESTRY_TOO_LARGE);
  test_free(html);
}

/* Sizes beyond any memory must not overflow before the limit is checked. The layout only counts. */
static void endless(vsi_writer *writer, const void *ctx) {
  static const volatile size_t half = SIZE_MAX / 2; /* volatile: otherwise the compiler warns of the short text */
  vsi_put(writer, "", half);
  vsi_put(writer, "", half);
  vsi_put(writer, "", half);
}

TEST_CASE(overflowing_sizes_saturate_and_are_too_large) {
  vsi_writer writer = {.to = NULL};
  endless(&writer, NULL);
  assert_int_equal(writer.len, SIZE_MAX);
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_build(NULL, endless, NULL, &event), &event, VESTRY_TOO_LARGE);
}

/* A small event is written while it is counted, and a larger one, or one with line breaks, afterwards. */
TEST_CASE(events_of_all_small_sizes_have_the_same_form) {
  enum { MOST = 1200 };
  static char html[MOST + 1], expected[3 * MOST];
  for (size_t len = 1; len < MOST; len++) {
    for (size_t line = len; line; line = line == len ? len / 2 : 0) { /* without a line break, and with one */
      memset(html, 'x', len);
      if (line < len) html[line] = '\n';
      const int before =
          snprintf(expected, sizeof expected, "event: datastar-patch-elements\ndata: elements %.*s", (int)line, html);
      snprintf(expected + before, sizeof expected - (size_t)before, "%s%.*s\n\n", line < len ? "\ndata: elements " : "",
               line < len ? (int)(len - line - 1) : 0, line < len ? html + line + 1 : "");
      vestry_event *event = expect_untouched;
      expect_event(vestry_event_elements(NULL, html, len, NULL, &event), &event, expected);
    }
  }
}

TEST_CASE(unsigned_numbers_are_written_in_decimal) {
  static const struct {
    uint64_t number;
    const char *text;
  } rows[] = {{0, "0"},
              {9, "9"},
              {10, "10"},
              {1234567890, "1234567890"},
              {UINT32_MAX, "4294967295"},
              {UINT64_MAX, "18446744073709551615"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char text[21] = "";
    vsi_writer writer = {.to = text};
    vsi_put_uint(&writer, rows[i].number);
    assert_string_equal(text, rows[i].text);
    assert_int_equal(writer.len, strlen(rows[i].text));
  }
}

/* Pinned to a version, so that a page keeps the client that it was written for, and fetched over https. */
/* capability: C8 */
TEST_CASE(c8_client_url_is_pinned_to_a_version) {
  int major, minor, patch, end = 0;
  assert_int_equal(sscanf(VESTRY_DATASTAR_CDN_URL,
                          "https://cdn.jsdelivr.net/gh/starfederation/datastar@v%d.%d.%d/bundles/datastar.js%n", &major,
                          &minor, &patch, &end),
                   3);
  assert_int_equal(end, strlen(VESTRY_DATASTAR_CDN_URL));
  assert_int_equal(major, 1);
}

/* capability: F6 */
TEST_CASE(f6_retry_event_has_the_delay) {
  static const struct {
    uint32_t ms;
    const char *text;
  } rows[] = {{0, "retry: 0\n\n"},
              {1000, "retry: 1000\n\n"},
              {INT32_MAX, "retry: 2147483647\n\n"},
              {UINT32_MAX, "retry: 2147483647\n\n"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_event *event = NULL;
    assert_int_equal(vsi_event_retry(NULL, rows[i].ms, &event), VESTRY_OK);
    vestry_slice bytes = vestry_event_bytes(event);
    assert_int_equal(bytes.len, strlen(rows[i].text));
    assert_memory_equal(bytes.data, rows[i].text, bytes.len);
    vestry_event_unref(event);
  }
}

/* The timers of browsers have 31 bits. */
TEST_CASE(no_time_for_a_browser_is_longer_than_its_timers) {
  const vestry_event_options longest = {.retry_ms = UINT32_MAX};
  vestry_event *events[4] = {0};
  assert_int_equal(vsi_event_plain(NULL, "n", "x", 1, &longest, &events[0]), 0);
  assert_int_equal(vsi_event_signals_text(NULL, "{}", 2, &(vestry_signals_options){.event = longest}, &events[1]), 0);
  assert_int_equal(vestry_event_elements(NULL, "<p id=a>", 8, &(vestry_elements_options){.event = longest}, &events[2]),
                   0);
  assert_int_equal(vsi_event_script(NULL, "1", 1, &(vsi_script_options){.event = longest}, &events[3]), 0);
  for (size_t i = 0; i < 4; i++) {
    vestry_slice bytes = vestry_event_bytes(events[i]);
    assert_non_null(memmem(bytes.data, bytes.len, "\nretry: 2147483647\n", 19));
    vestry_event_unref(events[i]);
  }
}
