/* SPDX-License-Identifier: MIT */
/* The table of keys and their nodes, compared with a naive one, and its announcements. */
#include "cluster/holders.h" /* first */

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"

enum { HASHES = 300, NODES = 3, ROUNDS = 60000, ROOM = 2048 };

typedef struct both {
  test_host th;
  vsi_keys *keys;
  vsi_key_change changes[ROOM];
  size_t here[HASHES];
  bool reported[HASHES], there[HASHES][NODES];
  uint64_t state;
} both;

static uint64_t chance(both *b, uint64_t below) {
  b->state = b->state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (b->state >> 33) % below;
}

/* Many hashes have the same bucket among own keys, and the same segment among copies. Odd hashes are channels. */
static uint64_t hash_of(size_t i) {
  return (uint64_t)(i % 20) << 47 | (uint64_t)i << 9 | (i & 1);
}

static size_t number_of(uint64_t hash) {
  return (size_t)(hash >> 9 & 0xFFFF);
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
  bool has_more = true;
  while (has_more) {
    size_t count = vsi_keys_take(b->keys, b->changes, 100, &has_more, &(uint64_t){0});
    for (size_t i = 0; i < count; i++) {
      size_t at = number_of(b->changes[i].hash);
      assert_int_equal(b->changes[i].hash, hash_of(at));
      assert_int_not_equal(b->reported[at], !b->changes[i].is_gone); /* without REPLACE, only changes are announced */
      b->reported[at] = !b->changes[i].is_gone;
    }
  }
  for (size_t i = 0; i < HASHES; i++) assert_int_equal(b->reported[i], b->here[i] > 0);
}

static void list(both *b, bool has[HASHES]) {
  uint64_t at = 0;
  do {
    size_t count = vsi_keys_list(b->keys, b->changes, 64, &at);
    assert_true(count <= 64);
    for (size_t i = 0; i < count; i++) {
      assert_false(has[number_of(b->changes[i].hash)]);
      has[number_of(b->changes[i].hash)] = true;
    }
  } while (at);
}

static size_t own_count(const both *b) {
  size_t count = 0;
  for (size_t i = 0; i < VSI_KEYS_MAPS; i++) count += b->keys->own[i].count;
  return count;
}

static size_t copied(const both *b) {
  size_t count = 0;
  for (size_t i = 0; i < VSI_KEYS_SEGMENTS; i++) count += b->keys->segments[i].used;
  return count;
}

static void check(both *b) {
  bool has[HASHES] = {false};
  uint64_t count, sum, own_sum = 0, own_count = 0;
  uint32_t shared = 0;
  list(b, has);
  for (size_t i = 0; i < HASHES; i++) {
    vsi_bits others = {0};
    for (size_t n = 0; n < NODES; n++)
      if (b->there[i][n]) vsi_bits_add(&others, n);
    const vsi_bits known = vsi_keys_others(b->keys, hash_of(i));
    assert_memory_equal(&known, &others, sizeof known);
    const size_t others_count = vsi_bits_count(&others);
    assert_int_equal(vsi_keys_are_here(b->keys, hash_of(i)), b->here[i] > 0);
    assert_int_equal(has[i], b->reported[i]);
    if (b->reported[i]) own_sum += hash_of(i), own_count++;
    shared += b->here[i] && others_count && !(hash_of(i) & VSI_KEYS_CHANNEL);
  }
  if (b->keys->unswept_count || b->keys->has_dropped)
    assert_true(atomic_load(&b->keys->shared_count) >= shared);
  else
    assert_int_equal(atomic_load(&b->keys->shared_count), shared);
  vsi_keys_sum_of(b->keys, VSI_KEYS_OWN, &count, &sum);
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
    if (chance(b, 4) == 0) (void)vsi_keys_sweep(b->keys);
    if (round % 500 == 0) check(b);
  }
  for (size_t i = 0; i < HASHES; i++)
    for (; b->here[i]; b->here[i]--) vsi_keys_leave(b->keys, hash_of(i), 0, &is_first);
  for (unsigned n = 0; n < NODES; n++) vsi_keys_forget(b->keys, n);
  memset(b->there, 0, sizeof b->there);
  announce(b);
  check(b);
  while (vsi_keys_sweep(b->keys)) continue;
  check(b);
  assert_int_equal(own_count(b) + copied(b), 0); /* no entry remains for a key without streams */
}

