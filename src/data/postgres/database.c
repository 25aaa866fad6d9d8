/* SPDX-License-Identifier: MIT */
/* Pages that read from PostgreSQL: recording the reads of their renders, and refreshing them after commits.
 *
 * Renders are observed: their reads are entered into an index as a set, which is a topic that the render names. Commits
 * are followed, and refresh the topics of the sets that they concern.
 *
 * A render gets a connection with its first read, and keeps it until it ends. If the server aborts the render's
 * transaction, for lack of memory for locks or because of a conflict, another transaction is begun inside the render.
 * Earlier reads of the render then have another snapshot, so the render is refreshed as soon as it ends. A transaction
 * for reading that the application begins in a render is the same transaction.
 *
 * Reads that failed leave no trace. A page can catch a failed read, and show something else; it would then depend on
 * nothing. Therefore, any failure of the pool on a render's thread makes the render depend on every commit. If the
 * failure may be temporary (no connection is free, the server is away), the render also runs again after a while. The
 * same holds for reads in a transaction of the application itself, whose locks show nothing, and for a transaction that
 * was ended inside the render.
 *
 * Conflicts. If there are many concurrent writes, a render has a conflict from time to time, and begins again. But a
 * conflict can last: a serializable transaction that is prepared, and waits, cannot fail any more, so every transaction
 * that reads what it has written fails. Reads at level TABLES do not conflict, because their snapshot does not take
 * part in the detection of conflicts. Therefore, after a second conflict a render reads at level TABLES, and other
 * renders as before. If it had rows by then, it runs once more, at level TABLES from its start. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "app/page/render.h"
#include "app/page/topic.h"
#include "base/ascii.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/wait.h"
#include "data/postgres/follower.h"
#include "data/postgres/read_set.h"
#include "data/postgres/run.h"
#include "vestry/data/postgres.h"

enum {
  MAX_BYTES = 256 << 20,
  MAX_RENDER_KEYS = 4096,
  MAX_TRANSACTION_KEYS = 1 << 20,
  MAX_RING = 4096,
  CONNECT_MS = 5000,
  SILENCE_MS = 10000,
  SETTLE_MS = 1000,
  TRIES = 3,
  CONFLICTS = 2 /* after this many conflicts a render reads at level TABLES */
};

static const char no_room[] = "53200", conflict[] = "40001";

/* The recording of one render; its transaction has the reads. */
typedef struct recording {
  vsi_postgres_recorder is; /* first */
  vestry_postgres *database;
  vsi_read_ticket ticket; /* if it is followed */
  unsigned conflicts;     /* number of conflicts */
  bool by_tables;
  bool has_rows;                    /* of a successful read */
  bool is_torn;                     /* it read from several snapshots */
  bool names_places, has_savepoint; /* its statements contain row ids or a sample; they contain a savepoint */
} recording;

struct vestry_postgres {
  vestry_pages *pages;
  vsi_postgres_pool *pool;
  const vestry_host *host;
  vestry_postgres_options options; /* defaults filled in */
  vsi_postgres_index *index;
  vsi_postgres_follower *follower;
  vsi_repeated_log repeated; /* changes of the state, which the server can cause again and again */
  bool is_observing;
  /* Relaxed: a render that uses the former value is correct, too. */
  _Atomic(vestry_postgres_level) level;
  _Atomic(unsigned) major;
  /* The database has functions that can roll back a subtransaction. Relaxed: a render that uses the former value runs
   * again. */
  _Atomic(bool) has_catchers;
  _Atomic(uint64_t) torn;     /* bits of renders that begin at level TABLES when they run again; relaxed: a hint */
  vsi_repeated_log uncovered; /* relations whose writes are not in the WAL */
  _Atomic(uint64_t) seq;      /* of the last refresh; it only grows */
  _Atomic(uint64_t) recorded, table_level, promoted, again, fallbacks, over_bytes, over_keys; /* counters */
};

static vsi_reads *reads_of(const vestry_postgres *database) {
  return vsi_postgres_index_reads(database->index);
}

/* --------------------------------------------------------------------------------------------------- topics ------- */

