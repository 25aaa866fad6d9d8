/* SPDX-License-Identifier: MIT */
/* Answers as bytes, which other nodes read. Anyone with write access to the database can have changed them. */
#include "app/guard/once_table.h"

#include "support/test.h"
#include "support/test_host.h"

enum { CAPACITY = 200 };

typedef struct suite {
  test_host th;
  vsi_once_share share;
} suite;

static void begin(suite *s) {
  test_host_init(&s->th);
  s->share = (vsi_once_share){.host = &s->th.host, .max_response_bytes = 100, .max_bytes = 150};
}

static void end(suite *s) {
  assert_int_equal(s->share.bytes, 0);
  test_host_assert_clean(&s->th);
}

static const vestry_header headers[] = {{"Location", "/made"}, {"X-Empty", ""}};
static const vestry_response made = {
    .status = 201, .headers = headers, .headers_count = 2, .body = "body\0with a zero", .body_len = 16};

/* Unpack from a buffer of exactly len bytes, so that a sanitizer finds reads beyond its end. */
static vestry_err unpack(suite *s, const unsigned char *bytes, size_t len, vsi_once_response *ret_response) {
  unsigned char *exact = malloc(len ? len : 1);
  assert_non_null(exact);
  memcpy(exact, bytes, len);
  vestry_err error = vsi_once_response_unpack(ret_response, &s->share, exact, len);
  free(exact);
  return error;
}

TEST_CASE(packed_response_unpacks_unchanged) {
  suite s;
  unsigned char bytes[CAPACITY];
  vsi_once_response response = {0}, again = {0};
  begin(&s);
  vsi_once_response_keep(&response, &s.share, &made);
  assert_int_equal(s.share.bytes, response.len);
  const size_t len = vsi_once_response_packed_len(&response);
  assert_true(len <= sizeof bytes);
  vsi_once_response_pack(&response, bytes);
  assert_int_equal(unpack(&s, bytes, len, &again), VESTRY_OK);
  assert_int_equal(again.status, 201);
  assert_int_equal(again.headers_count, 2);
  assert_int_equal(again.len, response.len);
  assert_int_equal(again.body_at, response.body_at);
  assert_memory_equal(again.bytes, response.bytes, response.len);
  vsi_once_response_drop(&again, &s.share);
  /* Without memory, or without room in the share, only the status is kept. */
  test_host_fail_in(&s.th, 0);
  assert_int_equal(unpack(&s, bytes, len, &again), VESTRY_OK);
  test_host_fail_no_more(&s.th);
  assert_int_equal(again.status, 201);
  assert_null(again.bytes);
  s.share.max_response_bytes = response.len - 1;
  assert_int_equal(unpack(&s, bytes, len, &again), VESTRY_OK);
  assert_null(again.bytes);
  vsi_once_response_drop(&response, &s.share);
  end(&s);
}

TEST_CASE(streamed_response_packs_as_empty) {
  suite s;
  unsigned char bytes[CAPACITY];
  vsi_once_response response = {0}, again = {.status = 1};
  begin(&s);
  vsi_once_response_pack(&response, bytes);
  assert_int_equal(unpack(&s, bytes, vsi_once_response_packed_len(&response), &again), VESTRY_OK);
  assert_int_equal(again.status, 0);
  assert_null(again.bytes);
  end(&s);
}

