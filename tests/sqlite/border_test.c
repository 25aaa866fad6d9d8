/* SPDX-License-Identifier: MIT */
/* The border of the process: several processes write, read and checkpoint one file, are stopped within a checkpoint or
 * in the queue, and are killed. No committed row is lost, no write is refused, and the WAL stays bounded. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/folder.h"
#include "support/site.h"
#include "support/until.h"
#include "vestry/data/sqlite.h"

enum { PROCESSES_MOST = 12, MAX_WAL_BYTES = 1 << 20, ROW_BYTES = 64 << 10, NEXT_AT = (1 << 30) + (1 << 20) };

/* Where a process pauses. */
typedef enum stage { RUNNING, ARMED, BEFORE_LOCK, PASSED, WITHIN, OVER } stage;

/* Memory shared by all processes. */
static struct shared {
  _Atomic(int) stage;
  _Atomic(bool) is_ready, is_over;
  _Atomic(long) told, refused, begun;
  struct {
    _Atomic(long) written, full;
  } of[PROCESSES_MOST];
} * shared;

static char folder[FOLDER_BYTES], path[96];
static bool is_mounted;

static void for_counts(void (*test)(int)) {
  test(2);
  test(3);
  test(PROCESSES_MOST);
}

static const char schema[] = "CREATE TABLE t(id INTEGER PRIMARY KEY, who INTEGER, pad BLOB); INSERT "
                             "INTO t VALUES(1, 0, 'one')";

static void begin(void) {
  folder_make(folder, "border");
  snprintf(path, sizeof path, "%s/x.db", folder);
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  assert_ptr_not_equal(shared, MAP_FAILED);
}

static int64_t read_number(const char *sql) {
  sqlite3 *db;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  const int64_t number = sqlite3_column_int64(statement, 0);
  sqlite3_finalize(statement);
  sqlite3_close(db);
  return number;
}

static int find_damage(void *count, int columns, char **values, char **names) {
  if (strcmp(values[0], "ok") != 0) print_message("%s: %s\n", path, values[0]), ++*(int *)count;
  return 0;
}

/* All rows that were told are in a file that is whole; the first row belongs to the schema. */
static void end(void) {
  int damages = 0;
  sqlite3 *db;
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  assert_int_equal(sqlite3_exec(db, "PRAGMA integrity_check(9)", find_damage, &damages, NULL), SQLITE_OK);
  sqlite3_close(db);
  assert_int_equal(damages, 0);
  assert_int_equal(read_number("SELECT count(*) FROM t NOT INDEXED"), atomic_load(&shared->told) + 1);
  munmap(shared, sizeof *shared);
  if (is_mounted) assert_int_equal(umount(folder), 0);
  is_mounted = false;
  folder_remove(folder);
}

static vestry_sql_pool *open_pool(const vestry_host *host, vestry_sqlite_pool_options options) {
  vestry_sql_pool *pool = NULL;
  options.host = host;
  options.path = path;
  options.schema = schema;
  options.schema_version = 1;
  return vestry_sqlite_pool_create(&options, &pool) ? NULL : pool;
}

/* Commit rows, and count those that were told. */
static vestry_err put(vestry_sql_pool *pool, int count, int bytes) {
  vestry_sql_transaction *transaction;
  vestry_err error = vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction);
  if (error) return error;
  for (int i = 0; i < count && !error; i++)
    error = vestry_sql_run(transaction, "INSERT INTO t(who, pad) VALUES($1, zeroblob($2))",
                           VESTRY_LIST((int)getpid(), bytes), NULL, NULL);
  error = vestry_sql_end(transaction, error);
  if (!error) atomic_fetch_add(&shared->told, count);
  return error;
}

typedef struct load {
  int transactions, rows;
} load;

static void run_writer(load of) {
  vestry_sql_pool *pool = open_pool(NULL, (vestry_sqlite_pool_options){.connections_count = 2});
  if (!pool) _exit(1);
  for (int i = 0; i < of.transactions && !atomic_load(&shared->is_over); i++) {
    atomic_fetch_add(&shared->begun, 1);
    if (put(pool, of.rows, 100)) atomic_fetch_add(&shared->refused, 1);
    atomic_store(&shared->is_ready, true);
  }
  vestry_sql_pool_destroy(pool);
  _exit(0);
}

