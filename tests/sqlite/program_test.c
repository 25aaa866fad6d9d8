/* SPDX-License-Identifier: MIT */
/* Rows looked up by a key: a commit renders only pages whose key it changes. If the key is unknown, or does not
 * compare as an integer, all readers of the table render. */
#include "data/sqlite/program.h"

#include <stdlib.h>

#include "data/sqlite/sqlite.h"
#include "sqlite/level.h"
#include "sqlite/shown.h"

/* Forty lots lie on one page of the file; the bids of a lot are scattered over the table. */
static const char lots[] =
    "CREATE TABLE lot(id INTEGER PRIMARY KEY, title TEXT, price INT, seller INT, code TEXT, weight REAL);"
    "CREATE TABLE bid(id INTEGER PRIMARY KEY, lot INT, user INT, amount INT);"
    "CREATE TABLE watch(user INT, lot INT, since, PRIMARY KEY(user, lot)) WITHOUT ROWID;"
    "CREATE TABLE made(id INTEGER PRIMARY KEY, a INT, twice AS (a * 2), b INT);"
    "CREATE INDEX bid_lot ON bid(lot, amount DESC); CREATE INDEX lot_code ON lot(code); CREATE INDEX made_b ON made(b);"
    "CREATE INDEX lot_weight ON lot(weight);"
    "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49) INSERT INTO lot SELECT i, 'lot ' || "
    "i, "
    "100, i % 7, i, i FROM n; INSERT INTO bid SELECT NULL, id, 1, 100 FROM lot; INSERT INTO watch SELECT id % 9, id, 0 "
    "FROM lot; INSERT INTO made(id, a, b) SELECT id, id, id FROM lot";

