#include "store/scopes.h"

#include "runtime/random.h"
#include "store/ages.h"
#include "store/scoped_key.h"
#include "support/test.h"
#include "support/test_host.h"

enum { SLOTS = 200 };

static test_host th;
static vsi_scopes scopes;
static vsi_slot slots[SLOTS];
static vsi_extra extras[SLOTS];

/* A handle is the slot's place and one. */
static vestry_handle handle_of(const void *ctx, const vsi_slot *slot) {
  assert_ptr_equal(ctx, slots);
  return (vestry_handle)(slot - slots) + 1;
}

static void open_on(test_host *host) {
  assert_int_equal(vsi_scopes_init(&scopes, &host->host, (vsi_siphash_key){3, 4}), VESTRY_OK);
}

static void open_scopes(void) {
  test_host_init(&th);
  open_on(&th);
}

static void end_scopes(void) {
  assert_int_equal(vsi_index_count(&scopes.index), 0); /* each record went with its last share */
  vsi_scopes_finish(&scopes);
  test_host_assert_clean(&th);
}

/* Slot i, with a key of its own in a scope of one letter, last used in this tick. */
static vestry_scoped_key key_of(size_t i, char scope) {
  unsigned char *key = slots[i].key;
  slots[i].len = 7;
  memcpy(key, "\1.\3\3...", 7);
  key[1] = (unsigned char)scope;
  key[4] = (unsigned char)i;
  return vsi_slot_scoped_key(&slots[i]);
}

static vestry_err reserve(size_t i, char scope, size_t max, bool *pinned, vestry_handle *oldest) {
  vestry_scoped_key key = key_of(i, scope);
  return vsi_scopes_reserve(&scopes, &key, max, pinned, oldest, handle_of, slots);
}

static vestry_err enter(size_t i, char scope, size_t max, uint32_t touch) {
  bool pinned = false;
  vestry_handle oldest = 0;
  vestry_err error = reserve(i, scope, max, &pinned, &oldest);
  vestry_scoped_key key = key_of(i, scope);
  if (error && pinned) vsi_scopes_unpin(&scopes, &key);
  if (error) return error;
  atomic_store(&slots[i].touch, touch);
  vsi_scopes_enter(&scopes, &key, &slots[i], &extras[i]);
  return VESTRY_OK;
}

static void leave(size_t i) {
  vsi_scopes_leave(&scopes, &slots[i], &extras[i]);
}

static vestry_handle oldest_of(char scope) {
  bool pinned = false;
  vestry_handle oldest = 0;
  assert_int_equal(reserve(SLOTS - 1, scope, 0, &pinned, &oldest), VESTRY_LIMIT);
  vestry_scoped_key key = key_of(SLOTS - 1, scope);
  vsi_scopes_unpin(&scopes, &key);
  return oldest;
}

static void each_scope_has_so_many_shares(void **state) {
  (void)state;
  open_scopes();
  for (size_t i = 0; i < 5; i++) assert_int_equal(enter(i, 'a', 5, 2), VESTRY_OK);
  assert_int_equal(enter(5, 'a', 5, 2), VESTRY_LIMIT);
  assert_int_equal(enter(5, 'b', 5, 2), VESTRY_OK);
  leave(3);
  assert_int_equal(enter(6, 'a', 5, 2), VESTRY_OK);
  assert_int_equal(enter(7, 'a', 5, 2), VESTRY_LIMIT);
  assert_int_equal(enter(7, 'a', 6, 2), VESTRY_OK);
  static const size_t left[] = {0, 7, 1, 6, 2, 4, 5};
  for (size_t i = 0; i < 7; i++) leave(left[i]);
  end_scopes();
}

static void a_share_that_is_not_used_comes_back(void **state) {
  (void)state;
  open_scopes();
  bool pinned = false, other_pinned = false;
  vestry_handle oldest = 77;
  assert_int_equal(reserve(0, 'a', 1, &pinned, &oldest), VESTRY_OK);
  assert_true(pinned);
  assert_int_equal(reserve(1, 'a', 1, &other_pinned, &oldest), VESTRY_LIMIT);
  assert_int_equal(oldest, 0); /* nobody has entered */
  assert_true(other_pinned);
  vestry_scoped_key key = key_of(0, 'a');
  vsi_scopes_cancel(&scopes, &key);
  assert_int_equal(reserve(1, 'a', 1, &other_pinned, &oldest), VESTRY_OK);
  vsi_scopes_unpin(&scopes, &key);
  key = key_of(1, 'a');
  vsi_scopes_enter(&scopes, &key, &slots[1], &extras[1]);
  leave(1);
  end_scopes();
}

