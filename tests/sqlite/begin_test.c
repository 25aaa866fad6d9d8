/* SPDX-License-Identifier: MIT */
/* A database is begun with, again and again: however it was left, a program that opens it follows it. */
#include <fcntl.h>
#include <sched.h>
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
#include "support/until.h"
#include "vestry/data/sqlite.h"

/* One life of a program: an instance, a page that shows how many rows there are, and the database followed. */
typedef struct life {
  test_host th;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *db;
  vestry_sqlite_connection *connection;
  vestry_memory_exchange *tab;
  vestry_sqlite_level level;
  int counted;
} life;

static char folder[FOLDER_BYTES], file[128];

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  life *l = app;
  if (l->level == VESTRY_SQLITE_TOPICS) assert_int_equal(vestry_render_topic(render, "table/t"), VESTRY_OK);
  l->counted = ledger_number(l->db, "SELECT count(*) FROM t");
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%d</b>", l->counted);
  return vestry_render_end(render, html);
}

/* What comes before vestry_sqlite_create, and what comes behind it. */
static void prepare(life *l) {
  memset(l, 0, sizeof *l);
  test_host_init(&l->th);
  assert_int_equal(vestry_create(&(vestry_options){.host = &l->th.host, .threads_count = VESTRY_THREADS_NONE}, &l->v),
                   VESTRY_OK);
  assert_int_equal(vestry_pages_create(l->v, NULL, &l->pages), VESTRY_OK);
}

static vestry_err follow(life *l, vestry_sqlite_level level) {
  const vestry_sqlite_options options = {.path = file, .level = level, .poll_ms = 60000};
  l->level = level;
  return vestry_sqlite_create(l->pages, &options, &l->database);
}

