/* SPDX-License-Identifier: MIT */
#include "data/postgres/keys.h"

#include "support/test.h"
#include "support/test_host.h"

static test_host th;

static vsi_postgres_snapshot snapshot_of(const char *text) {
  vsi_postgres_snapshot snapshot;
  assert_int_equal(vsi_postgres_snapshot_read(&snapshot, &th.host, text), VESTRY_OK);
  return snapshot;
}

static bool sees_more(const char *now, const char *before, uint64_t below) {
  vsi_postgres_snapshot is = snapshot_of(now), was = snapshot_of(before);
  bool sees_more = vsi_postgres_snapshot_sees_more(&is, &was, below);
  bool has_less = vsi_postgres_snapshot_unseen(&is, below) < vsi_postgres_snapshot_unseen(&was, below);
  assert_true(sees_more == has_less);
  vsi_postgres_snapshot_finish(&is, &th.host);
  vsi_postgres_snapshot_finish(&was, &th.host);
  return sees_more;
}

TEST_CASE(snapshots_differ_by_transactions_ended_between) {
  test_host_init(&th);
  assert_false(sees_more("10:14:10,12", "10:14:10,12", 20));
  assert_false(sees_more("10:14:10", "10:14:10,12", 12));
  assert_true(sees_more("10:14:10", "10:14:10,12", 13));
  assert_true(sees_more("14:14:", "10:14:10", 11));
  assert_false(sees_more("10:16:10,14,15", "10:14:10", 16)); /* later transactions are running */
  assert_true(sees_more("10:16:10,15", "10:14:10", 16));
  assert_false(sees_more("10:16:10,15", "10:14:10", 14));
  vsi_postgres_snapshot is = snapshot_of("10:14:10,12");
  assert_int_equal(vsi_postgres_snapshot_unseen(&is, 10), 0);
  assert_int_equal(vsi_postgres_snapshot_unseen(&is, 13), 2);
  assert_int_equal(vsi_postgres_snapshot_unseen(&is, 20), 8);
  vsi_postgres_snapshot_finish(&is, &th.host);
  test_host_assert_clean(&th);
}

TEST_CASE(malformed_snapshot_is_rejected) {
  static const char *const none[] = {
      "",        "10",      "10:",      "10:14",     "10:14 ", ":14:",   "10::",     "14:10:",
      "10:14:x", "10:14:,", "10:14:3,", "10:14:3;4", "-1:14:", " 1:14:", "10:14:+3", "99999999999999999999999:14:"};
  vsi_postgres_snapshot snapshot;
  test_host_init(&th);
  for (size_t i = 0; i < sizeof none / sizeof *none; i++)
    assert_int_equal(vsi_postgres_snapshot_read(&snapshot, &th.host, none[i]), VESTRY_MALFORMED);
  test_host_assert_clean(&th);
}

/* 32-bit ids wrap around, 64-bit ids do not. */
TEST_CASE(full_xid_continues_over_a_wraparound) {
  const uint64_t near = UINT64_C(0x300000002);
  assert_true(vsi_postgres_full_xid(2, near) == near);
  assert_true(vsi_postgres_full_xid(7, near) == near + 5);
  assert_true(vsi_postgres_full_xid(0xfffffffe, near) == UINT64_C(0x2fffffffe));
  assert_true(vsi_postgres_full_xid(3, UINT64_C(0x2fffffff0)) == UINT64_C(0x300000003));
}

static vestry_err read_snapshot(test_host *host, void *ctx) {
  vsi_postgres_snapshot snapshot;
  vestry_err error =
      vsi_postgres_snapshot_read(&snapshot, &host->host, "1:100:2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17");
  if (!error) vsi_postgres_snapshot_finish(&snapshot, &host->host);
  return error;
}

TEST_CASE(allocation_failure_is_returned) {
  test_host_fail_each(read_snapshot, NULL, false);
}
