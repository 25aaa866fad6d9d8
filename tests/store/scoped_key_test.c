/* SPDX-License-Identifier: MIT */
#include "store/scoped_key.h"

#include <stdlib.h>

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static vsi_keyed_hash hash;

static int draw_secret(void **state) {
  return vsi_keyed_hash_init(&hash, vestry_host_default());
}

static void scope_and_key_bytes_are_delimited(void **state) {
  static const struct {
    const char *scope;
    vestry_key_type type;
    const char *key;
  } cases[] = {
      {"", VESTRY_KEY_STRING, "ab"},
      {"a", VESTRY_KEY_STRING, "b"},
      {"ab", VESTRY_KEY_STRING, ""},
      {"\x02\x01", VESTRY_KEY_STRING, "b"},
      {"\x02\x01"
       "b",
       VESTRY_KEY_STRING, "b"},
      {"a", VESTRY_KEY_BYTES, "b"},
  };
  enum { COUNT = sizeof cases / sizeof *cases };
  vsi_scoped_key scoped[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    vestry_key key = {.type = cases[i].type, .data = cases[i].key, .len = strlen(cases[i].key)};
    vestry_scope scope = {cases[i].scope, strlen(cases[i].scope)};
    assert_int_equal(vsi_scoped_key_init(&scoped[i], &hash, vestry_host_default(), scope, &key), VESTRY_OK);
    assert_int_equal(scoped[i].key->scope.len, scope.len);
    assert_memory_equal(scoped[i].key->scope.data, scope.data, scope.len);
    assert_true(vsi_scoped_key_is_of(scoped[i].key, &scope));
    assert_false(vsi_scoped_key_is_of(scoped[i].key, &(vestry_scope){"zz", 2}));
    for (size_t j = 0; j < i; j++)
      assert_false(scoped[i].key->len == scoped[j].key->len &&
                   memcmp(scoped[i].key->data, scoped[j].key->data, scoped[i].key->len) == 0);
  }
  for (size_t i = 0; i < COUNT; i++) vsi_scoped_key_finish(&scoped[i]);
}

/* For any key, the bytes are those of vestry_key_encode, and the fast and the slow path produce the same bytes, words
 * and hash. */
static unsigned char bytes[160];

static vestry_key some_leaf(uint64_t *random) {
  uint64_t bits = random_next(random), size = random_below(random, 64);
  if (bits % 3 == 0) return vestry_key_integer((int64_t)(random_next(random) >> size));
  vestry_key leaf = vestry_key_bytes(bytes + bits % 7, random_below(random, bits % 5 ? 20 : 150));
  if (bits % 3 == 1) leaf.type = VESTRY_KEY_STRING;
  return leaf;
}

static void fast_and_slow_path_make_equal_keys(void **state) {
  uint64_t random = 11;
  size_t usual = 0;
  for (size_t i = 0; i < sizeof bytes; i++) bytes[i] = (unsigned char)random_next(&random);
  for (size_t i = 0; i < 20000; i++) {
    vestry_key parts[5], tuple = vestry_key_tuple(parts, random_below(&random, 6));
    for (size_t k = 0; k < 5; k++) parts[k] = some_leaf(&random);
    vestry_key key = i % 4 ? tuple : parts[0];
    vestry_scope scope = {bytes, random_below(&random, 70)};
    vsi_scoped_key one, other;
    memset(&one, 0xa5, sizeof one);
    memset(&other, 0x5a, sizeof other);
    assert_int_equal(vsi_scoped_key_init(&one, &hash, vestry_host_default(), scope, &key), VESTRY_OK);
    unsigned char encoded[1024];
    size_t len;
    assert_int_equal(vestry_key_encode(&key, encoded, sizeof encoded, &len), VESTRY_OK);
    const vestry_slice slice = {encoded, len};
    assert_int_equal(vsi_scoped_key_init_encoded(&other, &hash, vestry_host_default(), scope, slice), VESTRY_OK);
    assert_int_equal(one.key->len - one.key->key_offset, len);
    assert_memory_equal(one.key->data + one.key->key_offset, encoded, len);
    assert_int_equal(one.key->len, other.key->len);
    assert_memory_equal(one.key->data, other.key->data, one.key->len);
    uint32_t lens = vsi_scoped_key_lens(one.key);
    assert_memory_equal(vsi_scoped_key_words(one.key), vsi_scoped_key_words(other.key), vsi_lens_words(lens) * 8);
    assert_true(one.key->hash == other.key->hash);
    usual += one.host != vestry_host_default(); /* only the slow path needs it */
    vsi_scoped_key_finish(&one);
    vsi_scoped_key_finish(&other);
  }
  assert_true(usual > 10000);
}

