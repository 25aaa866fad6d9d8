/* SPDX-License-Identifier: MIT */
/* Exact refresh: a commit renders the pages that have read its changes, and no others. */
#include "postgres/shown.h"

static const char channels[] =
    "CREATE TABLE message(channel int, id int, body text, likes int DEFAULT 0, PRIMARY KEY(channel, id));"
    "INSERT INTO message SELECT i / 400, i % 400, repeat('x', 40) FROM generate_series(0, 3999) i;"
    "CREATE TABLE other(x int); CREATE TABLE name(id int PRIMARY KEY, text text);"
    "INSERT INTO name VALUES(1, 'Ada'), (2, 'Grace'); ANALYZE";
static const char first[] = "SELECT id FROM message WHERE channel = 1 ORDER BY id DESC LIMIT 2";
static const char eighth[] = "SELECT id, likes FROM message WHERE channel = 8 ORDER BY id DESC LIMIT 2";
static const char insert[] = "INSERT INTO message VALUES(8, 1000, 'x', 0)";

/* capability: M1 */
TEST_CASE(commit_renders_only_the_pages_it_affects) {
  for (int by_reads = 0; by_reads < 2; by_reads++) {
    shown_site s;
    shown_open(&s, channels,
               &(vestry_postgres_options){.level = by_reads ? VESTRY_POSTGRES_READS : VESTRY_POSTGRES_TABLES});
    assert_int_equal(vestry_postgres_level_get(s.database), by_reads ? VESTRY_POSTGRES_READS : VESTRY_POSTGRES_TABLES);
    size_t one = shown_watch(&s, first, NULL), eight = shown_watch(&s, eighth, NULL);
    size_t none = shown_watch(&s, "SELECT 1", NULL), all = shown_watch(&s, "SELECT count(*) FROM message", NULL);
    size_t absent = shown_watch(&s, "SELECT 1 FROM message WHERE channel = 8 AND id = 1000", NULL);
    size_t two = shown_watch(&s, "SELECT x FROM other", eighth);
    shown_run(&s, insert);
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "1000 0 399 0 ");
    assert_int_equal(shown_renders(&s, one), by_reads ? 0 : 1);
    assert_int_equal(shown_renders(&s, absent), 1); /* reads of absent rows count too */
    assert_int_equal(shown_renders(&s, all), 1);
    assert_int_equal(shown_renders(&s, two), 1);
    assert_int_equal(shown_renders(&s, none), 0);
    shown_run(&s, "UPDATE message SET likes = 1 WHERE channel = 8 AND id = 399");
    assert_int_equal(shown_renders(&s, eight), 1);
    assert_string_equal(s.all[eight].text, "1000 0 399 1 ");
    assert_int_equal(shown_renders(&s, one), by_reads ? 0 : 1);
    shown_run(&s, "INSERT INTO name VALUES(3, 'Radia')");
    for (size_t i = 0; i < s.count; i++)
      if (i != absent && i != all && i != two) assert_int_equal(shown_renders(&s, i), 0);
    shown_run(&s, "INSERT INTO other VALUES(1)");
    assert_int_equal(shown_renders(&s, two) > 0, 1);
    assert_int_equal(shown_renders(&s, eight), 0);
    vestry_postgres_stats stats = shown_stats(&s);
    assert_true(stats.is_following && stats.recorded_count >= 5 && stats.sets_count >= 5 && stats.commits_count >= 4);
    assert_true(by_reads ? stats.refreshed_by_leaf > 0 : stats.refreshed_by_table > 0);
    assert_int_equal(stats.ring_count, 0);
    shown_close(&s);
  }
}

#define CHANNELS_CASE(name) TEST_CASE_WITH(name, shown_site, s, shown_open(s, channels, NULL), shown_close(s))

CHANNELS_CASE(rolled_back_changes_render_nothing) {
  size_t eight = shown_watch(s, eighth, NULL);
  shown_run(s, "BEGIN");
  shown_run(s, insert);
  assert_int_equal(shown_renders(s, eight), 0); /* not visible yet */
  shown_run(s, "ROLLBACK");
  assert_int_equal(shown_renders(s, eight), 0);
  shown_run(s, "BEGIN");
  shown_run(s, insert);
  shown_run(s, "COMMIT");
  assert_int_equal(shown_renders(s, eight), 1);
}

static void commit_inside(shown_site *s) {
  shown_run(s, insert);
  assert_int_equal(vestry_postgres_settle(s->database, 1, NULL), VESTRY_INVALID); /* not allowed in a render */
}

