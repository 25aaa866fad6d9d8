/* SPDX-License-Identifier: MIT */
/* vestry-bench jobs: jobs that are added in transactions, each of which also writes a row, until they are done. Run:
 * several threads add jobs, and one node has the same number of workers. The time runs from the first added job until
 * the last one is done; the functions do nothing. Begin: a node is idle, and jobs are added one at a time with pauses,
 * by this node, or by another one that runs none. The time runs from the commit of the transaction until the function
 * is called. */
#include "jobs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "bench.h"
#include "histogram.h"

enum { WORKERS_MOST = 8, PAUSE_MS = 60, PATIENCE_MS = 20000, LOOK_MS = 1 };

bool jobs_is_well(vestry_err error, const char *what) {
  if (error) fprintf(stderr, "vestry-bench: jobs: %s: %s\n", what, vestry_strerror(error));
  return !error;
}

/* Counters of the nodes. */
typedef struct tally {
  _Atomic(uint64_t) begun, begun_at_ns, ended, wrong;
} tally;

static vestry_err work(vestry_job *job, void *app) {
  tally *t = app;
  (void)job;
  atomic_store(&t->begun_at_ns, bench_now_ns());
  atomic_fetch_add(&t->begun, 1);
  return VESTRY_OK;
}

static void note_end(const vestry_job *job, vestry_job_outcome outcome, vestry_err error, void *app) {
  tally *t = app;
  (void)job, (void)error;
  atomic_fetch_add(outcome == VESTRY_JOB_ENDED_DONE ? &t->ended : &t->wrong, 1);
}

static bool open_node(const jobs_database *database, const jobs_options *is, tally *t, uint32_t workers, jobs_node *n) {
  const vestry_jobs_options how = {
      .threads_count = workers, .poll_ms = (uint32_t)is->poll_ms, .on_end = note_end, .app = t};
  if (!database->open(n, is, &how)) return false;
  return !workers || jobs_is_well(vestry_jobs_on(n->jobs, "work", work, t), "vestry_jobs_on");
}

/* Wait until the count is reached. */
static bool await(const _Atomic(uint64_t) *count, uint64_t wanted) {
  const uint64_t until_ns = bench_now_ns() + PATIENCE_MS * UINT64_C(1000000);
  uint64_t has = atomic_load(count);
  for (uint64_t now, last_ns = until_ns; (now = atomic_load(count)) < wanted; has = now) {
    if (now != has) last_ns = bench_now_ns() + PATIENCE_MS * UINT64_C(1000000);
    if (bench_now_ns() > last_ns) return jobs_is_well(VESTRY_TIMEOUT, "a job is not done");
    bench_sleep_ms(LOOK_MS);
  }
  return true;
}

/* ------------------------------------------------------------------------------------------------- run ---------- */

typedef struct adder {
  const jobs_database *database;
  jobs_node *n;
  uint64_t count;
  bool is_done;
} adder;

static void *add_all(void *ctx) {
  adder *a = ctx;
  a->is_done = true;
  for (uint64_t i = 0; i < a->count && a->is_done; i++) a->is_done = a->database->add(a->n, (int64_t)i);
  return NULL;
}

static bool add_at_once(const jobs_database *database, jobs_node *n, uint64_t threads_count, uint64_t count) {
  pthread_t threads[WORKERS_MOST];
  adder adders[WORKERS_MOST];
  bool is_done = true;
  for (uint64_t i = 0; i < threads_count; i++) {
    adders[i] = (adder){database, n, count / threads_count + (i < count % threads_count), false};
    if (pthread_create(&threads[i], NULL, add_all, &adders[i])) threads_count = i;
  }
  for (uint64_t i = 0; i < threads_count; i++) {
    pthread_join(threads[i], NULL);
    is_done = is_done && adders[i].is_done;
  }
  return is_done && threads_count;
}