static void leave(life *l) {
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

static void settle(life *l) {
  uint64_t seq;
  assert_int_equal(vestry_sqlite_sync(l->database, &seq), VESTRY_OK);
  assert_int_equal(vestry_pages_settle(l->pages, seq, 1000), VESTRY_OK);
}

/* Somebody looks at the page. */
static void look(life *l, int rows_count) {
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

/* The page shows the rows of the lives before, and a commit of this one, and one of somebody else's. */
static void live(life *l, int before) {
  sqlite3 *other;
  assert_int_equal(sqlite3_open(file, &l->db), SQLITE_OK);
  sqlite3_busy_timeout(l->db, 5000);
  ledger_run(l->db, "PRAGMA synchronous = OFF; CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)");
  look(l, before);
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

/* ---------------------------------------------------------------------------------------------- left cleanly ------ */

/* What is in the file before the first life. NULL: there is no file. */
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

static void a_database_that_was_left_cleanly_is_followed_again(void **state) {
  (void)state;
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TOPICS, VESTRY_SQLITE_TABLES, VESTRY_SQLITE_DEFAULT,
                                               VESTRY_SQLITE_FILE_PAGES};
  for (size_t i = 0; i < sizeof beginnings / sizeof *beginnings; i++) {
    for (size_t j = 0; j < sizeof levels / sizeof *levels; j++) {
      if (levels[j] == VESTRY_SQLITE_FILE_PAGES && !beginnings[i].is_wal) continue;
      make_folder();
      if (beginnings[i].sql && *beginnings[i].sql) run_sql(beginnings[i].sql);
      if (beginnings[i].sql && !*beginnings[i].sql) close(open(file, O_CREAT | O_WRONLY, 0600));
      for (int number = 0; number < 4; number++) {
        life l;
        prepare(&l);
        vestry_err error = follow(&l, levels[j]);
        if (error) fail_msg("%s, life %d: %s", beginnings[i].name, number, vestry_strerror(error));
        if (number != 1) live(&l, number < 2 ? 2 * number : 2 * (number - 1)); /* the second one does nothing at all */
        vestry_sqlite_stats stats = {0};
        vestry_sqlite_stats_get(l.database, &stats);
        if (number != 1 && levels[j] != VESTRY_SQLITE_TOPICS) assert_true(stats.recorded_count > 0);
        assert_int_equal(l.th.log_lines, 0);
        leave(&l);
      }
      folder_remove(folder);
    }
  }
}

/* Files of the WAL that are there, and hold nothing, or not what belongs to this database. */
static void what_is_left_of_a_wal_is_in_nobodys_way(void **state) {
  (void)state;
  static const struct {
    const char *suffix;
    size_t bytes;
  } rests[] = {{"-wal", 0}, {"-shm", 0}, {"-wal", 32}, {"-shm", 32768}, {"-wal", 5000}, {"-shm", 100}};
  for (size_t i = 0; i < sizeof rests / sizeof *rests; i++) {
    life l;
    make_folder();
    prepare(&l);
    run_sql("PRAGMA journal_mode = WAL");
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    live(&l, 0);
    leave(&l);
    char path[160];
    static const char junk[32768];
    snprintf(path, sizeof path, "%s%s", file, rests[i].suffix);
    assert_int_equal(access(path, F_OK), -1); /* it was left cleanly */
    int descriptor = open(path, O_CREAT | O_WRONLY, 0600);
    assert_int_equal(write(descriptor, junk, rests[i].bytes), (ssize_t)rests[i].bytes);
    close(descriptor);
    prepare(&l);
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    live(&l, 2);
    leave(&l);
    folder_remove(folder);
  }
}

/* ------------------------------------------------------------------------------------------------- processes ------ */

/* This program, called as another: it says that it follows the file, by a byte, lives once there is one on its input,
 * and goes on committing if it is to. */
static int live_as_another(bool goes_on) {
  life l;
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
  leave(&l);
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

static void let_live(const process *o) {
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

/* Each makes the file, or finds it made, while the others do. */
static void processes_begin_at_once(void **state) {
  (void)state;
  enum { PROCESSES = 3, ROUNDS = 12 };
  for (int mode = 0; mode < 2; mode++) {
    make_folder();
    if (mode) run_sql("PRAGMA journal_mode = WAL");
    for (int round = 0; round < ROUNDS; round++) {
      process others[PROCESSES];
      for (int i = 0; i < PROCESSES; i++) start_other(&others[i], "once");
      for (int i = 0; i < PROCESSES; i++) let_live(&others[i]);
      for (int i = 0; i < PROCESSES; i++) assert_int_equal(end_of(&others[i]), 0);
      if (mode && round % 4 == 3) { /* and one that begins anew */
        life l;
        prepare(&l);
        assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
        live(&l, (round + 1) * PROCESSES * 5 + round / 4 * 2);
        leave(&l);
      }
    }
    folder_remove(folder);
  }
}

/* This program, called as another: it waits until it is let, opens a pool, writes a row and reads what there is. */
static int pool_as_another(void) {
  char byte = 0;
  vestry_sql_pool *pool;
  vestry_sql_transaction *loan;
  const vestry_sqlite_pool_options options = {.path = file,
                                              .schema = "CREATE TABLE IF NOT EXISTS t(id INTEGER PRIMARY KEY, x)",
                                              .schema_version = 1,
                                              .setup = "PRAGMA synchronous = OFF"};
  if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 1;
  if (vestry_sqlite_pool_create(&options, &pool)) return 2; /* the log has said why */
  if (vestry_sql_begin(pool, VESTRY_SQL_WRITE, &loan)) return 3;
  vestry_err error = vestry_sql_run(loan, "INSERT INTO t(x) VALUES(1)", NULL, NULL, NULL);
  if (vestry_sql_end(loan, error)) return 4;
  vestry_sql_pool_destroy(pool);
  return 0;
}

static int rows(void);

/* Each makes the file, sets its mode, makes the tables. */
static void pools_begin_at_once(void **state) {
  (void)state;
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

static void a_process_that_is_killed_while_it_writes_is_in_nobodys_way(void **state) {
  (void)state;
  static const char *const modes[] = {"PRAGMA journal_mode = WAL", "PRAGMA journal_mode = DELETE",
                                      "PRAGMA journal_mode = PERSIST"};
  for (size_t mode = 0; mode < sizeof modes / sizeof *modes; mode++) {
    make_folder();
    run_sql(modes[mode]);
    for (int round = 0; round < 10; round++) {
      process o;
      life l;
      int before = rows();
      start_other(&o, "on");
      let_live(&o);
      prepare(&l);
      assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK); /* beside one that writes all the time */
      leave(&l);
      UNTIL(rows() >= before + 3 + round % 3);
      kill(o.pid, SIGKILL);
      assert_true(WIFSIGNALED(end_of(&o)));
      prepare(&l);
      assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
      live(&l, rows());
      leave(&l);
    }
    folder_remove(folder);
  }
}

/* -------------------------------------------------------------------------------------------------- refusals ------ */

/* It is not followed; one line says which function, which file, and what helps. */
static void must_refuse(vestry_err wanted, const char *said) {
  life l;
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), wanted);
  assert_null(l.database);
  assert_int_equal(l.th.log_lines, 1);
  assert_non_null(strstr(l.th.last_log, "vestry_sqlite_create, "));
  assert_non_null(strstr(l.th.last_log, file));
  if (!strstr(l.th.last_log, said)) fail_msg("it does not say \"%s\": %s", said, l.th.last_log);
  leave(&l);
}

static void make_file(const void *bytes, size_t len) {
  int descriptor = open(file, O_CREAT | O_TRUNC | O_WRONLY, 0644);
  assert_int_equal(write(descriptor, bytes, len), (ssize_t)len);
  close(descriptor);
}

/* All bytes of the file; the caller's. */
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

static void what_cannot_be_followed_says_what_helps(void **state) {
  (void)state;
  static const char junk[4096] = "This is a letter, not a database.";
  make_folder();
  char path[sizeof file];
  snprintf(path, sizeof path, "%s", file);
  make_file(junk, sizeof junk);
  must_refuse(VESTRY_IO, "choose another file");
  size_t len;
  char *bytes = read_file(&len);
  assert_int_equal(len, sizeof junk);
  assert_memory_equal(bytes, junk, len);
  free(bytes);
  snprintf(file, sizeof file, "%s", folder);
  must_refuse(VESTRY_IO, "unable to open database file");
  snprintf(file, sizeof file, "%s/missing/site.db", folder);
  must_refuse(VESTRY_IO, "No such file or directory; its folder must be there");
  snprintf(file, sizeof file, ":memory:");
  must_refuse(VESTRY_INVALID, "give it a file");
  snprintf(file, sizeof file, "%s", path);
  folder_remove(folder);
}

static void arguments_that_are_none_say_which(void **state) {
  (void)state;
  static const struct {
    vestry_sqlite_options options;
    const char *said;
  } cases[] = {{{.path = NULL}, "options.path"},
               {{.path = ""}, "options.path"},
               {{.path = "x", .level = (vestry_sqlite_level)99}, "options.level"},
               {{.path = "x", .poll_ms = 60001}, "options.poll_ms"},
               {{.size = 1, .path = "x"}, "later version"}};
  life l;
  prepare(&l);
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_int_equal(vestry_sqlite_create(l.pages, &cases[i].options, &l.database), VESTRY_INVALID);
    assert_int_equal(l.th.log_lines, (long)i + 1);
    assert_non_null(strstr(l.th.last_log, "vestry_sqlite_create"));
    assert_non_null(strstr(l.th.last_log, cases[i].said));
  }
  assert_int_equal(vestry_sqlite_create(l.pages, NULL, &l.database), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_create(NULL, &cases[0].options, &l.database), VESTRY_INVALID);
  leave(&l);
}

/* A disk of so many pages of memory, for this process alone. false: this machine allows none. */
static bool have_small_disk(const char *size) {
  return !unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) &&
         !mount("none", folder, "tmpfs", 0, size);
}

