/* SPDX-License-Identifier: MIT */
#include "store/index.h"

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

enum { COUNT = 3000 };

static test_host th;
static vsi_keyed_hash secret;
static vsi_placing placing;
static vsi_index the_index;
static _Alignas(VSI_CACHE_LINE) vsi_bucket first[VSI_INDEX_FIRST_BUCKETS];
static vsi_entry *entries[COUNT];
static vsi_scoped_key keys[COUNT];
static bool is_in[COUNT];
static size_t count_in;

static void open_index(unsigned shard_bits) {
  test_host_init(&th);
  assert_int_equal(vsi_keyed_hash_init(&secret, &th.host), VESTRY_OK);
  placing = (vsi_placing){.hash = &secret, .shard_bits = shard_bits};
  memset(first, 0, sizeof first);
  vsi_index_init(&the_index, &th.host, &placing, first);
  count_in = 0;
  for (size_t i = 0; i < COUNT; i++) {
    vestry_key key = vestry_key_integer((int64_t)i);
    assert_int_equal(vsi_scoped_key_init(&keys[i], &secret, &th.host, (vestry_scope){"s", 1}, &key), VESTRY_OK);
    entries[i] = vsi_entry_create(&th.host, 0, &keys[i].key, &keys[i]);
    entries[i]->handle = (keys[i].key.hash & ~VSI_HANDLE_NUMBER_MASK) | (i + 1);
    is_in[i] = false;
  }
}

static void end_index(void) {
  vsi_index_finish(&the_index);
  for (size_t i = 0; i < COUNT; i++) vsi_entry_destroy(&th.host, 0, entries[i]);
  test_host_assert_clean(&th);
}

static vsi_entry *find(size_t i) {
  return vsi_index_find(&the_index, &keys[i].key, keys[i].key.hash);
}

static vestry_err add(size_t i) {
  vestry_err error = vsi_index_grow(&the_index, count_in);
  if (error) return error;
  vsi_index_add(&the_index, keys[i].key.hash, vsi_index_tag(keys[i].key.hash), entries[i]);
  is_in[i] = true;
  count_in++;
  return VESTRY_OK;
}

static void take_out(size_t i) {
  vsi_index_remove(&the_index, entries[i]);
  is_in[i] = false;
  vsi_index_shrink(&the_index, --count_in);
}

static void check_all(void) {
  for (size_t i = 0; i < COUNT; i++) assert_ptr_equal(find(i), is_in[i] ? entries[i] : NULL);
}

static void index_finds_each_entry(void **state) {
  uint64_t random = 1;
  for (unsigned shard_bits = 0; shard_bits <= 8; shard_bits += 4) {
    open_index(shard_bits);
    for (size_t target = 0; target < 6; target++) { /* it grows and shrinks */
      size_t most = target % 2 ? 30 : COUNT - 100;
      for (size_t step = 0; step < 4 * COUNT; step++) {
        size_t i = random_below(&random, COUNT);
        if (is_in[i] && (count_in > most || step % 4 == 0))
          take_out(i);
        else if (!is_in[i] && count_in < most)
          assert_int_equal(add(i), VESTRY_OK);
      }
      check_all();
      size_t buckets_count = (size_t)vsi_index_mask(&the_index) + 1;
      assert_true(count_in <= buckets_count * 5 && (count_in * 4 >= buckets_count || buckets_count == 2));
    }
    for (size_t i = 0; i < COUNT; i++)
      if (is_in[i]) take_out(i);
    const vsi_bucket *buckets = vsi_index_buckets(&the_index); /* no trace is left, and no memory is held */
    assert_ptr_equal(buckets, first);
    assert_null(the_index.memory);
    for (uint32_t i = 0; i <= vsi_index_mask(&the_index); i++) {
      assert_int_equal(buckets[i].passed, 0);
      for (size_t k = 0; k < VSI_BUCKET_PLACES; k++) assert_null(buckets[i].at[k]);
    }
    end_index();
  }
}

/* However full the index is, keys from a counter are in their home or near it. */
/* capability: F7 */
static void lookups_stay_short(void **state) {
  open_index(3);
  for (size_t i = 0; i < COUNT; i++) {
    assert_int_equal(add(i), VESTRY_OK);
    uint32_t walk = 0, at = vsi_index_home(&the_index, keys[i].key.hash);
    while (vsi_bucket_place_of(&vsi_index_buckets(&the_index)[at], entries[i]) == VSI_BUCKET_PLACES) {
      at = (at + 1) & vsi_index_mask(&the_index);
      walk++;
    }
    assert_in_range(walk, 0, 12);
  }
  end_index();
}

static void replace_swaps_an_entry_in_place(void **state) {
  open_index(0);
  for (size_t i = 0; i < 200; i++) assert_int_equal(add(i), VESTRY_OK);
  vsi_entry *twin = vsi_entry_create(&th.host, 0, &keys[7].key, &keys[7]);
  twin->handle = entries[7]->handle + COUNT;
  vsi_index_replace(&the_index, entries[7], twin);
  assert_ptr_equal(find(7), twin);
  vsi_index_remove(&the_index, twin);
  assert_null(find(7));
  vsi_entry_destroy(&th.host, 0, twin);
  end_index();
}

static void walk_of_a_home_lists_its_entries(void **state) {
  open_index(2);
  for (size_t i = 0; i < COUNT; i++) assert_int_equal(add(i), VESTRY_OK);
  size_t listed = 0;
  for (uint32_t home = 0; home <= vsi_index_mask(&the_index); home++) {
    uint32_t at = 0;
    for (vsi_entry *entry; (entry = vsi_index_next_at_home(&the_index, home, &at)) != NULL; listed++)
      assert_int_equal(vsi_index_home(&the_index, entry->handle), home);
  }
  assert_true(listed >= COUNT * 9 / 10); /* this index of one shard holds the keys of four, so homes wrap */
  assert_int_equal(listed, COUNT);
  end_index();
}

/* Without memory, the index fills up to its last place, stays correct, and then refuses. */
static void index_without_memory_fills_up_and_refuses(void **state) {
  open_index(0);
  atomic_store(&th.fail_after, true);
  test_host_fail_in(&th, 0);
  size_t i = 0;
  while (!add(i)) i++;
  assert_int_equal(i, 2 * VSI_BUCKET_PLACES);
  check_all();
  while (i--) take_out(i);
  test_host_fail_no_more(&th);
  for (i = 0; i < COUNT; i++) assert_int_equal(add(i), VESTRY_OK);
  check_all();
  end_index();
}

/* With a limit per scope, the upper bits are those of the scope. */
static void keys_of_a_scope_share_a_shard(void **state) {
  open_index(4);
  placing.scope_bits = 4;
  uint64_t upper = 0, differ = 0;
  for (size_t i = 0; i < 100; i++) {
    uint64_t hash = vsi_placing_anew(&placing, entries[i]);
    assert_true(hash == vsi_placing_by_scope(&placing, entries[i]->lens, entries[i]->words, keys[i].key.hash));
    if (i) assert_int_equal(hash >> 60, upper >> 60);
    if (i) differ |= hash ^ upper;
    upper = hash;
  }
  assert_true(differ != 0);
  end_index();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(index_finds_each_entry),
      cmocka_unit_test(lookups_stay_short),
      cmocka_unit_test(replace_swaps_an_entry_in_place),
      cmocka_unit_test(walk_of_a_home_lists_its_entries),
      cmocka_unit_test(index_without_memory_fills_up_and_refuses),
      cmocka_unit_test(keys_of_a_scope_share_a_shard),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
