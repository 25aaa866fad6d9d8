/* SPDX-License-Identifier: MIT */
/* vestry-bench exact, the auction: many pages read adjacent rows. 60 users and 50 lots have 200 pages of one lot each
 * (its row, and its highest bids with the names of the users), a page for each user (the row, the bids), and a page
 * that lists all lots. Bids arrive one at a time; each inserts a row, and changes a row of a lot and of a user. Then
 * prices are changed, one row each. An exact refresh renders only pages whose content changes, which is determined by
 * comparing each page before and after. For each kind of page, the benchmark counts the renders, the necessary renders,
 * and the unnecessary ones. */
#include "auction.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"

enum { USERS = 60, LOTS = 50, LOT_PAGES = 200, PAGES = LOT_PAGES + USERS + 1, PATH_MOST = 300 };

typedef enum kind { OF_LOT, OF_USER, OF_LIST, KINDS } kind;
static const char *const kind_names[KINDS] = {"lot", "user", "list"};

typedef struct counts {
  uint64_t renders, exact, for_nothing, missed;
} counts;

typedef struct auction {
  char path[PATH_MOST];
  sqlite3 *writer, *reader;
  sqlite3_stmt *asks[KINDS][2];
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached[2];
  vestry_memory_exchange *tabs[PAGES];
  uint64_t shown[PAGES], is[PAGES], renders[PAGES];
  counts counts[KINDS];
  uint64_t seed;
  bool has_failed;
} auction;

static kind kind_of(int page) {
  return page < LOT_PAGES ? OF_LOT : page < LOT_PAGES + USERS ? OF_USER : OF_LIST;
}

static bool must(auction *a, sqlite3 *db, int result) {
  if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return true;
  if (!a->has_failed) fprintf(stderr, "vestry-bench: exact: %s\n", db ? sqlite3_errmsg(db) : sqlite3_errstr(result));
  a->has_failed = true;
  return false;
}

static bool is_ok(auction *a, vestry_err error) {
  if (error && !a->has_failed) fprintf(stderr, "vestry-bench: exact: %s\n", vestry_strerror(error));
  a->has_failed |= error != VESTRY_OK;
  return !error;
}

