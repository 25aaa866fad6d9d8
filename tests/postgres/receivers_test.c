/* SPDX-License-Identifier: MIT */
#include "data/postgres/receivers.h"

#include "base/wait.h"
#include "support/test.h"
#include "support/test_host.h"

enum { TABLE = 16400, FILE_NUMBER = 16500 };

static test_host th;
static vsi_postgres_pool pool; /* only its receivers are used */
static vsi_postgres_receiver receiver;

static int set_up(void **state) {
  test_host_init(&th);
  memset(&pool, 0, sizeof pool);
  memset(&receiver, 0, sizeof receiver);
  vsi_mutex_init(&pool.is.lock, VSI_LOCK_SQL_POOL);
  return 0;
}

static int tear_down(void **state) {
  vsi_postgres_receiver_ops.close(&pool.is, &receiver);
  vsi_postgres_receiver_ops.close(&pool.is, &receiver);
  vsi_mutex_finish(&pool.is.lock);
  test_host_assert_clean(&th);
  return 0;
}

/* Return whether the receiver was notified since the last call. */
static bool was_notified(void) {
  return vsi_postgres_receiver_ops.wait(&pool.is, &receiver, 0);
}

/* Publish a visible commit of one key. Returns whether a receiver waits for it. */
static bool publish(vsi_postgres_kind kind, uint32_t relation) {
  vsi_postgres_keys keys = {.count = 0};
  const vsi_postgres_key key = {.relation = relation, .kind = (uint16_t)kind};
  assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, key), VESTRY_OK);
  const bool is_wanted = vsi_postgres_receivers_want(&pool, &keys);
  vsi_postgres_receivers_notify(&pool, &keys);
  vsi_postgres_keys_clear(&keys, &th.host);
  return is_wanted;
}

/* Open a receiver that knows its table, while commits are followed. */
static void begin(void) {
  vsi_postgres_receiver_ops.open(&pool.is, &receiver);
  vsi_postgres_receivers_follow(&pool, true);
  assert_false(vsi_postgres_receiver_ops.know(&pool.is, &receiver, TABLE, FILE_NUMBER));
  assert_true(vsi_postgres_receiver_ops.know(&pool.is, &receiver, TABLE, FILE_NUMBER));
  (void)was_notified();
}

TEST_CASE(receiver_listens_only_open_with_table_and_follower) {
  assert_false(vsi_postgres_receiver_ops.know(&pool.is, &receiver, TABLE, FILE_NUMBER));
  assert_false(vsi_postgres_receiver_ops.listen(&pool.is, &receiver)); /* closed */
  vsi_postgres_receiver_ops.open(&pool.is, &receiver);
  assert_false(vsi_postgres_receiver_ops.listen(&pool.is, &receiver)); /* its table is not known */
  assert_false(vsi_postgres_receiver_ops.know(&pool.is, &receiver, TABLE, FILE_NUMBER));
  assert_false(vsi_postgres_receiver_ops.listen(&pool.is, &receiver)); /* no follower runs */
  vsi_postgres_receivers_follow(&pool, true);
  assert_true(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
  vsi_postgres_receivers_follow(&pool, false);
  assert_false(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
}

TEST_CASE(receiver_is_notified_once_of_its_table) {
  static const struct {
    vsi_postgres_kind kind;
    uint32_t relation;
    bool is_meant;
  } cases[] = {{VSI_POSTGRES_TABLE, FILE_NUMBER, true},      {VSI_POSTGRES_FILE, FILE_NUMBER, true},
               {VSI_POSTGRES_DEFINITION, TABLE, true},       {VSI_POSTGRES_TABLE, TABLE, false},
               {VSI_POSTGRES_TABLE, FILE_NUMBER + 1, false}, {VSI_POSTGRES_LEAF, FILE_NUMBER, false}};
  begin();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    assert_true(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
    assert_int_equal(publish(cases[i].kind, cases[i].relation), cases[i].is_meant);
    assert_int_equal(was_notified(), cases[i].is_meant);
    assert_false(was_notified());
    if (cases[i].is_meant) assert_false(publish(cases[i].kind, cases[i].relation)); /* not before it listens again */
    assert_false(was_notified());
  }
  assert_true(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
  assert_true(vsi_postgres_receivers_want(&pool, NULL));
  vsi_postgres_receivers_notify(&pool, NULL); /* a commit of unknown content */
  assert_true(was_notified());
}

TEST_CASE(start_and_end_of_following_notify_receivers) {
  begin();
  assert_true(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
  vsi_postgres_receivers_follow(&pool, false);
  assert_true(was_notified());
  vsi_postgres_receivers_follow(&pool, true);
  assert_true(was_notified());
}

TEST_CASE(roused_receiver_stops_waiting) {
  begin();
  vsi_postgres_receiver_ops.rouse(&pool.is, &receiver);
  assert_false(vsi_postgres_receiver_ops.wait(&pool.is, &receiver, vsi_monotonic_in_ms(UINT64_C(86400000))));
  assert_true(vsi_postgres_receiver_ops.listen(&pool.is, &receiver));
  assert_true(publish(VSI_POSTGRES_TABLE, FILE_NUMBER));
  assert_true(vsi_postgres_receiver_ops.wait(&pool.is, &receiver, vsi_monotonic_in_ms(UINT64_C(86400000))));
}

int main(void) {
  return cases_run_each("postgres/receivers", set_up, tear_down);
}
