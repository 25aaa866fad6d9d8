/* SPDX-License-Identifier: MIT */
/* State that others change while a program uses a database: its files, rights, triggers, encoding. */
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sqlite/pool.h"
#include "sqlite/ledger.h"
#include "support/until.h"
#include "vestry/data/jobs.h"
#include "vestry/data/sql.h"

enum { NOBODY = 65534 };

typedef struct user {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
} user;

/* before: SQL for the empty file; NULL: none. */
static void begin(user *u, const char *before) {
  memset(u, 0, sizeof *u);
  test_host_init(&u->th);
  folder_make(u->folder, "state");
  snprintf(u->path, sizeof u->path, "%s/x.db", u->folder);
  sqlite3 *shell;
  assert_int_equal(sqlite3_open(u->path, &shell), SQLITE_OK);
  if (before) ledger_run(shell, before);
  sqlite3_close(shell);
  const vestry_sqlite_pool_options options = {.host = &u->th.host,
                                              .path = u->path,
                                              .schema = "CREATE TABLE t(x)",
                                              .schema_version = 1,
                                              .connections_count = 1,
                                              .wait_ms = 50};
  assert_int_equal(vestry_sqlite_pool_create(&options, &u->pool), VESTRY_OK);
}

static void end(user *u) {
  vestry_sql_pool_destroy(u->pool);
  test_host_assert_clean(&u->th);
  folder_remove(u->folder);
}

/* Run SQL as another program. */
static void change(const user *u, const char *sql) {
  sqlite3 *shell;
  assert_int_equal(sqlite3_open(u->path, &shell), SQLITE_OK);
  ledger_run(shell, sql);
  sqlite3_close(shell);
}

static vestry_err insert(const user *u) {
  return vestry_sql_run_alone(u->pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL);
}

/* Names of files are checked every few milliseconds. Returns how many rows were inserted until then. */
static int64_t insert_until_refused(const user *u) {
  vestry_err error;
  int64_t inserted = 0;
  for (unsigned looks = 0; (error = insert(u)) == VESTRY_OK; inserted++) until_pause(looks++);
  assert_int_equal(error, VESTRY_IO);
  return inserted;
}

static int64_t count(const user *u) {
  int64_t count = -1;
  assert_int_equal(vestry_sql_run_alone(u->pool, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &count),
                   VESTRY_OK);
  return count;
}

static void make_empty(const char *path) {
  FILE *file = fopen(path, "w");
  assert_non_null(file);
  fclose(file);
}

/* -------------------------------------------------------------------------------------------------- files --------- */

static const char *const suffixes[] = {"-wal", "-shm"};

/* An administrator "cleans up": commits would go to a file that nobody else reads, and that ends with the program. */
TEST_CASE(removed_wal_is_neither_written_nor_read) {
  for (int i = 0; i < 4; i++) {
    user u;
    char file[112], kept[112];
    begin(&u, NULL);
    snprintf(file, sizeof file, "%s%s", u.path, suffixes[i / 2]);
    snprintf(kept, sizeof kept, "%s/kept", u.folder);
    assert_int_equal(insert(&u), VESTRY_OK);
    assert_int_equal(rename(file, kept), 0);
    if (i % 2) make_empty(file);
    const int64_t inserted = 1 + insert_until_refused(&u);
    assert_int_equal(u.th.log_lines, 1);
    assert_non_null(strstr(u.th.last_log, suffixes[i / 2]));
    assert_non_null(strstr(u.th.last_log, "end it normally"));
    assert_int_equal(insert(&u), VESTRY_IO);
    assert_int_equal(vestry_sql_run_alone(u.pool, "SELECT 1", NULL, NULL, NULL), VESTRY_IO);
    assert_int_equal(u.th.log_lines, 1);
    assert_int_equal(rename(kept, file), 0); /* it is back */
    assert_int_equal(insert(&u), VESTRY_OK);
    assert_int_equal(count(&u), inserted + 1);
    assert_int_equal(rename(file, kept), 0); /* it is removed, and the program only reads */
    UNTIL(vestry_sql_run_alone(u.pool, "SELECT 1", NULL, NULL, NULL) == VESTRY_IO);
    assert_int_equal(u.th.log_lines, 2);
    assert_int_equal(rename(kept, file), 0);
    end(&u);
  }
}

