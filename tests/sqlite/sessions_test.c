/* SPDX-License-Identifier: MIT */
/* Sessions in a database: they outlive restarts, and go when their time is over, whoever comes back. */

#include "sqlite/ledger.h"
#include "vestry/sqlite_sessions.h"

typedef struct shop {
  site on;
  char folder[FOLDER_BYTES], path[96];
  vestry_sqlite_pool *pool;
  vestry_sqlite_sessions *stored;
} shop;

static int64_t clock_s;

static int64_t now_s(void *ctx) {
  (void)ctx;
  return clock_s;
}

static vestry_err who(const vestry_request *req, vestry_reply *reply, void *app) {
  const char *user = vestry_session_user(req);
  (void)app;
  return vestry_reply_bodyf(reply, "%s", user ? user : "nobody");
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  return vestry_session_login(req, reply, vestry_request_value(req, VESTRY_IN_QUERY, "user"));
}

static vestry_err log_out(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  return vestry_session_logout(req, reply);
}

static vestry_err start(shop *s, vestry_sqlite_sessions_options options, size_t max_count) {
  options.now_s = now_s;
  options.idle_ms = 1000 * 1000;
  options.lifetime_ms = 5000 * 1000;
  vestry_err error = vestry_sqlite_pool_create(
      &(vestry_sqlite_pool_options){.host = &s->on.th.host, .path = s->path, .setup = "PRAGMA synchronous = OFF"},
      &s->pool);
  if (error) return error;
  error = vestry_sqlite_sessions_create(s->pool, &options, &s->stored);
  if (error) return error;
  const vestry_session_options sessions = {.insecure = true,
                                           .idle_ms = options.idle_ms,
                                           .lifetime_ms = options.lifetime_ms,
                                           .max_count = max_count,
                                           .max_per_user_count = 1000,
                                           .storage = &vestry_sqlite_sessions_ops,
                                           .storage_ctx = s->stored,
                                           .now_s = now_s};
  error = site_try(&s->on, (vestry_options){.sessions = &sessions});
  if (!error) error = vestry_route(s->on.v, "GET", "/", who, NULL);
  if (!error) error = vestry_route(s->on.v, "GET", "/in", log_in, NULL);
  return error ? error : vestry_route(s->on.v, "GET", "/out", log_out, NULL);
}

static void stop(shop *s) {
  if (s->on.v) vestry_stop(s->on.v, 0);
  vestry_destroy(s->on.v);
  vestry_sqlite_sessions_destroy(s->stored);
  vestry_sqlite_pool_destroy(s->pool);
  s->on.v = NULL;
  s->stored = NULL;
  s->pool = NULL;
}

static void make_folder(shop *s) {
  memset(s, 0, sizeof *s);
  test_host_init(&s->on.th);
  clock_s = 1000000;
  folder_make(s->folder, "sessions");
  snprintf(s->path, sizeof s->path, "%s/sessions.db", s->folder);
}

static void begin(shop *s, vestry_sqlite_sessions_options options) {
  make_folder(s);
  assert_int_equal(start(s, options, 0), VESTRY_OK);
}

static void end(shop *s) {
  stop(s);
  test_host_assert_clean(&s->on.th);
  folder_remove(s->folder);
}

static int rows(shop *s) {
  int64_t count = -1;
  assert_int_equal(
      vestry_sqlite_run_alone(s->pool, "SELECT count(*) FROM vestry_session", NULL, vestry_sqlite_row_integer, &count),
      VESTRY_OK);
  return (int)count;
}

typedef char cookie[120];

/* What it says; the cookie is brought up to date. */
static const char *ask(shop *s, const char *path, const char *query, cookie c) {
  static char said[100];
  const vestry_header headers[] = {{"Cookie", c}};
  const vestry_memory_call call = {.path = path, .query = query, .headers = headers, .headers_count = *c != '\0'};
  vestry_memory_exchange *exchange = site_request(&s->on, &call);
  site_settle(&s->on);
  const char *set = vestry_memory_header(exchange, "Set-Cookie", 0);
  if (set) snprintf(c, sizeof(cookie), "%.*s", (int)strcspn(set, ";"), set);
  const vestry_slice body = vestry_memory_look(exchange).received;
  snprintf(said, sizeof said, "%d %.*s", vestry_memory_look(exchange).status, (int)body.len, (const char *)body.data);
  vestry_memory_destroy(exchange);
  return said;
}

