/* SPDX-License-Identifier: MIT */
/* Creation and end of a followed database. It has a thread, and a connection for reading. */
#include "base/log.h"
#include "base/thread.h"
#include "data/sqlite/cache.h"
#include "data/sqlite/sqlite.h"
#include "data/sqlite/turn.h"

enum {
  POLL_MS = 50,
  POLL_MOST_MS = 60000,
  MAX_PAGES = 2048,
  MAX_BYTES = 256 << 20,
  MODE_AT = 18, /* in the file's header */
  MODE_WAL = 2,
  OPEN_WAITS_MS = 5000 /* also for other processes that create the tables */
};

#pragma weak sqlite3_preupdate_hook

static void set_defaults(vestry_sqlite_options *options) {
  if (!options->poll_ms) options->poll_ms = POLL_MS;
  if (!options->max_file_pages) options->max_file_pages = MAX_PAGES;
  if (!options->max_bytes) options->max_bytes = MAX_BYTES;
}

static vsi_call call_of(const vestry_sqlite *database) {
  return (vsi_call){database->host, "vestry_sqlite_create", database->path, NULL};
}

static vestry_err open_file(vestry_sqlite *database) {
  static vsi_sqlite_turn opening = {.most_ms = OPEN_WAITS_MS}; /* no queue */
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX | SQLITE_OPEN_PRIVATECACHE;
  const vsi_call call = call_of(database);
  int result = sqlite3_open_v2(database->path, &database->db, flags, NULL);
  if (!result) result = vsi_sqlite_file_guard(database->db);
  if (!result) result = vsi_sqlite_turn_retry(database->db, &opening);
  if (!result) result = sqlite3_wal_autocheckpoint(database->db, 0); /* the pools do it (copier.c) */
  const vestry_err error = vsi_sqlite_fail(&call, database->db, result, "cannot open the database");
  if (error) return error;
  const char *name = sqlite3_db_filename(database->db, "main");
  if (!name || !*name)
    return vsi_refuse(&call, VESTRY_INVALID, "a database in memory is visible to one connection only; use a file");
  return VESTRY_OK;
}