static bool run(const jobs_database *database, const jobs_options *is, uint32_t workers) {
  tally t = {0};
  jobs_node n = {0};
  bool is_done = database->make(is) && open_node(database, is, &t, workers, &n) &&
                 jobs_is_well(vestry_jobs_start(n.jobs), "vestry_jobs_start");
  const uint64_t began_ns = bench_now_ns();
  is_done = is_done && add_at_once(database, &n, workers, is->jobs) && await(&t.ended, is->jobs);
  const double seconds = (double)(bench_now_ns() - began_ns) / 1e9;
  database->close(&n);
  database->remove(is);
  if (is_done && (atomic_load(&t.begun) != is->jobs || atomic_load(&t.wrong)))
    is_done = jobs_is_well(VESTRY_FAILED, "a job was run twice");
  if (is_done)
    printf("run database=%s workers=%" PRIu32 " jobs=%" PRIu64 " a_second=%.0f\n", database->name, workers, is->jobs,
           (double)is->jobs / seconds);
  return is_done;
}

/* ----------------------------------------------------------------------------------------------- begin ---------- */

static bool begin_one(const jobs_database *database, jobs_node *by, tally *t, uint64_t number, histogram *delays) {
  if (!database->add(by, (int64_t)number)) return false;
  const uint64_t added_ns = bench_now_ns();
  if (!await(&t->ended, number + 1)) return false;
  const uint64_t begun_ns = atomic_load(&t->begun_at_ns);
  histogram_add(delays, begun_ns > added_ns ? begun_ns - added_ns : 0);
  return true;
}

/* Measure the delay of jobs that the node adds itself, or another one. */
static bool begin(const jobs_database *database, const jobs_options *is, bool is_here) {
  static histogram delays;
  tally t = {0};
  jobs_node idle = {0}, other = {0};
  uint64_t chance = 7;
  memset(&delays, 0, sizeof delays);
  bool is_done = database->make(is) && open_node(database, is, &t, 1, &idle) &&
                 open_node(database, is, &t, 0, &other) &&
                 jobs_is_well(vestry_jobs_start(idle.jobs), "vestry_jobs_start");
  for (uint64_t i = 0; i < is->delays && is_done; i++) {
    bench_sleep_ms(PAUSE_MS + bench_random(&chance) % PAUSE_MS);
    is_done = begin_one(database, is_here ? &idle : &other, &t, i, &delays);
  }
  database->close(&other);
  database->close(&idle);
  database->remove(is);
  if (is_done)
    printf("begin database=%s by=%s jobs=%" PRIu64 " p50_ms=%.2f p99_ms=%.2f max_ms=%.2f\n", database->name,
           is_here ? "itself" : "another", is->delays, histogram_percentile_ns(&delays, 0.5) / 1e6,
           histogram_percentile_ns(&delays, 0.99) / 1e6, (double)delays.max_ns / 1e6);
  return is_done;
}

/* ----------------------------------------------------------------------------------------- the command ---------- */

static bool measure(const jobs_database *database, const jobs_options *is) {
  return run(database, is, 1) && run(database, is, WORKERS_MOST) && begin(database, is, true) &&
         begin(database, is, false);
}

int bench_jobs(int argc, char **argv) {
  jobs_options is = {.folder = "/tmp", .jobs = 5000, .delays = 300};
  const bench_option options[] = {{"--folder", &is.folder, NULL, 0, 0},
                                  {"--url", &is.url, NULL, 0, 0},
                                  {"--jobs", NULL, &is.jobs, 10, 10000000},
                                  {"--delays", NULL, &is.delays, 1, 1000000},
                                  {"--poll-ms", NULL, &is.poll_ms, 1, 60000}};
  const int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  const jobs_database *database = NULL;
  if (status) return status;
#ifdef BENCH_SQLITE
  if (!is.url) database = &jobs_sqlite;
#endif
#ifdef BENCH_POSTGRES
  if (is.url) database = &jobs_postgres;
#endif
  if (database) return !measure(database, &is);
  fprintf(stderr, "vestry-bench: jobs: this build does not support that database\n");
  return 2;
}
