/* SPDX-License-Identifier: MIT */
/* SQLite's error text is omitted from the log if it quotes a value. */
#include "data/sqlite/fault.h"
#include "data/sqlite/statements.h"
#include "support/test.h"

TEST_CASE(messages_that_quote_a_value_are_detected) {
  static const char *const do_not[] = {"no such table: nest", "near \"FRM\": syntax error", "near \",\": syntax error",
                                       "incomplete input", "near \"x\": syntax error"};
  static const char *const cite[] = {
      "unrecognized token: \"'a\"",   "near \"'a'\": syntax error",
      "near \"\"a\"\": syntax error", "near \"12\": syntax error",
      "unrecognized token: \"x'a'\"", "no such column: \"a\" - should this be a string literal in single-quotes?"};
  for (size_t i = 0; i < sizeof do_not / sizeof *do_not; i++) assert_false(vsi_sqlite_text_cites(do_not[i]));
  for (size_t i = 0; i < sizeof cite / sizeof *cite; i++) assert_true(vsi_sqlite_text_cites(cite[i]));
}

TEST_CASE(blanks_and_comments_are_skipped) {
  static const char *const nothing[] = {"", ";", " \t\r\n;; ", "-- a", "/* a */ ; -- b\n", "/* a", "/* a *"};
  static const char *const rest[] = {"x", ";x", "-- a\nx", "/* a */x", "/* -- */ -- /*\n x"};
  for (size_t i = 0; i < sizeof nothing / sizeof *nothing; i++)
    assert_string_equal(vsi_sqlite_text_rest(nothing[i]), "");
  for (size_t i = 0; i < sizeof rest / sizeof *rest; i++) assert_string_equal(vsi_sqlite_text_rest(rest[i]), "x");
  assert_string_equal(vsi_sqlite_text_rest("- 1"), "- 1");
}
