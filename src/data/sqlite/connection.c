/* SPDX-License-Identifier: MIT */
/* essay: when every connection can see a commit, and how this is determined */
/* Attached connections, and their hooks.
 *
 * SQLite calls the hooks of a transaction in this order:
 * 1. preupdate, for each row;
 * 2. commit, before the commit is visible;
 * 3. the statement's trace (SQLITE_TRACE_PROFILE), when the commit is visible.
 *
 * But no hook proves a commit, because there are exceptions:
 * - A statement that is reset before its end commits in its reset, after its trace. An example is a statement with
 *   RETURNING that was stepped once.
 * - A COMMIT that finds the file locked has called the commit hook, and will call it again.
 * - A transaction that changes no byte, for example an UPDATE with equal values, calls the hook and commits nothing.
 *   The number that it would have had becomes that of another commit later.
 *
 * Therefore, a number that was announced and is reached proves the commit only if the transaction certainly changes a
 * byte, for example because it inserts a row (is_sure_change has all cases). Such a transaction is published by the
 * first code that finds its number reached: nearly always the trace, otherwise the connection's next hook, or the
 * thread that looks for commits of other connections. It is not published before the number is reached.
 *
 * For any other transaction the connection itself decides, by a count of SQLite: a commit writes at least one page, and
 * the number of pages written by a connection is known (SQLITE_DBSTATUS_CACHE_WRITE). Between the commit hook and the
 * next hook nothing else is written. The count covers all files of the connection, and all connections that share its
 * cache. If there are several, the number is ambiguous, and it is treated as both: the announced commit, and a commit
 * of another connection with unknown changes. For the thread that looks, it is ambiguous, too, unless there are peers
 * (yields of commits.c).
 *
 * If one connection has the file for itself (locking_mode EXCLUSIVE with a rollback journal), the number in the file
 * does not change. Then no other connection can commit, and the connection's own hooks publish its commits.
 *
 * A commit may fail after its hook, and its lock may be released before the rollback hook is called. If another
 * connection reached the number in between, and that was taken for this connection's commit, everything is refreshed.
 *
 * SQLite calls no hook for changes of the schema, and for a DELETE without WHERE whose statement was prepared before
 * there was a hook. Therefore, attaching expires all statements, and a statement that changes something other than rows
 * counts as a change of everything. VACUUM does not even call a commit hook: its commit is treated as another
 * connection's, unless no other connection can see its number.
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
#pragma weak sqlite3_db_name

/* ------------------------------------------------------------------------------------------------- settling ------- */

/* Return the number of pages that SQLite has written so far, in all files of the connection. On the connection's
 * thread. */
static VSI_SELDOM int count_written(const vestry_sqlite_connection *connection) {
  int now = 0, most;
  (void)sqlite3_db_status(connection->db, SQLITE_DBSTATUS_CACHE_WRITE, &now, &most, 0);
  return now;
}

/* Return whether the connection has the file for itself, so that no other connection commits or reads. */
static VSI_SELDOM bool is_exclusive(const vestry_sqlite_connection *connection) {
  enum { EXCLUSIVE = 4 };
  int lock = 0;
  sqlite3_file *file = connection->file;
  return !file->pMethods->xFileControl(file, SQLITE_FCNTL_LOCKSTATE, &lock) && lock == EXCLUSIVE;
}

/* Return whether an announced number has been committed, if last is the last number. After a change of the mode and
 * after a crash the numbers restart; the result is then true. */
static bool is_reached(vsi_sqlite_number announced, vsi_sqlite_number last) {
  return announced.is_wal != last.is_wal || announced.value - 1 != last.value;
}

/* Decide whether the announced commit took place. If it did not, there was nothing to commit, or the file was locked,
 * and it will be announced again. On the connection's thread. */
static VSI_SELDOM void settle_otherwise(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_number last;
  int written = connection->is_sure ? connection->written : count_written(connection);
  bool has_written = connection->is_sure || written != connection->written;
  bool is_read = vsi_sqlite_counter(database, connection->file, &last);
  connection->written = written;
  if (!is_read) {
    database->is_lost = true;
    vsi_sqlite_publish(connection, VSI_SQLITE_REACHED);
  } else if (is_reached(connection->announced, last) && has_written) {
    bool is_own = connection->is_sure || !(connection->is_mixed || connection->is_shared) ||
                  (!last.is_wal && is_exclusive(connection));
    /* if it may be another connection's, a check finds the number, and treats it as such */
    vsi_sqlite_publish(connection, is_own ? VSI_SQLITE_COMMITTED : VSI_SQLITE_REACHED);
  } else if (sqlite3_txn_state(connection->db, "main") == SQLITE_TXN_WRITE) {
    atomic_store_explicit(&connection->is_announced, false, memory_order_release); /* it was locked */
  } else if (!connection->announced.is_wal && (has_written || is_exclusive(connection))) {
    vsi_sqlite_publish(connection, VSI_SQLITE_STANDING); /* a page may have been written before the hook */
  } else {
    vsi_sqlite_forget(connection);
  }
}

