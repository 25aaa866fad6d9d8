/* SPDX-License-Identifier: MIT */
/* Sessions: who somebody is, from cookie to cookie. */
#include "session/members.h"
#include "vestry/app/once.h"
#include "vestry/app/page.h"
#include "vestry/app/secret.h"

/* capability: K6 */
static void a_session_from_its_beginning_to_its_end(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    browser b = {.cookie = ""};
    members_assert_is(&w, &b, "nobody");
    assert_non_null(strstr(b.set, "; Path=/; Secure; HttpOnly; SameSite=Lax"));
    assert_null(strstr(b.set, "Max-Age"));
    assert_memory_equal(b.set, "__Host-session=", 15);
    char first[sizeof b.cookie];
    strcpy(first, b.cookie);
    members_assert_is(&w, &b, "nobody");
    assert_string_equal(b.set, ""); /* once */
    members_log_in(&w, &b, "user=ada+l%c3%b8vlace");
    assert_string_not_equal(b.cookie, first);
    assert_non_null(strstr(b.set, "; Max-Age=5000"));
    members_assert_is(&w, &b, "ada l\xc3\xb8vlace");
    assert_string_equal(b.set, "");
    browser planter = {.cookie = ""};
    strcpy(planter.cookie, first);
    members_assert_is(&w, &planter, "nobody"); /* the id that was there before is nobody's */
    strcpy(first, b.cookie);
    assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 200);
    assert_string_not_equal(b.set, "");
    members_assert_is(&w, &b, "nobody");
    browser thief = {.cookie = ""};
    strcpy(thief.cookie, first); /* the old cookie is worth nothing */
    members_assert_is(&w, &thief, "nobody");
    assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 200); /* nobody is logged in */
    site_end(&w);
  }
}

static void it_ends_by_time(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    browser b = {.cookie = ""}, idle = {.cookie = ""};
    members_log_in(&w, &b, "user=a");
    members_log_in(&w, &idle, "user=idle");
    for (int i = 0; i < 9; i++) { /* 4,500 s, each less than idle */
      atomic_fetch_add(&members_clock_s, 500);
      site_pass_ms(&w, 500 * 1000);
      members_assert_is(&w, &b, "a");
      if (way == SIGNED) assert_string_not_equal(b.set, ""); /* the cookie says when it was used */
    }
    members_assert_is(&w, &idle, "nobody");
    atomic_fetch_add(&members_clock_s, 499);
    site_pass_ms(&w, 499 * 1000);
    members_assert_is(&w, &b, "a");
    atomic_fetch_add(&members_clock_s, 1);
    site_pass_ms(&w, 1000);
    members_assert_is(&w, &b, "nobody");
    site_end(&w);
  }
}

/* capability: K6 */
static void what_a_restart_keeps(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""};
    members_log_in(&w, &b, "user=a");
    site_end(&w);
    members_begin(&w, &options);
    members_assert_is(&w, &b, way == IN_MEMORY ? "nobody" : "a");
    members_assert_is(&w, &b, way == IN_MEMORY ? "nobody" : "a");
    if (way == STORED) assert_int_equal(s.loads, 1); /* then memory knows */
    site_end(&w);
  }
}

static void storage_knows_no_ids(void **state) {
  (void)state;
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  const char *id = strchr(b.cookie, '=') + 1;
  for (int i = 0; i < 32; i++) assert_null(strstr(s.rows[i].hash, id));
  snprintf(b.cookie, sizeof b.cookie, "__Host-session=%s", s.rows[0].hash);
  members_assert_is(&w, &b, "nobody");
  site_end(&w);
}

/* ------------------------------------------------------------------------------------- cookies of others ---------- */