/* Somebody removes the file, or puts a copy of before into its place, while it is in use. */
static void a_file_that_is_taken_away_is_missed(void **state) {
  (void)state;
  for (int is_replaced = 0; is_replaced < 2; is_replaced++) {
    life l;
    char kept[160];
    make_folder();
    run_sql("PRAGMA journal_mode = WAL");
    prepare(&l);
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    live(&l, 0);
    assert_int_equal(l.th.log_lines, 0);
    snprintf(kept, sizeof kept, "%s.kept", file);
    assert_int_equal(rename(file, kept), 0);
    if (is_replaced) make_file("", 0);
    for (int i = 0; i < 3; i++) settle(&l); /* one line, however often it is looked */
    assert_int_equal(l.th.log_lines, 1);
    assert_non_null(strstr(l.th.last_log, file));
    assert_non_null(strstr(l.th.last_log, "start it again"));
    assert_int_equal(rename(kept, file), 0); /* it is back */
    settle(&l);
    ledger_run(l.db, "INSERT INTO t(x) VALUES(3)");
    settle(&l);
    assert_int_equal(l.counted, 3);
    assert_int_equal(l.th.log_lines, 1);
    leave(&l);
    folder_remove(folder);
  }
}

static void attaching_says_what_is_wrong(void **state) {
  (void)state;
  life l;
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
  assert_non_null(strstr(l.th.last_log, "end that first"));
  ledger_run(l.db, "COMMIT");
  assert_int_equal(vestry_sqlite_attach(l.database, l.db, &l.connection), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(l.database, l.db, &none), VESTRY_EXISTS);
  assert_non_null(strstr(l.th.last_log, "attached already"));
  assert_int_equal(l.th.log_lines, 3);
  assert_non_null(strstr(l.th.last_log, "vestry_sqlite_attach, "));
  assert_non_null(strstr(l.th.last_log, file));
  assert_null(none);
  leave(&l);
  folder_remove(folder);
}