/* The commit comes between two reads of a render, whose snapshot does not see it. The render is repeated. */
CHANNELS_CASE(commit_within_a_render_is_not_missed) {
  size_t eight = shown_watch(s, "SELECT count(*) FROM message WHERE channel = 8", eighth);
  s->inside = commit_inside;
  shown_run(s, "UPDATE message SET likes = 1 WHERE channel = 8 AND id = 399");
  assert_int_equal(shown_renders(s, eight), 2);
  assert_string_equal(s->all[eight].text, "401 1000 0 399 1 ");
}

/* A definition that a page uses, and one that it does not use. */
CHANNELS_CASE(changed_definitions_render_their_pages) {
  shown_run(s, "CREATE VIEW names AS SELECT text FROM name WHERE id = 1");
  size_t by_view = shown_watch(s, "SELECT text FROM names", NULL), eight = shown_watch(s, eighth, NULL);
  assert_string_equal(s->all[by_view].text, "Ada ");
  shown_run(s, "CREATE OR REPLACE VIEW names AS SELECT text FROM name WHERE id = 2");
  assert_int_equal(shown_renders(s, by_view), 1);
  assert_string_equal(s->all[by_view].text, "Grace ");
  assert_int_equal(shown_renders(s, eight), 0);
  shown_run(s, "ANALYZE");
  shown_run(s, "VACUUM message");
  assert_int_equal(shown_renders(s, by_view) + shown_renders(s, eight), 0);
  shown_run(s, "VACUUM FULL pg_proc"); /* a catalog of the server: the follower starts again */
  assert_true(shown_renders(s, eight) > 0);
  shown_run(s, "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'");
  assert_true(shown_renders(s, eight) > 0);
}

/* The number of lines with this text. */
static const char *logged;
static _Atomic(unsigned) logged_count;

static void look_at_log(void *ctx, vestry_log_level level, const char *line) {
  if (strstr(line, logged)) logged_count++;
}

/* A transaction with more keys than are stored renders everything. The first one is logged, and each is counted. */
TEST_CASE(transaction_over_max_keys_renders_all_pages) {
  shown_site s;
  logged = "max_transaction_keys (20)";
  logged_count = 0;
  shown_open_with(&s, channels, (vestry_postgres_pool_options){0}, look_at_log,
                  &(vestry_postgres_options){.max_transaction_keys = 20});
  size_t one = shown_watch(&s, first, NULL), name = shown_watch(&s, "SELECT text FROM name WHERE id = 1", NULL);
  for (unsigned i = 0; i < 2; i++) {
    shown_run(&s, "UPDATE message SET likes = 1 WHERE channel = 9");
    assert_int_equal(shown_renders(&s, one), 1);
    assert_int_equal(shown_renders(&s, name), 1);
    assert_int_equal(shown_stats(&s).over_transaction_keys_count, i + 1);
  }
  assert_int_equal(logged_count, 1);
  shown_close(&s);
}

/* By default, a transaction may change many rows, and the pages of all others stay as they are. */
TEST_CASE(large_transaction_renders_only_the_pages_it_affects) {
  shown_site s;
  shown_open_with(&s,
                  "CREATE TABLE t(id int PRIMARY KEY, n int DEFAULT 0) WITH (fillfactor = 40);"
                  "INSERT INTO t SELECT i FROM generate_series(0, 59999) i; ANALYZE",
                  (vestry_postgres_pool_options){.setup = "SET enable_seqscan = off"}, NULL, NULL);
  size_t odd = shown_watch(&s, "SELECT n FROM t WHERE id = 30001", NULL),
         even = shown_watch(&s, "SELECT n FROM t WHERE id = 30002", NULL),
         absent = shown_watch(&s, "SELECT n FROM t WHERE id = 70000", NULL);
  shown_run(&s, "UPDATE t SET n = 1 WHERE id % 2 = 0");
  assert_int_equal(shown_renders(&s, even), 1);
  assert_string_equal(s.all[even].text, "1 ");
  assert_int_equal(shown_renders(&s, odd) + shown_renders(&s, absent), 0);
  assert_int_equal(shown_stats(&s).over_transaction_keys_count, 0);
  shown_close(&s);
}

