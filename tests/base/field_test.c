/* SPDX-License-Identifier: MIT */
#include "base/field.h"

#include "support/test.h"

enum { LENGTHS = 40 };

/* Call a function with each byte at each place of texts of all short lengths. */
static void try_each_byte(bool (*is_valid)(const char *text), bool (*is_valid_byte)(unsigned char byte)) {
  char text[LENGTHS + 1];
  for (size_t len = 1; len <= LENGTHS; len++)
    for (size_t at = 0; at < len; at++)
      for (unsigned byte = 1; byte < 256; byte++) {
        memset(text, 'a', len);
        text[len] = '\0';
        text[at] = (char)byte;
        if (is_valid(text) != is_valid_byte((unsigned char)byte)) fail_msg("byte %u at %zu of %zu", byte, at, len);
      }
}

static bool is_token_byte(unsigned char byte) {
  return byte < 0x80 && strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'*+-.^_`|~", byte);
}

TEST_CASE(token_has_only_letters_digits_and_marks) {
  assert_false(vsi_is_token(""));
  try_each_byte(vsi_is_token, is_token_byte);
}

static bool is_field_byte(unsigned char byte) {
  return byte == '\t' || (byte >= 0x20 && byte != 0x7f);
}

TEST_CASE(value_has_no_control_character_but_tabs) {
  assert_true(vsi_is_field_value(""));
  try_each_byte(vsi_is_field_value, is_field_byte);
  assert_true(vsi_is_field_value("\t\t\t\t\t\t\t\t\xff\x80\t a"));
  assert_false(vsi_is_field_value("\t\t\t\t\t\t\t\t\xff\x80\t a\n"));
}
