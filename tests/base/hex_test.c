/* SPDX-License-Identifier: MIT */
#include "base/hex.h"

#include "support/test.h"

TEST_CASE(hex_round_trips_each_byte) {
  for (int i = 0; i < 256; i++) {
    const unsigned char bytes[] = {(unsigned char)i, (unsigned char)~i};
    unsigned char again[2];
    char text[6] = "?????", expected[5];
    vsi_hex_write(text, bytes, 2);
    snprintf(expected, sizeof expected, "%02x%02x", bytes[0], bytes[1]);
    assert_string_equal(text, expected);
    assert_true(vsi_hex_is(text, 4));
    vsi_hex_read(again, text, 2);
    assert_memory_equal(again, bytes, 2);
  }
}

TEST_CASE(only_lower_case_hex_digits_are_accepted) {
  static const char digits[] = "0123456789abcdef";
  for (int c = 0; c < 256; c++) {
    const char text[] = {'0', (char)c, '\0'};
    const char *digit = c ? strchr(digits, c) : NULL;
    assert_int_equal(vsi_hex_is(text, 2), digit != NULL);
    assert_int_equal(vsi_hex_digit((char)c), digit ? (int)(digit - digits) : -1);
  }
  assert_true(vsi_hex_is("", 0));
  assert_false(vsi_hex_is("", 1)); /* the text is shorter */
}
