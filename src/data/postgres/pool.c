/* SPDX-License-Identifier: MIT */
/* A pool: a few connections, each used by one thread at a time. A thread that has a connection gets the same one again.
 * Otherwise it could wait for itself, when a part of a page reads inside the page's render, and it would not see its
 * own writes. Waiting threads form a queue (base/line.h). One connection is reserved for the renewal of leases, which
 * would otherwise wait for the functions of jobs, because these may hold all others.
 *
 * The server may refuse some of the connections, for example because its own limit or that of the role is reached.
 * Then the pool works with those that are open: threads wait for them, and from time to time one thread tries to open
 * another connection. */
#include "data/postgres/pool.h"
#include "base/options.h"

/* --------------------------------------------------------------------------------------------------- lending ------ */

/* Return the connection that this thread has; NULL: none. */
static vsi_postgres_conn *own_locked(vsi_postgres_pool *pool) {
  for (size_t i = 0; i < vsi_postgres_conns_count(&pool->options); i++) {
    vsi_postgres_conn *conn = &pool->conns[i];
    if (conn->depth && pthread_equal(conn->owner, pthread_self())) return conn;
  }
  return NULL;
}

enum { OPEN_WAIT_MS = 500 };

/* The connections that a thread may check out. */
typedef enum choice {
  ANY,
  ASIDE, /* the reserved one */
  OPEN   /* any with an open connection */
} choice;

/* Return whether a connection may be opened now: the last attempt did not fail a moment ago, or all threads that need a
 * connection must learn this, because none is open. */
static bool may_open_locked(const vsi_postgres_pool *pool, choice which, bool has_open) {
  return which == ASIDE || (which == ANY && (!has_open || pool->away_until_ns <= vsi_monotonic_ns()));
}

/* Find a free one. Those with an open connection come first, so that no more connections are opened than necessary. */
static vsi_postgres_conn *free_locked(vsi_postgres_pool *pool, choice which) {
  vsi_postgres_conn *found = NULL;
  bool has_open = false;
  const size_t end = which == ASIDE ? vsi_postgres_conns_count(&pool->options) : pool->options.connections_count;
  for (size_t i = which == ASIDE ? pool->options.connections_count : 0; i < end; i++) {
    vsi_postgres_conn *conn = &pool->conns[i];
    if (conn->db) has_open = true;
    if (conn->depth) continue;
    if (conn->db) return conn;
    if (!found) found = conn;
  }
  return found && may_open_locked(pool, which, has_open) ? found : NULL;
}

typedef struct wish {
  vsi_postgres_pool *pool;
  choice which;
} wish;

static bool is_granted(const void *ctx) {
  const wish *of = ctx;
  return free_locked(of->pool, of->which) != NULL;
}

static vsi_thread_line *line_of(vsi_postgres_pool *pool, bool is_aside) {
  return is_aside ? &pool->aside_line : &pool->line;
}

static vsi_postgres_conn *take_locked(vsi_postgres_pool *pool, choice which, uint64_t until_ns) {
  const wish of = {pool, which};
  vsi_thread_line *line = line_of(pool, which == ASIDE);
  bool is_there = !line->first && is_granted(&of);
  if (!is_there) {
    pool->stats.waits_count++;
    is_there = vsi_line_wait_locked(line, &pool->lock, until_ns, &pool->away_until_ns, is_granted, &of);
  }
  vsi_postgres_conn *conn = is_there ? free_locked(pool, which) : NULL;
  if (conn) {
    conn->depth = 1;
    conn->owner = pthread_self();
    pool->stats.loans_count++;
    pool->stats.lent_count++;
  } else {
    pool->stats.refused_count++;
  }
  vsi_line_wake_locked(line); /* the next thread may need less */
  return conn;
}

/* Return the number of open connections if the last attempt to open another one has failed. 0: it has not. */
static size_t refused_beyond(vsi_postgres_pool *pool) {
  size_t count = 0;
  vsi_mutex_lock(&pool->lock);
  for (size_t i = 0; i < pool->options.connections_count && pool->away_ms; i++) count += pool->conns[i].db != NULL;
  vsi_mutex_unlock(&pool->lock);
  return count;
}

