#include "store/index.h"

#include <stdlib.h>

#include "base/siphash.h"
#include "support/test.h"
#include "support/test_host.h"

/* An object as a store's: its key is its number. */
typedef struct object {
  vsi_index_key key;
  uint64_t number;
} object;

static void set_number(object *o, uint64_t number, vsi_siphash_key key) {
  o->number = number;
  o->key = (vsi_index_key){vsi_siphash_1_3(key, &o->number, sizeof o->number), (unsigned char *)&o->number,
                           sizeof o->number};
}

static object *find(vsi_index *index, uint64_t number, vsi_siphash_key key) {
  object wanted;
  set_number(&wanted, number, key);
  return vsi_index_find(index, &wanted.key);
}

static const vsi_siphash_key secret = {UINT64_C(0x0123456789abcdef), UINT64_C(0xfedcba9876543210)};

static unsigned probes(const vsi_index *index) {
  struct ck_hs_stat stat;
  ck_hs_stat((ck_hs_t *)&index->set, &stat);
  return stat.probe_maximum;
}

static void finds_what_is_in_it(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, &th.host), VESTRY_OK);
  enum { COUNT = 2000 };
  static object objects[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    set_number(&objects[i], i, secret);
    assert_int_equal(vsi_index_add(&index, &objects[i].key), VESTRY_OK);
  }
  assert_int_equal(vsi_index_count(&index), COUNT);
  for (size_t i = 0; i < COUNT; i++) assert_ptr_equal(find(&index, i, secret), &objects[i]);
  assert_null(find(&index, COUNT, secret));
  for (size_t i = 0; i < COUNT; i += 2) vsi_index_remove(&index, &objects[i].key);
  for (size_t i = 0; i < COUNT; i++) assert_ptr_equal(find(&index, i, secret), i % 2 ? &objects[i] : NULL);
  vsi_index_finish(&index);
  vsi_index_finish(&index);
  test_host_assert_clean(&th);
}

static void equal_hashes_are_told_apart_by_their_bytes(void **state) {
  (void)state;
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, vestry_host_default()), VESTRY_OK);
  object objects[40];
  for (size_t i = 0; i < 40; i++) {
    set_number(&objects[i], i, secret);
    objects[i].key.hash = 7;
    assert_int_equal(vsi_index_add(&index, &objects[i].key), VESTRY_OK);
  }
  for (size_t i = 0; i < 40; i++) {
    object wanted;
    set_number(&wanted, i, secret);
    wanted.key.hash = 7;
    assert_ptr_equal(vsi_index_find(&index, &wanted.key), &objects[i]);
  }
  vsi_index_finish(&index);
}

/* Constant size, all new: what fills a ck_hs with tombstones. Probes stay short and memory stays as it was. */
static void churn_leaves_no_tombstones(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, &th.host), VESTRY_OK);
  enum { COUNT = 1000, ROUNDS = 200 };
  static object objects[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    set_number(&objects[i], i, secret);
    assert_int_equal(vsi_index_add(&index, &objects[i].key), VESTRY_OK);
  }
  unsigned most = 0;
  for (uint64_t number = COUNT; number < COUNT * ROUNDS; number++) {
    object *o = &objects[number % COUNT];
    vsi_index_remove(&index, &o->key);
    set_number(o, number, secret);
    assert_int_equal(vsi_index_add(&index, &o->key), VESTRY_OK);
    if (probes(&index) > most) most = probes(&index);
    assert_true(index.removed_count <= COUNT / 2 + 1);
  }
  for (uint64_t number = COUNT * (ROUNDS - 1); number < COUNT * ROUNDS; number++)
    assert_ptr_equal(find(&index, number, secret), &objects[number % COUNT]);
  print_message("longest probe in churn: %u\n", most);
  assert_true(most < 64);
  vsi_index_finish(&index);
  test_host_assert_clean(&th);
}

static size_t sizes_total;

static void *counting_reallocate(void *ctx, void *memory, size_t size) {
  (void)ctx;
  size_t *head = memory ? (size_t *)memory - 2 : NULL;
  if (head) sizes_total -= *head;
  if (size == 0) {
    free(head);
    return NULL;
  }
  head = realloc(head, size + 2 * sizeof *head);
  *head = size;
  sizes_total += size;
  return head + 2;
}

static void it_shrinks_when_it_empties(void **state) {
  (void)state;
  vestry_host host = *vestry_host_default();
  host.reallocate = counting_reallocate;
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, &host), VESTRY_OK);
  size_t at_first = sizes_total;
  enum { COUNT = 20000 };
  static object objects[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    set_number(&objects[i], i, secret);
    assert_int_equal(vsi_index_add(&index, &objects[i].key), VESTRY_OK);
  }
  assert_true(sizes_total > COUNT * sizeof(void *));
  for (size_t i = 0; i < COUNT; i++) vsi_index_remove(&index, &objects[i].key);
  assert_true(sizes_total < 4 * at_first);
  vsi_index_finish(&index);
  assert_int_equal(sizes_total, 0);
}

