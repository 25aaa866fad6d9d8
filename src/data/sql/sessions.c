/* SPDX-License-Identifier: MIT */
/* essay: removing sessions whose browsers do not come back */
/* The storage of sessions in a database.
 *
 * Sessions are rows that all nodes share. Their times are those of the database's clock, so a node whose clock is wrong
 * neither deletes nor extends sessions of others. A log-in deletes some sessions that have not been used for idle_ms,
 * or for lifetime_ms if that is shorter, because a session whose lifetime is over is not used any more. A single
 * statement is safe to repeat: if the server went away meanwhile, it runs again. */
#include <string.h>

#include "base/buffer.h"
#include "data/sql/sql.h"

enum { MAX_PER_USER = 100 };
#define DAY_MS UINT64_C(86400000)

struct vestry_sql_sessions {
  vestry_sql_pool *pool;
  vestry_sql_sessions_options options;
};

#define STEPS(text, integer, user, end)                                                                                \
  "CREATE TABLE IF NOT EXISTS vestry_session(hash " text " PRIMARY KEY, " user " " text " NOT NULL, created " integer  \
  " NOT NULL,"                                                                                                         \
  " used " integer " NOT NULL)" end ";"                                                                                \
  "CREATE INDEX IF NOT EXISTS vestry_session_" user " ON vestry_session(" user ", created);"                           \
  "CREATE INDEX IF NOT EXISTS vestry_session_used ON vestry_session(used)"
static const char *const steps[VSI_SQL_DIALECTS] = {STEPS("TEXT", "INTEGER", "user", " STRICT, WITHOUT ROWID"),
                                                    STEPS("text", "bigint", "name", "")};
static const vsi_sql_schema schemas[VSI_SQL_DIALECTS] = {{"session", &steps[0], 1, false},
                                                         {"session", &steps[1], 1, false}};

#define SQLITE          VSI_SQL_SQLITE_NOW_S
#define POSTGRES        VSI_SQL_POSTGRES_NOW_S
#define LOAD(user, now) "SELECT " user ", created, used, " now " FROM vestry_session WHERE hash = $1"
#define INSERT(user, now)                                                                                              \
  "INSERT INTO vestry_session(hash, " user ", created, used) VALUES($1, $2, " now ", " now                             \
  ") ON CONFLICT(hash) DO UPDATE SET " user " = excluded." user ", created = excluded.created, used = excluded.used"   \
  " RETURNING 1"
#define USE(now) "UPDATE vestry_session SET used = " now " WHERE hash = $1"
/* A session of this second, or of the one before, stays: its order among others of the same second is unknown. */
#define BOUND(user, now, rest)                                                                                         \
  "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM (SELECT hash, created FROM vestry_session WHERE " user   \
  " = $1 AND hash <> $2 ORDER BY created DESC, hash " rest ") AS surplus WHERE created < " now " - 1)"
#define REMOVE(column) "DELETE FROM vestry_session WHERE " column " = $1 RETURNING "
static vsi_sql_texts load_sql = {LOAD("user", SQLITE("$2")), LOAD("name", POSTGRES("$2"))};
static vsi_sql_texts insert_sql = {INSERT("user", SQLITE("$3")), INSERT("name", POSTGRES("$3"))};
static vsi_sql_texts use_sql = {USE(SQLITE("$2")), USE(POSTGRES("$2"))};
static vsi_sql_texts bound_sql = {BOUND("user", SQLITE("$4"), "LIMIT -1 OFFSET $3"),
                                  BOUND("name", POSTGRES("$4"), "OFFSET $3 FOR UPDATE SKIP LOCKED")};
static vsi_sql_texts remove_sql = {REMOVE("hash") "1", REMOVE("hash") VSI_SQL_POSTGRES_FLUSHED};
static vsi_sql_texts remove_user_sql = {REMOVE("user") "1", REMOVE("name") VSI_SQL_POSTGRES_FLUSHED};
static vsi_sql_texts missing_sql = {
    "SELECT known.key FROM json_each($1) AS known WHERE NOT EXISTS (SELECT 1 FROM vestry_session WHERE hash = "
    "known.value)",
    "SELECT number - 1 FROM json_array_elements_text($1::json) WITH ORDINALITY AS known(one, number) WHERE NOT EXISTS "
    "(SELECT 1 FROM vestry_session WHERE hash = one)"};
static vsi_sql_texts expire_sql = VSI_SQL_EXPIRE("vestry_session", "hash", "used <= " SQLITE("$1") " - $2",
                                                 "used <= " POSTGRES("$1") " - $2::bigint");

/* ------------------------------------------------------------------------------------------------- storage -------- */

/* A session to insert. */
typedef struct adding {
  vestry_sql_sessions *sessions;
  const char *hash;
  const vestry_session_record *record;
} adding;

