/* SPDX-License-Identifier: MIT */
#include "store/contract.h"
#include "runtime/random.h"
#include "store/store.h"

#define KEY VESTRY_KEY("counter", 1)

static world w;

static void assert_exit(size_t at, const value *v, vestry_cause cause) {
  assert_true(at < atomic_load(&w.exits_count));
  assert_ptr_equal(w.exits[at].value, v);
  assert_int_equal(w.exits[at].cause, cause);
}

/* --------------------------------------------------------------------------------------- put, get, remove (A1) ---- */

/* capability: A1 */
static void get_finds_the_stored_value(void **state) {
  world_open(&w, *state, NULL);
  assert_null(world_one(&w, KEY));
  value *v = world_new(&w, KEY, NULL);
  assert_int_equal(atomic_load(&v->refs), 2);
  assert_ptr_equal(world_one(&w, KEY), v);
  assert_null(world_one(&w, VESTRY_KEY("counter", 2)));
  void *held[1];
  size_t count = 1;
  const vestry_key *key = KEY;
  assert_int_equal(vestry_store_get(w.store, world_scope("s"), key, held, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_int_equal(atomic_load(&v->refs), 3); /* a held reference */
  atomic_fetch_sub(&v->refs, 1);
  vestry_store_stats stats = world_stats(&w);
  assert_int_equal(stats.put_count, 1);
  assert_int_equal(stats.live_count, 1);
  assert_int_equal(stats.hits_count, 2);
  assert_int_equal(stats.misses_count, 2);
  world_end(&w);
}

/* capability: A1 */
static void put_replaces_the_stored_value(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle first_handle, second_handle;
  value *first = world_new(&w, KEY, &first_handle);
  value *second = world_value(&w);
  vestry_put_result result = {0};
  assert_int_equal(world_put(&w, "s", KEY, second, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  second_handle = result.handle;
  assert_true(first_handle != second_handle);
  assert_int_equal(result.displaced_count, 1);
  assert_exit(0, first, VESTRY_CAUSE_REPLACED);
  assert_true(w.exits[0].handle == first_handle);
  assert_int_equal(atomic_load(&first->closes), 1);
  assert_int_equal(atomic_load(&first->refs), 1);
  assert_ptr_equal(world_one(&w, KEY), second);
  world_end(&w);
}

static void held_reference_keeps_a_removed_value(void **state) {
  world_open(&w, *state, NULL);
  value *v = world_new(&w, KEY, NULL);
  void *held[1];
  size_t count = 1;
  const vestry_key *key = KEY;
  assert_int_equal(vestry_store_get(w.store, world_scope("s"), key, held, &count), VESTRY_OK);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  assert_int_equal(atomic_load(&v->refs), 2); /* closed, not freed */
  assert_int_equal(atomic_load(&v->closes), 1);
  atomic_fetch_sub(&v->refs, 1);
  world_end(&w);
}

/* capability: A1, A10 */
static void purge_hook_gets_removed_entry_and_cause(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle handle;
  value *v = world_new(&w, KEY, &handle);
  const vestry_key *key = KEY;
  size_t count = 99;
  assert_int_equal(vestry_store_remove(w.store, world_scope("t"), key, VESTRY_CAUSE_REMOVED, &count), VESTRY_NOT_FOUND);
  assert_int_equal(count, 0);
  assert_int_equal(world_left(&w), 0); /* no hook for an absent key (A10) */
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_NONE, &count), VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_COUNT, &count), VESTRY_INVALID);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_CLOSED, &count), VESTRY_OK);
  assert_int_equal(count, 1);
  assert_exit(0, v, VESTRY_CAUSE_CLOSED);
  assert_true(w.exits[0].handle == handle);
  assert_string_equal(w.exits[0].key, "[\"counter\",1]");
  assert_string_equal(w.exits[0].scope, "s");
  assert_int_equal(atomic_load(&v->cause), VESTRY_CAUSE_CLOSED);
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_NOT_FOUND);
  assert_null(world_one(&w, KEY));
  assert_int_equal(world_left(&w), 1);
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_CLOSED], 1);
  world_end(&w);
}

/* ---------------------------------------------------------------------------------------------- identity (A12) ---- */

