/* SPDX-License-Identifier: MIT */
/* Other processes, and what programs do at the border of a process: they write by a pool or by a connection, import,
 * hold a read transaction, make checkpoints, run the sqlite3 shell, close the file and open it again, and are killed. A
 * process is forked before threads and SQLite exist, and does nothing but fork the process that
 * serves operations, again and again, because that one may be killed. A message consists of an operation, a length and
 * that many bytes; the answer is one byte. Both processes end when the socket is closed. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/random.h"
#include "sqlite/oracle.h"

enum operation { OPEN, OPEN_ATTACHED, OPEN_POOL, CLOSE, RUN, STEP, NAME, IMPORT, HOLD, CHECKPOINT, SHELL, REOPEN };
enum { PROCESSES = 12, READY = 2, IMPORTED = 20 };

typedef struct process {
  int socket_fd;
  pid_t forker, server; /* server: once it has opened a file */
} process;

static process all[PROCESSES];
static unsigned open_count; /* processes of this world */
static bool are_peers;      /* they follow the database themselves, and are killed */
static uint64_t state;      /* of random choices */
static char path_now[96];
static const enum operation openings[] = {OPEN_ATTACHED, OPEN_POOL}; /* of peers, in turn */
static const unsigned counts[] = {2, 2, 2, 3, 3, PROCESSES};

/* ------------------------------------------------------------------------------------------- in the processes ----- */

static bool read_all(int from, void *bytes, size_t len) {
  for (size_t at = 0; at < len;) {
    ssize_t got = read(from, (char *)bytes + at, len - at);
    if (got <= 0) return false;
    at += (size_t)got;
  }
  return true;
}

/* A process that follows the file, as an instance of an application would. It shows nothing. */
typedef struct follower {
  enum operation opening;
  sqlite3 *db, *holder; /* holder: has a read transaction, perhaps */
  vestry_sql_pool *pool;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *attached;
} follower;

static bool follow(follower *f, const char *path) {
  static vestry_host quiet;
  const vestry_sqlite_options options = {.path = path, .poll_ms = 1};
  quiet = *vestry_host_default();
  quiet.log = NULL;
  return !vestry_create(&(vestry_options){.host = &quiet, .threads_count = VESTRY_THREADS_NONE}, &f->v) &&
         !vestry_pages_create(f->v, NULL, &f->pages) && !vestry_sqlite_create(f->pages, &options, &f->database) &&
         !(f->pool ? vestry_sqlite_pool_follow(f->pool, f->database)
                   : vestry_sqlite_attach(f->database, f->db, &f->attached));
}

static bool open_pool(follower *f, const char *path) {
  static vestry_host quiet;
  quiet = *vestry_host_default();
  quiet.log = NULL;
  return !vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &quiet,
                                    .path = path,
                                    .setup = "PRAGMA synchronous = OFF; PRAGMA wal_autocheckpoint = 100",
                                    .max_wal_bytes = 400000},
      &f->pool);
}

static bool end_following(follower *f) {
  if (f->attached) vestry_sqlite_detach(f->attached);
  if (f->pool) (void)vestry_sqlite_pool_follow(f->pool, NULL);
  vestry_sql_pool_destroy(f->pool);
  vestry_sqlite_destroy(f->database);
  vestry_pages_destroy(f->pages);
  vestry_destroy(f->v);
  const bool is_closed = !sqlite3_close(f->holder) && !sqlite3_close(f->db);
  *f = (follower){.db = NULL};
  return is_closed;
}

static bool step(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL)) return false;
  int result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE;
}

static bool open_all(follower *f, enum operation opening, const char *path) {
  f->opening = opening;
  if (opening != OPEN) (void)vestry_sqlite_record_pages();
  bool is_done = !sqlite3_open(path, &f->db) && !sqlite3_open(path, &f->holder);
  sqlite3_exec(f->db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 100", NULL, NULL,
               NULL);
  if (opening == OPEN_POOL) is_done = is_done && open_pool(f, path);
  return is_done && (opening == OPEN || follow(f, path));
}

static bool run(sqlite3 *db, const char *sql) {
  const bool is_done = !sqlite3_exec(db, sql, NULL, NULL, NULL);
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return is_done;
}

