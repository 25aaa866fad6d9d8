/* SPDX-License-Identifier: MIT */
/* vestry-bench sqlite: the cost of pages over SQLite for a connection. Two databases have the same tables and rows,
 * WAL, and synchronous NORMAL. vestry follows one of them, with an attached connection, and not the other. Both execute
 * the same operations alternately, so that both have the same conditions; each line is an operation, with medians. The
 * time runs from the values to the result of a program. The id of a request's tab is verified once for each request,
 * which is not included.
 *
 * A third database is the floor: its program does by hand the least that the same result requires. It has the hooks
 * of an attached connection. They note which rows a transaction changes, and pass them, when the commit is visible, to
 * a thread that follows commits and looks every millisecond. A state of a tab is read and written only before its end,
 * by a connection that several threads share; a write also looks at the file and at the WAL, each by one fstat, because
 * a program that does not would lose rows if they were removed or cut. */
#define SQLITE_ENABLE_PREUPDATE_HOOK /* for its declaration */
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <vestry/app/tab.h>
#include <vestry/data/sqlite.h>
#include <vestry/testing/memory.h>
#include <vestry/vestry.h>

#include "bench.h"

enum { TURN = 20, STATE_BYTES = 300, PATH_MOST = 300 };

/* A database, and the statements of a program that uses SQLite directly. */
typedef struct side {
  char path[PATH_MOST];
  sqlite3 *db;
  sqlite3_stmt *insert, *read, *write;
  uint64_t *took_ns;
  uint64_t count;
  bool is_floor, is_guarded; /* is_guarded: each write looks at the files */
  int file, wal;
} side;

enum { ROWS_MOST = 65536, NAME_BYTES = 24, LOOK_NS = 1000000 };

/* A changed row, as the hooks of the floor note it. */
typedef struct changed_row {
  char table[NAME_BYTES];
  int operation;
  int64_t row;
} changed_row;

/* The floor of a program that follows rows: its hooks pass the rows of each commit to a thread. */
typedef struct follower {
  pthread_t thread;
  pthread_mutex_t lock;
  changed_row *rows; /* of commits, not followed yet; guarded by the lock, like the count */
  size_t rows_count;
  changed_row noted; /* of the transaction, which changes one row */
  bool has_noted, has_committed, follows;
  atomic_bool is_over;
  uint64_t sum;
} follower;

typedef struct bench {
  side bare, followed, hooked;
  follower floor;
  pthread_mutex_t shared; /* of the floor: the connection for states, which several threads share */
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  vestry_sqlite_connection *connection;
  vestry_sql_pool *pool;
  vestry_sql_tabs *states;
  uint64_t rounds, tabs;
  double *ratios; /* of the blocks of an operation */
  vestry_sqlite_level level;
  unsigned char state[STATE_BYTES];
  sqlite3_int64 tab; /* number of the request's tab; all sides have a row for it */
  bool failed;
} bench;

static bool must(bench *b, sqlite3 *db, int result) {
  if (result == SQLITE_OK || result == SQLITE_ROW || result == SQLITE_DONE) return true;
  if (!b->failed) fprintf(stderr, "vestry-bench: sqlite: %s\n", sqlite3_errmsg(db));
  b->failed = true;
  return false;
}

