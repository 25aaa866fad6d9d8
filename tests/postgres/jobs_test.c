/* SPDX-License-Identifier: MIT */
/* Jobs in PostgreSQL: the contract of jobs; nodes that enqueue, die and lose the server; orders with a key; and
 * commits of other nodes. */
#include "jobs/contract.h"
#include "postgres/host_clock.h"
#include "postgres/shop.h"
#include "postgres/strangers.h"
#include "vestry/data/jobs.h"
#include "vestry/data/postgres.h"
#include "vestry/vestry.h"

/* ----------------------------------------------------------------------------- the contract ---------------------- */

enum { CONNECTIONS = 4 /* in a node's pool */, HISTORIES = 2 };

static uint64_t disturbances_count; /* of the current database */

static void make(void) {
  disturbances_count = 0;
  strangers_rest();
  postgres_server_run(shop_server(), SHOP_CLEAR
                      "; CREATE TABLE t(x integer); ALTER TABLE t REPLICA IDENTITY FULL; GRANT ALL ON t TO site");
}

/* The next make clears the database. */
static void remove_all(void) {
  strangers_rest();
}

static vestry_err open_node_at(crew_node *n, const vestry_host *host, const char *url, uint32_t connections_count,
                               const vestry_jobs_options *options) {
  vestry_sql_pool *pool = NULL;
  vestry_err error = vestry_postgres_pool_create(&(vestry_postgres_pool_options){.host = host,
                                                                                 .url = url,
                                                                                 .connections_count = connections_count,
                                                                                 .wait_ms = PATIENCE_S * 1000,
                                                                                 .retry_ms = 1},
                                                 &pool);
  n->pool = pool;
  return error ? error : vestry_jobs_create(pool, options, &n->jobs);
}

static const char *narrow_url; /* of a role for the first node, which has one connection; NULL: none */
static const char *model_url;  /* of a role whose rights change; NULL: none */

static vestry_err open_node(crew_node *n, const vestry_host *host, const vestry_jobs_options *options) {
  const bool is_narrow = narrow_url && n == n->of->nodes;
  const char *url = is_narrow ? narrow_url : model_url ? model_url : shop_server()->url;
  return open_node_at(n, host, url, is_narrow ? 1 : CONNECTIONS, options);
}

static void *follow(crew_node *n, vestry_pages *pages) {
  vestry_postgres *database;
  assert_int_equal(vestry_postgres_create(pages, n->pool, NULL, &database), VESTRY_OK);
  return database;
}

static uint64_t settle(void *database) {
  uint64_t seq;
  assert_int_equal(vestry_postgres_settle(database, PATIENCE_S * 1000, &seq), VESTRY_OK);
  return seq;
}

static void unfollow(crew_node *n, void *database) {
  vestry_postgres_destroy(database);
}

static bool is_loud; /* writes may fail */

/* Let another client act, which may end the nodes' sessions, or take their rights. */
static void disturb(crew_node *n) {
  const uint64_t at = (uint64_t)atomic_load(&crew_clock_ms) * 64 + ++disturbances_count % 64;
  is_loud = strangers_act("vestry_job", at * UINT64_C(0x9E3779B97F4A7C15) >> 20, STRANGER_HIDES) & STRANGER_WRITES;
}

/* The client ends what prevents writes. Connections are made again, and no write is lost with them. */
static bool calm(crew_node *n) {
  const bool was_loud = is_loud;
  if (was_loud) strangers_rest();
  is_loud = false;
  return was_loud;
}

static const vestry_sql_kind kinds[] = {VESTRY_SQL_WRITE, VESTRY_SQL_REPEATABLE_READ, VESTRY_SQL_SERIALIZABLE};
static const crew_database database = {.kinds = kinds,
                                       .kinds_count = 3,
                                       .fail_step = 29, /* SQLite: each one */
                                       .make = make,
                                       .remove = remove_all,
                                       .open = open_node,
                                       .follow = follow,
                                       .settle = settle,
                                       .unfollow = unfollow,
                                       .connections_count = CONNECTIONS,
                                       .disturb = disturb,
                                       .calm = calm};

