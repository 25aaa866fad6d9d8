/* SPDX-License-Identifier: MIT */
#include "sqlite/rows_contract.h"

#include <math.h>

#include "support/locale.h"
#include "support/test.h"

const rows_world *rows_contract_world;

typedef struct note {
  int64_t id;
  char author[9];
  const char *text;
  double weight;
  bool is_done;
  unsigned char mark[4];
  int64_t edited_ms;
  bool is_unedited;
  uint8_t small;
  int16_t middle;
} note;

static const vestry_sql_shape note_shape =
    VESTRY_ROW(note, id, author, text, weight, is_done, mark, (edited_ms, is_unedited), small, middle);

/* A struct that is declared with its shape. */
VESTRY_STRUCT(declared, (int, id), (const char *, author), (long long, edited_ms, is_unedited), (bool, is_done),
              (double, weight));

/* A struct for each type of member. */
typedef struct number {
  int64_t value;
} number;
typedef struct small {
  int8_t value;
} small;
typedef struct natural {
  uint32_t value;
} natural;
typedef struct unbounded {
  uint64_t value;
} unbounded;
typedef struct flag {
  bool value;
} flag;
typedef struct real {
  double value;
} real;
typedef struct word {
  char value[5];
} word;
typedef struct four {
  unsigned char value[4];
} four;
typedef struct maybe {
  char value[5];
  bool is_null;
} maybe;
static const vestry_sql_shape number_shape = VESTRY_ROW(number, value);
static const vestry_sql_shape small_shape = VESTRY_ROW(small, value);
static const vestry_sql_shape natural_shape = VESTRY_ROW(natural, value);
static const vestry_sql_shape unbounded_shape = VESTRY_ROW(unbounded, value);
static const vestry_sql_shape flag_shape = VESTRY_ROW(flag, value);
static const vestry_sql_shape real_shape = VESTRY_ROW(real, value);
static const vestry_sql_shape word_shape = VESTRY_ROW(word, value);
static const vestry_sql_shape four_shape = VESTRY_ROW(four, value);
static const vestry_sql_shape maybe_shape = VESTRY_ROW(maybe, (value, is_null));

static test_host th;
static vestry_sql_pool *pool;

static int open_world(void **state) {
  char sql[512];
  test_host_init(&th);
  assert_int_equal(rows_contract_world->open(&th.host, &pool), VESTRY_OK);
  snprintf(sql, sizeof sql,
           "CREATE TABLE note(id BIGINT PRIMARY KEY, author TEXT, text TEXT, weight DOUBLE PRECISION, is_done BOOLEAN, "
           "mark %s, edited_ms BIGINT, small INT, middle INT)",
           rows_contract_world->bytes_type);
  assert_int_equal(vestry_sql_run_alone(pool, sql, NULL, NULL, NULL), VESTRY_OK);
  return 0;
}

static int close_world(void **state) {
  vestry_sql_pool_destroy(pool);
  rows_contract_world->remove();
  test_host_assert_clean(&th);
  return 0;
}

static void add_note(int64_t id, const char *author) {
  static const unsigned char mark[] = {0, 1, 0xfe, 0xff};
  assert_int_equal(vestry_sql_run_alone(pool, "INSERT INTO note VALUES($1, $2, $3, $4, $5, $6, NULL, $7, $8)",
                                        VESTRY_LIST(id, author, "a text of any length", 0.1, VESTRY_TRUE,
                                                    vestry_value_bytes(mark, sizeof mark), 255, -32768),
                                        NULL, NULL),
                   VESTRY_OK);
}

static vestry_err read_one(const char *sql, const vestry_sql_rows *rows) {
  return vestry_sql_read_rows(pool, sql, NULL, rows);
}

/* ---------------------------------------------------------------------------------------------------- tests ------- */

typedef struct seen {
  int count;
  note last;
  char text[64];
  int stop_at;
} seen;

