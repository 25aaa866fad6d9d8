/* SPDX-License-Identifier: MIT */
/* essay: commits of other connections, distinguished from those of attached ones */
/* The commits to a database, in the order of their numbers. Attached connections publish their changes under the number
 * of the commit (connection.c), in a ring. The thread that follows commits loads the last number from the WAL's index,
 * and follows each number after the last one that it has followed: by the changes in the ring, or else by the rows that
 * a peer has written (peers.c), or else by the file pages alone. So each number is followed once, and changes can only
 * reduce the number of refreshes.
 *
 * Changes that were published are bound to their commit by its place in the WAL. A commit that was overwritten in the
 * WAL before it was read is followed by them alone, if it continues the commit before it; otherwise everything is
 * refreshed.
 *
 * A number may be visible a moment before its changes are published. It is waited for as long as a call of SQLite is
 * running on a connection that has announced it, at most AWAITED_MS, because the thread may have lost its processor
 * within that call. Changes that are published later are discarded.
 *
 * The thread checks the number every poll_ms, which costs one load. A notification of the file system cannot replace
 * it, because none is sent when the WAL's index is written, and only then is the commit visible.
 *
 * A commit for which no hook was called for a row (for example VACUUM) is followed by its file pages alone, too. If
 * file pages are moved (auto_vacuum), a commit writes file pages of tables that it does not change; sets with these
 * file pages are invalidated, as index.c explains. */
#include "app/page/schedule.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/wait.h"
#include "data/sqlite/sqlite.h"

enum { MOMENT_MS = 1, AWAITED_MS = 500 };

/* Waking the thread costs a committing thread as much as a commit, so once is enough. */
void vsi_sqlite_rouse(vestry_sqlite *database) {
  if (database->is_roused) return;
  database->is_roused = database->is_signal_due = true;
}

void vsi_sqlite_unlock(vestry_sqlite *database) {
  const bool is_signal_due = database->is_signal_due;
  database->is_signal_due = false;
  vsi_mutex_unlock(&database->lock);
  if (is_signal_due) pthread_cond_signal(&database->end);
}

/* Refresh everything that was read, because anything may have changed. */
static void refresh_readers(vestry_sqlite *database) {
  const vsi_sqlite_commit all = {.is_whole = true};
  vsi_sqlite_peers_note_schema(database->peers);
  atomic_fetch_add_explicit(&database->tables.generation, 1, memory_order_acq_rel); /* before the commit counts */
  vsi_sqlite_index_commit(database->index, &all);
}

static void refresh_whole(vestry_sqlite *database) {
  refresh_readers(database);
  database->stats.whole_count++;
}

/* ----------------------------------------------------------------------------------------------- publishing ------- */

static void clear(vestry_sqlite_connection *connection) {
  vsi_sqlite_changes_clear(connection->database->host, &connection->changes);
  connection->changer = 0;
  connection->has_changes = connection->is_seen = connection->has_removed = connection->is_rough = false;
  connection->trace.is_sampled = false;
  atomic_store_explicit(&connection->announced, 0, memory_order_relaxed);
}

/* Let commits be followed: by this thread when its request has ended, or by the database's. */
static void rouse(vestry_sqlite *database) {
  if (!vsi_pages_lend(database->pages)) vsi_sqlite_rouse(database);
}

void vsi_sqlite_forget(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  const uint64_t announced = atomic_load_explicit(&connection->announced, memory_order_relaxed);
  if (connection->is_seen || announced) {
    vsi_mutex_lock(&database->lock);
    if (connection->is_seen) refresh_readers(database);
    if (announced) vsi_sqlite_peers_announce(database->peers, connection->at.number, false);
    rouse(database);
    vsi_sqlite_unlock(database);
  }
  clear(connection);
}

/* Describe the changes of a commit, in memory where they can stay: to copy the description would take longer than to
 * write it. Its tables are known unless there was no memory for them. The meaning of column numbers depends on the
 * generation of the schema; if that has passed, they are unknown. */
