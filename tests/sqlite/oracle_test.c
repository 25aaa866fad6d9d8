/* The oracle of exact refresh: random schemas, random pages over them, random commits. After each commit every page's
 * true result is computed afresh, and must be what the page shows: a page that is not is a miss. How many were rendered
 * for nothing is counted.
 *
 *     VESTRY_SEED=1 VESTRY_COMMITS=100000 test_sqlite_oracle     a long run; it says what it counted
 *
 * Each 400 commits (VESTRY_COMMITS_A_WORLD) are a world of their own, with the next seed; then come those with a thread
 * that looks all the time (VESTRY_LOOKED_COMMITS). scripts/oracle goes from run to run: no world comes twice. */
#include <stdlib.h>
#include <unistd.h>

#include "runtime/random.h"
#include "sqlite/sqlite.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/memory.h"
#include "vestry/sqlite.h"
#include "vestry/vestry.h"

enum {
  TABLES = 4,
  VIEWS = 2,
  PAGES_MOST = 24,
  QUERIES_MOST = 3,
  STATEMENTS_MOST = 9,
  COMMITS_A_WORLD = 400,
  SQL_BYTES = 1024,
  COMMITS_SHORT = 4000,
  COMMITS_LOOKED = 800
};

static uint64_t state_of_chance;

static unsigned chance(unsigned below) {
  return (unsigned)random_below(&state_of_chance, below);
}

/* How the database is followed. */
typedef enum kind { BY_PAGES, BY_TABLES, BY_JOURNAL, KINDS } kind;
static const char *const kind_names[KINDS] = {"pages", "tables", "tables, rollback journal"};

static kind kind_of(uint64_t seed) {
  static const kind kinds[8] = {BY_PAGES, BY_PAGES, BY_TABLES, BY_PAGES, BY_PAGES, BY_TABLES, BY_PAGES, BY_JOURNAL};
  return kinds[seed % 8];
}

typedef struct tally {
  uint64_t commits, changed, rendered, too_many, missed, refreshed_whole;
} tally;

/* A page: what it asks, and what it shows. */
typedef struct page {
  char queries[QUERIES_MOST][SQL_BYTES];
  bool is_ordered[QUERIES_MOST];
  int queries_count;
  bool keeps;                       /* its statements, from render to render */
  sqlite3_stmt *kept[QUERIES_MOST]; /* the reader's */
  sqlite3_stmt *truth[QUERIES_MOST];
  vestry_memory_exchange *stream;
  uint64_t shown, true_result;
  unsigned renders;
} page;

typedef struct world {
  test_host th;
  char folder[64], path[96];
  vestry_sqlite_level level;
  bool is_wal;
  bool without_rowid[TABLES];
  int views[VIEWS]; /* which table they are of */
  int indexes;
  vestry *v;
  vestry_pages *pages;
  vestry_sqlite *database;
  sqlite3 *writer, *reader; /* attached */
  sqlite3 *other, *truth;   /* not */
  vestry_sqlite_connection *attached[2];
  page all[PAGES_MOST];
  int pages_count;
  bool is_plain;    /* tables without indexes, whose rows grow and move about */
  bool is_chaotic;  /* something is committed inside of renders */
  unsigned chaos;   /* how many times more */
  pthread_t looker; /* looks all the time, if there is one */
  bool has_looker;
  _Atomic(bool) is_over;
  char last_sql[STATEMENTS_MOST][SQL_BYTES];
  int last_count;
} world;

/* --------------------------------------------------------------------------------------------------- running ------ */

/* Whether it is done. A constraint, a lock and a table that is gone are no faults here. */
static bool try_sql(sqlite3 *db, const char *sql) {
  char *message = NULL;
  int result = sqlite3_exec(db, sql, NULL, NULL, &message);
  if (result && result != SQLITE_CONSTRAINT && result != SQLITE_BUSY && result != SQLITE_LOCKED &&
      result != SQLITE_ERROR)
    fail_msg("%s: %s", sql, message);
  sqlite3_free(message);
  return !result;
}

