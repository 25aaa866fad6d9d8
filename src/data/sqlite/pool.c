/* SPDX-License-Identifier: MIT */
/* essay: connections that are lent, one writer, and the threads that wait */
/* A pool: a few connections, each in use by one thread at a time, and one writer among them.
 *
 * A writer waits for the turn first, and then for a connection, so that those that wait for the turn hold none. A
 * thread that has a connection gets the same one again: it could wait for itself otherwise, when a page's part reads
 * inside of the page's render, and it would not see what it has written itself.
 *
 * Those that wait stand in line (base/line.h), one line for each kind of what is given. */
#include "base/options.h"
#include "base/wait.h"
#include "data/sqlite/checkpoint.h"
#include "data/sqlite/pool_open.h"
#include "data/sqlite/sqlite.h"

enum {
  CONNECTIONS = 8,
  CONNECTIONS_MOST = 1024,
  ASIDE = 1,
  STATEMENTS = 64,
  WAIT_MS = 5000,
  BUSY_MS = 5000,
  MAX_WAL_BYTES = 16 << 20,
  FILE_MODE = 0600
};

/* --------------------------------------------------------------------------------------------------- making ------- */

static void set_defaults(vestry_sqlite_pool_options *options) {
  if (!options->file_mode) options->file_mode = FILE_MODE;
  if (!options->connections_count) options->connections_count = CONNECTIONS;
  if (!options->aside_count) options->aside_count = ASIDE;
  if (!options->statements_count) options->statements_count = STATEMENTS;
  if (!options->wait_ms) options->wait_ms = WAIT_MS;
  if (!options->busy_ms) options->busy_ms = BUSY_MS;
  if (!options->max_wal_bytes) options->max_wal_bytes = MAX_WAL_BYTES;
}

static vestry_err refuse_options(const vestry_host *host, const char *path, const char *why) {
  const vsi_call call = {host, "vestry_sqlite_pool_create", path};
  return vsi_refuse(&call, VESTRY_INVALID, "%s", why);
}

static vestry_sqlite_pool *allocate(const vestry_host *host, const vestry_sqlite_pool_options *options) {
  size_t count = options->connections_count + options->aside_count;
  vestry_sqlite_pool *pool = vsi_calloc(host, 1, sizeof *pool + count * sizeof *pool->loans);
  char *path = vsi_strdup(host, options->path, strlen(options->path));
  if (!pool || !path) {
    vsi_free(host, pool);
    vsi_free(host, path);
    return NULL;
  }
  pool->host = host;
  pool->path = path;
  pool->options = *options;
  pool->loans_count = count;
  vsi_mutex_init(&pool->lock, VSI_LOCK_SQLITE_POOL);
  pthread_cond_init(&pool->returned, NULL);
  return pool;
}

vestry_err vestry_sqlite_pool_create(const vestry_sqlite_pool_options *given, vestry_sqlite_pool **ret_pool) {
  vestry_sqlite_pool_options options;
  if (!given || !ret_pool || VSI_OPTIONS_TAKE(vestry_sqlite_pool_options, options, given)) return VESTRY_INVALID;
  const vestry_host *host = options.host ? options.host : vestry_host_default();
  set_defaults(&options);
  if (!options.path || !*options.path || strcmp(options.path, ":memory:") == 0)
    return refuse_options(host, options.path ? options.path : "",
                          "a file is wanted, which several connections can see: name one in options.path");
  if (options.schema && options.schema_version < 1)
    return refuse_options(host, options.path, "options.schema goes with a schema_version of 1 or more");
  if (options.connections_count > CONNECTIONS_MOST || options.aside_count > CONNECTIONS_MOST)
    return refuse_options(host, options.path, "1,024 connections of a kind are the most");
  vestry_sqlite_pool *pool = allocate(host, &options);
  if (!pool) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_sqlite_pool_open(pool, &options);
  if (error)
    vestry_sqlite_pool_destroy(pool);
  else
    *ret_pool = pool;
  return error;
}

