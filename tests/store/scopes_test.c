/* SPDX-License-Identifier: MIT */
#include "store/scopes.h"

#include "store/store.h"
#include "support/test.h"
#include "support/test_host.h"

enum { ENTRIES = 60 };

static test_host th;
static const vsi_keyed_hash secret = {.low = 1, .high = 1, .number = 1, .siphash = {3, 4}};
static vsi_map scopes;
static vsi_entry *entries[ENTRIES];

static vsi_scope_share *enter(const char *scope) {
  return vsi_scopes_enter(&scopes, &th.host, secret.siphash, &(vestry_scope){scope, strlen(scope)});
}

/* As a put would: enters, adds, leaves. */
static vsi_scope_share *add(size_t i, const char *scope, uint32_t tick) {
  vsi_scope_share *share = enter(scope);
  if (!share) return NULL;
  entries[i]->touched = tick << 1;
  vsi_scopes_add(share, entries[i]);
  vsi_scopes_leave(&scopes, &th.host, share);
  return share;
}

static void take_out(size_t i) {
  vsi_scopes_remove(&scopes, &th.host, entries[i]);
}

static void open_scopes(void) {
  test_host_init(&th);
  scopes = (vsi_map){0};
  for (size_t i = 0; i < ENTRIES; i++) {
    vsi_scoped_key scoped;
    vestry_key key = vestry_key_integer((int64_t)i);
    assert_int_equal(vsi_scoped_key_init(&scoped, &secret, &th.host, (vestry_scope){NULL, 0}, &key), VESTRY_OK);
    entries[i] = vsi_entry_create(&th.host, sizeof(vsi_extra), &scoped.key, &th);
  }
}

static void end_scopes(void) {
  assert_int_equal(scopes.count, 0); /* each share went with its last entry */
  vsi_map_finish(&scopes, &th.host);
  for (size_t i = 0; i < ENTRIES; i++) vsi_entry_destroy(&th.host, sizeof(vsi_extra), entries[i]);
  test_host_assert_clean(&th);
}

static void each_scope_counts_its_own(void **state) {
  (void)state;
  open_scopes();
  for (size_t i = 0; i < ENTRIES; i++) {
    char scope[8];
    snprintf(scope, sizeof scope, "%zu", i % 20);
    vsi_scope_share *share = add(i, scope, 1);
    assert_int_equal(share->count, i / 20 + 1);
  }
  assert_int_equal(scopes.count, 20);
  assert_true((size_t)1 << scopes.bits >= 20);
  for (size_t i = 0; i < ENTRIES; i++) take_out(i);
  end_scopes();
}

/* All scopes of a shard share the upper bits of their hash, which have chosen it: they share no bucket for that. */
static void those_of_one_shard_spread(void **state) {
  (void)state;
  open_scopes();
  size_t count = 0, longest = 0;
  vsi_scope_share *shares[ENTRIES];
  for (unsigned i = 0; count < ENTRIES; i++) {
    char scope[16];
    snprintf(scope, sizeof scope, "%u", i);
    if (vsi_siphash_1_3(secret.siphash, scope, strlen(scope)) >> 56 == 0) shares[count++] = enter(scope);
  }
  for (size_t i = 0; i >> scopes.bits == 0; i++) {
    size_t len = 0;
    for (const vsi_map_link *at = scopes.buckets[i]; at; at = at->next) len++;
    if (len > longest) longest = len;
  }
  assert_in_range(longest, 1, 10);
  for (size_t i = 0; i < ENTRIES; i++) vsi_scopes_leave(&scopes, &th.host, shares[i]);
  end_scopes();
}

/* A put under way keeps the share, though its last entry goes. */
static void a_put_keeps_the_share(void **state) {
  (void)state;
  open_scopes();
  add(0, "a", 1);
  vsi_scope_share *share = enter("a");
  take_out(0);
  assert_int_equal(share->count, 0);
  assert_int_equal(scopes.count, 1);
  assert_ptr_equal(enter("a"), share);
  vsi_scopes_leave(&scopes, &th.host, share);
  assert_int_equal(scopes.count, 1);
  vsi_scopes_leave(&scopes, &th.host, share);
  assert_int_equal(scopes.count, 0);
  vsi_scope_share *empty = enter(""); /* a scope like others */
  assert_non_null(empty);
  vsi_scopes_leave(&scopes, &th.host, empty);
  end_scopes();
}

static bool ended(void *value) {
  return ((test_host *)value)->now_ns == 1;
}

static bool never_ended(void *value) {
  (void)value;
  return false;
}

/* capability: A15 */
static void the_first_is_the_one_last_used_longest_ago(void **state) {
  (void)state;
  open_scopes();
  vestry_store_exit exit = {.value = {.has_ended = ended}};
  test_host live = {.now_ns = 0}, gone = {.now_ns = 1};
  vsi_scope_share *share = NULL;
  for (size_t i = 0; i < 4; i++) {
    share = add(i, "a", 1);
    entries[i]->value = i == 3 ? &gone : &live;
  }
  add(4, "b", 0);
  assert_ptr_equal(vsi_scopes_first(share, &exit, NULL), entries[3]); /* it has ended */
  assert_ptr_equal(vsi_scopes_first(share, &exit, &gone), entries[0]);
  assert_null(vsi_scopes_first(enter("b"), &exit, entries[4]->value)); /* it is alone */
  exit.value.has_ended = never_ended;
  assert_ptr_equal(vsi_scopes_first(share, &exit, NULL), entries[0]);
  vsi_scopes_use(entries[0]);
  assert_ptr_equal(vsi_scopes_first(share, &exit, NULL), entries[1]);
  vsi_scopes_use(entries[1]); /* all in one tick, and each use counts */
  vsi_scopes_use(entries[1]);
  assert_ptr_equal(vsi_scopes_first(share, &exit, NULL), entries[2]);
  vsi_scopes_leave(&scopes, &th.host, vsi_entry_extra(entries[4])->share);
  for (size_t i = 0; i < 5; i++) take_out(i);
  end_scopes();
}

static vestry_err many_enter(test_host *host, void *ctx) {
  (void)ctx;
  (void)host;
  size_t count = 0;
  char scope[8];
  while (count < ENTRIES && snprintf(scope, sizeof scope, "%zu", count) && add(count, scope, 1)) count++;
  for (size_t i = 0; i < count; i++) {
    snprintf(scope, sizeof scope, "%zu", i); /* those that are there are found, though the table could not grow */
    vsi_scope_share *share = enter(scope);
    assert_int_equal(share->count, 1);
    vsi_scopes_leave(&scopes, &th.host, share);
    take_out(i);
  }
  return count == ENTRIES ? VESTRY_OK : VESTRY_NO_MEMORY;
}

static void without_memory_nobody_is_lost(void **state) {
  (void)state;
  for (long fails = 0; fails < 80; fails++) {
    open_scopes();
    test_host_fail_in(&th, fails);
    many_enter(&th, NULL);
    test_host_fail_no_more(&th);
    assert_int_equal(many_enter(&th, NULL), VESTRY_OK);
    end_scopes();
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(each_scope_counts_its_own),     cmocka_unit_test(those_of_one_shard_spread),
      cmocka_unit_test(a_put_keeps_the_share),         cmocka_unit_test(the_first_is_the_one_last_used_longest_ago),
      cmocka_unit_test(without_memory_nobody_is_lost),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
