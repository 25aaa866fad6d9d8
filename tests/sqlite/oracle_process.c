/* SPDX-License-Identifier: MIT */
/* The process is forked before threads and SQLite exist. A message consists of an operation, a length and that many
 * bytes; the answer is one byte. The process ends when the socket is closed. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sqlite/oracle.h"

enum operation { OPEN, CLOSE, RUN, STEP };

static int socket_fd = -1;
static pid_t process;

static bool read_all(int from, void *bytes, size_t len) {
  for (size_t at = 0; at < len;) {
    ssize_t got = read(from, (char *)bytes + at, len - at);
    if (got <= 0) return false;
    at += (size_t)got;
  }
  return true;
}

static bool step(sqlite3 *db, const char *sql) {
  sqlite3_stmt *statement = NULL;
  if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL)) return false;
  int result = sqlite3_step(statement);
  sqlite3_finalize(statement);
  return result == SQLITE_ROW || result == SQLITE_DONE;
}

static void serve_operations(int to) {
  sqlite3 *db = NULL;
  struct {
    uint32_t operation, len;
  } head;
  char text[4096];
  while (read_all(to, &head, sizeof head) && head.len < sizeof text && read_all(to, text, head.len)) {
    text[head.len] = '\0';
    char answer = 0;
    switch ((enum operation)head.operation) {
    case OPEN:
      answer = !sqlite3_open(text, &db);
      sqlite3_exec(db, "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA wal_autocheckpoint = 100", NULL,
                   NULL, NULL);
      break;
    case CLOSE:
      answer = !sqlite3_close(db);
      db = NULL;
      break;
    case RUN:
      answer = !sqlite3_exec(db, text, NULL, NULL, NULL);
      if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
      break;
    case STEP: answer = step(db, text); break;
    }
    if (write(to, &answer, 1) != 1) break;
  }
  _exit(0);
}

static bool send_operation(enum operation operation, const char *text) {
  char bytes[4200], answer;
  const uint32_t head[2] = {operation, (uint32_t)strlen(text)};
  assert_true(sizeof head + head[1] <= sizeof bytes);
  memcpy(bytes, head, sizeof head);
  memcpy(bytes + sizeof head, text, head[1]);
  assert_int_equal(write(socket_fd, bytes, sizeof head + head[1]), sizeof head + head[1]);
  assert_true(read_all(socket_fd, &answer, 1));
  return answer;
}

void oracle_process_start(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
  process = fork();
  if (process == 0) {
    close(ends[0]);
    serve_operations(ends[1]);
  }
  if (process < 0) abort();
  close(ends[1]);
  socket_fd = ends[0];
}

void oracle_process_stop(void) {
  close(socket_fd);
  (void)waitpid(process, NULL, 0);
}

void oracle_process_open(const char *path) {
  assert_true(send_operation(OPEN, path));
}

void oracle_process_close(void) {
  assert_true(send_operation(CLOSE, ""));
}

bool oracle_process_run(const char *sql) {
  return send_operation(RUN, sql);
}

void oracle_process_step(const char *sql) {
  (void)send_operation(STEP, sql);
}