/* ------------------------------------------------------------------------------------- specific to PostgreSQL ----- */

/* The finishing transaction outlasts the lease. No node takes the job over, and none waits. */
static void finish_slowly(crew *c, crew_node *n, vestry_job *job) {
  vestry_sql_transaction *transaction;
  c->meanwhile = NULL;
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_job_progress(job, 0.5, NULL), VESTRY_INVALID); /* needs a separate connection */
  assert_int_equal(vestry_job_finish(job, transaction), VESTRY_OK);
  crew_pass(2 * CREW_LEASE_MS);
  assert_false(crew_step(&c->nodes[1]));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
}

/* capability: L7, M3 */
CREW_CASE(job_being_finished_is_not_taken_over) {
  crew_enqueue(c, (vestry_job_order){0});
  c->meanwhile = finish_slowly;
  assert_true(crew_step(&c->nodes[0]));
  assert_int_equal(atomic_load(&c->outcomes[0]), VESTRY_JOB_ENDED_DONE);
  assert_int_equal(atomic_load(&c->calls), 1);
}

/* Let the polling thread renew the lease. */
static void await_renewal(crew *c, const vestry_job *job) {
  crew_pass(CREW_LEASE_MS / 2);
  const int64_t until_ms = atomic_load(&crew_clock_ms) + CREW_LEASE_MS;
  UNTIL(crew_look(&c->nodes[1], job->id).row.due_ms == until_ms);
}

static vestry_sql_pool_stats stats_of(crew_node *n) {
  vestry_sql_pool_stats is = {0};
  vestry_sql_pool_stats_get(n->pool, &is);
  return is;
}

/* The transaction outlasts several leases. One with one snapshot finishes the job first; READ COMMITTED may do it late,
 * after renewals. */
static void finish_and_outlast(crew *c, crew_node *n, vestry_job *job) {
  const int kind = *(const unsigned char *)job->payload.data - '0';
  vestry_sql_transaction *transaction = NULL;
  assert_int_equal(crew_transact(n, kind, &transaction), VESTRY_OK);
  if (kind) assert_int_equal(vestry_job_finish(job, transaction), VESTRY_OK);
  assert_int_equal(crew_run(transaction, "SELECT * FROM vestry_job CROSS JOIN t"), VESTRY_NOT_FOUND);
  for (int i = 0; i < 4 && !kind; i++) await_renewal(c, job);
  assert_int_equal(crew_run(transaction, "INSERT INTO t VALUES(2)"), VESTRY_OK);
  if (!kind) assert_int_equal(vestry_job_finish(job, transaction), VESTRY_OK);
  for (int i = 0; i < 4; i++) {
    const uint64_t before = stats_of(n).checkouts_count;
    crew_pass(CREW_LEASE_MS);
    UNTIL(stats_of(n).checkouts_count > before); /* the polling thread renews in vain, and does not wait */
    assert_false(crew_step(&c->nodes[1]));
    assert_false(vestry_job_is_over(job));
  }
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
}

/* A transaction with one snapshot cannot write a row that was changed since. */
/* capability: L7, M3 */
TEST_CASE(transaction_that_finishes_a_job_outlasts_its_leases) {
  for (int kind = 0; kind < 3; kind++) {
    crew c;
    const unsigned char digit = (unsigned char)('0' + kind);
    crew_open(&c, (vestry_jobs_options){.poll_ms = 60000});
    const int64_t id = crew_enqueue(&c, (vestry_job_order){.payload = {&digit, 1}});
    crew_do(&c.nodes[0], "DELETE FROM t");
    c.meanwhile = finish_and_outlast;
    assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
    UNTIL(atomic_load(&c.ends) == 1);
    vestry_jobs_stop(c.nodes[0].jobs);
    assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DONE);
    assert_int_equal(crew_number(&c.nodes[1], "SELECT sum(x) FROM t"), 2);
    assert_int_equal(crew_look(&c.nodes[1], id).row.attempts_count, 1);
    assert_int_equal(atomic_load(&c.th.log_lines), 0);
    crew_close(&c);
  }
}

