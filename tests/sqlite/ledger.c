/* SPDX-License-Identifier: MIT */
#include "sqlite/ledger.h"
#include "support/patience.h"

#include <stdlib.h>

/* ------------------------------------------------------------------------------------ SQLite's clock and disk ----- */

static sqlite3_vfs scripted;
static int (*open_file)(sqlite3_vfs *, const char *, sqlite3_file *, int, int *);
static _Atomic(int64_t) scripted_s;
static _Atomic(bool) disk_is_lost;
static _Atomic(unsigned) syncs_count;

/* The methods of one kind of file, and the original ones. Those that are replaced are the same for all kinds. */
static struct kind {
  sqlite3_io_methods methods;
  const sqlite3_io_methods *real;
} kinds[8];

static int read_file(sqlite3_file *file, void *buffer, int len, sqlite3_int64 at) {
  return disk_is_lost ? SQLITE_IOERR_READ : kinds->real->xRead(file, buffer, len, at);
}
static int write_file(sqlite3_file *file, const void *data, int len, sqlite3_int64 at) {
  return disk_is_lost ? SQLITE_IOERR_WRITE : kinds->real->xWrite(file, data, len, at);
}
static int sync_file(sqlite3_file *file, int flags) {
  syncs_count++;
  return disk_is_lost ? SQLITE_IOERR_FSYNC : kinds->real->xSync(file, flags);
}

static int open_scripted(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
  int result = open_file(vfs, name, file, flags, ret_flags);
  if (result || !file->pMethods) return result;
  struct kind *of = kinds;
  while (of->real && of->real != file->pMethods) of++;
  assert_true(of < kinds + sizeof kinds / sizeof *kinds);
  if (!of->real) {
    of->methods = *file->pMethods;
    of->methods.xRead = read_file;
    of->methods.xWrite = write_file;
    of->methods.xSync = sync_file;
    of->real = file->pMethods;
  }
  file->pMethods = &of->methods;
  return SQLITE_OK;
}

static int tell_time(sqlite3_vfs *vfs, sqlite3_int64 *ret_ms) {
  *ret_ms = scripted_s * 1000 + INT64_C(210866760000000);
  return SQLITE_OK;
}

static void register_vfs(void) {
  if (scripted.zName) return;
  scripted = *sqlite3_vfs_find(NULL);
  open_file = scripted.xOpen;
  scripted.zName = "turned";
  scripted.xOpen = open_scripted;
  scripted.xCurrentTimeInt64 = tell_time;
  assert_int_equal(sqlite3_vfs_register(&scripted, 1), SQLITE_OK);
}

void ledger_clock(int64_t now_s) {
  scripted_s = now_s;
  register_vfs();
}

unsigned ledger_syncs(void) {
  register_vfs();
  return syncs_count;
}

void ledger_lose_disk(bool is_lost) {
  disk_is_lost = is_lost;
  register_vfs();
}

/* -------------------------------------------------------------------------------------------------- databases ----- */

void ledger_run(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s: %s", sql, message);
}

int ledger_number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  int number = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return number;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  ledger *s = app;
  size_t at = (size_t)strtoul(render->request->query, NULL, 10);
  assert_true(at < s->tabs_count);
  s->renders[at]++;
  char sql[64];
  snprintf(sql, sizeof sql, "SELECT * FROM %s", s->tables[at]);
  ledger_run(s->viewer, sql);
  s->counted[at] = ledger_number(s->reader, "SELECT count(*) FROM t");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", s->counted[at]);
  return vestry_render_end(render, html);
}

static void open_database(ledger *s, const char *journal_mode) {
  char sql[64];
  folder_make(s->folder, "sqlite");
  snprintf(s->path, sizeof s->path, "%s/site.db", s->folder);
  assert_int_equal(sqlite3_open(s->path, &s->db), SQLITE_OK);
  snprintf(sql, sizeof sql, "PRAGMA journal_mode = %s", journal_mode);
  ledger_run(s->db, sql);
  ledger_run(s->db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON;"
                    "CREATE TABLE t(id INTEGER PRIMARY KEY, x UNIQUE);"
                    "CREATE TABLE k(a TEXT PRIMARY KEY, b) WITHOUT ROWID;"
                    "CREATE TABLE child(id INTEGER PRIMARY KEY, t REFERENCES t ON DELETE CASCADE);"
                    "CREATE TABLE log(id INTEGER PRIMARY KEY, what);"
                    "CREATE TABLE watched(id INTEGER PRIMARY KEY);"
                    "CREATE TRIGGER watch AFTER INSERT ON watched BEGIN INSERT INTO log(what) VALUES(new.id); END");
  assert_int_equal(sqlite3_open(s->path, &s->reader), SQLITE_OK);
  assert_int_equal(sqlite3_open(s->path, &s->viewer), SQLITE_OK);
}

void ledger_open(ledger *s, const char *journal_mode, const vestry_sqlite_options *given) {
  ledger_open_as(s, journal_mode, given, (vestry_options){.scope = site_by_cookie});
}

void ledger_open_as(ledger *s, const char *journal_mode, const vestry_sqlite_options *given, vestry_options own) {
  memset(s, 0, sizeof *s);
  open_database(s, journal_mode);
  site_begin_pages(&s->on, own, NULL);
  vestry_page *page;
  const vestry_page_options options = {.render = render, .app = s};
  assert_int_equal(vestry_page_create(s->on.pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  vestry_sqlite_options follow = given ? *given : (vestry_sqlite_options){.poll_ms = 60000};
  follow.path = s->path;
  assert_int_equal(vestry_sqlite_create(s->on.pages, &follow, &s->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(s->database, s->db, &s->connection), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(s->database, s->viewer, &s->viewing), VESTRY_OK);
}

void ledger_close(ledger *s) {
  for (size_t i = 0; i < s->tabs_count; i++) vestry_memory_destroy(s->tabs[i]);
  site_settle(&s->on);
  vestry_sql_tabs_destroy(s->states);
  if (s->pool) assert_int_equal(vestry_sqlite_pool_follow(s->pool, NULL), VESTRY_OK);
  vestry_sql_pool_destroy(s->pool);
  vestry_sqlite_detach(s->connection);
  vestry_sqlite_detach(s->viewing);
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  assert_int_equal(stats.connections_count, 0);
  vestry_sqlite_destroy(s->database);
  site_close(&s->on);
  assert_int_equal(sqlite3_close(s->db), SQLITE_OK); /* close fails if vestry has left a statement open */
  assert_int_equal(sqlite3_close(s->reader), SQLITE_OK);
  assert_int_equal(sqlite3_close(s->viewer), SQLITE_OK);
  test_host_assert_clean(&s->on.th);
  folder_remove(s->folder);
}

void ledger_watch(ledger *s, const char *table) {
  char query[8];
  size_t at = s->tabs_count++;
  assert_true(at < LEDGER_ROOMS);
  s->tables[at] = table;
  snprintf(query, sizeof query, "%zu", at);
  const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
  ledger_sync(s);
  s->tabs[at] = site_request(&s->on, &call);
  site_settle_pages(&s->on);
  s->renders[at] = 0;
}

void ledger_sync(ledger *s) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(s->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(s->on.pages, seq, PATIENCE_S * 1000), VESTRY_OK);
}

size_t ledger_seen(ledger *s, const char *table) {
  for (size_t i = 0; i < s->tabs_count; i++) {
    if (strcmp(s->tables[i], table) != 0) continue;
    size_t seen = s->renders[i];
    s->renders[i] = 0;
    return seen;
  }
  fail_msg("no tab watches %s", table);
  return 0;
}
