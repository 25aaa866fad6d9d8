/* SPDX-License-Identifier: MIT */
/* Forms in a SQLite file: the contract of forms, survival of a killed process, use by all processes, clearing in the
 * transaction of the submit, and no loss after database faults. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "page/form_database_contract.h"
#include "sqlite/ledger.h"
#include "support/patience.h"
#include "vestry/data/sqlite.h"

/* The file; a test may open several suites on it. */
static char folder[FOLDER_BYTES], path[96];
static int64_t clock_s;

static void make_file(void) {
  folder_make(folder, "forms");
  snprintf(path, sizeof path, "%s/forms.db", folder);
  clock_s = 1700000000;
  ledger_clock(clock_s);
}

static void remove_file(void) {
  folder_remove(folder);
  *folder = '\0';
}

/* Another program writes to the file. */
static void write_from_outside(const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  ledger_run(db, sql);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void empty(void) {
  write_from_outside("DELETE FROM vestry_form_cleared");
}

/* A suite's objects on the file. */
typedef struct node {
  vestry_sql_pool *pool;
  vestry_forms_storage *stored;
  bool has_file; /* the node has created the file, and removes it */
} node;

static vestry_err open_pool(const vestry_host *host, vestry_sql_pool **ret_pool) {
  return vestry_sqlite_pool_create(&(vestry_sqlite_pool_options){.host = host,
                                                                 .path = path,
                                                                 .schema = "CREATE TABLE report(title TEXT)",
                                                                 .schema_version = 1,
                                                                 .setup = "PRAGMA synchronous = OFF",
                                                                 .connections_count = 2,
                                                                 .busy_ms = 1},
                                   ret_pool);
}

static vestry_forms_storage *open_node(form_suite *s) {
  node *n = calloc(1, sizeof *n);
  assert_non_null(n);
  s->world = n;
  n->has_file = !*folder;
  if (n->has_file) make_file();
  assert_int_equal(open_pool(&s->on.th.host, &n->pool), VESTRY_OK);
  assert_int_equal(vestry_sql_forms_create(n->pool, &n->stored), VESTRY_OK);
  return n->stored;
}

static void close_node(form_suite *s) {
  node *n = s->world;
  vestry_sql_forms_destroy(n->stored);
  vestry_sql_pool_destroy(n->pool);
  if (n->has_file) remove_file();
  free(n);
}

static void pass_s(form_suite *s, int seconds) {
  clock_s += seconds;
  ledger_clock(clock_s);
}

static vestry_sql_pool *pool_of(const form_suite *s) {
  return ((const node *)s->world)->pool;
}

static int64_t number_of(const form_suite *s, const char *sql) {
  int64_t number = -1;
  assert_int_equal(vestry_sql_run_alone(pool_of(s), sql, NULL, vestry_sql_row_integer, &number), VESTRY_OK);
  return number;
}

/* No other row is followed. */
static void check(const form_suite *s) {
  assert_int_equal(number_of(s, "SELECT count(*) FROM vestry_form_cleared WHERE slot NOT BETWEEN 0 AND 4095"), 0);
}

/* ----------------------------------------------------------------------------------------------- processes -------- */

/* A process that submits, and is killed at one point: an allocation of SQLite, or a release of vestry. */
static long points_left;
static void *(*real_malloc)(int);
static struct shared { form_tab tab; } * shared;

static void point(void) {
  if (points_left > 0 && --points_left == 0) raise(SIGKILL);
}

static void free_at(void *ctx) {
  point();
}

static void *counted_malloc(int size) {
  point();
  return real_malloc(size);
}

/* Call this before the first use of SQLite. */
static void count_memory(void) {
  sqlite3_mem_methods methods;
  sqlite3_shutdown();
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &methods), SQLITE_OK);
  real_malloc = methods.xMalloc;
  methods.xMalloc = counted_malloc;
  assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &methods), SQLITE_OK);
}

static bool submit_in_a_process(long points) {
  pid_t child = fork();
  if (!child) {
    form_suite s;
    form_tab t = shared->tab;
    form_begin_submit(&s);
    s.on.th.on_free = free_at;
    points_left = points;
    (void)form_call(&s, &t, "POST", "/submit", "x=1", NULL);
    points_left = 0;
    form_end(&s);
    _exit(0);
  }
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) ? WEXITSTATUS(status) == 0 : WTERMSIG(status) == SIGKILL);
  return WIFEXITED(status);
}

