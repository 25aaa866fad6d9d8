/* SPDX-License-Identifier: MIT */
/* Commits of others are seen: of other connections, of other processes, beside one's own, however they race. */
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sqlite/ledger.h"
#include "support/until.h"
#include "vestry/cluster/cluster.h"
#include "vestry/testing/memory_network.h"

static vestry_sqlite_stats stats_of(ledger *s) {
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  return stats;
}

static uint64_t sent_by(vestry_cluster *cluster) {
  vestry_cluster_stats stats = {0};
  vestry_cluster_stats_get(cluster, &stats);
  return stats.sent_count;
}

static void pass_ms(ledger *s, uint64_t ms) {
  for (; ms; ms--) site_pass_ms(&s->on, 1);
}

/* capability: D22 */
static void who_is_not_attached_refreshes_all(void **state) {
  (void)state;
  static const char *const modes[] = {"wal", "delete"};
  for (size_t i = 0; i < 2; i++) {
    ledger s;
    ledger_open(&s, modes[i], NULL);
    ledger_watch(&s, "table/t");
    ledger_watch(&s, "table/k");
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(1)");
    site_settle_pages(&s.on);
    assert_int_equal(ledger_seen(&s, "table/t"), 0);
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "table/t"), 1);
    assert_int_equal(ledger_seen(&s, "table/k"), 1);
    assert_int_equal(s.counted[0], 1);
    assert_int_equal(stats_of(&s).other_commits_count, 1);
    ledger_run(s.db, "INSERT INTO k VALUES('a', 1)");
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(2); INSERT INTO t(x) VALUES(3)");
    ledger_run(s.db, "INSERT INTO k VALUES('b', 1)");
    ledger_run(s.reader, "BEGIN; INSERT INTO t(x) VALUES(4)");
    ledger_sync(&s);
    assert_int_equal(stats_of(&s).other_commits_count, 3);
    assert_int_equal(stats_of(&s).commits_count, 2);
    assert_true(ledger_seen(&s, "table/t") > 0);
    ledger_run(s.reader, "ROLLBACK");
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "table/t"), 0);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(9)");
    ledger_sync(&s);
    assert_int_equal(stats_of(&s).other_commits_count, 3);
    ledger_close(&s);
  }
}

/* Thousands of commits of others between two looks. */
/* capability: D22 */
static void others_may_be_quicker_than_who_looks(void **state) {
  (void)state;
  ledger s;
  ledger_open(&s, "wal", NULL);
  ledger_watch(&s, "table/k");
  for (int i = 0; i < 5000; i++) ledger_run(s.reader, "UPDATE k SET b = 1 WHERE 0; INSERT INTO log(what) VALUES(1)");
  ledger_run(s.db, "INSERT INTO t(x) VALUES(1)");
  ledger_sync(&s);
  assert_true(ledger_seen(&s, "table/k") > 0);
  ledger_run(s.db, "INSERT INTO t(x) VALUES(2)");
  ledger_sync(&s);
  assert_int_equal(ledger_seen(&s, "table/k"), 0);
  for (int i = 0; i < 3; i++) ledger_run(s.reader, "INSERT INTO log(what) VALUES(1)");
  ledger_sync(&s);
  assert_int_equal(ledger_seen(&s, "table/k"), 1);
  ledger_close(&s);
}

