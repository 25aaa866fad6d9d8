/* SPDX-License-Identifier: MIT */
/* Jobs without memory, on a full disk, of hostile sizes, in a table of a later version. */

#include "sqlite/jobs_shop.h"

/* Whatever allocation fails, nothing leaks, and the job is done once there is memory. */
static vestry_err live(test_host *th, void *ctx) {
  static shop s;
  (void)ctx;
  memset(&s, 0, sizeof s);
  atomic_store(&shop_clock_ms, BEGIN_MS);
  folder_make(s.folder, "jobs");
  snprintf(s.path, sizeof s.path, "%s/jobs.db", s.folder);
  shop_node *n = &s.nodes[0];
  n->s = &s;
  int64_t id;
  const vestry_sqlite_pool_options pool = {
      .host = &th->host, .path = s.path, .connections_count = 2, .setup = "PRAGMA synchronous = OFF"};
  const vestry_jobs_options options = {.now_ms = shop_now_ms, .on_end = shop_note_end, .app = &s, .poll_ms = 60000};
  vestry_err error = vestry_sqlite_pool_create(&pool, &n->pool);
  if (!error) error = vestry_sqlite_jobs_create(n->pool, &options, &n->jobs);
  if (!error) error = vestry_jobs_on(n->jobs, "work", shop_work, n);
  if (!error) error = vestry_jobs_every(n->jobs, "tick", 10000, 0, shop_work, n);
  if (!error) error = shop_enqueue_as(n, (vestry_job_order){.key = "k", .payload = {"bytes", 5}}, &id);
  bool has_run = false;
  if (!error) error = vestry_jobs_step(n->jobs, &has_run);
  if (error && n->jobs && shop_number(n, "SELECT count(*) FROM vestry_job WHERE key = 'k'") == 1)
    assert_true(shop_step(n) || has_run);
  if (!error) {
    assert_true(has_run);
    assert_int_equal(s.outcomes[0], VESTRY_JOB_ENDED_DONE);
  }
  shop_close_node(n);
  if (!error) {
    error = vestry_sqlite_pool_create(&pool, &n->pool);
    if (!error) error = vestry_sqlite_jobs_create(n->pool, &options, &n->jobs);
    if (!error) error = vestry_jobs_start(n->jobs);
    shop_close_node(n);
  }
  folder_remove(s.folder);
  return error;
}

/* capability: L7 */
static void without_memory_it_is_an_error_and_nothing_is_lost(void **state) {
  (void)state;
  static test_host th;
  test_host_init(&th);
  test_host_fail_each(live, &th, false);
}

/* capability: L7 */
static void a_full_disk_is_an_error(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.max_payload_bytes = 1 << 20});
  shop_node *n = &s.nodes[0];
  static char bytes[1 << 20];
  vestry_sqlite_loan *loan;
  int64_t pages = shop_number(n, "PRAGMA page_count");
  assert_int_equal(vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan), VESTRY_OK);
  char sql[64];
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", (int)pages);
  ledger_run(loan->db, sql);
  const vestry_job_order order = {.kind = "work", .payload = {bytes, sizeof bytes}};
  assert_int_equal(vestry_sqlite_jobs_enqueue(n->jobs, loan->db, &order, NULL), VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "vestry_sqlite_jobs_enqueue"));
  assert_int_equal(vestry_sqlite_give(loan, VESTRY_LIMIT), VESTRY_LIMIT);
  assert_int_equal(shop_number(&s.nodes[1], "SELECT count(*) FROM vestry_job"), 0);
  shop_close(&s);
}

/* capability: L7 */
static void hostile_sizes_are_refused(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){.max_payload_bytes = 10});
  shop_node *n = &s.nodes[0];
  static char text[400];
  memset(text, 'x', sizeof text - 1);
  const struct {
    vestry_job_order order;
    vestry_err error;
  } cases[] = {{{.payload = {text, 11}}, VESTRY_TOO_LARGE},
               {{.payload = {text, SIZE_MAX}}, VESTRY_TOO_LARGE},
               {{.payload = {NULL, 1}}, VESTRY_INVALID},
               {{.payload = {text, 10}}, VESTRY_OK},
               {{.payload = {"\0\xff\0", 3}}, VESTRY_OK},
               {{.kind = ""}, VESTRY_INVALID},
               {{.kind = text + 399 - 65}, VESTRY_INVALID},
               {{.kind = text + 399 - 64}, VESTRY_OK},
               {{.key = ""}, VESTRY_INVALID},
               {{.key = text + 399 - 256}, VESTRY_INVALID},
               {{.key = text + 399 - 255}, VESTRY_OK},
               {{.unique = (vestry_job_unique)3}, VESTRY_INVALID},
               {{.delay_ms = UINT64_MAX, .not_before_ms = INT64_MAX, .attempts_most = UINT32_MAX}, VESTRY_OK},
               {{.not_before_ms = INT64_MIN}, VESTRY_OK},
               {{.size = 3}, VESTRY_INVALID}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    assert_int_equal(shop_enqueue_as(n, cases[i].order, NULL), cases[i].error);
  while (shop_step(n)) continue;
  assert_int_equal(atomic_load(&s.calls), 4);
  assert_int_equal(vestry_sqlite_jobs_enqueue(NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_step(NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_job_progress(NULL, 0, NULL), VESTRY_INVALID);
  assert_true(vestry_job_is_over(NULL));
  static const vestry_jobs_options wrong[] = {{.threads_count = 257},
                                              {.lease_ms = 9},
                                              {.poll_ms = 60001},
                                              {.max_payload_bytes = VESTRY_JOB_PAYLOAD_MAX_BYTES + 1},
                                              {.size = 1}};
  vestry_jobs *jobs;
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    assert_int_equal(vestry_sqlite_jobs_create(n->pool, &wrong[i], &jobs), VESTRY_INVALID);
  shop_close(&s);
}

/* capability: L7 */
static void a_later_table_is_left_alone(void **state) {
  (void)state;
  shop s;
  shop_open(&s, (vestry_jobs_options){0});
  vestry_jobs *jobs = NULL;
  assert_int_equal(vestry_sqlite_run_alone(s.nodes[0].pool, "UPDATE vestry_schema SET version = 9 WHERE part = 'job'",
                                           NULL, NULL, NULL),
                   VESTRY_OK);
  assert_int_equal(vestry_sqlite_jobs_create(s.nodes[0].pool, NULL, &jobs), VESTRY_IO);
  assert_null(jobs);
  assert_non_null(strstr(s.th.last_log, "vestry_sqlite_jobs_create, "));
  assert_non_null(strstr(s.th.last_log, "of version 9"));
  shop_close(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(without_memory_it_is_an_error_and_nothing_is_lost),
      cmocka_unit_test(a_full_disk_is_an_error),
      cmocka_unit_test(hostile_sizes_are_refused),
      cmocka_unit_test(a_later_table_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
