/* SPDX-License-Identifier: MIT */
/* Checked-out connections, and their statements. */
#include <pthread.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

#include "data/sql/sql.h"
#include "data/sql/thread_line.h"
#include "sqlite/ledger.h"
#include "support/until.h"

typedef struct lender {
  test_host th;
  char folder[FOLDER_BYTES], path[96];
  vestry_sql_pool *pool;
  int calls;
  int64_t rows_at_call;
  vestry_sql_kind tried;
} lender;

static const char schema[] = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x, y, z)";

static void make_folder(lender *l) {
  memset(l, 0, sizeof *l);
  test_host_init(&l->th);
  folder_make(l->folder, "pool");
  snprintf(l->path, sizeof l->path, "%s/pool.db", l->folder);
}

static vestry_err open_pool(lender *l, vestry_sqlite_pool_options options) {
  options.host = &l->th.host;
  if (!options.path) options.path = l->path;
  return vestry_sqlite_pool_create(&options, &l->pool);
}

static void begin(lender *l, vestry_sqlite_pool_options options) {
  make_folder(l);
  options.schema = schema;
  options.schema_version = 1;
  options.setup = "PRAGMA synchronous = OFF";
  assert_int_equal(open_pool(l, options), VESTRY_OK);
}

static vestry_sql_pool_stats stats_of(lender *l) {
  vestry_sql_pool_stats stats = {0};
  vestry_sql_pool_stats_get(l->pool, &stats);
  return stats;
}

static void end(lender *l) {
  assert_int_equal(stats_of(l).checked_out_count, 0);
  vestry_sql_pool_destroy(l->pool);
  test_host_assert_clean(&l->th);
  folder_remove(l->folder);
}

static int64_t number(lender *l, const char *sql) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(l->pool, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  return found;
}

static void insert(lender *l, int64_t id) {
  assert_int_equal(vestry_sql_run_alone(l->pool, "INSERT INTO t(id) VALUES(?)", VESTRY_LIST(id), NULL, NULL),
                   VESTRY_OK);
}

static void assert_logged(lender *l, const char *function, const char *what) {
  if (!strstr(l->th.last_log, function) || !strstr(l->th.last_log, what) || !strstr(l->th.last_log, "pool.db"))
    fail_msg("it does not say \"%s … pool.db … %s\": %s", function, what, l->th.last_log);
  test_host_advance_ms(&l->th, 60000); /* so that an equal line is logged again */
}

/* -------------------------------------------------------------------------------------------- statements ---------- */

static void append(const vestry_sql_row *row, void *ctx) {
  char *text = ctx;
  for (size_t i = 0; i < row->ops->columns_count(row); i++) {
    const char *value = vestry_sql_text(row, i);
    snprintf(text + strlen(text), 200 - strlen(text), "%s ", value ? value : "null");
  }
}

#define LENDER_CASE(name) TEST_CASE_WITH(name, lender, l, begin(l, (vestry_sqlite_pool_options){0}), end(l))

LENDER_CASE(values_are_bound_and_rows_returned) {
  vestry_sql_transaction *transaction;
  char text[200] = "";
  const bool yes = true;
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t VALUES(?, ?, ?, ?)",
                                  VESTRY_LIST(INT64_MAX, "it's\n\xc3\xb8", 1.5, vestry_value_null()), NULL, NULL),
                   VESTRY_OK);
  assert_int_equal(
      vestry_sql_run(transaction, "INSERT INTO t(id, x) VALUES(1, ?1) RETURNING id, x", VESTRY_LIST(yes), append, text),
      VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_run_alone(l->pool, "SELECT * FROM t ORDER BY id DESC", NULL, append, text), VESTRY_OK);
  assert_string_equal(text, "1 1 9223372036854775807 it's\n\xc3\xb8 1.5 null 1 1 null null ");
  /* NOT_FOUND is returned only by a statement that could return rows, and has returned none. */
  assert_int_equal(vestry_sql_run_alone(l->pool, "SELECT 1 FROM t WHERE id = 7", NULL, NULL, NULL), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_sql_run_alone(l->pool, "DELETE FROM t WHERE id = 7", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_run_alone(l->pool, "DELETE FROM t WHERE id = 7 RETURNING 1", NULL, NULL, NULL),
                   VESTRY_NOT_FOUND);
  assert_int_equal(l->th.log_lines, 0);
}

