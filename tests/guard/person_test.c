/* SPDX-License-Identifier: MIT */
/* The person that a request is attributed to, for limits per person. */
#include "app/guard/person.h"

#include "serve/wire.h"
#include "vestry/app/session.h"

typedef struct suite {
  site on;
  vsi_siphash_key key;
  vsi_person_kind kind; /* of the last request, as are hash and is_anonymous */
  uint64_t hash;
  bool is_anonymous;
} suite;

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  suite *s = app;
  const vsi_person person = vsi_person_of(req);
  s->kind = person.kind;
  s->hash = vsi_person_hash(s->key, &person);
  s->is_anonymous = vsi_person_is_anonymous(req);
  return vestry_reply_status(reply, 204);
}

static vestry_err log_in(const vestry_request *req, vestry_reply *reply, void *app) {
  vestry_err error = vestry_session_login(req, reply, "ada");
  return error ? error : vestry_reply_status(reply, 204);
}

static void begin(suite *s, vestry_options options, site_has has) {
  *s = (suite){.kind = VSI_PERSON_UNKNOWN};
  site_begin_with(&s->on, options, has);
  assert_int_equal(vsi_siphash_key_random(&s->on.th.host, &s->key), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/", look, s), VESTRY_OK);
  assert_int_equal(vestry_route(s->on.v, "GET", "/in", log_in, s), VESTRY_OK);
}

static vsi_person_kind kind_of(suite *s, const char *peer, const char *header, const char *value) {
  wire r = {.path = "/", .peer = peer, .headers = {{header, value}}};
  wire_request(&s->on, &r, NULL, NULL);
  assert_int_equal(r.status, 204);
  wire_finish(&r);
  assert_int_equal(s->hash & 1, s->kind != VSI_PERSON_UNKNOWN);
  return s->kind;
}

static uint64_t hash_of(suite *s, const char *peer, const char *header, const char *value) {
  (void)kind_of(s, peer, header, value);
  return s->hash;
}

TEST_CASE(address_or_64_prefix_identifies_a_person) {
  suite s;
  begin(&s, (vestry_options){0}, (site_has){.secret = NULL});
  assert_int_equal(kind_of(&s, "192.0.2.1", NULL, NULL), VSI_PERSON_ADDRESS);
  assert_false(s.is_anonymous);
  const uint64_t one = s.hash;
  assert_int_equal(hash_of(&s, "::ffff:192.0.2.1", NULL, NULL), one);
  assert_int_not_equal(hash_of(&s, "192.0.2.2", NULL, NULL), one);
  assert_int_equal(hash_of(&s, "2001:db8::1", NULL, NULL), hash_of(&s, "2001:db8::ffff:2", NULL, NULL));
  assert_int_not_equal(hash_of(&s, "2001:db8::1", NULL, NULL), hash_of(&s, "2001:db8:0:1::1", NULL, NULL));
  static const char *const nobodys[] = {"", "127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "memory"};
  for (size_t i = 0; i < sizeof nobodys / sizeof *nobodys; i++)
    assert_int_equal(kind_of(&s, nobodys[i], NULL, NULL), VSI_PERSON_UNKNOWN);
  static const char *const proxys[] = {"Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-IP", "Via"};
  for (size_t i = 0; i < sizeof proxys / sizeof *proxys; i++)
    assert_int_equal(kind_of(&s, "192.0.2.1", proxys[i], "192.0.2.7"), VSI_PERSON_UNKNOWN);
  site_end(&s.on);
}

TEST_CASE(forwarded_address_identifies_a_person_behind_a_proxy) {
  suite s;
  begin(&s, (vestry_options){.is_behind_proxy = true}, (site_has){.secret = NULL});
  const uint64_t one = hash_of(&s, "127.0.0.1", "X-Forwarded-For", "192.0.2.1");
  assert_int_equal(s.kind, VSI_PERSON_ADDRESS);
  assert_int_equal(hash_of(&s, "10.0.0.1", "X-Forwarded-For", "192.0.2.1"), one);
  assert_int_not_equal(hash_of(&s, "10.0.0.1", "X-Forwarded-For", "192.0.2.2"), one);
  assert_int_equal(hash_of(&s, "10.0.0.1", "X-Forwarded-For", "192.0.2.1:4711"), one);
  const uint64_t six = hash_of(&s, "10.0.0.1", "X-Forwarded-For", "2001:db8::1");
  static const char *const alike[] = {"[2001:db8::2]", "[2001:db8::2]:1", "[2001:db8::2]:65535"};
  for (size_t i = 0; i < sizeof alike / sizeof *alike; i++)
    assert_int_equal(hash_of(&s, "10.0.0.1", "X-Forwarded-For", alike[i]), six);
  static const char *const odd[] = {"192.0.2.1:",
                                    "192.0.2.1:x",
                                    "192.0.2.1:123456",
                                    "[192.0.2.1]:1",
                                    "[2001:db8::1",
                                    "[2001:db8::1]:",
                                    "[2001:db8::1]1",
                                    "[]",
                                    "[]:1",
                                    ":1",
                                    "192.0.2.1:1, 192.0.2.2:1",
                                    "unknown",
                                    "_hidden",
                                    "192.0.2.1:1:1"};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
    assert_int_equal(kind_of(&s, "10.0.0.1", "X-Forwarded-For", odd[i]), VSI_PERSON_UNKNOWN);
  assert_int_equal(kind_of(&s, "10.0.0.1", NULL, NULL), VSI_PERSON_UNKNOWN);
  assert_int_equal(kind_of(&s, "10.0.0.1", "X-Forwarded-For", "192.0.2.1, 192.0.2.2"), VSI_PERSON_UNKNOWN);
  site_end(&s.on);
}

TEST_CASE(scope_identifies_a_person_before_the_address) {
  suite s;
  begin(&s, (vestry_options){.scope = site_by_cookie}, (site_has){.secret = NULL});
  const uint64_t one = hash_of(&s, "192.0.2.1", "Cookie", "ada");
  assert_int_equal(s.kind, VSI_PERSON_SCOPE);
  assert_false(s.is_anonymous);
  assert_int_equal(hash_of(&s, "127.0.0.1", "Cookie", "ada"), one);
  assert_int_not_equal(hash_of(&s, "192.0.2.1", "Cookie", "bob"), one);
  assert_int_equal(kind_of(&s, "192.0.2.1", NULL, NULL), VSI_PERSON_ADDRESS);
  assert_true(s.is_anonymous);
  site_end(&s.on);
}

TEST_CASE(user_identifies_a_person_in_all_sessions) {
  suite s;
  uint64_t hashes[2];
  begin(&s, (vestry_options){0}, (site_has){.sessions = &(vestry_session_options){.insecure = true}});
  for (int i = 0; i < 2; i++) { /* two sessions */
    char cookie[256];
    wire r = {.path = "/in"};
    wire_request(&s.on, &r, NULL, NULL);
    assert_true(wire_keep_cookie(&r, cookie, sizeof cookie));
    wire_finish(&r);
    hashes[i] = hash_of(&s, i ? "192.0.2.1" : "127.0.0.1", "Cookie", cookie);
    assert_int_equal(s.kind, VSI_PERSON_USER);
    assert_false(s.is_anonymous);
  }
  assert_int_equal(hashes[0], hashes[1]);
  /* Without a cookie each request is a new anonymous user. */
  assert_int_equal(kind_of(&s, "192.0.2.1", NULL, NULL), VSI_PERSON_ADDRESS);
  assert_true(s.is_anonymous);
  assert_int_equal(kind_of(&s, "127.0.0.1", NULL, NULL), VSI_PERSON_UNKNOWN);
  site_end(&s.on);
}
