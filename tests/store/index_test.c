/* SPDX-License-Identifier: MIT */
#include "store/index.h"

#include <stdlib.h>

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

enum { COUNT = 3000, ROOM = COUNT + VSI_HEADS };

static test_host th;
static vsi_keyed_hash secret;
static vsi_placing placing;
static vsi_arrays arrays;
static _Alignas(VSI_CACHE_LINE) vsi_index_group groups[COUNT];
static vsi_entry entries[COUNT];
static vsi_cold cold[ROOM];
static vsi_scoped_key keys[COUNT];
static bool is_in[COUNT];

static uint32_t number_of(size_t i) {
  return (uint32_t)i + VSI_HEADS;
}

static void open_index(unsigned shard_bits, uint32_t groups_count) {
  test_host_init(&th);
  assert_int_equal(vsi_keyed_hash_init(&secret, &th.host), VESTRY_OK);
  placing = (vsi_placing){.hash = &secret, .shard_bits = shard_bits};
  memset(groups, 0, sizeof groups);
  arrays.entries = entries;
  arrays.cold = cold;
  atomic_store(&arrays.groups, groups);
  atomic_store(&arrays.groups_count, groups_count);
  for (size_t i = 0; i < COUNT; i++) {
    vestry_key key = vestry_key_integer((int64_t)i);
    assert_int_equal(vsi_scoped_key_init(&keys[i], &secret, &th.host, (vestry_scope){"s", 1}, &key), VESTRY_OK);
    entries[i].value = &keys[i];
    entries[i].lens = vsi_scoped_key_lens(keys[i].key);
    vsi_words_copy(entries[i].words, vsi_scoped_key_words(keys[i].key), vsi_scoped_key_bytes(keys[i].key));
    cold[number_of(i)].handle = (keys[i].key->hash & ~VSI_HANDLE_NUMBER_MASK) | (i + 1);
    is_in[i] = false;
  }
}

static uint32_t home_of(size_t i) {
  return vsi_index_home(&arrays, &placing, keys[i].key->hash);
}

static uint32_t find(size_t i) {
  return vsi_index_find(&arrays, &placing, keys[i].key, keys[i].key->hash);
}

static void add(size_t i) {
  vsi_index_add(&arrays, home_of(i), vsi_index_tag(keys[i].key->hash), number_of(i));
  is_in[i] = true;
}

static void take_out(size_t i) {
  vsi_index_remove(&arrays, &placing, number_of(i));
  is_in[i] = false;
}

static void check_all(void) {
  for (size_t i = 0; i < COUNT; i++) assert_int_equal(find(i), is_in[i] ? number_of(i) : 0);
}

/* At any fill, up to the last place, and with any number of groups. */
TEST_CASE(index_finds_each_entry) {
  static const uint32_t sizes[] = {1, 2, 7, 100, 273, 1500};
  uint64_t random = 1;
  for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
    open_index((unsigned)size * 2, sizes[size]);
    const size_t places = sizes[size] * (size_t)VSI_GROUP_PLACES, room = places < COUNT ? places : COUNT;
    size_t count = 0;
    for (size_t target = 0; target < 6; target++) {
      size_t most = target % 2 ? room / 4 : room;
      for (size_t step = 0; step < 4 * COUNT; step++) {
        size_t i = random_below(&random, COUNT);
        if (is_in[i] && (count > most || step % 4 == 0)) {
          take_out(i);
          count--;
        } else if (!is_in[i] && count < most) {
          add(i);
          count++;
        }
      }
      check_all();
    }
    for (size_t i = 0; i < COUNT; i++)
      if (is_in[i]) take_out(i);
    for (uint32_t i = 0; i < sizes[size]; i++) { /* no trace is left */
      assert_int_equal(groups[i].passed, 0);
      for (size_t k = 0; k < VSI_GROUP_PLACES; k++) assert_int_equal(groups[i].tags[k] | groups[i].numbers[k], 0);
    }
  }
}

/* As full as the arrays of a shard get, keys from a counter are in their home or near it. */
/* capability: F7 */
TEST_CASE(lookups_stay_short) {
  open_index(3, COUNT / VSI_GROUP_LOAD);
  for (size_t i = 0; i < COUNT; i++) {
    if (keys[i].key->hash >> 61 == 5) add(i); /* of one shard of eight */
    uint32_t walk = 0, at = home_of(i);
    while (is_in[i] && !vsi_group_place_of(&groups[at], number_of(i))) {
      at = vsi_index_after(&arrays, at);
      walk++;
    }
    assert_in_range(walk, 0, 12);
  }
}

/* Homes are in the order of hashes, and the last hash of each is where the next one begins. */
TEST_CASE(homes_divide_the_hashes_in_order) {
  static const uint32_t sizes[] = {1, 3, 64, 1000, 1001};
  for (unsigned bits = 0; bits <= 12; bits += 4)
    for (size_t size = 0; size < sizeof sizes / sizeof *sizes; size++) {
      open_index(bits, sizes[size]);
      uint64_t of_shard = UINT64_MAX >> bits, position = UINT64_MAX - of_shard, homes = 0; /* the last shard */
      for (bool more = true; more; position++, homes++) {
        uint64_t last = vsi_index_last_hash(&arrays, &placing, position);
        uint32_t home = vsi_index_home(&arrays, &placing, position);
        assert_true(last >= position);
        assert_int_equal(vsi_index_home(&arrays, &placing, last), home);
        more = last != UINT64_MAX;
        if (more) assert_true(vsi_index_home(&arrays, &placing, last + 1) > home);
        position = last;
      }
      assert_int_equal(homes, sizes[size]);
    }
}
