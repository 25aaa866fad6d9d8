/* SPDX-License-Identifier: MIT */
/* A pool of SQLite: connections (data/sql/pool.h), with one writer among them.
 *
 * An administrator may remove, replace or cut the file, or the files of its WAL, while a program has them open
 * (files.h). Therefore, each transaction for writing first checks whether the WAL was cut, because its checkpoint would
 * destroy the database, and every NAMES_CHECKED_MS whether the files still have their names, because the rows of a
 * removed file are lost. Of the transactions for reading, one in FILE_CHECKED_EACH does the same. */
#include "data/sqlite/pool.h"

#include <sys/stat.h>
#include <time.h>

#include "data/sqlite/cache.h"
#include "data/sqlite/sqlite.h"

enum { FILE_CHECKED_EACH = 64, NAMES_CHECKED_MS = 10, SYNCHRONOUS_NORMAL = 1, EMPTY_MS = 250, COPIED_EACH = 1000 };

/* ---------------------------------------------------------------------------------------------- connections ------- */

vestry_err vsi_sqlite_conn_open(vsi_sqlite_conn *conn, const vsi_call *call, bool creates) {
  const vsi_sqlite_pool *pool = conn->pool;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
  if (vsi_sqlite_statements_init(&conn->statements, pool->is.host, VSI_SQL_STATEMENTS)) return VESTRY_NO_MEMORY;
  int result = sqlite3_open_v2(pool->is.place, &conn->db, creates ? flags | SQLITE_OPEN_CREATE : flags, NULL);
  if (!result) result = vsi_sqlite_file_guard(conn->db);
  if (!result) result = vsi_sqlite_turn_retry(conn->db, &conn->pool->turn);
  if (!result) result = sqlite3_wal_autocheckpoint(conn->db, 0);
  return vsi_sqlite_fail(call, conn->db, result, "cannot open the database");
}

static int at_action(void *left, int action, const char *first, const char *second, const char *schema,
                     const char *inside) {
  (void)inside;
  if (vsi_sqlite_leaves(action, first, second, schema)) *(bool *)left = true;
  return SQLITE_OK;
}

static void watch(vsi_sqlite_conn *conn) {
  sqlite3_set_authorizer(conn->db, at_action, &conn->left);
}

/* Prepare the statements of transactions. A read opens the WAL and its index, so that the first use needs no descriptor
 * that may be missing then. */
static vestry_err prepare_controls(const vsi_call *call, vsi_sqlite_conn *conn) {
  static const char *const texts[VSI_SQLITE_CONTROLS] = {"BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"};
  int result = vsi_sqlite_exec(conn->db, "SELECT 1 FROM sqlite_schema LIMIT 1");
  for (int i = 0; i < VSI_SQLITE_CONTROLS && !result; i++)
    result = sqlite3_prepare_v3(conn->db, texts[i], -1, SQLITE_PREPARE_PERSISTENT, &conn->controls[i], NULL);
  return vsi_sqlite_fail(call, conn->db, result, "cannot read the database");
}

vestry_err vsi_sqlite_conn_set_up(vsi_sqlite_conn *conn, const vsi_call *call) {
  const char *setup = conn->pool->is.setup;
  int result = sqlite3_wal_autocheckpoint(conn->db, COPIED_EACH); /* which setup may change */
  if (!result && setup) result = vsi_sqlite_exec(conn->db, setup);
  if (!result) result = vsi_sqlite_ask(conn->db, "PRAGMA wal_autocheckpoint", NULL, &conn->copied_each);
  if (!result) result = sqlite3_wal_autocheckpoint(conn->db, 0); /* instead, the pool does it (copier.c) */
  if (result) return vsi_sqlite_fail(call, conn->db, result, "cannot run options.setup");
  conn->left = false;
  watch(conn);
  return prepare_controls(call, conn);
}

