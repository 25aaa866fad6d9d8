/* SPDX-License-Identifier: MIT */
#include "data/sql/pool.h"

enum { CONNECTIONS = 8, CONNECTIONS_MOST = 1024, WAIT_MS = 5000 };

vestry_err vsi_sql_pool_make(const vsi_call *call, const vsi_sql_pool_plan *plan, vestry_sql_pool **ret_pool) {
  const size_t main_count = plan->connections_count ? plan->connections_count : CONNECTIONS;
  if (main_count > CONNECTIONS_MOST)
    return vsi_refuse(call, VESTRY_INVALID, "options.connections_count is more than 1,024");
  if (plan->schema && plan->schema_version < 1)
    return vsi_refuse(call, VESTRY_INVALID, "options.schema requires a schema_version of at least 1");
  vestry_sql_pool *pool = vsi_calloc(call->host, 1, plan->pool_bytes + (main_count + 1) * plan->conn_bytes);
  if (!pool) return VESTRY_NO_MEMORY;
  *pool = (vestry_sql_pool){.ops = plan->ops,
                            .host = call->host,
                            .place = vsi_strdup(call->host, plan->place, strlen(plan->place)),
                            .setup = plan->setup ? vsi_strdup(call->host, plan->setup, strlen(plan->setup)) : NULL,
                            .wait_ms = plan->wait_ms ? plan->wait_ms : WAIT_MS,
                            .conns = (char *)pool + plan->pool_bytes,
                            .conn_bytes = plan->conn_bytes,
                            .conns_count = main_count + 1,
                            .main_count = main_count};
  pool->name = pool->place;
  vsi_mutex_init(&pool->lock, VSI_LOCK_SQL_POOL);
  for (size_t i = 0; i < pool->conns_count; i++) vsi_sql_conn_at(pool, i)->pool = pool;
  if (pool->place && (pool->setup || !plan->setup)) {
    *ret_pool = pool;
    return VESTRY_OK;
  }
  vsi_sql_pool_free(pool);
  return VESTRY_NO_MEMORY;
}

void vsi_sql_pool_free(vestry_sql_pool *pool) {
  const vestry_host *host = pool->host;
  vsi_mutex_finish(&pool->lock);
  vsi_free(host, pool->place);
  vsi_free(host, pool->setup);
  vsi_free(host, pool);
}

vestry_sql_transaction *vsi_sql_own_locked(const vestry_sql_pool *pool, bool is_aside) {
  const size_t end = is_aside ? pool->conns_count : pool->main_count;
  for (size_t i = is_aside ? pool->main_count : 0; i < end; i++) {
    vestry_sql_transaction *conn = vsi_sql_conn_at(pool, i);
    if (conn->depth && pthread_equal(conn->owner, pthread_self())) return conn;
  }
  return NULL;
}

/* ------------------------------------------------------------------------------------------------- waiting -------- */

/* The turn to write, or a connection, for which a thread waits. */
typedef struct wish {
  vestry_sql_pool *pool;
  vsi_sql_line line;
  unsigned which; /* connection */
} wish;

static bool is_there(const void *ctx) {
  const wish *of = ctx;
  return of->line == VSI_SQL_LINE_TURN ? !of->pool->is_written : of->pool->ops->find_free(of->pool, of->which) != NULL;
}

/* Wait until it is there; false: the time is over. A thread that has a connection does not wait in a queue for what is
 * free, because others may wait for that connection. */
static bool wait_locked(const wish *of, uint64_t *in_out_until_ns) {
  vestry_sql_pool *pool = of->pool;
  vsi_thread_line *line = &pool->lines[of->line];
  const bool waits = line->first && !vsi_sql_own_locked(pool, false) && !vsi_sql_own_locked(pool, true);
  if (!waits && is_there(of)) return true;
  if (*in_out_until_ns == VSI_SQL_FROM_NOW) *in_out_until_ns = vsi_monotonic_in_ms(pool->wait_ms);
  pool->stats.waits_count++;
  const bool was_there = vsi_line_wait_locked(line, &pool->lock, *in_out_until_ns, pool->look_ns, is_there, of);
  pool->stats.refused_count += !was_there;
  return was_there;
}

/* Give a free connection to this thread. */
static void give_locked(vestry_sql_transaction *conn) {
  conn->depth = 1;
  conn->owner = pthread_self();
  conn->pool->stats.checked_out_count++;
}