/* An update moves a row to another block, and its new entries render the pages that have read their leaf. */
TEST_CASE(update_without_room_in_its_block_renders_its_leaf) {
  shown_site s;
  shown_open_with(&s,
                  "CREATE TABLE t(id int PRIMARY KEY, n int, fill text);"
                  "INSERT INTO t SELECT i, 0, repeat('x', 40) FROM generate_series(1, 2000) i; ANALYZE",
                  (vestry_postgres_pool_options){.setup = "SET enable_seqscan = off"}, NULL, NULL);
  size_t one = shown_watch(&s, "SELECT n FROM t WHERE id = 1", NULL),
         two = shown_watch(&s, "SELECT n FROM t WHERE id = 2", NULL);
  shown_run(&s, "INSERT INTO t VALUES(0, 0, 'x')"); /* an insert is no reason */
  assert_int_equal(shown_renders(&s, one) + shown_renders(&s, two), 2);
  for (unsigned i = 0; i < 2; i++) {
    shown_run(&s, i ? "UPDATE t SET n = 2 WHERE id = 200" : "UPDATE t SET n = 1 WHERE id = 1");
    assert_int_equal(shown_renders(&s, one), 1);
    assert_int_equal(shown_renders(&s, two), 1);
  }
  shown_run(&s, "ALTER TABLE t SET (fillfactor = 50)");
  shown_run(&s, "VACUUM FULL t");
  (void)(shown_renders(&s, one) + shown_renders(&s, two));
  shown_run(&s, "UPDATE t SET n = 3 WHERE id = 1");
  assert_int_equal(shown_renders(&s, one), 1);
  assert_int_equal(shown_renders(&s, two), 0);
  shown_close(&s);
}

/* A render with more keys than allowed is followed by tables, too. */
TEST_CASE(render_over_max_keys_is_followed_by_tables) {
  shown_site s;
  logged = "max_render_keys (2)";
  logged_count = 0;
  shown_open_with(&s, channels, (vestry_postgres_pool_options){0}, look_at_log,
                  &(vestry_postgres_options){.max_render_keys = 2});
  size_t eight = shown_watch(&s, "SELECT id FROM message WHERE channel = 8 ORDER BY id DESC LIMIT 20", NULL);
  shown_run(&s, "INSERT INTO message VALUES(1, 1000, 'x', 0)");
  assert_int_equal(shown_renders(&s, eight), 1);
  assert_true(shown_stats(&s).table_level_count > 0);
  assert_int_equal(shown_stats(&s).over_render_keys_count, shown_stats(&s).table_level_count);
  assert_int_equal(logged_count, 1);
  shown_close(&s);
}

/* If the reads of a page have no room, it is followed by tables, and smaller ones as before. */
TEST_CASE(reads_over_max_bytes_are_followed_by_tables) {
  shown_site s;
  logged = "max_bytes (1000)";
  logged_count = 0;
  shown_open_with(&s, channels,
                  (vestry_postgres_pool_options){.setup = "SET enable_seqscan = off; SET enable_bitmapscan = off"},
                  look_at_log, &(vestry_postgres_options){.max_bytes = 1000});
  size_t many =
             shown_watch(&s, "SELECT likes FROM message WHERE id = 7 AND channel IN (0, 2, 3, 4, 5, 6, 7, 8, 9)", NULL),
         name = shown_watch(&s, "SELECT text FROM name WHERE id = 1", NULL);
  for (unsigned i = 0; i < 2; i++) {
    shown_run(&s, "UPDATE message SET likes = likes + 1 WHERE channel = 1 AND id = 399");
    assert_int_equal(shown_renders(&s, many), 1);
    assert_int_equal(shown_renders(&s, name), 0);
  }
  assert_int_equal(shown_stats(&s).over_bytes_count, 3);
  assert_int_equal(shown_stats(&s).table_level_count, 3);
  assert_int_equal(logged_count, 1);
  shown_close(&s);
}

/* If there is no room for their tables either, every commit renders them. This is counted and logged, also at level
 * TABLES. */
TEST_CASE(tables_over_twice_max_bytes_are_counted_and_logged) {
  shown_site s;
  logged = "max_bytes (1)";
  logged_count = 0;
  shown_open_with(&s, channels, (vestry_postgres_pool_options){0}, look_at_log,
                  &(vestry_postgres_options){.level = VESTRY_POSTGRES_TABLES, .max_bytes = 1});
  size_t name = shown_watch(&s, "SELECT text FROM name WHERE id = 1", NULL);
  assert_int_equal(shown_stats(&s).over_bytes_count, 1);
  assert_int_equal(logged_count, 1);
  shown_run(&s, "UPDATE message SET likes = likes + 1 WHERE channel = 1 AND id = 399");
  assert_int_equal(shown_renders(&s, name), 1);
  assert_int_equal(shown_stats(&s).over_bytes_count, 2);
  assert_int_equal(logged_count, 1);
  shown_close(&s);
}

