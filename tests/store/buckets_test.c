#include "store/buckets.h"

#include <pthread.h>
#include <stdlib.h>

#include "runtime/random.h"
#include "store/buckets_view.h"
#include "support/test.h"
#include "support/test_host.h"

enum { MOST = 3000 };

static test_host th;
static vsi_sections sections;
static vsi_buckets buckets;
static vsi_grace grace;
static _Alignas(64) vsi_slot slots[MOST];
static uint64_t hashes[MOST];
static bool linked[MOST];

static const vsi_keyed_hash keyed = {.siphash = {1, 2}};

/* Slot i is under the key that is its number, with a hash of the test's choice. */
static vsi_probe probe_of(uint32_t number, uint64_t hash) {
  vsi_probe probe;
  vsi_probe_init(&probe, &keyed, (unsigned char *)&number, sizeof number);
  probe.hash = hash;
  return probe;
}

static void set_slot(size_t i, uint64_t hash) {
  memset(&slots[i], 0, sizeof slots[i]);
  uint32_t number = (uint32_t)i + 1;
  slots[i].number = number;
  slots[i].hash = (uint32_t)(hash >> 32);
  slots[i].len = sizeof number;
  memcpy(slots[i].key, &number, sizeof number);
  hashes[i] = hash;
}

static void open_index_on(test_host *host) {
  assert_int_equal(vsi_sections_init(&sections, &host->host), VESTRY_OK);
  assert_int_equal(vsi_buckets_init(&buckets, &host->host, &grace), VESTRY_OK);
  memset(linked, 0, sizeof linked);
}

static void open_index(void) {
  test_host_init(&th);
  open_index_on(&th);
}

static void close_index(void) {
  vsi_buckets_finish(&buckets);
  vsi_sections_finish(&sections);
}

static void end_index(void) {
  close_index();
  test_host_assert_clean(&th);
}

static vsi_slot *find(size_t i) {
  vsi_probe probe = probe_of((uint32_t)i + 1, hashes[i]);
  return vsi_buckets_find(&buckets, &probe);
}

static vestry_err add(size_t i) {
  vestry_err error = vsi_buckets_prepare(&buckets, &sections);
  if (error) return error;
  vsi_buckets_add(&buckets, &slots[i], hashes[i]);
  linked[i] = true;
  return VESTRY_OK;
}

static void erase(size_t i) {
  vsi_buckets_erase(&buckets, &slots[i]);
  linked[i] = false;
}

static void check_all(size_t count) {
  for (size_t i = 0; i < count; i++) assert_ptr_equal(find(i), linked[i] ? &slots[i] : NULL);
}

/* ---------------------------------------------------------------------------------------------- growing, shrinking
 * ---- */

static void what_is_in_it_is_found_at_every_step(void **state) {
  (void)state;
  enum { COUNT = 1200 };
  open_index();
  uint64_t random = 3;
  for (size_t i = 0; i < COUNT; i++) set_slot(i, random_next(&random));
  size_t growths = 0, shrinks = 0, under_way = 0;
  uint32_t size = buckets_look(&buckets).count;
  for (size_t step = 0; step < 2 * COUNT; step++) {
    size_t i = step % COUNT;
    if (step < COUNT)
      assert_int_equal(add(i), VESTRY_OK);
    else {
      erase(i);
      assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK); /* as each put and tick does */
    }
    uint32_t now = atomic_load(&buckets.current)->count;
    growths += now > size;
    shrinks += now < size;
    size = now;
    bool moving = atomic_load(&buckets.old) != NULL;
    under_way += moving;
    if (moving || step % 16 == 0) check_all(COUNT);
    if (step % 16 == 0) buckets_look(&buckets);
  }
  assert_true(growths > 6 && shrinks > 3 && under_way > 100);
  assert_int_equal(buckets_look(&buckets).passed_count, 0);
  while (atomic_load(&buckets.old)) assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
  assert_int_equal(buckets_look(&buckets).count, 4); /* as small as it began */
  end_index();
}

static void no_operation_moves_much(void **state) {
  (void)state;
  open_index();
  uint64_t random = 4;
  for (size_t i = 0; i < MOST; i++) set_slot(i, random_next(&random));
  for (size_t i = 0; i < MOST; i++) {
    uint32_t before = buckets.moved;
    bool was_moving = atomic_load(&buckets.old) != NULL;
    assert_int_equal(add(i), VESTRY_OK);
    if (was_moving && atomic_load(&buckets.old)) assert_in_range(buckets.moved - before, 1, 16);
  }
  end_index();
}

