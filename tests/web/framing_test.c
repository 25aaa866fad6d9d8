#include "adapter/web/framing.h"

#include "support/test.h"

/* Headers as "Name: value" lines of length and encoding alone. */
static bool is_clear(const char *length, const char *second_length, const char *encoding, const char *second_encoding,
                     bool is_http11) {
  vsi_web_framing framing = {NULL, NULL, false};
  vsi_web_framing_see(&framing, "Host", "chunked");
  if (length) vsi_web_framing_see(&framing, "Content-Length", length);
  if (encoding) vsi_web_framing_see(&framing, "transfer-encoding", encoding);
  if (second_length) vsi_web_framing_see(&framing, "CONTENT-LENGTH", second_length);
  if (second_encoding) vsi_web_framing_see(&framing, "Transfer-Encoding", second_encoding);
  return vsi_web_framing_is_clear(&framing, is_http11);
}

static void takes_what_is_clear(void **state) {
  (void)state;
  assert_true(is_clear(NULL, NULL, NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, NULL, NULL, false));
  assert_true(is_clear("0", NULL, NULL, NULL, true));
  assert_true(is_clear("123456789012345678", NULL, NULL, NULL, false));
  assert_true(is_clear("5", "5", NULL, NULL, true));
  assert_true(is_clear(NULL, NULL, "Chunked", NULL, true));
}

static void refuses_what_could_be_smuggled(void **state) {
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

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(takes_what_is_clear),
      cmocka_unit_test(refuses_what_could_be_smuggled),
  };
  return cmocka_run_group_tests_name("framing", tests, NULL, NULL);
}