/* Waits for the thread that looks, which has the file for a moment. */
static void must(sqlite3 *db, const char *sql) {
  char *message = NULL;
  sqlite3_busy_timeout(db, 10000);
  if (sqlite3_exec(db, sql, NULL, NULL, &message)) fail_msg("%s: %s", sql, message);
  sqlite3_busy_timeout(db, 0);
}

static uint64_t mix(uint64_t hash, const void *data, size_t len) {
  for (size_t i = 0; i < len; i++) hash = (hash ^ ((const unsigned char *)data)[i]) * UINT64_C(1099511628211);
  return hash;
}

static uint64_t hash_row(sqlite3_stmt *row) {
  uint64_t hash = UINT64_C(14695981039346656037);
  for (int i = 0; i < sqlite3_column_count(row); i++) {
    int type = sqlite3_column_type(row, i);
    const void *text = sqlite3_column_blob(row, i);
    hash = mix(hash, &type, sizeof type);
    hash = mix(hash, text, (size_t)sqlite3_column_bytes(row, i));
  }
  return hash;
}

/* Rows in their order, or in any. */
static uint64_t run_query(sqlite3_stmt *statement, bool is_ordered) {
  uint64_t all = 7;
  int result;
  while ((result = sqlite3_step(statement)) == SQLITE_ROW) {
    uint64_t hash = hash_row(statement);
    all = is_ordered ? mix(all, &hash, sizeof hash) : all + hash * 31;
  }
  if (result != SQLITE_DONE) all = (uint64_t)result & 0xff; /* an error is a result too */
  sqlite3_reset(statement);
  return all;
}

static uint64_t ask(sqlite3 *db, const char *sql, bool is_ordered, sqlite3_stmt **kept) {
  sqlite3_stmt *statement = kept ? *kept : NULL;
  if (!statement && sqlite3_prepare_v2(db, sql, -1, &statement, NULL)) return 1;
  uint64_t result = run_query(statement, is_ordered);
  if (kept)
    *kept = statement;
  else
    sqlite3_finalize(statement);
  return result;
}

/* ----------------------------------------------------------------------------------------------------- schema ----- */

static const char *table(char name[8]) {
  snprintf(name, 8, "t%u", chance(TABLES));
  return name;
}

static void make_table(world *w, int number) {
  char sql[SQL_BYTES];
  static const char *const generated[] = {"", ", g AS (a + b)", ", g AS (a * 2) STORED"};
  w->without_rowid[number] = chance(3) == 0;
  const char *key = w->without_rowid[number] ? "k INTEGER, id INTEGER"
                    : chance(3)              ? "k, id INTEGER PRIMARY KEY"
                                             : "k, id";
  const char *end = w->without_rowid[number] ? ", PRIMARY KEY(k, id)) WITHOUT ROWID" : ")";
  const char *parent = number == 1 && chance(2) ? " REFERENCES t0(u) ON DELETE CASCADE ON UPDATE CASCADE" : "";
  snprintf(sql, sizeof sql, "CREATE TABLE t%d(%s, a INT, b INT, c TEXT, d, e%s, u INT%s%s%s", number, key, parent,
           number == 0 || chance(4) == 0 ? " UNIQUE" : "", generated[chance(3)], end);
  must(w->writer, sql);
}

static void make_index(world *w, sqlite3 *db) {
  static const char *const of[] = {"a", "b, c", "a) WHERE (b > 3", "a + b", "e", "k, a", "c, d", "u, a, b"};
  char sql[SQL_BYTES], name[8];
  snprintf(sql, sizeof sql, "CREATE INDEX IF NOT EXISTS i%d ON %s(%s)", w->indexes++ % 12, table(name), of[chance(8)]);
  must(db, sql);
}

static void make_view(world *w, sqlite3 *db, int number) {
  char sql[SQL_BYTES];
  w->views[number] = (int)chance(TABLES);
  snprintf(sql, sizeof sql, "DROP VIEW IF EXISTS v%d", number);
  must(db, sql);
  snprintf(sql, sizeof sql, "CREATE VIEW v%d AS SELECT k, a, b, c FROM t%d WHERE a < %u", number, w->views[number],
           5 + chance(20));
  must(db, sql);
}