static void changes_at_random_upset_nothing(void **state) {
  (void)state;
  enum { COUNT = 400 };
  for (uint64_t seed = 1; seed <= 30; seed++) {
    open_index();
    uint64_t random = seed;
    /* some rounds with hashes that crowd in a few places, the last bucket too, from where words go round */
    for (size_t i = 0; i < COUNT; i++) {
      uint64_t hash = random_next(&random);
      set_slot(i, seed % 3 ? hash : hash | (random_below(&random, 2) ? UINT64_C(0xfff) << 52 : 0));
    }
    size_t wanted = COUNT / 2;
    for (size_t step = 0; step < 2000; step++) {
      if (step % 300 == 0) wanted = random_below(&random, COUNT);
      size_t i = random_below(&random, COUNT);
      if (linked[i] && random_below(&random, COUNT) >= wanted)
        erase(i);
      else if (!linked[i] && random_below(&random, COUNT) < wanted)
        assert_int_equal(add(i), VESTRY_OK);
      if (step % 50 == 0) {
        buckets_look(&buckets);
        check_all(COUNT);
      }
    }
    for (size_t i = 0; i < COUNT; i++)
      if (linked[i]) erase(i);
    assert_int_equal(buckets_look(&buckets).passed_count, 0);
    end_index();
  }
}

/* ------------------------------------------------------------------------------------------------- crowded places ----
 */

static void one_home_for_all_goes_round_and_comes_back(void **state) {
  (void)state;
  enum { COUNT = 200 };
  open_index();
  uint64_t random = 5;
  for (size_t i = 0; i < COUNT; i++) { /* all at home in the last bucket */
    set_slot(i, UINT64_C(0xffffffff00000000) | (uint32_t)random_next(&random));
    assert_int_equal(add(i), VESTRY_OK);
    check_all(i + 1);
  }
  buckets_view view = buckets_look(&buckets);
  assert_true(view.probe_most > COUNT / VIEW_WORDS - 2);
  assert_true(view.passed_count > 0);
  for (size_t k = 0; k < COUNT; k++) {
    erase(k * 77 % COUNT);
    buckets_look(&buckets);
  }
  assert_int_equal(buckets_look(&buckets).passed_count, 0);
  end_index();
}

static void equal_hashes_are_told_apart_by_their_keys(void **state) {
  (void)state;
  open_index();
  for (size_t i = 0; i < 60; i++) {
    set_slot(i, UINT64_C(0x123456789abcdef0));
    assert_int_equal(add(i), VESTRY_OK);
  }
  check_all(60);
  for (size_t i = 0; i < 60; i += 2) erase(i);
  check_all(60);
  for (size_t i = 1; i < 60; i += 2) erase(i);
  end_index();
}

/* Tag 0 is what an empty word has; it is a tag like others all the same. */
static void a_hash_of_noughts_is_a_hash(void **state) {
  (void)state;
  open_index();
  for (size_t i = 0; i < 10; i++) {
    set_slot(i, i);
    assert_null(find(i));
    assert_int_equal(add(i), VESTRY_OK);
  }
  check_all(10);
  end_index();
}

static void long_keys_are_compared_to_their_end(void **state) {
  (void)state;
  open_index();
  static const unsigned char texts[3][64] = {"a key that is too long for a slot, 1",
                                             "a key that is too long for a slot, 2",
                                             "a key that is too long for a slot, 10"};
  vsi_outside *outsides[3];
  for (size_t i = 0; i < 3; i++) {
    size_t len = strlen((const char *)texts[i]);
    outsides[i] = malloc(sizeof **outsides + len);
    outsides[i]->len = (uint32_t)len;
    memcpy(outsides[i]->bytes, texts[i], len);
    set_slot(i, UINT64_C(0x5555555555555555));
    slots[i].len = VSI_SLOT_OUTSIDE;
    memset(slots[i].key, 0, sizeof slots[i].key);
    memcpy(slots[i].key, &outsides[i], sizeof outsides[i]);
    assert_int_equal(add(i), VESTRY_OK);
  }
  for (size_t i = 0; i < 3; i++) {
    vsi_probe probe;
    vsi_probe_init(&probe, &keyed, texts[i], outsides[i]->len);
    probe.hash = hashes[i];
    assert_ptr_equal(vsi_buckets_find(&buckets, &probe), &slots[i]);
    vsi_probe_init(&probe, &keyed, texts[i], outsides[i]->len - 2);
    probe.hash = hashes[i];
    assert_null(vsi_buckets_find(&buckets, &probe));
  }
  for (size_t i = 0; i < 3; i++) {
    erase(i);
    free(outsides[i]);
  }
  end_index();
}

