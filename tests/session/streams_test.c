/* SPDX-License-Identifier: MIT */
/* Streams end with their session, and can begin with a login. */
#include "session/members.h"
#include "support/litmus.h"
#include "support/until.h"
#include "vestry/app/presence.h"
#include "vestry/registry.h"

/* capability: K6 */
TEST_CASE(logout_ends_the_streams_of_all_tabs) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
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
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_string_equal(vestry_session_user(req), "b");
  vestry_reply_key(reply, VESTRY_KEY("page"));
  assert_int_equal(vestry_session_login(req, reply, "c"), VESTRY_INVALID); /* the key belongs to b's session */
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* Two processes share one storage, and nothing else. Within a second, one knows which sessions the other has ended. */
/* capability: F10, K6 */
TEST_CASE(session_ended_by_another_process_ends_within_a_second) {
  for (int has_missing = 0; has_missing < 2; has_missing++) {
    site here, there;
    shelf s;
    vestry_session_options options = members_way(STORED, &s);
    vestry_session_storage_ops ops = shelf_ops;
    if (!has_missing) ops.missing = NULL;
    options.storage = &ops;
    atomic_store(&members_clock_s, 1000000);
    members_begin(&here, &options);
    members_begin(&there, &options);
    browser a = {.cookie = ""}, other = {.cookie = ""}, quiet = {.cookie = ""};
    members_log_in(&here, &a, "user=a");
    members_log_in(&here, &other, "user=a");
    members_log_in(&here, &quiet, "user=a"); /* without streams */
    wire tabs[2];
    for (int i = 0; i < 2; i++) {
      tabs[i] = (wire){.path = "/live", .datastar = true};
      members_ask(&here, i ? &other : &a, &tabs[i]);
      assert_non_null(tabs[i].connection);
    }
    browser out = a, quiet_out = quiet;
    assert_int_equal(members_status(&there, &out, "POST", "/logout", NULL), 200);
    assert_int_equal(members_status(&there, &quiet_out, "POST", "/logout", NULL), 200);
    s.fails = VESTRY_IO; /* sessions continue while the storage cannot be read */
    site_pass_ms(&here, 2000);
    members_assert_is(&here, &a, "a");
    assert_true(vestry_connection_is_open(tabs[0].connection));
    s.fails = VESTRY_OK;
    site_pass_ms(&here, 1000);
    assert_false(vestry_connection_is_open(tabs[0].connection));
    assert_true(tabs[0].clean);
    assert_true(vestry_connection_is_open(tabs[1].connection)); /* another session of the same user */
    members_assert_is(&here, &a, "nobody");
    members_assert_is(&here, &quiet, "nobody");
    members_assert_is(&here, &other, "a");
    wire_hang_up(&here, &tabs[1]);
    site_pass_ms(&here, 1000);
    int loads = s.loads;
    site_pass_ms(&here, 10000); /* a session without streams is not checked before its next request */
    assert_int_equal(s.loads, loads);
    members_assert_is(&here, &other, "a");
    assert_int_equal(s.loads, loads + 1);
    members_assert_is(&here, &other, "a");
    assert_int_equal(s.loads, loads + 1);
    site_close(&here);
    site_close(&there);
    for (int i = 0; i < 2; i++) wire_finish(&tabs[i]);
    test_host_assert_clean(&here.th);
    test_host_assert_clean(&there.th);
  }
}

TEST_CASE(login_ends_streams_of_the_previous_session) {
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
  vestry_err error = vestry_session_login(req, reply, "b");
  return error ? error : members_live(req, reply, app);
}

