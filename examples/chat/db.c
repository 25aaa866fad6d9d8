#include "db.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "../shared/database.h"

enum { CONNECTIONS = 6, STATEMENTS_MAX = 32, TAB_MAX_BYTES = 64 * 1024 };

struct db_connection {
  struct db *db;
  sqlite3 *sqlite;
  vestry_sqlite_connection *attached; /* NULL: it is not */
  bool is_taken;                      /* guarded by db->lock */
  bool is_writing;
  struct {
    const char *sql;
    sqlite3_stmt *statement;
  } statements[STATEMENTS_MAX];
  size_t statements_count;
};

struct db {
  vestry_sqlite *followed;
  void (*on_commit)(void *ctx); /* NULL: nobody is told */
  void *on_commit_ctx;
  pthread_mutex_t writing; /* held from db_begin to db_end; taken before lock */
  pthread_mutex_t lock;
  pthread_cond_t given;
  struct db_connection connections[CONNECTIONS];
  pthread_mutex_t aside_lock;
  struct db_connection aside; /* guarded by aside_lock; not attached */
};

/* --------------------------------------------------------------------------------------- open and close ----------- */

static struct database file = {.program = "chat", .version = 1};

static bool open_one(struct db_connection *connection) {
  sqlite3 *sqlite = connection->sqlite = database_open(&file, SQLITE_OPEN_NOMUTEX);
  if (!sqlite) return false;
  /* FULL: what was acknowledged is on the disk, whatever becomes of the machine. */
  int status = sqlite3_exec(sqlite, "PRAGMA synchronous = FULL", NULL, NULL, NULL);
  if (status) database_say(&file, sqlite, status, "db_open");
  return !status;
}

struct db *db_open(const char *path) {
  if (!*path || strcmp(path, ":memory:") == 0) { /* its connections would each have one of their own */
    fprintf(stderr, "chat: --db '%s': a file is wanted, which several connections can see\n", path);
    return NULL;
  }
  struct db *db = calloc(1, sizeof *db);
  if (!db) {
    fprintf(stderr, "chat: db_open, %s: out of memory\n", path);
    return NULL;
  }
  file.path = path;
  file.schema = (const char *)schema_sql;
  pthread_mutex_init(&db->writing, NULL);
  pthread_mutex_init(&db->lock, NULL);
  pthread_cond_init(&db->given, NULL);
  pthread_mutex_init(&db->aside_lock, NULL);
  const mode_t before = umask(077); /* it has secrets */
  db->aside.db = db;
  bool is_open = open_one(&db->aside);
  for (int i = 0; i < CONNECTIONS && is_open; i++) {
    db->connections[i].db = db;
    is_open = open_one(&db->connections[i]);
  }
  umask(before);
  if (is_open) return db;
  db_close(db);
  return NULL;
}

static void close_one(struct db_connection *connection) {
  for (size_t i = 0; i < connection->statements_count; i++) sqlite3_finalize(connection->statements[i].statement);
  sqlite3_close(connection->sqlite);
}

void db_close(struct db *db) {
  if (!db) return;
  for (int i = 0; i < CONNECTIONS; i++) close_one(&db->connections[i]);
  close_one(&db->aside);
  pthread_mutex_destroy(&db->aside_lock);
  pthread_cond_destroy(&db->given);
  pthread_mutex_destroy(&db->lock);
  pthread_mutex_destroy(&db->writing);
  free(db);
}

static void read_secret(sqlite3_stmt *row, void *secret) {
  if (sqlite3_column_bytes(row, 0) == DB_SECRET_BYTES) memcpy(secret, sqlite3_column_blob(row, 0), DB_SECRET_BYTES);
}

vestry_err db_secret(struct db *db, unsigned char secret[DB_SECRET_BYTES]) {
  struct db_connection *connection = db_take(db);
  vestry_err err = db_run(connection, "SELECT bytes FROM secret", NULL, read_secret, secret);
  db_give(connection);
  return err;
}

/* With each message somebody has read more, in a table of everybody's: a page that read it would be rendered for what
 * stands next to its rows in the file. So it is read aside, and refreshes whose it is. What is gone is counted with it,
 * and refreshes all. */