static void wait_a_moment(void) {
  nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Set WAL mode, and find the WAL's index. From then on the connection keeps other programs from leaving the mode. OK |
 * UNSUPPORTED (the file cannot be in this mode) | BUSY | NO_MEMORY | LIMIT | IO */
static vestry_err open_wal(vestry_sqlite *database) {
  const vsi_call call = call_of(database);
  sqlite3_file *file = NULL;
  unsigned char mode = 0;
  int result = vsi_sqlite_files_set_wal(database->db, OPEN_WAITS_MS);
  if (!result) result = vsi_sqlite_exec(database->db, "SELECT 1 FROM sqlite_schema LIMIT 1");
  if (!result) result = sqlite3_file_control(database->db, "main", SQLITE_FCNTL_FILE_POINTER, &file);
  if (!result) result = file->pMethods->xRead(file, &mode, sizeof mode, MODE_AT);
  if (result) return vsi_sqlite_fail(&call, database->db, result, "cannot read the database in WAL mode");
  if (mode != MODE_WAL)
    return vsi_refuse(&call, VESTRY_UNSUPPORTED,
                      "the database cannot be set to WAL mode, which is required: its folder cannot be written, or the "
                      "VFS has no shared memory");
  const vestry_err error = vsi_sqlite_frames_map(file, &database->wal_index);
  return error ? vsi_refuse(&call, error, "cannot map the index of the WAL: %s", vestry_strerror(error)) : VESTRY_OK;
}

/* Begin after the last commit. Retry, because the header of the WAL's index cannot be read while another process writes
 * it. */
static vestry_err open_counter(vestry_sqlite *database) {
  const vsi_call call = call_of(database);
  vestry_err error = open_wal(database);
  if (error) return error;
  vsi_sqlite_files_note(&database->files, database->db);
  for (int waits = 0;; waits++) {
    error = vsi_sqlite_frames_init(&database->frames, database->host, database->db, database->wal_index);
    if (error != VESTRY_BUSY || waits == OPEN_WAITS_MS) break;
    wait_a_moment();
  }
  database->seen = database->frames.number;
  if (!error)
    error =
        vsi_sqlite_peers_create(database->host, database->db, &database->tables, &database->stats, &database->peers);
  if (!error) return VESTRY_OK;
  return vsi_refuse(&call, error, "cannot read the number of the last commit: %s",
                    error == VESTRY_BUSY ? "another program writes continuously; end that program"
                                         : vestry_strerror(error));
}

static vestry_err fill(vestry_sqlite *database) {
  vestry_err error = open_file(database);
  if (!error) error = open_counter(database);
  if (error) return error;
  sqlite3_busy_timeout(database->db, 0); /* from here on it does not wait for locks */
  error = vsi_thread_start(database->host, &database->thread, "vestry-sqlite", vsi_sqlite_follow, database);
  database->has_thread = !error;
  return error;
}

/* --------------------------------------------------------------------------------------------- the renders -------- */

static void begin(vestry_render *render, void *ctx) {
  vestry_sqlite *database = ctx;
  vsi_sqlite_recording *recording = vsi_calloc(database->host, 1, sizeof *recording);
  if (!recording) { /* its reads will not be known */
    vsi_sqlite_index_enter_all(database->index, render);
    return;
  }
  vsi_sqlite_reads_begin(recording, database->host, database, render,
                         database->records_pages ? database->options.max_file_pages : 0);
  vsi_reads_begin(vsi_sqlite_index_reads(database->index), &recording->ticket);
  recording->number = 1 + atomic_fetch_add_explicit(&database->renders, 1, memory_order_relaxed);
}

static void end(vestry_render *render, void *ctx) {
  vestry_sqlite *database = ctx;
  vsi_sqlite_recording *recording = vsi_sqlite_reads_of(database);
  if (!recording) return;
  if (recording->wants_again) vestry_render_again(render);
  if (recording->writer) vsi_sqlite_settle(recording->writer);
  vsi_sqlite_reads_end(recording);
  vsi_sqlite_index_enter(database->index, recording);
  vsi_sqlite_reads_finish(recording);
  vsi_free(database->host, recording);
}

/* Follow all commits so far, as vestry_render_observer.settle. false: perhaps not all. */
static bool look(void *ctx) {
  vestry_sqlite *database = ctx;
  vsi_mutex_lock(&database->lock);
  const bool is_there = database->is_open && !database->is_over, is_done = is_there && !vsi_sqlite_look(database);
  if (is_there && !is_done) vsi_sqlite_rouse(database); /* which tries again */
  vsi_sqlite_unlock(database);
  vsi_sqlite_index_follow(database->index, NULL);
  return is_done;
}

/* Observe the renders. OK | NO_MEMORY | UNSUPPORTED | LIMIT (too many observers of the pages) */
static vestry_err observe(vestry_sqlite *database) {
  const vsi_call call = call_of(database);
  const vestry_render_observer observer = {.begin = begin, .end = end, .settle = look, .ctx = database};
  const vestry_sqlite_level level = database->options.level;
  const bool is_recorded = vsi_sqlite_cache_is_recorded();
  database->records_pages = level != VESTRY_SQLITE_TABLES && is_recorded;
  if (level == VESTRY_SQLITE_FILE_PAGES && !is_recorded)
    return vsi_refuse(
        &call, VESTRY_UNSUPPORTED,
        vsi_sqlite_cache_is_refused()
            ? "level FILE_PAGES is unavailable, because this SQLite does not permit a wrapper of its page cache"
            : "level FILE_PAGES requires vestry_sqlite_record_pages before any other use of SQLite");
  vestry_err error = vsi_sqlite_index_create(database->pages, &database->tables, database->secret,
                                             database->options.max_bytes, &database->stats, &database->index);
  if (!error) error = vestry_pages_observe(database->pages, &observer);
  database->is_observing = !error;
  return error ? vsi_refuse(&call, error, "%s", vestry_strerror(error)) : VESTRY_OK;
}

/* --------------------------------------------------------------------------------------------- the database ------- */

/* Return what is wrong with the arguments; NULL: nothing. */
static const char *find_mistake(const vestry_sqlite_options *given, vestry_sqlite_options *ret_options) {
  if (!given) return "the options are NULL";
  *ret_options = *given;
  if (!ret_options->path || !*ret_options->path) return "options.path must name a file";
  if (ret_options->level > VESTRY_SQLITE_FILE_PAGES) return "options.level is unknown";
  return ret_options->poll_ms > POLL_MOST_MS ? "options.poll_ms is more than 60,000" : NULL;
}

vestry_err vestry_sqlite_create(vestry_pages *pages, const vestry_sqlite_options *given, vestry_sqlite **ret_database) {
  vestry_sqlite_options options;
  if (!pages) return VESTRY_INVALID;
  const vestry_host *host = vestry_parts_of(vestry_pages_instance(pages))->host;
  const char *mistake = find_mistake(given, &options);
  if (!mistake && !ret_database) mistake = "ret_database is NULL";
  const vsi_call call = {host, "vestry_sqlite_create", mistake ? "no database" : options.path, NULL};
  if (mistake) return vsi_refuse(&call, VESTRY_INVALID, "%s", mistake);
  if (!sqlite3_preupdate_hook || !sqlite3_threadsafe())
    return vsi_refuse(
        &call, VESTRY_UNSUPPORTED,
        "this SQLite was built without SQLITE_ENABLE_PREUPDATE_HOOK or without threads; link another build");
  vestry_sqlite *database = vsi_calloc(host, 1, sizeof *database);
  if (!database) return vsi_refuse(&call, VESTRY_NO_MEMORY, "%s", vestry_strerror(VESTRY_NO_MEMORY));
  database->pages = pages;
  database->host = host;
  database->options = options;
  database->options.path = NULL;
  set_defaults(&database->options);
  vsi_mutex_init(&database->lock, VSI_LOCK_SQLITE);
  pthread_cond_init(&database->end, NULL);
  vsi_sqlite_tables_init(&database->tables, host);
  database->path = vsi_strdup(host, options.path, strlen(options.path));
  database->tables.path = database->path;
  vestry_err error = database->path ? vsi_siphash_key_random(host, &database->secret) : VESTRY_NO_MEMORY;
  if (error) (void)vsi_refuse(&call, error, "%s", vestry_strerror(error));
  if (!error) error = observe(database);
  if (!error) error = fill(database);
  if (error) {
    vestry_sqlite_destroy(database);
    return error;
  }
  if (options.level == VESTRY_SQLITE_DEFAULT && vsi_sqlite_cache_is_refused())
    vsi_log(host, VESTRY_LOG_WARN,
            "%s, %s: the level is TABLES, so commits render more than at FILE_PAGES, because this SQLite does not "
            "permit a wrapper of its page cache",
            call.function, options.path);
  vsi_mutex_lock(&database->lock);
  database->is_open = true;
  vsi_sqlite_unlock(database);
  *ret_database = database;
  return VESTRY_OK;
}

void vestry_sqlite_destroy(vestry_sqlite *database) {
  if (!database) return;
  vsi_mutex_lock(&database->lock);
  database->is_over = true;
  pthread_cond_signal(&database->end);
  vsi_sqlite_unlock(database);
  if (database->has_thread) pthread_join(database->thread, NULL);
  if (database->is_observing) (void)vestry_pages_unobserve(database->pages, database);
  vsi_sqlite_commits_forget(database);
  vsi_sqlite_peers_destroy(database->peers);
  vsi_sqlite_index_destroy(database->index);
  vsi_sqlite_tables_finish(&database->tables);
  vsi_sqlite_frames_clear(&database->frames);
  sqlite3_close(database->db);
  pthread_cond_destroy(&database->end);
  vsi_mutex_finish(&database->lock);
  vsi_free(database->host, database->path);
  vsi_free(database->host, database);
}

vestry_err vestry_sqlite_sync(vestry_sqlite *database, uint64_t *ret_seq) {
  vestry_err error;
  for (int waits = 0;; waits++) {
    vsi_mutex_lock(&database->lock);
    vsi_sqlite_miss_file(database);
    if (!waits) vsi_sqlite_peers_check(database->peers);
    error = vsi_sqlite_look(database);
    vsi_sqlite_unlock(database);
    uint64_t seq = 0;
    vsi_sqlite_index_follow(database->index, &seq);
    if (!error && ret_seq) *ret_seq = seq;
    if (error != VESTRY_BUSY || waits == OPEN_WAITS_MS) return error;
    wait_a_moment(); /* a connection, or another process, publishes its changes */
  }
}

void vestry_sqlite_stats_get(vestry_sqlite *database, vestry_sqlite_stats *ret_stats) {
  vsi_reads *reads = vsi_sqlite_index_reads(database->index);
  vsi_mutex_lock(&database->lock);
  vsi_reads_lock(reads);
  vestry_sqlite_stats stats = database->stats;
  stats.recorded_bytes = reads->bytes;
  vsi_reads_unlock(reads);
  stats.level = database->records_pages ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES;
  vsi_sqlite_unlock(database);
  if (ret_stats) *ret_stats = stats;
}