static void make_trigger(world *w, int number) {
  char sql[SQL_BYTES], one[8];
  unsigned to = chance(TABLES - 1) + 1; /* never into the first: it ends somewhere */
  static const char *const when[] = {"INSERT", "UPDATE OF a", "DELETE"};
  snprintf(sql, sizeof sql, "CREATE TRIGGER r%d AFTER %s ON t0 BEGIN UPDATE t%u SET b = b + 1 WHERE k = %s.k; END",
           number, when[number % 3], to, number % 3 == 2 ? "old" : "new");
  (void)one;
  must(w->writer, sql);
}

/* A row's values, as SQL. */
static void values(char *sql, size_t room) {
  char text[4] = {(char)('a' + chance(8)), (char)('a' + chance(26)), '\0'};
  unsigned len = chance(12) == 0 ? 500 + chance(4000) : chance(30);
  snprintf(sql, room, "%u, %u, %u, %u, '%s', %s(%u), %u, %u", chance(12), chance(400), chance(25), chance(10), text,
           chance(2) ? "zeroblob" : "hex", len, chance(6), chance(300));
}

/* ---------------------------------------------------------------------------------------------------- queries ----- */

static bool make_query(const world *w, char *sql) {
  char one[8], two[8];
  unsigned k = chance(12), n = chance(25);
  table(one);
  table(two);
  if (w->is_plain && chance(4)) {
    snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE id = %u", one, chance(400));
    return false;
  }
  switch (chance(30)) {
  case 0:
    snprintf(sql, SQL_BYTES, "SELECT a, c FROM %s WHERE k = %u ORDER BY id, a, c LIMIT %u", one, k, 1 + n);
    return true;
  case 1: snprintf(sql, SQL_BYTES, "SELECT count(*) FROM %s", one); return true;
  case 2:
    snprintf(sql, SQL_BYTES, "SELECT count(*), sum(a) FROM %s WHERE a BETWEEN %u AND %u", one, n, n + 4);
    return true;
  case 3: snprintf(sql, SQL_BYTES, "SELECT max(a), min(b) FROM %s WHERE k = %u", one, k); return true;
  case 4:
    snprintf(sql, SQL_BYTES, "SELECT EXISTS(SELECT 1 FROM %s WHERE k = %u AND a = %u)", one, k + 3, n);
    return true;
  case 5:
    snprintf(sql, SQL_BYTES, "SELECT x.a, y.b FROM %s x JOIN %s y ON x.k = y.k AND y.a = %u", one, two, n);
    return false;
  case 6: snprintf(sql, SQL_BYTES, "SELECT k, count(*), max(c) FROM %s GROUP BY k ORDER BY k", one); return true;
  case 7:
    snprintf(sql, SQL_BYTES, "SELECT a, b FROM %s ORDER BY a DESC, b, k LIMIT %u OFFSET %u", one, 1 + chance(8),
             chance(4));
    return true;
  case 8: snprintf(sql, SQL_BYTES, "SELECT length(d), c FROM %s WHERE k = %u", one, k); return false;
  case 9: snprintf(sql, SQL_BYTES, "SELECT d FROM %s WHERE id = %u AND k = %u", one, chance(400), k); return false;
  case 10: snprintf(sql, SQL_BYTES, "SELECT * FROM v%u WHERE k = %u", chance(VIEWS), k); return false;
  case 11: snprintf(sql, SQL_BYTES, "SELECT count(*) FROM v%u", chance(VIEWS)); return true;
  case 12: snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE a + b = %u", one, n); return false;
  case 13:
    snprintf(sql, SQL_BYTES, "SELECT e, u FROM %s WHERE u > %u ORDER BY u, e LIMIT 3", one, chance(300));
    return true;
  case 14:
    snprintf(sql, SQL_BYTES, "SELECT a FROM %s WHERE k IN (SELECT k FROM %s WHERE a = %u)", one, two, n);
    return false;
  case 15:
    snprintf(sql, SQL_BYTES,
             "WITH RECURSIVE s(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM s WHERE i < 3) SELECT i, (SELECT count(a) "
             "FROM %s WHERE k = i + %u) FROM s",
             one, chance(8));
    return true;
  case 16:
    snprintf(sql, SQL_BYTES, "SELECT id, a FROM %s WHERE id > %u ORDER BY id LIMIT 2", one, chance(400));
    return true;
  case 17: snprintf(sql, SQL_BYTES, "SELECT k FROM %s EXCEPT SELECT k FROM %s ORDER BY 1", one, two); return true;
  case 18: snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE b > 3 AND a = %u", one, n); return false;
  case 19:
    snprintf(sql, SQL_BYTES, "SELECT x.k FROM %s x LEFT JOIN %s y USING(k, a) WHERE y.b IS NULL AND x.k = %u", one, two,
             k);
    return false;
  case 22:
    snprintf(sql, SQL_BYTES, "SELECT count(*) FROM (SELECT k, a FROM %s) NATURAL JOIN (SELECT k, a FROM %s)", one, two);
    return true;
  case 23:
    snprintf(sql, SQL_BYTES, "SELECT k, a FROM %s WHERE (k, a) IN (SELECT k, b FROM %s) ORDER BY 1, 2 LIMIT 5", one,
             two);
    return true;
  case 24:
    snprintf(sql, SQL_BYTES,
             "SELECT k, sum(CASE WHEN b > 4 THEN a END) FROM %s GROUP BY k HAVING max(e) > 2 ORDER BY k", one);
    return true;
  case 25: snprintf(sql, SQL_BYTES, "SELECT count(*) FILTER (WHERE e = %u) FROM %s", chance(6), one); return true;
  case 26:
    snprintf(sql, SQL_BYTES, "SELECT (SELECT max(y.c) FROM %s y WHERE y.k = x.a) FROM %s x WHERE x.k = %u", two, one,
             k);
    return false;
  case 27:
    snprintf(sql, SQL_BYTES, "SELECT k FROM %s UNION SELECT u FROM %s WHERE e = 2 ORDER BY 1 LIMIT 9", one, two);
    return true;
  case 28:
    snprintf(sql, SQL_BYTES, "SELECT count(DISTINCT c), group_concat(DISTINCT b) IS NULL FROM %s WHERE k < %u", one, k);
    return true;
  case 21: snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE a > %u LIMIT 2", one, n); return true;
  case 20:
    snprintf(sql, SQL_BYTES, "SELECT a, row_number() OVER (ORDER BY a, b) FROM %s WHERE k = %u ORDER BY 2", one, k);
    return true;
  default:
    snprintf(sql, SQL_BYTES, "SELECT c FROM %s WHERE c >= '%c' ORDER BY c, a, b, k LIMIT 1", one, 'a' + (int)chance(9));
    return true;
  }
}

