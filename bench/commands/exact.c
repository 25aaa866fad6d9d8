/* SPDX-License-Identifier: MIT */
/* vestry-bench exact: the renders of a commit, and the cost of recording the reads of a render. There are channels with
 * messages, and an open page for each channel, which shows its last fifty messages and the list of channels. Messages
 * are inserted one at a time into random channels, and after each all pages are updated. An exact refresh would be one
 * render per commit. Then all pages are rendered repeatedly, alternately with and without recording. The last part is
 * an auction (auction.c). --pages measures many pages of one row each instead (exact_many.c). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/data/sqlite.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "auction.h"
#include "bench.h"
#include "exact_many.h"

enum { PATH_MOST = 300, CHANNELS_MOST = 1000, TURNS = 21 };

typedef struct bench {
  char path[PATH_MOST];
  sqlite3 *writer, *reader;
  sqlite3_stmt *insert, *messages, *channels;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached[2];
  vestry_memory_exchange *tabs[CHANNELS_MOST];
  uint64_t channels_count, messages_count, commits, ids;
  uint64_t renders, seed;
  bool failed;
} bench;

static bool must(bench *b, sqlite3 *db, int result) {
  if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return true;
  if (!b->failed) fprintf(stderr, "vestry-bench: exact: %s\n", db ? sqlite3_errmsg(db) : sqlite3_errstr(result));
  b->failed = true;
  return false;
}

static bool is_ok(bench *b, vestry_err error) {
  if (error && !b->failed) fprintf(stderr, "vestry-bench: exact: %s\n", vestry_strerror(error));
  b->failed |= error != VESTRY_OK;
  return !error;
}

static bool run(bench *b, sqlite3 *db, const char *sql) {
  return must(b, db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  bench *b = app;
  b->renders++;
  vestry_render_begin(render, html);
  sqlite3_bind_int64(b->messages, 1, strtoll(render->request->query, NULL, 10));
  sqlite3_exec(b->reader, "BEGIN", NULL, NULL, NULL);
  while (sqlite3_step(b->messages) == SQLITE_ROW)
    vestry_html_add(html, "<p><b>%s</b> %s</p>", (const char *)sqlite3_column_text(b->messages, 1),
                    (const char *)sqlite3_column_text(b->messages, 2));
  sqlite3_reset(b->messages);
  while (sqlite3_step(b->channels) == SQLITE_ROW)
    vestry_html_add(html, "<a href=\"/%d\">%s</a>", sqlite3_column_int(b->channels, 0),
                    (const char *)sqlite3_column_text(b->channels, 1));
  sqlite3_reset(b->channels);
  sqlite3_exec(b->reader, "COMMIT", NULL, NULL, NULL);
  return vestry_render_end(render, html);
}

static void insert(bench *b) {
  sqlite3_bind_int64(b->insert, 1, (sqlite3_int64)(bench_random(&b->seed) % b->channels_count));
  sqlite3_bind_int64(b->insert, 2, (sqlite3_int64)++b->ids);
  must(b, b->writer, sqlite3_step(b->insert));
  must(b, b->writer, sqlite3_reset(b->insert));
}

static bool open_database(bench *b, bool is_clustered) {
  static const char *const schemas[] = {
      "CREATE TABLE message(id INTEGER PRIMARY KEY, channel INT, who TEXT, body TEXT);"
      "CREATE INDEX message_channel ON message(channel, id)",
      "CREATE TABLE message(channel INT, id INT, who TEXT, body TEXT, PRIMARY KEY(channel, id)) WITHOUT ROWID"};
  static const char insert_sql[] =
      "INSERT INTO message(channel, id, who, body) VALUES(?1, ?2, 'someone', 'a message of "
      "about eighty bytes, as people write them in a chat of an afternoon')";
  static const char messages_sql[] = "SELECT id, who, body FROM message WHERE channel = ?1 ORDER BY id DESC LIMIT 50";
  char sql[300];
  snprintf(
      sql, sizeof sql,
      "CREATE TABLE channel(id INTEGER PRIMARY KEY, name TEXT); WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT "
      "i + 1 FROM n WHERE i < %" PRIu64 ") INSERT INTO channel SELECT i, 'channel ' || i FROM n",
      b->channels_count - 1);
  if (!must(b, NULL, sqlite3_open(b->path, &b->writer)) ||
      !run(b, b->writer, "PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL") ||
      !run(b, b->writer, schemas[is_clustered]) || !run(b, b->writer, sql) || !run(b, b->writer, "BEGIN") ||
      !must(b, b->writer, sqlite3_prepare_v2(b->writer, insert_sql, -1, &b->insert, NULL)))
    return false;
  for (uint64_t i = 0; i < b->channels_count * b->messages_count; i++) insert(b);
  return run(b, b->writer, "COMMIT; PRAGMA wal_checkpoint(TRUNCATE)") &&
         must(b, NULL, sqlite3_open(b->path, &b->reader)) &&
         must(b, b->reader, sqlite3_prepare_v2(b->reader, messages_sql, -1, &b->messages, NULL)) &&
         must(b, b->reader,
              sqlite3_prepare_v2(b->reader, "SELECT id, name FROM channel ORDER BY name", -1, &b->channels, NULL));
}

static bool follow(bench *b, vestry_sqlite_level level) {
  const vestry_sqlite_options options = {.path = b->path, .level = level, .poll_ms = 60000};
  return is_ok(b, vestry_sqlite_create(b->pages, &options, &b->database)) &&
         is_ok(b, vestry_sqlite_attach(b->database, b->writer, &b->attached[0])) &&
         is_ok(b, vestry_sqlite_attach(b->database, b->reader, &b->attached[1]));
}

static void unfollow(bench *b) {
  for (int i = 0; i < 2; i++) vestry_sqlite_detach(b->attached[i]);
  vestry_sqlite_destroy(b->database);
  b->attached[0] = b->attached[1] = NULL;
  b->database = NULL;
}

static bool settle(bench *b) {
  return is_ok(b, vestry_sqlite_sync(b->database, NULL)) && is_ok(b, vestry_pages_settle(b->pages, UINT64_MAX, 1000));
}

static bool open_tabs(bench *b) {
  vestry_page *page;
  if (!is_ok(b, vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &b->v)) ||
      !is_ok(b, vestry_pages_create(b->v, NULL, &b->pages)) ||
      !is_ok(b, vestry_page_create(b->pages, &(vestry_page_options){.render = show, .app = b}, &page)))
    return false;
  return is_ok(b, vestry_route(b->v, "GET", "/", vestry_page_handler, page));
}

static void watch_commits(bench *b, const char *level, bool is_clustered) {
  for (uint64_t i = 0; i < b->channels_count && !b->failed; i++) {
    char query[24];
    snprintf(query, sizeof query, "%" PRIu64, i);
    const vestry_memory_call call = {.query = query, .datastar = true};
    is_ok(b, vestry_memory_request(b->v, &call, NULL, NULL, &b->tabs[i]));
  }
  settle(b);
  b->renders = 0;
  for (uint64_t i = 0; i < b->commits && !b->failed; i++) {
    insert(b);
    settle(b);
  }
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(b->database, &stats);
  if (!b->failed)
    printf("exact level=%s keys=%s pages=%" PRIu64 " messages=%" PRIu64 " renders_a_commit=%.2f whole=%" PRIu64
           " recorded_bytes=%zu commits=%" PRIu64 "\n",
           level, is_clustered ? "clustered" : "rowid", b->channels_count, b->messages_count,
           (double)b->renders / (double)b->commits, stats.whole_count, stats.recorded_bytes, b->commits);
}

/* Return the CPU time of this thread, which renders, so that other work of the machine does not count. */
/* Render all pages once; returns microseconds of processor time for each render. */
static double render_all(bench *b) {
  b->renders = 0;
  uint64_t began = bench_thread_cpu_ns();
  is_ok(b, vestry_refresh(b->pages, NULL, NULL));
  is_ok(b, vestry_pages_settle(b->pages, UINT64_MAX, 1000));
  return (double)(bench_thread_cpu_ns() - began) / 1e3 / (double)(b->renders ? b->renders : 1);
}

