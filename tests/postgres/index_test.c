/* SPDX-License-Identifier: MIT */
#include "data/postgres/index.h"

#include "base/memory.h"
#include "support/test.h"
#include "support/test_host.h"

enum { TABLE = 16400, INDEX = 16500 };

static test_host th;
static vsi_postgres_index *index_;
static uint64_t hits[64], hits_at_ns[64];
static size_t hits_count;
static uint64_t unused;      /* a set that no page needs */
static bool is_timed = true; /* the time of commits is needed */

static void hit(void *ctx, uint64_t number, uint64_t at_ns) {
  assert_ptr_equal(ctx, &th);
  assert_true(hits_count < sizeof hits / sizeof *hits);
  hits_at_ns[hits_count] = at_ns;
  hits[hits_count++] = number;
}

static bool is_used(void *ctx, uint64_t number) {
  (void)ctx;
  return number != unused;
}

static uint64_t now_ns(void *ctx) {
  assert_ptr_equal(ctx, &th);
  return is_timed ? vsi_now_ns(&th.host) : 0;
}

/* Visible commits in their order: for each the block of the leaf that it wrote; 0: unknown. */
static uint32_t seen_blocks[16];
static size_t seen_count;
static uint32_t received_block; /* the block for which a receiver waits */

static void seen(void *ctx, const vsi_postgres_keys *keys) {
  assert_ptr_equal(ctx, &th);
  seen_blocks[seen_count++ % 16] = keys ? keys->keys[0].block : 0;
}

static bool is_received(void *ctx, const vsi_postgres_keys *keys) {
  assert_ptr_equal(ctx, &th);
  return received_block && (!keys || keys->keys[0].block == received_block);
}

static vestry_err open_with(size_t max_bytes, size_t max_ring) {
  hits_count = 0;
  unused = UINT64_MAX;
  received_block = 0;
  const vsi_postgres_index_options options = {.host = &th.host,
                                              .max_bytes = max_bytes,
                                              .max_ring = max_ring,
                                              .hit = hit,
                                              .is_used = is_used,
                                              .now_ns = now_ns,
                                              .seen = seen,
                                              .has_receiver = is_received,
                                              .ctx = &th};
  return vsi_postgres_index_create(&options, &index_);
}

static int set_up(void **state) {
  (void)state;
  test_host_init(&th);
  return open_with(1 << 20, 16);
}

static int tear_down(void **state) {
  (void)state;
  vsi_postgres_index_destroy(index_);
  test_host_assert_clean(&th);
  return 0;
}

static vsi_postgres_snapshot snapshot_of(const char *text) {
  vsi_postgres_snapshot snapshot;
  assert_int_equal(vsi_postgres_snapshot_read(&snapshot, &th.host, text), VESTRY_OK);
  return snapshot;
}

static void see(const char *text) {
  vsi_postgres_snapshot snapshot = snapshot_of(text);
  vsi_postgres_index_see(index_, &snapshot);
  vsi_postgres_snapshot_finish(&snapshot, &th.host);
}

/* Start reading records, after all earlier transactions have ended. */
static void start(void) {
  vsi_postgres_index_start(index_, 100);
  see("100:100:");
  hits_count = 0;
}

static vsi_postgres_key row_of(uint32_t block) {
  return (vsi_postgres_key){.relation = TABLE, .block = block, .offset = 1, .kind = VSI_POSTGRES_ROW};
}
static vsi_postgres_key leaf_of(uint32_t block) {
  return (vsi_postgres_key){.relation = INDEX, .block = block, .kind = VSI_POSTGRES_LEAF};
}

static vsi_postgres_keys keys_of(vsi_postgres_key key) {
  vsi_postgres_keys keys = {.count = 0};
  assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, key), VESTRY_OK);
  return keys;
}

static vsi_postgres_entry enter(vsi_postgres_ticket *ticket, vsi_postgres_key key, const char *text,
                                uint64_t *ret_number) {
  vsi_postgres_keys keys = keys_of(key);
  vsi_postgres_snapshot snapshot = snapshot_of(text);
  *ret_number = vsi_postgres_index_number(index_);
  return vsi_postgres_index_enter(index_, ticket, *ret_number, &keys, &snapshot, true);
}

/* A render begins and ends. */
static uint64_t render(vsi_postgres_key key, const char *text) {
  vsi_postgres_ticket ticket;
  uint64_t number;
  vsi_postgres_index_begin(index_, &ticket);
  assert_int_equal(enter(&ticket, key, text, &number), VSI_POSTGRES_ENTERED);
  return number;
}