void vestry_sqlite_pool_destroy(vestry_sqlite_pool *pool) {
  if (!pool) return;
  const vestry_host *host = pool->host;
  for (size_t i = 0; i < pool->loans_count; i++) {
    vsi_sqlite_loan *loan = &pool->loans[i];
    if (loan->statements.all) vsi_sqlite_statements_finish(&loan->statements);
    sqlite3_close(loan->lent.db);
  }
  pthread_cond_destroy(&pool->returned);
  vsi_mutex_finish(&pool->lock);
  vsi_free(host, pool->path);
  vsi_free(host, pool);
}

/* -------------------------------------------------------------------------------------------- after a commit ------ */

void vestry_sqlite_pool_on_commit(vestry_sqlite_pool *pool, vestry_sqlite_commit_fn fn, void *ctx) {
  vsi_mutex_lock(&pool->lock);
  pool->on_commit = fn;
  pool->on_commit_ctx = ctx;
  vsi_mutex_unlock(&pool->lock);
}

static void tell_commit(vestry_sqlite_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  vestry_sqlite_commit_fn fn = pool->on_commit;
  void *ctx = pool->on_commit_ctx;
  vsi_mutex_unlock(&pool->lock);
  if (fn) fn(ctx);
}

/* --------------------------------------------------------------------------------------------------- lending ------ */

void vsi_sqlite_pool_note(vestry_sqlite_pool *pool, bool is_aside, vestry_err error) {
  if (!error || error == VESTRY_NOT_FOUND || error == VESTRY_INVALID) return;
  vsi_mutex_lock(&pool->lock);
  const vestry_sqlite *database = pool->database;
  vsi_mutex_unlock(&pool->lock);
  if (database) vsi_sqlite_reads_fail(&database->commits, is_aside, error);
}

/* The loan of one kind that this thread has; NULL: none. */
static vsi_sqlite_loan *own_locked(vestry_sqlite_pool *pool, bool is_aside) {
  for (size_t i = 0; i < pool->loans_count; i++) {
    vsi_sqlite_loan *loan = &pool->loans[i];
    if (loan->depth && loan->is_aside == is_aside && pthread_equal(loan->owner, pthread_self())) return loan;
  }
  return NULL;
}

bool vsi_sqlite_pool_is_writing(vestry_sqlite_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  const vsi_sqlite_loan *own = own_locked(pool, false);
  vsi_mutex_unlock(&pool->lock);
  return own && own->is_writing;
}

static vsi_sqlite_loan *free_locked(vestry_sqlite_pool *pool, bool is_aside) {
  size_t from = is_aside ? pool->options.connections_count : 0;
  size_t to = is_aside ? pool->loans_count : pool->options.connections_count;
  for (size_t i = from; i < to; i++)
    if (!pool->loans[i].depth) return &pool->loans[i];
  return NULL;
}

static bool is_there_locked(vestry_sqlite_pool *pool, vsi_sqlite_given what) {
  return what == VSI_SQLITE_GIVEN_TURN ? !pool->is_written : free_locked(pool, what == VSI_SQLITE_GIVEN_ASIDE) != NULL;
}

static void wake_locked(vestry_sqlite_pool *pool, vsi_sqlite_given what) {
  vsi_line_wake_locked(&pool->lines[what]);
}

typedef struct wish {
  vestry_sqlite_pool *pool;
  vsi_sqlite_given what;
  bool is_held; /* while others are (checkpoint.c) */
} wish;

static bool is_granted(const void *ctx) {
  const wish *of = ctx;
  return is_there_locked(of->pool, of->what) && !(of->is_held && of->pool->is_held);
}

/* Until it is there; false: the time is over. */
static bool wait_locked(vestry_sqlite_pool *pool, vsi_sqlite_given what, uint64_t until_ns) {
  const bool has_one = own_locked(pool, false) || own_locked(pool, true);
  const wish of = {pool, what, what != VSI_SQLITE_GIVEN_TURN && !has_one};
  if ((has_one || !pool->lines[what].first) && is_granted(&of)) return true;
  pool->stats.waits_count++;
  return vsi_line_wait_locked(&pool->lines[what], &pool->lock, until_ns, is_granted, &of);
}