/* Writes soon after the change are refused, whatever the change of the name is. */
TEST_CASE(renamed_or_removed_file_is_not_written) {
  for (int way = 0; way < 4; way++) {
    user u;
    char kept[112], other[112];
    begin(&u, "PRAGMA journal_mode = WAL");
    snprintf(kept, sizeof kept, "%s/kept", u.folder);
    snprintf(other, sizeof other, "%s/other", u.folder);
    if (way % 2) assert_int_equal(link(u.path, kept), 0); /* it has another name, too */
    make_empty(other);
    if (way == 0) assert_int_equal(rename(u.path, kept), 0);
    if (way == 1) assert_int_equal(unlink(u.path), 0);
    if (way >= 2) assert_int_equal(rename(other, u.path), 0);
    const int64_t inserted = insert_until_refused(&u);
    assert_int_equal(insert(&u), VESTRY_IO);
    assert_int_equal(u.th.log_lines, 1);
    assert_non_null(strstr(u.th.last_log, "the file was removed, replaced or cut"));
    if (way != 2) {
      assert_int_equal(rename(kept, u.path), 0); /* it is back */
      assert_int_equal(insert(&u), VESTRY_OK);
      assert_int_equal(count(&u), inserted + 1);
    }
    end(&u);
  }
}

#define USER_CASE(name) TEST_CASE_WITH(name, user, u, begin(u, NULL), end(u))

/* Rights of the folder apply to names, and the connections have their files open. */
USER_CASE(file_in_a_locked_folder_is_still_used) {
  assert_int_equal(insert(u), VESTRY_OK);
  assert_int_equal(chmod(u->folder, 0), 0);
  (void)setfsuid(NOBODY); /* of this thread, if it may */
  for (int i = 0; i < 2; i++) {
    assert_int_equal(insert(u), VESTRY_OK);
    /* The names are looked up. */
    atomic_store(&((vsi_sqlite_pool *)u->pool)->names_checked_ns, 0);
  }
  (void)setfsuid(geteuid());
  assert_int_equal(chmod(u->folder, 0700), 0);
  assert_int_equal(u->th.log_lines, 0);
  assert_int_equal(count(u), 3);
}

/* "Emptying" the WAL: the next checkpoint would write zeros into the database. */
TEST_CASE(cut_wal_is_neither_written_nor_read) {
  user u;
  char file[112];
  begin(&u, "PRAGMA journal_mode = WAL; CREATE TABLE t(x); INSERT INTO t VALUES(1); PRAGMA user_version = 1");
  snprintf(file, sizeof file, "%s-wal", u.path);
  assert_int_equal(insert(&u), VESTRY_OK);
  assert_int_equal(truncate(file, 40), 0);
  assert_int_equal(insert(&u), VESTRY_IO);
  assert_int_equal(u.th.log_lines, 1);
  assert_non_null(strstr(u.th.last_log, "(-wal) was removed, replaced or cut"));
  vestry_sql_pool_destroy(u.pool);
  const vestry_sqlite_pool_options options = {.host = &u.th.host, .path = u.path};
  assert_int_equal(vestry_sqlite_pool_create(&options, &u.pool), VESTRY_OK);
  assert_int_equal(count(&u), 1); /* the database is whole, and has what was in it before */
  assert_int_equal(insert(&u), VESTRY_OK);
  /* Other programs may empty the WAL by SQLite. */
  change(&u, "PRAGMA wal_checkpoint(TRUNCATE)");
  for (int i = 0; i < 3; i++) assert_int_equal(insert(&u), VESTRY_OK);
  change(&u, "INSERT INTO t VALUES(2); PRAGMA wal_checkpoint(TRUNCATE); INSERT INTO t VALUES(2)");
  assert_int_equal(insert(&u), VESTRY_OK);
  assert_int_equal(count(&u), 8);
  assert_int_equal(u.th.log_lines, 1);
  end(&u);
}

/* Nothing committed is lost if the program ends normally. */
TEST_CASE(commits_survive_a_removed_wal) {
  for (int i = 0; i < 2; i++) {
    user u;
    char file[112];
    begin(&u, NULL);
    snprintf(file, sizeof file, "%s%s", u.path, suffixes[i]);
    assert_int_equal(insert(&u), VESTRY_OK);
    assert_int_equal(unlink(file), 0);
    const int64_t inserted = 1 + insert_until_refused(&u);
    vestry_sql_pool_destroy(u.pool);
    const vestry_sqlite_pool_options options = {.host = &u.th.host, .path = u.path};
    assert_int_equal(vestry_sqlite_pool_create(&options, &u.pool), VESTRY_OK);
    assert_int_equal(count(&u), inserted);
    assert_int_equal(insert(&u), VESTRY_OK);
    end(&u);
  }
}

