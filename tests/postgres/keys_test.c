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
    const vsi_postgres_key key = key_of(i);
    assert_true(vsi_read_keys_are_equal(&set.keys[i], &key));
  }
  assert_false(vsi_postgres_keys_have(&set, key_of(1000)));
  vsi_postgres_keys_clear(&set, &th.host);
  assert_false(vsi_postgres_keys_have(&set, key_of(1)));
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
