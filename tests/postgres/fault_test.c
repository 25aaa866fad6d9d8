/* SPDX-License-Identifier: MIT */
/* A pool whose server goes away and comes back, whose transactions meet, whose statements are cancelled, and of which
 * more is wanted than it has. */
#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "postgres/shop.h"
#include "support/test.h"
#include "support/until.h"

static void begin(shop *s, vestry_postgres_pool_options options) {
  shop_begin(s, options);
  shop_do(s, "CREATE TABLE t(id int PRIMARY KEY, n int)");
  shop_do(s, "INSERT INTO t SELECT i, 0 FROM generate_series(1, 10) i");
}

/* ------------------------------------------------------------------------------------------- a server is away ----- */

static vestry_err add_one(vestry_sql_transaction *loan, void *ctx) {
  (void)ctx;
  return vestry_sql_run(loan, "UPDATE t SET n = n + 1 WHERE id = 1", NULL, NULL, NULL);
}

static void a_server_comes_back(void **state) {
  (void)state;
  shop s;
  vestry_sql_transaction *loan;
  int64_t found = -1;
  begin(&s, (vestry_postgres_pool_options){.retry_ms = 1, .connections_count = 2});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &loan), VESTRY_OK);
  assert_int_equal(add_one(loan, NULL), VESTRY_OK);
  postgres_server_kill(shop_server());
  /* What was under way is not done, and says so; what comes now is told at once. */
  assert_int_equal(add_one(loan, NULL), VESTRY_LIMIT);
  assert_null(vestry_postgres_handle(loan));
  assert_int_equal(add_one(loan, NULL), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_end(loan, VESTRY_OK), VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "what was written is rolled back: the connection was lost"));
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, add_one, NULL), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &loan), VESTRY_LIMIT);
  assert_int_equal(shop_stats(&s).connected_count, 0);
  postgres_server_start(shop_server(), NULL);
  UNTIL(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &loan) == VESTRY_OK);
  assert_int_equal(vestry_sql_run(loan, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 0);
  assert_int_equal(vestry_sql_end(loan, VESTRY_OK), VESTRY_OK);
  shop_end(&s);
}

/* A server that was restarted while the pool was idle is not noticed by those that use it. */
static void a_restart_between_transactions_is_not_seen(void **state) {
  (void)state;
  shop s;
  begin(&s, (vestry_postgres_pool_options){0});
  postgres_server_kill(shop_server());
  postgres_server_start(shop_server(), NULL);
  long lines = s.th.log_lines;
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, add_one, NULL), VESTRY_OK);
  assert_int_equal(shop_number(&s, "SELECT n FROM t WHERE id = 1"), 1);
  assert_int_equal(s.th.log_lines, lines);
  assert_int_equal(shop_stats(&s).connects_count, 2);
  shop_end(&s);
}

/* Of a commit that was under way nothing is said that is not known. */
static void a_lost_commit_is_not_called_undone(void **state) {
  (void)state;
  shop s;
  vestry_sql_transaction *loan;
  begin(&s, (vestry_postgres_pool_options){0});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &loan), VESTRY_OK);
  assert_int_equal(add_one(loan, NULL), VESTRY_OK);
  postgres_server_kill(shop_server());
  assert_int_equal(vestry_sql_end(loan, VESTRY_OK), VESTRY_IO);
  assert_non_null(strstr(s.th.last_log, "it is not known whether what was written is committed"));
  postgres_server_start(shop_server(), NULL);
  shop_end(&s);
}

/* A port where connections are taken, and nothing is ever said. */
static void a_server_that_says_nothing_is_given_up(void **state) {
  (void)state;
  shop s = {.pool = NULL};
  test_host_init(&s.th);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t len = sizeof address;
  char url[128];
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
  assert_int_equal(listen(fd, 4), 0);
  assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
  snprintf(url, sizeof url, "host=127.0.0.1 port=%d user=a dbname=b sslmode=disable gssencmode=disable",
           ntohs(address.sin_port));
  assert_int_equal(shop_open(&s, (vestry_postgres_pool_options){.url = url, .connect_ms = 1}), VESTRY_LIMIT);
  assert_non_null(
      strstr(s.th.last_log, "vestry_postgres_pool_create, b at 127.0.0.1: it cannot be reached: no answer"));
  close(fd);
  test_host_assert_clean(&s.th);
}

/* -------------------------------------------------------------------------------------------- they meet ----------- */

typedef struct meeting {
  shop *s;
  int calls, other_writes; /* while so many calls */
} meeting;

/* Reads what another transaction writes before this one does. */
static vestry_err meet(vestry_sql_transaction *loan, void *ctx) {
  meeting *of = ctx;
  int64_t found;
  vestry_err error = vestry_sql_run(loan, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found);
  if (error) return error;
  if (of->calls++ < of->other_writes) postgres_server_run(shop_server(), "UPDATE t SET n = n + 10 WHERE id = 1");
  return vestry_sql_run(loan, "UPDATE t SET n = $1 WHERE id = 1", VESTRY_LIST(found + 1), NULL, NULL);
}