static void let_in(shop *s, const char *query, cookie c) {
  *c = '\0';
  ask(s, "/in", query, c);
  assert_true(*c);
}

static void who_has_logged_in_is_so_after_a_restart(void **state) {
  (void)state;
  shop s;
  cookie ann, bob;
  begin(&s, (vestry_sqlite_sessions_options){0});
  let_in(&s, "user=ann+l%c3%b8v", ann);
  let_in(&s, "user=bob", bob);
  stop(&s);
  assert_int_equal(start(&s, (vestry_sqlite_sessions_options){0}, 0), VESTRY_OK);
  assert_string_equal(ask(&s, "/", NULL, ann), "200 ann l\xc3\xb8v");
  assert_string_equal(ask(&s, "/", NULL, bob), "200 bob");
  cookie thief;
  strcpy(thief, bob);
  ask(&s, "/out", NULL, bob);
  assert_int_equal(vestry_session_end_user(s.on.v, "ann l\xc3\xb8v"), VESTRY_OK);
  assert_int_equal(rows(&s), 0);
  stop(&s);
  assert_int_equal(start(&s, (vestry_sqlite_sessions_options){0}, 0), VESTRY_OK);
  assert_string_equal(ask(&s, "/", NULL, thief), "200 nobody");
  assert_string_equal(ask(&s, "/", NULL, ann), "200 nobody");
  end(&s);
}

static void the_file_opens_no_session(void **state) {
  (void)state;
  shop s;
  cookie ann;
  begin(&s, (vestry_sqlite_sessions_options){0});
  let_in(&s, "user=ann", ann);
  int64_t found = -1;
  const char *id = strchr(ann, '=') + 1;
  assert_int_equal(vestry_sqlite_run_alone(s.pool, "SELECT count(*) FROM vestry_session WHERE instr(hash, ?)",
                                           VESTRY_LIST(id), vestry_sqlite_row_integer, &found),
                   VESTRY_OK);
  assert_int_equal(found, 0);
  end(&s);
}

