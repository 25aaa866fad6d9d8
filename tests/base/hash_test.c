/* SPDX-License-Identifier: MIT */
#include "base/hash.h"

#include "support/test.h"

/* Nodes with a common database select rows by this hash, so each value must be the same on every machine and in every
 * version. */
TEST_CASE(hashes_have_fixed_values) {
  assert_true(vsi_hash_bytes(0, "", 0) == 0);
  assert_true(vsi_hash_bytes(0, "room/7", 6) == UINT64_C(0x3d921053f2184de4));
  assert_true(vsi_hash_bytes(7, "a longer key of a job", 21) == UINT64_C(0x042f756f8ba974fd));
  assert_true(vsi_hash_word("abc", 3) == 0x636261);
  assert_true(vsi_hash_word("abcdefgh", 8) == UINT64_C(0x6867666564636261));
}