static vestry_err expire(const vestry_sql_sessions *sessions) {
  const vestry_sql_sessions_options *options = &sessions->options;
  /* The last use is stored with a precision of a tenth of idle_ms, so a session expires a tenth later. */
  const uint64_t idle_ms = options->idle_ms + options->idle_ms / 10;
  const uint64_t most_ms = idle_ms < options->lifetime_ms ? idle_ms : options->lifetime_ms;
  return vsi_sql_remove(sessions->pool, expire_sql, VESTRY_LIST(vsi_sql_now_ms(sessions->pool), most_ms / 1000), NULL);
}

static vestry_err add(vestry_sql_transaction *transaction, void *ctx) {
  const adding *of = ctx;
  const vestry_sql_sessions *sessions = of->sessions;
  vestry_sql_pool *pool = sessions->pool;
  const char *user = of->record->user;
  vestry_err error = vsi_sql_in(transaction, insert_sql, VESTRY_LIST(of->hash, user, vsi_sql_now_ms(pool)), NULL, NULL);
  error = vsi_sql_if_written(pool, "vestry_session_login", "vestry_session", error);
  if (!error)
    error = vsi_sql_remove(pool, bound_sql,
                           VESTRY_LIST(user, of->hash, sessions->options.max_per_user_count - 1, vsi_sql_now_ms(pool)),
                           NULL);
  return error ? error : expire(sessions);
}

/* A use only updates the row that the login has inserted, because another node may have ended the session since. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  adding of = {ctx, hash, record};
  vestry_sql_pool *pool = of.sessions->pool;
  if (record->used_s <= record->created_s) return vestry_sql_act(pool, VESTRY_SQL_WRITE, add, &of);
  return vsi_sql_by(pool, VSI_SQL_RUN_AGAIN, use_sql, VESTRY_LIST(hash, vsi_sql_now_ms(pool)), NULL, NULL);
}

static void read_row(const vestry_sql_row *row, void *ctx) {
  vestry_session_record *record = ctx;
  const char *user = vestry_sql_text(row, 0);
  const size_t len = user ? strlen(user) : sizeof record->user;
  if (len >= sizeof record->user) return; /* not a valid session */
  memcpy(record->user, user, len + 1);
  record->created_s = vestry_sql_integer(row, 1);
  record->used_s = vestry_sql_integer(row, 2);
  record->now_s = vestry_sql_integer(row, 3);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  vestry_sql_pool *pool = ((const vestry_sql_sessions *)ctx)->pool;
  vestry_session_record record = {0};
  vestry_err error =
      vsi_sql_by(pool, VSI_SQL_RUN_AGAIN, load_sql, VESTRY_LIST(hash, vsi_sql_now_ms(pool)), read_row, &record);
  if (!error && ret_record) *ret_record = record;
  return error;
}

/* A session that was ended must not come back after a crash, when its cookie would be valid again. */
static vestry_err remove_by(const vestry_sql_sessions *sessions, vsi_sql_texts texts, const char *value) {
  return vsi_sql_if_any(vsi_sql_by(sessions->pool, VSI_SQL_RUN_FLUSHED, texts, VESTRY_LIST(value), NULL, NULL));
}

static vestry_err remove_one(void *ctx, const char *hash) {
  return remove_by(ctx, remove_sql, hash);
}

static vestry_err remove_user(void *ctx, const char *user) {
  return remove_by(ctx, remove_user_sql, user);
}

static void mark(const vestry_sql_row *row, void *ret_missing) {
  ((bool *)ret_missing)[vestry_sql_integer(row, 0)] = true;
}

static vestry_err find_missing(void *ctx, const char *const *hashes, size_t count, bool *ret_missing) {
  const vestry_sql_sessions *sessions = ctx;
  vsi_buffer list;
  vsi_buffer_init(&list, sessions->pool->host);
  for (size_t i = 0; i < count; i++) vsi_buffer_printf(&list, "%s\"%s\"", i ? "," : "[", hashes[i]);
  vsi_buffer_append(&list, "]", sizeof "]");
  vestry_err error = list.error;
  if (!error)
    error = vsi_sql_by(sessions->pool, VSI_SQL_RUN_AGAIN, missing_sql, VESTRY_LIST((const char *)list.data), mark,
                       ret_missing);
  vsi_buffer_finish(&list);
  return vsi_sql_if_any(error);
}

const vestry_session_storage_ops vestry_sql_sessions_ops = {
    .save = save, .load = load, .remove = remove_one, .remove_user = remove_user, .missing = find_missing};

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_sql_sessions_create(vestry_sql_pool *pool, const vestry_sql_sessions_options *given,
                                      vestry_sql_sessions **ret_sessions) {
  if (!pool) return VESTRY_INVALID;
  if (!ret_sessions) return vsi_mistake(pool->host, "vestry_sql_sessions_create", "ret_sessions is NULL");
  vestry_sql_sessions_options options = given ? *given : (vestry_sql_sessions_options){0};
  if (!options.idle_ms) options.idle_ms = 7 * DAY_MS;
  if (!options.lifetime_ms) options.lifetime_ms = 30 * DAY_MS;
  if (!options.max_per_user_count) options.max_per_user_count = MAX_PER_USER;
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