LENDER_CASE(wrong_values_and_statements_are_logged) {
  static const char two[] = "SELECT ?, ?";
  const char *none = NULL;
  assert_int_equal(vestry_sql_run_alone(l->pool, two, VESTRY_LIST(1), NULL, NULL), VESTRY_INVALID);
  assert_logged(l, "vestry_sql_run", "SELECT ?, ?: not run, because 1 values were given for its 2 parameters");
  assert_int_equal(vestry_sql_run_alone(l->pool, two, NULL, NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_run_alone(l->pool, two, VESTRY_LIST(1, none), NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_run_alone(l->pool, two, VESTRY_LIST(1, VESTRY_LIST(2)), NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_run_alone(l->pool, two, VESTRY_OBJECT("a", 1), NULL, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_sql_run_alone(l->pool, "SELEKT 1", NULL, NULL, NULL), VESTRY_IO);
  assert_logged(l, "vestry_sql_run", "SELEKT ...: near \"SELEKT\": syntax error");
  assert_int_equal(vestry_sql_run_alone(l->pool, "-- nothing", NULL, NULL, NULL), VESTRY_IO);
  assert_int_equal(vestry_sql_run_alone(l->pool, "INSERT INTO t(id) VALUES(1), (1)", NULL, NULL, NULL), VESTRY_IO);
  assert_logged(l, "vestry_sql_run", "UNIQUE constraint failed: t.id");
  assert_in_range(l->th.log_lines, 6, 8); /* equal lines are logged once a minute */
  assert_int_equal(number(l, "SELECT count(*) FROM t"), 0);
  assert_int_equal(vestry_sql_run(NULL, two, NULL, NULL, NULL), VESTRY_INVALID);
}

TEST_CASE(statements_stay_prepared) {
  lender l;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 1});
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  int64_t found;
  for (int i = 0; i < 300; i++) {
    char sql[40];
    snprintf(sql, sizeof sql, "SELECT ? + %d", i % 3);
    assert_int_equal(vestry_sql_run(transaction, sql, VESTRY_LIST(i), vestry_sql_row_integer, &found), VESTRY_OK);
    assert_int_equal(found, i + i % 3);
  }
  assert_int_equal(stats_of(&l).prepared_count, 3);
  for (int i = 0; i < 600; i++) { /* 64 of 101 statements stay prepared, the one used each time among them */
    char sql[40];
    snprintf(sql, sizeof sql, "SELECT ? + %d", i % 2 ? i % 200 : 0);
    assert_int_equal(vestry_sql_run(transaction, sql, VESTRY_LIST(i), NULL, NULL), VESTRY_OK);
  }
  assert_in_range(stats_of(&l).prepared_count, 3 + 290, 3 + 301);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  end(&l);
}

typedef struct nest {
  vestry_sql_transaction *transaction;
  int depth, rows;
} nest;

static void go_deeper(const vestry_sql_row *row, void *ctx) {
  nest *n = ctx;
  n->rows++;
  if (n->depth == 3) return;
  n->depth++;
  assert_int_equal(
      vestry_sql_run(n->transaction, "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2)", NULL, go_deeper, n),
      VESTRY_OK);
  n->depth--;
}

LENDER_CASE(statement_can_run_within_its_own_rows) {
  nest n = {0};
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_READ, &n.transaction), VESTRY_OK);
  assert_int_equal(
      vestry_sql_run(n.transaction, "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 2)", NULL, go_deeper, &n),
      VESTRY_OK);
  assert_int_equal(n.rows, 2 + 4 + 8 + 16);
  assert_int_equal(vestry_sql_end(n.transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(stats_of(l).prepared_count, 4);
}

/* ------------------------------------------------------------------------------------------------- transactions --- */

LENDER_CASE(transaction_commits_or_rolls_back_as_a_whole) {
  vestry_sql_transaction *transaction, *again;
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  insert(l, 1); /* functions on this thread run within its transaction */
  assert_int_equal(number(l, "SELECT count(*) FROM t"), 1);
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_READ, &again), VESTRY_OK);
  assert_ptr_equal(again, transaction);
  /* Not the outermost end: the transaction stays open. */
  assert_int_equal(vestry_sql_end(again, VESTRY_NOT_FOUND), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_WRITE, &again), VESTRY_INVALID);
  assert_logged(l, "vestry_sql_begin (WRITE)", "end it before");
  assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  assert_int_equal(number(l, "SELECT count(*) FROM t"), 0);
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  insert(l, 1);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(number(l, "SELECT count(*) FROM t"), 1);
  /* A transaction that the application has ended by SQL. */
  assert_int_equal(vestry_sql_begin(l->pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  insert(l, 2);
  assert_int_equal(sqlite3_exec(vestry_sqlite_handle(transaction), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_IO);
  assert_logged(l, "vestry_sql_end", "rolled back");
  assert_int_equal(vestry_sql_end(NULL, VESTRY_LIMIT), VESTRY_LIMIT);
  assert_int_equal(stats_of(l).committed_count, 1);
  assert_int_equal(stats_of(l).rolled_back_count, 2);
}

/* Statements that end the whole transaction. */
static const struct ender {
  const char *sql;
  vestry_err error;
} enders[] = {{"INSERT INTO t(x) VALUES(zeroblob(8000000))", VESTRY_LIMIT}, /* the database is full */
              {"INSERT OR ROLLBACK INTO t(id) VALUES(100)", VESTRY_IO},
              {"INSERT INTO u VALUES(1)", VESTRY_IO} /* a trigger */};

static void assert_rejects_all(lender *l, vestry_sql_transaction *transaction, vestry_err error) {
  int64_t found;
  static const char insert_one[] = "INSERT INTO t(id) VALUES(2)";
  assert_int_equal(vestry_sql_run(transaction, insert_one, NULL, NULL, NULL), error);
  assert_int_equal(vestry_sql_run(transaction, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &found), error);
  assert_int_equal(vestry_sql_run_alone(l->pool, insert_one, NULL, NULL, NULL), error);
  assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), error);
  assert_int_equal(vestry_sql_run(transaction, "SAVEPOINT s", NULL, NULL, NULL), error);
}

