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
 * So when a commit was announced in the second hook, and not published in the third one, it is unknown whether it took
 * place. If its number is reached, its topics are refreshed, because they may have changed; its rows are not published,
 * and the commit of this number is followed by its file pages. This is decided by the connection's next hook or
 * statement, or by the thread that follows commits.
 *
 * SQLite calls no hook for changes of the schema, and for a DELETE without WHERE whose statement was prepared before
 * there was a hook. Therefore, attaching expires all statements, and a statement that changes something other than rows
 * counts as a change of everything. VACUUM does not even call a commit hook: its commit is followed as another
 * connection's.
 *
 * A render can read uncommitted changes of another transaction on the same connection. This is rare, and a mistake of
 * the application. The render runs again when that transaction ends, whether it is committed or not. */
#include <stdio.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/trace.h"
#include "data/sql/syntax.h"
#include "data/sqlite/sqlite.h"

#pragma weak sqlite3_preupdate_hook
#pragma weak sqlite3_preupdate_old
#pragma weak sqlite3_preupdate_new
#pragma weak sqlite3_preupdate_depth

/* ------------------------------------------------------------------------------------------------- settling ------- */

static bool is_writing(const vestry_sqlite_connection *connection) {
  return sqlite3_txn_state(connection->db, "main") == SQLITE_TXN_WRITE;
}

/* Decide about a commit that was announced and not published. In a transaction that is still open, COMMIT has found a
 * file locked. */
static void settle_locked(vestry_sqlite_connection *connection) {
  const uint32_t last = vsi_sqlite_frames_number(connection->database->wal_index);
  if (!atomic_load_explicit(&connection->is_announced, memory_order_relaxed)) return; /* published elsewhere */
  if ((int32_t)(last - connection->at.number) >= 0)
    vsi_sqlite_publish(connection, false);
  else if (!is_writing(connection))
    vsi_sqlite_forget(connection);
  else
    atomic_store_explicit(&connection->is_announced, false, memory_order_release);
}

static bool is_announced(const vestry_sqlite_connection *connection) {
  return atomic_load_explicit(&connection->is_announced, memory_order_acquire);
}

/* In a hook the connection's mutex is held already; everywhere it is locked before the database's lock. */
void vsi_sqlite_settle(vestry_sqlite_connection *connection) {
  if (!is_announced(connection)) return;
  sqlite3_mutex *mutex = sqlite3_db_mutex(connection->db);
  sqlite3_mutex_enter(mutex);
  vsi_mutex_lock(&connection->database->lock);
  settle_locked(connection);
  vsi_sqlite_unlock(connection->database);
  sqlite3_mutex_leave(mutex);
}

void vsi_sqlite_settle_reset(vestry_sqlite_connection *connection) {
  if (!is_announced(connection) || !sqlite3_get_autocommit(connection->db)) return;
  const bool was_paused = vsi_sqlite_reader_pause(&connection->reader, true);
  (void)vsi_sqlite_exec(connection->db, "SELECT 1"); /* calls the WAL hook, if it is due */
  vsi_sqlite_reader_pause(&connection->reader, was_paused);
  vsi_sqlite_settle(connection);
}

/* ----------------------------------------------------------------------------------------------------- hooks ------ */

sqlite3_value *vestry_sqlite_change_value(const vestry_sqlite_change *change, vestry_sqlite_side side, int column) {
  sqlite3_value *value = NULL;
  const bool is_old = side == VESTRY_SQLITE_OLD;
  if (change->operation == (is_old ? SQLITE_INSERT : SQLITE_DELETE)) return NULL;
  int result = (is_old ? sqlite3_preupdate_old : sqlite3_preupdate_new)(change->connection->db, column, &value);
  return result == SQLITE_OK ? value : NULL;
}

void vestry_sqlite_topic(vestry_sqlite_change *change, const char *topic) {
  size_t len = topic ? strnlen(topic, VESTRY_PAGE_TOPIC_MAX_BYTES + 1) : 0;
  if (len && len <= VESTRY_PAGE_TOPIC_MAX_BYTES) vsi_sqlite_topics_add(&change->connection->topics, topic, len);
}

/* Note that the connection changes a row. If a render makes the change, the connection is settled when the render ends.
 * Returns whether the change refreshes topics; a change that a render makes refreshes nothing. */
static inline bool note_row(vestry_sqlite_connection *connection, const vsi_sqlite_row *row) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  uint64_t changer = recording ? recording->number : 0;
  if (recording) recording->writer = connection;
  if (!connection->has_changes) connection->changer = changer;
  if (connection->changer != changer)
    connection->changer = 0; /* begun in a render, continued outside: not of a render */
  connection->has_changes = true;
  connection->has_removed |= row->operation != SQLITE_INSERT;
  if (database->records) vsi_sqlite_changes_row(&connection->changes, &database->tables, row);
  connection->topics.is_first_of_table &= connection->changes.is_repeated;
  return !changer;
}