static void join(pid_t child) {
  int status;
  assert_int_equal(waitpid(child, &status, 0), child);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Another process has NEXT or TURN of src/data/sqlite/turn.c. */
static bool is_somebody_next(void) {
  char wal[120];
  snprintf(wal, sizeof wal, "%s-wal", path);
  const int fd = open(wal, O_RDWR | O_CLOEXEC);
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = NEXT_AT, .l_len = 2 << 20};
  const bool is_next = fd >= 0 && !fcntl(fd, F_OFD_GETLK, &range) && range.l_type != F_UNLCK;
  close(fd);
  return is_next;
}

/* ---- a process that stops within its checkpoint ---- */

static const sqlite3_io_methods *whole;
static sqlite3_io_methods pausing;
static sqlite3_vfs pausing_vfs, *usual_vfs;

static void pause_at(stage here, stage after) {
  atomic_store(&shared->stage, here);
  WAIT_WHILE(atomic_load(&shared->stage) == (int)here);
  if (after != RUNNING) atomic_store(&shared->stage, after);
}

/* The lock for checkpoints is number 1 of the index. */
static int lock_shared_memory(sqlite3_file *file, int at, int count, int flags) {
  if (at == 1 && count == 1 && (flags & SQLITE_SHM_LOCK) && atomic_load(&shared->stage) == ARMED)
    pause_at(BEFORE_LOCK, PASSED);
  return whole->xShmLock(file, at, count, flags);
}

/* SQLite calls this without a page when a checkpoint has read the header of the index, and this has changed. */
static int unfetch(sqlite3_file *file, sqlite3_int64 at, void *page) {
  if (!page && atomic_load(&shared->stage) == PASSED) pause_at(WITHIN, RUNNING);
  return whole->xUnfetch(file, at, page);
}

static int open_pausing(sqlite3_vfs *vfs, const char *name, sqlite3_file *file, int flags, int *ret_flags) {
  const int result = usual_vfs->xOpen(usual_vfs, name, file, flags, ret_flags);
  if (result || !(flags & SQLITE_OPEN_MAIN_DB) || file->pMethods->iVersion < 3) return result;
  whole = file->pMethods;
  pausing = *whole;
  pausing.xShmLock = lock_shared_memory;
  pausing.xUnfetch = unfetch;
  file->pMethods = &pausing;
  return result;
}

static void use_pausing_vfs(void) {
  usual_vfs = sqlite3_vfs_find(NULL);
  pausing_vfs = *usual_vfs;
  pausing_vfs.zName = "pausing";
  pausing_vfs.pNext = NULL;
  pausing_vfs.xOpen = open_pausing;
  sqlite3_vfs_register(&pausing_vfs, 1);
}

/* A process with a pool, whose commit makes a checkpoint: of 50 frames, or of a WAL beyond its bound. */
static bool checkpoint_by_pool(bool empties) {
  vestry_sql_pool *pool = open_pool(NULL, (vestry_sqlite_pool_options){.setup = "PRAGMA wal_autocheckpoint = 50",
                                                                       .max_wal_bytes = empties ? 100000 : 0});
  if (!pool) return false;
  atomic_store(&shared->stage, ARMED);
  const vestry_err error = put(pool, 60, 4000);
  atomic_store(&shared->stage, OVER);
  WAIT_WHILE(!atomic_load(&shared->is_over));
  vestry_sql_pool_destroy(pool);
  return !error;
}