/* Such a statement would be committed alone. */
TEST_CASE(statement_after_a_lost_transaction_is_rejected) {
  static const struct {
    vestry_sql_kind kind;
    vestry_err end;
  } uses[] = {
      {VESTRY_SQL_WRITE, VESTRY_OK}, {VESTRY_SQL_SERIALIZABLE, VESTRY_INVALID}, {VESTRY_SQL_READ, VESTRY_INVALID}};
  lender l;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 1});
  insert(&l, 100);
  static const char *const more[] = {
      "CREATE TABLE u(x)", "CREATE TRIGGER never BEFORE INSERT ON u BEGIN SELECT RAISE(ROLLBACK, 'never'); END"};
  for (size_t i = 0; i < 2; i++) assert_int_equal(vestry_sql_run_alone(l.pool, more[i], NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(number(&l, "PRAGMA max_page_count = 200"), 200);
  for (size_t i = 0; i < 9; i++) {
    const struct ender *ender = &enders[i / 3];
    const bool is_writing = uses[i % 3].kind != VESTRY_SQL_READ;
    const vestry_err end_with = uses[i % 3].end;
    vestry_sql_transaction *transaction;
    assert_int_equal(vestry_sql_begin(l.pool, uses[i % 3].kind, &transaction), VESTRY_OK);
    if (!is_writing) assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(id) VALUES(1)", NULL, NULL, NULL), VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, ender->sql, NULL, NULL, NULL), ender->error);
    assert_rejects_all(&l, transaction, ender->error);
    if (!i) assert_logged(&l, "vestry_sql_run", "has ended the transaction; call vestry_sql_end");
    assert_int_equal(vestry_sql_end(transaction, end_with), end_with ? end_with : ender->error);
    assert_int_equal(number(&l, "SELECT count(*) FROM t"), 1);
  }
  vestry_sql_transaction *transaction; /* the application itself has ended it */
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(sqlite3_exec(vestry_sqlite_handle(transaction), "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
  assert_rejects_all(&l, transaction, VESTRY_IO);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_IO);
  /* Other failures leave it as it is. */
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(id) VALUES(100)", NULL, NULL, NULL), VESTRY_IO);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(id) VALUES(3)", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(number(&l, "SELECT count(*) FROM t"), 2);
  end(&l);
}

/* From now on SQLite gets no more memory, or it gets memory again. */
static void starve(bool is_starved) {
  sqlite3_hard_heap_limit64(is_starved ? sqlite3_memory_used() + 1 : 0);
}

/* The kinds of transactions that hold the write lock: for writing, and begun by SQL. */
static vestry_sql_transaction *begin_with_a_row(lender *l, vestry_sql_kind kind) {
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(l->pool, kind, &transaction), VESTRY_OK);
  if (kind != VESTRY_SQL_WRITE) assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(x) VALUES(7)", NULL, NULL, NULL), VESTRY_OK);
  return transaction;
}

static const vestry_sql_kind holders[] = {VESTRY_SQL_WRITE, VESTRY_SQL_READ, VESTRY_SQL_READ_ASIDE};

/* The first end of a connection's life needs no memory. */
TEST_CASE(transaction_ends_without_memory) {
  for (int i = 0; i < 6; i++) {
    const bool is_kept = holders[i / 2] == VESTRY_SQL_WRITE && i % 2;
    lender l;
    begin(&l, (vestry_sqlite_pool_options){.connections_count = 1, .wait_ms = 20, .busy_ms = 5});
    vestry_sql_transaction *transaction = begin_with_a_row(&l, holders[i / 2]);
    starve(true);
    const vestry_err error = vestry_sql_end(transaction, i % 2 ? VESTRY_OK : VESTRY_FAILED);
    starve(false);
    assert_int_equal(error, i % 2 ? VESTRY_OK : VESTRY_FAILED);
    assert_int_equal(number(&l, "SELECT count(*) FROM t"), is_kept);
    insert(&l, 100);
    end(&l);
  }
}

static int permit(void *ctx, int action, const char *first, const char *second, const char *schema_name,
                  const char *inside) {
  return SQLITE_OK;
}

/* SQLite must prepare ROLLBACK again, and has no memory. */
TEST_CASE(connection_that_cannot_roll_back_is_not_used) {
  for (int i = 0; i < 9; i++) {
    lender l;
    vestry_sql_transaction *transaction;
    sqlite3 *other;
    begin(&l, (vestry_sqlite_pool_options){.connections_count = 1 + i % 2, .wait_ms = 20, .busy_ms = 5});
    transaction = begin_with_a_row(&l, holders[i / 3]);
    sqlite3_set_authorizer(vestry_sqlite_handle(transaction), permit, NULL); /* this outdates all prepared statements */
    starve(true);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
    assert_logged(&l, "vestry_sql_end", "cannot roll back the transaction");
    for (size_t at = 0; at < 3; at++) { /* each begin opens it again, and fails, or gets another connection */
      const vestry_err error = vestry_sql_begin(l.pool, holders[at], &transaction);
      const bool writes = holders[at] == VESTRY_SQL_WRITE;
      if (!error) assert_true(writes == !sqlite3_get_autocommit(vestry_sqlite_handle(transaction)));
      if (!error) vestry_sql_end(transaction, VESTRY_OK);
      if (error) assert_true(error == VESTRY_LIMIT || error == VESTRY_NO_MEMORY);
    }
    starve(false);
    /* The next begin of any kind heals it. */
    assert_int_equal(vestry_sql_begin(l.pool, holders[i % 3], &transaction), VESTRY_OK);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    assert_int_equal(sqlite3_open(l.path, &other), SQLITE_OK);
    ledger_run(other, "INSERT INTO t(x) VALUES(8)");
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    assert_int_equal(number(&l, "SELECT count(*) FROM t"), 1);
    insert(&l, 100);
    end(&l);
  }
}

static int64_t seen_by(vestry_sql_transaction *transaction) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run(transaction, "SELECT count(*) FROM t", NULL, vestry_sql_row_integer, &found),
                   VESTRY_OK);
  return found;
}

