/* SPDX-License-Identifier: MIT */
#include "data/postgres/index.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/memory.h"
#include "support/asleep.h"
#include "support/test.h"
#include "support/test_host.h"
#include "support/until.h"

enum { TABLE = 16400, INDEX = 16500 };

static test_host th;
static vsi_postgres_index *index_;
static uint64_t hits[256], hits_at_ns[256];
static size_t hits_count;
static uint64_t unused;                                               /* a set that no page needs */
static bool (*uses)(void *ctx, uint64_t number);                      /* instead of comparing with it; NULL: none */
static void (*hits_with)(void *ctx, uint64_t number, uint64_t at_ns); /* instead of keeping the hits; NULL: none */
static bool is_timed = true;                                          /* the time of commits is needed */

static bool is_used(void *ctx, uint64_t number) {
  return uses ? uses(ctx, number) : unused != UINT64_MAX - 1 && number != unused;
}

static void hit(void *ctx, vsi_read_hit *of, size_t count) {
  assert_ptr_equal(ctx, &th);
  for (size_t i = 0; i < count; i++) {
    of[i].is_used = of[i].number == VSI_READS_EVERYTHING || is_used(ctx, of[i].number);
    if (!of[i].is_used) continue;
    if (hits_with) {
      hits_with(ctx, of[i].number, of[i].at_ns);
      continue;
    }
    assert_true(hits_count < sizeof hits / sizeof *hits);
    hits_at_ns[hits_count] = of[i].at_ns;
    hits[hits_count++] = of[i].number;
  }
}

static uint64_t now_ns(void *ctx) {
  assert_ptr_equal(ctx, &th);
  return is_timed ? vsi_now_ns(&th.host) : 0;
}

static vestry_err open_with(size_t max_bytes, size_t max_ring) {
  hits_count = 0;
  unused = UINT64_MAX;
  const vsi_postgres_index_options options = {.host = &th.host,
                                              .max_bytes = max_bytes,
                                              .max_ring = max_ring,
                                              .hit = hit,
                                              .is_used = is_used,
                                              .now_ns = now_ns,
                                              .ctx = &th};
  return vsi_postgres_index_create(&options, &index_);
}

static int set_up(void **state) {
  test_host_init(&th);
  return open_with(1 << 20, 16);
}

