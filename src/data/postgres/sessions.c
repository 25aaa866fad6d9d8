/* SPDX-License-Identifier: MIT */
/* essay: sessions of all nodes, which pass over each other's rows */
/* Sessions as rows, for all nodes. What ends by time is found by indexes of its own, a few at once, by a node that
 * writes anyway. Nodes that do so at once pass over each other's rows, so none waits for another. A single statement
 * may be done twice: it is, if the server went away meanwhile. */
#include "app/session/expiry.h"
#include "base/options.h"
#include "data/postgres/loan.h"
#include "data/postgres/schema.h"
#include "vestry/data/postgres_sessions.h"

struct vestry_postgres_sessions {
  vestry_postgres_pool *pool;
  vestry_postgres_sessions_options options;
};

static const char *const steps[] = {
    "CREATE TABLE vestry_session(hash text PRIMARY KEY, name text NOT NULL, created bigint NOT NULL,"
    " used bigint NOT NULL);"
    "CREATE INDEX vestry_session_name ON vestry_session(name, created);"
    "CREATE INDEX vestry_session_used ON vestry_session(used);"
    "CREATE INDEX vestry_session_created ON vestry_session(created)"};
static const vsi_postgres_schema schema = {"session", steps, sizeof steps / sizeof *steps};

static const char load_sql[] = "SELECT name, created, used FROM vestry_session WHERE hash = $1";
static const char insert_sql[] =
    "INSERT INTO vestry_session(hash, name, created, used) VALUES($1, $2, $3, $4) ON CONFLICT(hash) DO UPDATE"
    " SET name = excluded.name, created = excluded.created, used = excluded.used";
static const char use_sql[] = "UPDATE vestry_session SET used = $2 WHERE hash = $1";
static const char bound_sql[] =
    "DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM vestry_session WHERE name = $1 AND hash <> $2"
    " ORDER BY created DESC, hash OFFSET $3 FOR UPDATE SKIP LOCKED)";
static const char remove_sql[] = "DELETE FROM vestry_session WHERE hash = $1";
static const char remove_user_sql[] = "DELETE FROM vestry_session WHERE name = $1";
static const char expire_sql[] =
    "WITH gone AS (DELETE FROM vestry_session WHERE hash IN (SELECT hash FROM vestry_session WHERE used <= $1 OR"
    " created <= $2 LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone";

/* -------------------------------------------------------------------------------------------------- expiry -------- */

typedef struct asked {
  vestry_postgres_sessions *sessions;
  const char *hash;
  const vestry_session_record *record;
  int64_t expired_count;
} asked;

static vestry_err expire(vestry_postgres_loan *loan, void *ctx) {
  asked *of = ctx;
  const vestry_postgres_sessions_options *options = &of->sessions->options;
  int64_t now_s = options->now_s(options->now_ctx);
  return vestry_postgres_run(loan, expire_sql,
                             VESTRY_LIST(vsi_sessions_idle_since_s(now_s, options->idle_ms),
                                         vsi_sessions_ago_s(now_s, options->lifetime_ms), options->expired_at_once),
                             vestry_postgres_row_integer, &of->expired_count);
}

vestry_err vestry_postgres_sessions_expire(vestry_postgres_sessions *sessions, size_t *ret_count) {
  if (!sessions) return VESTRY_INVALID;
  asked of = {.sessions = sessions};
  vestry_err error = vestry_postgres_act(sessions->pool, VESTRY_POSTGRES_READ_COMMITTED, expire, &of);
  if (!error && ret_count) *ret_count = (size_t)of.expired_count;
  return error;
}

/* ------------------------------------------------------------------------------------------------- storage -------- */

static vestry_err add(vestry_postgres_loan *loan, void *ctx) {
  asked *of = ctx;
  const vestry_session_record *record = of->record;
  vestry_err error = vestry_postgres_run(
      loan, insert_sql, VESTRY_LIST(of->hash, (const char *)record->user, record->created_s, record->used_s), NULL,
      NULL);
  if (!error)
    error = vestry_postgres_run(
        loan, bound_sql,
        VESTRY_LIST((const char *)record->user, of->hash, of->sessions->options.max_per_user_count - 1), NULL, NULL);
  return error ? error : expire(loan, of);
}

/* A use changes the row that a log-in has made, and makes none: another node may have ended the session since. */
static vestry_err save(void *ctx, const char *hash, const vestry_session_record *record) {
  asked of = {ctx, hash, record, 0};
  if (record->used_s > record->created_s)
    return vsi_postgres_run_again(of.sessions->pool, use_sql, VESTRY_LIST(hash, record->used_s), NULL, NULL);
  return vestry_postgres_act(of.sessions->pool, VESTRY_POSTGRES_READ_COMMITTED, add, &of);
}

static void read_row(const vestry_postgres_row *row, void *ctx) {
  vestry_session_record *record = ctx;
  const char *user = vestry_postgres_text(row, 0);
  size_t len = user ? strlen(user) : sizeof record->user;
  if (len >= sizeof record->user) return; /* no session */
  memcpy(record->user, user, len + 1);
  record->created_s = vestry_postgres_integer(row, 1);
  record->used_s = vestry_postgres_integer(row, 2);
}

static vestry_err load(void *ctx, const char *hash, vestry_session_record *ret_record) {
  vestry_postgres_sessions *sessions = ctx;
  vestry_session_record record = {.size = sizeof record};
  vestry_err error = vsi_postgres_run_again(sessions->pool, load_sql, VESTRY_LIST(hash), read_row, &record);
  if (!error) *ret_record = record;
  return error;
}

static vestry_err remove_one(void *ctx, const char *hash) {
  vestry_postgres_sessions *sessions = ctx;
  return vsi_postgres_run_again(sessions->pool, remove_sql, VESTRY_LIST(hash), NULL, NULL);
}

static vestry_err remove_user(void *ctx, const char *user) {
  vestry_postgres_sessions *sessions = ctx;
  return vsi_postgres_run_again(sessions->pool, remove_user_sql, VESTRY_LIST(user), NULL, NULL);
}

const vestry_session_storage_ops vestry_postgres_sessions_ops = {.size = sizeof(vestry_session_storage_ops),
                                                                 .save = save,
                                                                 .load = load,
                                                                 .remove = remove_one,
                                                                 .remove_user = remove_user};

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_postgres_sessions_create(vestry_postgres_pool *pool, const vestry_postgres_sessions_options *given,
                                           vestry_postgres_sessions **ret_sessions) {
  vestry_postgres_sessions_options options;
  if (!pool || !ret_sessions || VSI_OPTIONS_TAKE(vestry_postgres_sessions_options, options, given))
    return VESTRY_INVALID;
  VSI_SESSIONS_SET_DEFAULTS(&options);
  vestry_err error = vsi_postgres_schema_bring(pool, "vestry_postgres_sessions_create", &schema);
  if (error) return error;
  vestry_postgres_sessions *sessions = vsi_calloc(pool->host, 1, sizeof *sessions);
  if (!sessions) return VESTRY_NO_MEMORY;
  sessions->pool = pool;
  sessions->options = options;
  *ret_sessions = sessions;
  return VESTRY_OK;
}

void vestry_postgres_sessions_destroy(vestry_postgres_sessions *sessions) {
  if (sessions) vsi_free(sessions->pool->host, sessions);
}
