/* SPDX-License-Identifier: MIT */
/* essay: when every connection can see a commit, and how this is determined */
/* Attached connections, and their hooks.
 *
 * SQLite calls the hooks of a transaction in this order:
 * 1. preupdate, for each row;
 * 2. commit, before the commit is visible, and while no other connection can commit: so the place of the commit in the
 *    WAL is known, if it takes place;
 * 3. WAL, when the commit is visible, at the end of the statement that made it: exactly if it wrote anything. It is not
 *    called for a transaction that changes no byte, for one that fails, or for one that writes another file only.
 *
 * The third one proves the commit, and publishes it under its number. It comes late, at the end of the connection's
 * next statement, if the commit was made by a statement that was reset before its end (an example is one with RETURNING
 * that was stepped once), or by sqlite3_blob_close. If another transaction begins before, it is unknown to which of
 * both the call belongs, unless it reports a frame that did not exist before the second one. It never comes if the
 * application has taken it away, for example by PRAGMA wal_autocheckpoint, or if a connection with the same cache takes
 * it.
 *
 * A commit that was announced in the second hook, and not published in the third one, is followed by its file pages, if
 * it took place. Its changes are discarded by the connection's next hook, or before its next statement that may write;
 * if its number is not reached, because COMMIT has found a file locked, they stay with the transaction.
 *
 * SQLite calls no hook for changes of the schema, and for a DELETE without WHERE whose statement was prepared before
 * there was a hook. Therefore, attaching expires all statements, and a statement that changes something other than rows
 * makes its commit rough: file pages of any table may be written. VACUUM does not even call a commit hook: its commit
 * is followed as another connection's.
 *
 * A render can read uncommitted changes of another transaction on the same connection. This is rare, and a mistake of
 * the application. The render runs again when that transaction ends, whether it is committed or not. */
#include <stdlib.h>

#include "base/log.h"
#include "base/trace.h"
#include "data/sql/syntax.h"
#include "data/sqlite/sqlite.h"

#pragma weak sqlite3_preupdate_hook

static bool is_writing(const vestry_sqlite_connection *connection) {
  return sqlite3_txn_state(connection->db, "main") == SQLITE_TXN_WRITE;
}

static bool is_announced(const vestry_sqlite_connection *connection) {
  return atomic_load_explicit(&connection->announced, memory_order_relaxed);
}

/* Decide about a commit that was announced and not published. If its number is reached, the WAL hook may still be
 * called for it. Otherwise it has written nothing, or COMMIT has found a file locked, and the transaction goes on. */
static void settle(vestry_sqlite_connection *connection) {
  if (!is_announced(connection)) return;
  const uint32_t last = vsi_sqlite_frames_number(connection->database->wal_index);
  const bool is_reached = (int32_t)(last - connection->at.number) >= 0;
  connection->is_late |= is_reached;
  if (is_reached || !is_writing(connection)) vsi_sqlite_forget(connection);
}

void vsi_sqlite_settle(vestry_sqlite_connection *connection) {
  if (!is_announced(connection) || !sqlite3_get_autocommit(connection->db)) return;
  const bool was_paused = vsi_sqlite_reader_pause(&connection->reader, true);
  (void)vsi_sqlite_exec(connection->db, "SELECT 1"); /* calls the WAL hook, if it is due */
  vsi_sqlite_reader_pause(&connection->reader, was_paused);
  settle(connection);
}

/* ----------------------------------------------------------------------------------------------------- hooks ------ */

/* The preupdate hook: note the change of a row. If a render makes the change, the connection is settled when the
 * render ends. */
static void before_change(void *ctx, sqlite3 *db, int operation, const char *schema, const char *table,
                          sqlite3_int64 old_rowid, sqlite3_int64 new_rowid) {
  vestry_sqlite_connection *connection = ctx;
  if (strcmp(schema, "main") != 0) return;
  settle(connection);
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(connection->database);
  const uint64_t changer = recording ? recording->number : 0;
  if (recording) recording->writer = connection;
  if (!connection->has_changes) connection->changer = changer;
  if (connection->changer != changer)
    connection->changer = 0; /* begun in a render, continued outside: not of a render */
  connection->has_changes = true;
  connection->has_removed |= operation != SQLITE_INSERT;
  vsi_sqlite_changes_row(&connection->changes, &connection->database->tables,
                         &(vsi_sqlite_row){db, operation, table, old_rowid, new_rowid});
}