static void describe(vestry_sqlite_connection *connection, vsi_sqlite_commit *ret_commit) {
  const vestry_sqlite *database = connection->database;
  const vsi_sqlite_changes *changes = &connection->changes;
  *ret_commit = (vsi_sqlite_commit){
      .is_of_render = connection->changer,
      .knows_tables = !changes->are_unknown && changes->uses.count &&
                      changes->generation == atomic_load_explicit(&database->tables.generation, memory_order_relaxed),
      .has_removed = connection->has_removed,
      .is_rough = connection->is_rough || !connection->has_changes, /* no hook was called for a row: it is the schema */
      .at = connection->at,
      .uses = changes->uses.uses,
      .uses_count = changes->uses.count,
      .keys = changes->keys,
      .keys_count = changes->keys_count,
      .at_ns = vestry_change_now_ns(database->pages),
      .trace = connection->trace};
}

static vsi_sqlite_commit **slot_of(vestry_sqlite *database, uint32_t number) {
  return &database->made[number % VSI_SQLITE_RING];
}

/* Put the changes of a commit into the ring. Returns false if there is no memory for them, or if the thread that
 * follows commits is too far behind, or ahead: the commit is then followed like a stranger's. */
static bool put(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_changes *changes = &connection->changes;
  const uint32_t number = connection->at.number;
  if (number - database->seen - 1 >= VSI_SQLITE_RING) return false;
  vsi_sqlite_uses_sort(&changes->uses);
  changes->keys_count = vsi_sqlite_keys_sort(changes->keys, changes->keys_count);
  vsi_sqlite_commit *made =
      vsi_alloc(database->host, vsi_sqlite_commit_bytes_of(changes->uses.count, changes->keys_count, 0));
  if (!made) return false;
  describe(connection, made);
  vsi_sqlite_commit_take_arrays(made);
  vsi_sqlite_commit **slot = slot_of(database, number);
  vsi_free(database->host, *slot); /* of a number that was passed */
  *slot = made;
  return true;
}

/* Take the changes of a commit out of the ring. NULL: there are none */
static vsi_sqlite_commit *take(vestry_sqlite *database, uint32_t number) {
  vsi_sqlite_commit **slot = slot_of(database, number), *made = *slot;
  if (!made || made->at.number != number) return NULL;
  *slot = NULL;
  return made;
}

void vsi_sqlite_commits_forget(vestry_sqlite *database) {
  for (size_t i = 0; i < VSI_SQLITE_RING; i++) {
    vsi_free(database->host, database->made[i]);
    database->made[i] = NULL;
  }
}

/* Count a commit that has changed too much to be followed exactly, and log the first one. */
static void note_large(vestry_sqlite *database) {
  if (!database->stats.large_commits_count++)
    vsi_log(database->host, VESTRY_LOG_WARN,
            "SQLite, %s: a transaction has changed more than %u rows, so its commit also renders pages that show other "
            "rows of the same tables and file pages; divide such transactions. Later ones are only counted "
            "(large_commits_count)",
            database->path, (unsigned)database->tables.max_changes_count);
}

void vsi_sqlite_publish(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  vsi_mutex_lock(&database->lock);
  if (connection->changes.are_many) note_large(database);
  if (connection->is_seen) refresh_readers(database);
  if (!put(connection))
    vsi_sqlite_peers_announce(database->peers, connection->at.number, false);
  else if (vsi_sqlite_tables_have_peers(&database->tables))
    vsi_sqlite_peers_share(database->peers, *slot_of(database, connection->at.number));
  database->stats.commits_count++;
  rouse(database);
  vsi_sqlite_unlock(database);
  clear(connection);
}

/* ------------------------------------------------------------------------------------------------ following ------- */

