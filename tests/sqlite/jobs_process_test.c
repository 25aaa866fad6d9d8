/* SPDX-License-Identifier: MIT */
/* Processes that enqueue and run jobs of one database are killed (SIGKILL) at successive points: at each read of the
 * clock, at each allocation, and within job functions. Each committed job runs, its writes are in the database once,
 * and no rolled-back job runs. */

#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sqlite/ledger.h"
#include "support/patience.h"
#include "support/until.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sqlite.h"

enum { LEASE_MS = 1000, IDS = 8192, NEVER = -1, POINTS = 100 };

/* Memory shared by all processes. */
static struct shared {
  _Atomic(int64_t) clock_ms;
  atomic_bool is_over, is_wrong;
  _Atomic(uint64_t) fences[IDS]; /* one bit for each fence of its runs */
  atomic_int begun[IDS], ended[IDS], committed[IDS];
} * shared;

static char folder[FOLDER_BYTES], path[128];
static long points_left = NEVER; /* of this process */

static void point(void) {
  if (points_left > 0 && --points_left == 0) raise(SIGKILL);
}

static int64_t now_ms(void *ctx) {
  point();
  return atomic_load(&shared->clock_ms);
}

static void *reallocate(void *ctx, void *memory, size_t size) {
  point();
  if (size) return realloc(memory, size);
  free(memory);
  return NULL;
}

static void must(bool is_so) {
  if (!is_so) atomic_store(&shared->is_wrong, true);
}

typedef struct worker {
  vestry_host host;
  vestry_sql_pool *pool;
  vestry_jobs *jobs;
} worker;

/* The job finishes in the transaction of its write. */
static vestry_err write_effect(vestry_job *job, worker *w) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(w->pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  error = vestry_sql_run(transaction, "INSERT INTO effect(job) VALUES(?)", VESTRY_LIST(job->id), NULL, NULL);
  if (!error) error = vestry_job_finish(job, transaction);
  point();
  return vestry_sql_end(transaction, error);
}

static vestry_err work(vestry_job *job, void *app) {
  must(job->id < IDS);
  must(memcmp(job->payload.data, "kept", 5) == 0);
  const uint64_t bit = UINT64_C(1) << (job->fence & 63);
  must(job->fence > 63 || !(atomic_fetch_or(&shared->fences[job->id], bit) & bit)); /* each fence is used once */
  atomic_fetch_add(&shared->begun[job->id], 1);
  point();
  vestry_err error = job->id % 2 ? write_effect(job, app) : VESTRY_OK;
  point();
  if (!error) atomic_fetch_add(&shared->ended[job->id], 1);
  return error;
}

static vestry_err open_worker(worker *w) {
  w->host = *vestry_host_default();
  w->host.reallocate = reallocate;
  vestry_err error =
      vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = &w->host,
                                                              .path = path,
                                                              .schema = "CREATE TABLE effect(job INTEGER)",
                                                              .schema_version = 1,
                                                              .setup = "PRAGMA synchronous = OFF",
                                                              .wait_ms = PATIENCE_S * 1000,
                                                              .busy_ms = PATIENCE_S * 1000,
                                                              .connections_count = 2},
                                &w->pool);
  if (!error)
    error = vestry_jobs_create(w->pool,
                               &(vestry_jobs_options){.now_ms = now_ms,
                                                      .lease_ms = LEASE_MS,
                                                      .poll_ms = 1,
                                                      .max_attempts = UINT32_MAX,
                                                      .backoff_ms = 1,
                                                      .max_backoff_ms = 1,
                                                      .keep_ms = VESTRY_NEVER_MS},
                               &w->jobs);
  return error ? error : vestry_jobs_on(w->jobs, "work", work, w);
}