static void finish_after_a_renewal(crew *c, crew_node *n, vestry_job *job) {
  vestry_sql_transaction *transaction = NULL;
  assert_int_equal(crew_transact(n, 2, &transaction), VESTRY_OK);
  assert_int_equal(crew_run(transaction, "INSERT INTO t SELECT count(*) FROM t"), VESTRY_OK);
  await_renewal(c, job);
  assert_int_equal(vestry_job_finish(job, transaction), VESTRY_BUSY);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_BUSY), VESTRY_BUSY);
}

/* capability: L7, M3 */
TEST_CASE(finish_after_a_renewal_is_busy_in_one_snapshot) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 60000});
  crew_enqueue(&c, (vestry_job_order){0});
  c.meanwhile = finish_after_a_renewal;
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&c.ends) == 1);
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DONE); /* by its result, OK */
  crew_close(&c);
}

static atomic_bool is_killed;

static void lose_server(crew *c, crew_node *n, vestry_job *job) {
  c->meanwhile = NULL;
  postgres_server_kill(shop_server());
  atomic_store(&is_killed, true);
}

/* The server is away when a function ends. The end is written after its return, and jobs continue. */
/* capability: L7, M3 */
TEST_CASE(jobs_continue_after_a_server_crash) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  c.meanwhile = lose_server;
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&is_killed) && stats_of(&c.nodes[0]).failed_count >= 3);
  postgres_server_start(shop_server(), NULL);
  UNTIL(atomic_load(&c.ends) == 1);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DONE);
  /* One line for each function and each reason, for example that the server starts; further attempts log no more. */
  assert_in_range(atomic_load(&c.th.log_lines), 1, 9);
  vestry_err error;
  do error = crew_try(&c.nodes[0], (vestry_job_order){0}, NULL);
  while (error == VESTRY_LIMIT);
  assert_int_equal(error, VESTRY_OK);
  UNTIL(atomic_load(&c.ends) == 2);
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(crew_look(&c.nodes[0], id).row.attempts_count, 1);
  crew_close(&c);
}

/* The server commits, and is lost before it answers. */
static void finish_and_lose_server(crew *c, crew_node *n, vestry_job *job) {
  assert_int_equal(crew_finish(n, job, VESTRY_OK), VESTRY_OK);
  lose_server(c, n, job);
}

/* The database knows of the commit, which counts instead of the function's result and of the lease. */
/* capability: L7, M3 */
TEST_CASE(job_with_an_unanswered_commit_ends_as_done) {
  crew c;
  atomic_store(&is_killed, false);
  crew_open(&c, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  c.meanwhile = finish_and_lose_server;
  c.answers[0] = VESTRY_IO;
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&is_killed) && stats_of(&c.nodes[0]).failed_count >= 3);
  crew_pass(600000 / 2); /* the lease is renewed, too, in vain */
  postgres_server_start(shop_server(), NULL);
  UNTIL(atomic_load(&c.ends) == 1);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DONE);
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(crew_look(&c.nodes[0], id).row.state, VESTRY_JOB_DONE);
  assert_int_equal(crew_number(&c.nodes[0], "SELECT count(*) FROM t WHERE x = 2"), 1);
  assert_int_equal(atomic_load(&c.calls), 1);
  crew_close(&c);
}

/* A sequence counts also in transactions that fail. */
static const char refuse_twice[] =
    "CREATE SEQUENCE refusals; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN "
    "IF new.state = 'done' AND nextval('refusals') <= 2 THEN RAISE 'refused'; END IF; RETURN new; END$$; "
    "CREATE TRIGGER refuse BEFORE UPDATE ON vestry_job FOR EACH ROW EXECUTE FUNCTION refuse()";