/* ---------------------------------------------------------------------------------------------------- commits ----- */

static void make_change(const world *w, char *sql) {
  char one[8], two[8], row[160];
  unsigned k = chance(12), n = chance(25);
  table(one);
  table(two);
  values(row, sizeof row);
  if (w->is_plain && chance(4)) {
    unsigned tail = chance(50);
    switch (chance(4)) {
    case 0: snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE k = %u", one, chance(120), k); return;
    case 1:
      snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE id %% 50 = %u", one, chance(120), tail);
      return;
    case 2: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE id %% 50 = %u", one, n, tail); return;
    default: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE k = %u", one, n, k);
    }
    return;
  }
  switch (chance(26)) {
  case 0:
  case 1:
  case 2:
  case 3:
  case 4:
  case 5:
  case 6:
  case 7: snprintf(sql, SQL_BYTES, "INSERT INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", one, row); return;
  case 8:
  case 9: snprintf(sql, SQL_BYTES, "INSERT OR REPLACE INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", one, row); return;
  case 10: snprintf(sql, SQL_BYTES, "UPDATE %s SET a = %u WHERE id = %u", one, n, chance(400)); return;
  case 11: snprintf(sql, SQL_BYTES, "UPDATE %s SET b = b + 1 WHERE k = %u", one, k); return;
  case 12:
    snprintf(sql, SQL_BYTES, "UPDATE OR IGNORE %s SET k = %u WHERE k = %u AND a = %u", one, k, chance(12), n);
    return;
  case 13: snprintf(sql, SQL_BYTES, "UPDATE OR REPLACE %s SET id = id + 1 WHERE k = %u AND a = %u", one, k, n); return;
  case 14:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = hex(zeroblob(%u)) WHERE id = %u", one, chance(3000), chance(400));
    return;
  case 15:
    snprintf(sql, SQL_BYTES, "UPDATE %s SET d = substr(d, 1, length(d) - 1) || 'x' WHERE k = %u AND length(d) > 900",
             one, k);
    return;
  case 16:
  case 17: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE id = %u", one, chance(400)); return;
  case 18: snprintf(sql, SQL_BYTES, "DELETE FROM %s WHERE k = %u AND a > %u", one, k, n); return;
  case 19: snprintf(sql, SQL_BYTES, chance(20) ? "UPDATE %s SET c = c WHERE k = 1" : "DELETE FROM %s", one); return;
  case 20:
    snprintf(sql, SQL_BYTES,
             "INSERT OR IGNORE INTO %s(k, id, a, b, c, d, e, u) SELECT k, id + 1, a, b, c, d, e, u + 300 FROM %s WHERE "
             "k = %u LIMIT 30",
             one, two, k);
    return;
  case 21: snprintf(sql, SQL_BYTES, "UPDATE %s SET e = e + 1 WHERE k = %u", one, k); return;
  case 22: snprintf(sql, SQL_BYTES, "UPDATE %s SET u = u + 1000 WHERE u = %u", one, chance(300)); return;
  case 23: snprintf(sql, SQL_BYTES, "UPDATE %s SET c = '%c' || c WHERE k = %u", one, 'a' + (int)chance(9), k); return;
  case 24:
    snprintf(sql, SQL_BYTES, "INSERT INTO %s(k, id, a, b, c, d, e, u) VALUES(%s) ON CONFLICT DO UPDATE SET e = 9", one,
             row);
    return;
  default: snprintf(sql, SQL_BYTES, "UPDATE %s SET d = '%u' WHERE k = %u", one, n, k); return;
  }
}

