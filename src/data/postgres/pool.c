/* SPDX-License-Identifier: MIT */
/* A pool: a few connections, each in use by one thread at a time. A thread that has one gets the same one again: it
 * could wait for itself otherwise, when a page's part reads inside of the page's render, and it would not see what it
 * has written itself. Those that wait stand in line (base/line.h). One connection is aside: the renewal of leases would
 * otherwise wait for the functions that rely on it, since those may have all others. */
#include <stdio.h>

#include "base/options.h"
#include "data/postgres/loan.h"

enum {
  CONNECTIONS = 8,
  CONNECTIONS_MOST = 1024,
  STATEMENTS = 64,
  WAIT_MS = 5000,
  CONNECT_MS = 5000,
  STATEMENT_MS = 10000,
  RETRY_MS = 1000,
  TRIES = 10
};

/* --------------------------------------------------------------------------------------------------- making ------- */

static void set_defaults(vestry_postgres_pool_options *options) {
  if (!options->connections_count) options->connections_count = CONNECTIONS;
  if (!options->statements_count) options->statements_count = STATEMENTS;
  if (!options->wait_ms) options->wait_ms = WAIT_MS;
  if (!options->connect_ms) options->connect_ms = CONNECT_MS;
  if (!options->statement_ms) options->statement_ms = STATEMENT_MS;
  if (!options->retry_ms) options->retry_ms = RETRY_MS;
  if (!options->tries_count) options->tries_count = TRIES;
}

static const char *word(const PQconninfoOption *words, const char *keyword) {
  for (; words->keyword; words++)
    if (strcmp(words->keyword, keyword) == 0) return words->val;
  return NULL;
}

/* What the log calls it: no password, whatever the URL has. false: libpq cannot read the URL. */
static bool name_it(const char *url, char *name, size_t len) {
  PQconninfoOption *words = PQconninfoParse(url, NULL);
  if (!words) return false;
  const char *database = word(words, "dbname"), *host = word(words, "host");
  snprintf(name, len, "%s%s%s", database ? database : "the user's database", host ? " at " : "", host ? host : "");
  PQconninfoFree(words);
  return true;
}

static vestry_err refuse_options(const vestry_host *host, const char *why) {
  const vsi_call call = {host, "vestry_postgres_pool_create", "PostgreSQL"};
  return vsi_refuse(&call, VESTRY_INVALID, "%s", why);
}

static size_t loans_count(const vestry_postgres_pool_options *options) {
  return (size_t)options->connections_count + VSI_POSTGRES_ASIDE;
}

static vestry_postgres_pool *allocate(const vestry_host *host, const vestry_postgres_pool_options *options) {
  vestry_postgres_pool *pool = vsi_calloc(host, 1, sizeof *pool + loans_count(options) * sizeof *pool->loans);
  if (!pool) return NULL;
  pool->host = host;
  pool->options = *options;
  vsi_mutex_init(&pool->lock, VSI_LOCK_POSTGRES_POOL);
  pool->url = vsi_strdup(host, options->url, strlen(options->url));
  pool->setup = options->setup ? vsi_strdup(host, options->setup, strlen(options->setup)) : NULL;
  bool is_whole = pool->url && (pool->setup || !options->setup);
  for (size_t i = 0; i < loans_count(options) && is_whole; i++) {
    pool->loans[i].pool = pool;
    is_whole = !vsi_postgres_statements_init(&pool->loans[i].statements, host, options->statements_count);
  }
  if (is_whole) return pool;
  vestry_postgres_pool_destroy(pool);
  return NULL;
}

vestry_err vestry_postgres_pool_create(const vestry_postgres_pool_options *given, vestry_postgres_pool **ret_pool) {
  vestry_postgres_pool_options options;
  char name[sizeof((vestry_postgres_pool *)0)->name];
  if (!given || !ret_pool || VSI_OPTIONS_TAKE(vestry_postgres_pool_options, options, given)) return VESTRY_INVALID;
  const vestry_host *host = vsi_host(options.host);
  set_defaults(&options);
  if (!options.url) return refuse_options(host, "name a database in options.url");
  if (!name_it(options.url, name, sizeof name)) return refuse_options(host, "libpq cannot read options.url");
  if (options.connections_count > CONNECTIONS_MOST) return refuse_options(host, "1,024 connections are the most");
  vestry_postgres_pool *pool = allocate(host, &options);
  if (!pool) return VESTRY_NO_MEMORY;
  memcpy(pool->name, name, sizeof name);
  vestry_err error = vsi_postgres_reach(&pool->loans[0], "vestry_postgres_pool_create");
  if (error)
    vestry_postgres_pool_destroy(pool);
  else
    *ret_pool = pool;
  return error;
}

