/* SPDX-License-Identifier: MIT */
/* essay: removing sessions whose browsers do not come back */
/* The storage of sessions in a database.
 *
 * Sessions are rows that all nodes share. Expired rows are found by two indexes, and a node that writes anyway deletes
 * a few of them. Therefore, the table does not grow with sessions whose browsers never come back. Nodes that do this at
 * the same time skip rows locked by each other, so none waits. A single statement is safe to repeat: if the server went
 * away meanwhile, it runs again. */
#include <string.h>
#include <time.h>

#include "base/options.h"
#include "data/sql/sql.h"

enum { MAX_PER_USER = 100, EXPIRED_AT_ONCE = 64 };
#define DAY_MS UINT64_C(86400000)

struct vestry_sql_sessions {
  vestry_sql_pool *pool;
  vestry_sql_sessions_options options;
};

#define STEPS(text, integer, user, end)                                                                                \
  "CREATE TABLE vestry_session(hash " text " PRIMARY KEY, " user " " text " NOT NULL, created " integer " NOT NULL,"   \
  " used " integer " NOT NULL)" end ";"                                                                                \
  "CREATE INDEX vestry_session_" user " ON vestry_session(" user ", created);"                                         \
  "CREATE INDEX vestry_session_used ON vestry_session(used);"                                                          \
  "CREATE INDEX vestry_session_created ON vestry_session(created)"
static const char *const steps[VSI_SQL_DIALECTS] = {STEPS("TEXT", "INTEGER", "user", " STRICT, WITHOUT ROWID"),
                                                    STEPS("text", "bigint", "name", "")};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS] = {{"session", &steps[0], 1}, {"session", &steps[1], 1}};

#define BOTH(statement)                                                                                                \
  { statement("user"), statement("name") }
#define LOAD(user) "SELECT " user ", created, used FROM vestry_session WHERE hash = $1"
#define INSERT(user)                                                                                                   \
  "INSERT INTO vestry_session(hash, " user ", created, used) VALUES($1, $2, $3, $4) ON CONFLICT(hash) DO UPDATE"       \
  " SET " user " = excluded." user ", created = excluded.created, used = excluded.used"
#define BOUND(user, rest)                                                                                              \
  "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM vestry_session WHERE " user " = $1 AND hash <> $2"       \
  " ORDER BY created DESC, hash " rest ")"
#define REMOVE_USER(user) "DELETE FROM vestry_session WHERE " user " = $1"
static vsi_sql_texts load_sql = BOTH(LOAD), insert_sql = BOTH(INSERT), remove_user_sql = BOTH(REMOVE_USER);
static vsi_sql_texts bound_sql = {BOUND("user", "LIMIT -1 OFFSET $3"),
                                  BOUND("name", "OFFSET $3 FOR UPDATE SKIP LOCKED")};
static const char use_sql[] = "UPDATE vestry_session SET used = $2 WHERE hash = $1";
static const char remove_sql[] = "DELETE FROM vestry_session WHERE hash = $1";
static vsi_sql_texts expire_sql = {
    "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM (SELECT hash FROM vestry_session WHERE used <= $1"
    " ORDER BY used LIMIT $3) UNION SELECT hash FROM (SELECT hash FROM vestry_session WHERE created <= $2"
    " ORDER BY created LIMIT $3) LIMIT $3) RETURNING 1",
    "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM vestry_session WHERE used <= $1 OR created <= $2"
    " LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1"};

/* -------------------------------------------------------------------------------------------------- expiry -------- */

