/* SPDX-License-Identifier: MIT */
/* Tab states: (scope, tab) → bytes, in the application's database. */
#include "guard/tab_contract.h"
#include "sqlite/level.h"
#include "sqlite/tabs.h"

/* ----------------------------------------------------------------------------- the contract ---------------------- */

static const vestry_sqlite_options by_tables = {.level = VESTRY_SQLITE_TABLES, .poll_ms = 60000};
static ledger kept;

static void clear(void) {} /* each ledger is a new file */

static void open_node(size_t at, const tab_bounds *bounds, tab_node *ret_node) {
  ledger_open(&kept, "wal", &by_tables);
  tabs_open(&kept, &(vestry_sql_tabs_options){.ttl_s = bounds->ttl_s,
                                              .per_scope_count = bounds->per_scope_count,
                                              .max_count = bounds->max_count,
                                              .max_bytes = bounds->max_bytes});
  ledger_sync(&kept); /* the tables are new */
  *ret_node = tabs_node(&kept);
}

static void close_node(size_t at) {
  ledger_close(&kept);
}

static void settle(size_t at) {
  ledger_sync(&kept);
  site_settle_pages(&kept.on);
}

static int64_t count(void) {
  return ledger_number(kept.reader, "SELECT count(*) FROM vestry_tab");
}

/* capability: D9 */
LEDGER_CASE(calls_without_a_request_are_invalid_and_logged) {
  size_t len;
  tabs_open(s, NULL);
  assert_int_equal(vestry_sql_tab_get(s->states, NULL, NULL, NULL, 0, &len), VESTRY_INVALID);
  assert_non_null(strstr(s->on.th.last_log, "vestry_sql_tab_get: req"));
  assert_int_equal(vestry_sql_tab_set(s->states, NULL, "", 0), VESTRY_INVALID);
  assert_non_null(strstr(s->on.th.last_log, "vestry_sql_tab_set: req"));
  assert_int_equal(vestry_sql_tab_get(NULL, NULL, NULL, NULL, 0, &len), VESTRY_INVALID);
}

/* ----------------------------------------------------------------------------------------------- pages ------------ */

static void open_shown(tab_shown *w, ledger *s, const vestry_sqlite_options *options, uint32_t ttl_s,
                       char one[TAB_TOKEN_BYTES], char other[TAB_TOKEN_BYTES]) {
  ledger_open(s, "wal", options ? options : &by_tables);
  tabs_open(s, &(vestry_sql_tabs_options){.ttl_s = ttl_s});
  ledger_sync(s); /* the tables are new */
  const tab_node node = tabs_node(s);
  tab_show(w, &node, one, other);
}

static void close_shown(tab_shown *w) {
  tab_show_no_more(w);
  ledger_close(w->s.ctx);
}

static void check_renders(tab_shown *w, size_t one, size_t other) {
  ledger_sync(w->s.ctx);
  site_settle_pages(w->s.on);
  tab_check_renders(w, one, other);
}

/* capability: D9 */
TEST_CASE(any_write_of_a_state_renders_only_its_tab) {
  ledger s;
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES], sql[200];
  open_shown(&w, &s, NULL, 0, one, other);
  assert_int_equal(tabs_set(&s, "u", one, "draft", 5), VESTRY_OK);
  check_renders(&w, 1, 0);
  assert_string_equal(w.texts[0], "draft");
  assert_int_equal(tabs_set(&s, "u", one, "draft2", 6), VESTRY_OK);
  assert_int_equal(tabs_set(&s, "u", other, "its", 3), VESTRY_OK);
  check_renders(&w, 1, 1);
  assert_string_equal(w.texts[0], "draft2");
  assert_string_equal(w.texts[1], "its");
  ledger_run(s.db, "INSERT INTO t(x) VALUES(1)");
  check_renders(&w, 0, 0);
  assert_int_equal(tabs_set(&s, "u", other, "", 0), VESTRY_OK);
  check_renders(&w, 0, 1);
  /* Any statement that writes the row counts. */
  snprintf(sql, sizeof sql, "UPDATE vestry_tab SET data = x'41' WHERE tab = x'%.32s'", one);
  ledger_run(s.db, sql);
  check_renders(&w, 1, 0);
  assert_string_equal(w.texts[0], "A");
  ledger_run(s.db, "DELETE FROM vestry_tab; INSERT INTO vestry_tab VALUES(0, x'00', x'00', x'00', 7, NULL)");
  check_renders(&w, 1, 0);
  close_shown(&w);
}

