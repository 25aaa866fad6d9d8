/* SPDX-License-Identifier: MIT */
#include "base/keyed_hash.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static vsi_keyed_hash secret_of(uint64_t seed) {
  vsi_keyed_hash hash;
  uint64_t words[sizeof hash / sizeof(uint64_t)];
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) words[i] = random_next(&seed);
  memcpy(&hash, words, sizeof hash);
  hash.low |= 1;
  hash.high |= 1;
  hash.number |= 1;
  return hash;
}

/* The definition, with 128-bit products computed from halves. */
static void add_product(uint64_t a, uint64_t b, uint64_t *low, uint64_t *high) {
  uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
  uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (uint32_t)middle, product = a * b;
  *high += ah * bh + (middle >> 32) + (other >> 32) + (*low + product < product);
  *low += product;
}

TEST_CASE(hash_is_nh_and_a_multiply_shift) {
  uint64_t random = 3, words[VSI_KEYED_HASH_WORDS];
  for (size_t round = 0; round < 500; round++) {
    vsi_keyed_hash hash = secret_of(round);
    size_t count = 2 * random_below(&random, VSI_KEYED_HASH_WORDS / 2 + 1);
    uint64_t number = random_next(&random) >> 32, low = 0, high = 0;
    for (size_t i = 0; i < count; i++) words[i] = random_next(&random);
    for (size_t i = 0; i < count; i += 2)
      add_product(words[i] + hash.nh[i], words[i + 1] + hash.nh[i + 1], &low, &high);
    uint64_t expected = low * hash.low + high * hash.high + number * hash.number;
    assert_true(vsi_keyed_hash_words(&hash, words, count, number) == expected);
  }
}

TEST_CASE(long_keys_use_siphash) {
  enum { COUNT = VSI_KEYED_HASH_WORDS + 2 };
  vsi_keyed_hash hash = secret_of(1);
  uint64_t words[COUNT] = {1, 2, 3};
  uint64_t expected = vsi_siphash_1_3(hash.siphash, words, sizeof words) + 9 * hash.number;
  assert_true(vsi_keyed_hash_words(&hash, words, COUNT, 9) == expected);
}

static int by_value(const void *a, const void *b) {
  uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
  return x < y ? -1 : x > y;
}

/* Return how many of the sorted numbers have the same upper bits as the number before. */
static size_t alike(const uint64_t *numbers, size_t count, unsigned bits) {
  size_t found = 0;
  for (size_t i = 1; i < count; i++) found += numbers[i] >> (64 - bits) == numbers[i - 1] >> (64 - bits);
  return found;
}

/* Keys that users can create: a counter at any position. Of 2^17 keys, two pairs share 32 bits on average, and none all
 * 64. */
TEST_CASE(counter_keys_do_not_collide) {
  enum { COUNT = 1 << 17, WORDS = 6 };
  uint64_t *hashes = malloc(COUNT * sizeof *hashes);
  for (int word = 0; word <= WORDS; word++)
    for (unsigned shift = 0; shift <= 40; shift += 20) {
      vsi_keyed_hash hash = secret_of(7 + shift);
      for (uint64_t i = 0; i < COUNT; i++) {
        uint64_t words[WORDS] = {0};
        if (word < WORDS) words[word] = i << shift;
        hashes[i] = vsi_keyed_hash_words(&hash, words, WORDS, word < WORDS ? 19 : i);
      }
      qsort(hashes, COUNT, sizeof *hashes, by_value);
      assert_int_equal(alike(hashes, COUNT, 64), 0);
      assert_in_range(alike(hashes, COUNT, 32), 0, 24);
    }
  free(hashes);
}

/* Pairs that differ in one bit, or in an additional zero word, share the upper bits no more often than documented. */
TEST_CASE(similar_keys_rarely_share_a_home) {
  enum { SECRETS = 40000, HOME_BITS = 8 };
  for (size_t kind = 0; kind < 8; kind++) {
    size_t alike_count = 0;
    for (uint64_t seed = 0; seed < SECRETS; seed++) {
      vsi_keyed_hash hash = secret_of(seed * 8 + kind);
      uint64_t one[4] = {1, 2, 0, 0}, other[4] = {1, 2, 0, 0};
      if (kind < 6) other[kind % 2] ^= UINT64_C(1) << (kind / 2 * 31);
      uint64_t a = vsi_keyed_hash_words(&hash, one, 2, 5);
      uint64_t b = vsi_keyed_hash_words(&hash, other, kind == 6 ? 4 : 2, kind == 7 ? 6 : 5);
      alike_count += a >> (64 - HOME_BITS) == b >> (64 - HOME_BITS);
    }
    assert_in_range(alike_count, 0, 2 * SECRETS >> HOME_BITS); /* at most twice the rate of random collisions */
  }
}

TEST_CASE(secret_is_drawn_from_the_host) {
  test_host host;
  test_host_init(&host);
  vsi_keyed_hash first, second;
  assert_int_equal(vsi_keyed_hash_init(&first, &host.host), VESTRY_OK);
  assert_int_equal(vsi_keyed_hash_init(&second, &host.host), VESTRY_OK);
  uint64_t words[2] = {1, 2};
  assert_true(vsi_keyed_hash_words(&first, words, 2, 17) != vsi_keyed_hash_words(&second, words, 2, 17));
  assert_true(first.low & first.high & first.number & 1);
  atomic_store(&host.fail_random, true);
  assert_int_equal(vsi_keyed_hash_init(&first, &host.host), VESTRY_IO);
}