/* Cut at any length, and with any byte changed, the bytes are rejected or give a response whose parts lie within it. */
TEST_CASE(corrupt_bytes_are_rejected_or_stay_in_bounds) {
  suite s;
  unsigned char bytes[CAPACITY];
  vsi_once_response response = {0};
  begin(&s);
  vsi_once_response_keep(&response, &s.share, &made);
  const size_t len = vsi_once_response_packed_len(&response), body_len = response.len - response.body_at;
  vsi_once_response_pack(&response, bytes);
  vsi_once_response_drop(&response, &s.share);
  for (size_t cut = 0; cut < len; cut++) {
    vsi_once_response again = {.status = 7};
    const vestry_err error = unpack(&s, bytes, cut, &again);
    assert_int_equal(error, cut < len - body_len ? VESTRY_FAILED : VESTRY_OK);
    if (error) assert_int_equal(again.status, 7);
    vsi_once_response_drop(&again, &s.share);
  }
  long refused = 0, read = 0;
  for (size_t i = 0; i < len; i++)
    for (unsigned change = 1; change < 256; change++) {
      vsi_once_response again = {0};
      bytes[i] ^= (unsigned char)change;
      if (unpack(&s, bytes, len, &again)) {
        refused++;
      } else {
        const char *at = again.bytes;
        for (size_t n = 0; at && n < again.headers_count * 2; n++) at += strlen(at) + 1;
        assert_true(!at || at == again.bytes + again.body_at);
        assert_true(again.body_at <= again.len);
        read++;
      }
      vsi_once_response_drop(&again, &s.share);
      bytes[i] ^= (unsigned char)change;
    }
  assert_true(refused > 0 && read > 0);
  end(&s);
}

/* A seal is bound to the owner and the nonce of one submission, and covers each byte. */
TEST_CASE(seal_opens_only_for_its_owner_and_nonce) {
  suite s;
  vsi_once_sealed own, same, other, owners;
  unsigned char bytes[VSI_ONCE_SEAL_BYTES + 5], copy[sizeof bytes];
  begin(&s);
  const vestry_scope ann = {"ann", 3}, bob = {"bob", 3};
  assert_int_equal(vsi_once_sealed_init(&own, &s.th.host, ann, "nonce"), VESTRY_OK);
  assert_int_equal(vsi_once_sealed_init(&same, &s.th.host, ann, "nonce"), VESTRY_OK);
  assert_int_equal(vsi_once_sealed_init(&other, &s.th.host, ann, "noncf"), VESTRY_OK);
  assert_int_equal(vsi_once_sealed_init(&owners, &s.th.host, bob, "nonce"), VESTRY_OK);
  assert_string_equal(own.hash, same.hash);
  assert_string_not_equal(own.run, same.run);
  assert_string_not_equal(own.hash, other.hash);
  assert_string_not_equal(own.hash, owners.hash);
  assert_string_equal(own.owner, other.owner);
  assert_string_not_equal(own.owner, owners.owner);
  vsi_once_sealed everybodys;
  assert_int_equal(vsi_once_sealed_init(&everybodys, &s.th.host, (vestry_scope){NULL, 0}, "nonce"), VESTRY_OK);
  assert_string_equal(everybodys.owner, "");
  memcpy(bytes + VSI_ONCE_SEAL_BYTES, "hello", 5);
  vsi_once_seal(&own, bytes, 5);
  assert_memory_not_equal(bytes + VSI_ONCE_SEAL_BYTES, "hello", 5);
  for (size_t cut = 0; cut < sizeof bytes; cut++) {
    memcpy(copy, bytes, sizeof bytes);
    assert_false(vsi_once_open(&own, copy, cut));
  }
  for (size_t bit = 0; bit < sizeof bytes * 8; bit++) {
    memcpy(copy, bytes, sizeof bytes);
    copy[bit / 8] ^= (unsigned char)(1U << bit % 8);
    assert_false(vsi_once_open(&same, copy, sizeof copy));
  }
  memcpy(copy, bytes, sizeof bytes);
  assert_false(vsi_once_open(&other, copy, sizeof copy));
  memcpy(copy, bytes, sizeof bytes);
  assert_false(vsi_once_open(&owners, copy, sizeof copy));
  memcpy(copy, bytes, sizeof bytes);
  assert_true(vsi_once_open(&same, copy, sizeof copy));
  assert_memory_equal(copy + VSI_ONCE_SEAL_BYTES, "hello", 5);
  atomic_store(&s.th.fail_random, true);
  assert_int_equal(vsi_once_sealed_init(&own, &s.th.host, ann, "nonce"), VESTRY_IO);
  end(&s);
}
