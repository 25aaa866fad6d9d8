/* SPDX-License-Identifier: MIT */
#include "sqlite/jobs_shop.h"

_Atomic(int64_t) shop_clock_ms;
uint32_t shop_busy_ms = PATIENCE_S * 1000;

int64_t shop_now_ms(void *ctx) {
  (void)ctx;
  return atomic_load(&shop_clock_ms);
}

void shop_note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  shop *s = app;
  (void)job, (void)error;
  s->outcomes[atomic_load(&s->ends) % 64] = outcome;
  atomic_fetch_add(&s->ends, 1);
}

vestry_err shop_work(vestry_job *job, void *app) {
  shop_node *n = app;
  shop *s = n->s;
  s->fence = job->fence;
  s->attempt = job->attempt;
  s->period_at_ms = job->period_at_ms;
  snprintf(s->seen, sizeof s->seen, "%s", (const char *)job->payload.data);
  const int call = atomic_fetch_add(&s->calls, 1);
  if (s->meanwhile) s->meanwhile(s, n, job);
  while (atomic_load(&s->is_held) && !vestry_job_is_over(job)) sched_yield();
  if (atomic_load(&s->is_held)) return VESTRY_CLOSED;
  return s->answers[call % 32];
}

vestry_err shop_open_node(shop *s, shop_node *n, vestry_jobs_options options) {
  n->s = s;
  options.now_ms = shop_now_ms;
  options.on_end = shop_note_end;
  options.app = s;
  if (!options.lease_ms) options.lease_ms = LEASE_MS;
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &s->th.host,
                                    .path = s->path,
                                    .connections_count = 2,
                                    .wait_ms = PATIENCE_S * 1000,
                                    .busy_ms = shop_busy_ms,
                                    .setup = "PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS t(x)"},
      &n->pool);
  if (!error) error = vestry_sqlite_jobs_create(n->pool, &options, &n->jobs);
  return error;
}

void shop_close_node(shop_node *n) {
  vestry_jobs_destroy(n->jobs);
  vestry_sqlite_pool_destroy(n->pool);
  n->jobs = NULL;
  n->pool = NULL;
}

void shop_open(shop *s, vestry_jobs_options options) {
  memset(s, 0, sizeof *s);
  test_host_init(&s->th);
  atomic_store(&shop_clock_ms, BEGIN_MS);
  folder_make(s->folder, "jobs");
  snprintf(s->path, sizeof s->path, "%s/jobs.db", s->folder);
  for (int i = 0; i < NODES; i++) {
    assert_int_equal(shop_open_node(s, &s->nodes[i], options), VESTRY_OK);
    assert_int_equal(vestry_jobs_on(s->nodes[i].jobs, "work", shop_work, &s->nodes[i]), VESTRY_OK);
  }
}

void shop_add_up(shop_node *n) {
  vestry_jobs_stats is = {0};
  assert_int_equal(vestry_jobs_stats_get(n->jobs, &is), VESTRY_OK);
  assert_int_equal(is.enqueued_count,
                   is.waiting_count + is.running_count + is.done_count + is.dead_count + is.removed_count);
  assert_int_equal(is.begun_count, is.succeeded_count + is.again_count + is.died_count + is.put_back_count +
                                       is.lost_count + is.under_way_count);
}

void shop_close(shop *s) {
  for (int i = 0; i < NODES; i++) {
    shop_add_up(&s->nodes[i]);
    shop_close_node(&s->nodes[i]);
  }
  test_host_assert_clean(&s->th);
  folder_remove(s->folder);
}

vestry_err shop_enqueue_as(shop_node *n, vestry_job_order order, int64_t *ret_id) {
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  if (!order.kind) order.kind = "work";
  error = vestry_sqlite_jobs_enqueue(n->jobs, loan->db, &order, ret_id);
  vestry_err of_give = vestry_sqlite_give(loan, error == VESTRY_EXISTS ? VESTRY_OK : error);
  return error ? error : of_give;
}

int64_t shop_enqueue(shop *s, vestry_job_order order) {
  int64_t id = 0;
  assert_int_equal(shop_enqueue_as(&s->nodes[0], order, &id), VESTRY_OK);
  return id;
}

bool shop_step(shop_node *n) {
  bool has_run = false;
  assert_int_equal(vestry_jobs_step(n->jobs, &has_run), VESTRY_OK);
  return has_run;
}

int64_t shop_number(shop_node *n, const char *sql) {
  int64_t is = INT64_MIN;
  assert_int_equal(vestry_sqlite_run_alone(n->pool, sql, NULL, vestry_sqlite_row_integer, &is), VESTRY_OK);
  return is;
}

static void copy_row(const vestry_job_row *row, void *ctx) {
  shop_copy *to = ctx;
  to->row = *row;
  snprintf(to->said, sizeof to->said, "%s", row->said ? row->said : "-");
  snprintf(to->error, sizeof to->error, "%s", row->error ? row->error : "-");
  to->count++;
}

shop_copy shop_look(shop_node *n, int64_t id) {
  shop_copy is;
  memset(&is, 0, sizeof is);
  assert_int_equal(vestry_jobs_list(n->jobs, NULL, VESTRY_JOB_ANY, id - 1, 1, copy_row, &is), VESTRY_OK);
  assert_int_equal(is.row.id, id);
  return is;
}

void shop_pass(int64_t ms) {
  atomic_fetch_add(&shop_clock_ms, ms);
}

void shop_stand_still(shop *s, shop_node *n, vestry_job *job) {
  const int64_t fence = job->fence;
  vestry_sqlite_loan *loan;
  s->meanwhile = NULL;
  assert_false(shop_step(&s->nodes[1]));
  shop_pass(LEASE_MS - 1);
  assert_int_equal(vestry_job_progress(job, 0.25, "a quarter"), VESTRY_OK); /* which renews the lease */
  shop_pass(LEASE_MS - 1);
  assert_false(shop_step(&s->nodes[1]));
  assert_false(vestry_job_is_over(job));
  shop_pass(1);
  assert_true(shop_step(&s->nodes[1]));
  assert_int_equal(s->fence, fence + 1);
  assert_int_equal(vestry_job_progress(job, 0.5, "half"), VESTRY_CLOSED);
  assert_true(vestry_job_is_over(job));
  assert_int_equal(vestry_sqlite_borrow(n->pool, VESTRY_SQLITE_WRITE, &loan), VESTRY_OK);
  assert_int_equal(vestry_sqlite_job_finish(job, loan->db), job->period_at_ms ? VESTRY_INVALID : VESTRY_CLOSED);
  assert_int_equal(vestry_sqlite_give(loan, VESTRY_CLOSED), VESTRY_CLOSED);
}