/* A free one for this thread; NULL: none came in time. */
static vsi_sqlite_loan *take_locked(vestry_sqlite_pool *pool, bool is_aside, uint64_t until_ns) {
  const vsi_sqlite_given what = is_aside ? VSI_SQLITE_GIVEN_ASIDE : VSI_SQLITE_GIVEN_CONNECTION;
  vsi_sqlite_loan *loan = wait_locked(pool, what, until_ns) ? free_locked(pool, is_aside) : NULL;
  if (loan) {
    loan->depth = 1;
    loan->owner = pthread_self();
    pool->stats.loans_count++;
    pool->stats.lent_count++;
  }
  if (is_there_locked(pool, what)) wake_locked(pool, what);
  return loan;
}

static vestry_err refuse(vestry_sqlite_pool *pool, const char *function) {
  const vsi_call call = vsi_sqlite_pool_call(pool, function);
  return vsi_refuse(&call, VESTRY_LIMIT,
                    "no connection was given back within %u ms: options.connections_count is %u; raise it, or "
                    "look for a handler that holds one for long",
                    pool->options.wait_ms, pool->options.connections_count);
}

static vestry_err lend(vestry_sqlite_pool *pool, bool is_aside, const char *function, vestry_sqlite_loan **ret_loan) {
  const uint64_t until_ns = vsi_monotonic_in_ms(pool->options.wait_ms);
  vsi_mutex_lock(&pool->lock);
  vsi_sqlite_loan *loan = own_locked(pool, is_aside);
  if (loan)
    loan->depth++;
  else
    loan = take_locked(pool, is_aside, until_ns);
  if (!loan) pool->stats.refused_count++;
  vsi_mutex_unlock(&pool->lock);
  if (!loan) vsi_sqlite_pool_note(pool, is_aside, VESTRY_LIMIT);
  if (!loan) return refuse(pool, function);
  *ret_loan = &loan->lent;
  return VESTRY_OK;
}

static void give_turn_locked(vestry_sqlite_pool *pool) {
  pool->is_written = false;
  wake_locked(pool, VSI_SQLITE_GIVEN_TURN);
}

/* The turn, and a connection. */
static vestry_err take_turn(vestry_sqlite_pool *pool, vsi_sqlite_loan **ret_loan) {
  const uint64_t until_ns = vsi_monotonic_in_ms(pool->options.wait_ms);
  vsi_sqlite_loan *loan = NULL;
  vsi_mutex_lock(&pool->lock);
  bool has_one = own_locked(pool, false) != NULL;
  if (!has_one && wait_locked(pool, VSI_SQLITE_GIVEN_TURN, until_ns)) {
    pool->is_written = true;
    loan = take_locked(pool, false, until_ns);
    if (!loan) give_turn_locked(pool);
  } else if (!pool->is_written) {
    wake_locked(pool, VSI_SQLITE_GIVEN_TURN);
  }
  if (!has_one && !loan) pool->stats.refused_count++;
  vsi_mutex_unlock(&pool->lock);
  *ret_loan = loan;
  const vsi_call call = vsi_sqlite_pool_call(pool, "vestry_sqlite_borrow to write");
  if (has_one)
    return vsi_refuse(&call, VESTRY_INVALID,
                      "this thread has a connection already: give it back before it writes with another");
  return loan ? VESTRY_OK : refuse(pool, "vestry_sqlite_borrow to write");
}

static int run_text(vsi_sqlite_loan *loan, const char *sql) {
  sqlite3_stmt *statement;
  int result = vsi_sqlite_statements_find(&loan->statements, loan->lent.db, sql, false, &statement);
  if (!result) {
    result = sqlite3_step(statement);
    int of_reset = sqlite3_reset(statement);
    result = result == SQLITE_DONE ? SQLITE_OK : of_reset ? of_reset : result;
  }
  return result;
}

