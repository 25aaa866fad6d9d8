/* SPDX-License-Identifier: MIT */
/* A pool: a few connections, each used by one thread at a time. A thread that has a connection gets the same one again.
 * Otherwise it could wait for itself, when a part of a page reads inside the page's render, and it would not see its
 * own writes. Waiting threads form a queue (base/line.h). One connection is reserved for the renewal of leases, which
 * would otherwise wait for the functions of jobs, because these may hold all others. */
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

/* Find a free one. Those with an open connection come first, so that no more connections are opened than necessary. */
static vsi_postgres_loan *free_locked(vsi_postgres_pool *pool, bool is_aside) {
  vsi_postgres_loan *found = NULL;
  const size_t end = is_aside ? vsi_postgres_loans_count(&pool->options) : pool->options.connections_count;
  for (size_t i = is_aside ? pool->options.connections_count : 0; i < end; i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (loan->depth) continue;
    if (loan->db) return loan;
    if (!found) found = loan;
  }
  return found;
}

typedef struct wish {
  vsi_postgres_pool *pool;
  bool is_aside;
} wish;

static bool is_granted(const void *ctx) {
  const wish *of = ctx;
  return free_locked(of->pool, of->is_aside) != NULL;
}

static vsi_thread_line *line_of(vsi_postgres_pool *pool, bool is_aside) {
  return is_aside ? &pool->aside_line : &pool->line;
}

static vsi_postgres_loan *take_locked(vsi_postgres_pool *pool, bool is_aside, uint64_t until_ns) {
  const wish of = {pool, is_aside};
  vsi_thread_line *line = line_of(pool, is_aside);
  bool is_there = !line->first && is_granted(&of);
  if (!is_there) {
    pool->stats.waits_count++;
    is_there = vsi_line_wait_locked(line, &pool->lock, until_ns, is_granted, &of);
  }
  vsi_postgres_loan *loan = is_there ? free_locked(pool, is_aside) : NULL;
  if (loan) {
    loan->depth = 1;
    loan->owner = pthread_self();
    pool->stats.loans_count++;
    pool->stats.lent_count++;
  } else {
    pool->stats.refused_count++;
  }
  if (is_granted(&of)) vsi_line_wake_locked(line);
  return loan;
}

static vestry_err lend(vsi_postgres_pool *pool, bool is_aside, const char *function, vsi_postgres_loan **ret_loan) {
  const uint64_t until_ns = vsi_monotonic_in_ms(pool->options.wait_ms);
  const vsi_call call = vsi_postgres_pool_call(pool, function);
  vsi_mutex_lock(&pool->lock);
  vsi_postgres_loan *loan = own_locked(pool);
  if (loan)
    loan->depth++;
  else
    loan = take_locked(pool, is_aside, until_ns);
  vsi_mutex_unlock(&pool->lock);
  if (!loan)
    return vsi_refuse(&call, VESTRY_LIMIT,
                      "no connection became free within %u ms, and options.connections_count is %u; raise it, or look "
                      "for a handler that holds a connection for long",
                      pool->options.wait_ms, pool->options.connections_count);
  *ret_loan = loan;
  return VESTRY_OK;
}

vestry_err vsi_postgres_lend(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, false, function, ret_loan);
}

vestry_err vsi_postgres_lend_aside(vsi_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, true, function, ret_loan);
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