vestry_sql_transaction *vsi_sql_take_locked(vestry_sql_pool *pool, unsigned which, uint64_t *in_out_until_ns) {
  const vsi_sql_line line = which & VSI_SQL_ASIDE;
  const bool has_free = wait_locked(&(wish){pool, line, which}, in_out_until_ns);
  vestry_sql_transaction *conn = has_free ? pool->ops->find_free(pool, which) : NULL;
  if (conn) {
    give_locked(conn);
    pool->stats.checkouts_count++;
  }
  if (pool->lines[line].first && is_there(&(wish){pool, line, line})) vsi_line_wake_locked(&pool->lines[line]);
  return conn;
}

bool vsi_sql_take_turn_locked(vestry_sql_pool *pool, uint64_t *in_out_until_ns) {
  const bool is_free = wait_locked(&(wish){pool, VSI_SQL_LINE_TURN, 0}, in_out_until_ns);
  if (is_free)
    pool->is_written = true;
  else if (!pool->is_written)
    vsi_line_wake_locked(&pool->lines[VSI_SQL_LINE_TURN]);
  return is_free;
}

/* --------------------------------------------------------------------------------------------------- giving ------- */

void vsi_sql_give_turn_locked(vestry_sql_pool *pool) {
  pool->is_written = false;
  vsi_line_wake_locked(&pool->lines[VSI_SQL_LINE_TURN]);
}

void vsi_sql_give_back_locked(vestry_sql_transaction *conn) {
  vestry_sql_pool *pool = conn->pool;
  const bool had_turn = pool->is_written && vsi_sql_is_writing(conn);
  conn->kind = (vestry_sql_kind)0;
  conn->depth = 0;
  pool->stats.checked_out_count--;
  if (had_turn) vsi_sql_give_turn_locked(pool);
  vsi_line_wake_locked(&pool->lines[vsi_sql_is_aside(conn)]);
}

/* ------------------------------------------------------------------------------------------------- the rest ------- */

vestry_sql_transaction *vsi_sql_take(vestry_sql_pool *pool, unsigned which, uint64_t until_ns) {
  vsi_mutex_lock(&pool->lock);
  vestry_sql_transaction *conn = vsi_sql_own_locked(pool, which & VSI_SQL_ASIDE);
  if (conn)
    conn->depth++;
  else
    conn = vsi_sql_take_locked(pool, which, &until_ns);
  vsi_mutex_unlock(&pool->lock);
  return conn;
}

void vsi_sql_give_back(vestry_sql_transaction *conn) {
  vestry_sql_pool *pool = conn->pool;
  vsi_mutex_lock(&pool->lock);
  vsi_sql_give_back_locked(conn);
  vsi_mutex_unlock(&pool->lock);
}

bool vsi_sql_is_last(vestry_sql_transaction *conn) {
  if (conn->depth == 1) return true; /* this thread's own, so no other changes it */
  vsi_mutex_lock(&conn->pool->lock);
  conn->depth--;
  vsi_mutex_unlock(&conn->pool->lock);
  return false;
}

vestry_sql_transaction *vsi_sql_own(vestry_sql_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  vestry_sql_transaction *own = vsi_sql_own_locked(pool, false);
  vsi_mutex_unlock(&pool->lock);
  return own;
}

vestry_err vsi_sql_refuse(vestry_sql_pool *pool, const char *function, const char *why) {
  const vsi_call call = vsi_sql_call(pool, function);
  return vsi_refuse(&call, VESTRY_LIMIT,
                    "no connection became free within %u ms, and options.connections_count is %zu%s; raise it, or look "
                    "for a handler that holds a connection for long",
                    pool->wait_ms, pool->main_count, why);
}

void vsi_sql_count(vestry_sql_pool *pool, uint64_t *counter) {
  vsi_mutex_lock(&pool->lock);
  ++*counter;
  vsi_mutex_unlock(&pool->lock);
}

void vestry_sql_pool_stats_get(vestry_sql_pool *pool, vestry_sql_pool_stats *ret_stats) {
  if (!pool || !ret_stats) return;
  vsi_mutex_lock(&pool->lock);
  *ret_stats = pool->stats;
  vsi_mutex_unlock(&pool->lock);
}