static void refresh(void *ctx, vsi_read_hit *hits, size_t count) {
  vestry_postgres *database = ctx;
  vsi_used_topic topics[VSI_READS_HITS_MOST];
  char names[VSI_READS_HITS_MOST][VSI_READS_TOPIC_BYTES];
  for (size_t i = 0; i < count; i++)
    topics[i] = (vsi_used_topic){.name = names[i],
                                 .len = vsi_reads_topic("postgres", database, hits[i].number, names[i]),
                                 .change = {.kind = VESTRY_REFRESH_DATABASE, .at_ns = hits[i].at_ns}};
  const uint64_t seq = vsi_pages_refresh_used(database->pages, topics, count);
  for (size_t i = 0; i < count; i++) hits[i].is_used = topics[i].is_used;
  uint64_t last = atomic_load_explicit(&database->seq, memory_order_relaxed);
  while (last < seq && !atomic_compare_exchange_weak_explicit(&database->seq, &last, seq, memory_order_relaxed,
                                                              memory_order_relaxed)) {
  }
}

static uint64_t now_ns(void *ctx) {
  const vestry_postgres *database = ctx;
  return vestry_change_now_ns(database->pages);
}

static bool is_used(void *ctx, uint64_t number) {
  const vestry_postgres *database = ctx;
  char topic[VSI_READS_TOPIC_BYTES];
  bool is_used;
  (void)vsi_reads_topic("postgres", database, number, topic);
  (void)vestry_topic_fragments(database->pages, topic, &is_used);
  return is_used;
}

static void depend(const vestry_postgres *database, vestry_render *render, uint64_t number) {
  char topic[VSI_READS_TOPIC_BYTES];
  (void)vsi_reads_topic("postgres", database, number, topic);
  (void)vestry_render_topic(render, topic); /* an error stays in the render */
}

/* --------------------------------------------------------------------------------------------------- levels ------- */

vestry_postgres_level vestry_postgres_level_get(vestry_postgres *database) {
  const vestry_postgres_level level = atomic_load_explicit(&database->level, memory_order_relaxed);
  return level == VESTRY_POSTGRES_DEFAULT ? VESTRY_POSTGRES_TOPICS : level;
}

static void log_level(const vestry_postgres *database, vestry_postgres_level level, unsigned major) {
  static const char *const names[] = {"", "TOPICS", "TABLES", "READS"};
  if (level == VESTRY_POSTGRES_TOPICS)
    vsi_log(
        database->host, VESTRY_LOG_WARN,
        "vestry_postgres, %s: the level is TOPICS, because commits cannot be followed (see the previous message); "
        "following requires a user with REPLICATION (ALTER ROLE … REPLICATION), wal_level = replica, a free slot of "
        "max_wal_senders, and a direct connection to the server, because most poolers do not support replication",
        database->pool->is.name);
  else
    vsi_log(database->host, VESTRY_LOG_INFO, "vestry_postgres, %s: the level is %s, with PostgreSQL %u",
            database->pool->is.name, names[level], major);
}

/* Adopt the level that the state of the follower permits. Called on the follower's thread. */
static void changed(void *ctx, vsi_postgres_following is, unsigned major) {
  vestry_postgres *database = ctx;
  if (is == VSI_POSTGRES_TRYING) return; /* renders continue as before: all are refreshed when it is back */
  vestry_postgres_level level = is == VSI_POSTGRES_GOING ? database->options.level : VESTRY_POSTGRES_TOPICS;
  atomic_store_explicit(&database->major, major, memory_order_relaxed);
  const vestry_postgres_level former = atomic_exchange_explicit(&database->level, level, memory_order_relaxed);
  /* Renders that begin now have the new level. Commits since the last record are unknown. */
  if (level == VESTRY_POSTGRES_TOPICS && former > level) vsi_postgres_index_stop(database->index);
  if (former != level)
    log_level(database, level, major);
  else
    vsi_log_repeated(database->host, &database->repeated, 0, VESTRY_LOG_INFO,
                     "vestry_postgres, %s: commits are followed again, with PostgreSQL %u", database->pool->is.name,
                     major);
}

/* -------------------------------------------------------------------------------------------------- renders ------- */

