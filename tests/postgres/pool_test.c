/* SPDX-License-Identifier: MIT */
/* Checked-out connections: their statements, their transactions, and the log lines of failures. */
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>

#include "data/sql/sql.h"
#include "postgres/shop.h"
#include "support/test.h"
#include "support/until.h"

static void assert_logged(shop *s, const char *function, const char *what) {
  if (!strstr(s->th.last_log, function) || !strstr(s->th.last_log, what) || !strstr(s->th.last_log, "postgres at "))
    fail_msg("it does not say \"%s … %s\": %s", function, what, s->th.last_log);
}

/* -------------------------------------------------------------------------------------------- statements ---------- */

static void append(const vestry_sql_row *row, void *ctx) {
  char *text = ctx;
  for (size_t i = 0; i <= row->ops->columns_count(row); i++) {
    const char *value = vestry_sql_text(row, i);
    snprintf(text + strlen(text), 200 - strlen(text), "%s ", value ? value : "null");
  }
}

#define SHOP_CASE(name) TEST_CASE_WITH(name, shop, s, shop_begin(s, (vestry_postgres_pool_options){0}), shop_end(s))

SHOP_CASE(values_are_bound_and_rows_returned) {
  char text[200] = "";
  const bool yes = true;
  int64_t truth = 0;
  shop_do(s, "CREATE TABLE t(id bigint PRIMARY KEY, x text, y float8, z bool)");
  assert_int_equal(vestry_sql_run_alone(s->pool, "INSERT INTO t VALUES($1, $2, $3, $4)",
                                        VESTRY_LIST(INT64_MAX, "it's\n\xc3\xb8", 0.5, vestry_value_null()), NULL, NULL),
                   VESTRY_OK);
  assert_int_equal(vestry_sql_run_alone(s->pool, "INSERT INTO t(id, z) VALUES(-1, $1) RETURNING id, z",
                                        VESTRY_LIST(yes), append, text),
                   VESTRY_OK);
  assert_int_equal(vestry_sql_run_alone(s->pool, "SELECT * FROM t ORDER BY id DESC", NULL, append, text), VESTRY_OK);
  assert_string_equal(text, "-1 t null 9223372036854775807 it's\n\xc3\xb8 0.5 null null -1 null null t null ");
  assert_int_equal(shop_number(s, "SELECT z FROM t WHERE id = -1"), 1);
  assert_int_equal(shop_number(s, "SELECT x FROM t WHERE id = -1"), 0);
  assert_int_equal(vestry_sql_run_alone(s->pool, "SELECT $1", VESTRY_LIST("-7"), vestry_sql_row_integer, &truth),
                   VESTRY_OK);
  assert_int_equal(truth, -7);
  /* NOT_FOUND is returned only by a statement that could return rows, and has returned none. */
  assert_int_equal(vestry_sql_run_alone(s->pool, "SELECT 1 FROM t WHERE id = 7", NULL, NULL, NULL), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_sql_run_alone(s->pool, "DELETE FROM t WHERE id = 7", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(s->th.log_lines, 0);
}

typedef struct taken {
  char bytes[64];
  size_t len;
} taken;

static void take_bytes(const vestry_sql_row *row, void *ctx) {
  taken *of = ctx;
  memset(of, '.', sizeof *of);
  of->len = vestry_sql_bytes(row, 0, of->bytes, sizeof of->bytes);
  assert_int_equal(vestry_sql_bytes(row, 0, NULL, 0), of->len);
}

/* Only a bytea has hexadecimal digits or escapes. */
TEST_CASE(bytes_of_a_text_are_the_text) {
  static const char *const texts[] = {"name\\", "C:\\temp", "\\xavier", "\\x41", "\\\\", "\\101", "\\", ""};
  static const char *const outputs[] = {"SET bytea_output = hex", "SET bytea_output = escape"};
  static const char bytea[] = {0, 1, '\\', '\\', '1', '\\', 'x', (char)0xff, '\\'};
  shop s;
  taken got;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    for (size_t k = 0; k < 3; k++) {
      static const char *const queries[] = {"SELECT $1::text, 'another column'", "SELECT $1::varchar, 'another column'",
                                            "SELECT to_json($1::text)#>>'{}', 'another column'"};
      assert_int_equal(vestry_sql_run_alone(s.pool, queries[k], VESTRY_LIST(texts[i]), take_bytes, &got), VESTRY_OK);
      assert_int_equal(got.len, strlen(texts[i]));
      assert_memory_equal(got.bytes, texts[i], got.len);
    }
  shop_do(&s, "CREATE DOMAIN picture AS bytea");
  for (size_t i = 0; i < 2; i++)
    for (size_t k = 0; k < 2; k++) {
      shop_set(&s, outputs[i]);
      assert_int_equal(vestry_sql_run_alone(s.pool, k ? "SELECT $1::picture" : "SELECT $1::bytea",
                                            VESTRY_LIST(vestry_value_bytes(bytea, sizeof bytea)), take_bytes, &got),
                       VESTRY_OK);
      assert_int_equal(got.len, sizeof bytea);
      assert_memory_equal(got.bytes, bytea, sizeof bytea);
    }
  shop_end(&s);
}

/* Set a locale with a decimal comma, which is made from the definitions of Debian's package locales. */
static bool set_comma(void) {
  char command[256];
  snprintf(command, sizeof command, "localedef -i de_DE -f UTF-8 %s/de_DE.UTF-8 2> /dev/null", shop_server()->folder);
  if (system(command)) return false;
  setenv("LOCPATH", shop_server()->folder, 1);
  return setlocale(LC_NUMERIC, "de_DE.UTF-8") != NULL;
}

TEST_CASE(numbers_do_not_depend_on_the_locale) {
  static const struct {
    double number;
    const char *text;
  } all[] = {{12.5, "12.5"},         {-0.0009765625, "-0.0009765625"}, {1e300, "1e300"}, {7, "7"},
             {INFINITY, "Infinity"}, {-INFINITY, "-Infinity"},         {NAN, "NaN"},     {-NAN, "NaN"}};
  static const char as_number[] = "SELECT $1::double precision = $2::double precision";
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  if (!set_comma()) print_message("there is no locale with a decimal comma here (apt-get install locales)\n");
  int64_t is_same[8] = {0}, is_same_text = 0;
  vestry_err error = vestry_sql_run_alone(s.pool, "SELECT $1::text = '12.5'", VESTRY_LIST(12.5), vestry_sql_row_integer,
                                          &is_same_text);
  for (size_t i = 0; i < 8 && !error; i++)
    error = vestry_sql_run_alone(s.pool, as_number, VESTRY_LIST(all[i].number, all[i].text), vestry_sql_row_integer,
                                 &is_same[i]);
  setlocale(LC_NUMERIC, "C");
  unsetenv("LOCPATH");
  assert_int_equal(error, VESTRY_OK);
  assert_true(is_same_text);
  for (size_t i = 0; i < 8; i++)
    if (!is_same[i]) fail_msg("%s is another number", all[i].text);
  shop_end(&s);
}

/* More values than fit on the stack. */
TEST_CASE(forty_values_are_bound) {
  shop s;
  enum { MANY = 40 };
  vestry_value items[MANY];
  char sql[400] = "SELECT $1::int";
  int64_t sum = 0;
  shop_begin(&s, (vestry_postgres_pool_options){0});
  for (int i = 0; i < MANY; i++) {
    items[i] = vestry_value_integer(i);
    if (i) snprintf(sql + strlen(sql), sizeof sql - strlen(sql), "+$%d", i + 1);
  }
  const vestry_value list = vestry_value_list(items, MANY);
  assert_int_equal(vestry_sql_run_alone(s.pool, sql, &list, vestry_sql_row_integer, &sum), VESTRY_OK);
  assert_int_equal(sum, MANY * (MANY - 1) / 2);
  items[MANY - 1] = vestry_value_string(NULL);
  assert_int_equal(vestry_sql_run_alone(s.pool, sql, &list, NULL, NULL), VESTRY_INVALID);
  shop_end(&s);
}

static vestry_err alone(shop *s, const char *sql, const vestry_value *values) {
  return vestry_sql_run_alone(s->pool, sql, values, NULL, NULL);
}

/* A deferred constraint is checked when the statement is committed. */
TEST_CASE(deferred_constraint_of_a_single_statement_is_reported) {
  static const char insert[] = "INSERT INTO t VALUES($1)";
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  shop_do(&s, "CREATE TABLE t(a int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
  assert_int_equal(alone(&s, insert, VESTRY_LIST(1)), VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(alone(&s, insert, VESTRY_LIST(1)), VESTRY_EXISTS);
    assert_logged(&s, "vestry_sql_run", "(23505)");
  }
  assert_int_equal(alone(&s, "INSERT INTO t VALUES(1)", NULL), VESTRY_EXISTS);
  assert_int_equal(s.pool->ops->run_by(s.pool, VSI_SQL_RUN_AGAIN, insert, VESTRY_LIST(1), NULL, NULL), VESTRY_EXISTS);
  assert_int_equal(alone(&s, insert, VESTRY_LIST(2)), VESTRY_OK);
  assert_int_equal(s.th.log_lines, 2); /* a statement's failure is logged once a minute */
  assert_int_equal(shop_stats(&s).connects_count, 1);
  assert_int_equal(shop_number(&s, "SELECT count(*) FROM t"), 2);
  shop_end(&s);
}

SHOP_CASE(wrong_values_are_logged_without_their_content) {
  static const char two[] = "SELECT $1::int, $2::int";
  const char *none = NULL;
  shop_do(s, "CREATE TABLE t(id int PRIMARY KEY, secret text UNIQUE)");
  assert_int_equal(alone(s, two, VESTRY_LIST(1)), VESTRY_INVALID);
  assert_logged(s, "vestry_sql_run", "SELECT $1::int, $2::int: ");
  assert_logged(s, "vestry_sql_run", "(08P01)");
  assert_int_equal(alone(s, two, VESTRY_LIST(1, none)), VESTRY_INVALID);
  assert_int_equal(alone(s, two, VESTRY_LIST(1, VESTRY_LIST(2))), VESTRY_INVALID);
  assert_int_equal(alone(s, two, VESTRY_OBJECT("a", 1)), VESTRY_INVALID);
  assert_int_equal(alone(s, "SELEKT 1", NULL), VESTRY_IO);
  assert_logged(s, "vestry_sql_run", "SELEKT ...: syntax error at or near ..., at: SELEKT ... (42601)");
  assert_int_equal(alone(s, two, VESTRY_LIST("hunter2", 1)), VESTRY_IO);
  assert_logged(s, "vestry_sql_run", "a value is invalid (22P02)");
  assert_null(strstr(s->th.last_log, "hunter2"));
  assert_int_equal(alone(s, "INSERT INTO t VALUES($1, $2)", VESTRY_LIST(1, "hunter2")), VESTRY_OK);
  assert_int_equal(alone(s, "INSERT INTO t VALUES($1, $2)", VESTRY_LIST(2, "hunter2")), VESTRY_EXISTS);
  assert_logged(s, "vestry_sql_run", "(23505)");
  assert_null(strstr(s->th.last_log, "hunter2"));
  assert_int_equal(s->th.log_lines, 5); /* equal lines are logged once a minute */
  assert_int_equal(vestry_sql_run(NULL, two, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(alone(s, NULL, NULL), VESTRY_INVALID);
}

TEST_CASE(statements_stay_prepared) {
  shop s;
  vestry_sql_transaction *transaction;
  int64_t found;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  for (int i = 0; i < 60; i++) {
    char sql[40];
    snprintf(sql, sizeof sql, "SELECT $1::int + %d", i % 3);
    assert_int_equal(vestry_sql_run(transaction, sql, VESTRY_LIST(i), vestry_sql_row_integer, &found), VESTRY_OK);
    assert_int_equal(found, i + i % 3);
  }
  assert_int_equal(shop_stats(&s).prepared_count, 3);
  for (int i = 0; i < 130; i++) { /* 65 statements alternate in 64 slots */
    char sql[40];
    snprintf(sql, sizeof sql, "SELECT %d", i % 65);
    assert_int_equal(vestry_sql_run(transaction, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
    assert_int_equal(found, i % 65);
  }
  assert_int_equal(shop_stats(&s).prepared_count, 133);
  assert_int_equal(vestry_sql_run(transaction,
                                  "SELECT count(*) FROM pg_prepared_statements WHERE name NOT LIKE 'vestry_part%'",
                                  NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 64);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  shop_end(&s);
}

/* A prepared statement whose table was altered is prepared again. */
TEST_CASE(altered_table_does_not_break_a_prepared_statement) {
  shop s;
  char text[200] = "";
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  shop_do(&s, "CREATE TABLE t(a int)");
  shop_do(&s, "INSERT INTO t VALUES(1)");
  assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT * FROM t", NULL, append, text), VESTRY_OK);
  postgres_server_run(shop_server(), "ALTER TABLE t ADD b int DEFAULT 2");
  assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT * FROM t", NULL, append, text), VESTRY_OK);
  assert_string_equal(text, "1 null 1 2 null ");
  shop_end(&s);
}

/* ------------------------------------------------------------------------------------------ transactions ---------- */

SHOP_CASE(read_transaction_has_one_snapshot_and_cannot_write) {
  vestry_sql_transaction *outer, *inner, *other;
  int64_t found = -1;
  shop_do(s, "CREATE TABLE t(a int)");
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_READ, &outer), VESTRY_OK);
  assert_int_equal(vestry_sql_run(outer, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  postgres_server_run(shop_server(), "INSERT INTO t VALUES(1)");
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_READ, &inner), VESTRY_OK); /* a part of the page */
  assert_ptr_equal(inner, outer);
  assert_int_equal(shop_number(s, "SELECT count(*) FROM t"), 0);
  assert_int_equal(vestry_sql_end(inner, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_SERIALIZABLE, &other), VESTRY_INVALID);
  assert_logged(s, "vestry_sql_begin", "this thread already has a transaction");
  assert_int_equal(vestry_sql_run(outer, "INSERT INTO t VALUES(2)", NULL, NULL, NULL), VESTRY_IO);
  assert_logged(s, "vestry_sql_run", "(25006); renders cannot write");
  assert_string_equal(vestry_postgres_sqlstate(outer), "25006");
  assert_int_equal(vestry_sql_end(outer, VESTRY_OK), VESTRY_OK);
  assert_int_equal(shop_number(s, "SELECT count(*) FROM t"), 1);
}

typedef struct writer {
  const char *sql;
  vestry_err result;
} writer;

static vestry_err write_row(vestry_sql_transaction *transaction, void *ctx) {
  const writer *of = ctx;
  vestry_err error = vestry_sql_run(transaction, of->sql, NULL, NULL, NULL);
  return of->result ? of->result : error;
}

SHOP_CASE(write_transaction_commits_or_rolls_back) {
  shop_do(s, "CREATE TABLE t(a int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
  writer one = {"INSERT INTO t VALUES(1)", VESTRY_OK}, refused = {"INSERT INTO t VALUES(2)", VESTRY_FAILED};
  for (int kind = VESTRY_SQL_WRITE; kind <= VESTRY_SQL_SERIALIZABLE; kind++) {
    shop_do(s, "DELETE FROM t");
    assert_int_equal(vestry_sql_act(s->pool, (vestry_sql_kind)kind, write_row, &one), VESTRY_OK);
    assert_int_equal(vestry_sql_act(s->pool, (vestry_sql_kind)kind, write_row, &refused), VESTRY_FAILED);
    assert_int_equal(shop_number(s, "SELECT sum(a) FROM t"), 1);
  }
  /* A commit may detect an error, and a failed statement cannot be ignored. */
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, write_row, &one), VESTRY_EXISTS);
  assert_logged(s, "vestry_sql_end", "COMMIT: ");
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t VALUES(5)", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "SELEKT", NULL, NULL, NULL), VESTRY_IO);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_IO);
  assert_logged(s, "vestry_sql_end", "the writes were rolled back");
  assert_int_equal(shop_number(s, "SELECT sum(a) FROM t"), 1);
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_READ, write_row, &one), VESTRY_INVALID);
  assert_int_equal(vestry_sql_begin(s->pool, (vestry_sql_kind)9, &transaction), VESTRY_INVALID);
  vestry_sql_pool_stats stats = shop_stats(s);
  assert_int_equal(stats.committed_count, 3);
  assert_int_equal(stats.rolled_back_count, 6); /* the serializable one with EXISTS ran twice */
}

static void begin_in_row(const vestry_sql_row *row, void *ctx) {
  assert_int_equal(vestry_sql_run_alone(ctx, "BEGIN", NULL, NULL, NULL), VESTRY_OK); /* within an outer statement */
}

TEST_CASE(open_transaction_is_not_given_to_the_next_thread) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1});
  shop_do(&s, "CREATE TABLE t(a int)");
  static const char *const begins[] = {"BEGIN", "START TRANSACTION READ ONLY"};
  for (int i = 0; i < 4; i++) {
    if (i < 2)
      assert_int_equal(alone(&s, begins[i], NULL), VESTRY_INVALID);
    else if (i == 2)
      assert_int_equal(vestry_sql_run_alone(s.pool, "SELECT 1", NULL, begin_in_row, s.pool), VESTRY_INVALID);
    if (i < 3) assert_logged(&s, "vestry_sql_run_alone", "rolled back a transaction that was begun by SQL");
    if (i == 3) assert_int_not_equal(alone(&s, "COPY t TO STDOUT", NULL), VESTRY_OK); /* the connection stays busy */
    shop_do(&s, "INSERT INTO t VALUES(1)");
    assert_int_equal(postgres_server_number(shop_server(), "SELECT count(*) FROM t"), i + 1);
    if (i < 3) assert_int_equal(s.th.log_lines, i + 1);
  }
  shop_end(&s);
}

