/* SPDX-License-Identifier: MIT */
/* G12: the events that a history keeps, and its answers to clients that resume. */
#include "app/history/history.h"

#include "event/layout.h"
#include "support/test.h"
#include "support/test_host.h"

typedef struct kept {
  test_host th;
  vsi_budget budget;
  vsi_history history;
} kept;

static void begin(kept *k, size_t all_bytes, const vestry_history_options *bounds) {
  memset(k, 0, sizeof *k);
  test_host_init(&k->th);
  vsi_budget_init(&k->budget, all_bytes);
  assert_int_equal(vsi_history_init(&k->history, &k->th.host, &k->budget, bounds), VESTRY_OK);
}

static void end(kept *k) {
  const vestry_history_stats *stats = &k->history.stats;
  assert_int_equal(stats->recorded_count, k->history.recording.kept_count + stats->dropped_count);
  assert_int_equal(k->budget.used, k->history.recording.kept_bytes);
  vsi_history_finish(&k->history);
  assert_int_equal(k->budget.used, 0);
  test_host_assert_clean(&k->th);
}

static uint64_t now(kept *k) {
  return k->th.host.now_ns(k->th.host.ctx);
}

/* Returns the event that members receive. */
static vestry_event *take(kept *k, const char *text) {
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, text, &event), VESTRY_OK);
  vestry_event *made = vsi_history_take(&k->history.recording, event, now(k));
  vestry_event_unref(event);
  return made;
}

static void put(kept *k, const char *text) {
  vestry_event_unref(take(k, text));
}

static vestry_resume_answer ask(kept *k, uint64_t seq, size_t *ret_count) {
  char text[VSI_HISTORY_ID_BYTES];
  vsi_history_id_write((vsi_history_id){k->history.epoch, seq}, text);
  const vsi_history_last last = vsi_history_last_of(text);
  assert_true(last.is_read);
  return vsi_history_answer(&k->history, &last, ret_count);
}

/* Compare the events that a client receives after it has seen seq; "": none, "gap". */
static void assert_missed(kept *k, uint64_t seq, const char *expected) {
  size_t count;
  vestry_resume_answer answer = ask(k, seq, &count);
  if (answer == VESTRY_RESUME_GAP) {
    assert_string_equal(expected, "gap");
    return;
  }
  char got[1000] = "";
  if (answer == VESTRY_RESUME_REPLAYED) {
    vestry_event *event = NULL;
    assert_int_equal(vsi_history_missed(&k->history, count, &event), VESTRY_OK);
    size_t len = vestry_event_bytes(event).len;
    char data[1000] = ""; /* terminated, unlike the bytes of an event */
    assert_true(len < sizeof data);
    memcpy(data, vestry_event_bytes(event).data, len);
    for (size_t i = 0; i < len; i++) /* ": a\n\nid: epoch.1\n\n" is "a1 " */
      if (data[i] == ':' && (i == 0 || data[i - 1] == '\n'))
        strncat(got, data + i + 2, strcspn(data + i + 2, "\n"));
      else if (data[i] == '.')
        strcat(strncat(got, data + i + 1, strcspn(data + i + 1, "\n")), " ");
    vestry_event_unref(event);
  } else {
    assert_int_equal(answer, VESTRY_RESUME_CURRENT);
  }
  assert_string_equal(got, expected);
}

TEST_CASE(event_is_followed_by_its_id) {
  kept k;
  begin(&k, 0, &(vestry_history_options){0});
  char expected[100];
  vestry_event *event = take(&k, "a");
  snprintf(expected, sizeof expected, ": a\n\nid: %016llx.1\n\n", (unsigned long long)k.history.epoch);
  vestry_slice bytes = vestry_event_bytes(event);
  assert_int_equal(bytes.len, strlen(expected));
  assert_memory_equal(bytes.data, expected, bytes.len);
  vestry_event_unref(event);
  end(&k);
}

/* capability: G12 */
TEST_CASE(g12_resume_returns_all_later_events) {
  kept k;
  size_t count;
  begin(&k, 0, &(vestry_history_options){0});
  assert_missed(&k, 0, "");
  put(&k, "a");
  put(&k, "b");
  put(&k, "c");
  assert_missed(&k, 0, "a1 b2 c3 ");
  assert_missed(&k, 1, "b2 c3 ");
  assert_missed(&k, 2, "c3 ");
  assert_missed(&k, 3, "");
  assert_missed(&k, 4, "gap"); /* a number that was never assigned */
  assert_missed(&k, UINT64_MAX, "gap");
  const vsi_history_last none = vsi_history_last_of(NULL), empty = vsi_history_last_of("");
  assert_int_equal(vsi_history_answer(&k.history, &none, &count), VESTRY_RESUME_FRESH);
  assert_int_equal(vsi_history_answer(&k.history, &empty, &count), VESTRY_RESUME_FRESH);
  const vsi_history_last other = {true, true, {k.history.epoch ^ 1, 2}};
  assert_int_equal(vsi_history_answer(&k.history, &other, &count), VESTRY_RESUME_GAP);
  end(&k);
}