/* Return a bit for a render, from its request. Different renders can have the same bit: then one of them runs at level
 * TABLES once without need, and the intended one may have conflicts, and run, once more. */
static uint64_t bit_of(const vestry_render *render) {
  const vestry_request *of = render->request;
  uint64_t hash = render->share ? vsi_hash_bytes(0, render->share, strlen(render->share)) : 0;
  if (of) {
    hash = vsi_hash_bytes(hash, of->path, strlen(of->path));
    hash = vsi_hash_bytes(hash, of->query, strlen(of->query));
    hash = vsi_hash_bytes(hash, of->scope.data, of->scope.len);
  }
  return UINT64_C(1) << (hash >> 58);
}

/* Return whether this render had to use several snapshots because of conflicts when it last ran. */
static bool was_torn(vestry_postgres *database, const vestry_render *render) {
  if (!atomic_load_explicit(&database->torn, memory_order_relaxed)) return false;
  const uint64_t bit = bit_of(render);
  return atomic_fetch_and_explicit(&database->torn, ~bit, memory_order_relaxed) & bit;
}

static const char *const *choose_begin(recording *is) {
  is->by_tables = vestry_postgres_level_get(is->database) != VESTRY_POSTGRES_READS || is->conflicts >= CONFLICTS;
  return is->by_tables ? vsi_postgres_begin_tables : vsi_postgres_begin_reads;
}

static vestry_err begin_transaction(vsi_postgres_recorder *recorder) {
  recording *is = (recording *)recorder;
  return vsi_postgres_begin(is->database->pool, VESTRY_SQL_READ, choose_begin(is), &is->is.transaction);
}

/* Begin another transaction on the same connection, which the application may also have. */
static vestry_err begin_again(recording *is) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)is->is.transaction;
  conn->around = (vsi_postgres_around){.begin = NULL};
  vestry_err error = vsi_postgres_command(conn, "vestry_sql_read", "ROLLBACK");
  if (!error) error = vsi_postgres_begin_in(conn, "vestry_sql_read", choose_begin(is));
  conn->is_conflict = conn->is_stale = false;
  conn->sqlstate[0] = '\0';
  is->is_torn |= is->has_rows;
  is->has_rows = false;
  return error;
}

static void end_transaction(recording *is) {
  if (is->is.transaction) (void)vestry_sql_end(is->is.transaction, VESTRY_OK);
  is->is.transaction = NULL;
}

/* Return whether the server aborted the transaction for a reason that another attempt may avoid. If it had no room for
 * the locks, that attempt is at level TABLES. */
static bool is_given_up(recording *is) {
  const vestry_postgres *database = is->database;
  const char *state = vestry_postgres_sqlstate(is->is.transaction);
  if (strcmp(state, conflict) == 0) {
    is->conflicts++;
    return true;
  }
  if (strcmp(state, no_room) != 0) return ((vsi_postgres_conn *)is->is.transaction)->is_stale;
  is->conflicts = CONFLICTS;
  atomic_fetch_add_explicit(&is->database->fallbacks, 1, memory_order_relaxed);
  vsi_log_repeated(
      database->host, &is->database->repeated, 0, VESTRY_LOG_WARN,
      "vestry_postgres, %s: a render is followed at level TABLES, because the server has no room for more "
      "locks (53200); raise max_pred_locks_per_transaction there, or look for a transaction that stays open",
      database->pool->is.name);
  return true;
}

static bool names(const char *sql, const char *word) {
  return vsi_strcasestr(sql, word) != NULL;
}

/* Run a statement in the render's transaction, which exists. */
static vestry_err run_recorded(vsi_postgres_recorder *recorder, const char *sql, const vestry_value *values,
                               vestry_sql_row_fn row, void *ctx) {
  recording *is = (recording *)recorder;
  vsi_postgres_conn *conn = (vsi_postgres_conn *)is->is.transaction;
  vestry_err error = VESTRY_OK;
  is->names_places |= names(sql, "ctid") || names(sql, "tablesample");
  is->has_savepoint |= names(sql, "savepoint") || names(sql, "exception");
  for (int tries = 1; tries <= TRIES; tries++) {
    conn->begins_again = tries < TRIES;
    error = vsi_postgres_run(conn, sql, values, row, ctx); /* gives no row if it fails */
    is->has_rows |= !error || error == VESTRY_NOT_FOUND;
    if (!error || error == VESTRY_NOT_FOUND || !is_given_up(is)) break;
    atomic_fetch_add_explicit(&is->database->again, 1, memory_order_relaxed);
    const vestry_err of_begin = begin_again(is);
    if (of_begin) return of_begin;
  }
  return error;
}