static void commit(uint32_t xid, vsi_postgres_key key) {
  vsi_postgres_keys keys = keys_of(key);
  assert_int_equal(vsi_postgres_index_commit(index_, xid, &keys, false), VESTRY_OK);
  assert_int_equal(keys.count, 0);
}

static size_t ring_count(void) {
  vestry_postgres_stats stats;
  vsi_postgres_index_stats_get(index_, &stats);
  return stats.ring_count;
}

static void set_is_hit_when_its_commit_is_visible(void **state) {
  (void)state;
  start();
  uint64_t first = render(row_of(1), "101:101:");
  (void)render(row_of(2), "101:101:");
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_NOTHING);
  commit(101, row_of(1));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  assert_int_equal(hits_count, 0);
  see("101:102:101"); /* in the WAL, but not visible yet */
  assert_int_equal(hits_count, 0);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], first);
  assert_int_equal(ring_count(), 0);
  commit(102, row_of(1)); /* the set has ended */
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_SOME);
  see("103:103:");
  assert_int_equal(hits_count, 1);
}

/* A receiver, not a set, waits for the commit. The commit is polled as eagerly, and reported when it is visible. */
static void commit_is_reported_when_it_is_visible(void **state) {
  (void)state;
  start();
  seen_count = 0;
  received_block = 7;
  commit(101, leaf_of(6));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_SOME);
  commit(102, leaf_of(7));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("101:103:101,102");
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  assert_int_equal(seen_count, 0);
  see("101:103:101");
  assert_int_equal(seen_count, 1);
  assert_int_equal(seen_blocks[0], 7);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_SOME);
  see("103:103:");
  assert_int_equal(seen_count, 2);
  assert_int_equal(seen_blocks[1], 6);
  vsi_postgres_keys none = {.count = 0};
  assert_int_equal(vsi_postgres_index_commit(index_, 103, &none, true), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("104:104:");
  assert_int_equal(seen_count, 3);
  assert_int_equal(seen_blocks[2], 0);
  vsi_postgres_index_start(index_, 110); /* earlier commits are unknown */
  assert_int_equal(seen_count, 4);
}

/* The time at which the record was read, not that of visibility. */
static void hit_has_the_time_of_its_commit_record(void **state) {
  (void)state;
  start();
  uint64_t sets[3], read_ns[3];
  for (uint32_t i = 0; i < 3; i++) sets[i] = render(row_of(i), "101:101:");
  for (uint32_t i = 0; i < 3; i++) {
    is_timed = i != 1;
    read_ns[i] = is_timed ? vsi_now_ns(&th.host) : 0;
    commit(101 + i, row_of(i));
    test_host_advance_ms(&th, 10);
  }
  is_timed = true;
  see("104:104:");
  assert_int_equal(hits_count, 3);
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(hits[i], sets[i]);
    assert_int_equal(hits_at_ns[i], read_ns[i]);
  }
  (void)render(row_of(1), "104:104:");
  vsi_postgres_index_start(index_, 200); /* the commits in between are unknown */
  assert_int_equal(hits_count, 4);
  assert_int_equal(hits_at_ns[3], 0);
}

static void set_whose_snapshot_has_the_commit_is_not_hit(void **state) {
  (void)state;
  start();
  (void)render(row_of(1), "102:102:"); /* faster than the WAL */
  commit(101, row_of(1));
  see("103:103:");
  assert_int_equal(hits_count, 0);
}

static void commit_is_kept_while_older_renders_run(void **state) {
  (void)state;
  vsi_postgres_ticket early, late;
  uint64_t number;
  start();
  vsi_postgres_index_begin(index_, &early);
  commit(101, row_of(1));
  see("102:102:");
  assert_int_equal(ring_count(), 1);
  vsi_postgres_index_begin(index_, &late);
  assert_int_equal(enter(&early, row_of(1), "101:101:", &number), VSI_POSTGRES_OVERTAKEN);
  assert_int_equal(ring_count(), 0); /* the late render sees the commit */
  assert_int_equal(enter(&late, row_of(1), "102:102:", &number), VSI_POSTGRES_ENTERED);
  vsi_postgres_index_begin(index_, &early);
  commit(102, row_of(2));
  see("103:103:");
  assert_int_equal(enter(&early, row_of(1), "102:102:", &number), VSI_POSTGRES_ENTERED); /* it has read another row */
  vsi_postgres_index_begin(index_, &early);
  commit(103, row_of(2));
  vsi_postgres_index_leave(index_, &early);
  see("104:104:");
  assert_int_equal(ring_count(), 0);
  assert_int_equal(hits_count, 0);
}