static bool run(auction *a, sqlite3 *db, const char *sql) {
  return must(a, db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* Return a hash of the content of a page. */
static uint64_t ask(auction *a, int page) {
  kind is = kind_of(page);
  uint64_t hash = UINT64_C(14695981039346656037);
  for (int i = 0; i < 2; i++) {
    sqlite3_stmt *row = a->asks[is][i];
    if (!row) break;
    if (is != OF_LIST) sqlite3_bind_int(row, 1, is == OF_LOT ? page % LOTS : page - LOT_PAGES);
    while (sqlite3_step(row) == SQLITE_ROW) {
      for (int column = 0; column < sqlite3_column_count(row); column++) {
        const char *text = (const char *)sqlite3_column_text(row, column);
        for (; text && *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(1099511628211);
        hash *= 31;
      }
    }
    must(a, a->reader, sqlite3_reset(row));
  }
  return hash;
}

static vestry_err show(vestry_render *render, vestry_html *html, void *app) {
  auction *a = app;
  int page = (int)strtol(render->request->query, NULL, 10);
  a->renders[page]++;
  a->shown[page] = ask(a, page);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%llu</b>", (unsigned long long)a->shown[page]);
  return vestry_render_end(render, html);
}

static bool open_database(auction *a) {
  static const char schema[] = "PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL;"
                               "CREATE TABLE user(id INTEGER PRIMARY KEY, name TEXT, credit INT);"
                               "CREATE TABLE lot(id INTEGER PRIMARY KEY, title TEXT, about TEXT, price INT);"
                               "CREATE TABLE bid(id INTEGER PRIMARY KEY, lot INT, user INT, amount INT);"
                               "CREATE INDEX bid_lot ON bid(lot, amount); CREATE INDEX bid_user ON bid(user);"
                               "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 59) INSERT "
                               "INTO user SELECT i, 'user ' "
                               "|| i, 100000 FROM n;"
                               "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 49) INSERT "
                               "INTO lot SELECT i, 'lot ' || "
                               "i, 'a chair of oak, of about 1890, that needs some care and a home', 100 FROM n;"
                               "WITH RECURSIVE n(i) AS (VALUES(0) UNION ALL SELECT i + 1 FROM n WHERE i < 999) INSERT "
                               "INTO bid SELECT NULL, i * 7 "
                               "% 50, i * 11 % 60, 100 + i FROM n";
  static const char *const asks[KINDS][2] = {{"SELECT title, about, price FROM lot WHERE id = ?1",
                                              "SELECT b.amount, u.name FROM bid b JOIN user u ON u.id = "
                                              "b.user WHERE b.lot = ?1 ORDER BY b.amount DESC LIMIT 5"},
                                             {"SELECT name, credit FROM user WHERE id = ?1",
                                              "SELECT lot, amount FROM bid WHERE user = ?1 ORDER BY id DESC LIMIT 9"},
                                             {"SELECT title, price FROM lot ORDER BY id", NULL}};
  if (!must(a, NULL, sqlite3_open(a->path, &a->writer)) || !run(a, a->writer, schema) ||
      !must(a, NULL, sqlite3_open(a->path, &a->reader)))
    return false;
  for (int i = 0; i < KINDS; i++)
    for (int j = 0; j < 2; j++)
      if (asks[i][j] && !must(a, a->reader, sqlite3_prepare_v2(a->reader, asks[i][j], -1, &a->asks[i][j], NULL)))
        return false;
  return true;
}

static bool settle(auction *a) {
  return is_ok(a, vestry_sqlite_sync(a->database, NULL)) && is_ok(a, vestry_pages_settle(a->pages, UINT64_MAX, 1000));
}

static bool open_pages(auction *a, vestry_sqlite_level level) {
  const vestry_sqlite_options options = {.path = a->path, .level = level, .poll_ms = 60000};
  vestry_page *page;
  if (!is_ok(a, vestry_create(&(vestry_options){.threads_count = VESTRY_THREADS_NONE}, &a->v)) ||
      !is_ok(a, vestry_pages_create(a->v, NULL, &a->pages)) ||
      !is_ok(a, vestry_page_create(a->pages, &(vestry_page_options){.render = show, .app = a}, &page)) ||
      !is_ok(a, vestry_route(a->v, "GET", "/", vestry_page_handler, page)) ||
      !is_ok(a, vestry_sqlite_create(a->pages, &options, &a->database)) ||
      !is_ok(a, vestry_sqlite_attach(a->database, a->writer, &a->attached[0])) ||
      !is_ok(a, vestry_sqlite_attach(a->database, a->reader, &a->attached[1])))
    return false;
  for (int i = 0; i < PAGES; i++) {
    char query[8];
    snprintf(query, sizeof query, "%d", i);
    const vestry_memory_call call = {.query = query, .datastar = true};
    if (!is_ok(a, vestry_memory_request(a->v, &call, NULL, NULL, &a->tabs[i]))) return false;
  }
  if (!settle(a)) return false;
  for (int i = 0; i < PAGES; i++) a->is[i] = ask(a, i);
  return true;
}

static void bid(auction *a) {
  char sql[400];
  unsigned lot = (unsigned)bench_random(&a->seed) % LOTS, user = (unsigned)bench_random(&a->seed) % USERS;
  snprintf(
      sql, sizeof sql,
      "BEGIN IMMEDIATE; UPDATE lot SET price = price + 10 WHERE id = %u; INSERT INTO bid(lot, user, amount) SELECT id, "
      "%u, price FROM lot WHERE id = %u; UPDATE user SET credit = credit - 1 WHERE id = %u; COMMIT",
      lot, user, lot, user);
  run(a, a->writer, sql);
}

static void set_price(auction *a) {
  char sql[100];
  snprintf(sql, sizeof sql, "UPDATE lot SET price = price + 1 WHERE id = %u", (unsigned)bench_random(&a->seed) % LOTS);
  run(a, a->writer, sql);
}

static void count(auction *a, void (*commit)(auction *), uint64_t commits, const char *level, const char *name) {
  memset(a->counts, 0, sizeof a->counts);
  for (uint64_t n = 0; n < commits && !a->has_failed; n++) {
    memset(a->renders, 0, sizeof a->renders);
    commit(a);
    if (!settle(a)) return;
    for (int i = 0; i < PAGES; i++) {
      counts *c = &a->counts[kind_of(i)];
      uint64_t is = ask(a, i);
      c->renders += a->renders[i];
      c->exact += is != a->is[i];
      c->for_nothing += is == a->is[i] ? a->renders[i] : 0;
      c->missed += is != a->shown[i];
      a->is[i] = is;
    }
  }
  counts all = {0};
  for (int i = 0; i < KINDS; i++) {
    const counts *c = &a->counts[i];
    printf("auction level=%s commits_are=%s pages=%s renders_a_commit=%.2f exact=%.2f for_nothing=%.2f missed=%" PRIu64
           "\n",
           level, name, kind_names[i], (double)c->renders / (double)commits, (double)c->exact / (double)commits,
           (double)c->for_nothing / (double)commits, c->missed);
    all.renders += c->renders;
    all.exact += c->exact;
    all.missed += c->missed;
  }
  printf("auction level=%s commits_are=%s pages=all renders_a_commit=%.2f exact=%.2f ratio=%.2f missed=%" PRIu64 "\n",
         level, name, (double)all.renders / (double)commits, (double)all.exact / (double)commits,
         (double)all.renders / (double)(all.exact ? all.exact : 1), all.missed);
  a->has_failed |= all.missed != 0;
}

static void close_all(auction *a) {
  static const char *const ends[] = {"", "-wal", "-shm"};
  char path[PATH_MOST + 8];
  for (int i = 0; i < PAGES; i++) vestry_memory_destroy(a->tabs[i]);
  for (int i = 0; i < 2; i++) vestry_sqlite_detach(a->attached[i]);
  vestry_sqlite_destroy(a->database);
  if (a->v) vestry_stop(a->v, 0);
  vestry_pages_destroy(a->pages);
  vestry_destroy(a->v);
  for (int i = 0; i < KINDS; i++)
    for (int j = 0; j < 2; j++) sqlite3_finalize(a->asks[i][j]);
  sqlite3_close(a->writer);
  sqlite3_close(a->reader);
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", a->path, ends[i]);
    unlink(path);
  }
}

bool auction_measure(const char *folder, vestry_sqlite_level level, const char *name, uint64_t commits) {
  static auction a;
  a = (auction){.seed = 7};
  snprintf(a.path, sizeof a.path, "%s/vestry-bench-%d-auction.db", folder, (int)getpid());
  if (open_database(&a) && open_pages(&a, level)) {
    count(&a, bid, commits, name, "bids");
    count(&a, set_price, commits, name, "prices");
  }
  close_all(&a);
  return !a.has_failed;
}
