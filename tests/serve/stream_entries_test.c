/* SPDX-License-Identifier: MIT */
/* Every entry of a stream ends with the stream, also one that the application has put (P2). */
#include "instance/stream_entries.h"

#include <stdlib.h>

#include "serve/wire.h"
#include "store/naive.h"
#include "vestry/dispatch.h"

#define STORES_CASE(name) TEST_CASE_EACH(name, "hash", "lru", "naive-lru")

static const vestry_scope ANN = {"ann", 3}, BOB = {"bob", 3};
static const plan page = {.key = "page", .keep = true, .policy = VESTRY_KEEP_MANY, .many_count = 100};
static const vestry_store_type naive = {&naive_lru_ops, NULL};

static vestry_store *store_of_site(site *w) {
  return vestry_parts_of(w->v)->store;
}

static vestry_err put(site *w, wire *r, vestry_scope scope, const vestry_key *key, vestry_put_result *ret_result) {
  return vestry_store_put(store_of_site(w), scope, key, r->connection, VESTRY_KEEP_MANY, 0, ret_result);
}

static vestry_err tell(site *w, vestry_scope scope, const vestry_key *key) {
  vestry_err error = vestry_dispatch(w->v, scope, key, VESTRY_LIST("patch-signals", VESTRY_OBJECT("n", 1)));
  site_settle(w);
  return error;
}

static size_t entries_of(wire *r) {
  return vsi_stream_entries_copy(r->connection, NULL, 0);
}

/* capability: P2 */
STORES_CASE(put_gives_a_live_stream_another_key) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .store_type = &naive});
  wire r = {0}, other = {0};
  wire_plan(&w, &r, &page);
  wire_plan(&w, &other, &page);
  assert_int_equal(put(&w, &r, ANN, ROOM("inbox"), NULL), VESTRY_OK);
  assert_int_equal(put(&w, &r, BOB, ROOM("inbox"), NULL), VESTRY_OK);
  assert_int_equal(entries_of(&r), 3);
  assert_int_equal(tell(&w, ANN, ROOM("inbox")), VESTRY_OK);
  assert_int_equal(tell(&w, BOB, ROOM("inbox")), VESTRY_OK);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 2);
  wire_hang_up(&w, &r);
  assert_int_equal(store_stats_of(w.v).live_count, 1);
  assert_int_equal(store_stats_of(w.v).removed_by_cause[VESTRY_CAUSE_HANGUP], 3);
  assert_int_equal(tell(&w, ANN, ROOM("inbox")), VESTRY_NOT_FOUND);
  assert_int_equal(put(&w, &r, ANN, ROOM("inbox"), NULL), VESTRY_CLOSED);
  wires_end(&w, &r, &other);
}

/* Streams that are put under a key of their user, and then end by themselves, leave nothing. */
/* capability: P2 */
STORES_CASE(a_thousand_logins_leave_no_entry) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .store_type = &naive});
  for (int i = 0; i < 1000; i++) {
    wire r = {0};
    wire_plan(&w, &r, &page);
    assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("login", i), NULL), VESTRY_OK);
    assert_int_equal(tell(&w, ANN, VESTRY_KEY("login", i)), VESTRY_OK);
    wire_hang_up(&w, &r);
    assert_int_equal(store_stats_of(w.v).live_count, 0);
    wire_finish(&r);
  }
  site_end(&w);
}

/* capability: P2 */
STORES_CASE(detached_stream_stays_open) {
  site w;
  site_begin(&w, (vestry_options){.store = *state, .store_type = &naive});
  wire r = {0}, other = {0};
  wire_plan(&w, &r, &page);
  wire_plan(&w, &other, &page);
  const vestry_key *inbox = ROOM("inbox");
  for (int i = 0; i < 300; i++) { /* no record of a stream stays behind */
    vestry_put_result result = {0};
    assert_int_equal(put(&w, &r, ANN, inbox, &result), VESTRY_OK);
    assert_int_equal(entries_of(&r), 2);
    if (i % 2)
      assert_true(vestry_store_remove_if(store_of_site(&w), result.handle, VESTRY_CAUSE_DETACHED));
    else
      assert_int_equal(vestry_store_remove_value(store_of_site(&w), ANN, inbox, r.connection, VESTRY_CAUSE_DETACHED),
                       VESTRY_OK);
    assert_int_equal(entries_of(&r), 1);
    assert_int_equal(tell(&w, ANN, inbox), VESTRY_NOT_FOUND);
  }
  assert_int_equal(
      vestry_store_remove_value(store_of_site(&w), NOWHERE, ROOM("page"), r.connection, VESTRY_CAUSE_DETACHED),
      VESTRY_OK);
  assert_int_equal(tell(&w, NOWHERE, ROOM("page")), VESTRY_OK);
  assert_int_equal(wire_count(&other, "{\"n\":1}"), 1);
  assert_int_equal(wire_count(&r, "{\"n\":1}"), 0);
  assert_true(vestry_connection_is_open(r.connection));
  assert_false(vestry_connection_close(r.connection, VESTRY_CAUSE_DETACHED)); /* not the cause of an end */
  assert_true(vestry_connection_is_open(r.connection));
  wires_end(&w, &r, &other);
}

