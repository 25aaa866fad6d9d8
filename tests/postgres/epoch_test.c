/* SPDX-License-Identifier: MIT */
/* Transaction ids in the WAL have 32 bits and wrap around; those of snapshots have 64 bits. */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "postgres/shown.h"

enum { XIDS_A_FILE = 1 << 20, FILE_BYTES = 256 * 1024, NEAR = 300 };

static const uint64_t epoch = UINT64_C(1) << 32;

/* Make the server's commit-status file for ids near that number, with no status set. */
static void make_status(const postgres_server *server, uint64_t xid) {
  char path[160];
  snprintf(path, sizeof path, "%s/data/pg_xact/%04X", server->folder, (unsigned)(xid / XIDS_A_FILE));
  int fd = open(path, O_WRONLY | O_CREAT, 0600);
  assert_true(fd >= 0);
  assert_int_equal(ftruncate(fd, FILE_BYTES), 0);
  if (server->user) assert_int_equal(fchown(fd, server->user, server->group), 0);
  close(fd);
}

/* Let a stopped server continue with that id. */
static void advance(const postgres_server *server, uint64_t xid) {
  char number[24];
  make_status(server, xid);
  snprintf(number, sizeof number, "%llu", (unsigned long long)xid);
  postgres_server_call(server, (const char *const[]){"pg_resetwal", "-x", number, "-D", "data", NULL});
}

/* Freeze all rows, so that old ids are not needed any more. */
static void freeze(const postgres_server *server) {
  const char *const arguments[] = {"vacuumdb", "-h", server->folder, "-p", NULL, "-U",
                                   "postgres", "-a", "-F",           "-q", NULL};
  const char *with_port[sizeof arguments / sizeof *arguments];
  char port[16];
  snprintf(port, sizeof port, "%d", server->port);
  memcpy(with_port, arguments, sizeof arguments);
  with_port[4] = port;
  postgres_server_call(server, with_port);
}

/* An id may be ahead of the oldest one by at most half of the range, hence the steps. */
static int open_server(void **state) {
  static const uint64_t steps[] = {UINT64_C(2000000000), UINT64_C(4000000000), (UINT64_C(1) << 32) - NEAR};
  static const char *const settings[] = {"autovacuum=off", NULL};
  postgres_server *server = shop_server();
  shop_start_server(settings);
  postgres_server_run(server, "UPDATE pg_database SET datallowconn = true");
  for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
    freeze(server);
    postgres_server_stop(server);
    advance(server, steps[i]);
    postgres_server_start(server, settings);
  }
  return 0;
}

static uint64_t next_number(shown_site *s) {
  PGresult *result = PQexec(s->writer, "SELECT pg_snapshot_xmax(pg_current_snapshot())");
  uint64_t number = strtoull(PQgetvalue(result, 0, 0), NULL, 10);
  PQclear(result);
  return number;
}

/* Commits before, at and after the wraparound are seen alike. */
TEST_CASE(commits_are_followed_over_an_xid_wraparound) {
  shown_site s;
  char sql[80], text[16];
  shown_open(&s,
             "CREATE TABLE t(id int PRIMARY KEY, n int); INSERT INTO t SELECT i, 0 FROM generate_series(1, 4000) i;"
             "ANALYZE",
             NULL);
  size_t row = shown_watch(&s, "SELECT n FROM t WHERE id = 7", NULL);
  size_t beside = shown_watch(&s, "SELECT n FROM t WHERE id = 3000", NULL);
  assert_true(next_number(&s) < epoch);
  int after = 0;
  for (int i = 1; after < 20; i++) {
    assert_true(i < 2 * NEAR);
    after += next_number(&s) > epoch;
    snprintf(sql, sizeof sql, "UPDATE t SET n = %d WHERE id = 7", i);
    shown_run(&s, sql);
    if (next_number(&s) + 20 < epoch && i % 16) continue; /* far from the wraparound only some commits are checked */
    assert_int_equal(shown_renders(&s, row), 1);
    snprintf(text, sizeof text, "%d ", i);
    assert_string_equal(s.all[row].text, text);
  }
  assert_int_equal(shown_renders(&s, beside), 0);
  assert_int_equal(shown_stats(&s).starts_count, 1);
  shown_close(&s);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/epoch", open_server, shop_close_server);
}