static void close_conn(vsi_sqlite_conn *conn) {
  if (conn->statements.all) vsi_sqlite_statements_finish(&conn->statements);
  for (int i = 0; i < VSI_SQLITE_CONTROLS; i++) {
    sqlite3_finalize(conn->controls[i]);
    conn->controls[i] = NULL;
  }
  sqlite3_close_v2(conn->db); /* the application may have kept a statement */
  conn->db = NULL;
}

void vsi_sqlite_pool_destroy(vestry_sql_pool *is) {
  vsi_sqlite_pool *pool = (vsi_sqlite_pool *)is;
  vsi_sqlite_copier_close(&pool->copier);
  for (size_t i = 0; i < is->conns_count; i++) close_conn(&pool->conns[i]);
  vsi_sqlite_turn_close(&pool->turn);
  vsi_sql_pool_free(is);
}

/* -------------------------------------------------------------------------------------------- after a commit ------ */

void vestry_sqlite_pool_on_commit(vestry_sql_pool *of, vestry_sqlite_commit_fn fn, void *ctx) {
  vsi_sqlite_pool *pool = vsi_sqlite_pool_of(of);
  if (!pool) return;
  vsi_mutex_lock(&pool->is.lock);
  pool->on_commit = fn;
  pool->on_commit_ctx = ctx;
  vsi_mutex_unlock(&pool->is.lock);
}

/* ------------------------------------------------------------------------------------------------ check-outs ------ */

vestry_sqlite *vsi_sqlite_pool_database(vsi_sqlite_pool *pool) {
  vsi_mutex_lock(&pool->is.lock);
  vestry_sqlite *database = pool->database;
  vsi_mutex_unlock(&pool->is.lock);
  return database;
}

void vsi_sqlite_pool_note(vsi_sqlite_pool *pool, bool is_aside, vestry_err error) {
  if (!error || error == VESTRY_NOT_FOUND || error == VESTRY_INVALID) return;
  const vestry_sqlite *database = vsi_sqlite_pool_database(pool);
  if (database) vsi_sqlite_reads_fail(database, is_aside, error);
}

vestry_sql_transaction *vsi_sqlite_pool_find_free(vestry_sql_pool *pool, unsigned which) {
  const size_t to = which & VSI_SQL_ASIDE ? pool->conns_count : pool->main_count;
  for (size_t i = which & VSI_SQL_ASIDE ? pool->main_count : 0; i < to; i++)
    if (!vsi_sql_conn_at(pool, i)->depth) return vsi_sql_conn_at(pool, i);
  return NULL;
}

bool vsi_sqlite_pool_has_free(vestry_sql_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  const bool has_free = vsi_sqlite_pool_find_free(pool, 0) != NULL;
  vsi_mutex_unlock(&pool->lock);
  return has_free;
}

static int control(const vsi_sqlite_conn *conn, vsi_sqlite_control which) {
  const int result = sqlite3_step(conn->controls[which]), of_reset = sqlite3_reset(conn->controls[which]);
  return result == SQLITE_DONE ? SQLITE_OK : of_reset ? of_reset : result;
}

/* Roll back the transaction, if one is open. After a change of the schema or the hooks, SQLite prepares the statement
 * again. If it has no memory for this, the connection is closed when it is released. */
static void roll_back(const vsi_sqlite_conn *conn) {
  const int result = sqlite3_get_autocommit(conn->db) ? SQLITE_OK : control(conn, VSI_SQLITE_ROLLBACK);
  const vsi_call call = vsi_sql_call(conn->is.pool, "vestry_sql_end");
  if (!sqlite3_get_autocommit(conn->db))
    (void)vsi_sqlite_fail(&call, conn->db, result, "cannot roll back the transaction; the connection is closed");
}

static void give_back_locked(vsi_sqlite_conn *conn) {
  conn->is_alone = false;
  conn->ended_by = VESTRY_OK;
  vsi_sql_give_back_locked(&conn->is);
}

