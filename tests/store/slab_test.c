#include "store/slab.h"

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_slab slab;

static void open_slab(bool with_extras) {
  test_host_init(&th);
  vsi_slab_init(&slab, &th.host, with_extras);
}

static void end_slab(void) {
  vsi_slab_finish(&slab);
  test_host_assert_clean(&th);
}

static vsi_slot *take(void) {
  vsi_slot *slot = vsi_slab_take(&slab);
  assert_non_null(slot);
  assert_int_equal(vsi_slot_state_of(slot), VSI_SLOT_TAKEN);
  assert_true((uintptr_t)slot % 64 == 0);
  slot->state_count = VSI_SLOT_LIVE;
  return slot;
}

static void a_number_leads_to_its_slot(void **state) {
  (void)state;
  open_slab(true);
  enum { COUNT = 3000 };
  static vsi_slot *slots[COUNT];
  static bool seen[2 * COUNT];
  memset(seen, 0, sizeof seen);
  for (size_t i = 0; i < COUNT; i++) {
    slots[i] = take();
    assert_in_range(slots[i]->number, 1, COUNT + VSI_SLOTS_A_CHUNK); /* the lowest first */
    assert_false(seen[slots[i]->number]);
    seen[slots[i]->number] = true;
    vsi_slab_extra(&slab, slots[i])->born = (uint32_t)i;
  }
  for (size_t i = 0; i < COUNT; i++) {
    assert_ptr_equal(vsi_slab_at(&slab, slots[i]->number), slots[i]);
    assert_ptr_equal(vsi_slab_look(&slab, slots[i]->number), slots[i]);
    assert_ptr_equal(vsi_slab_find(&slab, slots[i]->number, slots[i]->generation), slots[i]);
    assert_int_equal(vsi_slab_extra(&slab, slots[i])->born, i);
  }
  for (size_t i = 0; i < COUNT; i++) vsi_slab_give(&slab, slots[i]);
  end_slab();
}

static void only_the_living_are_found(void **state) {
  (void)state;
  open_slab(false);
  assert_null(vsi_slab_find(&slab, 1, 1)); /* no chunk yet */
  vsi_slot *slot = vsi_slab_take(&slab);
  uint32_t number = slot->number, generation = slot->generation;
  assert_null(vsi_slab_find(&slab, number, generation)); /* taken, not linked */
  slot->state_count = VSI_SLOT_LIVE | 1 << 8;
  assert_ptr_equal(vsi_slab_find(&slab, number, generation), slot);
  assert_null(vsi_slab_find(&slab, number, generation + 1));
  assert_null(vsi_slab_find(&slab, 0, generation));
  assert_null(vsi_slab_find(&slab, number + 1, generation));
  assert_null(vsi_slab_find(&slab, 1 << 20, generation));
  assert_null(vsi_slab_find(&slab, UINT32_MAX, generation));
  slot->state_count = VSI_SLOT_LEAVING;
  assert_null(vsi_slab_find(&slab, number, generation));
  vsi_slab_give(&slab, slot);
  assert_null(vsi_slab_find(&slab, number, generation));
  assert_ptr_equal(take(), slot); /* the last one given is the next one taken: it is in the cache */
  assert_null(vsi_slab_find(&slab, number, generation));
  assert_ptr_equal(vsi_slab_find(&slab, number, generation + 1), slot);
  vsi_slab_give(&slab, slot);
  end_slab();
}

/* Number and generation together never come again, whatever goes and comes, chunks included. */
static void no_stay_is_like_another(void **state) {
  (void)state;
  open_slab(false);
  enum { MOST = 9000, NUMBERS = 16384 };
  static vsi_slot *taken[MOST];
  static uint32_t last[NUMBERS];
  memset(last, 0, sizeof last);
  uint64_t random = 7;
  size_t count = 0, chunks_most = 0, chunks_least = SIZE_MAX;
  for (size_t round = 0; round < 60; round++) {
    size_t wanted = random_below(&random, 3) ? random_below(&random, 40) : random_below(&random, MOST);
    while (count < wanted) {
      vsi_slot *slot = take();
      assert_true(slot->number < NUMBERS);
      assert_true(slot->generation > last[slot->number]);
      last[slot->number] = slot->generation;
      taken[count++] = slot;
    }
    while (count > wanted) {
      size_t at = random_below(&random, count);
      vsi_slab_give(&slab, taken[at]);
      taken[at] = taken[--count];
    }
    size_t chunks = (size_t)atomic_load(&th.live);
    if (chunks > chunks_most) chunks_most = chunks;
    if (round > 30 && chunks < chunks_least) chunks_least = chunks;
  }
  assert_true(chunks_least < chunks_most / 2); /* chunks have gone and come */
  while (count) vsi_slab_give(&slab, taken[--count]);
  end_slab();
}

