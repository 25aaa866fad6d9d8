/* SPDX-License-Identifier: MIT */
/* essay: commits of other connections, distinguished from those of attached ones */
/* The commits to a database, in the order of their numbers: those that attached connections have announced, and those
 * of other connections.
 *
 * Commits that no attached connection made are found by their numbers: the numbers after the last accounted one, up to
 * the last number in the file. An attached connection announces the number of its next commit. If that commit certainly
 * changes the file, the number belongs to the connection that announced it. Otherwise either that connection has
 * committed, or it has committed nothing and another connection has; the number is then treated as both (connection.c).
 *
 * A thread checks the number every poll_ms. In WAL mode a check loads one word, so its cost is negligible. A
 * notification of the file system cannot replace it, because none is sent when the WAL's index is written, and only
 * then is the commit visible.
 *
 * In other modes a check reads the number in the file's header, which is written before the commit has ended.
 * Therefore, a new number is read again in a read transaction, during which no connection writes.
 *
 * In WAL mode the pages that a commit wrote are known, for commits of any connection; its tables are known if an
 * attached connection made it. A commit with unknown tables is followed by its file pages alone, so the data from hooks
 * can only reduce the number of refreshes. In other modes only tables are known, and commits of other connections
 * refresh everything.
 *
 * A commit for which no hook was called for a row (for example VACUUM) is followed by its file pages alone, too. If
 * file pages are moved (auto_vacuum), a commit writes file pages of tables that it does not change; sets with these
 * file pages are invalidated, as index.c explains. */
#include "app/page/schedule.h"
#include "base/log.h"
#include "base/trace.h"
#include "base/wait.h"
#include "data/sqlite/sqlite.h"

enum {
  HEADER_BYTES = 28,
  MODE_AT = 18, /* 2: WAL */
  COUNTER_AT = 24,
  INDEX_WORD = 2,
  MOMENT_MS = 1,
  LULLS = 4,
  FETCHED_BYTES = 192, /* of a commit of one table and one key */
  YIELD_MS = 500,      /* less than a peer waits (peers.c) */
  YIELD_BLIND_MS = 50
};

void vsi_sqlite_rouse(vestry_sqlite *database) {
  if (database->is_roused) return;
  database->is_roused = database->is_signal_due = true;
}

/* Let a commit be followed: by this thread, if it serves a request that is ending (is_lent), or else by the thread that
 * follows commits. Waking that one costs a committing thread as much as a commit, so once is enough. */
static void rouse(vestry_sqlite *database, bool is_lent) {
  if (!is_lent) vsi_sqlite_rouse(database);
}

VSI_SIDE_BY_SIDE void vsi_sqlite_unlock(vestry_sqlite *database) {
  const bool is_signal_due = database->is_signal_due;
  database->is_signal_due = false;
  vsi_mutex_unlock(&database->lock);
  if (is_signal_due) pthread_cond_signal(&database->end);
}

/* Refresh everything that was read, because anything may have changed. */
static VSI_SELDOM void refresh_readers(vestry_sqlite *database) {
  const vsi_sqlite_commit all = {.is_whole = true};
  const vestry_change change = {.kind = VESTRY_REFRESH_DATABASE};
  if (!database->records) return;
  atomic_fetch_add_explicit(&database->tables.generation, 1, memory_order_acq_rel); /* before the commit counts */
  vsi_sqlite_index_commit(database->index, &all);
  (void)vestry_refresh_for(database->pages, VSI_SQLITE_TABS_TOPIC, &change, &database->seq);
}

void vsi_sqlite_refresh_all(vestry_sqlite *database) {
  refresh_readers(database);
  /* other nodes check for themselves */
  (void)vestry_refresh_for(database->pages, NULL, &(vestry_change){.kind = VESTRY_REFRESH_DATABASE}, &database->seq);
  database->stats.whole_count++;
}

static bool has_frames(const vestry_sqlite *database) {
  return atomic_load_explicit(&database->has_frames, memory_order_relaxed);
}

/* ---------------------------------------------------------------------------------------------- the counter ------- */

/* essay: the commit counter of SQLite, read without a call of SQLite */
/* The commit counter of SQLite, read where all processes share it.
 *
 * In WAL mode it is a word of the WAL's index (`iChange`, at byte 8), which is written last: a reader that finds the
 * number there can read the commit. The index is mapped once, by the database's own connection, so a check is one load,
 * without a call of SQLite and without a lock. That connection stays open, so no other connection can leave the mode.
 *
 * In other modes it is the counter in the file's header (at byte 24). It is written before the commit has ended.
 * Therefore, a connection that did not make the commit reads it again while none can write (read_quietly).
 *
 * The file is read through the sqlite3_file of an open connection. If the file were opened and closed here, POSIX would
 * drop the locks that SQLite has on it, because they belong to the process. */