/* The commit hook. The lock is only needed for peers. */
static int before_commit(void *ctx) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  settle(connection);
  connection->at = vsi_sqlite_frames_next(database->wal_index);
  if (vsi_sqlite_tables_have_peers(&database->tables)) {
    vsi_mutex_lock(&database->lock);
    vsi_sqlite_peers_announce(database->peers, connection->at.number, true);
    vsi_sqlite_unlock(database);
  }
  const vestry_trace *here = database->host->tracer ? vestry_trace_here() : NULL;
  if (here) connection->trace = *here;
  /* pairs with is_awaited of commits.c: a thread that has found the number in the WAL's index, which SQLite writes
   * later, finds this, too */
  atomic_store_explicit(&connection->announced, (uint64_t)connection->at.number + 1, memory_order_release);
  return 0;
}

/* The WAL hook, and the work of SQLite's own one, which it replaces. A call that is not for the announced commit shows
 * that this one has written nothing, or after a restart of the WAL nothing at all. */
static int after_commit(void *ctx, sqlite3 *db, const char *schema, int frame) {
  vestry_sqlite_connection *connection = ctx;
  if (strcmp(schema, "main") != 0) return SQLITE_OK;
  const bool is_of_this = !connection->is_late || (uint32_t)frame > connection->at.before;
  if (is_announced(connection) && is_of_this && !connection->is_shared) {
    vsi_sqlite_frames_reach(connection->database->wal_index, (uint32_t)frame, &connection->at);
    vsi_sqlite_publish(connection);
  } else if (is_announced(connection)) {
    vsi_sqlite_forget(connection);
  }
  connection->is_late = false;
  if (connection->copied_each && frame >= connection->copied_each)
    (void)sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  return SQLITE_OK;
}

static void after_rollback(void *ctx) {
  settle(ctx); /* its commit may have failed after it was visible, in another file */
  vsi_sqlite_forget(ctx);
}

/* Return whether a statement that may write changes something other than rows, according to its first word. */
static bool is_of_schema(sqlite3_stmt *statement) {
  static const char *const words[] = {"INSERT", "UPDATE", "DELETE",   "REPLACE", "WITH",    "SELECT",    "VALUES",
                                      "BEGIN",  "COMMIT", "ROLLBACK", "END",     "RELEASE", "SAVEPOINT", NULL};
  return !vsi_sqlite_text_begins(sqlite3_sql(statement), words);
}

static int before_statement(void *ctx, int action, const char *first, const char *second, const char *schema,
                            const char *inside) {
  vestry_sqlite_connection *connection = ctx;
  (void)inside;
  if (connection->left && vsi_sqlite_leaves(action, first, second, schema)) *connection->left = true;
  return vsi_sqlite_reader_authorize(&connection->reader, action, first, second, schema);
}

/* Called before every statement, including statements that run inside of others. Another render may read the
 * transaction's changes. */
static int at_statement(unsigned what, void *ctx, void *statement, void *text) {
  vestry_sqlite_connection *connection = ctx;
  (void)what, (void)text;
  if (!sqlite3_stmt_readonly(statement)) {
    settle(connection);
    if (connection->is_rough && !is_writing(connection)) vsi_sqlite_forget(connection); /* it has written nothing */
    connection->is_rough |= is_of_schema(statement);
  }
  if (!vsi_sqlite_are_recorded()) return 0;
  const vsi_sqlite_recording *recording = connection->has_changes ? vsi_sqlite_reads_of(connection->database) : NULL;
  if (recording && recording->number != connection->changer) connection->is_seen = true;
  vsi_sqlite_reader_begins(&connection->reader, statement);
  return 0;
}

/* ------------------------------------------------------------------------------------------------------ life ------ */

/* Expire all statements, because those prepared before the hooks were set do not call them for everything. */
static void expire_statements(sqlite3 *db) {
  int was;
  if (sqlite3_db_config(db, SQLITE_DBCONFIG_TRIGGER_EQP, -1, &was) != SQLITE_OK) return;
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRIGGER_EQP, !was, NULL);
  sqlite3_db_config(db, SQLITE_DBCONFIG_TRIGGER_EQP, was, NULL);
}

static void set_hooks(vestry_sqlite_connection *connection) {
  sqlite3 *db = connection->db;
  sqlite3_preupdate_hook(db, before_change, connection);
  sqlite3_commit_hook(db, before_commit, connection);
  sqlite3_rollback_hook(db, after_rollback, connection);
  vestry_sqlite *database = connection->database;
  vsi_sqlite_reader_init(&connection->reader, db, database, &database->tables, database->records_pages);
  sqlite3_wal_hook(db, after_commit, connection);
  sqlite3_trace_v2(db, SQLITE_TRACE_STMT, at_statement, connection);
  sqlite3_set_authorizer(db, before_statement, connection);
  expire_statements(db);
}

static void take_hooks(const vestry_sqlite_connection *connection) {
  sqlite3 *db = connection->db;
  sqlite3_set_authorizer(db, NULL, NULL);
  sqlite3_preupdate_hook(db, NULL, NULL);
  sqlite3_commit_hook(db, NULL, NULL);
  sqlite3_rollback_hook(db, NULL, NULL);
  (void)sqlite3_wal_autocheckpoint(db, connection->copied_each);
  sqlite3_trace_v2(db, 0, NULL, NULL);
}