/* capability: A12 */
static void old_handle_does_not_remove_the_successor(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle old_handle, new_handle;
  world_new(&w, KEY, &old_handle);
  value *successor = world_new(&w, KEY, &new_handle);
  assert_false(vestry_store_remove_if(w.store, old_handle, VESTRY_CAUSE_HANGUP));
  assert_ptr_equal(world_one(&w, KEY), successor);
  assert_false(vestry_store_remove_if(w.store, 0, VESTRY_CAUSE_HANGUP));
  assert_false(vestry_store_remove_if(w.store, UINT64_MAX, VESTRY_CAUSE_HANGUP));
  assert_false(vestry_store_remove_if(w.store, new_handle, VESTRY_CAUSE_NONE));
  assert_int_equal(world_left(&w), 1);
  assert_true(vestry_store_remove_if(w.store, new_handle, VESTRY_CAUSE_HANGUP));
  assert_false(vestry_store_remove_if(w.store, new_handle, VESTRY_CAUSE_HANGUP));
  assert_exit(0, successor, VESTRY_CAUSE_HANGUP);
  assert_null(world_one(&w, KEY));
  world_end(&w);
}

/* capability: A12 */
static void handles_are_never_reused(void **state) {
  world_open(&w, *state, NULL);
  enum { PUTS = 1000 };
  static vestry_handle handles[PUTS];
  value *a = world_value(&w), *b = world_value(&w);
  for (size_t i = 0; i < PUTS; i++) {
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", VESTRY_KEY(i % 3), i % 2 ? a : b, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
    handles[i] = result.handle;
    if (i % 7 == 0) vestry_store_remove_if(w.store, handles[i], VESTRY_CAUSE_REMOVED);
    for (size_t j = 0; j < i; j++) assert_true(result.refreshed || handles[j] != handles[i]);
  }
  world_end(&w);
}

/* ----------------------------------------------------------------------------------- a key is taken (A14, A4) ---- */

static void put_of_the_stored_value_refreshes_it(void **state) {
  world_open(&w, *state, NULL);
  vestry_handle handle;
  value *v = world_new(&w, KEY, &handle);
  for (vestry_keep_policy policy = VESTRY_KEEP_REPLACE; policy <= VESTRY_KEEP_MANY; policy++) {
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", KEY, v, policy, 0, &result), VESTRY_OK);
    assert_true(result.refreshed);
    assert_true(result.handle == handle);
    assert_int_equal(result.displaced_count, 0);
    assert_int_equal(atomic_load(&v->refs), 2);
  }
  assert_int_equal(world_left(&w), 0);
  assert_int_equal(world_stats(&w).put_count, 1);
  assert_int_equal(world_stats(&w).live_count, 1);
  world_end(&w);
}

static void value_can_have_two_keys(void **state) {
  world_open(&w, *state, NULL);
  value *v = world_value(&w);
  vestry_put_result one = {0}, other = {0};
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(1), v, VESTRY_KEEP_REPLACE, 0, &one), VESTRY_OK);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(2), v, VESTRY_KEEP_REPLACE, 0, &other), VESTRY_OK);
  assert_false(other.refreshed);
  assert_true(one.handle != other.handle);
  assert_true(vestry_store_remove_if(w.store, one.handle, VESTRY_CAUSE_REMOVED));
  assert_ptr_equal(world_one(&w, VESTRY_KEY(2)), v);
  world_end(&w);
  assert_int_equal(atomic_load(&v->closes), 2);
}

/* capability: A14 */
static void reuse_and_reject_keep_the_stored_value(void **state) {
  world_open(&w, *state, NULL);
  value *first = world_value(&w), *second = world_value(&w);
  assert_int_equal(world_put(&w, "s", KEY, first, VESTRY_KEEP_REUSE, 0, NULL), VESTRY_OK);
  vestry_put_result result = {.handle = 77, .displaced_count = 77, .refreshed = true};
  for (vestry_keep_policy policy = VESTRY_KEEP_REUSE; policy <= VESTRY_KEEP_REJECT; policy++) {
    const vestry_key *key = KEY;
    assert_int_equal(vestry_store_put(w.store, world_scope("s"), key, second, policy, 0, &result), VESTRY_EXISTS);
    assert_int_equal(atomic_load(&second->refs), 1);
    assert_ptr_equal(world_one(&w, KEY), first);
  }
  assert_true(result.handle == 77); /* untouched on failure */
  assert_int_equal(world_left(&w), 0);
  assert_int_equal(world_stats(&w).put_count, 1);
  assert_int_equal(world_put(&w, "s", VESTRY_KEY(2), second, VESTRY_KEEP_REJECT, 0, NULL), VESTRY_OK);
  world_end(&w);
}