TEST_CASE(changed_row_renders_only_lookups_of_its_key) {
  static const struct {
    const char *sql, *change;
    unsigned renders;
  } rows[] = {
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET price = price + 1 WHERE id = 7", 1},
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET price = price + 1 WHERE id = 8", 0},
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET price = price + 1 WHERE id IN (6, 8, 9)", 0},
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET price = price + 1 WHERE id IN (6, 7)", 1},
      {"SELECT price FROM lot WHERE id = 70", "INSERT INTO lot(id, price) VALUES(70, 5)", 1},
      {"SELECT price FROM lot WHERE id = 70", "INSERT INTO lot(id, price) VALUES(71, 5)", 0},
      {"SELECT price FROM lot WHERE id = 7", "DELETE FROM lot WHERE id = 7", 1},
      {"SELECT price FROM lot WHERE id = 7", "DELETE FROM lot WHERE id = 8", 0},
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET id = 700 WHERE id = 7", 1},
      {"SELECT price FROM lot WHERE id = 700", "UPDATE lot SET id = 700 WHERE id = 7", 1},
      {"SELECT price FROM lot WHERE id = 7", "UPDATE lot SET id = 700 WHERE id = 8", 0},
      {"SELECT amount FROM bid WHERE lot = 7 ORDER BY amount DESC LIMIT 3", "INSERT INTO bid VALUES(NULL, 7, 2, 9)", 1},
      {"SELECT amount FROM bid WHERE lot = 7 ORDER BY amount DESC LIMIT 3", "INSERT INTO bid VALUES(NULL, 8, 2, 9)", 0},
      {"SELECT amount FROM bid WHERE lot = 7 ORDER BY amount", "INSERT INTO bid VALUES(NULL, 8, 2, 9)", 0},
      {"SELECT user FROM bid WHERE lot = 7", "UPDATE bid SET lot = 7 WHERE id = 20", 1},
      {"SELECT user FROM bid WHERE lot = 7", "UPDATE bid SET lot = 9 WHERE lot = 7", 1},
      {"SELECT user FROM bid WHERE lot = 7", "UPDATE bid SET user = 5 WHERE lot = 6", 0},
      {"SELECT max(amount) FROM bid WHERE lot = 7", "INSERT INTO bid VALUES(NULL, 8, 2, 900)", 0},
      {"SELECT max(amount), count(*) FROM bid WHERE lot = 7 AND amount > 5", "INSERT INTO bid VALUES(NULL, 7, 2, 9)",
       1},
      /* A range of further columns: with either end, with both, and with ends that are no constants. */
      {"SELECT lot FROM watch WHERE user = 3 AND lot BETWEEN 0 AND 99", "INSERT INTO watch VALUES(3, 1, 0)", 1},
      {"SELECT lot FROM watch WHERE user = 3 AND lot BETWEEN 0 AND 99", "INSERT INTO watch VALUES(4, 1, 0)", 0},
      {"SELECT lot FROM watch WHERE user = 3 AND lot < 99", "INSERT INTO watch VALUES(3, 1, 0)", 1},
      {"SELECT lot FROM watch WHERE user = 3 AND lot < 99", "INSERT INTO watch VALUES(4, 1, 0)", 0},
      {"SELECT lot FROM watch WHERE user = 3 AND lot > 9", "INSERT INTO watch VALUES(4, 11, 0)", 0},
      {"SELECT user FROM bid WHERE lot = 7 AND amount BETWEEN 5 AND 500 ORDER BY amount",
       "INSERT INTO bid VALUES(NULL, 7, 2, 9)", 1},
      {"SELECT user FROM bid WHERE lot = 7 AND amount BETWEEN 5 AND 500 ORDER BY amount",
       "INSERT INTO bid VALUES(NULL, 8, 2, 9)", 0},
      {"SELECT user FROM bid WHERE lot = 7 AND amount BETWEEN 5 AND 500 ORDER BY amount DESC LIMIT 3",
       "INSERT INTO bid VALUES(NULL, 8, 2, 9)", 0},
      {"SELECT user FROM bid WHERE lot = 7 AND amount < (SELECT max(price) FROM lot WHERE id = 3)",
       "UPDATE lot SET price = 500 WHERE id = 3", 1},
      {"SELECT b.user FROM lot l JOIN bid b ON b.lot = 7 AND b.amount < l.price WHERE l.id = 3",
       "UPDATE bid SET amount = 5 WHERE lot = 7", 1},
      {"SELECT b.user FROM lot l JOIN bid b ON b.lot = l.seller AND b.amount < 500 WHERE l.id = 3",
       "UPDATE bid SET user = 5 WHERE lot = 3", 1},
      {"SELECT lot FROM watch WHERE user IN (3, 4) AND lot < 99", "INSERT INTO watch VALUES(4, 1, 0)", 1},
      /* Not by a key. */
      {"SELECT count(*) FROM bid WHERE lot > 6 AND lot < 8", "INSERT INTO bid VALUES(NULL, 30, 2, 9)", 1},
      {"SELECT count(*) FROM bid", "INSERT INTO bid VALUES(NULL, 30, 2, 9)", 1},
      {"SELECT b.amount, l.title FROM lot l JOIN bid b ON b.lot = l.id WHERE l.id = 7",
       "UPDATE lot SET title = 'x' WHERE id = 8", 0},
      {"SELECT title FROM lot WHERE id = 7 OR id = 9", "UPDATE lot SET title = 'x' WHERE id = 9", 1},
      {"SELECT title FROM lot WHERE id IN (7, 9)", "UPDATE lot SET title = 'x' WHERE id = 9", 1},
      {"SELECT title FROM lot WHERE id = (SELECT max(lot) FROM bid)", "UPDATE lot SET title = 'x' WHERE id = 49", 1},
      {"SELECT lot FROM watch WHERE user = 3", "INSERT INTO watch VALUES(3, 1, 0)", 1},
      {"SELECT lot FROM watch WHERE user = 3", "INSERT INTO watch VALUES(4, 1, 0)", 0},
      {"SELECT since FROM watch WHERE user = 3 AND lot = 3", "UPDATE watch SET since = 1 WHERE user = 3", 1},
      {"SELECT since FROM watch WHERE user = 3 AND lot = 3", "UPDATE watch SET user = 3 WHERE user = 8 AND lot = 8", 1},
      {"SELECT since FROM watch WHERE user = 3 AND lot = 3", "UPDATE watch SET since = 1 WHERE user = 4", 0},
      /* The value 7 matches '7' and 7.0 too. */
      {"SELECT title FROM lot WHERE code = 7", "INSERT INTO lot(id, code) VALUES(80, 7)", 1},
      {"SELECT title FROM lot WHERE weight = 7", "INSERT INTO lot(id, weight) VALUES(80, 7)", 1},
      /* In a table with generated columns the hook reports values at other positions. */
      {"SELECT a FROM made WHERE b = 7", "UPDATE made SET b = 7 WHERE id = 30", 1},
      {"SELECT a FROM made WHERE id = 7", "UPDATE made SET b = 70 WHERE id = 8", 0},
      {"SELECT twice FROM made WHERE id = 7", "UPDATE made SET a = 70 WHERE id = 7", 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    shown_site s;
    char expected[SHOWN_TEXT_BYTES];
    shown_open(&s, lots, VESTRY_SQLITE_TABLES);
    size_t at = shown_watch(&s, rows[i].sql);
    shown_run(s.writer, rows[i].change);
    unsigned renders = shown_renders(&s, at);
    if (renders != rows[i].renders) fail_msg("%s: %u renders by %s", rows[i].sql, renders, rows[i].change);
    shown_text(s.reader, rows[i].sql, expected);
    assert_string_equal(s.all[at].text, expected);
    shown_close(&s);
  }
}

/* Pages of the file combine with keys; for commits of others only pages are known. */
TEST_CASE(only_foreign_commits_render_rows_on_the_same_page) {
  shown_site s;
  shown_open(&s, lots, VESTRY_SQLITE_FILE_PAGES);
  size_t seven = shown_watch(&s, "SELECT price FROM lot WHERE id = 7");
  size_t eight = shown_watch(&s, "SELECT price FROM lot WHERE id = 8");
  shown_run(s.other, "UPDATE lot SET price = 1 WHERE id = 7");
  assert_int_equal(shown_renders(&s, seven), 1);
  assert_int_equal(shown_renders(&s, eight), 1); /* the changed row is unknown */
  for (int i = 0; i < 3; i++) {
    shown_run(s.writer, "UPDATE lot SET price = price + 1 WHERE id = 7");
    assert_int_equal(shown_renders(&s, seven), 1);
    assert_int_equal(shown_renders(&s, eight), 0);
  }
  shown_run(s.other, "UPDATE lot SET price = 1 WHERE id = 8");
  assert_int_equal(shown_renders(&s, eight), 1);
  shown_close(&s);
}

/* So many keys that they are not stored separately. */
TEST_CASE(too_many_keys_match_every_row) {
  shown_site s;
  shown_open(&s, lots, VESTRY_SQLITE_TABLES);
  size_t seven = shown_watch(&s, "SELECT price FROM lot WHERE id = 7");
  s.database->tables.max_changes_count = 1000;
  shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 100 UNION ALL SELECT i + 2 FROM n WHERE i < 3000) INSERT INTO "
                      "lot(id) SELECT i FROM n");
  assert_int_equal(shown_renders(&s, seven), 1);
  char sql[12000] = "";
  for (size_t i = 0, len = 0; i < 100; i++)
    len += (size_t)snprintf(sql + len, sizeof sql - len, "SELECT sum(price) FROM lot WHERE id = %zu;", i);
  assert_int_equal(shown_stats(&s).promoted_count, 0);
  const long lines = s.on.th.log_lines;
  size_t many = shown_watch(&s, sql);
  assert_int_equal(shown_stats(&s).promoted_count, 1);
  assert_int_equal(s.on.th.log_lines, lines + 1);
  assert_non_null(strstr(s.on.th.last_log, "promoted_count"));
  shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 2900");
  assert_int_equal(shown_renders(&s, many), 1); /* a needless render */
  assert_int_equal(shown_renders(&s, seven), 0);
  shown_run(s.writer, "UPDATE lot SET price = price + 1 WHERE id = 3");
  assert_int_equal(shown_renders(&s, many), 1);
  shown_close(&s);
}

