/* SPDX-License-Identifier: MIT */
/* SQLite can read file pages past its page cache. Each way of reading them is recorded, and pages that depend on
 * them are refreshed. */
#include "data/sqlite/cache.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "data/sqlite/reader.h"
#include "data/sqlite/recording.h"
#include "data/sqlite/sqlite.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"

enum { VALUE_BYTES = 60000, MOST_PAGES = 4096 };

/* --------------------------------------------------------------------------------------- recorded reads ----------- */

typedef enum location { IN_FILE, IN_WAL, IS_MAPPED, STANDS } location;
static const char *const location_names[STANDS] = {"in the file", "in the WAL", "in a file that is mapped"};

/* A file with one row that continues on overflow pages, an index whose key does too, and a connection that has read
 * little. */
typedef struct fixture {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  sqlite3 *writer, *db;
  vsi_sqlite_cache cache;
  vsi_sqlite_watch watch;
  vsi_sqlite_recording recording;
} fixture;

static void must(sqlite3 *db, const char *sql) {
  char *message = NULL;
  if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s: %s", sql, message);
}

static sqlite3_file *file_of(sqlite3 *db) {
  sqlite3_file *file = NULL;
  assert_int_equal(sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file), SQLITE_OK);
  return file;
}

static void open_fixture(fixture *b, int page_bytes, location where, bool is_watched) {
  char sql[300];
  memset(b, 0, sizeof *b);
  test_host_init(&b->th);
  folder_make(b->folder, "file");
  snprintf(b->path, sizeof b->path, "%s/file.db", b->folder);
  assert_int_equal(sqlite3_open(b->path, &b->writer), SQLITE_OK);
  snprintf(
      sql, sizeof sql,
      "PRAGMA page_size = %d; PRAGMA auto_vacuum = 0; PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY "
      "KEY, d, e); CREATE INDEX i ON t(d); INSERT INTO t VALUES(1, replace(hex(zeroblob(%d)), '0', 'a'), 7)",
      page_bytes, VALUE_BYTES / 2);
  must(b->writer, sql);
  if (where != IN_WAL) must(b->writer, "PRAGMA wal_checkpoint(TRUNCATE)");
  assert_int_equal(sqlite3_open(b->path, &b->db), SQLITE_OK);
  if (where == IS_MAPPED) must(b->db, "PRAGMA mmap_size = 268435456");
  assert_true(vsi_sqlite_cache_learn(&b->cache, b->db, b));
  if (is_watched) assert_true(vsi_sqlite_file_watch(&b->watch, file_of(b->db), &b->cache));
}

static void close_fixture(fixture *b) {
  vsi_sqlite_file_forget(&b->watch);
  vsi_sqlite_cache_forget(&b->cache);
  assert_int_equal(sqlite3_close(b->db), SQLITE_OK);
  assert_int_equal(sqlite3_close(b->writer), SQLITE_OK);
  test_host_assert_clean(&b->th);
  folder_remove(b->folder);
}

static void begin(fixture *b) {
  vsi_sqlite_reads_begin(&b->recording, &b->th.host, b, NULL, MOST_PAGES);
}

static bool has_page(const vsi_sqlite_recording *recording, uint32_t page) {
  for (uint32_t i = 0; i < recording->slots_count; i++)
    if (recording->slots[i] == page) return true;
  return false;
}

/* Return whether all overflow pages of the tree's long value are recorded. dbstat lists them. */
static bool knows_all(fixture *b, const char *tree) {
  sqlite3_stmt *statement;
  uint32_t count = 0, missing = 0;
  assert_false(b->recording.lacks_pages);
  assert_int_equal(sqlite3_prepare_v2(b->writer, "SELECT pageno FROM dbstat WHERE name = ? AND pagetype = 'overflow'",
                                      -1, &statement, NULL),
                   SQLITE_OK);
  sqlite3_bind_text(statement, 1, tree, -1, SQLITE_STATIC);
  while (sqlite3_step(statement) == SQLITE_ROW) {
    count++;
    missing += !has_page(&b->recording, (uint32_t)sqlite3_column_int64(statement, 0));
  }
  assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
  assert_true(count > 0);
  return !missing;
}

static bool end(fixture *b, const char *tree) {
  bool is_known = knows_all(b, tree);
  vsi_sqlite_reads_end(&b->recording);
  vsi_sqlite_reads_finish(&b->recording);
  return is_known;
}