/* This program, called as another: one that may not write, or has no room. */
static int be_refused(const char *how) {
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(file, '/') - file), file);
  if (strcmp(how, "a limit") == 0) {
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &(struct rlimit){1000, 1000}), 0);
    must_refuse(VESTRY_IO, "(778)"); /* and what the system says of it, where SQLite keeps that: from 3.46 on */
    must_refuse(VESTRY_IO, "; look whether the disk is full or broken, or ulimit -f too low");
  } else if (strcmp(how, "a full disk") == 0) {
    if (!have_small_disk("size=4k"))
      print_message("no disk can be made small here\n");
    else
      must_refuse(VESTRY_LIMIT, "make room on the disk");
  } else {
    assert_int_equal(setgid(65534), 0);
    assert_int_equal(setuid(65534), 0);
    must_refuse(VESTRY_IO, "let this user write to the file and to its folder");
  }
  return 0;
}

/* This program, called as another: one that may read the file, and nothing else. Somebody writes meanwhile. */
static int read_only(void) {
  life l;
  char byte = 0;
  assert_int_equal(setgid(65534), 0);
  assert_int_equal(setuid(65534), 0);
  prepare(&l);
  assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
  assert_int_equal(sqlite3_open_v2(file, &l.db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
  look(&l, 2);
  if (write(STDOUT_FILENO, &byte, 1) != 1 || read(STDIN_FILENO, &byte, 1) != 1) return 1;
  settle(&l);
  assert_int_equal(l.counted, 3);
  assert_int_equal(l.th.log_lines, 0);
  leave(&l);
  return 0;
}

static void who_may_only_read_sees_what_others_write(void **state) {
  (void)state;
  for (int is_wal = 0; is_wal < 2 && getuid() == 0; is_wal++) {
    life l;
    process o;
    char byte = 0;
    make_folder();
    assert_int_equal(chmod(folder, is_wal ? 0777 : 0755), 0);
    if (is_wal) run_sql("PRAGMA journal_mode = WAL");
    prepare(&l);
    assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
    live(&l, 0);
    leave(&l);
    assert_int_equal(chmod(file, 0644), 0);
    start_other(&o, "read only");
    assert_int_equal(read(o.out, &byte, 1), 1);
    run_sql("INSERT INTO t(x) VALUES(3)");
    assert_int_equal(write(o.in, &byte, 1), 1);
    assert_int_equal(end_of(&o), 0);
    folder_remove(folder);
  }
}

static void must_be_refused(const char *how) {
  int status;
  pid_t pid = fork();
  assert_true(pid >= 0);
  if (!pid) {
    execl("/proc/self/exe", "test_sqlite", "begin", file, how, (char *)NULL);
    _exit(1);
  }
  assert_int_equal(waitpid(pid, &status, 0), pid);
  assert_int_equal(status, 0);
}

static void who_may_not_write_or_has_no_room_is_told(void **state) {
  (void)state;
  make_folder();
  assert_int_equal(chmod(folder, 0755), 0);
  must_be_refused("a limit");
  must_be_refused("a full disk");
  struct stat of;
  if (stat(file, &of) == 0) assert_int_equal(of.st_size, 0);
  if (getuid() == 0) {
    run_sql("CREATE TABLE t(id INTEGER PRIMARY KEY, x)");
    must_be_refused("nobody");
    run_sql("PRAGMA journal_mode = WAL");
    must_be_refused("nobody");
    assert_int_equal(rows(), 0);
  }
  folder_remove(folder);
}

/* -------------------------------------------------------------------------------------------------- versions ------ */

/* As vestry made it before parts had versions of their own. */
static const char released[] =
    "CREATE TABLE vestry_schema(version INTEGER NOT NULL) STRICT;"
    "INSERT INTO vestry_schema VALUES(1);"
    "CREATE TABLE vestry_tab(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)";

static void tables_of_before_are_followed_and_later_ones_are_not(void **state) {
  (void)state;
  for (int is_wal = 0; is_wal < 2; is_wal++) {
    size_t len, len_after;
    life l;
    make_folder();
    if (is_wal) run_sql("PRAGMA journal_mode = WAL");
    run_sql(released);
    run_sql("PRAGMA user_version = 77");
    for (int number = 0; number < 2; number++) {
      prepare(&l);
      assert_int_equal(follow(&l, VESTRY_SQLITE_DEFAULT), VESTRY_OK);
      live(&l, 2 * number);
      assert_int_equal(ledger_number(l.db, "SELECT version FROM vestry_schema"), 1);
      assert_int_equal(ledger_number(l.db, "PRAGMA user_version"), 77);
      leave(&l);
    }
    run_sql("UPDATE vestry_schema SET version = 2");
    char *before = read_file(&len);
    must_refuse(VESTRY_IO, "vestry's tables (tab) are of version 2");
    must_refuse(VESTRY_IO, "nothing was changed: use the program that wrote them, or a later vestry");
    char *after = read_file(&len_after);
    assert_int_equal(len, len_after);
    assert_memory_equal(before, after, len);
    free(before);
    free(after);
    folder_remove(folder);
  }
}

static const char *const steps[] = {"CREATE TABLE a(x)", "ALTER TABLE a ADD COLUMN y; INSERT INTO a VALUES(1, 2)"};
static const char *const wrong_steps[] = {"CREATE TABLE b(x)", "INSERT INTO b VALUES(1, 2, 3)"};
static const vsi_sql_schema first = {"a", steps, 1}, second = {"a", steps, 2}, wrong = {"b", wrong_steps, 2};
static const vsi_sql_schema tab_of_later = {"tab", steps, 2};

static int tables_count(sqlite3 *db, const char *name) {
  char sql[128];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM sqlite_schema WHERE name = '%s'", name);
  return ledger_number(db, sql);
}

/* With and without what was there before parts had versions; another connection looks in between. */
static void each_part_has_a_version_of_its_own(void **state) {
  (void)state;
  for (int is_old = 0; is_old < 2; is_old++) {
    test_host th;
    sqlite3 *db, *other;
    test_host_init(&th);
    make_folder();
    if (is_old) run_sql(released);
    assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
    assert_int_equal(sqlite3_open(file, &other), SQLITE_OK);
    const vsi_call call = {&th.host, "vestry_sqlite_test", file};
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &first), VESTRY_OK);
    assert_int_equal(ledger_number(db, "SELECT count(*) FROM pragma_table_info('a')"), 1);
    assert_int_equal(vsi_sqlite_schema_bring(&call, other, &second), VESTRY_OK);
    for (int i = 0; i < 2; i++) {
      assert_int_equal(vsi_sqlite_schema_bring(&call, i ? db : other, &second), VESTRY_OK);
      assert_int_equal(ledger_number(db, "SELECT y FROM a"), 2); /* each step is taken once */
    }
    assert_int_equal(ledger_number(db, "SELECT max(version) FROM vestry_schema WHERE part = 'a'"), 2);
    assert_int_equal(ledger_number(db, "SELECT count(*) FROM vestry_schema WHERE part = 'tab'"), is_old);
    assert_int_equal(th.log_lines, 0);
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &first), VESTRY_IO);
    assert_int_equal(th.log_lines, 1);
    assert_non_null(strstr(th.last_log, "vestry_sqlite_test, "));
    assert_non_null(strstr(th.last_log, "(a) are of version 2"));

    /* All of them or none, and others' are as they were. */
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &wrong), VESTRY_IO);
    assert_true(sqlite3_get_autocommit(db));
    assert_int_equal(tables_count(db, "b"), 0);
    ledger_run(other, "BEGIN IMMEDIATE");
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &second), VESTRY_OK); /* a look is enough */
    assert_int_equal(vsi_sqlite_schema_bring(&call, db, &(vsi_sql_schema){"c", steps, 1}), VESTRY_BUSY);
    assert_non_null(strstr(th.last_log, "another program is writing to it"));
    ledger_run(other, "ROLLBACK");
    if (is_old) { /* what an old version is brought to is the part's */
      ledger_run(other, "DROP TABLE a");
      assert_int_equal(vsi_sqlite_schema_bring(&call, db, &(vsi_sql_schema){"tab", wrong_steps, 1}), VESTRY_OK);
      assert_int_equal(tables_count(db, "b"), 0);
      ledger_run(other, "CREATE TABLE a(x)");
      assert_int_equal(vsi_sqlite_schema_bring(&call, db, &tab_of_later), VESTRY_OK);
      assert_int_equal(ledger_number(db, "SELECT max(version) FROM vestry_schema WHERE part = 'tab'"), 2);
      assert_int_equal(ledger_number(db, "SELECT y FROM a"), 2);
    }
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    assert_int_equal(sqlite3_close(other), SQLITE_OK);
    folder_remove(folder);
  }
}