static void what_meets_is_done_again(void **state) {
  (void)state;
  shop s;
  begin(&s, (vestry_postgres_pool_options){.tries_count = 4});
  for (int kind = VESTRY_SQL_REPEATABLE_READ; kind <= VESTRY_SQL_SERIALIZABLE; kind++) {
    meeting of = {.s = &s, .other_writes = 2};
    shop_do(&s, "UPDATE t SET n = 0");
    assert_int_equal(vestry_sql_act(s.pool, (vestry_sql_kind)kind, meet, &of), VESTRY_OK);
    assert_int_equal(of.calls, 3);
    assert_int_equal(shop_number(&s, "SELECT n FROM t WHERE id = 1"), 21);
  }
  assert_null(strstr(s.th.last_log, "40001")); /* it is no fault */
  assert_int_equal(shop_stats(&s).conflicts_count, 4);
  meeting always = {.s = &s, .other_writes = 100};
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, meet, &always), VESTRY_BUSY);
  assert_int_equal(always.calls, 4);
  assert_non_null(strstr(s.th.last_log, "(40001); begin the transaction again"));
  shop_end(&s);
}

/* Write skew: each reads what the other one writes; it shows at a commit. */
static vestry_err skew(vestry_sql_transaction *loan, void *ctx) {
  meeting *of = ctx;
  int64_t sum;
  vestry_err error = vestry_sql_run(loan, "SELECT sum(n) FROM t", NULL, vestry_sql_row_integer, &sum);
  if (of->calls++ < of->other_writes)
    postgres_server_run(shop_server(), "BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT sum(n) FROM t;"
                                       "UPDATE t SET n = 1 WHERE id = 2; COMMIT");
  return error ? error : vestry_sql_run(loan, "UPDATE t SET n = $1 WHERE id = 3", VESTRY_LIST(sum), NULL, NULL);
}

static void what_shows_at_the_commit_is_done_again(void **state) {
  (void)state;
  shop s;
  begin(&s, (vestry_postgres_pool_options){0});
  meeting of = {.s = &s, .other_writes = 1};
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, skew, &of), VESTRY_OK);
  assert_int_equal(of.calls, 2);
  assert_int_equal(shop_number(&s, "SELECT n FROM t WHERE id = 3"), 1);
  shop_end(&s);
}

/* Puts a row there, unless there is a word about it, which another one leaves that puts it there meanwhile. */
static vestry_err put_it(vestry_sql_transaction *loan, void *ctx) {
  meeting *of = ctx;
  int64_t is_there;
  vestry_err error = vestry_sql_run(loan, "SELECT n FROM t WHERE id = 2", NULL, vestry_sql_row_integer, &is_there);
  if (of->calls++ < of->other_writes)
    postgres_server_run(shop_server(), "INSERT INTO t VALUES(99, 0); UPDATE t SET n = 1 WHERE id = 2");
  if (error) return error;
  return is_there ? VESTRY_FULL : vestry_sql_run(loan, "INSERT INTO t VALUES(99, 0)", NULL, NULL, NULL);
}

static vestry_err meet_and_put(vestry_sql_transaction *loan, void *ctx) {
  const meeting *of = ctx;
  return of->calls ? put_it(loan, ctx) : meet(loan, ctx);
}

/* The server knows no conflict there: for it, the value is there already. */
static void what_puts_the_same_there_is_done_again(void **state) {
  (void)state;
  shop s;
  begin(&s, (vestry_postgres_pool_options){0});
  meeting of = {.s = &s, .other_writes = 1};
  shop_do(&s, "UPDATE t SET n = 0");
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, put_it, &of), VESTRY_FULL);
  assert_int_equal(of.calls, 2);
  assert_null(strstr(s.th.last_log, "23505"));
  assert_int_equal(shop_stats(&s).conflicts_count, 1);
  of = (meeting){.s = &s, .other_writes = 2}; /* behind another conflict, too */
  shop_do(&s, "UPDATE t SET n = 0");
  shop_do(&s, "DELETE FROM t WHERE id = 99");
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, meet_and_put, &of), VESTRY_FULL);
  assert_int_equal(of.calls, 3);
  /* What was there before is there each time: that is said, after two times. */
  of = (meeting){.s = &s};
  shop_do(&s, "UPDATE t SET n = 0");
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, put_it, &of), VESTRY_EXISTS);
  assert_int_equal(of.calls, 2);
  assert_non_null(strstr(s.th.last_log, "(23505)"));
  /* Others see what is there by then, or do without knowing. */
  for (int kind = VESTRY_SQL_WRITE; kind <= VESTRY_SQL_REPEATABLE_READ; kind++) {
    of = (meeting){.s = &s};
    assert_int_equal(vestry_sql_act(s.pool, (vestry_sql_kind)kind, put_it, &of), VESTRY_EXISTS);
    assert_int_equal(of.calls, 1);
  }
  shop_end(&s);
  begin(&s, (vestry_postgres_pool_options){.tries_count = 1});
  shop_do(&s, "INSERT INTO t VALUES(99, 0)");
  of = (meeting){.s = &s};
  assert_int_equal(vestry_sql_act(s.pool, VESTRY_SQL_SERIALIZABLE, put_it, &of), VESTRY_EXISTS);
  assert_int_equal(of.calls, 1);
  shop_end(&s);
}

