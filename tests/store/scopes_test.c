/* SPDX-License-Identifier: MIT */
#include "store/extra.h"

#include "store/store.h"
#include "support/test.h"
#include "support/test_host.h"

enum { ENTRIES = 60 };

static test_host th;
static const vsi_keyed_hash secret = {.low = 1, .high = 1, .number = 1, .siphash = {3, 4}};
static vsi_shard shard;
static vsi_arrays arrays;
static vsi_entry entries[ENTRIES];
static vsi_extra extras[ENTRIES];

static vsi_scope_share *enter(const char *scope) {
  return vsi_scopes_enter(&shard, &th.host, secret.siphash, &(vestry_scope){scope, strlen(scope)});
}

static uint32_t number_of(size_t i) {
  return (uint32_t)i + VSI_HEADS;
}

/* Enter, add and leave, as a put does. */
static vsi_scope_share *add(size_t i, const char *scope) {
  vsi_scope_share *share = enter(scope);
  if (!share) return NULL;
  vsi_extra_add(&shard, number_of(i), share);
  vsi_scopes_leave(&shard, &th.host, share);
  return share;
}

static void take_out(size_t i) {
  vsi_extra_take(&shard, &th.host, number_of(i));
}

static void open_scopes(void) {
  test_host_init(&th);
  shard = (vsi_shard){.in = &arrays, .extra = extras};
  arrays.entries = entries;
  for (size_t i = 0; i < ENTRIES; i++) entries[i].value = &th;
}

static void end_scopes(void) {
  assert_int_equal(shard.scopes.count, 0); /* each share was removed with its last entry */
  vsi_map_finish(&shard.scopes, &th.host);
  test_host_assert_clean(&th);
}

/* All scopes of a shard have the same upper bits in their hash, because these choose the shard. This must not put them
 * into the same bucket. */
TEST_CASE(scopes_of_one_shard_use_different_buckets) {
  open_scopes();
  size_t count = 0, longest = 0;
  vsi_scope_share *shares[ENTRIES];
  for (unsigned i = 0; count < ENTRIES; i++) {
    char scope[16];
    snprintf(scope, sizeof scope, "%u", i);
    if (vsi_siphash_1_3(secret.siphash, scope, strlen(scope)) >> 56 == 0) shares[count++] = enter(scope);
  }
  for (size_t i = 0; i >> shard.scopes.bits == 0; i++) {
    size_t len = 0;
    for (const vsi_map_link *at = shard.scopes.buckets[i]; at; at = at->next) len++;
    if (len > longest) longest = len;
  }
  assert_in_range(longest, 1, 10);
  for (size_t i = 0; i < ENTRIES; i++) vsi_scopes_leave(&shard, &th.host, shares[i]);
  end_scopes();
}

static vestry_err many_enter(test_host *host, void *ctx) {
  size_t count = 0;
  char scope[24];
  while (count < ENTRIES && snprintf(scope, sizeof scope, "%zu", count) && add(count, scope)) count++;
  for (size_t i = 0; i < count; i++) {
    snprintf(scope, sizeof scope, "%zu", i); /* existing entries are found, although the table could not grow */
    vsi_scope_share *share = enter(scope);
    assert_int_equal(share->count, 1);
    vsi_scopes_leave(&shard, &th.host, share);
    take_out(i);
  }
  return count == ENTRIES ? VESTRY_OK : VESTRY_NO_MEMORY;
}

TEST_CASE(failed_growth_loses_no_scope) {
  for (long fails = 0; fails < 80; fails++) {
    open_scopes();
    test_host_fail_in(&th, fails);
    many_enter(&th, NULL);
    test_host_fail_no_more(&th);
    assert_int_equal(many_enter(&th, NULL), VESTRY_OK);
    end_scopes();
  }
}
