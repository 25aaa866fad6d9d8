/* SPDX-License-Identifier: MIT */
#include "base/utf8.h"

#include "support/test.h"

/* All sequences of three bytes over the bytes at which a rule of the encoding changes, and of four bytes over fewer. */
static const unsigned char borders[] = {0x00, 0x41, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xC1, 0xC2, 0xDF,
                                        0xE0, 0xE1, 0xEC, 0xED, 0xEE, 0xEF, 0xF0, 0xF1, 0xF3, 0xF4, 0xF5, 0xFF};

/* Return the code point of the bytes by the definition: decode, then check length, surrogates and range. -1: none. */
static long spelled(const unsigned char *bytes, size_t len) {
  static const long least[] = {0, 0, 0x80, 0x800, 0x10000};
  static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0}, masks[] = {0, 0x80, 0xE0, 0xF0, 0xF8};
  if ((bytes[0] & masks[len]) != marks[len]) return -1;
  long point = bytes[0] & (unsigned char)~masks[len];
  for (size_t i = 1; i < len; i++) {
    if ((bytes[i] & 0xC0) != 0x80) return -1;
    point = point << 6 | (bytes[i] & 0x3F);
  }
  return point < least[len] || (point >= 0xD800 && point <= 0xDFFF) || point > 0x10FFFF ? -1 : point;
}

/* Whether a longer valid sequence begins with these bytes. */
static bool is_prefix(const unsigned char *bytes, size_t len) {
  for (size_t whole = len + 1; whole <= 4; whole++) {
    unsigned char longer[4];
    for (int fill = 0; fill < 2; fill++) { /* the lowest and the highest continuation byte */
      memset(longer, fill ? 0xBF : 0x80, sizeof longer);
      memcpy(longer, bytes, len);
      if (spelled(longer, whole) >= 0) return true;
      if (len == 1) { /* between them, where E0, ED, F0 and F4 allow only a part of the range */
        longer[1] = fill ? 0x8F : 0xA0;
        if (spelled(longer, whole) >= 0) return true;
      }
    }
  }
  return false;
}

static void check(const unsigned char *bytes, size_t len) {
  bool valid = false;
  size_t got = vsi_utf8_next((const char *)bytes, (const char *)bytes + len, &valid);
  for (size_t whole = 1; whole <= len && whole <= 4; whole++) {
    if (spelled(bytes, whole) < 0) continue;
    assert_true(valid);
    assert_int_equal(got, whole);
    return;
  }
  assert_false(valid);
  size_t subpart = 1;
  while (subpart < len && subpart < 4 && is_prefix(bytes, subpart + 1)) subpart++;
  assert_int_equal(got, is_prefix(bytes, 1) ? subpart : 1);
}

TEST_CASE(utf8_next_returns_sequences_and_maximal_subparts) {
  unsigned char bytes[4];
  for (size_t a = 0; a < sizeof borders; a++) {
    bytes[0] = borders[a];
    check(bytes, 1);
    for (size_t b = 0; b < sizeof borders; b++) {
      bytes[1] = borders[b];
      check(bytes, 2);
      for (size_t c = 0; c < sizeof borders; c++) {
        bytes[2] = borders[c];
        check(bytes, 3);
        for (size_t d = 0; d < sizeof borders; d++) {
          bytes[3] = borders[d];
          check(bytes, 4);
        }
      }
    }
  }
}

TEST_CASE(trim_drops_incomplete_sequences_at_the_end) {
  static const struct {
    const char *text;
    size_t len, kept;
  } rows[] = {
      {"", 0, 0},
      {"a", 1, 1},
      {"\xC3\xA4", 2, 2},
      {"\xC3", 1, 0},
      {"a\xE2\x82", 3, 1},
      {"a\xE2", 2, 1},
      {"a\xE2\x82\xAC", 4, 4},
      {"\xF0\x9F\x96", 3, 0},
      {"\xF0\x9F\x96\x95", 4, 4},
      {"\x80\x80\x80\x80", 4, 4}, /* not a truncated sequence */
      {"\xFF", 1, 1},
      {"\xC0", 1, 1},
      {"\xED\xA0", 2, 2},
      {"\xC3\xA4\x80", 3, 3},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    assert_int_equal(vsi_utf8_trim(rows[i].text, rows[i].len), rows[i].kept);
}

TEST_CASE(is_utf8_accepts_only_valid_texts) {
  assert_true(vsi_is_utf8(NULL, 0));
  assert_true(vsi_is_utf8("plain, \xc3\xa4, \xe2\x82\xac, \xf0\x9f\x99\x82", 20));
  static const char *const broken[] = {"\x80", "a\xc3", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82z"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) assert_false(vsi_is_utf8(broken[i], strlen(broken[i])));
}
