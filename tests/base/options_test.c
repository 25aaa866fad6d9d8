/* SPDX-License-Identifier: MIT */
#include "base/options.h"

#include <stdint.h>

#include "support/test.h"

/* A struct as frozen, as known to this library, and as known to a later library. */
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

static void null_options_are_the_defaults(void **state) {
  known own = {1, 2, 3};
  assert_int_equal(take(&own, NULL), VESTRY_OK);
  assert_int_equal(own.first, 0);
  assert_int_equal(own.second, 0);
}

static void options_of_an_older_caller_are_zero_filled(void **state) {
  known own = {1, 2, 3};
  assert_int_equal(take(&own, &(frozen){sizeof(frozen), 7}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 0);
}

static void size_zero_is_the_frozen_struct(void **state) {
  known own;
  assert_int_equal(take(&own, &(known){0, 7, 8}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 0); /* not read: an older caller does not have it */
}

static void newer_caller_may_set_known_members_only(void **state) {
  known own;
  assert_int_equal(take(&own, &(later){sizeof(later), 7, 8, 0}), VESTRY_OK);
  assert_int_equal(own.first, 7);
  assert_int_equal(own.second, 8);
  assert_int_equal(take(&own, &(later){sizeof(later), 7, 8, 9}), VESTRY_INVALID);
}

static void invalid_size_is_refused(void **state) {
  known own;
  for (size_t size = 1; size < sizeof size; size++) assert_int_equal(take(&own, &(known){size, 7, 8}), VESTRY_INVALID);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(null_options_are_the_defaults),  cmocka_unit_test(options_of_an_older_caller_are_zero_filled),
      cmocka_unit_test(size_zero_is_the_frozen_struct), cmocka_unit_test(newer_caller_may_set_known_members_only),
      cmocka_unit_test(invalid_size_is_refused),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
