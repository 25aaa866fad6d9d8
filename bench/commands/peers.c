/* SPDX-License-Identifier: MIT */
/* vestry-bench peers: pages of two processes over one SQLite file. Each process has open pages that show one row each,
 * found by its key, between rows that no page shows. The following commits are counted with the renders that they cause
 * in the other process, and with those whose page shows what it showed before:
 *   hidden    of a row that no page shows, by an attached connection of the other process
 *   shown     of a row that a page shows
 *   stranger  of another table, by a connection that is attached nowhere, after rows of most pages have moved
 *   quiz      both processes write at the same time, rows that pages of the other process show */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <vestry/data/sqlite.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"

enum { PATH_MOST = 300, MOVES = 1600 };

typedef enum act { OPEN, HIDDEN, SHOWN, MOVE, STRANGER, QUIZ, CLOSE } act;

/* What a process has counted since the last act. */
typedef struct counts {
  uint64_t renders, needless, failed;
} counts;

typedef struct side {
  char path[PATH_MOST];
  uint64_t pages_count, commits;
  uint64_t others_count; /* pages of the other process */
  bool is_second;        /* its pages show the rows of odd numbers */
  sqlite3 *writer, *reader, *stranger;
  sqlite3_stmt *update, *read;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached[2];
  vestry_memory_exchange **tabs;
  int64_t *shown; /* by page */
  uint64_t seed, value;
  counts now;
} side;

static bool must(side *s, bool is_done, const char *what) {
  if (!is_done && !s->now.failed) fprintf(stderr, "vestry-bench: peers: %s failed\n", what);
  s->now.failed |= !is_done;
  return is_done;
}

static bool run(side *s, sqlite3 *db, const char *sql) {
  return must(s, !sqlite3_exec(db, sql, NULL, NULL, NULL), sql);
}

/* Each page has four rows: those of the two processes, and two that no page shows. */
static int64_t row_of(uint64_t page, bool is_second) {
  return (int64_t)(page * 4 + (is_second ? 2 : 0));
}

static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  side *s = app;
  const uint64_t page = strtoull(render->request->query, NULL, 10);
  int64_t value = -1;
  sqlite3_bind_int64(s->read, 1, row_of(page, s->is_second));
  if (sqlite3_step(s->read) == SQLITE_ROW) value = sqlite3_column_int64(s->read, 0);
  sqlite3_reset(s->read);
  s->now.renders++;
  s->now.needless += s->shown[page] == value;
  s->shown[page] = value;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<p>%d</p>", (int)value);
  return vestry_render_end(render, html);
}

static void settle(side *s) {
  must(s, !vestry_sqlite_sync(s->database, NULL) && !vestry_pages_settle(s->pages, UINT64_MAX, 10000), "settling");
}

static void update(side *s, int64_t row) {
  sqlite3_bind_int64(s->update, 1, (int64_t)++s->value * 2 + s->is_second);
  sqlite3_bind_int64(s->update, 2, row);
  must(s, sqlite3_step(s->update) == SQLITE_DONE, "an update");
  must(s, !sqlite3_reset(s->update), "an update");
}

static bool open_one(side *s, sqlite3 **ret_db) {
  return must(s, !sqlite3_open(s->path, ret_db) && !sqlite3_busy_timeout(*ret_db, 60000), "opening the file") &&
         run(s, *ret_db, "PRAGMA synchronous = NORMAL");
}

static void create_file(side *s) {
  char sql[400];
  if (!open_one(s, &s->stranger) || !run(s, s->stranger, "PRAGMA journal_mode = wal")) return;
  snprintf(sql, sizeof sql,
           "CREATE TABLE item(id INTEGER PRIMARY KEY, n INT, text TEXT); CREATE TABLE aside(id INTEGER PRIMARY KEY, n);"
           "WITH RECURSIVE s(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM s WHERE i < %" PRIu64 ") INSERT INTO item "
           "SELECT i, 0, hex(zeroblob(40)) FROM s; INSERT INTO aside VALUES(1, 0)",
           (s->pages_count > s->others_count ? s->pages_count : s->others_count) * 4 - 1);
  run(s, s->stranger, sql);
}

