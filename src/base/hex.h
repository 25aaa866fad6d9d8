/* SPDX-License-Identifier: MIT */
/* Bytes as hexadecimal digits in lower case, the only form that is written or read. Header only, like base/memory.h. */
#ifndef VSI_BASE_HEX_H
#define VSI_BASE_HEX_H

#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* Return the digit of the lowest four bits. */
static inline char vsi_hex_of(unsigned bits) {
  return "0123456789abcdef"[bits & 15];
}

/* Write two digits for each byte, and a NUL. */
static inline void vsi_hex_write(char *text, const unsigned char *bytes, size_t count) {
  for (size_t i = 0; i < count; i++) {
    *text++ = vsi_hex_of(bytes[i] >> 4);
    *text++ = vsi_hex_of(bytes[i]);
  }
  *text = '\0';
}

/* Write a number without leading zeroes, and a NUL: at most 17 bytes. Returns the number of digits. */
static inline size_t vsi_hex_number(char *text, uint64_t number) {
  return (size_t)snprintf(text, 17, "%" PRIx64, number);
}

/* Return the value of a digit; -1: it is none. */
static inline int vsi_hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Return whether a text begins with this number of digits. false: the text is shorter, or has another character. */
static inline bool vsi_hex_is(const char *text, size_t len) {
  for (size_t i = 0; i < len; i++)
    if (vsi_hex_digit(text[i]) < 0) return false;
  return true;
}

/* Read two digits for each byte; they must be digits. */
static inline void vsi_hex_read(unsigned char *bytes, const char *text, size_t count) {
  for (size_t i = 0; i < count; i++, text += 2)
    bytes[i] = (unsigned char)(vsi_hex_digit(text[0]) << 4 | vsi_hex_digit(text[1]));
}

#endif
