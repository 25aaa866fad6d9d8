/* SPDX-License-Identifier: MIT */
/* Sessions in a database survive restarts, and expire even if no browser returns. */
#include "session/storage_contract.h"

#include "data/sql/sql.h"

const storage_world *storage_contract_world;
static int64_t clock_s, ahead_s; /* the database's clock; how much the clock of nodes is ahead */
enum { IDLE_MS = 1000 * 1000, LIFETIME_MS = 5000 * 1000 };

static int64_t now_ms(void *ctx) {
  return clock_s * 1000;
}

static int64_t node_now_s(void *ctx) {
  return clock_s + ahead_s;
}

static int64_t number(storage_suite *s, const char *sql) {
  int64_t found = -1;
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, NULL, vestry_sql_row_integer, &found), VESTRY_OK);
  return found;
}

static void run(storage_suite *s, const char *sql) {
  assert_int_equal(vestry_sql_run_alone(s->pool, sql, NULL, NULL, NULL), VESTRY_OK);
}

static vestry_err show_user(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req);
  return vestry_reply_bodyf(reply, "%s", user ? user : "nobody");
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
}

static vestry_err log_out(const vestry_request *req, vestry_reply *reply, void *app) {
  return vestry_session_logout(req, reply);
}

vestry_err storage_open(storage_suite *s, storage_bounds bounds) {
  const vestry_sql_sessions_options options = {
      .max_per_user_count = bounds.max_per_user_count, .idle_ms = IDLE_MS, .lifetime_ms = LIFETIME_MS};
  s->pool = NULL;
  s->stored = NULL;
  vestry_err error = storage_contract_world->open(&s->on.th.host, &s->pool);
  if (!error) s->pool->now_ms = now_ms;
  if (!error) error = vestry_sql_sessions_create(s->pool, &options, &s->stored);
  if (error) return error;
  const vestry_session_options sessions = {.insecure = true,
                                           .idle_ms = IDLE_MS,
                                           .lifetime_ms = LIFETIME_MS,
                                           .max_per_user_count = 1000,
                                           .storage = &vestry_sql_sessions_ops,
                                           .storage_ctx = s->stored,
                                           .now_s = node_now_s};
  error = site_try(&s->on, (vestry_options){0}, (site_has){.sessions = &sessions});
  if (!error) error = vestry_route(s->on.v, "GET", "/", show_user, NULL);
  if (!error) error = vestry_route(s->on.v, "GET", "/in", log_in, NULL);
  return error ? error : vestry_route(s->on.v, "GET", "/out", log_out, NULL);
}

void storage_close(storage_suite *s) {
  if (s->on.v) vestry_stop(s->on.v, 0);
  vestry_destroy(s->on.v);
  s->on.v = NULL;
  vestry_sql_sessions_destroy(s->stored);
  vestry_sql_pool_destroy(s->pool);
}

void storage_begin(storage_suite *s, storage_bounds bounds) {
  memset(s, 0, sizeof *s);
  test_host_init(&s->on.th);
  clock_s = 1000000;
  ahead_s = 0;
  storage_contract_world->make();
  assert_int_equal(storage_open(s, bounds), VESTRY_OK);
}

void storage_end(storage_suite *s) {
  storage_close(s);
  test_host_assert_clean(&s->on.th);
  storage_contract_world->remove();
}

int storage_rows(storage_suite *s) {
  return (int)number(s, "SELECT count(*) FROM vestry_session");
}

typedef char cookie[120];

/* Return status and body, and update the cookie. */
const char *storage_ask(storage_suite *s, const char *path, const char *query, storage_cookie c) {
  static char answer[100];
  const vestry_header headers[] = {{"Cookie", c}};
  const vestry_memory_call call = {.path = path, .query = query, .headers = headers, .headers_count = *c != '\0'};
  vestry_memory_exchange *exchange = site_request(&s->on, &call);
  site_settle(&s->on);
  const char *set = vestry_memory_header(exchange, "Set-Cookie", 0);
  if (set) snprintf(c, sizeof(storage_cookie), "%.*s", (int)strcspn(set, ";"), set);
  const vestry_slice body = vestry_memory_look(exchange).received;
  snprintf(answer, sizeof answer, "%d %.*s", vestry_memory_look(exchange).status, (int)body.len,
           (const char *)body.data);
  vestry_memory_destroy(exchange);
  return answer;
}

