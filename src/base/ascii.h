/* SPDX-License-Identifier: MIT */
/* Classes of ASCII characters, in any locale. A byte beyond ASCII is in none. */
#ifndef VSI_BASE_ASCII_H
#define VSI_BASE_ASCII_H

#include <stdbool.h>

static inline bool vsi_is_digit(int c) {
  return c >= '0' && c <= '9';
}

static inline bool vsi_is_letter(int c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* White space of HTML. */
static inline bool vsi_is_space(int c) {
  return c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r';
}

static inline char vsi_lower(char c) {
  return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

#endif