/* The same, with the usual case first. */
static VSI_SIDE_BY_SIDE void settle_locked(vestry_sqlite_connection *connection) {
  vsi_sqlite_number last;
  if (!atomic_load_explicit(&connection->is_announced, memory_order_relaxed)) return; /* published elsewhere */
  if (connection->is_sure && vsi_sqlite_counter(connection->database, connection->file, &last) &&
      is_reached(connection->announced, last))
    vsi_sqlite_publish(connection, VSI_SQLITE_COMMITTED);
  else
    settle_otherwise(connection);
}

/* Decide about the announced commit, if there is one. Code that runs on the connection after a commit hook runs after
 * that commit. In a hook the connection's mutex is held already; everywhere it is locked before the database's lock. */
static VSI_SELDOM void settle_announced(vestry_sqlite_connection *connection) {
  sqlite3_mutex *mutex = sqlite3_db_mutex(connection->db);
  sqlite3_mutex_enter(mutex);
  vsi_mutex_lock(&connection->database->lock);
  settle_locked(connection);
  vsi_sqlite_unlock(connection->database);
  sqlite3_mutex_leave(mutex);
}

void vsi_sqlite_settle(vestry_sqlite_connection *connection) {
  connection->is_committing = false;
  if (atomic_load_explicit(&connection->is_announced, memory_order_acquire)) settle_announced(connection);
}

/* In WAL mode another connection cannot take the number of a commit that was announced, until the call in which it was
 * announced has ended. So between calls a sure commit is proven, and the count of written pages decides about others.
 * Without a mutex, a call may be running. */
static bool settle_idle(vestry_sqlite_connection *connection) {
  sqlite3_mutex *mutex = sqlite3_db_mutex(connection->db);
  if (!mutex || sqlite3_mutex_try(mutex)) return false;
  settle_locked(connection);
  sqlite3_mutex_leave(mutex);
  return true;
}

/* Find a VACUUM, which commits without a hook. Its number is found like that of another connection's commit, unless no
 * other connection can read it. */
static VSI_SELDOM void settle_unannounced(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_number last;
  int written = count_written(connection);
  if (written == connection->written || sqlite3_txn_state(connection->db, "main") != SQLITE_TXN_NONE) return;
  connection->written = written;
  vsi_mutex_lock(&database->lock);
  if (vsi_sqlite_counter(database, connection->file, &last) && !last.is_wal && is_exclusive(connection))
    vsi_sqlite_begin_anew(database, last);
  vsi_sqlite_unlock(database);
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

/* changed: its tab, if it is known without a look at the row; this takes longer than the rest of the hook */
static void name_tab(vestry_sqlite_change *change, const void *changed) {
  sqlite3_value *value = NULL;
  if (!changed) value = vestry_sqlite_change_value(change, VESTRY_SQLITE_OLD, VSI_SQLITE_TAB_COLUMN);
  if (!changed && !value) value = vestry_sqlite_change_value(change, VESTRY_SQLITE_NEW, VSI_SQLITE_TAB_COLUMN);
  const void *tab = value ? sqlite3_value_blob(value) : changed;
  char topic[VSI_TAB_TOPIC_BYTES];
  if (!tab || (value && sqlite3_value_bytes(value) != VSI_TAB_BYTES)) return; /* not a row of a tab */
  vsi_tab_topic(tab, topic);
  vsi_sqlite_topics_add(&change->connection->topics, topic, sizeof topic - 1);
}

/* Return whether a change certainly changes a byte of the file. An inserted row did not exist before, unless rows were
 * deleted: INSERT OR REPLACE of a row by an equal one reports both, and writes nothing. So a deletion is certain only
 * if nothing else happens (before_commit). A value reported as NULL may have been the default of a column. */
static bool is_sure_change(vestry_sqlite_connection *connection, sqlite3 *db, int operation, bool is_known) {
  bool had_deleted = connection->has_deleted;
  *(operation == SQLITE_DELETE ? &connection->has_deleted : &connection->has_others) = true;
  if (operation == SQLITE_INSERT) return !had_deleted;
  if (operation == SQLITE_DELETE) return false;
  return is_known || vsi_sqlite_change_is_known(db);
}

/* Note that the connection changes a row. If a render makes the change, the connection is settled when the render ends.
 * Returns whether the change refreshes topics; a change that a render makes refreshes nothing.
 *  is_known  it certainly changes a column */
static inline bool note_row(vestry_sqlite_connection *connection, const vsi_sqlite_row *row, bool is_known) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  uint64_t changer = recording ? recording->number : 0;
  if (!connection->is_sure) connection->is_sure = is_sure_change(connection, row->db, row->operation, is_known);
  if (recording) recording->writer = connection;
  if (!connection->has_changes) connection->changer = changer;
  if (connection->changer != changer)
    connection->changer = 0; /* begun in a render, continued outside: not of a render */
  connection->has_changes = true;
  connection->has_removed |= row->operation != SQLITE_INSERT;
  if (database->records) vsi_sqlite_changes_row(&connection->changes, &database->tables, row);
  connection->topics.is_first_of_table &= connection->changes.is_repeated;
  return connection != database->writer && !changer;
}

