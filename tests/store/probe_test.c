#include "store/probe.h"

#include <stdlib.h>

#include "runtime/random.h"
#include "store/scoped_key.h"
#include "support/test.h"
#include "support/test_host.h"

/* As from a host; what is done by AES is done by SipHash where there is none, and so the other way round. */
static vsi_keyed_hash hash_of(uint64_t seed, bool aes) {
  unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES];
  for (size_t i = 0; i < sizeof secret; i++) secret[i] = (unsigned char)random_next(&seed);
  vsi_keyed_hash hash;
  vsi_keyed_hash_load(&hash, secret);
  hash.has_aes &= aes;
  return hash;
}

static void a_key_of_any_length_has_its_keyed_hash(void **state) {
  (void)state;
  uint64_t random = 1;
  unsigned char data[40];
  for (int aes = 0; aes < 2; aes++)
    for (size_t len = 0; len <= sizeof data; len++)
      for (size_t round = 0; round < 20; round++) {
        for (size_t i = 0; i < len; i++) data[i] = round ? (unsigned char)random_next(&random) : 0;
        vsi_keyed_hash secret = hash_of(3, aes), another = hash_of(4, aes);
        vsi_probe probe, other;
        vsi_probe_init(&probe, &secret, data, len);
        /* of fewer than 16 bytes it is one of their words */
        if (len > VSI_SLOT_KEY_BYTES || (len >= 16 && !aes))
          assert_true(probe.hash == vsi_siphash_1_3(secret.siphash, data, len));
        assert_int_equal(probe.len, len);
        assert_int_equal(probe.slot_len, len <= VSI_SLOT_KEY_BYTES ? len : VSI_SLOT_OUTSIDE);
        vsi_probe_init(&other, &another, data, len);
        assert_true(other.hash != probe.hash);
        for (size_t shorter = 0; shorter < len; shorter++) { /* noughts at the end count */
          vsi_probe_init(&other, &secret, data, shorter);
          assert_true(other.hash != probe.hash);
        }
      }
}

/* The short cut and the long way must come to one key: what is put by one is looked up by the other. */
static void the_short_cut_comes_to_the_same_key(void **state) {
  (void)state;
  uint64_t random = 2;
  vsi_keyed_hash secret = hash_of(1, true);
  size_t direct_count = 0;
  for (size_t len = 0; len <= 24; len++)
    for (int type = VESTRY_KEY_INTEGER; type <= VESTRY_KEY_TUPLE; type++)
      for (size_t scope_len = 0; scope_len < 2; scope_len++) {
        unsigned char *data = malloc(len ? len : 1); /* of this length: the sanitizer watches its ends */
        for (size_t i = 0; i < len; i++) data[i] = (unsigned char)random_next(&random);
        vestry_key key = {.type = (vestry_key_type)type, .integer = 7, .data = data, .len = len};
        if (type == VESTRY_KEY_TUPLE) key.len = 0;
        vestry_scope scope = {"s", scope_len};
        vsi_probe direct, other;
        memset(&direct, 0xaa, sizeof direct);
        if (vsi_probe_direct(&direct, &secret, scope, &key)) {
          direct_count++;
          vsi_scoped_key scoped;
          assert_int_equal(vsi_scoped_key_init(&scoped, vestry_host_default(), scope, &key), VESTRY_OK);
          vsi_probe_init(&other, &secret, scoped.key.data, scoped.key.len);
          assert_true(direct.hash == other.hash);
          assert_memory_equal(direct.words, other.words, sizeof direct.words);
          assert_null(direct.data);
          assert_int_equal(direct.len, other.len);
          assert_int_equal(direct.slot_len, other.slot_len);
          vsi_scoped_key_finish(&scoped);
        } else {
          bool for_it = scope_len == 0 && len >= 8 && len <= 16;
          assert_false(for_it && (type == VESTRY_KEY_STRING || type == VESTRY_KEY_BYTES));
        }
        free(data);
      }
  assert_int_equal(direct_count, 9 * 2); /* lengths 8 to 16, strings and bytes */
  vsi_probe probe;
  vestry_key nothing = vestry_key_bytes(NULL, 8);
  assert_false(vsi_probe_direct(&probe, &secret, (vestry_scope){NULL, 0}, &nothing));
  assert_false(vsi_probe_direct(&probe, &secret, (vestry_scope){NULL, 0}, NULL));
}

static vsi_slot slot_of(const vsi_probe *probe) {
  vsi_slot slot;
  memset(&slot, 0, sizeof slot);
  slot.hash = (uint32_t)(probe->hash >> 32);
  slot.len = probe->slot_len;
  memcpy(slot.key, probe->words, sizeof slot.key);
  return slot;
}

static void one_byte_more_or_other_is_another_key(void **state) {
  (void)state;
  unsigned char data[VSI_SLOT_KEY_BYTES + 1] = {0};
  vsi_keyed_hash secret = hash_of(1, true);
  for (size_t len = 0; len <= VSI_SLOT_KEY_BYTES; len++) {
    vsi_probe probe, other;
    vsi_probe_init(&probe, &secret, data, len);
    vsi_slot slot = slot_of(&probe);
    assert_true(vsi_probe_matches(&probe, &slot));
    for (size_t i = 0; i < len; i++) {
      data[i] ^= 1;
      vsi_probe_init(&other, &secret, data, len);
      other.hash = probe.hash; /* were it alike */
      assert_false(vsi_probe_matches(&other, &slot));
      data[i] ^= 1;
    }
    vsi_probe_init(&other, &secret, data, len + 1); /* a nought more */
    other.hash = probe.hash;
    assert_false(vsi_probe_matches(&other, &slot));
    other = probe;
    other.hash ^= UINT64_C(1) << 40;
    assert_false(vsi_probe_matches(&other, &slot));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_key_of_any_length_has_its_keyed_hash),
      cmocka_unit_test(the_short_cut_comes_to_the_same_key),
      cmocka_unit_test(one_byte_more_or_other_is_another_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
