/* SPDX-License-Identifier: MIT */
/* Accept-Encoding with its q-values (RFC 9110, section 12.5.3). */
#include "http/encoding.h"

#include "support/test.h"

static const char *const offered[] = {"br", "gzip", "x-own"};
enum { OFFERED = 3, NOTHING = -1 };

/* Return the choice: an index, OFFERED for identity, NOTHING. */
static int choose(const char *header) {
  size_t index = 99;
  vestry_err error = vsi_accept_choose(header, offered, OFFERED, &index);
  if (error) {
    assert_int_equal(error, VESTRY_UNSUPPORTED);
    assert_int_equal(index, 99);
    return NOTHING;
  }
  return (int)index;
}

static const char *name(int index) {
  return index == NOTHING ? "nothing" : index == OFFERED ? "identity" : offered[index];
}

static void assert_chosen(const char *header, const char *expected) {
  const char *chosen = name(choose(header));
  if (strcmp(chosen, expected)) print_error("%s\n", header);
  assert_string_equal(chosen, expected);
}

/* capability: C13 */
TEST_CASE(coding_is_chosen_by_weight_then_by_offer_order) {
  static const char *const cases[][2] = {
      {"gzip, deflate, br, zstd", "br"}, /* as browsers send it */
      {"gzip, deflate", "gzip"},
      {"br;q=0.5, gzip;q=0.8", "gzip"},
      {"br;q=0.8, gzip;q=0.8", "br"},
      {"gzip;q=1.0, br;q=1.000", "br"},
      {"br;q=0.001", "br"},
      {"br;q=0, gzip;q=0.", "identity"},
      {"BR", "br"},
      {"x-own, gzip;q=0.9", "x-own"},
      {"x-gzip", "gzip"},
      {"X-GZIP;Q=0.3", "gzip"},
      {"compress, deflate", "identity"},
      {"", "identity"},
      {" \t", "identity"},
      {"*", "br"},
      {"*;q=0.5, gzip", "gzip"},
      {"br;q=0, *", "gzip"},
      {"br;q=0, gzip;q=0, x-own;q=0, *", "identity"},
      {"identity", "identity"},
      {"identity, br", "br"},
      {"identity;q=1, br;q=0.9", "identity"},
      {"identity;q=0.5, br;q=0.4, gzip;q=0.45", "identity"},
      {"identity;q=0.5, *;q=0.1", "identity"},
      {"gzip ; q=0.2 , br;q=0.1", "gzip"},
      {",, gzip,", "gzip"},
      {"gzip;q=0, gzip", "identity"}, /* the first counts */
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_chosen(cases[i][0], cases[i][1]);
  assert_int_equal(choose(NULL), OFFERED);
}

TEST_CASE(unacceptable_header_chooses_nothing) {
  static const char *const cases[] = {"identity;q=0",          "*;q=0",
                                      "identity;q=0, deflate", "br;q=0, *;q=0",
                                      "compress, *;q=0.0",     "identity;q=0.000, br;q=0"};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_chosen(cases[i], "nothing");
  assert_chosen("identity;q=0, gzip", "gzip");
  assert_chosen("*;q=0, gzip;q=0.1", "gzip");
  assert_chosen("*;q=0, identity;q=0.1", "identity");
}

/* capability: C13 */
TEST_CASE(malformed_header_chooses_identity) {
  static const char *const cases[] = {
      "br;q",
      "br;q=",
      "br;q=2",
      "br;q=1.1",
      "br;q=1.001",
      "br;q=0.1234",
      "br;q=.5",
      "br;q=-1",
      "br;q=0.5x",
      "br;level=3",
      "br;q=0.5;x",
      "br gzip",
      "br;;q=1",
      "br;",
      ";q=1",
      "br, \x01",
      "gzip, b\xffr",
      "\"br\"",
      "br=1",
      "br, (gzip)",
      "br; q = 1",
      "br;q=1e0",
      "br;q=00.5",
      "br/1",
      "identity;q=0, br;q=7",
      "br,gzip;q=99999999999999999999",
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) assert_chosen(cases[i], "identity");
}

/* capability: C13 */
TEST_CASE(coding_not_offered_is_not_chosen) {
  static const char *const left[] = {NULL, "gzip", NULL};
  size_t index = 0;
  assert_int_equal(vsi_accept_choose("br, gzip;q=0.1", left, 3, &index), VESTRY_OK);
  assert_int_equal(index, 1);
  assert_int_equal(vsi_accept_choose("*;q=0.1, br", left, 3, &index), VESTRY_OK);
  assert_int_equal(index, 1);
  static const char *const none[] = {NULL, NULL, NULL};
  assert_int_equal(vsi_accept_choose("br", none, 3, &index), VESTRY_OK);
  assert_int_equal(index, 3);
  assert_int_equal(vsi_accept_choose("*;q=0", none, 3, &index), VESTRY_UNSUPPORTED);
  assert_int_equal(vsi_accept_choose("br", none, 0, &index), VESTRY_OK);
  assert_int_equal(index, 0);
}

TEST_CASE(identity_can_be_offered_before_others) {
  static const char *const plain_first[] = {"identity", "gzip"};
  size_t index = 9;
  assert_int_equal(vsi_accept_choose("gzip, identity", plain_first, 2, &index), VESTRY_OK);
  assert_int_equal(index, 0);
  assert_int_equal(vsi_accept_choose("*", plain_first, 2, &index), VESTRY_OK);
  assert_int_equal(index, 0);
  assert_int_equal(vsi_accept_choose("gzip, identity;q=0", plain_first, 2, &index), VESTRY_OK);
  assert_int_equal(index, 1);
  assert_int_equal(vsi_accept_choose("gzip", plain_first, 2, &index), VESTRY_OK);
  assert_int_equal(index, 1);
}
