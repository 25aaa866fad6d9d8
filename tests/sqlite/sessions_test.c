/* SPDX-License-Identifier: MIT */
/* Sessions in SQLite: the contract of session storage. */
#include "session/storage_contract.h"
#include "support/folder.h"
#include "vestry/data/sqlite.h"

static char folder[FOLDER_BYTES], path[96];

static void make_file(void) {
  folder_make(folder, "sessions");
  snprintf(path, sizeof path, "%s/sessions.db", folder);
}

static void remove_file(void) {
  folder_remove(folder);
}

typedef struct node {
  vestry_sql_pool *pool;
  vestry_sql_sessions *stored;
} node;
static node there; /* of the single open suite */

static vestry_err open_node(storage_suite *s, storage_bounds bounds) {
  const vestry_sql_sessions_options options = {.max_per_user_count = bounds.max_per_user_count,
                                               .expired_at_once = bounds.expired_at_once,
                                               .idle_ms = STORAGE_IDLE_MS,
                                               .lifetime_ms = STORAGE_LIFETIME_MS,
                                               .now_s = storage_now_s};
  there = (node){NULL, NULL};
  s->world = &there;
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &s->on.th.host, .path = path, .setup = "PRAGMA synchronous = OFF"},
      &there.pool);
  if (!error) error = vestry_sql_sessions_create(there.pool, &options, &there.stored);
  s->ops = &vestry_sql_sessions_ops;
  s->ctx = there.stored;
  return error;
}

static void close_node(storage_suite *s) {
  node *n = s->world;
  vestry_sql_sessions_destroy(n->stored);
  vestry_sql_pool_destroy(n->pool);
}

static vestry_err expire(storage_suite *s, size_t *ret_count) {
  return vestry_sql_sessions_expire(((node *)s->world)->stored, ret_count);
}

static int64_t number(storage_suite *s, const char *sql) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(((node *)s->world)->pool, sql, NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  return found;
}

static void run(storage_suite *s, const char *sql) {
  assert_int_equal(vestry_sql_run_alone(((node *)s->world)->pool, sql, NULL, NULL, NULL), VESTRY_OK);
}

static const storage_world in_a_file = {make_file, remove_file, open_node, close_node, expire, number, run};

static void null_arguments_are_rejected(void **state) {
  vestry_sql_sessions *stored;
  assert_int_equal(vestry_sql_sessions_create(NULL, NULL, &stored), VESTRY_INVALID);
  assert_int_equal(vestry_sql_sessions_expire(NULL, NULL), VESTRY_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(null_arguments_are_rejected)};
  storage_contract_world = &in_a_file;
  return storage_contract_run("sessions in a file") + cmocka_run_group_tests(tests, NULL, NULL);
}