/* Ways in which a render may read. Each reads all overflow pages of the value. */

static void read_blob(sqlite3 *db, int part) {
  static char taken[VALUE_BYTES];
  sqlite3_blob *blob;
  assert_int_equal(sqlite3_blob_open(db, "main", "t", "d", 1, 0, &blob), SQLITE_OK);
  assert_int_equal(sqlite3_blob_bytes(blob), VALUE_BYTES);
  for (int at = 0; at < VALUE_BYTES; at += part)
    assert_int_equal(sqlite3_blob_read(blob, taken, part < VALUE_BYTES - at ? part : VALUE_BYTES - at, at), SQLITE_OK);
  assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
}

static void by_blob(fixture *b) {
  read_blob(b->db, VALUE_BYTES);
}

static void by_blob_in_parts(fixture *b) {
  read_blob(b->db, 1000);
}

static void by_backup(fixture *b) {
  sqlite3 *copy;
  assert_int_equal(sqlite3_open(":memory:", &copy), SQLITE_OK);
  sqlite3_backup *backup = sqlite3_backup_init(copy, "main", b->db, "main");
  assert_non_null(backup);
  assert_int_equal(sqlite3_backup_step(backup, -1), SQLITE_DONE);
  assert_int_equal(sqlite3_backup_finish(backup), SQLITE_OK);
  assert_int_equal(sqlite3_close(copy), SQLITE_OK);
}

static void by_serialize(fixture *b) {
  sqlite3_int64 bytes;
  unsigned char *all = sqlite3_serialize(b->db, "main", &bytes, 0);
  assert_non_null(all);
  sqlite3_free(all);
}

static void by_vacuum_into(fixture *b) {
  char sql[128];
  snprintf(sql, sizeof sql, "VACUUM INTO '%s.copy'", b->path);
  must(b->db, sql);
}

static void by_pages_as_a_table(fixture *b) {
  sqlite3_stmt *statement;
  if (sqlite3_prepare_v2(b->db, "SELECT max(data) FROM sqlite_dbpage", -1, &statement, NULL)) { /* not built in */
    print_message("this SQLite has no sqlite_dbpage: read in another way\n");
    by_backup(b);
    return;
  }
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  assert_int_equal(sqlite3_finalize(statement), SQLITE_OK);
}

static const struct {
  const char *sql;        /* a statement, or */
  void (*by)(fixture *b); /* a function that reads */
  const char *tree;       /* the tree whose pages are read */
} ways[] = {
    {"SELECT d FROM t NOT INDEXED", NULL, "t"},
    {"SELECT * FROM t WHERE id = 1", NULL, "t"},
    {"SELECT instr(d, 'Z') FROM t NOT INDEXED", NULL, "t"},
    {"SELECT substr(d, 59000, 10) FROM t NOT INDEXED", NULL, "t"},
    {"SELECT e FROM t", NULL, "t"}, /* the column follows the long value */
    {"SELECT count(*) FROM t x NOT INDEXED JOIN t y NOT INDEXED ON x.d = y.d", NULL, "t"},
    {"SELECT max(d) FROM t INDEXED BY i WHERE d > 'a'", NULL, "i"},
    {"SELECT 1 FROM t INDEXED BY i WHERE d = (SELECT replace(hex(zeroblob(30000)), '0', 'a'))", NULL, "i"},
    {"UPDATE t SET e = 8", NULL, "t"},
    {"PRAGMA integrity_check", NULL, "t"},
    {"VACUUM", NULL, "t"},
    {NULL, by_blob, "t"},
    {NULL, by_blob_in_parts, "t"},
    {NULL, by_backup, "t"},
    {NULL, by_serialize, "t"},
    {NULL, by_vacuum_into, "t"},
    {NULL, by_pages_as_a_table, "t"},
};

static bool is_known_by(int way, int page_bytes, location where, bool is_watched) {
  fixture b;
  open_fixture(&b, page_bytes, where, is_watched);
  begin(&b);
  if (ways[way].sql)
    must(b.db, ways[way].sql);
  else
    ways[way].by(&b);
  /* VACUUM moves the pages, so only pages that it read before the move can be recorded. */
  bool is_known = ways[way].sql && strcmp(ways[way].sql, "VACUUM") == 0 ? b.recording.pages_count > 0 : false;
  is_known |= end(&b, ways[way].tree);
  close_fixture(&b);
  return is_known;
}

