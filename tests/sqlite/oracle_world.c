/* SPDX-License-Identifier: MIT */
/* A world: files, connections and an instance with pages, generated from a seed. */
#include "sqlite/oracle.h"

#include <stdio.h>
#include <stdlib.h>

#include "data/sqlite/sqlite.h"
#include "runtime/random.h"
#include "sqlite/level.h"
#include "support/patience.h"

#define chance oracle_chance

static uint64_t state_of_chance, state_inside, state_of_failures;

unsigned oracle_chance(unsigned below) {
  return (unsigned)random_below(&state_of_chance, below);
}

unsigned oracle_chance_inside(unsigned below) {
  return (unsigned)random_below(&state_inside, below);
}

oracle_kind oracle_kind_of(uint64_t seed) {
  static const oracle_kind kinds[16] = {ORACLE_BY_PAGES,   ORACLE_BY_PAGES,  ORACLE_BY_TABLES, ORACLE_BY_PAGES,
                                        ORACLE_BY_PAGES,   ORACLE_BY_TABLES, ORACLE_BY_PAGES,  ORACLE_BY_JOURNAL,
                                        ORACLE_BY_PAGES,   ORACLE_BY_PAGES,  ORACLE_BY_TABLES, ORACLE_BY_PAGES,
                                        ORACLE_BY_JOURNAL, ORACLE_BY_TABLES, ORACLE_BY_PAGES,  ORACLE_ALONE};
  oracle_kind kind = kinds[seed % 16];
  return kind == ORACLE_BY_PAGES && !level_has_pages() ? ORACLE_BY_TABLES : kind;
}

/* ---------------------------------------------------------------------------------------------------- renders ----- */

/* The database's thread may do so at any time. */
static void look(oracle_world *w) {
  vsi_mutex_lock(&w->database->lock);
  (void)vsi_sqlite_look(w->database);
  vsi_mutex_unlock(&w->database->lock);
  uint64_t seq = 0;
  vsi_sqlite_index_follow(w->database->index, &seq);
}

static void *follow_continuously(void *ctx) {
  oracle_world *w = ctx;
  while (!atomic_load(&w->is_over)) {
    look(w);
    sched_yield();
  }
  return NULL;
}

/* An observer registered before the database's is called last: the reads are recorded, and the page does not depend
 * on them yet. */
static void begin(vestry_render *render, void *ctx) {}

static void end(vestry_render *render, void *ctx) {
  oracle_world *w = ctx;
  if (w->is_chaotic && oracle_chance_inside(4) == 0) look(w);
}

/* Another connection commits during a render. The world's random sequence continues afterwards as if nothing had
 * happened. */
static void interrupt(oracle_world *w) {
  uint64_t outside = state_of_chance;
  state_of_chance = state_inside;
  w->chaos--;
  oracle_note(w, "-- inside of a render");
  oracle_change(w, w->has_process && chance(2) ? ORACLE_PROCESS : ORACLE_OTHER);
  if (chance(2)) look(w);
  state_inside = state_of_chance;
  state_of_chance = outside;
}

static uint64_t mix(uint64_t hash, uint64_t word) {
  hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
  return hash ^ hash >> 31;
}

/* Report a failed read, as the pool does without a free connection or for a failed statement, after some of the
 * page's reads. */
static bool fails(oracle_world *w) {
  if (!w->has_failures || random_below(&state_of_failures, 24)) return false;
  vsi_sqlite_reads_fail(w->database, false, VESTRY_LIMIT);
  return true;
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  oracle_world *w = app;
  oracle_page *p = &w->all[strtoul(render->request->query, NULL, 10)];
  uint64_t shown = 3;
  p->renders++;
  p->has_failed = false;
  for (int i = 0; i < p->queries_count && !(p->has_failed = fails(w)); i++) {
    oracle_query *query = &p->queries[i];
    if (w->is_chaotic && w->chaos && oracle_chance_inside(6) == 0) interrupt(w);
    query->shown = oracle_ask(w->db[ORACLE_READER], query, p->keeps ? &query->kept : NULL);
    shown = mix(shown, query->shown);
  }
  p->shown = p->has_failed ? 0 : shown;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%llu</b>", (unsigned long long)shown);
  return vestry_render_end(render, html);
}

uint64_t oracle_world_truth(oracle_world *w, oracle_page *p) {
  uint64_t all = 3;
  for (int i = 0; i < p->queries_count; i++)
    all = mix(all, oracle_ask(w->db[ORACLE_TRUTH], &p->queries[i], &p->queries[i].truth));
  return all;
}

/* A page that shows a failure renders again after a while, unless a commit comes first. */
static bool wait_for_failed(oracle_world *w) {
  bool has_failed = false;
  for (int i = 0; i < w->pages_count; i++) has_failed |= w->all[i].has_failed;
  if (!has_failed) return false;
  test_host_advance_ms(&w->th, 1000);
  vestry_memory_settle(w->v);
  return true;
}