/* capability: D9 */
TEST_CASE(write_belongs_to_the_application_transaction) {
  ledger s;
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_shown(&w, &s, NULL, 0, one, other);
  for (int i = 0; i < 2; i++) { /* the first write inserts, the second updates */
    vestry_sql_transaction *transaction;
    assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    ledger_run(vestry_sqlite_handle(transaction), "INSERT INTO t(x) VALUES(NULL)");
    assert_int_equal(tabs_set(&s, "u", one, "never", 5), VESTRY_OK);
    check_renders(&w, 0, 0);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_FAILED), VESTRY_FAILED);
    check_renders(&w, 0, 0);
    assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM vestry_tab"), i);
    assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    ledger_run(vestry_sqlite_handle(transaction), "INSERT INTO t(x) VALUES(NULL)");
    const char *text = i ? "then" : "now";
    assert_int_equal(tabs_set(&s, "u", one, text, strlen(text)), VESTRY_OK);
    assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM t"), i);
    check_renders(&w, 0, 0);
    assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    check_renders(&w, 1, 0);
    assert_string_equal(w.texts[0], text);
  }
  close_shown(&w);
}

/* In a transaction that changes something else, too, or not. */
TEST_CASE(write_of_an_equal_state_changes_and_renders_nothing) {
  ledger s;
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_shown(&w, &s, NULL, 0, one, other);
  assert_int_equal(tabs_set(&s, "u", one, "draft", 5), VESTRY_OK);
  check_renders(&w, 1, 0);
  ledger_run(s.reader, "CREATE TEMP TABLE former AS SELECT * FROM vestry_tab");
  for (int i = 0; i < 2; i++) {
    vestry_sql_transaction *transaction = NULL;
    if (i) assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_WRITE, &transaction), VESTRY_OK);
    if (i) ledger_run(vestry_sqlite_handle(transaction), "INSERT INTO t(x) VALUES(NULL)");
    assert_int_equal(tabs_set(&s, "u", one, "draft", 5), VESTRY_OK);
    if (i) assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
    check_renders(&w, 0, 0);
    assert_int_equal(
        ledger_number(s.reader, "SELECT count(*) FROM (SELECT * FROM vestry_tab INTERSECT SELECT * FROM former)"), 1);
  }
  close_shown(&w);
}

/* A trigger of the application changes the states of other tabs within the update of a state. */
TEST_CASE(states_that_a_trigger_changes_are_shown) {
  ledger s;
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  open_shown(&w, &s, NULL, 0, one, other);
  assert_int_equal(tabs_set(&s, "u", one, "its", 3), VESTRY_OK);
  assert_int_equal(tabs_set(&s, "u", other, "former", 6), VESTRY_OK);
  ledger_run(s.reader, "CREATE TRIGGER copied AFTER UPDATE OF data ON vestry_tab BEGIN"
                       "  UPDATE vestry_tab SET data = new.data WHERE tab <> new.tab; END");
  ledger_sync(&s);
  site_settle_pages(&s.on);
  w.renders[0] = w.renders[1] = 0;
  assert_int_equal(tabs_set(&s, "u", one, "both", 4), VESTRY_OK);
  check_renders(&w, 1, 1);
  assert_string_equal(w.texts[0], "both");
  assert_string_equal(w.texts[1], "both");
  close_shown(&w);
}

