/* SPDX-License-Identifier: MIT */
/* Start-up on a database again and again: in whatever state the database was left, a program that opens it can
 * follow it. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "data/sqlite/schema.h"
#include "sqlite/ledger.h"
#include "support/patience.h"
#include "support/until.h"
#include "vestry/data/sqlite.h"

enum { SKIPPED = 77 }; /* exit status of a second process that cannot make its case here */

/* One run of a program: an instance, a page that shows the number of rows, and the followed database. */
typedef struct program {
  test_host th;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *db;
  vestry_sqlite_connection *connection;
  vestry_memory_exchange *tab;
  int counted;
} program;

static char folder[FOLDER_BYTES], file[128];

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  program *l = app;
  l->counted = ledger_number(l->db, "SELECT count(*) FROM t");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", l->counted);
  return vestry_render_end(render, html);
}

/* The steps before vestry_sqlite_create, and that call. */
static void prepare(program *l) {
  memset(l, 0, sizeof *l);
  test_host_init(&l->th);
  assert_int_equal(vestry_create(&(vestry_options){.host = &l->th.host, .threads_count = VESTRY_THREADS_NONE}, &l->v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(l->v, NULL, &l->pages), VESTRY_OK);
}

static vestry_err follow(program *l, vestry_sqlite_level level) {
  const vestry_sqlite_options options = {.path = file, .level = level, .poll_ms = 60000};
  return vestry_sqlite_create(l->pages, &options, &l->database);
}

static void end_program(program *l) {
  if (l->tab) vestry_memory_destroy(l->tab);
  vestry_memory_settle(l->v);
  vestry_sqlite_detach(l->connection);
  vestry_sqlite_destroy(l->database);
  vestry_stop(l->v, 0);
  vestry_pages_destroy(l->pages);
  vestry_destroy(l->v);
  assert_int_equal(sqlite3_close(l->db), SQLITE_OK);
  test_host_assert_clean(&l->th);
}

static void settle(program *l) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(l->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(l->pages, seq, PATIENCE_S * 1000), VESTRY_OK);
}

/* A client opens the page. */
static void open_page(program *l, int rows_count) {
  vestry_page *page;
  assert_int_equal(vestry_sqlite_attach(l->database, l->db, &l->connection), VESTRY_OK);
  const vestry_page_options options = {.render = render, .app = l};
  assert_int_equal(vestry_page_create(l->pages, &options, &page), VESTRY_OK);
  assert_int_equal(vestry_route(l->v, "GET", "/page", vestry_page_handler, page), VESTRY_OK);
  const vestry_memory_call call = {.path = "/page", .datastar = true};
  assert_int_equal(vestry_memory_request(l->v, &call, NULL, NULL, &l->tab), VESTRY_OK);
  settle(l);
  assert_int_equal(l->counted, rows_count);
}

/* The page shows the rows of earlier runs, then a commit of this program, then one of another connection. */
static void show_commits(program *l, int before) {
  sqlite3 *other;
  assert_int_equal(sqlite3_open(file, &l->db), SQLITE_OK);
  sqlite3_busy_timeout(l->db, 5000);
  ledger_run(l->db, "PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)");
  open_page(l, before);
  ledger_run(l->db, "INSERT INTO t(x) VALUES(1)");
  settle(l);
  assert_int_equal(l->counted, before + 1);
  assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
  ledger_run(other, "PRAGMA synchronous = OFF; INSERT INTO t(x) VALUES(2)");
  settle(l);
  assert_int_equal(l->counted, before + 2);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
}

static void run_sql(const char *sql) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  ledger_run(db, sql);
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void make_folder(void) {
  folder_make(folder, "begin");
  snprintf(file, sizeof file, "%s/site.db", folder);
}

/* --------------------------------------------------------------------------------------- databases left cleanly --- */

