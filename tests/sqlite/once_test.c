/* SPDX-License-Identifier: MIT */
/* Actions that run once, in SQLite: the contract, for all processes of a file, and after a restart. */
#include "guard/once_contract.h"
#include "support/folder.h"
#include "vestry/data/sqlite.h"

enum { LIFETIME_MS = 100000, LEASE_MS = 5000 };

typedef struct node {
  vestry_sql_pool *pool;
  vestry_sql_once *stored;
} node;
static node nodes[2]; /* each has its own pool, as a process has */
static _Atomic(int64_t) clock_ms = 1000000;
static char folder[FOLDER_BYTES], path[96];

static int64_t now_ms(void *ctx) {
  (void)ctx;
  return clock_ms;
}

static void clear(void) {
  if (*folder) folder_remove(folder);
  folder_make(folder, "once");
  snprintf(path, sizeof path, "%s/once.db", folder);
}

static vestry_err open_node(once_node *of) {
  const vestry_sql_once_options options = {
      .lifetime_ms = LIFETIME_MS, .lease_ms = LEASE_MS, .per_owner_count = 3, .now_ms = now_ms};
  node *n = of->world = nodes[0].pool ? &nodes[1] : &nodes[0];
  assert_null(n->pool);
  static uint64_t others;
  of->on.th.seed = ++others << 32; /* no two nodes have the same random numbers */
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &of->on.th.host, .path = path, .setup = "PRAGMA synchronous = OFF"},
      &n->pool);
  if (!error) error = vestry_sql_once_create(n->pool, &options, &n->stored);
  of->ops = &vestry_sql_once_ops;
  of->ctx = n->stored;
  return error;
}

static void close_node(once_node *of) {
  node *n = of->world;
  vestry_sql_once_destroy(n->stored);
  vestry_sql_pool_destroy(n->pool);
  *n = (node){NULL, NULL};
}

static int64_t count(once_node *of) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(((node *)of->world)->pool, "SELECT count(*) FROM vestry_once", NULL,
                                        vestry_sql_row_integer, &found),
                   VESTRY_OK);
  return found;
}

static const once_world in_a_file = {2, clear, open_node, close_node, count};

/* capability: L7 */
static void restart_keeps_the_answer(void **state) {
  (void)state;
  once_node one;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_nonce_of(&one, nonce);
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  once_close(&one);
  once_open(&one, (vestry_once_options){0});
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  assert_int_equal(once_contract_deed.done, 1);
  clock_ms += LIFETIME_MS + 1;
  size_t gone = 0;
  assert_int_equal(vestry_sql_once_expire(((node *)one.world)->stored, &gone), VESTRY_OK);
  assert_int_equal(gone, 1);
  assert_int_equal(count(&one), 0);
  once_close(&one);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(restart_keeps_the_answer)};
  once_contract_world = &in_a_file;
  const int failed = once_contract_run("actions that run once, in a file") + cmocka_run_group_tests(tests, NULL, NULL);
  folder_remove(folder);
  return failed;
}