static int tear_down(void **state) {
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

static vsi_read_entry enter(vsi_read_ticket *ticket, vsi_postgres_key key, const char *text, uint64_t *ret_number) {
  vsi_postgres_keys keys = keys_of(key);
  vsi_postgres_snapshot snapshot = snapshot_of(text);
  *ret_number = vsi_reads_number(vsi_postgres_index_reads(index_));
  return vsi_postgres_index_enter(index_, ticket, *ret_number, &keys, &snapshot, true);
}

/* A render begins and ends. */
static uint64_t render(vsi_postgres_key key, const char *text) {
  vsi_read_ticket ticket;
  uint64_t number;
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  assert_int_equal(enter(&ticket, key, text, &number), VSI_READS_ENTERED);
  return number;
}

static void commit_keys(uint32_t xid, vsi_postgres_keys keys, bool is_all) {
  assert_int_equal(vsi_postgres_index_commit(index_, xid, &keys, is_all), VESTRY_OK);
  assert_int_equal(keys.count, 0);
  vsi_postgres_keys_clear(&keys, &th.host);
}

static void commit(uint32_t xid, vsi_postgres_key key) {
  commit_keys(xid, keys_of(key), false);
}

static void commit_all(uint32_t xid) {
  commit_keys(xid, (vsi_postgres_keys){.count = 0}, true);
}

static vestry_postgres_stats stats_of(void) {
  vestry_postgres_stats stats;
  vsi_postgres_index_stats_get(index_, &stats);
  return stats;
}

static size_t ring_count(void) {
  return stats_of().ring_count;
}

TEST_CASE(set_is_hit_when_its_commit_is_visible) {
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

/* The time at which the record was read, not that of visibility. */
TEST_CASE(hit_has_the_time_of_its_commit_record) {
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

TEST_CASE(set_whose_snapshot_has_the_commit_is_not_hit) {
  start();
  (void)render(row_of(1), "102:102:"); /* faster than the WAL */
  commit(101, row_of(1));
  see("103:103:");
  assert_int_equal(hits_count, 0);
}

TEST_CASE(commit_is_kept_while_older_renders_run) {
  vsi_read_ticket early, late;
  uint64_t number;
  start();
  vsi_reads_begin(vsi_postgres_index_reads(index_), &early);
  commit(101, row_of(1));
  see("102:102:");
  assert_int_equal(ring_count(), 1);
  vsi_reads_begin(vsi_postgres_index_reads(index_), &late);
  assert_int_equal(enter(&early, row_of(1), "101:101:", &number), VSI_READS_OVERTAKEN);
  assert_int_equal(ring_count(), 0); /* the late render sees the commit */
  assert_int_equal(enter(&late, row_of(1), "102:102:", &number), VSI_READS_ENTERED);
  vsi_reads_begin(vsi_postgres_index_reads(index_), &early);
  commit(102, row_of(2));
  see("103:103:");
  assert_int_equal(enter(&early, row_of(1), "102:102:", &number), VSI_READS_ENTERED); /* it has read another row */
  vsi_reads_begin(vsi_postgres_index_reads(index_), &early);
  commit(103, row_of(2));
  vsi_reads_leave(vsi_postgres_index_reads(index_), &early);
  see("104:104:");
  assert_int_equal(ring_count(), 0);
  assert_int_equal(hits_count, 0);
}

/* The render ended after the record was read and before the commit was visible. */
TEST_CASE(render_ended_before_visibility_is_hit_later) {
  vsi_read_ticket ticket;
  uint64_t number;
  start();
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  commit(101, row_of(1));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_RUNNING);
  assert_int_equal(enter(&ticket, row_of(1), "101:102:101", &number), VSI_READS_ENTERED);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], number);
}

TEST_CASE(split_leaf_is_followed) {
  vsi_read_ticket ticket;
  uint64_t number;
  start();
  uint64_t entered = render(leaf_of(1), "101:101:");
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 1, 2), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 2, 3), VESTRY_OK);
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 2, 3), VESTRY_OK); /* as when a leaf is deleted */
  assert_int_equal(enter(&ticket, leaf_of(1), "101:101:", &number), VSI_READS_ENTERED);
  (void)render(leaf_of(1), "101:101:"); /* began after the moves */
  commit(101, leaf_of(3));
  see("102:102:");
  assert_int_equal(hits_count, 2);
  assert_int_equal(hits[0] + hits[1], entered + number);
}

/* The commit's writes were moved before the render looked them up. */
TEST_CASE(moved_leaf_applies_to_commits_in_the_ring) {
  vsi_read_ticket ticket;
  uint64_t number;
  start();
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  commit(101, leaf_of(1));
  see("102:102:");
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 1, 2), VESTRY_OK);
  assert_int_equal(enter(&ticket, leaf_of(2), "101:101:", &number), VSI_READS_OVERTAKEN);
}

TEST_CASE(start_hits_all_sets_and_again_those_with_old_snapshots) {
  vsi_read_ticket before, during;
  uint64_t number;
  (void)render(row_of(1), "90:90:");
  vsi_reads_begin(vsi_postgres_index_reads(index_), &before);
  vsi_postgres_index_start(index_, 100);
  assert_int_equal(hits_count, 1);
  assert_int_equal(enter(&before, row_of(1), "100:100:", &number), VSI_READS_OVERTAKEN);
  uint64_t old = render(row_of(2), "98:100:98");
  (void)render(row_of(3), "100:100:");
  vsi_reads_begin(vsi_postgres_index_reads(index_), &during);
  see("98:100:98");
  assert_int_equal(hits_count, 1);
  see("100:101:");
  assert_int_equal(hits_count, 2);
  assert_int_equal(hits[1], old);
  assert_int_equal(enter(&during, row_of(4), "98:100:98", &number), VSI_READS_OVERTAKEN);
}