/* The transaction's writes before the start are unknown, so it counts for all pages. */
CHANNELS_CASE(transaction_open_at_the_start_is_not_missed) {
  vestry_postgres_destroy(s->database);
  shown_run(s, "BEGIN");
  shown_run(s, insert);
  assert_int_equal(vestry_postgres_create(s->on.pages, s->pool, NULL, &s->database), VESTRY_OK);
  size_t eight = shown_watch(s, eighth, NULL);
  assert_string_equal(s->all[eight].text, "399 0 398 0 ");
  assert_int_equal(shown_renders(s, eight), 0);
  shown_run(s, "COMMIT");
  assert_true(shown_renders(s, eight) > 0);
  assert_string_equal(s->all[eight].text, "1000 0 399 0 ");
  shown_run(s, "INSERT INTO message VALUES(1, 1000, 'x', 0)");
  assert_int_equal(shown_renders(s, eight), 0); /* exact again from then on */
}

/* No transaction with a larger id has ended, so no snapshot shows this one. All its writes precede the first record. */
CHANNELS_CASE(newest_transaction_before_the_start_is_not_missed) {
  vestry_postgres_destroy(s->database);
  PGconn *others = postgres_server_connect(shop_server()); /* stays open, so that the start does not complete */
  PQclear(PQexec(others, "BEGIN; SELECT pg_current_xact_id()"));
  shown_run(s, "BEGIN");
  shown_run(s, insert);
  shown_run(s, "SELECT pg_switch_wal()"); /* flushes the writes without a commit */
  assert_int_equal(vestry_postgres_create(s->on.pages, s->pool, NULL, &s->database), VESTRY_OK);
  size_t eight = shown_watch(s, eighth, NULL);
  assert_int_equal(shown_renders(s, eight), 0);
  shown_run(s, "COMMIT");
  assert_true(shown_renders(s, eight) > 0);
  assert_string_equal(s->all[eight].text, "1000 0 399 0 ");
  PQfinish(others);
}

/* At shutdown pages still render after the detach. */
CHANNELS_CASE(pages_render_after_detach) {
  size_t eight = shown_watch(s, eighth, NULL);
  vestry_postgres_detach(s->database);
  vestry_postgres_detach(s->database);
  assert_false(shown_stats(s).is_following);
  assert_int_equal(vestry_postgres_settle(s->database, 10, NULL), VESTRY_TIMEOUT);
  shown_run(s, insert);
  site_settle_pages(&s->on);
  assert_string_equal(s->all[eight].text, "399 0 398 0 ");
  const vestry_memory_call call = {.path = "/page", .query = "0", .datastar = true};
  vestry_memory_exchange *later = site_request(&s->on, &call);
  site_settle_pages(&s->on);
  assert_string_equal(s->all[eight].text, "1000 0 399 0 ");
  vestry_memory_destroy(later);
}

