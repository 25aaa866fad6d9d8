/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <stdint.h>

#include "support/test.h"

/* A struct as it was frozen, as this library knows it, and as a later one does. */
typedef struct frozen {
  size_t size;
  uint64_t first;
} frozen;
typedef struct known {
  size_t size;
  uint64_t first, second;
} known;
typedef struct later {
  size_t size;
  uint64_t first, second, third;
} later;

static vestry_err take(known *own, const void *given) {
  return vsi_options_take(own, sizeof *own, sizeof(frozen), given);
}

static void test_none_are_the_defaults(void **state) {
  (void)state;
  known own = {1, 2, 3};
  assert_int_equal(take(&own, NULL), VESTRY_OK);
  assert_int_equal(own.first, 0);
  assert_int_equal(own.second, 0);
}

static void test_an_older_caller_leaves_the_rest_at_zero(void **state) {
  (void)state;
  known own = {1, 2, 3};
  assert_int_equal(take(&own, &(frozen){sizeof(frozen), 7}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 0);
}

static void test_no_size_is_the_frozen_struct(void **state) {
  (void)state;
  known own;
  assert_int_equal(take(&own, &(known){0, 7, 8}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 0); /* not read: an older caller has none */
}

static void test_a_newer_caller_may_use_what_is_known(void **state) {
  (void)state;
  known own;
  assert_int_equal(take(&own, &(later){sizeof(later), 7, 8, 0}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 8);
  assert_int_equal(take(&own, &(later){sizeof(later), 7, 8, 9}), VESTRY_INVALID);
}

static void test_a_size_that_is_none_is_refused(void **state) {
  (void)state;
  known own;
  for (size_t size = 1; size < sizeof size; size++) assert_int_equal(take(&own, &(known){size, 7, 8}), VESTRY_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(test_none_are_the_defaults),
      cmocka_unit_test(test_an_older_caller_leaves_the_rest_at_zero),
      cmocka_unit_test(test_no_size_is_the_frozen_struct),
      cmocka_unit_test(test_a_newer_caller_may_use_what_is_known),
      cmocka_unit_test(test_a_size_that_is_none_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
