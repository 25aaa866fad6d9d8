/* SPDX-License-Identifier: MIT */
/* Seals: valid only for their secret, purpose, scope and further data. */
#include "app/session/seal.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/app/secret.h"

static const char secret[] = "a secret of more than thirty-two bytes",
                  other[] = "another one, of as many or more bytes";
static const vestry_scope ann = {"ann", 3}, nobody = {NULL, 0};

/* capability: D8 */
TEST_CASE(seal_is_valid_only_for_its_purpose_scope_and_data) {
  test_host th;
  test_host_init(&th);
  vsi_seals seals, same, random;
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, sizeof secret, NULL, 0), VESTRY_OK);
  assert_int_equal(vsi_seals_init(&same, &th.host, secret, sizeof secret, NULL, 0), VESTRY_OK);
  assert_int_equal(vsi_seals_init(&random, &th.host, NULL, 0, NULL, 0), VESTRY_OK);
  char text[VSI_SEAL_LEN + 2], again[VSI_SEAL_LEN + 1];
  assert_int_equal(vsi_seal_make(&seals, &th.host, VSI_SEAL_TAB, ann, "more", text), VESTRY_OK);
  assert_int_equal(strlen(text), VSI_SEAL_LEN);
  assert_true(vsi_seal_is_good(&seals, VSI_SEAL_TAB, ann, "more", text, VSI_SEAL_LEN));
  assert_true(vsi_seal_is_good(&same, VSI_SEAL_TAB, ann, "more", text, VSI_SEAL_LEN)); /* as after a restart */
  assert_false(vsi_seal_is_good(&random, VSI_SEAL_TAB, ann, "more", text, VSI_SEAL_LEN));
  assert_false(vsi_seal_is_good(&seals, VSI_SEAL_ONCE, ann, "more", text, VSI_SEAL_LEN));
  assert_false(vsi_seal_is_good(&seals, VSI_SEAL_TAB, nobody, "more", text, VSI_SEAL_LEN));
  assert_false(vsi_seal_is_good(&seals, VSI_SEAL_TAB, ann, NULL, text, VSI_SEAL_LEN));
  /* The scope and the further data are separate. */
  assert_false(vsi_seal_is_good(&seals, VSI_SEAL_TAB, (vestry_scope){"annm", 4}, "ore", text, VSI_SEAL_LEN));
  assert_int_equal(vsi_seal_make(&seals, &th.host, VSI_SEAL_TAB, ann, "more", again), VESTRY_OK);
  assert_string_not_equal(text, again); /* each seal is different */
}

/* capability: D8 */
TEST_CASE(changed_or_cut_seal_is_invalid) {
  test_host th;
  test_host_init(&th);
  vsi_seals seals;
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, sizeof secret, NULL, 0), VESTRY_OK);
  char text[VSI_SEAL_LEN + 2];
  assert_int_equal(vsi_seal_make(&seals, &th.host, VSI_SEAL_CSRF, ann, NULL, text), VESTRY_OK);
  for (size_t i = 0; i < VSI_SEAL_LEN; i++) {
    char was = text[i];
    for (int c = 1; c < 256; c++) {
      text[i] = (char)c;
      assert_int_equal(vsi_seal_is_good(&seals, VSI_SEAL_CSRF, ann, NULL, text, VSI_SEAL_LEN), (char)c == was);
    }
    text[i] = was;
    assert_false(vsi_seal_is_good(&seals, VSI_SEAL_CSRF, ann, NULL, text, i)); /* cut short */
  }
  text[VSI_SEAL_LEN] = '0';
  assert_false(vsi_seal_is_good(&seals, VSI_SEAL_CSRF, ann, NULL, text, VSI_SEAL_LEN + 1));
}

TEST_CASE(previous_secret_verifies_old_seals) {
  test_host th;
  test_host_init(&th);
  vsi_seals before, after, far;
  assert_int_equal(vsi_seals_init(&before, &th.host, secret, sizeof secret, NULL, 0), VESTRY_OK);
  assert_int_equal(vsi_seals_init(&after, &th.host, other, sizeof other, secret, sizeof secret), VESTRY_OK);
  assert_int_equal(vsi_seals_init(&far, &th.host, other, sizeof other, NULL, 0), VESTRY_OK);
  char text[VSI_SEAL_LEN + 1];
  assert_int_equal(vsi_seal_make(&before, &th.host, VSI_SEAL_TAB, ann, NULL, text), VESTRY_OK);
  assert_true(vsi_seal_is_good(&after, VSI_SEAL_TAB, ann, NULL, text, VSI_SEAL_LEN));
  assert_false(vsi_seal_is_good(&far, VSI_SEAL_TAB, ann, NULL, text, VSI_SEAL_LEN));
  assert_int_equal(vsi_seal_make(&after, &th.host, VSI_SEAL_TAB, ann, NULL, text), VESTRY_OK);
  assert_true(vsi_seal_is_good(&far, VSI_SEAL_TAB, ann, NULL, text, VSI_SEAL_LEN)); /* sealed with the new secret */
}

TEST_CASE(short_secrets_and_missing_randomness_are_rejected) {
  test_host th;
  test_host_init(&th);
  vsi_seals seals;
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, 31, NULL, 0), VESTRY_INVALID);
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, 32, other, 31), VESTRY_INVALID);
  assert_int_equal(vsi_seals_init(&seals, &th.host, NULL, 0, other, 32), VESTRY_INVALID);
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, 32, NULL, 0), VESTRY_OK);
  atomic_store(&th.fail_random, true);
  char text[VSI_SEAL_LEN + 1];
  assert_int_equal(vsi_seal_make(&seals, &th.host, VSI_SEAL_TAB, ann, NULL, text), VESTRY_IO);
  assert_int_equal(vsi_seals_init(&seals, &th.host, NULL, 0, NULL, 0), VESTRY_IO);
}

TEST_CASE(scope_tags_differ_by_scope) {
  test_host th;
  test_host_init(&th);
  vsi_seals seals;
  assert_int_equal(vsi_seals_init(&seals, &th.host, secret, sizeof secret, NULL, 0), VESTRY_OK);
  char a[VSI_SEAL_TAG_LEN + 1], b[VSI_SEAL_TAG_LEN + 1];
  vsi_seal_tag(&seals, ann, a);
  vsi_seal_tag(&seals, ann, b);
  assert_string_equal(a, b);
  vsi_seal_tag(&seals, nobody, b);
  assert_string_not_equal(a, b);
}

TEST_CASE(text_equals_a_secret_only_as_a_whole) {
  assert_true(vestry_secret_is(secret, secret));
  assert_true(vestry_secret_is("", ""));
  static const char *const others[] = {NULL,
                                       "",
                                       other,
                                       "a secret of more than thirty-two byte",
                                       "a secret of more than thirty-two bytes.",
                                       "A secret of more than thirty-two bytes"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(vestry_secret_is(others[i], secret));
  assert_false(vestry_secret_is(secret, NULL));
  assert_false(vestry_secret_is(NULL, NULL));
}