/* A statement that looks up as many keys of a table as a render may is followed by them; with more, it is counted. */
TEST_CASE(many_keys_in_one_statement_are_followed) {
  for (size_t keys = 40; keys <= 70; keys += 30) {
    shown_site s;
    char sql[6000] = "SELECT count(*) FROM bid WHERE id = 0";
    size_t len = strlen(sql);
    for (size_t i = 1; i < keys; i++)
      len += (size_t)snprintf(sql + len, sizeof sql - len, " UNION ALL SELECT price FROM lot WHERE id = %zu", i);
    shown_open(&s, lots, VESTRY_SQLITE_TABLES);
    size_t many = shown_watch(&s, sql);
    assert_int_equal(shown_stats(&s).promoted_count, keys > 64);
    assert_int_equal(s.on.th.log_lines, keys > 64);
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 0");
    assert_int_equal(shown_renders(&s, many), keys > 64);
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 39");
    assert_int_equal(shown_renders(&s, many), 1);
    shown_close(&s);
  }
}

static size_t bound_count;

/* In each render, because this observer begins after the database's. */
static void read_by_parameters(vestry_render *render, void *ctx) {
  const shown_site *s = ctx;
  char sql[9000] = "SELECT count(*) FROM bid WHERE id = ?1 UNION ALL SELECT count(*) FROM lot WHERE id = ?1";
  size_t len = strlen(sql);
  for (size_t i = 2; i <= bound_count; i++)
    len += (size_t)snprintf(sql + len, sizeof sql - len, " UNION ALL SELECT price FROM lot WHERE id = ?%zu", i);
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_prepare_v2(s->reader, sql, -1, &statement, NULL), SQLITE_OK);
  for (size_t i = 1; i <= bound_count; i++) sqlite3_bind_int64(statement, (int)i, (int64_t)i);
  while (sqlite3_step(statement) == SQLITE_ROW) continue;
  sqlite3_finalize(statement);
}