/* Release a connection: this thread no longer has it. */
static void give_back(vsi_sqlite_conn *conn) {
  vsi_mutex_lock(&conn->pool->is.lock);
  give_back_locked(conn);
  vsi_mutex_unlock(&conn->pool->is.lock);
}

vestry_err vsi_sqlite_pool_check_file(vsi_sqlite_conn *conn, const char *function) {
  vsi_sqlite_pool *pool = conn->pool;
  const vsi_call call = vsi_sql_call(&pool->is, function);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now); /* some milliseconds late, which is enough here, and five times faster */
  const uint64_t now_ns = (uint64_t)now.tv_sec * 1000 * VSI_NS_PER_MS + (uint64_t)now.tv_nsec;
  const bool is_due =
      atomic_load_explicit(&pool->has_moved, memory_order_relaxed) ||
      now_ns - atomic_load_explicit(&pool->names_checked_ns, memory_order_relaxed) >= NAMES_CHECKED_MS * VSI_NS_PER_MS;
  if (is_due) atomic_store_explicit(&pool->names_checked_ns, now_ns, memory_order_relaxed);
  if (is_due) vsi_sqlite_turn_look(&pool->turn);
  const char *moved = vsi_sqlite_files_find_moved(&pool->files, conn->db, is_due, &conn->wal);
  if (!moved && !is_due) return VESTRY_OK; /* another check has not looked at the names */
  const bool is_logged = atomic_exchange_explicit(&pool->has_moved, moved != NULL, memory_order_relaxed);
  if (!moved || is_logged) return moved ? VESTRY_IO : VESTRY_OK;
  return vsi_refuse(&call, VESTRY_IO,
                    "%s was removed, replaced or cut while this program uses it; nothing is read or written until the "
                    "program is restarted; end it normally, because its last connection writes the WAL into the file",
                    moved);
}

static vestry_err attach(vsi_sqlite_conn *conn, vestry_sqlite *database) {
  vestry_err error = vestry_sqlite_attach(database, conn->db, &conn->connection);
  if (!error) conn->connection->left = &conn->left;
  return error;
}

/* Open a connection again, which the same pages follow. */
static vestry_err open_again(vsi_sqlite_conn *conn, const vsi_call *call) {
  vestry_sqlite *database = vsi_sql_is_aside(&conn->is) ? NULL : vsi_sqlite_pool_database(conn->pool);
  vestry_err error = vsi_sqlite_conn_open(conn, call, false);
  if (!error) error = vsi_sqlite_conn_set_up(conn, call);
  if (!error && database) error = attach(conn, database);
  if (error) close_conn(conn);
  conn->reads = 0; /* its files are looked at now */
  atomic_store_explicit(&conn->pool->names_checked_ns, 0, memory_order_relaxed);
  return error;
}

/* Close a connection on which statements have left something, whose transaction could not be rolled back, or which was
 * opened while this user had no right to write, because SQLite continues to use it for reading only. If the file was
 * replaced, the connection stays, because each of its transactions fails for that reason; a new one would take
 * the WAL for that of the other file. */
static void tidy(vsi_sqlite_conn *conn) {
  const bool is_stuck =
      conn->db && (!sqlite3_get_autocommit(conn->db) || (sqlite3_errcode(conn->db) & 0xff) == SQLITE_READONLY);
  if (!conn->db || (!conn->left && !is_stuck)) return;
  atomic_store_explicit(&conn->pool->names_checked_ns, 0, memory_order_relaxed); /* they are looked up now */
  if (vsi_sqlite_pool_check_file(conn, "vestry_sql_end")) return;
  if (!is_stuck)
    vsi_log_repeated(conn->pool->is.host, &conn->pool->is.failures, vsi_log_reason("left"), VESTRY_LOG_WARN,
                     "vestry_sql_end, %s: a PRAGMA, an attached file (VACUUM attaches one) or an object of TEMP may "
                     "also apply to the next thread that gets the connection, so the connection is replaced when it is "
                     "released; use options.setup",
                     conn->pool->is.name);
  vestry_sqlite_detach(conn->connection);
  conn->connection = NULL;
  close_conn(conn);
}