static void say_topics(vestry_sqlite_change *change, const char *table, int64_t rowid, void *app) {
  char topic[VESTRY_PAGE_TOPIC_MAX_BYTES];
  (void)rowid, (void)app;
  if (strcmp(table, "gone") == 0) vestry_sqlite_topic(change, "gone");
  if (strcmp(table, "seen") != 0) return;
  sqlite3_value *user = vestry_sqlite_change_new(change, 0);
  if (!user) user = vestry_sqlite_change_old(change, 0);
  const char *name = user ? (const char *)sqlite3_value_text(user) : NULL;
  snprintf(topic, sizeof topic, "seen/%s", name ? name : "");
  vestry_sqlite_topic(change, topic);
}

vestry_err db_attach(struct db *db, vestry_pages *pages) {
  const char *path = sqlite3_db_filename(db->connections[0].sqlite, NULL);
  const vestry_sqlite_options options = {.path = path, .topics = say_topics};
  vestry_err err = vestry_sqlite_create(pages, &options, &db->followed);
  for (int i = 0; i < CONNECTIONS && !err; i++)
    err = vestry_sqlite_attach(db->followed, db->connections[i].sqlite, &db->connections[i].attached);
  return err;
}

void db_detach(struct db *db) {
  if (!db) return;
  for (int i = 0; i < CONNECTIONS; i++) {
    vestry_sqlite_detach(db->connections[i].attached);
    db->connections[i].attached = NULL;
  }
  vestry_sqlite_destroy(db->followed);
  db->followed = NULL;
}

void db_on_commit(struct db *db, void (*on_commit)(void *ctx), void *ctx) {
  db->on_commit = on_commit;
  db->on_commit_ctx = ctx;
}

void db_look(struct db *db) {
  (void)vestry_sqlite_sync(db->followed, NULL);
}

/* ------------------------------------------------------------------------------------- connections ---------------- */

struct db_connection *db_take(struct db *db) {
  pthread_mutex_lock(&db->lock);
  for (int i = 0;; i++) {
    if (i == CONNECTIONS) pthread_cond_wait(&db->given, &db->lock), i = 0;
    if (db->connections[i].is_taken) continue;
    db->connections[i].is_taken = true;
    pthread_mutex_unlock(&db->lock);
    return &db->connections[i];
  }
}

struct db_connection *db_take_aside(struct db *db) {
  pthread_mutex_lock(&db->aside_lock);
  return &db->aside;
}

void db_give(struct db_connection *connection) {
  struct db *db = connection->db;
  if (connection == &db->aside) {
    pthread_mutex_unlock(&db->aside_lock);
    return;
  }
  pthread_mutex_lock(&db->lock);
  connection->is_taken = false;
  pthread_cond_broadcast(&db->given);
  pthread_mutex_unlock(&db->lock);
}

struct db_connection *db_begin(struct db *db) {
  pthread_mutex_lock(&db->writing);
  struct db_connection *connection = db_take(db);
  if (db_run(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL) == VESTRY_NOT_FOUND) return connection;
  db_give(connection);
  pthread_mutex_unlock(&db->writing);
  return NULL;
}

vestry_err db_end(struct db_connection *connection, vestry_err err) {
  struct db *db = connection->db;
  if (!err) {
    err = db_run(connection, "COMMIT", NULL, NULL, NULL);
    if (err == VESTRY_NOT_FOUND) err = VESTRY_OK; /* it gives no row */
  }
  if (!sqlite3_get_autocommit(connection->sqlite)) (void)db_run(connection, "ROLLBACK", NULL, NULL, NULL);
  db_give(connection);
  pthread_mutex_unlock(&db->writing);
  if (!err && db->on_commit) db->on_commit(db->on_commit_ctx);
  return err;
}

/* -------------------------------------------------------------------------------------- statements ---------------- */

static sqlite3_stmt *prepared(struct db_connection *connection, const char *sql) {
  sqlite3_stmt *statement = NULL;
  for (size_t i = 0; i < connection->statements_count; i++)
    if (strcmp(connection->statements[i].sql, sql) == 0) return connection->statements[i].statement;
  if (connection->statements_count == STATEMENTS_MAX) return NULL;
  if (sqlite3_prepare_v3(connection->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL)) return NULL;
  connection->statements[connection->statements_count].sql = sql; /* a literal of the program's */
  connection->statements[connection->statements_count++].statement = statement;
  return statement;
}