/* capability: L4 */
TEST_CASE(killed_process_has_either_submitted_or_kept_the_form) {
  form_suite s;
  int sent = 0, kept = 0;
  make_file();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(shared, MAP_FAILED);
  bool is_whole = false;
  for (long points = 1; !is_whole; points++) {
    form_begin_submit(&s);
    if (!*shared->tab.sealed) form_load(&s, &shared->tab);
    form_load(&s, &shared->tab);
    const int64_t before = number_of(&s, "SELECT count(*) FROM report");
    assert_int_equal(form_send(&s, &shared->tab, (uint64_t)points, "v.title=typed"), 200);
    form_end(&s); /* no connection is open during a fork */
    is_whole = submit_in_a_process(points);
    form_begin_submit(&s);
    const bool is_sent = number_of(&s, "SELECT count(*) FROM report") > before;
    form_shows(&s, &shared->tab, is_sent ? "value=\"first\"" : "value=\"typed\"");
    form_end(&s);
    sent += is_sent;
    kept += !is_sent;
  }
  assert_true(sent > 1 && kept > 1); /* some processes were killed after the commit, some before */
  munmap(shared, sizeof *shared);
  remove_file();
}

/* ------------------------------------------------------------------------------------------------- faults --------- */

/* capability: L4 */
TEST_CASE(locked_or_full_database_keeps_the_form) {
  form_suite s;
  form_tab t = {.cookie = ""};
  sqlite3 *other;
  char large[60100], sql[64];
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
  ledger_run(other, "BEGIN IMMEDIATE");
  assert_int_equal(form_send(&s, &t, 2, "v.title=more"), 503);
  assert_int_equal(form_send(&s, &t, 3, "clear=1"), 503);
  assert_int_equal(form_call(&s, &t, "POST", "/submit", "x=1", NULL), 503);
  form_shows(&s, &t, "value=\"typed\"");
  ledger_run(other, "ROLLBACK");
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  assert_int_equal(form_send(&s, &t, 4, "v.title=more"), 200);
  vestry_sql_transaction *loans[2];
  /* The limit applies per connection, and the pool's next connection is not always the one returned last. */
  snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", (int)number_of(&s, "PRAGMA page_count") + 1);
  for (int is_full = 1; is_full >= 0; is_full--) {
    for (size_t i = 0; i < 2; i++) {
      assert_int_equal(vestry_sql_begin(pool_of(&s), VESTRY_SQL_WRITE, &loans[0]), VESTRY_OK);
      ledger_run(vestry_sqlite_handle(loans[0]), is_full ? sql : "PRAGMA max_page_count = 1000000");
      assert_int_equal(vestry_sql_end(loans[0], VESTRY_OK), VESTRY_OK);
    }
    snprintf(large, sizeof large, "v.text=%060000d", 1);
    assert_int_equal(form_send(&s, &t, is_full ? 5 : 6, large), is_full ? 503 : 200);
    if (is_full) form_shows(&s, &t, "value=\"more\"");
  }
  const vestry_forms_stats stats = form_stats(&s);
  assert_int_equal(stats.refused_count, 3);
  assert_int_equal(stats.cleared_count, 0);
  form_end(&s);
}

/* For each message and each submit, a trigger of another program causes a line. */
TEST_CASE(row_that_a_trigger_drops_is_logged_once_a_minute) {
  enum { TRIES = 10 };
  form_suite s;
  form_tab t = {.cookie = ""};
  form_begin_submit(&s);
  form_load(&s, &t);
  write_from_outside("CREATE TRIGGER drops BEFORE INSERT ON vestry_form BEGIN SELECT RAISE(IGNORE); END");
  for (int minute = 0; minute < 3; minute++) {
    const long lines = atomic_load(&s.on.th.log_lines);
    const char *before = minute ? "(and 9 times before)" : "vestry_form";
    for (int i = 0; i < TRIES; i++) assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 503);
    assert_int_equal(atomic_load(&s.on.th.log_lines), lines + 1);
    assert_non_null(strstr(s.on.th.last_log, "the typed text was not stored now"));
    assert_non_null(strstr(s.on.th.last_log, before));
    for (int i = 0; i < TRIES; i++) assert_int_equal(form_send(&s, &t, 1, "clear=1"), 500);
    assert_int_equal(atomic_load(&s.on.th.log_lines), lines + 3); /* the second line is about the response */
    assert_non_null(strstr(s.on.th.last_log, minute ? before : "answered 500"));
    test_host_advance_ms(&s.on.th, 60000);
  }
  form_end(&s);
}

