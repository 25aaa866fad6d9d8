/* SPDX-License-Identifier: MIT */
/* essay: a state that is written at the price of one statement, and ends some day */
/* State of tabs. The statements are prepared once a connection, when they are first needed.
 *
 * A state that is written again and again, as a draft is, takes one statement: an UPDATE that leaves `expires` alone,
 * and with it the index. When a tenth of ttl has gone by, or there is no row yet, a longer way is gone: the row is
 * put, what is too much of its scope is removed, unless that is everybody's, some of what has expired, and what is
 * too much of all together, anonymous users' first, which a table beside it names: these are counted when so many have
 * been put that there may be too many, or COUNTED_EACH, since other processes put some too. A few more than must go
 * then make room for others, so that they are counted seldom. It is a savepoint, so that it is all or nothing, in the
 * application's transaction too.
 *
 * That a state is read is noted when a tenth of ttl has gone by, not by the reader, which may be a render, inside of a
 * transaction, and would have to write: the database's own thread does it, with a connection of its own. It does not
 * wait; if it cannot write, the next read asks for it again. */
#include "data/sqlite/tab.h"

#include "base/list.h"

enum { COUNTED_EACH = 1024, EVICTED_AT_ONCE = 4096 };

static const char *const steps[] = {
    "CREATE TABLE vestry_tab(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)"};
const vsi_sqlite_schema vsi_sqlite_tab_schema = {"tab", steps, sizeof steps / sizeof *steps};
/* A part of its own, so that programs of before go on beside this one. A row of a state that is gone means nothing. */
static const char *const visitor_steps[] = {
    "CREATE TABLE vestry_tab_visitor(scope BLOB NOT NULL, tab BLOB NOT NULL, PRIMARY KEY(scope, tab)) STRICT,"
    " WITHOUT ROWID"};
const vsi_sqlite_schema vsi_sqlite_tab_visitor_schema = {"tab_visitor", visitor_steps, 1};

/* Each is prepared when it is first needed. Of one state: scope and tab are the first two parameters. */
enum {
  READ,
  WRITE,
  TOUCH,
  INSERT,
  REMOVE,
  EVICT,
  EXPIRE,
  COUNT,
  BOUND,
  NAME_VISITOR,
  BOUND_VISITORS,
  CLEAR_VISITORS,
  BEGIN,
  END,
  UNDO,
  UNDO_ALL
};
static const char *const texts[VSI_SQLITE_TAB_STATEMENTS] = {
    [READ] = "SELECT data, expires FROM vestry_tab WHERE scope = ?1 AND tab = ?2 AND expires > ?3",
    [WRITE] = "UPDATE vestry_tab SET data = ?4 WHERE scope = ?1 AND tab = ?2 AND expires >= ?3",
    [TOUCH] = "UPDATE vestry_tab SET expires = ?3 WHERE scope = ?1 AND tab = ?2 AND expires < ?3",
    [INSERT] = "INSERT INTO vestry_tab(scope, tab, expires, data) VALUES(?1, ?2, ?3, ?4)"
               " ON CONFLICT DO UPDATE SET expires = excluded.expires, data = excluded.data",
    [REMOVE] = "DELETE FROM vestry_tab WHERE scope = ?1 AND tab = ?2",
    [EVICT] = "DELETE FROM vestry_tab WHERE scope = ?1 AND tab IN (SELECT tab FROM vestry_tab"
              " WHERE scope = ?1 AND tab <> ?2 ORDER BY expires DESC, tab LIMIT -1 OFFSET ?3)",
    [EXPIRE] = "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab"
               " WHERE expires <= ?1 ORDER BY expires LIMIT 64)",
    [COUNT] = "SELECT count(*) FROM vestry_tab",
    [BOUND] = "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab"
              " ORDER BY expires LIMIT ?1)",
    [NAME_VISITOR] = "INSERT INTO vestry_tab_visitor(scope, tab) VALUES(?1, ?2) ON CONFLICT DO NOTHING",
    [BOUND_VISITORS] = "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT t.scope, t.tab FROM vestry_tab AS t"
                       " JOIN vestry_tab_visitor AS v ON v.scope = t.scope AND v.tab = t.tab"
                       " ORDER BY t.expires LIMIT ?1)",
    [CLEAR_VISITORS] = "DELETE FROM vestry_tab_visitor WHERE NOT EXISTS (SELECT 1 FROM vestry_tab AS t"
                       " WHERE t.scope = vestry_tab_visitor.scope AND t.tab = vestry_tab_visitor.tab)",
    [BEGIN] = "SAVEPOINT vestry_tab",
    [END] = "RELEASE vestry_tab",
    [UNDO] = "ROLLBACK TO vestry_tab",
    [UNDO_ALL] = "ROLLBACK"};

