/* SPDX-License-Identifier: MIT */
#include "abi/sizes_jobs.h"

#include "support/test.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sqlite.h"

static char path[96];
static vestry_sql_pool *pool;

const vestry_job_order sizes_job_order = {.kind = "mail"};

void sizes_open_jobs(const char *folder) {
  snprintf(path, sizeof path, "%s/jobs.db", folder);
  const vestry_sqlite_pool_options file = {.path = path, .connections_count = 1};
  assert_int_equal(vestry_sqlite_pool_create(&file, &pool), VESTRY_OK);
}

void sizes_close_jobs(void) {
  vestry_sql_pool_destroy(pool);
  assert_int_equal(unlink(path), 0); /* the last connection has removed the WAL and its index */
}

vestry_err sizes_take_jobs(const void *given) {
  vestry_jobs *made;
  vestry_err error = vestry_jobs_create(pool, given, &made);
  if (!error) vestry_jobs_destroy(made);
  return error;
}

vestry_err sizes_take_job_order(const void *given) {
  vestry_jobs *made;
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_jobs_create(pool, NULL, &made), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  vestry_err error = vestry_jobs_enqueue(made, transaction, given, NULL);
  assert_int_equal(vestry_sql_end(transaction, error), error);
  vestry_jobs_destroy(made);
  return error;
}

void sizes_fill_jobs_stats(void *ret) {
  vestry_jobs *made;
  assert_int_equal(vestry_jobs_create(pool, NULL, &made), VESTRY_OK);
  assert_int_equal(vestry_jobs_stats_get(made, ret), VESTRY_OK);
  vestry_jobs_destroy(made);
}

typedef struct number {
  int64_t value;
} number;
static number found;
const vestry_sql_shape sizes_shape = VESTRY_ROW(number, value);
const vestry_sql_rows sizes_rows = {.shape = &sizes_shape, .rows = &found, .row_bytes = sizeof found, .max_count = 1};

vestry_err sizes_take_rows(const void *given) {
  return vestry_sql_read_rows(pool, "SELECT 1 AS value", NULL, given);
}

vestry_err sizes_take_shape(const void *given) {
  vestry_sql_rows rows = sizes_rows;
  rows.shape = given;
  return sizes_take_rows(&rows);
}
