/* SPDX-License-Identifier: MIT */
/* Stored sessions: failing storage, and concurrent calls. */
#include "app/session/owed.h"
#include "session/members.h"

TEST_CASE(failing_storage_gets_503_and_ends_the_session) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_assert_is(&w, &b, "nobody");
  s.fails = VESTRY_LIMIT;
  assert_int_equal(members_status(&w, &b, "POST", "/login", "user=a"), 503);
  s.fails = VESTRY_OK;
  members_assert_is(&w, &b, "nobody");
  members_log_in(&w, &b, "user=a");
  wire r = {.path = "/live", .datastar = true};
  members_ask(&w, &b, &r);
  s.fails = VESTRY_LIMIT;
  assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 503);
  site_settle(&w);
  assert_false(vestry_connection_is_open(r.connection)); /* the session has ended nevertheless */
  s.fails = VESTRY_OK;
  members_assert_is(&w, &b, "nobody");
  wire_finish(&r);
  site_end(&w);
}

/* ---------------------------------------------------------------------------------- failed removals --------------- */

/* The log-out, the end of all sessions of the user, and a login beyond max_per_user_count each end the session in
 * memory, but the storage does not remove it. The removal is tried again, and a restart does not undo the end. */
/* capability: K6 */
TEST_CASE(failed_removal_is_tried_again) {
  enum { LOGOUT, END_USER, DISPLACED, ENDS };
  enum { BY_REQUEST, BY_LOGIN, BY_TIMER, AT_THE_END, MOMENTS };
  for (int i = 0; i < ENDS * MOMENTS; i++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(STORED, &s);
    options.max_per_user_count = 1;
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    browser b = {.cookie = ""}, other = {.cookie = ""}, old;
    members_log_in(&w, &b, "user=a");
    old = b;
    s.removals_fail = VESTRY_LIMIT;
    if (i % ENDS == LOGOUT) assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 503);
    if (i % ENDS == END_USER) assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_LIMIT);
    if (i % ENDS == DISPLACED) members_log_in(&w, &other, "user=a");
    assert_non_null(strstr(w.th.last_log, "It is tried again"));
    test_host_advance_ms(&w.th, 5000);
    site_settle(&w); /* the timer's try fails, too */
    assert_int_equal(shelf_count(&s), i % ENDS == DISPLACED ? 2 : 1);
    s.removals_fail = VESTRY_OK;
    b = old;
    if (i / ENDS == BY_REQUEST) {
      char *last = b.cookie + strlen(b.cookie) - 1;
      *last = *last == '0' ? '1' : '0'; /* an unknown session, so the storage is called */
      members_assert_is(&w, &b, "nobody");
    }
    if (i / ENDS == BY_LOGIN) members_log_in(&w, &(browser){.cookie = ""}, "user=b");
    if (i / ENDS == BY_TIMER) {
      test_host_advance_ms(&w.th, 5000);
      site_settle(&w);
    }
    if (i / ENDS != AT_THE_END) assert_int_equal(shelf_count(&s), (i % ENDS == DISPLACED) + (i / ENDS == BY_LOGIN));
    site_end(&w);
    members_begin(&w, &options);
    members_assert_is(&w, &old, "nobody");
    if (*other.cookie) members_assert_is(&w, &other, "a");
    site_end(&w);
  }
}

/* A removal of all sessions of a user that is tried later must not remove a session that began since. */
/* capability: K6 */
TEST_CASE(login_waits_for_the_removal_of_earlier_sessions) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser before = {.cookie = ""}, after = {.cookie = ""}, other = {.cookie = ""};
  members_log_in(&w, &before, "user=a");
  s.removals_fail = VESTRY_LIMIT;
  assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_LIMIT);
  assert_int_equal(members_status(&w, &after, "POST", "/login", "user=a"), 503);
  members_log_in(&w, &other, "user=b");
  s.removals_fail = VESTRY_OK;
  members_log_in(&w, &after, "user=a");
  site_end(&w);
  members_begin(&w, &options);
  members_assert_is(&w, &after, "a");
  members_assert_is(&w, &other, "b");
  members_assert_is(&w, &before, "nobody");
  site_end(&w);
}