/* Pages would not see commits of other programs any more. */
TEST_CASE(followed_database_logs_a_removed_wal) {
  for (int i = 0; i < 2; i++) {
    ledger s;
    char file[112], kept[112];
    ledger_open(&s, "wal", NULL);
    snprintf(file, sizeof file, "%s%s", s.path, suffixes[i]);
    snprintf(kept, sizeof kept, "%s/kept", s.folder);
    const long before = s.on.th.log_lines;
    assert_int_equal(rename(file, kept), 0);
    for (int k = 0; k < 3; k++) ledger_sync(&s);
    assert_int_equal(s.on.th.log_lines, before + 1);
    assert_non_null(strstr(s.on.th.last_log, suffixes[i]));
    assert_int_equal(rename(kept, file), 0);
    ledger_close(&s);
  }
}

/* ------------------------------------------------------------------------------------------------- rights --------- */

/* The user may not write the file for a while. SQLite then opens a connection for reading only, which would stay so. */
TEST_CASE(connection_is_not_replaced_by_one_that_cannot_write) {
  user u;
  vestry_sql_transaction *transaction;
  if (getuid() != 0) TEST_SKIP("only root can become another user for a while");
  begin(&u, NULL);
  assert_int_equal(chmod(u.folder, 0755), 0);
  assert_int_equal(chmod(u.path, 0644), 0);
  assert_int_equal(vestry_sql_begin(u.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  ledger_run(vestry_sqlite_handle(transaction), "PRAGMA recursive_triggers = ON");
  assert_int_equal(seteuid(65534), 0);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(insert(&u), VESTRY_IO);
  assert_int_equal(seteuid(0), 0);
  assert_int_equal(insert(&u), VESTRY_OK);
  assert_int_equal(count(&u), 1);
  end(&u);
}

/* ------------------------------------------------------------------------------------------------ objects --------- */

/* The log says what is missing, although the statement was prepared before. */
USER_CASE(statement_that_is_not_valid_any_more_is_explained) {
  assert_int_equal(insert(u), VESTRY_OK);
  change(u, "ALTER TABLE t RENAME TO other");
  assert_int_equal(insert(u), VESTRY_IO);
  assert_non_null(strstr(u->th.last_log, "no such table: t"));
  change(u, "ALTER TABLE other RENAME TO t");
  assert_int_equal(insert(u), VESTRY_OK);
}

/* A trigger of another program that drops rows without an error. */
static void drop_rows(const user *u, const char *what) {
  char sql[160];
  snprintf(sql, sizeof sql, "CREATE TRIGGER drops BEFORE %s BEGIN SELECT RAISE(IGNORE); END", what);
  change(u, sql);
}

static vestry_err order(vestry_sql_transaction *transaction, void *jobs) {
  return vestry_jobs_enqueue(jobs, transaction, &(vestry_job_order){.kind = "count"}, NULL);
}

static vestry_err count_run(vestry_job *job, void *runs) {
  ++*(int *)runs;
  return VESTRY_OK;
}

USER_CASE(dropped_job_is_an_error) {
  vestry_jobs *jobs;
  int runs = 0;
  bool has_run = false;
  assert_int_equal(vestry_jobs_create(u->pool, NULL, &jobs), VESTRY_OK);
  assert_int_equal(vestry_jobs_on(jobs, "count", count_run, &runs), VESTRY_OK);
  drop_rows(u, "INSERT ON vestry_job");
  assert_int_equal(vestry_sql_act(u->pool, VESTRY_SQL_WRITE, order, jobs), VESTRY_IO);
  assert_int_equal(u->th.log_lines, 1);
  assert_non_null(strstr(u->th.last_log, "look for a trigger"));
  change(u, "DROP TRIGGER drops");
  assert_int_equal(vestry_sql_act(u->pool, VESTRY_SQL_WRITE, order, jobs), VESTRY_OK);
  /* It would run again and again, because its end finds no run. */
  drop_rows(u, "UPDATE ON vestry_job");
  assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_IO);
  assert_non_null(strstr(u->th.last_log, "look for a trigger"));
  assert_int_equal(runs, 0);
  change(u, "DROP TRIGGER drops");
  assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_OK);
  assert_int_equal(runs, 1);
  vestry_jobs_destroy(jobs);
}