/* Begin to record a render. If its reads cannot be followed now, although there is a follower, the render depends on
 * EVERYTHING, so that it runs again when following begins. */
static void begin(vestry_render *render, void *ctx) {
  vestry_postgres *database = ctx;
  recording *is = vsi_calloc(database->host, 1, sizeof *is);
  const bool is_followed = is && vestry_postgres_level_get(database) != VESTRY_POSTGRES_TOPICS;
  if (!is_followed && database->follower) { /* its reads will be unknown */
    depend(database, render, VSI_READS_EVERYTHING);
    vsi_reads_add_whole(reads_of(database));
  }
  if (!is) return;
  is->database = database;
  is->is = (vsi_postgres_recorder){
      .pool = database->pool, .is_followed = is_followed, .begin = begin_transaction, .run = run_recorded};
  vsi_postgres_recorder_enter(&is->is);
  if (!is_followed) return;
  if (was_torn(database, render)) is->conflicts = CONFLICTS;
  /* A transaction begun before the render may not see earlier commits. */
  is->is.wants_again = is->is.is_unknown = vsi_sql_own(&database->pool->is);
  vsi_reads_begin(reads_of(database), &is->ticket);
}

/* ------------------------------------------------------------------------------------------- end of a render ------ */

/* Log such relations, at most some in a minute, because a temporary table has another oid each time. */
static void log_uncovered(vestry_postgres *database, uint32_t oid) {
  if (oid)
    vsi_log_repeated(
        database->host, &database->uncovered, oid, VESTRY_LOG_WARN,
        "vestry_postgres, %s: a page reads the relation with oid %u, which is unlogged, temporary, foreign "
        "or a sequence, so writes to it refresh nothing; use a topic for it",
        database->pool->is.name, oid);
}

/* Count a render at level TABLES because of a bound, and log the first one for that bound. */
static void note_over(const vestry_postgres *database, _Atomic(uint64_t) *counter, const char *what, const char *bound,
                      size_t most) {
  if (atomic_fetch_add_explicit(counter, 1, memory_order_relaxed)) return;
  vsi_log(database->host, VESTRY_LOG_WARN,
          "vestry_postgres, %s: %s than %s (%zu) of vestry_postgres_options, so such renders are followed at level "
          "TABLES: each commit to a table that they have read renders them; raise %s",
          database->pool->is.name, what, bound, most, bound);
}

/* Run the query for the read set, and roll the transaction back in the same round trip. */
static vestry_err query_read_set(const recording *is, vsi_postgres_read_set *f) {
  vsi_postgres_conn *conn = (vsi_postgres_conn *)is->is.transaction;
  const vestry_postgres *database = is->database;
  const unsigned major = atomic_load_explicit(&database->major, memory_order_relaxed);
  f->by_tables = is->by_tables;
  f->names_places = is->names_places;
  f->left_out = is->is.left_out;
  f->max_keys = database->options.max_render_keys;
  f->is_caught = is->has_savepoint || atomic_load_explicit(&database->has_catchers, memory_order_relaxed);
  conn->begins_again = true; /* as part of the whole render */
  conn->around.rolls_back = true;
  return vsi_postgres_run(conn, vsi_postgres_read_set_sql(major, f->is_caught),
                          VESTRY_LIST(is->by_tables, is->has_savepoint), vsi_postgres_read_set_row, f);
}

/* Get the read set of a render's transaction. OK | BUSY: the render must run again | other errors: its reads are
 * unknown */
