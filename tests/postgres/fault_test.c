/* SPDX-License-Identifier: MIT */
/* A pool whose server goes away and comes back, whose transactions conflict, whose statements are cancelled, and
 * whose connections run out. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/wait.h"
#include "data/postgres/link.h"
#include "postgres/shop.h"
#include "support/test.h"
#include "support/until.h"

static void begin(shop *s, vestry_postgres_pool_options options) {
  shop_begin(s, options);
  shop_do(s, "CREATE TABLE t(id int PRIMARY KEY, n int)");
  shop_do(s, "INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i");
}

/* ------------------------------------------------------------------------------------------- lost servers --------- */

static vestry_err add_one(vestry_sql_transaction *transaction, void *ctx) {
  return vestry_sql_run(transaction, "UPDATE t SET n = n + 1 WHERE id = 1", NULL, NULL, NULL);
}

TEST_CASE(pool_recovers_after_a_server_crash) {
  shop s;
  vestry_sql_transaction *transaction;
  int64_t found = -1;
  begin(&s, (vestry_postgres_pool_options){.retry_ms = 1, .connections_count = 2});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(add_one(transaction, NULL), VESTRY_OK);
  postgres_server_kill(shop_server());
  /* The open transaction is lost, with an error; later calls fail at once. */
  assert_int_equal(add_one(transaction, NULL), VESTRY_LIMIT);
  assert_null(vestry_postgres_handle(transaction));
  assert_int_equal(add_one(transaction, NULL), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "the writes were rolled back, because the connection was lost"));
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, add_one, NULL), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_LIMIT);
  assert_int_equal(shop_stats(&s).connected_count, 0);
  postgres_server_start(shop_server(), NULL);
  UNTIL(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction) == VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 0);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  shop_end(&s);
}

#define SHOP_CASE(name) TEST_CASE_WITH(name, shop, s, begin(s, (vestry_postgres_pool_options){0}), shop_end(s))

/* Users of an idle pool do not notice a restart of the server. */
SHOP_CASE(server_restart_while_idle_is_not_noticed) {
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), NULL);
  long lines = s->th.log_lines;
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, add_one, NULL), VESTRY_OK);
  assert_int_equal(shop_number(s, "SELECT n FROM t WHERE id = 1"), 1);
  assert_int_equal(s->th.log_lines, lines);
  assert_int_equal(shop_stats(s).connects_count, 2);
}

/* If the connection is lost during COMMIT, the log states that the outcome is unknown. */
SHOP_CASE(lost_commit_is_reported_as_unknown) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(add_one(transaction, NULL), VESTRY_OK);
  postgres_server_kill(shop_server());
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_IO);
  assert_non_null(strstr(s->th.last_log, "it is unknown whether the writes were committed"));
  postgres_server_start(shop_server(), NULL);
}

/* A port that accepts connections and never sends a byte. */
TEST_CASE(silent_server_fails_after_connect_timeout) {
  shop s = {.pool = NULL};
  test_host_init(&s.th);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  char url[128];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(fd, 4), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  snprintf(url, sizeof url,
           "host=127.0.0.1 port=%d user=a dbname=b sslmode=disable gssencmode=disable connect_timeout=2",
           ntohs(address.sin_port));
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = url}), VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "b at 127.0.0.1: cannot connect: "));
  close(fd);
  test_host_assert_clean(&s.th);
}

/* The log names another reason at once, although attempts fail again and again; each reason once. */
HOST_CASE(another_reason_of_a_failed_connect_is_logged) {
  PGconn *db;
  vsi_repeated_log repeated = {0};
  char urls[2][300];
  const vsi_call call = {&th->host, "function", "name", &repeated};
  snprintf(urls[0], sizeof urls[0], "host=%s port=1 user=postgres dbname=postgres", shop_server()->folder);
  snprintf(urls[1], sizeof urls[1], "host=127.0.0.1 port=%d user=postgres dbname=gone", shop_server()->port);
  for (int i = 0; i < 4; i++) assert_int_equal(vsi_postgres_connect(&call, urls[i % 2], true, NULL, &db), VESTRY_LIMIT);
  assert_int_equal(th->log_lines, 2);
  assert_non_null(strstr(th->last_log, "\"gone\" does not exist"));
}

/* -------------------------------------------------------------------------------------------- conflicts ----------- */

