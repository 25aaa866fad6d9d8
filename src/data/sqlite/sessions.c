/* SPDX-License-Identifier: MIT */
/* essay: sessions that go though their browsers do not come back */
/* Sessions as rows. What ends by time is found by an index of its own, a few at once, by a connection that writes
 * anyway: so the table is as large as there are sessions, whether their browsers come back or not. */
#include "app/session/expiry.h"
#include "base/options.h"
#include "data/sqlite/loan.h"
#include "data/sqlite/schema.h"
#include "vestry/data/sqlite_sessions.h"

struct vestry_sqlite_sessions {
  vestry_sqlite_pool *pool;
  vestry_sqlite_sessions_options options;
};

static const char *const steps[] = {
    "CREATE TABLE vestry_session(hash TEXT PRIMARY KEY, user TEXT NOT NULL, created INTEGER NOT NULL,"
    " used INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX vestry_session_user ON vestry_session(user, created);"
    "CREATE INDEX vestry_session_used ON vestry_session(used);"
    "CREATE INDEX vestry_session_created ON vestry_session(created)"};
static const vsi_sqlite_schema schema = {"session", steps, sizeof steps / sizeof *steps};

static const char load_sql[] = "SELECT user, created, used FROM vestry_session WHERE hash = ?1";
static const char insert_sql[] =
    "INSERT OR REPLACE INTO vestry_session(hash, user, created, used) VALUES(?1, ?2, ?3, ?4)";
static const char use_sql[] = "UPDATE vestry_session SET used = ?2 WHERE hash = ?1";
static const char bound_sql[] =
    "DELETE FROM vestry_session WHERE user = ?1 AND hash IN (SELECT hash FROM vestry_session"
    " WHERE user = ?1 AND hash <> ?2 ORDER BY created DESC, hash LIMIT -1 OFFSET ?3)";
static const char remove_sql[] = "DELETE FROM vestry_session WHERE hash = ?1";
static const char remove_user_sql[] = "DELETE FROM vestry_session WHERE user = ?1";
static const char expire_sql[] = "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM (SELECT hash FROM"
                                 " vestry_session WHERE used <= ?1 ORDER BY used LIMIT ?3) UNION SELECT hash FROM"
                                 " (SELECT hash FROM vestry_session WHERE created <= ?2 ORDER BY created LIMIT ?3)"
                                 " LIMIT ?3)";

/* -------------------------------------------------------------------------------------------------- expiry -------- */

static vestry_err expire(vestry_sqlite_sessions *sessions, vestry_sqlite_loan *loan, size_t *ret_count) {
  const vestry_sqlite_sessions_options *options = &sessions->options;
  int64_t now = options->now_s(options->now_ctx);
  vestry_err error =
      vestry_sqlite_run(loan, expire_sql,
                        VESTRY_LIST(vsi_sessions_idle_since_s(now, options->idle_ms),
                                    vsi_sessions_ago_s(now, options->lifetime_ms), options->expired_at_once),
                        NULL, NULL);
  if (!error) *ret_count = (size_t)sqlite3_changes(loan->db);
  return error;
}

