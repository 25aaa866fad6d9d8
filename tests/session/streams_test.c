/* SPDX-License-Identifier: MIT */
/* Streams end with their session, and begin with one. */
#include "session/members.h"
#include "vestry/app/presence.h"
#include "vestry/registry.h"

/* capability: K6 */
static void a_log_out_ends_the_streams_of_all_tabs(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    browser a = {.cookie = ""}, other = {.cookie = ""}, visitor = {.cookie = ""};
    members_log_in(&w, &a, "user=a");
    members_log_in(&w, &other, "user=a");
    wire tabs[5];
    for (int i = 0; i < 5; i++) {
      tabs[i] = (wire){.path = "/live", .datastar = true};
      members_ask(&w, i < 3 ? &a : i == 3 ? &other : &visitor, &tabs[i]);
      assert_non_null(tabs[i].connection);
    }
    wire_hang_up(&w, &tabs[1]);
    assert_int_equal(members_status(&w, &a, "POST", "/logout", NULL), 200);
    site_settle(&w);
    for (int i = 0; i < 5; i++) {
      bool ends = i < 3;
      assert_int_equal(vestry_connection_is_open(tabs[i].connection), !ends);
      if (ends) assert_int_equal(tabs[i].clean, i != 1);
    }
    assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_OK);
    site_settle(&w);
    assert_false(vestry_connection_is_open(tabs[3].connection));
    assert_true(vestry_connection_is_open(tabs[4].connection));
    members_assert_is(&w, &other, "nobody");
    site_close(&w);
    for (int i = 0; i < 5; i++) wire_finish(&tabs[i]);
    test_host_assert_clean(&w.th);
  }
}

static vestry_err login_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_string_equal(vestry_session_user(req), "b");
  vestry_reply_key(reply, VESTRY_KEY("page"));
  assert_int_equal(vestry_session_login(req, reply, "c"), VESTRY_INVALID); /* the key was of b's session */
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* Two processes, one storage. */
/* capability: F10, K6 */
static void a_log_out_elsewhere_ends_it_here_too(void **state) {
  (void)state;
  site here, there;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&here, &options);
  members_begin(&there, &options);
  browser a = {.cookie = ""}, other = {.cookie = ""};
  members_log_in(&here, &a, "user=a");
  members_log_in(&here, &other, "user=a"); /* the processes' random numbers are the same */
  char hash[40];
  snprintf(hash, sizeof hash, "%s", s.rows[0].hash);
  const vestry_scope scope = {hash, strlen(hash)}, unknown = {"nobody's", 8};
  wire tabs[3];
  for (int i = 0; i < 3; i++) {
    tabs[i] = (wire){.path = "/live", .datastar = true};
    members_ask(i < 2 ? &here : &there, i == 1 ? &other : &a, &tabs[i]);
    assert_non_null(tabs[i].connection);
  }
  browser out = a; /* its cookie stays */
  assert_int_equal(members_status(&there, &out, "POST", "/logout", NULL), 200);
  members_assert_is(&there, &out, "nobody");
  members_assert_is(&here, &a, "a"); /* memory believes in it */
  site_settle(&there);
  assert_false(vestry_connection_is_open(tabs[2].connection));
  assert_true(vestry_connection_is_open(tabs[0].connection));
  /* Of whom storage cannot say goes on. */
  s.fails = VESTRY_IO;
  assert_int_equal(vestry_session_check(here.v, &scope), VESTRY_IO);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_IO);
  s.fails = VESTRY_OK;
  assert_int_equal(vestry_session_check(here.v, &unknown), VESTRY_OK);
  site_settle(&here);
  assert_true(vestry_connection_is_open(tabs[0].connection));
  assert_int_equal(vestry_session_check(here.v, &scope), VESTRY_OK);
  site_settle(&here);
  assert_false(vestry_connection_is_open(tabs[0].connection));
  assert_true(tabs[0].clean);
  assert_true(vestry_connection_is_open(tabs[1].connection)); /* another session of the same user's */
  /* All at once. */
  assert_int_equal(members_status(&there, &other, "POST", "/logout", NULL), 200);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_OK);
  site_settle(&here);
  assert_false(vestry_connection_is_open(tabs[1].connection));
  int loads = s.loads;
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_OK); /* memory holds none */
  assert_int_equal(s.loads, loads);
  assert_int_equal(vestry_session_check(NULL, NULL), VESTRY_INVALID);
  site_close(&here);
  site_close(&there);
  for (int i = 0; i < 3; i++) wire_finish(&tabs[i]);
  test_host_assert_clean(&here.th);
  test_host_assert_clean(&there.th);
  options = members_way(IN_MEMORY, &s);
  members_begin(&here, &options);
  assert_int_equal(vestry_session_check(here.v, NULL), VESTRY_INVALID); /* no storage */
  site_end(&here);
}