typedef struct conflict {
  shop *s;
  int calls, other_writes; /* number of first calls during which another transaction writes */
} conflict;

/* Read a row that another transaction writes before this one does. */
static vestry_err conflict_once(vestry_sql_transaction *transaction, void *ctx) {
  conflict *of = ctx;
  int64_t found;
  vestry_err error = vestry_sql_run(transaction, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found);
  if (error) return error;
  if (of->calls++ < of->other_writes) postgres_server_run(shop_server(), "UPDATE t SET n = n + 10 WHERE id = 1");
  return vestry_sql_run(transaction, "UPDATE t SET n = $1 WHERE id = 1", VESTRY_LIST(found + 1), NULL, NULL);
}

TEST_CASE(conflicting_transaction_is_retried) {
  shop s;
  begin(&s, (vestry_postgres_pool_options){.tries_count = 4});
  for (int kind = VESTRY_SQL_REPEATABLE_READ; kind <= VESTRY_SQL_SERIALIZABLE; kind++) {
    conflict of = {.s = &s, .other_writes = 2};
    shop_do(&s, "UPDATE t SET n = 0");
    assert_int_equal(vestry_sql_act(s.pool, (vestry_sql_kind)kind, conflict_once, &of), VESTRY_OK);
    assert_int_equal(of.calls, 3);
    assert_int_equal(shop_number(&s, "SELECT n FROM t WHERE id = 1"), 21);
  }
  assert_null(strstr(s.th.last_log, "40001")); /* a conflict is not logged */
  assert_int_equal(shop_stats(&s).conflicts_count, 4);
  conflict always = {.s = &s, .other_writes = 100};
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, conflict_once, &always), VESTRY_BUSY);
  assert_int_equal(always.calls, 4);
  assert_non_null(strstr(s.th.last_log, "(40001); begin the transaction again"));
  shop_end(&s);
}

/* Write skew: each transaction reads what the other writes; the commit detects it. */
static vestry_err skew(vestry_sql_transaction *transaction, void *ctx) {
  conflict *of = ctx;
  int64_t sum;
  vestry_err error = vestry_sql_run(transaction, "SELECT sum(n) FROM t", NULL, vestry_sql_row_integer, &sum);
  if (of->calls++ < of->other_writes)
    postgres_server_run(shop_server(), "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM t;"
                                       "UPDATE t SET n = 1 WHERE id = 2; COMMIT");
  return error ? error : vestry_sql_run(transaction, "UPDATE t SET n = $1 WHERE id = 3", VESTRY_LIST(sum), NULL, NULL);
}

SHOP_CASE(conflict_at_commit_is_retried) {
  conflict of = {.s = s, .other_writes = 1};
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, skew, &of), VESTRY_OK);
  assert_int_equal(of.calls, 2);
  assert_int_equal(shop_number(s, "SELECT n FROM t WHERE id = 3"), 1);
}

/* Insert a row unless a flag is set. The other transaction inserts the row meanwhile and sets the flag. */
static vestry_err insert_unless_flagged(vestry_sql_transaction *transaction, void *ctx) {
  conflict *of = ctx;
  int64_t is_there;
  vestry_err error =
      vestry_sql_run(transaction, "SELECT n FROM t WHERE id = 2", NULL, vestry_sql_row_integer, &is_there);
  if (of->calls++ < of->other_writes)
    postgres_server_run(shop_server(), "INSERT INTO t VALUES(99, 0); UPDATE t SET n = 1 WHERE id = 2");
  if (error) return error;
  return is_there ? VESTRY_FULL : vestry_sql_run(transaction, "INSERT INTO t VALUES(99, 0)", NULL, NULL, NULL);
}

static vestry_err conflict_and_insert(vestry_sql_transaction *transaction, void *ctx) {
  const conflict *of = ctx;
  return of->calls ? insert_unless_flagged(transaction, ctx) : conflict_once(transaction, ctx);
}

