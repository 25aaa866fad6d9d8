/* SPDX-License-Identifier: MIT */
/* The contract of removals: of one value of a key, of a scope, without closing (P2), and of values that record their
 * entries. */
#include "store/contract.h"

#define KEY VESTRY_KEY("room", 1)

static world w;

static vestry_err remove_value(const char *scope, const vestry_key *key, value *v, vestry_cause cause) {
  return vestry_store_remove_value(w.store, world_scope(scope), key, v, cause);
}

/* capability: P2 */
static void value_leaves_a_key_and_the_others_stay(void **state) {
  enum { VALUES = 60 }; /* the built-in stores index a key with so many */
  world_open(&w, *state, NULL);
  value *v[VALUES], *found[4];
  for (size_t i = 0; i < VALUES; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, VALUES, NULL), VESTRY_OK);
  }
  assert_int_equal(world_put(&w, "s", VESTRY_KEY("other"), v[3], VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  for (size_t i = 0; i + 3 < VALUES; i++) {
    assert_int_equal(remove_value("s", KEY, v[i], VESTRY_CAUSE_CLOSED), VESTRY_OK);
    assert_int_equal(remove_value("s", KEY, v[i], VESTRY_CAUSE_CLOSED), VESTRY_NOT_FOUND);
    assert_ptr_equal(w.exits[i].value, v[i]);
    assert_int_equal(atomic_load(&v[i]->cause), VESTRY_CAUSE_CLOSED);
  }
  assert_int_equal(world_get(&w, "s", KEY, found, 4), 3);
  for (size_t i = 0; i < 3; i++) assert_ptr_equal(found[i], v[VALUES - 3 + i]);
  assert_ptr_equal(world_one(&w, VESTRY_KEY("other")), v[3]);
  world_end(&w);
}

/* capability: P2 */
static void detached_value_is_purged_and_not_closed(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle handle;
  value *v = world_new(&w, KEY, &handle);
  assert_int_equal(remove_value("s", KEY, v, VESTRY_CAUSE_DETACHED), VESTRY_OK);
  assert_int_equal(world_left(&w), 1);
  assert_int_equal(w.exits[0].cause, VESTRY_CAUSE_DETACHED);
  assert_true(w.exits[0].handle == handle);
  assert_string_equal(w.exits[0].key, "[\"room\",1]");
  assert_int_equal(atomic_load(&v->cause), VESTRY_CAUSE_NONE); /* never closed */
  assert_int_equal(atomic_load(&v->refs), 1);
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_DETACHED], 1);
  for (int by = 0; by < 3; by++) {
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", KEY, v, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
    const vestry_key *key = KEY;
    if (by == 0) assert_true(vestry_store_remove_if(w.store, result.handle, VESTRY_CAUSE_DETACHED));
    vestry_err error = VESTRY_OK;
    if (by == 1) error = vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_DETACHED, NULL);
    if (by == 2) error = vestry_store_remove(w.store, world_scope("s"), VESTRY_EVERY_KEY, VESTRY_CAUSE_DETACHED, NULL);
    assert_int_equal(error, VESTRY_OK);
    assert_null(world_one(&w, KEY));
    assert_int_equal(atomic_load(&v->cause), VESTRY_CAUSE_NONE);
  }
  world_end(&w);
}

static void invalid_removals_are_refused(void **state) {
  world_open(&w, *state, NULL);
  value *v = world_new(&w, KEY, NULL), *other = world_value(&w);
  static const char data[VESTRY_SCOPE_MAX_BYTES + 1];
  size_t count = 99;
  assert_int_equal(remove_value("s", KEY, other, VESTRY_CAUSE_REMOVED), VESTRY_NOT_FOUND);
  assert_int_equal(remove_value("t", KEY, v, VESTRY_CAUSE_REMOVED), VESTRY_NOT_FOUND);
  assert_int_equal(remove_value("s", VESTRY_KEY("room", 2), v, VESTRY_CAUSE_REMOVED), VESTRY_NOT_FOUND);
  assert_int_equal(remove_value("s", KEY, NULL, VESTRY_CAUSE_REMOVED), VESTRY_INVALID);
  assert_int_equal(remove_value("s", NULL, v, VESTRY_CAUSE_REMOVED), VESTRY_INVALID);
  assert_int_equal(remove_value("s", KEY, v, VESTRY_CAUSE_NONE), VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), VESTRY_EVERY_KEY, VESTRY_CAUSE_NONE, &count),
                   VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), VESTRY_EVERY_KEY, VESTRY_CAUSE_COUNT, &count),
                   VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(w.store, (vestry_scope){NULL, 1}, VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count),
                   VESTRY_INVALID);
  assert_int_equal(
      vestry_store_remove(w.store, (vestry_scope){data, sizeof data}, VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count),
      VESTRY_TOO_LARGE);
  assert_int_equal(count, 99);
  assert_int_equal(vestry_store_remove(w.store, world_scope("t"), VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count),
                   VESTRY_NOT_FOUND);
  assert_int_equal(count, 0);
  assert_int_equal(world_left(&w), 0);
  assert_ptr_equal(world_one(&w, KEY), v);
  world_end(&w);
}