/* Read the number from the file's header. An empty file has no header yet. */
static bool read_header(sqlite3_file *file, vsi_sqlite_number *ret_number) {
  unsigned char header[HEADER_BYTES] = {0};
  int result = file->pMethods ? file->pMethods->xRead(file, header, sizeof header, 0) : SQLITE_IOERR;
  if (result != SQLITE_OK && result != SQLITE_IOERR_SHORT_READ) return false;
  *ret_number = (vsi_sqlite_number){vsi_sqlite_big_endian(header + COUNTER_AT), header[MODE_AT] == 2};
  return true;
}

static VSI_SELDOM bool read_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number) {
  if (!read_header(file, ret_number)) return false;
  if (!ret_number->is_wal) return true;
  /* The mode changed a moment ago. */
  if (vsi_sqlite_counter_open(database) || !database->wal_index) return false;
  return vsi_sqlite_counter(database, file, ret_number);
}

VSI_SIDE_BY_SIDE bool vsi_sqlite_counter(vestry_sqlite *database, sqlite3_file *file, vsi_sqlite_number *ret_number) {
  const _Atomic(uint32_t) *index = database->wal_index;
  if (__builtin_expect(!index, 0)) return read_counter(database, file, ret_number);
  *ret_number = (vsi_sqlite_number){atomic_load_explicit(&index[INDEX_WORD], memory_order_acquire), true};
  return true;
}

/* Find the WAL's index, if the header that is read in a transaction shows that mode. */
static vestry_err open_index(vestry_sqlite *database) {
  vsi_sqlite_number number;
  const _Atomic(uint32_t) *index;
  if (!read_header(database->file, &number)) return VESTRY_IO;
  if (!number.is_wal) return VESTRY_OK;
  vestry_err error = vsi_sqlite_frames_map(database->file, &index);
  if (!error && database->records)
    error = vsi_sqlite_frames_init(&database->frames, database->host, database->db, index);
  if (!error && database->records && !database->peers)
    error = vsi_sqlite_peers_create(database->host, database->db, &database->tables, database->frames.number,
                                    &database->peers);
  if (error) return error;
  database->wal_index = index;
  vsi_sqlite_files_note(&database->files, database->db);
  atomic_store_explicit(&database->has_index, true, memory_order_release); /* pairs with before_commit */
  if (!database->records) return VESTRY_OK;
  atomic_store_explicit(&database->has_frames, true, memory_order_release);
  refresh_readers(database); /* a current render has read commits of the former mode */
  return VESTRY_OK;
}

/* The header is read while a statement reads, because then no program can change the mode: the connection has the mode
 * that the header shows, and keeps others from leaving it. */
vestry_err vsi_sqlite_counter_open(vestry_sqlite *database) {
  sqlite3_stmt *reading = NULL;
  if (database->wal_index) return VESTRY_OK;
  int result = sqlite3_prepare_v2(database->db, "SELECT count(*) FROM sqlite_schema", -1, &reading, NULL);
  if (!result) result = sqlite3_step(reading);
  const vestry_err error = result == SQLITE_ROW ? open_index(database) : vsi_sqlite_code(result);
  sqlite3_finalize(reading);
  return error;
}

/* ---------------------------------------------------------------------------------------------- accounting -------- */

static uint64_t *word_of(vestry_sqlite *database, uint32_t number, uint64_t *ret_bit) {
  number %= VSI_SQLITE_WINDOW;
  *ret_bit = UINT64_C(1) << number % 64;
  return &database->accounted[number / 64];
}

/* Return whether the commit of this number was accounted for, and clear that, because the number passes. */
static bool take_account(vestry_sqlite *database, uint32_t number) {
  if (!database->accounted_count) return false;
  uint64_t bit, *word = word_of(database, number, &bit);
  bool was = *word & bit;
  *word &= ~bit;
  database->accounted_count -= was;
  return was;
}