/* Another server uses the same database. Only its commits that may change states render tabs. */
TEST_CASE(state_written_by_another_process_is_shown) {
  static const vestry_sqlite_level levels[] = {VESTRY_SQLITE_TABLES, VESTRY_SQLITE_FILE_PAGES};
  for (size_t i = 0; i < 2; i++) {
    ledger s;
    tab_shown w;
    char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES], sql[300];
    if (levels[i] == VESTRY_SQLITE_FILE_PAGES) level_needs_pages();
    open_shown(&w, &s, &(vestry_sqlite_options){.level = levels[i], .poll_ms = 60000}, 0, one, other);
    assert_int_equal(tabs_set(&s, "u", one, "its own", 7), VESTRY_OK);
    check_renders(&w, 1, 0);
    snprintf(sql, sizeof sql, "UPDATE vestry_tab SET data = x'42' WHERE tab = x'%.32s'", one);
    ledger_run(s.reader, sql);
    ledger_sync(&s);
    assert_true(w.renders[0] > 0);
    assert_string_equal(w.texts[0], "B");
    snprintf(sql, sizeof sql, "INSERT INTO vestry_tab VALUES(0x%.16s, x'75', x'%.32s', x'43', 9999999, NULL)", other,
             other);
    ledger_run(s.reader, sql); /* for a tab without a state */
    ledger_sync(&s);
    assert_string_equal(w.texts[1], "C");
    /* Other inserts move the tab's row. */
    ledger_run(s.db,
               "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 300)"
               " INSERT INTO vestry_tab SELECT random(), x'75', randomblob(16), zeroblob(500), 9999999, NULL FROM n");
    ledger_sync(&s);
    snprintf(sql, sizeof sql, "UPDATE vestry_tab SET data = x'44' WHERE tab = x'%.32s'", one);
    ledger_run(s.reader, sql);
    ledger_sync(&s);
    assert_string_equal(w.texts[0], "D");
    w.renders[0] = w.renders[1] = 0;
    ledger_run(s.reader, "INSERT INTO t(x) VALUES(1)");
    if (levels[i] == VESTRY_SQLITE_FILE_PAGES) check_renders(&w, 0, 0);
    ledger_run(s.reader, "VACUUM");
    w.renders[0] = 0;
    ledger_sync(&s);
    assert_true(w.renders[0] > 0);
    close_shown(&w);
  }
}

/* ---------------------------------------------------------------------------------------------------- time -------- */

/* capability: D9 */
TEST_CASE(state_expires_ttl_s_after_its_last_use) {
  ledger s;
  tab_shown w;
  char one[TAB_TOKEN_BYTES], other[TAB_TOKEN_BYTES];
  ledger_clock(1000000);
  open_shown(&w, &s, NULL, 100, one, other);
  assert_int_equal(tabs_set(&s, "u", one, "read", 4), VESTRY_OK);
  assert_int_equal(tabs_set(&s, "u", other, "left", 4), VESTRY_OK);
  check_renders(&w, 1, 1);
  ledger_clock(1000009); /* too early to record the use */
  assert_string_equal(tabs_get(&s, "u", one), "read");
  check_renders(&w, 0, 0);
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000100);
  ledger_clock(1000011);
  assert_string_equal(tabs_get(&s, "u", one), "read");
  assert_string_equal(tabs_get(&s, "u", one), "read");
  check_renders(&w, 1, 0);
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000111);
  ledger_clock(1000105);
  assert_string_equal(tabs_get(&s, "u", one), "read");
  assert_string_equal(tabs_get(&s, "u", other), "");
  check_renders(&w, 1, 0);
  ledger_clock(1000110);
  assert_int_equal(tabs_set(&s, "u", one, "written", 7), VESTRY_OK); /* and the expired state is removed */
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000205);
  ledger_clock(1000125);
  assert_int_equal(tabs_set(&s, "u", one, "written2", 8), VESTRY_OK);
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000225);
  assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM vestry_tab"), 1);
  vestry_sqlite_stats followed = {0};
  vestry_sqlite_stats_get(s.database, &followed);
  assert_int_equal(followed.other_commits_count, 0);
  close_shown(&w);
}