static int64_t system_s(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

/* Return the time that is ms before now_s; older times have expired. */
static int64_t ago_s(int64_t now_s, uint64_t ms) {
  const uint64_t seconds = ms / 1000;
  return seconds > INT64_MAX / 2 ? INT64_MIN / 2 : now_s - (int64_t)seconds;
}

typedef struct asked {
  vestry_sql_sessions *sessions;
  const char *hash;
  const vestry_session_record *record;
  int64_t expired_count;
} asked;

static vestry_err expire(vestry_sql_transaction *transaction, void *ctx) {
  asked *of = ctx;
  const vestry_sql_sessions_options *options = &of->sessions->options;
  const int64_t now_s = options->now_s(options->now_ctx);
  of->expired_count = 0;
  /* The last use is stored with a precision of a tenth of idle_ms, so a session expires a tenth later. */
  return vsi_sql_if_any(vestry_sql_run(transaction, vsi_sql_text_of(of->sessions->pool, expire_sql),
                                       VESTRY_LIST(ago_s(now_s, options->idle_ms + options->idle_ms / 10),
                                                   ago_s(now_s, options->lifetime_ms), options->expired_at_once),
                                       vsi_sql_count_row, &of->expired_count));
}

vestry_err vestry_sql_sessions_expire(vestry_sql_sessions *sessions, size_t *ret_count) {
  if (!sessions) return VESTRY_INVALID;
  asked of = {.sessions = sessions};
  vestry_err error = vestry_sql_act(sessions->pool, VESTRY_SQL_WRITE, expire, &of);
  if (!error && ret_count) *ret_count = (size_t)of.expired_count;
  return error;
}

/* ------------------------------------------------------------------------------------------------- storage -------- */

static vestry_err add(vestry_sql_transaction *transaction, void *ctx) {
  asked *of = ctx;
  const vestry_sql_pool *pool = of->sessions->pool;
  const vestry_session_record *record = of->record;
  const char *user = record->user;
  vestry_err error = vestry_sql_run(transaction, vsi_sql_text_of(pool, insert_sql),
                                    VESTRY_LIST(of->hash, user, record->created_s, record->used_s), NULL, NULL);
  if (!error)
    error = vestry_sql_run(transaction, vsi_sql_text_of(pool, bound_sql),
                           VESTRY_LIST(user, of->hash, of->sessions->options.max_per_user_count - 1), NULL, NULL);
  return error ? error : expire(transaction, of);
}

static vestry_err run(void *ctx, const char *sql, const vestry_value *values, vestry_sql_row_fn row, void *row_ctx) {
  const vestry_sql_sessions *sessions = ctx;
  return sessions->pool->ops->run_again(sessions->pool, sql, values, row, row_ctx);
}

/* A use only updates the row that the login has inserted, because another node may have ended the session since. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  asked of = {ctx, hash, record, 0};
  if (record->used_s > record->created_s) return run(ctx, use_sql, VESTRY_LIST(hash, record->used_s), NULL, NULL);
  return vestry_sql_act(of.sessions->pool, VESTRY_SQL_WRITE, add, &of);
}

static void read_row(const vestry_sql_row *row, void *ctx) {
  vestry_session_record *record = ctx;
  const char *user = vestry_sql_text(row, 0);
  const size_t len = user ? strlen(user) : sizeof record->user;
  if (len >= sizeof record->user) return; /* not a valid session */
  memcpy(record->user, user, len + 1);
  record->created_s = vestry_sql_integer(row, 1);
  record->used_s = vestry_sql_integer(row, 2);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  const vestry_sql_sessions *sessions = ctx;
  vestry_session_record record = {.size = sizeof record};
  vestry_err error = run(ctx, vsi_sql_text_of(sessions->pool, load_sql), VESTRY_LIST(hash), read_row, &record);
  if (!error) *ret_record = record;
  return error;
}

static vestry_err remove_one(void *ctx, const char *hash) {
  return run(ctx, remove_sql, VESTRY_LIST(hash), NULL, NULL);
}

static vestry_err remove_user(void *ctx, const char *user) {
  const vestry_sql_sessions *sessions = ctx;
  return run(ctx, vsi_sql_text_of(sessions->pool, remove_user_sql), VESTRY_LIST(user), NULL, NULL);
}

const vestry_session_storage_ops vestry_sql_sessions_ops = {.size = sizeof(vestry_session_storage_ops),
                                                            .save = save,
                                                            .load = load,
                                                            .remove = remove_one,
                                                            .remove_user = remove_user};

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_sql_sessions_create(vestry_sql_pool *pool, const vestry_sql_sessions_options *given,
                                      vestry_sql_sessions **ret_sessions) {
  vestry_sql_sessions_options options;
  if (!pool || !ret_sessions || VSI_OPTIONS_TAKE(vestry_sql_sessions_options, options, given)) return VESTRY_INVALID;
  if (!options.idle_ms) options.idle_ms = 7 * DAY_MS;
  if (!options.lifetime_ms) options.lifetime_ms = 30 * DAY_MS;
  if (!options.max_per_user_count) options.max_per_user_count = MAX_PER_USER;
  if (!options.expired_at_once) options.expired_at_once = EXPIRED_AT_ONCE;
  if (!options.now_s) options.now_s = system_s;
  vestry_err error = pool->ops->bring(pool, "vestry_sql_sessions_create", &schemas[pool->ops->dialect]);
  if (error) return error;
  vestry_sql_sessions *sessions = vsi_calloc(pool->host, 1, sizeof *sessions);
  if (!sessions) return VESTRY_NO_MEMORY;
  sessions->pool = pool;
  sessions->options = options;
  *ret_sessions = sessions;
  return VESTRY_OK;
}

void vestry_sql_sessions_destroy(vestry_sql_sessions *sessions) {
  if (sessions) vsi_free(sessions->pool->host, sessions);
}