/* capability: D21 */
TEST_CASE(every_way_of_reading_is_recorded) {
  static const int sizes[] = {512, 4096, 32768};
  for (int way = 0; way < (int)(sizeof ways / sizeof *ways); way++)
    for (int where = 0; where < STANDS; where++)
      for (int size = 0; size < 3; size++)
        if (!is_known_by(way, sizes[size], (location)where, true))
          fail_msg("by %s (%d), pages of %d bytes, %s: some were not told of", ways[way].sql ? ways[way].sql : "call",
                   way, sizes[size], location_names[where]);
}

/* Pages in the WAL are read through the cache, pages of a mapped file are not, and others by some versions only. */
/* capability: D21 */
TEST_CASE(cache_alone_reports_pages_of_the_wal) {
  bool is_cache_enough = true;
  for (int way = 0; way < (int)(sizeof ways / sizeof *ways); way++) {
    is_cache_enough &= is_known_by(way, 4096, IN_FILE, false);
    assert_true(is_known_by(way, 4096, IN_WAL, false));
  }
  assert_false(is_known_by(0, 4096, IS_MAPPED, false));
  print_message("SQLite %s reads %s\n", sqlite3_libversion(), is_cache_enough ? "by its cache" : "past its cache");
}

/* Reads outside the recording are not recorded. */

static void *read_elsewhere(void *ctx) {
  must(ctx, "SELECT d FROM t NOT INDEXED; SELECT e FROM t; PRAGMA wal_checkpoint");
  return NULL;
}

TEST_CASE(reads_outside_the_recording_are_not_recorded) {
  fixture b;
  pthread_t thread;
  open_fixture(&b, 4096, IN_FILE, true);
  begin(&b);
  read_elsewhere(b.writer); /* another connection, which is not watched */
  assert_int_equal(b.recording.pages_count, 0);
  assert_int_equal(pthread_create(&thread, NULL, read_elsewhere, b.db), 0); /* another thread, which records nothing */
  assert_int_equal(pthread_join(thread, NULL), 0);
  assert_int_equal(b.recording.pages_count, 0);
  must(b.db, "SELECT d FROM t NOT INDEXED");
  assert_true(end(&b, "t"));
  close_fixture(&b);
}

/* ------------------------------------------------------------------------------------------------ watching -------- */

TEST_CASE(file_is_watched_until_it_is_closed) {
  fixture b;
  open_fixture(&b, 4096, IN_FILE, true);
  sqlite3_file *file = file_of(b.db);
  const sqlite3_io_methods *own = file->pMethods;
  vsi_sqlite_watch second = {NULL, NULL, NULL};
  assert_false(vsi_sqlite_file_watch(&second, file, &b.cache)); /* the file has an owner */
  assert_false(vsi_sqlite_file_is_watched(&second));
  for (int i = 0; i < 3; i++) {
    assert_true(vsi_sqlite_file_is_watched(&b.watch));
    vsi_sqlite_file_forget(&b.watch);
    assert_false(vsi_sqlite_file_is_watched(&b.watch));
    begin(&b);
    must(b.db, "SELECT d FROM t NOT INDEXED");
    (void)end(&b, "t");
    assert_true(vsi_sqlite_file_watch(&b.watch, file, &b.cache));
    assert_ptr_equal(file->pMethods, own); /* the table of methods is copied once */
  }
  begin(&b);
  assert_int_equal(sqlite3_close(b.db), SQLITE_OK);
  assert_false(vsi_sqlite_file_is_watched(&b.watch));
  assert_true(b.recording.lacks_pages);
  vsi_sqlite_reads_end(&b.recording);
  vsi_sqlite_reads_finish(&b.recording);
  assert_int_equal(sqlite3_open(b.path, &b.db), SQLITE_OK);
  close_fixture(&b);
}

TEST_CASE(file_is_not_watched_after_an_allocation_failure) {
  fixture b;
  open_fixture(&b, 4096, IN_FILE, false);
  const sqlite3_io_methods *before = file_of(b.db)->pMethods;
  sqlite3_hard_heap_limit64(1);
  assert_false(vsi_sqlite_file_watch(&b.watch, file_of(b.db), &b.cache));
  sqlite3_hard_heap_limit64(0);
  assert_ptr_equal(file_of(b.db)->pMethods, before);
  assert_false(vsi_sqlite_file_is_watched(&b.watch));
  assert_true(vsi_sqlite_file_watch(&b.watch, file_of(b.db), &b.cache));
  close_fixture(&b);
}

