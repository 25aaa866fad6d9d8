#include "store/ages.h"

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_slab slab;
static vsi_ages ages;

static void open_ages(uint32_t now) {
  test_host_init(&th);
  vsi_slab_init(&slab, &th.host, false);
  assert_int_equal(vsi_ages_init(&ages, &th.host, now), VESTRY_OK);
}

static void end_ages(void) {
  vsi_ages_finish(&ages);
  vsi_slab_finish(&slab);
  test_host_assert_clean(&th);
}

static vsi_slot *file(uint32_t tick, uint32_t now) {
  vsi_slot *slot = vsi_slab_take(&slab);
  assert_non_null(slot);
  slot->state_count = VSI_SLOT_LIVE;
  atomic_store(&slot->touch, tick << 1);
  vsi_ages_file(&ages, &slab, slot, tick, now);
  return slot;
}

static void take_out(vsi_slot *slot) {
  vsi_ages_remove(&ages, &slab, slot);
  vsi_slab_give(&slab, slot);
}

static void assert_oldest(const vsi_slot *slot, uint32_t tick) {
  uint32_t found;
  assert_ptr_equal(vsi_ages_oldest(&ages, &slab, &found), slot);
  if (slot) assert_int_equal(found, tick);
}

static void the_oldest_comes_first(void **state) {
  (void)state;
  open_ages(0);
  assert_oldest(NULL, 0);
  vsi_slot *b = file(5, 10), *c = file(5, 10), *a = file(3, 10), *d = file(10, 10);
  assert_oldest(a, 3);
  take_out(a);
  assert_oldest(b, 5);
  vsi_slot *e = file(5, 10); /* behind those already there */
  take_out(b);
  assert_oldest(c, 5);
  take_out(c);
  assert_oldest(e, 5);
  take_out(e);
  assert_oldest(d, 10);
  take_out(d);
  assert_oldest(NULL, 0);
  take_out(file(2, 11)); /* empty again: any tick will do */
  end_ages();
}

static void ticks_are_compared_round_the_circle(void **state) {
  (void)state;
  uint32_t last = VSI_TICK_MASK;
  assert_int_equal(vsi_tick_age(5, 3), 2);
  assert_int_equal(vsi_tick_age(3, 5), 0);
  assert_int_equal(vsi_tick_age(2, last), 3);
  assert_int_equal(vsi_tick_age(last, 2), 0);
  assert_int_equal(vsi_tick_age(1u << 30, 1), (1u << 30) - 1);
  assert_int_equal(vsi_tick_age(0, 1u << 30), 0); /* more than half round: it is ahead */
}

static uint32_t used(uint32_t touch, uint32_t tick) {
  vsi_slot slot;
  atomic_init(&slot.touch, touch);
  vsi_slot_use(&slot, tick);
  return atomic_load(&slot.touch);
}

static void a_use_is_noted_unless_a_later_one_is(void **state) {
  (void)state;
  assert_int_equal(used(7 << 1, 7), 7 << 1 | 1);
  assert_int_equal(used(7 << 1 | 1, 7), 7 << 1 | 1);
  assert_int_equal(used(7 << 1, 9), 9 << 1 | 1);
  assert_int_equal(used(9 << 1, 7), 9 << 1 | 1); /* a late note: that it was used, not when */
  assert_int_equal(used(9 << 1 | 1, 7), 9 << 1 | 1);
  assert_int_equal(used(VSI_TICK_MASK << 1, 3), 3 << 1 | 1); /* round the circle */
}

static void refiling_goes_by_the_use(void **state) {
  (void)state;
  open_ages(0);
  vsi_slot *a = file(1, 1), *b = file(1, 1), *c = file(4, 4);
  vsi_slot_use(a, 3);
  vsi_ages_refile(&ages, &slab, a, 5);
  assert_int_equal(atomic_load(&a->touch), 3 << 1); /* unmarked: a use from here on is another */
  assert_oldest(b, 1);
  take_out(b);
  assert_oldest(a, 3);
  vsi_slot_use(a, 3); /* in the same tick: a second chance, behind its equals */
  vsi_slot *d = file(3, 5);
  vsi_ages_refile(&ages, &slab, a, 5);
  assert_oldest(d, 3);
  take_out(d);
  assert_oldest(a, 3);
  vsi_slot_use(a, 1000000); /* by a clock that was ahead, if only for once: filed now */
  vsi_ages_refile(&ages, &slab, a, 5);
  assert_oldest(c, 4);
  take_out(c);
  assert_oldest(a, 5);
  take_out(a);
  end_ages();
}

static void a_tick_before_the_window_does_not_pass_for_one_in_it(void **state) {
  (void)state;
  open_ages(0);
  vsi_slot *a = file(100, 100), *b = file(100, 100), *c = file(100, 100), *d = file(100, 100);
  atomic_store(&a->touch, 50 << 1 | 1);
  vsi_ages_refile(&ages, &slab, a, 100 + 3 * VSI_AGES); /* behind the window, which moves on meanwhile */
  vsi_slot *e = file(100 + 3 * VSI_AGES - 10, 100 + 3 * VSI_AGES);
  atomic_store(&b->touch, 100 << 1 | 1);
  vsi_ages_refile(&ages, &slab, b, 100 + 3 * VSI_AGES); /* the tick that was filed under before the window moved */
  take_out(c);
  take_out(d);
  take_out(a);
  uint32_t tick;
  assert_ptr_equal(vsi_ages_oldest(&ages, &slab, &tick), b);
  take_out(b);
  assert_oldest(e, 100 + 3 * VSI_AGES - 10);
  /* and one that is older than all there are, the last tick filed under having become empty */
  vsi_slot *f = file(100 + 3 * VSI_AGES - 20, 100 + 3 * VSI_AGES);
  take_out(f);
  assert_oldest(e, 100 + 3 * VSI_AGES - 10);
  f = file(100 + 3 * VSI_AGES - 20, 100 + 3 * VSI_AGES);
  assert_oldest(f, 100 + 3 * VSI_AGES - 20);
  take_out(f);
  take_out(e);
  end_ages();
}

