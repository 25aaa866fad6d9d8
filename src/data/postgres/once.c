/* SPDX-License-Identifier: MIT */
/* essay: presses of all nodes, each of which is one run's */
/* A press is a row, put by one statement: of several nodes that ask for it at once, one has put it. A run has a name,
 * so that a statement which was done, and whose answer was lost on the way, can be done again: the row is this run's
 * already. A run whose lease is over may have ended in any way. No other run begins then, unless the application says
 * that its handlers may run again: that run takes the row, and what the former one finishes changes nothing. */
#include <stdatomic.h>
#include <string.h>

#include "base/options.h"
#include "data/postgres/bytea.h"
#include "data/postgres/clock.h"
#include "data/postgres/loan.h"
#include "data/postgres/schema.h"
#include "vestry/data/postgres_once.h"

enum { LIFETIME_MS = 600000, LEASE_MS = 60000, PER_OWNER = 1000, EXPIRED_AT_ONCE = 64, BOUNDED_EACH = 64 };

struct vestry_postgres_once {
  vestry_postgres_pool *pool;
  vestry_postgres_once_options options;
  bool bounds_all;         /* per_owner_count was given: it is of all presses without a scope, too */
  _Atomic(uint32_t) begun; /* relaxed: a mere count */
};

static const char *const steps[] = {
    "CREATE TABLE vestry_once(hash text PRIMARY KEY, owner text NOT NULL, run text NOT NULL, began bigint NOT NULL,"
    " leased bigint NOT NULL, answer bytea);"
    "CREATE INDEX vestry_once_owner ON vestry_once(owner, began);"
    "CREATE INDEX vestry_once_began ON vestry_once(began)"};
static const vsi_postgres_schema schema = {"once", steps, sizeof steps / sizeof *steps};

#define NOW VSI_POSTGRES_NOW_MS

/* A row that says whose press it is outlives a crash of the server, even where the application's need not. */
#define FLUSHED                                                                                                        \
  "RETURNING CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'local',"     \
  " true) END"

static const char begin_sql[] =
    "INSERT INTO vestry_once AS old(hash, owner, run, began, leased) VALUES($1, $2, $3, " NOW("$4") ", " NOW(
        "$4") " + $5::bigint) ON CONFLICT(hash) DO UPDATE SET run = excluded.run, began = excluded.began,"
              " leased = excluded.leased, answer = NULL WHERE old.began <= excluded.began - $6::bigint"
              " OR ($7 AND old.answer IS NULL AND old.leased <= excluded.began) " FLUSHED;
static const char look_sql[] = "SELECT run = $2, " VSI_POSTGRES_BYTEA("answer") ", NOT $4 AND leased <= " NOW(
    "$3") " FROM vestry_once WHERE hash = $1";
static const char finish_sql[] = "UPDATE vestry_once SET answer = $3 WHERE hash = $1 AND run = $2";
static const char forget_sql[] = "DELETE FROM vestry_once WHERE hash = $1 AND run = $2 AND answer IS NULL";
static const char bound_sql[] =
    "DELETE FROM vestry_once WHERE answer IS NOT NULL AND hash IN (SELECT hash FROM vestry_once WHERE owner = $1"
    " ORDER BY began DESC, hash OFFSET $2 FOR UPDATE SKIP LOCKED)";
static const char expire_sql[] =
    "WITH gone AS (DELETE FROM vestry_once WHERE hash IN (SELECT hash FROM vestry_once WHERE began <= " NOW(
        "$1") " - $2::bigint ORDER BY began LIMIT $3 FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone";

static int64_t now_ms(const vestry_postgres_once *once) {
  return once->options.now_ms ? once->options.now_ms(once->options.now_ctx) : 0;
}

/* -------------------------------------------------------------------------------------------------- beginning ----- */

typedef struct looking {
  bool is_own, is_done, is_over; /* is_over: its lease */
  unsigned char *answer;
  size_t capacity, len;
} looking;

static bool is_true(const vestry_postgres_row *row, unsigned column) {
  const char *text = vestry_postgres_text(row, column);
  return text && *text == 't';
}

static void read_row(const vestry_postgres_row *row, void *ctx) {
  looking *into = ctx;
  const char *text = vestry_postgres_text(row, 1);
  into->is_own = is_true(row, 0);
  into->is_over = is_true(row, 2);
  into->is_done = vsi_postgres_bytea_is(text);
  if (!into->is_done) return;
  into->len = vsi_postgres_bytea_len(text);
  if (into->len <= into->capacity) vsi_postgres_bytea_read(into->answer, text, into->len);
}

static vestry_once_found found_by(const looking *at) {
  if (at->is_done) return VESTRY_ONCE_DONE;
  if (at->is_own) return VESTRY_ONCE_NEW;
  return at->is_over ? VESTRY_ONCE_UNKNOWN : VESTRY_ONCE_RUNNING;
}