/* The render ended after the record was read and before the commit was visible. */
static void render_ended_before_visibility_is_hit_later(void **state) {
  (void)state;
  vsi_postgres_ticket ticket;
  uint64_t number;
  start();
  vsi_postgres_index_begin(index_, &ticket);
  commit(101, row_of(1));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_SOME);
  assert_int_equal(enter(&ticket, row_of(1), "101:102:101", &number), VSI_POSTGRES_ENTERED);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], number);
}

static void split_leaf_is_followed(void **state) {
  (void)state;
  vsi_postgres_ticket ticket;
  uint64_t number;
  start();
  uint64_t entered = render(leaf_of(1), "101:101:");
  vsi_postgres_index_begin(index_, &ticket);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 1, 2), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 2, 3), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 2, 3), VESTRY_OK); /* as when a leaf is deleted */
  assert_int_equal(enter(&ticket, leaf_of(1), "101:101:", &number), VSI_POSTGRES_ENTERED);
  (void)render(leaf_of(1), "101:101:"); /* began after the moves */
  commit(101, leaf_of(3));
  see("102:102:");
  assert_int_equal(hits_count, 2);
  assert_int_equal(hits[0] + hits[1], entered + number);
}

/* The commit's writes were moved before the render looked them up. */
static void moved_leaf_applies_to_commits_in_the_ring(void **state) {
  (void)state;
  vsi_postgres_ticket ticket;
  uint64_t number;
  start();
  vsi_postgres_index_begin(index_, &ticket);
  commit(101, leaf_of(1));
  see("102:102:");
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 1, 2), VESTRY_OK);
  assert_int_equal(enter(&ticket, leaf_of(2), "101:101:", &number), VSI_POSTGRES_OVERTAKEN);
}

static void start_hits_all_sets_and_again_those_with_old_snapshots(void **state) {
  (void)state;
  vsi_postgres_ticket before, during;
  uint64_t number;
  (void)render(row_of(1), "90:90:");
  vsi_postgres_index_begin(index_, &before);
  vsi_postgres_index_start(index_, 100);
  assert_int_equal(hits_count, 1);
  assert_int_equal(enter(&before, row_of(1), "100:100:", &number), VSI_POSTGRES_OVERTAKEN);
  uint64_t old = render(row_of(2), "98:100:98");
  (void)render(row_of(3), "100:100:");
  vsi_postgres_index_begin(index_, &during);
  see("98:100:98");
  assert_int_equal(hits_count, 1);
  see("100:101:");
  assert_int_equal(hits_count, 2);
  assert_int_equal(hits[1], old);
  assert_int_equal(enter(&during, row_of(4), "98:100:98", &number), VSI_POSTGRES_OVERTAKEN);
}

/* Writes and commit of such a transaction may precede the first record. */
static void each_transaction_open_at_the_start_is_awaited_separately(void **state) {
  (void)state;
  vsi_postgres_ticket during;
  uint64_t number;
  vsi_postgres_index_start(index_, 100);
  see("96:101:96,97,98");
  hits_count = 0;
  uint64_t first = render(row_of(1), "96:101:96,97,98");
  (void)render(row_of(2), "96:101:96,98");
  see("96:101:96,97,98");
  assert_int_equal(hits_count, 0);
  vsi_postgres_index_begin(index_, &during);
  see("96:102:96,98"); /* others are still running */
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], first);
  assert_int_equal(enter(&during, row_of(3), "96:101:96,97,98", &number), VSI_POSTGRES_OVERTAKEN);
  (void)render(row_of(1), "96:102:96,98");
  see("96:103:96");
  assert_int_equal(hits_count, 3);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_SOME);
  see("103:103:");
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_NOTHING);
}

