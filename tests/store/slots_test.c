#include "store/slots.h"

#include "support/test.h"
#include "support/test_host.h"

static void numbers_find_their_object_only(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_slots slots;
  vsi_slots_init(&slots, &th.host, UINT32_MAX);
  static char objects[100];
  vsi_slot_number numbers[100];
  for (size_t i = 0; i < 100; i++) assert_int_equal(vsi_slots_take(&slots, &objects[i], &numbers[i]), VESTRY_OK);
  for (size_t i = 0; i < 100; i++) {
    assert_true(numbers[i] >> 32 != 0);
    assert_ptr_equal(vsi_slots_find(&slots, numbers[i]), &objects[i]);
    assert_ptr_equal(vsi_slots_at(&slots, (uint32_t)numbers[i]), &objects[i]);
  }
  vsi_slots_give(&slots, numbers[40]);
  assert_null(vsi_slots_find(&slots, numbers[40]));
  assert_null(vsi_slots_at(&slots, (uint32_t)numbers[40]));
  vsi_slot_number again;
  assert_int_equal(vsi_slots_take(&slots, &objects[0], &again), VESTRY_OK);
  assert_int_equal((uint32_t)again, (uint32_t)numbers[40]); /* the slot is used again, the number is not */
  assert_true(again != numbers[40]);
  assert_null(vsi_slots_find(&slots, numbers[40]));
  assert_null(vsi_slots_find(&slots, 0));
  assert_null(vsi_slots_find(&slots, UINT64_MAX));
  assert_null(vsi_slots_at(&slots, 100));
  vsi_slots_finish(&slots);
  test_host_assert_clean(&th);
}

static void a_slot_that_is_out_of_generations_is_retired(void **state) {
  (void)state;
  vsi_slots slots;
  vsi_slots_init(&slots, vestry_host_default(), UINT32_MAX);
  static char object;
  vsi_slot_number number, last;
  assert_int_equal(vsi_slots_take(&slots, &object, &number), VESTRY_OK);
  slots.items[0].generation = UINT32_MAX - 1; /* after four billion uses */
  vsi_slots_give(&slots, (uint64_t)(UINT32_MAX - 1) << 32);
  assert_int_equal(vsi_slots_take(&slots, &object, &last), VESTRY_OK);
  assert_true(last == (uint64_t)UINT32_MAX << 32);
  vsi_slots_give(&slots, last);
  assert_int_equal(vsi_slots_take(&slots, &object, &number), VESTRY_OK);
  assert_int_equal((uint32_t)number, 1);
  assert_null(vsi_slots_find(&slots, last));
  assert_null(vsi_slots_find(&slots, 0));
  vsi_slots_finish(&slots);
}

static void there_are_no_more_than_stated(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_slots slots;
  vsi_slots_init(&slots, &th.host, 11);
  static char object;
  vsi_slot_number number = 0;
  for (size_t i = 0; i < 11; i++) assert_int_equal(vsi_slots_take(&slots, &object, &number), VESTRY_OK);
  vsi_slot_number more = 77;
  assert_int_equal(vsi_slots_take(&slots, &object, &more), VESTRY_NO_MEMORY);
  assert_int_equal(more, 77);
  vsi_slots_give(&slots, number);
  assert_int_equal(vsi_slots_take(&slots, &object, &more), VESTRY_OK);
  vsi_slots_finish(&slots);
  test_host_assert_clean(&th);
}

static void growing_without_memory_changes_nothing(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_slots slots;
  vsi_slots_init(&slots, &th.host, UINT32_MAX);
  static char objects[9];
  vsi_slot_number numbers[9];
  for (size_t i = 0; i < 8; i++) assert_int_equal(vsi_slots_take(&slots, &objects[i], &numbers[i]), VESTRY_OK);
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  assert_int_equal(vsi_slots_take(&slots, &objects[8], &numbers[8]), VESTRY_NO_MEMORY);
  for (size_t i = 0; i < 8; i++) assert_ptr_equal(vsi_slots_find(&slots, numbers[i]), &objects[i]);
  assert_int_equal(vsi_slots_take(&slots, &objects[8], &numbers[8]), VESTRY_OK);
  vsi_slots_finish(&slots);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(numbers_find_their_object_only),
      cmocka_unit_test(a_slot_that_is_out_of_generations_is_retired),
      cmocka_unit_test(there_are_no_more_than_stated),
      cmocka_unit_test(growing_without_memory_changes_nothing),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