/* Account for a number. */
static void account(vestry_sqlite *database, vsi_sqlite_number number) {
  uint32_t ahead = number.value - database->seen.value;
  if (number.is_wal != database->seen.is_wal) return; /* the next check finds that out */
  if (__builtin_expect(ahead == 1, 1)) {
    do database->seen.value++, ahead++;
    while (ahead <= VSI_SQLITE_WINDOW && take_account(database, database->seen.value + 1));
    return;
  }
  if (ahead - 1 >= VSI_SQLITE_WINDOW) { /* far ahead, or far behind: the numbers restarted */
    if ((int32_t)ahead > 0 || (int32_t)ahead < -VSI_SQLITE_WINDOW) database->is_lost = true;
    return;
  }
  uint64_t bit, *word = word_of(database, number.value, &bit);
  database->accounted_count += !(*word & bit);
  *word |= bit;
}

void vsi_sqlite_begin_anew(vestry_sqlite *database, vsi_sqlite_number last) {
  memset(database->accounted, 0, sizeof database->accounted);
  database->accounted_count = 0;
  database->seen = last;
  database->is_lost = false;
  vsi_sqlite_refresh_all(database);
}

/* ----------------------------------------------------------------------------------------------- publishing ------- */

static void clear(vestry_sqlite_connection *connection) {
  vsi_sqlite_topics_clear(&connection->topics);
  vsi_sqlite_changes_clear(connection->database->host, &connection->changes);
  connection->changer = 0;
  connection->has_changes = connection->is_seen = connection->changes_tabs = false;
  connection->is_sure = connection->is_mixed = connection->has_deleted = connection->has_others = false;
  connection->has_removed = false;
  connection->trace.is_sampled = false;
  atomic_store_explicit(&connection->is_announced, false, memory_order_release); /* pairs with vsi_sqlite_settle */
}

void vsi_sqlite_forget(vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  if (connection->is_seen) {
    refresh_readers(database);
    rouse(database, vsi_pages_lend(database->pages));
  }
  if (atomic_load_explicit(&connection->is_announced, memory_order_relaxed))
    vsi_sqlite_peers_withdraw(database->peers, connection->announced.value);
  clear(connection);
}

/* Describe the changes of a commit, in memory where they can stay: to copy the description would take longer than to
 * write it. Its tables are known unless there was no memory for them. The meaning of column numbers depends on the
 * generation of the schema; if that has passed, they are unknown. */
static void describe(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence,
                     vsi_sqlite_commit *ret_commit) {
  const vestry_sqlite *database = connection->database;
  const vsi_sqlite_changes *changes = &connection->changes;
  const bool is_doubtful = evidence == VSI_SQLITE_REACHED;
  ret_commit->is_whole = connection->is_seen;
  ret_commit->is_of_render = !is_doubtful && (connection == database->writer || connection->changer);
  ret_commit->knows_tables =
      !is_doubtful && !changes->are_unknown && changes->uses.count &&
      changes->generation == atomic_load_explicit(&database->tables.generation, memory_order_relaxed);
  ret_commit->knows_pages = false;
  ret_commit->has_removed = connection->has_removed;
  ret_commit->has_inner = false;
  ret_commit->is_rough = connection->topics.are_all;
  ret_commit->changes_tabs = connection->changes_tabs;
  ret_commit->is_doubtful = is_doubtful;
  ret_commit->is_proven = evidence == VSI_SQLITE_COMMITTED;
  ret_commit->is_touch = connection == database->writer;
  ret_commit->number = connection->announced.value;
  ret_commit->uses = changes->uses.uses;
  ret_commit->uses_count = changes->uses.count;
  ret_commit->keys = changes->keys;
  ret_commit->keys_count = changes->keys_count;
  ret_commit->pages = NULL;
  ret_commit->pages_count = 0;
  ret_commit->at_ns = vestry_change_now_ns(database->pages);
  ret_commit->order = 0;
  ret_commit->trace = connection->trace;
}

/* Give a place for the changes of a small commit back. */
static void put_place(vestry_sqlite *database, void *place) {
  vsi_sqlite_commit *spare = place;
  TAILQ_NEXT(spare, in) = atomic_load_explicit(&database->spare, memory_order_relaxed);
  atomic_store_explicit(&database->spare, spare, memory_order_relaxed);
}

void vsi_sqlite_commits_init(vestry_sqlite *database) {
  TAILQ_INIT(&database->made);
  for (size_t i = VSI_SQLITE_PLACES; i--;) put_place(database, &database->places[i]);
}