/* capability: L7, M3 */
TEST_CASE(end_that_the_server_refuses_for_a_while_is_written) {
  crew c;
  crew_open(&c, (vestry_jobs_options){.poll_ms = 1, .lease_ms = 600000});
  postgres_server_run(shop_server(), refuse_twice);
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  UNTIL(atomic_load(&c.ends) == 1);
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_DONE);
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(crew_look(&c.nodes[0], id).row.attempts_count, 1);
  assert_int_equal(crew_number(&c.nodes[0], "SELECT last_value FROM refusals"), 3);
  postgres_server_run(shop_server(), "DROP TRIGGER refuse ON vestry_job; DROP FUNCTION refuse; DROP SEQUENCE refusals");
  crew_close(&c);
}

static void explain_in_other_letters(crew *c, crew_node *n, vestry_job *job) {
  vestry_job_explain(job, "no route from Z\xC3\xBCrich to \xC5\x81\xC3\xB3"
                          "d\xC5\xBA");
}

/* A database in LATIN1 has no letter for each letter of a reason. */
/* capability: L7, M3 */
TEST_CASE(text_of_the_error_replaces_a_reason_outside_the_encoding) {
  char url[256];
  crew c;
  postgres_server_run(shop_server(),
                      "CREATE DATABASE latin ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0");
  snprintf(url, sizeof url, "host=%s port=%d user=postgres dbname=latin", shop_server()->folder, shop_server()->port);
  narrow_url = url;
  crew_open(&c, (vestry_jobs_options){0});
  crew_do(&c.nodes[0], "CREATE TABLE t(x integer)");
  int64_t id = crew_enqueue(&c, (vestry_job_order){0});
  c.answers[0] = VESTRY_FAILED;
  c.meanwhile = explain_in_other_letters;
  assert_true(crew_step(&c.nodes[0]));
  assert_int_equal(atomic_load(&c.outcomes[0]), VESTRY_JOB_ENDED_AGAIN);
  assert_string_equal(crew_look(&c.nodes[0], id).error, vestry_strerror(VESTRY_FAILED));
  crew_close(&c);
  narrow_url = NULL;
  postgres_server_run(shop_server(), "DROP DATABASE latin");
}

/* capability: L7, M3 */
CREW_CASE(read_only_and_foreign_transactions_are_rejected) {
  vestry_sql_transaction *transaction;
  const vestry_job_order order = {.kind = "work"};
  crew_node *n = &c->nodes[0];
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_jobs_step(n->jobs, NULL), VESTRY_INVALID); /* this thread has a transaction */
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_SERIALIZABLE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(c->nodes[1].jobs, transaction, &order, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(NULL, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_job_finish(NULL, NULL), VESTRY_INVALID);
}

/* ------------------------------------------------------------------------------------- orders with a key ---------- */

static const vestry_job_order again = {.kind = "work", .key = "a", .unique = VESTRY_JOB_UNIQUE_WAITING};

/* Begin a transaction that writes a row for the job, and whose order finds the job waiting. */
static vestry_sql_transaction *begin_order(crew_node *n, int kind, vestry_err expected) {
  vestry_sql_transaction *transaction = NULL;
  assert_int_equal(crew_transact(n, kind, &transaction), VESTRY_OK);
  assert_int_equal(crew_run(transaction, "INSERT INTO t VALUES(3)"), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &again, NULL), expected);
  return transaction;
}

static int64_t seen_by_job;

static void see_orders(crew *c, crew_node *n, vestry_job *job) {
  seen_by_job = crew_number(n, "SELECT count(*) FROM t WHERE x = 3");
}

/* capability: L7, M3 */
TEST_CASE(job_begins_after_the_transaction_that_relies_on_it) {
  for (int kind = 0; kind < 3; kind++)
    for (int is_rolled_back = 0; is_rolled_back < 2; is_rolled_back++) {
      crew c;
      crew_open(&c, (vestry_jobs_options){0});
      crew_enqueue(&c, again);
      c.meanwhile = see_orders;
      vestry_sql_transaction *order = begin_order(&c.nodes[0], kind, VESTRY_EXISTS);
      crew_enqueue_as(&c.nodes[1], 0, (vestry_job_order){.payload = {"other", 5}}, VESTRY_OK, NULL);
      assert_true(crew_step(&c.nodes[1])); /* other jobs do not wait for it */
      assert_string_equal((const char *)c.seen, "other");
      assert_false(crew_step(&c.nodes[1]));
      assert_int_equal(vestry_sql_end(order, is_rolled_back ? VESTRY_FAILED : VESTRY_OK),
                       is_rolled_back ? VESTRY_FAILED : VESTRY_OK);
      assert_true(crew_step(&c.nodes[1]));
      assert_int_equal(seen_by_job, !is_rolled_back);
      assert_false(crew_step(&c.nodes[1]));
      crew_close(&c);
    }
}

