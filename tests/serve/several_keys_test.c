/* SPDX-License-Identifier: MIT */
/* K2: each key of a stream reaches the stream, and its end removes it from all keys, once. */
#include "serve/wire.h"
#include "vestry/channel.h"
#include "vestry/dispatch.h"

static const vestry_scope ANN = {"ann", 3};

/* A page stored under the board "b", its user and its room. */
static const plan page = {
    .key = "b", .keep = true, .policy = VESTRY_KEEP_MANY, .more = {{"r", NULL, 0}, {"u", "ann", 0}}};

static vestry_err tell(site *w, vestry_scope scope, const char *key) {
  return vestry_dispatch(w->v, scope, ROOM(key), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)));
}

/* capability: K2 */
TEST_CASE(each_key_reaches_the_stream) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &page);
  assert_int_equal(store_stats_of(w.v).live_count, 3);
  assert_int_equal(tell(&w, NOWHERE, "b"), VESTRY_OK);
  assert_int_equal(tell(&w, NOWHERE, "r"), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "u"), VESTRY_OK);
  assert_int_equal(tell(&w, NOWHERE, "u"), VESTRY_NOT_FOUND); /* the key is in ann's scope */
  assert_int_equal(tell(&w, ANN, "b"), VESTRY_NOT_FOUND);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 3);
  wire_hang_up(&w, &r);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_HANGUP], 3);
  wires_end(&w, &r);
}

/* capability: K2 */
TEST_CASE(removing_one_key_removes_all_keys) {
  static const struct {
    vestry_scope scope;
    const char *key;
  } by[] = {{{NULL, 0}, "b"}, {{NULL, 0}, "r"}, {{"ann", 3}, "u"}};
  for (size_t i = 0; i < sizeof by / sizeof *by; i++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire r = {0};
    wire_plan(&w, &r, &page);
    size_t count = 0;
    assert_int_equal(
        vestry_store_remove(vestry_parts_of(w.v)->store, by[i].scope, ROOM(by[i].key), VESTRY_CAUSE_REMOVED, &count),
        VESTRY_OK);
    assert_int_equal(count, 1);
    site_settle(&w);
    assert_int_equal(r.cause, VESTRY_CAUSE_REMOVED);
    assert_int_equal(r.ends, 1);
    const vestry_store_stats stats = store_stats_of(w.v);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(stats.removed_by_cause[VESTRY_CAUSE_REMOVED], 3);
    wires_end(&w, &r);
  }
}

/* The entries of two streams fill the store: a third stream evicts all entries of the first. */
/* capability: K2 */
TEST_CASE(evicting_one_entry_removes_all_keys) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_count = 4}});
  wire r[3] = {{0}, {0}, {0}};
  const plan own[3] = {{.key = "a", .keep = true, .policy = VESTRY_KEEP_MANY, .more = {{"a", "ann", 0}}},
                       {.key = "b", .keep = true, .policy = VESTRY_KEEP_MANY, .more = {{"b", "ann", 0}}},
                       {.key = "c", .keep = true, .policy = VESTRY_KEEP_MANY, .more = {{"c", "ann", 0}}}};
  for (int i = 0; i < 3; i++) {
    wire_plan(&w, &r[i], &own[i]);
    test_host_advance_ms(&w.th, 10000); /* so that the oldest entries are known */
  }
  assert_int_equal(r[0].cause, VESTRY_CAUSE_SIZE);
  assert_false(r[0].clean);
  assert_true(vestry_connection_is_open(r[1].connection) && vestry_connection_is_open(r[2].connection));
  assert_int_equal(store_stats_of(w.v).live_count, 4);
  assert_int_equal(tell(&w, ANN, "a"), VESTRY_NOT_FOUND);
  assert_int_equal(tell(&w, ANN, "b"), VESTRY_OK);
  assert_int_equal(tell(&w, ANN, "c"), VESTRY_OK);
  wires_end_array(&w, r, 3);
}

/* capability: K2 */
TEST_CASE(each_key_has_its_own_limit) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r[3] = {{0}, {0}, {0}};
  const plan two = {.key = "b",
                    .keep = true,
                    .policy = VESTRY_KEEP_MANY,
                    .many_count = 10,
                    .more = {{"u", "ann", 2}, {"r", NULL, 10}}};
  for (int i = 0; i < 3; i++) wire_plan(&w, &r[i], &two);
  assert_int_equal(r[0].cause, VESTRY_CAUSE_REPLACED); /* ann's third page replaces her first */
  assert_int_equal(store_stats_of(w.v).live_count, 6);
  wires_end_array(&w, r, 3);
}

/* The policy of the first key decides; an abandoned stream is stored under no key. */
TEST_CASE(first_key_decides_the_policy) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire first = {0}, second = {0}, third = {0};
  plan p = page;
  p.policy = VESTRY_KEEP_REJECT;
  wire_plan(&w, &first, &p);
  wire_plan(&w, &second, &p);
  assert_int_equal(second.status, 409);
  assert_int_equal(store_stats_of(w.v).live_count, 3);
  p.policy = VESTRY_KEEP_REPLACE;
  wire_plan(&w, &third, &p);
  assert_int_equal(first.cause, VESTRY_CAUSE_REPLACED);
  assert_int_equal(store_stats_of(w.v).live_count, 3);
  wires_end(&w, &first, &second, &third);
}

TEST_CASE(stream_without_first_key_is_stored) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = {0};
  wire_plan(&w, &r, &(plan){.keep = true, .more = {{"r", NULL, 0}}});
  assert_int_equal(tell(&w, NOWHERE, "r"), VESTRY_OK);
  site_settle(&w);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 1);
  wires_end(&w, &r);
}