static vestry_err see(void *row, void *ctx) {
  seen *of = ctx;
  of->last = *(note *)row;
  snprintf(of->text, sizeof of->text, "%s", of->last.text ? of->last.text : "NULL");
  return ++of->count == of->stop_at ? VESTRY_FAILED : VESTRY_OK;
}

/* Columns are in another order, have other cases, and there are more of them. */
TEST_CASE(columns_are_found_by_name) {
  static const unsigned char mark[] = {0, 1, 0xfe, 0xff};
  seen of = {0};
  note room;
  add_note(7, "ann");
  assert_int_equal(
      read_one("SELECT middle, 5 AS other, TEXT, small, edited_ms, mark, is_done, weight, author, id FROM note",
               VESTRY_EACH_ROW(&note_shape, &room, see, &of)),
      VESTRY_OK);
  assert_int_equal(of.count, 1);
  assert_int_equal(of.last.id, 7);
  assert_string_equal(of.last.author, "ann");
  assert_string_equal(of.text, "a text of any length");
  assert_true(of.last.weight == 0.1);
  assert_true(of.last.is_done);
  assert_memory_equal(of.last.mark, mark, sizeof mark);
  assert_true(of.last.is_unedited);
  assert_int_equal(of.last.edited_ms, 0);
  assert_int_equal(of.last.small, 255);
  assert_int_equal(of.last.middle, -32768);
}

static vestry_err see_declared(void *row, void *ctx) {
  const declared *is = row;
  assert_int_equal(is->id, 11);
  assert_string_equal(is->author, "bob");
  assert_true(is->is_unedited && !is->edited_ms);
  assert_true(is->is_done && is->weight == 0.1);
  ++*(int *)ctx;
  return VESTRY_OK;
}

TEST_CASE(struct_is_declared_with_its_shape) {
  declared room;
  int count = 0;
  add_note(11, "bob");
  assert_int_equal(declared_shape.columns_count, 5);
  assert_int_equal(declared_shape.bytes, sizeof(declared));
  assert_int_equal(read_one("SELECT id, weight, is_done, author, edited_ms FROM note WHERE id = 11",
                            VESTRY_EACH_ROW(&declared_shape, &room, see_declared, &count)),
                   VESTRY_OK);
  assert_int_equal(count, 1);
}

TEST_CASE(null_sets_the_member_to_zero_if_it_is_allowed) {
  maybe is = {"full", false};
  assert_int_equal(read_one("SELECT CAST(NULL AS TEXT) AS value", VESTRY_ONE_ROW(&maybe_shape, &is)), VESTRY_OK);
  assert_true(is.is_null);
  assert_string_equal(is.value, "");
  assert_int_equal(read_one("SELECT 'four' AS value", VESTRY_ONE_ROW(&maybe_shape, &is)), VESTRY_OK);
  assert_false(is.is_null);
  assert_string_equal(is.value, "four");
  word must;
  assert_int_equal(read_one("SELECT CAST(NULL AS TEXT) AS value", VESTRY_ONE_ROW(&word_shape, &must)), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "vestry_sql_read_rows"));
  assert_non_null(strstr(th.last_log, "column \"value\" is null; name it as (value, is_null) in VESTRY_ROW"));
}

