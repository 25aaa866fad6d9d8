/* SPDX-License-Identifier: MIT */
/* A user cannot slow a store down with keys chosen to collide, because neither an unkeyed hash nor another store's key
 * yields collisions under this store's key. */
#include "runtime/random.h"
#include "store/table.h"

#include "store/invariants.h"
#include "store/world.h"

enum { COUNT = 480, CROWDED_BITS = 8 };

static world w;
static char keys[COUNT][24];

static void open_seeded(const store_kind *kind, uint64_t seed) {
  test_host_init(&w.own_host);
  atomic_store(&w.own_host.seed, seed);
  assert_int_equal(world_try_open(&w, &w.own_host, kind, &(vestry_store_options){.max_count = 500}), VESTRY_OK);
}

/* Keys whose home under this hash is in the same 256th of an index. */
static void choose_keys(const vsi_keyed_hash *hash) {
  uint64_t number = 0;
  for (size_t i = 0; i < COUNT; number++) {
    snprintf(keys[i], sizeof keys[i], "user %llu", (unsigned long long)number);
    vsi_scoped_key scoped;
    vestry_key key = vestry_key_string(keys[i]);
    assert_int_equal(vsi_scoped_key_init(&scoped, hash, vestry_host_default(), world_scope("s"), &key), VESTRY_OK);
    vsi_scoped_key_finish(&scoped);
    i += scoped.key->hash >> (64 - CROWDED_BITS) == 77;
  }
}

/* Return the maximum number of groups that a lookup visits. */
static size_t longest_walk(const vsi_arrays *in, const vsi_placing *placing) {
  const uint32_t count = vsi_index_count(in);
  uint32_t longest = 0;
  for (uint32_t i = 0; i < count; i++)
    for (size_t k = 0; k < VSI_GROUP_PLACES; k++) {
      const uint32_t number = vsi_index_groups(in)[i].numbers[k];
      if (!number) continue;
      uint32_t walk = (i + count - vsi_index_home(in, placing, in->cold[number].handle)) % count;
      if (walk > longest) longest = walk;
    }
  return longest + 1;
}

static size_t longest_probe(void) {
  value *v = world_value(&w);
  for (size_t i = 0; i < COUNT; i++)
    assert_int_equal(
        world_put(&w, "s", (const vestry_key[]){vestry_key_string(keys[i])}, v, VESTRY_KEEP_REPLACE, 0, NULL),
        VESTRY_OK);
  for (size_t i = 0; i < COUNT; i++)
    assert_ptr_equal(world_one(&w, (const vestry_key[]){vestry_key_string(keys[i])}), v);
  size_t longest = 0;
  const vsi_table *table = invariants_table(w.store);
  for (uint32_t i = 0; i < table->shards_count; i++) {
    size_t walk = longest_walk(table->shards[i].in, &table->placing);
    if (walk > longest) longest = walk;
  }
  return longest;
}

/* capability: F7 */
static void keys_colliding_in_another_store_do_not_collide(void **state) {
  open_seeded(*state, 1);
  vsi_keyed_hash known = w.store->exit.hash;
  choose_keys(&known);
  size_t crowded = longest_probe();
  world_end(&w);
  assert_true(crowded > COUNT / (VSI_GROUP_PLACES + 1) / 2); /* an attacker with the key succeeds */
  for (uint64_t seed = 2; seed < 6; seed++) {
    open_seeded(*state, seed);
    assert_true(memcmp(&w.store->exit.hash, &known, sizeof known) != 0);
    size_t probe = longest_probe();
    world_end(&w);
    assert_in_range(probe, 1, 6);
  }
}

static void keys_colliding_unkeyed_do_not_collide(void **state) {
  vsi_keyed_hash constant; /* its words are public */
  uint64_t words[sizeof constant / sizeof(uint64_t)], random = 0;
  for (size_t i = 0; i < sizeof words / sizeof *words; i++) words[i] = random_next(&random) | 1;
  memcpy(&constant, words, sizeof constant);
  choose_keys(&constant);
  open_seeded(*state, 7);
  size_t probe = longest_probe();
  world_end(&w);
  assert_in_range(probe, 1, 6);
}

/* Keys from a counter, and keys of which one is the prefix of the next. */
static void similar_keys_do_not_collide(void **state) {
  open_seeded(*state, 8);
  for (size_t i = 0; i < COUNT; i++) {
    memset(keys[i], 'a', sizeof keys[i]);
    keys[i][1 + i % 22] = 0;
    if (i >= 22) snprintf(keys[i], sizeof keys[i], "%022zu", i);
  }
  size_t probe = longest_probe();
  world_end(&w);
  assert_in_range(probe, 1, 6);
}

#define TESTS(kind)                                                                                                    \
  WORLD_TEST(keys_colliding_in_another_store_do_not_collide, kind),                                                    \
      WORLD_TEST(keys_colliding_unkeyed_do_not_collide, kind), WORLD_TEST(similar_keys_do_not_collide, kind)

int main(void) {
  const struct CMUnitTest tests[] = {TESTS(world_hash), TESTS(world_lru)};
  return cmocka_run_group_tests(tests, NULL, NULL);
}
