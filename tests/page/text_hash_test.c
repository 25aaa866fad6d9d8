/* SPDX-License-Identifier: MIT */
#include "app/page/text_hash.h"

#include <stdlib.h>
#include <string.h>

#include "runtime/random.h"
#include "support/test.h"

enum { TEXT_BYTES = 3 * VSI_TEXT_HASH_BLOCK + 40 };

static const vsi_siphash_key secret = {11, 12};

static void fill(unsigned char *text, size_t len, uint64_t seed) {
  for (size_t i = 0; i < len; i++) text[i] = (unsigned char)random_next(&seed);
}

/* The definition, with 128-bit products computed from halves. */
static void add_product(uint64_t a, uint64_t b, uint64_t *low, uint64_t *high) {
  uint64_t al = (uint32_t)a, ah = a >> 32, bl = (uint32_t)b, bh = b >> 32;
  uint64_t middle = ah * bl + (al * bl >> 32), other = al * bh + (uint32_t)middle, product = a * b;
  *high += ah * bh + (middle >> 32) + (other >> 32) + (*low + product < product);
  *low += product;
}

static uint64_t word(const unsigned char *text, size_t len, size_t at) {
  uint64_t made = 0;
  for (size_t i = 0; i < 8 && at + i < len; i++) made |= (uint64_t)text[at + i] << 8 * i;
  return made;
}

static void put(unsigned char *to, uint64_t number) {
  for (size_t i = 0; i < 8; i++) to[i] = (unsigned char)(number >> 8 * i);
}

/* Append the sum of a block and its length. */
static size_t put_block(const vsi_text_key *key, const unsigned char *text, size_t len, unsigned char *to) {
  uint64_t low = 0, high = 0;
  for (size_t at = 0, i = 0; at < len; at += 16, i += 2)
    add_product(word(text, len, at) + key->nh[i], word(text, len, at + 8) + key->nh[i + 1], &low, &high);
  put(to, low);
  put(to + 8, high);
  put(to + 16, len);
  return 24;
}

TEST_CASE(hash_is_siphash_of_nh_sums) {
  static unsigned char text[TEXT_BYTES];
  unsigned char sums[24 * 4];
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  fill(text, sizeof text, 1);
  for (size_t len = 0; len <= sizeof text; len += len < 70 || len % VSI_TEXT_HASH_BLOCK > 1000 ? 1 : 53) {
    size_t sums_len = 0;
    for (size_t at = 0; at < len; at += VSI_TEXT_HASH_BLOCK) {
      size_t block = len - at < VSI_TEXT_HASH_BLOCK ? len - at : VSI_TEXT_HASH_BLOCK;
      sums_len += put_block(&key, text + at, block, sums + sums_len);
    }
    assert_true(vsi_hash_128_equal(vsi_text_hash_of(&key, text, len), vsi_siphash_128_of(key.sums, sums, sums_len)));
  }
}