/* A program that knows nothing of vestry, such as the sqlite3 shell. */
static bool checkpoint_by_stranger(const char *sql) {
  sqlite3 *db;
  /* The pool of the other process may have locked the file while it opens. */
  if (sqlite3_open(path, &db) || sqlite3_busy_timeout(db, PATIENCE_S * 1000) ||
      sqlite3_exec(db, "PRAGMA wal_autocheckpoint = 0; SELECT * FROM t", NULL, NULL, NULL) ||
      sqlite3_busy_timeout(db, 0))
    return false;
  atomic_store(&shared->stage, ARMED);
  (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
  atomic_store(&shared->stage, OVER);
  WAIT_WHILE(!atomic_load(&shared->is_over));
  return !sqlite3_close(db);
}

static const char *const checkpoints[] = {"copy",
                                          "empty",
                                          "PRAGMA wal_checkpoint(PASSIVE)",
                                          "PRAGMA wal_checkpoint(FULL)",
                                          "PRAGMA wal_checkpoint(RESTART)",
                                          "PRAGMA wal_checkpoint(TRUNCATE)",
                                          "PRAGMA wal_autocheckpoint = 1; UPDATE t SET who = 0 WHERE id = 1"};

static void run_checkpoint(size_t which) {
  use_pausing_vfs();
  _exit(!(which < 2 ? checkpoint_by_pool(which == 1) : checkpoint_by_stranger(checkpoints[which])));
}

/* Wait until the other process pauses, write meanwhile, and let it go on. A
 * write may be refused while the other one has a lock; then it was not told. */
static void write_while_paused(vestry_sql_pool *pool, stage where, stage after, int rows) {
  UNTIL(atomic_load(&shared->stage) == (int)where || atomic_load(&shared->stage) == OVER);
  (void)put(pool, rows, 1500);
  int expected = (int)where;
  (void)atomic_compare_exchange_strong(&shared->stage, &expected, (int)after);
}

static void try_checkpoint(size_t which, int count) {
  test_host th;
  pid_t others[PROCESSES_MOST];
  begin();
  test_host_init(&th);
  vestry_sql_pool_destroy(open_pool(&th.host, (vestry_sqlite_pool_options){0})); /* makes the tables */
  const pid_t child = fork();
  if (child == 0) run_checkpoint(which);
  for (int i = 2; i < count; i++)
    if ((others[i] = fork()) == 0) run_writer((load){40, 1 + i});
  vestry_sql_pool *pool =
      open_pool(&th.host, (vestry_sqlite_pool_options){.busy_ms = 20, .setup = "PRAGMA wal_autocheckpoint = 50"});
  assert_non_null(pool);
  write_while_paused(pool, BEFORE_LOCK, PASSED, 100); /* makes a checkpoint of everything */
  write_while_paused(pool, WITHIN, RUNNING, 1);       /* would restart the WAL */
  UNTIL(atomic_load(&shared->stage) == OVER);
  for (int i = 2; i < count; i++) join(others[i]);
  for (int i = 0; i < 300; i++) assert_int_equal(put(pool, 1, 1500), VESTRY_OK);
  atomic_store(&shared->is_over, true);
  join(child);
  vestry_sql_pool_destroy(pool);
  end();
  test_host_assert_clean(&th);
}

static void processes_checkpoint(int count) {
  for (size_t i = 0; i < sizeof checkpoints / sizeof *checkpoints; i++) {
    print_message("%d processes, %s\n", count, checkpoints[i]);
    try_checkpoint(i, count);
  }
}

TEST_CASE(checkpoint_that_pauses_loses_no_commit) {
  for_counts(processes_checkpoint);
}

TEST_CASE(late_transaction_beside_a_checkpoint_loses_no_commit) {
  sqlite3 *db[2];
  int frames, copied;
  begin();
  vestry_sql_pool_destroy(open_pool(NULL, (vestry_sqlite_pool_options){0})); /* makes the tables */
  const pid_t checkpoint = fork();
  if (checkpoint == 0) run_checkpoint(2);
  UNTIL(atomic_load(&shared->stage) == BEFORE_LOCK);
  const pid_t writer = fork();
  if (writer == 0) run_writer((load){1 << 30, 1});
  UNTIL(atomic_load(&shared->begun) > 100);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(sqlite3_open(path, &db[i]), SQLITE_OK);
    sqlite3_busy_timeout(db[i], PATIENCE_S * 1000);
    assert_int_equal(sqlite3_exec(db[i], i ? "SELECT * FROM t" : "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
  }
  UNTIL(is_somebody_next());
  assert_int_equal(sqlite3_wal_checkpoint_v2(db[1], NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &copied), SQLITE_OK);
  assert_true(frames > 0 && frames == copied);
  atomic_store(&shared->stage, PASSED);
  UNTIL(atomic_load(&shared->stage) == WITHIN);
  for (int i = 0; i < 2; i++) assert_int_equal(sqlite3_close(db[i]), SQLITE_OK); /* rolls back */
  const long before = atomic_load(&shared->begun);
  UNTIL(atomic_load(&shared->begun) > before + 2);
  atomic_store(&shared->stage, RUNNING);
  UNTIL(atomic_load(&shared->stage) == OVER && atomic_load(&shared->begun) > before + 400);
  atomic_store(&shared->is_over, true);
  join(checkpoint);
  join(writer);
  end();
}

/* ---- many that write ---- */

static int compare(const void *one, const void *other) {
  const long a = *(const long *)one, b = *(const long *)other;
  return (a > b) - (a < b);
}

/* All other processes import: one of them has SQLite's lock nearly always. Each of them is suspended now and then, as
 * on a busy machine, until the others have written, unless it has the lock. Most writes of this one wait for few of
 * their transactions. */
static void others_import(int count) {
  enum { WRITES = 51, ROWS = 1000, LOOKS = 60 };
  test_host th;
  pid_t others[PROCESSES_MOST];
  long waited[WRITES];
  begin();
  test_host_init(&th);
  for (int i = 1; i < count; i++)
    if ((others[i] = fork()) == 0) run_writer((load){1 << 30, ROWS});
  UNTIL(atomic_load(&shared->is_ready));
  vestry_sql_pool *pool = open_pool(&th.host, (vestry_sqlite_pool_options){.busy_ms = PATIENCE_S * 1000});
  assert_non_null(pool);
  for (int i = 0; i < WRITES; i++) {
    const pid_t suspended = others[1 + i % (count - 1)];
    const long before = atomic_load(&shared->begun);
    assert_int_equal(kill(suspended, SIGSTOP), 0);
    for (unsigned looks = 0; looks < LOOKS && atomic_load(&shared->begun) < before + 20; looks++) until_pause(looks);
    assert_int_equal(kill(suspended, SIGCONT), 0);
    UNTIL(atomic_load(&shared->begun) > before);
    const long begun = atomic_load(&shared->begun);
    assert_int_equal(put(pool, 1, 10), VESTRY_OK);
    waited[i] = atomic_load(&shared->begun) - begun;
  }
  atomic_store(&shared->is_over, true);
  for (int i = 1; i < count; i++) join(others[i]);
  qsort(waited, WRITES, sizeof *waited, compare);
  print_message("writes waited for %ld of %ld transactions, nine of ten for %ld, at most for %ld\n", waited[WRITES / 2],
                atomic_load(&shared->begun), waited[WRITES * 9 / 10], waited[WRITES - 1]);
  assert_in_range(waited[WRITES / 2], 0, 8 * (count - 1));
  vestry_sql_pool_destroy(pool);
  end();
  test_host_assert_clean(&th);
}

TEST_CASE(process_writes_beside_those_that_import) {
  for_counts(others_import);
}

static const char *const programs[] = {"VACUUM", "PRAGMA wal_checkpoint(TRUNCATE)", "PRAGMA journal_mode = DELETE",
                                       "BEGIN EXCLUSIVE; UPDATE t SET who = 0 WHERE id = 1; COMMIT"};

static void start_writer(pid_t *ret_child, int i) {
  if ((*ret_child = fork()) == 0) run_writer((load){1 << 30, 1 + i % 3 * 20});
}

static void all_go_on(int count) {
  const long before = atomic_load(&shared->begun);
  UNTIL(atomic_load(&shared->begun) > before + 4 * count);
}

/* Processes write beside another program, and are killed at any point of their turns: no write is refused. */
static void processes_meet_programs(int count) {
  enum { KILLS = 20, ROWS_MOST = 41 };
  pid_t children[PROCESSES_MOST];
  sqlite3 *db;
  begin();
  for (int i = 0; i < count; i++) start_writer(&children[i], i);
  UNTIL(atomic_load(&shared->is_ready));
  assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 3000);
  for (size_t i = 0; i < sizeof programs / sizeof *programs; i++, all_go_on(count))
    (void)sqlite3_exec(db, programs[i], NULL, NULL, NULL);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  for (int i = 0; i < KILLS; i++, all_go_on(count)) {
    assert_int_equal(kill(children[i % count], SIGKILL), 0);
    assert_int_equal(waitpid(children[i % count], NULL, 0), children[i % count]);
    start_writer(&children[i % count], i % count);
  }
  atomic_store(&shared->is_over, true);
  for (int i = 0; i < count; i++) join(children[i]);
  assert_int_equal(atomic_load(&shared->refused), 0);
  /* a process that was killed has not told its last commit */
  const int64_t untold = read_number("SELECT count(*) FROM t NOT INDEXED") - 1 - atomic_load(&shared->told);
  assert_in_range(untold, 0, KILLS * ROWS_MOST);
  atomic_fetch_add(&shared->told, untold);
  end();
}

TEST_CASE(other_programs_and_kills_stop_nobody) {
  for_counts(processes_meet_programs);
}

/* ---- stopped and killed in the queue ---- */

/* A process that waits for its turn is stopped. The others go on. */
TEST_CASE(process_that_stops_in_the_queue_stops_nobody) {
  test_host th;
  begin();
  test_host_init(&th);
  vestry_sql_pool_destroy(open_pool(&th.host, (vestry_sqlite_pool_options){0})); /* makes the tables */
  const pid_t child = fork();
  if (child == 0) {
    vestry_sql_pool *own = open_pool(NULL, (vestry_sqlite_pool_options){.busy_ms = PATIENCE_S * 1000});
    atomic_store(&shared->is_ready, true);
    WAIT_WHILE(atomic_load(&shared->stage) == RUNNING);
    const bool is_put = own && !put(own, 1, 10);
    vestry_sql_pool_destroy(own);
    _exit(!is_put);
  }
  UNTIL(atomic_load(&shared->is_ready));
  vestry_sql_pool *pool = open_pool(&th.host, (vestry_sqlite_pool_options){0});
  assert_non_null(pool);
  vestry_sql_transaction *transaction;
  assert_int_equal(vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
  atomic_store(&shared->stage, ARMED);
  UNTIL(is_somebody_next());
  assert_int_equal(kill(child, SIGSTOP), 0);
  int status;
  assert_int_equal(waitpid(child, &status, WUNTRACED), child);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  for (int i = 0; i < 20; i++) assert_int_equal(put(pool, 1, 10), VESTRY_OK);
  assert_int_equal(kill(child, SIGCONT), 0);
  join(child);
  vestry_sql_pool_destroy(pool);
  end();
  test_host_assert_clean(&th);
}

/* ---- the size of the WAL ---- */

/* Processes, and a thread of the one that writes, relay reads, so that one of them always reads. */
static void *relay_reads(void *pool) {
  while (!atomic_load(&shared->is_over)) {
    vestry_sql_transaction *transaction;
    sqlite3_stmt *statement;
    if (vestry_sql_begin(pool, VESTRY_SQL_READ, &transaction) ||
        sqlite3_prepare_v2(vestry_sqlite_handle(transaction), "SELECT id FROM t", -1, &statement, NULL) ||
        sqlite3_step(statement) != SQLITE_ROW)
      return pool;
    const long begun = atomic_fetch_add(&shared->begun, 1) + 1;
    WAIT_WHILE(atomic_load(&shared->begun) == begun && !atomic_load(&shared->is_over));
    sqlite3_finalize(statement);
    if (vestry_sql_end(transaction, VESTRY_OK)) return pool;
  }
  return NULL;
}

static void run_reader(void) {
  vestry_sql_pool *pool = open_pool(NULL, (vestry_sqlite_pool_options){.connections_count = 2});
  if (!pool || relay_reads(pool)) _exit(1);
  vestry_sql_pool_destroy(pool);
  _exit(0);
}

static void others_read(int count) {
  test_host th;
  pid_t readers[PROCESSES_MOST];
  pthread_t own;
  void *failed;
  char wal[120];
  struct stat is;
  off_t most = 0;
  begin();
  test_host_init(&th);
  vestry_sql_pool_destroy(open_pool(&th.host, (vestry_sqlite_pool_options){0})); /* makes the tables */
  for (int i = 1; i < count; i++)
    if ((readers[i] = fork()) == 0) run_reader();
  vestry_sql_pool *pool =
      open_pool(&th.host, (vestry_sqlite_pool_options){.max_wal_bytes = MAX_WAL_BYTES, .wait_ms = 240000});
  assert_non_null(pool);
  assert_int_equal(pthread_create(&own, NULL, relay_reads, pool), 0);
  UNTIL(atomic_load(&shared->begun) > 2);
  snprintf(wal, sizeof wal, "%s-wal", path);
  for (int i = 0; i < 256; i++) { /* sixteen times the limit */
    const long begun = atomic_load(&shared->begun);
    assert_int_equal(put(pool, 1, ROW_BYTES), VESTRY_OK);
    if (!stat(wal, &is) && is.st_size > most) most = is.st_size;
    UNTIL(atomic_load(&shared->begun) != begun);
  }
  atomic_store(&shared->is_over, true);
  for (int i = 1; i < count; i++) join(readers[i]);
  pthread_join(own, &failed);
  assert_null(failed);
  assert_in_range(most, 0, 4 * MAX_WAL_BYTES);
  vestry_sql_pool_destroy(pool);
  end();
  test_host_assert_clean(&th);
}

TEST_CASE(readers_that_overlap_do_not_make_the_wal_grow) {
  others_read(3);
  others_read(PROCESSES_MOST);
}

/* ---- a full disk ---- */

/* Each write succeeds, or there is no room. The process closes the file and opens it again, also without room. */
static void write_without_room(int self) {
  vestry_sql_pool *pool = NULL;
  vestry_host quiet = *vestry_host_default();
  quiet.log = NULL;
  WAIT_WHILE(!atomic_load(&shared->is_ready));
  for (int i = self; !atomic_load(&shared->is_over); i++) {
    if (!pool) pool = open_pool(&quiet, (vestry_sqlite_pool_options){.max_wal_bytes = MAX_WAL_BYTES});
    const vestry_err error = pool ? put(pool, 1, ROW_BYTES / 4) : VESTRY_LIMIT;
    if (error && error != VESTRY_LIMIT) _exit(1 + (int)error);
    atomic_fetch_add(error ? &shared->of[self].full : &shared->of[self].written, 1);
    if (i % 8) continue;
    vestry_sql_pool_destroy(pool);
    pool = NULL;
  }
  vestry_sql_pool_destroy(pool);
  _exit(0);
}

static bool have_all(int count, long full, const long *written) {
  for (int i = 0; i < count; i++)
    if (atomic_load(&shared->of[i].full) < full || (written && atomic_load(&shared->of[i].written) < written[i] + 3))
      return false;
  return true;
}

/* A page that sorts all rows, for which SQLite needs a temporary file. */
typedef struct sorted_page {
  site on;
  vestry_sql_pool *pool;
  vestry_sqlite *database;
  vestry_memory_exchange *stream;
  char shown[40]; /* by the last render that did not fail */
} sorted_page;

static void count_row(const vestry_sql_row *row, void *ctx) {
  ++*(int *)ctx;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  sorted_page *p = app;
  int count = 0;
  vestry_err error = vestry_sql_read(p->pool, "SELECT id FROM t ORDER BY pad, id", NULL, count_row, &count);
  if (error) return error;
  snprintf(p->shown, sizeof p->shown, "<b>%d rows</b>", count);
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d rows</b>", count);
  return vestry_render_end(render, html);
}

static void open_page(sorted_page *p) {
  vestry_page *page;
  memset(p, 0, sizeof *p);
  site_begin_pages(&p->on, (vestry_options){0}, NULL);
  p->pool = open_pool(&p->on.th.host, (vestry_sqlite_pool_options){.max_wal_bytes = MAX_WAL_BYTES});
  assert_non_null(p->pool);
  assert_int_equal(put(p->pool, 64, ROW_BYTES), VESTRY_OK);
  assert_int_equal(vestry_page_create(p->on.pages, &(vestry_page_options){.render = render, .app = p}, &page),
                   VESTRY_OK);
  assert_int_equal(vestry_route(p->on.v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  assert_int_equal(vestry_sqlite_create(p->on.pages, &(vestry_sqlite_options){.path = path}, &p->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_pool_follow(p->pool, p->database), VESTRY_OK);
  p->stream = site_request(&p->on, &(vestry_memory_call){.path = "/page", .datastar = true});
  site_settle_pages(&p->on);
}

static void close_page(sorted_page *p) {
  vestry_memory_destroy(p->stream);
  site_settle(&p->on);
  assert_int_equal(vestry_sqlite_pool_follow(p->pool, NULL), VESTRY_OK);
  vestry_sqlite_destroy(p->database);
  site_close(&p->on);
  vestry_sql_pool_destroy(p->pool);
  test_host_assert_clean(&p->on.th);
}

/* Follow all commits, and pass the time after which a failed render runs again. Return whether the tab was told. */
static bool page_says(sorted_page *p, const char *what) {
  assert_int_equal(vestry_sqlite_sync(p->database, NULL), VESTRY_OK);
  site_pass_ms(&p->on, 40000);
  const vestry_slice since = vestry_memory_since(p->stream);
  return since.len && memmem(since.data, since.len, what, strlen(what));
}

/* Leave this many bytes free. */
static void fill_disk(const char *ballast, off_t bytes) {
  struct statvfs is;
  const int fd = open(ballast, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  assert_int_equal(fstatvfs(fd, &is), 0);
  assert_int_equal(posix_fallocate(fd, 0, (off_t)(is.f_bavail * is.f_bsize) - bytes), 0);
  close(fd);
}

static void processes_fill_the_disk(int count) {
  static sorted_page page;
  char ballast[120], wal[120];
  pid_t children[PROCESSES_MOST];
  long written[PROCESSES_MOST];
  struct stat is;
  begin();
  is_mounted = !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
               !mount("none", folder, "tmpfs", 0, "size=64m");
  if (!is_mounted) {
    folder_remove(folder);
    TEST_SKIP("this process may not mount a file system");
  }
  snprintf(ballast, sizeof ballast, "%s/ballast", folder);
  snprintf(wal, sizeof wal, "%s-wal", path);
  for (int i = 0; i < count; i++)
    if ((children[i] = fork()) == 0) write_without_room(i);
  sqlite3_temp_directory = folder;
  open_page(&page);
  fill_disk(ballast, 2 << 20);
  atomic_store(&shared->is_ready, true);
  UNTIL(have_all(count, 10, NULL));
  char last[sizeof page.shown];
  UNTIL(page_says(&page, "\"failing\":true"));
  assert_non_null(strstr(page.on.th.last_log, "free space on the disk"));
  for (int i = 0; i < count; i++) written[i] = atomic_load(&shared->of[i].written);
  memcpy(last, page.shown, sizeof last);
  assert_false(page_says(&page, "rows"));
  assert_int_equal(unlink(ballast), 0);
  UNTIL(have_all(count, 10, written));
  assert_int_equal(stat(wal, &is), 0);
  assert_in_range(is.st_size, 0, 4 * MAX_WAL_BYTES);
  atomic_store(&shared->is_over, true);
  for (int i = 0; i < count; i++) join(children[i]);
  snprintf(last, sizeof last, "<b>%ld rows</b>", atomic_load(&shared->told) + 1);
  UNTIL(page_says(&page, last) || strcmp(page.shown, last) == 0);
  close_page(&page);
  sqlite3_temp_directory = NULL;
  end();
}

/* No row is lost or there twice, each process writes again when there is room, and the WAL stays bounded. A page whose
 * reads need room keeps its state, says that it fails, and follows again. */
TEST_CASE(processes_and_pages_recover_from_a_full_disk) {
  for_counts(processes_fill_the_disk);
}
