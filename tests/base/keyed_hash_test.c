#include "base/keyed_hash.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static void fill_secret(unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES], uint64_t seed) {
  for (size_t i = 0; i < VSI_KEYED_HASH_SECRET_BYTES; i++) secret[i] = (unsigned char)random_next(&seed);
}

/* ------------------------------------------------------------------- AES as FIPS 197 defines it, step by step ---- */

static unsigned char times_x(unsigned char a) {
  return (unsigned char)(a << 1 ^ (a & 0x80 ? 0x1b : 0));
}

static unsigned char times(unsigned char a, unsigned char b) {
  unsigned char product = 0;
  for (; b; b >>= 1, a = times_x(a)) product ^= b & 1 ? a : 0;
  return product;
}

static unsigned char substitute(unsigned char a) {
  unsigned char inverse = 0;
  for (int b = 1; a && !inverse && b < 256; b++)
    if (times(a, (unsigned char)b) == 1) inverse = (unsigned char)b;
  unsigned char out = 0x63;
  for (int i = 0; i < 5; i++) out ^= (unsigned char)(inverse << i | inverse >> (8 - i));
  return out;
}

static void round_of_aes(unsigned char state[16], const unsigned char key[16]) {
  unsigned char shifted[16];
  for (int column = 0; column < 4; column++)
    for (int row = 0; row < 4; row++) shifted[4 * column + row] = substitute(state[4 * ((column + row) % 4) + row]);
  for (int column = 0; column < 4; column++)
    for (int row = 0; row < 4; row++) {
      const unsigned char *in = shifted + 4 * column;
      state[4 * column + row] = (unsigned char)(times(in[row], 2) ^ times(in[(row + 1) % 4], 3) ^ in[(row + 2) % 4] ^
                                                in[(row + 3) % 4] ^ key[4 * column + row]);
    }
}

static uint64_t by_definition(const unsigned char *secret, const uint64_t words[4]) {
  unsigned char sum[16] = {0};
  for (size_t block = 0; block < VSI_AES_BLOCKS; block++) {
    const unsigned char *keys = secret + 16 + block * 16 * (1 + VSI_AES_ROUNDS);
    unsigned char state[16];
    memcpy(state, &words[2 * block], sizeof state);
    for (int i = 0; i < 16; i++) state[i] ^= keys[i];
    for (size_t round = 1; round <= VSI_AES_ROUNDS; round++) round_of_aes(state, keys + 16 * round);
    for (int i = 0; i < 16; i++) sum[i] ^= state[i];
  }
  uint64_t hash;
  memcpy(&hash, sum, sizeof hash);
  return hash;
}

static void short_keys_take_four_rounds_of_aes(void **state) {
  (void)state;
  unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES];
  uint64_t random = 5;
  for (uint64_t seed = 1; seed <= 20; seed++) {
    fill_secret(secret, seed);
    vsi_keyed_hash hash;
    vsi_keyed_hash_load(&hash, secret);
    uint64_t words[4] = {random_next(&random), random_next(&random), random_next(&random) >> 8, seed};
    uint64_t got = vsi_keyed_hash_words(&hash, words[0], words[1], words[2], words[3]);
    if (hash.has_aes) assert_true(got == by_definition(secret, words));
    hash.has_aes = false;
    got = vsi_keyed_hash_words(&hash, words[0], words[1], words[2], words[3]);
    assert_true(got == vsi_siphash_1_3_words(vsi_siphash_key_load(secret), words[0], words[1], words[2], words[3]));
  }
}

/* --------------------------------------------------------------------------------------------- what it is for ---- */

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* How many of the sorted numbers equal the one before, when cut to their upper bits. */
static size_t alike(const uint64_t *numbers, size_t count, unsigned bits) {
  size_t found = 0;
  for (size_t i = 1; i < count; i++) found += numbers[i] >> (64 - bits) == numbers[i - 1] >> (64 - bits);
  return found;
}

/* Keys as users can make them: a counter in any place of them. Of 2^17, two pairs share 32 bits on average, and none
 * all 64. */
static void counters_do_not_collide(void **state) {
  (void)state;
  enum { COUNT = 1 << 17 };
  uint64_t *hashes = malloc(COUNT * sizeof *hashes);
  for (int aes = 0; aes < 2; aes++)
    for (int word = 0; word < 3; word++)
      for (unsigned shift = 0; shift <= 40; shift += 20) {
        unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES];
        fill_secret(secret, 7 + shift);
        vsi_keyed_hash hash;
        vsi_keyed_hash_load(&hash, secret);
        hash.has_aes &= aes;
        for (uint64_t i = 0; i < COUNT; i++) {
          uint64_t words[3] = {0, 0, 0};
          words[word] = i << (word == 2 ? shift / 2 : shift);
          hashes[i] = vsi_keyed_hash_words(&hash, words[0], words[1], words[2], 19);
        }
        qsort(hashes, COUNT, sizeof *hashes, by_value);
        assert_int_equal(alike(hashes, COUNT, 64), 0);
        assert_in_range(alike(hashes, COUNT, 32), 0, 16);
        for (size_t i = 0; i < COUNT; i++) hashes[i] = hashes[i] << 32 | hashes[i] >> 32;
        qsort(hashes, COUNT, sizeof *hashes, by_value);
        assert_in_range(alike(hashes, COUNT, 32), 0, 16);
      }
  free(hashes);
}

/* Each bit of a key changes each bit of the hash half of the time. */
static void every_bit_counts(void **state) {
  (void)state;
  enum { KEYS = 256 };
  for (size_t bit = 0; bit < 3 * 64 - 8; bit++) {
    size_t changed[64] = {0};
    uint64_t random = bit + 1;
    for (size_t i = 0; i < KEYS; i++) {
      unsigned char secret[VSI_KEYED_HASH_SECRET_BYTES];
      fill_secret(secret, random_next(&random));
      vsi_keyed_hash hash;
      vsi_keyed_hash_load(&hash, secret);
      uint64_t words[3] = {random_next(&random), random_next(&random), random_next(&random) >> 8};
      uint64_t before = vsi_keyed_hash_words(&hash, words[0], words[1], words[2], 23);
      words[bit / 64] ^= UINT64_C(1) << bit % 64;
      uint64_t difference = before ^ vsi_keyed_hash_words(&hash, words[0], words[1], words[2], 23);
      for (size_t out = 0; out < 64; out++) changed[out] += difference >> out & 1;
    }
    for (size_t out = 0; out < 64; out++) assert_in_range(changed[out], KEYS / 4, KEYS / 4 * 3);
  }
}

static void the_secret_is_the_hosts(void **state) {
  (void)state;
  test_host host;
  test_host_init(&host);
  vsi_keyed_hash first, second;
  assert_int_equal(vsi_keyed_hash_init(&first, &host.host), VESTRY_OK);
  assert_int_equal(vsi_keyed_hash_init(&second, &host.host), VESTRY_OK);
  assert_true(vsi_keyed_hash_words(&first, 1, 2, 3, 17) != vsi_keyed_hash_words(&second, 1, 2, 3, 17));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(short_keys_take_four_rounds_of_aes),
      cmocka_unit_test(counters_do_not_collide),
      cmocka_unit_test(every_bit_counts),
      cmocka_unit_test(the_secret_is_the_hosts),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
