/* SPDX-License-Identifier: MIT */
/* Connections of a pool on which statements leave settings, objects of TEMP or attached files. */
#include "data/sqlite/pool.h"
#include "sqlite/ledger.h"

typedef struct lender {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
} lender;

static void begin(lender *l, const char *setup) {
  memset(l, 0, sizeof *l);
  test_host_init(&l->th);
  folder_make(l->folder, "replaced");
  snprintf(l->path, sizeof l->path, "%s/pool.db", l->folder);
  const vestry_sqlite_pool_options options = {.host = &l->th.host,
                                              .path = l->path,
                                              .schema = "CREATE TABLE t(x)",
                                              .schema_version = 1,
                                              .setup = setup,
                                              .connections_count = 1,
                                              .wait_ms = 20};
  assert_int_equal(vestry_sqlite_pool_create(&options, &l->pool), VESTRY_OK);
}

static void end(lender *l) {
  vestry_sql_pool_destroy(l->pool);
  test_host_assert_clean(&l->th);
  folder_remove(l->folder);
}

/* Set a limit that marks a connection, because another one may be at the same address. -1: get the limit */
static int mark(vestry_sql_transaction *transaction, int limit) {
  return sqlite3_limit(vestry_sqlite_handle(transaction), SQLITE_LIMIT_TRIGGER_DEPTH, limit);
}

/* Run statements on a connection of a kind, and release it. Returns whether the next transaction gets another one. */
static bool is_replaced_after(lender *l, vestry_sql_kind kind, const char *sql) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(l->pool, kind, &transaction), VESTRY_OK);
  mark(transaction, 77);
  ledger_run(vestry_sqlite_handle(transaction), sql);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(l->pool, kind, &transaction), VESTRY_OK);
  const bool is_same = mark(transaction, -1) == 77;
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  return !is_same;
}

