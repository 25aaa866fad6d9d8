/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

size_t vsi_utf8_trim(const char *text, size_t len) {
  for (size_t back = 1; back <= 3 && back <= len; back++) {
    unsigned char c = (unsigned char)text[len - back], low, high;
    if (c >= 0x80 && c <= 0xBF) continue;
    bool valid;
    size_t have = vsi_utf8_next(text + len - back, text + len, &valid);
    return !valid && have == back && vsi_utf8_followers(c, &low, &high) >= back ? len - back : len;
  }
  return len;
}