/* Take a connection for this thread; for writing, the turn before. For reading, a thread that has one gets it again. */
static vestry_err take(vsi_sqlite_pool *pool, const vsi_call *call, bool is_aside, bool writes,
                       vsi_sqlite_conn **ret_conn) {
  uint64_t until_ns = VSI_SQL_FROM_NOW;
  vsi_mutex_lock(&pool->is.lock);
  vsi_sqlite_conn *own = (vsi_sqlite_conn *)vsi_sql_own_locked(&pool->is, is_aside), *conn = NULL;
  if (own && !writes) own->is.depth++;
  const bool has_turn = !own && writes && vsi_sql_take_turn_locked(&pool->is, &until_ns);
  if (!own && has_turn == writes) conn = (vsi_sqlite_conn *)vsi_sql_take_locked(&pool->is, is_aside, &until_ns);
  if (has_turn && !conn) vsi_sql_give_turn_locked(&pool->is);
  vsi_mutex_unlock(&pool->is.lock);
  if (own && writes)
    return vsi_refuse(call, VESTRY_INVALID,
                      "this thread already has a transaction; end it before beginning another one");
  *ret_conn = own ? own : conn;
  return *ret_conn ? VESTRY_OK : vsi_sql_refuse(&pool->is, call->function, "");
}

/* Set PRAGMA synchronous for the library itself, which leaves nothing. */
static int set_synchronous(vsi_sqlite_conn *conn, const char *sql) {
  const bool left = conn->left;
  const int result = vsi_sqlite_exec(conn->db, sql);
  conn->left = left;
  return result;
}

/* Let the next commit of a connection wait for the disk. With `synchronous` NORMAL, which options.setup may set, SQLite
 * syncs the WAL only before a checkpoint, and a failure of the power may undo the last commits. FULL syncs it with each
 * commit, together with all commits before. With OFF, nothing waits for the disk, so it stays. */
static vestry_err flush_next(vsi_sqlite_conn *conn, const vsi_call *call) {
  int level = 0;
  int result = vsi_sqlite_ask(conn->db, "PRAGMA main.synchronous", NULL, &level);
  if (!result && level == SYNCHRONOUS_NORMAL) {
    result = set_synchronous(conn, "PRAGMA main.synchronous = FULL");
    conn->was_normal = !result;
  }
  return vsi_sqlite_fail_passing(call, conn->db, result, "cannot set PRAGMA synchronous");
}

static void flush_no_more(vsi_sqlite_conn *conn) {
  if (conn->was_normal && set_synchronous(conn, "PRAGMA main.synchronous = NORMAL"))
    conn->left = true; /* the transaction is still open, or there is no memory */
  conn->was_normal = false;
}

/* See to a connection before it is released. */
static void clean(vsi_sqlite_conn *conn) {
  flush_no_more(conn);
  if (vsi_sql_is_writing(&conn->is)) vsi_sqlite_turn_end(&conn->pool->turn);
  tidy(conn);
}

/* See to a connection that was free, and begin a transaction for writing, unless its statement is one by itself. A
 * transaction for reading checks from time to time that the paths still lead to the files. */
static vestry_err begin_on(vsi_sqlite_conn *conn, const vsi_call *call, vestry_sql_kind kind, unsigned how) {
  vsi_sqlite_pool *pool = conn->pool;
  conn->is.kind = kind;
  conn->is_alone = how & VSI_SQLITE_ALONE;
  vestry_err error = conn->db ? VESTRY_OK : open_again(conn, call);
  const bool writes = vsi_sql_is_writing(&conn->is),
             is_checked = writes || conn->reads++ % FILE_CHECKED_EACH == 0 ||
                          atomic_load_explicit(&pool->has_moved, memory_order_relaxed);
  if (!error && is_checked) error = vsi_sqlite_pool_check_file(conn, call->function);
  if (!error && how & VSI_SQLITE_FLUSHED) error = flush_next(conn, call);
  if (error || !writes) return error;
  vsi_sqlite_turn_begin(&pool->turn);
  if (conn->is_alone) return VESTRY_OK;
  return vsi_sqlite_fail_passing(call, conn->db, control(conn, VSI_SQLITE_BEGIN), "cannot begin a transaction");
}