static void a_log_in_ends_the_session_before(void **state) {
  (void)state;
  site w;
  members_begin(&w, &(vestry_session_options){.insecure = true});
  assert_int_equal(vestry_route(w.v, "GET", "/both", login_and_live, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  wire before = {.path = "/live", .datastar = true}, after = {.path = "/both", .datastar = true};
  members_ask(&w, &b, &before);
  members_ask(&w, &b, &after);
  site_settle(&w);
  assert_true(vestry_connection_is_open(after.connection));
  assert_false(vestry_connection_is_open(before.connection));
  wires_end(&w, &before, &after);
}

static vestry_err only_login_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  (void)app;
  vestry_err error = vestry_session_login(req, reply, "b");
  return error ? error : members_live(req, reply, app);
}

static void a_stream_may_begin_with_its_log_in(void **state) {
  (void)state;
  site w;
  members_begin(&w, &(vestry_session_options){.insecure = true});
  assert_int_equal(vestry_route(w.v, "GET", "/both", only_login_and_live, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  wire r = {.path = "/both", .datastar = true};
  members_ask(&w, &b, &r);
  assert_true(vestry_connection_is_open(r.connection));
  assert_memory_equal(b.set, "session=", 8);
  assert_null(strstr(b.set, "Secure"));
  members_assert_is(&w, &b, "b");
  char scope[VSI_TOKEN_HASH_LEN + 1];
  vsi_token_hash(strchr(b.cookie, '=') + 1, scope);
  const vestry_scope of = {scope, VSI_TOKEN_HASH_LEN};
  assert_int_equal(vestry_dispatch(w.v, of, VESTRY_KEY("page"), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                   VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "\"n\":1"), 1);
  assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 200);
  site_settle(&w);
  assert_false(vestry_connection_is_open(r.connection));
  wire_finish(&r);
  site_end(&w);
}

/* What else the stream is a part of may have been said before. */
static vestry_err present_in_out_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_reply_present(reply, app, NULL, "somebody"), VESTRY_OK);
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_int_equal(vestry_session_logout(req, reply), VESTRY_OK);
  return members_live(req, reply, NULL);
}

static void a_stream_leaves_the_session_that_its_request_has_left(void **state) {
  (void)state;
  site w;
  members_begin(&w, &(vestry_session_options){.insecure = true});
  vestry_presence *presence;
  assert_int_equal(vestry_presence_create(w.v, NULL, &presence), VESTRY_OK);
  assert_int_equal(vestry_route(w.v, "GET", "/through", present_in_out_and_live, presence), VESTRY_OK);
  browser b = {.cookie = ""};
  wire r = {.path = "/through", .datastar = true};
  members_ask(&w, &b, &r);
  assert_true(vestry_connection_is_open(r.connection));
  assert_true(vestry_presence_is(presence, NULL, "somebody"));
  vestry_presence_destroy(presence);
  wires_end(&w, &r);
}

typedef struct short_of_memory {
  site w;
  long fail_at; /* of the log-in's allocations */
  vestry_err error;
  char user[16]; /* who it was then */
} short_of_memory;

