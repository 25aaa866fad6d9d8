#include "database.h"

#include <stdio.h>
#include <string.h>

/* Other processes may be writing, or making the tables too. */
enum { WAIT_MS = 5000 };

static const char *advice(int status) {
  switch (status & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED: return "another program is writing to it: end that one, or wait until it is done";
  case SQLITE_FULL: return "make room on the disk";
  case SQLITE_READONLY:
  case SQLITE_PERM: return "let this user write to the file and to its folder";
  case SQLITE_CANTOPEN: return "its folder must be there, and this user must be allowed to write there";
  case SQLITE_NOTADB: return "choose another file";
  case SQLITE_CORRUPT: return "bring back a copy of it";
  case SQLITE_IOERR: return "look whether the disk is full or broken, or ulimit -f too low";
  default: return "see sqlite.org/rescode.html";
  }
}

vestry_err database_error(int status) {
  switch (status & 0xff) {
  case SQLITE_BUSY:
  case SQLITE_LOCKED:
  case SQLITE_FULL:
  case SQLITE_IOERR: return VESTRY_LIMIT;
  default: return VESTRY_IO;
  }
}

void database_say(const struct database *database, sqlite3 *db, int status, const char *function) {
  const int system = (status & 0xff) == SQLITE_CANTOPEN ? sqlite3_system_errno(db) : 0;
  fprintf(stderr, "%s: %s, %s: %s (%d)%s%s; %s\n", database->program, function, database->path,
          sqlite3_errcode(db) ? sqlite3_errmsg(db) : sqlite3_errstr(status), status, system ? ", " : "",
          system ? strerror(system) : "", advice(status));
}

static int read_version(sqlite3 *db, int *ret_version) {
  sqlite3_stmt *statement = NULL;
  int status = sqlite3_prepare_v2(db, "PRAGMA user_version", -1, &statement, NULL);
  if (!status) status = sqlite3_step(statement);
  if (status == SQLITE_ROW) *ret_version = sqlite3_column_int(statement, 0);
  sqlite3_finalize(statement);
  return status == SQLITE_ROW ? SQLITE_OK : status;
}

/* All of it, or nothing. */
static int make_tables(const struct database *database, sqlite3 *db, int *ret_version) {
  char sql[64];
  int status = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!status) status = read_version(db, ret_version); /* another process may have been quicker */
  if (!status && *ret_version < database->version) {
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", database->version);
    status = sqlite3_exec(db, database->schema, NULL, NULL, NULL);
    if (!status) status = sqlite3_exec(db, sql, NULL, NULL, NULL);
  }
  return status ? status : sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
}

sqlite3 *database_open(const struct database *database, int flags) {
  sqlite3 *db = NULL;
  int version = 0;
  const char *function = "sqlite3_open_v2";
  int status = sqlite3_open_v2(database->path, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | flags, NULL);
  if (!status) function = "database_open", status = sqlite3_busy_timeout(db, WAIT_MS);
  if (!status && sqlite3_db_readonly(db, "main") == 1) status = SQLITE_READONLY;
  if (!status) status = read_version(db, &version);
  if (!status && version <= database->version) status = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
  if (!status && version < database->version) status = make_tables(database, db, &version);
  if (!status && version <= database->version) return db;
  if (status)
    database_say(database, db, status, function);
  else
    fprintf(
        stderr,
        "%s: %s, %s: its tables are of version %d, and this program knows no later one than %d; nothing was changed: "
        "use the program that wrote them, or another file\n",
        database->program, function, database->path, version, database->version);
  sqlite3_close(db); /* what was begun is rolled back */
  return NULL;
}