static void swapping_leaves_no_gap(void **state) {
  (void)state;
  open_index();
  uint64_t random = 6;
  for (size_t i = 0; i < 30; i++) {
    set_slot(i, random_next(&random));
    assert_int_equal(add(i), VESTRY_OK);
  }
  for (size_t round = 0; round < 2; round++) { /* in the middle of a change of size too */
    for (size_t i = 0; i < 30; i++) {
      vsi_slot *from = find(i), *to = &slots[100 + round * 30 + i];
      *to = *from;
      to->number = 1000;
      vsi_buckets_swap(&buckets, from, to);
      assert_ptr_equal(find(i), to);
    }
    buckets_look(&buckets);
    for (size_t i = 30 + round * 20; i < 50 + round * 20; i++) {
      set_slot(i, random_next(&random));
      assert_int_equal(add(i), VESTRY_OK);
    }
  }
  end_index();
}

/* ---------------------------------------------------------------------------------------------------- ranges ---- */

static uint8_t met[MOST];

static void meet(vsi_slot *slot, void *ctx) {
  (void)ctx;
  met[slot->number - 1]++;
}

static void a_range_holds_exactly_the_hashes_in_it(void **state) {
  (void)state;
  enum { COUNT = 700 };
  open_index();
  uint64_t random = 8;
  for (size_t i = 0; i < COUNT; i++) {
    uint64_t hash = random_next(&random);
    if (i % 5 == 0) hash |= UINT64_C(0xffff) << 48; /* some crowd at the end and go round */
    if (i % 7 == 0) hash &= UINT64_C(0x00ffffff) << 16;
    set_slot(i, hash);
  }
  size_t while_moving = 0;
  for (size_t step = 0; step < 3 * COUNT; step++) {
    size_t i = random_below(&random, COUNT);
    if (!linked[i])
      assert_int_equal(add(i), VESTRY_OK);
    else if (step % 3 == 0)
      erase(i);
    while_moving += atomic_load(&buckets.old) != NULL;
    uint32_t from = (uint32_t)random_next(&random), to = (uint32_t)random_next(&random);
    if (step % 4 == 0) to = UINT32_MAX;
    if (step % 5 == 0) from = 0;
    if (step % 9 == 0) to = from;
    if (from > to) continue;
    memset(met, 0, sizeof met);
    vsi_buckets_range(&buckets, from, to, meet, NULL);
    for (size_t k = 0; k < COUNT; k++)
      assert_int_equal(met[k], linked[k] && slots[k].hash >= from && slots[k].hash <= to);
  }
  assert_true(while_moving > 10);
  assert_true(vsi_buckets_stride(&buckets) > 0);
  end_index();
}

/* ------------------------------------------------------------------------------------------------ out of memory ----
 */

static void without_memory_it_fills_up_and_refuses(void **state) {
  (void)state;
  open_index();
  uint64_t random = 9;
  for (size_t i = 0; i < MOST; i++) set_slot(i, random_next(&random));
  size_t count = 0;
  for (; count < 100; count++) assert_int_equal(add(count), VESTRY_OK);
  while (atomic_load(&buckets.old)) assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
  uint32_t size = buckets_look(&buckets).count;
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  atomic_store(&th.fail_after, true);
  while (count < MOST && add(count) == VESTRY_OK) count++;
  assert_in_range(count, size * 6, size * VIEW_WORDS - 1); /* never the last word: a look-up needs an end */
  assert_int_equal(buckets_look(&buckets).count, size);
  check_all(count);
  assert_null(find(count));
  for (size_t i = 0; i < 10; i++) { /* in the place of others it goes on */
    erase(i);
    assert_int_equal(add(i), VESTRY_OK);
  }
  assert_int_equal(add(count), VESTRY_NO_MEMORY);
  check_all(count);
  atomic_store(&th.fail_at, -1);
  for (; count < MOST; count++) assert_int_equal(add(count), VESTRY_OK); /* memory is back */
  check_all(MOST);
  /* to shrink, it needs none */
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  while (count) {
    erase(--count);
    assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
  }
  end_index();
}

static vestry_err fill_some(test_host *host, void *ctx) {
  (void)ctx;
  if (vsi_sections_init(&sections, &host->host)) return VESTRY_NO_MEMORY;
  vestry_err error = vsi_buckets_init(&buckets, &host->host, &grace);
  if (error) {
    vsi_sections_finish(&sections);
    return error;
  }
  uint64_t random = 10;
  memset(linked, 0, sizeof linked);
  for (size_t i = 0; i < 300 && !error; i++) {
    set_slot(i, random_next(&random));
    error = add(i);
    check_all(i + 1);
  }
  close_index();
  return error;
}

