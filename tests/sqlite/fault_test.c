/* SPDX-License-Identifier: MIT */
/* Database faults and missing memory: each gives an error and a log line, loses no acknowledged write, and causes no
 * fault later. */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "data/sql/sql.h"
#include "data/sqlite/fault.h"
#include "sqlite/tabs.h"
#include "support/descriptors.h"
#include "support/until.h"

/* capability: D9 */
LEDGER_CASE(locked_database_returns_limit) {
  char one[TAB_TOKEN_BYTES];
  tabs_open(s, NULL);
  tabs_begin(s, "u", one);
  ledger_run(s->reader, "BEGIN IMMEDIATE");
  assert_int_equal(tabs_set(s, "u", one, "x", 1), VESTRY_LIMIT);
  assert_non_null(strstr(s->on.th.last_log, "another program is writing to the database"));
  assert_string_equal(tabs_get(s, "u", one), ""); /* a writer does not block readers */
  ledger_run(s->reader, "ROLLBACK");
  assert_int_equal(tabs_set(s, "u", one, "x", 1), VESTRY_OK);
  ledger_run(s->reader, "BEGIN IMMEDIATE");
  assert_int_equal(tabs_set(s, "u", one, "y", 1), VESTRY_LIMIT);
  assert_int_equal(tabs_set(s, "u", one, "", 0), VESTRY_LIMIT);
  ledger_run(s->reader, "ROLLBACK");
  assert_string_equal(tabs_get(s, "u", one), "x");
}

/* capability: D9 */
TEST_CASE(full_database_returns_limit_and_loses_nothing) {
  static char large[60000];
  ledger s;
  char one[TAB_TOKEN_BYTES], sql[64];
  memset(large, 'x', sizeof large);
  vestry_sql_transaction *transaction;
  ledger_open(&s, "wal", NULL);
  tabs_open(&s, NULL);
  ledger_watch(&s, "t");
  tabs_begin(&s, "u", one);
  assert_int_equal(tabs_set(&s, "u", one, "kept", 4), VESTRY_OK);
  ledger_sync(&s);
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", ledger_number(s.db, "PRAGMA page_count") + 1);
  tabs_run(&s, sql);
  assert_int_equal(tabs_set(&s, "u", one, large, sizeof large), VESTRY_LIMIT);
  assert_int_equal(s.on.th.log_lines, 1);
  assert_non_null(strstr(s.on.th.last_log, "full"));
  assert_string_equal(tabs_get(&s, "u", one), "kept");
  /* In the application's transaction, SQLite decides whether the application's own write is rolled back. */
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), "INSERT INTO t(x) VALUES(NULL)");
  assert_int_equal(tabs_set(&s, "u", one, large, sizeof large), VESTRY_LIMIT);
  bool is_undone = sqlite3_get_autocommit(vestry_sqlite_handle(transaction));
  assert_int_equal(tabs_set(&s, "u", one, "kept", 4), is_undone ? VESTRY_LIMIT : VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), is_undone ? VESTRY_LIMIT : VESTRY_OK);
  ledger_sync(&s);
  assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM t"), is_undone ? 0 : 1);
  assert_int_equal(ledger_seen(&s, "t"), is_undone ? 0 : 1);
  char two[TAB_TOKEN_BYTES];
  tabs_begin(&s, "u", two); /* a new tab needs a savepoint, which is rolled back */
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), "INSERT INTO t(x) VALUES(NULL)");
  assert_int_equal(tabs_set(&s, "u", two, large, sizeof large), VESTRY_LIMIT);
  is_undone = sqlite3_get_autocommit(vestry_sqlite_handle(transaction));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), is_undone ? VESTRY_LIMIT : VESTRY_OK);
  assert_string_equal(tabs_get(&s, "u", two), "");
  assert_int_equal(tabs_set(&s, "u", two, large, sizeof large), VESTRY_LIMIT);
  tabs_run(&s, "PRAGMA max_page_count = 1000000");
  assert_int_equal(tabs_set(&s, "u", two, large, sizeof large), VESTRY_OK);
  ledger_close(&s);
}

