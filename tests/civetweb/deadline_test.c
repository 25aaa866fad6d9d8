/* SPDX-License-Identifier: MIT */
#include "adapter/civetweb/deadline.h"

#include <sys/resource.h>

#include "support/test.h"
#include "vestry/vestry.h"

enum { MOST = 8 << 20, EIGHTH = MOST / 8, COUNT = 3 };

static vestry *v;
static vsi_civetweb_deadlines all;
static vsi_civetweb_deadline some[COUNT];
static vsi_civetweb_peer peer;

/* The peer is no client of this process. The test checks the deadlines itself, because the timer's first check is an
 * hour away. */
static void begin(void) {
  const vestry_bounds bounds = {.max_request_bytes = MOST};
  assert_int_equal(vestry_create(&(vestry_options){.bounds = &bounds}, &v), VESTRY_OK);
  all = (vsi_civetweb_deadlines){.timer = NULL};
  assert_int_equal(vsi_civetweb_deadlines_init(&all, v, 3600000), VESTRY_OK);
  assert_true(vsi_civetweb_peer_parse("10.1.2.3", 50000, 8080, &peer));
  for (size_t i = 0; i < COUNT; i++) {
    some[i] = (vsi_civetweb_deadline){.going = 0};
    vsi_civetweb_deadline_set(&all, &some[i], &peer, UINT64_MAX, 0);
  }
}

static void end(void) {
  for (size_t i = 0; i < COUNT; i++) vsi_civetweb_deadline_clear(&all, &some[i]);
  vsi_civetweb_deadlines_finish(&all);
  vestry_destroy(v);
}

static void hold(size_t i, size_t bytes) {
  assert_true(vestry_request_bytes_take(v, bytes));
  vsi_civetweb_deadline_holds(&all, &some[i], bytes);
}

/* Like the test of socket.c of the other adapter. */
TEST_CASE(aborted_bytes_count_as_freed_until_cleared) {
  begin();
  hold(0, 2 * EIGHTH);
  hold(1, 4 * EIGHTH);
  assert_int_equal(all.going[0], 0); /* six eighths */
  hold(2, EIGHTH + 4096);
  assert_int_equal(some[1].going, 4 * EIGHTH);
  assert_int_equal(all.going[0], 4 * EIGHTH);
  assert_int_equal(some[0].going + some[2].going, 0);
  assert_true(some[1].has_passed);
  vsi_civetweb_deadline_clear(&all, &some[1]);
  assert_int_equal(all.going[0], 0);
  vsi_civetweb_deadline_holds(&all, &some[2], EIGHTH + 4096); /* its bytes are not freed yet */
  assert_int_equal(some[0].going, 2 * EIGHTH);
  assert_true(some[0].has_passed);
  vsi_civetweb_deadline_clear(&all, &some[0]);
  assert_false(some[2].has_passed);
  vestry_request_bytes_give(v, 7 * EIGHTH + 4096);
  end();
}

/* Each piece of each body calls this function. If it waited for the lock, or took it, it would not return here. */
TEST_CASE(piece_takes_no_lock_if_enough_bytes_are_aborted) {
  begin();
  hold(0, 7 * EIGHTH);
  hold(1, 4096);
  assert_int_equal(all.going[0], 7 * EIGHTH);
  vsi_mutex_lock(&all.lock);
  hold(1, 4096);
  vsi_mutex_unlock(&all.lock);
  assert_int_equal(some[1].going, 0);
  vestry_request_bytes_give(v, 7 * EIGHTH + 8192);
  end();
}

int main(void) {
  const struct rlimit few = {256, 256}; /* all descriptors are searched for a peer that is not found */
  if (setrlimit(RLIMIT_NOFILE, &few)) return 1;
  return cases_run("civetweb/deadline", NULL, NULL);
}