static void note(world *w, const char *sql) {
  if (w->last_count < STATEMENTS_MOST) snprintf(w->last_sql[w->last_count++], SQL_BYTES, "%s", sql);
}

static void change(world *w, sqlite3 *db) {
  char sql[SQL_BYTES];
  make_change(w, sql);
  note(w, sql);
  (void)try_sql(db, sql);
}

static void change_together(world *w, sqlite3 *db) {
  if (!try_sql(db, chance(2) ? "BEGIN IMMEDIATE" : "BEGIN")) return;
  for (unsigned i = 1 + chance(5); i--;) {
    unsigned how = chance(8);
    if (how == 0) (void)try_sql(db, "SAVEPOINT s");
    change(w, db);
    if (how == 0 && chance(2)) {
      note(w, "ROLLBACK TO s");
      (void)try_sql(db, "ROLLBACK TO s");
    }
  }
  const char *end = chance(5) ? "COMMIT" : "ROLLBACK";
  note(w, end);
  (void)try_sql(db, end);
  if (!sqlite3_get_autocommit(db)) (void)try_sql(db, "ROLLBACK");
}

static void change_schema(world *w, sqlite3 *db) {
  char sql[SQL_BYTES], name[8];
  static int columns;
  note(w, "schema");
  switch (chance(5)) {
  case 0: make_index(w, db); return;
  case 1:
    snprintf(sql, sizeof sql, "DROP INDEX IF EXISTS i%u", chance(12));
    must(db, sql);
    return;
  case 2:
  case 3: make_view(w, db, (int)chance(VIEWS)); return;
  default:
    snprintf(sql, sizeof sql, "ALTER TABLE %s ADD COLUMN z%d DEFAULT 1", table(name), columns++);
    (void)try_sql(db, sql);
    return;
  }
}

static void care_for_file(world *w, sqlite3 *db) {
  static const char *const all[] = {"PRAGMA wal_checkpoint(PASSIVE)",
                                    "PRAGMA wal_checkpoint(FULL)",
                                    "PRAGMA wal_checkpoint(RESTART)",
                                    "PRAGMA wal_checkpoint(TRUNCATE)",
                                    "PRAGMA incremental_vacuum(3)",
                                    "PRAGMA incremental_vacuum",
                                    "VACUUM",
                                    "REINDEX"};
  const char *sql = all[chance(chance(4) ? 6 : 8)];
  note(w, sql);
  (void)try_sql(db, sql);
}