/* capability: G12 */
TEST_CASE(g12_history_is_bounded_by_count_bytes_and_age) {
  kept k;
  begin(&k, 0, &(vestry_history_options){.max_count = 2});
  for (const char *at = "abc"; *at; at++) put(&k, (char[]){*at, '\0'});
  assert_missed(&k, 0, "gap");
  assert_missed(&k, 1, "b2 c3 ");
  end(&k);
  /* ": a\n\nid: epoch.1\n\n" is 29 bytes. */
  begin(&k, 0, &(vestry_history_options){.max_bytes = 2 * (29 + VESTRY_HISTORY_EVENT_COST)});
  for (const char *at = "abc"; *at; at++) put(&k, (char[]){*at, '\0'});
  assert_missed(&k, 0, "gap");
  assert_missed(&k, 1, "b2 c3 ");
  assert_int_equal(k.history.recording.kept_bytes, 2 * (29 + VESTRY_HISTORY_EVENT_COST));
  put(&k, "01234567890123456789012345678901234567890123456789");
  assert_int_equal(k.history.recording.kept_count, 1); /* it needs the room of two events */
  end(&k);
  begin(&k, 0, &(vestry_history_options){.max_age_ms = 1000});
  put(&k, "a");
  test_host_advance_ms(&k.th, 600);
  put(&k, "b");
  assert_int_equal(vsi_history_due_ns(&k.history), now(&k) + 400 * 1000000);
  test_host_advance_ms(&k.th, 399);
  vsi_history_expire(&k.history, now(&k));
  assert_missed(&k, 0, "a1 b2 ");
  test_host_advance_ms(&k.th, 1);
  vsi_history_expire(&k.history, now(&k));
  assert_missed(&k, 0, "gap");
  assert_missed(&k, 1, "b2 ");
  test_host_advance_ms(&k.th, 600);
  vsi_history_expire(&k.history, now(&k));
  assert_missed(&k, 1, "gap");
  assert_missed(&k, 2, ""); /* a client that has seen every event misses nothing, however old they are */
  end(&k);
  begin(&k, 0, &(vestry_history_options){.max_age_ms = VESTRY_NEVER_MS});
  put(&k, "a");
  test_host_advance_ms(&k.th, UINT64_C(1) << 40);
  vsi_history_expire(&k.history, now(&k));
  assert_missed(&k, 0, "a1 ");
  end(&k);
}

/* capability: G12 */
TEST_CASE(g12_all_histories_share_a_byte_limit) {
  kept k;
  vsi_history other;
  begin(&k, 3 * (29 + VESTRY_HISTORY_EVENT_COST), &(vestry_history_options){0});
  assert_int_equal(vsi_history_init(&other, &k.th.host, &k.budget, &(vestry_history_options){0}), VESTRY_OK);
  put(&k, "a");
  put(&k, "b");
  vestry_event *event = NULL;
  assert_int_equal(vsi_event_comment(NULL, "x", &event), VESTRY_OK);
  vestry_event_unref(vsi_history_take(&other.recording, event, now(&k)));
  put(&k, "c"); /* no room for another event: the history drops its own oldest */
  assert_missed(&k, 0, "gap");
  assert_missed(&k, 1, "b2 c3 ");
  assert_int_equal(other.recording.kept_count, 1);
  vestry_event_unref(event);
  vsi_history_finish(&other);
  end(&k);
}

/* An event that cannot be kept is a gap only for clients that have not seen it. */
/* capability: G12 */
TEST_CASE(g12_halved_history_keeps_its_newer_events) {
  kept k;
  begin(&k, 0, &(vestry_history_options){0});
  for (int i = 0; i < 5; i++) put(&k, "a");
  assert_int_equal(vsi_history_size(&k.history), 5 * (29 + VESTRY_HISTORY_EVENT_COST));
  vsi_history_halve(&k.history);
  assert_int_equal(vsi_history_size(&k.history), 2 * (29 + VESTRY_HISTORY_EVENT_COST));
  assert_missed(&k, 2, "gap");
  assert_missed(&k, 3, "a4 a5 ");
  vsi_history_halve(&k.history);
  vsi_history_halve(&k.history);
  vsi_history_halve(&k.history);
  assert_int_equal(vsi_history_size(&k.history), 0);
  assert_missed(&k, 4, "gap");
  assert_missed(&k, 5, "");
  end(&k);
}

