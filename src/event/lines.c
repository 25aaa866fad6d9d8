/* SPDX-License-Identifier: MIT */
/* essay: line breaks, 64 bytes at a time */
/* Counting line breaks, and copying text with a prefix in front of each line (layout.h). Both examine several bytes at
 * once. */
#include "event/layout.h"

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Each line of HTML gets a prefix in an event ("data: elements "). So the lines are first counted, to compute the
 * event's size, and then copied with their prefixes. This file does both, at the speed of memory.
 *
 * The text is processed in blocks of 64 bytes. Two words are computed for each block, with one bit for each byte: the
 * positions of LF, and those of CR. Afterwards only line breaks cost time, a few instructions each; a block without any
 * is skipped. Neither way of computing the words branches on single bytes, so the length of lines does not matter.
 *
 * No byte outside the text is read: the last block is copied into a block that is padded with zeros. */
enum { BLOCK = 64 };

typedef struct marks {
  uint64_t lf, cr; /* bit i: byte i of the block */
} marks;

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Return a mask in which bit i means that byte i of the eight equals `byte`. If the XOR of a byte is zero, adding 0x7F
 * to its low seven bits does not reach its top bit, and its own top bit is clear. No carry leaves a byte, so the result
 * is exact for all eight. The multiplication then gathers the eight bits in the highest byte: bit 8i moves to bit 56 +
 * i, and no two of the 64 products overlap. */
static inline uint64_t equal_in_word(uint64_t eight, unsigned char byte) {
  uint64_t low = EACH_BYTE(0x7F), differ = eight ^ EACH_BYTE(byte);
  uint64_t equal = ~(((differ & low) + low) | differ | low) >> 7;
  return equal * UINT64_C(0x0102040810204080) >> 56;
}

static inline marks marks_by_words(const char *block) {
  marks found = {0, 0};
  for (unsigned i = 0; i < BLOCK; i += 8) {
    uint64_t eight;
    memcpy(&eight, block + i, sizeof eight);
    eight = le64toh(eight); /* byte 0 lowest */
    found.lf |= equal_in_word(eight, '\n') << i;
    found.cr |= equal_in_word(eight, '\r') << i;
  }
  return found;
}

#ifdef __SSE2__
static inline marks marks_by_vectors(const char *block) {
  __m128i lf[4], cr[4], any = _mm_setzero_si128();
  for (unsigned i = 0; i < 4; i++) {
    __m128i sixteen = _mm_loadu_si128((const __m128i *)(const void *)(block + 16 * i));
    lf[i] = _mm_cmpeq_epi8(sixteen, _mm_set1_epi8('\n'));
    cr[i] = _mm_cmpeq_epi8(sixteen, _mm_set1_epi8('\r'));
    any = _mm_or_si128(any, _mm_or_si128(lf[i], cr[i]));
  }
  marks found = {0, 0};
  if (!_mm_movemask_epi8(any)) return found;
  for (unsigned i = 0; i < 4; i++) {
    found.lf |= (uint64_t)(unsigned)_mm_movemask_epi8(lf[i]) << 16 * i;
    found.cr |= (uint64_t)(unsigned)_mm_movemask_epi8(cr[i]) << 16 * i;
  }
  return found;
}
#endif

/* `words` is a constant in each caller, and the function is inlined: there is no choice for each block. */
static inline marks marks_of_block(const char *block, bool words) {
#ifdef __SSE2__
  if (!words) return marks_by_vectors(block);
#endif
  (void)words;
  return marks_by_words(block);
}

static inline marks marks_at(const char *text, size_t len, bool words) {
  if (len >= BLOCK) return marks_of_block(text, words);
  char last[BLOCK] = {0};
  memcpy(last, text, len);
  return marks_of_block(last, words);
}

/* Count the set bits: in pairs, in fours, in bytes; the multiplication adds the bytes in the highest one. */
static inline unsigned count_bits(uint64_t word) {
  word -= word >> 1 & EACH_BYTE(0x55);
  word = (word & EACH_BYTE(0x33)) + (word >> 2 & EACH_BYTE(0x33));
  word = (word + (word >> 4)) & EACH_BYTE(0x0F);
  return (unsigned)(word * EACH_BYTE(1) >> 56);
}

static inline vsi_line_breaks count(const char *text, size_t len, bool words) {
  vsi_line_breaks breaks = {0, 0};
  uint64_t after_cr = 0; /* 1: the byte before the block is CR */
  for (size_t at = 0; at < len; at += BLOCK) {
    marks found = marks_at(text + at, len - at, words);
    if (found.lf | found.cr) {
      uint64_t second = found.lf & (found.cr << 1 | after_cr); /* the LF of a CRLF */
      unsigned bytes = count_bits(found.lf | found.cr);
      breaks.bytes += bytes;
      breaks.count += bytes - count_bits(second);
    }
    after_cr = found.cr >> (BLOCK - 1);
  }
  return breaks;
}

/* memcpy, with the usual short lengths of lines and prefixes copied inline, by two moves that overlap. */
static inline char *put(char *to, const char *from, size_t len) {
  if (len > 32) {
    memcpy(to, from, len);
  } else if (len >= 16) {
    char first[16], last[16];
    memcpy(first, from, 16);
    memcpy(last, from + len - 16, 16);
    memcpy(to, first, 16);
    memcpy(to + len - 16, last, 16);
  } else if (len >= 8) {
    uint64_t first, last;
    memcpy(&first, from, 8);
    memcpy(&last, from + len - 8, 8);
    memcpy(to, &first, 8);
    memcpy(to + len - 8, &last, 8);
  } else if (len >= 4) {
    uint32_t first, last;
    memcpy(&first, from, 4);
    memcpy(&last, from + len - 4, 4);
    memcpy(to, &first, 4);
    memcpy(to + len - 4, &last, 4);
  } else {
    for (size_t i = 0; i < len; i++) to[i] = from[i];
  }
  return to + len;
}

static inline char *copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len, bool words) {
  const char *line = text; /* begins here and is not copied yet */
  uint64_t after_cr = 0;
  for (size_t at = 0; at < len; at += BLOCK) {
    marks found = marks_at(text + at, len - at, words);
    uint64_t second = found.lf & (found.cr << 1 | after_cr), ends = found.lf | found.cr;
    after_cr = found.cr >> (BLOCK - 1);
    for (; ends; ends &= ends - 1) {
      unsigned i = (unsigned)__builtin_ctzll(ends);
      const char *stop = text + at + i;
      if (!(second >> i & 1)) { /* otherwise the CR has ended the line already, and the next line begins after the LF */
        to = put(to, line, (size_t)(stop - line));
        *to++ = '\n';
        to = put(to, prefix, prefix_len);
      }
      line = stop + 1;
    }
  }
  return len ? put(to, line, (size_t)(text + len - line)) : to;
}

/* Most contents have no line break; the C library finds this out faster than the loop. */
vsi_line_breaks vsi_lines_count(const char *text, size_t len, bool words) {
  if (!len || (!memchr(text, '\n', len) && !memchr(text, '\r', len))) return (vsi_line_breaks){0, 0};
  return words ? count(text, len, true) : count(text, len, false);
}

char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len, bool words) {
  return words ? copy(to, text, len, prefix, prefix_len, true) : copy(to, text, len, prefix, prefix_len, false);
}