/* One to a few commits, or none. */
static void commit(world *w) {
  sqlite3 *db = chance(3) ? w->writer : w->other;
  unsigned how = chance(100);
  w->last_count = 0;
  note(w, db == w->writer ? "-- attached" : "-- other");
  if (how < 60)
    change(w, db);
  else if (how < 85)
    change_together(w, db);
  else if (how < 87)
    change_schema(w, db);
  else if (how < 93)
    care_for_file(w, db);
  else
    for (unsigned i = 2 + chance(5); i--;) change(w, chance(2) ? w->writer : w->other);
}

/* ----------------------------------------------------------------------------------------------------- the site --- */

/* As the database's thread may at any time. */
static void look(world *w) {
  pthread_mutex_lock(&w->database->lock);
  (void)vsi_sqlite_look(w->database);
  pthread_mutex_unlock(&w->database->lock);
}

static void *look_all_the_time(void *ctx) {
  world *w = ctx;
  while (!atomic_load(&w->is_over)) {
    look(w);
    sched_yield();
  }
  return NULL;
}

/* An observer that was there before the database's: it is told last, when what was read is known, and the page does not
 * depend on it yet. */
static void begin(vestry_render *render, void *ctx) {
  (void)render, (void)ctx;
}

static void end(vestry_render *render, void *ctx) {
  world *w = ctx;
  (void)render;
  if (w->is_chaotic && chance(4) == 0) look(w);
}

static vestry_err render(vestry_render *render, vestry_html *html, void *app) {
  world *w = app;
  page *p = &w->all[strtoul(vestry_request_query(vestry_render_request(render)), NULL, 10)];
  uint64_t shown = 3;
  p->renders++;
  for (int i = 0; i < p->queries_count; i++) {
    if (w->is_chaotic && w->chaos && chance(6) == 0) {
      w->chaos--;
      change(w, w->other);
      if (chance(2)) look(w);
    }
    uint64_t result = ask(w->reader, p->queries[i], p->is_ordered[i], p->keeps ? &p->kept[i] : NULL);
    shown = mix(shown, &result, sizeof result);
  }
  p->shown = shown;
  vestry_render_begin(render, html);
  vestry_html_add(html, "<b>%llu</b>", (unsigned long long)shown);
  return vestry_render_end(render, html);
}

static uint64_t truth_of(world *w, page *p) {
  uint64_t all = 3;
  for (int i = 0; i < p->queries_count; i++) {
    uint64_t result = ask(w->truth, p->queries[i], p->is_ordered[i], &p->truth[i]);
    all = mix(all, &result, sizeof result);
  }
  return all;
}

static void open_files(world *w) {
  const char *fast = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
  char sql[SQL_BYTES];
  snprintf(w->folder, sizeof w->folder, "%s/vestry-oracle-XXXXXX", fast);
  assert_non_null(mkdtemp(w->folder));
  snprintf(w->path, sizeof w->path, "%s/oracle.db", w->folder);
  sqlite3 **all[] = {&w->writer, &w->reader, &w->other, &w->truth};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(sqlite3_open(w->path, all[i]), SQLITE_OK);
    if (i == 0) {
      snprintf(sql, sizeof sql, "PRAGMA page_size = %d; PRAGMA auto_vacuum = %d; PRAGMA journal_mode = %s",
               512 << chance(4), chance(2) ? 0 : (int)chance(3), w->is_wal ? "WAL" : "DELETE");
      must(w->writer, sql);
    }
    snprintf(
        sql, sizeof sql,
        "PRAGMA synchronous = OFF; PRAGMA foreign_keys = ON; PRAGMA cache_size = %d; PRAGMA wal_autocheckpoint = %d",
        chance(2) ? 5 : 500, chance(2) ? 10 : 1000);
    must(*all[i], sql);
  }
  for (int i = 0; i < TABLES; i++) make_table(w, i);
  for (unsigned i = w->is_plain ? 0 : chance(7); i--;) make_index(w, w->writer);
  for (int i = 0; i < VIEWS; i++) make_view(w, w->writer, i);
  for (int i = 0; i < 3; i++)
    if (!w->is_plain && chance(2)) make_trigger(w, i);
  must(w->writer, "BEGIN");
  for (unsigned i = 50 + chance(400); i--;) {
    char row[160], name[8];
    values(row, sizeof row);
    snprintf(sql, sizeof sql, "INSERT OR IGNORE INTO %s(k, id, a, b, c, d, e, u) VALUES(%s)", table(name), row);
    (void)try_sql(w->writer, sql);
  }
  must(w->writer, "COMMIT");
}