static void measure_recording(bench *b, vestry_sqlite_level level, const char *name, bool is_clustered) {
  double took[2][TURNS];
  for (int turn = 0; turn < TURNS && !b->failed; turn++) {
    for (int i = 0; i < 2; i++) {
      bool records = (turn + i) % 2;
      unfollow(b);
      if (records && !follow(b, level)) return;
      (void)render_all(b);
      took[records][turn] = render_all(b);
    }
  }
  const double bare_us = bench_median(took[0], TURNS), us = bench_median(took[1], TURNS);
  if (!b->failed)
    printf("recording level=%s keys=%s bare_us=%.2f us=%.2f ratio=%.3f\n", name, is_clustered ? "clustered" : "rowid",
           bare_us, us, us / bare_us);
}

static void close_all(bench *b) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char path[PATH_MOST + 8];
  for (uint64_t i = 0; i < b->channels_count; i++) vestry_memory_destroy(b->tabs[i]);
  unfollow(b);
  if (b->v) vestry_stop(b->v, 0);
  vestry_pages_destroy(b->pages);
  vestry_destroy(b->v);
  sqlite3_finalize(b->insert);
  sqlite3_finalize(b->messages);
  sqlite3_finalize(b->channels);
  sqlite3_close(b->writer);
  sqlite3_close(b->reader);
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", b->path, ends[i]);
    unlink(path);
  }
}