/* Return whether to wait further for the changes of a commit whose number is reached. */
static bool may_wait(vestry_sqlite *database, uint32_t number) {
  const uint64_t now_ns = vsi_monotonic_ns();
  if (!database->awaited_from_ns || database->awaited != number) database->awaited_from_ns = now_ns;
  database->awaited = number;
  return now_ns - database->awaited_from_ns <= AWAITED_MS * VSI_NS_PER_MS;
}

/* Return whether a connection of this process may be about to publish such a commit: a call of SQLite is running on it,
 * which holds its mutex, if it has one. */
static bool is_awaited(vestry_sqlite *database, uint32_t number) {
  vestry_sqlite_connection *at;
  LIST_FOREACH(at, &database->connections, in) {
    /* pairs with before_commit, which takes no lock */
    if (atomic_load_explicit(&at->announced, memory_order_acquire) != (uint64_t)number + 1) continue;
    sqlite3_mutex *mutex = sqlite3_db_mutex(at->db);
    const bool is_idle = mutex && !sqlite3_mutex_try(mutex);
    if (is_idle) sqlite3_mutex_leave(mutex);
    if (!is_idle && may_wait(database, number)) return true;
    vsi_sqlite_peers_announce(database->peers, number, false);
  }
  return false;
}

/* Load the columns of tables that this process has changed and never read, so that peers learn the rows next time. */
static void know_tables(vestry_sqlite *database, const vsi_sqlite_commit *made) {
  const uint32_t generation = atomic_load_explicit(&database->tables.generation, memory_order_relaxed);
  vsi_sqlite_known known;
  for (size_t i = 0; i < made->uses_count && made->knows_tables; i++)
    if (!vsi_sqlite_tables_ask(&database->tables, made->uses[i].table, generation, &known))
      (void)vsi_sqlite_reader_load(database->db, &database->tables, made->uses[i].table, generation);
}

/* Pass all lost commits, because everything is refreshed instead. */
static void pass_lost(vestry_sqlite *database, vsi_sqlite_written *written) {
  for (; written->lost_count > 1; written->lost_count--) {
    vsi_sqlite_commit *made = take(database, ++database->seen + 1);
    database->stats.other_commits_count += !made;
    vsi_free(database->host, made);
  }
  refresh_whole(database);
}

/* Follow a commit with file pages that were read in the WAL. */
static void follow_pages(vestry_sqlite *database, const vsi_sqlite_written *written, vsi_sqlite_commit *commit) {
  commit->knows_pages = true;
  commit->has_inner = written->has_inner;
  commit->is_rough |= written->moves_pages;
  commit->pages = written->pages;
  commit->pages_count = written->pages_count;
  if (written->has_schema)
    refresh_whole(database);
  else
    vsi_sqlite_index_commit(database->index, commit);
}

/* Follow the first commit that was read. OK | BUSY (its changes may be published in a moment, here or in a peer) */
static vestry_err follow_first(vestry_sqlite *database, vsi_sqlite_written *written) {
  vsi_sqlite_commit commit = {.at_ns = database->looked_ns}, *made = take(database, written->number);
  if (!made && is_awaited(database, written->number)) return VESTRY_BUSY;
  const bool is_own = made && vsi_sqlite_frames_is_at(written, &made->at);
  if (is_own)
    commit = *made;
  else if (!made && vsi_sqlite_peers_find(database->peers, written, &commit) == VESTRY_BUSY &&
           may_wait(database, written->number))
    return VESTRY_BUSY;
  database->stats.other_commits_count += !made;
  const vestry_trace *former = vestry_trace_enter(is_own ? &made->trace : NULL);
  if (!written->lost_count) {
    follow_pages(database, written, &commit);
  } else if (commit.knows_tables && !commit.is_rough && !database->frames.moves_pages) { /* without its file pages */
    vsi_sqlite_index_commit(database->index, &commit);
  } else {
    pass_lost(database, written);
  }
  (void)vestry_trace_enter(former);
  if (is_own && vsi_sqlite_tables_have_peers(&database->tables)) know_tables(database, made);
  vsi_free(database->host, made);
  database->seen++;
  vsi_sqlite_frames_remove(&database->frames, &commit.at);
  return VESTRY_OK;
}