void storage_let_in(storage_suite *s, const char *query, storage_cookie c) {
  *c = '\0';
  storage_ask(s, "/in", query, c);
  assert_true(*c);
}

#define SUITE_CASE(name) TEST_CASE_WITH(name, storage_suite, s, storage_begin(s, (storage_bounds){0}), storage_end(s))

/* capability: M3 */
SUITE_CASE(login_survives_a_restart) {
  storage_cookie ann, bob;
  storage_let_in(s, "user=ann+l%c3%b8v", ann);
  storage_let_in(s, "user=bob", bob);
  storage_close(s);
  assert_int_equal(storage_open(s, (storage_bounds){0}), VESTRY_OK);
  assert_string_equal(storage_ask(s, "/", NULL, ann), "200 ann l\xc3\xb8v");
  assert_string_equal(storage_ask(s, "/", NULL, bob), "200 bob");
  storage_cookie thief;
  strcpy(thief, bob);
  storage_ask(s, "/out", NULL, bob);
  assert_int_equal(vestry_session_end_user(s->on.v, "ann l\xc3\xb8v"), VESTRY_OK);
  assert_int_equal(storage_rows(s), 0);
  storage_close(s);
  assert_int_equal(storage_open(s, (storage_bounds){0}), VESTRY_OK);
  assert_string_equal(storage_ask(s, "/", NULL, thief), "200 nobody");
  assert_string_equal(storage_ask(s, "/", NULL, ann), "200 nobody");
}

SUITE_CASE(database_contains_no_session_id) {
  storage_cookie ann;
  storage_let_in(s, "user=ann", ann);
  char sql[300];
  snprintf(sql, sizeof sql, "SELECT count(*) FROM vestry_session WHERE hash LIKE '%%%s%%'", strchr(ann, '=') + 1);
  assert_int_equal(number(s, sql), 0);
}

/* A log-in deletes some expired rows; the session of this one ends at once. */
static void sweep(storage_suite *s) {
  storage_cookie c;
  storage_let_in(s, "user=sweeper", c);
  storage_ask(s, "/out", NULL, c);
}

/* No browser returns with these sessions. */
TEST_CASE(expired_sessions_are_deleted_without_being_loaded) {
  storage_suite s;
  storage_cookie c;
  storage_begin(&s, (storage_bounds){0});
  for (int i = 0; i < 95; i++) {
    char query[20];
    snprintf(query, sizeof query, "user=u%d", i);
    storage_let_in(&s, query, c);
  }
  assert_int_equal(storage_rows(&s), 95);
  storage_close(&s); /* memory is lost, the database is not */
  clock_s += 1099;
  assert_int_equal(storage_open(&s, (storage_bounds){0}), VESTRY_OK);
  sweep(&s);
  assert_int_equal(storage_rows(&s), 95); /* the last use is recorded to a tenth of idle_ms */
  clock_s += 1;
  storage_let_in(&s, "user=new", c); /* a login deletes some expired rows */
  assert_int_equal(storage_rows(&s), 95 - 64 + 1);
  sweep(&s);
  assert_int_equal(storage_rows(&s), 1);
  assert_string_equal(storage_ask(&s, "/", NULL, c), "200 new");
  /* The lifetime also ends a session that is used all the time. */
  for (int i = 0; i < 12; i++) {
    clock_s += 410;
    test_host_advance_ms(&s.on.th, 410 * 1000);
    assert_string_equal(storage_ask(&s, "/", NULL, c), "200 new");
    sweep(&s);
    assert_int_equal(storage_rows(&s), 1);
  }
  clock_s += 1100;
  test_host_advance_ms(&s.on.th, 1100 * 1000);
  assert_string_equal(storage_ask(&s, "/", NULL, c), "200 nobody");
  sweep(&s);
  assert_int_equal(storage_rows(&s), 0);
  storage_end(&s);
}