/* capability: K6 */
static void cookies_that_were_not_written_here(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""};
    members_log_in(&w, &b, "user=ada");
    size_t len = strlen(b.cookie);
    for (size_t i = 15; i < len; i++) { /* each character, another one, and none */
      browser bad = b;
      bad.cookie[i] = bad.cookie[i] == 'a' ? 'b' : 'a';
      members_assert_is(&w, &bad, "nobody");
      bad = b;
      bad.cookie[i] = '\0';
      members_assert_is(&w, &bad, "nobody");
      bad = b;
      if (bad.cookie[i] >= 'a' && bad.cookie[i] <= 'f') bad.cookie[i] -= 'a' - 'A';
      members_assert_is(&w, &bad, strcmp(bad.cookie, b.cookie) == 0 ? "ada" : "nobody");
    }
    browser more = b;
    strcat(more.cookie, "0");
    members_assert_is(&w, &more, "nobody");
    snprintf(more.cookie, sizeof more.cookie, "x=1; __Host-session=\"no\"; %s; %s", b.cookie, "__Host-session=0");
    members_assert_is(&w, &more, "nobody"); /* of several the first */
    snprintf(more.cookie, sizeof more.cookie, "x=1; %s; __Host-session=0", b.cookie);
    members_assert_is(&w, &more, "ada");
    site_end(&w);
  }
}

static void a_secret_can_be_changed(void **state) {
  (void)state;
  site w;
  shelf s;
  vestry_session_options options = members_way(SIGNED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=ada");
  site_end(&w);
  static const char other[] = "another one, of which nobody has heard";
  options.previous_secret = options.secret;
  options.previous_secret_len = options.secret_len;
  options.secret = other;
  options.secret_len = sizeof other - 1;
  members_begin(&w, &options);
  members_assert_is(&w, &b, "ada");
  site_end(&w);
  options.previous_secret = NULL;
  members_begin(&w, &options);
  members_assert_is(&w, &b, "nobody");
  site_end(&w);
}

static void what_caches_may_keep_has_no_cookie(void **state) {
  (void)state;
  site w;
  members_begin(&w, &(vestry_session_options){.insecure = true});
  browser b = {.cookie = ""};
  assert_int_equal(members_status(&w, &b, "GET", "/picture", NULL), 200);
  assert_string_equal(b.set, "");
  assert_int_equal(members_status(&w, &b, "GET", "/nowhere", NULL), 404);
  assert_string_equal(b.set, "");
  wire r = {.path = "/live", .datastar = true};
  members_ask(&w, &b, &r);
  assert_string_not_equal(b.set, "");
  wires_end(&w, &r);
}

/* Strangers cost no look into the database. */
static void visitors_are_not_looked_up(void **state) {
  (void)state;
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_assert_is(&w, &b, "nobody");
  for (int i = 0; i < 5; i++) members_assert_is(&w, &b, "nobody");
  assert_int_equal(s.loads, 0);
  site_end(&w);
}

static void bad_options_and_users(void **state) {
  (void)state;
  const vestry_session_storage_ops half = {.save = shelf_ops.save};
  const vestry_session_options bad[] = {
      {.secret = "short", .secret_len = 5},
      {.previous_secret = members_secret, .previous_secret_len = 34},
      {.secret = members_secret, .secret_len = 34, .previous_secret = "x", .previous_secret_len = 1},
      {.secret = members_secret, .secret_len = 34, .storage = &shelf_ops},
      {.storage = &half},
      {.cookie = "a-name-that-is-much-too-long-for-a-cookie-of-ours-to-have-at-all-"},
  };
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    site w;
    test_host_init(&w.th);
    assert_int_equal(site_try(&w, (vestry_options){0}, (site_has){.sessions = &bad[i]}), VESTRY_INVALID);
    test_host_assert_clean(&w.th);
  }
  site w;
  members_begin(&w, &(vestry_session_options){.insecure = true});
  browser b = {.cookie = ""};
  static const char *const users[] = {
      "", "user=", "user=%0a", "user=%7f", "user=a%c2%85", "user=%e2%80%aea", "user=a%e2%80%a8b"};
  for (size_t i = 0; i < sizeof users / sizeof *users; i++)
    assert_int_equal(members_status(&w, &b, "POST", "/login", users[i]), 500);
  char query[300] = "user=";
  memset(query + 5, 'a', 255);
  members_log_in(&w, &b, query);
  query[260] = 'a';
  assert_int_equal(members_status(&w, &b, "POST", "/login", query), 500);
  assert_int_equal(vestry_session_end_user(w.v, ""), VESTRY_INVALID);
  assert_int_equal(vestry_session_end_user(NULL, "a"), VESTRY_INVALID);
  site_end(&w);
}