static void settle(world *w) {
  w->last_count += 0;
  w->chaos = 3;
  for (int i = 0; i < 8; i++) {
    unsigned before = w->chaos;
    assert_int_equal(vestry_sqlite_sync(w->database, NULL), VESTRY_OK);
    assert_int_equal(vestry_pages_settle(w->pages, UINT64_MAX, 1000), VESTRY_OK);
    if (before == w->chaos) return;
  }
}

static void open_world(world *w, uint64_t seed, bool has_looker) {
  memset(w, 0, sizeof *w);
  state_of_chance = seed * 1000003;
  test_host_init(&w->th);
  kind is = kind_of(seed);
  w->is_wal = is != BY_JOURNAL;
  w->level = is == BY_PAGES ? VESTRY_SQLITE_PAGES : VESTRY_SQLITE_TABLES;
  w->is_chaotic = chance(2) && w->is_wal;
  w->is_plain = chance(3) == 0;
  open_files(w);
  const vestry_options own = {.host = &w->th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_create(&own, &w->v), VESTRY_OK);
  assert_int_equal(vestry_pages_create(w->v, NULL, &w->pages), VESTRY_OK);
  vestry_page *made;
  assert_int_equal(vestry_page_create(w->pages, &(vestry_page_options){.render = render, .app = w}, &made), VESTRY_OK);
  assert_int_equal(vestry_route(w->v, "GET", "/page", vestry_page_handler, made), VESTRY_OK);
  assert_int_equal(vestry_pages_observe(w->pages, &(vestry_render_observer){.begin = begin, .end = end, .ctx = w}),
                   VESTRY_OK);
  const vestry_sqlite_options options = {.path = w->path,
                                         .level = w->level,
                                         .poll_ms = 60000,
                                         .max_pages = chance(4) ? 0 : 1 + chance(30),
                                         .max_bytes = chance(6) ? 0 : 1 + chance(20000)};
  assert_int_equal(vestry_sqlite_create(w->pages, &options, &w->database), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(w->database, w->writer, &w->attached[0]), VESTRY_OK);
  assert_int_equal(vestry_sqlite_attach(w->database, w->reader, &w->attached[1]), VESTRY_OK);
  w->has_looker = has_looker;
  if (has_looker) assert_int_equal(pthread_create(&w->looker, NULL, look_all_the_time, w), 0);
  w->pages_count = 8 + (int)chance(PAGES_MOST - 8);
  for (int i = 0; i < w->pages_count; i++) {
    page *p = &w->all[i];
    char query[8];
    p->queries_count = 1 + (int)chance(QUERIES_MOST);
    p->keeps = chance(2);
    for (int j = 0; j < p->queries_count; j++) p->is_ordered[j] = make_query(w, p->queries[j]);
    snprintf(query, sizeof query, "%d", i);
    const vestry_memory_call call = {.path = "/page", .query = query, .datastar = true};
    assert_int_equal(vestry_memory_request(w->v, &call, NULL, NULL, &p->stream), VESTRY_OK);
  }
  settle(w);
}

