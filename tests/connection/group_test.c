/* SPDX-License-Identifier: MIT */
/* A walk over a group visits connections in the order of their numbers and continues where it stopped, while
 * connections are added and removed. */
#include "connection/group.h"

#include "connection/probe.h"
#include "connection/send.h"
#include "runtime/random.h"

enum { COUNT = 10 };

static vestry_io open_quietly(void *transport) {
  return VESTRY_IO_OK;
}

static vestry_io write_quietly(void *transport, const vestry_slice *slices, size_t count, size_t *ret_written) {
  return VESTRY_IO_OK;
}

static void end_quietly(void *transport, bool clean, vestry_cause cause) {}

static void release_quietly(void *transport) {}

static const vestry_transport_ops quiet = {
    .open = open_quietly, .write = write_quietly, .end = end_quietly, .release = release_quietly};

static vestry_connection *connect_one(bench *b) {
  vestry_connection *made;
  assert_int_equal(vsi_group_connect(b->group, &quiet, b, NULL, NULL, NULL, &made), VESTRY_OK);
  vsi_connection_start(made);
  return made;
}

static void end_one(bench *b, vestry_connection **connection) {
  vestry_connection_close(*connection, VESTRY_CAUSE_HANGUP);
  bench_run(b);
  *connection = vestry_connection_unref(*connection);
}

static void send_off(vestry_connection *connection, void *sent) {
  *(size_t *)sent += vestry_connection_is_open(connection) && vsi_connection_send_off(connection, 1000);
}

/* Check which connections a walk visits: only these are sent off. */
static void assert_visits(bench *b, vsi_group_walk *walk, size_t limit, vestry_connection *const *those, size_t count) {
  size_t sent = 0;
  assert_int_equal(vsi_group_walk_on(b->group, walk, limit, send_off, &sent), count);
  assert_int_equal(sent, count);
  for (size_t i = 0; i < count; i++) assert_int_equal(vestry_connection_look(those[i]).cause, VESTRY_CAUSE_DRAIN);
}

TEST_CASE(walk_continues_while_connections_come_and_go) {
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  vestry_connection *all[COUNT], *last;
  for (size_t i = 0; i < COUNT; i++) all[i] = connect_one(&b);
  bench_run(&b);
  vsi_group_walk walk, other;
  vsi_group_walk_begin(b.group, &walk);
  vsi_group_walk_begin(b.group, &other);
  assert_visits(&b, &walk, 3, all, 3);
  assert_true(vestry_connection_is_open(all[3]));
  end_one(&b, &all[3]); /* the next one, */
  end_one(&b, &all[0]); /* one that was visited, */
  end_one(&b, &all[5]); /* and one that was not visited yet */
  assert_visits(&b, &walk, 2, (vestry_connection *const[]){all[4], all[6]}, 2);
  assert_true(vestry_connection_is_open(all[7]));
  bench_run(&b); /* connections that were sent off end */
  end_one(&b, &all[9]);
  assert_visits(&b, &walk, 100, &all[7], 2);
  assert_visits(&b, &walk, 100, NULL, 0);
  last = connect_one(&b);
  assert_visits(&b, &walk, 100, &last, 1); /* a connection added later is visited later */
  assert_visits(&b, &walk, 100, NULL, 0);
  size_t sent = 0;
  assert_int_equal(vsi_group_walk_on(b.group, &other, 100, send_off, &sent), 3); /* 7, 8, and the last */
  assert_int_equal(sent, 0);
  vsi_group_walk_end(b.group, &walk);
  vsi_group_walk_end(b.group, &other);
  for (size_t i = 0; i < COUNT; i++) vestry_connection_unref(all[i]);
  vestry_connection_unref(last);
  bench_finish(&b);
}

/* ---------------------------------------------------------------------------------------- adding up -------------- */

/* The counts of a connection are in the sums exactly once: while it is open, while it ends during the summation, and
 * after its end. */
enum { MANY = 2000, EACH = 3, OTHERS_A_LEAVER = 2 };