void db_integer(sqlite3_stmt *row, void *ctx) {
  *(int *)ctx = sqlite3_column_int(row, 0);
}

vestry_err db_run(struct db_connection *connection, const char *sql, const vestry_key *values, db_row_fn row,
                  void *ctx) {
  sqlite3_stmt *statement = prepared(connection, sql);
  int status = statement ? SQLITE_OK : sqlite3_errcode(connection->sqlite);
  if (!statement && !status) status = SQLITE_ERROR; /* there are STATEMENTS_MAX of them */
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
  if (status != SQLITE_DONE) database_say(&file, connection->sqlite, status, "db_run");
  sqlite3_reset(statement);
  sqlite3_clear_bindings(statement);
  if (status != SQLITE_DONE) return database_error(status);
  return found ? VESTRY_OK : VESTRY_NOT_FOUND;
}

/* ------------------------------------------------------------------------------------ state of tabs --------------- */

json_t *db_tab(struct db_connection *connection, const vestry_request *req, vestry_render *render) {
  size_t len = 0;
  char *bytes = malloc(TAB_MAX_BYTES);
  if (!bytes) return NULL;
  vestry_err err = vestry_sqlite_tab_get(connection->attached, req, render, bytes, TAB_MAX_BYTES, &len);
  json_t *state = len > 0 && !err ? json_loadb(bytes, len, 0, NULL) : NULL;
  free(bytes);
  return state || (err && err != VESTRY_NOT_FOUND) ? state : json_object();
}

vestry_err db_tab_set(struct db_connection *connection, const vestry_request *req, const json_t *state) {
  char *text = json_dumps(state, JSON_COMPACT);
  if (!text) return VESTRY_NO_MEMORY;
  vestry_err err = vestry_sqlite_tab_set(connection->attached, req, text, strlen(text));
  if (err == VESTRY_BUSY || err == VESTRY_IO) err = VESTRY_LIMIT; /* not now: as database_error has it */
  free(text);
  return err;
}

/* ------------------------------------------------------------------------------------------------- sessions ------- */

/* No row is wanted of what only writes. */
static vestry_err write_one(struct db *db, const char *sql, const vestry_key *values) {
  struct db_connection *connection = db_begin(db);
  if (!connection) return VESTRY_LIMIT;
  vestry_err err = db_run(connection, sql, values, NULL, NULL);
  return db_end(connection, err == VESTRY_NOT_FOUND ? VESTRY_OK : err);
}

/* A use changes the row that a log-in has made, and makes none: another process may have ended the session since. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  if (record->used_s > record->created_s)
    return write_one(*(struct db **)ctx, "UPDATE session SET used = ?2 WHERE hash = ?1",
                     VESTRY_KEY(hash, record->used_s));
  return write_one(*(struct db **)ctx, "INSERT OR REPLACE INTO session VALUES(?, ?, ?, ?)",
                   VESTRY_KEY(hash, record->user, record->created_s, record->used_s));
}

static void read_session(sqlite3_stmt *row, void *ctx) {
  vestry_session_record *record = ctx;
  snprintf(record->user, sizeof record->user, "%s", (const char *)sqlite3_column_text(row, 0));
  record->created_s = sqlite3_column_int64(row, 1);
  record->used_s = sqlite3_column_int64(row, 2);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  struct db_connection *connection = db_take(*(struct db **)ctx);
  vestry_err err = db_run(connection, "SELECT user, created, used FROM session WHERE hash = ?", VESTRY_KEY(hash),
                          read_session, ret_record);
  db_give(connection);
  return err;
}

static vestry_err forget(void *ctx, const char *hash) {
  return write_one(*(struct db **)ctx, "DELETE FROM session WHERE hash = ?", VESTRY_KEY(hash));
}

static vestry_err forget_user(void *ctx, const char *user) {
  return write_one(*(struct db **)ctx, "DELETE FROM session WHERE user = ?", VESTRY_KEY(user));
}

const vestry_session_storage_ops db_sessions = {
    .save = save, .load = load, .remove = forget, .remove_user = forget_user};
