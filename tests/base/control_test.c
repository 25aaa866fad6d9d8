/* SPDX-License-Identifier: MIT */
/* Characters that control a terminal, end a line or change its direction; the log contains none. */

#include "base/log.h"
#include "support/test.h"
#include "support/test_host.h"

TEST_CASE(control_characters_are_recognized) {
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

HOST_CASE(log_replaces_control_characters) {
  vsi_log(&th->host, VESTRY_LOG_WARN, "%s",
          "a\nb\xC2\x9B"
          "c\xE2\x80\xAE"
          "d\xC3\xA9");
  assert_string_equal(th->last_log, "a?b?c?d\xC3\xA9");
}