/* The tables of vestry 0.3.0, with one form. */
static const char old_tables[] =
    "CREATE TABLE kept AS SELECT * FROM vestry_form; DROP TABLE vestry_form; DROP TABLE vestry_form_cleared;"
    "CREATE TABLE vestry_form(id INTEGER PRIMARY KEY, scope BLOB NOT NULL, tab TEXT NOT NULL, name TEXT NOT NULL,"
    " is_visitor INTEGER NOT NULL, generation INTEGER NOT NULL, number INTEGER NOT NULL, expires INTEGER NOT NULL,"
    " room INTEGER NOT NULL, pairs BLOB NOT NULL) STRICT;"
    "CREATE TABLE vestry_form_total(is_visitor INTEGER PRIMARY KEY, forms INTEGER NOT NULL, bytes INTEGER NOT NULL)"
    " STRICT;"
    "CREATE TABLE vestry_form_cleared(id INTEGER PRIMARY KEY, generation INTEGER NOT NULL) STRICT;"
    "CREATE TRIGGER vestry_form_goes AFTER DELETE ON vestry_form BEGIN UPDATE vestry_form_total"
    " SET forms = forms - 1, bytes = bytes - old.room WHERE is_visitor = old.is_visitor;"
    " DELETE FROM vestry_form_cleared WHERE id = old.id; END;"
    "INSERT INTO vestry_form SELECT 7, scope, tab, name, is_visitor, generation, number, expires, room, pairs FROM "
    "kept;"
    "INSERT INTO vestry_form_cleared VALUES(7, 1); UPDATE vestry_schema SET version = 1 WHERE part = 'form'";

/* capability: L4 */
TEST_CASE(file_of_an_old_version_keeps_its_forms) {
  form_suite s;
  form_tab t = {.cookie = ""};
  make_file();
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  form_end(&s);
  write_from_outside(old_tables);
  for (int i = 0; i < 2; i++) {
    form_begin_submit(&s);
    assert_int_equal(atomic_load(&s.on.th.log_lines), 0);
    assert_int_equal(number_of(&s, "SELECT version FROM vestry_schema WHERE part = 'form'"), 3);
    assert_int_equal(number_of(&s, "SELECT count(*) FROM sqlite_schema WHERE type = 'trigger'"), 0);
    form_shows(&s, &t, "value=\"typed\"");
    form_end(&s);
  }
  remove_file();
}

/* capability: L4 */
TEST_CASE(later_version_is_rejected) {
  form_suite s;
  vestry_forms_storage *stored = NULL;
  make_file();
  form_begin_submit(&s);
  write_from_outside("UPDATE vestry_schema SET version = 9 WHERE part = 'form'");
  assert_int_equal(vestry_sql_forms_create(pool_of(&s), &stored), VESTRY_IO);
  assert_non_null(strstr(s.on.th.last_log, "(form) have version 9"));
  assert_int_equal(vestry_sql_forms_create(NULL, &stored), VESTRY_INVALID);
  assert_int_equal(vestry_sql_forms_create(pool_of(&s), NULL), VESTRY_INVALID);
  vestry_sql_forms_destroy(NULL);
  form_end(&s);
  remove_file();
}

/* For example by a script that empties all tables. */
/* capability: L4 */
TEST_CASE(version_is_written_again_after_vestry_schema_was_emptied) {
  form_suite s;
  form_tab t = {.cookie = ""};
  make_file();
  form_begin_submit(&s);
  form_load(&s, &t);
  assert_int_equal(form_send(&s, &t, 1, "v.title=typed"), 200);
  form_end(&s);
  write_from_outside("DELETE FROM vestry_schema");
  for (int i = 0; i < 2; i++) {
    form_begin_submit(&s);
    assert_int_equal(atomic_load(&s.on.th.log_lines), 0);
    assert_int_equal(number_of(&s, "SELECT version FROM vestry_schema WHERE part = 'form'"), 3);
    form_shows(&s, &t, "value=\"typed\"");
    form_end(&s);
  }
  remove_file();
}

/* Store a form of another session. */
static void store_one(form_suite *s) {
  char what[1000];
  form_tab t = {.cookie = ""};
  snprintf(what, sizeof what, "v.title=%0900d", 1);
  form_load(s, &t);
  assert_int_equal(form_send(s, &t, 1, what), 200);
}