TEST_CASE(read_checkout_is_no_snapshot) {
  lender l, other;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 1});
  other = l;
  assert_int_equal(open_pool(&other, (vestry_sqlite_pool_options){.path = l.path}), VESTRY_OK);
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(seen_by(transaction), 0);
  insert(&other, 1);
  assert_int_equal(seen_by(transaction), 1);
  assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), VESTRY_OK); /* this begins a snapshot */
  assert_int_equal(seen_by(transaction), 1);
  insert(&other, 2);
  assert_int_equal(seen_by(transaction), 1);
  assert_int_equal(vestry_sql_run(transaction, "COMMIT", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(seen_by(transaction), 2);

  /* A transaction left open is not handed to the next checkout. */
  assert_int_equal(vestry_sql_run(transaction, "BEGIN", NULL, NULL, NULL), VESTRY_OK);
  assert_int_equal(seen_by(transaction), 2);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_logged(&l, "vestry_sql_end", "not ended");
  insert(&other, 3);
  assert_int_equal(number(&l, "SELECT count(*) FROM t"), 3);
  insert(&l, 4);
  vestry_sql_pool_destroy(other.pool);
  end(&l);
}

static void count_commit(void *ctx) {
  lender *l = ctx;
  l->calls++;
  l->rows_at_call = number(l, "SELECT count(*) FROM t"); /* the commit is visible, and the connection is free */
}

TEST_CASE(commit_callback_runs_after_each_commit) {
  lender l;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 1});
  vestry_sql_transaction *transaction;
  vestry_sqlite_pool_on_commit(l.pool, count_commit, &l);
  insert(&l, 1);
  assert_int_equal(l.calls, 1);
  assert_int_equal(l.rows_at_call, 1);
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  insert(&l, 2);
  assert_int_equal(l.calls, 1);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  assert_int_equal(l.calls, 1);
  vestry_sqlite_pool_on_commit(l.pool, NULL, NULL);
  insert(&l, 2);
  assert_int_equal(l.calls, 1);
  end(&l);
}

