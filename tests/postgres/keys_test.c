/* SPDX-License-Identifier: MIT */
#include "data/postgres/keys.h"

#include "support/test.h"
#include "support/test_host.h"

static test_host th;

static vsi_postgres_key key_of(uint32_t number) {
  return (vsi_postgres_key){.relation = 16384 + number % 7,
                            .block = number / 7,
                            .offset = (uint16_t)(number % 3),
                            .kind = (uint16_t)(VSI_POSTGRES_ROW + number % 2)};
}

/* Before and after the set switches to hashing. */
TEST_CASE(key_is_stored_once) {
  vsi_postgres_keys set = {.count = 0};
  test_host_init(&th);
  for (uint32_t i = 0; i < 1000; i++) {
    assert_false(vsi_postgres_keys_have(&set, key_of(i)));
    assert_int_equal(vsi_postgres_keys_add(&set, &th.host, key_of(i)), VESTRY_OK);
    assert_int_equal(vsi_postgres_keys_add(&set, &th.host, key_of(i)), VESTRY_EXISTS);
    assert_int_equal(vsi_postgres_keys_add(&set, &th.host, key_of(0)), VESTRY_EXISTS);
    assert_int_equal(set.count, i + 1);
  }
  for (uint32_t i = 0; i < 1000; i++) {
    assert_true(vsi_postgres_keys_have(&set, key_of(i)));
    assert_true(vsi_postgres_keys_are_equal(set.keys[i], key_of(i)));
  }
  assert_false(vsi_postgres_keys_have(&set, key_of(1000)));
  vsi_postgres_keys_clear(&set, &th.host);
  assert_false(vsi_postgres_keys_have(&set, key_of(1)));
  test_host_assert_clean(&th);
}

/* A commit has one key for each sixteen rows of a block. */
TEST_CASE(written_rows_share_keys) {
  enum { ROWS = 300 };
  vsi_postgres_keys set = {.count = 0};
  test_host_init(&th);
  for (uint16_t row = 1; row <= ROWS; row++) {
    const vsi_postgres_key read = {16400, 3, row, VSI_POSTGRES_ROW};
    assert_false(vsi_postgres_keys_concern(&set, read));
    if (row % 3 == 0) continue;
    const vestry_err error = vsi_postgres_keys_add(&set, &th.host, vsi_postgres_written_key(16400, 3, row));
    assert_true(error == VESTRY_OK || error == VESTRY_EXISTS);
    assert_true(vsi_postgres_keys_concern(&set, read));
  }
  assert_int_equal(set.count, ROWS / 16 + 1);
  uint16_t found = 0;
  for (size_t i = 0; i < set.count; i++)
    for (unsigned bits = set.keys[i].offset; bits; bits &= bits - 1) {
      const vsi_postgres_key row = vsi_postgres_row_key(set.keys[i], bits);
      found += found % 3 == 1 ? 1 : found ? 2 : 1; /* 1, 2, 4, 5, 7, … */
      assert_true(vsi_postgres_keys_are_equal(row, (vsi_postgres_key){16400, 3, found, VSI_POSTGRES_ROW}));
    }
  assert_int_equal(found, ROWS - 1);
  assert_false(vsi_postgres_keys_concern(&set, (vsi_postgres_key){16400, 4, 1, VSI_POSTGRES_ROW}));
  assert_false(vsi_postgres_keys_concern(&set, (vsi_postgres_key){16401, 3, 1, VSI_POSTGRES_ROW}));
  assert_false(vsi_postgres_keys_concern(&set, (vsi_postgres_key){16400, 3, 0, VSI_POSTGRES_ROWS}));
  vsi_postgres_keys_clear(&set, &th.host);
  test_host_assert_clean(&th);
}

static vestry_err fill(test_host *host, void *ctx) {
  vsi_postgres_keys set = {.count = 0};
  vestry_err error = VESTRY_OK;
  for (uint32_t i = 0; i < 40 && !error; i++) {
    size_t before = set.count;
    error = vsi_postgres_keys_add(&set, &host->host, key_of(i));
    assert_int_equal(set.count, before + (error ? 0 : 1));
    assert_int_equal(vsi_postgres_keys_have(&set, key_of(i)), !error);
  }
  vsi_postgres_keys_clear(&set, &host->host);
  return error;
}

TEST_CASE(allocation_failure_leaves_the_set_unchanged) {
  test_host_fail_each(fill, NULL, false);
}
