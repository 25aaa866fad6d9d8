/* SPDX-License-Identifier: MIT */
/* Bytes packed into words, the first byte lowest, so that they can be compared, copied and hashed by words. */
#ifndef VSI_BASE_WORDS_H
#define VSI_BASE_WORDS_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t vsi_word_pair __attribute__((vector_size(16), aligned(1), may_alias));

static inline size_t vsi_words_for(size_t bytes) {
  return (bytes + 7) / 8;
}

/* Return whether this number of bytes is equal, rounded up to pairs of words. bytes > 0. */
static inline bool vsi_words_equal(const uint64_t *a, const uint64_t *b, size_t bytes) {
  vsi_word_pair differ = {0, 0};
  const uint64_t *end = a + (bytes + 7) / 8;
  do differ |= *(const vsi_word_pair *)(const void *)a ^ *(const vsi_word_pair *)(const void *)b, a += 2, b += 2;
  while (a < end);
  return !(differ[0] | differ[1]);
}

/* Copy this number of bytes, rounded up to pairs of words. bytes > 0. */
static inline void vsi_words_copy(uint64_t *to, const void *from, size_t bytes) {
  const uint64_t *end = to + (bytes + 7) / 8;
  const vsi_word_pair *pair = from;
  do *(vsi_word_pair *)(void *)to = *pair++, to += 2;
  while (to < end);
}

/* Load at most 8 bytes, the first one lowest, followed by zeroes; reads none beyond. */
static inline uint64_t vsi_load_bytes(const unsigned char *at, size_t len) {
  uint64_t word = 0;
  if (len == 8) {
    memcpy(&word, at, 8);
    return le64toh(word);
  }
  if (len >= 4) { /* two overlapping loads */
    uint32_t first, last;
    memcpy(&first, at, 4);
    memcpy(&last, at + len - 4, 4);
    return le32toh(first) | (uint64_t)le32toh(last) << 8 * (len - 4);
  }
  if (len) word = at[0] | (uint64_t)at[len / 2] << 8 * (len / 2) | (uint64_t)at[len - 1] << 8 * (len - 1);
  return word;
}

/* The destination of packed bytes. Passed by value, so that it stays in registers. */
typedef struct vsi_packer {
  uint64_t *at;
  uint64_t word; /* the bytes that do not fill a word yet */
  unsigned bits; /* number of their bits */
} vsi_packer;

/* Append bytes. len: 1 to 8. */
static inline vsi_packer vsi_pack(vsi_packer to, uint64_t bytes, unsigned len) {
  to.word |= bytes << to.bits;
  unsigned bits = to.bits + 8 * len;
  if (bits >= 64) {
    *to.at++ = htole64(to.word);
    to.word = bytes >> 1 >> (63 - to.bits); /* the rest; none if they began a word */
    bits -= 64;
  }
  to.bits = bits;
  return to;
}

static inline vsi_packer vsi_pack_bytes(vsi_packer to, const unsigned char *at, size_t len) {
  for (; len >= 8; at += 8, len -= 8) to = vsi_pack(to, vsi_load_bytes(at, 8), 8);
  return len ? vsi_pack(to, vsi_load_bytes(at, len), (unsigned)len) : to;
}

#endif
