/* SPDX-License-Identifier: MIT */
/* The table of keys and their nodes, compared with a naive one, and its announcements. */
#include "cluster/cluster/keys.h"

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"

enum { HASHES = 300, NODES = 3, ROUNDS = 60000 };

typedef struct both {
  test_host th;
  vsi_keys *keys;
  vsi_key_change changes[VSI_KEYS_WAITING];
  size_t here[HASHES];
  bool reported[HASHES], there[HASHES][NODES];
  uint64_t state;
} both;

static uint64_t chance(both *b, uint64_t below) {
  b->state = b->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (b->state >> 33) % below;
}

/* Many hashes belong at the same slots at any size of the table (64 · 3/2 · 3/2 …), so they are adjacent. Odd hashes
 * are channels. */
static uint64_t hash_of(size_t i) {
  const uint64_t all_capacities = 64 * 243, high = (uint64_t)i << 39;
  uint64_t half = high + all_capacities - high % all_capacities + i % 20;
  return half << 1 | (i & 1);
}

static void begin(both *b) {
  memset(b, 0, sizeof *b);
  test_host_init(&b->th);
  b->keys = calloc(1, sizeof *b->keys);
  assert_int_equal(vsi_keys_init(b->keys, &b->th.host), VESTRY_OK);
}

static void end(both *b) {
  vsi_keys_finish(b->keys);
  free(b->keys);
  test_host_assert_clean(&b->th);
}

static void announce(both *b) {
  size_t count;
  if (vsi_keys_take(b->keys, b->changes, &count, &(uint64_t){0})) {
    for (size_t i = 0; i < HASHES; i++) b->reported[i] = b->here[i] > 0;
    return;
  }
  for (size_t i = 0; i < count; i++) {
    size_t at = (size_t)(b->changes[i].hash >> 40);
    assert_int_equal(b->changes[i].hash, hash_of(at));
    assert_int_not_equal(b->reported[at], !b->changes[i].is_gone); /* without REPLACE, only changes are announced */
    b->reported[at] = !b->changes[i].is_gone;
  }
  for (size_t i = 0; i < HASHES; i++) assert_int_equal(b->reported[i], b->here[i] > 0);
}

typedef struct listing {
  bool has[HASHES];
  bool is_over;
} listing;

static void list(const vsi_key_change *changes, size_t count, bool is_last, void *ctx) {
  listing *all = ctx;
  assert_false(all->is_over);
  assert_true(count <= 7);
  for (size_t i = 0; i < count; i++) {
    assert_false(all->has[changes[i].hash >> 40]);
    all->has[changes[i].hash >> 40] = true;
  }
  all->is_over = is_last;
}

static void check(both *b) {
  listing all = {.is_over = false};
  uint64_t count, sum, own_sum = 0, own_count = 0;
  uint32_t shared = 0;
  vsi_keys_list(b->keys, b->changes, 7, list, &all);
  assert_true(all.is_over);
  for (size_t i = 0; i < HASHES; i++) {
    uint64_t others = 0;
    for (size_t n = 0; n < NODES; n++) others |= (uint64_t)b->there[i][n] << n;
    assert_int_equal(vsi_keys_others(b->keys, hash_of(i)), others);
    assert_int_equal(vsi_keys_holders(b->keys, hash_of(i)), (size_t)__builtin_popcountll(others) + (b->here[i] > 0));
    assert_int_equal(all.has[i], b->reported[i]);
    if (b->reported[i]) own_sum += hash_of(i), own_count++;
    shared += b->here[i] && others && !(hash_of(i) & VSI_KEYS_CHANNEL);
  }
  assert_int_equal(atomic_load(&b->keys->shared_count), shared);
  vsi_keys_announced_sum(b->keys, &count, &sum);
  assert_int_equal(count, own_count);
  assert_int_equal(sum, own_sum);
  for (unsigned n = 0; n < NODES; n++) {
    uint64_t its_sum = 0, its_count = 0;
    for (size_t i = 0; i < HASHES; i++)
      if (b->there[i][n]) its_sum += hash_of(i), its_count++;
    vsi_keys_sum_of(b->keys, n, &count, &sum);
    assert_int_equal(count, its_count);
    assert_int_equal(sum, its_sum);
  }
}

