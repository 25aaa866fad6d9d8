/* SPDX-License-Identifier: MIT */
#include "adapter/web/framing.h"

#include "support/test.h"

/* Check a head that has only these lines for length and encoding. */
static bool is_clear(const char *length, const char *second_length, const char *encoding, const char *second_encoding,
                     bool is_http11) {
  vsi_web_framing framing = {.unclear = false};
  vsi_web_framing_see(&framing, "Host", "chunked");
  vsi_web_framing_see(&framing, "X-Other", "\ta b\xff");
  if (length) vsi_web_framing_see(&framing, "Content-Length", length);
  if (encoding) vsi_web_framing_see(&framing, "transfer-encoding", encoding);
  if (second_length) vsi_web_framing_see(&framing, "CONTENT-LENGTH", second_length);
  if (second_encoding) vsi_web_framing_see(&framing, "Transfer-Encoding", second_encoding);
  return vsi_web_framing_is_clear(&framing, is_http11);
}

static void unambiguous_framing_is_accepted(void **state) {
  (void)state;
  assert_true(is_clear(NULL, NULL, NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, NULL, NULL, false));
  assert_true(is_clear("0", NULL, NULL, NULL, true));
  assert_true(is_clear("123456789012345678", NULL, NULL, NULL, false));
  assert_true(is_clear("5", "5", NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, "Chunked", NULL, true));
}

static void ambiguous_framing_is_refused(void **state) {
  (void)state;
  static const char *const lengths[] = {"", "-1", "+1", "1a", "0x10", " 5", "5 ", "5, 5", "1234567890123456789"};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    assert_false(is_clear(lengths[i], NULL, NULL, NULL, true));
    assert_false(is_clear("5", lengths[i], NULL, NULL, true));
    assert_false(is_clear(lengths[i], "5", NULL, NULL, true));
  }
  assert_false(is_clear("5", "6", NULL, NULL, true));
  assert_false(is_clear("5", NULL, "chunked", NULL, true));
  assert_false(is_clear(NULL, NULL, "chunked", NULL, false));
  assert_false(is_clear(NULL, NULL, "chunked", "chunked", true));
  static const char *const encodings[] = {"", "identity", "gzip", "gzip, chunked", "chunked, chunked", "xchunked"};
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++)
    assert_false(is_clear(NULL, NULL, encodings[i], NULL, true));
}

static bool is_clear_with(const char *name, const char *value, const char *host, const char *other_host,
                          bool is_http11) {
  vsi_web_framing framing = {.unclear = false};
  if (host) vsi_web_framing_see(&framing, "Host", host);
  vsi_web_framing_see(&framing, name, value);
  if (other_host) vsi_web_framing_see(&framing, "host", other_host);
  return vsi_web_framing_is_clear(&framing, is_http11);
}

static void invalid_header_names_and_values_are_refused(void **state) {
  (void)state;
  static const char *const names[] = {"", "Transfer-Encoding ", " X", "X\t", "X Y", "X(", "X\x01", "X\xc3\xa9", "X/"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) assert_false(is_clear_with(names[i], "a", "a", NULL, true));
  static const char *const values[] = {"a\rb", "a\nb", "\x01", "a\x7f"};
  for (size_t i = 0; i < sizeof values / sizeof *values; i++)
    assert_false(is_clear_with("X", values[i], "a", NULL, true));
  assert_true(is_clear_with("X-!#$%&'*+.^_`|~9", "", "a", NULL, true));
}

static void exactly_one_valid_host_is_required(void **state) {
  (void)state;
  assert_true(is_clear_with("X", "a", "localhost:80", NULL, true));
  assert_true(is_clear_with("X", "a", "[::1]:80", NULL, true));
  assert_true(is_clear_with("X", "a", "", NULL, true));
  assert_true(is_clear_with("X", "a", NULL, NULL, false));
  assert_false(is_clear_with("X", "a", NULL, NULL, true));
  assert_false(is_clear_with("X", "a", "a", "b", true));
  assert_false(is_clear_with("X", "a", "a", "a", false));
  static const char *const hosts[] = {"a b", "a,b", "a/b", "u@h", "a?", "a#", "a\\b"};
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) assert_false(is_clear_with("X", "a", hosts[i], NULL, true));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unambiguous_framing_is_accepted),
      cmocka_unit_test(ambiguous_framing_is_refused),
      cmocka_unit_test(invalid_header_names_and_values_are_refused),
      cmocka_unit_test(exactly_one_valid_host_is_required),
  };
  return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