/* capability: A14 */
static void key_holds_many_values_up_to_its_limit(void **state) {
  world_open(&w, *state, NULL);
  value *v[6], *found[8];
  vestry_put_result result[6] = {0};
  for (size_t i = 0; i < 6; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, 4, &result[i]), VESTRY_OK);
    assert_int_equal(result[i].displaced_count, i >= 4 ? 1 : 0);
  }
  assert_exit(0, v[0], VESTRY_CAUSE_REPLACED); /* the oldest puts */
  assert_exit(1, v[1], VESTRY_CAUSE_REPLACED);
  assert_int_equal(world_get(&w, "s", KEY, found, 8), 4);
  for (size_t i = 0; i < 4; i++) assert_ptr_equal(found[i], v[i + 2]); /* the most recent last */
  assert_int_equal(world_get(&w, "s", KEY, found, 2), 2);
  assert_ptr_equal(found[0], v[4]);
  assert_ptr_equal(found[1], v[5]);
  assert_int_equal(world_get(&w, "s", KEY, found, 0), 0);
  const vestry_key *key = KEY;
  size_t none = 0; /* no room for results: the key is still found, and counts as used */
  assert_int_equal(vestry_store_get(w.store, world_scope("s"), key, NULL, &none), VESTRY_OK);

  /* A refreshed value keeps its position and displaces no other, even if the maximum is lower now. */
  assert_int_equal(world_put(&w, "s", KEY, v[2], VESTRY_KEEP_MANY, 2, NULL), VESTRY_OK);
  assert_int_equal(world_get(&w, "s", KEY, found, 8), 4);
  assert_ptr_equal(found[0], v[2]);
  value *late = world_value(&w);
  vestry_put_result many = {0};
  assert_int_equal(world_put(&w, "s", KEY, late, VESTRY_KEEP_MANY, 2, &many), VESTRY_OK);
  assert_int_equal(many.displaced_count, 3);
  assert_int_equal(world_get(&w, "s", KEY, found, 8), 2);
  assert_ptr_equal(found[0], v[5]);
  assert_ptr_equal(found[1], late);

  assert_true(vestry_store_remove_if(w.store, result[5].handle, VESTRY_CAUSE_HANGUP)); /* one of several */
  assert_ptr_equal(world_one(&w, KEY), late);
  value *only = world_new(&w, KEY, NULL); /* REPLACE displaces all */
  assert_int_equal(world_get(&w, "s", KEY, found, 8), 1);
  assert_ptr_equal(found[0], only);
  world_end(&w);
}

static void refreshing_one_of_many_displaces_none(void **state) {
  world_open(&w, *state, NULL);
  value *v[3], *found[3];
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  }
  for (vestry_keep_policy policy = VESTRY_KEEP_REUSE; policy <= VESTRY_KEEP_MANY; policy++) {
    vestry_put_result result = {0};
    assert_int_equal(world_put(&w, "s", KEY, v[1], policy, 0, &result), VESTRY_OK);
    assert_true(result.refreshed);
    assert_int_equal(result.displaced_count, 0);
  }
  assert_int_equal(world_get(&w, "s", KEY, found, 3), 3);
  for (size_t i = 0; i < 3; i++) assert_ptr_equal(found[i], v[i]);
  world_end(&w);
}

static void replace_with_a_stored_value_keeps_only_it(void **state) {
  world_open(&w, *state, NULL);
  value *v[3];
  vestry_put_result result[3] = {0}, refreshed = {0};
  for (size_t i = 0; i < 3; i++) {
    v[i] = world_value(&w);
    assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, 0, &result[i]), VESTRY_OK);
  }
  assert_int_equal(world_put(&w, "s", KEY, v[1], VESTRY_KEEP_REPLACE, 0, &refreshed), VESTRY_OK);
  assert_true(refreshed.refreshed);
  assert_true(refreshed.handle == result[1].handle);
  assert_int_equal(refreshed.displaced_count, 2);
  assert_exit(0, v[0], VESTRY_CAUSE_REPLACED);
  assert_exit(1, v[2], VESTRY_CAUSE_REPLACED);
  assert_ptr_equal(world_one(&w, KEY), v[1]);
  world_end(&w);
}

