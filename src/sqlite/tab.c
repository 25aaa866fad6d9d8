/* SPDX-License-Identifier: MIT */
/* essay: a state that is written at the price of one statement, and ends some day */
/* State of tabs. The statements are prepared once a connection, when they are first needed.
 *
 * A state that is written again and again, as a draft is, takes one statement: an UPDATE that leaves `expires` alone,
 * and with it the index. When a tenth of ttl has gone by, or there is no row yet, a longer way is gone: the row is
 * put, what is too much of its scope is removed, some of what has expired, and what is too much of all together: these
 * are counted when so many have been put that there may be too many, or COUNTED_EACH, since other processes put some
 * too. A few more than must go then make room for others, so that they are counted seldom. It is a savepoint, so that
 * it is all or nothing, in the application's transaction too.
 *
 * That a state is read is noted when a tenth of ttl has gone by, not by the reader, which may be a render, inside of a
 * transaction, and would have to write: the database's own thread does it, with a connection of its own. It does not
 * wait; if it cannot write, the next read asks for it again. */
#include "sqlite/tab.h"

#include "base/hex.h"
#include "vestry/session.h"

enum { EXPIRED_AT_ONCE = 64, COUNTED_EACH = 1024, EVICTED_AT_ONCE = 4096 };

static const char *const steps[] = {
    "CREATE TABLE vestry_tab(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vestry_tab_expires ON vestry_tab(expires)"};
const vsi_sqlite_schema vsi_sqlite_tab_schema = {"tab", steps, sizeof steps / sizeof *steps};

static const char read_sql[] = "SELECT data, expires FROM vestry_tab WHERE scope = ?1 AND tab = ?2 AND expires > ?3";
static const char write_sql[] = "UPDATE vestry_tab SET data = ?4 WHERE scope = ?1 AND tab = ?2 AND expires >= ?3";
static const char insert_sql[] = "INSERT INTO vestry_tab(scope, tab, expires, data) VALUES(?1, ?2, ?3, ?4)"
                                 " ON CONFLICT DO UPDATE SET expires = excluded.expires, data = excluded.data";
static const char remove_sql[] = "DELETE FROM vestry_tab WHERE scope = ?1 AND tab = ?2";
static const char evict_sql[] = "DELETE FROM vestry_tab WHERE scope = ?1 AND tab IN (SELECT tab FROM vestry_tab"
                                " WHERE scope = ?1 AND tab <> ?2 ORDER BY expires DESC, tab LIMIT -1 OFFSET ?3)";
static const char expire_sql[] = "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab"
                                 " WHERE expires <= ?1 ORDER BY expires LIMIT ?2)";
static const char count_sql[] = "SELECT count(*) FROM vestry_tab";
static const char bound_sql[] = "DELETE FROM vestry_tab WHERE (scope, tab) IN (SELECT scope, tab FROM vestry_tab"
                                " ORDER BY expires LIMIT ?1)";
static const char touch_sql[] = "UPDATE vestry_tab SET expires = ?3 WHERE scope = ?1 AND tab = ?2 AND expires < ?3";

void vsi_sqlite_tab_topic(const unsigned char tab[VSI_SQLITE_TAB_BYTES], char topic[VSI_SQLITE_TAB_TOPIC_BYTES]) {
  static const char prefix[] = "vestry_tab/";
  memcpy(topic, prefix, sizeof prefix - 1);
  vsi_hex_write(topic + sizeof prefix - 1, tab, VSI_SQLITE_TAB_BYTES);
}

/* Whose state it is. */
typedef struct owner {
  vestry_scope scope;
  unsigned char tab[VSI_SQLITE_TAB_BYTES];
  uint32_t ttl_s;
} owner;

