/* SPDX-License-Identifier: MIT */
/* Jobs in a SQLite database: the contract of jobs, and faults of SQLite. tests/sqlite/jobs_process_test.c kills real
 * processes. */
#include "jobs/contract.h"
#include "sqlite/ledger.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sqlite.h"

static char folder[FOLDER_BYTES], path[96];
enum { CONNECTIONS = 2 /* in a node's pool */, HISTORIES = 200 };
static uint32_t busy_ms = PATIENCE_S * 1000; /* for pools that are opened */

/* ----------------------------------------------------------------------------- the contract ---------------------- */

static void make(void) {
  folder_make(folder, "jobs");
  snprintf(path, sizeof path, "%s/jobs.db", folder);
}

static void remove_all(void) {
  folder_remove(folder);
}

static vestry_err open_node(crew_node *n, const vestry_host *host, const vestry_jobs_options *options) {
  vestry_sql_pool *pool = NULL;
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = host,
                                    .path = path,
                                    .connections_count = CONNECTIONS,
                                    .wait_ms = PATIENCE_S * 1000,
                                    .busy_ms = busy_ms,
                                    .setup = "PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS t(x)"},
      &pool);
  n->pool = pool;
  return error ? error : vestry_jobs_create(pool, options, &n->jobs);
}

static void *follow(crew_node *n, vestry_pages *pages) {
  vestry_sqlite *database;
  const vestry_sqlite_options options = {.path = path, .poll_ms = 60000};
  assert_int_equal(vestry_sqlite_create(pages, &options, &database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(n->pool, database), VESTRY_OK);
  return database;
}

static uint64_t settle(void *database) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(database, &seq), VESTRY_OK);
  return seq;
}

static void unfollow(crew_node *n, void *database) {
  assert_int_equal(vestry_sqlite_pool_follow(n->pool, NULL), VESTRY_OK);
  vestry_sqlite_destroy(database);
}

static sqlite3 *disturber;

/* Another program writes. */
static void disturb(crew_node *n) {
  assert_int_equal(sqlite3_open(path, &disturber), SQLITE_OK);
  ledger_run(disturber, "BEGIN IMMEDIATE");
}

static bool calm(crew_node *n) {
  const bool was_disturbed = disturber != NULL;
  if (was_disturbed) assert_int_equal(sqlite3_close(disturber), SQLITE_OK);
  disturber = NULL;
  return was_disturbed;
}

static const vestry_sql_kind kinds[] = {VESTRY_SQL_WRITE};
static const crew_database database = {.kinds = kinds,
                                       .kinds_count = 1,
                                       .fail_step = 1,
                                       .make = make,
                                       .remove = remove_all,
                                       .open = open_node,
                                       .follow = follow,
                                       .settle = settle,
                                       .unfollow = unfollow,
                                       .connections_count = CONNECTIONS,
                                       .disturb = disturb,
                                       .calm = calm};

/* ------------------------------------------------------------------------------------- specific to SQLite --------- */

/* capability: L7 */
TEST_CASE(full_disk_returns_limit) {
  static char bytes[1 << 20];
  crew c;
  vestry_sql_transaction *transaction;
  char sql[64];
  crew_open(&c, (vestry_jobs_options){.max_payload_bytes = sizeof bytes});
  crew_node *n = &c.nodes[0];
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", (int)crew_number(n, "PRAGMA page_count"));
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), sql);
  const vestry_job_order order = {.kind = "work", .payload = {bytes, sizeof bytes}};
  assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), VESTRY_LIMIT);
  assert_non_null(strstr(c.th.last_log, "vestry_sql_run"));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_LIMIT), VESTRY_LIMIT);
  assert_int_equal(crew_number(&c.nodes[1], "SELECT count(*) FROM vestry_job"), 0);
  crew_close(&c);
}

static int count_step(void *ctx) {
  ++*(int *)ctx;
  return 0;
}