/* The first read, which tries to record the use, fails to do so; no other one tries it for a minute. */
/* capability: D9 */
TEST_CASE(state_is_read_while_another_connection_writes) {
  ledger s;
  char one[TAB_TOKEN_BYTES];
  ledger_clock(1000000);
  ledger_open(&s, "wal", &by_tables);
  tabs_open(&s, &(vestry_sql_tabs_options){.ttl_s = 1000});
  tabs_begin(&s, "u", one);
  assert_int_equal(tabs_set(&s, "u", one, "x", 1), VESTRY_OK);
  ledger_clock(1000500);
  ledger_run(s.reader, "BEGIN IMMEDIATE");
  assert_string_equal(tabs_get(&s, "u", one), "x");
  ledger_run(s.reader, "ROLLBACK");
  ledger_clock(1000559);
  assert_string_equal(tabs_get(&s, "u", one), "x");
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1001000);
  ledger_clock(1000560);
  assert_string_equal(tabs_get(&s, "u", one), "x");
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1001560);
  ledger_close(&s);
}

/* A transaction for reading, here that of a render, cannot write: the use is recorded after it. */
TEST_CASE(use_within_a_transaction_for_reading_is_recorded_after_it) {
  ledger s;
  char one[TAB_TOKEN_BYTES];
  vestry_sql_transaction *transaction;
  ledger_clock(1000000);
  ledger_open(&s, "wal", &by_tables);
  tabs_open(&s, &(vestry_sql_tabs_options){.ttl_s = 100});
  tabs_begin(&s, "u", one);
  assert_int_equal(tabs_set(&s, "u", one, "x", 1), VESTRY_OK);
  ledger_clock(1000050);
  assert_int_equal(vestry_sql_begin(s.pool, VESTRY_SQL_READ, &transaction), VESTRY_OK);
  assert_string_equal(tabs_get(&s, "u", one), "x");
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000100);
  assert_int_equal(vestry_sql_end(transaction, VESTRY_OK), VESTRY_OK);
  assert_int_equal(ledger_number(s.reader, "SELECT max(expires) FROM vestry_tab"), 1000150);
  ledger_close(&s);
}

/* capability: D9 */
TEST_CASE(expired_states_are_deleted_in_batches) {
  ledger s;
  char one[TAB_TOKEN_BYTES];
  ledger_clock(1000000);
  ledger_open(&s, "wal", &by_tables);
  tabs_open(&s, &(vestry_sql_tabs_options){.ttl_s = 1000});
  tabs_begin(&s, "u", one);
  ledger_run(s.db, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 150)"
                   " INSERT INTO vestry_tab SELECT i, x'61', CAST(i AS BLOB), x'00', 999000 + i, NULL FROM n");
  static const int left[] = {87, 23, 1, 1};
  for (size_t i = 0; i < 4; i++) {
    ledger_clock(1000000 + 200 * (int64_t)i);
    assert_int_equal(tabs_set(&s, "u", one, "x", 1), VESTRY_OK);
    assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM vestry_tab"), left[i]);
    assert_int_equal(tabs_set(&s, "u", one, "y", 1), VESTRY_OK); /* the update of an existing state */
    assert_int_equal(ledger_number(s.reader, "SELECT count(*) FROM vestry_tab"), left[i]);
  }
  ledger_close(&s);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "ann");
  return error ? error : vestry_reply_status(reply, 204);
}

static void take_cookie(vestry_memory_exchange *exchange, char cookie[100]) {
  const char *set_cookie = vestry_memory_header(exchange, "Set-Cookie", 0);
  assert_non_null(set_cookie);
  snprintf(cookie, 100, "%.*s", (int)strcspn(set_cookie, ";"), set_cookie);
  vestry_memory_destroy(exchange);
}

static int states(ledger *s) {
  return ledger_number(s->reader, "SELECT count(*) FROM vestry_tab");
}