void oracle_world_settle(oracle_world *w) {
  w->chaos = 3;
  if (w->has_failures && !random_below(&state_of_failures, 8)) /* a day at most */
    test_host_advance_ms(&w->th, UINT64_C(1) << random_below(&state_of_failures, 27));
  /* Under exclusive locking only the connection itself can find out whether a statement reset early has committed. */
  if (w->is_alone) oracle_must(w->db[0], "SELECT 1");
  for (int i = 0, waits = 0; i < 8; i++) {
    unsigned before = w->chaos;
    vestry_err error = vestry_sqlite_sync(w->database, NULL);
    for (int j = 0; error && j < w->last_count; j++) print_message("  wrote %s\n", w->last_sql[j]);
    assert_int_equal(error, VESTRY_OK);
    assert_int_equal(vestry_pages_settle(w->pages, UINT64_MAX, PATIENCE_S * 1000), VESTRY_OK);
    if (wait_for_failed(w) && waits++ < 200)
      i = -1;
    else if (before == w->chaos)
      return;
  }
}

uint32_t oracle_world_number(oracle_world *w) {
  return vsi_sqlite_frames_number(w->database->wal_index);
}

/* ----------------------------------------------------------------------------------------------- open and close --- */

static void open_connection(oracle_world *w, oracle_who who) {
  char sql[ORACLE_SQL_BYTES];
  sqlite3 **db = &w->db[who];
  assert_int_equal(sqlite3_open(w->path, db), SQLITE_OK);
  if (who == ORACLE_WRITER) {
    snprintf(sql, sizeof sql, "PRAGMA page_size = %d; PRAGMA auto_vacuum = %d; PRAGMA journal_mode = %s",
             512 << chance(4), chance(2) ? 0 : (int)chance(3), w->is_wal ? "WAL" : "DELETE");
    oracle_must(*db, sql);
  }
  snprintf(sql, sizeof sql,
           "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = %d; PRAGMA wal_autocheckpoint = %d",
           chance(2) ? 5 : 500, chance(2) ? 10 : 1000);
  oracle_must(*db, sql);
  oracle_long_prepare(*db);
  if (chance(4) == 0) oracle_must(*db, "PRAGMA mmap_size = 268435456");
}