/* Otherwise, an order with each message of a site would read all jobs of a day, while no other thread can write. */
/* capability: L7 */
CREW_CASE(order_does_not_read_the_done_jobs_of_its_key) {
  static const vestry_job_unique uniques[] = {VESTRY_JOB_UNIQUE_OPEN, VESTRY_JOB_UNIQUE_WAITING};
  crew_node *n = &c->nodes[0];
  for (int is_analyzed = 0; is_analyzed < 2; is_analyzed++) {
    crew_do(n,
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000) INSERT INTO"
            " vestry_job(kind, key, state, attempts_most, created, ended) SELECT 'work', 'a', 'done', 1, 0, 0 FROM n");
    if (is_analyzed) crew_do(n, "ANALYZE");
    for (int i = 0; i < 4; i++) {
      const vestry_job_order order = {.kind = "work", .key = "a", .unique = uniques[i % 2]};
      const bool exists = i >= 2;
      vestry_sql_transaction *transaction;
      int steps = 0;
      assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
      if (exists) assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), VESTRY_OK);
      sqlite3_progress_handler(vestry_sqlite_handle(transaction), 1, count_step, &steps);
      assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), exists ? VESTRY_EXISTS : VESTRY_OK);
      sqlite3_progress_handler(vestry_sqlite_handle(transaction), 0, NULL, NULL);
      assert_in_range(steps, 1, 1000);
      assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
    }
  }
}

/* SQLite rolls the transaction back in the middle, and the function has handled that failure. */
static vestry_err finish_lost(crew_node *n, vestry_job *job) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(crew_run(transaction, "INSERT INTO t VALUES(2)"), VESTRY_OK);
  assert_int_equal(crew_run(transaction, "INSERT OR ROLLBACK INTO u VALUES(1)"), VESTRY_IO);
  int64_t id;
  assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &(vestry_job_order){.kind = "work"}, &id), VESTRY_IO);
  return vestry_sql_end(transaction, job ? vestry_job_finish(job, transaction) : VESTRY_OK);
}

static void lose_work(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  assert_int_equal(finish_lost(n, job), VESTRY_IO);
}

/* capability: L7 */
CREW_CASE(lost_transaction_neither_enqueues_nor_finishes) {
  crew_node *n = &c->nodes[0];
  crew_do(n, "CREATE TABLE u(y UNIQUE)");
  crew_do(n, "INSERT INTO u VALUES(1)");
  assert_int_equal(finish_lost(n, NULL), VESTRY_IO);
  assert_int_equal(crew_number(n, "SELECT count(*) FROM vestry_job"), 0);
  const int64_t id = crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = lose_work;
  c->answers[0] = VESTRY_IO;
  assert_true(crew_step(n));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_AGAIN);
  assert_int_equal(crew_look(n, id).row.attempts_count, 1);
  assert_int_equal(crew_number(n, "SELECT count(*) FROM t WHERE x = 2"), 0);
  assert_int_equal(crew_number(n, "SELECT count(*) FROM vestry_job"), 1);
}

static sqlite3 *locking_db;

static void lock_out(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  ledger_run(locking_db, "BEGIN IMMEDIATE");
}

/* Another program holds the write lock for long. With threads, which can wait, the job does not run again because of
 * that. */
/* capability: L7 */
TEST_CASE(end_blocked_by_another_writer_is_written_later) {
  for (int has_threads = 0; has_threads < 2; has_threads++) {
    crew c;
    busy_ms = 1;
    crew_open(&c, (vestry_jobs_options){.poll_ms = 60000});
    busy_ms = PATIENCE_S * 1000;
    assert_int_equal(sqlite3_open(path, &locking_db), SQLITE_OK);
    sqlite3_busy_timeout(locking_db, PATIENCE_S * 1000); /* the thread that renews leases writes, too */
    int64_t id = crew_enqueue(&c, (vestry_job_order){0});
    c.meanwhile = lock_out;
    if (has_threads) {
      assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
      UNTIL(atomic_load(&c.th.log_lines) > 0);
    } else {
      assert_true(crew_step(&c.nodes[0]));
      assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_LOST);
    }
    ledger_run(locking_db, "COMMIT");
    assert_int_equal(sqlite3_close(locking_db), SQLITE_OK);
    if (has_threads) {
      UNTIL(atomic_load(&c.ends) == 1);
    } else {
      crew_pass(CREW_LEASE_MS);
      assert_true(crew_step(&c.nodes[0]));
    }
    assert_int_equal(atomic_load(&c.outcomes[1 - has_threads]), VESTRY_JOB_ENDED_DONE);
    assert_int_equal(crew_look(&c.nodes[1], id).row.attempts_count, 2 - has_threads);
    crew_close(&c);
  }
}

int main(void) {
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK);
  int failed = 0;
  if (!jobs_contract_is_model_alone()) failed = jobs_contract_run(&database) + cases_run("sqlite/jobs", NULL, NULL);
  busy_ms = 1;
  return failed + jobs_contract_run_model(&database, HISTORIES);
}