static void open_side(side *s) {
  vestry_page *page;
  const vestry_bounds bounds = {.max_count = (uint32_t)s->pages_count + 1000};
  const vestry_pages_options pages = {.max_requests_bytes = (size_t)4 << 30};
  const vestry_sqlite_options options = {.path = s->path, .level = VESTRY_SQLITE_FILE_PAGES};
  s->tabs = calloc(s->pages_count, sizeof *s->tabs);
  s->shown = malloc(s->pages_count * sizeof *s->shown);
  if (!must(s, s->tabs && s->shown, "allocating") || !open_one(s, &s->writer) || !open_one(s, &s->reader) ||
      (!s->stranger && !open_one(s, &s->stranger)))
    return;
  memset(s->shown, 0xff, s->pages_count * sizeof *s->shown);
  if (!must(s,
            !sqlite3_prepare_v2(s->writer, "UPDATE item SET n = ?1 WHERE id = ?2", -1, &s->update, NULL) &&
                !sqlite3_prepare_v2(s->reader, "SELECT n FROM item WHERE id = ?1", -1, &s->read, NULL),
            "preparing") ||
      !must(s,
            !vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE, .bounds = &bounds}, &s->v) &&
                !vestry_pages_create(s->v, &pages, &s->pages) &&
                !vestry_page_create(s->pages, &(vestry_page_options){.render = show, .app = s}, &page) &&
                !vestry_route(s->v, "GET", "/", vestry_page_handler, page) &&
                !vestry_sqlite_create(s->pages, &options, &s->database) &&
                !vestry_sqlite_attach(s->database, s->writer, &s->attached[0]) &&
                !vestry_sqlite_attach(s->database, s->reader, &s->attached[1]),
            "following"))
    return;
  for (uint64_t i = 0; i < s->pages_count && !s->now.failed; i++) {
    char query[24];
    snprintf(query, sizeof query, "%" PRIu64, i);
    const vestry_memory_call call = {.query = query, .datastar = true};
    must(s, !vestry_memory_request(s->v, &call, NULL, NULL, &s->tabs[i]), "opening a page");
  }
  settle(s);
}

static void close_side(side *s) {
  for (uint64_t i = 0; s->tabs && i < s->pages_count; i++) vestry_memory_destroy(s->tabs[i]);
  for (int i = 0; i < 2; i++)
    if (s->attached[i]) vestry_sqlite_detach(s->attached[i]);
  vestry_sqlite_destroy(s->database);
  if (s->v) vestry_stop(s->v, 0);
  vestry_pages_destroy(s->pages);
  vestry_destroy(s->v);
  sqlite3_finalize(s->update);
  sqlite3_finalize(s->read);
  sqlite3_close(s->writer);
  sqlite3_close(s->reader);
  sqlite3_close(s->stranger);
  free(s->tabs);
  free(s->shown);
}

/* Commit as often as asked. */
static void commit(side *s, act is) {
  for (uint64_t i = 0; i < (is == MOVE ? MOVES : s->commits) && !s->now.failed; i++) {
    const uint64_t page = bench_random(&s->seed) % (is == MOVE ? s->pages_count : s->others_count);
    if (is == STRANGER) {
      run(s, s->stranger, "UPDATE aside SET n = n + 1");
    } else if (is == MOVE) { /* hidden rows grow, so that file pages are split */
      char sql[120];
      snprintf(sql, sizeof sql,
               "UPDATE item SET text = substr(text || text || text || text, 1, 20000) WHERE id = %" PRId64,
               row_of(page, false) + 1);
      run(s, s->writer, sql);
    } else {
      update(s, row_of(page, !s->is_second) + (is == HIDDEN));
    }
    settle(s);
  }
}

static counts perform(side *s, act is) {
  s->now = (counts){.failed = s->now.failed};
  if (is == OPEN)
    open_side(s);
  else if (is == CLOSE)
    close_side(s);
  else
    commit(s, is);
  return s->now;
}

