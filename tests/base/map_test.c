/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include "base/hash.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

typedef struct number {
  uint64_t is;
  vsi_map_link in;
} number;

typedef uint64_t hash_fn(uint64_t of);

/* Many numbers have the same hash. */
static uint64_t few(uint64_t of) {
  return of % 7 << 61;
}
static uint64_t all_one(uint64_t of) {
  return 0;
}

static number *find(const vsi_map *map, uint64_t wanted, hash_fn *hash) {
  for (const vsi_map_link *at = vsi_map_first(map, hash(wanted)); at; at = vsi_map_further(at)) {
    number *found = VSI_MAP_OWNER(at, number, in);
    assert_int_equal(at->hash, hash(wanted));
    if (found->is == wanted) return found;
  }
  return NULL;
}

static vestry_err add(vsi_map *map, const vestry_host *host, uint64_t is, hash_fn *hash) {
  if (vsi_map_reserve(map, host, map->count + 1)) return VESTRY_NO_MEMORY;
  number *made = vsi_alloc(host, sizeof *made);
  if (!made) return VESTRY_NO_MEMORY;
  made->is = is;
  vsi_map_add(map, &made->in, hash(is));
  return VESTRY_OK;
}

static void drop(vsi_map *map, const vestry_host *host, number *one) {
  vsi_map_remove(map, &one->in);
  vsi_free(host, one);
}

static void drop_all(vsi_map *map, const vestry_host *host) {
  for (vsi_map_link *next, *at = vsi_map_after(map, NULL); at; at = next) {
    next = vsi_map_after(map, at);
    drop(map, host, VSI_MAP_OWNER(at, number, in));
  }
  assert_int_equal(map->count, 0);
  vsi_map_finish(map, host);
}

TEST_CASE(map_agrees_with_a_set_of_numbers) {
  enum { NUMBERS = 300, STEPS = 5000 };
  hash_fn *const hashes[] = {vsi_hash_number, few, all_one};
  for (size_t h = 0; h < sizeof hashes / sizeof *hashes; h++) {
    test_host th;
    test_host_init(&th);
    vsi_map map = {NULL, 0, 0};
    uint64_t random = h + 1;
    bool in[NUMBERS] = {false};
    size_t count = 0;
    for (int step = 0; step < STEPS; step++) {
      uint64_t is = random_below(&random, NUMBERS);
      number *found = find(&map, is, hashes[h]);
      assert_int_equal(found != NULL, in[is]);
      if (found)
        drop(&map, &th.host, found);
      else
        assert_int_equal(add(&map, &th.host, is, hashes[h]), VESTRY_OK);
      in[is] = !in[is];
      count = in[is] ? count + 1 : count - 1;
      assert_int_equal(map.count, count);
    }
    size_t met = 0;
    for (const vsi_map_link *at = vsi_map_after(&map, NULL); at; at = vsi_map_after(&map, at)) {
      assert_true(in[VSI_MAP_OWNER(at, number, in)->is]);
      met++;
    }
    assert_int_equal(met, count);
    drop_all(&map, &th.host);
    test_host_assert_clean(&th);
  }
}

TEST_CASE(lookups_stay_short) {
  enum { NUMBERS = 20000 };
  const vestry_host *host = vestry_host_default();
  vsi_map map = {NULL, 0, 0};
  for (uint64_t i = 0; i < NUMBERS; i++) assert_int_equal(add(&map, host, i, vsi_hash_number), VESTRY_OK);
  assert_true((size_t)1 << map.bits >= map.count);
  for (size_t i = 0; i >> map.bits == 0; i++) {
    size_t len = 0;
    for (const vsi_map_link *at = map.buckets[i]; at; at = at->next) len++;
    assert_true(len <= 10);
  }
  drop_all(&map, host);
}

/* Without memory for more buckets, a map with some buckets still works. */
static vestry_err fill(test_host *th, void *ctx) {
  vsi_map map = {NULL, 0, 0};
  vestry_err error = VESTRY_OK;
  uint64_t added = 0;
  for (; added < 200 && !error; added += !error) error = add(&map, &th->host, added, vsi_hash_number);
  assert_int_equal(map.count, added);
  for (uint64_t i = 0; i < added; i++) assert_non_null(find(&map, i, vsi_hash_number));
  assert_null(find(&map, added, vsi_hash_number));
  drop_all(&map, &th->host);
  return error;
}

TEST_CASE(failed_growth_loses_no_entry) {
  test_host_fail_each(fill, NULL, true);
}

/* For a map whose lock is held only while the new buckets are installed. */
HOST_CASE(buckets_can_be_allocated_outside_the_lock) {
  vsi_map map = {NULL, 0, 0};
  vsi_map_room room = {NULL, 0};
  assert_int_equal(vsi_map_wanted(&map, 1), VSI_MAP_FIRST_BITS);
  for (uint64_t i = 0; i < 16; i++) assert_int_equal(add(&map, &th->host, i, vsi_hash_number), VESTRY_OK);
  assert_int_equal(vsi_map_wanted(&map, map.count), 0);
  unsigned bits = vsi_map_wanted(&map, map.count + 1);
  assert_int_equal(bits, VSI_MAP_FIRST_BITS + 1);
  assert_int_equal(vsi_map_room_make(&room, &th->host, bits), VESTRY_OK);
  long allocations = atomic_load(&th->allocations);
  assert_int_equal(vsi_map_room_make(&room, &th->host, bits), VESTRY_OK); /* it is available */
  assert_int_equal(atomic_load(&th->allocations), allocations);
  vsi_map_room_take(&map, &room);
  assert_int_equal(atomic_load(&th->allocations), allocations);
  assert_int_equal(map.bits, bits);
  assert_int_equal(map.count, 16);
  for (uint64_t i = 0; i < 16; i++) assert_non_null(find(&map, i, vsi_hash_number));
  const vsi_map_link *const *buckets = (const vsi_map_link *const *)map.buckets;
  vsi_map_room_take(&map, &room); /* the former buckets are fewer */
  assert_ptr_equal(map.buckets, buckets);
  vsi_map_room_free(&room, &th->host);
  drop_all(&map, &th->host);
}

TEST_CASE(empty_map_has_no_entries) {
  const vsi_map map = {NULL, 0, 0};
  assert_null(vsi_map_first(&map, 1));
  assert_null(vsi_map_after(&map, NULL));
  assert_null(VSI_MAP_OWNER(NULL, number, in));
}

TEST_CASE(hash_depends_on_each_byte) {
  static const struct {
    const char *bytes;
    size_t len;
  } names[] = {{"", 0},
               {"\0", 1},
               {"\0\0", 2},
               {"a", 1},
               {"b", 1},
               {"a\0", 2},
               {"abcdefgh", 8},
               {"abcdefgh\0", 9},
               {"abcdefgi", 8},
               {"habcdefg", 8},
               {"abcdefghabcdefgh", 16}};
  enum { COUNT = sizeof names / sizeof *names };
  for (size_t i = 0; i < COUNT; i++)
    for (size_t k = 0; k < i; k++)
      assert_true(vsi_hash_bytes(1, names[i].bytes, names[i].len) != vsi_hash_bytes(1, names[k].bytes, names[k].len));
  assert_true(vsi_hash_bytes(1, "a", 1) != vsi_hash_bytes(2, "a", 1));
}