#define BOTH_CASE(name) TEST_CASE_WITH(name, both, b, begin(b), end(b))

/* capability: G2 */
BOTH_CASE(key_table_matches_a_naive_one) {
  bool is_first;
  for (size_t round = 0; round < ROUNDS; round++) {
    size_t i = (size_t)chance(b, HASHES), n = (size_t)chance(b, NODES);
    switch (chance(b, 8)) {
    case 0:
    case 1:
      assert_int_equal(vsi_keys_come(b->keys, hash_of(i), &is_first), VESTRY_OK);
      b->here[i]++;
      break;
    case 2:
    case 3:
      vsi_keys_leave(b->keys, hash_of(i), 0, &is_first);
      if (b->here[i]) b->here[i]--;
      break;
    case 4:
    case 5:
    case 6: {
      vsi_keys_replaced_here replaced;
      bool is_gone = chance(b, 2);
      const vsi_key_change change = {hash_of(i), 0, is_gone};
      assert_int_equal(vsi_keys_apply(b->keys, (unsigned)n, change, false, &replaced, NULL), VESTRY_OK);
      assert_true(!replaced.handle && !replaced.has_others);
      b->there[i][n] = !is_gone;
      break;
    }
    default:
      if (chance(b, 50) == 0) {
        vsi_keys_forget(b->keys, (unsigned)n);
        for (size_t k = 0; k < HASHES; k++) b->there[k][n] = false;
      }
      if (chance(b, 4) == 0) announce(b);
    }
    if (round % 500 == 0) check(b);
  }
  for (size_t i = 0; i < HASHES; i++)
    for (; b->here[i]; b->here[i]--) vsi_keys_leave(b->keys, hash_of(i), 0, &is_first);
  for (unsigned n = 0; n < NODES; n++) vsi_keys_forget(b->keys, n);
  memset(b->there, 0, sizeof b->there);
  announce(b);
  check(b);
  assert_int_equal(b->keys->used, 0); /* no entry remains for a key without streams */
}

BOTH_CASE(excess_changes_are_announced_as_a_full_list) {
  bool is_first;
  size_t count;
  for (uint64_t i = 0; i < VSI_KEYS_WAITING + 10; i++) {
    assert_int_equal(vsi_keys_come(b->keys, i << 8, &is_first), VESTRY_OK);
    assert_int_equal(is_first, i == 0);
  }
  assert_true(vsi_keys_take(b->keys, b->changes, &count, &(uint64_t){0}));
  assert_int_equal(count, 0);
  uint64_t sum;
  uint64_t reported;
  vsi_keys_announced_sum(b->keys, &reported, &sum);
  assert_int_equal(reported, VSI_KEYS_WAITING + 10);
  for (uint64_t i = 0; i < VSI_KEYS_WAITING + 10; i++) vsi_keys_leave(b->keys, i << 8, 0, &is_first);
  assert_true(vsi_keys_take(b->keys, b->changes, &count, &(uint64_t){0}));
  assert_int_equal(b->keys->used, 0);
  assert_true(vsi_keys_memory_bytes(b->keys) <= (VSI_KEYS_WAITING + 10) * 74);
}

/* Receive a key with a stamp from another node, and return the stream that must be closed. */
static vsi_keys_replaced_here receive_key(both *b, uint64_t hash, uint64_t stamp, bool is_gone, bool its_id_wins) {
  vsi_keys_replaced_here replaced;
  assert_int_equal(vsi_keys_apply(b->keys, 0, (vsi_key_change){hash, stamp, is_gone}, its_id_wins, &replaced, NULL),
                   VESTRY_OK);
  return replaced;
}