/* Add a connection to those of the database. false: it is one of them already. */
static bool add_locked(vestry_sqlite *database, vestry_sqlite_connection *connection) {
  vestry_sqlite_connection *at;
  LIST_FOREACH(at, &database->connections, in) {
    if (at->db == connection->db) return false;
  }
  LIST_FOREACH(at, &database->connections, in) {
    if (at->file == connection->file) at->is_shared = connection->is_shared = true;
  }
  LIST_INSERT_HEAD(&database->connections, connection, in);
  return true;
}

/* NO_MEMORY | EXISTS | IO */
static vestry_err attach(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection) {
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) || !file || !file->pMethods) return VESTRY_IO;
  vestry_sqlite_connection *connection = vsi_calloc(database->host, 1, sizeof *connection);
  if (!connection) return VESTRY_NO_MEMORY;
  connection->database = database;
  connection->db = db;
  connection->file = file;
  vsi_mutex_lock(&database->lock);
  const bool is_new = add_locked(database, connection);
  vsi_sqlite_unlock(database);
  if (!is_new) {
    vsi_free(database->host, connection);
    return VESTRY_EXISTS;
  }
  (void)vsi_sqlite_ask(db, "PRAGMA wal_autocheckpoint", NULL, &connection->copied_each);
  set_hooks(connection);
  *ret_connection = connection;
  return VESTRY_OK;
}

/* Return whether a connection's main database is the followed file, by the same name: by another one (a hard link),
 * SQLite uses another WAL and another journal, and the commits would not be followed. */
static bool is_same_file(const vestry_sqlite *database, sqlite3 *db) {
  const char *one = sqlite3_db_filename(database->db, "main"), *other = sqlite3_db_filename(db, "main");
  int has_moved = 0; /* the file was replaced by another one */
  (void)sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
  if (!one || !other || has_moved) return false;
  char *real = realpath(one, NULL), *other_real = realpath(other, NULL);
  const bool is = real && other_real && strcmp(real, other_real) == 0;
  free(real);
  free(other_real);
  return is;
}

vestry_err vestry_sqlite_attach(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection) {
  if (!database) return VESTRY_INVALID;
  const vsi_call call = {database->host, "vestry_sqlite_attach", database->path, &database->failures};
  if (!db || !ret_connection || db == database->db)
    return vsi_refuse(&call, VESTRY_INVALID, "db or ret_connection is NULL, or db is a connection of the library");
  if (!sqlite3_get_autocommit(db) || sqlite3_txn_state(db, NULL) != SQLITE_TXN_NONE)
    return vsi_refuse(&call, VESTRY_BUSY, "the connection is in a transaction or a statement; end it first");
  if (!is_same_file(database, db)) {
    const char *name = sqlite3_db_filename(db, "main");
    return vsi_refuse(
        &call, VESTRY_INVALID,
        "the connection is open on %s, or the file was replaced since; open the database that is followed, by its own "
        "name (not by a hard link)",
        name && *name ? name : "a database in memory");
  }
  vestry_sqlite_connection *connection;
  vestry_err error = attach(database, db, &connection);
  if (error)
    return vsi_refuse(&call, error, "%s",
                      error == VESTRY_EXISTS ? "the connection is already attached" : vestry_strerror(error));
  bool is_table_level = database->records_pages && !vsi_sqlite_reader_knows_pages(&connection->reader);
  vsi_mutex_lock(&database->lock);
  database->stats.connections_count++;
  bool is_new_reason = is_table_level && !database->is_table_level;
  database->is_table_level |= is_table_level;
  vsi_sqlite_unlock(database);
  if (is_new_reason)
    vsi_log(database->host, VESTRY_LOG_WARN,
            "%s, %s: the pages that a connection reads are unknown, so its renders are followed by tables; it shares "
            "its cache with another connection, or memory ran out",
            call.function, call.name);
  *ret_connection = connection;
  return VESTRY_OK;
}

void vestry_sqlite_detach(vestry_sqlite_connection *connection) {
  if (!connection) return;
  vestry_sqlite *database = connection->database;
  vsi_sqlite_settle(connection);
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (recording && recording->writer == connection) recording->writer = NULL; /* the render need not settle it */
  take_hooks(connection);
  vsi_mutex_lock(&database->lock);
  LIST_REMOVE(connection, in);
  database->stats.connections_count--;
  vsi_sqlite_unlock(database);
  vsi_sqlite_reader_finish(&connection->reader);
  vsi_sqlite_changes_finish(database->host, &connection->changes);
  vsi_free(database->host, connection);
}
