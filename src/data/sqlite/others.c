/* SPDX-License-Identifier: MIT */
/* essay: commits of others, told from one's own */
/* Commits that no attached connection made. They are found by their numbers: those after the last number that is
 * accounted for, up to the last number of the file. An attached connection announces the number of its next commit. If
 * that commit surely changes the file, the number is the announcer's. If not, the number may be the announcer's, or the
 * announcer has committed nothing and another connection has: then the number is taken for both (connection.c).
 *
 * A thread looks every poll_ms. In WAL mode a look loads one word, and costs nothing to speak of. A notification by the
 * file system cannot replace it: none comes when the WAL's index is written, and only then can the commit be seen.
 *
 * In other modes a look reads the number in the file's header, which is there before the commit is over. So if the
 * number is new, a read transaction reads it again: during that no connection writes. */
#include "data/sqlite/others.h"

#include "base/log.h"
#include "base/wait.h"
#include "data/sqlite/counter.h"
#include "data/sqlite/publish.h"
#include "data/sqlite/tab.h"

enum { MOMENT_MS = 1 };

/* A connection that has announced this number. is_sure: one whose commit surely takes it; otherwise one whose commit
 * perhaps does. */
static vestry_sqlite_connection *find_announced(const vestry_sqlite *database, vsi_sqlite_number number, bool is_sure) {
  for (vestry_sqlite_connection *at = LIST_FIRST(&database->connections); at; at = LIST_NEXT(at, in))
    if (atomic_load_explicit(&at->is_announced, memory_order_relaxed) && at->announced.value == number.value &&
        at->announced.is_wal == number.is_wal && at->is_sure == is_sure && at->transaction.has_changes)
      return at;
  return NULL;
}

/* A commit with this number is there: publish the changes of the connections that have announced it. */
static void publish_announced(void *ctx, vsi_sqlite_number number) {
  vestry_sqlite *database = ctx;
  vestry_sqlite_connection *connection = find_announced(database, number, true);
  if (connection) {
    vsi_sqlite_publish(connection, VSI_SQLITE_COMMITTED);
    return; /* others that announced it have committed nothing, and find that out themselves */
  }
  while ((connection = find_announced(database, number, false))) vsi_sqlite_publish(connection, VSI_SQLITE_REACHED);
}

/* All commits up to last are there: account for each number that is not accounted for yet. */
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

/* Whether a commit that is done, or nearly done, is not accounted for yet. */
static bool is_news(const vestry_sqlite *database, vsi_sqlite_number last) {
  return database->is_lost || last.is_wal != database->seen.is_wal || last.value != database->seen.value;
}

/* The number while no connection writes. */
static vestry_err read_quietly(vestry_sqlite *database, vsi_sqlite_number *ret_last) {
  int result = sqlite3_exec(database->db, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
  bool is_read = !result && vsi_sqlite_counter(database, database->file, ret_last);
  vestry_err error = vsi_sqlite_fault(database, database->db, result, "it cannot be read");
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
    vsi_log(database->host, VESTRY_LOG_ERROR, "SQLite, %s: commits of others are not seen: %s", database->path,
            vestry_strerror(error));
  if (is_failing) database->is_lost = true; /* the next look that succeeds refreshes everything */
  database->is_failing = is_failing;
  return error;
}

void vsi_sqlite_miss_file(vestry_sqlite *database) {
  int has_moved = 0;
  if (sqlite3_file_control(database->db, "main", SQLITE_FCNTL_HAS_MOVED, &has_moved)) return;
  if (has_moved && !database->has_moved)
    vsi_log(database->host, VESTRY_LOG_ERROR,
            "SQLite, %s: the file was removed, or another one has its place: what is written from here on is "
            "gone when this program ends; start it again",
            database->path);
  database->has_moved = has_moved;
}

/* Wait until the database is given up, the time has gone by, or, if can_be_roused, this thread was roused. */
static void wait(vestry_sqlite *database, uint32_t ms, bool can_be_roused) {
  uint64_t due_ns = vsi_monotonic_in_ms(ms);
  while (!database->is_over && !(can_be_roused && database->is_roused))
    if (!vsi_wait_until(&database->end, &database->lock, due_ns)) break;
}

/* To rouse this thread costs a committer as much as a commit. So after a look that it was roused for, the thread waits
 * a moment and looks again: in that moment no committer has to rouse it. */
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
