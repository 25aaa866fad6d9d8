/* SPDX-License-Identifier: MIT */
/* Valid subjects, compared with a slow definition: all short strings of significant bytes, and lengths near the
 * limit. */
#include "support/test.h"
#include "vestry/cluster/broker.h"

static bool is_word(const char *from, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (!from[i] || !strchr("abcdefghijklmnopqrstuvwxyz0123456789", from[i])) return false;
  return len > 0;
}

/* Words separated by dots. */
static bool is_subject(const char *text) {
  if (strlen(text) > 64) return false;
  for (;;) {
    size_t len = strcspn(text, ".");
    if (!is_word(text, len)) return false;
    if (!text[len]) return true;
    text += len + 1;
  }
}

/* capability: G1 */
TEST_CASE(short_subjects_match_a_slow_definition) {
  static const char bytes[] = "az09.AZ`{/:*> \r\n\t\x01\x7f\x80\xe4_-$";
  size_t valid = 0;
  char text[5] = "";
  for (size_t number = 0; number < 25 * 25 * 25 * 25; number++) {
    size_t rest = number, len = 0;
    for (; rest; rest /= 25) text[len++] = bytes[rest % 25];
    text[len] = 0;
    assert_int_equal(vestry_subject_is_valid(text), is_subject(text));
    valid += is_subject(text);
  }
  assert_true(valid > 300);
  assert_false(vestry_subject_is_valid(NULL));
}

/* capability: G1 */
TEST_CASE(subjects_over_64_bytes_are_invalid) {
  char text[80];
  for (size_t len = 60; len < 70; len++) {
    memset(text, 'a', len);
    text[len] = 0;
    assert_int_equal(vestry_subject_is_valid(text), len <= VESTRY_SUBJECT_MAX_BYTES);
    text[len - 1] = '.';
    assert_false(vestry_subject_is_valid(text));
  }
}
