/* SPDX-License-Identifier: MIT */
/* The log shows a statement's words and names, but no values. */
#include "data/sql/syntax.h"

#include <stdlib.h>

#include "support/test.h"

static const struct {
  vsi_sql_dialect of;
  const char *sql, *shown;
} rows[] = {
    {VSI_SQL_SQLITE, "", ""},
    {VSI_SQL_SQLITE, "SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b",
     "SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b"},
    {VSI_SQL_SQLITE, "VALUES('it''s', \"x\"\"y\", x'00', X'00', 1, -2, 3.5, .5, 6e7, 0x10, NULL)",
     "VALUES(..., ..., x..., X..., ..., -..., ..., ...., ..., ..., NULL)"},
    {VSI_SQL_SQLITE, "SELECT [it's], `it's`, 'it' -- it's\n, 'is' /* it's */", "SELECT [it's], `it's`, ... \n, ... "},
    {VSI_SQL_SQLITE, "SELECT 'open", "SELECT ..."},
    {VSI_SQL_SQLITE, "SELECT 1 /* open", "SELECT ... "},
    {VSI_SQL_SQLITE, "SELECT 1 /* /* */, 'a'", "SELECT ... , ..."},
    {VSI_SQL_SQLITE, "SELECT 'a\\', 'b'", "SELECT ..., ..."},
    {VSI_SQL_SQLITE, "SELECT a - b, a/b, x, x - '1'", "SELECT a - b, a/b, x, x - ..."},
    {VSI_SQL_SQLITE, "SELECT '\xC3\xA4' AS \xC3\xA4", "SELECT ... AS \xC3\xA4"},
    {VSI_SQL_POSTGRES, "SELECT name, a$1 FROM t2 WHERE id = $1::int", "SELECT name, a$1 FROM t2 WHERE id = $1::int"},
    {VSI_SQL_POSTGRES, "VALUES('it''s', \"x\"\"y\", x'0f', B'01', N'n', U&'\\0061', 1_000, -2, 3.5, 0x10)",
     "VALUES(..., ..., x..., B..., N..., U&..., ..., -..., ..., ...)"},
    {VSI_SQL_POSTGRES, "SELECT ARRAY['it''s', 'a'], b[1], `'c'`", "SELECT ARRAY[..., ...], b[...], `...`"},
    {VSI_SQL_POSTGRES, "SELECT E'it\\'s', e'a\\\\', 'b'", "SELECT E..."},
    {VSI_SQL_POSTGRES, "SELECT e'a\\\\', 'b'", "SELECT e..."},
    {VSI_SQL_POSTGRES, "SELECT 'a\\b', 'it\\'s', x", "SELECT ..., ..."},
    {VSI_SQL_POSTGRES, "SELECT $1, $$it's$$, $a$ $$ b $ $b$ $a$", "SELECT $1, ..."},
    {VSI_SQL_POSTGRES, "SELECT a$b$, 'it$b$s', x", "SELECT a$b$, ..., x"},
    {VSI_SQL_POSTGRES, "SELECT $", "SELECT ..."},
    {VSI_SQL_POSTGRES, "SELECT 1 /* /* it's */ 'a' */, 'b' -- 'c'", "SELECT ... , ... "},
    {VSI_SQL_POSTGRES, "SELECT E'open\\", "SELECT E..."},
};

TEST_CASE(log_omits_values_of_statements) {
  char shown[128];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_sql_show(rows[i].of, rows[i].sql, shown, sizeof shown);
    assert_string_equal(shown, rows[i].shown);
  }
}

TEST_CASE(shown_statement_is_cut_to_its_buffer) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const size_t len = strlen(rows[i].shown);
    for (size_t room = 1; room <= len + 1; room++) {
      char shown[128];
      vsi_sql_show(rows[i].of, rows[i].sql, shown, room);
      assert_true(strlen(shown) < room);
      assert_memory_equal(shown, rows[i].shown, strlen(shown));
      if (room == len + 1) assert_string_equal(shown, rows[i].shown);
    }
  }
}

/* However a text is cut, no byte after its end is read: a sanitizer checks it. */
TEST_CASE(truncated_statements_are_not_read_beyond_their_end) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t len = 0; len < strlen(rows[i].sql); len++) {
      char shown[128], *sql = strndup(rows[i].sql, len);
      assert_non_null(sql);
      vsi_sql_show(rows[i].of, sql, shown, sizeof shown);
      assert_true(strlen(shown) <= strlen(sql) * 3);
      free(sql);
    }
}