static vestry_err enqueue(worker *w, const char *payload, vestry_err end) {
  const vestry_job_order order = {.kind = "work", .payload = {payload, strlen(payload)}};
  vestry_sql_transaction *transaction;
  int64_t id;
  vestry_err error = vestry_sql_begin(w->pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  error = vestry_jobs_enqueue(w->jobs, transaction, &order, &id);
  if (error || end) return vestry_sql_end(transaction, error ? error : end);
  error = vestry_sql_end(transaction, VESTRY_OK);
  if (!error) atomic_store(&shared->committed[id], 1);
  return error;
}

/* Enqueue jobs, and run the jobs that are due. */
static void enqueue_and_run(void) {
  worker w;
  bool has_run = true;
  must(open_worker(&w) == VESTRY_OK);
  must(enqueue(&w, "rolled back", VESTRY_FAILED) == VESTRY_FAILED);
  for (int i = 0; i < 2; i++) must(enqueue(&w, "kept", VESTRY_OK) == VESTRY_OK);
  while (has_run && !atomic_load(&shared->is_wrong)) must(vestry_jobs_step(w.jobs, &has_run) == VESTRY_OK);
}

/* Run jobs with threads until is_over is set. */
static void run_beside(void) {
  worker w;
  must(open_worker(&w) == VESTRY_OK);
  must(vestry_jobs_start(w.jobs) == VESTRY_OK);
  while (!atomic_load(&shared->is_over)) poll(NULL, 0, 1);
  vestry_jobs_destroy(w.jobs);
  vestry_sql_pool_destroy(w.pool);
}

static pid_t start(void (*body)(void), long points) {
  pid_t child = fork();
  if (child) return child;
  points_left = points;
  body();
  _exit(0);
}

/* Return whether the process ended by itself. */
static bool await(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_false(atomic_load(&shared->is_wrong));
  assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
  return WIFEXITED(status);
}

static void begin(void) {
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(shared, MAP_FAILED);
  atomic_store(&shared->clock_ms, INT64_C(1700000000000));
  folder_make(folder, "jobs");
  snprintf(path, sizeof path, "%s/jobs.db", folder);
}

/* Check the database after all other processes have ended. */
static void check(bool has_companion) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(ledger_number(db, "SELECT count(*) FROM vestry_job WHERE state <> 'done'"), 0);
  assert_int_equal(ledger_number(db, "SELECT count(*) - max(id) FROM vestry_job"), 0);
  assert_int_equal(ledger_number(db, "SELECT count(*) - count(DISTINCT job) FROM effect"), 0);
  assert_int_equal(
      ledger_number(db, "SELECT count(*) FROM vestry_job WHERE id % 2 AND id NOT IN (SELECT job FROM effect)"), 0);
  const int last = ledger_number(db, "SELECT max(id) FROM vestry_job");
  assert_in_range(last, 3, IDS - 1);
  int again = 0;
  for (int id = 1; id < IDS; id++) {
    const int begun = atomic_load(&shared->begun[id]);
    assert_true(id <= last ? begun > 0 : begun == 0);
    assert_false(id > last && atomic_load(&shared->committed[id]));
    assert_true(atomic_load(&shared->ended[id]) <= begun);
    again += begun > 1;
  }
  assert_true(has_companion || again > 0); /* some processes were killed during a run */
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  munmap(shared, sizeof *shared);
  folder_remove(folder);
}

static void kill_at_each_point(bool has_companion) {
  begin();
  assert_true(await(start(enqueue_and_run, NEVER))); /* creates the tables */
  pid_t companion = has_companion ? start(run_beside, NEVER) : 0;
  bool is_whole = false;
  /* With a companion that takes jobs, a process may end normally after few points. */
  for (long points = 1; has_companion ? points <= POINTS : !is_whole; points++) {
    is_whole = await(start(enqueue_and_run, points));
    atomic_fetch_add(&shared->clock_ms, LEASE_MS);
  }
  assert_true(await(start(enqueue_and_run, NEVER)));
  if (companion) {
    /* The companion is not killed, and ends its current job. */
    atomic_store(&shared->is_over, true);
    assert_true(await(companion));
  }
  atomic_fetch_add(&shared->clock_ms, LEASE_MS);
  assert_true(await(start(enqueue_and_run, NEVER)));
  check(has_companion);
}

/* capability: L7 */
TEST_CASE(processes_killed_at_each_point_lose_no_job) {
  kill_at_each_point(false);
}

/* capability: L7 */
TEST_CASE(processes_killed_beside_a_running_one_lose_no_job) {
  kill_at_each_point(true);
}