static vestry_err find_read_set(recording *is, vsi_postgres_read_set *f) {
  vestry_postgres *database = is->database;
  vestry_err error = query_read_set(is, f);
  if (error) return is_given_up(is) ? VESTRY_BUSY : error;
  if (f->is_short) atomic_store_explicit(&database->has_catchers, true, memory_order_relaxed);
  if (f->is_short) return VESTRY_BUSY;
  error = vsi_postgres_read_set_end(f);
  if (error) return error;
  log_uncovered(database, f->uncovered);
  atomic_fetch_add_explicit(&database->recorded, 1, memory_order_relaxed);
  if (f->by_tables && (!is->by_tables || is->conflicts >= CONFLICTS))
    atomic_fetch_add_explicit(&database->table_level, 1, memory_order_relaxed);
  if (f->is_over)
    note_over(database, &database->over_keys, "a render has read more rows and parts of indexes", "max_render_keys",
              f->max_keys);
  if (f->promoted_count && !atomic_fetch_add_explicit(&database->promoted, 1, memory_order_relaxed))
    vsi_log(database->host, VESTRY_LOG_INFO,
            "vestry_postgres, %s: the server has replaced the locks of a render's rows by a lock of their table, so an "
            "update of any of its rows renders the page; show fewer rows, or raise the server's "
            "max_pred_locks_per_relation. Later ones are only counted (promoted_count)",
            database->pool->is.name);
  return VESTRY_OK;
}

/* Log that every commit renders a render, because there is no room for its tables either. */
static void note_whole(vestry_postgres *database) {
  vsi_log_repeated(
      database->host, &database->repeated, 0, VESTRY_LOG_WARN,
      "vestry_postgres, %s: the reads of renders take more bytes than twice max_bytes (%zu) of "
      "vestry_postgres_options, or memory is short, so every commit renders further pages; raise max_bytes. See "
      "over_bytes_count",
      database->pool->is.name, database->options.max_bytes);
}

static vsi_read_entry enter(recording *is, vsi_postgres_read_set *f, uint64_t number) {
  vestry_postgres *database = is->database;
  vsi_read_entry entry =
      vsi_postgres_index_enter(database->index, &is->ticket, number, &f->keys, &f->snapshot, f->by_tables);
  const bool is_large = entry == VSI_READS_LARGE;
  if (is_large) {
    atomic_fetch_add_explicit(&database->table_level, 1, memory_order_relaxed);
    note_over(database, &database->over_bytes, "the reads of renders take more bytes", "max_bytes",
              database->options.max_bytes);
    entry = vsi_postgres_index_enter(database->index, &is->ticket, number, &f->tables, &f->snapshot, true);
  }
  if (entry != VSI_READS_WHOLE) return entry;
  if (!is_large) atomic_fetch_add_explicit(&database->over_bytes, 1, memory_order_relaxed);
  note_whole(database);
  return entry;
}

/* End the recording of a followed render, in one of three ways:
 * - its reads are known: enter them into the index;
 * - it must run again, because of conflicts or of a relation that is newer than its snapshot: refresh it;
 * - its reads are unknown: let it depend on every commit. */
static void settle_reads(recording *is, vestry_render *render) {
  vestry_postgres *database = is->database;
  vsi_postgres_read_set f = {.host = database->host};
  vestry_err error = is->is_torn          ? VESTRY_OK
                     : is->is.is_unknown  ? VESTRY_UNSUPPORTED
                     : is->is.transaction ? find_read_set(is, &f)
                                          : VESTRY_BUSY;
  end_transaction(is);
  uint64_t number = vsi_reads_number(reads_of(database));
  if (is->is_torn || error == VESTRY_BUSY) {
    atomic_fetch_add_explicit(&database->again, error == VESTRY_BUSY, memory_order_relaxed);
    if (is->conflicts >= CONFLICTS)
      atomic_fetch_or_explicit(&database->torn, bit_of(render), memory_order_relaxed); /* see was_torn in begin */
    depend(database, render, number);
    vsi_reads_leave(reads_of(database), &is->ticket);
    refresh(database, &(vsi_read_hit){.number = number}, 1);
  } else {
    depend(database, render, number);
    vsi_read_entry entry = error ? VSI_READS_WHOLE : enter(is, &f, number);
    if (entry == VSI_READS_WHOLE) {
      depend(database, render, VSI_READS_EVERYTHING);
      entry = vsi_reads_enter_whole(reads_of(database), &is->ticket);
    }
    if (entry == VSI_READS_OVERTAKEN) refresh(database, &(vsi_read_hit){.number = number}, 1);
  }
  vsi_postgres_read_set_finish(&f);
}

