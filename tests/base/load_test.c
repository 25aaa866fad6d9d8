/* SPDX-License-Identifier: MIT */
/* Loads filed by size, compared with a plain search for the largest. */
#include "base/load.h"

#include <stdbool.h>

#include "runtime/random.h"
#include "support/test.h"

enum { ITEMS = 200, STEPS = 20000 };

typedef struct item {
  uint64_t held;
  vsi_load load;
  vsi_load_place place;
} item;

TEST_CASE(ranks_rise_by_a_fourth_at_most) {
  assert_int_equal(vsi_load_rank(0), 0);
  for (uint64_t held = 1; held < UINT64_C(1) << 44; held += 1 + held / 7) {
    uint8_t rank = vsi_load_rank(held);
    assert_in_range(rank, 1, VSI_LOAD_RANKS - 1);
    assert_true(vsi_load_rank(held + 1) >= rank);
    if (held >= 4) assert_true(vsi_load_rank(held + held / 4 + 1) > rank); /* at the latest at a fourth more */
  }
  assert_int_equal(vsi_load_rank(UINT64_MAX), VSI_LOAD_RANKS - 1);
}

/* The first load found has the highest rank that exists; the walk visits each filed load once, in descending order of
 * ranks. */
TEST_CASE(largest_loads_are_found_first) {
  static vsi_loads loads;
  static item items[ITEMS];
  uint64_t random = 1;
  vsi_loads_init(&loads);
  for (int step = 0; step < STEPS; step++) {
    item *one = &items[random_below(&random, ITEMS)];
    one->held = random_below(&random, 4) ? random_next(&random) >> random_below(&random, 64) >> 18 : 0;
    vsi_loads_file(&loads, &one->load, &one->place, vsi_load_rank(one->held));
    if (step % 100) continue;
    size_t filed = 0, met = 0;
    uint8_t before = VSI_LOAD_RANKS - 1;
    for (int i = 0; i < ITEMS; i++) filed += items[i].held != 0;
    for (vsi_load *at = vsi_loads_largest(&loads); at; at = vsi_loads_next(&loads, at, before), met++) {
      const item *found = VSI_LOAD_OWNER(at, item, load);
      assert_int_equal(vsi_load_rank_of(&found->place), vsi_load_rank(found->held));
      assert_true(vsi_load_rank_of(&found->place) <= before);
      before = vsi_load_rank_of(&found->place);
    }
    assert_int_equal(met, filed);
  }
}

/* A load that is smaller than its rank is refiled, and visited again at its new rank. */
TEST_CASE(walk_refiles_loads) {
  static vsi_loads loads;
  static item items[3];
  vsi_loads_init(&loads);
  for (int i = 0; i < 3; i++) vsi_loads_file(&loads, &items[i].load, &items[i].place, vsi_load_rank(1000));
  assert_ptr_equal(vsi_loads_largest(&loads), &items[0].load);
  assert_ptr_equal(vsi_loads_refile(&loads, &items[0].load, &items[0].place, vsi_load_rank(10)), &items[1].load);
  assert_ptr_equal(vsi_loads_refile(&loads, &items[1].load, &items[1].place, 0), &items[2].load);
  assert_ptr_equal(vsi_loads_next(&loads, &items[2].load, vsi_load_rank(1000)), &items[0].load);
  assert_ptr_equal(vsi_loads_refile(&loads, &items[2].load, &items[2].place, vsi_load_rank(5)), &items[0].load);
  assert_ptr_equal(vsi_loads_next(&loads, &items[0].load, vsi_load_rank(10)), &items[2].load);
  assert_null(vsi_loads_next(&loads, &items[2].load, vsi_load_rank(5)));
}