/* Return whether a text begins with five bytes. A call of the C library takes longer. */
static inline __attribute__((always_inline)) bool begins(const char *text, const char *five) {
  return text[0] == five[0] && text[1] == five[1] && text[2] == five[2] && text[3] == five[3] && text[4] == five[4];
}

/* The preupdate hook: note the change of a row, and the topics that it refreshes. */
static void before_change(void *ctx, sqlite3 *db, int operation, const char *schema, const char *table,
                          sqlite3_int64 old_rowid, sqlite3_int64 new_rowid) {
  vestry_sqlite_connection *connection = ctx;
  const vestry_sqlite_options *options = &connection->database->options;
  if (!begins(schema, "main")) return;
  vsi_sqlite_settle(connection);
  const vsi_sqlite_row row = {db, operation, table, old_rowid, new_rowid};
  if (!note_row(connection, &row)) return;
  if (!options->topics) {
    vsi_sqlite_topics_add_table(&connection->topics, table);
    return;
  }
  vestry_sqlite_change change = {connection, operation};
  options->topics(&change, table, operation == SQLITE_INSERT ? new_rowid : old_rowid, options->app);
  if (operation == SQLITE_UPDATE && old_rowid != new_rowid) options->topics(&change, table, new_rowid, options->app);
}

/* The commit hook. As long as the connection has announced nothing, no other thread uses it, so the lock is only needed
 * for the announcement to peers, or if a former one was not settled: then it is unknown which rows this commit
 * changes. */
static int before_commit(void *ctx) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  const bool is_again = is_announced(connection),
             needs_lock = is_again || atomic_load_explicit(&database->tables.has_peers, memory_order_relaxed);
  if (needs_lock) vsi_mutex_lock(&database->lock);
  if (is_again) connection->changes.are_unknown = connection->is_late = true;
  connection->at = vsi_sqlite_frames_next(database->wal_index);
  if (needs_lock) vsi_sqlite_peers_announce(database->peers, connection->at.number, true);
  if (needs_lock) vsi_sqlite_unlock(database);
  const vestry_trace *here = database->host->tracer ? vestry_trace_here() : NULL;
  if (here) connection->trace = *here;
  /* pairs with is_awaited of commits.c: a thread that has found the number in the WAL's index, which SQLite writes
   * later, finds this, too */
  atomic_store_explicit(&connection->is_announced, true, memory_order_release);
  return 0;
}

/* The WAL hook, and the work of SQLite's own one, which it replaces. */
static int after_commit(void *ctx, sqlite3 *db, const char *schema, int frame) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  if (!begins(schema, "main")) return SQLITE_OK;
  vsi_mutex_lock(&database->lock);
  const bool is_of_this = !connection->is_late || (uint32_t)frame > connection->at.before;
  if (is_announced(connection)) {
    vsi_sqlite_frames_reach(database->wal_index, (uint32_t)frame, &connection->at);
    vsi_sqlite_publish(connection, is_of_this && !connection->is_shared);
  } else if ((connection->has_changes || connection->topics.are_all) && !is_writing(connection)) {
    vsi_sqlite_publish(connection, false); /* without a commit hook, for example VACUUM */
  }
  connection->is_late = false;
  vsi_sqlite_unlock(database);
  if (connection->copied_each && frame >= connection->copied_each)
    (void)sqlite3_wal_checkpoint_v2(db, schema, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  return SQLITE_OK;
}

static void after_rollback(void *ctx) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  vsi_mutex_lock(&database->lock);
  settle_locked(connection); /* its commit may have failed after it was visible, in another file */
  vsi_sqlite_forget(connection);
  vsi_sqlite_unlock(database);
}

/* Return whether a statement that may write changes something other than rows, according to its first word. The usual
 * ones are recognised first and fastest. */
static bool is_of_schema(sqlite3_stmt *statement) {
  static const vsi_sqlite_word words[] = {
      {"INSERT", 6}, {"UPDATE", 6}, {"DELETE", 6},   {"REPLACE", 7}, {"WITH", 4},    {"SELECT", 6},   {"VALUES", 6},
      {"BEGIN", 5},  {"COMMIT", 6}, {"ROLLBACK", 8}, {"END", 3},     {"RELEASE", 7}, {"SAVEPOINT", 9}};
  const char *sql = sqlite3_sql(statement);
  if (begins(sql, "INSER") || begins(sql, "UPDAT")) return false;
  return !vsi_sqlite_text_begins(sql, words, sizeof words / sizeof *words);
}

static int before_statement(void *ctx, int action, const char *first, const char *second, const char *schema,
                            const char *inside) {
  vestry_sqlite_connection *connection = ctx;
  (void)inside;
  if (connection->left && vsi_sqlite_leaves(action, first, second, schema)) *connection->left = true;
  return vsi_sqlite_reader_authorize(&connection->reader, action, first, second, schema);
}

/* Note that a statement will read: another render may read the transaction's changes. */
static void note_read(vestry_sqlite_connection *connection, sqlite3_stmt *statement) {
  const vsi_sqlite_recording *recording = connection->has_changes ? vsi_sqlite_reads_of(connection->database) : NULL;
  if (recording && recording->number != connection->changer) connection->is_seen = true;
  vsi_sqlite_reader_begins(&connection->reader, statement);
}