TEST_CASE(refused_key_refuses_the_stream) {
  site w;
  site_begin(&w, (vestry_options){.store = "hash", .bounds = &(vestry_bounds){.max_count = 4}});
  wire first = {0}, r = {0}, next = {0};
  wire_plan(&w, &first, &(plan){.key = "x", .keep = true, .more = {{"y", NULL, 0}}});
  wire_plan(&w, &r, &page); /* three entries, room for two */
  assert_int_equal(r.status, 503);
  assert_null(r.connection);
  assert_int_equal(store_stats_of(w.v).live_count, 2);
  wire_plan(&w, &next, &(plan){.key = "b", .keep = true, .more = {{"r", NULL, 0}}});
  assert_int_equal(next.opens, 1);
  assert_int_equal(store_stats_of(w.v).live_count, 4);
  wires_end(&w, &first, &r, &next);
}

/* All lines logged so far. */
static char logged[4096];
static void say(void *ctx, vestry_log_level level, const char *line) {
  strncat(logged, line, sizeof logged - strlen(logged) - 1);
}

/* An operator's page shows two hundred devices, each of which has a key and a channel. */
static vestry_err look_at_devices(const vestry_request *req, vestry_reply *reply, void *app) {
  int count = *(int *)app;
  vestry_reply_key(reply, VESTRY_KEY("operator"));
  for (int i = 0; i < count; i++) {
    vestry_err error = vestry_reply_add_key(reply, NOWHERE, VESTRY_KEY("device", i), 1000);
    if (!error) error = vestry_reply_join(reply, NOWHERE, VESTRY_KEY("device", i));
    if (error) return error;
  }
  return vestry_reply_keep(reply, VESTRY_KEEP_MANY, 0);
}

/* capability: K2 */
TEST_CASE(a_stream_may_have_many_keys) {
  site w;
  site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_per_stream_count = 200}});
  w.th.host.log = say;
  logged[0] = '\0';
  int count = 200;
  wire all = {.datastar = true}, more = {.datastar = true};
  wire_request(&w, &all, look_at_devices, &count);
  assert_int_equal(all.status, 200);
  assert_int_equal(store_stats_of(w.v).live_count, 201);
  for (int i = 0; i < count; i++) {
    assert_int_equal(
        vestry_dispatch(w.v, NOWHERE, VESTRY_KEY("device", i), VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", i))),
        VESTRY_OK);
    site_settle(&w);
  }
  assert_int_equal(wire_count(&all, "data: signals {\"n\":"), count);
  count = 201;
  wire_request(&w, &more, look_at_devices, &count);
  assert_int_equal(more.status, 500); /* not 503: the client did not cause it */
  assert_non_null(strstr(logged, "vestry_reply_add_key: a stream can have at most 200 keys in addition to its first"));
  assert_non_null(strstr(logged, "max_per_stream_count"));
  wire_hang_up(&w, &all);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  wires_end(&w, &all, &more);
}

static vestry_err open_many(test_host *th, void *ctx) {
  site w;
  test_host_init(&w.th);
  assert_int_equal(site_try(&w, (vestry_options){0}, (site_has){.secret = NULL}), VESTRY_OK);
  test_host_fail_in(&w.th, atomic_load(&th->fail_at));
  int count = 20;
  wire r = {.datastar = true};
  wire_request(&w, &r, look_at_devices, &count);
  bool failed = test_host_has_failed(&w.th);
  assert_true(r.status == 200 || (failed && r.status == 500) || r.gone || failed);
  bool opened = r.status == 200;
  if (opened) wire_hang_up(&w, &r);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  wires_end(&w, &r);
  return failed ? VESTRY_NO_MEMORY : VESTRY_OK;
}

/* Whichever allocation fails, the stream is under all of its keys or under none. */
TEST_CASE(failed_allocation_stores_no_key) {
  test_host th;
  test_host_init(&th);
  for (long fails = 0;; fails++) {
    test_host_fail_in(&th, fails);
    if (open_many(&th, NULL) == VESTRY_OK) break;
    assert_true(fails < 2000);
  }
}

TEST_CASE(too_many_or_invalid_keys_get_500) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire many = {0};
  plan p = {.keep = true, .key = "a"};
  for (size_t i = 0; i <= VESTRY_REPLY_KEYS_MAX; i++) p.more[i].key = "r";
  wire_plan(&w, &many, &p);
  assert_int_equal(many.status, 500);
  p.more[VESTRY_REPLY_KEYS_MAX].key = NULL;
  wire all = {0};
  wire_plan(&w, &all, &p); /* many times the same key is allowed, and stores one stream */
  assert_int_equal(all.opens, 1);
  wire_hang_up(&w, &all);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  static char wide[VESTRY_SCOPE_MAX_BYTES + 2];
  memset(wide, 'a', sizeof wide - 1);
  wire bad = {0};
  wire_plan(&w, &bad, &(plan){.keep = true, .key = "a", .more = {{"r", wide, 0}, {"r", NULL, 0}}});
  assert_int_equal(bad.status, 500);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  wires_end(&w, &many, &all, &bad);
}

TEST_CASE(allocation_failure_leaves_no_entries) {
  bool failed = true;
  for (long number = 0; failed; number++) {
    assert_true(number < 1000);
    site w;
    site_begin(&w, (vestry_options){0});
    test_host_fail_in(&w.th, number);
    wire r = {0};
    (void)wire_serve(&w, &r, planned, (void *)&page);
    failed = test_host_has_failed(&w.th);
    site_settle(&w);
    const uint64_t live = store_stats_of(w.v).live_count;
    assert_true(live == 0 || live == 3);
    assert_int_equal(live, r.connection && vestry_connection_is_open(r.connection) ? 3 : 0);
    wires_end(&w, &r);
  }
}