int bench_exact(int argc, char **argv) {
  const char *folder = "/tmp", *name = "pages";
  static bench b;
  uint64_t channels = 200, messages = 500, commits = 1000, pages = 0;
  const bench_option options[] = {{"--folder", &folder, NULL, 0, 0},
                                  {"--level", &name, NULL, 0, 0},
                                  {"--channels", NULL, &channels, 1, CHANNELS_MOST},
                                  {"--messages", NULL, &messages, 1, 10000},
                                  {"--commits", NULL, &commits, 1, 1000000},
                                  {"--pages", NULL, &pages, 1, 1000000}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  vestry_sqlite_level level = strcmp(name, "pages") == 0    ? VESTRY_SQLITE_FILE_PAGES
                              : strcmp(name, "tables") == 0 ? VESTRY_SQLITE_TABLES
                                                            : VESTRY_SQLITE_DEFAULT;
  if (!level) {
    fprintf(stderr, "vestry-bench: exact: --level must be tables or pages\n");
    return 2;
  }
  if (level == VESTRY_SQLITE_FILE_PAGES && vestry_sqlite_record_pages()) {
    fprintf(stderr, "vestry-bench: exact: SQLite %s does not support level FILE_PAGES\n", sqlite3_libversion());
    return 77;
  }
  if (pages) return !exact_many_measure(folder, level, pages, commits);
  for (int is_clustered = 0; is_clustered < 2 && !b.failed; is_clustered++) {
    b = (bench){.channels_count = channels, .messages_count = messages, .commits = commits, .seed = 7};
    snprintf(b.path, sizeof b.path, "%s/vestry-bench-%d-exact.db", folder, (int)getpid());
    if (open_database(&b, is_clustered) && open_tabs(&b) && follow(&b, level)) {
      watch_commits(&b, name, is_clustered);
      measure_recording(&b, level, name, is_clustered);
    }
    close_all(&b);
  }
  if (!b.failed) b.failed = !auction_measure(folder, level, name, commits);
  return b.failed;
}