static void end(vestry_render *render, void *ctx) {}

TEST_CASE(many_bound_keys_in_one_statement_are_followed) {
  for (bound_count = 30; bound_count <= 70; bound_count += 40) {
    shown_site s;
    shown_open(&s, lots, VESTRY_SQLITE_TABLES);
    const vestry_render_observer observer = {.begin = read_by_parameters, .end = end, .ctx = &s};
    assert_int_equal(vestry_pages_unobserve(s.on.pages, &s), VESTRY_OK); /* the site's, for which there is no room */
    assert_int_equal(vestry_pages_observe(s.on.pages, &observer), VESTRY_OK);
    size_t many = shown_watch(&s, "SELECT user FROM watch WHERE user = 3");
    assert_int_equal(shown_stats(&s).promoted_count, bound_count > 64);
    assert_int_equal(s.on.th.log_lines, bound_count > 64);
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 0");
    assert_int_equal(shown_renders(&s, many), bound_count > 64);
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 30");
    assert_int_equal(shown_renders(&s, many), 1);
    shown_run(s.writer, "UPDATE bid SET amount = 5 WHERE id = 2");
    assert_int_equal(shown_renders(&s, many), 0);
    shown_close(&s);
  }
}

/* The first one is logged; later renders are only counted. */
/* capability: D21 */
TEST_CASE(other_lookups_of_any_row_are_counted_and_logged) {
  static char little[40000], large[40000];
  const struct {
    const char *sql;
    bool is_promoted;
    long lines;
  } rows[] = {{"SELECT id FROM wide WHERE c61 = 7", false, 0},
              {little, false, 0},
              {"SELECT id FROM wide WHERE c62 = 7", true, 1},
              {large, true, 1},
              {"SELECT c1 FROM wide WHERE c62 = 7", true, 1}};
  shown_site s;
  char sql[1000] = "CREATE TABLE wide(id INTEGER PRIMARY KEY";
  size_t len = strlen(sql);
  for (int i = 1; i <= 70; i++) len += (size_t)snprintf(sql + len, sizeof sql - len, ", c%d INT", i);
  snprintf(sql + len, sizeof sql - len, "); CREATE INDEX wide61 ON wide(c61); CREATE INDEX wide62 ON wide(c62)");
  for (int is_large = 0; is_large < 2; is_large++) { /* four operations for each result, as a rule */
    char *into = is_large ? large : little;
    len = (size_t)snprintf(into, sizeof large, "SELECT price");
    for (int i = 0; i < (is_large ? 1900 : 500); i++)
      len += (size_t)snprintf(into + len, sizeof large - len, ", max(price, %d)", i);
    snprintf(into + len, sizeof large - len, " FROM lot WHERE id = 7");
  }
  shown_open(&s, lots, VESTRY_SQLITE_TABLES);
  shown_run(s.writer, sql);
  uint64_t promoted_count = 0;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t at = shown_watch(&s, rows[i].sql);
    assert_int_equal(shown_stats(&s).promoted_count, promoted_count += rows[i].is_promoted);
    assert_int_equal(s.on.th.log_lines, rows[i].lines);
    if (rows[i].lines) assert_non_null(strstr(s.on.th.last_log, "the table wide by more than"));
    shown_run(s.writer, "UPDATE lot SET price = price + 1 WHERE id = 8; INSERT INTO wide(c61, c62) VALUES(8, 8)");
    promoted_count += shown_renders(&s, at);
    assert_int_equal(shown_stats(&s).promoted_count, promoted_count);
    shown_run(s.writer, "UPDATE lot SET price = price + 1 WHERE id = 7; INSERT INTO wide(c61, c62) VALUES(7, 7)");
    assert_int_equal(shown_renders(&s, at), 1);
    promoted_count = shown_stats(&s).promoted_count;
    vestry_memory_destroy(s.all[at].stream);
    s.all[at].stream = NULL;
    site_settle(&s.on);
  }
  shown_close(&s);
}