/* Writes and commit of such a transaction may precede the first record. */
TEST_CASE(each_transaction_open_at_the_start_is_awaited_separately) {
  vsi_read_ticket during;
  uint64_t number;
  vsi_postgres_index_start(index_, 100);
  see("96:101:96,97,98");
  hits_count = 0;
  uint64_t first = render(row_of(1), "96:101:96,97,98");
  (void)render(row_of(2), "96:101:96,98");
  see("96:101:96,97,98");
  assert_int_equal(hits_count, 0);
  vsi_reads_begin(vsi_postgres_index_reads(index_), &during);
  see("96:102:96,98"); /* others are still running */
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], first);
  assert_int_equal(enter(&during, row_of(3), "96:101:96,97,98", &number), VSI_READS_OVERTAKEN);
  (void)render(row_of(1), "96:102:96,98");
  see("96:103:96");
  assert_int_equal(hits_count, 3);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_RUNNING);
  see("103:103:");
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_NOTHING);
}

/* Some writes of such a transaction are unknown. */
TEST_CASE(commit_of_a_transaction_open_at_the_start_hits_all) {
  vsi_postgres_index_start(index_, 100);
  see("98:101:98");
  hits_count = 0;
  uint64_t number = render(row_of(1), "98:101:98");
  commit(98, row_of(7));
  see("101:101:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], number);
}

TEST_CASE(unused_sets_are_removed) {
  start();
  unused = render(row_of(1), "101:101:");
  commit(101, row_of(1));
  see("102:102:");
  assert_int_equal(hits_count, 0);
  unused = render(row_of(1), "102:102:");
  for (uint32_t i = 0; i < 200; i++) (void)render(row_of(2 + i), "102:102:");
  assert_int_equal(stats_of().sets_count, 200);
}

/* The keys of a page that has read one row by its key. */
static vsi_postgres_keys keys_of_page(uint32_t row) {
  vsi_postgres_keys keys = {.count = 0};
  const vsi_postgres_key all[] = {{.relation = 20000, .kind = VSI_POSTGRES_DEFINITION},
                                  {TABLE, row / 60, (uint16_t)(1 + row % 60), VSI_POSTGRES_ROW},
                                  {.relation = TABLE, .kind = VSI_POSTGRES_TABLE},
                                  {.relation = 20001, .kind = VSI_POSTGRES_DEFINITION},
                                  {INDEX, row / 366, 0, VSI_POSTGRES_LEAF},
                                  {.relation = INDEX, .kind = VSI_POSTGRES_INDEX}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++)
    assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, all[i]), VESTRY_OK);
  return keys;
}

static uint64_t render_page(uint32_t row, const char *text) {
  vsi_read_ticket ticket;
  vsi_postgres_keys keys = keys_of_page(row);
  vsi_postgres_snapshot snapshot = snapshot_of(text);
  const uint64_t number = vsi_reads_number(vsi_postgres_index_reads(index_));
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  assert_int_equal(vsi_postgres_index_enter(index_, &ticket, number, &keys, &snapshot, false), VSI_READS_ENTERED);
  return number;
}

static void commit_table(uint32_t xid) {
  commit(xid, (vsi_postgres_key){.relation = TABLE, .kind = VSI_POSTGRES_TABLE});
}

/* Renders that end free the sets that have ended. */
static void free_ended(uint32_t count) {
  vsi_read_ticket ticket;
  for (uint32_t i = 0; i < count; i++) {
    vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
    vsi_reads_leave(vsi_postgres_index_reads(index_), &ticket);
  }
}

