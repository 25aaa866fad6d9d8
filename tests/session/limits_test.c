/* SPDX-License-Identifier: MIT */
/* Many sessions: the limit per user, and the limit of all sessions. */
#include "session/members.h"

static vestry_session_options small_way(enum way way, shelf *s) {
  vestry_session_options options = members_way(way, s);
  options.max_count = 20;
  options.max_per_user_count = 5;
  return options;
}

/* The table has room for twenty sessions, and one user logs in two hundred times. */
TEST_CASE(logins_of_one_user_end_no_other_users_session) {
  for (enum way way = IN_MEMORY; way <= STORED; way++) {
    site w;
    shelf s;
    vestry_session_options options = small_way(way, &s);
    members_begin(&w, &options);
    browser ann = {.cookie = ""}, bob[10];
    members_log_in(&w, &ann, "user=ann");
    wire anns = {.path = "/live", .datastar = true}, bobs = anns;
    members_ask(&w, &ann, &anns);
    for (int i = 0; i < 200; i++) {
      browser *b = &bob[i % 10];
      *b->cookie = '\0';
      members_log_in(&w, b, "user=bob");
      if (i == 192) members_ask(&w, b, &bobs); /* one of the last ten logins, but not of the last five */
    }
    site_settle(&w);
    assert_true(vestry_connection_is_open(anns.connection));
    assert_false(vestry_connection_is_open(bobs.connection));
    assert_false(bobs.clean); /* the client reconnects, and finds that it must log in */
    members_assert_is(&w, &ann, "ann");
    for (int i = 0; i < 10; i++) {
      browser copy = bob[i];
      members_assert_is(&w, &copy, i < 5 ? "nobody" : "bob");
    }
    if (way == STORED) assert_int_equal(shelf_count(&s), 6);
    vestry_session_stats stats = {0};
    vestry_session_stats_get(w.v, &stats);
    assert_int_equal(stats.live_count, 6);
    assert_int_equal(stats.logins_count, 201);
    assert_int_equal(stats.repeated_count, 199);
    assert_int_equal(stats.displaced_count, 195);
    assert_int_equal(stats.failed_count, 0);
    assert_int_equal(members_status(&w, &ann, "POST", "/login", "user="), 500);
    vestry_session_stats_get(w.v, &stats);
    assert_int_equal(stats.failed_count, 1);
    wires_end(&w, &anns, &bobs);
  }
}

typedef struct entrant {
  site *w;
  const char *user;
  pthread_t thread;
} entrant;

static void *log_in_often(void *ctx) {
  entrant *e = ctx;
  for (int i = 0; i < 100; i++) {
    wire r = {.method = "POST", .path = "/login", .query = e->user};
    assert_int_equal(wire_serve(e->w, &r, NULL, NULL), VESTRY_OK);
    assert_int_equal(r.status, 303);
    wire_finish(&r);
  }
  return NULL;
}

TEST_CASE(concurrent_logins_are_bounded_per_user) {
  site w;
  shelf s;
  vestry_session_options options = small_way(IN_MEMORY, &s);
  options.max_count = 21; /* 15 that stay, and one that each thread makes at the time */
  members_begin(&w, &options);
  static const char *const users[] = {"user=a", "user=b", "user=a", "user=b", "user=a", "user=c"};
  entrant entrants[6];
  for (int i = 0; i < 6; i++) {
    entrants[i] = (entrant){.w = &w, .user = users[i]};
    assert_int_equal(pthread_create(&entrants[i].thread, NULL, log_in_often, &entrants[i]), 0);
  }
  for (int i = 0; i < 6; i++) pthread_join(entrants[i].thread, NULL);
  vestry_session_stats stats = {0};
  vestry_session_stats_get(w.v, &stats);
  assert_int_equal(stats.logins_count, 600);
  assert_int_equal(stats.live_count, 15);
  assert_int_equal(stats.displaced_count, 585);
  site_end(&w);
}