/* Names and numbers are no bounds. */
TEST_CASE(lookups_by_long_names_are_followed) {
  shown_site s;
  char name[301], create[400], sql[400], change[400];
  memset(name, 'n', sizeof name - 1);
  name[sizeof name - 1] = '\0';
  snprintf(create, sizeof create, "CREATE TABLE %s(id INTEGER PRIMARY KEY, price)", name);
  snprintf(sql, sizeof sql, "SELECT price FROM %s WHERE id = 7", name);
  snprintf(change, sizeof change, "INSERT INTO %s VALUES(abs(random()) %% 1000 + 8, 1)", name);
  shown_open(&s, create, VESTRY_SQLITE_TABLES);
  size_t seven = shown_watch(&s, sql);
  shown_run(s.writer, change);
  assert_int_equal(shown_renders(&s, seven), 0);
  assert_int_equal(shown_stats(&s).everything_count, 0);
  shown_close(&s);
}

enum { FAR_PARAMETER = 70000 };

static void read_by_a_far_parameter(vestry_render *render, void *ctx) {
  const shown_site *s = ctx;
  sqlite3_stmt *statement;
  assert_int_equal(sqlite3_prepare_v2(s->reader, "SELECT price FROM lot WHERE id = ?70000", -1, &statement, NULL),
                   SQLITE_OK);
  sqlite3_bind_int64(statement, FAR_PARAMETER, 7);
  assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
  sqlite3_finalize(statement);
}

TEST_CASE(lookups_by_a_far_parameter_are_followed) {
  shown_site s;
  shown_open(&s, lots, VESTRY_SQLITE_TABLES);
  const bool has_parameter = sqlite3_limit(s.reader, SQLITE_LIMIT_VARIABLE_NUMBER, -1) >= FAR_PARAMETER;
  const vestry_render_observer observer = {.begin = read_by_a_far_parameter, .end = end, .ctx = &s};
  assert_int_equal(vestry_pages_unobserve(s.on.pages, &s), VESTRY_OK); /* the site's, for which there is no room */
  if (has_parameter) {
    assert_int_equal(vestry_pages_observe(s.on.pages, &observer), VESTRY_OK);
    size_t seven = shown_watch(&s, "SELECT user FROM watch WHERE user = 3");
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 8");
    assert_int_equal(shown_renders(&s, seven), 0);
    shown_run(s.writer, "UPDATE lot SET price = 5 WHERE id = 7");
    assert_int_equal(shown_renders(&s, seven), 1);
  }
  shown_close(&s);
  if (!has_parameter) {
    print_message("this SQLite has fewer than %d parameters\n", FAR_PARAMETER);
    skip();
  }
}

/* A program that SQLite does not write as yet. */
TEST_CASE(key_is_found_through_many_copies) {
  enum { COPIES = 10, ROOT = 5 };
  test_host th;
  test_host_init(&th);
  for (int is_ring = 0; is_ring < 2; is_ring++) {
    vsi_sqlite_program program = {.host = &th.host};
    vsi_sqlite_source sources[VSI_SQLITE_SOURCES_MAX];
    vsi_sqlite_program_add(&program, "OpenRead", 0, ROOT, 0, "2");
    vsi_sqlite_program_add(&program, is_ring ? "SCopy" : "Variable", is_ring ? COPIES + 1 : 3, 1, 0, NULL);
    for (int i = 1; i <= COPIES; i++) vsi_sqlite_program_add(&program, "SCopy", i, i + 1, 0, NULL);
    vsi_sqlite_program_add(&program, "SeekRowid", 0, 0, COPIES + 1, NULL);
    assert_int_equal(vsi_sqlite_program_sources(&program, ROOT, sources), is_ring ? -1 : 1);
    if (!is_ring) assert_int_equal(sources[0].parameter, 3);
    vsi_sqlite_program_finish(&program);
  }
  test_host_assert_clean(&th);
}