/* Orders rely on the job one after the other without a gap. A worker that wants to begin it makes the next order
 * create another job. */
/* capability: L7, M3 */
TEST_CASE(job_begins_despite_overlapping_orders) {
  for (int has_others = 0; has_others < 2; has_others++) {
    crew c;
    crew_open(&c, (vestry_jobs_options){0});
    int64_t id = crew_enqueue(&c, again), next_id = 0;
    vestry_sql_transaction *order = begin_order(&c.nodes[0], 0, VESTRY_EXISTS);
    if (has_others) crew_enqueue_as(&c.nodes[1], 0, (vestry_job_order){0}, VESTRY_OK, NULL); /* there is other work */
    assert_int_equal(crew_step(&c.nodes[1]), has_others);
    assert_int_equal(vestry_sql_end(order, VESTRY_OK), VESTRY_OK);
    assert_int_equal(crew_transact(&c.nodes[0], 0, &order), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(c.nodes[0].jobs, order, &again, &next_id), VESTRY_OK);
    assert_true(crew_step(&c.nodes[1])); /* the second order's transaction is still open */
    assert_int_equal(crew_look(&c.nodes[1], id).row.state, VESTRY_JOB_DONE);
    assert_int_equal(vestry_sql_end(order, VESTRY_OK), VESTRY_OK);
    assert_int_equal(crew_try(&c.nodes[1], again, &id), VESTRY_EXISTS);
    assert_int_equal(id, next_id);
    c.answers[atomic_load(&c.calls) % 32] = VESTRY_IO;
    assert_true(crew_step(&c.nodes[1]));
    /* The job waits again, and orders can rely on it. */
    assert_int_equal(crew_try(&c.nodes[1], again, &id), VESTRY_EXISTS);
    assert_int_equal(id, next_id);
    crew_close(&c);
  }
}

/* The job waits in the snapshot of the order's transaction, but has begun since. */
/* capability: L7, M3 */
TEST_CASE(order_with_an_old_snapshot_does_not_rely_on_a_begun_job) {
  for (int kind = 1; kind < 3; kind++)
    for (int times = 1; times <= 2; times++) {
      crew c;
      vestry_sql_transaction *order = NULL;
      crew_open(&c, (vestry_jobs_options){.backoff_ms = 1});
      crew_enqueue(&c, again);
      assert_int_equal(crew_transact(&c.nodes[0], kind, &order), VESTRY_OK);
      assert_int_equal(crew_run(order, "INSERT INTO t SELECT count(*) FROM t"), VESTRY_OK); /* takes a snapshot */
      c.answers[0] = VESTRY_IO;
      for (int i = 0; i < times; i++, crew_pass(1)) assert_true(crew_step(&c.nodes[1])); /* it fails, and waits again */
      assert_int_equal(vestry_jobs_enqueue(c.nodes[0].jobs, order, &again, NULL), VESTRY_BUSY);
      assert_int_equal(vestry_sql_end(order, VESTRY_BUSY), VESTRY_BUSY);
      assert_int_equal(crew_enqueue_as(&c.nodes[0], kind, again, VESTRY_OK, NULL),
                       times == 1 ? VESTRY_EXISTS : VESTRY_OK);
      crew_close(&c);
    }
}