static void copied_key_can_be_read(void **state) {
  vsi_scoped_key scoped;
  const vestry_key *key = VESTRY_KEY("counter", 7);
  vestry_scope scope = {"somebody's", 10};
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, vestry_host_default(), scope, key), VESTRY_OK);
  unsigned char copy[65];
  memcpy(copy + 1, scoped.key->data, scoped.key->len); /* unaligned */
  vestry_scoped_key read = vestry_scoped_key_read(copy + 1, scoped.key->len);
  assert_int_equal(read.len, scoped.key->len);
  assert_int_equal(read.key_offset, scoped.key->key_offset);
  assert_true(vsi_scoped_key_is_of(&read, &scope));
  char text[32];
  assert_int_equal(vestry_key_format(read.data + read.key_offset, read.len - read.key_offset, text, 32, NULL),
                   VESTRY_OK);
  assert_string_equal(text, "[\"counter\",7]");
}

static void long_scoped_keys_are_allocated(void **state) {
  static char data[VESTRY_KEY_MAX_BYTES], scope[VESTRY_SCOPE_MAX_BYTES + 1];
  test_host th;
  test_host_init(&th);
  vsi_scoped_key scoped;
  vestry_key longest = vestry_key_bytes(data, VESTRY_KEY_MAX_BYTES - 4);
  vestry_scope full = {scope, VESTRY_SCOPE_MAX_BYTES};
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, full, &longest), VESTRY_OK);
  assert_int_equal(atomic_load(&th.live), 1);
  assert_int_equal(scoped.key->len, 4 + VESTRY_SCOPE_MAX_BYTES + VESTRY_KEY_MAX_BYTES);
  vsi_scoped_key_finish(&scoped);
  for (size_t len = 0; len < 300; len++) { /* across the end of the stack buffer */
    vestry_key key = vestry_key_bytes(data, len);
    assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, (vestry_scope){scope, 300 - len}, &key), VESTRY_OK);
    assert_memory_equal(scoped.key->data + scoped.key->len - len, data, len);
    vsi_scoped_key_finish(&scoped);
  }
  vestry_key small = vestry_key_integer(1);
  long before = atomic_load(&th.allocations);
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, (vestry_scope){scope, 64}, &small), VESTRY_OK);
  vsi_scoped_key_finish(&scoped);
  assert_int_equal(atomic_load(&th.allocations), before);
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, (vestry_scope){scope, sizeof scope}, &small),
                   VESTRY_TOO_LARGE);
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, (vestry_scope){NULL, 1}, &small), VESTRY_INVALID);
  test_host_fail_in(&th, 0);
  assert_int_equal(vsi_scoped_key_init(&scoped, &hash, &th.host, full, &longest), VESTRY_NO_MEMORY);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(scope_and_key_bytes_are_delimited),
      cmocka_unit_test(fast_and_slow_path_make_equal_keys),
      cmocka_unit_test(copied_key_can_be_read),
      cmocka_unit_test(long_scoped_keys_are_allocated),
  };
  return cmocka_run_group_tests(tests, draw_secret, NULL);
}
