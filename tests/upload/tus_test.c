/* SPDX-License-Identifier: MIT */
/* Headers of tus 1.0.0: numbers and file metadata. */
#include "app/upload/tus.h"
#include "support/test.h"

TEST_CASE(numbers_and_metadata_are_parsed_strictly) {
  char name[VSI_DECLARED_NAME_BYTES], type[VSI_DECLARED_TYPE_BYTES], text[VSI_TUS_METADATA_BYTES + 2];
  uint64_t number = 7;
  static const char *const none[] = {"", "-1", "+1", " 1", "1 ", "0x1", "9999999999999999999", "1.0"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_false(vsi_tus_number(none[i], &number));
  assert_false(vsi_tus_number(NULL, &number));
  assert_int_equal(number, 7);
  assert_true(vsi_tus_number("0000123456789012", &number) && number == 123456789012);
  assert_int_equal(vsi_tus_metadata("filename Li4vLi4vZXRjL3Bhc3N3ZA==,filetype SW1hZ2UvUE5H", name, type), VESTRY_OK);
  assert_string_equal(name, "passwd");
  assert_string_equal(type, "image/png");
  static const char *const wrong[] = {",", "filename ?", "filename YQ==,", "filename Y", " , a", "filename YQ==  b"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    assert_int_equal(vsi_tus_metadata(wrong[i], name, type), VESTRY_MALFORMED);
    assert_string_equal(name, "");
  }
  memset(text, 'a', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  assert_int_equal(vsi_tus_metadata(text, name, type), VESTRY_TOO_LARGE);
}
