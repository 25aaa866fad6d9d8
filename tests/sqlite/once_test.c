/* SPDX-License-Identifier: MIT */
/* Actions that run once, in SQLite: the contract, for all processes of a file, and after a restart. */
#include <pthread.h>

#include "data/sql/sql.h"
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
  return clock_ms;
}

static void clear(void) {
  if (*folder) folder_remove(folder);
  folder_make(folder, "once");
  snprintf(path, sizeof path, "%s/once.db", folder);
}

static vestry_err open_node(once_node *of) {
  const vestry_sql_once_options options = {.lifetime_ms = LIFETIME_MS, .lease_ms = LEASE_MS, .per_owner_count = 3};
  node *n = of->world = nodes[0].pool ? &nodes[1] : &nodes[0];
  assert_null(n->pool);
  static uint64_t others;
  of->on.th.seed = ++others << 32; /* no two nodes have the same random numbers */
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &of->on.th.host, .path = path, .setup = "PRAGMA synchronous = OFF"},
      &n->pool);
  if (!error) n->pool->now_ms = now_ms;
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

static const vsi_sql_ops *usual_ops;
static int deletions;

/* The row of another run is deleted before this run looks at it, and is there again before the next try. */
static vestry_err run_beside_deletions(vestry_sql_pool *pool, vsi_sql_how how, const char *sql,
                                       const vestry_value *values, vestry_sql_row_fn row, void *ctx) {
  const bool is_deleted = how == VSI_SQL_RUN_AGAIN && strstr(sql, "leased <= ") && deletions-- > 0;
  if (is_deleted) (void)usual_ops->run_by(pool, how, "UPDATE vestry_once SET hash = 'x' || hash", NULL, NULL, NULL);
  const vestry_err error = usual_ops->run_by(pool, how, sql, values, row, ctx);
  if (is_deleted) (void)usual_ops->run_by(pool, how, "UPDATE vestry_once SET hash = substr(hash, 2)", NULL, NULL, NULL);
  return error;
}

TEST_CASE(submission_that_others_delete_and_begin_again_is_found) {
  once_node one, other;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_open(&other, (vestry_once_options){0});
  vestry_sql_pool *pool = ((node *)other.world)->pool;
  once_nonce_of(&one, nonce);
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  usual_ops = pool->ops;
  vsi_sql_ops ops = *usual_ops;
  ops.run_by = run_beside_deletions;
  pool->ops = &ops;
  deletions = 3;
  assert_string_equal(once_post(&other, nonce), "201 made 1 ");
  assert_true(deletions <= 0);
  pool->ops = usual_ops;
  once_close(&other);
  once_close(&one);
}

/* capability: L7 */
TEST_CASE(restart_keeps_the_answer) {
  once_node one;
  once_nonce nonce;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_nonce_of(&one, nonce);
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  once_close(&one);
  once_open(&one, (vestry_once_options){0});
  assert_string_equal(once_post(&one, nonce), "201 made 1 ");
  assert_int_equal(once_contract_action.done, 1);
  once_close(&one);
  once_open(&one, (vestry_once_options){0});
  clock_ms += LIFETIME_MS + 1;
  once_nonce_of(&one, nonce);
  once_post(&one, nonce); /* the first one of a node deletes expired ones */
  assert_int_equal(count(&one), 1);
  once_close(&one);
}

/* A pool of the file, without a node. */
static vestry_sql_pool *open_pool(test_host *th) {
  vestry_sql_pool *pool = NULL;
  test_host_init(th);
  clear();
  assert_int_equal(vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = &th->host, .path = path}, &pool),
                   VESTRY_OK);
  return pool;
}

/* Otherwise a repetition would run while the first run still has its lease. */
/* capability: D18 */
TEST_CASE(lease_longer_than_the_lifetime_is_rejected) {
  static const struct {
    uint64_t lifetime_ms, lease_ms;
    vestry_err error;
  } rows[] = {{1000, 1001, VESTRY_INVALID},
              {0, 600001, VESTRY_INVALID},
              {1000, 1000, VESTRY_OK},
              {0, 600000, VESTRY_OK},
              {1000, 0, VESTRY_OK}};
  test_host th;
  vestry_sql_pool *pool = open_pool(&th);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_sql_once *stored = NULL;
    const long lines = th.log_lines;
    const vestry_sql_once_options options = {.lifetime_ms = rows[i].lifetime_ms, .lease_ms = rows[i].lease_ms};
    assert_int_equal(vestry_sql_once_create(pool, &options, &stored), rows[i].error);
    assert_int_equal(th.log_lines - lines, rows[i].error != VESTRY_OK);
    if (rows[i].error) assert_non_null(strstr(th.last_log, "set a longer lifetime"));
    assert_int_equal(stored == NULL, rows[i].error != VESTRY_OK);
    vestry_sql_once_destroy(stored);
  }
  vestry_sql_pool_destroy(pool);
  test_host_assert_clean(&th);
}