static void goes_on_without_memory(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, &th.host), VESTRY_OK);
  enum { COUNT = 100, ROUNDS = 20 };
  static object objects[COUNT];
  for (size_t i = 0; i < COUNT; i++) {
    set_number(&objects[i], i, secret);
    assert_int_equal(vsi_index_add(&index, &objects[i].key), VESTRY_OK);
  }
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  atomic_store(&th.fail_after, true);
  size_t added = COUNT, refused = 0;
  for (uint64_t number = COUNT; number < COUNT * ROUNDS; number++) { /* no renewing succeeds */
    object *o = &objects[number % COUNT];
    if (o->number < COUNT * ROUNDS) vsi_index_remove(&index, &o->key);
    set_number(o, number, secret);
    if (vsi_index_add(&index, &o->key) == VESTRY_OK) {
      added++;
    } else {
      refused++;
      o->number = UINT64_MAX;
    }
    if (o->number != UINT64_MAX) assert_ptr_equal(find(&index, number, secret), o);
  }
  assert_true(added > COUNT * ROUNDS / 2);
  for (size_t i = 0; i < COUNT; i++)
    if (objects[i].number != UINT64_MAX) assert_ptr_equal(find(&index, objects[i].number, secret), &objects[i]);
  assert_int_equal(added + refused, COUNT * ROUNDS);
  vsi_index_finish(&index);
  test_host_assert_clean(&th);
}

static void adding_without_memory_changes_nothing(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, &th.host), VESTRY_OK);
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  atomic_store(&th.fail_after, true);
  enum { COUNT = 200 };
  static object objects[COUNT];
  size_t held = 0;
  for (; held < COUNT; held++) { /* the set that was made at first can be filled, and then no more */
    set_number(&objects[held], held, secret);
    if (vsi_index_add(&index, &objects[held].key) == VESTRY_NO_MEMORY) break;
  }
  assert_in_range(held, 8, COUNT - 1);
  assert_int_equal(vsi_index_count(&index), held);
  assert_null(find(&index, held, secret));
  for (size_t i = 0; i < held; i++) assert_ptr_equal(find(&index, i, secret), &objects[i]);
  atomic_store(&th.fail_at, -1);
  assert_int_equal(vsi_index_add(&index, &objects[held].key), VESTRY_OK);
  vsi_index_finish(&index);
  atomic_store(&th.fail_at, atomic_load(&th.allocations));
  assert_int_equal(vsi_index_init(&index, &th.host), VESTRY_NO_MEMORY);
  vsi_index_finish(&index);
  test_host_assert_clean(&th);
}

/* Keys made to collide under a hash without a key (31 h + c: "Aa" and "BB" are equal in it, and so is any row of them).
 * An index by that hash walks over all of them in every look-up; by SipHash with a key they are like any others. */
enum { PAIRS = 9, FLOOD_COUNT = 1 << PAIRS };

static uint64_t without_key(const unsigned char *bytes, size_t len) {
  uint64_t hash = 0;
  for (size_t i = 0; i < len; i++) hash = hash * 31 + bytes[i];
  return hash;
}

static unsigned flood(bool keyed) {
  static unsigned char texts[FLOOD_COUNT][2 * PAIRS];
  static vsi_index_key objects[FLOOD_COUNT];
  vsi_index index;
  assert_int_equal(vsi_index_init(&index, vestry_host_default()), VESTRY_OK);
  for (size_t i = 0; i < FLOOD_COUNT; i++) {
    for (size_t pair = 0; pair < PAIRS; pair++) memcpy(texts[i] + 2 * pair, i >> pair & 1 ? "Aa" : "BB", 2);
    uint64_t hash = keyed ? vsi_siphash_1_3(secret, texts[i], sizeof texts[i]) : without_key(texts[i], sizeof texts[i]);
    objects[i] = (vsi_index_key){hash, texts[i], sizeof texts[i]};
    assert_int_equal(vsi_index_add(&index, &objects[i]), VESTRY_OK);
  }
  unsigned most = probes(&index);
  vsi_index_finish(&index);
  return most;
}

static void a_flood_of_chosen_keys_is_like_any_keys(void **state) {
  (void)state;
  unsigned unkeyed = flood(false), keyed = flood(true);
  print_message("longest probe: %u by a hash without a key, %u by ours\n", unkeyed, keyed);
  assert_true(unkeyed >= FLOOD_COUNT); /* the attack is one */
  assert_true(keyed < 40);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(finds_what_is_in_it),
      cmocka_unit_test(equal_hashes_are_told_apart_by_their_bytes),
      cmocka_unit_test(churn_leaves_no_tombstones),
      cmocka_unit_test(it_shrinks_when_it_empties),
      cmocka_unit_test(goes_on_without_memory),
      cmocka_unit_test(adding_without_memory_changes_nothing),
      cmocka_unit_test(a_flood_of_chosen_keys_is_like_any_keys),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