TEST_CASE(number_of_rows_is_checked) {
  number is[3];
  size_t count = 99;
  const char *const none = "SELECT id AS value FROM note", *const three = "SELECT id AS value FROM note ORDER BY id";
  assert_int_equal(read_one(none, VESTRY_ONE_ROW(&number_shape, &is[0])), VESTRY_NOT_FOUND);
  assert_int_equal(read_one(none, VESTRY_ONE_ROW_OR_NONE(&number_shape, &is[0], &count)), VESTRY_OK);
  assert_int_equal(count, 0);
  count = 99;
  assert_int_equal(read_one(none, VESTRY_ALL_ROWS(&number_shape, is, &count)), VESTRY_OK);
  assert_int_equal(count, 0);
  for (int i = 1; i <= 3; i++) add_note(i, "bob");
  assert_int_equal(read_one(three, VESTRY_ALL_ROWS(&number_shape, is, &count)), VESTRY_OK);
  assert_int_equal(count, 3);
  for (int i = 0; i < 3; i++) assert_int_equal(is[i].value, i + 1);
  assert_int_equal(
      read_one("SELECT id AS value FROM note WHERE id = 2", VESTRY_ONE_ROW_OR_NONE(&number_shape, is, &count)),
      VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(is[0].value, 2);
  assert_int_equal(read_one(three, VESTRY_ONE_ROW(&number_shape, &is[0])), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "more than one row"));
  add_note(4, "bob");
  count = 99;
  assert_int_equal(read_one(three, VESTRY_ALL_ROWS(&number_shape, is, &count)), VESTRY_TOO_LARGE);
  assert_int_equal(count, 0);
  assert_non_null(strstr(th.last_log, "more rows than the array has elements"));
}

TEST_CASE(error_of_the_function_ends_the_rows) {
  seen of = {.stop_at = 2};
  note room;
  for (int i = 1; i <= 4; i++) add_note(i, "cay");
  assert_int_equal(read_one("SELECT * FROM note ORDER BY id", VESTRY_EACH_ROW(&note_shape, &room, see, &of)),
                   VESTRY_FAILED);
  assert_int_equal(of.count, 2);
  assert_int_equal(read_one("SELECT * FROM note WHERE id = 9", VESTRY_EACH_ROW(&note_shape, &room, see, &of)),
                   VESTRY_OK);
  assert_int_equal(of.count, 2);
}

TEST_CASE(missing_or_doubled_column_is_named) {
  number is;
  add_note(1, "dan");
  assert_int_equal(read_one("SELECT id FROM note", VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "there is no column \"value\""));
  assert_non_null(strstr(th.last_log, "SELECT id FROM note"));
  assert_int_equal(read_one("SELECT id AS value, small AS value FROM note", VESTRY_ONE_ROW(&number_shape, &is)),
                   VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "there is more than one column \"value\""));
}

/* A statement, the shape that receives its column "value", and the result. */
TEST_CASE(each_type_accepts_its_values_only) {
  static const struct {
    const char *sql;
    const vestry_sql_shape *shape;
    vestry_err error;
  } rows[] = {{"SELECT 127 AS value", &small_shape, VESTRY_OK},
              {"SELECT 128 AS value", &small_shape, VESTRY_TOO_LARGE},
              {"SELECT -128 AS value", &small_shape, VESTRY_OK},
              {"SELECT -129 AS value", &small_shape, VESTRY_TOO_LARGE},
              {"SELECT 4294967295 AS value", &natural_shape, VESTRY_OK},
              {"SELECT 4294967296 AS value", &natural_shape, VESTRY_TOO_LARGE},
              {"SELECT -1 AS value", &natural_shape, VESTRY_TOO_LARGE},
              {"SELECT -1 AS value", &unbounded_shape, VESTRY_TOO_LARGE},
              {"SELECT 9223372036854775807 AS value", &unbounded_shape, VESTRY_OK},
              {"SELECT 9223372036854775807 AS value", &number_shape, VESTRY_OK},
              {"SELECT -9223372036854775807 - 1 AS value", &number_shape, VESTRY_OK},
              {"SELECT CAST(1.5 AS DOUBLE PRECISION) AS value", &number_shape, VESTRY_INVALID},
              {"SELECT CAST(1 AS DOUBLE PRECISION) AS value", &number_shape, VESTRY_INVALID},
              {"SELECT CAST('7' AS TEXT) AS value", &number_shape, VESTRY_INVALID},
              {"SELECT 1 AS value", &flag_shape, VESTRY_OK},
              {"SELECT 1 = 1 AS value", &flag_shape, VESTRY_OK},
              {"SELECT 2 AS value", &flag_shape, VESTRY_INVALID},
              {"SELECT -1 AS value", &flag_shape, VESTRY_INVALID},
              {"SELECT CAST('t' AS TEXT) AS value", &flag_shape, VESTRY_INVALID},
              {"SELECT 3 AS value", &real_shape, VESTRY_OK},
              {"SELECT CAST(3.25 AS DOUBLE PRECISION) AS value", &real_shape, VESTRY_OK},
              {"SELECT CAST('3' AS TEXT) AS value", &real_shape, VESTRY_INVALID},
              {"SELECT 'four' AS value", &word_shape, VESTRY_OK},
              {"SELECT 'five5' AS value", &word_shape, VESTRY_TOO_LARGE},
              {"SELECT 4 AS value", &word_shape, VESTRY_INVALID},
              {"SELECT mark AS value FROM note", &word_shape, VESTRY_INVALID},
              {"SELECT mark AS value FROM note", &four_shape, VESTRY_OK},
              {"SELECT mark AS value FROM note", &number_shape, VESTRY_INVALID},
              {"SELECT 'four' AS value", &four_shape, VESTRY_INVALID}};
  add_note(1, "eve");
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    union {
      unbounded at;
      unsigned char bytes[sizeof(maybe)];
    } room;
    const vestry_sql_rows into = {
        .shape = rows[i].shape, .rows = &room, .row_bytes = rows[i].shape->bytes, .max_count = 1};
    const vestry_err error = read_one(rows[i].sql, &into);
    if (error != rows[i].error) fail_msg("%s: %s", rows[i].sql, vestry_err_name(error));
    if (error && !strstr(th.last_log, "column \"value\"")) fail_msg("%s: %s", rows[i].sql, th.last_log);
  }
}