vestry_err vsi_sqlite_begin_by(vestry_sql_pool *is, vestry_sql_kind kind, unsigned how,
                               vestry_sql_transaction **ret_transaction) {
  vsi_sqlite_pool *pool = (vsi_sqlite_pool *)is;
  const bool writes = kind > VESTRY_SQL_READ_ASIDE, is_aside = kind == VESTRY_SQL_READ_ASIDE || how & VSI_SQLITE_ASIDE;
  const vsi_call call = vsi_sql_call(&pool->is, writes     ? "vestry_sql_begin (WRITE)"
                                                : is_aside ? "vestry_sql_begin (READ_ASIDE)"
                                                           : "vestry_sql_begin (READ)");
  vsi_sqlite_conn *conn = NULL;
  vestry_err error = take(pool, &call, is_aside, writes, &conn);
  if (!error && conn->is.depth == 1) error = begin_on(conn, &call, kind, how);
  vsi_sqlite_pool_note(pool, is_aside, error);
  if (!error) *ret_transaction = &conn->is;
  if (error && conn) {
    clean(conn);
    give_back(conn);
  }
  return error;
}

vestry_err vsi_sqlite_begin(vestry_sql_pool *pool, vestry_sql_kind kind, vestry_sql_transaction **ret_transaction) {
  return vsi_sqlite_begin_by(pool, kind, 0, ret_transaction);
}

/* ----------------------------------------------------------------------------------------- the size of a WAL ------ */

/* The thread that has just committed, and is still the only writer, copies the WAL into the database (copier.c): each
 * time that COPIED_EACH frames are not copied, as much as readers permit; and if the file exceeds max_wal_bytes, all of
 * it, for which it waits EMPTY_MS for readers. If this fails, the next attempt is made when the WAL has grown by half.
 *
 * The follower reads commits from the WAL. A commit that it has not read would be treated as lost, and all pages would
 * render again. Therefore, it must read them before the file is emptied. */

static uint64_t bytes_of_wal(const vsi_sqlite_conn *conn) {
  struct stat is;
  const char *name = sqlite3_db_filename(conn->db, "main");
  return name && *name && stat(sqlite3_filename_wal(name), &is) == 0 ? (uint64_t)is.st_size : 0;
}

static void have_followed(vsi_sqlite_pool *pool) {
  vestry_sqlite *database = vsi_sqlite_pool_database(pool);
  if (!database) return;
  vsi_mutex_lock(&database->lock);
  (void)vsi_sqlite_look(database);
  vsi_mutex_unlock(&database->lock);
}

/* Return the size of the WAL after a commit. Its file only grows, until it is emptied: it has the size of before, or it
 * ends with the commit. */
static uint64_t bytes_after_commit(const vsi_sqlite_conn *conn) {
  const uint64_t bytes = conn->wal.bytes ? vsi_sqlite_frames_extent(conn->wal.index).bytes : 0;
  return !bytes ? bytes_of_wal(conn) : bytes > conn->wal.bytes ? bytes : conn->wal.bytes;
}

/* Copy a WAL that is too large into the database, and empty it. Blocks on the disk, and waits for readers. Returns its
 * size then. */
