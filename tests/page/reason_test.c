/* SPDX-License-Identifier: MIT */
/* Reasons of refreshes: found by number as long as they are among the last ones, and never confused with others. */
#include "app/page/tally.h"

#include <stdio.h>

#include "support/test.h"

static vsi_reasons reasons;

static void add(uint64_t seq, vestry_refresh_kind kind, const char *name) {
  vsi_reasons_add(&reasons, seq, kind, name, strlen(name));
}

static const char *find(uint64_t seq) {
  static vsi_reason found;
  return vsi_reasons_find(&reasons, seq, &found) ? found.name : NULL;
}

TEST_CASE(reasons_are_found_by_sequence_number) {
  memset(&reasons, 0, sizeof reasons);
  assert_null(find(0));
  assert_null(find(1));
  add(3, VESTRY_REFRESH_TOPIC, "a");
  add(5, VESTRY_REFRESH_TOPIC, "b");
  add(6, VESTRY_REFRESH_TABLE, "b");
  add(9, VESTRY_REFRESH_TOPIC, "ab");
  static const char *const names[] = {NULL, NULL, NULL, "a", NULL, "b", "b", NULL, NULL, "ab", NULL};
  for (uint64_t seq = 0; seq <= 10; seq++) {
    const char *found = find(seq);
    assert_int_equal(!found, !names[seq]);
    if (found) assert_string_equal(found, names[seq]);
  }
}

TEST_CASE(only_the_last_reasons_are_kept) {
  enum { ALL = 1000 };
  memset(&reasons, 0, sizeof reasons);
  char name[16];
  for (uint64_t seq = 1; seq <= ALL; seq++) {
    snprintf(name, sizeof name, "%d", (int)seq);
    add(seq, VESTRY_REFRESH_TOPIC, name);
  }
  for (uint64_t seq = 0; seq <= ALL + 1; seq++) {
    const char *found = find(seq);
    snprintf(name, sizeof name, "%d", (int)seq);
    assert_int_equal(found != NULL, seq > ALL - VSI_REASONS && seq <= ALL);
    if (found) assert_string_equal(found, name);
  }
}

/* A commit refreshes two thousand topics of one table: that is one reason, and displaces no other. */
TEST_CASE(equal_consecutive_reasons_are_one_entry) {
  memset(&reasons, 0, sizeof reasons);
  add(1, VESTRY_REFRESH_TOPIC, "before");
  for (uint64_t seq = 2; seq <= 2001; seq++) add(seq, VESTRY_REFRESH_TABLE, "messages");
  add(2002, VESTRY_REFRESH_TOPIC, "after");
  assert_int_equal(reasons.count, 3);
  assert_string_equal(find(1), "before");
  assert_string_equal(find(2), "messages");
  assert_string_equal(find(2001), "messages");
  assert_string_equal(find(2002), "after");
}

TEST_CASE(names_are_truncated_at_characters_without_tab_ids) {
  char text[VSI_REASON_BYTES + 10], shown[VSI_REASON_BYTES + 10];
  memset(&reasons, 0, sizeof reasons);
  memset(text, 'x', sizeof text);
  text[sizeof text - 1] = '\0';
  memcpy(text + VSI_REASON_BYTES - 2, "\xC3\xA9", 2); /* there is no room for its second byte */
  add(1, VESTRY_REFRESH_TOPIC, text);
  memcpy(shown, text, VSI_REASON_BYTES - 2);
  shown[VSI_REASON_BYTES - 2] = '\0';
  assert_string_equal(find(1), shown);
  add(2, VESTRY_REFRESH_TOPIC, "vestry_tab/0123456789abcdef");
  assert_string_equal(find(2), "vestry_tab");
  add(3, VESTRY_REFRESH_TOPIC, "vestry/0123");
  assert_string_equal(find(3), "vestry/0123");
}
