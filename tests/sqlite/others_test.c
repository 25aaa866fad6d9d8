/* SPDX-License-Identifier: MIT */
/* Commits of other connections and processes are seen, beside those of attached connections and in any race with
 * them. */
#include <pthread.h>
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
TEST_CASE(commit_of_an_unattached_connection_refreshes_all) {
  static const char *const modes[] = {"wal", "delete"};
  for (size_t i = 0; i < 2; i++) {
    ledger s;
    ledger_open(&s, modes[i], NULL);
    ledger_watch(&s, "t");
    ledger_watch(&s, "k");
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(1)");
    site_settle_pages(&s.on);
    assert_int_equal(ledger_seen(&s, "t"), 0);
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "t"), 1);
    assert_int_equal(ledger_seen(&s, "k"), 1);
    assert_int_equal(s.counted[0], 1);
    assert_int_equal(stats_of(&s).other_commits_count, 1);
    ledger_run(s.db, "INSERT INTO k VALUES('a', 1)");
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(2); INSERT INTO t(x) VALUES(3)");
    ledger_run(s.db, "INSERT INTO k VALUES('b', 1)");
    ledger_run(s.reader, "BEGIN; INSERT INTO t(x) VALUES(4)");
    ledger_sync(&s);
    assert_int_equal(stats_of(&s).other_commits_count, 3);
    assert_int_equal(stats_of(&s).commits_count, 2);
    assert_true(ledger_seen(&s, "t") > 0);
    ledger_run(s.reader, "ROLLBACK");
    ledger_sync(&s);
    assert_int_equal(ledger_seen(&s, "t"), 0);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(9)");
    ledger_sync(&s);
    assert_int_equal(stats_of(&s).other_commits_count, 3);
    ledger_close(&s);
  }
}

/* Thousands of commits of another connection between two reads of the counter. */
/* capability: D22 */
LEDGER_CASE(thousands_of_commits_between_polls_are_seen) {
  ledger_watch(s, "k");
  for (int i = 0; i < 5000; i++) ledger_run(s->reader, "UPDATE k SET b = 1 WHERE 0; INSERT INTO log(what) VALUES(1)");
  ledger_run(s->db, "INSERT INTO t(x) VALUES(1)");
  ledger_sync(s);
  assert_true(ledger_seen(s, "k") > 0);
  ledger_run(s->db, "INSERT INTO t(x) VALUES(2)");
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "k"), 0);
  for (int i = 0; i < 3; i++) ledger_run(s->reader, "INSERT INTO log(what) VALUES(1)");
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "k"), 1);
}

/* Other cluster nodes follow the database themselves, so they receive no message about commits of other programs. */
TEST_CASE(commits_of_others_send_no_cluster_messages) {
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
                                              .dead_ms = 60000};
      assert_int_equal(vestry_memory_network_join(network, &brokers[i]), VESTRY_OK);
      assert_int_equal(vestry_cluster_create(i ? other : s.on.v, &brokers[i], &options, &clusters[i]), VESTRY_OK);
    }
    pass_ms(&s, 100);
    assert_int_equal(vestry_cluster_member(clusters[0], "other"), VESTRY_MEMBER_ALIVE);
    ledger_watch(&s, "t");
    pass_ms(&s, 100);
    uint64_t before = sent_by(clusters[0]);
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(1)");
    ledger_sync(&s);
    pass_ms(&s, 20);
    assert_int_equal(ledger_seen(&s, "t"), 1);
    assert_int_equal(sent_by(clusters[0]), before);
    ledger_run(s.db, "INSERT INTO t(x) VALUES(2)");
    ledger_sync(&s);
    pass_ms(&s, 20);
    assert_int_equal(ledger_seen(&s, "t"), 1);
    assert_int_equal(sent_by(clusters[0]), before);
    assert_int_equal(vestry_refresh(s.on.pages, "news", NULL), VESTRY_OK); /* topics of the application are sent */
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

/* SQLite's own handler waits up to a tenth of a second, which is long for four writers. */
static int wait_a_little(void *ctx, int times) {
  nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
  return times < 300000;
}

/* This program, run as a second process that writes: PATH COUNT, or PATH 0 to write until it is killed. */
static int write_as_second_process(const char *path, long count) {
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

/* By the following thread, with the default of poll_ms. */
/* capability: D22 */
TEST_CASE(commit_of_another_process_is_polled) {
  static const char *const modes[] = {"wal", "delete"};
  for (size_t i = 0; i < 2; i++) {
    ledger s;
    ledger_open(&s, modes[i], &(vestry_sqlite_options){0});
    ledger_watch(&s, "log");
    for (int round = 0; round < 5; round++) {
      must_end(start_other(&s, "1"));
      UNTIL(stats_of(&s).other_commits_count > (uint64_t)round); /* bench/exact measures the delay */
      ledger_sync(&s);                                           /* it may still be followed */
      assert_int_equal(ledger_seen(&s, "log"), 1);
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

/* Threads and a process write concurrently. Each commit is attributed to its writer, and the last render shows all
 * rows. */
static void race(const char *mode, int commits, const char *others, int others_count) {
  enum { WRITERS = 4 };
  ledger s;
  writer writers[WRITERS];
  ledger_open(&s, mode, &(vestry_sqlite_options){.poll_ms = 1});
  ledger_watch(&s, "t");
  for (int i = 0; i < WRITERS; i++) {
    writers[i] = (writer){.s = &s, .number = i, .commits = commits};
    assert_int_equal(pthread_create(&writers[i].thread, NULL, write_much, &writers[i]), 0);
  }
  pid_t pid = others_count ? start_other(&s, others) : 0;
  for (int round = 0; round < 30; round++) { /* renders race with the writers */
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
  /* a WAL that was restarted before it was read hides who has made a commit */
  assert_in_range(stats.other_commits_count, others_count / 4, others_count + WRITERS * commits / 8);
  ledger_close(&s);
}

/* capability: D10 */
TEST_CASE(concurrent_writers_lose_no_refresh) {
  race("wal", 1000, NULL, 0);
}

/* capability: D22 */
TEST_CASE(writers_beside_another_process_lose_no_refresh) {
  race("wal", 300, "500", 500);
}

int main(int count, char **arguments) {
  if (count == 3) return write_as_second_process(arguments[1], strtol(arguments[2], NULL, 10));
  return cases_run("sqlite/others", NULL, NULL);
}
