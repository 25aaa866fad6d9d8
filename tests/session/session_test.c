/* SPDX-License-Identifier: MIT */
/* Sessions: the user of a request, from its cookie. */
#include "app/session/session.h"
#include "app/session/table.h"
#include "session/members.h"
#include "vestry/app/once.h"

/* capability: K6 */
TEST_CASE(login_and_logout_replace_the_session_id) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
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
    assert_string_equal(b.set, ""); /* the cookie is set once */
    members_log_in(&w, &b, "user=ada+l%c3%b8vlace");
    assert_string_not_equal(b.cookie, first);
    assert_non_null(strstr(b.set, "; Max-Age=5000"));
    members_assert_is(&w, &b, "ada l\xc3\xb8vlace");
    assert_string_equal(b.set, "");
    browser planter = {.cookie = ""};
    strcpy(planter.cookie, first);
    members_assert_is(&w, &planter, "nobody"); /* the id from before the login has no user */
    strcpy(first, b.cookie);
    assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 200);
    assert_string_not_equal(b.set, "");
    members_assert_is(&w, &b, "nobody");
    browser thief = {.cookie = ""};
    strcpy(thief.cookie, first); /* the old cookie is invalid */
    members_assert_is(&w, &thief, "nobody");
    assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 200); /* without a user */
    site_end(&w);
  }
}

TEST_CASE(session_ends_after_idle_ms_and_lifetime_ms) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    browser b = {.cookie = ""}, idle = {.cookie = ""};
    members_log_in(&w, &b, "user=a");
    members_log_in(&w, &idle, "user=idle");
    for (int i = 0; i < 9; i++) { /* 4,500 s, in steps shorter than idle_ms */
      atomic_fetch_add(&members_clock_s, 500);
      site_pass_ms(&w, 500 * 1000);
      members_assert_is(&w, &b, "a");
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

/* The system's clock is set, as on a device without a clock that asks the network for the time. */
TEST_CASE(set_clock_ends_no_session) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    atomic_store(&members_clock_s, 40);
    members_begin(&w, &options);
    browser early = {.cookie = ""}, late = {.cookie = ""};
    members_log_in(&w, &early, "user=early");
    atomic_store(&members_clock_s, 1796003600);
    members_assert_is(&w, &early, "early");
    /* All sessions of a user end while the clock is an hour ahead. The log-in after that is valid, and is loaded. */
    assert_int_equal(vestry_session_end_user(w.v, "late"), VESTRY_OK);
    atomic_store(&members_clock_s, 1796000000);
    members_assert_is(&w, &early, "early");
    members_log_in(&w, &late, "user=late");
    if (way != IN_MEMORY) {
      vsi_sessions *sessions = vsi_sessions_of(w.v);
      vsi_session_user *session = vsi_session_look_of(sessions, "late");
      assert_non_null(session);
      vsi_session_remove_this(sessions, session, VESTRY_CAUSE_SIZE);
      vsi_session_record_unref(session);
    }
    members_assert_is(&w, &late, "late");
    site_end(&w);
  }
}

/* capability: K6 */
TEST_CASE(stored_sessions_survive_a_restart) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
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
    if (way == STORED) assert_int_equal(s.loads, 1); /* later requests find the session in memory */
    site_end(&w);
  }
}

TEST_CASE(storage_holds_only_hashes_of_ids) {
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

/* ------------------------------------------------------------------------------------- forged cookies ------------- */

/* capability: K6 */
TEST_CASE(forged_cookies_have_no_user) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""};
    members_log_in(&w, &b, "user=ada");
    size_t len = strlen(b.cookie);
    for (size_t i = 15; i < len; i++) { /* each character: changed, cut off there, and in upper case */
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
    site_end(&w);
  }
}