/* If a key is full, ended values are displaced before others. */
static void full_key_displaces_ended_values_first(void **state) {
  world_open(&w, *state, NULL);
  value *v[6], *found[8];
  for (size_t i = 0; i < 6; i++) v[i] = world_value(&w);
  for (size_t i = 0; i < 4; i++) assert_int_equal(world_put(&w, "s", KEY, v[i], VESTRY_KEEP_MANY, 4, NULL), VESTRY_OK);
  atomic_store(&v[2]->ended, true);
  assert_int_equal(world_put(&w, "s", KEY, v[4], VESTRY_KEEP_MANY, 4, NULL), VESTRY_OK);
  assert_int_equal(world_put(&w, "s", KEY, v[5], VESTRY_KEEP_MANY, 4, NULL), VESTRY_OK);
  assert_exit(0, v[2], VESTRY_CAUSE_REPLACED);
  assert_exit(1, v[0], VESTRY_CAUSE_REPLACED);
  assert_int_equal(world_get(&w, "s", KEY, found, 8), 4);
  assert_ptr_equal(found[0], v[1]);
  world_end(&w);
}

/* A key with hundreds of values has an index instead of a walk over its list. Values are put, put again and removed in
 * any order. */
static void key_with_hundreds_of_values_keeps_their_order(void **state) {
  enum { VALUES = 300, MOST = 200, STEPS = 4500, SHOWN = 32 };
  static value *v[VALUES], *there[MOST + 1], *found[SHOWN];
  static vestry_handle handles[MOST + 1];
  uint64_t random = 1;
  size_t count = 0;
  world_open(&w, *state, NULL);
  for (size_t i = 0; i < VALUES; i++) v[i] = world_value(&w);
  for (size_t step = 0; step < STEPS; step++) {
    size_t at = 0, drains = step / 500 % 2; /* the key fills, and empties */
    if (random_below(&random, 8) < 3 + 3 * drains && count) {
      size_t gone = (size_t)random_below(&random, count);
      assert_true(vestry_store_remove_if(w.store, handles[gone], VESTRY_CAUSE_HANGUP));
      assert_false(vestry_store_remove_if(w.store, handles[gone], VESTRY_CAUSE_HANGUP));
      count--;
      memmove(&there[gone], &there[gone + 1], (count - gone) * sizeof *there);
      memmove(&handles[gone], &handles[gone + 1], (count - gone) * sizeof *handles);
      continue;
    }
    vestry_put_result result = {0};
    value *one = v[random_below(&random, VALUES)];
    while (at < count && there[at] != one) at++;
    assert_int_equal(world_put(&w, "s", KEY, one, VESTRY_KEEP_MANY, MOST, &result), VESTRY_OK);
    assert_int_equal(result.refreshed, at < count);
    assert_int_equal(result.displaced_count, at == count && count == MOST);
    if (at < count) continue;
    there[count] = one;
    handles[count++] = result.handle;
    if (count <= MOST) continue;
    count--;
    memmove(&there[0], &there[1], count * sizeof *there);
    memmove(&handles[0], &handles[1], count * sizeof *handles);
  }
  assert_true(count > SHOWN);
  assert_int_equal(world_get(&w, "s", KEY, found, SHOWN), SHOWN);
  for (size_t i = 0; i < SHOWN; i++) assert_ptr_equal(found[i], there[count - SHOWN + i]);
  world_check(&w);
  world_left(&w);
  world_new(&w, KEY, NULL); /* REPLACE displaces all, in the order of their puts */
  for (size_t i = 0; i < count; i++) assert_exit(i, there[i], VESTRY_CAUSE_REPLACED);
  assert_int_equal(world_left(&w), count);
  assert_int_equal(world_get(&w, "s", KEY, found, SHOWN), 1);
  world_end(&w);
}