void vestry_postgres_pool_destroy(vestry_postgres_pool *pool) {
  if (!pool) return;
  const vestry_host *host = pool->host;
  for (size_t i = 0; i < loans_count(&pool->options); i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (!loan->pool) break;
    vsi_postgres_hang_up(loan);
    PQfreeCancel(loan->cancel);
    vsi_postgres_statements_finish(&loan->statements);
  }
  vsi_mutex_finish(&pool->lock);
  vsi_free(host, pool->url);
  vsi_free(host, pool->setup);
  vsi_free(host, pool->search_path);
  vsi_free(host, pool);
}

/* --------------------------------------------------------------------------------------------------- lending ------ */

/* The loan that this thread has; NULL: none. */
static vsi_postgres_loan *own_locked(vestry_postgres_pool *pool) {
  for (size_t i = 0; i < loans_count(&pool->options); i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (loan->depth && pthread_equal(loan->owner, pthread_self())) return loan;
  }
  return NULL;
}

/* A free one, with a connection if there is such a one: it comes first, so that no more are made than are needed. */
static vsi_postgres_loan *free_locked(vestry_postgres_pool *pool, bool is_aside) {
  vsi_postgres_loan *found = NULL;
  const size_t end = is_aside ? loans_count(&pool->options) : pool->options.connections_count;
  for (size_t i = is_aside ? pool->options.connections_count : 0; i < end; i++) {
    vsi_postgres_loan *loan = &pool->loans[i];
    if (loan->depth) continue;
    if (loan->lent.db) return loan;
    if (!found) found = loan;
  }
  return found;
}

typedef struct wish {
  vestry_postgres_pool *pool;
  bool is_aside;
} wish;

static bool is_granted(const void *ctx) {
  const wish *of = ctx;
  return free_locked(of->pool, of->is_aside) != NULL;
}

static vsi_thread_line *line_of(vestry_postgres_pool *pool, bool is_aside) {
  return is_aside ? &pool->aside_line : &pool->line;
}

static vsi_postgres_loan *take_locked(vestry_postgres_pool *pool, bool is_aside, uint64_t until_ns) {
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

static vestry_err lend(vestry_postgres_pool *pool, bool is_aside, const char *function, vsi_postgres_loan **ret_loan) {
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
                      "no connection was given back within %u ms: options.connections_count is %u; raise it, "
                      "or look for a handler that holds one for long",
                      pool->options.wait_ms, pool->options.connections_count);
  *ret_loan = loan;
  return VESTRY_OK;
}

vestry_err vsi_postgres_lend(vestry_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, false, function, ret_loan);
}

vestry_err vsi_postgres_lend_aside(vestry_postgres_pool *pool, const char *function, vsi_postgres_loan **ret_loan) {
  return lend(pool, true, function, ret_loan);
}

bool vsi_postgres_is_lent(vestry_postgres_pool *pool) {
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

void vsi_postgres_give_back(vsi_postgres_loan *loan) {
  vestry_postgres_pool *pool = loan->pool;
  loan->kind = (vestry_postgres_kind)0;
  loan->is_lost = loan->is_conflict = loan->is_stale = loan->begins_again = false;
  loan->has_met = NULL;
  loan->lent.sqlstate[0] = '\0';
  atomic_store_explicit(&loan->is_cancelled, false, memory_order_relaxed);
  vsi_mutex_lock(&pool->lock);
  loan->depth = 0;
  pool->stats.lent_count--;
  vsi_line_wake_locked(line_of(pool, loan >= &pool->loans[pool->options.connections_count]));
  vsi_mutex_unlock(&pool->lock);
}

void vestry_postgres_pool_stats_get(vestry_postgres_pool *pool, vestry_postgres_pool_stats *ret_stats) {
  vsi_mutex_lock(&pool->lock);
  vestry_postgres_pool_stats stats = pool->stats;
  vsi_mutex_unlock(&pool->lock);
  VSI_RESULT_GIVE(vestry_postgres_pool_stats, ret_stats, stats);
}