static void each_growth_may_fail(void **state) {
  (void)state;
  test_host_fail_each(fill_some, NULL, true);
}

/* --------------------------------------------------------------------------------------------------- readers ---- */

static void tables_are_freed_when_their_readers_are_gone(void **state) {
  (void)state;
  open_index();
  uint64_t random = 11;
  for (size_t i = 0; i < MOST; i++) set_slot(i, random_next(&random));
  size_t count = 0;
  while (!atomic_load(&buckets.old)) assert_int_equal(add(count++), VESTRY_OK);
  vsi_section *section = vsi_section_enter(&sections); /* reads the old table, for all anybody knows */
  long live = atomic_load(&th.live);
  size_t tables = 0;
  while (count < MOST) { /* a reader that is held up keeps nobody from growing */
    const vsi_table_memory *table = atomic_load(&buckets.current);
    assert_int_equal(add(count++), VESTRY_OK);
    tables += table != atomic_load(&buckets.current);
  }
  assert_true(tables > 5);
  assert_int_equal(atomic_load(&th.live), live + (long)tables); /* all of them are still there */
  vsi_section_leave(section);
  while (atomic_load(&buckets.old)) assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
  assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
  assert_int_equal(atomic_load(&th.live), live - 1); /* the old one is gone, too */
  check_all(count);
  end_index();
}

/* One thread changes; others look for what is there all the time, and must never miss it. */
enum { STAYING = 150, READERS = 3, ROUNDS = 40 };
static _Atomic(bool) stop;
static _Atomic(size_t) lookups;

static void *read_all_the_time(void *ctx) {
  (void)ctx;
  size_t count = 0;
  while (!atomic_load(&stop)) {
    for (size_t i = 0; i < STAYING; i++) {
      vsi_section *section = vsi_section_enter(&sections);
      const vsi_slot *found = find(i);
      vsi_section_leave(section);
      if (found != &slots[i]) return ctx;
      count++;
    }
  }
  atomic_fetch_add(&lookups, count);
  return NULL;
}

static void readers_always_find_what_stays(void **state) {
  (void)state;
  open_index();
  uint64_t random = 12;
  enum { GOING = 900 };
  for (size_t i = 0; i < STAYING + GOING; i++) set_slot(i, random_next(&random));
  for (size_t i = 0; i < STAYING; i++) assert_int_equal(add(i), VESTRY_OK);
  atomic_store(&stop, false);
  pthread_t threads[READERS];
  for (size_t i = 0; i < READERS; i++) assert_int_equal(pthread_create(&threads[i], NULL, read_all_the_time, &th), 0);
  size_t sizes = 0;
  for (size_t round = 0; round < ROUNDS; round++) {
    uint32_t size = atomic_load(&buckets.current)->count;
    for (size_t i = STAYING; i < STAYING + GOING; i++) assert_int_equal(add(i), VESTRY_OK);
    for (size_t i = STAYING; i < STAYING + GOING; i++) {
      erase(i);
      assert_int_equal(vsi_buckets_prepare(&buckets, &sections), VESTRY_OK);
    }
    sizes += atomic_load(&buckets.current)->count != size;
  }
  atomic_store(&stop, true);
  for (size_t i = 0; i < READERS; i++) {
    void *missed;
    pthread_join(threads[i], &missed);
    assert_null(missed);
  }
  print_message("%zu look-ups, %zu rounds that changed the size\n", atomic_load(&lookups), sizes);
  buckets_look(&buckets);
  check_all(STAYING);
  end_index();
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(what_is_in_it_is_found_at_every_step),
      cmocka_unit_test(no_operation_moves_much),
      cmocka_unit_test(changes_at_random_upset_nothing),
      cmocka_unit_test(one_home_for_all_goes_round_and_comes_back),
      cmocka_unit_test(equal_hashes_are_told_apart_by_their_keys),
      cmocka_unit_test(a_hash_of_noughts_is_a_hash),
      cmocka_unit_test(long_keys_are_compared_to_their_end),
      cmocka_unit_test(swapping_leaves_no_gap),
      cmocka_unit_test(a_range_holds_exactly_the_hashes_in_it),
      cmocka_unit_test(without_memory_it_fills_up_and_refuses),
      cmocka_unit_test(each_growth_may_fail),
      cmocka_unit_test(tables_are_freed_when_their_readers_are_gone),
      cmocka_unit_test(readers_always_find_what_stays),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
