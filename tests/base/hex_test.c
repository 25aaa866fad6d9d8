/* SPDX-License-Identifier: MIT */
#include "base/hex.h"

#include "support/test.h"

static void hex_round_trips_each_byte(void **state) {
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

static void only_lower_case_hex_digits_are_accepted(void **state) {
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

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(hex_round_trips_each_byte),
                                     cmocka_unit_test(only_lower_case_hex_digits_are_accepted)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
