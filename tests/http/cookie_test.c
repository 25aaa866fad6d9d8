/* SPDX-License-Identifier: MIT */
#include "http/cookie.h"

#include <stdlib.h>

#include "support/test.h"

static void assert_value(const char *header, const char *name, const char *expected) {
  vestry_slice value = {NULL, 0};
  assert_int_equal(vsi_cookie_next(&header, name, &value), expected != NULL);
  if (!expected) return;
  assert_int_equal(value.len, strlen(expected));
  assert_memory_equal(value.data, expected, value.len);
}

TEST_CASE(cookie_values_are_found) {
  assert_value("a=1", "a", "1");
  assert_value("a=1; b=2; c=3", "b", "2");
  assert_value("a=1;b=2;c=3", "c", "3");
  assert_value("a=", "a", "");
  assert_value("a=b=c", "a", "b=c");
  assert_value("\ta=1 ; b=2\t", "a", "1");
  assert_value("a=\"quoted\"", "a", "quoted");
  assert_value("a=\"\"", "a", "");
  assert_value("a=1; a=2", "a", "1");
}

TEST_CASE(absent_cookies_are_not_found) {
  assert_value("", "a", NULL);
  assert_value("ab=1", "a", NULL);
  assert_value("ba=1", "a", NULL);
  assert_value("A=1", "a", NULL); /* names are case-sensitive */
  assert_value("a", "a", NULL);
  assert_value("a =1", "a", NULL);
  assert_value("x=a=1", "a", NULL);
  assert_value("a=1", "", NULL);
  assert_value("=1", "", NULL);
  assert_value("a=1; b=2", "a=1; b", NULL); /* a name cannot span pairs */
  assert_value("a=1", "a=1", NULL);
}

TEST_CASE(malformed_cookie_pairs_are_skipped) {
  assert_value("a=\"x; a=2", "a", "2"); /* a quote does not include the semicolon */
  assert_value("a=\"x; b=1\"; b=2", "b", "2");
  assert_value("a=\"", "a", NULL);
  assert_value("a=x\"y", "a", NULL);
  assert_value("a=x y", "a", NULL);
  assert_value("a=x,y", "a", NULL);
  assert_value("a=x\\y", "a", NULL);
  assert_value("a=x\x7f", "a", NULL);
  assert_value("a=\x01", "a", NULL);
  assert_value("a=\xc3\xa4; a=good", "a", "good");
  assert_value(";;; ; ;a=1", "a", "1");
  assert_value("=;=;a=1;=", "a", "1");
}

/* For random bytes, the value must lie inside the header and consist of cookie octets. The header is copied to an
 * allocation of its exact size, so that the address sanitizer detects reads beyond it. */
TEST_CASE(random_cookie_headers_are_read_safely) {
  static const char alphabet[] = "aab==;;\"\" \t,\\\x80z";
  uint32_t seed = 12345;
  for (int round = 0; round < 200000; round++) {
    size_t len = (seed = seed * 1664525 + 1013904223) >> 28;
    char *header = malloc(len + 1);
    for (size_t i = 0; i < len; i++)
      header[i] = alphabet[((seed = seed * 1664525 + 1013904223) >> 16) % (sizeof alphabet - 1)];
    header[len] = '\0';
    vestry_slice value;
    const char *rest = header;
    if (vsi_cookie_next(&rest, "a", &value)) {
      const char *begin = value.data;
      assert_true(begin >= header + 2 && begin + value.len <= header + len);
      for (size_t i = 0; i < value.len; i++) assert_null(memchr("\"; \t,\\\x80", begin[i], 7));
      const char *name = begin[-1] == '"' ? begin - 3 : begin - 2;
      assert_memory_equal(name, "a=", 2);
      assert_true(name == header || memchr("; \t", name[-1], 3));
    }
    free(header);
  }
}