/* The file attached by SQL, whose content is not followed. */
static void open_side(oracle_world *w) {
  sqlite3 *db;
  assert_int_equal(sqlite3_open(w->side, &db), SQLITE_OK);
  oracle_must(db, "PRAGMA journal_mode = MEMORY; PRAGMA synchronous = OFF; CREATE TABLE fixed(k); INSERT INTO fixed "
                  "VALUES(2), (4), (7); CREATE TABLE log(x); INSERT INTO log VALUES(1)");
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void open_files(oracle_world *w) {
  folder_make(w->folder, "oracle");
  snprintf(w->path, sizeof w->path, "%s/oracle.db", w->folder);
  snprintf(w->side, sizeof w->side, "%s/side.db", w->folder);
  for (int i = 0; i < ORACLE_CONNECTIONS; i++) {
    if (i == 0 || !w->is_alone)
      open_connection(w, (oracle_who)i);
    else
      w->db[i] = w->db[0];
  }
  if (w->has_process) oracle_process_open(w->path, w->has_peers, state_of_failures);
  oracle_schema_make(w);
  if (!w->has_temporary) return;
  open_side(w);
  char sql[ORACLE_SQL_BYTES];
  snprintf(sql, sizeof sql, "ATTACH '%s' AS side", w->side);
  oracle_must(w->db[ORACLE_WRITER], sql);
  oracle_must(w->db[ORACLE_SECOND], sql);
  oracle_schema_make_temporary(w, w->db[ORACLE_TRUTH]);
  if (chance(2)) oracle_schema_make_temporary(w, w->db[ORACLE_READER]);
}

static bool has_own(sqlite3 *db) {
  return sqlite3_table_column_metadata(db, "temp", "own", NULL, NULL, NULL, NULL, NULL, NULL) == SQLITE_OK;
}

static void attach(oracle_world *w) {
  for (int i = 0; i < 3; i++)
    if (i == ORACLE_READER || !w->is_alone)
      assert_int_equal(vestry_sqlite_attach(w->database, w->db[i], &w->attached[i]), VESTRY_OK);
  /* The TEMP objects may be created before or after the attach. */
  if (w->has_temporary && !has_own(w->db[ORACLE_READER])) oracle_schema_make_temporary(w, w->db[ORACLE_READER]);
  if (w->is_alone) oracle_must(w->db[0], "PRAGMA locking_mode = EXCLUSIVE");
}

static void follow(oracle_world *w) {
  const vestry_options own = {.host = &w->th.host, .threads_count = VESTRY_THREADS_NONE};
  const vestry_render_observer observer = {.begin = begin, .end = end, .ctx = w};
  vestry_sqlite_options options = {.path = w->path,
                                   .level = w->level,
                                   .poll_ms = 60000,
                                   .max_file_pages = chance(4) ? 0 : 1 + chance(30),
                                   .max_bytes = chance(6) ? 0 : 1 + chance(20000)};
  vestry_page *made;
  if (w->is_bounded) options.max_bytes = 1 + oracle_chance_inside(200);
  assert_int_equal(vestry_create(&own, &w->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(w->v, NULL, &w->pages), VESTRY_OK);
  assert_int_equal(vestry_page_create(w->pages, &(vestry_page_options){.render = render, .app = w}, &made), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/page", vestry_page_handler, made), VESTRY_OK);
  assert_int_equal(vestry_pages_observe(w->pages, &observer), VESTRY_OK);
  assert_int_equal(vestry_sqlite_create(w->pages, &options, &w->database), VESTRY_OK);
  if (w->is_bounded) w->database->tables.max_changes_count = 1 + oracle_chance_inside(6);
}

static void open_pages(oracle_world *w) {
  w->pages_count = 5 + (int)chance(ORACLE_PAGES_MOST - 5);
  for (int i = 0; i < w->pages_count; i++) {
    oracle_page *p = &w->all[i];
    char query[16];
    p->queries_count = 1 + (int)chance(chance(2) ? 1 : ORACLE_QUERIES_MOST);
    p->keeps = chance(4);
    for (int j = 0; j < p->queries_count; j++) oracle_query_make(w, &p->queries[j]);
    snprintf(query, sizeof query, "%d", i);
    const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
    assert_int_equal(vestry_memory_request(w->v, &call, NULL, NULL, &p->stream), VESTRY_OK);
  }
}

void oracle_world_open(oracle_world *w, uint64_t seed, bool has_looker, bool is_bounded) {
  memset(w, 0, sizeof *w);
  state_of_chance = seed * 1000003;
  state_inside = seed * 1000003 + 500009;
  state_of_failures = seed * 1000003 + 700001;
  test_host_init(&w->th);
  w->kind = oracle_kind_of(seed);
  w->is_alone = w->kind == ORACLE_ALONE;
  w->is_wal = w->kind <= ORACLE_BY_TABLES;
  w->level = w->kind == ORACLE_BY_PAGES ? VESTRY_SQLITE_FILE_PAGES : VESTRY_SQLITE_TABLES;
  w->is_chaotic = chance(3) == 0 && w->is_wal;
  w->is_plain = chance(3) == 0;
  w->is_keyed = !w->is_plain && chance(2);
  w->is_analyzed = chance(3) == 0;
  w->has_temporary = chance(4) == 0 && !w->is_alone;
  w->has_virtual = chance(6) == 0;
  w->is_long = seed % 3 == 2;
  w->has_failures = seed % 3 == 1;
  w->is_bounded = is_bounded;
  w->has_process = (chance(2) || getenv("VESTRY_PEERS")) && !w->is_alone;
  w->has_peers = w->has_process && w->is_wal && (seed % 4 < 2 || getenv("VESTRY_PEERS"));
  open_files(w);
  follow(w);
  attach(w);
  w->has_looker = has_looker;
  if (has_looker) { /* with a rollback journal the follower locks the file for moments */
    sqlite3_busy_timeout(w->db[ORACLE_READER], 10000);
    sqlite3_busy_timeout(w->db[ORACLE_TRUTH], 10000);
  }
  if (has_looker) assert_int_equal(pthread_create(&w->looker, NULL, follow_continuously, w), 0);
  open_pages(w);
  oracle_world_settle(w);
}

uint64_t oracle_world_close(oracle_world *w) {
  vestry_sqlite_stats stats = {0};
  atomic_store(&w->is_over, true);
  if (w->has_looker) assert_int_equal(pthread_join(w->looker, NULL), 0);
  vestry_sqlite_stats_get(w->database, &stats);
  if (w->is_bounded) assert_true(stats.table_level_count > 0);
  for (int i = 0; i < w->pages_count; i++) {
    vestry_memory_destroy(w->all[i].stream);
    for (int j = 0; j < ORACLE_QUERIES_MOST; j++) {
      sqlite3_finalize(w->all[i].queries[j].kept);
      sqlite3_finalize(w->all[i].queries[j].truth);
    }
  }
  vestry_memory_settle(w->v);
  for (int i = 0; i < 3; i++) vestry_sqlite_detach(w->attached[i]);
  vestry_sqlite_destroy(w->database);
  vestry_stop(w->v, 0);
  vestry_pages_destroy(w->pages);
  vestry_destroy(w->v);
  if (w->has_process) oracle_process_close();
  for (int i = 0; i < (w->is_alone ? 1 : ORACLE_CONNECTIONS); i++) assert_int_equal(sqlite3_close(w->db[i]), SQLITE_OK);
  test_host_assert_clean(&w->th);
  folder_remove(w->folder);
  return stats.whole_count;
}
