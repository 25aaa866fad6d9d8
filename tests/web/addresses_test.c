/* SPDX-License-Identifier: MIT */
#include "adapter/web/addresses.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_web_addresses a;

static void begin(uint32_t limit) {
  test_host_init(&th);
  assert_int_equal(vsi_web_addresses_init(&a, &th.host, limit), VESTRY_OK);
}

static void end(void) {
  vsi_web_addresses_finish(&a);
  test_host_assert_clean(&th);
}

/* Return the current number of an address: how many more it may have, compared with its limit. */
static uint32_t count_of(vsi_address at) {
  uint32_t more = 0;
  while (vsi_web_addresses_enter(&a, at) == VESTRY_OK) more++;
  for (uint32_t i = 0; i < more; i++) vsi_web_addresses_leave(&a, at);
  return a.limit - more;
}

static vsi_address address(const char *text) {
  vsi_address parsed = vsi_address_parse(text);
  union {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
  } of_family[2] = {{.in = {.sin_family = AF_INET}}, {.in6 = {.sin6_family = AF_INET6}}};
  vsi_address of = {0, 0};
  if (inet_pton(AF_INET, text, &of_family[0].in.sin_addr) == 1) of = vsi_address_of(&of_family[0].any);
  if (inet_pton(AF_INET6, text, &of_family[1].in6.sin6_addr) == 1) of = vsi_address_of(&of_family[1].any);
  assert_true(of.family == parsed.family && of.prefix == parsed.prefix);
  return parsed;
}

static bool same(const char *one, const char *other) {
  vsi_address x = address(one), y = address(other);
  return x.prefix == y.prefix && x.family == y.family;
}

TEST_CASE(clients_are_ipv4_addresses_or_64_bit_prefixes) {
  assert_true(same("192.0.2.1", "192.0.2.1"));
  assert_false(same("192.0.2.1", "192.0.2.2"));
  assert_true(same("192.0.2.1", "::ffff:192.0.2.1"));
  assert_false(same("0.0.0.1", "::1"));
  assert_true(same("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff"));
  assert_false(same("2001:db8::1", "2001:db8:0:1::1"));
  static const char *const none[] = {"", "localhost", "1.2.3", "1.2.3.4.5", "[::1]", NULL};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) assert_int_equal(vsi_address_parse(none[i]).family, 0);
  assert_int_equal(vsi_address_of(NULL).family, 0);
  assert_int_equal(vsi_address_of(&(struct sockaddr){.sa_family = AF_UNIX}).family, 0);
}

/* RFC 6052: the well-known prefix of a translator from IPv4. */
TEST_CASE(translated_ipv4_addresses_are_separate_clients) {
  assert_true(same("192.0.2.1", "64:ff9b::192.0.2.1"));
  assert_false(same("64:ff9b::192.0.2.1", "64:ff9b::192.0.2.2"));
  assert_true(same("64:ff9b:1::192.0.2.1", "64:ff9b:1::192.0.2.2")); /* a prefix of its network's own */
  assert_int_equal(address("64:ff9b::1:192.0.2.1").family, AF_INET6);
  assert_false(vsi_address_is_loopback(address("64:ff9b::127.0.0.1"))); /* such a peer is on another machine */
}

TEST_CASE(connections_per_address_are_limited) {
  begin(2);
  vsi_address one = address("192.0.2.1"), other = address("2001:db8::1");
  assert_int_equal(count_of(one), 0);
  for (int round = 0; round < 3; round++) {
    assert_int_equal(vsi_web_addresses_enter(&a, one), VESTRY_OK);
    assert_int_equal(vsi_web_addresses_enter(&a, one), VESTRY_OK);
    assert_int_equal(vsi_web_addresses_enter(&a, one), VESTRY_LIMIT);
    assert_int_equal(vsi_web_addresses_enter(&a, other), VESTRY_OK); /* another client's address */
    assert_int_equal(count_of(one), 2);
    vsi_web_addresses_leave(&a, one);
    assert_int_equal(vsi_web_addresses_enter(&a, one), VESTRY_OK);
    vsi_web_addresses_leave(&a, one);
    vsi_web_addresses_leave(&a, other);
    vsi_web_addresses_leave(&a, one);
    assert_int_equal(count_of(one), 0);
  }
  for (int i = 0; i < 5; i++) assert_int_equal(vsi_web_addresses_enter(&a, (vsi_address){0, 0}), VESTRY_OK);
  end();
}

TEST_CASE(without_a_limit_no_address_is_counted) {
  begin(0);
  for (int i = 0; i < 100; i++) assert_int_equal(vsi_web_addresses_enter(&a, address("192.0.2.1")), VESTRY_OK);
  assert_int_equal(atomic_load(&th.allocations), 0);
  for (int i = 0; i < 100; i++) vsi_web_addresses_leave(&a, address("192.0.2.1"));
  end();
}

/* Random entries and exits of a thousand addresses, compared with plain counters. */
TEST_CASE(address_counts_agree_with_plain_counters) {
  enum { ADDRESSES = 1000, LIMIT = 3 };
  static uint32_t counts[ADDRESSES];
  begin(LIMIT);
  uint64_t random = 7;
  size_t refused = 0;
  for (int step = 0; step < 200000; step++) {
    random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    size_t i = (random >> 33) % ADDRESSES;
    vsi_address at = {i, i % 2 ? AF_INET : AF_INET6};
    bool enters = step / 20000 % 2 == 0 ? random >> 61 > 1 : random >> 61 <= 1; /* the table fills, and empties */
    if (enters) {
      vestry_err error = vsi_web_addresses_enter(&a, at);
      assert_int_equal(error, counts[i] < LIMIT ? VESTRY_OK : VESTRY_LIMIT);
      refused += error != VESTRY_OK;
      counts[i] += error == VESTRY_OK;
    } else if (counts[i]) {
      vsi_web_addresses_leave(&a, at);
      counts[i]--;
    }
    assert_int_equal(count_of(at), counts[i]);
  }
  size_t here = 0;
  for (size_t i = 0; i < ADDRESSES; i++) {
    vsi_address at = {i, i % 2 ? AF_INET : AF_INET6};
    assert_int_equal(count_of(at), counts[i]);
    here += counts[i] > 0;
  }
  assert_true(refused > 100);
  assert_int_equal(a.map.count, here);
  assert_true(1 << a.map.bits <= 2048); /* at most twice the number of addresses, and doubled */
  end();
}

TEST_CASE(addresses_survive_allocation_failures) {
  begin(1);
  enum { ADDRESSES = 200 };
  bool in[ADDRESSES] = {false};
  size_t wanted = 0;
  for (uint64_t i = 0; i < ADDRESSES; i++) {
    th.fail_at = atomic_load(&th.allocations);
    vestry_err error = vsi_web_addresses_enter(&a, (vsi_address){i, AF_INET});
    assert_true(error == VESTRY_OK || error == VESTRY_NO_MEMORY);
    wanted += error != VESTRY_OK;
    test_host_fail_no_more(&th);
    if (error && i % 3) assert_int_equal(error = vsi_web_addresses_enter(&a, (vsi_address){i, AF_INET}), VESTRY_OK);
    in[i] = error == VESTRY_OK;
  }
  test_host_fail_no_more(&th);
  assert_true(wanted > 0);
  for (uint64_t i = 0; i < ADDRESSES; i++) {
    assert_int_equal(count_of((vsi_address){i, AF_INET}), in[i]);
    if (in[i]) vsi_web_addresses_leave(&a, (vsi_address){i, AF_INET});
  }
  assert_int_equal(a.map.count, 0);
  end();
}
