/* SPDX-License-Identifier: MIT */
/* Characters that rule a terminal, end a line or turn its order, and the log without them. */
#include "base/control.h"

#include "base/log.h"
#include "support/test.h"
#include "support/test_host.h"

static void what_is_one(void **state) {
  (void)state;
  static const struct {
    const char *text;
    size_t len;
  } rows[] = {{"\n", 1},
              {"\x7F", 1},
              {" ", 0},
              {"a", 0},
              {"\xC2\x80", 2},
              {"\xC2\x9F", 2},
              {"\xC2\xA0", 0},
              {"\xC2", 0},
              {"\xD8\x9C", 2},
              {"\xD8\x9D", 0},
              {"\xE2\x80\x8D", 0},
              {"\xE2\x80\x8E", 3},
              {"\xE2\x80\x8F", 3},
              {"\xE2\x80\x90", 0},
              {"\xE2\x80\xA7", 0},
              {"\xE2\x80\xA8", 3},
              {"\xE2\x80\xAE", 3},
              {"\xE2\x80\xAF", 0},
              {"\xE2\x81\xA5", 0},
              {"\xE2\x81\xA6", 3},
              {"\xE2\x81\xA9", 3},
              {"\xE2\x81\xAA", 0},
              {"\xE2\x80", 0}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const size_t len = strlen(rows[i].text);
    assert_int_equal(vsi_control_len(rows[i].text, rows[i].text + len), rows[i].len);
    assert_int_equal(vsi_has_control(rows[i].text, len), rows[i].len != 0);
  }
  assert_false(vsi_has_control(NULL, 0));
}

static void the_log_has_none(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_log(&th.host, VESTRY_LOG_WARN, "%s",
          "a\nb\xC2\x9B"
          "c\xE2\x80\xAE"
          "d\xC3\xA9");
  assert_string_equal(th.last_log, "a?b?c?d\xC3\xA9");
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_one),
      cmocka_unit_test(the_log_has_none),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
