/* SPDX-License-Identifier: MIT */
/* Threads that run jobs: they are woken, renew leases, and end. */

#include "sqlite/jobs_shop.h"

/* Nothing is found by looking: poll_ms is a minute, and the clock stands still. */
/* capability: L7 */
static void a_commit_wakes_a_thread(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.poll_ms = 60000, .lease_ms = 600000, .threads_count = 3});
  shop_node *n = &s.nodes[0];
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_OK);
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_step(n->jobs, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_on(n->jobs, "more", shop_work, n), VESTRY_INVALID);
  for (int i = 1; i <= 20; i++) {
    shop_enqueue(&s, (vestry_job_order){0});
    UNTIL(atomic_load(&s.ends) == i);
  }
  sqlite3 *db;
  assert_int_equal(sqlite3_open(s.path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, PATIENCE_S * 1000);
  ledger_run(db, "BEGIN IMMEDIATE");
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, db, &(vestry_job_order){.kind = "work"}, NULL), VESTRY_OK);
  ledger_run(db, "COMMIT");
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  vestry_jobs_wake(n->jobs);
  UNTIL(atomic_load(&s.ends) == 21);
  vestry_jobs_stop(n->jobs);
  vestry_jobs_stop(n->jobs);
  assert_int_equal(atomic_load(&s.calls), 21);
  assert_int_equal(vestry_jobs_start(n->jobs), VESTRY_INVALID);
  shop_close(&s);
}

/* capability: L7 */
static void what_another_process_commits_is_found(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  assert_int_equal(vestry_jobs_start(s.nodes[1].jobs), VESTRY_OK);
  for (int i = 1; i <= 5; i++) {
    shop_enqueue(&s, (vestry_job_order){.delay_ms = 1});
    shop_pass(1);
    UNTIL(atomic_load(&s.ends) == i);
  }
  shop_close(&s);
}

/* capability: L7 */
static void a_lease_is_renewed_while_the_function_runs(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.poll_ms = 1});
  int64_t id = shop_enqueue(&s, (vestry_job_order){0});
  atomic_store(&s.is_held, true);
  assert_int_equal(vestry_jobs_start(s.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&s.calls) == 1);
  for (int i = 0; i < 20; i++) {
    shop_pass(LEASE_MS / 2);
    UNTIL(shop_look(&s.nodes[1], id).row.due_ms == atomic_load(&shop_clock_ms) + LEASE_MS);
    assert_false(shop_step(&s.nodes[1]));
  }
  /* It is ended: the function is told, and the job put back, as if it had not begun. */
  vestry_jobs_stop(s.nodes[0].jobs);
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_PUT_BACK);
  const shop_copy is = shop_look(&s.nodes[1], id);
  assert_int_equal(is.row.state, VESTRY_JOB_WAITING);
  assert_int_equal(is.row.attempts_count, 0);
  atomic_store(&s.is_held, false);
  assert_true(shop_step(&s.nodes[1]));
  shop_close(&s);
}

/* The thread that renews finds it out, and the function is told. */
/* capability: L7 */
static void a_lost_lease_is_told(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.poll_ms = 1});
  int64_t id = shop_enqueue(&s, (vestry_job_order){0});
  atomic_store(&s.is_held, true);
  assert_int_equal(vestry_jobs_start(s.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&s.calls) == 1);
  assert_int_equal(vestry_jobs_remove(s.nodes[1].jobs, id), VESTRY_OK);
  shop_pass(LEASE_MS / 2);
  UNTIL(atomic_load(&s.ends) == 1);
  assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_LOST);
  shop_close(&s);
}

static sqlite3 *stranger;

static void lock_out(shop *s, shop_node *n, vestry_job *job) {
  (void)n, (void)job;
  s->meanwhile = NULL;
  ledger_run(stranger, "BEGIN IMMEDIATE");
}

/* Another program writes for long. The work is not done again for that, if there are threads, which can wait. */
/* capability: L7 */
static void an_end_that_cannot_be_written_is_written_later(void **state) {
  (void)state;
  for (int has_threads = 0; has_threads < 2; has_threads++) {
    shop s;
    shop_busy_ms = 1;
    shop_open(&s, (vestry_jobs_options){.poll_ms = 60000});
    shop_busy_ms = PATIENCE_S * 1000;
    assert_int_equal(sqlite3_open(s.path, &stranger), SQLITE_OK);
    sqlite3_busy_timeout(stranger, PATIENCE_S * 1000); /* the thread that renews leases writes, too */
    int64_t id = shop_enqueue(&s, (vestry_job_order){0});
    s.meanwhile = lock_out;
    if (has_threads) {
      assert_int_equal(vestry_jobs_start(s.nodes[0].jobs), VESTRY_OK);
      UNTIL(atomic_load(&s.th.log_lines) > 0);
    } else {
      assert_true(shop_step(&s.nodes[0]));
      assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_LOST);
    }
    ledger_run(stranger, "COMMIT");
    assert_int_equal(sqlite3_close(stranger), SQLITE_OK);
    if (has_threads) {
      UNTIL(atomic_load(&s.ends) == 1);
    } else {
      shop_pass(LEASE_MS);
      assert_true(shop_step(&s.nodes[0]));
    }
    assert_int_equal(s.outcomes[1 - has_threads], VESTRY_JOB_ENDED_DONE);
    assert_int_equal(shop_look(&s.nodes[1], id).row.attempts_count, 2 - has_threads);
    shop_close(&s);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_commit_wakes_a_thread),
      cmocka_unit_test(what_another_process_commits_is_found),
      cmocka_unit_test(a_lease_is_renewed_while_the_function_runs),
      cmocka_unit_test(a_lost_lease_is_told),
      cmocka_unit_test(an_end_that_cannot_be_written_is_written_later),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
