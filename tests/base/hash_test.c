/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include "support/test.h"

/* Nodes of one database pick rows by it: each value is that of every machine, and of every version. */
static void hashes_are_the_same_everywhere(void **state) {
  (void)state;
  assert_true(vsi_hash_bytes(0, "", 0) == 0);
  assert_true(vsi_hash_bytes(0, "room/7", 6) == UINT64_C(0x3d921053f2184de4));
  assert_true(vsi_hash_bytes(7, "a longer key of a job", 21) == UINT64_C(0x042f756f8ba974fd));
  assert_true(vsi_hash_word("abc", 3) == 0x636261);
  assert_true(vsi_hash_word("abcdefgh", 8) == UINT64_C(0x6867666564636261));
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hashes_are_the_same_everywhere)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