/* Whatever became of the log-in, the page is told who it is now. */
static vestry_err try_login_and_say_who(const vestry_request *req, vestry_reply *reply, void *app) {
  short_of_memory *s = app;
  test_host_fail_in(&s->w.th, s->fail_at);
  s->error = vestry_session_login(req, reply, "b");
  test_host_fail_no_more(&s->w.th);
  const char *user = vestry_session_user(req);
  snprintf(s->user, sizeof s->user, "%s", user ? user : "nobody");
  vestry_reply_patch_signals(reply, VESTRY_OBJECT("user", s->user));
  return members_live(req, reply, NULL);
}

/* capability: K6 */
static void who_it_is_after_a_log_in_that_failed(void **state) {
  (void)state;
  for (enum way way = IN_MEMORY; way <= SIGNED; way++) {
    short_of_memory s = {.error = VESTRY_NO_MEMORY};
    size_t ended_count = 0;
    for (; s.error; s.fail_at++) {
      shelf stored;
      vestry_session_options options = members_way(way, &stored);
      members_begin(&s.w, &options);
      assert_int_equal(vestry_route(s.w.v, "GET", "/try", try_login_and_say_who, &s), VESTRY_OK);
      browser b = {.cookie = ""};
      members_log_in(&s.w, &b, "user=a");
      wire before = {.path = "/live", .datastar = true}, r = {.path = "/try", .datastar = true};
      members_ask(&s.w, &b, &before);
      members_ask(&s.w, &b, &r);
      site_settle(&s.w);
      assert_true(s.error == VESTRY_OK || s.error == VESTRY_NO_MEMORY);
      bool is_nobodys = strcmp(s.user, "nobody") == 0;
      ended_count += is_nobodys;
      if (s.error) assert_string_not_equal(s.user, "b");
      assert_int_equal(vestry_connection_is_open(before.connection), strcmp(s.user, "a") == 0);
      /* the message arrives, the next request is whose the handler said, and the stream is theirs */
      assert_true(vestry_connection_is_open(r.connection));
      assert_int_equal(wire_count(&r, s.user), 1);
      members_assert_is(&s.w, &b, s.user);
      assert_int_equal(vestry_session_end_user(s.w.v, "a"), VESTRY_OK);
      assert_int_equal(vestry_session_end_user(s.w.v, "b"), VESTRY_OK);
      site_settle(&s.w);
      assert_int_equal(vestry_connection_is_open(r.connection), is_nobodys);
      wires_end(&s.w, &before, &r);
    }
    assert_true(s.fail_at > 1 && ended_count > 0);
  }
}

/* Nor is it the one before if ending that, or storing the new one, failed. */
static vestry_err login_or_say(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "b");
  const char *user = vestry_session_user(req);
  (void)app;
  if (error) vestry_reply_status(reply, 503);
  return vestry_reply_bodyf(reply, "%s, it is %s", error ? "sorry" : "welcome", user ? user : "nobody");
}