/* capability: A14 */
static void many_defaults_to_eight_values(void **state) {
  world_open(&w, *state, NULL);
  value *found[32];
  for (size_t i = 0; i < 9; i++)
    assert_int_equal(world_put(&w, "s", KEY, world_value(&w), VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
  assert_int_equal(world_get(&w, "s", KEY, found, 32), 8);
  const vestry_key *key = KEY;
  size_t count;
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, &count), VESTRY_OK);
  assert_int_equal(count, 8);
  assert_exit(0, &w.values[0], VESTRY_CAUSE_REPLACED);
  for (size_t i = 1; i < 9; i++) assert_exit(i, &w.values[i], VESTRY_CAUSE_REMOVED); /* in the order of their puts */
  assert_int_equal(world_left(&w), 9);
  world_end(&w);
}

/* ------------------------------------------------------------------------------------ scopes and keys (A8, A9) ---- */

/* capability: A8 */
static void equal_keys_in_different_scopes_are_separate(void **state) {
  world_open(&w, *state, NULL);
  value *one = world_value(&w), *other = world_value(&w), *nameless = world_value(&w);
  assert_int_equal(world_put(&w, "one", KEY, one, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_int_equal(world_put(&w, "other", KEY, other, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  const vestry_key *key = KEY;
  assert_int_equal(vestry_store_put(w.store, (vestry_scope){NULL, 0}, key, nameless, VESTRY_KEEP_REPLACE, 0, NULL),
                   VESTRY_OK);
  atomic_fetch_add(&nameless->stays, 1);
  value *found;
  assert_int_equal(world_get(&w, "one", KEY, &found, 1), 1);
  assert_ptr_equal(found, one);
  assert_int_equal(world_get(&w, "", KEY, &found, 1), 1);
  assert_ptr_equal(found, nameless);
  assert_int_equal(vestry_store_remove(w.store, world_scope("one"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  assert_int_equal(world_get(&w, "one", KEY, &found, 1), 0);
  assert_int_equal(world_get(&w, "other", KEY, &found, 1), 1);
  assert_ptr_equal(found, other);
  world_end(&w);
}

/* A ready key is its key in its scope, in every store and as a part of a tuple. */
static void ready_keys_equal_their_keys(void **state) {
  static world other;
  world_open(&w, *state, NULL);
  world_open(&other, *state, NULL);
  static const char text[230];
  const vestry_key keys[] = {*KEY, vestry_key_string("a"), vestry_key_bytes(text, 200),
                             *VESTRY_KEY(VESTRY_KEY("a"), 1)};
  vestry_ready_key ready, untouched = {{VESTRY_KEY_EVERY, 1, NULL, 0, NULL}};
  void *found;
  size_t count = 1;
  for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
    assert_int_equal(vestry_store_ready(w.store, world_scope("s"), &keys[i], ready), VESTRY_OK);
    value *v = world_value(&w), *second = world_value(&other);
    assert_int_equal(world_put(&w, "s", ready, v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    assert_ptr_equal(world_one(&w, &keys[i]), v);
    assert_int_equal(vestry_store_get(w.store, (vestry_scope){0}, ready, &found, &count), VESTRY_OK);
    atomic_fetch_sub(&((value *)found)->refs, 1);
    assert_int_equal(vestry_store_get(w.store, world_scope("t"), ready, &found, &count), VESTRY_INVALID);
    count = 1;
    assert_int_equal(world_put(&other, "s", ready, second, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    assert_ptr_equal(world_one(&other, &keys[i]), second);
    assert_int_equal(world_put(&w, "t", VESTRY_KEY(ready, 1), v, VESTRY_KEEP_MANY, 0, NULL), VESTRY_OK);
    assert_int_equal(world_get(&w, "t", VESTRY_KEY(keys[i], 1), (value **)&found, 1), 1);
    const vestry_key *part = VESTRY_KEY(ready, 1);
    assert_int_equal(vestry_store_remove(w.store, world_scope("t"), part, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
    assert_int_equal(vestry_store_remove(w.store, world_scope("s"), ready, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  }
  const vestry_key longer = vestry_key_bytes(text, sizeof text);
  const vestry_scope scope = {text, 60};
  assert_int_equal(vestry_store_ready(w.store, scope, &longer, untouched), VESTRY_TOO_LARGE);
  assert_int_equal(vestry_store_ready(w.store, scope, NULL, untouched), VESTRY_INVALID);
  assert_int_equal(untouched[0].type, VESTRY_KEY_EVERY);
  assert_int_equal(world_put(&w, "s", VESTRY_EVERY_KEY, &w.values[0], VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_INVALID);
  world_end(&other);
  world_end(&w);
}

/* capability: A9 */
static void keys_of_different_types_are_distinct(void **state) {
  world_open(&w, *state, NULL);
  vestry_key keys[] = {
      vestry_key_integer(1), vestry_key_string("1"),    vestry_key_bytes("1", 1),    *VESTRY_KEY(1),
      *VESTRY_KEY("1"),      *VESTRY_KEY("a", "bc"),    *VESTRY_KEY("ab", "c"),      vestry_key_tuple(NULL, 0),
      vestry_key_string(""), vestry_key_bytes(NULL, 0), *VESTRY_KEY(VESTRY_KEY("a"))};
  enum { COUNT = sizeof keys / sizeof *keys };
  value *v[COUNT];
  for (size_t i = 0; i < COUNT; i++) v[i] = world_new(&w, &keys[i], NULL);
  for (size_t i = 0; i < COUNT; i++) assert_ptr_equal(world_one(&w, &keys[i]), v[i]);
  assert_int_equal(world_left(&w), 0);
  world_end(&w);
}

/* capability: A9 */
static void longest_keys_work_and_invalid_ones_are_refused(void **state) {
  world_open(&w, *state, NULL);
  static char data[VESTRY_KEY_MAX_BYTES];
  vestry_key longest = vestry_key_bytes(data, sizeof data - 4), longer = vestry_key_bytes(data, sizeof data - 3);
  const vestry_key *no_key = VESTRY_KEY((char *)NULL);
  value *v = world_new(&w, &longest, NULL);
  assert_ptr_equal(world_one(&w, &longest), v);
  size_t room = 1;
  void *found[1];
  value *other = world_value(&w);
  vestry_scope s = world_scope("s"), large = {data, VESTRY_SCOPE_MAX_BYTES + 1}, null = {NULL, 1};
  const struct {
    vestry_scope scope;
    const vestry_key *key;
    vestry_err expected;
  } cases[] = {{s, &longer, VESTRY_TOO_LARGE},
               {s, no_key, VESTRY_INVALID},
               {s, NULL, VESTRY_INVALID},
               {large, &longest, VESTRY_TOO_LARGE},
               {null, &longest, VESTRY_INVALID}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    room = 1;
    assert_int_equal(vestry_store_put(w.store, cases[i].scope, cases[i].key, other, VESTRY_KEEP_REPLACE, 0, NULL),
                     cases[i].expected);
    assert_int_equal(vestry_store_get(w.store, cases[i].scope, cases[i].key, found, &room), cases[i].expected);
    assert_int_equal(room, 0);
    assert_int_equal(vestry_store_remove(w.store, cases[i].scope, cases[i].key, VESTRY_CAUSE_REMOVED, NULL),
                     cases[i].expected);
  }
  const vestry_key *key = KEY;
  assert_int_equal(vestry_store_put(w.store, s, key, NULL, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_store_put(w.store, s, key, other, (vestry_keep_policy)9, 0, NULL), VESTRY_INVALID);
  assert_int_equal(atomic_load(&other->refs), 1);
  assert_int_equal(world_stats(&w).put_count, 1);
  world_end(&w);
}

/* capability: A1 */
static void store_holds_thousands_of_keys(void **state) {
  world_open(&w, *state, &(vestry_store_options){.max_count = 3000});
  enum { COUNT = 3000 };
  value *v = world_value(&w);
  for (int round = 0; round < 2; round++) {
    for (size_t i = 0; i < COUNT; i++)
      assert_int_equal(world_put(&w, "s", VESTRY_KEY("k", i), v, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
    for (size_t i = 0; i < COUNT; i += 7) assert_ptr_equal(world_one(&w, VESTRY_KEY("k", i)), v);
    assert_int_equal(world_stats(&w).live_count, COUNT);
    for (size_t i = 0; i < COUNT; i++) {
      const vestry_key *key = VESTRY_KEY("k", i);
      assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
    }
    assert_int_equal(world_stats(&w).live_count, 0);
  }
  world_end(&w);
}

/* --------------------------------------------------------------------------------- exactly once, no lock (A10) ---- */

/* capability: A10 */
static void close_removes_all_and_refuses_puts(void **state) {
  world_open(&w, *state, NULL);
  for (size_t i = 0; i < 600; i++) world_new(&w, VESTRY_KEY("k", i), NULL);
  vsi_store_close(w.store);
  assert_int_equal(world_left(&w), 600);
  vestry_store_stats stats = world_stats(&w);
  assert_int_equal(stats.live_count, 0);
  assert_int_equal(stats.removed_by_cause[VESTRY_CAUSE_SHUTDOWN], 600);
  value *late = world_value(&w);
  assert_int_equal(world_put(&w, "s", KEY, late, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_CLOSED);
  assert_int_equal(atomic_load(&late->refs), 1);
  vsi_store_close(w.store);
  assert_int_equal(world_left(&w), 0);
  assert_null(world_one(&w, VESTRY_KEY("k", 1)));
  assert_int_equal(world_listed(&w, NULL), 0);
  assert_int_equal(vsi_store_tick(w.store), UINT64_MAX);
  world_end(&w);
}

/* A hook that uses the store, as the header allows. If a lock were held, it would hang or corrupt the store. */
static void meddle(world *at, const vestry_purged *purged) {
  static _Thread_local unsigned depth;
  if (depth == 3) return; /* the evictions that it causes call it again */
  depth++;
  value *spare = at->ctx;
  vestry_err error = world_put(at, "s", VESTRY_KEY("hook", depth), spare, VESTRY_KEEP_REPLACE, 0, NULL);
  assert_true(error == VESTRY_OK || error == VESTRY_CLOSED);
  world_get(at, "s", KEY, NULL, 4);
  const vestry_key *key = VESTRY_KEY("hook", depth - 1);
  vestry_store_remove(at->store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL);
  vsi_store_tick(at->store);
  depth--;
}

static void close_looks_for_itself(world *at, value *v, vestry_cause cause) {
  assert_false(vestry_store_remove_if(at->store, v->handle_left, VESTRY_CAUSE_HANGUP));
  const vestry_key *key = VESTRY_KEY(v->number % 5);
  vestry_store_remove(at->store, world_scope("s"), key, VESTRY_CAUSE_CLOSED, NULL);
}

/* capability: A10 */
static void hooks_may_use_the_store(void **state) {
  world_open(&w, *state, NULL);
  w.ctx = world_value(&w);
  w.on_purge = meddle;
  w.on_close = close_looks_for_itself;
  for (size_t i = 0; i < 50; i++) world_new(&w, VESTRY_KEY(i % 5), NULL);
  world_new(&w, KEY, NULL);
  const vestry_key *key = KEY;
  assert_int_equal(vestry_store_remove(w.store, world_scope("s"), key, VESTRY_CAUSE_REMOVED, NULL), VESTRY_OK);
  assert_true(world_left(&w) > 30);
  world_end(&w);
}

#define TEST(function) cmocka_unit_test_prestate(function, (void *)kind)

int store_contract_run(const store_kind *kind) {
  const struct CMUnitTest tests[] = {
      TEST(get_finds_the_stored_value),
      TEST(put_replaces_the_stored_value),
      TEST(held_reference_keeps_a_removed_value),
      TEST(purge_hook_gets_removed_entry_and_cause),
      TEST(old_handle_does_not_remove_the_successor),
      TEST(handles_are_never_reused),
      TEST(put_of_the_stored_value_refreshes_it),
      TEST(value_can_have_two_keys),
      TEST(reuse_and_reject_keep_the_stored_value),
      TEST(key_holds_many_values_up_to_its_limit),
      TEST(refreshing_one_of_many_displaces_none),
      TEST(replace_with_a_stored_value_keeps_only_it),
      TEST(many_defaults_to_eight_values),
      TEST(full_key_displaces_ended_values_first),
      TEST(key_with_hundreds_of_values_keeps_their_order),
      TEST(equal_keys_in_different_scopes_are_separate),
      TEST(ready_keys_equal_their_keys),
      TEST(keys_of_different_types_are_distinct),
      TEST(longest_keys_work_and_invalid_ones_are_refused),
      TEST(store_holds_thousands_of_keys),
      TEST(close_removes_all_and_refuses_puts),
      TEST(hooks_may_use_the_store),
  };
  return cmocka_run_group_tests_name(kind->type, tests, NULL, NULL);
}