/* Content of the file before the first run. NULL: there is no file. */
static const struct beginning {
  const char *name, *sql;
  bool is_wal;
} beginnings[] = {
    {"no file", NULL, false},
    {"a file of zero bytes", "", false},
    {"an empty database", "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, x); DROP TABLE t", true},
    {"WAL", "PRAGMA journal_mode = WAL; CREATE TABLE t(id INTEGER PRIMARY KEY, x)", true},
    {"WAL, pages of 512 bytes", "PRAGMA page_size = 512; PRAGMA journal_mode = WAL; CREATE TABLE u(x)", true},
    {"WAL, pages of 65536 bytes", "PRAGMA page_size = 65536; PRAGMA journal_mode = WAL; CREATE TABLE u(x)", true},
    {"WAL, that is kept in one process's memory",
     "PRAGMA journal_mode = WAL; PRAGMA locking_mode = EXCLUSIVE;"
     "CREATE TABLE u(x)",
     true},
    {"a rollback journal", "PRAGMA journal_mode = DELETE; CREATE TABLE u(x)", false},
    {"a rollback journal that stays", "PRAGMA journal_mode = PERSIST; CREATE TABLE u(x)", false},
};

TEST_CASE(cleanly_left_database_is_followed_again) {
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TABLES, VESTRY_SQLITE_DEFAULT, VESTRY_SQLITE_FILE_PAGES};
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
    for (size_t j = 0; j < sizeof levels / sizeof *levels; j++) {
      if (levels[j] == VESTRY_SQLITE_FILE_PAGES && !beginnings[i].is_wal) continue;
      make_folder();
      if (beginnings[i].sql && *beginnings[i].sql) run_sql(beginnings[i].sql);
      if (beginnings[i].sql && !*beginnings[i].sql) close(open(file, O_CREAT | O_WRONLY, 0600));
      for (int number = 0; number < 4; number++) {
        program l;
        prepare(&l);
        vestry_err error = follow(&l, levels[j]);
        if (error) fail_msg("%s, life %d: %s", beginnings[i].name, number, vestry_strerror(error));
        if (number != 1) show_commits(&l, number < 2 ? 2 * number : 2 * (number - 1)); /* the second run does nothing */
        vestry_sqlite_stats stats = {0};
        vestry_sqlite_stats_get(l.database, &stats);
        if (number != 1) assert_true(stats.recorded_count > 0);
        assert_int_equal(l.th.log_lines, 0);
        end_program(&l);
      }
      folder_remove(folder);
    }
  }
}

/* Files of the WAL that are empty, or do not belong to this database. */
TEST_CASE(stale_wal_files_do_not_prevent_following) {
  static const struct {
    const char *suffix;
    size_t bytes;
  } rests[] = {{"-wal", 0}, {"-shm", 0}, {"-wal", 32}, {"-shm", 32768}, {"-wal", 5000}, {"-shm", 100}};
  for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
    program l;
    make_folder();
    prepare(&l);
    run_sql("PRAGMA journal_mode = WAL");
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    show_commits(&l, 0);
    end_program(&l);
    char path[160];
    static const char junk[32768];
    snprintf(path, sizeof path, "%s%s", file, rests[i].suffix);
    assert_int_equal(access(path, F_OK), -1); /* the database was left cleanly */
    int descriptor = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(descriptor, junk, rests[i].bytes), (ssize_t)rests[i].bytes);
    close(descriptor);
    prepare(&l);
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    show_commits(&l, 2);
    end_program(&l);
    folder_remove(folder);
  }
}

/* ------------------------------------------------------------------------------------------------- processes ------ */

/* This program, run as a second process. It writes a byte when it follows the file, commits after it has read a
 * byte, and goes on committing until it is killed if goes_on is set. */