/* One line when removals begin to fail, one when some are dropped, and one, with their number, at the end. */
/* capability: K6 */
TEST_CASE(failing_removals_are_bounded_and_logged_once) {
  enum { MOST = 20 };
  for (int over = 0; over < 4; over++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(STORED, &s);
    char user[16], wanted[64];
    options.max_count = MOST;
    members_begin(&w, &options);
    for (int outage = 0; outage < 2; outage++) {
      const long before = w.th.log_lines;
      s.removals_fail = VESTRY_IO;
      for (int i = 0; i < MOST + over; i++) {
        snprintf(user, sizeof user, "u%d", i);
        for (int again = 0; again < 2; again++) assert_int_equal(vestry_session_end_user(w.v, user), VESTRY_IO);
      }
      site_pass_ms(&w, 60000);
      assert_int_equal(w.th.log_lines - before, 1 + (over > 0));
      assert_int_equal(strstr(w.th.last_log, "calls are dropped") != NULL, over > 0);
      s.removals_fail = VESTRY_OK;
      for (int i = 0; i < 2; i++) site_pass_ms(&w, 5000);
      assert_int_equal(w.th.log_lines - before, 1 + 2 * (over > 0)); /* the last line is a warning if some are lost */
      snprintf(wanted, sizeof wanted, "of %d failed calls, %d were made again and %d dropped", MOST + over, MOST, over);
      assert_non_null(strstr(w.th.last_log, wanted));
    }
    s.removals_fail = VESTRY_IO;
    assert_int_equal(vestry_session_end_user(w.v, "a"), VESTRY_IO);
    site_close(&w); /* still failing */
    assert_non_null(strstr(w.th.last_log, "failed until the end, so 1 calls are dropped"));
    test_host_assert_clean(&w.th);
  }
}

/* The calls that a storage did not accept, and the work to find one of them. */
typedef struct owed_world {
  vsi_owed owed;
  vsi_owed_call calls[1000];
  long compared_count, made_count;
  vestry_err fails;
} owed_world;

static vestry_err make_call(void *ctx, const vsi_owed_call *call) {
  owed_world *o = ctx;
  if (!o->fails) o->made_count++;
  return o->fails;
}

static void drop_call(void *ctx, vsi_owed_call *call) {}

static bool compare_call(const vsi_owed_call *call, const void *key) {
  owed_world *o = *(owed_world *const *)key;
  o->compared_count++;
  return call->hash == 1;
}

/* A lookup compares only the calls with this hash, or one in a thousand by chance. */
/* capability: K6 */
TEST_CASE(kept_calls_with_other_hashes_are_not_compared) {
  enum { COUNT = sizeof((owed_world *)0)->calls / sizeof(vsi_owed_call) };
  site w;
  static const vsi_owed_ops ops = {make_call, drop_call, .who = "a test", .what = "a call", .lost = "nothing"};
  site_begin(&w, (vestry_options){0});
  vestry_runtime *runtime;
  const vestry_runtime_options options = {.host = &w.th.host, .threads_count = VESTRY_THREADS_NONE};
  assert_int_equal(vestry_runtime_create(&options, &runtime), VESTRY_OK);
  owed_world *o = test_calloc(1, sizeof *o);
  assert_int_equal(vsi_owed_init(&o->owed, &w.th.host, runtime, &ops, o, COUNT), VESTRY_OK);
  o->fails = VESTRY_IO;
  for (size_t i = 0; i < COUNT; i++) {
    o->calls[i] = (vsi_owed_call){.hash = i};
    vsi_owed_add(&o->owed, &o->calls[i], VESTRY_IO);
  }
  o->fails = VESTRY_OK;
  const vsi_owed_key none = {COUNT, compare_call, &o}, own = {1, compare_call, &o};
  assert_false(vsi_owed_has(&o->owed, &none, false));
  assert_int_equal(o->compared_count, 0);
  assert_true(vsi_owed_has(&o->owed, &own, false));
  assert_int_equal(o->compared_count, 1);
  assert_int_equal(vsi_owed_settle(&o->owed, &own), VESTRY_OK);
  assert_int_equal(o->compared_count, 2);
  assert_int_equal(o->made_count, 1);
  assert_false(vsi_owed_has(&o->owed, &own, false));
  vsi_owed_finish(&o->owed);
  assert_int_equal(o->made_count, COUNT);
  vestry_runtime_destroy(runtime);
  test_free(o);
  site_end(&w);
}