/* Return whether a text begins with five bytes. A call of the C library takes longer. */
static inline __attribute__((always_inline)) bool begins(const char *text, const char *five) {
  return text[0] == five[0] && text[1] == five[1] && text[2] == five[2] && text[3] == five[3] && text[4] == five[4];
}

/* Note the change of the state of a tab. Not inlined, so that changes of other tables take fewer instructions. */
static VSI_SIDE_BY_SIDE __attribute__((noinline)) void before_tab_change(vestry_sqlite_connection *connection,
                                                                         const vsi_sqlite_row *row) {
  /* not an update by a trigger */
  const void *changed =
      row->operation == SQLITE_UPDATE && !sqlite3_preupdate_depth(row->db) ? connection->changed_tab : NULL;
  const bool refreshes = note_row(connection, row, changed || row->old_rowid != row->new_rowid);
  connection->changes_tabs = true;
  if (refreshes) name_tab(&(vestry_sqlite_change){connection, row->operation}, changed);
}

/* The preupdate hook: note the change of a row, and the topics that it refreshes. */
static VSI_SIDE_BY_SIDE void before_change(void *ctx, sqlite3 *db, int operation, const char *schema, const char *table,
                                           sqlite3_int64 old_rowid, sqlite3_int64 new_rowid) {
  vestry_sqlite_connection *connection = ctx;
  const vestry_sqlite_options *options = &connection->database->options;
  if (!begins(schema, "main")) return;
  vsi_sqlite_settle(connection);
  const vsi_sqlite_row row = {db, operation, table, old_rowid, new_rowid};
  if ((*table | 0x20) == *VSI_SQLITE_TAB_TABLE && sqlite3_stricmp(table, VSI_SQLITE_TAB_TABLE) == 0) {
    before_tab_change(connection, &row);
    return;
  }
  if (!note_row(connection, &row, old_rowid != new_rowid)) return;
  if (!options->topics) {
    vsi_sqlite_topics_add_table(&connection->topics, table);
    return;
  }
  vestry_sqlite_change change = {connection, operation};
  options->topics(&change, table, operation == SQLITE_INSERT ? new_rowid : old_rowid, options->app);
  if (operation == SQLITE_UPDATE && old_rowid != new_rowid) options->topics(&change, table, new_rowid, options->app);
}

/* Return whether the transaction writes other files, too. */
static bool is_mixed(sqlite3 *db) {
  if (!sqlite3_db_name) return true;
  for (int i = 1;; i++) {
    const char *name = sqlite3_db_name(db, i);
    if (!name) return false;
    if (sqlite3_txn_state(db, name) == SQLITE_TXN_WRITE) return true;
  }
}

/* Announce the number that the commit will have. */
static void announce_locked(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  settle_locked(connection);
  if (!vsi_sqlite_counter(database, connection->file, &connection->announced))
    database->is_lost = true;
  else if (connection->announced.value++, connection->announced.is_wal)
    vsi_sqlite_peers_announce(database->peers, connection->announced.value);
}

/* The commit hook. As long as the connection has announced nothing, no other thread uses it, so the lock is only needed
 * for the announcement to peers, or if the number is not in the WAL's index. */
static VSI_SIDE_BY_SIDE int before_commit(void *ctx) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  const bool needs_lock = atomic_load_explicit(&connection->is_announced, memory_order_acquire) ||
                          !atomic_load_explicit(&database->has_index, memory_order_acquire) ||
                          atomic_load_explicit(&database->tables.has_peers, memory_order_relaxed);
  if (needs_lock) {
    vsi_mutex_lock(&database->lock);
    announce_locked(connection);
    vsi_sqlite_unlock(database);
  } else {
    (void)vsi_sqlite_counter(database, connection->file, &connection->announced);
    connection->announced.value++;
  }
  connection->is_sure |= connection->has_deleted && !connection->has_others;
  if (!connection->is_sure) {
    connection->written = count_written(connection);
    connection->is_mixed = is_mixed(connection->db);
  }
  const vestry_trace *here = database->host->tracer ? vestry_trace_here() : NULL;
  if (here) connection->trace = *here;
  connection->is_committing = true;
  vsi_sqlite_prepare_to_keep(database);
  /* pairs with find_announced and yields of commits.c: a thread that has found the number in the WAL's index, which
   * SQLite writes later, finds this, too */
  atomic_store_explicit(&connection->is_announced, true, memory_order_release);
  return 0;
}