static void memory_follows_the_living(void **state) {
  (void)state;
  open_slab(true);
  enum { COUNT = 20000, LEFT = 100 };
  static vsi_slot *slots[COUNT];
  for (size_t i = 0; i < COUNT; i++) slots[i] = take();
  long most = atomic_load(&th.live);
  assert_in_range(most, COUNT / VSI_SLOTS_A_CHUNK, COUNT / VSI_SLOTS_A_CHUNK + 20);
  for (size_t i = COUNT; i-- > LEFT;) vsi_slab_give(&slab, slots[i]);
  assert_in_range(atomic_load(&th.live), 1, 40);
  for (size_t i = LEFT; i < COUNT; i++) slots[i] = take();
  assert_in_range(atomic_load(&th.live), most - 20, most + 20);
  for (size_t i = 0; i < COUNT; i++) vsi_slab_give(&slab, slots[(i * 7919) % COUNT]); /* in any order */
  assert_in_range(atomic_load(&th.live), 1, 40 + VSI_SHELF); /* what is on the shelf keeps its chunks */
  end_slab();
}

static void giving_and_taking_in_turn_allocates_nothing(void **state) {
  (void)state;
  open_slab(false);
  vsi_slot *slots[10 * VSI_SLOTS_A_CHUNK];
  size_t count = sizeof slots / sizeof *slots;
  for (size_t i = 0; i < count; i++) slots[i] = take();
  long allocations = atomic_load(&th.allocations);
  for (size_t round = 0; round < 1000; round++) {
    size_t some = round % 90;
    for (size_t i = 0; i < some; i++) vsi_slab_give(&slab, slots[i]);
    for (size_t i = 0; i < some; i++) slots[i] = take();
  }
  assert_in_range(atomic_load(&th.allocations) - allocations, 0, 2);
  for (size_t i = 0; i < count; i++) vsi_slab_give(&slab, slots[i]);
  end_slab();
}

static void a_slot_whose_generations_are_used_up_retires(void **state) {
  (void)state;
  open_slab(false);
  vsi_slot *slot = take();
  uint32_t number = slot->number;
  slot->generation = UINT32_MAX - 1;
  vsi_slab_give(&slab, slot);
  assert_ptr_equal(take(), slot);
  assert_int_equal(slot->generation, UINT32_MAX);
  vsi_slab_give(&slab, slot);
  for (size_t i = 0; i < 1000; i++) assert_int_not_equal(take()->number, number);
  assert_null(vsi_slab_find(&slab, number, UINT32_MAX));
  end_slab();
}

/* A chunk goes while one of its slots is near its end: what takes its place begins beyond, or nothing does. */
static void a_chunk_whose_generations_are_used_up_is_left_out(void **state) {
  (void)state;
  enum { CHUNKS = 20, COUNT = CHUNKS * VSI_SLOTS_A_CHUNK };
  for (uint32_t left = 0; left < 4; left++) {
    open_slab(false);
    static vsi_slot *slots[COUNT];
    bool gone[CHUNKS] = {false};
    size_t gone_count = 0;
    for (size_t i = 0; i < COUNT; i++) {
      slots[i] = take();
      if (slots[i]->number % VSI_SLOTS_A_CHUNK == 5) slots[i]->generation = UINT32_MAX - 1 - left;
    }
    for (size_t i = 0; i < COUNT; i++) vsi_slab_give(&slab, slots[i]);
    for (uint32_t c = 0; c < CHUNKS; c++) gone_count += gone[c] = !vsi_slab_chunk(&slab, c)->memory;
    assert_in_range(gone_count, CHUNKS / 2, CHUNKS);
    for (size_t i = 0; i < COUNT; i++) {
      slots[i] = take();
      uint32_t c = (slots[i]->number - 1) / VSI_SLOTS_A_CHUNK;
      if (c >= CHUNKS || !gone[c]) continue;
      assert_true(left >= 2);
      assert_true(slots[i]->generation > UINT32_MAX - left);
    }
    for (size_t i = 0; i < COUNT; i++) vsi_slab_give(&slab, slots[i]);
    end_slab();
  }
}

static vestry_err take_many(test_host *host, void *ctx) {
  (void)ctx;
  vsi_slab own;
  vsi_slab_init(&own, &host->host, true);
  enum { COUNT = 1000 };
  static vsi_slot *slots[COUNT];
  size_t count = 0;
  vestry_err error = VESTRY_OK;
  while (count < COUNT && (slots[count] = vsi_slab_take(&own)) != NULL) count++;
  if (count < COUNT) {
    error = VESTRY_NO_MEMORY;
    for (size_t i = 0; i < count; i++) assert_ptr_equal(vsi_slab_at(&own, slots[i]->number), slots[i]);
    while (count < COUNT && (slots[count] = vsi_slab_take(&own)) != NULL) count++; /* memory is back */
    assert_int_equal(count, COUNT);
  }
  for (size_t i = 0; i < COUNT; i++)
    for (size_t k = i % 50 ? i : 0; k < i; k++) assert_ptr_not_equal(slots[i], slots[k]);
  while (count) vsi_slab_give(&own, slots[--count]);
  vsi_slab_finish(&own);
  return error;
}

static void without_memory_nothing_changes(void **state) {
  (void)state;
  test_host_fail_each(take_many, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_number_leads_to_its_slot),
      cmocka_unit_test(only_the_living_are_found),
      cmocka_unit_test(no_stay_is_like_another),
      cmocka_unit_test(memory_follows_the_living),
      cmocka_unit_test(giving_and_taking_in_turn_allocates_nothing),
      cmocka_unit_test(a_slot_whose_generations_are_used_up_retires),
      cmocka_unit_test(a_chunk_whose_generations_are_used_up_is_left_out),
      cmocka_unit_test(without_memory_nothing_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