static vestry_err refuse(vsi_postgres_pool *pool, const char *function) {
  const vsi_call call = vsi_postgres_pool_call(pool, function);
  const size_t count = refused_beyond(pool);
  if (count && count < pool->options.connections_count)
    return vsi_refuse(&call, VESTRY_LIMIT,
                      "no connection became free within %u ms, and the server refuses more than %zu of the %u "
                      "connections of options.connections_count; raise the limit of the role or of the server",
                      pool->options.wait_ms, count, pool->options.connections_count);
  return vsi_refuse(&call, VESTRY_LIMIT,
                    "no connection became free within %u ms, and options.connections_count is %u; raise it, or look "
                    "for a handler that holds a connection for long",
                    pool->options.wait_ms, pool->options.connections_count);
}

/* Check out a connection that may be closed. NULL: none became free. */
static vsi_postgres_conn *take(vsi_postgres_pool *pool, choice which, uint64_t until_ns) {
  vsi_mutex_lock(&pool->lock);
  vsi_postgres_conn *conn = own_locked(pool);
  if (conn)
    conn->depth++;
  else
    conn = take_locked(pool, which, until_ns);
  vsi_mutex_unlock(&pool->lock);
  return conn;
}

/* Check out a connection, and open it. If the server refuses that, wait for one that is open. */
static vestry_err check_out(vsi_postgres_pool *pool, choice which, const char *function, vsi_postgres_conn **ret_conn) {
  const uint32_t wait_ms = pool->options.wait_ms;
  const uint64_t until_ns = vsi_monotonic_in_ms(which == OPEN && wait_ms > OPEN_WAIT_MS ? OPEN_WAIT_MS : wait_ms);
  for (;;) {
    vsi_postgres_conn *conn = *ret_conn = take(pool, which, until_ns);
    if (!conn) return which == OPEN ? VESTRY_LIMIT : refuse(pool, function);
    if (conn->depth > 1) return VESTRY_OK; /* this thread's own, so no other changes it */
    vestry_err error = vsi_postgres_reconnect(conn, function);
    if (!error) return VESTRY_OK;
    vsi_postgres_release(conn);
    const bool is_refused = error == VESTRY_LIMIT && which != ASIDE && refused_beyond(pool);
    if (!is_refused || vsi_monotonic_ns() >= until_ns) return error;
  }
}

vestry_err vsi_postgres_check_out(vsi_postgres_pool *pool, const char *function, vsi_postgres_conn **ret_conn) {
  return check_out(pool, ANY, function, ret_conn);
}

vestry_err vsi_postgres_check_out_aside(vsi_postgres_pool *pool, const char *function, vsi_postgres_conn **ret_conn) {
  return check_out(pool, ASIDE, function, ret_conn);
}

vestry_err vsi_postgres_lend_open(vsi_postgres_pool *pool, const char *function, vsi_postgres_conn **ret_conn) {
  return check_out(pool, OPEN, function, ret_conn);
}

bool vsi_postgres_is_checked_out(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  bool is_checked_out = own_locked(pool) != NULL;
  vsi_mutex_unlock(&pool->lock);
  return is_checked_out;
}

bool vsi_postgres_is_last(vsi_postgres_conn *conn) {
  vsi_mutex_lock(&conn->pool->lock);
  bool is_last = conn->depth == 1;
  if (!is_last) conn->depth--;
  vsi_mutex_unlock(&conn->pool->lock);
  return is_last;
}

vestry_sql_transaction *vsi_postgres_own(vestry_sql_pool *is) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  vsi_mutex_lock(&pool->lock);
  vsi_postgres_conn *own = own_locked(pool);
  vsi_mutex_unlock(&pool->lock);
  return own ? &own->is : NULL;
}

void vsi_postgres_release(vsi_postgres_conn *conn) {
  vsi_postgres_pool *pool = conn->pool;
  if (conn->is_reset) vsi_postgres_hang_up(conn);
  conn->is.kind = (vestry_sql_kind)0;
  conn->is_lost = conn->is_conflict = conn->is_stale = conn->is_reset = conn->begins_again = false;
  conn->has_met = NULL;
  conn->sqlstate[0] = '\0';
  atomic_store_explicit(&conn->is_cancelled, false, memory_order_relaxed);
  vsi_mutex_lock(&pool->lock);
  conn->depth = 0;
  pool->stats.lent_count--;
  vsi_line_wake_locked(line_of(pool, conn >= &pool->conns[pool->options.connections_count]));
  vsi_mutex_unlock(&pool->lock);
}

void vestry_postgres_pool_stats_get(vestry_sql_pool *of, vestry_postgres_pool_stats *ret_stats) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_mutex_lock(&pool->lock);
  vestry_postgres_pool_stats stats = pool->stats;
  vsi_mutex_unlock(&pool->lock);
  VSI_RESULT_GIVE(vestry_postgres_pool_stats, ret_stats, stats);
}