/* A run of keys contains another key of the transaction, which was noted when the run was not among the last ones. */
TEST_CASE(overlapping_keys_are_found) {
  shown_site s;
  shown_open(&s, lots, VESTRY_SQLITE_TABLES);
  size_t eight = shown_watch(&s, "SELECT price FROM lot WHERE id = 8");
  size_t twelve = shown_watch(&s, "SELECT price FROM lot WHERE id = 12");
  shown_run(s.writer, "BEGIN; UPDATE lot SET price = price + 1 WHERE id BETWEEN 1 AND 10;"
                      "INSERT INTO lot(id) VALUES(101), (103), (105), (107), (109);"
                      "UPDATE lot SET price = price + 1 WHERE id = 3; COMMIT");
  assert_int_equal(shown_renders(&s, eight), 1);
  assert_int_equal(shown_renders(&s, twelve), 0);
  shown_close(&s);
}

/* Sets are found by their keys, or all sets of a table if no keys are recorded. Some sets share keys; sets of closed
 * pages are removed during the search. */
TEST_CASE(commit_finds_pages_by_their_keys) {
  static const char *const queries[] = {
      "SELECT price FROM lot WHERE id = 1",
      "SELECT price FROM lot WHERE id = 2",
      "SELECT price, title FROM lot WHERE id = 2",
      "SELECT price FROM lot WHERE id IN (1, 2)",
      ("SELECT price FROM lot WHERE id = 3; SELECT count(*) FROM bid WHERE lot = 3; "
       "SELECT lot FROM watch WHERE user = 3"),
      "SELECT count(*) FROM bid WHERE lot = 3",
      "SELECT sum(price) FROM lot",
      "SELECT price FROM lot WHERE id = 1; SELECT count(*) FROM lot; SELECT price FROM lot WHERE id = 2"};
  enum { PAGES = sizeof queries / sizeof *queries, FAR = 5 }; /* FAR: rows on other pages of the file */
  static const struct {
    const char *change;
    unsigned renders[PAGES];
  } rows[] = {
      {"UPDATE lot SET price = price + 1 WHERE id = 1", {1, 0, 0, 1, 0, 0, 1, 1}},
      {"UPDATE lot SET price = price + 1 WHERE id = 2", {0, 1, 1, 1, 0, 0, 1, 1}},
      {"UPDATE lot SET title = title || '.' WHERE id = 2", {0, 0, 1, 0, 0, 0, 0, 0}},
      {"INSERT INTO bid VALUES(NULL, 3, 1, 1)", {0, 0, 0, 0, 1, 1, 0, 0}},
      {"INSERT INTO watch VALUES(3, 100, 0) ON CONFLICT DO UPDATE SET lot = lot + 100", {0, 0, 0, 0, 1, 0, 0, 0}},
      /* more rows than keys are stored */
      {"UPDATE lot SET price = price + 1 WHERE id > 100 AND id % 2", {1, 1, 1, 1, 1, 0, 1, 1}},
      {"UPDATE lot SET price = price + 1 WHERE id IN (1, 3)", {1, 0, 0, 1, 1, 0, 1, 1}},
      {"UPDATE lot SET price = price + 1 WHERE id > 100", {0, 0, 0, 1, 0, 0, 1, 1}}}; /* consecutive keys */
  for (int level = VESTRY_SQLITE_TABLES; level <= VESTRY_SQLITE_FILE_PAGES; level++) {
    for (int gone = -1; gone < PAGES; gone++) {
      shown_site s;
      if (level == VESTRY_SQLITE_FILE_PAGES && !level_has_pages()) break;
      shown_open(&s, lots, (vestry_sqlite_level)level);
      s.database->tables.max_changes_count = 500;
      shown_run(s.writer, "WITH RECURSIVE n(i) AS (SELECT 101 UNION ALL SELECT i + 1 FROM n WHERE i < 1500) "
                          "INSERT INTO lot(id, price) SELECT i, 0 FROM n");
      for (int i = 0; i < PAGES; i++) (void)shown_watch(&s, queries[i]);
      if (level == VESTRY_SQLITE_FILE_PAGES) { /* pages written by these commits are followed by tables from here on */
        shown_run(s.writer,
                  "UPDATE lot SET code = 'x' WHERE id < 50; UPDATE bid SET user = 2; UPDATE watch SET since = 1");
        for (int i = 0; i < PAGES; i++) (void)shown_renders(&s, (size_t)i);
      }
      if (gone >= 0) {
        vestry_memory_destroy(s.all[gone].stream);
        s.all[gone].stream = NULL;
        site_settle(&s.on);
      }
      for (size_t row = 0; row < sizeof rows / sizeof *rows; row++) {
        shown_run(s.writer, rows[row].change);
        for (int i = 0; i < PAGES; i++) {
          unsigned wanted = i == gone ? 0 : rows[row].renders[i], renders = shown_renders(&s, (size_t)i);
          bool is_exact = level == VESTRY_SQLITE_TABLES || row != FAR;
          if (is_exact ? renders != wanted : renders > wanted)
            fail_msg("%s: %u renders by %s (gone: %d, level %d)", queries[i], renders, rows[row].change, gone, level);
        }
      }
      shown_close(&s);
    }
  }
}