/* Settle before a statement that may write. Before a statement that only reads, the WAL hook may still be called, at
 * the end of that statement. */
static void settle_before(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  vsi_mutex_lock(&database->lock);
  settle_locked(connection);
  if (!is_writing(connection)) vsi_sqlite_forget(connection); /* a statement that has written nothing */
  vsi_sqlite_unlock(database);
}

/* Called before every statement, including statements that run inside of others. */
static int at_statement(unsigned what, void *ctx, void *statement, void *text) {
  vestry_sqlite_connection *connection = ctx;
  (void)what, (void)text;
  if (!sqlite3_stmt_readonly(statement)) {
    if (is_announced(connection) || connection->topics.are_all) settle_before(connection);
    if (is_of_schema(statement)) connection->topics.are_all = true;
  }
  if (connection->database->records && vsi_sqlite_are_recorded()) note_read(connection, statement);
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
  if (database->records)
    vsi_sqlite_reader_init(&connection->reader, db, database, &database->tables, database->records_pages);
  sqlite3_wal_hook(db, after_commit, connection);
  sqlite3_trace_v2(db, SQLITE_TRACE_STMT, at_statement, connection);
  if (database->records) sqlite3_set_authorizer(db, before_statement, connection);
  expire_statements(db);
}

static void take_hooks(const vestry_sqlite_connection *connection) {
  sqlite3 *db = connection->db;
  if (connection->database->records) sqlite3_set_authorizer(db, NULL, NULL);
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

vestry_err vsi_sqlite_connect(vestry_sqlite *database, sqlite3 *db, vestry_sqlite_connection **ret_connection) {
  sqlite3_file *file = NULL;
  if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) || !file || !file->pMethods) return VESTRY_IO;
  vestry_sqlite_connection *connection = vsi_calloc(database->host, 1, sizeof *connection);
  if (!connection) return VESTRY_NO_MEMORY;
  connection->database = database;
  connection->db = db;
  connection->file = file;
  connection->topics.host = database->host;
  connection->topics.secret = database->secret;
  vsi_mutex_lock(&database->lock);
  const bool is_new = add_locked(database, connection);
  vsi_sqlite_unlock(database);
  if (!is_new) {
    vsi_free(database->host, connection);
    return VESTRY_EXISTS;
  }
  /* Mapped pages are read past the cache, where they are not recorded. */
  if (!database->records_pages || !vsi_sqlite_file_is_read_past_cache())
    (void)vsi_sqlite_exec(db, "PRAGMA main.mmap_size = 0");
  (void)vsi_sqlite_ask(db, "PRAGMA wal_autocheckpoint", NULL, &connection->copied_each);
  set_hooks(connection);
  *ret_connection = connection;
  return VESTRY_OK;
}

/* Return whether two paths lead to one file or folder. */
static bool lead_to_one(const char *one, const char *other) {
  struct stat of_one, of_other;
  return !stat(one, &of_one) && !stat(other, &of_other) && of_one.st_dev == of_other.st_dev &&
         of_one.st_ino == of_other.st_ino;
}

/* Return whether two paths have the same name in the same folder. */
static bool is_same_name(const char *one, const char *other) {
  enum { PATH_BYTES = 4096 };
  const char *name = strrchr(one, '/'), *other_name = strrchr(other, '/');
  char folder[PATH_BYTES], other_folder[PATH_BYTES];
  if (!name || !other_name || strcmp(name, other_name) != 0) return false;
  snprintf(folder, sizeof folder, "%.*s/", (int)(name - one), one);
  snprintf(other_folder, sizeof other_folder, "%.*s/", (int)(other_name - other), other);
  return lead_to_one(folder, other_folder);
}

/* Return whether a connection's main database is the followed file, by the same name: by another one (a hard link),
 * SQLite uses another WAL and another journal, and the commits would not be followed. */
static bool is_same_file(const vestry_sqlite *database, sqlite3 *db) {
  const char *one = sqlite3_db_filename(database->db, "main"), *other = sqlite3_db_filename(db, "main");
  int has_moved = 0; /* the file was replaced by another one */
  (void)sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved);
  if (!one || !other || !*other || has_moved) return false;
  if (strcmp(one, other) == 0) return true;
  return lead_to_one(one, other) && is_same_name(one, other);
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
  vestry_err error = vsi_sqlite_connect(database, db, &connection);
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
  vsi_sqlite_settle_reset(connection);
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (recording && recording->writer == connection) recording->writer = NULL; /* the render need not settle it */
  take_hooks(connection);
  vsi_mutex_lock(&database->lock);
  LIST_REMOVE(connection, in);
  database->stats.connections_count--;
  vsi_sqlite_unlock(database);
  vsi_sqlite_reader_finish(&connection->reader);
  vsi_sqlite_changes_finish(database->host, &connection->changes);
  vsi_sqlite_topics_finish(&connection->topics);
  vsi_free(database->host, connection);
}