/* Without its authorizer, the pool does not notice the PRAGMA, and keeps the connection. */
static void set_query_only(ledger *s, const char *sql) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(s->pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  sqlite3_set_authorizer(vestry_sqlite_handle(transaction), NULL, NULL);
  ledger_run(vestry_sqlite_handle(transaction), sql);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
}

/* capability: D9 */
LEDGER_CASE(read_only_database_returns_io) {
  char one[TAB_TOKEN_BYTES];
  tabs_open(s, NULL);
  tabs_begin(s, "u", one);
  assert_int_equal(tabs_set(s, "u", one, "kept", 4), VESTRY_OK);
  set_query_only(s, "PRAGMA query_only = ON");
  assert_int_equal(tabs_set(s, "u", one, "x", 1), VESTRY_IO);
  assert_int_equal(s->on.th.log_lines, 1);
  assert_string_equal(tabs_get(s, "u", one), "kept");
  set_query_only(s, "PRAGMA query_only = OFF");
  /* A failure that no call of SQLite has returned has its own message, and not that of the last call. */
  const vsi_call call = {&s->on.th.host, "function", "file", NULL};
  assert_int_equal(vsi_sqlite_fail(&call, s->reader, SQLITE_READONLY, "cannot write"), VESTRY_IO);
  assert_non_null(strstr(s->on.th.last_log, sqlite3_errstr(SQLITE_READONLY)));
}