/* Other nodes of a cluster look for themselves: of commits of others they are told nothing. */
static void what_others_commit_is_told_to_no_node(void **state) {
  (void)state;
  static const char secret[32] = "the same on all of our machines";
  for (int mode = 0; mode < 2; mode++) {
    ledger s;
    vestry *other;
    vestry_memory_network *network;
    vestry_broker brokers[2];
    vestry_cluster *clusters[2];
    ledger_open(&s, mode ? "delete" : "wal", NULL);
    vestry_runtime *runtime = vestry_parts_of(s.on.v)->runtime;
    assert_int_equal(vestry_create(&(vestry_options){.host = &s.on.th.host, .runtime = runtime}, &other), VESTRY_OK);
    assert_int_equal(vestry_memory_network_create(runtime, NULL, &network), VESTRY_OK);
    for (int i = 0; i < 2; i++) {
      const vestry_cluster_options options = {.node = i ? "other" : "own",
                                              .secret = secret,
                                              .secret_len = sizeof secret,
                                              .pages = i ? NULL : s.on.pages,
                                              .heartbeat_ms = 10000,
                                              .suspect_ms = 20000,
                                              .dead_ms = 60000};
      assert_int_equal(vestry_memory_network_join(network, &brokers[i]), VESTRY_OK);
      assert_int_equal(vestry_cluster_create(i ? other : s.on.v, &brokers[i], &options, &clusters[i]), VESTRY_OK);
    }
    pass_ms(&s, 100);
    assert_int_equal(vestry_cluster_member(clusters[0], "other"), VESTRY_MEMBER_ALIVE);
    ledger_watch(&s, "table/t");
    pass_ms(&s, 100);
    uint64_t before = sent_by(clusters[0]);
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(1)");
    ledger_sync(&s);
    pass_ms(&s, 20);
    assert_int_equal(ledger_seen(&s, "table/t"), 1);
    assert_int_equal(sent_by(clusters[0]), before);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(2)"); /* its topics are told */
    ledger_sync(&s);
    pass_ms(&s, 20);
    assert_true(sent_by(clusters[0]) > before);
    vestry_stop(s.on.v, 0);
    vestry_stop(other, 0);
    for (int i = 0; i < 2; i++) {
      vestry_cluster_destroy(clusters[i]);
      brokers[i].ops->destroy(brokers[i].broker);
    }
    vestry_destroy(other);
    vestry_memory_network_destroy(network);
    ledger_close(&s);
  }
}

/* ------------------------------------------------------------------------------------------------- processes ------ */

/* SQLite's own waits up to a tenth of a second, which is much for four writers. */
static int wait_a_little(void *ctx, int times) {
  (void)ctx;
  nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  return times < 300000;
}

/* This program, called as one that writes: PATH COUNT, or PATH 0: until it is killed. */
static int write_as_another(const char *path, long count) {
  sqlite3 *db;
  if (sqlite3_open(path, &db) || sqlite3_busy_handler(db, wait_a_little, NULL)) return 1;
  if (sqlite3_exec(db, "PRAGMA synchronous = OFF", NULL, NULL, NULL)) return 1;
  for (long i = 0; !count || i < count; i++)
    if (sqlite3_exec(db, "INSERT INTO log(what) VALUES('other')", NULL, NULL, NULL)) return 1;
  return sqlite3_close(db) != SQLITE_OK;
}

static pid_t start_other(const ledger *s, const char *count) {
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (pid) return pid;
  execl("/proc/self/exe", "test_sqlite", "others", s->path, count, (char *)NULL);
  _exit(1);
}

static void must_end(pid_t pid) {
  int status;
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  assert_int_equal(WEXITSTATUS(status), 0);
}

/* By the thread that looks, with the default of poll_ms. */
/* capability: D22 */
static void another_process_is_seen_soon(void **state) {
  (void)state;
  static const char *const modes[] = {"wal", "delete"};
  for (size_t i = 0; i < 2; i++) {
    ledger s;
    ledger_open(&s, modes[i], &(vestry_sqlite_options){0});
    ledger_watch(&s, "table/log");
    for (int round = 0; round < 5; round++) {
      must_end(start_other(&s, "1"));
      UNTIL(stats_of(&s).other_commits_count > (uint64_t)round); /* bench/exact measures how soon */
      site_settle_pages(&s.on);
      assert_int_equal(ledger_seen(&s, "table/log"), 1);
    }
    ledger_close(&s);
  }
}

typedef struct writer {
  ledger *s;
  pthread_t thread;
  int number, commits;
} writer;

