/* SPDX-License-Identifier: MIT */
/* vestry-bench exact --pages: costs with many pages, each of which shows one row by its key; other rows are on the same
 * file pages. Before each commit that vestry follows, the same statement commits in another database, which nothing
 * follows, and wakes a thread, which waits for another millisecond and sleeps again: the floor of a commit that wakes
 * one thread. Commits are one at a time, with pauses, as of an idle site. */
#include "exact_many.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"
#include "histogram.h"

/* READERS: the threads that render: those of the pages, their spare one, and the main thread, which serves requests. */
enum {
  PATH_MOST = 300,
  THREADS = 2,
  READERS = THREADS + 2,
  PAUSE_US = 2000,
  LOOK_US = 20,
  PATIENCE_MS = 60000,
  UPDATED = 10000
};

typedef enum change { SHOWN, HIDDEN, ASIDE } change;

/* A database with a connection that writes. */
typedef struct side {
  char path[PATH_MOST];
  sqlite3 *db;
  sqlite3_stmt *update, *update_aside;
  histogram wall;
  uint64_t cpu_ns; /* of the thread that commits */
} side;

/* The thread that is woken by the commits that nothing follows. */
typedef struct woken {
  pthread_mutex_t lock;
  pthread_cond_t wake;
  pthread_t thread;
  bool is_due, is_over, has_thread;
  uint64_t cpu_ns;
} woken;

typedef struct bench {
  side bare, followed;
  woken woken;
  sqlite3 *readers[READERS];
  sqlite3_stmt *reads[READERS];
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached[READERS + 1];
  vestry_memory_exchange **tabs;
  uint64_t pages_count, seed, value;
  atomic_int readers_taken;
  _Atomic(uint64_t) renders; /* relaxed: only a counter */
  _Atomic(uint64_t) awaited, shown_ns;
  atomic_bool failed;
} bench;

static bool must(bench *b, bool is_done, const char *what) {
  if (!is_done && !atomic_exchange(&b->failed, true)) fprintf(stderr, "vestry-bench: exact: %s failed\n", what);
  return is_done;
}

