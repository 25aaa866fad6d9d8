/* SPDX-License-Identifier: MIT */
#include "html/expect.h"

#include "support/test.h"

void expect_html(vestry_html *html, const char *expected) {
  const char *why;
  vestry_slice made;
  assert_int_equal(vestry_html_error(html, &why, NULL), VESTRY_OK);
  assert_string_equal(why, "");
  assert_int_equal(vestry_html_result(html, &made), VESTRY_OK);
  assert_string_equal(made.data, expected);
  assert_int_equal(made.len, strlen(expected));
  vestry_html_clear(html);
}

void expect_refused(vestry_html *html, size_t offset, const char *words) {
  const char *why;
  size_t at;
  vestry_slice made = {"untouched", 9};
  assert_int_equal(vestry_html_error(html, &why, &at), VESTRY_INVALID);
  if (!strstr(why, words)) fail_msg("\"%s\" does not say \"%s\"", why, words);
  assert_int_equal(at, offset);
  assert_int_equal(vestry_html_result(html, &made), VESTRY_INVALID);
  assert_string_equal(made.data, "untouched");
  vestry_html_clear(html);
}
