/* SPDX-License-Identifier: MIT */
/* No value of an application's data is logged. Marks are planted in bound values, literals, rows and messages of
 * functions; no log line contains one. Names of tables and constraints may appear. */
#include "data/sql/sql.h"
#include "postgres/shop.h"
#include "support/test.h"

#define MARK "zq7xk"

static void begin(shop *s) {
  shop_begin(s, (vestry_postgres_pool_options){0});
  shop_do(s,
          "CREATE TABLE bird(id int PRIMARY KEY, name text UNIQUE, weight int CHECK(weight <> 7), kind text NOT NULL)");
  shop_do(s, "INSERT INTO bird VALUES(1, '" MARK "row', 1, 'a')");
  shop_do(s, "CREATE FUNCTION say(text) RETURNS int LANGUAGE plpgsql AS "
             "'BEGIN RAISE EXCEPTION ''no: %'', $1 USING ERRCODE = ''42P01''; END'");
}

/* Check that the last log line contains the text, and no mark. */
static void assert_logged(const shop *s, const char *sql, const char *expected_log) {
  if (strstr(s->th.last_log, MARK)) fail_msg("%s is logged: %s", sql, s->th.last_log);
  if (!strstr(s->th.last_log, expected_log))
    fail_msg("%s: it does not say \"%s\": %s", sql, expected_log, s->th.last_log);
}

typedef struct wrong {
  const char *sql, *expected_log;
} wrong;

static void run_rejected(const wrong *all, size_t count) {
  shop s;
  begin(&s);
  for (size_t i = 0; i < count; i++) {
    const long before = s.th.log_lines;
    memset((void *)&s.pool->failures, 0, sizeof s.pool->failures); /* statements that look the same are one reason */
    assert_int_not_equal(vestry_sql_run_alone(s.pool, all[i].sql, NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(s.th.log_lines, before + 1);
    assert_logged(&s, all[i].sql, all[i].expected_log);
  }
  shop_end(&s);
}

TEST_CASE(literals_are_not_logged) {
  static const wrong all[] = {
      {"INSERT INTO bird VALUES(2, '" MARK "row', 1, 'a')",
       "INSERT INTO bird VALUES(..., ..., ..., ...): duplicate key value violates unique constraint ..., "
       "constraint bird_name_key, table bird (23505)"},
      {"INSERT INTO bird VALUES(2, '" MARK "', 7, 'a')",
       "new row for relation ..., constraint bird_weight_check, table bird (23514)"},
      {"INSERT INTO bird VALUES(2, '" MARK "', 1, NULL)", "null value in column ..., table bird, column kind (23502)"},
      {"SELECT 1 FROM nest WHERE a = '" MARK "'",
       "SELECT ... FROM nest WHERE a = ...: relation ..., at: nest WHERE a = ... (42P01)"},
      {"SELECT '\xC3\xA4\xE2\x82\xAC" MARK "', nme FROM bird", "column ..., at: nme FROM bird (42703)"},
      {"SELECT $a$'" MARK "$a$, E'it\\'s " MARK "', 'it\\'s " MARK "' FROM nest", "SELECT ...: "},
      {"SELECT 1 /* /* */ '" MARK "' */ FRM bird",
       "SELECT ...  FRM bird: syntax error at or near ..., at: bird (42601)"},
  };
  run_rejected(all, sizeof all / sizeof *all);
}

/* A text that the server quotes need not be a name, although the server presents it as one. */
TEST_CASE(text_quoted_by_the_server_is_not_logged) {
  static const wrong all[] = {
      {"SELECT '" MARK "'::int", "a value is invalid (22P02)"},
      {"SELECT 1 '" MARK "'", "syntax error at or near ..., at: ... (42601)"},
      {"SELECT '" MARK, "unterminated quoted string at or near ..., at: ... (42601)"},
      {"SELECT U&'" MARK "\\00 " MARK "'", "SELECT U&...: "},
      {"SELECT E'" MARK "\\u00 " MARK "'", "SELECT E...: "},
      {"SELECT \"" MARK, "unterminated quoted identifier at or near ..., at: ... (42601)"},
      {"SELECT $" MARK "$ a", "unterminated dollar-quoted string at or near ..., at: ... (42601)"},
      {"SELECT name FROM bird WHERE name = \"" MARK "\"", "column ..., at: ... (42703)"},
      {"SELECT '" MARK "'::regclass", "relation ..., at: ...::regclass (42P01)"},
      {"SELECT nextval('" MARK " \"a\" b')", "(42602)"},
      {"SELECT set_config('" MARK "', 'a', false)", "unrecognized configuration parameter ... (42704)"},
      {"SELECT b.\"a\xC2\xBB" MARK "\" FROM bird b", "column b.a..., at: b.... FROM bird b (42703)"},
      {"SELECT name FROM bird ORDER BY 1234", "ORDER BY position ..., at: ... (42P10)"},
      {"SELECT say('" MARK "')", "SELECT say(...): a function has raised an error (42P01)"},
      {"DO $$ BEGIN RAISE EXCEPTION '" MARK "'; END $$", "DO ...: a function has raised an error (P0001)"},
  };
  run_rejected(all, sizeof all / sizeof *all);
}

TEST_CASE(bound_values_are_not_logged) {
  shop s;
  static const wrong all[] = {
      {"SELECT $1::int", "SELECT $1::int: a value is invalid (22P02)"},
      {"SELECT $1::text::regclass", "SELECT $1::text::regclass: relation ... (42P01)"},
      {"SELECT say($1)", "SELECT say($1): a function has raised an error (42P01)"},
      {"INSERT INTO bird VALUES(2, $1 || 'row', 1, 'a')", "constraint bird_name_key, table bird (23505)"},
      {"SELECT $1, $2, '" MARK "'", "SELECT $1, $2, ...: "},
  };
  begin(&s);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    assert_int_not_equal(vestry_sql_run_alone(s.pool, all[i].sql, VESTRY_LIST(MARK), NULL, NULL), VESTRY_OK);
    assert_logged(&s, all[i].sql, all[i].expected_log);
  }
  const char *none = NULL, *sql = "SELECT '" MARK "', $1";
  assert_int_equal(vestry_sql_run_alone(s.pool, sql, VESTRY_LIST(none), NULL, NULL), VESTRY_INVALID);
  assert_logged(&s, sql, "SELECT ..., $1: each value must be");
  shop_end(&s);
}

/* A statement whose connection was lost is logged, too. */
TEST_CASE(statement_of_a_lost_connection_is_logged_without_values) {
  shop s;
  begin(&s);
  const char *sql = "SELECT pg_terminate_backend(pg_backend_pid()), '" MARK "'";
  assert_int_equal(vestry_sql_run_alone(s.pool, sql, NULL, NULL, NULL), VESTRY_IO);
  assert_logged(&s, sql,
                "SELECT pg_terminate_backend(pg_backend_pid()), ...: it is unknown whether the statement was executed");
  shop_end(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/secrets", shop_open_server, shop_close_server);
}
