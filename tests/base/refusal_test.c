/* SPDX-License-Identifier: MIT */
#include "vestry/refusal.h"

#include "support/test.h"

TEST_CASE(each_refusal_has_its_own_name) {
  for (int i = 0; i < VESTRY_REFUSAL_COUNT; i++) {
    const char *name = vestry_refusal_name((vestry_refusal)i);
    assert_string_not_equal(name, "unknown");
    for (int j = 0; j < i; j++) assert_string_not_equal(name, vestry_refusal_name((vestry_refusal)j));
  }
  assert_string_equal(vestry_refusal_name(VESTRY_REFUSAL_DEADLINE), "deadline");
  assert_string_equal(vestry_refusal_name(VESTRY_REFUSAL_COUNT), "unknown");
  assert_string_equal(vestry_refusal_name((vestry_refusal)1000), "unknown");
}