/* capability: L4 */
TEST_CASE(bounds_hold_although_others_add_forms) {
  enum { MOST = 40000, FEW = 5, MANY = 60 };
  form_suite s;
  form_begin(&s, &(vestry_forms_options){.max_form_bytes = 1000, .max_bytes = MOST});
  for (int k = 0; k < FEW; k++) store_one(&s);
  write_from_outside("INSERT INTO vestry_form SELECT scope, tab || 'x', name, generation, number, pairs, room, expires,"
                     " is_visitor, person FROM vestry_form");
  for (int k = 0; k < MANY; k++) store_one(&s);
  assert_in_range(number_of(&s, "SELECT sum(room) FROM vestry_form"), MOST / 4, MOST / 2); /* of anonymous users */
  form_end(&s);
}

/* ----------------------------------------------------------------------------------- the contract ----------------- */

static vestry_err submit(form_suite *s, const vestry_request *req, vestry_err end) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool_of(s), VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  error = vestry_sql_run(transaction, "INSERT INTO report(title) VALUES('typed')", NULL, NULL, NULL);
  if (!error) error = vestry_forms_clear(s->forms, req, "report:7");
  return vestry_sql_end(transaction, error ? error : end);
}

static vestry_err clear_reading(form_suite *s, const vestry_request *req) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool_of(s), VESTRY_SQL_READ, &transaction);
  return error ? error : vestry_sql_end(transaction, vestry_forms_clear(s->forms, req, "report:7"));
}

static vestry_err open_alone(const vestry_host *host, void **ret_world, vestry_forms_storage **ret_storage) {
  vestry_sql_pool *pool = NULL;
  vestry_err error = open_pool(host, &pool);
  *ret_world = pool;
  return error ? error : vestry_sql_forms_create(pool, ret_storage);
}

static void close_alone(void *world, vestry_forms_storage *storage) {
  vestry_sql_forms_destroy(storage);
  vestry_sql_pool_destroy(world);
}

typedef struct live_node {
  vestry_sql_pool *pool;
  vestry_sqlite *database;
} live_node;

static void open_live(form_live *l, int level) {
  live_node *own = calloc(1, sizeof *own);
  assert_non_null(own);
  l->world = own;
  assert_int_equal(open_pool(&l->on.th.host, &own->pool), VESTRY_OK);
  const vestry_sqlite_options follow = {.path = path, .level = (vestry_sqlite_level)level, .poll_ms = 60000};
  assert_int_equal(vestry_sqlite_create(l->on.pages, &follow, &own->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(own->pool, own->database), VESTRY_OK);
  assert_int_equal(vestry_sql_forms_create(own->pool, &l->stored), VESTRY_OK);
}

static void close_live(form_live *l) {
  live_node *own = l->world;
  vestry_sql_forms_destroy(l->stored);
  vestry_sqlite_pool_follow(own->pool, NULL);
  vestry_sqlite_destroy(own->database);
  vestry_sql_pool_destroy(own->pool);
  free(own);
}

static vestry_err clear_live(form_live *l, const vestry_request *req) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(((const live_node *)l->world)->pool, VESTRY_SQL_WRITE, &transaction);
  return error ? error : vestry_sql_end(transaction, vestry_forms_clear(l->forms, req, "report:7"));
}

static void settle_live(form_live *l) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(((const live_node *)l->world)->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(l->on.pages, seq, PATIENCE_S * 1000), VESTRY_OK);
}

int main(void) {
  count_memory();
  const form_level levels[] = {
      {VESTRY_SQLITE_DEFAULT, true, vestry_sqlite_record_pages() == VESTRY_OK, true, false},
      {VESTRY_SQLITE_TABLES, true, false, true, false},
  };
  const form_database in_a_file = {.world = {open_node, close_node, pass_s},
                                   .make = make_file,
                                   .remove = remove_file,
                                   .empty = empty,
                                   .number = number_of,
                                   .check = check,
                                   .submit = submit,
                                   .clear_reading = clear_reading,
                                   .open_alone = open_alone,
                                   .close_alone = close_alone,
                                   .open_live = open_live,
                                   .close_live = close_live,
                                   .clear_live = clear_live,
                                   .settle_live = settle_live,
                                   .levels = levels,
                                   .levels_count = sizeof levels / sizeof *levels};
  return form_database_run("forms in a file", &in_a_file) + cases_run("sqlite/forms", NULL, NULL);
}