static void *write_much(void *ctx) {
  writer *w = ctx;
  sqlite3 *db;
  vestry_sqlite_connection *connection;
  assert_int_equal(sqlite3_open(w->s->path, &db), SQLITE_OK);
  sqlite3_busy_handler(db, wait_a_little, NULL);
  ledger_run(db, "PRAGMA synchronous = OFF");
  assert_int_equal(vestry_sqlite_attach(w->s->database, db, &connection), VESTRY_OK);
  for (int i = 0; i < w->commits; i++) {
    ledger_run(db, i % 3 ? "INSERT INTO t(x) VALUES(NULL)" : "BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(NULL); COMMIT");
    if (i % 16 == 0) ledger_run(db, "BEGIN IMMEDIATE; INSERT INTO t(x) VALUES(NULL); ROLLBACK");
    if (i % 16 == 8) ledger_run(db, "UPDATE k SET b = 1 WHERE 0"); /* commits nothing */
  }
  vestry_sqlite_detach(connection);
  sqlite3_close(db);
  return NULL;
}

/* Threads and a process write at once; of each commit it is known whose it was, and the last render sees all. */
static void race(const char *mode, int commits, const char *others, int others_count) {
  enum { WRITERS = 4 };
  ledger s;
  writer writers[WRITERS];
  ledger_open(&s, mode, &(vestry_sqlite_options){.poll_ms = 1});
  ledger_watch(&s, "table/t");
  for (int i = 0; i < WRITERS; i++) {
    writers[i] = (writer){.s = &s, .number = i, .commits = commits};
    assert_int_equal(pthread_create(&writers[i].thread, NULL, write_much, &writers[i]), 0);
  }
  pid_t pid = others_count ? start_other(&s, others) : 0;
  for (int round = 0; round < 30; round++) { /* renders race with all that */
    uint64_t seq;
    int before = ledger_number(s.reader, "SELECT count(*) FROM t");
    assert_int_equal(vestry_sqlite_sync(s.database, &seq), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(s.on.pages, seq, 10000), VESTRY_OK);
    assert_true(s.counted[0] >= before);
  }
  for (int i = 0; i < WRITERS; i++) pthread_join(writers[i].thread, NULL);
  if (pid) must_end(pid);
  ledger_sync(&s);
  assert_int_equal(s.counted[0], WRITERS * commits);
  vestry_sqlite_stats stats = stats_of(&s);
  assert_int_equal(stats.commits_count, WRITERS * commits);
  assert_int_equal(stats.other_commits_count, others_count);
  ledger_close(&s);
}

/* capability: D10 */
static void writers_race_with_renders(void **state) {
  (void)state;
  race("wal", 1000, NULL, 0);
}

/* capability: D22 */
static void writers_race_with_another_process(void **state) {
  (void)state;
  race("wal", 300, "500", 500);
}

/* A process that is killed while it writes leaves what it had committed, and nothing that harms. */
/* capability: D22 */
static void a_process_that_is_killed_is_followed(void **state) {
  (void)state;
  ledger s;
  ledger_open(&s, "wal", &(vestry_sqlite_options){.poll_ms = 1});
  ledger_watch(&s, "table/log");
  for (int round = 0; round < 10; round++) {
    int status, before = ledger_number(s.reader, "SELECT count(*) FROM log");
    pid_t pid = start_other(&s, "0");
    UNTIL(ledger_number(s.reader, "SELECT count(*) FROM log") >= before + 20 + round);
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(NULL)");
    ledger_sync(&s);
    assert_true(ledger_seen(&s, "table/log") > 0);
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(NULL)");
    ledger_sync(&s);
    assert_true(ledger_seen(&s, "table/log") > 0);
    assert_int_equal(s.counted[0], 2 * (round + 1));
  }
  ledger_close(&s);
}

int main(int count, char **arguments) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_others_commit_is_told_to_no_node),
      cmocka_unit_test(who_is_not_attached_refreshes_all),
      cmocka_unit_test(others_may_be_quicker_than_who_looks),
      cmocka_unit_test(another_process_is_seen_soon),
      cmocka_unit_test(writers_race_with_renders),
      cmocka_unit_test(writers_race_with_another_process),
      cmocka_unit_test(a_process_that_is_killed_is_followed),
  };
  if (count == 3) return write_as_another(arguments[1], strtol(arguments[2], NULL, 10));
  return cmocka_run_group_tests(tests, NULL, NULL);
}