/* Pages of one kind have their definitions and whole relations in common. */
TEST_CASE(set_of_one_row_is_small) {
  enum { PAGES = 3000 };
  vsi_postgres_index_destroy(index_);
  assert_int_equal(open_with(1 << 20, 16), VESTRY_OK);
  start();
  for (uint32_t i = 0; i < PAGES; i++) (void)render_page(2 * i, i % 2 ? "101:101:" : "99:101:99");
  assert_int_equal(stats_of().sets_count, PAGES);
  assert_true(stats_of().sets_bytes / PAGES <= 200);
  const uint64_t one = render_page(1, "101:101:");
  commit(101, (vsi_postgres_key){TABLE, 0, 2, VSI_POSTGRES_ROW});
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], one);
  unused = UINT64_MAX - 1; /* none of them is used */
  commit_table(102);
  see("103:103:");
  assert_int_equal(stats_of().sets_count, 0);
  free_ended(1);
  assert_int_equal(stats_of().sets_bytes, 0);
  assert_int_equal(hits_count, 1);
}

/* The set of a page that will render is freed later, and no commit finds it again. */
TEST_CASE(set_that_was_hit_is_freed_when_a_render_ends) {
  enum { PAGES = 4 };
  start();
  for (uint32_t i = 0; i < PAGES; i++) (void)render_page(0, "101:101:");
  commit(101, (vsi_postgres_key){TABLE, 0, 1, VSI_POSTGRES_ROW});
  see("102:102:");
  assert_int_equal(hits_count, PAGES);
  assert_int_equal(stats_of().sets_count, 0);
  const size_t bytes = stats_of().sets_bytes;
  assert_true(bytes > 0);
  commit(102, (vsi_postgres_key){TABLE, 0, 1, VSI_POSTGRES_ROW});
  see("103:103:");
  assert_int_equal(vsi_postgres_index_move(index_, INDEX, 0, 1), VESTRY_OK);
  assert_int_equal(hits_count, PAGES);
  assert_int_equal(stats_of().sets_bytes, bytes);
  free_ended(1);
  assert_true(stats_of().sets_bytes < bytes);
  free_ended(PAGES);
  assert_int_equal(stats_of().sets_bytes, 0);
}

/* Renders with other definitions, or with fewer, are not hit by a change of these. */
TEST_CASE(sets_with_other_definitions_are_apart) {
  start();
  uint64_t both = render_page(0, "101:101:");
  uint64_t row = render(row_of(0), "101:101:");
  uint64_t other = render((vsi_postgres_key){.relation = 20002, .kind = VSI_POSTGRES_DEFINITION}, "101:101:");
  commit(101, (vsi_postgres_key){.relation = 20001, .kind = VSI_POSTGRES_DEFINITION});
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], both);
  commit(102, (vsi_postgres_key){.relation = 20002, .kind = VSI_POSTGRES_DEFINITION});
  see("103:103:");
  assert_int_equal(hits[1], other);
  commit(103, row_of(0));
  see("104:104:");
  assert_int_equal(hits_count, 3);
  assert_int_equal(hits[2], row);
}

static bool was_hit(uint64_t number) {
  for (size_t i = 0; i < hits_count; i++)
    if (hits[i] == number) return true;
  return false;
}

