/* SPDX-License-Identifier: MIT */
#include "base/array.h"

#include "support/test.h"
#include "support/test_host.h"

typedef struct numbers {
  uint32_t *items;
  size_t count, room;
} numbers;

static vestry_err add(const vestry_host *host, numbers *all, uint32_t number) {
  vestry_err error = VSI_ARRAY_RESERVE(host, all->items, all->count, all->room, 1);
  if (!error) all->items[all->count++] = number;
  return error;
}

/* Whichever allocation fails, existing items stay. */
static vestry_err fill(test_host *th, void *ctx) {
  numbers all = {NULL, 0, 0};
  vestry_err error = VESTRY_OK;
  for (uint32_t i = 0; i < 1000 && !error; i++) error = add(&th->host, &all, i);
  if (!error) assert_int_equal(all.count, 1000);
  for (uint32_t i = 0; i < all.count; i++) assert_int_equal(all.items[i], i);
  vsi_free(&th->host, all.items);
  return error;
}

TEST_CASE(growing_keeps_existing_items) {
  test_host_fail_each(fill, NULL, false);
}

HOST_CASE(array_capacity_doubles) {
  numbers all = {NULL, 0, 0};
  assert_int_equal(add(&th->host, &all, 1), VESTRY_OK);
  assert_int_equal(all.room, 16); /* 64 bytes */
  assert_int_equal(VSI_ARRAY_RESERVE(&th->host, all.items, all.count, all.room, 15), VESTRY_OK);
  assert_int_equal(all.room, 16);
  assert_int_equal(VSI_ARRAY_RESERVE(&th->host, all.items, all.count, all.room, 16), VESTRY_OK);
  assert_int_equal(all.room, 32);
  assert_int_equal(VSI_ARRAY_RESERVE(&th->host, all.items, all.count, all.room, 100), VESTRY_OK);
  assert_int_equal(all.room, 128);
  assert_int_equal(all.items[0], 1);
  vsi_free(&th->host, all.items);
}

/* The first items are stored inside their holder, and are moved with the others when there are more. */
static vestry_err fill_from_few(test_host *th, void *ctx) {
  uint32_t few[3];
  numbers all = {few, 0, 3};
  vestry_err error = VESTRY_OK;
  for (uint32_t i = 0; i < 1000 && !error; i++) {
    error = VSI_ARRAY_RESERVE_FROM(&th->host, few, all.items, all.count, all.room, 1);
    assert_int_equal(all.items == few, all.count < 3 || (error && all.count == 3));
    if (!error) all.items[all.count++] = i;
  }
  for (uint32_t i = 0; i < all.count; i++) assert_int_equal(all.items[i], i);
  assert_in_range(all.count, error ? 3 : 1000, 1000);
  assert_true(all.room >= all.count);
  VSI_ARRAY_FREE(&th->host, few, all.items);
  return error;
}

TEST_CASE(few_items_need_no_allocation) {
  test_host_fail_each(fill_from_few, NULL, false);
}

TEST_CASE(sizes_that_overflow_return_no_memory) {
  const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2, SIZE_MAX / sizeof(uint32_t)};
  test_host th;
  test_host_init(&th);
  numbers all = {NULL, 0, 0};
  assert_int_equal(add(&th.host, &all, 7), VESTRY_OK);
  const uint32_t *items = all.items;
  const size_t room = all.room;
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    assert_int_equal(VSI_ARRAY_RESERVE(&th.host, all.items, all.count, all.room, sizes[i]), VESTRY_NO_MEMORY);
    assert_ptr_equal(all.items, items);
    assert_int_equal(all.room, room);
  }
  vsi_free(&th.host, all.items);
  test_host_assert_clean(&th);
}