static int commit_as_second_process(bool goes_on) {
  program l;
  char byte = 0;
  prepare(&l);
  vestry_err error = follow(&l, VESTRY_SQLITE_DEFAULT);
  if (error) {
    fprintf(stderr, "another process: %s: %s\n", vestry_strerror(error), l.th.last_log);
    return 1;
  }
  if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 1;
  if (sqlite3_open(file, &l.db) || sqlite3_busy_timeout(l.db, 30000)) return 1;
  if (sqlite3_exec(l.db, "PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)", NULL,
                   NULL, NULL))
    return 1;
  if (vestry_sqlite_attach(l.database, l.db, &l.connection)) return 1;
  for (int i = 0; goes_on || i < 5; i++)
    if (sqlite3_exec(l.db, "INSERT INTO t(x) VALUES(1)", NULL, NULL, NULL)) return 1;
  end_program(&l);
  return 0;
}

typedef struct process {
  pid_t pid;
  int in, out;
} process;

static void start_other(process *o, const char *how) {
  int in[2], out[2];
  assert_int_equal(pipe2(in, O_CLOEXEC), 0);
  assert_int_equal(pipe2(out, O_CLOEXEC), 0);
  o->pid = fork();
  assert_true(o->pid >= 0);
  if (!o->pid) {
    dup2(in[0], STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    execl("/proc/self/exe", "test_sqlite", "begin", file, how, (char *)NULL);
    _exit(1);
  }
  close(in[0]);
  close(out[1]);
  o->in = in[1];
  o->out = out[0];
}

static void let_commit(const process *o) {
  char byte = 0;
  assert_int_equal(read(o->out, &byte, 1), 1);
  assert_int_equal(write(o->in, &byte, 1), 1);
}

static int end_of(const process *o) {
  int status;
  assert_int_equal(waitpid(o->pid, &status, 0), o->pid);
  close(o->in);
  close(o->out);
  return status;
}

/* Processes create the file, or find it created, at the same time. */
TEST_CASE(concurrent_processes_can_start_on_one_file) {
  enum { PROCESSES = 3, ROUNDS = 12 };
  for (int mode = 0; mode < 2; mode++) {
    make_folder();
    if (mode) run_sql("PRAGMA journal_mode = WAL");
    for (int round = 0; round < ROUNDS; round++) {
      process others[PROCESSES];
      for (int i = 0; i < PROCESSES; i++) start_other(&others[i], "once");
      for (int i = 0; i < PROCESSES; i++) let_commit(&others[i]);
      for (int i = 0; i < PROCESSES; i++) assert_int_equal(end_of(&others[i]), 0);
      if (mode && round % 4 == 3) { /* and this process as a newcomer */
        program l;
        prepare(&l);
        assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
        show_commits(&l, (round + 1) * PROCESSES * 5 + round / 4 * 2);
        end_program(&l);
      }
    }
    folder_remove(folder);
  }
}

/* This program, run as a second process: it waits for a byte, opens a pool, and writes a row. */
static int open_pool_as_second_process(void) {
  char byte = 0;
  vestry_sql_pool *pool;
  vestry_sql_transaction *transaction;
  const vestry_sqlite_pool_options options = {.path = file,
                                              .schema = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)",
                                              .schema_version = 1,
                                              .setup = "PRAGMA synchronous = OFF"};
  if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 1;
  if (vestry_sqlite_pool_create(&options, &pool)) return 2; /* the log states the reason */
  if (vestry_sql_begin(pool, VESTRY_SQL_WRITE, &transaction)) return 3;
  vestry_err error = vestry_sql_run(transaction, "INSERT INTO t(x) VALUES(1)", NULL, NULL, NULL);
  if (vestry_sql_end(transaction, error)) return 4;
  vestry_sql_pool_destroy(pool);
  return 0;
}

static int rows(void);