vestry_err vsi_sqlite_look(vestry_sqlite *database) {
  vestry_err error = VESTRY_OK;
  if (database->frames.number != vsi_sqlite_frames_number(database->wal_index)) {
    database->looked_ns = vestry_change_now_ns(database->pages);
    error = vsi_sqlite_frames_read(&database->frames);
  }
  if (error == VESTRY_NOT_FOUND) {
    vsi_sqlite_commits_forget(database);
    database->seen = database->frames.number;
    refresh_whole(database);
    return VESTRY_OK;
  }
  for (vsi_sqlite_written *written; !error && (written = TAILQ_FIRST(&database->frames.commits));)
    error = follow_first(database, written);
  return error;
}

void vsi_sqlite_miss_file(vestry_sqlite *database) {
  vsi_sqlite_wal wal;
  const char *moved = vsi_sqlite_files_find_moved(&database->files, database->db, true, &wal);
  if (moved && !database->has_moved)
    vsi_log_repeated(
        database->host, &database->failures, 0, VESTRY_LOG_ERROR,
        "SQLite, %s: %s was removed, replaced or cut, so commits of other programs are not seen, pools reject "
        "transactions, and later writes of other connections can be lost; end this program normally, and restart it",
        database->path, moved);
  database->has_moved = moved != NULL;
  const bool has_links = vsi_sqlite_files_have_links(database->db);
  if (has_links && !database->has_links)
    vsi_log_repeated(
        database->host, &database->failures, 0, VESTRY_LOG_WARN,
        "SQLite, %s: the file has several names (hard links); a program that opens it by another name does "
        "not see these commits, its commits are not seen, and the database will be damaged; remove the "
        "other names, and copy with VACUUM INTO",
        database->path);
  database->has_links = has_links;
}

/* Wait until the database is destroyed, the time is over, or, if can_be_roused, this thread is woken. */
static void wait(vestry_sqlite *database, uint32_t ms, bool can_be_roused) {
  uint64_t due_ns = vsi_monotonic_in_ms(ms);
  database->is_signal_due = false; /* this thread has set it */
  while (!database->is_over && !(can_be_roused && database->is_roused))
    if (!vsi_wait_until(&database->end, &database->lock, due_ns)) break;
}

/* Look for commits, and follow them without the lock, because that may take long. */
static vestry_err look_and_follow(vestry_sqlite *database) {
  const vestry_err error = vsi_sqlite_look(database);
  vsi_sqlite_unlock(database);
  vsi_sqlite_index_follow(database->index, NULL);
  vsi_mutex_lock(&database->lock);
  return error;
}

/* Follow commits until the database is destroyed. Waking this thread costs a committing thread as much as a commit, so
 * after a commit that has woken it, it waits for a moment and looks again; until then no thread wakes it. The paths of
 * the files are checked every poll_ms, because that costs a fifth of the CPU time that a commit costs this thread. */
void *vsi_sqlite_follow(void *ctx) {
  vestry_sqlite *database = ctx;
  uint64_t check_ns = 0;
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&database->lock);
  while (!database->is_over) {
    if (error == VESTRY_BUSY) /* a peer, or a connection, needs a moment */
      wait(database, MOMENT_MS, false);
    else
      wait(database, database->options.poll_ms, true);
    if (database->is_over) break;
    if (vsi_monotonic_ns() >= check_ns) {
      vsi_sqlite_miss_file(database);
      vsi_sqlite_peers_check(database->peers);
      check_ns = vsi_monotonic_in_ms(database->options.poll_ms);
    }
    error = look_and_follow(database);
    if (!database->is_roused) continue;
    wait(database, MOMENT_MS, false);
    database->is_roused = false;
    error = look_and_follow(database);
  }
  vsi_sqlite_unlock(database);
  return NULL;
}