/* Scopes are limited separately, and their number is unlimited. */
TEST_CASE(states_of_all_scopes_are_bounded) {
  static const struct {
    uint32_t most;
    int least_left; /* after the limit is reached, some more are removed than necessary */
  } rows[] = {{5, 5}, {640, 630}};
  for (size_t row = 0; row < 2; row++) {
    ledger s;
    char cookie[16], first[TAB_TOKEN_BYTES], one[TAB_TOKEN_BYTES];
    int most = (int)rows[row].most;
    ledger_clock(1000000);
    ledger_open(&s, "wal", &by_tables);
    tabs_open(&s, &(vestry_sql_tabs_options){.max_count = rows[row].most, .ttl_s = 100000});
    for (int i = 0; i < 3 * most; i++) {
      ledger_clock(1000000 + i);
      snprintf(cookie, sizeof cookie, "u%d", i);
      tabs_begin(&s, cookie, one);
      if (i == 0) memcpy(first, one, sizeof first);
      assert_int_equal(tabs_set(&s, cookie, one, "x", 1), VESTRY_OK);
      assert_in_range(states(&s), i < most ? i + 1 : rows[row].least_left, most);
    }
    assert_string_equal(tabs_get(&s, cookie, one), "x");
    assert_string_equal(tabs_get(&s, "u0", first), ""); /* the first to expire */
    /* States that another process inserts are found after a while. */
    ledger_run(s.db, "WITH RECURSIVE n(i) AS (VALUES(1) UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
                     " INSERT INTO vestry_tab SELECT i, x'61', CAST(i AS BLOB), x'00', 5000000 + i, NULL FROM n");
    for (int i = 0; i < 1025; i++) {
      snprintf(cookie, sizeof cookie, "v%d", i);
      tabs_begin(&s, cookie, one);
      assert_int_equal(tabs_set(&s, cookie, one, "x", 1), VESTRY_OK);
    }
    assert_in_range(states(&s), 1, most);
    ledger_close(&s);
  }
}

/* A user's state, and those of anonymous users. */
typedef struct crowded {
  ledger s;
  char user[100], anonymous[100]; /* cookies; that of the last anonymous user */
  char token[TAB_TOKEN_BYTES], one[TAB_TOKEN_BYTES];
} crowded;

/* At most ten states are kept for 1,000 s. A user sets one, and then 50 anonymous users set one in each second. */
static void crowd(crowded *c, int64_t since_s) {
  vestry_memory_exchange *exchange;
  ledger_clock(1000000);
  ledger_open_as(&c->s, "wal", &by_tables, (vestry_options){0});
  tabs_open(&c->s, &(vestry_sql_tabs_options){.max_count = 10, .ttl_s = 1000});
  assert_int_equal(vestry_sessions_create(c->s.on.v, &(vestry_session_options){.insecure = true}), VESTRY_OK);
  assert_int_equal(vestry_route(c->s.on.v, "POST", "/in", log_in, NULL), VESTRY_OK);
  assert_int_equal(
      vestry_memory_request(c->s.on.v, &(vestry_memory_call){.method = "POST", .path = "/in"}, NULL, NULL, &exchange),
      VESTRY_OK);
  site_settle(&c->s.on);
  *c->user = '\0';
  take_cookie(exchange, c->user);
  tabs_begin(&c->s, c->user, c->token);
  assert_int_equal(tabs_set(&c->s, c->user, c->token, "draft", 5), VESTRY_OK);
  for (int i = 0; i < 50; i++) {
    ledger_clock(since_s + i);
    snprintf(c->anonymous, sizeof c->anonymous, "session=-%032x", i);
    tabs_begin(&c->s, c->anonymous, c->one);
    assert_int_equal(tabs_set(&c->s, c->anonymous, c->one, "x", 1), VESTRY_OK);
  }
  assert_int_equal(states(&c->s), 10);
  assert_string_equal(tabs_get(&c->s, c->user, c->token), "draft");
}

/* A client can create any number of anonymous scopes; their states are evicted before those of users. */
TEST_CASE(anonymous_states_are_evicted_before_users_states) {
  crowded c;
  crowd(&c, 1000010); /* each later than the user's */
  assert_string_equal(tabs_get(&c.s, c.anonymous, c.one), "x");
  ledger_clock(1000010 + 49 + 501);
  assert_string_equal(tabs_get(&c.s, c.anonymous, c.one), ""); /* it also expires earlier */
  assert_string_equal(tabs_get(&c.s, c.user, c.token), "draft");
  ledger_close(&c.s);
}

/* Anonymous states do not evict a user's state that expires sooner. */
TEST_CASE(anonymous_states_evict_no_user_state_that_expires_sooner) {
  crowded c;
  crowd(&c, 1000600); /* theirs expire at 1001100 and later, the user's at 1001000 */
  assert_in_range(ledger_number(c.s.reader, "SELECT count(*) FROM vestry_tab WHERE person = 0"), 9, 10);
  ledger_close(&c.s);
}