typedef vsi_tab_owner owner;

static vestry_err find_owner(const vestry_sqlite *database, const vestry_request *req, owner *ret_owner) {
  const vestry_sqlite_options *options = &database->options;
  return vsi_tab_owner_find(req, options->tab_ttl_s, options->anonymous_tab_ttl_s, ret_owner);
}

/* Seconds since 1970, by SQLite's clock. */
static int64_t now_s(const vestry_sqlite *database) {
  const int64_t epoch_ms = INT64_C(210866760000000); /* SQLite's days are Julian ones */
  sqlite3_vfs *vfs = database->vfs;
  sqlite3_int64 now_ms = epoch_ms;
  double days = 0;
  if (vfs->iVersion >= 2 && vfs->xCurrentTimeInt64) {
    if (vfs->xCurrentTimeInt64(vfs, &now_ms)) return 0;
  } else if (!vfs->xCurrentTime(vfs, &days)) {
    now_ms = (sqlite3_int64)(days * 86400000);
  }
  return (now_ms - epoch_ms) / 1000;
}

/* -------------------------------------------------------------------------------------------- statements ---------- */

static int prepare(vestry_sqlite_connection *connection, int which) {
  if (connection->tab[which]) return SQLITE_OK;
  return sqlite3_prepare_v3(connection->db, texts[which], -1, SQLITE_PREPARE_PERSISTENT, &connection->tab[which], NULL);
}