/* A storage that rejects one removal always performs the others. */
/* capability: K6 */
TEST_CASE(rejected_removal_does_not_hold_up_others) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  s.removals_fail = VESTRY_IO;
  assert_int_equal(vestry_session_end_user(w.v, "rejected"), VESTRY_IO);
  members_log_in(&w, &b, "user=a");
  assert_int_equal(members_status(&w, &b, "POST", "/logout", NULL), 500);
  s.removals_fail = VESTRY_OK;
  s.rejected = "rejected";
  for (int i = 0; i < 2; i++) site_pass_ms(&w, 5000);
  assert_int_equal(shelf_count(&s), 0);
  s.rejected = NULL;
  site_end(&w);
}

/* ---------------------------------------------------------------------------------- clocks ------------------------ */

/* The clock of a second node is wrong. Its own users may have no session, but the other node's keep theirs. */
/* capability: K6 */
TEST_CASE(wrong_clock_of_a_node_ends_no_session_of_others) {
  static const struct {
    int64_t ahead_s, now_s; /* of the node; the storage's clock */
    const char *user;       /* at that node */
  } rows[] = {
      {2000, 0, "nobody"}, {-2000, 0, "a"}, {2000, 1000010, "a"}, {-2000, 1000010, "a"}, {0, 1001500, "nobody"}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(STORED, &s); /* idle_ms is 1,000 s */
    browser b = {.cookie = ""}, copy;
    atomic_store(&members_clock_s, 1000000);
    members_begin(&w, &options);
    members_log_in(&w, &b, "user=a");
    site_end(&w);
    copy = b;
    s.now_s = rows[i].now_s;
    atomic_fetch_add(&members_clock_s, rows[i].ahead_s);
    members_begin(&w, &options);
    members_assert_is(&w, &copy, rows[i].user);
    assert_int_equal(shelf_count(&s), 1);
    site_end(&w);
    s.now_s = 0;
    atomic_store(&members_clock_s, 1000010);
    members_begin(&w, &options);
    members_assert_is(&w, &b, "a");
    site_end(&w);
  }
}

/* The storage fails when the use is recorded, and the user does not come back for a while. */
TEST_CASE(failed_record_of_a_use_is_made_up_for) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  atomic_store(&members_clock_s, 1000000);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  atomic_fetch_add(&members_clock_s, 200);
  s.fails = VESTRY_IO;
  members_assert_is(&w, &b, "a");
  members_assert_is(&w, &b, "a");
  assert_int_equal(s.saves, 2); /* not with each request while the storage fails */
  s.fails = VESTRY_OK;
  atomic_fetch_add(&members_clock_s, 60);
  members_assert_is(&w, &b, "a");
  assert_int_equal(s.saves, 3);
  assert_int_equal(s.rows[0].record.used_s, 1000260);
  members_assert_is(&w, &b, "a");
  assert_int_equal(s.saves, 3);
  site_end(&w);
}

/* The session ends while its use is being recorded; the save must not leave a row behind. */
TEST_CASE(session_ended_during_a_save_stays_ended) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  atomic_store(&members_clock_s, 1000000);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  atomic_fetch_add(&members_clock_s, 200);
  s.ends_before_save = w.v;
  char cookie[sizeof b.cookie];
  strcpy(cookie, b.cookie);
  (void)members_status(&w, &b, "GET", "/", NULL);
  assert_int_equal(s.saves, 2);
  for (int i = 0; i < 32; i++) assert_string_equal(s.rows[i].hash, "");
  site_end(&w);
  members_begin(&w, &options);
  strcpy(b.cookie, cookie);
  members_assert_is(&w, &b, "nobody");
  site_end(&w);
}

/* ---------------------------------------------------------------------------------- concurrent calls -------------- */

typedef struct meeting {
  site w;
  shelf s;
  browser b;
  const char *user; /* the user whose sessions end */
  const char *query;
  int status;
} meeting;

static void end_all(void *ctx) {
  meeting *m = ctx;
  assert_int_equal(vestry_session_end_user(m->w.v, m->user), VESTRY_OK);
}

static void log_in_meanwhile(void *ctx) {
  meeting *m = ctx;
  m->status = members_status(&m->w, &m->b, "POST", "/login", m->query);
}

static void log_out_meanwhile(void *ctx) {
  meeting *m = ctx;
  browser other = m->b;
  assert_int_equal(members_status(&m->w, &other, "POST", "/logout", NULL), 200);
}