/* A script that resets a database may empty all tables. */
/* capability: L7, M3 */
TEST_CASE(keys_stay_unique_after_the_jobs_are_truncated) {
  for (int kind = 0; kind < 3; kind++) {
    crew c;
    vestry_sql_transaction *second = NULL;
    crew_open(&c, (vestry_jobs_options){0});
    postgres_server_run(shop_server(), "TRUNCATE vestry_job");
    vestry_sql_transaction *first = begin_order(&c.nodes[0], kind, VESTRY_OK);
    assert_int_equal(crew_transact(&c.nodes[1], kind, &second), VESTRY_OK);
    assert_int_equal(crew_run(second, "SET LOCAL lock_timeout = 1"), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(c.nodes[1].jobs, second, &again, NULL),
                     VESTRY_LIMIT); /* it waits for the first order */
    assert_int_equal(vestry_sql_end(second, VESTRY_LIMIT), VESTRY_LIMIT);
    assert_int_equal(vestry_sql_end(first, VESTRY_OK), VESTRY_OK);
    assert_int_equal(crew_enqueue_as(&c.nodes[1], kind, again, VESTRY_OK, NULL), VESTRY_EXISTS);
    crew_close(&c);
  }
}

/* capability: L7, M3 */
CREW_CASE(order_rolled_back_to_a_savepoint_holds_no_job) {
  crew_enqueue(c, again);
  vestry_sql_transaction *order = begin_order(&c->nodes[0], 0, VESTRY_EXISTS);
  assert_int_equal(vestry_sql_end(order, VESTRY_OK), VESTRY_OK);
  assert_int_equal(crew_transact(&c->nodes[0], 0, &order), VESTRY_OK);
  assert_int_equal(crew_run(order, "SAVEPOINT here"), VESTRY_OK);
  assert_int_equal(vestry_jobs_enqueue(c->nodes[0].jobs, order, &again, NULL), VESTRY_EXISTS);
  assert_false(crew_step(&c->nodes[1]));
  assert_int_equal(crew_run(order, "ROLLBACK TO here"), VESTRY_OK);
  assert_true(crew_step(&c->nodes[1]));
  assert_int_equal(vestry_jobs_enqueue(c->nodes[0].jobs, order, &again, NULL), VESTRY_OK);
  assert_false(crew_step(&c->nodes[1]));
  assert_int_equal(vestry_sql_end(order, VESTRY_OK), VESTRY_OK);
  assert_true(crew_step(&c->nodes[1]));
}

/* PostgreSQL rejects other texts, and its error would abort the transaction as any failed statement does. */
/* capability: L7, M3 */
CREW_CASE(key_that_is_not_utf8_is_rejected) {
  assert_int_equal(crew_try(&c->nodes[0], (vestry_job_order){.key = "\xff"}, NULL), VESTRY_INVALID);
  assert_int_equal(crew_try(&c->nodes[0], (vestry_job_order){.kind = "\xed\xa0\x80"}, NULL), VESTRY_INVALID);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM vestry_job"), 0);
  assert_int_equal(crew_number(&c->nodes[0], "SELECT count(*) FROM t"), 0);
}

static vestry_err set_clock(vestry_job *job, void *ctx) {
  host_clock_set(*(const long *)ctx);
  return job->kind[0] == 't' ? VESTRY_OK : VESTRY_IO;
}

static vestry_err order_see(vestry_sql_transaction *transaction, void *ctx) {
  return vestry_jobs_enqueue(ctx, transaction, &(vestry_job_order){.kind = "see"}, NULL);
}