/* Keep the changes of a commit, in a place if there is one: allocations would make commits slow. NULL: no memory. */
static vsi_sqlite_commit *keep(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence) {
  vestry_sqlite *database = connection->database;
  const vsi_sqlite_changes *changes = &connection->changes;
  const size_t bytes = vsi_sqlite_commit_bytes_of(changes->uses.count, changes->keys_count, 0);
  vsi_sqlite_commit *into =
      bytes <= sizeof *database->places ? atomic_load_explicit(&database->spare, memory_order_relaxed) : NULL;
  if (__builtin_expect(into != NULL, 1))
    atomic_store_explicit(&database->spare, TAILQ_NEXT(into, in), memory_order_relaxed);
  else
    into = vsi_alloc(database->host, bytes);
  if (!into) return NULL;
  describe(connection, evidence, into);
  vsi_sqlite_commit_take_arrays(into);
  return into;
}

void vsi_sqlite_prepare_to_keep(const vestry_sqlite *database) {
  const char *spare = (const char *)atomic_load_explicit(&database->spare, memory_order_relaxed);
  for (size_t i = 0; spare && i < FETCHED_BYTES; i += 64) vsi_prefetch_to_write(spare + i);
}

static void discard(vestry_sqlite *database, vsi_sqlite_commit *kept) {
  const uintptr_t at = (uintptr_t)kept, from = (uintptr_t)database->places;
  if (at - from < sizeof database->places)
    put_place(database, kept);
  else
    vsi_free(database->host, kept);
}

void vsi_sqlite_commits_finish(vestry_sqlite *database) {
  for (vsi_sqlite_commit *made; (made = TAILQ_FIRST(&database->made)) != NULL; discard(database, made))
    TAILQ_REMOVE(&database->made, made, in);
}

/* Follow a commit of a database without a WAL.
 *  made  its changes; NULL: there was no memory for them */
static VSI_SELDOM void follow_now(const vestry_sqlite_connection *connection, vsi_sqlite_commit *made) {
  vestry_sqlite *database = connection->database;
  if (!made || connection->topics.are_all)
    refresh_readers(database);
  else
    vsi_sqlite_index_commit(database->index, made);
  discard(database, made);
  vsi_sqlite_index_follow(database->index, &database->seq);
}