/* -------------------------------------------------------------------------------------------------- schema -------- */

static vestry_err open_again(ledger *s) {
  vestry_sql_tabs_destroy(s->states);
  s->states = NULL;
  return vestry_sql_tabs_create(s->on.pages, s->pool, NULL, &s->states);
}

/* capability: D9 */
LEDGER_CASE(tables_are_created_once_and_have_a_version) {
  char one[TAB_TOKEN_BYTES];
  tabs_open(s, NULL);
  ledger_run(s->db, "PRAGMA user_version = 77");
  tabs_begin(s, "u", one);
  assert_int_equal(tabs_set(s, "u", one, "kept", 4), VESTRY_OK);
  int changes = ledger_number(s->reader, "PRAGMA data_version");
  assert_int_equal(open_again(s), VESTRY_OK);
  assert_int_equal(ledger_number(s->reader, "PRAGMA data_version"), changes); /* no write */
  assert_int_equal(ledger_number(s->reader, "PRAGMA user_version"), 77);
  assert_int_equal(ledger_number(s->reader, "SELECT version FROM vestry_schema WHERE part = 'tab'"), 2);
  assert_string_equal(tabs_get(s, "u", one), "kept");
  ledger_run(s->db, "UPDATE vestry_schema SET version = 3");
  long lines = s->on.th.log_lines;
  assert_int_equal(open_again(s), VESTRY_IO);
  assert_int_equal(s->on.th.log_lines, lines + 1);
  assert_non_null(strstr(s->on.th.last_log, "version 3"));
}

/* Tables as version 0.3.0 has made them; and again, after another client has deleted the versions. */
LEDGER_CASE(states_of_an_earlier_version_are_kept) {
  char one[TAB_TOKEN_BYTES], two[TAB_TOKEN_BYTES];
  tabs_open(s, NULL);
  tabs_begin(s, "u", one);
  tabs_begin(s, "v", two);
  assert_int_equal(tabs_set(s, "u", one, "kept", 4), VESTRY_OK);
  assert_int_equal(tabs_set(s, "v", two, "its", 3), VESTRY_OK);
  ledger_run(s->db,
             "CREATE TABLE former(scope BLOB NOT NULL, tab BLOB NOT NULL, data BLOB NOT NULL, expires INTEGER NOT NULL,"
             " PRIMARY KEY(scope, tab)) STRICT, WITHOUT ROWID;"
             "INSERT INTO former SELECT scope, tab, data, expires FROM vestry_tab; DROP TABLE vestry_tab;"
             "ALTER TABLE former RENAME TO vestry_tab; CREATE INDEX vestry_tab_expires ON vestry_tab(expires);"
             "DELETE FROM vestry_schema WHERE part <> 'tab'; UPDATE vestry_schema SET version = 1");
  for (int i = 0; i < 2; i++) {
    assert_int_equal(open_again(s), VESTRY_OK);
    assert_int_equal(ledger_number(s->reader, "SELECT sum(version) FROM vestry_schema"), 2 + 1);
    assert_int_equal(ledger_number(s->reader, "SELECT count(*) FROM vestry_tab WHERE person IS NULL"), 2);
    assert_string_equal(tabs_get(s, "u", one), "kept");
    assert_string_equal(tabs_get(s, "v", two), i ? "new" : "its");
    assert_int_equal(tabs_set(s, "v", two, "new", 3), VESTRY_OK);
    assert_int_equal(ledger_number(s->reader, "SELECT count(*) FROM vestry_tab"), 2);
    ledger_run(s->db, "DELETE FROM vestry_schema");
  }
}

int main(void) {
  level_begin();         /* without file pages, commits of others refresh all tabs */
  ledger_clock(1000000); /* before any database is opened */
  const tab_world world = {.nodes_count = 1,
                           .clear = clear,
                           .open = open_node,
                           .close = close_node,
                           .settle = settle,
                           .count = count,
                           .clock = ledger_clock};
  const int failed = tab_contract_run("sqlite_tab_contract", &world);
  return failed + cases_run("sqlite/tab", NULL, NULL);
}