static void after_rollback(void *ctx) {
  vestry_sqlite_connection *connection = ctx;
  vestry_sqlite *database = connection->database;
  vsi_mutex_lock(&database->lock);
  if (connection->is_committing && !atomic_load_explicit(&connection->is_announced, memory_order_relaxed))
    vsi_sqlite_refresh_all(database);
  connection->is_committing = false;
  vsi_sqlite_forget(connection);
  vsi_sqlite_unlock(database);
}

/* Return whether a statement changes something other than rows, according to its first word. The usual ones are
 * recognised first and fastest. */
static bool is_of_schema(sqlite3_stmt *statement) {
  static const vsi_sqlite_word words[] = {
      {"INSERT", 6}, {"UPDATE", 6}, {"DELETE", 6},   {"REPLACE", 7}, {"WITH", 4},    {"SELECT", 6},   {"VALUES", 6},
      {"BEGIN", 5},  {"COMMIT", 6}, {"ROLLBACK", 8}, {"END", 3},     {"RELEASE", 7}, {"SAVEPOINT", 9}};
  const char *sql = sqlite3_sql(statement);
  if (begins(sql, "INSER") || begins(sql, "UPDAT")) return false;
  return !sqlite3_stmt_readonly(statement) && !vsi_sqlite_text_begins(sql, words, sizeof words / sizeof *words);
}

static int before_statement(void *ctx, int action, const char *first, const char *second, const char *schema,
                            const char *inside) {
  vestry_sqlite_connection *connection = ctx;
  (void)inside;
  if (connection->left) vsi_sqlite_left_note(connection->left, action, first, second, schema);
  return vsi_sqlite_reader_authorize(&connection->reader, action, first, second, schema);
}

/* Note that a statement will read: another render may read the transaction's changes. */
static VSI_SELDOM void note_read(vestry_sqlite_connection *connection, sqlite3_stmt *statement, const char *traced) {
  const vsi_sqlite_recording *recording = connection->has_changes ? vsi_sqlite_reads_of(connection->database) : NULL;
  if (recording && recording->number != connection->changer) connection->is_seen = true;
  vsi_sqlite_reader_begins(&connection->reader, statement, traced);
}

/* Called before and after every statement, including statements that run inside of others. */
static VSI_SIDE_BY_SIDE int at_statement(unsigned what, void *ctx, void *statement, void *took) {
  vestry_sqlite_connection *connection = ctx;
  if (what == SQLITE_TRACE_STMT) {
    vsi_sqlite_settle(connection);
    if (connection->database->records && vsi_sqlite_are_recorded()) note_read(connection, statement, took);
    return 0;
  }
  const bool changes_schema = is_of_schema(statement);
  if (atomic_load_explicit(&connection->is_announced, memory_order_acquire)) {
    vsi_mutex_lock(&connection->database->lock);
    if (changes_schema) connection->topics.are_all = true;
    settle_locked(connection);
    vsi_sqlite_unlock(connection->database);
  } else if (changes_schema && sqlite3_txn_state(connection->db, "main") == SQLITE_TXN_WRITE) {
    connection->topics.are_all = true;
  } else if (changes_schema) {
    settle_unannounced(connection);
  }
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
  sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE | SQLITE_TRACE_STMT, at_statement, connection);
  if (database->records) sqlite3_set_authorizer(db, before_statement, connection);
  expire_statements(db);
}

static void take_hooks(const vestry_sqlite *database, sqlite3 *db) {
  if (database->records) sqlite3_set_authorizer(db, NULL, NULL);
  sqlite3_preupdate_hook(db, NULL, NULL);
  sqlite3_commit_hook(db, NULL, NULL);
  sqlite3_rollback_hook(db, NULL, NULL);
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
  (void)vsi_sqlite_counter_open(database); /* the mode may have changed */
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
  connection->settle_idle = settle_idle;
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
  connection->written = count_written(connection);
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
  if (!db || !ret_connection || db == database->db || db == database->writer_db)
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
  vsi_sqlite_settle(connection);
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (recording && recording->writer == connection) recording->writer = NULL; /* the render need not settle it */
  take_hooks(database, connection->db);
  vsi_mutex_lock(&database->lock);
  LIST_REMOVE(connection, in);
  if (connection != database->writer) database->stats.connections_count--;
  vsi_sqlite_unlock(database);
  vsi_sqlite_reader_finish(&connection->reader);
  vsi_sqlite_changes_finish(database->host, &connection->changes);
  vsi_sqlite_topics_finish(&connection->topics);
  vsi_free(database->host, connection);
}