/* Follow a commit, or keep its changes until the thread has read it in the WAL, which is more precise about them. */
static void add(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence, bool is_lent) {
  vestry_sqlite *database = connection->database;
  const bool is_doubtful = evidence == VSI_SQLITE_REACHED;
  if (!database->records || (is_doubtful && !has_frames(database))) {
    if (connection->is_seen) {
      refresh_readers(database);
      rouse(database, is_lent);
    }
    return;
  }
  vsi_sqlite_changes *changes = &connection->changes;
  if (__builtin_expect(changes->uses.count > 1, 0)) vsi_sqlite_uses_sort(&changes->uses);
  if (__builtin_expect(changes->keys_count > 1, 0))
    changes->keys_count = vsi_sqlite_keys_sort(changes->keys, changes->keys_count);
  vsi_sqlite_commit *made = keep(connection, evidence);
  if (__builtin_expect(!has_frames(database), 0)) {
    follow_now(connection, made);
    return;
  }
  if (__builtin_expect(made != NULL, 1))
    TAILQ_INSERT_TAIL(&database->made, made, in);
  else if (connection->changes_tabs) /* it is treated as another connection's */
    atomic_store_explicit(&database->tabs_are_anywhere, true, memory_order_seq_cst);
  rouse(database, is_lent);
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

/* The same for a commit with too many topics. */
static void note_many_topics(vestry_sqlite *database) {
  if (!database->stats.over_topics_count++)
    vsi_log(database->host, VESTRY_LOG_WARN,
            "SQLite, %s: a transaction has more than %d topics, or %d bytes of their names, so its commit refreshes "
            "every page; name fewer topics, or divide such transactions. Later ones are only counted "
            "(over_topics_count)",
            database->path, VSI_SQLITE_TOPICS_MOST, VSI_SQLITE_TOPICS_BYTES_MOST);
}

static VSI_SELDOM void note_unusual(const vestry_sqlite_connection *connection) {
  vestry_sqlite *database = connection->database;
  const vsi_sqlite_topics *topics = &connection->topics;
  if (topics->are_all || topics->are_many) database->stats.whole_count++;
  if (topics->are_many) note_many_topics(database);
  if (connection->changes.are_many && database->records) note_large(database);
}

VSI_SIDE_BY_SIDE void vsi_sqlite_publish(vestry_sqlite_connection *connection, vsi_sqlite_evidence evidence) {
  vestry_sqlite *database = connection->database;
  vsi_sqlite_topics *topics = &connection->topics;
  if (!connection->has_changes) topics->are_all = true; /* no hook was called for a row: it is the schema */
  if (topics->are_all || topics->are_many || connection->changes.are_many) note_unusual(connection);
  const bool is_traced = database->host->tracer;
  const vestry_trace *former = is_traced ? vestry_trace_enter(&connection->trace) : NULL;
  const bool is_lent =
      vsi_pages_lend(database->pages); /* first, because otherwise the refresh of a topic would wake a worker */
  if (vsi_sqlite_topics_refresh(topics, database->pages, &database->seq)) /* a name that cannot be a topic */
    (void)vestry_refresh(database->pages, NULL, &database->seq);
  add(connection, evidence, is_lent);
  if (is_traced) (void)vestry_trace_enter(former);
  if (evidence <= VSI_SQLITE_FOUND) account(database, connection->announced);
  if (evidence != VSI_SQLITE_REACHED) database->stats.commits_count++;
  clear(connection);
}

/* Find a connection that has announced this number. is_sure: one whose commit certainly takes the number; otherwise one
 * whose commit may take it. */
static vestry_sqlite_connection *find_announced(const vestry_sqlite *database, vsi_sqlite_number number, bool is_sure) {
  vestry_sqlite_connection *at;
  LIST_FOREACH(at, &database->connections, in) {
    /* pairs with before_commit, which takes no lock */
    if (atomic_load_explicit(&at->is_announced, memory_order_acquire) && at->announced.value == number.value &&
        at->announced.is_wal == number.is_wal && at->is_sure == is_sure && at->has_changes)
      return at;
  }
  return NULL;
}

/* Publish the changes of the connections that have announced a number, because a commit has reached it. */
static void publish_announced(vestry_sqlite *database, vsi_sqlite_number number) {
  vestry_sqlite_connection *connection = find_announced(database, number, true);
  if (connection) {
    vsi_sqlite_publish(connection, VSI_SQLITE_FOUND);
    return; /* other connections that announced it have committed nothing, and will find out */
  }
  while ((connection = find_announced(database, number, false))) vsi_sqlite_publish(connection, VSI_SQLITE_REACHED);
}

/* ------------------------------------------------------------------------------------------------- the WAL -------- */

/* Take the changes of a commit out of the list, certain changes rather than doubtful ones; several doubtful ones are
 * united. All other changes up to its number are dropped, because they are no longer needed. */
static vsi_sqlite_commit *take_made(vestry_sqlite *database, uint32_t number) {
  vsi_sqlite_commit *found = NULL;
  for (vsi_sqlite_commit *made, *next = TAILQ_FIRST(&database->made); (made = next) != NULL;) {
    next = TAILQ_NEXT(made, in);
    if ((int32_t)(made->number - number) > 0) continue;
    TAILQ_REMOVE(&database->made, made, in);
    if (made->number == number && (!found || (found->is_doubtful && !made->is_doubtful))) {
      vsi_sqlite_commit *former = found;
      found = made;
      made = former;
    } else if (made->number == number && made->is_doubtful && found->is_doubtful) {
      found->changes_tabs |= made->changes_tabs;
      found->is_whole |= made->is_whole;
    }
    discard(database, made);
  }
  return found;
}

/* Refresh the states of tabs. If this process writes, or a peer, the file pages to which states move are known; if
 * another one writes, only the written file pages are known.
 *  is_own  this process wrote, perhaps; its states were refreshed as topics */
static void follow_tabs(vestry_sqlite *database, const vsi_sqlite_commit *made, bool is_own) {
  if (made->changes_tabs && !made->knows_pages)
    atomic_store_explicit(&database->tabs_are_anywhere, true, memory_order_seq_cst);
  for (size_t i = 0; made->changes_tabs && i < made->pages_count; i++)
    (void)vsi_sqlite_tab_pages_add(&database->tab_pages, made->pages[i]);
  if (is_own ? !made->is_doubtful : made->knows_tables && (!made->changes_tabs || made->is_touch)) return;
  atomic_fetch_add_explicit(&database->others, 1, memory_order_seq_cst);
  bool has_tab_page = atomic_load_explicit(&database->tabs_are_anywhere, memory_order_seq_cst);
  for (size_t i = 0; !has_tab_page && i < made->pages_count; i++)
    has_tab_page = vsi_sqlite_tab_pages_have(&database->tab_pages, made->pages[i]);
  if (!has_tab_page) return;
  const vestry_change change = {
      .kind = VESTRY_REFRESH_TABLE, .name = VSI_SQLITE_TAB_TABLE, .at_ns = database->looked_ns};
  (void)vestry_refresh_for(database->pages, VSI_SQLITE_TABS_TOPIC, &change, &database->seq);
}

/* Return the changes that a connection of this process has certainly committed under a number. NULL: none */
static const vsi_sqlite_commit *find_made(const vestry_sqlite *database, uint32_t number) {
  const vsi_sqlite_commit *at;
  TAILQ_FOREACH(at, &database->made, in) {
    if (at->number == number && !at->is_doubtful) return at;
  }
  return NULL;
}

/* Follow a commit that was read in the WAL, with the changes that its connection has announced, if it is attached, here
 * or in a peer. OK | BUSY (a peer has not written the changes yet) */
static vestry_err follow_commit(vestry_sqlite *database, const vsi_sqlite_written *written) {
  vsi_sqlite_commit of_peer = {.at_ns = database->looked_ns};
  const vestry_err error = find_made(database, written->number)
                               ? VESTRY_NOT_FOUND
                               : vsi_sqlite_peers_find(database->peers, written, &of_peer);
  if (error == VESTRY_BUSY) return error;
  vsi_sqlite_commit *made = take_made(database, written->number);
  const bool is_own = made && error; /* a doubtful commit that a peer has made is not this process's */
  vsi_sqlite_commit commit = is_own ? *made : of_peer;
  commit.is_whole |= made && made->is_whole;
  const vestry_trace *former = vestry_trace_enter(is_own ? &made->trace : NULL);
  commit.knows_pages = true;
  commit.has_inner = written->has_inner;
  commit.is_rough |= written->moves_pages;
  commit.pages = written->pages;
  commit.pages_count = written->pages_count;
  follow_tabs(database, &commit, is_own);
  if (written->has_schema || commit.is_whole) {
    refresh_readers(database);
    database->stats.whole_count++;
  } else {
    vsi_sqlite_index_commit(database->index, &commit);
  }
  (void)vestry_trace_enter(former);
  discard(database, made);
  return VESTRY_OK;
}

/* Follow a commit of a connection of this process that was overwritten before it was read: its rows are known, its file
 * pages are not. false: it is none, or changed the schema, or too much is unknown */
static bool follow_lost_own(vestry_sqlite *database, uint32_t number) {
  const vsi_sqlite_commit *own = find_made(database, number);
  if (!own || !own->knows_tables || own->is_whole || own->is_rough || database->frames.moves_pages) return false;
  vsi_sqlite_commit *made = take_made(database, number);
  const vestry_trace *former = vestry_trace_enter(&made->trace);
  follow_tabs(database, made, true);
  vsi_sqlite_index_commit(database->index, made);
  (void)vestry_trace_enter(former);
  discard(database, made);
  return true;
}

/* Follow a commit that was overwritten before it was read, by the rows that a connection of this process or a peer has
 * announced; otherwise refresh everything, which includes the lost commits after it. OK | BUSY (a peer has not written
 * the changes yet) */
static vestry_err follow_lost(vestry_sqlite *database, const vsi_sqlite_written *lost) {
  vsi_sqlite_frames *frames = &database->frames;
  if (follow_lost_own(database, lost->number)) return VESTRY_OK;
  vsi_sqlite_written found = *lost;
  vsi_sqlite_commit commit = {.at_ns = database->looked_ns, .is_rough = frames->moves_pages};
  const vestry_err error = find_made(database, lost->number)
                               ? VESTRY_NOT_FOUND
                               : vsi_sqlite_peers_find_lost(database->peers, &found, &commit);
  if (error == VESTRY_BUSY) return error;
  if (!error) {
    vsi_sqlite_frames_found(frames, &found);
    follow_tabs(database, &commit, false);
    vsi_sqlite_index_commit(database->index, &commit);
    return VESTRY_OK;
  }
  for (const vsi_sqlite_written *next; (next = vsi_sqlite_frames_at(frames, 1)) && next->is_lost;) {
    vsi_sqlite_frames_remove(frames);
    database->shared_count -= database->shared_count > 1; /* that one may not be shared yet */
  }
  refresh_readers(database);
  database->stats.whole_count++;
  return VESTRY_OK;
}

/* Load the columns of tables that this process has changed and never read, so that peers learn the rows next time. */
static void know_tables(vestry_sqlite *database, const vsi_sqlite_commit *made) {
  const uint32_t generation = atomic_load_explicit(&database->tables.generation, memory_order_relaxed);
  vsi_sqlite_known known;
  for (size_t i = 0; i < made->uses_count && made->knows_tables; i++)
    if (!vsi_sqlite_tables_ask(&database->tables, made->uses[i].table, generation, &known))
      (void)vsi_sqlite_reader_load(database->db, &database->tables, made->uses[i].table, generation);
}

/* Return whether to leave a commit to the thread of its connection, which will publish it in a moment: only then can
 * its rows be shared with peers, and only that thread knows of a commit that is not sure whether it took place. The
 * thread may have lost its processor within the call of SQLite that commits, so it is waited for, for YIELD_MS. If no
 * call is running, the statement was reset before its end, and the commit is published here. Of a connection without a
 * mutex this is unknown; it is waited for YIELD_BLIND_MS. */
static bool yields(vestry_sqlite *database, vsi_sqlite_number last) {
  vestry_sqlite_connection *at;
  uint64_t most_ms = 0;
  if (!vsi_sqlite_peers_are_there(database->peers)) return false;
  LIST_FOREACH(at, &database->connections, in) {
    /* pairs with before_commit, which takes no lock */
    const bool is_due = atomic_load_explicit(&at->is_announced, memory_order_acquire) && at->has_changes &&
                        (int32_t)(last.value - at->announced.value) >= 0;
    if (!is_due || at->settle_idle(at)) continue;
    const uint64_t ms = sqlite3_db_mutex(at->db) ? YIELD_MS : YIELD_BLIND_MS;
    if (ms > most_ms) most_ms = ms;
  }
  if (!most_ms) {
    database->yielded_ns = 0;
    return false;
  }
  const uint64_t now_ns = vsi_monotonic_ns();
  if (!database->yielded_ns) database->yielded_ns = now_ns;
  return now_ns - database->yielded_ns <= most_ms * VSI_NS_PER_MS;
}

/* Write the changes of this process's commits, among those that were read, for peers. All of them are written before
 * the first is followed, so that no process waits for another one that waits. */
static vestry_err share_changes(vestry_sqlite *database) {
  const vsi_sqlite_written *written;
  for (; (written = vsi_sqlite_frames_at(&database->frames, database->shared_count)); database->shared_count++) {
    const vsi_sqlite_number number = {written->number, true};
    if (yields(database, number)) {
      vsi_sqlite_peers_shared(database->peers, written->number - 1);
      return VESTRY_BUSY;
    }
    publish_announced(database, number);
    if (!vsi_sqlite_peers_are_there(database->peers)) continue;
    const vsi_sqlite_commit *made = find_made(database, written->number);
    if (!made || written->is_lost) continue;
    if (made->is_proven) vsi_sqlite_peers_share(database->peers, made, written);
    know_tables(database, made);
  }
  vsi_sqlite_peers_shared(database->peers, database->frames.number);
  return VESTRY_OK;
}

/* Follow the commits up to the last number. OK | BUSY (try again later) */
static vestry_err follow_wal(vestry_sqlite *database, uint32_t last) {
  vestry_err error = VESTRY_OK;
  if (!has_frames(database)) return VESTRY_OK;
  if (database->frames.number != last) {
    database->looked_ns = vestry_change_now_ns(database->pages);
    error = vsi_sqlite_frames_read(&database->frames);
  }
  if (error == VESTRY_NOT_FOUND) {
    database->shared_count = 0;
    refresh_readers(database);
    database->stats.whole_count++;
    error = VESTRY_OK;
  }
  if (error) return error;
  const vestry_err left = share_changes(database);
  for (const vsi_sqlite_written *written; database->shared_count;) {
    written = vsi_sqlite_frames_at(&database->frames, 0);
    error = written->is_lost ? follow_lost(database, written) : follow_commit(database, written);
    if (error) return error;
    vsi_sqlite_frames_remove(&database->frames);
    database->shared_count--;
  }
  return left;
}

/* ------------------------------------------------------------------------- commits of other connections ----------- */

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
    if (!take_account(database, next.value)) others++;
    database->seen = next;
  }
  database->stats.other_commits_count += others;
  if (others && !has_frames(database)) vsi_sqlite_refresh_all(database);
}