/* --------------------------------------------------------------------------------- against a naive sorted list ---- */

enum { MOST = 300 };

typedef struct entry {
  vsi_slot *slot;
  uint64_t tick; /* under which it is filed, or the oldest of the window if that is later */
} entry;

static entry list[MOST];
static size_t list_count;
static uint64_t now; /* never wraps; ages see the lower bits */

static uint32_t wrap(uint64_t tick) {
  return (uint32_t)tick & VSI_TICK_MASK;
}

/* A wrapped tick in the window, unwrapped. */
static uint64_t unwrap(uint32_t tick) {
  return now - ((wrap(now) - tick) & VSI_TICK_MASK);
}

static void insert(vsi_slot *slot, uint64_t tick) {
  uint64_t begin = now >= VSI_AGES - 1 ? now - (VSI_AGES - 1) : 0;
  if (list_count && wrap(tick) != ages.newest) { /* the window moves */
    for (size_t i = 0; i < list_count; i++)
      if (list[i].tick < begin) list[i].tick = begin;
    if (tick < begin) tick = unwrap(ages.oldest) > begin ? unwrap(ages.oldest) : begin;
  }
  size_t at = list_count;
  while (at && list[at - 1].tick > tick) at--;
  memmove(&list[at + 1], &list[at], (list_count - at) * sizeof *list);
  list[at] = (entry){slot, tick};
  list_count++;
}

static void delete_at(size_t at) {
  memmove(&list[at], &list[at + 1], (list_count - at - 1) * sizeof *list);
  list_count--;
}

static void check_order(void) {
  size_t at = 0;
  for (uint32_t distance = 0; distance < VSI_AGES; distance++) {
    uint32_t number = ages.at[(ages.oldest + distance) % VSI_AGES].first;
    for (; number && !(number & VSI_AGES_END); number = vsi_slab_at(&slab, number)->next) {
      assert_true(at < list_count);
      assert_ptr_equal(vsi_slab_at(&slab, number), list[at++].slot);
    }
  }
  assert_int_equal(at, list_count);
  assert_int_equal(ages.count, list_count);
}

static uint64_t some_ticks(uint64_t *random) {
  switch (random_below(random, 12)) {
  case 0: return random_below(random, 3 * VSI_AGES);
  case 1: return VSI_AGES * random_below(random, 4);
  case 2: return random_below(random, 200);
  case 3: return random_below(random, 40) ? 1 : random_below(random, 1u << 29); /* years */
  default: return random_below(random, 3);
  }
}

static void the_order_is_that_of_a_sorted_list(void **state) {
  (void)state;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    uint64_t random = seed;
    now = seed % 3 ? (UINT64_C(1) << 31) - 20000 + seed : 10 * VSI_AGES; /* before the circle closes, or anywhere */
    open_ages(wrap(now));
    list_count = 0;
    for (size_t step = 0; step < 1500; step++) {
      switch (random_below(&random, 6)) {
      case 0: now += some_ticks(&random); break;
      case 1:
        if (!list_count) break;
        size_t gone = random_below(&random, 2) ? 0 : random_below(&random, list_count);
        take_out(list[gone].slot);
        delete_at(gone);
        break;
      case 2: {
        if (!list_count) break;
        size_t at = random_below(&random, 2) ? 0 : random_below(&random, list_count);
        vsi_slot *slot = list[at].slot;
        uint64_t ago = some_ticks(&random) % (1u << 20);
        uint64_t tick = list[at].tick + ago < now ? now - ago : list[at].tick; /* used after it was filed */
        atomic_store(&slot->touch, wrap(tick) << 1 | 1);
        delete_at(at);
        vsi_ages_remove(&ages, &slab, slot); /* as refile does; the place is looked up before it moves the window */
        insert(slot, tick);
        vsi_ages_file(&ages, &slab, slot, wrap(tick), wrap(now));
        break;
      }
      default:
        if (list_count == MOST - 1) break;
        vsi_slot *slot = vsi_slab_take(&slab);
        slot->state_count = VSI_SLOT_LIVE;
        uint64_t tick = random_below(&random, 8) ? now : now - random_below(&random, 3);
        insert(slot, tick);
        vsi_ages_file(&ages, &slab, slot, wrap(tick), wrap(now));
      }
      uint32_t tick;
      assert_ptr_equal(vsi_ages_oldest(&ages, &slab, &tick), list_count ? list[0].slot : NULL);
      if (step % 16 == 0) check_order();
    }
    while (list_count) {
      assert_oldest(list[0].slot, wrap(list[0].tick));
      take_out(list[0].slot);
      delete_at(0);
    }
    end_ages();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(the_oldest_comes_first),
      cmocka_unit_test(ticks_are_compared_round_the_circle),
      cmocka_unit_test(a_use_is_noted_unless_a_later_one_is),
      cmocka_unit_test(refiling_goes_by_the_use),
      cmocka_unit_test(a_tick_before_the_window_does_not_pass_for_one_in_it),
      cmocka_unit_test(the_order_is_that_of_a_sorted_list),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
