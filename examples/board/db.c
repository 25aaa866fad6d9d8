#include "db.h"

#include <string.h>
#include <sys/stat.h>

#include "../shared/database.h"

static struct database file = {.program = "board", .version = 2};

sqlite3 *db_open(const char *path) {
  file.path = path;
  file.schema = (const char *)schema_sql;
  const mode_t before = umask(077); /* it has a secret */
  sqlite3 *db = database_open(&file, SQLITE_OPEN_FULLMUTEX);
  umask(before);
  int status = db ? sqlite3_exec(db, "PRAGMA synchronous = NORMAL", NULL, NULL, NULL) : SQLITE_OK;
  if (status) database_say(&file, db, status, "db_open"), sqlite3_close(db), db = NULL;
  return db;
}

vestry_err db_run(sqlite3 *db, const char *sql, const vestry_key *values, db_row_fn row, void *ctx) {
  sqlite3_stmt *statement = NULL;
  int status = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
  for (size_t i = 0; values && i < values->len && status == SQLITE_OK; i++) {
    const vestry_key *value = &values->parts[i];
    status = value->type == VESTRY_KEY_INTEGER
                 ? sqlite3_bind_int64(statement, (int)i + 1, value->integer)
                 : sqlite3_bind_text(statement, (int)i + 1, value->data, (int)value->len, SQLITE_STATIC);
  }
  bool found = false;
  while (status == SQLITE_OK || status == SQLITE_ROW) {
    status = sqlite3_step(statement);
    if (status != SQLITE_ROW) continue;
    found = true;
    if (row) row(statement, ctx);
  }
  if (status != SQLITE_DONE) database_say(&file, db, status, "db_run");
  sqlite3_finalize(statement);
  if (status != SQLITE_DONE) return database_error(status);
  return found ? VESTRY_OK : VESTRY_NOT_FOUND;
}

static void read_secret(sqlite3_stmt *row, void *secret) {
  if (sqlite3_column_bytes(row, 0) == DB_SECRET_BYTES) memcpy(secret, sqlite3_column_blob(row, 0), DB_SECRET_BYTES);
}

vestry_err db_secret(sqlite3 *db, unsigned char secret[DB_SECRET_BYTES]) {
  return db_run(db, "SELECT bytes FROM secret", NULL, read_secret, secret);
}

/* ------------------------------------------------------------------------------------------------- sessions ------- */

static vestry_err done(vestry_err err) {
  return err == VESTRY_NOT_FOUND ? VESTRY_OK : err; /* no row is wanted */
}

static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  return done(db_run(*(sqlite3 **)ctx, "INSERT OR REPLACE INTO session VALUES(?, ?, ?, ?)",
                     VESTRY_KEY(hash, record->user, record->created_s, record->used_s), NULL, NULL));
}

static void read_session(sqlite3_stmt *row, void *ctx) {
  vestry_session_record *record = ctx;
  snprintf(record->user, sizeof record->user, "%s", (const char *)sqlite3_column_text(row, 0));
  record->created_s = sqlite3_column_int64(row, 1);
  record->used_s = sqlite3_column_int64(row, 2);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  return db_run(*(sqlite3 **)ctx, "SELECT user, created, used FROM session WHERE hash = ?", VESTRY_KEY(hash),
                read_session, ret_record);
}

static vestry_err forget(void *ctx, const char *hash) {
  return done(db_run(*(sqlite3 **)ctx, "DELETE FROM session WHERE hash = ?", VESTRY_KEY(hash), NULL, NULL));
}

static vestry_err forget_user(void *ctx, const char *user) {
  return done(db_run(*(sqlite3 **)ctx, "DELETE FROM session WHERE user = ?", VESTRY_KEY(user), NULL, NULL));
}

const vestry_session_storage_ops db_sessions = {
    .save = save, .load = load, .remove = forget, .remove_user = forget_user};