/* Processes create the file, set its mode and create the tables at the same time. */
TEST_CASE(concurrent_pools_can_create_one_file) {
  enum { PROCESSES = 4, ROUNDS = 25 };
  make_folder();
  char path[sizeof file];
  snprintf(path, sizeof path, "%.100s", file);
  for (int round = 0; round < ROUNDS; round++) {
    process others[PROCESSES];
    char byte = 0;
    snprintf(file, sizeof file, "%.100s%d", path, round);
    for (int i = 0; i < PROCESSES; i++) start_other(&others[i], "pool");
    for (int i = 0; i < PROCESSES; i++) assert_int_equal(read(others[i].out, &byte, 1), 1);
    for (int i = 0; i < PROCESSES; i++) assert_int_equal(write(others[i].in, &byte, 1), 1);
    for (int i = 0; i < PROCESSES; i++) assert_int_equal(end_of(&others[i]), 0);
    assert_int_equal(rows(), PROCESSES);
  }
  folder_remove(folder);
}

static int rows(void) {
  sqlite3 *db;
  int count = 0;
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  sqlite3_busy_timeout(db, 5000);
  if (!sqlite3_table_column_metadata(db, NULL, "t", "x", NULL, NULL, NULL, NULL, NULL))
    count = ledger_number(db, "SELECT count(*) FROM t");
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  return count;
}

TEST_CASE(process_killed_while_writing_blocks_no_other) {
  static const char *const modes[] = {"PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE",
                                      "PRAGMA journal_mode = PERSIST"};
  for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++) {
    make_folder();
    run_sql(modes[mode]);
    for (int round = 0; round < 10; round++) {
      process o;
      program l;
      int before = rows();
      start_other(&o, "on");
      let_commit(&o);
      prepare(&l);
      assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK); /* beside a process that writes all the time */
      end_program(&l);
      UNTIL(rows() >= before + 3 + round % 3);
      kill(o.pid, SIGKILL);
      assert_true(WIFSIGNALED(end_of(&o)));
      prepare(&l);
      assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
      show_commits(&l, rows());
      end_program(&l);
    }
    folder_remove(folder);
  }
}

/* ----------------------------------------------------------------------------------------------- rejected files --- */

/* Following fails, and one log line names the function, the file and a remedy. */
static void expect_failure(vestry_err wanted, const char *expected_log) {
  program l;
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), wanted);
  assert_null(l.database);
  assert_int_equal(l.th.log_lines, 1);
  assert_non_null(strstr(l.th.last_log, "vestry_sqlite_create, "));
  assert_non_null(strstr(l.th.last_log, file));
  if (!strstr(l.th.last_log, expected_log)) fail_msg("it does not say \"%s\": %s", expected_log, l.th.last_log);
  end_program(&l);
}

static void make_file(const void *bytes, size_t len) {
  int descriptor = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  assert_int_equal(write(descriptor, bytes, len), (ssize_t)len);
  close(descriptor);
}

/* Return all bytes of the file; the caller frees them. */
static char *read_file(size_t *ret_len) {
  struct stat of;
  int descriptor = open(file, O_RDONLY);
  assert_int_equal(fstat(descriptor, &of), 0);
  char *bytes = malloc((size_t)of.st_size + 1);
  assert_int_equal(read(descriptor, bytes, (size_t)of.st_size), of.st_size);
  close(descriptor);
  *ret_len = (size_t)of.st_size;
  return bytes;
}

TEST_CASE(unusable_file_is_rejected_with_a_remedy) {
  static const char junk[4096] = "This is a letter, not a database.";
  make_folder();
  char path[sizeof file];
  snprintf(path, sizeof path, "%s", file);
  make_file(junk, sizeof junk);
  expect_failure(VESTRY_IO, "choose another file");
  size_t len;
  char *bytes = read_file(&len);
  assert_int_equal(len, sizeof junk);
  assert_memory_equal(bytes, junk, len);
  free(bytes);
  snprintf(file, sizeof file, "%s", folder);
  expect_failure(VESTRY_IO, "unable to open database file");
  snprintf(file, sizeof file, "%s/missing/site.db", folder);
  expect_failure(VESTRY_IO, "No such file or directory; create the folder");
  snprintf(file, sizeof file, ":memory:");
  expect_failure(VESTRY_INVALID, "use a file");
  snprintf(file, sizeof file, "%s", path);
  folder_remove(folder);
}