TEST_CASE(each_bit_and_each_length_change_the_hash) {
  static unsigned char text[VSI_TEXT_HASH_BLOCK + 24];
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  for (int round = 0; round < 2; round++) { /* zeros, then other bytes */
    vsi_hash_128 before = vsi_text_hash_of(&key, text, sizeof text);
    for (size_t bit = 0; bit < 8 * sizeof text; bit++) {
      text[bit / 8] ^= (unsigned char)(1 << bit % 8);
      vsi_hash_128 made = vsi_text_hash_of(&key, text, sizeof text);
      assert_true(made.low != before.low && made.high != before.high);
      text[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof text; len++) {
      vsi_hash_128 one = vsi_text_hash_of(&key, text, len), more = vsi_text_hash_of(&key, text, len + 1);
      assert_true(one.low != more.low && one.high != more.high);
    }
    fill(text, sizeof text, 3);
  }
}

/* The same for the hidden hash, which is SipHash-1-3 of the word and the sums. */
TEST_CASE(hidden_hash_is_siphash_of_word_and_sums) {
  static unsigned char text[TEXT_BYTES];
  unsigned char words[8 + 24 * 4];
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  fill(text, sizeof text, 2);
  for (size_t len = 0; len <= sizeof text; len += len < 70 || len % VSI_TEXT_HASH_BLOCK > 1000 ? 1 : 53) {
    size_t words_len = 8;
    put(words, len * 7919);
    for (size_t at = 0; at < len; at += VSI_TEXT_HASH_BLOCK) {
      size_t block = len - at < VSI_TEXT_HASH_BLOCK ? len - at : VSI_TEXT_HASH_BLOCK;
      words_len += put_block(&key, text + at, block, words + words_len);
    }
    vsi_sip s = vsi_sip_begin(key.sums);
    for (size_t at = 0; at < words_len; at += 8) vsi_sip_take(&s, word(words, words_len, at), 1);
    assert_true(vsi_text_hash_hidden(&key, len * 7919, text, len) == vsi_sip_end(&s, 0xff, 3));
  }
}

TEST_CASE(blocks_in_another_order_have_another_hash) {
  static unsigned char text[2 * VSI_TEXT_HASH_BLOCK], swapped[2 * VSI_TEXT_HASH_BLOCK];
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  fill(text, sizeof text, 4);
  memcpy(swapped, text + VSI_TEXT_HASH_BLOCK, VSI_TEXT_HASH_BLOCK);
  memcpy(swapped + VSI_TEXT_HASH_BLOCK, text, VSI_TEXT_HASH_BLOCK);
  assert_false(
      vsi_hash_128_equal(vsi_text_hash_of(&key, text, sizeof text), vsi_text_hash_of(&key, swapped, sizeof swapped)));
}

TEST_CASE(equal_pieces_have_equal_hashes) {
  unsigned char text[100], moved[108];
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  fill(text, sizeof text, 5);
  for (size_t first = 0; first <= sizeof text; first++) {
    vsi_text_hash one, other;
    memcpy(moved + first % 8, text, sizeof text); /* at any alignment */
    vsi_text_hash_init(&one, &key);
    vsi_text_hash_init(&other, &key);
    vsi_text_hash_update(&one, text, first);
    vsi_text_hash_update(&other, NULL, 0);
    vsi_text_hash_update(&other, moved + first % 8, first);
    assert_true(vsi_hash_128_equal(vsi_text_hash_final(&one), vsi_text_hash_of(&key, text, first)));
    vsi_text_hash_update(&one, text + first, sizeof text - first);
    vsi_text_hash_update(&other, moved + first % 8 + first, sizeof text - first);
    assert_true(vsi_hash_128_equal(vsi_text_hash_final(&one), vsi_text_hash_final(&other)));
  }
}

static int by_low(const void *a, const void *b) {
  uint64_t x = ((const vsi_hash_128 *)a)->low, y = ((const vsi_hash_128 *)b)->low;
  return x < y ? -1 : x > y;
}

/* Texts as users write them, which differ in a number. Of 2^16 texts, no two share 64 bits. */
TEST_CASE(similar_texts_do_not_collide) {
  enum { COUNT = 1 << 16 };
  vsi_hash_128 *hashes = malloc(COUNT * sizeof *hashes);
  vsi_text_key key;
  vsi_text_key_derive(&key, secret);
  for (int i = 0; i < COUNT; i++) {
    char text[64];
    int len = snprintf(text, sizeof text, "<li id=\"row-%d\">%d of %d</li>", i % 256, i, COUNT);
    hashes[i] = vsi_text_hash_of(&key, text, (size_t)len);
  }
  qsort(hashes, COUNT, sizeof *hashes, by_low);
  for (int i = 1; i < COUNT; i++) assert_true(hashes[i].low != hashes[i - 1].low);
  free(hashes);
}

TEST_CASE(keys_depend_on_every_bit_of_the_secret) {
  vsi_text_key key, other;
  vsi_text_key_derive(&key, secret);
  vsi_text_key_derive(&other, secret);
  assert_memory_equal(&key, &other, sizeof key);
  for (unsigned bit = 0; bit < 128; bit++) {
    vsi_siphash_key changed = secret;
    *(bit < 64 ? &changed.k0 : &changed.k1) ^= UINT64_C(1) << bit % 64;
    vsi_text_key_derive(&other, changed);
    for (size_t i = 0; i < VSI_TEXT_HASH_WORDS; i++) assert_true(key.nh[i] != other.nh[i]);
    assert_true(key.sums.k0 != other.sums.k0 && key.sums.k1 != other.sums.k1);
    assert_false(vsi_hash_128_equal(vsi_text_hash_of(&key, "text", 4), vsi_text_hash_of(&other, "text", 4)));
  }
}