/* Many commits before a snapshot: some of them precede the split of a leaf, and one is not visible at first. */
TEST_CASE(many_commits_before_a_snapshot_hit_their_sets) {
  enum { SETS = 150, FIRST = 200, LATE = 77, SPLIT = 100, TO = 1000, MANY = 192 };
  uint64_t numbers[SETS];
  vsi_postgres_index_destroy(index_);
  assert_int_equal(open_with(1 << 20, MANY), VESTRY_OK);
  start();
  for (uint32_t i = 0; i < SETS; i++) numbers[i] = render(i % 2 ? row_of(i) : leaf_of(i), "101:101:");
  const uint64_t right = render(leaf_of(TO), "101:101:"), other = render(leaf_of(TO + 1), "101:101:");
  for (uint32_t i = 0; i < SETS; i++) {
    vsi_postgres_keys keys = keys_of(i % 2 ? row_of(i) : leaf_of(i));
    assert_int_equal(vsi_postgres_index_commit(index_, FIRST + i, &keys, false), VESTRY_OK);
    vsi_postgres_keys_clear(&keys, &th.host);
    if (i == SPLIT) assert_int_equal(vsi_postgres_index_move(index_, INDEX, SPLIT, TO), VESTRY_OK);
    if (i == SPLIT + 1) assert_int_equal(vsi_postgres_index_move(index_, INDEX, SPLIT + 2, TO + 1), VESTRY_OK);
  }
  see("277:350:277");
  assert_int_equal(hits_count, SETS); /* without the late one, with that of the right half */
  assert_true(was_hit(right) && !was_hit(other) && !was_hit(numbers[LATE]));
  see("350:350:");
  assert_int_equal(hits_count, SETS + 1);
  for (uint32_t i = 0; i < SETS; i++) assert_true(was_hit(numbers[i]));
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_NOTHING);
  for (uint32_t i = 1; i <= MANY; i++) { /* of a row that no set has */
    commit(FIRST + SETS + i, row_of(TO));
    assert_int_equal(vsi_postgres_index_waits(index_), i < MANY ? VSI_POSTGRES_SOME : VSI_POSTGRES_MET);
  }
}

/* ------------------------------------------------------------------------------------------------ long walks ------ */

static pthread_t aside;
static bool is_aside_started, was_in_at_last; /* the last: it had the lock before the last set of the walk */
static atomic_bool was_aside_in;
static atomic_int aside_number;        /* of the thread, once it is about to want the lock */
static vsi_postgres_waits aside_waits; /* what the thread finds when it has the lock */

/* A render begins and ends. */
static void *run_aside(void *ctx) {
  vsi_read_ticket ticket;
  aside_number = (int)gettid();
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  aside_waits = vsi_postgres_index_waits(index_);
  vsi_reads_leave(vsi_postgres_index_reads(index_), &ticket);
  was_aside_in = true;
  return NULL;
}

/* During the first hit of a walk, a render begins to wait for the lock, which the caller has. */
static bool is_used_while_aside_waits(void *ctx, uint64_t number) {
  if (is_aside_started) return false;
  is_aside_started = true;
  assert_int_equal(pthread_create(&aside, NULL, run_aside, NULL), 0);
  UNTIL(is_asleep(aside_number));
  return false;
}

static bool is_used_and_noted(void *ctx, uint64_t number) {
  was_in_at_last = was_aside_in;
  return is_used_while_aside_waits(ctx, number);
}

/* A commit of a table, a start, and a transaction that may concern everything, each with many sets. The lock is not
 * handed over: on a busy machine the walk may take it again before the render wakes up, but not each time. */
TEST_CASE(render_gets_the_lock_during_a_long_walk) {
  enum { SETS = 4000, TRIES = 100 };
  for (int i = 0; i < 3; i++) {
    was_in_at_last = false;
    for (int tries = 0; !was_in_at_last; tries++) {
      assert_true(tries < TRIES);
      vsi_postgres_index_destroy(index_);
      assert_int_equal(open_with(1 << 20, 16), VESTRY_OK);
      start();
      for (uint32_t n = 0; n < SETS; n++) (void)render_page(n, "101:101:");
      was_aside_in = is_aside_started = false;
      aside_number = 0;
      uses = is_used_and_noted;
      if (i == 0) commit_table(101);
      if (i == 1) vsi_postgres_index_start(index_, 101);
      if (i == 2) commit_all(101);
      if (i != 1) see("102:102:");
      assert_int_equal(pthread_join(aside, NULL), 0);
      uses = NULL;
      assert_int_equal(stats_of().sets_count, 0);
    }
    assert_int_equal(aside_waits, VSI_POSTGRES_MET); /* not all pages are refreshed yet */
  }
}