vestry_err vestry_sqlite_sessions_expire(vestry_sqlite_sessions *sessions, size_t *ret_count) {
  if (!sessions) return VESTRY_INVALID;
  vestry_sqlite_loan *loan;
  size_t count = 0;
  vestry_err error = vestry_sqlite_borrow(sessions->pool, VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  error = vestry_sqlite_give(loan, expire(sessions, loan, &count));
  if (!error && ret_count) *ret_count = count;
  return error;
}

/* ------------------------------------------------------------------------------------------------- storage -------- */

static vestry_err add(vestry_sqlite_sessions *sessions, vestry_sqlite_loan *loan, const char *hash,
                      const vestry_session_record *record) {
  size_t expired;
  vestry_err error = vestry_sqlite_run(
      loan, insert_sql, VESTRY_LIST(hash, (const char *)record->user, record->created_s, record->used_s), NULL, NULL);
  if (!error)
    error = vestry_sqlite_run(loan, bound_sql,
                              VESTRY_LIST((const char *)record->user, hash, sessions->options.max_per_user_count - 1),
                              NULL, NULL);
  return error ? error : expire(sessions, loan, &expired);
}

/* A use changes the row that a log-in has made, and makes none: another process may have ended the session since. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  vestry_sqlite_sessions *sessions = ctx;
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(sessions->pool, VESTRY_SQLITE_WRITE, &loan);
  if (error) return error;
  if (record->used_s > record->created_s)
    error = vestry_sqlite_run(loan, use_sql, VESTRY_LIST(hash, record->used_s), NULL, NULL);
  else
    error = add(sessions, loan, hash, record);
  return vestry_sqlite_give(loan, error);
}

static void read_row(sqlite3_stmt *row, void *ctx) {
  vestry_session_record *record = ctx;
  const unsigned char *user = sqlite3_column_text(row, 0);
  size_t len = (size_t)sqlite3_column_bytes(row, 0);
  if (!user || len >= sizeof record->user) return; /* no session */
  memcpy(record->user, user, len);
  record->user[len] = '\0';
  record->created_s = sqlite3_column_int64(row, 1);
  record->used_s = sqlite3_column_int64(row, 2);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  vestry_sqlite_sessions *sessions = ctx;
  vestry_sqlite_loan *loan;
  vestry_session_record record = {.size = sizeof record};
  vestry_err error = vestry_sqlite_borrow(sessions->pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  error = vestry_sqlite_give(loan, vestry_sqlite_run(loan, load_sql, VESTRY_LIST(hash), read_row, &record));
  if (!error) *ret_record = record;
  return error;
}

static vestry_err remove_one(void *ctx, const char *hash) {
  vestry_sqlite_sessions *sessions = ctx;
  return vestry_sqlite_run_alone(sessions->pool, remove_sql, VESTRY_LIST(hash), NULL, NULL);
}

static vestry_err remove_user(void *ctx, const char *user) {
  vestry_sqlite_sessions *sessions = ctx;
  return vestry_sqlite_run_alone(sessions->pool, remove_user_sql, VESTRY_LIST(user), NULL, NULL);
}

const vestry_session_storage_ops vestry_sqlite_sessions_ops = {.size = sizeof(vestry_session_storage_ops),
                                                               .save = save,
                                                               .load = load,
                                                               .remove = remove_one,
                                                               .remove_user = remove_user};

/* --------------------------------------------------------------------------------------------------- making ------- */

static vestry_err make_table(vestry_sqlite_pool *pool) {
  const vsi_call call = vsi_sqlite_pool_call(pool, "vestry_sqlite_sessions_create");
  vestry_sqlite_loan *loan;
  vestry_err error = vestry_sqlite_borrow(pool, VESTRY_SQLITE_READ, &loan);
  if (error) return error;
  return vestry_sqlite_give(loan, vsi_sqlite_schema_bring(&call, loan->db, &schema));
}

vestry_err vestry_sqlite_sessions_create(vestry_sqlite_pool *pool, const vestry_sqlite_sessions_options *given,
                                         vestry_sqlite_sessions **ret_sessions) {
  vestry_sqlite_sessions_options options;
  if (!pool || !ret_sessions || VSI_OPTIONS_TAKE(vestry_sqlite_sessions_options, options, given)) return VESTRY_INVALID;
  VSI_SESSIONS_SET_DEFAULTS(&options);
  vestry_err error = make_table(pool);
  if (error) return error;
  vestry_sqlite_sessions *sessions = vsi_calloc(pool->host, 1, sizeof *sessions);
  if (!sessions) return VESTRY_NO_MEMORY;
  sessions->pool = pool;
  sessions->options = options;
  *ret_sessions = sessions;
  return VESTRY_OK;
}

void vestry_sqlite_sessions_destroy(vestry_sqlite_sessions *sessions) {
  if (sessions) vsi_free(sessions->pool->host, sessions);
}
