#include "base/siphash.h"

#include "support/test.h"

/* Key and message are the bytes 0, 1, 2 …, as in the paper's appendix, whose example is the message of 15 bytes. The
 * authors publish vectors of 2-4 rounds only; these were made with OpenSSL's implementation, which gives those too
 * (openssl mac -macopt size:8 -macopt c-rounds:1 -macopt d-rounds:3 … SIPHASH). */
static const struct {
  size_t len;
  uint64_t hash;
} vectors[] = {
    {0, UINT64_C(0xabac0158050fc4dc)}, {1, UINT64_C(0xc9f49bf37d57ca93)},  {7, UINT64_C(0xd3927d989bb11140)},
    {8, UINT64_C(0x369095118d299a8e)}, {15, UINT64_C(0xd320d86d2a519956)}, {63, UINT64_C(0x9d199062b7bbb3a8)},
};

static void agrees_with_openssl(void **state) {
  (void)state;
  unsigned char bytes[64];
  for (unsigned char i = 0; i < sizeof bytes; i++) bytes[i] = i;
  vsi_siphash_key key = vsi_siphash_key_load(bytes);
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    assert_true(vsi_siphash_1_3(key, bytes, vectors[i].len) == vectors[i].hash);
  }
}

static void reads_from_any_address(void **state) {
  (void)state;
  unsigned char bytes[40] = {0};
  vsi_siphash_key key = {1, 2};
  for (size_t shift = 0; shift < 8; shift++) {
    memset(bytes, 0xee, sizeof bytes);
    memcpy(bytes + shift, "an unaligned run of bytes", 25);
    assert_true(vsi_siphash_1_3(key, bytes + shift, 25) == vsi_siphash_1_3(key, "an unaligned run of bytes", 25));
  }
}

static void depends_on_the_key_and_the_length(void **state) {
  (void)state;
  static const unsigned char zeros[9] = {0};
  assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, "abc", 3) != vsi_siphash_1_3((vsi_siphash_key){1, 3}, "abc", 3));
  for (size_t len = 0; len + 1 < sizeof zeros; len++)
    assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, zeros, len) !=
                vsi_siphash_1_3((vsi_siphash_key){1, 2}, zeros, len + 1));
  assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, NULL, 0) == vsi_siphash_1_3((vsi_siphash_key){1, 2}, "", 0));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(agrees_with_openssl),
      cmocka_unit_test(reads_from_any_address),
      cmocka_unit_test(depends_on_the_key_and_the_length),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
