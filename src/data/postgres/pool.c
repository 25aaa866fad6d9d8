/* SPDX-License-Identifier: MIT */
/* A pool: a few connections, each used by one thread at a time. A thread that has a connection gets the same one again.
 * Otherwise it could wait for itself, when a part of a page reads inside the page's render, and it would not see its
 * own writes. Waiting threads form a queue (base/line.h). One connection is reserved for the renewal of leases, which
 * would otherwise wait for the functions of jobs, because these may hold all others.
 *
 * The server may refuse some of the connections, for example because its own limit or that of the role is reached.
 * Then the pool works with those that are open: threads wait for them, and from time to time one thread tries to open
 * another connection. */
#include "base/options.h"
#include "data/postgres/loan.h"

/* --------------------------------------------------------------------------------------------------- lending ------ */

/* Return the connection that this thread has; NULL: none. */
static vsi_postgres_loan *own_locked(vsi_postgres_pool *pool) {
  for (size_t i = 0; i < vsi_postgres_loans_count(&pool->options); i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (loan->depth && pthread_equal(loan->owner, pthread_self())) return loan;
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
static vsi_postgres_loan *free_locked(vsi_postgres_pool *pool, choice which) {
  vsi_postgres_loan *found = NULL;
  bool has_open = false;
  const size_t end = which == ASIDE ? vsi_postgres_loans_count(&pool->options) : pool->options.connections_count;
  for (size_t i = which == ASIDE ? pool->options.connections_count : 0; i < end; i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (loan->db) has_open = true;
    if (loan->depth) continue;
    if (loan->db) return loan;
    if (!found) found = loan;
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

static vsi_postgres_loan *take_locked(vsi_postgres_pool *pool, choice which, uint64_t until_ns) {
  const wish of = {pool, which};
  vsi_thread_line *line = line_of(pool, which == ASIDE);
  bool is_there = !line->first && is_granted(&of);
  if (!is_there) {
    pool->stats.waits_count++;
    is_there = vsi_line_wait_locked(line, &pool->lock, until_ns, &pool->away_until_ns, is_granted, &of);
  }
  vsi_postgres_loan *loan = is_there ? free_locked(pool, which) : NULL;
  if (loan) {
    loan->depth = 1;
    loan->owner = pthread_self();
    pool->stats.loans_count++;
    pool->stats.lent_count++;
  } else {
    pool->stats.refused_count++;
  }
  vsi_line_wake_locked(line); /* the next thread may need less */
  return loan;
}

/* Return the number of open connections if the last attempt to open another one has failed. 0: it has not. */
static size_t refused_beyond(vsi_postgres_pool *pool) {
  size_t count = 0;
  vsi_mutex_lock(&pool->lock);
  for (size_t i = 0; i < pool->options.connections_count && pool->away_ms; i++) count += pool->loans[i].db != NULL;
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
static vsi_postgres_loan *take(vsi_postgres_pool *pool, choice which, uint64_t until_ns) {
  vsi_mutex_lock(&pool->lock);
  vsi_postgres_loan *loan = own_locked(pool);
  if (loan)
    loan->depth++;
  else
    loan = take_locked(pool, which, until_ns);
  vsi_mutex_unlock(&pool->lock);
  return loan;
}

/* Check out a connection, and open it. If the server refuses that, wait for one that is open. */
static vestry_err lend(vsi_postgres_pool *pool, choice which, const char *function, vsi_postgres_loan **ret_loan) {
  const uint32_t wait_ms = pool->options.wait_ms;
  const uint64_t until_ns = vsi_monotonic_in_ms(which == OPEN && wait_ms > OPEN_WAIT_MS ? OPEN_WAIT_MS : wait_ms);
  for (;;) {
    vsi_postgres_loan *loan = *ret_loan = take(pool, which, until_ns);
    if (!loan) return which == OPEN ? VESTRY_LIMIT : refuse(pool, function);
    if (loan->depth > 1) return VESTRY_OK; /* this thread's own, so no other changes it */
    vestry_err error = vsi_postgres_reach(loan, function);
    if (!error) return VESTRY_OK;
    vsi_postgres_give_back(loan);
    const bool is_refused = error == VESTRY_LIMIT && which != ASIDE && refused_beyond(pool);
    if (!is_refused || vsi_monotonic_ns() >= until_ns) return error;
  }
}

vestry_err vsi_postgres_lend(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, ANY, function, ret_loan);
}

vestry_err vsi_postgres_lend_aside(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, ASIDE, function, ret_loan);
}

vestry_err vsi_postgres_lend_open(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, OPEN, function, ret_loan);
}

bool vsi_postgres_is_lent(vsi_postgres_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  bool is_lent = own_locked(pool) != NULL;
  vsi_mutex_unlock(&pool->lock);
  return is_lent;
}

bool vsi_postgres_is_last(vsi_postgres_loan *loan) {
  vsi_mutex_lock(&loan->pool->lock);
  bool is_last = loan->depth == 1;
  if (!is_last) loan->depth--;
  vsi_mutex_unlock(&loan->pool->lock);
  return is_last;
}

vestry_sql_transaction *vsi_postgres_own(vestry_sql_pool *is) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)is;
  vsi_mutex_lock(&pool->lock);
  vsi_postgres_loan *own = own_locked(pool);
  vsi_mutex_unlock(&pool->lock);
  return own ? &own->is : NULL;
}

void vsi_postgres_give_back(vsi_postgres_loan *loan) {
  vsi_postgres_pool *pool = loan->pool;
  if (loan->is_reset) vsi_postgres_hang_up(loan);
  loan->is.kind = (vestry_sql_kind)0;
  loan->is_lost = loan->is_conflict = loan->is_stale = loan->is_reset = loan->begins_again = false;
  loan->has_met = NULL;
  loan->sqlstate[0] = '\0';
  atomic_store_explicit(&loan->is_cancelled, false, memory_order_relaxed);
  vsi_mutex_lock(&pool->lock);
  loan->depth = 0;
  pool->stats.lent_count--;
  vsi_line_wake_locked(line_of(pool, loan >= &pool->loans[pool->options.connections_count]));
  vsi_mutex_unlock(&pool->lock);
}

void vestry_postgres_pool_stats_get(vestry_sql_pool *of, vestry_postgres_pool_stats *ret_stats) {
  vsi_postgres_pool *pool = (vsi_postgres_pool *)of;
  vsi_mutex_lock(&pool->lock);
  vestry_postgres_pool_stats stats = pool->stats;
  vsi_mutex_unlock(&pool->lock);
  VSI_RESULT_GIVE(vestry_postgres_pool_stats, ret_stats, stats);
}