/* Return whether a commit that is complete, or nearly complete, is not accounted for yet. */
static bool has_new(const vestry_sqlite *database, vsi_sqlite_number last) {
  return database->is_lost || last.is_wal != database->seen.is_wal || last.value != database->seen.value;
}

/* Read the number in a transaction, while no connection writes. */
static vestry_err read_quietly(vestry_sqlite *database, vsi_sqlite_number *ret_last) {
  const vsi_call call = {database->host, "SQLite", database->path, &database->failures};
  int result = sqlite3_exec(database->db, "BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
  bool is_read = !result && vsi_sqlite_counter(database, database->file, ret_last);
  vestry_err error = vsi_sqlite_code(result);
  if (!database->is_failing && (error == VESTRY_IO || error == VESTRY_LIMIT)) /* once, however often it is tried */
    (void)vsi_sqlite_fail(&call, database->db, result, "cannot read the database");
  if (!sqlite3_get_autocommit(database->db)) vsi_sqlite_exec(database->db, "ROLLBACK");
  return error ? error : is_read ? VESTRY_OK : VESTRY_IO;
}

vestry_err vsi_sqlite_look(vestry_sqlite *database) {
  vsi_sqlite_number last;
  vestry_err error = vsi_sqlite_counter(database, database->file, &last) ? VESTRY_OK : VESTRY_IO;
  if (!error && yields(database, last)) return VESTRY_BUSY;
  if (!error && has_new(database, last)) {
    if (!last.is_wal) error = read_quietly(database, &last);
    if (!error) catch_up(database, last);
  }
  if (!error) error = follow_wal(database, last.value);
  bool is_failing = error && error != VESTRY_BUSY;
  if (is_failing && !database->is_failing)
    vsi_log_repeated(database->host, &database->failures, 0, VESTRY_LOG_ERROR,
                     "SQLite, %s: cannot follow commits of other connections: %s", database->path,
                     vestry_strerror(error));
  if (is_failing) database->is_lost = true; /* the next check that succeeds refreshes everything */
  database->is_failing = is_failing;
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
  uint64_t seq = 0;
  const vestry_err error = vsi_sqlite_look(database);
  vsi_sqlite_unlock(database);
  vsi_sqlite_index_follow(database->index, &seq);
  vsi_mutex_lock(&database->lock);
  return error;
}

/* Look, after a pause without commits or for a commit after which the thread was woken. If one wakes it, wait for a
 * moment, and look again; during that moment no committing thread needs to wake it.
 *  in_out_lulls  how many such moments in a row have brought no commit. After LULLS of them, the thread sleeps at once,
 *                because a moment costs the thread as much as being woken; until a commit comes within a moment. */
static vestry_err look_for_a_moment(vestry_sqlite *database, unsigned *in_out_lulls) {
  const bool is_lull = *in_out_lulls >= LULLS;
  if (is_lull) database->is_roused = false;
  vestry_err error = look_and_follow(database);
  if (!database->is_roused) return error;
  const uint32_t seen = database->seen.value;
  wait(database, MOMENT_MS, false);
  database->is_roused = false;
  error = look_and_follow(database);
  *in_out_lulls = is_lull || database->seen.value != seen ? 0 : *in_out_lulls + 1;
  return error;
}

/* Follow commits until the database is destroyed. Waking this thread costs a committing thread as much as a commit. The
 * paths of the files are checked every poll_ms, because that costs a fifth of the CPU time that a commit costs this
 * thread. */
void *vsi_sqlite_follow(void *ctx) {
  vestry_sqlite *database = ctx;
  uint64_t check_ns = 0, moment_ns = 0;
  unsigned lulls = 0;
  vestry_err error = VESTRY_OK;
  vsi_mutex_lock(&database->lock);
  while (!database->is_over) {
    if (error == VESTRY_BUSY && has_frames(database)) /* a peer, or a connection, needs a moment */
      wait(database, MOMENT_MS, false);
    else
      wait(database, database->options.poll_ms, true);
    if (database->is_over) break;
    const uint64_t now_ns = vsi_monotonic_ns();
    if (now_ns >= check_ns) {
      vsi_sqlite_miss_file(database);
      vsi_sqlite_peers_check(database->peers);
      check_ns = vsi_monotonic_in_ms(database->options.poll_ms);
    }
    if (now_ns < moment_ns) lulls = 0;
    error = look_for_a_moment(database, &lulls);
    moment_ns = vsi_monotonic_in_ms(MOMENT_MS);
    vsi_sqlite_unlock(database);
    vsi_sqlite_tab_touch_all(database);
    vsi_mutex_lock(&database->lock);
  }
  vsi_sqlite_unlock(database);
  return NULL;
}
