#include "registry/request/key_copy.h"

#include <stdlib.h>

#include "base/memory.h"
#include "support/test.h"
#include "support/test_host.h"

static void assert_same(const vestry_key *a, const vestry_key *b) {
  unsigned char encoded_a[512], encoded_b[512];
  size_t len_a, len_b;
  assert_int_equal(vestry_key_encode(a, encoded_a, sizeof encoded_a, &len_a), VESTRY_OK);
  assert_int_equal(vestry_key_encode(b, encoded_b, sizeof encoded_b, &len_b), VESTRY_OK);
  assert_int_equal(len_a, len_b);
  assert_memory_equal(encoded_a, encoded_b, len_a);
}

static void copies_all_kinds_and_borrows_nothing(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  char text[] = "counter", bytes[] = {0, 1, 2};
  vestry_key inner[] = {vestry_key_integer(-5), vestry_key_bytes(bytes, 3), vestry_key_tuple(NULL, 0)};
  vestry_key parts[] = {vestry_key_string(text), vestry_key_tuple(inner, 3), vestry_key_string(""),
                        vestry_key_integer(INT64_MIN)};
  vestry_key key = vestry_key_tuple(parts, 4), *copy = NULL;
  assert_int_equal(vsi_key_copy(&th.host, &key, &copy), VESTRY_OK);
  assert_same(&key, copy);
  unsigned char before[512], after[512];
  size_t len;
  assert_int_equal(vestry_key_encode(copy, before, sizeof before, &len), VESTRY_OK);
  memset(text, 'x', sizeof text - 1);
  memset(bytes, 9, sizeof bytes);
  memset(inner, 0, sizeof inner);
  memset(parts, 0, sizeof parts);
  assert_int_equal(vestry_key_encode(copy, after, sizeof after, &len), VESTRY_OK);
  assert_memory_equal(before, after, len);
  vsi_free(&th.host, copy);
  test_host_assert_clean(&th);
}

static void refuses_what_no_store_would_take(void **state) {
  (void)state;
  vestry_key *copy = NULL;
  vestry_key none = vestry_key_string(NULL);
  assert_int_equal(vsi_key_copy(vestry_host_default(), &none, &copy), VESTRY_INVALID);
  vestry_key deep = vestry_key_integer(1);
  vestry_key levels[VESTRY_KEY_MAX_DEPTH + 1];
  for (size_t i = 0; i <= VESTRY_KEY_MAX_DEPTH; i++) {
    levels[i] = deep;
    deep = vestry_key_tuple(&levels[i], 1);
  }
  assert_int_equal(vsi_key_copy(vestry_host_default(), &deep, &copy), VESTRY_TOO_LARGE);
  char *long_text = calloc(1, VESTRY_KEY_MAX_BYTES + 1);
  vestry_key large = vestry_key_bytes(long_text, VESTRY_KEY_MAX_BYTES + 1);
  assert_int_equal(vsi_key_copy(vestry_host_default(), &large, &copy), VESTRY_TOO_LARGE);
  free(long_text);
  assert_null(copy);
}

static vestry_err copy_one(test_host *th, void *ctx) {
  (void)ctx;
  vestry_key key = VESTRY_KEY("counter", 1, VESTRY_KEY("x", "y")), *copy = NULL;
  vestry_err error = vsi_key_copy(&th->host, &key, &copy);
  if (error) assert_null(copy);
  vsi_free(&th->host, copy);
  return error;
}

static void survives_every_allocation_failure(void **state) {
  (void)state;
  test_host_fail_each(copy_one, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(copies_all_kinds_and_borrows_nothing),
      cmocka_unit_test(refuses_what_no_store_would_take),
      cmocka_unit_test(survives_every_allocation_failure),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
