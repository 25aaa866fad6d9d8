/* SPDX-License-Identifier: MIT */
/* Sessions in PostgreSQL: the contract of session storage, and sessions shared by all nodes. */
#include <pthread.h>

#include "postgres/shop.h"
#include "session/storage_contract.h"
#include "vestry/data/postgres.h"

static void do_nothing(void) {}

static vestry_err open_pool(const vestry_host *host, vestry_sql_pool **ret_pool) {
  return vestry_postgres_pool_create(&(vestry_postgres_pool_options){.host = host, .url = shop_server()->url},
                                     ret_pool);
}

static const storage_world in_postgres = {shop_clear, do_nothing, open_pool};

/* capability: M3 */
TEST_CASE(session_is_shared_by_all_nodes) {
  storage_suite one, other;
  storage_cookie ann, copy;
  memset(&other, 0, sizeof other);
  test_host_init(&other.on.th);
  storage_begin(&one, (storage_bounds){0});
  assert_int_equal(storage_open(&other, (storage_bounds){0}), VESTRY_OK);
  storage_let_in(&one, "user=ann", ann);
  assert_string_equal(storage_ask(&other, "/", NULL, ann), "200 ann");
  strcpy(copy, ann);
  storage_ask(&one, "/out", NULL, ann);
  assert_string_equal(storage_ask(&other, "/", NULL, copy), "200 ann"); /* still valid in its memory */
  test_host_advance_ms(&other.on.th, 1000);
  assert_string_equal(storage_ask(&other, "/", NULL, copy), "200 nobody");
  storage_close(&other);
  test_host_assert_clean(&other.on.th);
  storage_end(&one);
}

/* The application commits asynchronously, so a crash may lose its commits, but not the end of a session. */
TEST_CASE(ended_session_stays_ended_after_a_crash) {
  static const char *const settings[] = {"synchronous_commit=off", "wal_writer_delay=10s", NULL};
  for (int by_user = 0; by_user < 2; by_user++) {
    storage_suite s;
    storage_cookie ann, copy;
    postgres_server_kill(shop_server());
    postgres_server_start(shop_server(), settings);
    storage_begin(&s, (storage_bounds){0});
    storage_let_in(&s, "user=ann", ann);
    strcpy(copy, ann);
    postgres_server_run(shop_server(), "CHECKPOINT"); /* the session is on the disk */
    if (by_user)
      assert_int_equal(vestry_sql_sessions_ops.remove_user(s.stored, "ann"), VESTRY_OK);
    else
      storage_ask(&s, "/out", NULL, ann);
    postgres_server_kill(shop_server());
    storage_close(&s);
    postgres_server_start(shop_server(), NULL);
    assert_int_equal(storage_open(&s, (storage_bounds){0}), VESTRY_OK);
    assert_string_equal(storage_ask(&s, "/", NULL, copy), "200 nobody");
    storage_end(&s);
  }
}

static void *make_sessions(void *ctx) {
  vestry_sql_sessions *stored = NULL;
  vestry_err error = vestry_sql_sessions_create(ctx, NULL, &stored);
  vestry_sql_sessions_destroy(stored);
  return error ? ctx : NULL;
}

TEST_CASE(concurrent_nodes_create_the_tables_once) {
  enum { THREADS = 6 };
  shop s;
  pthread_t threads[THREADS];
  shop_begin(&s, (vestry_postgres_pool_options){0});
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, make_sessions, s.pool), 0);
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    if (failed) fail_msg("%s", s.th.last_log);
  }
  assert_int_equal(shop_number(&s, "SELECT version FROM vestry_schema WHERE part = 'session'"), 1);
  shop_end(&s);
}

static vestry_err create(test_host *th, void *ctx) {
  vestry_sql_pool *pool = NULL;
  vestry_sql_sessions *stored = NULL;
  vestry_err error = vestry_postgres_pool_create(
      &(vestry_postgres_pool_options){.host = &th->host, .url = shop_server()->url, .connections_count = 1}, &pool);
  if (!error) error = vestry_sql_sessions_create(pool, NULL, &stored);
  if (!error) error = vestry_sql_sessions_ops.save(stored, "hash", &(vestry_session_record){.user = "ann"});
  vestry_sql_sessions_destroy(stored);
  vestry_sql_pool_destroy(pool);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  test_host th;
  test_host_init(&th);
  shop_clear();
  test_host_fail_each(create, NULL, false);
  vestry_sql_sessions *stored;
  assert_int_equal(vestry_sql_sessions_create(NULL, NULL, &stored), VESTRY_INVALID);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  storage_contract_world = &in_postgres;
  shop_open_server(NULL);
  int failed = storage_contract_run("sessions in PostgreSQL") + cases_run("postgres/sessions", NULL, NULL);
  shop_close_server(NULL);
  return failed;
}