/* Another program of the domain above, or of another path, has a cookie of the same name. */
TEST_CASE(cookies_of_others_do_not_hide_the_session) {
  static const char *const around[][2] = {{"x=1; ", "; __Host-session=0"},
                                          {"x=1; __Host-session=\"no\"; ", "; __Host-session=0"},
                                          {"__Host-session=eyJhIjoxfQ.aSb-cD.e_F; __Host-session; =; ", ""},
                                          {"__Host-session=; $Version=1; caf\xe9=\xe9; ", "; __Host-session="}};
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""};
    members_log_in(&w, &b, "user=ada");
    char ended[sizeof b.cookie]; /* looks like a session, and was one */
    browser former = {.cookie = ""};
    members_log_in(&w, &former, "user=bob");
    strcpy(ended, former.cookie);
    assert_int_equal(members_status(&w, &former, "POST", "/logout", NULL), 200);
    browser both = {.cookie = ""};
    assert_true(snprintf(both.cookie, sizeof both.cookie, "%s; %s", ended, b.cookie) > 0);
    members_assert_is(&w, &both, "ada");
    assert_string_equal(both.set, "");
    browser anonymous = {.cookie = ""}; /* whose id stays, too */
    members_assert_is(&w, &anonymous, "nobody");
    both = (browser){.cookie = ""};
    assert_true(snprintf(both.cookie, sizeof both.cookie, "%s; %s", ended, anonymous.cookie) > 0);
    members_assert_is(&w, &both, "nobody");
    assert_string_equal(both.set, "");
    for (size_t i = 0; i < sizeof around / sizeof *around; i++) {
      browser more = {.cookie = ""};
      assert_true(snprintf(more.cookie, sizeof more.cookie, "%s%s%s", around[i][0], b.cookie, around[i][1]) > 0);
      members_assert_is(&w, &more, "ada");
      assert_string_equal(more.set, "");
    }
    site_end(&w);
  }
}

TEST_CASE(cacheable_replies_set_no_cookie) {
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

/* A request without a login causes no database query. */
TEST_CASE(anonymous_requests_do_not_query_storage) {
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

TEST_CASE(invalid_options_and_user_names_are_rejected) {
  const vestry_session_storage_ops half = {.save = shelf_ops.save};
  const vestry_session_options bad[] = {
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
  static const char *const users[] = {"",
                                      "user=",
                                      "user=%0a",
                                      "user=%7f",
                                      "user=a%c2%85",
                                      "user=%e2%80%aea",
                                      "user=a%e2%80%a8b",
                                      "user=%ef%bb%bfa",
                                      "user=a%e2%80%8b",
                                      "user=a%c2%adb",
                                      "user=a%e2%81%a0",
                                      "user=a%ef%b8%8f",
                                      "user=a%e3%85%a4",
                                      "user=a%f3%a0%80%a1",
                                      "user=a%e2%80%8d",
                                      "user=%d9%85%e2%80%8c",
                                      "user=%e2%80%8c%d9%85"};
  for (size_t i = 0; i < sizeof users / sizeof *users; i++)
    assert_int_equal(members_status(&w, &b, "POST", "/login", users[i]), 500);
  members_log_in(&w, &b, "user=%d9%85%db%8c%e2%80%8c%d8%ae"); /* a joiner inside a word */
  char query[300] = "user=";
  memset(query + 5, 'a', 255);
  members_log_in(&w, &b, query);
  query[260] = 'a';
  assert_int_equal(members_status(&w, &b, "POST", "/login", query), 500);
  assert_int_equal(vestry_session_end_user(w.v, ""), VESTRY_INVALID);
  assert_int_equal(vestry_session_end_user(NULL, "a"), VESTRY_INVALID);
  site_end(&w);
}

/* Sessions are rejected if an object that depends on them was created before them. The log states this. */
TEST_CASE(sessions_after_their_dependents_are_rejected) {
  const vestry_session_options plain = {0};
  site w;
  vestry_once *once;
  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_once_create(w.v, NULL, &once), VESTRY_OK);
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_INVALID);
  assert_non_null(strstr(w.th.last_log, "create sessions first"));
  vestry_once_destroy(once);
  site_end(&w);

  site_begin(&w, (vestry_options){0});
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_OK);
  assert_int_equal(vestry_sessions_create(w.v, &plain), VESTRY_EXISTS);
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
    char cookie[200] = "";
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

TEST_CASE(allocation_failure_is_returned) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    shelf s;
    vestry_session_options options = members_way(way, &s);
    test_host_fail_each(log_in_and_out, &options, true);
  }
}