static bool run(bench *b, sqlite3 *db, const char *sql) {
  return must(b, !sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

static void pause_us(long us) {
  nanosleep(&(struct timespec){.tv_nsec = us * 1000}, NULL);
}

/* ------------------------------------------------------------------------------------------------- the floor ------ */

static void *be_woken(void *ctx) {
  woken *w = ctx;
  pthread_mutex_lock(&w->lock);
  while (!w->is_over) {
    struct timespec until;
    while (!w->is_due && !w->is_over) pthread_cond_wait(&w->wake, &w->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 1000000;
    if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
    while (!w->is_over && !pthread_cond_timedwait(&w->wake, &w->lock, &until)) continue;
    w->is_due = false;
    w->cpu_ns = bench_thread_cpu_ns();
  }
  pthread_mutex_unlock(&w->lock);
  return NULL;
}

static void wake(woken *w) {
  pthread_mutex_lock(&w->lock);
  w->is_due = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
}

static uint64_t woken_cpu_ns(woken *w) {
  pthread_mutex_lock(&w->lock);
  const uint64_t ns = w->cpu_ns;
  pthread_mutex_unlock(&w->lock);
  return ns;
}

static void end_woken(woken *w) {
  if (!w->has_thread) return;
  pthread_mutex_lock(&w->lock);
  w->is_over = true;
  pthread_cond_signal(&w->wake);
  pthread_mutex_unlock(&w->lock);
  pthread_join(w->thread, NULL);
}

/* ------------------------------------------------------------------------------------------------- the pages ------ */

/* Page N shows row 2 N. */
static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  static _Thread_local int reader = -1;
  bench *b = app;
  const int64_t page = strtoll(render->request->query, NULL, 10);
  if (reader < 0) reader = atomic_fetch_add(&b->readers_taken, 1);
  if (!must(b, reader < READERS, "counting the threads that render")) return VESTRY_FAILED;
  sqlite3_stmt *read = b->reads[reader];
  uint64_t value = 0;
  vestry_render_begin(render, html);
  sqlite3_bind_int64(read, 1, 2 * page);
  if (must(b, sqlite3_step(read) == SQLITE_ROW, "reading a row")) {
    value = (uint64_t)sqlite3_column_int64(read, 0);
    vestry_html_add(html, "<p>%d %s</p>", (int)value, (const char *)sqlite3_column_text(read, 1));
  }
  sqlite3_reset(read);
  const vestry_err error = vestry_render_end(render, html);
  atomic_fetch_add_explicit(&b->renders, 1, memory_order_relaxed);
  if (value && value == atomic_load(&b->awaited)) atomic_store(&b->shown_ns, bench_now_ns());
  return error;
}

static bool open_one(bench *b, const char *path, sqlite3 **ret_db) {
  return must(b, !sqlite3_open(path, ret_db), "opening a file") &&
         run(b, *ret_db, "PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -65536");
}

static bool open_side(bench *b, side *s, const char *folder, const char *name) {
  char sql[600];
  snprintf(s->path, sizeof s->path, "%s/vestry-bench-%d-%s.db", folder, (int)getpid(), name);
  snprintf(sql, sizeof sql,
           "CREATE TABLE item(id INTEGER PRIMARY KEY, n INT, text TEXT);"
           "CREATE TABLE aside(id INTEGER PRIMARY KEY, n INT); INSERT INTO aside VALUES(1, 0);"
           "WITH RECURSIVE s(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM s WHERE i < %" PRIu64 ") INSERT INTO item "
           "SELECT i, 0, hex(randomblob(40)) FROM s; PRAGMA wal_checkpoint(TRUNCATE)",
           2 * b->pages_count - 1);
  return open_one(b, s->path, &s->db) && run(b, s->db, sql) &&
         must(b,
              !sqlite3_prepare_v2(s->db, "UPDATE item SET n = ?1 WHERE id = ?2", -1, &s->update, NULL) &&
                  !sqlite3_prepare_v2(s->db, "UPDATE aside SET n = ?1 WHERE id = ?2", -1, &s->update_aside, NULL),
              "preparing");
}

static void close_side(side *s) {
  static const char *const ends[] = {"", "-wal", "-shm", "-vestry"};
  char path[PATH_MOST + 8];
  sqlite3_finalize(s->update);
  sqlite3_finalize(s->update_aside);
  sqlite3_close(s->db);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    snprintf(path, sizeof path, "%s%s", s->path, ends[i]);
    unlink(path);
  }
}

static bool follow(bench *b, vestry_sqlite_level level) {
  const vestry_bounds bounds = {.max_count = (uint32_t)b->pages_count + 1000};
  const vestry_options instance = {.store = "hash", .bounds = &bounds};
  const vestry_pages_options pages = {
      .threads_count = THREADS, .interval_ms = 1, .max_requests_bytes = (size_t)4 << 30};
  const vestry_sqlite_options options = {
      .path = b->followed.path, .level = level, .max_bytes = ((size_t)256 << 20) + b->pages_count * 600};
  vestry_page *page;
  if (!must(b,
            !vestry_create(&instance, &b->v) && !vestry_pages_create(b->v, &pages, &b->pages) &&
                !vestry_page_create(b->pages, &(vestry_page_options){.render = show, .app = b}, &page) &&
                !vestry_route(b->v, "GET", "/", vestry_page_handler, page) &&
                !vestry_sqlite_create(b->pages, &options, &b->database) &&
                !vestry_sqlite_attach(b->database, b->followed.db, &b->attached[READERS]),
            "following"))
    return false;
  for (int i = 0; i < READERS; i++)
    if (!open_one(b, b->followed.path, &b->readers[i]) ||
        !must(b,
              !vestry_sqlite_attach(b->database, b->readers[i], &b->attached[i]) &&
                  !sqlite3_prepare_v2(b->readers[i], "SELECT n, text FROM item WHERE id = ?1", -1, &b->reads[i], NULL),
              "preparing"))
      return false;
  return true;
}

/* Fill the caches of both connections alike: the library's tables, which another connection has created, have emptied
 * the one of the followed database. */
static bool warm_both(bench *b) {
  static const char read_all[] = "SELECT sum(n) FROM item; SELECT sum(n) FROM aside";
  return run(b, b->bare.db, read_all) && run(b, b->followed.db, read_all);
}

static bool settle(bench *b) {
  uint64_t seq = 0;
  return must(b, !vestry_sqlite_sync(b->database, &seq) && !vestry_pages_settle(b->pages, seq, PATIENCE_MS),
              "settling");
}

static bool open_pages(bench *b) {
  const uint64_t began_ns = bench_now_ns(), cpu_ns = bench_cpu_ns(getpid()), memory = bench_own_memory_bytes();
  b->tabs = calloc(b->pages_count, sizeof(vestry_memory_exchange *));
  for (uint64_t i = 0; must(b, b->tabs, "allocating") && i < b->pages_count; i++) {
    char query[24];
    snprintf(query, sizeof query, "%" PRIu64, i);
    const vestry_memory_call call = {.query = query, .datastar = true};
    if (!must(b, !vestry_memory_request(b->v, &call, NULL, NULL, &b->tabs[i]), "opening a page")) return false;
  }
  while (!b->failed && atomic_load_explicit(&b->renders, memory_order_relaxed) < b->pages_count) bench_sleep_ms(1);
  if (!settle(b)) return false;
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(b->database, &stats);
  printf("many change=open pages=%" PRIu64 " seconds=%.1f cpu_us=%.1f bytes=%.0f bytes_a_set=%.0f table_level=%" PRIu64
         " everything=%" PRIu64 "\n",
         b->pages_count, (double)(bench_now_ns() - began_ns) / 1e9,
         (double)(bench_cpu_ns(getpid()) - cpu_ns) / 1e3 / (double)b->pages_count,
         (double)(bench_own_memory_bytes() - memory) / (double)b->pages_count,
         (double)stats.recorded_bytes / (double)b->pages_count, stats.table_level_count, stats.everything_count);
  fflush(stdout);
  return true;
}

/* ------------------------------------------------------------------------------------------------ the commits ----- */

static void update(bench *b, side *s, change what, int64_t row) {
  sqlite3_stmt *statement = what == ASIDE ? s->update_aside : s->update;
  const uint64_t began_ns = bench_now_ns(), cpu_ns = bench_thread_cpu_ns();
  sqlite3_bind_int64(statement, 1, (sqlite3_int64)b->value);
  sqlite3_bind_int64(statement, 2, what == ASIDE ? 1 : row);
  must(b, sqlite3_step(statement) == SQLITE_DONE && !sqlite3_reset(statement), "an update");
  if (s == &b->bare) wake(&b->woken);
  s->cpu_ns += bench_thread_cpu_ns() - cpu_ns;
  histogram_add(&s->wall, bench_now_ns() - began_ns);
}

static void wait_until_shown(bench *b, uint64_t began_ns, histogram *delays) {
  uint64_t shown_ns;
  while (!(shown_ns = atomic_load(&b->shown_ns)) && bench_now_ns() - began_ns < PATIENCE_MS * UINT64_C(1000000))
    pause_us(LOOK_US);
  if (must(b, shown_ns, "showing a row")) histogram_add(delays, shown_ns - began_ns);
}

static void commit_both(bench *b, change what, histogram *delays) {
  const int64_t row = 2 * (int64_t)(bench_random(&b->seed) % b->pages_count) + (what == HIDDEN);
  b->value++;
  update(b, &b->bare, what, row);
  pause_us(PAUSE_US);
  atomic_store(&b->shown_ns, 0);
  if (what == SHOWN) atomic_store(&b->awaited, b->value);
  const uint64_t began_ns = bench_now_ns();
  update(b, &b->followed, what, row);
  if (what == SHOWN) wait_until_shown(b, began_ns, delays);
  pause_us(PAUSE_US);
}

static double us_each(uint64_t ns, uint64_t count) {
  return (double)ns / 1e3 / (double)count;
}

static void tell_wall(const char *name, const histogram *of) {
  printf(" %sp50_ms=%.3f %sp99_ms=%.3f %smost_ms=%.3f", name, histogram_percentile_ns(of, 0.5) / 1e6, name,
         histogram_percentile_ns(of, 0.99) / 1e6, name, (double)of->max_ns / 1e6);
}

/* A commit at a time: CPU of the thread that commits and of the one that follows, beside the floor; its time; and the
 * delay until its page is rendered. */
static bool measure_single(bench *b, change what, uint64_t commits) {
  static const char *const names[] = {"one", "none", "aside"}, follower[] = "vestry-sqlite";
  histogram delays = {.total = 0};
  b->bare.wall = b->followed.wall = delays;
  b->bare.cpu_ns = b->followed.cpu_ns = 0;
  const uint64_t woken_ns = woken_cpu_ns(&b->woken), follower_ns = bench_threads_cpu_ns(follower),
                 renders = atomic_load(&b->renders);
  for (uint64_t i = 0; i < commits && !b->failed; i++) commit_both(b, what, &delays);
  if (!settle(b)) return false;
  const double floor_us = us_each(woken_cpu_ns(&b->woken) - woken_ns, commits),
               bare_us = us_each(b->bare.cpu_ns, commits),
               follower_us = us_each(bench_threads_cpu_ns(follower) - follower_ns, commits),
               us = us_each(b->followed.cpu_ns, commits);
  printf("many change=%s pages=%" PRIu64 " commits=%" PRIu64 " renders_a_commit=%.3f committer_us=%.1f "
         "follower_us=%.1f both_us=%.1f floor_committer_us=%.1f floor_woken_us=%.1f floor_both_us=%.1f",
         names[what], b->pages_count, commits, (double)(atomic_load(&b->renders) - renders) / (double)commits, us,
         follower_us, us + follower_us, bare_us, floor_us, bare_us + floor_us);
  tell_wall("", &b->followed.wall);
  tell_wall("bare_", &b->bare.wall);
  if (what == SHOWN) tell_wall("shown_", &delays);
  puts("");
  fflush(stdout);
  return true;
}

/* One commit of rows that a page each shows, or of new rows that no page shows. */
static bool measure_transaction(bench *b, bool is_insert) {
  const uint64_t count = b->pages_count < UPDATED ? b->pages_count : UPDATED, renders = atomic_load(&b->renders),
                 follower_ns = bench_threads_cpu_ns("vestry-sqlite"), began_ns = bench_now_ns();
  char sql[300];
  if (is_insert)
    snprintf(sql, sizeof sql,
             "WITH RECURSIVE s(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM s WHERE i < %" PRIu64
             ") INSERT INTO item SELECT %" PRIu64 " + i, 0, 'new' FROM s",
             count, 2 * b->pages_count);
  else
    snprintf(sql, sizeof sql, "UPDATE item SET n = n + 1 WHERE id %% %" PRIu64 " = 0 AND id < %" PRIu64,
             b->pages_count / count * 2, b->pages_count / count * 2 * count);
  if (!run(b, b->followed.db, sql) || !settle(b)) return false;
  printf("many change=%s pages=%" PRIu64 " rows=%" PRIu64 " renders=%" PRIu64 " follower_ms=%.1f until_shown_ms=%.0f\n",
         is_insert ? "insert" : "update", b->pages_count, count, atomic_load(&b->renders) - renders,
         (double)(bench_threads_cpu_ns("vestry-sqlite") - follower_ns) / 1e6,
         (double)(bench_now_ns() - began_ns) / 1e6);
  fflush(stdout);
  return true;
}

static void close_all(bench *b) {
  end_woken(&b->woken);
  for (uint64_t i = 0; b->tabs && i < b->pages_count; i++) vestry_memory_destroy(b->tabs[i]);
  free(b->tabs);
  if (b->v) vestry_stop(b->v, 0);
  for (int i = 0; i <= READERS; i++) vestry_sqlite_detach(b->attached[i]);
  vestry_sqlite_destroy(b->database);
  vestry_pages_destroy(b->pages);
  vestry_destroy(b->v);
  for (int i = 0; i < READERS; i++) {
    sqlite3_finalize(b->reads[i]);
    sqlite3_close(b->readers[i]);
  }
  close_side(&b->followed);
  close_side(&b->bare);
}

bool exact_many_measure(const char *folder, vestry_sqlite_level level, uint64_t pages, uint64_t commits) {
  static bench b;
  b = (bench){
      .pages_count = pages, .seed = 7, .woken = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER}};
  b.woken.has_thread = must(&b, !pthread_create(&b.woken.thread, NULL, be_woken, &b.woken), "starting a thread");
  bool is_done = b.woken.has_thread && open_side(&b, &b.bare, folder, "bare") &&
                 open_side(&b, &b.followed, folder, "many") && follow(&b, level) && open_pages(&b) && warm_both(&b);
  for (change what = SHOWN; what <= ASIDE && is_done; what++) is_done = measure_single(&b, what, commits);
  is_done = is_done && measure_transaction(&b, false) && measure_transaction(&b, true);
  close_all(&b);
  return is_done && !b.failed;
}