/* The login fails, or its session ends, or it counts as later than the end. */
/* capability: K6 */
TEST_CASE(login_during_end_user_is_ended_or_later) {
  enum { BEFORE_SAVE, AFTER_SAVE, IN_THE_END, MOMENTS };
  static const char *const users[] = {[BEFORE_SAVE] = "a", [AFTER_SAVE] = "nobody", [IN_THE_END] = "nobody"};
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    for (int moment = BEFORE_SAVE; moment < MOMENTS; moment++) {
      for (int is_same = 0; is_same < 2; is_same++) {
        if (way != STORED && moment != BEFORE_SAVE) continue;
        meeting m = {.user = is_same ? "a" : "c", .query = "user=a"};
        vestry_session_options options = members_way(way, &m.s);
        atomic_store(&members_clock_s, 1000000);
        members_begin(&m.w, &options);
        m.s.ctx = members_at_next_look_ctx = &m;
        if (moment == BEFORE_SAVE) members_at_next_look = end_all;
        if (moment == AFTER_SAVE) m.s.after_save = end_all;
        if (moment == IN_THE_END) {
          m.s.after_forget_user = log_in_meanwhile;
          end_all(&m);
        } else {
          log_in_meanwhile(&m);
        }
        assert_null(members_at_next_look);
        const char *user = is_same ? users[moment] : "a";
        assert_int_equal(m.status, is_same && moment == AFTER_SAVE ? 500 : 303);
        members_assert_is(&m.w, &m.b, user);
        assert_int_equal(shelf_count(&m.s), way == STORED && *user == 'a');
        members_log_in(&m.w, &m.b, "user=a"); /* in the same second, but after the end */
        members_assert_is(&m.w, &m.b, "a");
        site_end(&m.w);
      }
    }
  }
}

static void fail_to_end_all(void *ctx) {
  meeting *m = ctx;
  m->s.removals_fail = VESTRY_LIMIT;
  assert_int_equal(vestry_session_end_user(m->w.v, m->user), VESTRY_LIMIT);
}

/* The row of the login is still there, but its removal is owed. */
/* capability: K6 */
TEST_CASE(login_whose_removal_is_owed_fails) {
  meeting m = {.user = "a", .query = "user=a"};
  vestry_session_options options = members_way(STORED, &m.s);
  members_begin(&m.w, &options);
  m.s.ctx = &m;
  m.s.after_save = fail_to_end_all;
  log_in_meanwhile(&m);
  assert_int_equal(m.status, 500);
  members_assert_is(&m.w, &m.b, "nobody");
  m.s.removals_fail = VESTRY_OK;
  site_end(&m.w);
}

static vestry_err change_password(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_end_user(app, "a");
  if (!error) error = vestry_session_login(req, reply, "a");
  return error ? error : vestry_reply_redirect(reply, 303, "/");
}

/* All sessions end and one begins within one second. */
/* capability: K6 */
TEST_CASE(login_after_end_user_in_one_request_stays) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = members_way(way, &s);
    members_begin(&w, &options);
    assert_int_equal(vestry_route(w.v, "POST", "/change", change_password, w.v), VESTRY_OK);
    browser here = {.cookie = ""}, there = {.cookie = ""};
    members_log_in(&w, &here, "user=a");
    members_log_in(&w, &there, "user=a");
    assert_int_equal(members_status(&w, &here, "POST", "/change", NULL), 303);
    members_assert_is(&w, &here, "a");
    members_assert_is(&w, &there, "nobody");
    site_end(&w);
  }
}

/* A session that ends while a request loads it is not accepted: the request and its stream have no user. */
/* capability: K6 */
TEST_CASE(session_ended_while_loading_is_rejected) {
  for (int by_user = 0; by_user < 2; by_user++) {
    meeting m = {.user = "a"};
    vestry_session_options options = members_way(STORED, &m.s);
    members_begin(&m.w, &options);
    m.s.ctx = &m;
    members_log_in(&m.w, &m.b, "user=a");
    char cookie[sizeof m.b.cookie];
    strcpy(cookie, m.b.cookie);
    site_end(&m.w);
    members_begin(&m.w, &options); /* memory is empty, so the session is loaded */
    wire r = {.path = "/live", .datastar = true};
    m.s.after_load = by_user ? end_all : log_out_meanwhile;
    members_ask(&m.w, &m.b, &r);
    assert_null(m.s.after_load);
    assert_true(vestry_connection_is_open(r.connection)); /* anonymous, under another id */
    assert_string_not_equal(m.b.set, "");
    assert_string_not_equal(m.b.cookie, cookie);
    members_assert_is(&m.w, &m.b, "nobody");
    strcpy(m.b.cookie, cookie);
    members_assert_is(&m.w, &m.b, "nobody");
    assert_int_equal(shelf_count(&m.s), 0);
    wires_end(&m.w, &r);
  }
}

