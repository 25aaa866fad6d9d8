#include "event/lines.h"

#include <stdbool.h>
#include <stdlib.h>

#include "event/expect.h"
#include "event/sse_parser.h"
#include "support/test.h"

/* The truth, byte by byte: what lines.c does with vectors and memchr. */
static sse_text copied(const char *text, size_t len, const char *prefix) {
  sse_text lines = sse_normalised(text, len), out = {NULL, 0};
  sse_text_append(&out, "", 0);
  for (size_t i = 0; i < lines.len; i++) {
    sse_text_append(&out, lines.data + i, 1);
    if (lines.data[i] == '\n') sse_text_append(&out, prefix, strlen(prefix));
  }
  sse_text_finish(&lines);
  return out;
}

static void check(const char *text, size_t len, const char *prefix) {
  char *input = guarded_copy(text, len);
  sse_text expected = copied(text, len, prefix);
  vsi_line_breaks breaks = vsi_lines_count(input, len);
  size_t size = len - breaks.bytes + breaks.count * (1 + strlen(prefix));
  assert_int_equal(size, expected.len);
  char *output = guarded_copy(expected.data, size);
  memset(output, '?', size);
  assert_ptr_equal(vsi_lines_copy(output, input, len, prefix, strlen(prefix)), output + size);
  assert_memory_equal(output, expected.data, size);
  guarded_free(output, size);
  guarded_free(input, len);
  sse_text_finish(&expected);
}

/* Every text of up to 7 characters out of a, CR, LF: all neighbourhoods of line breaks there are. */
static void splits_every_short_text(void **state) {
  (void)state;
  for (size_t len = 0; len <= 7; len++) {
    size_t texts = 1;
    for (size_t i = 0; i < len; i++) texts *= 3;
    for (size_t number = 0; number < texts; number++) {
      char text[7];
      size_t rest = number;
      for (size_t i = 0; i < len; i++, rest /= 3) text[i] = "a\r\n"[rest % 3];
      check(text, len, "> ");
    }
  }
}

/* Around the counter's blocks of 255, with a CRLF across every place. */
static void counts_across_blocks(void **state) {
  (void)state;
  for (size_t len = 250; len <= 262; len++) {
    for (size_t at = 0; at + 2 <= len; at++) {
      char text[262];
      memset(text, 'x', sizeof text);
      memcpy(text + at, "\r\n", 2);
      vsi_line_breaks breaks = vsi_lines_count(text, len);
      assert_int_equal(breaks.count, 1);
      assert_int_equal(breaks.bytes, 2);
    }
  }
}

/* Every byte a break: no lane of the counter may wrap. */
static void counts_nothing_but_breaks(void **state) {
  (void)state;
  enum { LEN = 100000 };
  char *text = test_malloc(LEN);
  memset(text, '\n', LEN);
  assert_int_equal(vsi_lines_count(text, LEN).count, LEN);
  memset(text, '\r', LEN);
  assert_int_equal(vsi_lines_count(text, LEN).count, LEN);
  for (size_t i = 0; i < LEN; i += 2) text[i + 1] = '\n';
  vsi_line_breaks breaks = vsi_lines_count(text, LEN);
  assert_int_equal(breaks.count, LEN / 2);
  assert_int_equal(breaks.bytes, LEN);
  test_free(text);
}

static void splits_long_text(void **state) {
  (void)state;
  char text[5000];
  for (unsigned seed = 1; seed <= 20; seed++) {
    srandom(seed);
    for (size_t i = 0; i < sizeof text; i++) {
      long pick = random() % (2 << seed % 7);
      text[i] = pick == 0 ? '\n' : pick == 1 ? '\r' : (char)('a' + pick % 26);
    }
    check(text, sizeof text, seed % 2 ? "data: elements " : "");
  }
}

/* Line ends of other alphabets, and bytes that only look like one of ours, are text. */
static void other_separators_are_text(void **state) {
  (void)state;
  static const char text[] = "\xE2\x80\xA8 \xE2\x80\xA9 \xC2\x85 \v \f \x8A \x8D \xC0\x8A \xFF";
  assert_int_equal(vsi_lines_count(text, sizeof text).count, 0);
  check(text, sizeof text, "> ");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(splits_every_short_text),   cmocka_unit_test(counts_across_blocks),
      cmocka_unit_test(counts_nothing_but_breaks), cmocka_unit_test(splits_long_text),
      cmocka_unit_test(other_separators_are_text),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