TEST_CASE(bytes_of_another_length_are_refused) {
  add_note(1, "eve");
  assert_int_equal(
      vestry_sql_run_alone(pool, "UPDATE note SET mark = $1", VESTRY_LIST(vestry_value_bytes("abc", 3)), NULL, NULL),
      VESTRY_OK);
  four three;
  assert_int_equal(read_one("SELECT mark AS value FROM note", VESTRY_ONE_ROW(&four_shape, &three)), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "has another length than its member, 4 bytes"));
}

/* A log line contains no values, neither those of the row nor literals. */
TEST_CASE(refusal_contains_no_value) {
  word is;
  assert_int_equal(read_one("SELECT 'secret' AS value", VESTRY_ONE_ROW(&word_shape, &is)), VESTRY_TOO_LARGE);
  assert_null(strstr(th.last_log, "secret"));
  assert_non_null(strstr(th.last_log, "does not fit into the 5 bytes"));
}

static vestry_err add_in(vestry_sql_transaction *transaction, void *ctx) {
  number is;
  vestry_err error =
      vestry_sql_run_rows(transaction, "INSERT INTO note(id, author) VALUES($1, 'fay') RETURNING id AS value",
                          VESTRY_LIST(41), VESTRY_ONE_ROW(&number_shape, &is));
  assert_int_equal(error, VESTRY_OK);
  assert_int_equal(is.value, 41);
  /* a statement of the pool runs in the transaction of this thread */
  assert_int_equal(read_one("SELECT id AS value FROM note", VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_OK);
  word author;
  error = vestry_sql_run_rows(transaction, "UPDATE note SET id = 42 RETURNING author AS value", NULL,
                              *(bool *)ctx ? VESTRY_ONE_ROW(&number_shape, &is) : VESTRY_ONE_ROW(&word_shape, &author));
  return error;
}

TEST_CASE(transaction_reads_its_rows_and_fails_with_them) {
  number is;
  bool fails = true;
  size_t count;
  assert_int_equal(vestry_sql_act(pool, VESTRY_SQL_WRITE, add_in, &fails), VESTRY_INVALID);
  assert_int_equal(read_one("SELECT id AS value FROM note", VESTRY_ONE_ROW_OR_NONE(&number_shape, &is, &count)),
                   VESTRY_OK);
  assert_int_equal(count, 0);
  fails = false;
  assert_int_equal(vestry_sql_act(pool, VESTRY_SQL_WRITE, add_in, &fails), VESTRY_OK);
  assert_int_equal(read_one("SELECT id AS value FROM note", VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_OK);
  assert_int_equal(is.value, 42);
  /* a statement without a result has no row */
  assert_int_equal(read_one("DELETE FROM note", VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_sql_run_rows(NULL, "SELECT 1", NULL, VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_INVALID);
  assert_int_equal(vestry_sql_read_rows(NULL, "SELECT 1", NULL, VESTRY_ONE_ROW(&number_shape, &is)), VESTRY_INVALID);
}

/* Shapes that the macros cannot make, and a text that is borrowed beyond its row. */
TEST_CASE(invalid_shape_is_refused_and_nothing_runs) {
  number is;
  note room;
  size_t count;
  const vestry_sql_column beyond = {"value", VESTRY_SQL_INTEGER, 4, 8, 0}, unknown = {"value", 99, 0, 8, 0},
                          unnamed = {NULL, VESTRY_SQL_INTEGER, 0, 8, 0},
                          no_null = {"value", VESTRY_SQL_INTEGER, 0, 8, 9};
  const vestry_sql_shape shapes[] = {{.columns = &beyond, .columns_count = 1, .bytes = sizeof is},
                                     {.columns = &unknown, .columns_count = 1, .bytes = sizeof is},
                                     {.columns = &unnamed, .columns_count = 1, .bytes = sizeof is},
                                     {.columns = &no_null, .columns_count = 1, .bytes = sizeof is},
                                     {.columns = number_shape.columns, .columns_count = 65, .bytes = sizeof is},
                                     {.columns = number_shape.columns, .columns_count = 0, .bytes = sizeof is},
                                     {.columns = number_shape.columns, .columns_count = 1, .bytes = sizeof is + 8}};
  const char *const sql = "INSERT INTO note(id) VALUES(1) RETURNING id AS value";
  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    assert_int_equal(read_one(sql, VESTRY_ONE_ROW(&shapes[i], &is)), VESTRY_INVALID);
  assert_int_equal(read_one(sql, NULL), VESTRY_INVALID);
  assert_int_equal(read_one(sql, &(vestry_sql_rows){.shape = NULL, .rows = &is}), VESTRY_INVALID);
  assert_int_equal(read_one(sql, VESTRY_ONE_ROW(&note_shape, &room)), VESTRY_INVALID);
  assert_non_null(strstr(th.last_log, "const char * without VESTRY_EACH_ROW"));
  assert_int_equal(read_one("SELECT id AS value FROM note", VESTRY_ONE_ROW_OR_NONE(&number_shape, &is, &count)),
                   VESTRY_OK);
  assert_int_equal(count, 0);
}

TEST_CASE(real_numbers_do_not_depend_on_the_locale) {
  static const struct {
    const char *sql;
    double value;
  } rows[] = {{"SELECT CAST(-0.125 AS DOUBLE PRECISION) AS value", -0.125},
              {"SELECT CAST(1e300 AS DOUBLE PRECISION) AS value", 1e300},
              {"SELECT CAST(2.5e-10 AS DOUBLE PRECISION) AS value", 2.5e-10},
              {"SELECT 12.5 AS value", 12.5}};
  test_locale locale;
  const bool is_set = test_locale_begin(&locale, "ps_AF"); /* its decimal point has two bytes */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    real is = {NAN};
    assert_int_equal(read_one(rows[i].sql, VESTRY_ONE_ROW(&real_shape, &is)), VESTRY_OK);
    assert_true(is.value == rows[i].value);
  }
  if (is_set) test_locale_end(&locale);
}

int rows_contract_run(const char *name) {
  return cases_run_each(name, open_world, close_world);
}