static uint64_t empty_wal(const vsi_sqlite_conn *conn) {
  vsi_sqlite_pool *pool = conn->pool;
  const uint32_t most_ms = pool->is.wait_ms / 2 < EMPTY_MS ? pool->is.wait_ms / 2 : EMPTY_MS;
  const uint64_t until_ns = vsi_monotonic_in_ms(most_ms);
  const bool is_copied = vsi_sqlite_copier_copy(&pool->copier, conn->db, until_ns);
  if (is_copied) have_followed(pool);
  const bool is_empty = is_copied && vsi_sqlite_copier_empty(&pool->copier, until_ns);
  const uint64_t bytes = bytes_of_wal(conn);
  pool->wal_next_bytes = is_empty ? 0 : bytes + bytes / 2;
  if (is_empty) return bytes;
  vsi_sql_count(&pool->is, &pool->is.stats.wal_stuck_count);
  vsi_log_repeated(pool->is.host, &pool->is.failures, vsi_log_reason("WAL"), VESTRY_LOG_WARN,
                   "vestry_sql_end, %s: the WAL has %llu bytes, more than options.max_wal_bytes, and cannot be "
                   "emptied, because a connection of this or of another program has been %s for long; look for one "
                   "that keeps a %s open",
                   pool->is.name, (unsigned long long)bytes, is_copied ? "reading" : "writing",
                   is_copied ? "statement" : "transaction");
  return bytes;
}

/* Copy the WAL after a commit, if that is due. Returns its size. */
static uint64_t see_to_wal(const vsi_sqlite_conn *conn) {
  vsi_sqlite_pool *pool = conn->pool;
  const uint64_t bytes = bytes_after_commit(conn);
  const bool is_large = bytes > pool->options.max_wal_bytes;
  if (!is_large) pool->wal_next_bytes = 0;
  if (is_large && bytes >= pool->wal_next_bytes) return empty_wal(conn);
  const bool is_due = conn->wal.bytes && conn->copied_each > 0 &&
                      vsi_sqlite_frames_uncopied(conn->wal.index) >= (uint32_t)conn->copied_each;
  if (is_due) (void)vsi_sqlite_copier_copy(&pool->copier, conn->db, 0);
  return bytes;
}

/* ---------------------------------------------------------------------------------------------------- ending ------ */

/* Commit a transaction for writing, or roll it back if error is set. Returns the error of the commit. */
static vestry_err end_transaction(vsi_sqlite_conn *conn, vestry_err error) {
  vsi_sqlite_pool *pool = conn->pool;
  const vsi_call call = vsi_sql_call(&pool->is, "vestry_sql_end");
  /* A failure may have rolled back the transaction already; then there is nothing to commit. A statement that is a
   * transaction by itself has committed, unless a statement that its rows ran has begun another one. */
  bool was_lost = sqlite3_get_autocommit(conn->db) != conn->is_alone;
  if (!error && was_lost)
    error = vsi_refuse(
        &call, conn->ended_by ? conn->ended_by : VESTRY_IO,
        "the writes were rolled back, because a failure or a statement has ended the transaction before its commit");
  if (!error && !conn->is_alone) {
    error = vsi_sqlite_fail_passing(&call, conn->db, control(conn, VSI_SQLITE_COMMIT), "cannot commit the transaction");
    vsi_sqlite_pool_note(pool, false, error);
  }
  roll_back(conn);
  return error;
}

/* End a transaction begun by SQL, because the next thread would read its snapshot. */
static void end_reading(vsi_sqlite_conn *conn) {
  if (sqlite3_get_autocommit(conn->db)) return;
  const vsi_call call = vsi_sql_call(conn->is.pool, "vestry_sql_end");
  (void)vsi_refuse(
      &call, VESTRY_INVALID,
      "rolled back a transaction that was begun by SQL on a read connection, and not ended; use vestry_sql_act or "
      "vestry_sql_begin");
  roll_back(conn);
}