/* The server's clock decides when a job is due, even if the host's clock is set while the function runs. */
TEST_CASE(changed_host_clock_moves_no_job) {
  static const long steps_s[] = {86400, -86400};
  static const char in_sql[] =
      "SELECT due - (extract(epoch FROM now())::float8 * 1000::float8)::bigint FROM vestry_job WHERE kind = ";
  for (int i = 0; i < 2; i++) {
    shop s;
    vestry_jobs *jobs;
    bool has_run = false;
    char sql[160];
    shop_begin(&s, (vestry_postgres_pool_options){0});
    assert_int_equal(vestry_jobs_create(s.pool, &(vestry_jobs_options){.backoff_ms = 3600000}, &jobs), VESTRY_OK);
    assert_int_equal(vestry_jobs_on(jobs, "see", set_clock, (void *)(uintptr_t)&steps_s[i]), VESTRY_OK);
    assert_int_equal(vestry_jobs_every(jobs, "tick", 3600000, 0, set_clock, (void *)(uintptr_t)&steps_s[i]), VESTRY_OK);
    assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_WRITE, order_see, jobs), VESTRY_OK);
    assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_OK);
    assert_true(has_run);
    host_clock_set(0);
    snprintf(sql, sizeof sql, "%s'see'", in_sql);
    assert_in_range(shop_number(&s, sql), 3600000 / 2 - PATIENCE_S * 1000, 3600000);
    shop_do(&s, "UPDATE vestry_job SET due = 0 WHERE kind = 'tick'");
    assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_OK);
    assert_true(has_run);
    host_clock_set(0);
    snprintf(sql, sizeof sql, "%s'tick'", in_sql);
    const int64_t in_ms = shop_number(&s, sql);
    assert_true(in_ms > -PATIENCE_S * 1000 && in_ms <= 3600000);
    vestry_jobs_destroy(jobs);
    shop_end(&s);
  }
}

/* ------------------------------------------------------------------------------- servers with a narrow limit ------ */

/* Each step of the clock needs a renewal. */
static void outlast_leases(crew *c, crew_node *n, vestry_job *job) {
  for (int i = 0; i < 6; i++) {
    crew_pass(CREW_LEASE_MS / 2);
    const int64_t until_ms = atomic_load(&crew_clock_ms) + CREW_LEASE_MS;
    UNTIL(crew_look(&c->nodes[1], job->id).row.due_ms == until_ms);
    assert_false(crew_step(&c->nodes[1]));
  }
}

/* The pool has all connections that its role may have, so the reserved one is refused. Jobs that become due and jobs of
 * other nodes are found nevertheless, and leases are renewed. */
/* capability: L7, M3 */
TEST_CASE(jobs_continue_without_the_reserved_connection) {
  enum { JOBS = 5 };
  crew c;
  narrow_url = shop_site_url();
  crew_begin(&c);
  for (int i = 0; i < CREW_NODES; i++)
    assert_int_equal(crew_open_node(&c, &c.nodes[i], &c.th.host, (vestry_jobs_options){0}, false), VESTRY_OK);
  postgres_server_run(shop_server(), "ALTER ROLE site CONNECTION LIMIT 1");
  c.meanwhile = outlast_leases;
  assert_int_equal(vestry_jobs_start(c.nodes[0].jobs), VESTRY_OK);
  for (int i = 1; i <= JOBS; i++) {
    const vestry_job_order order = {.delay_ms = i % 2 ? 20 : 0};
    assert_int_equal(crew_try(&c.nodes[1], order, NULL), VESTRY_OK);
    crew_pass(20);
    UNTIL(atomic_load(&c.ends) == i);
    assert_int_equal(atomic_load(&c.outcomes[i - 1]), VESTRY_JOB_ENDED_DONE);
  }
  vestry_jobs_stop(c.nodes[0].jobs);
  assert_int_equal(atomic_load(&c.calls), JOBS);
  assert_int_equal(atomic_load(&c.th.log_lines), 1); /* of what is missing, and why, however often a step meets it */
  assert_non_null(strstr(c.th.last_log, "too many connections for role \"site\"; without this connection, jobs"));
  crew_close(&c);
  narrow_url = NULL;
  postgres_server_run(shop_server(), "ALTER ROLE site CONNECTION LIMIT -1");
}

