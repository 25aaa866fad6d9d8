/* SPDX-License-Identifier: MIT */
#include "base/siphash.h"

#include "base/siphash.h"

#include "support/test.h"

/* Key and message are the bytes 0, 1, 2 …, as in the appendix of the paper, whose example is the message of 15 bytes.
 * The authors publish vectors of 2-4 rounds only. These were made with OpenSSL's implementation, which also reproduces
 * the published ones (openssl mac -macopt size:8 -macopt c-rounds:1 -macopt d-rounds:3 … SIPHASH). */
static const struct {
  size_t len;
  uint64_t hash;
} vectors[] = {
    {0, UINT64_C(0xabac0158050fc4dc)}, {1, UINT64_C(0xc9f49bf37d57ca93)},  {7, UINT64_C(0xd3927d989bb11140)},
    {8, UINT64_C(0x369095118d299a8e)}, {15, UINT64_C(0xd320d86d2a519956)}, {63, UINT64_C(0x9d199062b7bbb3a8)},
};

TEST_CASE(siphash_agrees_with_openssl) {
  unsigned char bytes[64];
  for (unsigned char i = 0; i < sizeof bytes; i++) bytes[i] = i;
  vsi_siphash_key key = vsi_siphash_key_load(bytes);
  for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
    assert_true(vsi_siphash_1_3(key, bytes, vectors[i].len) == vectors[i].hash);
  }
}

TEST_CASE(siphash_reads_unaligned_input) {
  unsigned char bytes[40] = {0};
  vsi_siphash_key key = {1, 2};
  for (size_t shift = 0; shift < 8; shift++) {
    memset(bytes, 0xee, sizeof bytes);
    memcpy(bytes + shift, "an unaligned run of bytes", 25);
    assert_true(vsi_siphash_1_3(key, bytes + shift, 25) == vsi_siphash_1_3(key, "an unaligned run of bytes", 25));
  }
}

TEST_CASE(siphash_depends_on_key_and_length) {
  static const unsigned char zeros[9] = {0};
  assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, "abc", 3) != vsi_siphash_1_3((vsi_siphash_key){1, 3}, "abc", 3));
  for (size_t len = 0; len + 1 < sizeof zeros; len++)
    assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, zeros, len) !=
                vsi_siphash_1_3((vsi_siphash_key){1, 2}, zeros, len + 1));
  assert_true(vsi_siphash_1_3((vsi_siphash_key){1, 2}, NULL, 0) == vsi_siphash_1_3((vsi_siphash_key){1, 2}, "", 0));
}

/* The bytes in their order, from the authors' vectors for 128 bits, which OpenSSL's implementation reproduces. */
static const struct {
  size_t len;
  unsigned char hash[16];
} vectors_128[] = {
    {0, {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6, 0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93}},
    {1, {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44, 0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45}},
    {7, {0xa1, 0xf1, 0xeb, 0xbe, 0xd8, 0xdb, 0xc1, 0x53, 0xc0, 0xb8, 0x4a, 0xa6, 0x1f, 0xf0, 0x82, 0x39}},
    {8, {0x3b, 0x62, 0xa9, 0xba, 0x62, 0x58, 0xf5, 0x61, 0x0f, 0x83, 0xe2, 0x64, 0xf3, 0x14, 0x97, 0xb4}},
    {15, {0x54, 0x93, 0xe9, 0x99, 0x33, 0xb0, 0xa8, 0x11, 0x7e, 0x08, 0xec, 0x0f, 0x97, 0xcf, 0xc3, 0xd9}},
    {16, {0x6e, 0xe2, 0xa4, 0xca, 0x67, 0xb0, 0x54, 0xbb, 0xfd, 0x33, 0x15, 0xbf, 0x85, 0x23, 0x05, 0x77}},
    {63, {0x51, 0x50, 0xd1, 0x77, 0x2f, 0x50, 0x83, 0x4a, 0x50, 0x3e, 0x06, 0x9a, 0x97, 0x3f, 0xbd, 0x7c}},
};

TEST_CASE(siphash_128_agrees_with_the_authors_vectors) {
  unsigned char bytes[64];
  for (unsigned char i = 0; i < sizeof bytes; i++) bytes[i] = i;
  for (size_t i = 0; i < sizeof vectors_128 / sizeof *vectors_128; i++) {
    vsi_hash_128 made = vsi_siphash_128_of(vsi_siphash_key_load(bytes), bytes, vectors_128[i].len);
    vsi_siphash_key as_words = vsi_siphash_key_load(vectors_128[i].hash); /* the bytes as two words */
    assert_true(vsi_hash_128_equal(made, (vsi_hash_128){as_words.k0, as_words.k1}));
  }
}

/* In three pieces of any length, also empty, with intermediate results. */
TEST_CASE(hash_of_pieces_equals_hash_of_the_whole) {
  char text[41];
  for (size_t i = 0; i < sizeof text; i++) text[i] = (char)(i * 37);
  vsi_siphash_key key = {3, 4};
  vsi_hash_128 whole = vsi_siphash_128_of(key, text, sizeof text);
  for (size_t first = 0; first <= sizeof text; first++)
    for (size_t second = first; second <= sizeof text; second++) {
      vsi_siphash_128 hasher;
      vsi_siphash_128 pieces;
      vsi_siphash_128_init(&hasher, key);
      vsi_siphash_128_update(&hasher, text, first);
      assert_true(vsi_hash_128_equal(vsi_siphash_128_final(&hasher), vsi_siphash_128_of(key, text, first)));
      vsi_siphash_128_update(&hasher, text + first, second - first);
      vsi_siphash_128_update(&hasher, NULL, 0);
      vsi_siphash_128_update(&hasher, text + second, sizeof text - second);
      vsi_siphash_pieces_init(&pieces, key);
      vsi_siphash_pieces_update(&pieces, text, first);
      assert_int_equal(vsi_siphash_pieces_final(&pieces), vsi_siphash_1_3(key, text, first));
      vsi_siphash_pieces_update(&pieces, text + first, second - first);
      vsi_siphash_pieces_update(&pieces, text + second, sizeof text - second);
      assert_int_equal(vsi_siphash_pieces_final(&pieces), vsi_siphash_1_3(key, text, sizeof text));
      assert_true(vsi_hash_128_equal(vsi_siphash_128_final(&hasher), whole));
    }
}

TEST_CASE(each_bit_changes_the_128_bit_hash) {
  unsigned char bytes[64] = {0};
  vsi_siphash_key key = {5, 6};
  vsi_hash_128 before = vsi_siphash_128_of(key, bytes, sizeof bytes);
  assert_false(vsi_hash_128_equal(vsi_siphash_128_of((vsi_siphash_key){5, 7}, bytes, sizeof bytes), before));
  assert_false(vsi_hash_128_equal(vsi_siphash_128_of(key, bytes, sizeof bytes - 1), before));
  for (size_t bit = 0; bit < 8 * sizeof bytes; bit++) {
    bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    vsi_hash_128 made = vsi_siphash_128_of(key, bytes, sizeof bytes);
    assert_true(made.low != before.low && made.high != before.high);
    bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
  }
}
