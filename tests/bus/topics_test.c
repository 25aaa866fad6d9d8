/* SPDX-License-Identifier: MIT */
/* The table of topics: a stored topic is found, a removed one is not, and lookups stay short with many topics. */
#include "app/bus/bus.h"

#include <stdlib.h>

#include "base/memory.h"
#include "runtime/random.h"
#include "support/test.h"
#include "support/test_host.h"

static void add(vsi_topics *topics, const vestry_host *host, const void *bytes, size_t len) {
  assert_int_equal(vsi_map_reserve(&topics->map, host, topics->map.count + 1), VESTRY_OK);
  assert_in_range(topics->map.count + 1, 1, (uintmax_t)1 << topics->map.bits);
  vsi_topic *topic = vsi_topic_create(host, vsi_siphash_1_3(topics->key, bytes, len), bytes, len);
  vsi_map_add(&topics->map, &topic->in, topic->in.hash);
}

static vsi_topic *find(const vsi_topics *topics, const void *bytes, size_t len) {
  return vsi_topics_find(topics, vsi_siphash_1_3(topics->key, bytes, len), bytes, len);
}

static void drop(vsi_topics *topics, const vestry_host *host, const void *bytes, size_t len) {
  vsi_topic *topic = find(topics, bytes, len);
  vsi_map_remove(&topics->map, &topic->in);
  vsi_free(host, topic);
}

static size_t longest_chain(const vsi_topics *topics) {
  size_t longest = 0;
  for (size_t i = 0; i >> topics->map.bits == 0; i++) {
    size_t len = 0;
    for (const vsi_map_link *at = topics->map.buckets[i]; at; at = at->next) len++;
    if (len > longest) longest = len;
  }
  return longest;
}

TEST_CASE(topics_differ_by_every_byte) {
  static const struct {
    const char *bytes;
    size_t len;
  } names[] = {{"a", 1}, {"b", 1}, {"a\0", 2}, {"a\0b", 3}, {"\0", 1}, {"\0\0", 2}, {"a\xff", 2}, {"ab", 2}};
  enum { COUNT = sizeof names / sizeof *names };
  test_host th;
  test_host_init(&th);
  vsi_topics topics = {.map = {NULL, 0, 0}};
  assert_int_equal(vsi_siphash_key_random(&th.host, &topics.key), VESTRY_OK);
  for (size_t i = 0; i < COUNT; i++) {
    assert_null(find(&topics, names[i].bytes, names[i].len));
    add(&topics, &th.host, names[i].bytes, names[i].len);
  }
  for (size_t i = 0; i < COUNT; i++) {
    const vsi_topic *topic = find(&topics, names[i].bytes, names[i].len);
    assert_int_equal(topic->len, names[i].len);
    assert_memory_equal(topic->bytes, names[i].bytes, names[i].len);
  }
  for (size_t i = 0; i < COUNT; i++) {
    drop(&topics, &th.host, names[i].bytes, names[i].len);
    assert_null(find(&topics, names[i].bytes, names[i].len));
    assert_int_equal(topics.map.count, COUNT - 1 - i);
  }
  vsi_map_finish(&topics.map, &th.host);
  test_host_assert_clean(&th);
}

TEST_CASE(random_operations_match_a_set) {
  enum { NUMBERS = 500, STEPS = 20000 };
  for (uint64_t seed = 1; seed <= 5; seed++) {
    test_host th;
    test_host_init(&th);
    atomic_store(&th.seed, seed);
    uint64_t random = seed;
    bool in[NUMBERS] = {false};
    size_t count = 0;
    vsi_topics topics = {.map = {NULL, 0, 0}};
    assert_int_equal(vsi_siphash_key_random(&th.host, &topics.key), VESTRY_OK);
    for (int step = 0; step < STEPS; step++) {
      uint32_t number = (uint32_t)random_below(&random, NUMBERS);
      assert_int_equal(find(&topics, &number, sizeof number) != NULL, in[number]);
      if (in[number])
        drop(&topics, &th.host, &number, sizeof number);
      else
        add(&topics, &th.host, &number, sizeof number);
      in[number] = !in[number];
      count = in[number] ? count + 1 : count - 1;
      assert_int_equal(topics.map.count, count);
    }
    for (uint32_t number = 0; number < NUMBERS; number++)
      if (in[number]) drop(&topics, &th.host, &number, sizeof number);
    assert_int_equal(topics.map.count, 0);
    vsi_map_finish(&topics.map, &th.host);
    test_host_assert_clean(&th);
  }
}

/* capability: F7 */
TEST_CASE(chains_stay_short_with_many_topics) {
  enum { NUMBERS = 100000 };
  vsi_topics topics = {.map = {NULL, 0, 0}};
  const vestry_host *host = vestry_host_default();
  test_host th;
  test_host_init(&th); /* a known key */
  assert_int_equal(vsi_siphash_key_random(&th.host, &topics.key), VESTRY_OK);
  for (uint32_t number = 0; number < NUMBERS; number++) add(&topics, host, &number, sizeof number);
  assert_true((size_t)1 << topics.map.bits >= topics.map.count);
  assert_true(longest_chain(&topics) <= 10); /* about 8 at random for this many */
  for (uint32_t number = 0; number < NUMBERS; number++) drop(&topics, host, &number, sizeof number);
  vsi_map_finish(&topics.map, host);
}

HOST_CASE(bus_cannot_be_created_without_randomness) {
  atomic_store(&th->fail_random, true);
  vsi_bus *bus;
  assert_int_equal(vsi_bus_create(&th->host, &bus), VESTRY_IO);
}