/* Give a loan back to the pool: this thread has it no more. */
static void give_back(vsi_sqlite_loan *loan) {
  vestry_sqlite_pool *pool = loan->pool;
  bool was_writing = loan->is_writing;
  loan->is_writing = false;
  vsi_mutex_lock(&pool->lock);
  loan->depth = 0;
  pool->stats.lent_count--;
  if (pool->is_held) pthread_cond_signal(&pool->returned);
  if (was_writing) give_turn_locked(pool);
  wake_locked(pool, loan->is_aside ? VSI_SQLITE_GIVEN_ASIDE : VSI_SQLITE_GIVEN_CONNECTION);
  vsi_mutex_unlock(&pool->lock);
}

static vestry_err lend_to_write(vestry_sqlite_pool *pool, vestry_sqlite_loan **ret_loan) {
  vsi_sqlite_loan *loan;
  vestry_err error = take_turn(pool, &loan);
  if (error) return error;
  const vsi_call call = vsi_sqlite_pool_call(pool, "vestry_sqlite_borrow to write");
  loan->is_writing = true;
  error =
      vsi_sqlite_pool_fail(&call, loan->lent.db, run_text(loan, "BEGIN IMMEDIATE"), "a transaction cannot be begun");
  if (error)
    give_back(loan);
  else
    *ret_loan = &loan->lent;
  return error;
}

vestry_err vestry_sqlite_borrow(vestry_sqlite_pool *pool, vestry_sqlite_use use, vestry_sqlite_loan **ret_loan) {
  if (!pool || !ret_loan) return VESTRY_INVALID;
  switch (use) {
  case VESTRY_SQLITE_READ: return lend(pool, false, "vestry_sqlite_borrow to read", ret_loan);
  case VESTRY_SQLITE_READ_ASIDE: return lend(pool, true, "vestry_sqlite_borrow to read aside", ret_loan);
  case VESTRY_SQLITE_WRITE: return lend_to_write(pool, ret_loan);
  }
  return VESTRY_INVALID;
}

/* false: it was lent to this thread several times, and stays with it. */
static bool is_last(vsi_sqlite_loan *loan) {
  vsi_mutex_lock(&loan->pool->lock);
  bool is_last = loan->depth == 1;
  if (!is_last) loan->depth--;
  vsi_mutex_unlock(&loan->pool->lock);
  return is_last;
}

static vestry_err end_transaction(vsi_sqlite_loan *loan, vestry_err error) {
  vestry_sqlite_pool *pool = loan->pool;
  const vsi_call call = vsi_sqlite_pool_call(pool, "vestry_sqlite_give");
  /* A failure may have rolled it back already, and then there is nothing to commit. */
  bool was_lost = sqlite3_get_autocommit(loan->lent.db);
  if (!error && was_lost)
    error = vsi_refuse(&call, VESTRY_IO, "what was written is rolled back: the transaction was ended meanwhile");
  if (!error)
    error = vsi_sqlite_pool_fail(&call, loan->lent.db, run_text(loan, "COMMIT"), "what was written is not committed");
  if (!sqlite3_get_autocommit(loan->lent.db)) (void)run_text(loan, "ROLLBACK");
  vsi_mutex_lock(&pool->lock);
  if (error)
    pool->stats.rolled_back_count++;
  else
    pool->stats.committed_count++;
  vsi_mutex_unlock(&pool->lock);
  return error;
}

/* The next thread would read the snapshot of this one. */
static void end_reading(vsi_sqlite_loan *loan) {
  if (sqlite3_get_autocommit(loan->lent.db)) return;
  const vsi_call call = vsi_sqlite_pool_call(loan->pool, "vestry_sqlite_give");
  (void)vsi_refuse(&call, VESTRY_INVALID,
                   "a transaction was begun by SQL on a connection to read with, and not ended: it is rolled back");
  (void)run_text(loan, "ROLLBACK");
}