/* What depends on sessions, or on their secret, was made before them: that is said. */
static void what_depends_on_sessions_comes_after_them(void **state) {
  (void)state;
  const vestry_session_options is_signed = {.secret = members_secret, .secret_len = 34}, plain = {.size = 0};
  const vestry_secret own = {.secret = members_secret, .secret_len = 34};
  site w;
  vestry_once *once;
  vestry_pages *pages;

  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_once_create(w.v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "create sessions first"));
  vestry_once_destroy(once);
  site_end(&w);

  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_pages_create(w.v, NULL, &pages), VESTRY_OK);
  assert_int_equal(vestry_sessions_create(w.v, &is_signed), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "random key"));
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_OK); /* has no secret */
  vestry_pages_destroy(pages);
  site_end(&w);

  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_secret_set(w.v, &own), VESTRY_OK); /* pages are sealed with the program's own */
  assert_int_equal(vestry_sessions_create(w.v, &is_signed), VESTRY_OK);
  site_end(&w);

  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_OK);
  assert_int_equal(vestry_sessions_create(w.v, &is_signed), VESTRY_EXISTS);
  assert_int_equal(vestry_secret_set(w.v, &own), VESTRY_OK); /* the second one's secret was not taken */
  assert_int_equal(vestry_once_create(w.v, NULL, &once), VESTRY_OK);
  vestry_once_destroy(once);
  site_end(&w);
}

static vestry_err log_in_and_out(test_host *th, void *ctx) {
  const vestry_session_options *options = ctx;
  vestry *v;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  error = vestry_sessions_create(v, options);
  if (!error) error = vestry_route(v, "POST", "/login", members_login, NULL);
  if (!error) error = vestry_route(v, "POST", "/logout", members_logout, NULL);
  if (!error) {
    wire r = {.method = "POST", .path = "/login", .query = "user=a"};
    site w = {.v = v};
    char cookie[2 * VSI_TOKEN_MAX_LEN] = "";
    (void)wire_serve(&w, &r, NULL, NULL);
    error = r.status == 303 ? VESTRY_OK : r.status == 500 || r.status == 0 ? VESTRY_NO_MEMORY : VESTRY_FAILED;
    (void)wire_keep_cookie(&r, cookie, sizeof cookie);
    wire_finish(&r);
    wire out = {.method = "POST", .path = "/logout", .headers = {{"Cookie", cookie}}};
    if (!error) {
      (void)wire_serve(&w, &out, NULL, NULL);
      error = out.status == 200 ? VESTRY_OK : VESTRY_NO_MEMORY;
      wire_finish(&out);
    }
  }
  vestry_destroy(v);
  return error;
}

static void no_memory_is_an_error(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    shelf s;
    vestry_session_options options = members_way(way, &s);
    test_host_fail_each(log_in_and_out, &options, true);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_session_from_its_beginning_to_its_end),
      cmocka_unit_test(it_ends_by_time),
      cmocka_unit_test(what_a_restart_keeps),
      cmocka_unit_test(storage_knows_no_ids),
      cmocka_unit_test(cookies_that_were_not_written_here),
      cmocka_unit_test(a_secret_can_be_changed),
      cmocka_unit_test(what_caches_may_keep_has_no_cookie),
      cmocka_unit_test(visitors_are_not_looked_up),
      cmocka_unit_test(bad_options_and_users),
      cmocka_unit_test(what_depends_on_sessions_comes_after_them),
      cmocka_unit_test(no_memory_is_an_error),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