static vestry_err find_owner(const vestry_sqlite *database, const vestry_request *req, owner *ret_owner) {
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err error = vestry_tab_id(req, id);
  if (error) return error;
  const vestry_sqlite_options *options = &database->options;
  ret_owner->scope = req->scope;
  ret_owner->ttl_s = vestry_session_is_visitor(req) ? options->visitor_tab_ttl_s : options->tab_ttl_s;
  vsi_hex_read(ret_owner->tab, id, VSI_SQLITE_TAB_BYTES);
  return VESTRY_OK;
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

/* A state that ends before this is put off. */
static int64_t soon_s(const owner *whose, int64_t now) {
  return now + whose->ttl_s - whose->ttl_s / 10;
}

/* -------------------------------------------------------------------------------------------- statements ---------- */

static int prepare(vestry_sqlite_connection *connection, sqlite3_stmt **statement, const char *sql) {
  if (*statement) return SQLITE_OK;
  return sqlite3_prepare_v3(connection->db, sql, -1, SQLITE_PREPARE_PERSISTENT, statement, NULL);
}

static int bind(vestry_sqlite_connection *connection, sqlite3_stmt **statement, const char *sql, const owner *whose) {
  int result = prepare(connection, statement, sql);
  const void *scope = whose->scope.len ? whose->scope.data : ""; /* NULL would be no blob */
  if (!result) result = sqlite3_bind_blob(*statement, 1, scope, (int)whose->scope.len, SQLITE_STATIC);
  if (!result) result = sqlite3_bind_blob(*statement, 2, whose->tab, sizeof whose->tab, SQLITE_STATIC);
  return result;
}

/* Run one that gives no rows. */
static int run(sqlite3_stmt *statement) {
  int result = sqlite3_step(statement);
  sqlite3_reset(statement);
  return result == SQLITE_DONE ? SQLITE_OK : result;
}

void vsi_sqlite_tab_finish(vestry_sqlite_connection *connection) {
  sqlite3_finalize(connection->tab.read);
  sqlite3_finalize(connection->tab.write);
  sqlite3_finalize(connection->tab.insert);
  sqlite3_finalize(connection->tab.remove);
  sqlite3_finalize(connection->tab.evict);
  sqlite3_finalize(connection->tab.expire);
  sqlite3_finalize(connection->tab.count);
  sqlite3_finalize(connection->tab.bound);
  sqlite3_finalize(connection->tab.begin);
  sqlite3_finalize(connection->tab.end);
  sqlite3_finalize(connection->tab.undo);
  sqlite3_finalize(connection->tab.undo_all);
  memset(&connection->tab, 0, sizeof connection->tab);
}

/* ----------------------------------------------------------------------------------------------- reading ---------- */

static void note_touch(vestry_sqlite *database, const owner *whose) {
  vsi_mutex_lock(&database->lock);
  bool is_new = database->touches_count < VSI_SQLITE_TOUCHES_MAX;
  for (vsi_sqlite_touch *at = database->touches; is_new && at; at = at->next)
    is_new = memcmp(at->tab, whose->tab, sizeof at->tab) != 0;
  vsi_sqlite_touch *touch =
      is_new ? vsi_calloc(database->host, 1, sizeof *touch + whose->scope.len) : NULL; /* or the next time */
  if (touch) {
    memcpy(touch->tab, whose->tab, sizeof touch->tab);
    touch->ttl_s = whose->ttl_s;
    touch->scope_len = whose->scope.len;
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
  for (vsi_sqlite_touch *next, *touch = take_touches(database); touch; touch = next) {
    next = touch->next;
    vsi_free(database->host, touch);
  }
}

void vsi_sqlite_tab_touch_all(vestry_sqlite *database) {
  vsi_mutex_lock(&database->writer_lock);
  vestry_sqlite_connection *writer = database->writer;
  int64_t now = now_s(database);
  bool is_over = false;
  for (vsi_sqlite_touch *next, *touch = take_touches(database); touch; touch = next) {
    next = touch->next;
    owner whose = {{touch->scope, touch->scope_len}, {0}, touch->ttl_s};
    memcpy(whose.tab, touch->tab, sizeof whose.tab);
    int result = is_over ? SQLITE_BUSY : bind(writer, &writer->tab.write, touch_sql, &whose);
    if (!result) result = sqlite3_bind_int64(writer->tab.write, 3, now + touch->ttl_s);
    if (!result) result = run(writer->tab.write);
    if (result) is_over = true; /* the others would fare the same */
    vsi_free(database->host, touch);
  }
  vsi_mutex_unlock(&database->writer_lock);
}

static int read_state(vestry_sqlite_connection *connection, const owner *whose, int64_t now, void *buffer,
                      size_t capacity, size_t *ret_len, int64_t *ret_expires) {
  int result = bind(connection, &connection->tab.read, read_sql, whose);
  sqlite3_stmt *statement = connection->tab.read;
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
  char topic[VSI_SQLITE_TAB_TOPIC_BYTES];
  vestry_err error = find_owner(database, req, &whose);
  if (!error && render) {
    vsi_sqlite_tab_topic(whose.tab, topic);
    error = vestry_render_topic(render, topic);
    if (!error && database->exact.records) error = vestry_render_topic(render, VSI_SQLITE_TABS_TOPIC);
  }
  if (error) return error;
  int64_t now = now_s(database), expires = INT64_MAX;
  size_t len = 0;
  vsi_sqlite_reader *reader = &connection->actor.reader; /* the topics say it all */
  bool was_own = vsi_sqlite_reader_pause(reader, true), is_recorded = render && database->exact.records;
  if (is_recorded) vsi_sqlite_actor_tab_begins(&database->exact, &connection->actor);
  int result = read_state(connection, &whose, now, buffer, capacity, &len, &expires);
  if (is_recorded && vsi_sqlite_actor_tab_ends(&database->exact, &connection->actor))
    (void)vestry_refresh_here(database->pages, topic, NULL);
  vsi_sqlite_reader_pause(reader, was_own);
  if (result == SQLITE_ROW && expires < soon_s(&whose, now)) note_touch(database, &whose);
  error =
      vsi_sqlite_fault(database, connection->db, result, "vestry_sqlite_tab_get: the state of a tab cannot be read");
  if (error) return error;
  *ret_len = len;
  return len > capacity ? VESTRY_TOO_LARGE : VESTRY_OK;
}

/* ----------------------------------------------------------------------------------------------- writing ---------- */

static int bind_state(sqlite3_stmt *statement, int64_t until, const void *data, size_t len) {
  int result = sqlite3_bind_int64(statement, 3, until);
  return result ? result : sqlite3_bind_blob(statement, 4, data, (int)len, SQLITE_STATIC);
}

/* The row as it is but for the data. SQLITE_NOTFOUND: there is none, or it would end too soon. */
static int write_state(vestry_sqlite_connection *connection, const owner *whose, int64_t soon, const void *data,
                       size_t len) {
  int result = bind(connection, &connection->tab.write, write_sql, whose);
  if (!result) result = bind_state(connection->tab.write, soon, data, len);
  if (!result) result = run(connection->tab.write);
  return !result && !sqlite3_changes(connection->db) ? SQLITE_NOTFOUND : result;
}

static int evict(vestry_sqlite_connection *connection, const owner *whose) {
  int result = bind(connection, &connection->tab.evict, evict_sql, whose);
  if (!result)
    result = sqlite3_bind_int64(connection->tab.evict, 3, (int64_t)connection->database->options.tabs_per_scope - 1);
  return result ? result : run(connection->tab.evict);
}

static int expire(vestry_sqlite_connection *connection, int64_t now, uint64_t *ret_count) {
  int result = prepare(connection, &connection->tab.expire, expire_sql);
  if (!result) result = sqlite3_bind_int64(connection->tab.expire, 1, now);
  if (!result) result = sqlite3_bind_int(connection->tab.expire, 2, EXPIRED_AT_ONCE);
  if (!result) result = run(connection->tab.expire);
  if (!result) *ret_count = (uint64_t)sqlite3_changes(connection->db);
  return result;
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
  int result = prepare(connection, &connection->tab.count, count_sql);
  if (!result) result = sqlite3_step(connection->tab.count);
  if (result == SQLITE_ROW) *ret_count = (uint64_t)sqlite3_column_int64(connection->tab.count, 0);
  sqlite3_reset(connection->tab.count);
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
    result = prepare(connection, &connection->tab.bound, bound_sql);
    if (!result)
      result = sqlite3_bind_int64(connection->tab.bound, 1,
                                  (int64_t)(surplus < EVICTED_AT_ONCE ? surplus : EVICTED_AT_ONCE));
    if (!result) result = run(connection->tab.bound);
    if (!result) evicted = (uint64_t)sqlite3_changes(connection->db);
  }
  if (result) return result;
  count -= evicted;
  vsi_mutex_lock(&database->lock);
  database->tabs_room = count < most ? (size_t)(most - count < COUNTED_EACH ? most - count : COUNTED_EACH) : 0;
  vsi_mutex_unlock(&database->lock);
  *ret_evicted = evicted;
  return SQLITE_OK;
}

/* What ends the longer way is there before it begins: memory may run out. */
static int prepare_ends(vestry_sqlite_connection *connection) {
  int result = prepare(connection, &connection->tab.end, "RELEASE vestry_tab");
  if (!result) result = prepare(connection, &connection->tab.undo, "ROLLBACK TO vestry_tab");
  return result ? result : prepare(connection, &connection->tab.undo_all, "ROLLBACK");
}

/* A transaction of one's own is rolled back: to release the savepoint would be to commit, which may fail again. */
static void undo(vestry_sqlite_connection *connection, bool is_own) {
  if (sqlite3_get_autocommit(connection->db)) return; /* some failures have undone it all */
  if (is_own)
    (void)run(connection->tab.undo_all);
  else if (!run(connection->tab.undo))
    (void)run(connection->tab.end);
}

static int put_state(vestry_sqlite_connection *connection, const owner *whose, int64_t now, const void *data,
                     size_t len) {
  vestry_sqlite *database = connection->database;
  bool is_own = sqlite3_get_autocommit(connection->db);
  uint64_t expired = 0, evicted = 0;
  int result = prepare_ends(connection);
  if (!result) result = prepare(connection, &connection->tab.begin, "SAVEPOINT vestry_tab");
  if (!result) result = run(connection->tab.begin);
  if (result) return result;
  result = bind(connection, &connection->tab.insert, insert_sql, whose);
  if (!result) result = bind_state(connection->tab.insert, now + whose->ttl_s, data, len);
  if (!result) result = run(connection->tab.insert);
  if (!result) result = evict(connection, whose);
  if (!result) result = expire(connection, now, &expired);
  if (!result) result = bound_all(connection, &evicted);
  if (!result) result = run(connection->tab.end);
  if (result) {
    undo(connection, is_own);
    return result;
  }
  if (expired || evicted) {
    vsi_mutex_lock(&database->lock);
    database->stats.tabs_expired_count += expired;
    database->stats.tabs_evicted_count += evicted;
    vsi_mutex_unlock(&database->lock);
  }
  return SQLITE_OK;
}

static int remove_state(vestry_sqlite_connection *connection, const owner *whose) {
  int result = bind(connection, &connection->tab.remove, remove_sql, whose);
  return result ? result : run(connection->tab.remove);
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
    result = remove_state(connection, &whose);
  } else {
    result = write_state(connection, &whose, soon_s(&whose, now), data, len);
    if (result == SQLITE_NOTFOUND) result = put_state(connection, &whose, now, data, len);
  }
  return vsi_sqlite_fault(database, connection->db, result,
                          "vestry_sqlite_tab_set: the state of a tab cannot be written");
}
