/* SPDX-License-Identifier: MIT */
/* Channels by name: found while they are referenced, created once for any number of users, ended with the last
 * reference. */
#include "channel/channels.h"

#include <pthread.h>
#include <stdlib.h>

#include "connection/probe.h"
#include "support/until.h"

static vsi_channels *begin(bench *b, size_t max_count) {
  vsi_channels *channels;
  bench_init(b, VESTRY_THREADS_NONE, NULL);
  assert_int_equal(vsi_channels_create(b->group, max_count, 0, &channels), VESTRY_OK);
  return channels;
}

static void end(bench *b, vsi_channels *channels) {
  vsi_channels_stats stats;
  vsi_channels_stats_get(channels, &stats);
  assert_int_equal(stats.live_count, 0);
  assert_int_equal(stats.made_count, stats.ended_count);
  vsi_channels_destroy(channels);
  bench_finish(b);
}

static vsi_channel *hold(vsi_channels *channels, const char *name, uint64_t hash) {
  vsi_channel *channel = NULL;
  assert_int_equal(vsi_channels_hold(channels, name, strlen(name), hash, &channel), VESTRY_OK);
  return channel;
}

static bool is_there(vsi_channels *channels, const char *name, uint64_t hash) {
  vsi_channel *found = vsi_channels_find(channels, name, strlen(name), hash);
  if (found) vsi_channel_unref(found);
  return found != NULL;
}

/* capability: K12 */
TEST_CASE(last_reference_ends_the_channel) {
  bench b;
  vsi_channels *channels = begin(&b, 0);
  assert_false(is_there(channels, "a", 1));
  vsi_channel *first = hold(channels, "a", 1), *second = hold(channels, "a", 1);
  assert_ptr_equal(first, second);
  vsi_channel_unref(first);
  assert_true(is_there(channels, "a", 1));
  vsi_channel_unref(second);
  assert_false(is_there(channels, "a", 1));
  vsi_channels_destroy(NULL);
  end(&b, channels);
}

