/* SPDX-License-Identifier: MIT */
/* Opening: the file is made if there is none, its tables are brought to their version, and each connection is set up.
 * The first connection does what is done once. */
#include "data/sqlite/pool_open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/wait.h"
#include "data/sqlite/schema.h"

static const char function[] = "vestry_sqlite_pool_create";

static int read_version(sqlite3 *db, int *ret_version) {
  return vsi_sqlite_ask(db, "PRAGMA user_version", NULL, ret_version);
}

/* All of it, or nothing. */
static int make_tables(sqlite3 *db, const vestry_sqlite_pool_options *given, int *ret_version) {
  char sql[64];
  int result = sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL);
  if (!result) result = read_version(db, ret_version); /* another process may have been quicker */
  if (!result && *ret_version < given->schema_version) {
    snprintf(sql, sizeof sql, "PRAGMA user_version = %d", given->schema_version);
    result = sqlite3_exec(db, given->schema, NULL, NULL, NULL);
    if (!result) result = sqlite3_exec(db, sql, NULL, NULL, NULL);
  }
  if (!result) result = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
  return result;
}

/* A connection that sets the mode reads, and then writes: of two that do so at once SQLite refuses one, without
 * waiting, since each would wait for the other. So it is tried again, as long as others may be waited for. */
static int set_mode(sqlite3 *db, uint32_t busy_ms) {
  const uint64_t due_ns = vsi_monotonic_in_ms(busy_ms);
  for (;;) {
    int result = sqlite3_exec(db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    if ((result & 0xff) != SQLITE_BUSY || vsi_monotonic_ns() >= due_ns) return result;
    nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
  }
}

static vestry_err see_to_tables(const vestry_sqlite_pool *pool, sqlite3 *db, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sqlite_pool_call(pool, function);
  int version = 0;
  int result = read_version(db, &version);
  vestry_err error = vsi_sqlite_fail(&call, db, result, "it cannot be read");
  if (!error && given->schema && version > given->schema_version)
    return vsi_refuse(&call, VESTRY_IO,
                      "its tables are of version %d, and this program knows no later one than %d; nothing was "
                      "changed: use the program that wrote them, or another file",
                      version, given->schema_version);
  if (!error) {
    result = set_mode(db, pool->options.busy_ms);
    error = vsi_sqlite_fail(&call, db, result, "it cannot be written");
  }
  if (error || !given->schema || version == given->schema_version) return error;
  result = make_tables(db, given, &version);
  error = vsi_sqlite_fail(&call, db, result, "its tables cannot be made");
  if (!sqlite3_get_autocommit(db)) sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
  return error;
}

/* With its mode from the beginning, which those of its WAL and of the WAL's index follow. */
static void make_file(const vestry_sqlite_pool *pool) {
  int file = open(pool->path, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, (mode_t)pool->options.file_mode);
  if (file >= 0) close(file); /* or else SQLite says why not */
}

static vestry_err open_one(vestry_sqlite_pool *pool, vsi_sqlite_loan *loan, const vestry_sqlite_pool_options *given) {
  const vsi_call call = vsi_sqlite_pool_call(pool, function);
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  bool is_first = loan == pool->loans;
  if (is_first) make_file(pool);
  int result = sqlite3_open_v2(pool->path, &loan->lent.db, flags, NULL);
  if (!result) result = sqlite3_busy_timeout(loan->lent.db, (int)pool->options.busy_ms);
  vestry_err error = vsi_sqlite_fail(&call, loan->lent.db, result, "it cannot be opened");
  if (!error && is_first) {
    const char *name = sqlite3_db_filename(loan->lent.db, "main");
    if (!name || !*name)
      return vsi_refuse(&call, VESTRY_INVALID,
                        "a file is wanted, which several connections can see: name one in options.path");
    if (sqlite3_db_readonly(loan->lent.db, "main") == 1)
      return vsi_sqlite_fail(&call, loan->lent.db, SQLITE_READONLY, "it cannot be written");
    error = see_to_tables(pool, loan->lent.db, given);
  }
  if (error || !given->setup) return error;
  result = sqlite3_exec(loan->lent.db, given->setup, NULL, NULL, NULL);
  return vsi_sqlite_fail(&call, loan->lent.db, result, "options.setup cannot be run");
}

vestry_err vsi_sqlite_pool_open(vestry_sqlite_pool *pool, const vestry_sqlite_pool_options *given) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < pool->loans_count && !error; i++) {
    vsi_sqlite_loan *loan = &pool->loans[i];
    loan->pool = pool;
    loan->is_aside = i >= pool->options.connections_count;
    error = vsi_sqlite_statements_init(&loan->statements, pool->host, pool->options.statements_count);
    if (!error) error = open_one(pool, loan, given);
  }
  return error;
}
