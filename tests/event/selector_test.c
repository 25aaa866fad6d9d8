/* SPDX-License-Identifier: MIT */
#include "vestry/event.h"

#include "support/test.h"

/* CSSOM, section 2.1, "serialize an identifier", rule by rule. */
/* capability: C4 */
TEST_CASE(ids_are_serialized_as_css_identifiers) {
  static const char *const rows[][2] = {
      {"a", "#a"},
      {"row-1_B", "#row-1_B"},
      {"\xC3\xA4\xF0\x9F\x96\x95", "#\xC3\xA4\xF0\x9F\x96\x95"},
      {"\x01\n\r\x1F\x7F", "#\\1 \\a \\d \\1f \\7f "},
      {"1a", "#\\31 a"},
      {"0", "#\\30 "},
      {"-1a", "#-\\31 a"},
      {"a1", "#a1"},
      {"--1", "#--1"},
      {"-", "#\\-"},
      {"--", "#--"},
      {"-a", "#-a"},
      {"a.b:c#d e", "#a\\.b\\:c\\#d\\ e"},
      {"\"'\\<>(){}[]*,+~$@", "#\\\"\\'\\\\\\<\\>\\(\\)\\{\\}\\[\\]\\*\\,\\+\\~\\$\\@"},
      {"a\xFF\xE2\x82z", "#a\xEF\xBF\xBD\xEF\xBF\xBDz"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char selector[128];
    assert_true(VESTRY_SELECTOR_BYTES(strlen(rows[i][0])) <= sizeof selector);
    assert_int_equal(vestry_select_id(rows[i][0], selector, VESTRY_SELECTOR_BYTES(strlen(rows[i][0]))), VESTRY_OK);
    assert_string_equal(selector, rows[i][1]);
  }
}

TEST_CASE(selector_of_any_byte_fits_selector_bytes) {
  for (int c = 1; c < 256; c++) {
    char id[4] = {(char)c, (char)c, (char)c, 0}, selector[VESTRY_SELECTOR_BYTES(3)];
    assert_int_equal(vestry_select_id(id, selector, sizeof selector), VESTRY_OK);
    assert_null(strpbrk(selector, "\r\n"));
  }
}

/* capability: C4 */
TEST_CASE(bad_arguments_are_refused) {
  char selector[8] = "before";
  assert_int_equal(vestry_select_id(NULL, selector, 8), VESTRY_INVALID);
  assert_int_equal(vestry_select_id("", selector, 8), VESTRY_INVALID);
  assert_int_equal(vestry_select_id("a", NULL, 0), VESTRY_INVALID);
  assert_int_equal(vestry_select_id("abc.d", selector, 7), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_select_id("a", selector, 0), VESTRY_TOO_LARGE);
  assert_string_equal(selector, "before");
  assert_int_equal(vestry_select_id("abc.d", selector, 8), VESTRY_OK);
  assert_string_equal(selector, "#abc\\.d");
}