vestry_err vestry_sqlite_give(vestry_sqlite_loan *lent, vestry_err error) {
  vsi_sqlite_loan *loan = (vsi_sqlite_loan *)lent;
  if (!loan || !is_last(loan)) return error;
  vestry_sqlite_pool *pool = loan->pool;
  bool was_writing = loan->is_writing;
  vsi_after *after = vsi_after_take(&loan->after);
  vsi_sqlite_statements_reset(&loan->statements);
  if (was_writing)
    error = end_transaction(loan, error);
  else
    end_reading(loan);
  if (was_writing && !error) vsi_sqlite_checkpoint(loan);
  give_back(loan);
  if (was_writing && !error) tell_commit(pool);
  vsi_after_run(after, !error);
  return error;
}

/* ------------------------------------------------------------------------------------------------- following ------ */

/* Give back the first of them, which this thread has. */
static void let_go(vestry_sqlite_pool *pool, size_t count) {
  for (size_t i = 0; i < pool->options.connections_count && count; i++) {
    vsi_mutex_lock(&pool->lock);
    bool is_own = pool->loans[i].depth && pthread_equal(pool->loans[i].owner, pthread_self());
    vsi_mutex_unlock(&pool->lock);
    if (!is_own) continue;
    give_back(&pool->loans[i]);
    count--;
  }
}

/* All connections but those aside, for this thread: a render that is on its way keeps its own until its end. Returns
 * whether they came in time. */
static bool take_all(vestry_sqlite_pool *pool, uint64_t until_ns) {
  size_t count = 0;
  vsi_mutex_lock(&pool->lock);
  while (count < pool->options.connections_count && take_locked(pool, false, until_ns)) count++;
  vsi_mutex_unlock(&pool->lock);
  if (count == pool->options.connections_count) return true;
  let_go(pool, count);
  return false;
}

static bool is_lent_here(vestry_sqlite_pool *pool) {
  vsi_mutex_lock(&pool->lock);
  bool is_lent = own_locked(pool, false) != NULL;
  vsi_mutex_unlock(&pool->lock);
  return is_lent;
}

static void detach_all(vestry_sqlite_pool *pool) {
  for (size_t i = 0; i < pool->options.connections_count; i++) {
    vestry_sqlite_detach(pool->loans[i].lent.connection);
    pool->loans[i].lent.connection = NULL;
  }
}

/* All connections are this thread's. */
static vestry_err attach_all(vestry_sqlite_pool *pool, vestry_sqlite *database) {
  if (pool->loans[0].lent.connection) return VESTRY_INVALID;
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < pool->options.connections_count && !error; i++)
    error = vestry_sqlite_attach(database, pool->loans[i].lent.db, &pool->loans[i].lent.connection);
  if (error) detach_all(pool);
  return error;
}

vestry_err vestry_sqlite_pool_follow(vestry_sqlite_pool *pool, vestry_sqlite *database) {
  if (!pool) return VESTRY_INVALID;
  if (is_lent_here(pool) || !take_all(pool, database ? 0 : UINT64_MAX)) return VESTRY_BUSY;
  vestry_err error = VESTRY_OK;
  if (database)
    error = attach_all(pool, database);
  else
    detach_all(pool);
  vsi_mutex_lock(&pool->lock);
  if (!error) pool->database = database;
  vsi_mutex_unlock(&pool->lock);
  let_go(pool, pool->options.connections_count);
  return error;
}

void vestry_sqlite_pool_stats_get(vestry_sqlite_pool *pool, vestry_sqlite_pool_stats *ret_stats) {
  vsi_mutex_lock(&pool->lock);
  const vestry_sqlite_pool_stats stats = pool->stats;
  vsi_mutex_unlock(&pool->lock);
  VSI_RESULT_GIVE(vestry_sqlite_pool_stats, ret_stats, stats);
}