/* Run statements several times in one transaction. */
static bool import(follower *f, const char *sql, int times) {
  vestry_sql_transaction *transaction = NULL;
  sqlite3 *db = f->db;
  if (!f->pool && sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL)) return false;
  if (f->pool && vestry_sql_begin(f->pool, VESTRY_SQL_WRITE, &transaction)) return false;
  if (f->pool) db = vestry_sqlite_handle(transaction);
  for (int i = 0; i < times && !sqlite3_get_autocommit(db); i++) (void)sqlite3_exec(db, sql, NULL, NULL, NULL);
  const bool is_open = !sqlite3_get_autocommit(db);
  if (f->pool) return !vestry_sql_end(transaction, is_open ? VESTRY_OK : VESTRY_IO);
  return is_open && run(db, "COMMIT");
}

static bool run_shell(const char *path, const char *sql) {
  char command[160];
  snprintf(command, sizeof command, "sqlite3 -batch '%s' > /dev/null 2>&1", path);
  FILE *shell = popen(command, "w");
  if (shell) (void)fprintf(shell, "PRAGMA wal_autocheckpoint = 10; %s;", sql);
  return shell && !pclose(shell);
}

static bool operate(follower *f, enum operation operation, const char *text) {
  static char path[96];
  const enum operation opening = f->opening;
  switch (operation) {
  case OPEN:
  case OPEN_ATTACHED:
  case OPEN_POOL: return open_all(f, operation, strncpy(path, text, sizeof path - 1));
  case CLOSE: return end_following(f);
  case REOPEN: return end_following(f) && open_all(f, opening, path);
  case RUN: return f->pool ? import(f, text, 1) : run(f->db, text);
  case IMPORT: return import(f, text, IMPORTED);
  case STEP: return step(f->db, text);
  case CHECKPOINT: return run(f->db, text);
  case HOLD:
    sqlite3_exec(f->holder, "ROLLBACK", NULL, NULL, NULL);
    return !*text || !sqlite3_exec(f->holder, text, NULL, NULL, NULL);
  case SHELL: return run_shell(path, text);
  case NAME: break;
  }
  return false;
}

/* Serve until the socket is closed. */
static void serve_operations(int to) {
  follower f = {.db = NULL};
  struct {
    uint32_t operation, len;
  } head;
  char text[4096], answer = READY;
  while (write(to, &answer, 1) == 1 && read_all(to, &head, sizeof head) && head.len < sizeof text &&
         read_all(to, text, head.len)) {
    const pid_t is = getpid();
    text[head.len] = '\0';
    if (head.operation == NAME && write(to, &is, sizeof is) != (ssize_t)sizeof is) break;
    answer = operate(&f, (enum operation)head.operation, text);
  }
  _exit(0);
}

static void fork_servers(int to) {
  int status = 0;
  do {
    const pid_t server = fork();
    if (server == 0) serve_operations(to);
    if (server < 0 || waitpid(server, &status, 0) != server) break;
    char unread[256]; /* what the killed process has not received */
    while (recv(to, unread, sizeof unread, MSG_DONTWAIT) > 0) continue;
  } while (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  _exit(WIFSIGNALED(status));
}

/* ------------------------------------------------------------------------------------------------ in the test ----- */

static char answer_of(const process *p) {
  char answer;
  assert_true(read_all(p->socket_fd, &answer, 1));
  return answer;
}

static void ask(const process *p, enum operation operation, const char *text) {
  char bytes[4200];
  const uint32_t head[2] = {operation, (uint32_t)strlen(text)};
  assert_true(sizeof head + head[1] <= sizeof bytes);
  memcpy(bytes, head, sizeof head);
  memcpy(bytes + sizeof head, text, head[1]);
  assert_int_equal(write(p->socket_fd, bytes, sizeof head + head[1]), sizeof head + head[1]);
}

void oracle_process_start(void) {
  for (int i = 0; i < PROCESSES; i++) {
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends)) abort();
    all[i].forker = fork();
    if (all[i].forker == 0) {
      for (int j = 0; j < i; j++) close(all[j].socket_fd);
      close(ends[0]);
      fork_servers(ends[1]);
    }
    if (all[i].forker < 0) abort();
    close(ends[1]);
    all[i].socket_fd = ends[0];
    if (read(ends[0], &(char){0}, 1) != 1) abort(); /* it is ready */
  }
}