/* capability: G12 */
TEST_CASE(g12_lost_event_is_a_gap) {
  kept k;
  begin(&k, 0, &(vestry_history_options){.max_bytes = 1000});
  put(&k, "a");
  put(&k, "b");
  char large[1001];
  memset(large, 'x', sizeof large - 1);
  large[sizeof large - 1] = '\0';
  vestry_event *event = take(&k, large); /* it is sent nevertheless */
  assert_non_null(event);
  vestry_event_unref(event);
  assert_missed(&k, 2, "gap");
  assert_missed(&k, 3, "");
  put(&k, "d");
  assert_missed(&k, 2, "gap");
  assert_missed(&k, 3, "d4 ");
  vsi_history_lose(&k.history); /* another node has lost it */
  vsi_history_settle(&k.history);
  assert_missed(&k, 3, "gap");
  assert_missed(&k, 4, "gap");
  put(&k, "e");
  assert_missed(&k, 4, "gap");
  assert_missed(&k, 5, "e6 ");
  assert_int_equal(k.history.stats.losses_count, 2);
  end(&k);
}

/* Whichever allocation fails, the history is complete or has a gap. */
/* capability: G12 */
TEST_CASE(g12_failed_allocation_is_a_gap) {
  for (long fail = 0;; fail++) {
    kept k;
    begin(&k, 0, &(vestry_history_options){0});
    put(&k, "a");
    vestry_event *event = NULL;
    assert_int_equal(vsi_event_comment(NULL, "b", &event), VESTRY_OK);
    test_host_fail_in(&k.th, fail);
    vestry_event *made = vsi_history_take(&k.history.recording, event, now(&k));
    bool has_failed = test_host_has_failed(&k.th);
    assert_int_equal(made == NULL, fail == 0);
    vestry_event_unref(made);
    vestry_event_unref(event);
    assert_missed(&k, 2, "");
    if (has_failed) {
      assert_missed(&k, 0, "gap");
      assert_missed(&k, 1, "gap");
    } else {
      assert_missed(&k, 0, "a1 b2 ");
    }
    put(&k, "c");
    assert_missed(&k, 2, "c3 ");
    end(&k);
    if (!has_failed) break;
    assert_in_range(fail, 0, 1);
  }
}

/* capability: G12 */
TEST_CASE(g12_only_written_ids_are_parsed) {
  static const char *const none[] = {
      "",
      "gap",
      "0",
      ".",
      "0123456789abcdef",
      "0123456789abcdef.",
      "0123456789abcdef.-1",
      "0123456789abcdef.+1",
      "0123456789abcdef. 1",
      "0123456789abcdef.1 ",
      "0123456789abcdef.01",
      "0123456789abcdef.00",
      "0123456789abcdef.1x",
      "0123456789abcdef.1.1",
      "0123456789ABCDEF.1",
      "0123456789abcde.1",
      "0123456789abcdef0.1",
      "0123456789abcdef.18446744073709551616",
      "0123456789abcdef.99999999999999999999",
      "0123456789abcdef.111111111111111111111",
      "700102dd0e5f676a0919088ed2256ee4.4318e255", /* the id of a page */
      "\xff\xfe",
  };
  vsi_history_id id = {1, 2};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    assert_false(vsi_history_id_read(none[i], &id));
    const vsi_history_last last = vsi_history_last_of(none[i]);
    assert_false(last.is_read);
    assert_int_equal(last.is_given, *none[i] != '\0');
  }
  assert_int_equal(id.epoch, 1);
  static const vsi_history_id some[] = {{0x0123456789abcdef, 0}, {UINT64_MAX, UINT64_MAX}, {1, 1}, {0, 10}};
  for (size_t i = 0; i < sizeof some / sizeof *some; i++) {
    char text[VSI_HISTORY_ID_BYTES];
    size_t len = vsi_history_id_write(some[i], text);
    assert_int_equal(len, strlen(text));
    assert_true(vsi_history_id_read(text, &id));
    assert_int_equal(id.epoch, some[i].epoch);
    assert_int_equal(id.seq, some[i].seq);
  }
}