/* Otherwise, an order with each message of a site would read all jobs of a day. */
/* capability: L7, M3 */
TEST_CASE(order_does_not_read_the_done_jobs_of_its_key) {
  static const char read_sql[] =
      "SELECT sum(pg_stat_get_xact_tuples_fetched(oid) + "
      "pg_stat_get_xact_tuples_returned(oid)) FROM pg_class WHERE oid = "
      "'vestry_job'::regclass::oid OR oid IN (SELECT indexrelid FROM pg_index WHERE indrelid "
      "= 'vestry_job'::regclass::oid)";
  static const vestry_job_unique uniques[] = {VESTRY_JOB_UNIQUE_OPEN, VESTRY_JOB_UNIQUE_WAITING};
  if (getenv("PGOPTIONS")) {
    print_message("skipped: other settings of the planner choose other plans\n");
    skip();
  }
  crew c;
  vestry_sql_transaction *transaction;
  crew_open(&c, (vestry_jobs_options){0});
  crew_node *n = &c.nodes[0];
  crew_do(n, "INSERT INTO vestry_job(kind, key, state, attempts_most, created, ended)"
             " SELECT 'work', 'a', 'done', 1, 0, 0 FROM generate_series(1, 10000)");
  for (int i = 0; i < 4; i++) {
    const vestry_job_order order = {.kind = "work", .key = "a", .unique = uniques[i % 2]};
    int64_t before = 0, after = 0;
    if (i == 2) crew_do(n, "ANALYZE vestry_job");
    assert_int_equal(vestry_sql_begin(n->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, read_sql, NULL, vestry_sql_row_integer, &before), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), VESTRY_OK);
    assert_int_equal(vestry_jobs_enqueue(n->jobs, transaction, &order, NULL), VESTRY_EXISTS);
    assert_int_equal(vestry_sql_run(transaction, read_sql, NULL, vestry_sql_row_integer, &after), VESTRY_OK);
    assert_in_range(after - before, 1, 100);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  }
  crew_close(&c);
}

/* A transaction that stays open has ordered many keys. Orders of other keys wait for nothing, and an order of one of
 * its keys waits. */
TEST_CASE(orders_of_other_keys_meet_no_lock) {
  vestry_sql_transaction *open;
  crew c;
  int64_t id;
  make();
  crew_open(&c, (vestry_jobs_options){0});
  assert_int_equal(vestry_sql_begin(c.nodes[0].pool, VESTRY_SQL_WRITE, &open), VESTRY_OK);
  for (int i = 0; i < 2000; i++) {
    char key[16];
    snprintf(key, sizeof key, "open %d", i);
    assert_int_equal(vestry_jobs_enqueue(c.nodes[0].jobs, open, &(vestry_job_order){.kind = "work", .key = key}, &id),
                     VESTRY_OK);
  }
  shop other;
  memset(&other, 0, sizeof other);
  test_host_init(&other.th);
  assert_int_equal(shop_open(&other, (vestry_postgres_pool_options){.setup = "SET lock_timeout = 50"}), VESTRY_OK);
  vestry_jobs *jobs;
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_jobs_create(other.pool, NULL, &jobs), VESTRY_OK);
  for (int i = 0; i < 1000; i++) {
    char key[16];
    snprintf(key, sizeof key, "other %d", i);
    assert_int_equal(vestry_sql_begin(other.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    const vestry_job_order order = {.kind = "work", .key = key};
    assert_int_equal(vestry_sql_end(transaction, vestry_jobs_enqueue(jobs, transaction, &order, &id)), VESTRY_OK);
  }
  assert_int_equal(vestry_sql_begin(other.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  const vestry_job_order order = {.kind = "work", .key = "open 7"};
  assert_int_equal(vestry_jobs_enqueue(jobs, transaction, &order, &id), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_LIMIT), VESTRY_LIMIT);
  vestry_jobs_destroy(jobs);
  shop_end(&other);
  assert_int_equal(vestry_sql_end(open, VESTRY_OK), VESTRY_OK);
  crew_close(&c);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  shop_open_server(NULL);
  postgres_server_run(shop_server(), "ALTER ROLE site SET lock_timeout = 1000");
  int failed = 0;
  if (!jobs_contract_is_model_alone()) failed = jobs_contract_run(&database) + cases_run("postgres/jobs", NULL, NULL);
  model_url = shop_site_url();
  failed += jobs_contract_run_model(&database, HISTORIES);
  shop_close_server(NULL);
  return failed;
}
