/* SPDX-License-Identifier: MIT */
/* What the log may say of a statement: its words and names, and no value. */
#include "sqlite/text.h"

#include <string.h>

#include "support/test.h"

static const struct {
  const char *sql, *shown;
} rows[] = {
    {"", ""},
    {"SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b", "SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b"},
    {"VALUES('it''s', \"x\"\"y\", x'00', X'00', 1, -2, 3.5, .5, 6e7, 0x10, NULL)",
     "VALUES(..., ..., ..., ..., ..., -..., ..., ...., ..., ..., NULL)"},
    {"SELECT [it's], `it's`, 'it' -- it's\n, 'is' /* it's */", "SELECT [it's], `it's`, ... \n, ... "},
    {"SELECT 'open", "SELECT ..."},
    {"SELECT 1 /* open", "SELECT ... "},
    {"SELECT a - b, a/b, x, x - '1'", "SELECT a - b, a/b, x, x - ..."},
    {"SELECT '\xC3\xA4' AS \xC3\xA4", "SELECT ... AS \xC3\xA4"},
};

static void values_are_left_out(void **state) {
  (void)state;
  char shown[128];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_sqlite_text_show(rows[i].sql, shown, sizeof shown);
    assert_string_equal(shown, rows[i].shown);
  }
}

static void what_has_no_room_is_cut(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const size_t len = strlen(rows[i].shown);
    for (size_t room = 1; room <= len + 1; room++) {
      char shown[128];
      vsi_sqlite_text_show(rows[i].sql, shown, room);
      assert_true(strlen(shown) < room);
      assert_memory_equal(shown, rows[i].shown, strlen(shown));
      if (room == len + 1) assert_string_equal(shown, rows[i].shown);
    }
  }
}

static void messages_that_cite_a_value_are_told_apart(void **state) {
  (void)state;
  static const char *const do_not[] = {"no such table: nest", "near \"FRM\": syntax error", "near \",\": syntax error",
                                       "incomplete input", "near \"x\": syntax error"};
  static const char *const cite[] = {
      "unrecognized token: \"'a\"",   "near \"'a'\": syntax error",
      "near \"\"a\"\": syntax error", "near \"12\": syntax error",
      "unrecognized token: \"x'a'\"", "no such column: \"a\" - should this be a string literal in single-quotes?"};
  for (size_t i = 0; i < sizeof do_not / sizeof *do_not; i++) assert_false(vsi_sqlite_text_cites(do_not[i]));
  for (size_t i = 0; i < sizeof cite / sizeof *cite; i++) assert_true(vsi_sqlite_text_cites(cite[i]));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_left_out),
      cmocka_unit_test(what_has_no_room_is_cut),
      cmocka_unit_test(messages_that_cite_a_value_are_told_apart),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