/* Names, privileges and types that are not part of the definition of the page's relations. */
TEST_CASE(names_privileges_and_types_are_followed) {
  static const struct {
    const char *schema, *sql, *change;
    bool is_kept; /* the page's content stays the same; only its renders show the change */
  } all[] = {
      {"CREATE SCHEMA live; CREATE SCHEMA next; CREATE TABLE live.t(a int); INSERT INTO live.t VALUES(1); CREATE TABLE "
       "next.t(a int); INSERT INTO next.t VALUES(2)",
       "SELECT a, a FROM live.t", "BEGIN; ALTER SCHEMA live RENAME TO old; ALTER SCHEMA next RENAME TO live; COMMIT",
       false},
      {"CREATE SCHEMA live; CREATE TABLE live.t(a int); INSERT INTO live.t VALUES(1)", "SELECT a, a FROM live.t",
       "GRANT USAGE ON SCHEMA live TO public", true},
      {"CREATE SCHEMA live; GRANT USAGE ON SCHEMA live TO public; CREATE TABLE live.t(a int); INSERT INTO live.t "
       "VALUES(1)",
       "SELECT a, a FROM live.t", "REVOKE USAGE ON SCHEMA live FROM public", true},
      {"CREATE TYPE addr AS (street text, zip text); CREATE TABLE t(a addr); INSERT INTO t VALUES(('s', 'z'))",
       "SELECT row_to_json(a), 1 FROM t", "ALTER TYPE addr RENAME ATTRIBUTE zip TO code", false},
      {"CREATE TYPE addr AS (street text, zip text); CREATE TABLE t(a addr); INSERT INTO t VALUES(('s', 'z'))",
       "SELECT row_to_json(a), 1 FROM t", "ALTER TYPE addr ADD ATTRIBUTE town text", false},
      {"CREATE TYPE addr AS (street text, zip text); CREATE TABLE t(a addr[]); INSERT INTO t VALUES(ARRAY[('s', "
       "'z')::addr])",
       "SELECT row_to_json(a[1]), 1 FROM t", "ALTER TYPE addr DROP ATTRIBUTE zip", false},
      {"CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TABLE t(a mood); INSERT INTO t VALUES('low')",
       "SELECT pg_typeof(a), 1 FROM t", "ALTER TYPE mood RENAME TO temper", false},
      {"CREATE TYPE mood AS ENUM ('low', 'high'); CREATE TABLE t(a mood); INSERT INTO t VALUES('low')",
       "SELECT a, 1 FROM t WHERE has_type_privilege('public', 'mood', 'USAGE')",
       "REVOKE USAGE ON TYPE mood FROM public", false},
      {"CREATE TABLE t(a int, b int); INSERT INTO t VALUES(1, 2)", "SELECT * FROM t",
       "ALTER TABLE t ALTER a TYPE text USING 'x' || a", false}, /* the statement is prepared again within the render */
  };
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    shown_site s;
    char before[SHOWN_TEXT_BYTES];
    shown_open(&s, "SET client_min_messages = error; DROP SCHEMA IF EXISTS live, next, old CASCADE", NULL);
    shown_run(&s, all[i].schema);
    const size_t page = shown_watch(&s, all[i].sql, NULL);
    (void)shown_renders(&s, page);
    memcpy(before, s.all[page].text, sizeof before);
    assert_string_not_equal(before, "");
    shown_run(&s, all[i].change);
    const unsigned renders = shown_renders(&s, page);
    if (renders == 0 || (!all[i].is_kept && strcmp(before, s.all[page].text) == 0))
      fail_msg("not followed: %s", all[i].change);
    assert_int_equal(s.on.th.log_lines, 0);
    shown_close(&s);
  }
}

/* Each use of a temporary table creates and drops a type, and no page must render for that. */
CHANNELS_CASE(temporary_tables_render_nothing) {
  const size_t eight = shown_watch(s, eighth, NULL);
  shown_run(s, "CREATE TEMPORARY TABLE first(a int)"); /* creates the session's schema */
  (void)shown_renders(s, eight);
  shown_run(s, "CREATE TEMPORARY TABLE own(a int, b text); INSERT INTO own VALUES(1, 'a'); DROP TABLE own");
  shown_run(s, "CREATE TYPE pair AS (a int, b int); CREATE SCHEMA other; DROP SCHEMA other; DROP TYPE pair");
  assert_int_equal(shown_renders(s, eight), 0);
}

/* Without the privilege the level is TOPICS, and the log names the missing setting. */
/* capability: M2 */
CHANNELS_CASE(level_is_topics_without_replication_privilege) {
  char url[256];
  vestry_postgres_destroy(s->database);
  vestry_sql_pool_destroy(s->pool);
  shown_run(s,
            "DROP ROLE IF EXISTS plain; CREATE ROLE plain LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO plain;"
            "GRANT USAGE ON SCHEMA public TO plain");
  snprintf(url, sizeof url, "host=%s dbname=postgres user=plain port=%d", shop_server()->folder, shop_server()->port);
  assert_int_equal(
      vestry_postgres_pool_create(&(vestry_postgres_pool_options){.host = &s->on.th.host, .url = url}, &s->pool),
      VESTRY_OK);
  assert_int_equal(vestry_postgres_create(s->on.pages, s->pool, NULL, &s->database), VESTRY_OK);
  assert_int_equal(vestry_postgres_level_get(s->database), VESTRY_POSTGRES_TOPICS);
  assert_non_null(strstr(s->on.th.last_log, "REPLICATION"));
  assert_int_equal(vestry_postgres_settle(s->database, 1, NULL), VESTRY_TIMEOUT);
}

int main(void) {
  if (!postgres_server_newest()) return POSTGRES_SKIPPED;
  return cases_run("postgres/exact", shop_open_server, shop_close_server);
}