/* A file of an older VFS, whose table of methods is shorter; other methods can replace the watching ones. */
static int close_nothing(sqlite3_file *file) {
  return SQLITE_OK;
}

static int read_nothing(sqlite3_file *file, void *buffer, int bytes, sqlite3_int64 offset) {
  memset(buffer, 0, (size_t)bytes);
  return SQLITE_OK;
}

TEST_CASE(files_of_all_io_versions_are_watched) {
  for (int version = 1; version <= 4; version++) {
    fixture b;
    vsi_sqlite_watch watch = {NULL, NULL, NULL};
    char bytes[100];
    size_t table = version == 1   ? offsetof(sqlite3_io_methods, xShmMap)
                   : version == 2 ? offsetof(sqlite3_io_methods, xFetch)
                                  : sizeof(sqlite3_io_methods);
    sqlite3_io_methods *methods = calloc(1, table); /* not a byte more */
    open_fixture(&b, 4096, IN_FILE, true);
    assert_non_null(methods);
    memcpy(methods, &(sqlite3_io_methods){.iVersion = version, .xClose = close_nothing, .xRead = read_nothing},
           offsetof(sqlite3_io_methods, xWrite));
    sqlite3_file file = {methods};
    assert_true(vsi_sqlite_file_watch(&watch, &file, &b.cache));
    assert_true(file.pMethods->iVersion == (version > 3 ? 3 : version) && !file.pMethods->xFetch);
    begin(&b);
    assert_int_equal(file.pMethods->xRead(&file, bytes, sizeof bytes, 4096 * 4 - 50), SQLITE_OK);
    assert_int_equal(b.recording.pages_count, 2);
    assert_true(has_page(&b.recording, 4) && has_page(&b.recording, 5));
    vsi_sqlite_reads_end(&b.recording);
    vsi_sqlite_reads_finish(&b.recording);
    const sqlite3_io_methods *own = file.pMethods;
    file.pMethods = methods;
    assert_false(vsi_sqlite_file_is_watched(&watch));
    file.pMethods = own;
    assert_int_equal(own->xClose(&file), SQLITE_OK);
    assert_ptr_equal(file.pMethods, methods);
    assert_false(vsi_sqlite_file_is_watched(&watch));
    vsi_sqlite_file_forget(&watch);
    close_fixture(&b);
    free(methods);
  }
}

/* --------------------------------------------------------------------------------------- pages over long values --- */

static const char letters[] =
    "CREATE TABLE letter(id INTEGER PRIMARY KEY, box INT, body, seen INT DEFAULT 0);"
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 40) INSERT INTO letter(id, box, body) "
    "SELECT i, i % 4, replace(hex(zeroblob(20000)), '0', 'a') FROM n; CREATE TABLE other(x)";

/* Write one byte, which lies on one overflow page. */
static void write_byte(sqlite3 *db, int row, int at, char is) {
  sqlite3_blob *blob;
  assert_int_equal(sqlite3_blob_open(db, "main", "letter", "body", row, 1, &blob), SQLITE_OK);
  assert_int_equal(sqlite3_blob_write(blob, &is, 1, at), SQLITE_OK);
  assert_int_equal(sqlite3_blob_close(blob), SQLITE_OK);
}

/* At level FILE_PAGES, with all content in the file, and commits by attached and other connections. The queries read
 * a range, so no key narrows the rows. */
/* capability: D21 */
TEST_CASE(byte_of_a_long_value_renders_only_its_readers) {
  for (int is_mapped = 0; is_mapped < 2; is_mapped++) {
    shown_site s;
    shown_open(&s, letters, VESTRY_SQLITE_FILE_PAGES);
    shown_run(s.other, "PRAGMA wal_checkpoint(TRUNCATE)");
    if (is_mapped) shown_run(s.reader, "PRAGMA mmap_size = 268435456");
    size_t near = shown_watch(&s, "SELECT instr(body, 'Z') FROM letter WHERE id > 6 AND id < 8"),
           far = shown_watch(&s, "SELECT instr(body, 'Z') FROM letter WHERE id > 30 AND id < 32"),
           type = shown_watch(&s, "SELECT typeof(body) FROM letter WHERE id > 6 AND id < 8");
    for (int i = 0; i < 4; i++) {
      char text[16];
      write_byte(i % 2 ? s.writer : s.other, 7, 30000 - i, 'Z');
      snprintf(text, sizeof text, "%d ", 30000 - i + 1);
      assert_int_equal(shown_renders(&s, near), 1);
      assert_string_equal(s.all[near].text, text);
      assert_int_equal(shown_renders(&s, far), 0);
      assert_int_equal(shown_renders(&s, type), 0);
      if (i == 1) shown_run(s.other, "PRAGMA wal_checkpoint(TRUNCATE)");
    }
    assert_int_equal(shown_stats(&s).table_level_count, 0);
    assert_int_equal(shown_stats(&s).whole_count, 0);
    shown_close(&s);
  }
}