typedef struct leaving {
  bench *b;
  vestry_connection **all;
  uint64_t random;
  _Atomic(bool) is_over;
} leaving;

static void *leave_in_any_order(void *of) {
  leaving *l = of;
  for (size_t left = MANY; left; left--) {
    const size_t at = random_below(&l->random, left);
    vestry_connection_close(l->all[at], VESTRY_CAUSE_HANGUP);
    vestry_connection_unref(l->all[at]);
    l->all[at] = l->all[left - 1];
    for (int i = 0; i < OTHERS_A_LEAVER; i++) {
      vestry_connection *other = connect_one(l->b);
      vestry_connection_close(other, VESTRY_CAUSE_HANGUP);
      vestry_connection_unref(other);
    }
  }
  atomic_store(&l->is_over, true);
  return NULL;
}

TEST_CASE(sums_count_each_connection_once_under_load) {
  bench b;
  bench_init(&b, 2, &(vestry_connection_options){.heartbeat_ms = VESTRY_NEVER_MS});
  static vestry_connection *all[MANY];
  for (size_t i = 0; i < MANY; i++) {
    all[i] = connect_one(&b);
    for (int k = 0; k < EACH; k++) assert_int_equal(bench_send(&b, all[i], "x"), VESTRY_OK);
  }
  leaving l = {.b = &b, .all = all, .random = 7};
  pthread_t thread;
  assert_int_equal(pthread_create(&thread, NULL, leave_in_any_order, &l), 0);
  uint64_t last = 0, looks = 0;
  do {
    vsi_group_stats stats;
    vsi_group_stats_get(b.group, &stats);
    assert_int_equal(stats.accepted, EACH * MANY);
    assert_true(stats.written + stats.discarded <= stats.accepted);
    assert_int_equal(stats.opened, stats.open + stats.closed);
    assert_int_equal(stats.ages.count, stats.closed);
    assert_true(stats.opened >= last);
    last = stats.opened;
    looks++;
  } while (!atomic_load(&l.is_over));
  pthread_join(thread, NULL);
  print_message("%llu looks\n", (unsigned long long)looks);
  assert_int_equal(vsi_group_wait(b.group, 60000), VESTRY_OK);
  bench_finish(&b);
}

TEST_CASE(ended_connections_are_counted_by_age) {
  bench b;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  vestry_connection *young = connect_one(&b), *old = connect_one(&b);
  bench_run(&b);
  test_host_advance_ms(&b.th, 1000);
  end_one(&b, &young);
  test_host_advance_ms(&b.th, 3600 * 1000);
  end_one(&b, &old);
  vsi_group_stats stats;
  vsi_group_stats_get(b.group, &stats);
  assert_int_equal(stats.ages.count, 2);
  assert_int_equal(stats.ages.counts[0], 1); /* up to a second */
  assert_int_equal(stats.ages.counts[9], 1); /* one to three hours */
  assert_true(stats.ages.sum_s == 3602);
  bench_finish(&b);
}

/* A connection is found by its number after others have ended. */
TEST_CASE(connections_are_found_by_number) {
  enum { NUMBERED = 200 };
  bench b;
  vestry_connection *all[NUMBERED];
  uint64_t ids[NUMBERED], random = 1;
  bench_init(&b, VESTRY_THREADS_NONE, NULL);
  for (size_t i = 0; i < NUMBERED; i++) ids[i] = vestry_connection_look(all[i] = connect_one(&b)).id;
  for (size_t left = NUMBERED; left; left--) {
    size_t gone = (size_t)random_below(&random, NUMBERED);
    while (!all[gone]) gone = (gone + 1) % NUMBERED;
    end_one(&b, &all[gone]);
    for (size_t i = 0; i < NUMBERED; i++) {
      vestry_connection *found = vsi_group_find(b.group, ids[i]);
      assert_ptr_equal(found, all[i]);
      (void)vestry_connection_unref(found);
    }
  }
  assert_null(vsi_group_find(b.group, 0));
  assert_null(vsi_group_find(b.group, UINT64_MAX));
  bench_finish(&b);
}