static void serve(side *s, int to) {
  for (act is; read(to, &is, sizeof is) == (ssize_t)sizeof is;) {
    const counts counted = perform(s, is);
    if (write(to, &counted, sizeof counted) != (ssize_t)sizeof counted) break;
  }
  _exit(0);
}

static void start(side *s, int to, act is) {
  must(s, write(to, &is, sizeof is) == (ssize_t)sizeof is, "the other process");
}

static counts wait_for(side *s, int to) {
  counts counted = {.failed = 1};
  must(s, read(to, &counted, sizeof counted) == (ssize_t)sizeof counted && !counted.failed, "the other process");
  return counted;
}

static void say(const side *s, const char *what, uint64_t commits, counts of) {
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  if (!s->now.failed)
    printf("peers commits=%s pages=%" PRIu64 " count=%" PRIu64 " renders=%" PRIu64 " for_nothing=%" PRIu64
           " other_commits=%" PRIu64 " rows_known=%" PRIu64 " whole=%" PRIu64 "\n",
           what, s->pages_count, commits, of.renders, of.needless, stats.other_commits_count, stats.peer_commits_count,
           stats.whole_count);
}

/* Let the other process commit, and count the renders here. */
static void watch(side *s, int to, act is, const char *what) {
  s->now = (counts){.failed = s->now.failed};
  start(s, to, is);
  (void)wait_for(s, to);
  settle(s);
  say(s, what, s->commits, s->now);
}

static void measure(side *s, int to) {
  create_file(s);
  perform(s, OPEN);
  start(s, to, OPEN);
  (void)wait_for(s, to);
  settle(s);
  watch(s, to, HIDDEN, "hidden");
  watch(s, to, SHOWN, "shown");
  perform(s, MOVE);
  watch(s, to, STRANGER, "stranger");
  s->now = (counts){.failed = s->now.failed};
  start(s, to, QUIZ);
  commit(s, QUIZ);
  const counts there = wait_for(s, to);
  settle(s);
  say(s, "quiz", 2 * s->commits,
      (counts){.renders = s->now.renders + there.renders, .needless = s->now.needless + there.needless});
  start(s, to, CLOSE);
  (void)wait_for(s, to);
  close_side(s);
}

int bench_peers(int argc, char **argv) {
  static const char *const ends[] = {"", "-wal", "-shm", "-vestry"};
  const char *folder = "/tmp";
  static side s;
  char path[PATH_MOST + 8];
  int sockets[2];
  uint64_t pages = 1000, others = 1000, commits = 1000;
  const bench_option options[] = {{"--folder", &folder, NULL, 0, 0},
                                  {"--pages", NULL, &pages, 1, 1000000},
                                  {"--others", NULL, &others, 1, 1000000},
                                  {"--commits", NULL, &commits, 1, 1000000}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  s = (side){.pages_count = pages, .others_count = others, .commits = commits, .seed = 7};
  snprintf(s.path, sizeof s.path, "%s/vestry-bench-%d-peers.db", folder, (int)getpid());
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets)) return 1;
  const pid_t other = fork(); /* before SQLite is used */
  if (other < 0) return 1;
  if (vestry_sqlite_record_pages()) {
    fprintf(stderr, "vestry-bench: peers: SQLite %s does not support level FILE_PAGES\n", sqlite3_libversion());
    if (other == 0) _exit(0);
    return 77;
  }
  (void)close(sockets[other == 0 ? 0 : 1]);
  if (other == 0) {
    s.is_second = true;
    s.pages_count = others;
    s.others_count = pages;
    s.seed = 11;
    serve(&s, sockets[1]);
  }
  measure(&s, sockets[0]);
  (void)close(sockets[0]);
  (void)waitpid(other, NULL, 0);
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    snprintf(path, sizeof path, "%s%s", s.path, ends[i]);
    unlink(path);
  }
  return s.now.failed != 0;
}