static void be_nobody(void *ctx) {
  meeting *m = ctx;
  browser other = m->b;
  members_assert_is(&m->w, &other, "nobody");
  m->status = 1;
}

static void end_all_and_ask_later(void *ctx) {
  end_all(ctx);
  members_at_next_look = be_nobody; /* when the record enters the table */
}

/* All sessions of a user end after a request has read the row, and before it puts the session into the table. Another
 * request finds it there, before the first one finds that it has ended. */
/* capability: K6 */
TEST_CASE(session_that_ended_before_its_put_is_used_by_nobody) {
  meeting m = {.user = "a"};
  vestry_session_options options = members_way(STORED, &m.s);
  members_begin(&m.w, &options);
  members_log_in(&m.w, &m.b, "user=a");
  site_end(&m.w);
  members_begin(&m.w, &options);
  members_at_next_look_ctx = &m;
  members_at_next_look = end_all_and_ask_later;
  browser first = m.b;
  members_assert_is(&m.w, &first, "nobody");
  assert_int_equal(m.status, 1);
  site_end(&m.w);
}

static void open_meanwhile(void *ctx) {
  meeting *m = ctx;
  m->status = members_status(&m->w, &m->b, "GET", "/", NULL);
}

/* Two requests that load the same session share one object. */
TEST_CASE(concurrent_loads_share_one_session) {
  meeting m = {.user = "a"};
  vestry_session_options options = members_way(STORED, &m.s);
  members_begin(&m.w, &options);
  m.s.ctx = &m;
  members_log_in(&m.w, &m.b, "user=a");
  site_end(&m.w);
  members_begin(&m.w, &options);
  wire r = {.path = "/live", .datastar = true};
  m.s.after_load = open_meanwhile;
  members_ask(&m.w, &m.b, &r);
  assert_int_equal(m.status, 200);
  assert_int_equal(m.s.loads, 2);
  assert_int_equal(members_status(&m.w, &m.b, "POST", "/logout", NULL), 200);
  site_settle(&m.w);
  assert_false(vestry_connection_is_open(r.connection));
  wires_end(&m.w, &r);
}

typedef struct returning_request {
  const vestry_session_options *options;
  char *cookie;
} returning_request;

static vestry_err send_returning_request(test_host *th, void *ctx) {
  const returning_request *c = ctx;
  vestry *v;
  vestry_err error = vestry_create(&(vestry_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &v);
  if (error) return error;
  error = vestry_sessions_create(v, c->options);
  if (!error) error = vestry_route(v, "GET", "/", members_who, NULL);
  if (!error) {
    wire r = {.path = "/", .headers = {{"Cookie", c->cookie}}};
    site w = {.v = v};
    (void)wire_serve(&w, &r, NULL, NULL);
    error = r.status == 200 ? VESTRY_OK : VESTRY_NO_MEMORY;
    if (!error) wire_assert_text(&r, "a"); /* a failure never makes the request anonymous */
    wire_finish(&r);
  }
  vestry_destroy(v);
  return error;
}

TEST_CASE(allocation_failure_never_changes_the_user) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  site_end(&w);
  options.now_s = members_now_s;
  returning_request c = {&options, b.cookie};
  test_host_fail_each(send_returning_request, &c, true);
}

TEST_CASE(login_fails_if_the_old_session_cannot_end) {
  site w;
  shelf s;
  vestry_session_options options = members_way(STORED, &s);
  members_begin(&w, &options);
  browser b = {.cookie = ""};
  members_log_in(&w, &b, "user=a");
  s.fails = VESTRY_LIMIT;
  assert_int_equal(members_status(&w, &b, "POST", "/login", "user=b"), 503);
  s.fails = VESTRY_OK;
  members_assert_is(&w, &b, "nobody");
  site_end(&w);
}