/* Now and then, by a run that writes anyway: it has begun whatever this says. */
static void clear_up(vestry_postgres_once *once, const vestry_once_submission *press) {
  if (atomic_fetch_add_explicit(&once->begun, 1, memory_order_relaxed) % BOUNDED_EACH) return;
  if (*press->owner || once->bounds_all)
    (void)vsi_postgres_run_again(once->pool, bound_sql, VESTRY_LIST(press->owner, once->options.per_owner_count), NULL,
                                 NULL);
  (void)vestry_postgres_once_expire(once, NULL);
}

static vestry_err begin(void *ctx, const vestry_once_submission *press, vestry_once_found *ret_found, void *answer,
                        size_t capacity, size_t *ret_len) {
  vestry_postgres_once *once = ctx;
  looking at = {.answer = answer, .capacity = capacity};
  const vsi_call call = vsi_postgres_pool_call(once->pool, "vestry_once_guard");
  if (vsi_postgres_is_lent(once->pool))
    return vsi_refuse(&call, VESTRY_INVALID, "this thread has a transaction: the guard is outside of it");
  vestry_err error =
      vsi_postgres_run_again(once->pool, begin_sql,
                             VESTRY_LIST(press->hash, press->owner, press->run, now_ms(once), once->options.lease_ms,
                                         once->options.lifetime_ms, once->options.runs_again),
                             NULL, NULL);
  if (!error) clear_up(once, press);
  *ret_found = VESTRY_ONCE_NEW;
  if (error != VESTRY_NOT_FOUND) return error;
  error = vsi_postgres_run_again(once->pool, look_sql,
                                 VESTRY_LIST(press->hash, press->run, now_ms(once), once->options.runs_again), read_row,
                                 &at);
  *ret_found = found_by(&at);
  *ret_len = at.len;
  return error == VESTRY_NOT_FOUND ? VESTRY_OK : error; /* it was forgotten meanwhile: to be asked for again */
}

/* ---------------------------------------------------------------------------------------------------- ending ------ */

static vestry_err finish(void *ctx, const vestry_once_submission *press, const void *answer, size_t len) {
  vestry_postgres_once *once = ctx;
  char *text = vsi_alloc(once->pool->host, VSI_POSTGRES_BYTEA_BYTES(len));
  if (!text) return VESTRY_NO_MEMORY;
  vsi_postgres_bytea_write(text, answer, len);
  vestry_err error =
      vsi_postgres_run_again(once->pool, finish_sql, VESTRY_LIST(press->hash, press->run, text), NULL, NULL);
  vsi_free(once->pool->host, text);
  return error;
}

static vestry_err forget(void *ctx, const vestry_once_submission *press) {
  vestry_postgres_once *once = ctx;
  return vsi_postgres_run_again(once->pool, forget_sql, VESTRY_LIST(press->hash, press->run), NULL, NULL);
}

const vestry_once_storage_ops vestry_postgres_once_ops = {
    .size = sizeof(vestry_once_storage_ops), .begin = begin, .finish = finish, .forget = forget};

vestry_err vestry_postgres_once_expire(vestry_postgres_once *once, size_t *ret_count) {
  int64_t count = 0;
  if (!once) return VESTRY_INVALID;
  vestry_err error = vsi_postgres_run_again(
      once->pool, expire_sql, VESTRY_LIST(now_ms(once), once->options.lifetime_ms, once->options.expired_at_once),
      vestry_postgres_row_integer, &count);
  if (!error && ret_count) *ret_count = (size_t)count;
  return error;
}

/* --------------------------------------------------------------------------------------------------- making ------- */

vestry_err vestry_postgres_once_create(vestry_postgres_pool *pool, const vestry_postgres_once_options *given,
                                       vestry_postgres_once **ret_once) {
  vestry_postgres_once_options options;
  if (!pool || !ret_once || VSI_OPTIONS_TAKE(vestry_postgres_once_options, options, given)) return VESTRY_INVALID;
  if (!options.lifetime_ms) options.lifetime_ms = LIFETIME_MS;
  if (!options.lease_ms) options.lease_ms = LEASE_MS;
  const bool bounds_all = options.per_owner_count != 0;
  if (!bounds_all) options.per_owner_count = PER_OWNER;
  if (!options.expired_at_once) options.expired_at_once = EXPIRED_AT_ONCE;
  if (options.lifetime_ms > INT64_MAX / 2 || options.lease_ms > INT64_MAX / 2) return VESTRY_INVALID;
  vestry_err error = vsi_postgres_schema_bring(pool, "vestry_postgres_once_create", &schema);
  if (error) return error;
  vestry_postgres_once *once = vsi_calloc(pool->host, 1, sizeof *once);
  if (!once) return VESTRY_NO_MEMORY;
  once->pool = pool;
  once->options = options;
  once->bounds_all = bounds_all;
  *ret_once = once;
  return VESTRY_OK;
}

void vestry_postgres_once_destroy(vestry_postgres_once *once) {
  if (once) vsi_free(once->pool->host, once);
}
