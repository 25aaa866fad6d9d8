/* SPDX-License-Identifier: MIT */
#include "event/layout.h"

#include <stdbool.h>
#include <stdlib.h>

#include "event/expect.h"
#include "event/sse_parser.h"
#include "support/test.h"

/* The expected result, computed byte by byte. */
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

/* Input and output each end at an unreadable page. */
static void check(const char *text, size_t len, const char *prefix) {
  char *input = guarded_copy(text, len);
  sse_text expected = copied(text, len, prefix);
  vsi_writer counter = {.to = NULL};
  vsi_put_lines(&counter, input, len, prefix);
  assert_int_equal(counter.len, expected.len);
  char *output = guarded_copy(expected.data, expected.len);
  memset(output, '?', expected.len);
  vsi_writer writer = {.to = output, .has_breaks = counter.has_breaks};
  vsi_put_lines(&writer, input, len, prefix);
  assert_int_equal(writer.len, expected.len);
  assert_memory_equal(output, expected.data, expected.len);
  guarded_free(output, expected.len);
  guarded_free(input, len);
  sse_text_finish(&expected);
}

static void expect_breaks(const char *text, size_t len, size_t count, size_t bytes) {
  vsi_writer bare = {.to = NULL}, prefixed = {.to = NULL};
  vsi_put_lines(&bare, text, len, "");
  vsi_put_lines(&prefixed, text, len, "> ");
  assert_int_equal(bare.len, len - bytes + count);
  assert_int_equal(prefixed.len, bare.len + 2 * count);
  assert_int_equal(bare.has_breaks, count > 0);
}

/* Every text of up to 7 characters of a, CR and LF: all possible neighbourhoods of line breaks. */
TEST_CASE(every_short_text_is_split_at_line_breaks) {
  for (size_t len = 0; len <= 7; len++) {
    size_t texts = 1;
    for (size_t i = 0; i < len; i++) texts *= 3;
    for (size_t number = 0; number < texts; number++) {
      char text[7] = {0};
      size_t rest = number;
      for (size_t i = 0; i < len; i++, rest /= 3) text[i] = "a\r\n"[rest % 3];
      check(text, len, "> ");
    }
  }
}

/* A CRLF, or its bytes in the other order, at each position. */
TEST_CASE(line_breaks_are_found_at_each_position) {
  static const char *const breaks[] = {"\r\n", "\n\r", "\r\r", "\n\n", "\rx", "x\n"};
  for (size_t len = 62; len <= 131; len += len == 66 ? 60 : 1) {
    for (size_t at = 0; at + 2 <= len; at++) {
      for (size_t i = 0; i < sizeof breaks / sizeof *breaks; i++) {
        char text[131];
        memset(text, 'x', sizeof text);
        memcpy(text + at, breaks[i], 2);
        check(text, len, "data: elements ");
      }
    }
  }
}

TEST_CASE(lines_and_prefixes_of_each_length_are_copied) {
  char line[100], prefix[100];
  for (size_t i = 0; i < sizeof line; i++) line[i] = (char)(i % 26 + 'a'), prefix[i] = (char)(i % 26 + 'A');
  for (size_t len = 1; len <= 70; len++) {
    line[len - 1] = '\n';
    char text[200];
    memcpy(text, line, len);
    memcpy(text + len, line, len);
    prefix[len - 1] = '\0';
    check(text, 2 * len, prefix);
    line[len - 1] = 'z';
    prefix[len - 1] = 'Z';
  }
}

/* All 256 byte values, at several positions: only two of them are line ends. */
TEST_CASE(only_cr_and_lf_are_line_breaks) {
  for (size_t shift = 0; shift < 64; shift++) {
    char text[320];
    memset(text, 'x', sizeof text);
    for (size_t i = 0; i < 256; i++) text[shift + i] = (char)i;
    check(text, shift + 256, "> ");
    expect_breaks(text, shift + 256, 2, 2);
  }
}

/* Every byte is a line break. */
TEST_CASE(texts_of_line_breaks_are_counted) {
  enum { LEN = 100000 };
  char *text = test_malloc(LEN);
  memset(text, '\n', LEN);
  expect_breaks(text, LEN, LEN, LEN);
  memset(text, '\r', LEN);
  expect_breaks(text, LEN, LEN, LEN);
  for (size_t i = 0; i < LEN; i += 2) text[i + 1] = '\n';
  expect_breaks(text, LEN, LEN / 2, LEN);
  expect_breaks(text + 1, LEN - 1, LEN / 2, LEN - 1);
  expect_breaks(NULL, 0, 0, 0);
  test_free(text);
}

TEST_CASE(long_random_text_is_split_at_line_breaks) {
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

/* Other line separators of Unicode, and bytes that resemble CR or LF, are text. */
TEST_CASE(unicode_separators_are_text) {
  static const char text[] = "\xE2\x80\xA8 \xE2\x80\xA9 \xC2\x85 \v \f \x8A \x8D \xC0\x8A \xFF";
  expect_breaks(text, sizeof text, 0, 0);
  check(text, sizeof text, "> ");
}