static void the_oldest_is_the_one_last_used_longest_ago(void **state) {
  (void)state;
  open_scopes();
  assert_int_equal(oldest_of('a'), 0);
  static const uint32_t ticks[] = {5, 3, 9, 3, VSI_TICK_MASK};
  for (size_t i = 0; i < 4; i++) assert_int_equal(enter(i, 'a', 10, ticks[i] << 1), VESTRY_OK);
  assert_int_equal(oldest_of('a'), 2); /* of two in one tick, the one that entered first */
  atomic_store(&slots[1].touch, 3 << 1 | 1);
  assert_int_equal(oldest_of('a'), 4); /* unless it was used since it was filed, and the other was not */
  atomic_store(&slots[1].touch, 6 << 1 | 1);
  atomic_store(&slots[3].touch, 7 << 1 | 1);
  assert_int_equal(oldest_of('a'), 1);
  assert_int_equal(enter(4, 'a', 10, ticks[4] << 1), VESTRY_OK); /* just before the circle closed: older than all */
  assert_int_equal(oldest_of('a'), 5);
  leave(4);
  leave(0);
  assert_int_equal(oldest_of('a'), 2);
  leave(1);
  leave(2);
  leave(3);
  end_scopes();
}

static void changes_at_random_agree_with_a_count(void **state) {
  (void)state;
  open_scopes();
  uint64_t random = 1;
  char scope_of[SLOTS] = {0};
  size_t count[4] = {0};
  for (size_t step = 0; step < 20000; step++) {
    size_t i = random_below(&random, SLOTS - 1), s = random_below(&random, 4), max = 10 + s;
    if (scope_of[i]) {
      leave(i);
      count[scope_of[i] - 'a']--;
      scope_of[i] = 0;
    } else {
      vestry_err error = enter(i, (char)('a' + s), max, (uint32_t)step);
      assert_int_equal(error, count[s] < max ? VESTRY_OK : VESTRY_LIMIT);
      if (error) continue;
      count[s]++;
      scope_of[i] = (char)('a' + s);
    }
    if (step % 64) continue;
    for (s = 0; s < 4; s++) {
      size_t oldest = SLOTS;
      for (size_t k = 0; k < SLOTS; k++)
        if (scope_of[k] == (char)('a' + s) &&
            (oldest == SLOTS || atomic_load(&slots[k].touch) >> 1 < atomic_load(&slots[oldest].touch) >> 1))
          oldest = k;
      vestry_handle named = oldest_of((char)('a' + s));
      assert_int_equal(named != 0, oldest != SLOTS);
      if (named) assert_int_equal(atomic_load(&slots[named - 1].touch) >> 1, atomic_load(&slots[oldest].touch) >> 1);
    }
  }
  for (size_t i = 0; i < SLOTS; i++)
    if (scope_of[i]) leave(i);
  end_scopes();
}

static vestry_err use_scopes(test_host *host, void *ctx) {
  (void)ctx;
  vestry_err error = vsi_scopes_init(&scopes, &host->host, (vsi_siphash_key){3, 4});
  if (error) {
    vsi_scopes_finish(&scopes);
    return error;
  }
  size_t count = 0;
  for (; count < 100 && !error; count += !error) error = enter(count, (char)('a' + count % 25), 50, 2);
  if (!error) { /* one that has pinned: from here on memory cannot run out for it */
    bool pinned = false;
    vestry_handle oldest = 0;
    error = reserve(100, 'z', 0, &pinned, &oldest) == VESTRY_NO_MEMORY ? VESTRY_NO_MEMORY : VESTRY_OK;
    if (!error) {
      long fail_at = atomic_exchange(&host->fail_at, atomic_load(&host->allocations));
      assert_int_equal(reserve(100, 'z', 1, &pinned, &oldest), VESTRY_OK);
      vestry_scoped_key key = key_of(100, 'z');
      vsi_scopes_enter(&scopes, &key, &slots[100], &extras[100]);
      leave(100);
      atomic_store(&host->fail_at, fail_at);
    }
  }
  while (count) leave(--count);
  assert_int_equal(vsi_index_count(&scopes.index), 0);
  vsi_scopes_finish(&scopes);
  return error;
}

static void without_memory_nothing_changes(void **state) {
  (void)state;
  test_host_fail_each(use_scopes, NULL, true); /* the index of scopes can do without a new set */
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_scope_has_so_many_shares),
      cmocka_unit_test(a_share_that_is_not_used_comes_back),
      cmocka_unit_test(the_oldest_is_the_one_last_used_longest_ago),
      cmocka_unit_test(changes_at_random_agree_with_a_count),
      cmocka_unit_test(without_memory_nothing_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