/* Threads try about once a second, as long as the table is missing. */
USER_CASE(equal_failures_of_jobs_are_logged_once) {
  vestry_jobs *jobs;
  int runs = 0;
  bool has_run = false;
  assert_int_equal(vestry_jobs_create(u->pool, NULL, &jobs), VESTRY_OK);
  assert_int_equal(vestry_jobs_on(jobs, "count", count_run, &runs), VESTRY_OK);
  assert_int_equal(vestry_sql_act(u->pool, VESTRY_SQL_WRITE, order, jobs), VESTRY_OK);
  change(u, "ALTER TABLE vestry_job RENAME TO kept");
  for (int i = 0; i < 5; i++) assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_IO);
  assert_int_equal(u->th.log_lines, 1);
  assert_non_null(strstr(u->th.last_log, "no such table: vestry_job"));
  change(u, "ALTER TABLE kept RENAME TO vestry_job");
  assert_int_equal(vestry_jobs_step(jobs, &has_run), VESTRY_OK);
  assert_int_equal(runs, 1);
  vestry_jobs_destroy(jobs);
}

USER_CASE(dropped_session_is_an_error) {
  vestry_sql_sessions *sessions;
  const vestry_session_record record = {.user = "ann", .created_s = 1, .used_s = 1};
  assert_int_equal(vestry_sql_sessions_create(u->pool, NULL, &sessions), VESTRY_OK);
  drop_rows(u, "INSERT ON vestry_session");
  assert_int_equal(vestry_sql_sessions_ops.save(sessions, "a hash", &record), VESTRY_IO);
  assert_int_equal(u->th.log_lines, 1);
  assert_non_null(strstr(u->th.last_log, "vestry_session"));
  change(u, "DROP TRIGGER drops");
  assert_int_equal(vestry_sql_sessions_ops.save(sessions, "a hash", &record), VESTRY_OK);
  vestry_sql_sessions_destroy(sessions);
}

/* Commits to a table behind a view would not be known by the name of the table. */
USER_CASE(view_in_place_of_a_table_is_an_error_of_its_statements) {
  vestry_sql_sessions *sessions;
  vestry_session_record record = {.user = "ann"};
  assert_int_equal(vestry_sql_sessions_create(u->pool, NULL, &sessions), VESTRY_OK);
  change(u, "ALTER TABLE vestry_session RENAME TO own; CREATE VIEW vestry_session AS SELECT * FROM own");
  assert_int_equal(vestry_sql_sessions_ops.save(sessions, "a hash", &record), VESTRY_IO);
  assert_non_null(strstr(u->th.last_log, "view"));
  vestry_sql_sessions_destroy(sessions);
}

/* ----------------------------------------------------------------------------------------------- encoding --------- */

static void copy_bytes(const vestry_sql_row *row, void *text) {
  const size_t len = vestry_sql_bytes(row, 0, text, 15);
  ((char *)text)[len <= 15 ? len : 0] = '\0';
}

/* The file was created by a program that keeps texts as UTF-16. */
TEST_CASE(bytes_of_a_text_are_utf8_in_any_encoding) {
  static const char *const encodings[] = {"PRAGMA encoding = 'UTF-8'", "PRAGMA encoding = 'UTF-16le'",
                                          "PRAGMA encoding = 'UTF-16be'"};
  for (size_t i = 0; i < sizeof encodings / sizeof *encodings; i++) {
    user u;
    char before[80], text[16] = "";
    snprintf(before, sizeof before, "%s; CREATE TABLE old(x)", encodings[i]);
    begin(&u, before);
    assert_int_equal(vestry_sql_run_alone(u.pool, "INSERT INTO t VALUES(?)", VESTRY_LIST("Käse"), NULL, NULL),
                     VESTRY_OK);
    assert_int_equal(vestry_sql_run_alone(u.pool, "SELECT x FROM t", NULL, copy_bytes, text), VESTRY_OK);
    assert_string_equal(text, "Käse");
    assert_int_equal(vestry_sql_run_alone(u.pool, "SELECT 4711", NULL, copy_bytes, text), VESTRY_OK);
    assert_string_equal(text, "4711");
    end(&u);
  }
}