static int bind(vestry_sqlite_connection *connection, int which, const owner *whose) {
  int result = prepare(connection, which);
  sqlite3_stmt *statement = connection->tab[which];
  const void *scope = whose->scope.len ? whose->scope.data : ""; /* NULL would be no blob */
  if (!result) result = sqlite3_bind_blob(statement, 1, scope, (int)whose->scope.len, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_blob(statement, 2, whose->tab, sizeof whose->tab, SQLITE_STATIC);
  return result;
}

/* Run one that gives no rows. */
static int run(vestry_sqlite_connection *connection, int which) {
  int result = prepare(connection, which);
  if (!result) result = sqlite3_step(connection->tab[which]);
  sqlite3_reset(connection->tab[which]);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

/* Run one of a state with a third parameter, or of all states, whose is NULL, with this one alone. */
static int run_with(vestry_sqlite_connection *connection, int which, const owner *whose, int64_t number) {
  int result = whose ? bind(connection, which, whose) : prepare(connection, which);
  if (!result) result = sqlite3_bind_int64(connection->tab[which], whose ? 3 : 1, number);
  return result ? result : run(connection, which);
}

void vsi_sqlite_tab_finish(vestry_sqlite_connection *connection) {
  for (size_t i = 0; i < VSI_SQLITE_TAB_STATEMENTS; i++) sqlite3_finalize(connection->tab[i]);
  memset(connection->tab, 0, sizeof connection->tab);
}

/* ----------------------------------------------------------------------------------------------- reading ---------- */

static void note_touch(vestry_sqlite *database, const owner *whose) {
  vsi_mutex_lock(&database->lock);
  bool is_new = database->touches_count < VSI_SQLITE_TOUCHES_MAX;
  for (vsi_sqlite_touch *at = database->touches; is_new && at; at = at->next)
    is_new = memcmp(at->whose.tab, whose->tab, sizeof whose->tab) != 0;
  vsi_sqlite_touch *touch =
      is_new ? vsi_calloc(database->host, 1, sizeof *touch + whose->scope.len) : NULL; /* or the next time */
  if (touch) {
    touch->whose = *whose;
    touch->whose.scope.data = touch->scope;
    if (whose->scope.len) memcpy(touch->scope, whose->scope.data, whose->scope.len);
    touch->next = database->touches;
    database->touches = touch;
    database->touches_count++;
  }
  vsi_mutex_unlock(&database->lock);
}

static vsi_sqlite_touch *take_touches(vestry_sqlite *database) {
  vsi_mutex_lock(&database->lock);
  vsi_sqlite_touch *first = database->touches;
  database->touches = NULL;
  database->touches_count = 0;
  vsi_mutex_unlock(&database->lock);
  return first;
}

void vsi_sqlite_tab_forget_touches(vestry_sqlite *database) {
  vsi_sqlite_touch *all = take_touches(database);
  VSI_LIST_FREE(database->host, all);
}

void vsi_sqlite_tab_touch_all(vestry_sqlite *database) {
  vsi_mutex_lock(&database->writer_lock);
  vestry_sqlite_connection *writer = database->writer;
  int64_t now = now_s(database);
  bool is_over = false;
  for (vsi_sqlite_touch *next, *touch = take_touches(database); touch; touch = next) {
    next = touch->next;
    is_over = is_over || run_with(writer, TOUCH, &touch->whose, now + touch->whose.ttl_s); /* others fare the same */
    vsi_free(database->host, touch);
  }
  vsi_mutex_unlock(&database->writer_lock);
}

static int read_state(vestry_sqlite_connection *connection, const owner *whose, int64_t now, void *buffer,
                      size_t capacity, size_t *ret_len, int64_t *ret_expires) {
  int result = bind(connection, READ, whose);
  sqlite3_stmt *statement = connection->tab[READ];
  if (!result) result = sqlite3_bind_int64(statement, 3, now);
  if (!result) result = sqlite3_step(statement);
  if (result == SQLITE_ROW) {
    const void *data = sqlite3_column_blob(statement, 0);
    *ret_len = (size_t)sqlite3_column_bytes(statement, 0);
    *ret_expires = sqlite3_column_int64(statement, 1);
    if (!data && *ret_len) result = SQLITE_NOMEM;
    if (data && *ret_len <= capacity) memcpy(buffer, data, *ret_len);
  }
  sqlite3_reset(statement);
  return result;
}

vestry_err vestry_sqlite_tab_get(vestry_sqlite_connection *connection, const vestry_request *req, vestry_render *render,
                                 void *buffer, size_t capacity, size_t *ret_len) {
  owner whose;
  if (!connection || !req || !ret_len || (!buffer && capacity)) return VESTRY_INVALID;
  if (render && render->share) return VESTRY_NOT_FOUND;
  vestry_sqlite *database = connection->database;
  char topic[VSI_TAB_TOPIC_BYTES];
  vestry_err error = find_owner(database, req, &whose);
  if (!error && render) {
    vsi_tab_topic(whose.tab, topic);
    error = vestry_render_topic(render, topic);
    if (!error && database->commits.records) error = vestry_render_topic(render, VSI_SQLITE_TABS_TOPIC);
  }
  if (error) return error;
  int64_t now = now_s(database), expires = INT64_MAX;
  size_t len = 0;
  vsi_sqlite_reader *reader = &connection->reader; /* the topics say it all */
  bool was_own = vsi_sqlite_reader_pause(reader, true), is_recorded = render && database->commits.records;
  if (is_recorded) vsi_sqlite_commits_tab_begins(&database->commits, reader);
  int result = read_state(connection, &whose, now, buffer, capacity, &len, &expires);
  const vestry_change change = {.kind = VESTRY_REFRESH_TABLE, .name = "vestry_tab"};
  if (is_recorded && vsi_sqlite_commits_tab_ends(&database->commits, reader))
    (void)vestry_refresh_for(database->pages, topic, &change, NULL);
  vsi_sqlite_reader_pause(reader, was_own);
  if (result == SQLITE_ROW && expires < vsi_tab_owner_soon_s(&whose, now)) note_touch(database, &whose);
  error =
      vsi_sqlite_fault(database, connection->db, result, "vestry_sqlite_tab_get: the state of a tab cannot be read");
  vsi_sqlite_reads_fail(&database->commits, true, error);
  if (error) return error;
  *ret_len = len;
  return len > capacity ? VESTRY_TOO_LARGE : VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------- writing ---------- */

static int run_state(vestry_sqlite_connection *connection, int which, const owner *whose, int64_t until,
                     const void *data, size_t len) {
  int result = bind(connection, which, whose);
  if (!result) result = sqlite3_bind_blob(connection->tab[which], 4, data, (int)len, SQLITE_STATIC);
  return result ? result : run_with(connection, which, whose, until);
}

/* The row as it is but for the data. SQLITE_NOTFOUND: there is none, or it would end too soon. */
static int write_state(vestry_sqlite_connection *connection, const owner *whose, int64_t soon, const void *data,
                       size_t len) {
  int result = run_state(connection, WRITE, whose, soon, data, len);
  return !result && !sqlite3_changes(connection->db) ? SQLITE_NOTFOUND : result;
}

/* How many states there are is to be looked at. */
static bool is_to_be_counted(vestry_sqlite *database) {
  vsi_mutex_lock(&database->lock);
  bool is_due = !database->tabs_room;
  if (!is_due) database->tabs_room--;
  vsi_mutex_unlock(&database->lock);
  return is_due;
}

static int count_states(vestry_sqlite_connection *connection, uint64_t *ret_count) {
  int result = prepare(connection, COUNT);
  if (!result) result = sqlite3_step(connection->tab[COUNT]);
  if (result == SQLITE_ROW) *ret_count = (uint64_t)sqlite3_column_int64(connection->tab[COUNT], 0);
  sqlite3_reset(connection->tab[COUNT]);
  return result == SQLITE_ROW ? SQLITE_OK : result;
}

/* Of all scopes together. */
static int bound_all(vestry_sqlite_connection *connection, uint64_t *ret_evicted) {
  vestry_sqlite *database = connection->database;
  uint64_t count = 0, most = database->options.max_tabs, evicted = 0;
  if (!is_to_be_counted(database)) return SQLITE_OK;
  int result = count_states(connection, &count);
  if (!result && count > most) {
    uint64_t surplus = count - most + most / 64;
    if (surplus > EVICTED_AT_ONCE) surplus = EVICTED_AT_ONCE;
    result = run_with(connection, BOUND_VISITORS, NULL, (int64_t)surplus);
    if (!result) evicted = (uint64_t)sqlite3_changes(connection->db);
    if (!result && evicted < surplus) {
      result = run_with(connection, BOUND, NULL, (int64_t)(surplus - evicted));
      if (!result) evicted += (uint64_t)sqlite3_changes(connection->db);
    }
  }
  if (!result) result = run(connection, CLEAR_VISITORS);
  if (result) return result;
  count -= evicted;
  vsi_mutex_lock(&database->lock);
  database->tabs_room = count < most ? (size_t)(most - count < COUNTED_EACH ? most - count : COUNTED_EACH) : 0;
  vsi_mutex_unlock(&database->lock);
  *ret_evicted = evicted;
  return SQLITE_OK;
}

/* A transaction of one's own is rolled back: to release the savepoint would be to commit, which may fail again. */
static void undo(vestry_sqlite_connection *connection, bool is_own) {
  if (sqlite3_get_autocommit(connection->db)) return; /* some failures have undone it all */
  if (is_own)
    (void)run(connection, UNDO_ALL);
  else if (!run(connection, UNDO))
    (void)run(connection, END);
}

static int put_state(vestry_sqlite_connection *connection, const owner *whose, int64_t now, const void *data,
                     size_t len) {
  vestry_sqlite *database = connection->database;
  bool is_own = sqlite3_get_autocommit(connection->db);
  uint64_t expired = 0, evicted = 0, of_scope = 0;
  int result = SQLITE_OK;
  /* What ends the longer way is there before it begins: memory may run out. */
  for (int which = END; which <= UNDO_ALL && !result; which++) result = prepare(connection, which);
  if (!result) result = run(connection, BEGIN);
  if (result) return result;
  result = run_state(connection, INSERT, whose, now + whose->ttl_s, data, len);
  if (!result && whose->is_anonymous) {
    result = bind(connection, NAME_VISITOR, whose);
    if (!result) result = run(connection, NAME_VISITOR);
  }
  if (!result && whose->scope.len) { /* or else it is everybody's */
    result = run_with(connection, EVICT, whose, (int64_t)database->options.tabs_per_scope - 1);
    if (!result) of_scope = (uint64_t)sqlite3_changes(connection->db);
  }
  if (!result) result = run_with(connection, EXPIRE, NULL, now);
  if (!result) expired = (uint64_t)sqlite3_changes(connection->db);
  if (!result) result = bound_all(connection, &evicted);
  if (!result) result = run(connection, END);
  if (result) {
    undo(connection, is_own);
    return result;
  }
  evicted += of_scope;
  if (expired || evicted) {
    vsi_mutex_lock(&database->lock);
    database->stats.tabs_expired_count += expired;
    database->stats.tabs_evicted_count += evicted;
    vsi_mutex_unlock(&database->lock);
  }
  return SQLITE_OK;
}

vestry_err vestry_sqlite_tab_set(vestry_sqlite_connection *connection, const vestry_request *req, const void *data,
                                 size_t len) {
  owner whose;
  if (!connection || !req || (!data && len)) return VESTRY_INVALID;
  vestry_sqlite *database = connection->database;
  if (len > database->options.max_tab_bytes) return VESTRY_TOO_LARGE;
  vestry_err error = find_owner(database, req, &whose);
  if (error) return error;
  int64_t now = now_s(database);
  int result;
  if (!len) {
    result = bind(connection, REMOVE, &whose);
    if (!result) result = run(connection, REMOVE);
  } else {
    result = write_state(connection, &whose, vsi_tab_owner_soon_s(&whose, now), data, len);
    if (result == SQLITE_NOTFOUND) result = put_state(connection, &whose, now, data, len);
  }
  return vsi_sqlite_fault(database, connection->db, result,
                          "vestry_sqlite_tab_set: the state of a tab cannot be written");
}