/* ------------------------------------------------------------------------------------------------ faults ---------- */

TEST_CASE(invalid_options_are_rejected_without_logging_secrets) {
  shop s = {.pool = NULL};
  test_host_init(&s.th);
  assert_int_equal(vestry_postgres_pool_create(NULL, &s.pool), VESTRY_INVALID);
  assert_int_equal(vestry_postgres_pool_create(&(vestry_postgres_pool_options){.host = &s.th.host}, &s.pool),
                   VESTRY_INVALID);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = "password=hunter2 no words"}), VESTRY_INVALID);
  assert_null(strstr(s.th.last_log, "hunter2"));
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.connections_count = 1025}), VESTRY_INVALID);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.setup = "SELEKT"}), VESTRY_IO);
  assert_logged(&s, "vestry_postgres_pool_create", "options.setup: syntax error");
  char url[256];
  snprintf(url, sizeof url, "%s dbname=nowhere password=hunter2", shop_server()->url);
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = url}), VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "database \"nowhere\" does not exist"));
  assert_null(strstr(s.th.last_log, "hunter2"));
  assert_null(s.pool);
  test_host_assert_clean(&s.th);
}

TEST_CASE(setup_runs_on_each_connection) {
  shop s;
  vestry_sql_transaction *transaction;
  shop_begin(&s, (vestry_postgres_pool_options){.setup = "SET application_name = 'the shop'", .statement_ms = 777});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  int64_t found = 0;
  assert_int_equal(vestry_sql_run(transaction,
                                  "SELECT current_setting('application_name') = 'the shop' AND"
                                  " current_setting('statement_timeout') = '777ms'",
                                  NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 1);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  shop_end(&s);
}

TEST_CASE(statement_over_statement_ms_times_out) {
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){.statement_ms = 1000}); /* also applies to connection set-up */
  assert_int_equal(alone(&s, "SELECT pg_sleep(600)", NULL), VESTRY_TIMEOUT);
  assert_logged(&s, "vestry_sql_run", "(57014); raise options.statement_ms");
  assert_int_equal(shop_stats(&s).connected_count, 1);
  shop_end(&s);
}