/* capability: P2 */
static void scope_is_removed_with_all_its_keys(void **state) {
  static const char *const scopes[] = {"ann", "bob", "", "ann2"};
  enum { KEYS = 100 };
  for (int capped = 0; capped < 2; capped++) {
    world_open(&w, *state, &(vestry_store_options){.max_per_scope_count = capped ? 1000 : 0});
    value *v = world_value(&w), *second = world_value(&w);
    for (size_t s = 0; s < 4; s++)
      for (size_t i = 0; i < KEYS; i++) {
        const vestry_key *key = i % 3 ? VESTRY_KEY("k", i) : VESTRY_KEY("a key that is longer than most keys are", i);
        assert_int_equal(world_put(&w, scopes[s], key, v, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
        if (i % 2) assert_int_equal(world_put(&w, scopes[s], key, second, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
      }
    world_left(&w);
    for (size_t s = 0; s < 4; s++) {
      size_t count = 0;
      assert_int_equal(
          vestry_store_remove(w.store, world_scope(scopes[s]), VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count),
          VESTRY_OK);
      assert_int_equal(count, KEYS + KEYS / 2);
      assert_int_equal(world_left(&w), count);
      for (size_t i = 0; i < count; i++) {
        assert_string_equal(w.exits[i].scope, scopes[s]);
        assert_int_equal(w.exits[i].cause, VESTRY_CAUSE_CLOSED);
      }
      world_check(&w);
      const vestry_scope scope = world_scope(scopes[s]);
      assert_int_equal(world_listed(&w, &scope), 0);
      assert_int_equal(world_listed(&w, NULL), (3 - s) * KEYS);
    }
    world_end(&w);
  }
}

static void remove_listed(const vestry_listed *listed, void *ctx) {
  const vestry_key key = vestry_key_encoded(listed->key, listed->key_len);
  size_t count = 0;
  assert_int_equal(vestry_store_remove(w.store, listed->scope, &key, VESTRY_CAUSE_REMOVED, &count), VESTRY_OK);
  assert_int_equal(count, listed->values_count);
  *(size_t *)ctx += count;
}

/* capability: P2 */
static void listed_keys_can_be_removed(void **state) {
  world_open(&w, *state, NULL);
  for (size_t i = 0; i < 200; i++) {
    assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", i % 50), world_value(&w), VESTRY_KEEP_MANY, 0, NULL),
                     VESTRY_OK);
    if (i < 10) assert_int_equal(world_put(&w, "t", VESTRY_KEY(i), world_value(&w), VESTRY_KEEP_MANY, 0, NULL), 0);
  }
  size_t count = 0;
  const vestry_scope s = world_scope("s");
  for (vestry_list_cursor cursor = {0}; !cursor.done;)
    assert_int_equal(vestry_store_list(w.store, &s, 7, &cursor, remove_listed, &count), VESTRY_OK);
  assert_int_equal(count, 200);
  assert_int_equal(world_listed(&w, NULL), 10);
  world_end(&w);
}

/* A hook that puts removed values back into the scope, under their keys and under new ones, does not keep the removal
 * from ending. */
static void put_again(world *at, const vestry_purged *purged) {
  static size_t number;
  const vestry_key key = vestry_key_encoded(purged->key, purged->key_len);
  size_t *left = at->ctx;
  if (purged->cause != VESTRY_CAUSE_CLOSED || !*left) return;
  --*left;
  assert_int_equal(world_put(at, "s", &key, purged->value, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  assert_int_equal(world_put(at, "s", VESTRY_KEY("new", number++), purged->value, VESTRY_KEEP_MANY, 0, NULL), 0);
}

static void removal_of_a_scope_ends_despite_puts(void **state) {
  world_open(&w, *state, NULL);
  size_t left = 1000;
  w.ctx = &left;
  w.on_purge = put_again;
  for (size_t i = 0; i < 50; i++) world_new(&w, VESTRY_KEY("k", i), NULL);
  size_t count = 0;
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), VESTRY_EVERY_KEY, VESTRY_CAUSE_CLOSED, &count),
                   VESTRY_OK);
  assert_in_range(count, 50, 1100);
  left = 0;
  world_end(&w);
}

/* ----------------------------------------------------------------------------- values that record entries (P2) ---- */

/* Each value records what it was told. */
static struct {
  vestry_err refusal; /* of entering */
  size_t entering, entered, none, left;
  vestry_handle last_entered, last_left;
  bool leaves_at_once; /* entered removes the entry */
} told;

static void nothing(void *v) {}

static void nothing_for(void *v, vestry_cause cause) {}

static vestry_err entering(void *v, vestry_store *store) {
  if (!told.refusal) told.entering++;
  return told.refusal;
}

static void entered(void *v, vestry_store *store, vestry_handle handle) {
  told.entered++;
  told.none += handle == 0;
  if (handle) told.last_entered = handle;
  if (told.leaves_at_once) assert_true(vestry_store_remove_if(store, handle, VESTRY_CAUSE_CLOSED));
}

static void left(void *v, vestry_store *store, vestry_handle handle) {
  told.left++;
  told.last_left = handle;
}

static void nothing_left(const vestry_purged *purged, void *ctx) {
  assert_true(told.last_left != purged->handle); /* the hook comes first */
}

/* capability: P2 */
static void value_is_notified_of_its_entries(void **state) {
  const store_kind *kind = *state;
  const vestry_key *key = KEY, *other = VESTRY_KEY("other");
  vestry_store *store;
  world_open(&w, kind, NULL); /* for its types */
  vestry_store_options options = world_options(&w);
  vestry_value_ops ops = {.ref = nothing, .unref = nothing, .close = nothing_for, .entering = entering};
  options.value = &ops;
  options.purge = nothing_left;
  assert_int_equal(vestry_store_create(kind->type, &options, &store), VESTRY_INVALID); /* all three, or none */
  ops.entered = entered;
  assert_int_equal(vestry_store_create(kind->type, &options, &store), VESTRY_INVALID);
  ops.left = left;
  assert_int_equal(vestry_store_create(kind->type, &options, &store), VESTRY_OK);
  memset(&told, 0, sizeof told);
  int v[2];
  vestry_put_result result = {0};
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, &v[0], VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  assert_true(told.entering == 1 && told.entered == 1 && told.last_entered == result.handle && !told.none);
  /* A refreshed value, and a refused put, have no new entry. */
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, &v[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, &v[1], VESTRY_KEEP_REJECT, 0, NULL), VESTRY_EXISTS);
  assert_true(told.entering == 3 && told.entered == 3 && told.none == 2 && !told.left);
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, key, &v[1], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_true(told.left == 1 && told.last_left == result.handle);
  told.refusal = VESTRY_CLOSED;
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, other, &v[0], VESTRY_KEEP_REPLACE, 0, &result),
                   VESTRY_CLOSED);
  assert_true(told.entering == 4 && told.entered == 4);
  told.refusal = VESTRY_OK;
  told.leaves_at_once = true;
  assert_int_equal(vestry_store_put(store, (vestry_scope){0}, other, &v[0], VESTRY_KEEP_REPLACE, 0, &result),
                   VESTRY_OK);
  assert_true(told.left == 2 && told.last_left == result.handle);
  vestry_store_destroy(store);
  assert_int_equal(told.left, 3);
  world_end(&w);
}

#define TEST(function) cmocka_unit_test_prestate(function, (void *)kind)

int store_contract_run_removals(const store_kind *kind) {
  const struct CMUnitTest tests[] = {
      TEST(value_leaves_a_key_and_the_others_stay),
      TEST(detached_value_is_purged_and_not_closed),
      TEST(invalid_removals_are_refused),
      TEST(scope_is_removed_with_all_its_keys),
      TEST(listed_keys_can_be_removed),
      TEST(removal_of_a_scope_ends_despite_puts),
      TEST(value_is_notified_of_its_entries),
  };
  return cmocka_run_group_tests_name(kind->type, tests, NULL, NULL);
}