/* A node whose clock is ahead deletes no sessions, and its sessions do not live longer. */
/* capability: M3 */
SUITE_CASE(clock_of_the_database_counts) {
  storage_cookie ann, bob;
  storage_let_in(s, "user=ann", ann);
  storage_close(s);
  clock_s += 900;
  ahead_s = 8 * 86400;
  assert_int_equal(storage_open(s, (storage_bounds){0}), VESTRY_OK);
  assert_string_equal(storage_ask(s, "/", NULL, ann), "200 ann");
  storage_let_in(s, "user=bob", bob); /* a login deletes expired rows */
  assert_int_equal(storage_rows(s), 2);
  storage_close(s);
  clock_s += 900;
  ahead_s = 0;
  assert_int_equal(storage_open(s, (storage_bounds){0}), VESTRY_OK);
  assert_string_equal(storage_ask(s, "/", NULL, ann), "200 ann"); /* the use at the other node has extended it */
  assert_string_equal(storage_ask(s, "/", NULL, bob), "200 bob");
  clock_s += 1100;
  sweep(s);
  assert_int_equal(storage_rows(s), 0);
}

TEST_CASE(login_over_the_limit_ends_the_users_oldest) {
  storage_suite s;
  storage_cookie first, c, ann;
  storage_begin(&s, (storage_bounds){.max_per_user_count = 5});
  storage_let_in(&s, "user=ann", ann);
  for (int i = 0; i < 50; i++) {
    clock_s++;
    storage_let_in(&s, "user=bob", c);
    if (i == 44) strcpy(first, c);
  }
  assert_int_equal(storage_rows(&s), 6);
  storage_close(&s);
  assert_int_equal(storage_open(&s, (storage_bounds){.max_per_user_count = 5}), VESTRY_OK);
  assert_string_equal(storage_ask(&s, "/", NULL, ann), "200 ann");
  assert_string_equal(storage_ask(&s, "/", NULL, c), "200 bob");
  assert_string_equal(storage_ask(&s, "/", NULL, first), "200 nobody");
  storage_end(&s);
}

/* More log-ins in a second than a user may have sessions: each is valid, and a later one removes the surplus. */
TEST_CASE(login_over_the_limit_ends_no_session_of_the_same_second) {
  enum { LOGINS = 20 };
  storage_suite s;
  storage_cookie all[LOGINS];
  storage_begin(&s, (storage_bounds){.max_per_user_count = 5});
  for (int i = 0; i < LOGINS; i++) {
    clock_s += i == LOGINS / 2;
    storage_let_in(&s, "user=bob", all[i]);
  }
  storage_close(&s);
  assert_int_equal(storage_open(&s, (storage_bounds){.max_per_user_count = 5}), VESTRY_OK);
  for (int i = 0; i < LOGINS; i++) assert_string_equal(storage_ask(&s, "/", NULL, all[i]), "200 bob");
  clock_s += 2;
  storage_let_in(&s, "user=bob", all[0]);
  assert_int_equal(storage_rows(&s), 5);
  storage_end(&s);
}

/* If another process has ended the session, a use does not restore its row. */
SUITE_CASE(use_does_not_restore_a_deleted_row) {
  storage_cookie c;
  storage_let_in(s, "user=ann", c);
  run(s, "DELETE FROM vestry_session");
  clock_s += 500;
  assert_string_equal(storage_ask(s, "/", NULL, c), "200 ann"); /* still valid in memory */
  assert_int_equal(storage_rows(s), 0);
  test_host_advance_ms(&s->on.th, 1000);
  assert_string_equal(storage_ask(s, "/", NULL, c), "200 nobody");
}

SUITE_CASE(storage_errors_are_returned_and_logged) {
  storage_cookie c = "";
  run(s, "DROP TABLE vestry_session");
  assert_string_equal(storage_ask(s, "/in", "user=ann", c), "500 internal error\n");
  assert_int_equal(vestry_sql_sessions_ops.load(s->stored, "hash", NULL), VESTRY_IO);
  assert_non_null(strstr(s->on.th.last_log, "vestry_session"));
}

SUITE_CASE(table_of_a_later_version_is_rejected) {
  run(s, "UPDATE vestry_schema SET version = 9 WHERE part = 'session'");
  storage_close(s);
  assert_int_equal(storage_open(s, (storage_bounds){0}), VESTRY_IO);
  assert_non_null(strstr(s->on.th.last_log, "_sessions_create, "));
  assert_non_null(strstr(s->on.th.last_log, "have version 9"));
}

int storage_contract_run(const char *name) {
  return cases_run(name, NULL, NULL);
}