vestry_err vsi_sqlite_end(vestry_sql_transaction *transaction, vestry_err error) {
  vsi_sqlite_conn *conn = (vsi_sqlite_conn *)transaction;
  if (!vsi_sql_is_last(&conn->is)) return error;
  const bool was_writing = vsi_sql_is_writing(&conn->is);
  vestry_sqlite_commit_fn on_commit = NULL;
  void *on_commit_ctx = NULL;
  vsi_after *after = vsi_after_take(&conn->is.after);
  if (was_writing)
    error = end_transaction(conn, error);
  else
    end_reading(conn);
  if (conn->connection) vsi_sqlite_settle(conn->connection); /* nothing was written, or the WAL hook is gone */
  vsi_sqlite_pool *pool = conn->pool;
  const uint64_t bytes = was_writing && !error ? see_to_wal(conn) : 0;
  clean(conn);
  vsi_mutex_lock(&pool->is.lock);
  if (was_writing) ++*(error ? &pool->is.stats.rolled_back_count : &pool->is.stats.committed_count);
  if (was_writing && !error) {
    pool->is.stats.wal_bytes = bytes;
    on_commit = pool->on_commit;
    on_commit_ctx = pool->on_commit_ctx;
  }
  give_back_locked(conn);
  vsi_mutex_unlock(&pool->is.lock);
  if (on_commit) on_commit(on_commit_ctx);
  vsi_after_run(after, !error);
  return error;
}

/* ------------------------------------------------------------------------------------------------- following ------ */

/* Release all connections of this thread except READ_ASIDE ones. */
static void let_go(vsi_sqlite_pool *pool) {
  for (vestry_sql_transaction *own; (own = vsi_sql_own(&pool->is)) != NULL;) give_back((vsi_sqlite_conn *)own);
}

/* Take all connections except the one for READ_ASIDE for this thread. A running render keeps its own until it ends.
 * Returns whether all were released in time. */
static bool take_all(vsi_sqlite_pool *pool, uint64_t until_ns) {
  size_t count = 0;
  vsi_mutex_lock(&pool->is.lock);
  while (count < pool->is.main_count && vsi_sql_take_locked(&pool->is, 0, &until_ns)) count++;
  vsi_mutex_unlock(&pool->is.lock);
  if (count == pool->is.main_count) return true;
  let_go(pool);
  return false;
}

static void detach_all(vsi_sqlite_pool *pool) {
  for (size_t i = 0; i < pool->is.main_count; i++) {
    if (!pool->conns[i].connection) continue;
    vestry_sqlite_detach(pool->conns[i].connection);
    pool->conns[i].connection = NULL;
    watch(&pool->conns[i]); /* detaching has removed the authorizer */
  }
}

/* Attach all connections, which this thread has. */
static vestry_err attach_all(vsi_sqlite_pool *pool, vestry_sqlite *database) {
  const vsi_call call = vsi_sql_call(&pool->is, "vestry_sqlite_pool_follow");
  if (vsi_sqlite_pool_database(pool))
    return vsi_refuse(&call, VESTRY_INVALID, "the pool already follows a database; first call it with database NULL");
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < pool->is.main_count && !error; i++)
    if (pool->conns[i].db) error = attach(&pool->conns[i], database);
  if (error) detach_all(pool);
  return error;
}

vestry_err vestry_sqlite_pool_follow(vestry_sql_pool *of, vestry_sqlite *database) {
  vsi_sqlite_pool *pool = vsi_sqlite_pool_of(of);
  if (!of) return VESTRY_INVALID;
  if (!pool) return vsi_mistake(of->host, "vestry_sqlite_pool_follow", "the pool is not of SQLite");
  if (vsi_sql_own(of) || !take_all(pool, database ? 0 : UINT64_MAX)) return VESTRY_BUSY;
  vestry_err error = VESTRY_OK;
  if (database)
    error = attach_all(pool, database);
  else
    detach_all(pool);
  vsi_mutex_lock(&pool->is.lock);
  if (!error) pool->database = database;
  vsi_mutex_unlock(&pool->is.lock);
  let_go(pool);
  return error;
}
