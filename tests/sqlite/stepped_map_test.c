/* SPDX-License-Identifier: MIT */
#include "data/sql/stepped_map.h"

#include "base/hash.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

typedef uint64_t hash_fn(uint64_t of);

/* Many numbers have the same hash. */
static uint64_t few(uint64_t of) {
  return of % 7 << 61;
}

enum { SAME = 3 }; /* numbers with the same key */

typedef struct shared {
  vsi_stepped_link in; /* first */
  uint64_t is;
} shared;

static uint64_t hash_shared(const void *ctx, const vsi_stepped_link *of) {
  return ((hash_fn *)(uintptr_t)ctx)(((const shared *)of)->is / SAME);
}

/* Find the first number with the key of a number. */
static vsi_stepped_link *find_key(const vsi_stepped_map *map, uint64_t is, hash_fn *hash) {
  vsi_stepped_link *at = vsi_stepped_map_keys(map, hash(is / SAME));
  while (at && ((shared *)at)->is / SAME != is / SAME) at = at->next;
  return at;
}

/* While it grows to NUMBERS / SAME keys, of which each has no member at times. */
TEST_CASE(stepped_map_agrees_with_a_set_of_numbers) {
  enum { NUMBERS = 3000, STEPS = 60000 };
  hash_fn *const hashes[] = {vsi_hash_number, few};
  for (size_t h = 0; h < sizeof hashes / sizeof *hashes; h++) {
    const void *hash = (const void *)(uintptr_t)hashes[h];
    test_host th;
    test_host_init(&th);
    vsi_stepped_map map = {.moved = 0};
    static bool in[NUMBERS];
    uint64_t random = 1;
    size_t count = 0, met = 0, keys = 0, growing = 0;
    memset(in, 0, sizeof in);
    for (int step = 0; step < STEPS / (h ? 10 : 1); step++) {
      const uint64_t is = random_below(&random, NUMBERS);
      vsi_stepped_link *first = find_key(&map, is, hashes[h]), *found = first;
      while (found && ((shared *)found)->is != is) found = vsi_stepped_further(found);
      assert_int_equal(found != NULL, in[is]);
      if (found) {
        vsi_stepped_map_remove(&map, found, hash_shared, hash);
        vsi_free(&th.host, found);
      } else {
        shared *made = vsi_alloc(&th.host, sizeof *made);
        made->is = is;
        assert_int_equal(vsi_stepped_map_reserve(&map, &th.host, hash_shared, hash), VESTRY_OK);
        if (first)
          vsi_stepped_map_add_behind(&map, &made->in, first);
        else
          vsi_stepped_map_add(&map, &made->in, hashes[h](is / SAME));
      }
      in[is] = !in[is];
      count = in[is] ? count + 1 : count - 1;
      assert_int_equal(map.count, count);
      growing += map.former != NULL;
    }
    if (!h) assert_true((size_t)1 << map.bits >= NUMBERS / SAME / 2 && growing > 0 && growing < STEPS / 2);
    const size_t keys_count = map.keys_count;
    for (uint64_t of = 0; of < NUMBERS; of += SAME) {
      vsi_stepped_link *first = find_key(&map, of, hashes[h]);
      keys += first != NULL;
      for (vsi_stepped_link *next, *one = first; one; one = next, met++) {
        const uint64_t is = ((shared *)one)->is;
        next = vsi_stepped_further(one);
        assert_true(in[is] && is / SAME == of / SAME && (!next || next->other == (uintptr_t)one));
        vsi_stepped_map_remove(&map, one, hash_shared, hash);
        vsi_free(&th.host, one);
      }
    }
    assert_int_equal(met, count);
    assert_int_equal(keys, keys_count);
    assert_int_equal(map.count, 0);
    vsi_stepped_map_finish(&map, &th.host);
    test_host_assert_clean(&th);
  }
}