/* Sets come and go while a commit is being published. */
static void *churn(void *ctx) {
  for (uint32_t i = 0; !atomic_load((atomic_bool *)ctx); i++) {
    vsi_read_ticket ticket;
    vsi_postgres_keys keys = keys_of_page(i % 64);
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
    (void)vsi_postgres_index_enter(index_, &ticket, vsi_reads_number(vsi_postgres_index_reads(index_)), &keys,
                                   &snapshot, true);
  }
  return NULL;
}

static bool is_used_by_turns(void *ctx, uint64_t number) {
  return number % 3 == 0;
}

static void ignore_hit(void *ctx, uint64_t number, uint64_t at_ns) {}

TEST_CASE(sets_come_and_go_during_a_walk) {
  atomic_bool is_over = false;
  pthread_t threads[2];
  vsi_postgres_index_destroy(index_);
  assert_int_equal(open_with(1 << 24, 16), VESTRY_OK);
  start();
  for (uint32_t n = 0; n < 2000; n++) (void)render_page(n, "101:101:");
  uses = is_used_by_turns;
  hits_with = ignore_hit;
  for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, churn, &is_over), 0);
  for (uint32_t i = 0; i < 400; i++) {
    char text[40];
    const uint32_t xid = 101 + i;
    if (i % 2)
      commit_table(xid);
    else
      commit(xid, (vsi_postgres_key){INDEX, 0, 0, VSI_POSTGRES_LEAF});
    snprintf(text, sizeof text, "%u:%u:", xid + 1, xid + 1);
    see(text);
    if (i % 100 == 0) vsi_postgres_index_start(index_, xid + 1);
  }
  is_over = true;
  for (size_t i = 0; i < 2; i++) assert_int_equal(pthread_join(threads[i], NULL), 0);
  commit_all(600);
  see("601:601:");
  uses = NULL;
  hits_with = NULL;
  assert_int_equal(stats_of().sets_count, 0);
  free_ended(2000);
  assert_int_equal(stats_of().sets_bytes, 0);
  assert_int_equal(ring_count(), 0);
}

/* ---------------------------------------------------------------------------------------------------- bounds ------ */

