/* SPDX-License-Identifier: MIT */
/* essay: commits of other connections, distinguished from those of attached ones */
/* Commits that no attached connection made are found by their numbers: the numbers after the last accounted one, up to
 * the last number in the file. An attached connection announces the number of its next commit. If that commit certainly
 * changes the file, the number belongs to the connection that announced it. Otherwise either that connection has
 * committed, or it has committed nothing and another connection has; the number is then treated as both (connection.c).
 *
 * A thread checks the number every poll_ms. In WAL mode a check loads one word, so its cost is negligible. A
 * notification of the file system cannot replace it, because none is sent when the WAL's index is written, and only
 * then is the commit visible.
 *
 * In other modes a check reads the number in the file's header, which is written before the commit has ended.
 * Therefore, a new number is read again in a read transaction, during which no connection writes. */
#include "data/sqlite/others.h"

#include "base/log.h"
#include "base/wait.h"
#include "data/sqlite/counter.h"
#include "data/sqlite/publish.h"
#include "data/sqlite/tab.h"

enum { MOMENT_MS = 1 };

/* Find a connection that has announced this number. is_sure: one whose commit certainly takes the number; otherwise one
 * whose commit may take it. */
static vestry_sqlite_connection *find_announced(const vestry_sqlite *database, vsi_sqlite_number number, bool is_sure) {
  for (vestry_sqlite_connection *at = LIST_FIRST(&database->connections); at; at = LIST_NEXT(at, in))
    if (atomic_load_explicit(&at->is_announced, memory_order_relaxed) && at->announced.value == number.value &&
        at->announced.is_wal == number.is_wal && at->is_sure == is_sure && at->transaction.has_changes)
      return at;
  return NULL;
}

/* Publish the changes of the connections that have announced a number, because a commit has reached it. */
static void publish_announced(void *ctx, vsi_sqlite_number number) {
  vestry_sqlite *database = ctx;
  vestry_sqlite_connection *connection = find_announced(database, number, true);
  if (connection) {
    vsi_sqlite_publish(connection, VSI_SQLITE_COMMITTED);
    return; /* other connections that announced it have committed nothing, and will find out */
  }
  while ((connection = find_announced(database, number, false))) vsi_sqlite_publish(connection, VSI_SQLITE_REACHED);
}

/* Account for each number up to last that is not accounted for yet. */
static void catch_up(vestry_sqlite *database, vsi_sqlite_number last) {
  uint32_t others = 0;
  if (database->is_lost || last.is_wal != database->seen.is_wal ||
      last.value - database->seen.value > VSI_SQLITE_WINDOW) {
    vsi_sqlite_begin_anew(database, last);
    return;
  }
  while (database->seen.value != last.value) {
    const vsi_sqlite_number next = {database->seen.value + 1, last.is_wal};
    publish_announced(database, next);
    if (database->seen.value != next.value - 1) continue; /* publishing accounted for it, perhaps for later ones too */
    if (!vsi_sqlite_account_take(database, next.value)) others++;
    database->seen = next;
  }
  database->stats.other_commits_count += others;
  if (others && !vsi_sqlite_commits_have_frames(&database->commits)) vsi_sqlite_refresh_all(database);
}

/* Return whether a commit that is complete, or nearly complete, is not accounted for yet. */
static bool is_news(const vestry_sqlite *database, vsi_sqlite_number last) {
  return database->is_lost || last.is_wal != database->seen.is_wal || last.value != database->seen.value;
}

/* Read the number in a transaction, while no connection writes. */
static vestry_err read_quietly(vestry_sqlite *database, vsi_sqlite_number *ret_last) {
  int result = sqlite3_exec(database->db, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
  bool is_read = !result && vsi_sqlite_counter(database, database->file, ret_last);
  vestry_err error = vsi_sqlite_fault(database, database->db, result, "cannot read the database");
  if (!sqlite3_get_autocommit(database->db)) sqlite3_exec(database->db, "ROLLBACK", NULL, NULL, NULL);
  return error ? error : is_read ? VESTRY_OK : VESTRY_IO;
}

vestry_err vsi_sqlite_look(vestry_sqlite *database) {
  vsi_sqlite_number last;
  vestry_err error = vsi_sqlite_counter(database, database->file, &last) ? VESTRY_OK : VESTRY_IO;
  if (!error && is_news(database, last)) {
    if (!last.is_wal) error = read_quietly(database, &last);
    if (!error) catch_up(database, last);
  }
  if (!error)
    error = vsi_sqlite_commits_follow(&database->commits, last.value, publish_announced, database, &database->seq,
                                      &database->stats.whole_count);
  bool is_failing = error && error != VESTRY_BUSY;
  if (is_failing && !database->is_failing)
    vsi_log(database->host, VESTRY_LOG_ERROR, "SQLite, %s: cannot follow commits of other connections: %s",
            database->path, vestry_strerror(error));
  if (is_failing) database->is_lost = true; /* the next check that succeeds refreshes everything */
  database->is_failing = is_failing;
  return error;
}

void vsi_sqlite_miss_file(vestry_sqlite *database) {
  int has_moved = 0;
  if (sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved)) return;
  if (has_moved && !database->has_moved)
    vsi_log(database->host, VESTRY_LOG_ERROR,
            "SQLite, %s: the file was removed or replaced, so pools reject transactions, and later writes of other "
            "connections are lost when this program ends; restart it",
            database->path);
  database->has_moved = has_moved;
}

/* Wait until the database is destroyed, the time is over, or, if can_be_roused, this thread is woken. */
static void wait(vestry_sqlite *database, uint32_t ms, bool can_be_roused) {
  uint64_t due_ns = vsi_monotonic_in_ms(ms);
  while (!database->is_over && !(can_be_roused && database->is_roused))
    if (!vsi_wait_until(&database->end, &database->lock, due_ns)) break;
}

/* Follow commits until the database is destroyed. Waking this thread costs a committing thread as much as a commit.
 * Therefore, after a check for which it was woken, the thread waits for a moment and checks again; during that moment
 * no committing thread needs to wake it. */
void *vsi_sqlite_follow(void *ctx) {
  vestry_sqlite *database = ctx;
  vsi_mutex_lock(&database->lock);
  while (!database->is_over) {
    wait(database, database->options.poll_ms, true);
    if (database->is_over) break;
    vsi_sqlite_miss_file(database);
    (void)vsi_sqlite_look(database);
    if (database->is_roused) {
      wait(database, MOMENT_MS, false);
      database->is_roused = false;
      (void)vsi_sqlite_look(database);
    }
    vsi_mutex_unlock(&database->lock);
    vsi_sqlite_tab_touch_all(database);
    vsi_mutex_lock(&database->lock);
  }
  vsi_mutex_unlock(&database->lock);
  return NULL;
}