static void *try_to_begin(void *ctx) {
  lender *l = ctx;
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(l->pool, l->tried, &transaction);
  if (!error) vestry_sql_end(transaction, VESTRY_OK);
  return (void *)(uintptr_t)error;
}

static vestry_err in_a_thread(lender *l, vestry_sql_kind kind) {
  pthread_t thread;
  void *error;
  l->tried = kind;
  assert_int_equal(pthread_create(&thread, NULL, try_to_begin, l), 0);
  assert_int_equal(pthread_join(thread, &error), 0);
  return (vestry_err)(uintptr_t)error;
}

TEST_CASE(waits_for_a_connection_are_bounded) {
  lender l;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 1, .wait_ms = 20, .busy_ms = 5});
  vestry_sql_transaction *transaction, *aside;
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(in_a_thread(&l, VESTRY_SQL_READ), VESTRY_LIMIT);
  assert_logged(&l, "vestry_sql_begin (READ)", "connections_count is 1; raise it");
  assert_int_equal(in_a_thread(&l, VESTRY_SQL_WRITE), VESTRY_LIMIT);
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_READ_ASIDE, &aside), VESTRY_OK); /* one checkout of each kind */
  assert_ptr_not_equal(aside, transaction);
  assert_int_equal(vestry_sql_end(aside, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(in_a_thread(&l, VESTRY_SQL_WRITE), VESTRY_OK); /* the write lock was released */
  assert_int_equal(stats_of(&l).refused_count, 2);
  sqlite3 *other; /* nor for another process */
  assert_int_equal(sqlite3_open(l.path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(vestry_sql_begin(l.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_LIMIT);
  assert_logged(&l, "vestry_sql_begin (WRITE)", "another program is writing to the database");
  sqlite3_close(other);
  assert_int_equal(in_a_thread(&l, VESTRY_SQL_WRITE), VESTRY_OK);
  end(&l);
}

static uint64_t look_ns;
static int looks_count;

static bool is_there_at_the_third_look(const void *ctx) {
  look_ns = vsi_monotonic_ns() + 1;
  return ++looks_count > 2;
}

/* A process was stopped (SIGSTOP) beyond the time, with the thread that has the connection. */
TEST_CASE(thread_that_wakes_up_late_waits_once_more) {
  vsi_thread_line line = {0};
  vsi_mutex lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_SQL_POOL);
  const uint64_t until_ns = vsi_monotonic_ns() - VSI_LINE_LATE_NS;
  vsi_mutex_lock(&lock);
  assert_true(vsi_line_wait_locked(&line, &lock, until_ns, &look_ns, is_there_at_the_third_look, NULL));
  vsi_mutex_unlock(&lock);
}

typedef struct worker {
  lender *l;
  unsigned seed;
  pthread_t thread;
} worker;

static void *work(void *ctx) {
  worker *w = ctx;
  for (int i = 0; i < 100; i++) {
    vestry_sql_transaction *transaction;
    int64_t found;
    const bool writes = (w->seed + (unsigned)i) % 3;
    assert_int_equal(vestry_sql_begin(w->l->pool, writes ? VESTRY_SQL_WRITE : VESTRY_SQL_READ, &transaction),
                     VESTRY_OK);
    assert_int_equal(vestry_sql_run(transaction, "SELECT x FROM t WHERE id = 0", NULL, vestry_sql_row_integer, &found),
                     VESTRY_OK);
    if (writes)
      assert_int_equal(
          vestry_sql_run(transaction, "UPDATE t SET x = ? WHERE id = 0", VESTRY_LIST(found + 1), NULL, NULL),
          VESTRY_OK);
    if (i % 10 == 0) sched_yield();
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  }
  return NULL;
}

TEST_CASE(many_threads_share_two_connections) {
  lender l;
  begin(&l, (vestry_sqlite_pool_options){.connections_count = 2, .wait_ms = 60000});
  insert(&l, 0);
  assert_int_equal(vestry_sql_run_alone(l.pool, "UPDATE t SET x = 0", NULL, NULL, NULL), VESTRY_OK);
  worker workers[6];
  int64_t writes = 0;
  for (unsigned i = 0; i < 6; i++) {
    workers[i] = (worker){.l = &l, .seed = i};
    for (unsigned turn = 0; turn < 100; turn++) writes += (i + turn) % 3 != 0;
    assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
  }
  for (int i = 0; i < 6; i++) pthread_join(workers[i].thread, NULL);
  assert_int_equal(number(&l, "SELECT x FROM t WHERE id = 0"), writes);
  assert_int_equal(stats_of(&l).refused_count, 0);
  assert_true(stats_of(&l).prepared_count <= 2 * 8);
  assert_int_equal(l.th.log_lines, 0); /* no thread got an error or a log line */
  end(&l);
}

/* ----------------------------------------------------------------------------------------------- opening a pool --- */

TEST_CASE(schema_is_upgraded_and_later_version_rejected) {
  lender l;
  make_folder(&l);
  vestry_sqlite_pool_options first = {.schema = schema, .schema_version = 1};
  vestry_sqlite_pool_options second = {
      .schema = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x, y, z); CREATE TABLE IF NOT EXISTS u(a)",
      .schema_version = 2};
  assert_int_equal(open_pool(&l, first), VESTRY_OK);
  insert(&l, 5);
  vestry_sql_pool_destroy(l.pool);
  assert_int_equal(open_pool(&l, second), VESTRY_OK); /* upgraded */
  assert_int_equal(number(&l, "SELECT id FROM t"), 5);
  assert_int_equal(number(&l, "SELECT count(*) FROM u"), 0);
  assert_int_equal(number(&l, "PRAGMA user_version"), 2);
  vestry_sql_pool_destroy(l.pool);
  l.pool = NULL;
  assert_int_equal(open_pool(&l, first), VESTRY_IO); /* tables of a later version are rejected */
  assert_null(l.pool);
  assert_logged(&l, "vestry_sqlite_pool_create", "have version 2, but this program supports at most version 1");
  vestry_sqlite_pool_options broken = {.schema = "CREATE TABLE w(a); CREATE TABLE t(a)", .schema_version = 3};
  assert_int_equal(open_pool(&l, broken), VESTRY_IO);
  assert_logged(&l, "vestry_sqlite_pool_create", "cannot create the tables: table t already exists");
  /* Without a schema the version is not checked. */
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){0}), VESTRY_OK);
  assert_int_equal(number(&l, "PRAGMA user_version"), 2);
  /* The failed schema was rolled back completely. */
  assert_int_equal(number(&l, "SELECT count(*) FROM sqlite_schema"), 2);
  end(&l);
}