/* capability: D9 */
TEST_CASE(corrupt_database_returns_io_and_is_logged) {
  ledger s;
  char one[TAB_TOKEN_BYTES], junk[4096];
  ledger_open(&s, "wal", NULL);
  tabs_open(&s, NULL);
  tabs_begin(&s, "u", one);
  assert_int_equal(tabs_set(&s, "u", one, "lost", 4), VESTRY_OK);
  int root = ledger_number(s.reader, "SELECT rootpage FROM sqlite_schema WHERE name = 'vestry_tab'");
  ledger_run(s.reader, "PRAGMA wal_checkpoint(TRUNCATE)");
  memset(junk, 0xa5, sizeof junk);
  sqlite3_file *file; /* closing a separate descriptor would release SQLite's locks */
  sqlite3_file_control(s.reader, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  assert_int_equal(file->pMethods->xWrite(file, junk, sizeof junk, (sqlite3_int64)(root - 1) * 4096), SQLITE_OK);
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  sqlite3_db_release_memory(vestry_sqlite_handle(transaction));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  const tab_node node = tabs_node(&s);
  tab_act a = {.node = &node, .capacity = 100};
  tab_ask(&a, "u", one);
  assert_int_equal(a.error, VESTRY_IO);
  assert_int_equal(s.on.th.log_lines, 1);
  assert_non_null(strstr(s.on.th.last_log, "malformed"));
  assert_int_equal(tabs_set(&s, "u", one, "x", 1), VESTRY_IO);
  ledger_run(s.db, "INSERT INTO t(x) VALUES(1)"); /* other tables still work */
  ledger_sync(&s);
  ledger_close(&s);

  test_host th; /* a file that is not a database */
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database = NULL;
  char path[] = "/tmp/vestry-sqlite-XXXXXX";
  int descriptor = mkstemp(path);
  assert_int_equal(write(descriptor, junk, sizeof junk), sizeof junk);
  close(descriptor);
  test_host_init(&th);
  assert_int_equal(vestry_create(&(vestry_options){.host = &th.host, .threads_count = VESTRY_THREADS_NONE}, &v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(v, NULL, &pages), VESTRY_OK);
  const vestry_sqlite_options options = {.path = path, .level = VESTRY_SQLITE_TABLES};
  assert_int_equal(vestry_sqlite_create(pages, &options, &database), VESTRY_IO);
  assert_int_equal(th.log_lines, 1);
  assert_null(database);
  vestry_pages_destroy(pages);
  vestry_destroy(v);
  test_host_assert_clean(&th);
  unlink(path);
}

/* Acknowledged writes are present after the disk is back, and pages show them. */
/* capability: D10 */
TEST_CASE(acknowledged_writes_survive_a_lost_disk) {
  ledger s;
  char one[TAB_TOKEN_BYTES];
  int acknowledged = 0;
  ledger_lose_disk(false);
  ledger_open(&s, "wal", NULL);
  ledger_watch(&s, "t");
  tabs_open(&s, NULL);
  tabs_begin(&s, "u", one);
  assert_int_equal(tabs_set(&s, "u", one, "kept", 4), VESTRY_OK);
  for (int round = 0; round < 5; round++) {
    acknowledged += sqlite3_exec(s.db, "INSERT INTO t(x) VALUES(NULL)", NULL, NULL, NULL) == SQLITE_OK;
    ledger_lose_disk(true);
    long lines = s.on.th.log_lines;
    acknowledged += sqlite3_exec(s.db, "INSERT INTO t(x) VALUES(NULL)", NULL, NULL, NULL) == SQLITE_OK;
    assert_int_equal(tabs_set(&s, "u", one, "lost", 4), VESTRY_LIMIT);
    assert_true(s.on.th.log_lines > lines);
    for (int look = 0; look < 3; look++) assert_int_equal(vestry_sqlite_sync(s.database, NULL), VESTRY_OK);
    assert_true(s.on.th.log_lines <= lines + 2);
    ledger_lose_disk(false);
    test_host_advance_ms(&s.on.th, 60000); /* equal lines are logged once a minute */
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(NULL)");
    acknowledged++;
    ledger_sync(&s);
    assert_true(ledger_seen(&s, "t") > 0);
    assert_int_equal(s.counted[0], acknowledged);
    assert_string_equal(tabs_get(&s, "u", one), "kept");
  }
  ledger_close(&s);
}

/* ---------------------------------------------------------------------------------------------------- memory ------ */

static sqlite3_mem_methods real_memory;
static long sqlite_allocations, sqlite_fail_at = -1;

static bool fails(void) {
  return __atomic_fetch_add(&sqlite_allocations, 1, __ATOMIC_RELAXED) == sqlite_fail_at;
}
static void *allocate(int size) {
  return fails() ? NULL : real_memory.xMalloc(size);
}
static void *reallocate(void *memory, int size) {
  return fails() ? NULL : real_memory.xRealloc(memory, size);
}

/* Operations on a database. After memory is available again, each one that succeeded must have taken effect. */
typedef struct trial {
  ledger s;
  char token[TAB_TOKEN_BYTES];
  bool has_row, has_state;
} trial;

static vestry_err run_trial(trial *l, void (*stop_failing)(trial *)) {
  ledger *s = &l->s;
  vestry_err error = vestry_sqlite_attach(s->database, s->db, &s->connection);
  if (!error && sqlite3_exec(s->db, "INSERT INTO t(x) VALUES(NULL)", NULL, NULL, NULL) == SQLITE_OK) l->has_row = true;
  if (!error && !l->has_row) error = VESTRY_NO_MEMORY;
  const tab_node node = tabs_node(s);
  tab_act write = {.node = &node, .write = "kept", .write_len = 4}, read = {.node = &node, .capacity = 100};
  if (!error) tab_ask(&write, "u", l->token);
  if (!error) error = write.error;
  l->has_state = !error;
  if (!error) tab_ask(&read, "u", l->token);
  if (!error) error = read.error;
  if (!error) error = vestry_sqlite_sync(s->database, NULL);
  stop_failing(l);
  return error;
}

static void check_trial(trial *l) {
  ledger *s = &l->s;
  if (!s->connection) assert_int_equal(vestry_sqlite_attach(s->database, s->db, &s->connection), VESTRY_OK);
  ledger_sync(s);
  assert_int_equal(ledger_number(s->reader, "SELECT count(*) FROM t"), l->has_row);
  if (l->has_row) assert_true(ledger_seen(s, "t") > 0);
  if (l->has_state) assert_string_equal(tabs_get(s, "u", l->token), "kept");
  ledger_run(s->db, "INSERT INTO t(x) VALUES(NULL)"); /* later commits work */
  ledger_sync(s);
  assert_true(ledger_seen(s, "t") > 0);
}

static void open_trial(trial *l) {
  memset(l, 0, sizeof *l);
  ledger_open(&l->s, "wal", NULL);
  tabs_open(&l->s, NULL);
  ledger_watch(&l->s, "t");
  tabs_begin(&l->s, "u", l->token);
  vestry_sqlite_detach(l->s.connection);
  l->s.connection = NULL;
}

static void stop_own(trial *l) {
  test_host_fail_no_more(&l->s.on.th);
}

static void stop_sqlite(trial *l) {
  sqlite_fail_at = -1;
}

/* capability: D10 */
TEST_CASE(allocation_failure_loses_no_acknowledged_write) {
  for (long number = 0, failed = 1; failed; number++) {
    trial l;
    open_trial(&l);
    test_host_fail_in(&l.s.on.th, number);
    long end = l.s.on.th.fail_at;
    vestry_err error = run_trial(&l, stop_own);
    failed = l.s.on.th.allocations > end;
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    if (!failed) assert_int_equal(error, VESTRY_OK);
    check_trial(&l);
    ledger_close(&l.s);
    assert_true(number < 1000);
  }
}

/* capability: D10 */
TEST_CASE(sqlite_allocation_failure_loses_no_acknowledged_write) {
  for (long number = 0, failed = 1; failed; number++) {
    trial l;
    open_trial(&l);
    sqlite_allocations = 0;
    sqlite_fail_at = number;
    vestry_err error = run_trial(&l, stop_sqlite);
    failed = sqlite_allocations > number;
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    if (!failed) assert_int_equal(error, VESTRY_OK);
    check_trial(&l);
    ledger_close(&l.s);
    assert_true(number < 5000);
  }
}

/* A failed create leaves no allocation behind. */
TEST_CASE(failed_create_leaks_nothing) {
  trial l;
  open_trial(&l);
  ledger *s = &l.s;
  ledger_sync(s); /* its thread frees what it has followed */
  const vestry_sqlite_options options = {.path = s->path, .level = VESTRY_SQLITE_TABLES, .poll_ms = 60000};
  /* Failures in the allocator of SQLite, or of the host. */
  for (int round = 0; round < 2; round++) {
    for (long number = 0, failed = 1; failed; number++) {
      vestry_sqlite *database = NULL;
      long live_before = s->on.th.live;
      sqlite_allocations = 0;
      long end = s->on.th.allocations + number;
      if (round)
        s->on.th.fail_at = end;
      else
        sqlite_fail_at = number;
      vestry_err error = vestry_sqlite_create(s->on.pages, &options, &database);
      failed = round ? s->on.th.allocations > end : sqlite_allocations > number;
      s->on.th.fail_at = sqlite_fail_at = -1;
      if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
      if (!failed) assert_int_equal(error, VESTRY_OK);
      vestry_sqlite_destroy(database);
      assert_int_equal(s->on.th.live, live_before);
    }
  }
  assert_int_equal(vestry_sqlite_attach(s->database, s->db, &s->connection), VESTRY_OK);
  ledger_close(s);
}

/* ------------------------------------------------------------------------------------------- a replaced file ------ */

static vestry_err insert(vestry_sql_pool *pool) {
  return vestry_sql_run_alone(pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

/* An administrator puts another file in place of the one that a program has open. The program has a pool, and no pages
 * that follow it. */
TEST_CASE(replaced_file_is_neither_written_nor_read) {
  test_host th;
  char folder[FOLDER_BYTES], path[96], kept[96], copy[96], sql[120];
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction;
  vestry_err error;
  test_host_init(&th);
  folder_make(folder, "replaced");
  snprintf(path, sizeof path, "%s/x.db", folder);
  snprintf(kept, sizeof kept, "%s/kept.db", folder);
  snprintf(copy, sizeof copy, "%s/copy.db", folder);
  snprintf(sql, sizeof sql, "VACUUM INTO '%s'", copy);
  const vestry_sqlite_pool_options options = {
      .host = &th.host, .path = path, .schema = "CREATE TABLE t(x)", .schema_version = 1, .connections_count = 1};
  assert_int_equal(vestry_sqlite_pool_create(&options, &pool), VESTRY_OK);
  assert_int_equal(insert(pool), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), "PRAGMA wal_checkpoint(TRUNCATE)");
  ledger_run(vestry_sqlite_handle(transaction), sql);
  assert_int_equal(rename(path, kept), 0);
  assert_int_equal(rename(copy, path), 0);
  /* The renewal of a lease, while functions of jobs use all connections. */
  int64_t late = 0; /* rows until the pool looks at the names again */
  while (!(error = pool->ops->run_by(pool, VSI_SQL_RUN_ASIDE, "INSERT INTO t VALUES(1)", NULL, NULL, NULL))) late++;
  assert_int_equal(error, VESTRY_IO);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "the file was removed, replaced or cut"));
  assert_non_null(strstr(th.last_log, path));
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(insert(pool), VESTRY_IO);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_IO);
  assert_int_equal(vestry_sql_run_alone(pool, "SELECT 1", NULL, NULL, NULL), VESTRY_IO);
  vestry_sql_sessions *stored = NULL;
  assert_int_equal(vestry_sql_sessions_create(pool, NULL, &stored), VESTRY_IO);
  assert_int_equal(th.log_lines, 1);
  assert_int_equal(rename(path, copy), 0);
  assert_int_equal(rename(kept, path), 0); /* the file is back */
  int64_t count = 0;
  assert_int_equal(vestry_sql_run_alone(pool, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &count),
                   VESTRY_OK);
  assert_int_equal(count, 1 + late);
  assert_int_equal(insert(pool), VESTRY_OK);
  assert_int_equal(rename(path, kept), 0); /* it is removed, and the program only reads */
  UNTIL(vestry_sql_run_alone(pool, "SELECT 1", NULL, NULL, NULL) == VESTRY_IO);
  assert_int_equal(th.log_lines, 3);
  assert_int_equal(rename(kept, path), 0);
  vestry_sql_pool_destroy(pool);
  test_host_assert_clean(&th);
  folder_remove(folder);
}

