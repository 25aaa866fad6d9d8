/* SPDX-License-Identifier: MIT */
/* What the log may say of a statement: its words and names, and no value. */
#include "base/sql.h"

#include <stdlib.h>

#include "support/test.h"

static const struct {
  vsi_sql of;
  const char *sql, *shown;
} rows[] = {
    {VSI_SQL_SQLITE, "", ""},
    {VSI_SQL_SQLITE, "SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b",
     "SELECT name, a1 FROM t2 WHERE id = ?1 AND b = :b"},
    {VSI_SQL_SQLITE, "VALUES('it''s', \"x\"\"y\", x'00', X'00', 1, -2, 3.5, .5, 6e7, 0x10, NULL)",
     "VALUES(..., ..., ..., ..., ..., -..., ..., ...., ..., ..., NULL)"},
    {VSI_SQL_SQLITE, "SELECT [it's], `it's`, 'it' -- it's\n, 'is' /* it's */", "SELECT [it's], `it's`, ... \n, ... "},
    {VSI_SQL_SQLITE, "SELECT 'open", "SELECT ..."},
    {VSI_SQL_SQLITE, "SELECT 1 /* open", "SELECT ... "},
    {VSI_SQL_SQLITE, "SELECT 1 /* /* */, 'a'", "SELECT ... , ..."},
    {VSI_SQL_SQLITE, "SELECT 'a\\', 'b'", "SELECT ..., ..."},
    {VSI_SQL_SQLITE, "SELECT a - b, a/b, x, x - '1'", "SELECT a - b, a/b, x, x - ..."},
    {VSI_SQL_SQLITE, "SELECT '\xC3\xA4' AS \xC3\xA4", "SELECT ... AS \xC3\xA4"},
    {VSI_SQL_POSTGRES, "SELECT name, a$1 FROM t2 WHERE id = $1::int", "SELECT name, a$1 FROM t2 WHERE id = $1::int"},
    {VSI_SQL_POSTGRES, "VALUES('it''s', \"x\"\"y\", x'0f', B'01', N'n', U&'\\0061', 1_000, -2, 3.5, 0x10)",
     "VALUES(..., ..., ..., ..., N..., U&..., ..., -..., ..., ...)"},
    {VSI_SQL_POSTGRES, "SELECT ARRAY['it''s', 'a'], b[1], `'c'`", "SELECT ARRAY[..., ...], b[...], `...`"},
    {VSI_SQL_POSTGRES, "SELECT E'it\\'s', e'a\\\\', 'b'", "SELECT ..., ..., ..."},
    {VSI_SQL_POSTGRES, "SELECT 'a\\b', 'it\\'s', x", "SELECT ..., ..."},
    {VSI_SQL_POSTGRES, "SELECT $$it's$$, $a$ $$ b $ $b$ $a$, $1", "SELECT ..., ..., $1"},
    {VSI_SQL_POSTGRES, "SELECT a$b$, 'it$b$s', x", "SELECT a$b$, ..., x"},
    {VSI_SQL_POSTGRES, "SELECT $a$open", "SELECT ..."},
    {VSI_SQL_POSTGRES, "SELECT $", "SELECT $"},
    {VSI_SQL_POSTGRES, "SELECT 1 /* /* it's */ 'a' */, 'b' -- 'c'", "SELECT ... , ... "},
    {VSI_SQL_POSTGRES, "SELECT E'open\\", "SELECT ..."},
};

static void values_are_left_out(void **state) {
  (void)state;
  char shown[128];
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_sql_show(rows[i].of, rows[i].sql, shown, sizeof shown);
    assert_string_equal(shown, rows[i].shown);
  }
}

static void what_has_no_room_is_cut(void **state) {
  (void)state;
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

/* However a text is cut, nothing beyond its end is read: a sanitizer sees to it. */
static void a_text_may_end_anywhere(void **state) {
  (void)state;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t len = 0; len < strlen(rows[i].sql); len++) {
      char shown[128], *sql = strndup(rows[i].sql, len);
      assert_non_null(sql);
      vsi_sql_show(rows[i].of, sql, shown, sizeof shown);
      assert_true(strlen(shown) <= strlen(sql) * 3);
      free(sql);
    }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(values_are_left_out),
      cmocka_unit_test(what_has_no_room_is_cut),
      cmocka_unit_test(a_text_may_end_anywhere),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
