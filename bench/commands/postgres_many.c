/* SPDX-License-Identifier: MIT */
/* Costs with many pages, each of which shows one row of a table by its key: memory of a page's reads; a commit for one
 * page until that is rendered; the same until a bare reader of the WAL has it and the row is read, as the floor; a
 * commit of a row that no page shows; one transaction that changes many pages. */
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "bench.h"
#include "histogram.h"
#include "postgres.h"

enum { SQL_BYTES = 512, PATIENCE_S = 60, PAUSE_US = 2000, LOOK_US = 20, UPDATED = 10000, IN_A_ROW = 20 };

static void pause_us(long us) {
  nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

static bool make_items(channels *c, uint64_t pages) {
  char sql[SQL_BYTES];
  snprintf(sql, sizeof sql,
           "SET client_min_messages = error; DROP TABLE IF EXISTS item; CREATE TABLE item(id bigint PRIMARY KEY, n "
           "bigint, text text) WITH (fillfactor = 80); INSERT INTO item SELECT i, 0, repeat('x', 80) FROM "
           "generate_series(0, %" PRIu64 ") i",
           2 * pages - 1);
  return channels_run(c, sql) && channels_run(c, "VACUUM (ANALYZE) item") && channels_run(c, "CHECKPOINT");
}

static bool update(channels *c, uint64_t id) {
  char sql[SQL_BYTES];
  snprintf(sql, sizeof sql, "UPDATE item SET n = %" PRIu64 " WHERE id = %" PRIu64, ++c->written, id);
  return channels_run(c, sql);
}

/* Update the row of one page, and wait until that has shown it. commits: receives the time until the server answers. */
static bool commit_one(channels *c, histogram *commits, histogram *delays) {
  const uint64_t id = 2 * channels_chance(c, c->tabs_count);
  atomic_store(&c->shown_ns, 0);
  atomic_store(&c->awaited, c->written + 1);
  const uint64_t began_ns = bench_now_ns();
  if (!update(c, id)) return false;
  histogram_add(commits, bench_now_ns() - began_ns);
  uint64_t shown_ns;
  while (!(shown_ns = atomic_load(&c->shown_ns)) && bench_now_ns() - began_ns < PATIENCE_S * UINT64_C(1000000000))
    pause_us(LOOK_US);
  if (!shown_ns) return channels_complain("a page does not show its row");
  histogram_add(delays, shown_ns - began_ns);
  pause_us(PAUSE_US);
  return true;
}

/* What commits of one kind have taken. */
typedef struct single {
  histogram delays, answers;
  uint64_t commits, follower_ns, renders;
} single;

static bool make_singles(channels *c, bool is_shown, uint64_t commits, single *sum) {
  const uint64_t cpu_ns = bench_threads_cpu_ns(POSTGRES_FOLLOWER), renders = atomic_load(&c->renders);
  for (uint64_t i = 0; i < commits; i++) {
    if (is_shown ? !commit_one(c, &sum->answers, &sum->delays) : !update(c, 2 * channels_chance(c, c->tabs_count) + 1))
      return false;
    if (!is_shown) pause_us(PAUSE_US);
  }
  if (!channels_settle(c)) return false;
  sum->commits += commits;
  sum->follower_ns += bench_threads_cpu_ns(POSTGRES_FOLLOWER) - cpu_ns;
  sum->renders += atomic_load(&c->renders) - renders;
  return true;
}

static void print_single(const channels *c, bool is_shown, const single *of) {
  printf("many change=%s pages=%" PRIu64 " renders_a_commit=%.3f follower_us=%.1f p50_ms=%.2f p99_ms=%.2f "
         "most_ms=%.2f commit_p50_ms=%.2f commit_p99_ms=%.2f\n",
         is_shown ? "one" : "none", c->tabs_count, (double)of->renders / (double)of->commits,
         (double)of->follower_ns / 1e3 / (double)of->commits, histogram_percentile_ns(&of->delays, 0.5) / 1e6,
         histogram_percentile_ns(&of->delays, 0.99) / 1e6, (double)of->delays.max_ns / 1e6,
         histogram_percentile_ns(&of->answers, 0.5) / 1e6, histogram_percentile_ns(&of->answers, 0.99) / 1e6);
  fflush(stdout);
}

static bool measure_single(channels *c, bool is_shown) {
  single of = {.commits = 0};
  const bool is_done = make_singles(c, is_shown, c->is->commits, &of);
  if (is_done) print_single(c, is_shown, &of);
  return is_done;
}

/* A thread that receives the WAL, and drops it. */
typedef struct reader {
  PGconn *db;
  atomic_bool is_over;
  _Atomic(uint64_t) end; /* of the WAL that has come */
} reader;

static uint64_t load(const char *at) {
  uint64_t value = 0;
  for (int i = 0; i < 8; i++) value = value << 8 | (unsigned char)at[i];
  return value;
}

static void *receive(void *ctx) {
  enum { HEAD = 25 }; /* of a message with WAL: its type, position, end, time */
  reader *is = ctx;
  struct pollfd at = {.fd = PQsocket(is->db), .events = POLLIN};
  while (!atomic_load(&is->is_over)) {
    char *message = NULL;
    int len;
    if (poll(&at, 1, 100) <= 0) continue;
    if (!PQconsumeInput(is->db)) break;
    for (; (len = PQgetCopyData(is->db, &message, 1)) > 0; PQfreemem(message))
      if (*message == 'w' && len >= HEAD) atomic_store(&is->end, load(message + 1) + (uint64_t)len - HEAD);
    if (len < 0) break;
  }
  return NULL;
}

/* Return the end of the WAL that contains the last commit of the writer; 0: unknown. */
static uint64_t find_end(channels *c) {
  PGresult *row = PQexec(c->writer, "SELECT pg_current_wal_flush_lsn() - '0/0'");
  const uint64_t end = PQntuples(row) == 1 ? strtoull(PQgetvalue(row, 0, 0), NULL, 10) : 0;
  PQclear(row);
  return end;
}

/* Update a row that no page shows, wait until the reader has the commit, and read the row. */
static bool commit_bare(channels *c, const reader *is, histogram *delays) {
  char sql[SQL_BYTES];
  const uint64_t id = 2 * channels_chance(c, c->tabs_count) + 1, began_ns = bench_now_ns();
  if (!update(c, id)) return false;
  const uint64_t answered_ns = bench_now_ns(), end = find_end(c), found_ns = bench_now_ns();
  while (atomic_load(&is->end) < end && bench_now_ns() - began_ns < PATIENCE_S * UINT64_C(1000000000))
    pause_us(LOOK_US);
  if (!end || atomic_load(&is->end) < end) return channels_complain("a reader of the WAL has not received a commit");
  snprintf(sql, sizeof sql, "SELECT n, text FROM item WHERE id = %" PRIu64, id);
  if (!channels_run(c, sql)) return false;
  histogram_add(delays,
                bench_now_ns() - began_ns - (found_ns - answered_ns)); /* the time to find the end is not needed */
  pause_us(PAUSE_US);
  return true;
}

static bool make_bare(channels *c, uint64_t commits, histogram *delays) {
  pthread_t thread;
  reader is = {.db = channels_receive(c->is->url)};
  if (!is.db || pthread_create(&thread, NULL, receive, &is)) return false;
  bool is_done = true;
  for (uint64_t i = 0; i < commits && is_done; i++) is_done = commit_bare(c, &is, delays);
  atomic_store(&is.is_over, true);
  pthread_join(thread, NULL);
  PQfinish(is.db);
  return is_done && channels_settle(c);
}

/* Commits for one page, and the floor, in turns, because the disk is not equally fast all the time. */
static bool measure_beside_floor(channels *c) {
  single of = {.commits = 0};
  histogram delays = {0};
  for (uint64_t left = c->is->commits, part; left; left -= part) {
    part = left < IN_A_ROW ? left : IN_A_ROW;
    if (!make_singles(c, true, part, &of) || !make_bare(c, part, &delays)) return false;
  }
  print_single(c, true, &of);
  printf("many change=floor pages=%" PRIu64 " p50_ms=%.2f p99_ms=%.2f most_ms=%.2f\n", c->tabs_count,
         histogram_percentile_ns(&delays, 0.5) / 1e6, histogram_percentile_ns(&delays, 0.99) / 1e6,
         (double)delays.max_ns / 1e6);
  fflush(stdout);
  return true;
}

/* Rows of distinct pages, in the order of a random number. */
static bool measure_transaction(channels *c) {
  char sql[SQL_BYTES];
  const uint64_t count = c->tabs_count < UPDATED ? c->tabs_count : UPDATED, step = c->tabs_count / count;
  snprintf(sql, sizeof sql,
           "UPDATE item SET n = n + 1 WHERE id IN (SELECT 2 * %" PRIu64 " * i FROM generate_series(0, %" PRIu64 ") i)",
           step, count - 1);
  const uint64_t cpu_ns = bench_threads_cpu_ns(POSTGRES_FOLLOWER), renders = atomic_load(&c->renders),
                 began_ns = bench_now_ns();
  if (!channels_run(c, sql) || !channels_settle(c)) return false;
  printf("many change=transaction pages=%" PRIu64 " rows=%" PRIu64 " renders=%" PRIu64
         " follower_ms=%.1f until_shown_ms=%.0f\n",
         c->tabs_count, count, atomic_load(&c->renders) - renders,
         (double)(bench_threads_cpu_ns(POSTGRES_FOLLOWER) - cpu_ns) / 1e6, (double)(bench_now_ns() - began_ns) / 1e6);
  fflush(stdout);
  return true;
}

bool channels_many(const channels_options *options) {
  channels c;
  bool is_done =
      channels_open(&c, options, &(channels_way){.threads_count = 2, .is_followed = true, .has_items = true}) &&
      make_items(&c, options->pages);
  const uint64_t began_ns = bench_now_ns();
  is_done = is_done && channels_show(&c, options->pages);
  if (is_done) {
    vestry_postgres_stats stats = {0};
    vestry_postgres_stats_get(c.database, &stats);
    printf("many change=open pages=%" PRIu64 " seconds=%.1f bytes_a_set=%.0f table_level=%" PRIu64 "\n", c.tabs_count,
           (double)(bench_now_ns() - began_ns) / 1e9, (double)stats.sets_bytes / (double)stats.sets_count,
           stats.table_level_count);
    fflush(stdout);
  }
  is_done = is_done && measure_beside_floor(&c) && measure_single(&c, false) && measure_transaction(&c) &&
            measure_single(&c, true);
  channels_close(&c);
  return is_done;
}