/* Nobody comes back with them. */
static void what_is_over_is_deleted_though_nobody_loads_it(void **state) {
  (void)state;
  shop s;
  cookie c;
  begin(&s, (vestry_sqlite_sessions_options){.expired_at_once = 10});
  for (int i = 0; i < 95; i++) {
    char query[20];
    snprintf(query, sizeof query, "user=u%d", i);
    let_in(&s, query, c);
  }
  assert_int_equal(rows(&s), 95);
  stop(&s); /* memory forgets, the file does not */
  clock_s += 1099;
  assert_int_equal(start(&s, (vestry_sqlite_sessions_options){.expired_at_once = 10}, 0), VESTRY_OK);
  size_t count = 99;
  assert_int_equal(vestry_sqlite_sessions_expire(s.stored, &count), VESTRY_OK);
  assert_int_equal(count, 0); /* a use is noted to a tenth */
  clock_s += 1;
  let_in(&s, "user=new", c); /* a log-in does some of the work */
  assert_int_equal(rows(&s), 95 - 10 + 1);
  for (int left = 86; left > 1; left = rows(&s)) {
    assert_int_equal(vestry_sqlite_sessions_expire(s.stored, &count), VESTRY_OK);
    assert_int_equal(count, left > 10 ? 10 : left - 1);
    assert_int_equal(rows(&s), left - (int)count);
  }
  assert_string_equal(ask(&s, "/", NULL, c), "200 new");
  /* By its lifetime too, however often it is used. */
  for (int i = 0; i < 12; i++) {
    clock_s += 410;
    test_host_advance_ms(&s.on.th, 410 * 1000);
    assert_string_equal(ask(&s, "/", NULL, c), "200 new");
    assert_int_equal(vestry_sqlite_sessions_expire(s.stored, NULL), VESTRY_OK);
    assert_int_equal(rows(&s), 1);
  }
  clock_s += 80;
  assert_int_equal(vestry_sqlite_sessions_expire(s.stored, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(rows(&s), 0);
  end(&s);
}

static void a_user_has_so_many(void **state) {
  (void)state;
  shop s;
  cookie first, c, ann;
  begin(&s, (vestry_sqlite_sessions_options){.max_per_user_count = 5});
  let_in(&s, "user=ann", ann);
  for (int i = 0; i < 50; i++) {
    clock_s++;
    let_in(&s, "user=bob", c);
    if (i == 44) strcpy(first, c);
  }
  assert_int_equal(rows(&s), 6);
  stop(&s);
  assert_int_equal(start(&s, (vestry_sqlite_sessions_options){.max_per_user_count = 5}, 0), VESTRY_OK);
  assert_string_equal(ask(&s, "/", NULL, ann), "200 ann");
  assert_string_equal(ask(&s, "/", NULL, c), "200 bob");
  assert_string_equal(ask(&s, "/", NULL, first), "200 nobody");
  end(&s);
}

/* Another process has ended it: a use does not bring it back. */
static void a_use_makes_no_row(void **state) {
  (void)state;
  shop s;
  cookie c;
  begin(&s, (vestry_sqlite_sessions_options){0});
  let_in(&s, "user=ann", c);
  assert_int_equal(vestry_sqlite_run_alone(s.pool, "DELETE FROM vestry_session", NULL, NULL, NULL), VESTRY_OK);
  clock_s += 500;
  assert_string_equal(ask(&s, "/", NULL, c), "200 ann"); /* memory believes in it yet */
  assert_int_equal(rows(&s), 0);
  assert_int_equal(vestry_session_check(s.on.v, NULL), VESTRY_OK);
  assert_string_equal(ask(&s, "/", NULL, c), "200 nobody");
  end(&s);
}

static void what_fails_is_an_error_and_said(void **state) {
  (void)state;
  shop s;
  cookie c = "";
  begin(&s, (vestry_sqlite_sessions_options){0});
  assert_int_equal(vestry_sqlite_run_alone(s.pool, "DROP TABLE vestry_session", NULL, NULL, NULL), VESTRY_OK);
  assert_string_equal(ask(&s, "/in", "user=ann", c), "500 internal error\n");
  assert_int_equal(vestry_sqlite_sessions_expire(s.stored, NULL), VESTRY_IO);
  assert_non_null(strstr(s.on.th.last_log, "no such table: vestry_session"));
  assert_int_equal(vestry_sqlite_sessions_create(NULL, NULL, &s.stored), VESTRY_INVALID);
  assert_int_equal(vestry_sqlite_sessions_expire(NULL, NULL), VESTRY_INVALID);
  end(&s);
}

static void a_later_table_is_left_alone(void **state) {
  (void)state;
  shop s;
  begin(&s, (vestry_sqlite_sessions_options){0});
  assert_int_equal(
      vestry_sqlite_run_alone(s.pool, "UPDATE vestry_schema SET version = 9 WHERE part = 'session'", NULL, NULL, NULL),
      VESTRY_OK);
  stop(&s);
  assert_int_equal(start(&s, (vestry_sqlite_sessions_options){0}, 0), VESTRY_IO);
  assert_non_null(strstr(s.on.th.last_log, "vestry_sqlite_sessions_create, "));
  assert_non_null(strstr(s.on.th.last_log, "of version 9"));
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(who_has_logged_in_is_so_after_a_restart),
      cmocka_unit_test(the_file_opens_no_session),
      cmocka_unit_test(what_is_over_is_deleted_though_nobody_loads_it),
      cmocka_unit_test(a_user_has_so_many),
      cmocka_unit_test(a_use_makes_no_row),
      cmocka_unit_test(what_fails_is_an_error_and_said),
      cmocka_unit_test(a_later_table_is_left_alone),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