/* capability: D18 */
TEST_CASE(end_of_a_run_that_was_taken_over_is_not_found) {
  test_host th;
  vestry_sql_once *stored;
  vestry_once_found found;
  char answer[16] = "";
  size_t len;
  vestry_sql_pool *pool = open_pool(&th);
  const vestry_sql_once_options options = {.lifetime_ms = LIFETIME_MS, .lease_ms = LEASE_MS, .runs_again = true};
  pool->now_ms = now_ms;
  assert_int_equal(vestry_sql_once_create(pool, &options, &stored), VESTRY_OK);
  const vestry_once_storage_ops *ops = &vestry_sql_once_ops;
  const vestry_once_submission first = {.hash = "h", .owner = "", .run = "1"},
                               second = {.hash = "h", .owner = "", .run = "2"};
  assert_int_equal(ops->begin(stored, &first, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_NEW);
  clock_ms += LEASE_MS;
  assert_int_equal(ops->begin(stored, &second, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_NEW);
  assert_int_equal(ops->finish(stored, &first, "first", 5), VESTRY_NOT_FOUND);
  assert_int_equal(ops->forget(stored, &first), VESTRY_OK);
  for (int i = 0; i < 2; i++) assert_int_equal(ops->finish(stored, &second, "second", 6), VESTRY_OK);
  assert_int_equal(ops->begin(stored, &first, &found, answer, sizeof answer, &len), VESTRY_OK);
  assert_int_equal(found, VESTRY_ONCE_DONE);
  assert_memory_equal(answer, "second", 6);
  vestry_sql_once_destroy(stored);
  vestry_sql_pool_destroy(pool);
  test_host_assert_clean(&th);
}

typedef struct poster {
  once_node *node;
  const char *nonce;
  char answer[64];
} poster;

static void *post(void *ctx) {
  poster *own = ctx;
  snprintf(own->answer, sizeof own->answer, "%s", once_post(own->node, own->nonce));
  return NULL;
}

/* Its client gets the response, the log says that the response was not stored, and nothing waits to be stored later. */
/* capability: D18 */
TEST_CASE(run_whose_submission_was_deleted_is_logged_once) {
  once_node one;
  once_nonce nonce, next;
  sem_t inside, go;
  pthread_t thread;
  once_clear();
  once_open(&one, (vestry_once_options){0});
  once_nonce_of(&one, nonce);
  once_nonce_of(&one, next);
  sem_init(&inside, 0, 0);
  sem_init(&go, 0, 0);
  once_contract_action.inside = &inside;
  once_contract_action.go = &go;
  poster own = {&one, nonce, ""};
  assert_int_equal(pthread_create(&thread, NULL, post, &own), 0);
  sem_wait(&inside);
  assert_int_equal(vestry_sql_run_alone(((node *)one.world)->pool, "DELETE FROM vestry_once", NULL, NULL, NULL),
                   VESTRY_OK);
  sem_post(&go);
  pthread_join(thread, NULL);
  once_contract_action.inside = once_contract_action.go = NULL;
  assert_string_equal(own.answer, "201 made 1 ");
  assert_int_equal(one.on.th.log_lines, 1);
  assert_non_null(strstr(one.on.th.last_log, "vestry_once_guard: a response was not stored, because"));
  assert_string_equal(once_post(&one, next), "201 made 2 ");
  assert_int_equal(one.on.th.log_lines, 1);
  assert_int_equal(count(&one), 1);
  sem_destroy(&inside);
  sem_destroy(&go);
  once_close(&one);
}

int main(void) {
  once_contract_world = &in_a_file;
  const int failed = once_contract_run("actions that run once, in a file") + cases_run("sqlite/once", NULL, NULL);
  folder_remove(folder);
  return failed;
}