/* A member references its channel, with a connection or as a reservation. */
/* capability: K12 */
TEST_CASE(members_reference_their_channel) {
  bench b;
  probe p, q;
  vsi_channels *channels = begin(&b, 0);
  probe_init(&p), probe_init(&q);
  vestry_connection *one = bench_connect(&b, &p, NULL), *other = bench_connect(&b, &q, NULL);
  vsi_connection_start(one);
  vsi_connection_start(other);
  vsi_channel *channel = hold(channels, "a", 1);
  vsi_member *members[4];
  for (int i = 0; i < 4; i++) assert_int_equal(vsi_channel_reserve(channel, &members[i]), VESTRY_OK);
  vsi_channel_unref(channel);
  vsi_member_unref(members[0]);
  test_host_fail_in(&b.th, 0); /* a reserved member needs no memory to join */
  b.th.fail_after = true;
  assert_int_equal(vsi_channel_admit(members[1], one), VESTRY_OK);
  assert_int_equal(vsi_channel_admit(members[2], one), VESTRY_EXISTS);
  assert_int_equal(vsi_channel_admit(members[3], other), VESTRY_OK);
  test_host_fail_no_more(&b.th);
  b.th.fail_after = false;
  vsi_channel_stats stats = {0};
  vsi_channel_stats_get(channel, &stats);
  assert_int_equal(stats.members_count, 2);
  assert_int_equal(vsi_channel_leave(channel, one), VESTRY_OK);
  assert_true(is_there(channels, "a", 1));
  vestry_connection_close(other, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  assert_false(is_there(channels, "a", 1));
  vestry_connection_close(one, VESTRY_CAUSE_CLOSED);
  bench_run(&b);
  vestry_connection_unref(one);
  vestry_connection_unref(other);
  end(&b, channels);
  probe_finish(&p), probe_finish(&q);
}

/* Names with equal hashes are compared by their bytes, and removing one name keeps its neighbours. */
/* capability: K12 */
TEST_CASE(names_with_equal_hashes_are_distinct) {
  static const struct {
    const char *bytes;
    size_t len;
  } names[] = {{"a", 1}, {"b", 1}, {"a\0", 2}, {"a\0b", 3}, {"\0", 1}, {"", 0}, {"ab", 2}, {"a\xff", 2}};
  enum { COUNT = sizeof names / sizeof *names };
  for (size_t order = 0; order < COUNT; order++) {
    bench b;
    vsi_channels *channels = begin(&b, 0);
    vsi_channel *all[COUNT];
    for (size_t i = 0; i < COUNT; i++)
      assert_int_equal(vsi_channels_hold(channels, names[i].bytes, names[i].len, 7, &all[i]), VESTRY_OK);
    for (size_t i = 0; i < COUNT; i++) {
      size_t at = (i * 3 + order) % COUNT;
      for (size_t j = 0; j < i; j++)
        assert_null(
            vsi_channels_find(channels, names[(j * 3 + order) % COUNT].bytes, names[(j * 3 + order) % COUNT].len, 7));
      vsi_channel *found = vsi_channels_find(channels, names[at].bytes, names[at].len, 7);
      assert_ptr_equal(found, all[at]);
      vsi_channel_unref(found);
      vsi_channel_unref(all[at]);
    }
    end(&b, channels);
  }
}

/* The table grows with the number of channels. If its allocation fails, it stays small and works. */
TEST_CASE(table_works_if_it_cannot_grow) {
  enum { COUNT = 300 };
  for (int starved = 0; starved < 2; starved++) {
    bench b;
    vsi_channels *channels = begin(&b, COUNT);
    vsi_channel *all[COUNT];
    char name[20];
    for (uint64_t i = 0; i < COUNT; i++) {
      long before = b.th.allocations;
      snprintf(name, sizeof name, "%d", (int)i);
      if (starved) b.th.fail_at = before + 1; /* the channel is the first allocation */
      all[i] = hold(channels, name, i << 55 | i);
      test_host_fail_no_more(&b.th);
    }
    vsi_channel *none;
    assert_int_equal(vsi_channels_hold(channels, "more", 4, 1, &none), VESTRY_LIMIT);
    assert_ptr_equal(hold(channels, "299", UINT64_C(299) << 55 | 299), all[299]); /* it exists, so it needs no place */
    vsi_channel_unref(all[299]);
    for (uint64_t i = 0; i < COUNT; i++) {
      snprintf(name, sizeof name, "%d", (int)i);
      assert_true(is_there(channels, name, i << 55 | i));
      vsi_channel_unref(all[i]);
      assert_false(is_there(channels, name, i << 55 | i));
    }
    end(&b, channels);
  }
}

static vestry_err one_channel(test_host *th, void *ctx) {
  vestry_runtime *runtime;
  vsi_group *group = NULL;
  vsi_channels *channels = NULL;
  vsi_channel *channel = NULL;
  vsi_member *member = NULL;
  vestry_err error = vestry_runtime_create(
      &(vestry_runtime_options){.host = &th->host, .threads_count = VESTRY_THREADS_NONE}, &runtime);
  if (error) return error;
  error = vsi_group_create(runtime, NULL, &group);
  if (!error) error = vsi_channels_create(group, 0, 0, &channels);
  if (!error) error = vsi_channels_hold(channels, "a", 1, 1, &channel);
  if (!error) error = vsi_channel_reserve(channel, &member);
  if (member) vsi_member_unref(member);
  if (channel) vsi_channel_unref(channel);
  vsi_channels_destroy(channels);
  vsi_group_unref(group);
  vestry_runtime_destroy(runtime);
  return error;
}

TEST_CASE(allocation_failure_returns_no_memory) {
  test_host_fail_each(one_channel, NULL, false);
}

/* ------------------------------------------------------------------------------------------------- threads -------- */

enum { THREADS = 4, ROUNDS = 100000, NAMES = 2 };

typedef struct taker {
  vsi_channels *channels;
  pthread_barrier_t *start; /* together */
  unsigned seed;
} taker;

/* With few names and short references, several threads create, find and end each channel at once, repeatedly. */
static void *take_and_give(void *ctx) {
  taker *t = ctx;
  vsi_channel *held[3] = {NULL};
  static const char *const names[NAMES] = {"a", "b"};
  pthread_barrier_wait(t->start);
  for (int i = 0; i < ROUNDS; i++) {
    int at = rand_r(&t->seed) % 3, name = rand_r(&t->seed) % NAMES;
    if (held[at]) {
      vsi_channel_unref(held[at]);
      held[at] = NULL;
    } else if (rand_r(&t->seed) % 2) {
      held[at] = vsi_channels_find(t->channels, names[name], 1, (uint64_t)name << 60);
    } else {
      assert_int_equal(vsi_channels_hold(t->channels, names[name], 1, (uint64_t)name << 60, &held[at]), VESTRY_OK);
    }
    if (held[at]) assert_int_equal(held[at]->name.len, 1); /* it exists */
  }
  for (int i = 0; i < 3; i++)
    if (held[i]) vsi_channel_unref(held[i]);
  return NULL;
}

TEST_CASE(concurrent_holds_create_one_channel_per_name) {
  bench b;
  vsi_channels *channels = begin(&b, NAMES); /* two channels of one name would exceed it */
  pthread_t threads[THREADS];
  taker takers[THREADS];
  pthread_barrier_t start;
  pthread_barrier_init(&start, NULL, THREADS);
  for (unsigned i = 0; i < THREADS; i++) {
    takers[i] = (taker){channels, &start, i + 1};
    assert_int_equal(pthread_create(&threads[i], NULL, take_and_give, &takers[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
  pthread_barrier_destroy(&start);
  end(&b, channels);
}

typedef struct watched {
  vsi_channel *channel;
  _Atomic(bool) is_inside, is_removed, was_removed;
} watched;

static vestry_err comes(const void *bytes, size_t len, void *ctx) {
  return VESTRY_OK;
}

static void leaves_slowly(const void *bytes, size_t len, void *ctx) {
  watched *w = ctx;
  atomic_store(&w->is_inside, true);
  LINGER(atomic_load(&w->is_removed));
  atomic_store(&w->was_removed, atomic_load(&w->is_removed));
}

static void *drop(void *ctx) {
  vsi_channel_unref(((watched *)ctx)->channel);
  return NULL;
}

/* So the cluster that watches can be freed. */
TEST_CASE(removal_of_the_watch_waits_for_its_calls) {
  bench b;
  watched w = {.channel = NULL};
  pthread_t thread;
  vsi_channels *channels = begin(&b, 0);
  const vsi_channels_watch watch = {comes, leaves_slowly, &w};
  vsi_channels_watch_set(channels, &watch);
  w.channel = hold(channels, "a", 1);
  assert_int_equal(pthread_create(&thread, NULL, drop, &w), 0);
  UNTIL(atomic_load(&w.is_inside));
  vsi_channels_watch_set(channels, NULL);
  atomic_store(&w.is_removed, true);
  pthread_join(thread, NULL);
  assert_false(atomic_load(&w.was_removed));
  end(&b, channels);
}