TEST_CASE(bound_integers_are_found_in_the_expanded_text) {
  static const struct {
    const char *sql;
    uint32_t wanted;
    char type; /* of each parameter: i, r, t, b, z, n */
    bool is_known;
  } rows[] = {
      {"SELECT ?", 1, 'i', true},
      {"SELECT ?1", 1, 'i', true},
      {"SELECT ?, ?, ?", 2, 'i', true},
      {"SELECT ?3, ?, ?1", 4, 'i', true},
      {"SELECT :one, @two, :one", 2, 'i', true},
      {"SELECT $2, $1, $2", 1, 'i', true},
      {"SELECT $2, $1, $2", 2, 'i', true},
      {"SELECT $a::b(c), ?", 1, 'i', false},
      {"SELECT 'it''s ?', ?1 FROM (SELECT 1 AS [b?], 2 AS `c?`) -- and ?2", 1, 'i', true},
      {"SELECT /* ? */ ?1, x'00', a$b FROM (SELECT 1 AS a$b)", 1, 'i', true},
      {"SELECT ?1-?2", 2, 'i', true},
      {"SELECT ?1", 1, 'r', false},
      {"SELECT ?1", 1, 't', false},
      {"SELECT ?1", 1, 'b', false},
      {"SELECT ?1", 1, 'z', false},
      {"SELECT ?1", 1, 'n', false},
      {"SELECT ?1", 2, 'i', false}, /* there is no second parameter */
      {"SELECT $a(b)", 1, 'i', false},
      {"SELECT :a_name_that_is_much_longer_than_names_of_parameters_in_programs_usually_are, :a_name_that_is", 1, 'i',
       true},
      {"SELECT :a_name_that_is_much_longer_than_names_of_parameters_in_programs_usually_are, :a_name_that_is", 2, 'i',
       true},
  };
  sqlite3 *db;
  assert_int_equal(sqlite3_open(":memory:", &db), SQLITE_OK);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    sqlite3_stmt *statement;
    int64_t value = -1;
    if (sqlite3_prepare_v2(db, rows[i].sql, -1, &statement, NULL)) fail_msg("%s", sqlite3_errmsg(db));
    for (int at = 1; at <= sqlite3_bind_parameter_count(statement); at++) {
      switch (rows[i].type) {
      case 'i': sqlite3_bind_int64(statement, at, -1000 * at); break;
      case 'r': sqlite3_bind_double(statement, at, 7); break;
      case 't': sqlite3_bind_text(statement, at, "7' ?", -1, SQLITE_STATIC); break;
      case 'b': sqlite3_bind_blob(statement, at, "7", 1, SQLITE_STATIC); break;
      case 'z': sqlite3_bind_zeroblob(statement, at, 7); break;
      default: break;
      }
    }
    bool is_known = vsi_sqlite_bound(statement, &rows[i].wanted, 1, &value) == 1;
    if (is_known != rows[i].is_known) fail_msg("%s", rows[i].sql);
    if (is_known) assert_int_equal(value, -1000 * (int64_t)rows[i].wanted);
    sqlite3_finalize(statement);
  }
  assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int main(void) {
  level_begin();
  return cases_run("sqlite/program", NULL, NULL);
}