TEST_CASE(created_files_have_file_mode) {
  static const struct {
    uint32_t asked;
    mode_t mode;
  } rows[] = {{0, 0600}, {0640, 0640}};
  const mode_t before = umask(022);
  for (size_t i = 0; i < 2; i++) {
    lender l;
    struct stat of;
    char wal[128];
    begin(&l, (vestry_sqlite_pool_options){.file_mode = rows[i].asked});
    insert(&l, 1);
    snprintf(wal, sizeof wal, "%s-wal", l.path);
    assert_int_equal(stat(l.path, &of), 0);
    assert_int_equal(of.st_mode & 0777, rows[i].mode);
    assert_int_equal(stat(wal, &of), 0);
    assert_int_equal(of.st_mode & 0777, rows[i].mode);
    end(&l);
  }
  umask(before);
}

TEST_CASE(failed_open_logs_its_remedy) {
  lender l;
  char path[128];
  make_folder(&l);
  static const char *const none[] = {"", ":memory:"};
  for (size_t i = 0; i < 2; i++) {
    assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.path = none[i]}), VESTRY_INVALID);
    assert_non_null(strstr(l.th.last_log, "options.path must name a file"));
  }
  snprintf(path, sizeof path, "%s/no/pool.db", l.folder);
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.path = path}), VESTRY_IO);
  assert_logged(&l, "vestry_sqlite_pool_create", "create the folder");
  FILE *text = fopen(l.path, "w");
  for (int i = 0; i < 100; i++) fputs("This is a letter.", text);
  fclose(text);
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){0}), VESTRY_IO);
  assert_logged(&l, "vestry_sqlite_pool_create", "choose another file");
  assert_int_equal(unlink(l.path), 0);
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.schema = schema}), VESTRY_INVALID);
  assert_logged(&l, "vestry_sqlite_pool_create", "schema_version");
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.connections_count = 1025}), VESTRY_INVALID);
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.setup = "PRAGMA nonsense = ("}), VESTRY_IO);
  assert_logged(&l, "vestry_sqlite_pool_create", "cannot run options.setup");
  sqlite3 *other;
  assert_int_equal(sqlite3_open(l.path, &other), SQLITE_OK);
  assert_int_equal(sqlite3_exec(other, "CREATE TABLE other(x); BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  assert_int_equal(open_pool(&l, (vestry_sqlite_pool_options){.schema = schema, .schema_version = 1, .busy_ms = 1}),
                   VESTRY_BUSY);
  assert_logged(&l, "vestry_sqlite_pool_create", "another program is writing to the database");
  sqlite3_close(other);
  assert_null(l.pool);
  assert_int_equal(vestry_sqlite_pool_create(NULL, &l.pool), VESTRY_INVALID);
  vestry_sql_pool_destroy(NULL);
  test_host_assert_clean(&l.th);
  folder_remove(l.folder);
}

