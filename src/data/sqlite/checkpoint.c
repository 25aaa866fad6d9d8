/* SPDX-License-Identifier: MIT */
/* essay: a WAL that does not grow while readers overlap */
/* SQLite restarts the WAL when all of it has been copied into the database and no connection reads from it. Under load
 * there is no such moment, because each reader begins before the previous one has ended, and the WAL keeps growing.
 * Therefore, the pool creates this moment. If the WAL exceeds max_wal_bytes, the thread that has just committed, and is
 * still the only writer, does this:
 * 1. It copies as much of the WAL as possible into the database, while other threads read.
 * 2. From now on a thread that has no connection gets none, until the other connections are released.
 * 3. It copies the rest and empties the file.
 *
 * A thread that has a connection still gets another one, of the other kind, because the release of the first may depend
 * on it. The pool does not wait for a reader that takes long, or that belongs to another program: after HOLD_MS the
 * other threads continue, and the next attempt is made when the WAL has grown by half.
 *
 * The follower reads commits from the WAL. A commit that it has not read would be treated as lost, and all pages would
 * render again. Therefore, it must read them before the file is emptied. */
#include <sys/stat.h>

#include "base/log.h"
#include "base/wait.h"
#include "data/sqlite/pool.h"
#include "data/sqlite/sqlite.h"

enum { HOLD_MS = 250 };

static uint64_t bytes_of_wal(const vsi_sqlite_conn *conn) {
  struct stat is;
  const char *name = sqlite3_db_filename(conn->db, "main");
  return name && *name && stat(sqlite3_filename_wal(name), &is) == 0 ? (uint64_t)is.st_size : 0;
}

static bool is_quiet_locked(const vsi_sqlite_pool *pool) {
  for (size_t i = 0; i < pool->conns_count; i++)
    if (pool->conns[i].depth && !pthread_equal(pool->conns[i].owner, pthread_self())) return false;
  return true;
}

/* Hold other threads that have no connection, and wait for those that have one. Returns whether no other thread has a
 * connection. */
static bool hold_others(vsi_sqlite_pool *pool) {
  const uint32_t hold_ms = pool->options.wait_ms / 2 < HOLD_MS ? pool->options.wait_ms / 2 : HOLD_MS;
  const uint64_t until_ns = vsi_monotonic_in_ms(hold_ms);
  bool is_in_time = true;
  vsi_mutex_lock(&pool->lock);
  pool->is_held = true;
  pool->stats.wal_holds_count++;
  while (!is_quiet_locked(pool) && is_in_time) is_in_time = vsi_wait_until(&pool->returned, &pool->lock, until_ns);
  const bool is_quiet = is_quiet_locked(pool);
  vsi_mutex_unlock(&pool->lock);
  return is_quiet;
}

static void let_others_go_on(vsi_sqlite_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  pool->is_held = false;
  vsi_line_wake_locked(&pool->lines[VSI_SQLITE_GIVEN_CONNECTION]);
  vsi_line_wake_locked(&pool->lines[VSI_SQLITE_GIVEN_ASIDE]);
  vsi_mutex_unlock(&pool->lock);
}

static void have_followed(vsi_sqlite_pool *pool) {
  vestry_sqlite *database = vsi_sqlite_pool_database(pool);
  if (!database) return;
  vsi_mutex_lock(&database->lock);
  (void)vsi_sqlite_look(database);
  vsi_mutex_unlock(&database->lock);
}

/* Empty the file, without waiting for other connections. Returns whether it is empty. */
static bool empty(const vsi_sqlite_conn *conn) {
  int busy_ms = 0;
  const bool knows = !vsi_sqlite_ask(conn->db, "PRAGMA busy_timeout", NULL, &busy_ms);
  (void)sqlite3_busy_timeout(conn->db, 0);
  const int result = sqlite3_wal_checkpoint_v2(conn->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
  (void)sqlite3_busy_timeout(conn->db, knows ? busy_ms : (int)conn->pool->options.busy_ms);
  return !result;
}

/* Note the size of the WAL, and whether it is still too large. */
static void note(vsi_sqlite_pool *pool, uint64_t bytes, bool is_stuck) {
  vsi_mutex_lock(&pool->lock);
  const bool is_new = is_stuck && !pool->wal_next_bytes;
  pool->wal_next_bytes = is_stuck ? bytes + bytes / 2 : 0;
  pool->stats.wal_bytes = bytes;
  pool->stats.wal_stuck_count += is_stuck;
  vsi_mutex_unlock(&pool->lock);
  if (is_new)
    vsi_log(
        pool->is.host, VESTRY_LOG_WARN,
        "vestry_sql_end, %s: the WAL has %llu bytes, more than options.max_wal_bytes, and cannot be emptied, because a "
        "connection has been reading for long; look for a handler or another program that keeps a statement open",
        pool->path, (unsigned long long)bytes);
}

void vsi_sqlite_checkpoint(vsi_sqlite_conn *conn) {
  vsi_sqlite_pool *pool = conn->pool;
  const uint64_t bytes = bytes_of_wal(conn);
  vsi_mutex_lock(&pool->lock);
  pool->stats.wal_bytes = bytes;
  const bool is_due = bytes > pool->options.max_wal_bytes && bytes >= pool->wal_next_bytes;
  if (bytes <= pool->options.max_wal_bytes) pool->wal_next_bytes = 0;
  vsi_mutex_unlock(&pool->lock);
  if (!is_due) return;
  (void)sqlite3_wal_checkpoint_v2(conn->db, "main", SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
  bool is_empty = false;
  if (hold_others(pool)) {
    have_followed(pool);
    is_empty = empty(conn);
  }
  let_others_go_on(pool);
  note(pool, bytes_of_wal(conn), !is_empty);
}
