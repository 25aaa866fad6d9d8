/* SPDX-License-Identifier: MIT */
/* It is forked before there are threads or SQLite has begun. A message is an operation, a length and that many bytes;
 * the answer is a byte. It ends when nobody speaks to it any more. */
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sqlite/oracle.h"

enum operation { OPEN, CLOSE, RUN, STEP };

static int speaks = -1;
static pid_t process;

static bool take(int from, void *bytes, size_t len) {
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

static void listen_to(int to) {
  sqlite3 *db = NULL;
  struct {
    uint32_t operation, len;
  } head;
  char text[4096];
  while (take(to, &head, sizeof head) && head.len < sizeof text && take(to, text, head.len)) {
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

static bool say(enum operation operation, const char *text) {
  char bytes[4200], answer;
  const uint32_t head[2] = {operation, (uint32_t)strlen(text)};
  assert_true(sizeof head + head[1] <= sizeof bytes);
  memcpy(bytes, head, sizeof head);
  memcpy(bytes + sizeof head, text, head[1]);
  assert_int_equal(write(speaks, bytes, sizeof head + head[1]), sizeof head + head[1]);
  assert_true(take(speaks, &answer, 1));
  return answer;
}

void oracle_process_start(void) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends)) abort();
  process = fork();
  if (process == 0) {
    close(ends[0]);
    listen_to(ends[1]);
  }
  if (process < 0) abort();
  close(ends[1]);
  speaks = ends[0];
}

void oracle_process_stop(void) {
  close(speaks);
  (void)waitpid(process, NULL, 0);
}

void oracle_process_open(const char *path) {
  assert_true(say(OPEN, path));
}

void oracle_process_close(void) {
  assert_true(say(CLOSE, ""));
}

bool oracle_process_run(const char *sql) {
  return say(RUN, sql);
}

void oracle_process_step(const char *sql) {
  (void)say(STEP, sql);
}
