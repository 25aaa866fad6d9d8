/* SPDX-License-Identifier: MIT */
#include "html/value.h"

#include <string.h>

#include "support/test.h"

#define NAME(text) ((vestry_slice){text, sizeof text - 1})

static vsi_value value_of(vestry_slice element, vestry_slice attribute) {
  vsi_value result;
  return vsi_html_value(element, attribute, &result);
}

TEST_CASE(attribute_name_is_matched_whole) {
  const vestry_slice none = {"", 0};
  assert_int_equal(value_of(none, NAME("style")), VSI_VALUE_STYLE);
  assert_int_equal(value_of(none, NAME("styl")), VSI_VALUE_TEXT);
  assert_int_equal(value_of(none, NAME("styles")), VSI_VALUE_TEXT);
  assert_int_equal(value_of(NAME("link"), NAME("rel")), VSI_VALUE_REL);
  assert_int_equal(value_of(NAME("lin"), NAME("rel")), VSI_VALUE_TEXT);
}

/* A NUL is an ordinary character of a name, and no listed name contains one. */
TEST_CASE(name_does_not_end_at_nul) {
  static const char *const listed[] = {"to",      "by",      "rel",      "csp",       "from",   "href",
                                       "type",    "code",    "style",    "value",     "action", "srcdoc",
                                       "sandbox", "charset", "language", "http-equiv"};
  for (size_t i = 0; i < sizeof listed / sizeof *listed; i++) {
    char name[32] = "";
    size_t len = strlen(listed[i]);
    memcpy(name, listed[i], len);
    for (size_t longer = len + 1; longer <= sizeof name; longer++)
      assert_int_equal(value_of(NAME("animate"), (vestry_slice){name, longer}), VSI_VALUE_TEXT);
  }
}