TEST_CASE(invalid_option_is_named_in_the_log) {
  static const struct {
    vestry_sqlite_options options;
    const char *expected_log;
  } cases[] = {{{.path = NULL}, "options.path"},
               {{.path = ""}, "options.path"},
               {{.path = "x", .level = (vestry_sqlite_level)99}, "options.level"},
               {{.path = "x", .poll_ms = 60001}, "options.poll_ms"}};
  program l;
  prepare(&l);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(vestry_sqlite_create(l.pages, &cases[i].options, &l.database), VESTRY_INVALID);
    assert_int_equal(l.th.log_lines, (long)i + 1);
    assert_non_null(strstr(l.th.last_log, "vestry_sqlite_create"));
    assert_non_null(strstr(l.th.last_log, cases[i].expected_log));
  }
  assert_int_equal(vestry_sqlite_create(l.pages, NULL, &l.database), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_create(NULL, &cases[0].options, &l.database), VESTRY_INVALID);
  end_program(&l);
}

/* Mount a small disk in memory, for this process only. false: the machine does not allow it. */
static bool have_small_disk(const char *size) {
  return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
         !mount("none", folder, "tmpfs", 0, size);
}

/* The file is removed, or replaced by another one, while it is in use. */
TEST_CASE(removed_or_replaced_file_is_logged_once) {
  for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
    program l;
    char kept[160];
    make_folder();
    run_sql("PRAGMA journal_mode = WAL");
    prepare(&l);
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    show_commits(&l, 0);
    assert_int_equal(l.th.log_lines, 0);
    snprintf(kept, sizeof kept, "%s.kept", file);
    assert_int_equal(rename(file, kept), 0);
    if (is_replaced) make_file("", 0);
    for (int i = 0; i < 3; i++) settle(&l); /* one line, however often the database is checked */
    assert_int_equal(l.th.log_lines, 1);
    assert_non_null(strstr(l.th.last_log, file));
    assert_non_null(strstr(l.th.last_log, "restart it"));
    assert_int_equal(rename(kept, file), 0); /* the file is back */
    settle(&l);
    ledger_run(l.db, "INSERT INTO t(x) VALUES(3)");
    settle(&l);
    assert_int_equal(l.counted, 3);
    assert_int_equal(l.th.log_lines, 1);
    end_program(&l);
    folder_remove(folder);
  }
}

TEST_CASE(failed_attach_logs_its_reason) {
  program l;
  make_folder();
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
  assert_int_equal(sqlite3_open(file, &l.db), SQLITE_OK);
  vestry_sqlite_connection *none = NULL;
  sqlite3 *memory;
  assert_int_equal(sqlite3_open(":memory:", &memory), SQLITE_OK);
  assert_int_equal(vestry_sqlite_attach(l.database, memory, &none), VESTRY_INVALID);
  assert_non_null(strstr(l.th.last_log, "a database in memory"));
  assert_int_equal(sqlite3_close(memory), SQLITE_OK);
  ledger_run(l.db, "BEGIN");
  assert_int_equal(vestry_sqlite_attach(l.database, l.db, &none), VESTRY_BUSY);
  assert_non_null(strstr(l.th.last_log, "end it first"));
  ledger_run(l.db, "COMMIT");
  assert_int_equal(vestry_sqlite_attach(l.database, l.db, &l.connection), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(l.database, l.db, &none), VESTRY_EXISTS);
  assert_non_null(strstr(l.th.last_log, "already attached"));
  assert_int_equal(l.th.log_lines, 3);
  assert_non_null(strstr(l.th.last_log, "vestry_sqlite_attach, "));
  assert_non_null(strstr(l.th.last_log, file));
  assert_null(none);
  end_program(&l);
  folder_remove(folder);
}

