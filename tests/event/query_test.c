/* SPDX-License-Identifier: MIT */
#include "event/query.h"

#include "event/expect.h"
#include "support/test.h"
#include "vestry/signals.h"

TEST_CASE(value_is_found_by_name_and_decoded) {
  static const struct {
    const char *query, *name, *value;
  } rows[] = {
      {"a=1", "a", "1"},
      {"a=1&b=2", "b", "2"},
      {"b=2&a=1&a=3", "a", "1"},
      {"a", "a", ""},
      {"a=", "a", ""},
      {"a&b=1", "a", ""},
      {"x=a=1&a=2", "a", "2"},
      {"aa=1&a=2", "a", "2"},
      {"a=b=c", "a", "b=c"},
      {"a=x+y%20z", "a", "x y z"},
      {"a=%41%62%7E%7e", "a", "Ab~~"},
      {"%61+b=1", "a b", "1"},
      {"&&a=1&&", "a", "1"},
      {"%zz=1&a=%C3%BC", "a", "\xC3\xBC"},
      {"a=1?2#3;4", "a", "1?2#3;4"},
      {"=1", "", "1"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t query_len = strlen(rows[i].query), len = 99;
    char *query = guarded_copy(rows[i].query, query_len);
    char buffer[64];
    memset(buffer, '?', sizeof buffer);
    assert_int_equal(vsi_query_value(query, query_len, rows[i].name, buffer, sizeof buffer, &len), VESTRY_OK);
    assert_int_equal(len, strlen(rows[i].value));
    assert_string_equal(buffer, rows[i].value);
    assert_int_equal(buffer[len + 1], '?');
    guarded_free(query, query_len);
  }
}

static void refuse(const char *query, const char *name, size_t capacity, vestry_err expected) {
  size_t query_len = query ? strlen(query) : 0, len = 99;
  char *copy = guarded_copy(query, query_len);
  char buffer[64] = "untouched";
  assert_int_equal(vsi_query_value(copy, query_len, name, buffer, capacity, &len), expected);
  assert_int_equal(len, 99);
  assert_string_equal(buffer, "untouched");
  guarded_free(copy, query_len);
}

TEST_CASE(other_names_are_not_found) {
  refuse("", "a", 64, VESTRY_NOT_FOUND);
  refuse(NULL, "a", 64, VESTRY_NOT_FOUND);
  refuse("b=a", "a", 64, VESTRY_NOT_FOUND);
  refuse("A=1&ab=1&=a", "a", 64, VESTRY_NOT_FOUND);
  refuse("%6=1&%=1&a%=1", "a", 64, VESTRY_NOT_FOUND);
  refuse("a%00=1", "a", 64, VESTRY_NOT_FOUND);
  refuse("a", "ab", 64, VESTRY_NOT_FOUND);
  refuse("&&", "", 64, VESTRY_NOT_FOUND);
  assert_int_equal(vsi_query_value(NULL, 0, "a", NULL, 0, NULL), VESTRY_NOT_FOUND);
}

TEST_CASE(broken_escapes_are_malformed) {
  refuse("a=%", "a", 64, VESTRY_MALFORMED);
  refuse("a=%4", "a", 64, VESTRY_MALFORMED);
  refuse("a=%4&b", "a", 64, VESTRY_MALFORMED);
  refuse("a=%g0", "a", 64, VESTRY_MALFORMED);
  refuse("a=%0g", "a", 64, VESTRY_MALFORMED);
  refuse("a=x%%41", "a", 64, VESTRY_MALFORMED);
  refuse("a=%\xC3\xBC", "a", 64, VESTRY_MALFORMED);
  vestry_slice encoded = {"ab%", 3};
  size_t len = 7, offset = 0;
  assert_int_equal(vsi_query_decoded_len(encoded, &len, &offset), VESTRY_MALFORMED);
  assert_int_equal(offset, 2);
  assert_int_equal(len, 7);
}

TEST_CASE(value_over_buffer_size_is_too_large) {
  char buffer[5] = {'.', '.', '.', '.', '.'};
  size_t len;
  assert_int_equal(vsi_query_value("a=%41bc", 7, "a", buffer, 4, &len), VESTRY_OK);
  assert_int_equal(len, 3);
  assert_memory_equal(buffer, "Abc\0.", 5);
  refuse("a=abc", "a", 3, VESTRY_TOO_LARGE);
  refuse("a=", "a", 0, VESTRY_TOO_LARGE);
  refuse("a=abc", "a", 0, VESTRY_TOO_LARGE);
}

TEST_CASE(value_may_contain_nul) {
  char buffer[8];
  size_t len;
  assert_int_equal(vsi_query_value("a=x%00y", 7, "a", buffer, sizeof buffer, &len), VESTRY_OK);
  assert_int_equal(len, 3);
  assert_memory_equal(buffer, "x\0y", 4);
}

/* Every byte, as an escape in both cases and unescaped. */
TEST_CASE(each_byte_is_decoded_escaped_and_unescaped) {
  for (int c = 0; c < 256; c++) {
    char query[8], buffer[4];
    size_t len;
    for (int upper = 0; upper < 2; upper++) {
      snprintf(query, sizeof query, upper ? "a=%%%02X" : "a=%%%02x", (unsigned)c);
      assert_int_equal(vsi_query_value(query, 5, "a", buffer, sizeof buffer, &len), VESTRY_OK);
      assert_int_equal(len, 1);
      assert_int_equal((unsigned char)buffer[0], c);
    }
    if (c == '%' || c == '&' || c == '+') continue;
    memcpy(query, "a=", 2);
    query[2] = (char)c;
    assert_int_equal(vsi_query_value(query, 3, "a", buffer, sizeof buffer, &len), VESTRY_OK);
    assert_int_equal(len, 1);
    assert_int_equal((unsigned char)buffer[0], c);
  }
}