static void close_world(world *w, tally *t) {
  char command[128];
  vestry_sqlite_stats stats = {0};
  atomic_store(&w->is_over, true);
  if (w->has_looker) assert_int_equal(pthread_join(w->looker, NULL), 0);
  vestry_sqlite_stats_get(w->database, &stats);
  t->refreshed_whole += stats.whole_count;
  for (int i = 0; i < w->pages_count; i++) {
    vestry_memory_destroy(w->all[i].stream);
    for (int j = 0; j < QUERIES_MOST; j++) {
      sqlite3_finalize(w->all[i].kept[j]);
      sqlite3_finalize(w->all[i].truth[j]);
    }
  }
  vestry_memory_settle(w->v);
  for (int i = 0; i < 2; i++) vestry_sqlite_detach(w->attached[i]);
  vestry_sqlite_destroy(w->database);
  vestry_stop(w->v, 0);
  vestry_pages_destroy(w->pages);
  vestry_destroy(w->v);
  assert_int_equal(sqlite3_close(w->writer), SQLITE_OK);
  assert_int_equal(sqlite3_close(w->reader), SQLITE_OK);
  assert_int_equal(sqlite3_close(w->other), SQLITE_OK);
  assert_int_equal(sqlite3_close(w->truth), SQLITE_OK);
  test_host_assert_clean(&w->th);
  snprintf(command, sizeof command, "rm -r %s", w->folder);
  assert_int_equal(system(command), 0);
}

static void explain(const world *w, const page *p, uint64_t seed, uint64_t commits) {
  print_message("seed %llu, commit %llu: missed by page %td\n", (unsigned long long)seed, (unsigned long long)commits,
                p - w->all);
  for (int i = 0; i < p->queries_count; i++) print_message("  reads %s\n", p->queries[i]);
  for (int i = 0; i < w->last_count; i++) print_message("  wrote %s\n", w->last_sql[i]);
}

static void run_world(uint64_t seed, uint64_t commits, bool has_looker, tally tallies[KINDS]) {
  world *w = malloc(sizeof *w);
  tally *t = &tallies[kind_of(seed)];
  assert_non_null(w);
  open_world(w, seed, has_looker);
  for (int i = 0; i < w->pages_count; i++) w->all[i].true_result = truth_of(w, &w->all[i]);
  for (uint64_t n = 0; n < commits; n++) {
    for (int i = 0; i < w->pages_count; i++) w->all[i].renders = 0;
    commit(w);
    settle(w);
    t->commits++;
    for (int i = 0; i < w->pages_count; i++) {
      page *p = &w->all[i];
      uint64_t is = truth_of(w, p);
      t->rendered += p->renders;
      if (is != p->true_result) t->changed++;
      if (p->renders && is == p->true_result) t->too_many += p->renders;
      p->true_result = is;
      if (p->shown == is) continue;
      t->missed++;
      explain(w, p, seed, n);
      fail_msg("a page shows what is not");
    }
  }
  close_world(w, t);
  free(w);
}

static uint64_t from_environment(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static uint64_t seed; /* the next world's */

static void run_worlds(uint64_t commits, bool has_looker) {
  uint64_t a_world = from_environment("VESTRY_COMMITS_A_WORLD", COMMITS_A_WORLD);
  assert_true(a_world > 0);
  tally tallies[KINDS] = {{0}};
  for (uint64_t done = 0; done < commits; done += a_world) run_world(seed++, a_world, has_looker, tallies);
  for (int i = 0; i < KINDS; i++) {
    const tally *t = &tallies[i];
    if (t->commits)
      print_message(
          "%s: %llu commits, %llu results changed, %llu renders, of these %llu for nothing; whole %llu; missed %llu\n",
          kind_names[i], (unsigned long long)t->commits, (unsigned long long)t->changed,
          (unsigned long long)t->rendered, (unsigned long long)t->too_many, (unsigned long long)t->refreshed_whole,
          (unsigned long long)t->missed);
  }
}

static void no_page_shows_what_is_not(void **state) {
  (void)state;
  run_worlds(from_environment("VESTRY_COMMITS", COMMITS_SHORT), false);
}

/* A miss that this finds may not come again with the same seed: when the looks come is chance of another kind. */
static void nor_while_another_thread_looks_all_the_time(void **state) {
  (void)state;
  run_worlds(from_environment("VESTRY_LOOKED_COMMITS", COMMITS_LOOKED), true);
}

int main(void) {
  seed = from_environment("VESTRY_SEED", 1);
  assert_int_equal(vestry_sqlite_record_pages(), VESTRY_OK);
  const struct CMUnitTest tests[] = {cmocka_unit_test(no_page_shows_what_is_not),
                                     cmocka_unit_test(nor_while_another_thread_looks_all_the_time)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