/* This program, run as a second process that may not write, or has no room. */
static int fail_as_second_process(const char *how) {
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(file, '/') - file), file);
  if (strcmp(how, "a limit") == 0) {
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000}), 0);
    expect_failure(VESTRY_IO, "(778)"); /* from 3.46 on, SQLite also keeps the system's message */
    expect_failure(VESTRY_IO, "; check whether the disk is full or broken, or ulimit -f is too low");
  } else if (strcmp(how, "a full disk") == 0) {
    if (!have_small_disk("size=4k")) return SKIPPED;
    expect_failure(VESTRY_LIMIT, "free space on the disk");
  } else {
    assert_int_equal(setgid(65534), 0);
    assert_int_equal(setuid(65534), 0);
    expect_failure(VESTRY_IO, "permit this user to write to the file and its folder");
  }
  return 0;
}

/* This program, run as a second process that may only read the file, while another one writes. */
static int read_only(void) {
  program l;
  char byte = 0;
  assert_int_equal(setgid(65534), 0);
  assert_int_equal(setuid(65534), 0);
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
  assert_int_equal(sqlite3_open_v2(file, &l.db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  open_page(&l, 2);
  if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 1;
  settle(&l);
  assert_int_equal(l.counted, 3);
  assert_int_equal(l.th.log_lines, 0);
  end_program(&l);
  return 0;
}

TEST_CASE(read_only_user_sees_commits_of_others) {
  if (getuid() != 0) TEST_SKIP("only root runs a process as another user");
  program l;
  process o;
  char byte = 0;
  make_folder();
  assert_int_equal(chmod(folder, 0777), 0);
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
  show_commits(&l, 0);
  end_program(&l);
  assert_int_equal(chmod(file, 0644), 0);
  start_other(&o, "read only");
  assert_int_equal(read(o.out, &byte, 1), 1);
  run_sql("INSERT INTO t(x) VALUES(3)");
  assert_int_equal(write(o.in, &byte, 1), 1);
  assert_int_equal(end_of(&o), 0);
  folder_remove(folder);
}

static int run_as_second_process(const char *how) {
  int status;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    execl("/proc/self/exe", "test_sqlite", "begin", file, how, (char *)NULL);
    _exit(1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_true(WIFEXITED(status));
  return WEXITSTATUS(status);
}

TEST_CASE(missing_room_is_logged_with_a_remedy) {
  make_folder();
  assert_int_equal(chmod(folder, 0755), 0);
  assert_int_equal(run_as_second_process("a limit"), 0);
  const int status = run_as_second_process("a full disk");
  struct stat of;
  if (stat(file, &of) == 0) assert_int_equal(of.st_size, 0);
  folder_remove(folder);
  if (status == SKIPPED) TEST_SKIP("no small disk can be mounted here");
  assert_int_equal(status, 0);
}

TEST_CASE(missing_permission_is_logged_with_a_remedy) {
  if (getuid() != 0) TEST_SKIP("only root runs a process as another user");
  make_folder();
  assert_int_equal(chmod(folder, 0755), 0);
  run_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
  assert_int_equal(run_as_second_process("nobody"), 0);
  run_sql("PRAGMA journal_mode = WAL");
  assert_int_equal(run_as_second_process("nobody"), 0);
  assert_int_equal(rows(), 0);
  folder_remove(folder);
}

/* -------------------------------------------------------------------------------------------------- versions ------ */

static const char *const steps[] = {"CREATE TABLE a(x)", "INSERT INTO a VALUES(2)"};
static const char *const wrong_steps[] = {"CREATE TABLE b(x)", "INSERT INTO b VALUES(1, 2, 3)"};
static const char *const index_steps[] = {"CREATE INDEX a_x ON a(x)"};
static const vsi_sql_schema first = {"a", steps, 1, false}, second = {"a", steps, 2, false},
                            wrong = {"b", wrong_steps, 2, false};

static int tables_count(sqlite3 *db, const char *name) {
  char sql[128];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
  return ledger_number(db, sql);
}

/* Another connection reads in between. */
TEST_CASE(each_part_is_upgraded_separately) {
  test_host th;
  sqlite3 *db, *other;
  test_host_init(&th);
  make_folder();
  assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
  assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
  const vsi_call call = {&th.host, "vestry_sqlite_test", file, NULL};
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &first), VESTRY_OK);
  assert_int_equal(ledger_number(db, "SELECT count(*) FROM a"), 0);
  assert_int_equal(vsi_sqlite_schema_bring(&call, other, &second), VESTRY_OK);
  for (int i = 0; i < 2; i++) {
    assert_int_equal(vsi_sqlite_schema_bring(&call, i ? db : other, &second), VESTRY_OK);
    assert_int_equal(ledger_number(db, "SELECT count(*) FROM a"), 1); /* each step is applied once */
  }
  assert_int_equal(ledger_number(db, "SELECT max(version) FROM vestry_schema WHERE part = 'a'"), 2);
  assert_int_equal(th.log_lines, 0);
  const int changes = ledger_number(other, "PRAGMA data_version");
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &first), VESTRY_IO);
  assert_int_equal(ledger_number(other, "PRAGMA data_version"), changes);
  assert_int_equal(th.log_lines, 1);
  assert_non_null(strstr(th.last_log, "vestry_sqlite_test, "));
  assert_non_null(strstr(th.last_log, "(a) have version 2"));
  assert_non_null(strstr(th.last_log, "nothing was changed; use the program that wrote them, or a later vestry"));

  /* A part's steps are applied together or not at all, and other parts stay unchanged. */
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &wrong), VESTRY_IO);
  assert_true(sqlite3_get_autocommit(db));
  assert_int_equal(tables_count(db, "b"), 0);
  ledger_run(other, "BEGIN IMMEDIATE");
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &second), VESTRY_OK); /* reading the version suffices */
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &(vsi_sql_schema){"c", steps, 1, false}), VESTRY_BUSY);
  assert_non_null(strstr(th.last_log, "another program is writing to the database"));
  assert_int_equal(vsi_sqlite_schema_bring(&call, db, &(vsi_sql_schema){"c", index_steps, 1, true}), VESTRY_OK);
  assert_non_null(strstr(th.last_log, "database is locked. To create it, run: CREATE INDEX a_x ON a(x)"));
  assert_true(sqlite3_get_autocommit(db));
  ledger_run(other, "ROLLBACK");

  /* For example by a script that empties all tables. */
  static const char *const column_steps[] = {"CREATE TABLE IF NOT EXISTS d(x)", "ALTER TABLE d ADD COLUMN y"};
  for (int i = 0; i < 2; i++) {
    ledger_run(other, "DELETE FROM vestry_schema");
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &(vsi_sql_schema){"d", column_steps, 2, false}), VESTRY_OK);
    assert_int_equal(ledger_number(other, "SELECT count(*) FROM pragma_table_info('d')"), 2);
    assert_int_equal(ledger_number(other, "SELECT version FROM vestry_schema WHERE part = 'd'"), 2);
  }
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
  assert_int_equal(sqlite3_close(other), SQLITE_OK);
  folder_remove(folder);
}

int main(int count, char **arguments) {
  if (vestry_sqlite_record_pages()) return 1;
  if (count == 3) {
    snprintf(file, sizeof file, "%s", arguments[1]);
    if (strcmp(arguments[2], "read only") == 0) return read_only();
    if (strcmp(arguments[2], "pool") == 0) return open_pool_as_second_process();
    bool is_program = strcmp(arguments[2], "once") == 0 || strcmp(arguments[2], "on") == 0;
    return is_program ? commit_as_second_process(strcmp(arguments[2], "on") == 0)
                      : fail_as_second_process(arguments[2]);
  }
  return cases_run("sqlite/begin", NULL, NULL);
}