/* Only renders that began before the dropped commits run again. */
TEST_CASE(full_ring_drops_the_oldest_commits) {
  vsi_read_ticket early, late, last;
  uint64_t number;
  char text[40];
  start();
  uint64_t kept = render(row_of(99), "101:101:");
  vsi_reads_begin(vsi_postgres_index_reads(index_), &early);
  for (uint32_t i = 0; i < 20; i++) {
    if (i == 10) vsi_reads_begin(vsi_postgres_index_reads(index_), &late);
    commit(101 + i, row_of(50));
    snprintf(text, sizeof text, "%u:%u:", 102 + i, 102 + i);
    vsi_postgres_snapshot snapshot = snapshot_of(text);
    assert_int_equal(vsi_postgres_index_see(index_, &snapshot), i == 16);
  }
  assert_true(stats_of().over_ring_count > 0);
  assert_int_equal(ring_count(), 10); /* those that the late render needs */
  assert_int_equal(hits_count, 0);
  vsi_reads_begin(vsi_postgres_index_reads(index_), &last);
  assert_int_equal(enter(&early, row_of(1), "101:101:", &number), VSI_READS_OVERTAKEN);
  assert_int_equal(enter(&late, row_of(1), "111:111:", &number), VSI_READS_ENTERED);
  assert_int_equal(enter(&last, row_of(50), "121:121:", &number), VSI_READS_ENTERED);
  assert_int_equal(ring_count(), 0);
  commit(121, row_of(99));
  see("122:122:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], kept);
}

/* The splits of leaves that came during renders are too many: these run again, are counted, and reported once. */
TEST_CASE(too_many_splits_are_counted_as_a_full_ring) {
  enum { MOVES = 16 };
  uint64_t number;
  start();
  for (uint32_t round = 1; round <= 2; round++) {
    vsi_read_ticket ticket;
    vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
    for (uint32_t i = 0; i <= MOVES; i++)
      assert_int_equal(vsi_postgres_index_move(index_, INDEX, 10 + i, 11 + i), VESTRY_OK);
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    assert_int_equal(vsi_postgres_index_see(index_, &snapshot), round == 1);
    assert_int_equal(stats_of().over_ring_count, round);
    assert_int_equal(enter(&ticket, row_of(1), "101:101:", &number), VSI_READS_OVERTAKEN);
  }
}

TEST_CASE(full_ring_hits_more_and_misses_nothing) {
  vsi_read_ticket ticket;
  uint64_t number;
  start();
  uint64_t entered = render(row_of(1), "101:101:");
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
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
  assert_int_equal(enter(&ticket, row_of(1), "101:101:", &number), VSI_READS_OVERTAKEN);
}

TEST_CASE(keys_over_max_bytes_share_one_set) {
  vsi_read_ticket ticket;
  vsi_postgres_index_destroy(index_);
  assert_int_equal(open_with(4096, 16), VESTRY_OK);
  start();
  for (int is_least = 0; is_least < 2; is_least++) {
    vsi_postgres_keys keys = {.count = 0};
    for (uint32_t i = 0; i < 300; i++) assert_int_equal(vsi_postgres_keys_add(&keys, &th.host, row_of(i)), VESTRY_OK);
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    if (!is_least) {
      vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
      commit(101, row_of(9999)); /* it may have read the row */
    }
    assert_int_equal(vsi_postgres_index_enter(index_, &ticket, 1, &keys, &snapshot, is_least),
                     is_least ? VSI_READS_WHOLE : VSI_READS_LARGE);
    vsi_postgres_snapshot_finish(&snapshot, &th.host);
  }
  assert_int_equal(vsi_reads_enter_whole(vsi_postgres_index_reads(index_), &ticket), VSI_READS_WHOLE);
  assert_int_equal(vsi_postgres_index_waits(index_), VSI_POSTGRES_MET);
  see("102:102:");
  assert_int_equal(hits_count, 1);
  assert_int_equal(hits[0], VSI_READS_EVERYTHING);
  vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
  commit(102, row_of(1));
  see("103:103:"); /* before the render depends on EVERYTHING */
  assert_int_equal(vsi_reads_enter_whole(vsi_postgres_index_reads(index_), &ticket), VSI_READS_OVERTAKEN);
}

/* Each allocation fails once. The follower gets an error and starts again, or the set is hit. */
TEST_CASE(allocation_failure_misses_no_commit) {
  tear_down(state); /* each round has its own host */
  for (long n = 0; test_host_init(&th), true; n++) {
    vsi_read_ticket ticket;
    uint64_t number;
    assert_int_equal(open_with(1 << 20, 16), VESTRY_OK);
    start();
    vsi_reads_begin(vsi_postgres_index_reads(index_), &ticket);
    vsi_postgres_keys read = keys_of_page(366), written = keys_of(leaf_of(2));
    vsi_postgres_snapshot snapshot = snapshot_of("101:101:");
    number = vsi_reads_number(vsi_postgres_index_reads(index_));
    test_host_fail_in(&th, n);
    vestry_err error = vsi_postgres_index_move(index_, INDEX, 1, 2);
    vsi_read_entry entry = vsi_postgres_index_enter(index_, &ticket, number, &read, &snapshot, true);
    if (entry == VSI_READS_WHOLE) entry = vsi_reads_enter_whole(vsi_postgres_index_reads(index_), &ticket);
    if (!error) error = vsi_postgres_index_commit(index_, 101, &written, false);
    bool has_failed = test_host_has_failed(&th);
    test_host_fail_no_more(&th);
    if (!error) see("102:102:");
    assert_true(error == VESTRY_NO_MEMORY || entry == VSI_READS_OVERTAKEN || hits_count == 1);
    vsi_postgres_keys_clear(&written, &th.host);
    vsi_postgres_index_destroy(index_);
    test_host_assert_clean(&th);
    if (!has_failed) break;
  }
  set_up(state);
}

int main(void) {
  return cases_run_each("postgres/index", set_up, tear_down);
}