static void end(vestry_render *render, void *ctx) {
  vestry_postgres *database = ctx;
  recording *is = (recording *)vsi_postgres_recorder_of(database->pool);
  if (!is || is->database != database) return;
  vsi_postgres_recorder_leave(&is->is);
  if (is->is.wants_again) vestry_render_again(render);
  if (is->is.transaction || is->has_rows || is->is_torn || (is->is.is_followed && is->is.is_unknown))
    settle_reads(is, render);
  else if (is->is.is_followed)
    vsi_reads_leave(reads_of(database), &is->ticket);
  vsi_free(database->host, is);
}

/* --------------------------------------------------------------------------------------------------- settle ------- */

static void take_place(const vestry_sql_row *row, void *ctx) {
  const char *text = vestry_sql_text(row, 0);
  *(uint64_t *)ctx = text ? strtoull(text, NULL, 10) : 0;
}

/* Get the end of WAL that contains all commits so far. A commit that does not wait for the disk (synchronous_commit =
 * off) may not have been sent; therefore, a small commit that waits is made after it. */
static vestry_err find_place(const vestry_postgres *database, uint64_t *ret_place) {
  vestry_err error = vestry_sql_run_alone(
      &database->pool->is,
      "SELECT pg_logical_emit_message(true, 'vestry', ''), set_config('synchronous_commit', 'local', true)", NULL, NULL,
      NULL);
  if (error) return error;
  return vestry_sql_run_alone(&database->pool->is, "SELECT pg_current_wal_flush_lsn() - '0/0'", NULL, take_place,
                              ret_place);
}

static vestry_err wait_for(const vestry_postgres *database, uint64_t place, uint64_t until_ns) {
  vestry_err error = vsi_postgres_follower_wait(database->follower, place, until_ns);
  return error || vsi_reads_wait(reads_of(database), until_ns) ? error : VESTRY_TIMEOUT;
}

vestry_err vestry_postgres_settle(vestry_postgres *database, uint64_t timeout_ms, uint64_t *ret_seq) {
  const uint64_t until_ns = vsi_monotonic_in_ms(timeout_ms);
  uint64_t place = 0;
  if (!database) return VESTRY_INVALID;
  if (vsi_postgres_recorder_of(NULL))
    return vsi_mistake(database->host, "vestry_postgres_settle", "do not call it in the render of a page");
  if (!database->follower) return VESTRY_TIMEOUT;
  vestry_err error = find_place(database, &place);
  if (!error) error = wait_for(database, place, until_ns);
  if (!error && ret_seq) *ret_seq = atomic_load_explicit(&database->seq, memory_order_relaxed);
  return error;
}

/* Follow the commits so far, as vestry_render_observer.settle. Commits that have waited for the disk are enough, so
 * nothing is written. If those of this pool do not wait (synchronous_commit = off), the result is false. */
static bool settle(void *ctx) {
  static const char flushed[] = "SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN 0 ELSE "
                                "pg_current_wal_flush_lsn() - '0/0' END";
  vestry_postgres *database = ctx;
  uint64_t place = 0;
  if (!database->follower) return true; /* topics do it */
  if (vestry_postgres_level_get(database) == VESTRY_POSTGRES_TOPICS) return false;
  if (vsi_postgres_follower_settle(database->follower, 0) != VSI_POSTGRES_GOING) return false;
  vestry_err error = vestry_sql_run_alone(&database->pool->is, flushed, NULL, take_place, &place);
  return !error && place && !wait_for(database, place, vsi_monotonic_in_ms(SETTLE_MS));
}

/* ----------------------------------------------------------------------------------------------------- life ------- */

static void set_defaults(vestry_postgres_options *options) {
  if (options->level == VESTRY_POSTGRES_DEFAULT) options->level = VESTRY_POSTGRES_READS;
  if (!options->max_bytes) options->max_bytes = MAX_BYTES;
  if (!options->max_render_keys) options->max_render_keys = MAX_RENDER_KEYS;
  if (!options->max_transaction_keys) options->max_transaction_keys = MAX_TRANSACTION_KEYS;
  if (!options->connect_ms) options->connect_ms = CONNECT_MS;
  if (!options->silence_ms) options->silence_ms = SILENCE_MS;
}