/* The server reports a unique violation there instead of a conflict. */
SHOP_CASE(unique_violation_after_a_conflict_is_retried) {
  conflict of = {.s = s, .other_writes = 1};
  shop_do(s, "UPDATE t SET n = 0");
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, insert_unless_flagged, &of), VESTRY_FULL);
  assert_int_equal(of.calls, 2);
  assert_null(strstr(s->th.last_log, "23505"));
  assert_int_equal(shop_stats(s).conflicts_count, 1);
  of = (conflict){.s = s, .other_writes = 2}; /* also after another conflict */
  shop_do(s, "UPDATE t SET n = 0");
  shop_do(s, "DELETE FROM t WHERE id = 99");
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, conflict_and_insert, &of), VESTRY_FULL);
  assert_int_equal(of.calls, 3);
  /* A row that was there before is there each time; the second failure is returned. */
  of = (conflict){.s = s};
  shop_do(s, "UPDATE t SET n = 0");
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, insert_unless_flagged, &of), VESTRY_EXISTS);
  assert_int_equal(of.calls, 2);
  assert_non_null(strstr(s->th.last_log, "(23505)"));
  /* Other isolation levels see the row, or cannot detect the conflict, so they do not retry. */
  for (int kind = VESTRY_SQL_WRITE; kind <= VESTRY_SQL_REPEATABLE_READ; kind++) {
    of = (conflict){.s = s};
    assert_int_equal(vestry_sql_act(s->pool, (vestry_sql_kind)kind, insert_unless_flagged, &of), VESTRY_EXISTS);
    assert_int_equal(of.calls, 1);
  }
  shop_end(s);
  begin(s, (vestry_postgres_pool_options){.tries_count = 1});
  shop_do(s, "INSERT INTO t VALUES(99, 0)");
  of = (conflict){.s = s};
  assert_int_equal(vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, insert_unless_flagged, &of), VESTRY_EXISTS);
  assert_int_equal(of.calls, 1);
}

enum { THREADS = 4, ROUNDS = 10 };

static vestry_err add_slowly(vestry_sql_transaction *transaction, void *ctx) {
  int64_t found;
  vestry_err error = vestry_sql_run(transaction, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found);
  return error ? error
               : vestry_sql_run(transaction, "UPDATE t SET n = $1 WHERE id = 1", VESTRY_LIST(found + 1), NULL, NULL);
}

static void *add_often(void *ctx) {
  shop *s = ctx;
  for (int i = 0; i < ROUNDS; i++) {
    vestry_err error;
    do error = vestry_sql_act(s->pool, VESTRY_SQL_SERIALIZABLE, add_slowly, NULL);
    while (error == VESTRY_BUSY);
    if (error) return s;
  }
  return NULL;
}

/* With fewer connections than threads, all updating the same row, each increment is stored once. */
TEST_CASE(many_threads_share_two_connections) {
  shop s;
  pthread_t threads[THREADS];
  begin(&s, (vestry_postgres_pool_options){.connections_count = 2, .wait_ms = 240000});
  s.th.host.log = NULL;
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, add_often, &s), 0);
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  assert_int_equal(shop_number(&s, "SELECT n FROM t WHERE id = 1"), THREADS * ROUNDS);
  assert_true(shop_stats(&s).connected_count <= 2);
  shop_end(&s);
}

/* ----------------------------------------------------------------------------------------- exhausted pools -------- */

typedef struct sleeper {
  shop *s;
  vestry_err error;
} sleeper;

static void *query_in_vain(void *ctx) {
  sleeper *of = ctx;
  of->error = vestry_sql_run_alone(of->s->pool, "SELECT 1", NULL, NULL, NULL);
  return NULL;
}

TEST_CASE(exhausted_pool_returns_limit) {
  shop s;
  pthread_t thread;
  vestry_sql_transaction *transaction;
  begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .wait_ms = 1});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  sleeper of = {.s = &s};
  assert_int_equal(pthread_create(&thread, NULL, query_in_vain, &of), 0);
  pthread_join(thread, NULL);
  assert_int_equal(of.error, VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "no connection became free within 1 ms, and options.connections_count is 1"));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  vestry_sql_pool_stats stats = shop_stats(&s);
  assert_int_equal(stats.refused_count, 1);
  assert_int_equal(stats.waits_count, 1);
  shop_end(&s);
}

/* ------------------------------------------------------------------------ servers that refuse connections --------- */

static void limit_narrow(int limit) {
  char sql[64];
  snprintf(sql, sizeof sql, "ALTER ROLE site CONNECTION LIMIT %d", limit);
  postgres_server_run(shop_server(), sql);
}

