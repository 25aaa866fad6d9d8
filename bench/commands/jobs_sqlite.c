/* SPDX-License-Identifier: MIT */
/* A file in WAL mode, with commits that wait for the disk. */
#include <stdio.h>
#include <unistd.h>

#include "jobs.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sqlite.h"

enum { PATH_MOST = 300, WAIT_MS = 60000 };

static char path[PATH_MOST];

static void remove_all(const jobs_options *is) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char name[PATH_MOST + 8];
  (void)is;
  for (size_t i = 0; i < 3; i++) {
    snprintf(name, sizeof name, "%s%s", path, ends[i]);
    unlink(name);
  }
}

static bool make(const jobs_options *is) {
  snprintf(path, sizeof path, "%s/vestry-bench-%d-jobs.db", is->folder, (int)getpid());
  remove_all(is);
  return true;
}

static bool open_node(jobs_node *n, const jobs_options *is, const vestry_jobs_options *how) {
  vestry_sql_pool *pool = NULL;
  const vestry_sqlite_pool_options file = {.path = path,
                                           .schema = "CREATE TABLE message(number INTEGER)",
                                           .schema_version = 1,
                                           .setup = "PRAGMA synchronous = FULL",
                                           .wait_ms = WAIT_MS,
                                           .busy_ms = WAIT_MS};
  (void)is;
  if (!jobs_is_well(vestry_sqlite_pool_create(&file, &pool), path)) return false;
  n->pool = pool;
  return jobs_is_well(vestry_jobs_create(pool, how, &n->jobs), "vestry_jobs_create");
}

static void close_node(jobs_node *n) {
  vestry_jobs_destroy(n->jobs);
  vestry_sql_pool_destroy(n->pool);
}

static bool add(jobs_node *n, int64_t number) {
  vestry_sql_transaction *transaction;
  const vestry_job_order order = {.kind = "work", .payload = {&number, sizeof number}};
  vestry_err error = vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return jobs_is_well(error, "vestry_sql_begin");
  error = vestry_sql_run(transaction, "INSERT INTO message VALUES(?)", VESTRY_LIST(number), NULL, NULL);
  if (!error) error = vestry_jobs_enqueue(n->jobs, transaction, &order, NULL);
  return jobs_is_well(vestry_sql_end(transaction, error), "a job is not added");
}

const jobs_database jobs_sqlite = {
    .name = "sqlite", .make = make, .remove = remove_all, .open = open_node, .close = close_node, .add = add};
