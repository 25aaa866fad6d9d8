/* SPDX-License-Identifier: MIT */
/* capability: L15 */
/* Rows by name in PostgreSQL: the contract, and types that only PostgreSQL has. */
#include "postgres/shop.h"
#include "sqlite/rows_contract.h"
#include "support/test.h"

static vestry_err open_server(const vestry_host *host, vestry_sql_pool **ret_pool) {
  shop_clear();
  return vestry_postgres_pool_create(&(vestry_postgres_pool_options){.host = host, .url = shop_server()->url},
                                     ret_pool);
}

static void keep_server(void) {}

static const rows_world in_postgres = {open_server, keep_server, "BYTEA"};

typedef struct number {
  int64_t value;
} number;
typedef struct word {
  char value[40];
} word;
typedef struct real {
  double value;
} real;
static const vestry_sql_shape number_shape = VESTRY_ROW(number, value);
static const vestry_sql_shape word_shape = VESTRY_ROW(word, value);
static const vestry_sql_shape real_shape = VESTRY_ROW(real, value);

TEST_CASE(numeric_is_read_as_integer_number_or_text) {
  static const struct {
    const char *sql;
    vestry_err error;
    int64_t value;
  } rows[] = {{"SELECT 12::numeric AS value", VESTRY_OK, 12},
              {"SELECT -12::numeric AS value", VESTRY_OK, -12},
              {"SELECT sum(x) AS value FROM (VALUES(1::bigint), (2)) AS of(x)", VESTRY_OK, 3},
              {"SELECT 9223372036854775808::numeric AS value", VESTRY_TOO_LARGE, 0},
              {"SELECT 12.0::numeric AS value", VESTRY_INVALID, 0},
              {"SELECT 'NaN'::numeric AS value", VESTRY_INVALID, 0},
              {"SELECT '-Infinity'::numeric AS value", VESTRY_INVALID, 0}};
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){0});
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    number is = {0};
    const vestry_err error = vestry_sql_read_rows(s.pool, rows[i].sql, NULL, VESTRY_ONE_ROW(&number_shape, &is));
    if (error != rows[i].error || is.value != rows[i].value) fail_msg("%s", rows[i].sql);
  }
  real of;
  word text;
  assert_int_equal(
      vestry_sql_read_rows(s.pool, "SELECT 12.75::numeric AS value", NULL, VESTRY_ONE_ROW(&real_shape, &of)),
      VESTRY_OK);
  assert_true(of.value == 12.75);
  assert_int_equal(
      vestry_sql_read_rows(s.pool, "SELECT 12.750::numeric AS value", NULL, VESTRY_ONE_ROW(&word_shape, &text)),
      VESTRY_OK);
  assert_string_equal(text.value, "12.750");
  shop_end(&s);
}

TEST_CASE(other_types_are_read_as_text) {
  static const struct {
    const char *sql, *text;
  } rows[] = {{"SELECT '2026-01-02'::date AS value", "2026-01-02"},
              {"SELECT '{\"a\": 1}'::jsonb AS value", "{\"a\": 1}"},
              {"SELECT 'f0b1c2d3-0000-0000-0000-000000000001'::uuid AS value", "f0b1c2d3-0000-0000-0000-000000000001"}};
  shop s;
  shop_begin(&s, (vestry_postgres_pool_options){0});
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    word is;
    assert_int_equal(vestry_sql_read_rows(s.pool, rows[i].sql, NULL, VESTRY_ONE_ROW(&word_shape, &is)), VESTRY_OK);
    assert_string_equal(is.value, rows[i].text);
  }
  shop_end(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  rows_contract_world = &in_postgres;
  shop_open_server(NULL);
  int failed = rows_contract_run("contract") + cases_run("postgres/rows", NULL, NULL);
  shop_close_server(NULL);
  return failed;
}