/* capability: P2 */
STORES_CASE(keys_of_a_stream_are_bounded) {
  site w;
  site_begin(&w, (vestry_options){
                     .store = *state, .store_type = &naive, .bounds = &(vestry_bounds){.max_per_stream_count = 5}});
  wire r = {0};
  wire_plan(&w, &r, &page);
  vestry_put_result result = {0};
  for (int i = 0; i < 5; i++) assert_int_equal(put(&w, &r, ANN, VESTRY_KEY(i), &result), VESTRY_OK);
  assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("more"), NULL), VESTRY_LIMIT);
  assert_non_null(strstr(w.th.last_log, "max_per_stream_count"));
  assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("more"), NULL), VESTRY_LIMIT);
  assert_int_equal(store_stats_of(w.v).live_count, 6);
  assert_true(vestry_store_remove_if(store_of_site(&w), result.handle, VESTRY_CAUSE_DETACHED));
  assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("more"), NULL), VESTRY_OK);
  /* Putting a stream under a key that it has needs no room, but is refused like any other put. */
  assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("more"), NULL), VESTRY_LIMIT);
  wires_end(&w, &r);
}

/* A store of the application, which no instance has. */
/* capability: P2, P3 */
STORES_CASE(stream_leaves_a_store_of_the_application) {
  site w;
  site_begin(&w, (vestry_options){0});
  vestry_store *store;
  const vestry_store_options options = {
      .host = &w.th.host, .value = &vestry_connection_values, .types = &naive, .types_count = 1};
  assert_int_equal(vestry_store_create(*state, &options, &store), VESTRY_OK);
  wire r[2] = {{0}, {0}};
  for (int i = 0; i < 2; i++) {
    wire_plan(&w, &r[i], &page);
    assert_int_equal(
        vestry_store_put(store, ANN, VESTRY_KEY("device", i), r[i].connection, VESTRY_KEEP_REPLACE, 0, NULL),
        VESTRY_OK);
    assert_int_equal(vestry_store_put(store, ANN, VESTRY_KEY("all"), r[i].connection, VESTRY_KEEP_MANY, 0, NULL),
                     VESTRY_OK);
  }
  wire_hang_up(&w, &r[0]);
  vestry_store_stats stats = {0};
  vestry_store_stats_get(store, &stats);
  assert_int_equal(stats.live_count, 2);
  assert_int_equal(stats.removed_by_cause[VESTRY_CAUSE_HANGUP], 2);
  assert_int_equal(store_stats_of(w.v).live_count, 1);
  const vestry_key *all = VESTRY_KEY("all"); /* a removal there ends the stream, which leaves the instance's store */
  assert_int_equal(vestry_store_remove(store, ANN, all, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  site_settle(&w);
  assert_int_equal(r[1].cause, VESTRY_CAUSE_REMOVED);
  assert_int_equal(store_stats_of(w.v).live_count, 0);
  site_close(&w);
  for (int i = 0; i < 2; i++) wire_finish(&r[i]);
  vestry_store_destroy(store);
  test_host_assert_clean(&w.th);
}

/* ------------------------------------------------------------------------------- entries that leave early ------ */

/* A type whose entries leave before their put is over. */
static struct {
  bool is_on;
  vestry_cause cause;
} hasty;

static vestry_err put_hastily(void *self, const vestry_scoped_key *key, void *value, vestry_keep_policy policy,
                              size_t many_count, vestry_put_result *ret_result) {
  vestry_err error = naive_lru_ops.put(self, key, value, policy, many_count, ret_result);
  if (!error && hasty.is_on) assert_true(naive_lru_ops.remove_if(self, ret_result->handle, hasty.cause));
  return error;
}

/* capability: P2 */
TEST_CASE(entry_that_leaves_during_its_put_leaves_no_record) {
  vestry_store_ops ops = naive_lru_ops;
  ops.put = put_hastily;
  for (int closes = 0; closes < 2; closes++) {
    site w;
    site_begin(&w, (vestry_options){.store_type = &(vestry_store_type){&ops, NULL},
                                    .bounds = &(vestry_bounds){.max_per_stream_count = 3}});
    wire r = {0};
    wire_plan(&w, &r, &page);
    hasty.is_on = true;
    hasty.cause = VESTRY_CAUSE_DETACHED;
    for (int i = 0; i < 20; i++) {
      assert_int_equal(put(&w, &r, ANN, VESTRY_KEY(i), NULL), VESTRY_OK);
      assert_int_equal(entries_of(&r), 1);
    }
    hasty.cause = VESTRY_CAUSE_SIZE;
    if (closes) assert_int_equal(put(&w, &r, ANN, VESTRY_KEY("last"), NULL), VESTRY_OK);
    site_settle(&w);
    assert_int_equal(vestry_connection_is_open(r.connection), !closes);
    hasty.is_on = false;
    wires_end(&w, &r);
  }
}

/* ----------------------------------------------------------------------------------------- a failing allocator ---- */

TEST_CASE(allocation_failure_in_a_put_changes_nothing) {
  bool has_failed = true;
  for (long number = 0; has_failed; number++) {
    site w;
    site_begin(&w, (vestry_options){0});
    wire r = {0};
    wire_plan(&w, &r, &page);
    vestry_err error = VESTRY_OK;
    test_host_fail_in(&w.th, number);
    for (int i = 0; i < 12 && !error; i++) {
      size_t before = entries_of(&r);
      error = put(&w, &r, ANN, VESTRY_KEY("a key that takes an allocation of its own, as it is long", i), NULL);
      assert_int_equal(entries_of(&r), before + !error);
      assert_int_equal(store_stats_of(w.v).live_count, before + !error);
    }
    has_failed = test_host_has_failed(&w.th);
    assert_true(error == VESTRY_OK || (has_failed && error == VESTRY_NO_MEMORY)); /* the index grows only if it can */
    assert_true(has_failed || number > 12);
    wire_hang_up(&w, &r);
    assert_int_equal(store_stats_of(w.v).live_count, 0);
    wires_end(&w, &r);
  }
}

/* -------------------------------------------------------------------------------------------------- threads ------- */

enum { STREAMS = 60, ROUNDS = 40 };

typedef struct race {
  site w;
  wire r[STREAMS];
  vestry_store *other;
  pthread_barrier_t start;
} race;

/* Put the streams under keys of two stores, and take them out again. */
static void *change_keys(void *ctx) {
  race *all = ctx;
  pthread_barrier_wait(&all->start);
  for (int i = 0; i < STREAMS * 4; i++) {
    vestry_connection *connection = all->r[i % STREAMS].connection;
    vestry_store *store = i % 3 ? store_of_site(&all->w) : all->other;
    vestry_put_result result = {0};
    const vestry_key *key = VESTRY_KEY("k", i / STREAMS);
    if (vestry_store_put(store, ANN, key, connection, VESTRY_KEEP_MANY, 100, &result)) continue;
    if (i % 2) (void)vestry_store_remove_value(store, ANN, key, connection, VESTRY_CAUSE_DETACHED);
  }
  return NULL;
}

static void *end_streams(void *ctx) {
  race *all = ctx;
  pthread_barrier_wait(&all->start);
  for (int i = 0; i < STREAMS; i++) vestry_connection_close(all->r[i].connection, VESTRY_CAUSE_HANGUP);
  return NULL;
}

/* capability: P2 */
TEST_CASE(racing_puts_and_ends_leave_no_entry) {
  for (int round = 0; round < ROUNDS; round++) {
    static race all;
    memset(&all, 0, sizeof all);
    site_begin(&all.w, (vestry_options){.threads_count = 2,
                                        .connection = &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS}});
    all.w.th.host.log = NULL; /* the test host's log keeps the last line, for one thread only */
    const vestry_store_options options = {.host = &all.w.th.host, .value = &vestry_connection_values};
    assert_int_equal(vestry_store_create("hash", &options, &all.other), VESTRY_OK);
    for (int i = 0; i < STREAMS; i++) {
      all.r[i].datastar = true;
      assert_int_equal(wire_serve(&all.w, &all.r[i], planned, (void *)&page), VESTRY_OK);
    }
    pthread_barrier_init(&all.start, NULL, 3);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) pthread_create(&threads[i], NULL, i ? change_keys : end_streams, &all);
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    assert_int_equal(vestry_stop(all.w.v, VESTRY_NEVER_MS), VESTRY_OK);
    vestry_store_stats stats = {0};
    vestry_store_stats_get(all.other, &stats);
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(store_stats_of(all.w.v).live_count, 0);
    site_close(&all.w);
    for (int i = 0; i < STREAMS; i++) wire_finish(&all.r[i]);
    vestry_store_destroy(all.other);
    pthread_barrier_destroy(&all.start);
    test_host_assert_clean(&all.w.th);
  }
}