void oracle_process_stop(void) {
  for (int i = 0; i < PROCESSES; i++) close(all[i].socket_fd);
  for (int i = 0; i < PROCESSES; i++) (void)waitpid(all[i].forker, NULL, 0);
}

static void open_file(process *p) {
  ask(p, NAME, "");
  assert_true(read_all(p->socket_fd, &p->server, sizeof p->server));
  assert_int_equal(answer_of(p), 0);
  ask(p, are_peers ? openings[(p - all) % 2] : OPEN, path_now);
  assert_int_equal(answer_of(p), 1);
}

void oracle_process_open(const char *path, bool is_peer, uint64_t seed) {
  snprintf(path_now, sizeof path_now, "%s", path);
  state = seed;
  are_peers = is_peer;
  open_count = is_peer ? counts[random_below(&state, sizeof counts / sizeof *counts)] : 1;
  for (unsigned i = 0; i < open_count; i++) open_file(&all[i]);
}

void oracle_process_close(void) {
  for (unsigned i = 0; i < open_count; i++) {
    ask(&all[i], CLOSE, "");
    assert_int_equal(answer_of(&all[i]), 1);
  }
}

/* Kill a process at any moment of an operation, and let its successor open the file. */
static bool kill_within(process *p) {
  for (volatile uint64_t spins = random_below(&state, 2) * random_below(&state, 200000); spins; spins--) continue;
  assert_int_equal(kill(p->server, SIGKILL), 0);
  bool is_done = false;
  for (char answer; (answer = answer_of(p)) != READY;) is_done = answer;
  open_file(p);
  return is_done;
}

/* Do to the side file what others can do. */
static void harm_side_file(void) {
  char side[120], noise[600];
  struct stat is = {.st_size = 0};
  snprintf(side, sizeof side, "%s-vestry", path_now);
  int fd = -1;
  switch (random_below(&state, 7)) {
  case 0: (void)unlink(side); return;
  case 1: (void)!truncate(side, (off_t)random_below(&state, 9000)); return;
  case 2:
    (void)unlink(side);
    fd = open(side, O_WRONLY | O_CREAT, 0600);
    break;
  case 3: (void)chmod(side, random_below(&state, 2) ? 0600 : 0666); return;
  default: fd = open(side, O_WRONLY); break;
  }
  if (fd < 0) return;
  for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)random_below(&state, 256);
  (void)fstat(fd, &is);
  const off_t last = is.st_size - (off_t)random_below(&state, sizeof noise); /* about the last record of a process */
  (void)!pwrite(fd, noise, 1 + random_below(&state, sizeof noise),
                random_below(&state, 3) && last > 0 ? last : (off_t)random_below(&state, 300));
  close(fd);
}

/* Do at the border of a process what changes no row. */
static void visit_border(const process *p) {
  static const char *const checkpoints[] = {"PRAGMA wal_checkpoint(PASSIVE)", "PRAGMA wal_checkpoint(FULL)",
                                            "PRAGMA wal_checkpoint(RESTART)", "PRAGMA wal_checkpoint(TRUNCATE)"};
  switch (random_below(&state, 40)) {
  case 0: ask(p, HOLD, "BEGIN; SELECT count(*) FROM sqlite_schema"); break;
  case 1:
  case 2: ask(p, HOLD, ""); break;
  case 3:
  case 4: ask(p, CHECKPOINT, checkpoints[random_below(&state, 4)]); break;
  case 5: ask(p, REOPEN, ""); break;
  default: return;
  }
  (void)answer_of(p);
}

static bool send_operation(enum operation operation, const char *text) {
  process *p = &all[random_below(&state, open_count)];
  if (are_peers) visit_border(p);
  if (are_peers && operation == RUN && !random_below(&state, 20)) operation = random_below(&state, 3) ? IMPORT : SHELL;
  ask(p, operation, text);
  const bool is_done = are_peers && !random_below(&state, 25) ? kill_within(p) : answer_of(p) == 1;
  if (are_peers && !random_below(&state, 30)) harm_side_file();
  return is_done;
}

bool oracle_process_run(const char *sql) {
  return send_operation(RUN, sql);
}

void oracle_process_step(const char *sql) {
  (void)send_operation(STEP, sql);
}