enum { THREADS = 4, ROUNDS = 10 };

static vestry_err add_slowly(vestry_sql_transaction *loan, void *ctx) {
  int64_t found;
  (void)ctx;
  vestry_err error = vestry_sql_run(loan, "SELECT n FROM t WHERE id = 1", NULL, vestry_sql_row_integer, &found);
  return error ? error : vestry_sql_run(loan, "UPDATE t SET n = $1 WHERE id = 1", VESTRY_LIST(found + 1), NULL, NULL);
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

/* Fewer connections than threads, all at the same row: each addition is there once. */
static void threads_share_a_pool(void **state) {
  (void)state;
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

/* ---------------------------------------------------------------------------------------- cancelled, exhausted ---- */

typedef struct sleeper {
  shop *s;
  _Atomic(vestry_sql_transaction *) loan;
  vestry_err error, later, ended;
} sleeper;

static void *sleep_long(void *ctx) {
  sleeper *of = ctx;
  vestry_sql_transaction *loan;
  if (vestry_sql_begin(of->s->pool, VESTRY_SQL_READ, &loan)) return of;
  atomic_store(&of->loan, loan);
  of->error = vestry_sql_run(loan, "SELECT pg_sleep(600)", NULL, NULL, NULL);
  of->later = vestry_sql_run(loan, "SELECT 1", NULL, NULL, NULL);
  of->ended = vestry_sql_end(loan, VESTRY_OK);
  return NULL;
}

static void a_statement_can_be_cancelled(void **state) {
  (void)state;
  shop s;
  pthread_t thread;
  void *failed;
  begin(&s, (vestry_postgres_pool_options){.statement_ms = 600000});
  sleeper of = {.s = &s};
  assert_int_equal(pthread_create(&thread, NULL, sleep_long, &of), 0);
  UNTIL(postgres_server_number(shop_server(), "SELECT count(*) FROM pg_stat_activity"
                                              " WHERE query LIKE '%pg_sleep(600)%' AND state = 'active'"
                                              " AND pid <> pg_backend_pid()") == 1);
  vestry_postgres_cancel(atomic_load(&of.loan));
  pthread_join(thread, &failed);
  assert_null(failed);
  assert_int_equal(of.error, VESTRY_CLOSED);
  assert_int_equal(of.later, VESTRY_CLOSED);
  assert_int_equal(of.ended, VESTRY_CLOSED);
  /* Whoever comes next has another connection, which no late cancelling meets. */
  assert_int_equal(shop_number(&s, "SELECT 1"), 1);
  shop_end(&s);
}

static void *ask_in_vain(void *ctx) {
  sleeper *of = ctx;
  of->error = vestry_sql_run_alone(of->s->pool, "SELECT 1", NULL, NULL, NULL);
  return NULL;
}

static void a_pool_has_so_many_connections(void **state) {
  (void)state;
  shop s;
  pthread_t thread;
  vestry_sql_transaction *loan;
  begin(&s, (vestry_postgres_pool_options){.connections_count = 1, .wait_ms = 1});
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &loan), VESTRY_OK);
  sleeper of = {.s = &s};
  assert_int_equal(pthread_create(&thread, NULL, ask_in_vain, &of), 0);
  pthread_join(thread, NULL);
  assert_int_equal(of.error, VESTRY_LIMIT);
  assert_non_null(strstr(s.th.last_log, "no connection was given back within 1 ms: options.connections_count is 1"));
  assert_int_equal(vestry_sql_end(loan, VESTRY_OK), VESTRY_OK);
  vestry_postgres_pool_stats stats = shop_stats(&s);
  assert_int_equal(stats.refused_count, 1);
  assert_int_equal(stats.waits_count, 1);
  shop_end(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_server_comes_back),
      cmocka_unit_test(a_restart_between_transactions_is_not_seen),
      cmocka_unit_test(a_lost_commit_is_not_called_undone),
      cmocka_unit_test(a_server_that_says_nothing_is_given_up),
      cmocka_unit_test(what_meets_is_done_again),
      cmocka_unit_test(what_shows_at_the_commit_is_done_again),
      cmocka_unit_test(what_puts_the_same_there_is_done_again),
      cmocka_unit_test(threads_share_a_pool),
      cmocka_unit_test(a_statement_can_be_cancelled),
      cmocka_unit_test(a_pool_has_so_many_connections),
  };
  return cmocka_run_group_tests(tests, shop_open_server, shop_close_server);
}