/* With either VFS as the default, and no VFS named. */
/* capability: D21 */
TEST_CASE(any_default_vfs_is_watched) {
  static const char *const names[] = {"unix-excl", "unix"};
  sqlite3_vfs *before = sqlite3_vfs_find(NULL);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(sqlite3_vfs_register(sqlite3_vfs_find(names[i]), 1), SQLITE_OK);
    shown_site s;
    shown_open(&s, letters, VESTRY_SQLITE_FILE_PAGES);
    shown_run(s.writer, "PRAGMA wal_checkpoint(TRUNCATE)");
    size_t at = shown_watch(&s, "SELECT instr(body, 'Z') FROM letter WHERE id > 6 AND id < 8");
    write_byte(s.other, 7, 30000, 'Z');
    assert_int_equal(shown_renders(&s, at), 1);
    assert_string_equal(s.all[at].text, "30001 ");
    assert_int_equal(shown_stats(&s).table_level_count, 0);
    shown_close(&s);
  }
  assert_int_equal(sqlite3_vfs_register(before, 1), SQLITE_OK);
}

/* Other methods replace the watching ones. Renders are then followed by tables, so that no change is missed. */
/* capability: D21 */
TEST_CASE(unwatched_file_is_followed_by_tables) {
  shown_site s;
  shown_open(&s, letters, VESTRY_SQLITE_FILE_PAGES);
  shown_run(s.writer, "PRAGMA wal_checkpoint(TRUNCATE)");
  sqlite3_file *file = file_of(s.reader);
  const sqlite3_io_methods *own = file->pMethods;
  size_t at = shown_watch(&s, "SELECT instr(body, 'Z') FROM letter WHERE id > 6 AND id < 8");
  assert_int_equal(shown_stats(&s).table_level_count, 0);
  file->pMethods = file_of(s.other)->pMethods; /* the VFS's own methods */
  write_byte(s.other, 7, 100, 'Z');
  assert_int_equal(shown_renders(&s, at), 1);
  assert_int_equal(shown_stats(&s).table_level_count, 1);
  write_byte(s.other, 7, 30000, 'Z');
  write_byte(s.other, 7, 100, 'a');
  assert_int_equal(shown_renders(&s, at), 1);
  assert_string_equal(s.all[at].text, "30001 ");
  file->pMethods = own;
  shown_close(&s);
}

/* Two connections share a cache and a file. Only the first is followed by pages, and the log states this once. */
TEST_CASE(shared_cache_is_logged_once) {
  shown_site s;
  sqlite3 *db[2];
  vestry_sqlite_connection *attached[2];
  shown_open(&s, letters, VESTRY_SQLITE_FILE_PAGES);
  long lines = s.on.th.log_lines;
  for (int i = 0; i < 2; i++) {
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_SHAREDCACHE;
    assert_int_equal(sqlite3_open_v2(s.path, &db[i], flags, NULL), SQLITE_OK);
    assert_int_equal(vestry_sqlite_attach(s.database, db[i], &attached[i]), VESTRY_OK);
    assert_int_equal(s.on.th.log_lines, lines + i);
  }
  assert_non_null(strstr(s.on.th.last_log, "followed by tables"));
  for (int i = 0; i < 2; i++) {
    vestry_sqlite_detach(attached[1]);
    assert_int_equal(vestry_sqlite_attach(s.database, db[1], &attached[1]), VESTRY_OK);
  }
  assert_int_equal(s.on.th.log_lines, lines + 1);
  for (int i = 0; i < 2; i++) {
    vestry_sqlite_detach(attached[i]);
    assert_int_equal(sqlite3_close(db[i]), SQLITE_OK);
  }
  shown_close(&s);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/file", NULL, NULL);
}
