/* SPDX-License-Identifier: MIT */
/* capability: A15 */
/* The limit of streams per scope counts streams, not keys, over every kind of store. */
#include "serve/inside.h"

#include <stdlib.h>

#include "instance/instance.h"
#include "serve/wire.h"
#include "store/naive.h"
#include "vestry/dispatch.h"

/* The last one is an application's store. */
#define STORES_CASE(name) TEST_CASE_EACH(name, "lru", "hash", "naive-lru")

enum { CAP = 5, TABS = 6 };

static vestry_err by_user(const vestry_request *req, vestry_reply *reply, char *buffer, size_t *ret_len, void *ctx) {
  const char *user = vestry_request_header(req, "X-User");
  if (!user) return VESTRY_OK;
  *ret_len = strlen(user);
  memcpy(buffer, user, *ret_len);
  return VESTRY_OK;
}

static const vestry_store_type naive = {&naive_lru_ops, NULL};

static vestry_options options_of(const char *store) {
  static const vestry_bounds bounds = {.max_streams_per_scope_count = CAP};
  return (vestry_options){.store = store, .store_type = &naive, .scope = by_user, .bounds = &bounds};
}

static void open_as(site *w, wire *r, const char *user, const plan *p) {
  *r = (wire){.datastar = true, .headers = {{user ? "X-User" : "X-Nobody", user ? user : "-"}}};
  wire_request(w, r, planned, (void *)p);
}

static bool is_open(const wire *r) {
  return r->connection && vestry_connection_is_open(r->connection);
}

static uint64_t outnumbered(site *w) {
  vestry_stats stats = {0};
  vestry_stats_get(w->v, &stats);
  return stats.outnumbered_count;
}

/* A page stored under its user and, in the scope without a name, under each device that it shows. */
static const plan devices = {.key = "page",
                             .keep = true,
                             .policy = VESTRY_KEEP_MANY,
                             .many_count = 100,
                             .more = {{"device/1", "", 1000}, {"device/2", "", 1000}, {"mine", NULL, 100}}};

/* capability: K13 */
STORES_CASE(stream_over_user_limit_replaces_the_oldest) {
  site w;
  site_begin(&w, options_of(*state));
  wire ann[8], bob[8], nobody[8];
  for (int i = 0; i < 8; i++) {
    open_as(&w, &ann[i], "ann", &devices);
    open_as(&w, &bob[i], "bob", &devices);
    open_as(&w, &nobody[i], NULL, &devices);
    test_host_advance_ms(&w.th, 2000);
  }
  for (int i = 0; i < 8; i++) {
    bool sent_away = i < 8 - CAP;
    assert_int_equal(is_open(&ann[i]), !sent_away);
    assert_int_equal(is_open(&bob[i]), !sent_away);
    assert_true(is_open(&nobody[i])); /* the scope without a name has no limit */
    if (!sent_away) continue;
    assert_int_equal(ann[i].cause, VESTRY_CAUSE_REPLACED);
    assert_true(ann[i].clean); /* its browser does not reconnect */
    assert_int_equal(ann[i].ends, 1);
  }
  assert_int_equal(outnumbered(&w), 6);
  assert_int_equal(store_stats_of(w.v).live_count, 4 * (2 * CAP + 8));
  size_t count = 0;
  assert_int_equal(
      vestry_store_remove(vestry_parts_of(w.v)->store, NOWHERE, ROOM("device/1"), VESTRY_CAUSE_REMOVED, &count),
      VESTRY_OK);
  assert_int_equal(count, 2 * CAP + 8);
  site_close(&w);
  for (int i = 0; i < 8; i++) {
    wire_finish(&ann[i]);
    wire_finish(&bob[i]);
    wire_finish(&nobody[i]);
  }
  test_host_assert_clean(&w.th);
}

/* capability: K13 */
STORES_CASE(stream_over_limit_replaces_the_least_active) {
  site w;
  site_begin(&w, options_of(*state));
  wire tab[CAP + 3];
  const plan keys[CAP + 3] = {{.key = "0", .keep = true}, {.key = "1", .keep = true}, {.key = "2", .keep = true},
                              {.key = "3", .keep = true}, {.key = "4", .keep = true}, {.key = "5", .keep = true},
                              {.key = "6", .keep = true}, {.key = "7", .keep = true}};
  const vestry_scope ann = {"ann", 3};
  for (int i = 0; i < CAP; i++) {
    open_as(&w, &tab[i], "ann", &keys[i]);
    test_host_advance_ms(&w.th, 5000);
  }
  /* 1 and 0 are written to; then 4, 3 and 2, in that order, within the same second. */
  static const char *const written[] = {"1", "0", "4", "3", "2"};
  for (int i = 0; i < 5; i++) {
    assert_int_equal(vestry_dispatch(w.v, ann, ROOM(written[i]), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1))),
                     VESTRY_OK);
    site_settle(&w);
    test_host_advance_ms(&w.th, i < 2 ? 5000 : 300);
  }
  static const int goes[] = {1, 0, 2};
  for (int i = 0; i < 3; i++) {
    open_as(&w, &tab[CAP + i], "ann", &keys[CAP + i]);
    for (int k = 0; k < 3; k++) assert_int_equal(is_open(&tab[goes[k]]), k > i);
  }
  wires_end_array(&w, tab, CAP + 3);
}