static int64_t number(lender *l, vestry_sql_kind kind, const char *sql) {
  vestry_sql_transaction *transaction;
  int64_t found = -1;
  assert_int_equal(vestry_sql_begin(l->pool, kind, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  return found;
}

static const char temp_sql[] = "SELECT count(*) FROM sqlite_temp_schema";
static const char files_sql[] = "SELECT count(*) FROM pragma_database_list WHERE seq > 1";

TEST_CASE(settings_and_names_do_not_stay_on_a_connection) {
  static const struct {
    const char *sql, *query;
    int64_t value;
  } changes[] = {
      {"PRAGMA recursive_triggers = ON", "PRAGMA recursive_triggers", 0},
      {"PRAGMA main.synchronous = FULL", "PRAGMA synchronous", 0}, /* the setup sets OFF */
      {"PRAGMA reverse_unordered_selects(1)", "PRAGMA reverse_unordered_selects", 0},
      {"CREATE TEMP TABLE t(x)", temp_sql, 0},
      {"CREATE TEMP TRIGGER never BEFORE INSERT ON main.t BEGIN SELECT RAISE(FAIL, 'never'); END", temp_sql, 0},
      {"ATTACH ':memory:' AS side", files_sql, 0}};
  static const vestry_sql_kind kinds[] = {VESTRY_SQL_READ, VESTRY_SQL_READ_ASIDE};
  lender l;
  begin(&l, "PRAGMA synchronous = OFF");
  for (size_t i = 0; i < 2 * sizeof changes / sizeof *changes; i++) {
    assert_true(is_replaced_after(&l, kinds[i % 2], changes[i / 2].sql));
    assert_int_equal(number(&l, kinds[i % 2], changes[i / 2].query), changes[i / 2].value);
  }
  assert_int_equal(l.th.log_lines, 1);
  assert_non_null(strstr(l.th.last_log, "may also apply to the next thread"));
  /* The text of a statement that stays prepared. */
  for (int i = 0; i < 2; i++) {
    assert_int_equal(vestry_sql_run_alone(l.pool, "PRAGMA recursive_triggers = 1", NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(number(&l, VESTRY_SQL_READ, "PRAGMA recursive_triggers"), 0);
  }
  assert_int_equal(vestry_sql_run_alone(l.pool, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), VESTRY_OK);
  end(&l);
}

TEST_CASE(connection_on_which_nothing_is_left_stays) {
  static const char *const texts[] = {"PRAGMA recursive_triggers", "PRAGMA table_info(t)",
                                      "PRAGMA wal_checkpoint(TRUNCATE)", "SELECT * FROM pragma_table_xinfo('t')"};
  lender l;
  begin(&l, NULL);
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    assert_false(is_replaced_after(&l, VESTRY_SQL_READ, texts[i]));
  assert_true(is_replaced_after(&l, VESTRY_SQL_READ, "CREATE TEMP TABLE own(x)"));
  end(&l);
}

/* From now on SQLite gets no more memory, or it gets memory again. */
static void starve(bool is_starved) {
  sqlite3_hard_heap_limit64(is_starved ? sqlite3_memory_used() + 1 : 0);
}

/* No thread gets a connection with changed settings, also if there is no memory for another one. */
TEST_CASE(connection_is_not_used_without_memory_for_another) {
  for (int i = 0; i < 4; i++) {
    const vestry_sql_kind kind = i % 2 ? VESTRY_SQL_READ_ASIDE : VESTRY_SQL_READ;
    lender l;
    vestry_sql_transaction *transaction;
    begin(&l, "PRAGMA synchronous = OFF");
    assert_int_equal(vestry_sql_begin(l.pool, kind, &transaction), VESTRY_OK);
    mark(transaction, 77);
    ledger_run(vestry_sqlite_handle(transaction), "PRAGMA recursive_triggers = ON");
    starve(i / 2);
    if (i < 2) test_host_fail_in(&l.th, 0); /* once */
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    assert_int_equal(vestry_sql_begin(l.pool, kind, &transaction), VESTRY_NO_MEMORY);
    starve(false);
    assert_int_equal(number(&l, kind, "PRAGMA recursive_triggers"), 0);
    assert_int_equal(vestry_sql_begin(l.pool, kind, &transaction), VESTRY_OK);
    assert_int_not_equal(mark(transaction, -1), 77);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    end(&l);
  }
}

static int permit(void *ctx, int action, const char *first, const char *second, const char *schema_name,
                  const char *inside) {
  return SQLITE_OK;
}

/* The transaction cannot be rolled back at its end, and is rolled back when its connection is closed. */
TEST_CASE(connection_that_was_stuck_is_replaced) {
  static const vestry_sql_kind kinds[] = {VESTRY_SQL_WRITE, VESTRY_SQL_READ, VESTRY_SQL_READ_ASIDE};
  for (int i = 0; i < 3; i++) {
    lender l;
    vestry_sql_transaction *transaction;
    begin(&l, "PRAGMA synchronous = OFF");
    assert_int_equal(vestry_sql_begin(l.pool, kinds[i], &transaction), VESTRY_OK);
    if (i) assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, "PRAGMA recursive_triggers = ON", NULL, NULL, NULL), VESTRY_OK);
    sqlite3_set_authorizer(vestry_sqlite_handle(transaction), permit, NULL); /* this outdates all prepared statements */
    starve(true);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
    assert_non_null(strstr(l.th.last_log, "cannot roll back the transaction"));
    starve(false);
    assert_int_equal(number(&l, i == 2 ? kinds[i] : VESTRY_SQL_READ, "PRAGMA recursive_triggers"), 0);
    assert_int_equal(number(&l, VESTRY_SQL_READ, "SELECT count(*) FROM t"), 0);
    end(&l);
  }
}

/* A transaction whose commit waits for the disk changes PRAGMA synchronous until its end, which has no memory here. */
TEST_CASE(flushed_transaction_leaves_no_setting_without_memory) {
  lender l;
  vestry_sql_transaction *transaction;
  begin(&l, "PRAGMA synchronous = NORMAL");
  assert_int_equal(vsi_sqlite_begin_by(l.pool, VESTRY_SQL_WRITE, VSI_SQLITE_FLUSHED, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t VALUES(1)", NULL, NULL, NULL), VESTRY_OK);
  sqlite3_set_authorizer(vestry_sqlite_handle(transaction), permit, NULL); /* this outdates all prepared statements */
  starve(true);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  starve(false);
  assert_int_equal(number(&l, VESTRY_SQL_READ, "PRAGMA synchronous"), 1);
  end(&l);
}

LEDGER_CASE(pages_follow_a_replaced_connection) {
  ledger_watch(s, "t");
  lender l = {.pool = NULL};
  const vestry_sqlite_pool_options options = {.host = &s->on.th.host, .path = s->path, .connections_count = 1};
  assert_int_equal(vestry_sqlite_pool_create(&options, &l.pool), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(l.pool, s->database), VESTRY_OK);
  vestry_sqlite_stats before = {0}, after = {0};
  vestry_sqlite_stats_get(s->database, &before);
  assert_true(is_replaced_after(&l, VESTRY_SQL_READ, "PRAGMA recursive_triggers = ON"));
  vestry_sqlite_stats_get(s->database, &after);
  assert_int_equal(after.connections_count, before.connections_count);
  assert_int_equal(vestry_sql_run_alone(l.pool, "INSERT INTO t(x) VALUES(?)", VESTRY_LIST(7), NULL, NULL), VESTRY_OK);
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "t"), 1);
  assert_true(is_replaced_after(&l, VESTRY_SQL_READ, "CREATE TEMP TABLE own(x)"));
  assert_int_equal(vestry_sqlite_pool_follow(l.pool, NULL), VESTRY_OK);
  assert_true(is_replaced_after(&l, VESTRY_SQL_READ, "CREATE TEMP TABLE own(x)"));
  assert_int_equal(number(&l, VESTRY_SQL_READ, temp_sql), 0);
  vestry_sql_pool_destroy(l.pool);
}