BOTH_CASE(many_changes_are_announced_in_pieces) {
  enum { KEYS = 20000, STEP = 1 << 20 };
  bool is_first, has_more = true;
  size_t count = 0;
  for (uint64_t i = 0; i < KEYS; i++) {
    assert_int_equal(vsi_keys_come(b->keys, i * STEP, &is_first), VESTRY_OK);
    assert_int_equal(is_first, i == 0);
  }
  assert_int_equal(vsi_keys_come(b->keys, 1, &is_first), VESTRY_OK);
  assert_true(is_first); /* channels are announced sooner */
  while (has_more) count += vsi_keys_take(b->keys, b->changes, ROOM, &has_more, &(uint64_t){0});
  assert_int_equal(count, KEYS + 1);
  assert_true(vsi_keys_memory_bytes(b->keys) <= KEYS * 56);
  for (uint64_t i = 0; i < KEYS; i++) vsi_keys_leave(b->keys, i * STEP, 0, &is_first);
  for (has_more = true; has_more;) (void)vsi_keys_take(b->keys, b->changes, ROOM, &has_more, &(uint64_t){0});
  assert_int_equal(own_count(b), 1);
}

/* Copies are dropped again and again, more often than there are tags, and their memory is used again. */
BOTH_CASE(dropped_copies_leave_nothing) {
  enum { TURNS = 10000, KEYS = 20000, LAST = VSI_NODES_MAX - 1 };
  size_t refused = 0;
  for (uint64_t i = 1; i <= TURNS; i++) {
    vestry_err error = vsi_keys_apply(b->keys, LAST, (vsi_key_change){i << 20, 0, false}, false, NULL, NULL);
    assert_true(!error || error == VESTRY_NO_MEMORY); /* all tags are waiting for the sweep */
    refused += error != VESTRY_OK;
    vsi_keys_forget(b->keys, LAST);
    if (i % VSI_KEYS_TAGS == 0)
      while (vsi_keys_sweep(b->keys)) continue;
    assert_int_equal(holders_of_hash(b->keys, i << 20), 0);
  }
  assert_true(refused > 0 && refused < 10);
  for (uint64_t i = 0; i < KEYS; i++)
    for (unsigned node = 0; node < 2; node++)
      assert_int_equal(
          vsi_keys_apply(b->keys, node * LAST, (vsi_key_change){i * 7919 << 8, 0, false}, false, NULL, NULL),
          VESTRY_OK);
  assert_true(vsi_keys_memory_bytes(b->keys) <= 2 * KEYS * 16);
  vsi_keys_forget(b->keys, 0);
  vsi_keys_forget(b->keys, LAST);
  assert_int_equal(holders_of_hash(b->keys, 7919 << 8), 0);
  while (vsi_keys_sweep(b->keys)) continue;
  assert_int_equal(copied(b), 0);
  assert_true(vsi_keys_memory_bytes(b->keys) <= VSI_KEYS_SEGMENTS * 8 * 8 + 8192);
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
  uint64_t now = vsi_keys_clock_at(b->keys, vsi_now_ns(b->keys->host));
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
  bool is_first, has_more;
  uint64_t since;
  uint64_t now = vsi_keys_clock_at(b->keys, vsi_now_ns(b->keys->host));
  vsi_keys_advance_clock(b->keys, now - 5);
  assert_int_equal(vsi_keys_clock_at(b->keys, vsi_now_ns(b->keys->host)), now);
  assert_int_equal(vsi_keys_come(b->keys, 2, &is_first), VESTRY_OK);
  vsi_keys_replaced(b->keys, 2, 55, &is_first);
  vsi_keys_advance_clock(b->keys, now + 5000); /* it was alone: its streams keep their age */
  assert_int_equal(vsi_keys_clock_at(b->keys, vsi_now_ns(b->keys->host)), now + 5000);
  vsi_keys_advance_clock(b->keys, UINT64_MAX);
  assert_int_equal(vsi_keys_clock_at(b->keys, vsi_now_ns(b->keys->host)), now + 5000);
  assert_int_equal(vsi_keys_take(b->keys, b->changes, ROOM, &has_more, &since), 1);
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
  (void)vsi_keys_take(b->keys, b->changes, ROOM, &has_more, &since);
  (void)receive_key(b, 6, 0, false, true);
  assert_int_equal(vsi_keys_come(b->keys, 6, &is_first), VESTRY_OK);
  vsi_keys_replaced(b->keys, 6, 80, &is_first);
  vsi_keys_leave(b->keys, 6, 80, &is_first);
  assert_int_equal(vsi_keys_take(b->keys, b->changes, ROOM, &has_more, &since), 1);
  assert_true(b->changes[0].is_gone && b->changes[0].stamp == now + 6001);
}