int main(int count, char **arguments) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_database_that_was_left_cleanly_is_followed_again),
      cmocka_unit_test(what_is_left_of_a_wal_is_in_nobodys_way),
      cmocka_unit_test(processes_begin_at_once),
      cmocka_unit_test(pools_begin_at_once),
      cmocka_unit_test(a_process_that_is_killed_while_it_writes_is_in_nobodys_way),
      cmocka_unit_test(what_cannot_be_followed_says_what_helps),
      cmocka_unit_test(arguments_that_are_none_say_which),
      cmocka_unit_test(a_file_that_is_taken_away_is_missed),
      cmocka_unit_test(attaching_says_what_is_wrong),
      cmocka_unit_test(who_may_not_write_or_has_no_room_is_told),
      cmocka_unit_test(who_may_only_read_sees_what_others_write),
      cmocka_unit_test(tables_of_before_are_followed_and_later_ones_are_not),
      cmocka_unit_test(each_part_has_a_version_of_its_own),
  };
  if (vestry_sqlite_record_pages()) return 1;
  if (count == 3) {
    snprintf(file, sizeof file, "%s", arguments[1]);
    if (strcmp(arguments[2], "read only") == 0) return read_only();
    if (strcmp(arguments[2], "pool") == 0) return pool_as_another();
    bool lives = strcmp(arguments[2], "once") == 0 || strcmp(arguments[2], "on") == 0;
    return lives ? live_as_another(strcmp(arguments[2], "on") == 0) : be_refused(arguments[2]);
  }
  return cmocka_run_group_tests(tests, NULL, NULL);
}