/* ---------------------------------------------------------------------------------------------- followed pools ---- */

LEDGER_CASE(pages_follow_commits_of_the_pool) {
  ledger_watch(s, "t");
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction;
  assert_int_equal(
      vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = &s->on.th.host, .path = s->path}, &pool),
      VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(pool, s->database), VESTRY_BUSY); /* a connection is checked out */
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(pool, s->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(pool, s->database), VESTRY_INVALID);
  vestry_sqlite_stats stats = {0};
  vestry_sqlite_stats_get(s->database, &stats);
  size_t others = stats.connections_count - 8;
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(x) VALUES(?)", VESTRY_LIST(7), NULL, NULL), VESTRY_OK);
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "t"), 0);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "t"), 1);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_run(transaction, "INSERT INTO t(x) VALUES(?)", VESTRY_LIST(8), NULL, NULL), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  ledger_sync(s);
  assert_int_equal(ledger_seen(s, "t"), 0);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_READ_ASIDE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  vestry_sqlite_pool_follow(pool, NULL);
  vestry_sqlite_stats_get(s->database, &stats);
  assert_int_equal(stats.connections_count, others);
  vestry_sql_pool_destroy(pool);
}

LEDGER_CASE(unfollow_does_not_wait_for_a_rollback) {
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction;
  const vestry_sqlite_pool_options options = {.host = &s->on.th.host, .path = s->path, .connections_count = 2};
  assert_int_equal(vestry_sqlite_pool_create(&options, &pool), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(pool, s->database), VESTRY_OK);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  sqlite3_set_authorizer(vestry_sqlite_handle(transaction), permit, NULL); /* this outdates all prepared statements */
  starve(true);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
  assert_int_equal(vestry_sqlite_pool_follow(pool, NULL), VESTRY_OK);
  starve(false);
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  vestry_sql_pool_destroy(pool);
}