static vestry_err create_and_use(test_host *th, void *ctx) {
  shop s = {.pool = NULL};
  vestry_err error = vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){
          .host = &th->host, .url = shop_server()->url, .setup = "SELECT 1", .connections_count = 2},
      &s.pool);
  vestry_value items[20];
  for (int i = 0; i < 20; i++) items[i] = vestry_value_integer(i);
  const vestry_value list = vestry_value_list(items, 20);
  if (!error)
    error = vestry_sql_run_alone(
        s.pool, "SELECT $1||$2||$3||$4||$5||$6||$7||$8||$9||$10||$11||$12||$13||$14||$15||$16||$17||$18||$19||$20",
        &list, NULL, NULL);
  vestry_sql_pool_destroy(s.pool);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  test_host th;
  test_host_init(&th);
  test_host_fail_each(create_and_use, NULL, false);
}

/* The server reports no change of a function. So the types of its parameters are found each time. */
TEST_CASE(replaced_function_gets_the_whole_value) {
  static const struct {
    const char *before, *after, *sql;
  } rows[] = {{"FUNCTION f(timestamp)", "FUNCTION f(timestamptz)", "SELECT f($1)"},
              {"FUNCTION f(timestamp)", "FUNCTION f(timestamptz)", "SELECT \"f\" /* a */ ( $1)"},
              {"FUNCTION F(real)", "FUNCTION F(float8)", "SELECT public . F\n($1)"},
              {"PROCEDURE f(INOUT a real)", "PROCEDURE f(INOUT a float8)", "CALL f($1)"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const bool is_time = strstr(rows[i].before, "timestamp"), is_call = strstr(rows[i].before, "INOUT");
    const char *value = is_time ? "2026-01-01 12:00:00+05" : "123456.789012", *first = is_time ? value : "1.5";
    const char *body = is_call ? "LANGUAGE sql AS 'SELECT $1'" : "RETURNS text LANGUAGE sql AS 'SELECT $1::text'";
    char sql[400], text[200] = "";
    shop s;
    shop_begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .setup = "SET TimeZone = 'UTC'"});
    snprintf(sql, sizeof sql, "CREATE %s %s", rows[i].before, body);
    postgres_server_run(shop_server(), sql);
    assert_int_equal(vestry_sql_run_alone(s.pool, rows[i].sql, VESTRY_LIST(first), append, text), VESTRY_OK);
    snprintf(sql, sizeof sql, "DROP %.9s f; CREATE %s %s", rows[i].before, rows[i].after, body);
    postgres_server_run(shop_server(), sql);
    text[0] = '\0';
    assert_int_equal(vestry_sql_run_alone(s.pool, rows[i].sql, VESTRY_LIST(value), append, text), VESTRY_OK);
    assert_non_null(strstr(text, is_time ? "07:00:00+00" : "123456.789012"));
    shop_end(&s);
  }
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/pool", shop_open_server, shop_close_server);
}