static bool run(bench *b, sqlite3 *db, const char *sql) {
  return must(b, db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

/* ---- the things that are done ------------------------------------------------------------------------------------ */

static const char body[] = "a message of about eighty bytes, as people write them in a chat of an afternoon";

static void insert(bench *b, side *s) {
  sqlite3_bind_int64(s->insert, 1, (sqlite3_int64)(s->count % 200));
  sqlite3_bind_text(s->insert, 2, body, sizeof body - 1, SQLITE_STATIC);
  must(b, s->db, sqlite3_step(s->insert));
  must(b, s->db, sqlite3_reset(s->insert));
}

static void bind_tab(bench *b, sqlite3_stmt *statement) {
  sqlite3_bind_blob(statement, 1, "", 0, SQLITE_STATIC); /* the scope */
  sqlite3_bind_int64(statement, 2, b->tab);
}

/* Take or give back the connection of the floor, which its threads share. */
static void share(bench *b, const side *s) {
  if (!s->is_floor) return;
  pthread_mutex_lock(&b->shared);
  pthread_mutex_unlock(&b->shared);
}

static sqlite3_int64 now_s(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return now.tv_sec;
}

static void read_bare(bench *b, const side *s, unsigned char *buffer) {
  sqlite3_stmt *statement = s->read;
  share(b, s);
  bind_tab(b, statement);
  if (must(b, s->db, sqlite3_step(statement)) && sqlite3_column_bytes(statement, 0) == STATE_BYTES &&
      (!s->is_floor || sqlite3_column_int64(statement, 1) > now_s()))
    memcpy(buffer, sqlite3_column_blob(statement, 0), STATE_BYTES);
  else
    b->failed = true;
  sqlite3_reset(statement);
  share(b, s);
}

static void read_followed(bench *b, const vestry_request *req, unsigned char *buffer) {
  size_t len = 0;
  if (vestry_sql_tab_get(b->states, req, NULL, buffer, STATE_BYTES, &len) || len != STATE_BYTES) b->failed = true;
}

static bool are_whole(const side *s) {
  struct stat file, wal;
  return !fstat(s->file, &file) && !fstat(s->wal, &wal) && file.st_nlink && wal.st_size;
}

static void write_bare(bench *b, const side *s) {
  sqlite3_stmt *statement = s->write;
  share(b, s);
  if (s->is_guarded && !are_whole(s)) b->failed = true;
  bind_tab(b, statement);
  sqlite3_bind_blob(statement, 3, b->state, STATE_BYTES, SQLITE_STATIC);
  if (s->is_floor) sqlite3_bind_int64(statement, 4, now_s());
  must(b, s->db, sqlite3_step(statement));
  must(b, s->db, sqlite3_reset(statement));
  if (sqlite3_changes(s->db) != 1) b->failed = true;
  share(b, s);
}

static void write_followed(bench *b, const vestry_request *req) {
  if (vestry_sql_tab_set(b->states, req, b->state, STATE_BYTES)) b->failed = true;
}

typedef enum what { INSERT, READ, WRITE } what;

static void act(bench *b, what w, side *s, const vestry_request *req) {
  unsigned char buffer[STATE_BYTES];
  bool is_bare = s != &b->followed;
  b->state[s->count % STATE_BYTES]++;
  uint64_t began = bench_now_ns();
  if (w == INSERT)
    insert(b, s);
  else if (w == READ && is_bare)
    read_bare(b, s, buffer);
  else if (w == READ)
    read_followed(b, req, buffer);
  else if (is_bare)
    write_bare(b, s);
  else
    write_followed(b, req);
  s->took_ns[s->count++] = bench_now_ns() - began;
}

/* ---- results ----------------------------------------------------------------------------------------------------- */

static int by_size(const void *a, const void *b) {
  uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
  return left < right ? -1 : left > right;
}

/* Sort times, and return the one at this share. */
static double percentile_us(uint64_t *took_ns, uint64_t count, double share) {
  qsort(took_ns, count, sizeof *took_ns, by_size);
  return (double)took_ns[(uint64_t)((double)count * share)] / 1e3;
}

static int by_ratio(const void *a, const void *b) {
  double left = *(const double *)a, right = *(const double *)b;
  return left < right ? -1 : left > right;
}

/* Return the median of the ratios of the blocks' medians: blocks that ran one after the other had the same conditions.
 * Sorts the times of each block. */
static double ratio_to_bare(bench *b, side *s) {
  const uint64_t blocks = s->count / TURN;
  for (uint64_t i = 0; i < blocks; i++)
    b->ratios[i] =
        percentile_us(s->took_ns + i * TURN, TURN, 0.5) / percentile_us(b->bare.took_ns + i * TURN, TURN, 0.5);
  qsort(b->ratios, blocks, sizeof *b->ratios, by_ratio);
  return b->ratios[blocks / 2];
}

static void measure(bench *b, const char *name, what w, const vestry_request *req) {
  side *sides[] = {&b->bare, &b->followed, &b->hooked};
  const size_t sides_count = sizeof sides / sizeof *sides;
  for (int is_warm = 0; is_warm < 2; is_warm++) {
    b->bare.count = b->followed.count = b->hooked.count = 0;
    for (uint64_t turn = 0; b->followed.count < (is_warm ? b->rounds : TURN) && !b->failed; turn++)
      for (size_t i = 0; i < sides_count; i++) /* the order alternates, too */
        for (int j = 0; j < TURN; j++) act(b, w, sides[(i + turn) % sides_count], req);
  }
  if (b->failed) return;
  const double ratio = ratio_to_bare(b, &b->followed), of_hooks = ratio_to_bare(b, &b->hooked);
  uint64_t *bare_ns = b->bare.took_ns, *ns = b->followed.took_ns, count = b->followed.count;
  const double bare = percentile_us(bare_ns, count, 0.5), followed = percentile_us(ns, count, 0.5);
  printf("%s bare_us=%.2f us=%.2f ratio=%.4f hooks_ratio=%.4f bare_p90=%.2f p90=%.2f rounds=%" PRIu64 "\n", name, bare,
         followed, ratio, of_hooks, percentile_us(bare_ns, count, 0.9), percentile_us(ns, count, 0.9), count);
}

/* Measure the time until commits of a connection that is not attached are detected, at any time between two checks. */
static void measure_others(bench *b) {
  uint64_t rounds = b->rounds / 400 < 5 ? 5 : b->rounds / 400, seen = 0;
  sqlite3 *other;
  vestry_sqlite_stats stats = {0};
  if (!must(b, NULL, sqlite3_open(b->followed.path, &other))) return;
  vestry_sqlite_stats_get(b->database, &stats);
  b->followed.count = 0;
  for (uint64_t i = 0; i < rounds && run(b, other, "INSERT INTO message(channel, body) VALUES(1, 'other')"); i++) {
    uint64_t before = stats.other_commits_count, began = bench_now_ns();
    do {
      nanosleep(&(struct timespec){.tv_nsec = 50000}, NULL);
      vestry_sqlite_stats_get(b->database, &stats);
    } while (stats.other_commits_count == before && bench_now_ns() - began < UINT64_C(5000000000));
    b->followed.took_ns[b->followed.count++] = bench_now_ns() - began;
    seen += stats.other_commits_count - before;
    nanosleep(&(struct timespec){.tv_nsec = (long)(i * 7919 % 50) * 1000000}, NULL);
  }
  sqlite3_close(other);
  if (seen != rounds) b->failed = true;
  if (b->failed) return;
  double p50 = percentile_us(b->followed.took_ns, b->followed.count, 0.5) / 1e3,
         most = percentile_us(b->followed.took_ns, b->followed.count, 0.999) / 1e3;
  printf("others p50_ms=%.1f max_ms=%.1f rounds=%" PRIu64 "\n", p50, most, rounds);
}

/* ---- databases and pages ----------------------------------------------------------------------------------------- */

static const char bare_read[] = "SELECT data FROM vestry_tab WHERE scope = ?1 AND id = ?2",
                  floor_read[] = "SELECT data, expires FROM vestry_tab WHERE scope = ?1 AND id = ?2",
                  bare_write[] = "UPDATE vestry_tab SET data = ?3 WHERE scope = ?1 AND id = ?2",
                  floor_write[] = "UPDATE vestry_tab SET data = ?3 WHERE scope = ?1 AND id = ?2 AND expires >= ?4";

static bool fill_side(bench *b, side *s) {
  char sql[800];
  snprintf(sql, sizeof sql,
           "BEGIN; WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 10000)"
           " INSERT INTO message(channel, body) SELECT i %% 200, '%s' FROM n;"
           "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < %" PRIu64 ")"
           " INSERT INTO vestry_tab SELECT random(), x'61', randomblob(16), zeroblob(%d), unixepoch() + 2000000 + i"
           ", NULL FROM n;"
           "COMMIT",
           body, b->tabs, STATE_BYTES);
  return run(b, s->db, sql) &&
         must(b, s->db,
              sqlite3_prepare_v3(s->db, "INSERT INTO message(channel, body) VALUES(?1, ?2)", -1,
                                 SQLITE_PREPARE_PERSISTENT, &s->insert, NULL)) &&
         must(b, s->db,
              sqlite3_prepare_v3(s->db, s->is_floor ? floor_read : bare_read, -1, SQLITE_PREPARE_PERSISTENT, &s->read,
                                 NULL)) &&
         must(b, s->db,
              sqlite3_prepare_v3(s->db, s->is_floor ? floor_write : bare_write, -1, SQLITE_PREPARE_PERSISTENT,
                                 &s->write, NULL));
}

static bool open_side(bench *b, side *s, const char *folder, const char *name) {
  snprintf(s->path, sizeof s->path, "%s/vestry-bench-%d-%s.db", folder, (int)getpid(), name);
  s->took_ns = calloc(b->rounds + TURN, sizeof *s->took_ns);
  return s->took_ns && must(b, s->db, sqlite3_open(s->path, &s->db)) &&
         run(b, s->db,
             "PRAGMA journal_mode = wal; PRAGMA synchronous = NORMAL;"
             "CREATE TABLE message(id INTEGER PRIMARY KEY, channel INT, body TEXT);"
             "CREATE INDEX message_channel ON message(channel, id)");
}

/* The hooks of the floor, as many as an attached connection has. */
static void on_change(void *ctx, sqlite3 *db, int operation, const char *schema, const char *table,
                      sqlite3_int64 old_rowid, sqlite3_int64 new_rowid) {
  follower *f = ctx;
  (void)db, (void)schema;
  f->noted = (changed_row){.operation = operation, .row = operation == SQLITE_DELETE ? old_rowid : new_rowid};
  for (size_t i = 0; i + 1 < NAME_BYTES && table[i]; i++) f->noted.table[i] = table[i];
  f->has_noted = true;
}
static int on_commit(void *ctx) {
  follower *f = ctx;
  f->has_committed = f->has_noted;
  return 0;
}
static void on_rollback(void *ctx) {
  ((follower *)ctx)->has_noted = false;
}
static int on_statement(unsigned kind, void *ctx, void *statement, void *more) {
  follower *f = ctx;
  (void)statement, (void)more;
  if (kind != SQLITE_TRACE_PROFILE || !f->has_committed) return 0;
  f->has_committed = f->has_noted = false;
  pthread_mutex_lock(&f->lock);
  f->rows[f->rows_count++ % ROWS_MOST] = f->noted;
  pthread_mutex_unlock(&f->lock);
  return 0;
}

static void *follow(void *ctx) {
  follower *f = ctx;
  while (!atomic_load(&f->is_over)) {
    nanosleep(&(struct timespec){.tv_nsec = LOOK_NS}, NULL);
    pthread_mutex_lock(&f->lock);
    for (size_t i = 0; i < f->rows_count && i < ROWS_MOST; i++) f->sum += (uint64_t)f->rows[i].row;
    f->rows_count = 0;
    pthread_mutex_unlock(&f->lock);
  }
  return NULL;
}

static bool set_hooks(bench *b, sqlite3 *db) {
  follower *f = &b->floor;
  pthread_mutex_init(&b->shared, NULL);
  pthread_mutex_init(&f->lock, NULL);
  f->rows = calloc(ROWS_MOST, sizeof *f->rows);
  f->follows = f->rows && !pthread_create(&f->thread, NULL, follow, f);
  if (!f->follows) return false;
  sqlite3_preupdate_hook(db, on_change, f);
  sqlite3_commit_hook(db, on_commit, f);
  sqlite3_rollback_hook(db, on_rollback, f);
  return !sqlite3_trace_v2(db, SQLITE_TRACE_PROFILE | SQLITE_TRACE_STMT, on_statement, f);
}

static void end_floor(follower *f) {
  atomic_store(&f->is_over, true);
  if (f->follows) pthread_join(f->thread, NULL);
  free(f->rows);
}

static bool guard(side *s) {
  char wal[PATH_MOST + 8];
  snprintf(wal, sizeof wal, "%s-wal", s->path);
  s->file = open(s->path, O_PATH | O_CLOEXEC); /* its close releases no lock of SQLite */
  s->wal = open(wal, O_PATH | O_CLOEXEC);
  return s->is_guarded = s->file >= 0 && s->wal >= 0;
}

static void close_side(side *s) {
  char path[PATH_MOST + 8];
  if (s->is_guarded) close(s->file), close(s->wal);
  sqlite3_finalize(s->insert);
  sqlite3_finalize(s->read);
  sqlite3_finalize(s->write);
  sqlite3_close(s->db);
  free(s->took_ns);
  static const char *const ends[] = {"", "-wal", "-shm"};
  for (size_t i = 0; i < 3; i++) {
    snprintf(path, sizeof path, "%s%s", s->path, ends[i]);
    unlink(path);
  }
}

static bool open_followed(bench *b) {
  vestry_err error = vestry_create(NULL, &b->v);
  if (!error) error = vestry_pages_create(b->v, NULL, &b->pages);
  const vestry_sqlite_options options = {.path = b->followed.path, .level = b->level};
  if (!error) error = vestry_sqlite_create(b->pages, &options, &b->database);
  if (!error) error = vestry_sqlite_attach(b->database, b->followed.db, &b->connection);
  const vestry_sqlite_pool_options file = {
      .path = b->followed.path, .setup = "PRAGMA synchronous = NORMAL", .connections_count = 1};
  if (!error) error = vestry_sqlite_pool_create(&file, &b->pool); /* for states of tabs */
  if (!error) error = vestry_sqlite_pool_follow(b->pool, b->database);
  if (!error) error = vestry_sql_tabs_create(b->pages, b->pool, NULL, &b->states);
  if (error) fprintf(stderr, "vestry-bench: sqlite: %s\n", vestry_strerror(error));
  return !error;
}

/* Write the state of the tab on a side that is not followed. */
static void copy_state(bench *b, const side *s) {
  sqlite3_stmt *copy = NULL;
  must(b, s->db,
       sqlite3_prepare_v2(s->db, "INSERT INTO vestry_tab VALUES(?2, ?1, zeroblob(16), ?3, unixepoch() + 2592000, NULL)",
                          -1, &copy, NULL));
  bind_tab(b, copy);
  sqlite3_bind_blob(copy, 3, b->state, STATE_BYTES, SQLITE_STATIC);
  must(b, s->db, sqlite3_step(copy));
  sqlite3_finalize(copy);
}

/* The first request of a tab, which writes its state, so that all sides have one. */
static vestry_err be_tab(const vestry_request *req, vestry_reply *reply, void *app) {
  bench *b = app;
  char id[VESTRY_TAB_ID_BYTES];
  vestry_err error = vestry_tab_id(req, id);
  if (error) return error;
  id[2 * sizeof b->tab] = '\0';
  b->tab = (sqlite3_int64)strtoull(id, NULL, 16);
  write_followed(b, req);
  copy_state(b, &b->bare);
  copy_state(b, &b->hooked);
  if (!b->failed) measure(b, "tab-read", READ, req);
  if (!b->failed) measure(b, "tab-write", WRITE, req);
  return vestry_reply_status(reply, 204);
}

/* Create vestry's tables on a side that is not followed. */
static bool copy_schema(bench *b, sqlite3 *db) {
  return run(b, db,
             "CREATE TABLE vestry_tab(id INTEGER PRIMARY KEY, scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT "
             "NULL, expires INTEGER NOT NULL, person INTEGER) STRICT;CREATE INDEX vestry_tab_expires ON "
             "vestry_tab(expires);CREATE INDEX vestry_tab_scope ON vestry_tab(scope, tab)");
}

static bool measure_all(bench *b) {
  vestry_memory_exchange *exchange = NULL;
  measure(b, "commit", INSERT, NULL);
  if (b->failed || vestry_memory_request(b->v, NULL, be_tab, b, &exchange)) return false;
  vestry_memory_destroy(exchange);
  measure_others(b);
  return !b->failed;
}

static vestry_sqlite_level level_of(const char *name) {
  static const char *const names[] = {"tables", "pages"};
  for (size_t i = 0; i < 2; i++)
    if (strcmp(names[i], name) == 0) return VESTRY_SQLITE_TABLES + (vestry_sqlite_level)i;
  return VESTRY_SQLITE_DEFAULT;
}

int bench_sqlite(int argc, char **argv) {
  const char *folder = "/tmp", *level = "tables";
  static bench b;
  b = (bench){.rounds = 20000, .tabs = 1000, .hooked = {.is_floor = true}};
  const bench_option options[] = {{"--folder", &folder, NULL, 0, 0},
                                  {"--level", &level, NULL, 0, 0},
                                  {"--rounds", NULL, &b.rounds, TURN, 1000000},
                                  {"--tabs", NULL, &b.tabs, 1, 1000000}};
  int status = bench_options(argc, argv, options, sizeof options / sizeof *options);
  if (status) return status;
  b.level = level_of(level);
  if (!b.level) {
    fprintf(stderr, "vestry-bench: sqlite: --level must be tables or pages\n");
    return 2;
  }
  if (b.level == VESTRY_SQLITE_FILE_PAGES && vestry_sqlite_record_pages()) {
    fprintf(stderr, "vestry-bench: sqlite: SQLite %s does not support level FILE_PAGES\n", sqlite3_libversion());
    return 77;
  }
  b.ratios = calloc(b.rounds / TURN + 1, sizeof *b.ratios);
  bool ok = b.ratios && open_side(&b, &b.bare, folder, "bare") && open_side(&b, &b.followed, folder, "followed") &&
            open_side(&b, &b.hooked, folder, "hooked") && open_followed(&b) && set_hooks(&b, b.hooked.db) &&
            copy_schema(&b, b.bare.db) && copy_schema(&b, b.hooked.db) && fill_side(&b, &b.bare) &&
            fill_side(&b, &b.followed) && fill_side(&b, &b.hooked) && guard(&b.hooked) && measure_all(&b);
  vestry_sql_tabs_destroy(b.states);
  vestry_sqlite_pool_follow(b.pool, NULL);
  vestry_sql_pool_destroy(b.pool);
  vestry_sqlite_detach(b.connection);
  vestry_sqlite_destroy(b.database);
  if (b.v) vestry_stop(b.v, 0);
  vestry_pages_destroy(b.pages);
  vestry_destroy(b.v);
  close_side(&b.bare);
  close_side(&b.followed);
  close_side(&b.hooked);
  end_floor(&b.floor);
  free(b.ratios);
  return !ok;
}