/* A closing stream does not count, although its runner has not processed its end yet. */
/* capability: K13 */
STORES_CASE(ending_streams_do_not_count) {
  site w;
  site_begin(&w, options_of(*state));
  wire tab[TABS];
  for (int i = 0; i < CAP; i++) open_as(&w, &tab[i], "ann", &devices);
  vestry_connection_close(tab[3].connection, VESTRY_CAUSE_LOST); /* its runner has not run */
  open_as(&w, &tab[CAP], "ann", &devices);
  assert_int_equal(outnumbered(&w), 0);
  for (int i = 0; i < TABS; i++) assert_int_equal(is_open(&tab[i]), i != 3);
  wires_end_array(&w, tab, TABS);
}

/* Six tabs with a limit of five lose their streams and reconnect one after the other, as browsers do: an aborted
 * stream is opened again, a clean end is not. Each tab reconnects once, and then no stream ends. */
/* capability: K13 */
STORES_CASE(six_tabs_reconnect_once_each) {
  site w;
  site_begin(&w, options_of(*state));
  wire tab[TABS] = {{0}}, again[TABS] = {{0}};
  int opened[TABS] = {0};
  wire *now[TABS];
  for (int i = 0; i < TABS; i++) {
    open_as(&w, &tab[i], "ann", &devices);
    now[i] = &tab[i];
    opened[i] = 1;
    test_host_advance_ms(&w.th, 100);
  }
  assert_false(is_open(&tab[0]));
  for (int i = 1; i < TABS; i++) vestry_connection_close(tab[i].connection, VESTRY_CAUSE_HANGUP);
  for (int turn = 0; turn < 20; turn++) {
    for (int i = 0; i < TABS; i++) {
      test_host_advance_ms(&w.th, 350);
      if (is_open(now[i]) || (turn && now[i]->clean)) continue; /* (each reconnects after the break) */
      assert_int_equal(opened[i]++, 1);
      now[i] = &again[i];
      open_as(&w, now[i], "ann", &devices);
      vestry_dispatch(w.v, (vestry_scope){"ann", 3}, ROOM("page"), /* all tabs are written to */
                      VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", turn)));
      site_settle(&w);
    }
  }
  assert_int_equal(outnumbered(&w), 2);
  for (int i = 0; i < TABS; i++) {
    assert_int_equal(opened[i], 2);
    assert_int_equal(is_open(now[i]), i > 0); /* the first tab opened is the one that stays away */
  }
  site_close(&w);
  for (int i = 0; i < TABS; i++) {
    wire_finish(&tab[i]);
    wire_finish(&again[i]);
  }
  test_host_assert_clean(&w.th);
}

/* A stream that ends with its request, or is abandoned, replaces no other stream. */
STORES_CASE(short_and_abandoned_streams_replace_none) {
  site w;
  site_begin(&w, options_of(*state));
  wire tab[CAP], action, second;
  for (int i = 0; i < CAP; i++) open_as(&w, &tab[i], "ann", &devices);
  open_as(&w, &action, "ann", &(plan){.effects = "[[\"patch-signals\", {\"n\": 1}]]"});
  assert_int_equal(wire_count(&action, "{\"n\":1}"), 1);
  open_as(&w, &second, "ann", &(plan){.key = "page", .keep = true, .policy = VESTRY_KEEP_REJECT});
  assert_int_equal(second.status, 409);
  for (int i = 0; i < CAP; i++) assert_true(is_open(&tab[i]));
  assert_int_equal(outnumbered(&w), 0);
  site_close(&w);
  for (int i = 0; i < CAP; i++) wire_finish(&tab[i]);
  wire_finish(&action);
  wire_finish(&second);
  test_host_assert_clean(&w.th);
}

/* All lines logged so far. */
static char logged[4096];
static void say(void *ctx, vestry_log_level level, const char *line) {
  strncat(logged, line, sizeof logged - strlen(logged) - 1);
}

/* A stream with more keys in a scope than the scope may have entries is refused, and evicts no entry. */
STORES_CASE(stream_with_more_keys_than_scope_limit_gets_500) {
  site w;
  vestry_options options = options_of(*state);
  options.bounds = &(vestry_bounds){.max_streams_per_scope_count = CAP, .max_per_scope_count = 3};
  site_begin(&w, options);
  w.th.host.log = say;
  logged[0] = '\0';
  wire good, bad, other;
  open_as(&w, &good, "ann", &(plan){.key = "good", .keep = true});
  const plan too_many = {.key = "0",
                         .keep = true,
                         .policy = VESTRY_KEEP_MANY,
                         .more = {{"1", NULL, 5}, {"x", "", 5}, {"2", NULL, 5}, {"3", NULL, 5}}};
  open_as(&w, &bad, "ann", &too_many);
  assert_int_equal(bad.status, 500);
  assert_null(bad.connection);
  assert_true(is_open(&good));
  assert_non_null(strstr(logged, "max_per_scope_count"));
  open_as(&w, &other, "ann", &(plan){.key = "0", .keep = true, .more = {{"1", NULL, 5}, {"x", "", 5}}});
  assert_true(is_open(&other) && is_open(&good));
  wires_end(&w, &good, &bad, &other);
}

enum { OPENERS = 4, OPENED = TEST_ROUNDS(200) };

typedef struct opener {
  site *w;
  wire *tabs;
  pthread_t thread;
} opener;

static void *open_many(void *ctx) {
  opener *o = ctx;
  for (size_t i = 0; i < OPENED; i++) {
    o->tabs[i] = (wire){.datastar = true, .headers = {{"X-User", i % 2 ? "ann" : "bob"}}};
    assert_int_equal(wire_serve(o->w, &o->tabs[i], planned, (void *)&devices), VESTRY_OK);
  }
  return NULL;
}

/* However many streams open at once, the limit stays open at the end, and each other stream was replaced once. */
/* capability: K13 */
STORES_CASE(concurrent_opens_leave_exactly_the_limit) {
  site w;
  vestry_options options = options_of(*state);
  options.threads_count = 2;
  site_begin(&w, options);
  w.th.host.log = NULL; /* the test host's log is for one thread */
  opener openers[OPENERS];
  for (size_t i = 0; i < OPENERS; i++) {
    openers[i] = (opener){.w = &w, .tabs = calloc(OPENED, sizeof(wire))};
    assert_non_null(openers[i].tabs);
    assert_int_equal(pthread_create(&openers[i].thread, NULL, open_many, &openers[i]), 0);
  }
  for (size_t i = 0; i < OPENERS; i++) pthread_join(openers[i].thread, NULL);
  size_t open = 0;
  for (size_t i = 0; i < OPENERS; i++)
    for (size_t k = 0; k < OPENED; k++) open += is_open(&openers[i].tabs[k]);
  assert_int_equal(open, 2 * CAP);
  assert_int_equal(outnumbered(&w), OPENERS * OPENED - open);
  assert_int_equal(vestry_stop(w.v, VESTRY_NEVER_MS), VESTRY_OK);
  site_close(&w);
  for (size_t i = 0; i < OPENERS; i++) {
    for (size_t k = 0; k < OPENED; k++) wire_finish(&openers[i].tabs[k]);
    free(openers[i].tabs);
  }
  test_host_assert_clean(&w.th);
}

/* Whichever allocation fails, a stream that is not stored replaces no other stream. */
STORES_CASE(failed_allocation_replaces_no_stream) {
  bool opened = false;
  for (long fails = 0; !opened; fails++) {
    site w;
    site_begin(&w, options_of(*state));
    wire tab[TABS];
    for (int i = 0; i < CAP; i++) open_as(&w, &tab[i], "ann", &devices);
    test_host_fail_in(&w.th, fails);
    open_as(&w, &tab[CAP], "ann", &devices);
    test_host_fail_no_more(&w.th);
    site_settle(&w);
    opened = is_open(&tab[CAP]);
    int others = 0;
    for (int i = 0; i < CAP; i++) others += is_open(&tab[i]);
    assert_int_equal(others, opened ? CAP - 1 : CAP);
    assert_int_equal(outnumbered(&w), opened);
    assert_true(fails < 1000);
    wires_end_array(&w, tab, TABS);
  }
}

/* The same for the limit of the whole store. */
STORES_CASE(stream_with_more_keys_than_store_limit_gets_500) {
  site w;
  vestry_options options = options_of(*state);
  options.bounds = &(vestry_bounds){.max_streams_per_scope_count = CAP, .max_count = 3};
  site_begin(&w, options);
  w.th.host.log = say;
  logged[0] = '\0';
  wire good, bad, other;
  open_as(&w, &good, "ann", &(plan){.key = "good", .keep = true});
  open_as(&w, &bad, "ann", &(plan){.key = "0", .keep = true, .more = {{"1", "", 5}, {"2", "x", 5}, {"3", NULL, 5}}});
  assert_int_equal(bad.status, 500);
  assert_true(is_open(&good));
  assert_non_null(strstr(logged, "max_count"));
  open_as(&w, &other, "ann", &(plan){.key = "0", .keep = true, .more = {{"1", "", 5}}});
  assert_true(is_open(&other) && is_open(&good));
  wires_end(&w, &good, &bad, &other);
}