static vestry_err start(vestry_postgres *database) {
  const vestry_render_observer observer = {.begin = begin, .end = end, .settle = settle, .ctx = database};
  const vsi_postgres_index_options of_index = {.host = database->host,
                                               .max_bytes = database->options.max_bytes,
                                               .max_ring = MAX_RING,
                                               .hit = refresh,
                                               .is_used = is_used,
                                               .now_ns = now_ns,
                                               .ctx = database};
  vestry_err error = vsi_postgres_index_create(&of_index, &database->index);
  if (!error && database->options.level > VESTRY_POSTGRES_TOPICS) {
    const vsi_postgres_follower_options of_follower = {.pool = database->pool,
                                                       .index = database->index,
                                                       .max_keys = database->options.max_transaction_keys,
                                                       .silence_ms = database->options.silence_ms,
                                                       .changed = changed,
                                                       .ctx = database};
    error = vsi_postgres_follower_create(&of_follower, &database->follower);
    if (!error)
      (void)vsi_postgres_follower_settle(database->follower, vsi_monotonic_in_ms(database->options.connect_ms));
  }
  if (error) return error;
  error = vestry_pages_observe(database->pages, &observer);
  database->is_observing = !error;
  return error;
}

vestry_err vestry_postgres_create(vestry_pages *pages, vestry_sql_pool *of, const vestry_postgres_options *given,
                                  vestry_postgres **ret_database) {
  vsi_postgres_pool *pool = vsi_postgres_pool_of(of);
  if (!of) return VESTRY_INVALID;
  if (!pool || !pages || !ret_database)
    return vsi_mistake(of->host, "vestry_postgres_create",
                       "the pool is not of PostgreSQL, or pages or ret_database is NULL");
  vestry_postgres_options options = given ? *given : (vestry_postgres_options){0};
  if (options.level > VESTRY_POSTGRES_READS)
    return vsi_mistake(pool->is.host, "vestry_postgres_create", "options.level is unknown");
  set_defaults(&options);
  vestry_postgres *database = vsi_calloc(pool->is.host, 1, sizeof *database);
  if (!database) return VESTRY_NO_MEMORY;
  database->pages = pages;
  database->pool = pool;
  database->host = pool->is.host;
  database->options = options;
  atomic_init(&database->level, VESTRY_POSTGRES_DEFAULT); /* not known yet */
  vestry_err error = start(database);
  if (error)
    vestry_postgres_destroy(database);
  else
    *ret_database = database;
  return error;
}

void vestry_postgres_detach(vestry_postgres *database) {
  if (!database) return;
  if (database->is_observing) (void)vestry_pages_unobserve(database->pages, database);
  database->is_observing = false;
  vsi_postgres_follower_stop(database->follower);
}

void vestry_postgres_destroy(vestry_postgres *database) {
  if (!database) return;
  vestry_postgres_detach(database);
  vsi_postgres_follower_destroy(database->follower);
  vsi_postgres_index_destroy(database->index);
  vsi_free(database->host, database);
}

static uint64_t load(const _Atomic(uint64_t) *counter) {
  return atomic_load_explicit(counter, memory_order_relaxed);
}

void vestry_postgres_stats_get(vestry_postgres *database, vestry_postgres_stats *ret_stats) {
  vestry_postgres_stats stats;
  vsi_postgres_index_stats_get(database->index, &stats);
  if (database->follower) vsi_postgres_follower_stats_get(database->follower, &stats);
  stats.level = vestry_postgres_level_get(database);
  stats.recorded_count = load(&database->recorded);
  stats.table_level_count = load(&database->table_level);
  stats.promoted_count = load(&database->promoted);
  stats.again_count = load(&database->again);
  stats.fallbacks_count = load(&database->fallbacks);
  stats.over_bytes_count = load(&database->over_bytes);
  stats.over_render_keys_count = load(&database->over_keys);
  if (ret_stats) *ret_stats = stats;
}