/* -------------------------------------------------------------------------------------- without descriptors ------ */

/* A flood of clients has taken all descriptors. Connections that were never used have their files open already. */
TEST_CASE(missing_descriptors_are_a_passing_failure) {
  test_host th;
  char folder[FOLDER_BYTES], path[96], sql[120];
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction, *aside;
  struct rlimit was, none;
  test_host_init(&th);
  folder_make(folder, "descriptors");
  snprintf(path, sizeof path, "%s/x.db", folder);
  snprintf(sql, sizeof sql, "ATTACH '%s/y.db' AS y", folder);
  const vestry_sqlite_pool_options options = {
      .host = &th.host, .path = path, .schema = "CREATE TABLE t(x)", .schema_version = 1, .connections_count = 2};
  assert_int_equal(vestry_sqlite_pool_create(&options, &pool), VESTRY_OK);
  assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
  none = was;
  none.rlim_cur = (rlim_t)descriptors_lowest_free();
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_READ_ASIDE, &aside), VESTRY_OK);
  const vestry_err of_aside = vestry_sql_run(aside, "SELECT count(*) FROM t", NULL, NULL, NULL);
  const vestry_err of_attach = vestry_sql_run(transaction, sql, NULL, NULL, NULL);
  assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
  assert_int_equal(of_aside, VESTRY_OK);
  assert_int_equal(of_attach, VESTRY_LIMIT);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "ulimit -n"));
  assert_int_equal(vestry_sql_run(transaction, sql, NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "DETACH y", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_end(aside, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  vestry_sql_pool_destroy(pool);
  test_host_assert_clean(&th);
  folder_remove(folder);
}

/* ------------------------------------------------------------------------------------------- a power failure ------ */

static vestry_err end_session(vestry_sql_sessions *stored, bool by_user) {
  const vestry_session_storage_ops *ops = &vestry_sql_sessions_ops;
  return by_user ? ops->remove_user(stored, "ann") : ops->remove(stored, "hash");
}

/* With `synchronous` NORMAL, commits do not wait for the disk, except those that end a session or begin a
 * submission. */
TEST_CASE(ends_of_sessions_and_submissions_wait_for_the_disk) {
  static const char *const setups[] = {"PRAGMA synchronous = NORMAL", "PRAGMA synchronous = OFF"};
  for (unsigned is_off = 0; is_off < 2; is_off++) {
    test_host th;
    char folder[FOLDER_BYTES], path[96];
    vestry_sql_pool *pool;
    vestry_sql_sessions *sessions;
    vestry_sql_once *once;
    unsigned before = ledger_syncs();
    test_host_init(&th);
    folder_make(folder, "power");
    snprintf(path, sizeof path, "%s/x.db", folder);
    const vestry_sqlite_pool_options options = {.host = &th.host,
                                                .path = path,
                                                .schema = "CREATE TABLE t(x)",
                                                .schema_version = 1,
                                                .setup = setups[is_off],
                                                .connections_count = 1};
    assert_int_equal(vestry_sqlite_pool_create(&options, &pool), VESTRY_OK);
    assert_int_equal(vestry_sql_sessions_create(pool, NULL, &sessions), VESTRY_OK);
    assert_int_equal(vestry_sql_once_create(pool, NULL, &once), VESTRY_OK);
    for (int by_user = 0; by_user < 2; by_user++) {
      vestry_session_record ann = {.user = "ann", .created_s = time(NULL)};
      ann.used_s = ann.created_s;
      assert_int_equal(insert(pool), VESTRY_OK);
      before = ledger_syncs();
      assert_int_equal(vestry_sql_sessions_ops.save(sessions, "hash", &ann), VESTRY_OK);
      assert_int_equal(ledger_syncs(), before);
      assert_int_equal(end_session(sessions, by_user), VESTRY_OK);
      assert_int_equal(ledger_syncs() > before, !is_off);
      before = ledger_syncs();
      assert_int_equal(end_session(sessions, by_user), VESTRY_OK); /* there is none */
      assert_int_equal(insert(pool), VESTRY_OK);
      assert_int_equal(ledger_syncs(), before);
    }
    const vestry_once_submission submission = {.hash = "hash", .owner = "", .run = "1"};
    vestry_once_found found;
    size_t len;
    assert_int_equal(vestry_sql_once_ops.begin(once, &submission, &found, NULL, 0, &len), VESTRY_OK);
    assert_int_equal(found, VESTRY_ONCE_NEW);
    assert_int_equal(ledger_syncs() > before, !is_off);
    before = ledger_syncs();
    assert_int_equal(vestry_sql_once_ops.finish(once, &submission, "x", 1), VESTRY_OK);
    assert_int_equal(ledger_syncs(), before);
    vestry_sql_once_destroy(once);
    vestry_sql_sessions_destroy(sessions);
    vestry_sql_pool_destroy(pool);
    test_host_assert_clean(&th);
    folder_remove(folder);
  }
}

int main(void) {
  sqlite3_mem_methods own;
  sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
  own = real_memory;
  own.xMalloc = allocate;
  own.xRealloc = reallocate;
  sqlite3_config(SQLITE_CONFIG_MALLOC, &own);
  sqlite3_config(SQLITE_CONFIG_LOOKASIDE, 0, 0);
  return cases_run("sqlite/fault", NULL, NULL);
}