/* Open a pool whose role may have no more than that many connections. */
static void begin_narrow(shop *s, int limit, vestry_postgres_pool_options options) {
  memset(s, 0, sizeof *s);
  test_host_init(&s->th);
  limit_narrow(limit);
  options.url = shop_site_url();
  assert_int_equal(shop_open(s, options), VESTRY_OK);
}

static void end_narrow(shop *s) {
  shop_end(s);
  limit_narrow(-1);
}

static vestry_err sleep_shortly(vestry_sql_transaction *transaction, void *ctx) {
  return vestry_sql_run(transaction, "SELECT pg_sleep(0.01)", NULL, NULL, NULL);
}

static void *sleep_often(void *ctx) {
  shop *s = ctx;
  for (int i = 0; i < ROUNDS; i++) {
    if (vestry_sql_act(s->pool, VESTRY_SQL_WRITE, sleep_shortly, NULL)) return s;
    if (vestry_sql_run_alone(s->pool, "SELECT pg_sleep(0.01)", NULL, NULL, NULL)) return s;
  }
  return NULL;
}

TEST_CASE(threads_share_the_connections_that_the_server_grants) {
  shop s;
  pthread_t threads[THREADS];
  begin_narrow(&s, 2, (vestry_postgres_pool_options){.connections_count = THREADS, .wait_ms = 240000});
  for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, sleep_often, &s), 0);
  for (int i = 0; i < THREADS; i++) {
    void *failed;
    pthread_join(threads[i], &failed);
    assert_null(failed);
  }
  const vestry_sql_pool_stats stats = shop_stats(&s);
  assert_int_equal(stats.connected_count, 2);
  assert_int_equal(stats.refused_count, 0);
  assert_true(stats.failed_count > 0);
  assert_in_range(s.th.log_lines, 1, 2 * THREADS); /* threads that connect at the same time log it each */
  end_narrow(&s);
}

/* The waiting thread tries to connect from time to time. */
TEST_CASE(raised_limit_ends_the_wait) {
  shop s;
  pthread_t thread;
  vestry_sql_transaction *transaction;
  begin_narrow(&s, 1, (vestry_postgres_pool_options){.connections_count = 2, .wait_ms = 240000, .retry_ms = 1});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  sleeper of = {.s = &s};
  assert_int_equal(pthread_create(&thread, NULL, query_in_vain, &of), 0);
  UNTIL(shop_stats(&s).failed_count >= 3);
  limit_narrow(2);
  pthread_join(thread, NULL);
  assert_int_equal(of.error, VESTRY_OK);
  assert_int_equal(shop_stats(&s).connected_count, 2);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  end_narrow(&s);
}

TEST_CASE(lost_server_ends_the_wait) {
  shop s;
  pthread_t thread;
  vestry_sql_transaction *transaction;
  begin_narrow(&s, 1, (vestry_postgres_pool_options){.connections_count = 2, .wait_ms = 240000});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  sleeper of = {.s = &s};
  assert_int_equal(pthread_create(&thread, NULL, query_in_vain, &of), 0);
  UNTIL(shop_stats(&s).waits_count >= 1);
  postgres_server_kill(shop_server());
  assert_int_equal(vestry_sql_run(transaction, "SELECT 1", NULL, NULL, NULL), VESTRY_LIMIT);
  pthread_join(thread, NULL); /* although this thread has not released its connection */
  assert_int_equal(of.error, VESTRY_LIMIT);
  assert_int_equal(shop_stats(&s).connected_count, 0);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_LIMIT), VESTRY_LIMIT);
  postgres_server_start(shop_server(), NULL);
  end_narrow(&s);
}

TEST_CASE(log_names_the_refused_connections) {
  shop s;
  pthread_t thread;
  vestry_sql_transaction *transaction;
  begin_narrow(&s, 1, (vestry_postgres_pool_options){.connections_count = 2, .wait_ms = 1});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  bool is_named = false;
  for (int i = 0; i < 100 && !is_named; i++) { /* some attempts connect instead of waiting */
    sleeper of = {.s = &s};
    assert_int_equal(pthread_create(&thread, NULL, query_in_vain, &of), 0);
    pthread_join(thread, NULL);
    assert_int_equal(of.error, VESTRY_LIMIT);
    is_named =
        strstr(s.th.last_log,
               "options.connections_count is 2, of which the server, or the limit of the role, permits 1") != NULL;
  }
  assert_true(is_named);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  end_narrow(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/fault", shop_open_server, shop_close_server);
}