/* Some writes of such a transaction are unknown. */
static void commit_of_a_transaction_open_at_the_start_hits_all(void **state) {
  (void)state;
  vsi_postgres_index_start(index_, 100);
  see("98:101:98");
  hits_count = 0;
  uint64_t number = render(row_of(1), "98:101:98");
  commit(98, row_of(7));
  see("101:101:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], number);
}

static void unused_sets_are_removed(void **state) {
  (void)state;
  vestry_postgres_stats stats;
  start();
  unused = render(row_of(1), "101:101:");
  commit(101, row_of(1));
  see("102:102:");
  assert_int_equal(hits_count, 0);
  unused = render(row_of(1), "102:102:");
  for (uint32_t i = 0; i < 200; i++) (void)render(row_of(2 + i), "102:102:");
  vsi_postgres_index_stats_get(index_, &stats);
  assert_int_equal(stats.sets_count, 200);
}

static void full_ring_hits_more_and_misses_nothing(void **state) {
  (void)state;
  vsi_postgres_ticket ticket;
  uint64_t number;
  start();
  uint64_t entered = render(row_of(1), "101:101:");
  vsi_postgres_index_begin(index_, &ticket);
  commit(101, row_of(1));
  for (uint32_t i = 0; i < 16; i++) commit(102 + i, row_of(50)); /* none of them is visible */
  assert_int_equal(ring_count(), 0);
  see("101:118:101");
  assert_int_equal(hits_count, 1); /* a match with one of the commits whose keys were dropped */
  assert_int_equal(hits[0], entered);
  uint64_t again = render(row_of(1), "101:118:101");
  see("118:118:");
  assert_int_equal(hits_count, 2);
  assert_int_equal(hits[1], again);
  assert_int_equal(enter(&ticket, row_of(1), "101:101:", &number), VSI_POSTGRES_OVERTAKEN);
}

static void keys_over_max_bytes_share_one_set(void **state) {
  (void)state;
  vsi_postgres_ticket ticket;
  vsi_postgres_index_destroy(index_);
  assert_int_equal(open_with(4096, 16), VESTRY_OK);
  start();
  for (int is_least = 0; is_least < 2; is_least++) {
    vsi_postgres_keys keys = {.count = 0};
    for (uint32_t i = 0; i < 200; i++) assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, row_of(i)), VESTRY_OK);
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    if (!is_least) vsi_postgres_index_begin(index_, &ticket);
    assert_int_equal(vsi_postgres_index_enter(index_, &ticket, 1, &keys, &snapshot, is_least),
                     is_least ? VSI_POSTGRES_WHOLE : VSI_POSTGRES_LARGE);
    vsi_postgres_snapshot_finish(&snapshot, &th.host);
  }
  commit(101, row_of(9999));
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], VSI_POSTGRES_EVERYTHING);
}

/* Each allocation fails once. The follower gets an error and starts again, or the set is hit. */
static void allocation_failure_misses_no_commit(void **state) {
  (void)state;
  for (long n = 0; test_host_init(&th), true; n++) {
    vsi_postgres_ticket ticket;
    uint64_t number;
    assert_int_equal(open_with(1 << 20, 16), VESTRY_OK);
    start();
    vsi_postgres_index_begin(index_, &ticket);
    vsi_postgres_keys read = keys_of(leaf_of(1)), written = keys_of(leaf_of(2));
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    number = vsi_postgres_index_number(index_);
    test_host_fail_in(&th, n);
    vestry_err error = vsi_postgres_index_move(index_, INDEX, 1, 2);
    vsi_postgres_entry entry = vsi_postgres_index_enter(index_, &ticket, number, &read, &snapshot, true);
    if (!error) error = vsi_postgres_index_commit(index_, 101, &written, false);
    bool has_failed = test_host_has_failed(&th);
    test_host_fail_no_more(&th);
    if (!error) see("102:102:");
    assert_true(error == VESTRY_NO_MEMORY || entry == VSI_POSTGRES_OVERTAKEN || hits_count == 1);
    vsi_postgres_keys_clear(&written, &th.host);
    vsi_postgres_index_destroy(index_);
    test_host_assert_clean(&th);
    if (!has_failed) break;
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
  const struct CMUnitTest tests[] = {
      TEST(set_is_hit_when_its_commit_is_visible),
      TEST(commit_is_reported_when_it_is_visible),
      TEST(hit_has_the_time_of_its_commit_record),
      TEST(set_whose_snapshot_has_the_commit_is_not_hit),
      TEST(commit_is_kept_while_older_renders_run),
      TEST(render_ended_before_visibility_is_hit_later),
      TEST(split_leaf_is_followed),
      TEST(moved_leaf_applies_to_commits_in_the_ring),
      TEST(start_hits_all_sets_and_again_those_with_old_snapshots),
      TEST(each_transaction_open_at_the_start_is_awaited_separately),
      TEST(commit_of_a_transaction_open_at_the_start_hits_all),
      TEST(unused_sets_are_removed),
      TEST(full_ring_hits_more_and_misses_nothing),
      TEST(keys_over_max_bytes_share_one_set),
      cmocka_unit_test(allocation_failure_misses_no_commit),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