TEST_CASE(stream_can_begin_in_the_reply_to_its_login) {
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

/* Attachments of the stream, such as presence, may precede the login, and follow the logout. */
static vestry_err present_in_out_and_live(const vestry_request *req, vestry_reply *reply, void *app) {
  assert_int_equal(vestry_reply_present(reply, app, NULL, "somebody"), VESTRY_OK);
  assert_int_equal(vestry_session_login(req, reply, "b"), VESTRY_OK);
  assert_int_equal(vestry_session_logout(req, reply), VESTRY_OK);
  assert_int_equal(vestry_reply_present(reply, app, VESTRY_KEY("after"), "somebody"), VESTRY_OK);
  return members_live(req, reply, NULL);
}

TEST_CASE(stream_after_logout_in_its_request_stays_open) {
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
  assert_true(vestry_presence_is(presence, VESTRY_KEY("after"), "somebody"));
  vestry_presence_destroy(presence);
  wires_end(&w, &r);
}

typedef struct short_of_memory {
  site w;
  long fail_at; /* index of the failing allocation in the login */
  vestry_err error;
  char user[16]; /* the user after the login */
} short_of_memory;

/* The reply contains the user that the request has after the login, whether it failed or not. */
static vestry_err try_login_and_show_user(const vestry_request *req, vestry_reply *reply, void *app) {
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
TEST_CASE(user_is_consistent_after_a_failed_login) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    short_of_memory s = {.error = VESTRY_NO_MEMORY};
    size_t ended_count = 0;
    for (; s.error; s.fail_at++) {
      shelf stored;
      vestry_session_options options = members_way(way, &stored);
      members_begin(&s.w, &options);
      assert_int_equal(vestry_route(s.w.v, "GET", "/try", try_login_and_show_user, &s), VESTRY_OK);
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
      /* The reply arrives, and the next request and the stream belong to the user that the handler saw. */
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

/* If the old session cannot be ended, or the new one not stored, the request has no user. */
static vestry_err login_and_show_result(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "b");
  const char *user = vestry_session_user(req);
  if (error) vestry_reply_status(reply, 503);
  return vestry_reply_bodyf(reply, "%s, it is %s", error ? "sorry" : "welcome", user ? user : "nobody");
}

/* capability: K6 */
TEST_CASE(error_page_of_a_failed_login_has_no_user) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  assert_int_equal(vestry_route(w.v, "POST", "/try", login_and_show_result, NULL), VESTRY_OK);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  s.fails = VESTRY_LIMIT;
  wire r = {.method = "POST", .path = "/try"}, again = r;
  members_ask(&w, &b, &r);
  assert_int_equal(r.status, 503);
  wire_assert_text(&r, "sorry, it is nobody");
  assert_string_not_equal(b.set, ""); /* the browser gets a new cookie, too */
  s.fails = VESTRY_OK;
  members_assert_is(&w, &b, "nobody");
  members_ask(&w, &b, &again);
  wire_assert_text(&again, "welcome, it is b");
  wire_finish(&r), wire_finish(&again);
  site_end(&w);
}

typedef struct opening {
  site *w;
  const browser *b;
  _Atomic(bool) go;
  wire streams[40];
} opening;

static void *open_streams(void *ctx) {
  opening *all = ctx;
  WAIT_WHILE(!atomic_load(&all->go));
  for (int i = 0; i < 40; i++) {
    all->streams[i] = (wire){.path = "/live", .datastar = true, .headers = {{"Cookie", all->b->cookie}}};
    assert_int_equal(wire_serve(all->w, &all->streams[i], NULL, NULL), VESTRY_OK);
  }
  return NULL;
}

/* A thread opens streams with the old cookie during the logout. After it, no stream of the user is open. */
/* capability: K6 */
TEST_CASE(stream_opened_during_logout_ends) {
  for (int round = 0; round < 60; round++) {
    site w;
    shelf s;
    vestry_session_options options = members_way((enum way)(round % 2), &s);
    members_begin(&w, &options);
    browser b = {.cookie = ""}, out;
    members_log_in(&w, &b, "user=a");
    out = b;
    opening all = {.w = &w, .b = &b};
    wire before = {.path = "/live", .datastar = true, .headers = {{"Cookie", b.cookie}}};
    assert_int_equal(wire_serve(&w, &before, NULL, NULL), VESTRY_OK);
    pthread_t opener;
    assert_int_equal(pthread_create(&opener, NULL, open_streams, &all), 0);
    atomic_store(&all.go, true);
    litmus_dally(round % 7 * 2000);
    wire r = {.method = "POST", .path = "/logout", .headers = {{"Cookie", out.cookie}}};
    assert_int_equal(wire_serve(&w, &r, NULL, NULL), VESTRY_OK);
    assert_int_equal(r.status, 200);
    wire_finish(&r);
    pthread_join(opener, NULL);
    site_settle(&w);
    assert_false(vestry_connection_is_open(before.connection));
    /* The streams that are open now have no user: nothing of the user is left to end. */
    vestry_stats stats = {0};
    vestry_stats_get(w.v, &stats);
    const uint64_t open = stats.open_count;
    assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_OK);
    site_settle(&w);
    vestry_stats_get(w.v, &stats);
    assert_int_equal(stats.open_count, open);
    site_close(&w);
    wire_finish(&before);
    for (int i = 0; i < 40; i++) wire_finish(&all.streams[i]);
    test_host_assert_clean(&w.th);
  }
}

/* Streams are open when the lifetime ends. A restart does not extend the lifetime. */
TEST_CASE(restart_does_not_extend_the_lifetime) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
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