/* capability: G4 */
BOTH_CASE(later_of_two_replacing_streams_stays) {
  bool is_first;
  uint64_t now = vsi_keys_clock(b->keys);
  assert_int_equal(vsi_keys_come(b->keys, 2, &is_first), VESTRY_OK);
  vsi_keys_replaced(b->keys, 2, 55, &is_first);
  assert_int_equal(receive_key(b, 2, 0, false, true).handle, 0);       /* the other stream does not replace */
  assert_int_equal(receive_key(b, 2, now - 1, false, true).handle, 0); /* older */
  assert_int_equal(receive_key(b, 2, now, false, false).handle, 0);    /* equally old, and its id is lower */
  assert_int_equal(vsi_keys_apply(b->keys, 0, (vsi_key_change){2, now + 7, false}, false, NULL, NULL), VESTRY_FULL);
  /* a stream that cannot be closed yet is reported again */
  assert_int_equal(receive_key(b, 2, now + 7, false, false).handle, 55);
  assert_int_equal(receive_key(b, 2, now + 8, false, false).handle, 0); /* once */
  vsi_keys_replaced(b->keys, 2, 56, &is_first);                         /* newer than all known stamps */
  assert_int_equal(receive_key(b, 2, now + 8, false, true).handle, 0);
  assert_int_equal(receive_key(b, 2, now + 9, false, true).handle, 56); /* equal stamps: the higher id wins */
  /* Two threads: the replaced stream is reported after the one that replaced it. */
  assert_int_equal(vsi_keys_come(b->keys, 4, &is_first), VESTRY_OK);
  assert_int_equal(vsi_keys_come(b->keys, 4, &is_first), VESTRY_OK);
  vsi_keys_leave(b->keys, 4, 70, &is_first);
  vsi_keys_replaced(b->keys, 4, 71, &is_first);
  vsi_keys_replaced(b->keys, 4, 70, &is_first);
  assert_int_equal(receive_key(b, 4, now + 1000, false, false).handle, 71);
}

/* The stamp is the time on the cluster's clock. Streams that do not REPLACE are recorded as present. */
BOTH_CASE(replace_is_stamped_with_the_cluster_clock) {
  size_t count;
  bool is_first;
  uint64_t since;
  uint64_t now = vsi_keys_clock(b->keys);
  vsi_keys_advance_clock(b->keys, now - 5);
  assert_int_equal(vsi_keys_clock(b->keys), now);
  assert_int_equal(vsi_keys_come(b->keys, 2, &is_first), VESTRY_OK);
  vsi_keys_replaced(b->keys, 2, 55, &is_first);
  vsi_keys_advance_clock(b->keys, now + 5000); /* it was alone: its streams keep their age */
  assert_int_equal(vsi_keys_clock(b->keys), now + 5000);
  vsi_keys_advance_clock(b->keys, UINT64_MAX);
  assert_int_equal(vsi_keys_clock(b->keys), now + 5000);
  assert_false(vsi_keys_take(b->keys, b->changes, &count, &since));
  assert_int_equal(count, 1);
  assert_int_equal(b->changes[0].stamp, now + 5000);
  /* With streams that do not REPLACE, next to others or alone. */
  assert_int_equal(vsi_keys_come(b->keys, 2, &is_first), VESTRY_OK);
  assert_false(receive_key(b, 2, now + 4999, false, true).has_others);
  vsi_keys_replaced_here replaced = receive_key(b, 2, now + 6000, false, true);
  assert_true(replaced.handle == 55 && replaced.has_others);
  assert_int_equal(vsi_keys_come(b->keys, 4, &is_first), VESTRY_OK);
  assert_false(receive_key(b, 4, 0, false, true).has_others);
  assert_true(receive_key(b, 4, now + 6000, true, true).has_others); /* it has already gone */
  /* A stream that has gone before it was announced: it is still announced, because other nodes may have streams of the
   * key. */
  assert_int_equal(vsi_keys_take(b->keys, b->changes, &count, &since), false);
  (void)receive_key(b, 6, 0, false, true);
  assert_int_equal(vsi_keys_come(b->keys, 6, &is_first), VESTRY_OK);
  vsi_keys_replaced(b->keys, 6, 80, &is_first);
  vsi_keys_leave(b->keys, 6, 80, &is_first);
  assert_false(vsi_keys_take(b->keys, b->changes, &count, &since));
  assert_int_equal(count, 1);
  assert_true(b->changes[0].is_gone && b->changes[0].stamp == now + 6001);
}