/* A render in progress at shutdown. */
typedef struct late_reader {
  vestry_sql_pool *pool;
  _Atomic(bool) has_one, may_end, has_ended;
} late_reader;

static void *read_late(void *of) {
  late_reader *reader = of;
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(reader->pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  atomic_store(&reader->has_one, true);
  UNTIL(atomic_load(&reader->may_end));
  assert_int_equal(vestry_sql_run(transaction, "SELECT x FROM t", NULL, NULL, NULL), VESTRY_NOT_FOUND);
  atomic_store(&reader->has_ended, true);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  return NULL;
}

static void *let_it_end(void *of) {
  late_reader *reader = of;
  vestry_sql_pool_stats stats = {0};
  /* The call that stops following waits for the checked-out connection. */
  UNTIL((vestry_sql_pool_stats_get(reader->pool, &stats), stats.waits_count) || atomic_load(&reader->may_end));
  atomic_store(&reader->may_end, true);
  return NULL;
}

LEDGER_CASE(unfollow_waits_for_checked_out_connections) {
  late_reader reader = {.pool = NULL};
  assert_int_equal(
      vestry_sqlite_pool_create(
          &(vestry_sqlite_pool_options){.host = &s->on.th.host, .path = s->path, .connections_count = 3}, &reader.pool),
      VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(reader.pool, s->database), VESTRY_OK);
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(reader.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(reader.pool, NULL), VESTRY_BUSY); /* it would wait for itself */
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  pthread_t threads[2];
  assert_int_equal(pthread_create(&threads[0], NULL, read_late, &reader), 0);
  UNTIL(atomic_load(&reader.has_one));
  assert_int_equal(pthread_create(&threads[1], NULL, let_it_end, &reader), 0);
  assert_int_equal(vestry_sqlite_pool_follow(reader.pool, NULL), VESTRY_OK);
  const bool has_waited = atomic_load(&reader.has_ended);
  atomic_store(&reader.may_end, true);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
  assert_true(has_waited);
  vestry_sql_pool_stats stats = {0};
  vestry_sql_pool_stats_get(reader.pool, &stats);
  assert_int_equal(stats.checked_out_count, 0);
  vestry_sql_pool_destroy(reader.pool);
}

/* ------------------------------------------------------------------------------------------------- memory --------- */

static vestry_err open_and_close(test_host *th, void *ctx) {
  lender *l = ctx;
  vestry_sql_pool *pool;
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &th->host, .path = l->path, .connections_count = 3}, &pool);
  if (!error) vestry_sql_pool_destroy(pool);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  lender l;
  make_folder(&l);
  test_host_fail_each(open_and_close, &l, false);
  folder_remove(l.folder);
}