/* capability: K6 */
static void an_error_page_is_of_nobody(void **state) {
  (void)state;
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  assert_int_equal(vestry_route(w.v, "POST", "/try", login_or_say, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  s.fails = VESTRY_LIMIT;
  wire r = {.method = "POST", .path = "/try"}, again = r;
  members_ask(&w, &b, &r);
  assert_int_equal(r.status, 503);
  wire_assert_text(&r, "sorry, it is nobody");
  assert_string_not_equal(b.set, ""); /* the browser is told so, too */
  s.fails = VESTRY_OK;
  members_assert_is(&w, &b, "nobody");
  members_ask(&w, &b, &again);
  wire_assert_text(&again, "welcome, it is b");
  wire_finish(&r), wire_finish(&again);
  site_end(&w);
}

typedef struct rush {
  site *w;
  const browser *b;
  _Atomic(bool) go;
  wire streams[40];
} rush;

static void *open_streams(void *ctx) {
  rush *all = ctx;
  while (!atomic_load(&all->go)) sched_yield();
  for (int i = 0; i < 40; i++) {
    all->streams[i] = (wire){.path = "/live", .datastar = true, .headers = {{"Cookie", all->b->cookie}}};
    assert_int_equal(wire_serve(all->w, &all->streams[i], NULL, NULL), VESTRY_OK);
  }
  return NULL;
}

/* Whoever opened a stream with the old cookie while it was logged out: no such stream stays, of that user. */
/* capability: K6 */
static void no_stream_outlives_its_session(void **state) {
  (void)state;
  for (int round = 0; round < 60; round++) {
    site w;
    shelf s;
    vestry_session_options options = members_way((enum way)(round % 3), &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""}, out;
    members_log_in(&w, &b, "user=a");
    out = b;
    rush all = {.w = &w, .b = &b};
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_streams, &all), 0);
    atomic_store(&all.go, true);
    for (int i = 0; i < round % 7; i++) sched_yield();
    wire r = {.method = "POST", .path = "/logout", .headers = {{"Cookie", out.cookie}}};
    assert_int_equal(wire_serve(&w, &r, NULL, NULL), VESTRY_OK);
    assert_int_equal(r.status, 200);
    wire_finish(&r);
    pthread_join(opener, NULL);
    site_settle(&w);
    /* Those that are open came when the cookie was nobody's any more: a new visitor's, or the old id's without a
     * user. */
    vestry_stats stats = {.size = sizeof stats};
    vestry_stats_get(w.v, &stats);
    size_t open = 0;
    for (int i = 0; i < 40; i++)
      open += all.streams[i].connection && vestry_connection_is_open(all.streams[i].connection);
    assert_int_equal(open, stats.open_count);
    for (int i = 0; i < 39; i++) { /* once one was nobody's, all that follow are */
      bool ended = all.streams[i].connection && !vestry_connection_is_open(all.streams[i].connection);
      bool next_ended = all.streams[i + 1].connection && !vestry_connection_is_open(all.streams[i + 1].connection);
      if (next_ended && !ended) assert_false(all.streams[i].connection != NULL);
    }
    site_close(&w);
    for (int i = 0; i < 40; i++) wire_finish(&all.streams[i]);
    test_host_assert_clean(&w.th);
  }
}

/* Whoever has a stream open when the lifetime is over, which a restart does not begin anew. */
static void a_restart_gives_no_second_life(void **state) {
  (void)state;
  for (enum way way = STORED; way <= SIGNED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    options.idle_ms = options.lifetime_ms;
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    browser b[3] = {{.cookie = ""}, {.cookie = ""}, {.cookie = ""}};
    for (int i = 0; i < 3; i++) {
      members_log_in(&w, &b[i], "user=a");
      atomic_fetch_add(&members_clock_s, 100);
    }
    site_end(&w);
    atomic_fetch_add(&members_clock_s, 3700); /* 4,000 of 5,000 s of the first */
    members_begin(&w, &options);
    wire streams[3];
    for (int i = 2; i >= 0; i--) {
      streams[i] = (wire){.path = "/live", .datastar = true};
      members_ask(&w, &b[i], &streams[i]);
      assert_non_null(streams[i].connection);
    }
    for (int i = 0; i < 3; i++) {
      atomic_fetch_add(&members_clock_s, i ? 99 : 999);
      site_pass_ms(&w, (i ? 99 : 999) * 1000);
      assert_true(vestry_connection_is_open(streams[i].connection));
      atomic_fetch_add(&members_clock_s, 1);
      site_pass_ms(&w, 1000);
      assert_false(vestry_connection_is_open(streams[i].connection));
      members_assert_is(&w, &b[i], "nobody");
    }
    site_close(&w);
    for (int i = 0; i < 3; i++) wire_finish(&streams[i]);
    test_host_assert_clean(&w.th);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_log_out_ends_the_streams_of_all_tabs),
      cmocka_unit_test(a_log_out_elsewhere_ends_it_here_too),
      cmocka_unit_test(a_log_in_ends_the_session_before),
      cmocka_unit_test(a_stream_may_begin_with_its_log_in),
      cmocka_unit_test(a_stream_leaves_the_session_that_its_request_has_left),
      cmocka_unit_test(who_it_is_after_a_log_in_that_failed),
      cmocka_unit_test(an_error_page_is_of_nobody),
      cmocka_unit_test(no_stream_outlives_its_session),
      cmocka_unit_test(a_restart_gives_no_second_life),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
