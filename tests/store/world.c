/* SPDX-License-Identifier: MIT */
#include "store/world.h"

#include <stdlib.h>

#include "store/invariants.h"
#include "store/naive.h"

const store_kind world_hash = {"hash", false}, world_lru = {"lru", true};
const store_kind world_naive_hash = {"naive-hash", false}, world_naive_lru = {"naive-lru", true};

static void value_ref(void *v) {
  atomic_fetch_add(&((value *)v)->refs, 1);
}

static void value_unref(void *v) {
  /* At least the test's own reference remains: values live as long as the world. */
  assert_true(atomic_fetch_sub(&((value *)v)->refs, 1) > 1);
}

static void value_close(void *context, vestry_cause cause) {
  value *v = context;
  assert_int_not_equal(cause, VESTRY_CAUSE_DETACHED);
  atomic_store(&v->cause, cause);
  /* The purge hook ran first, and the store still holds its reference. */
  assert_true(atomic_fetch_add(&v->closes, 1) < atomic_load(&v->purges));
  assert_true(atomic_load(&v->refs) > 1);
  if (v->world->on_close) v->world->on_close(v->world, v, cause);
}

static uint64_t value_used_ns(void *context) {
  return atomic_load(&((value *)context)->used_ns);
}

static bool value_has_ended(void *context) {
  return atomic_load(&((value *)context)->ended);
}

static void on_purge(const vestry_purged *purged, void *ctx) {
  world *w = ctx;
  value *v = purged->value;
  assert_ptr_equal(v->world, w);
  assert_true(atomic_load(&v->refs) > 1);
  atomic_fetch_add(&v->purges, 1);
  if (purged->cause == VESTRY_CAUSE_DETACHED) atomic_fetch_add(&v->closes, 1);
  if (w->on_close) v->handle_left = purged->handle;
  size_t at = atomic_fetch_add(&w->exits_count, 1);
  if (at < sizeof w->exits / sizeof *w->exits) {
    world_exit *exit = &w->exits[at];
    *exit = (world_exit){.value = v, .handle = purged->handle, .cause = purged->cause};
    vestry_key_format(purged->key, purged->key_len, exit->key, sizeof exit->key, NULL);
    if (purged->scope.len < sizeof exit->scope) memcpy(exit->scope, purged->scope.data, purged->scope.len);
  }
  if (w->on_purge) w->on_purge(w, purged);
}

vestry_store_options world_options(world *w) {
  static const vestry_store_type types[] = {{&naive_hash_ops, NULL}, {&naive_lru_ops, NULL}};
  return (vestry_store_options){.host = &w->th->host, .types = types, .types_count = sizeof types / sizeof *types};
}

vestry_err world_try_open(world *w, test_host *th, const store_kind *kind, const vestry_store_options *options) {
  memset((char *)w + sizeof w->own_host, 0, sizeof *w - sizeof w->own_host);
  w->th = th;
  const vestry_store_options base = world_options(w);
  vestry_store_options own = {0};
  if (options) own = *options;
  own.host = base.host;
  own.types = base.types;
  own.types_count = base.types_count;
  own.value = &(vestry_value_ops){.ref = value_ref,
                                  .unref = value_unref,
                                  .close = value_close,
                                  .used_ns = value_used_ns,
                                  .has_ended = value_has_ended};
  own.purge = on_purge;
  own.purge_ctx = w;
  vestry_err error = vestry_store_create(kind->type, &own, &w->store);
  if (error) world_finish(w);
  return error;
}

void world_open(world *w, const store_kind *kind, const vestry_store_options *options) {
  test_host_init(&w->own_host);
  assert_int_equal(world_try_open(w, &w->own_host, kind, options), VESTRY_OK);
}

void world_check(world *w) {
  invariants_check(w->store);
  uint64_t live = 0;
  for (size_t i = 0; i < w->values_count; i++)
    live += (uint64_t)(atomic_load(&w->values[i].stays) - atomic_load(&w->values[i].closes));
  assert_int_equal(world_stats(w).live_count, live); /* opened = live + closed */
}

void world_finish(world *w) {
  if (w->store) {
    world_check(w);
    vsi_store_close(w->store);
    world_check(w);
    vestry_store_stats stats = world_stats(w);
    uint64_t removed = 0;
    long stays = 0;
    for (size_t i = 0; i < VESTRY_CAUSE_COUNT; i++) removed += stats.removed_by_cause[i];
    for (size_t i = 0; i < w->values_count; i++) {
      value *v = &w->values[i];
      assert_int_equal(atomic_load(&v->purges), atomic_load(&v->stays));
      assert_int_equal(atomic_load(&v->closes), atomic_load(&v->stays));
      assert_int_equal(atomic_load(&v->refs), 1);
      stays += atomic_load(&v->stays);
    }
    assert_int_equal(stats.live_count, 0);
    assert_int_equal(stats.removed_count, removed);
    assert_int_equal(stats.put_count, stays);
  }
  vestry_store_destroy(w->store);
  w->store = NULL;
}

void world_end(world *w) {
  world_finish(w);
  test_host_assert_clean(w->th);
}

value *world_value(world *w) {
  assert_true(w->values_count < sizeof w->values / sizeof *w->values);
  value *v = &w->values[w->values_count++];
  v->world = w;
  v->number = w->values_count;
  atomic_store(&v->refs, 1);
  return v;
}

vestry_scope world_scope(const char *text) {
  return (vestry_scope){text, strlen(text)};
}

vestry_err world_put(world *w, const char *scope, const vestry_key *key, value *v, vestry_keep_policy policy,
                     size_t many_count, vestry_put_result *ret_result) {
  vestry_put_result result = {0};
  vestry_err error = vestry_store_put(w->store, world_scope(scope), key, v, policy, many_count, &result);
  if (error) return error;
  if (!result.refreshed) atomic_fetch_add(&v->stays, 1);
  if (ret_result) *ret_result = result;
  return VESTRY_OK;
}

value *world_new(world *w, const vestry_key *key, vestry_handle *ret_handle) {
  value *v = world_value(w);
  vestry_put_result result = {0};
  assert_int_equal(world_put(w, "s", key, v, VESTRY_KEEP_REPLACE, 0, &result), VESTRY_OK);
  assert_false(result.refreshed);
  assert_true(result.handle != 0);
  if (ret_handle) *ret_handle = result.handle;
  return v;
}

size_t world_get(world *w, const char *scope, const vestry_key *key, value **values, size_t room) {
  void *found[32];
  assert_true(room <= 32);
  size_t count = room;
  vestry_err error = vestry_store_get(w->store, world_scope(scope), key, found, &count);
  if (error) {
    assert_int_equal(error, VESTRY_NOT_FOUND);
    assert_int_equal(count, 0);
    return 0;
  }
  assert_true(count <= room);
  for (size_t i = 0; i < count; i++) {
    if (values) values[i] = found[i];
    value_unref(found[i]);
  }
  return count;
}

value *world_one(world *w, const vestry_key *key) {
  value *found;
  return world_get(w, "s", key, &found, 1) ? found : NULL;
}

static void count_key(const vestry_listed *listed, void *ctx) {
  assert_true(listed->values_count > 0);
  ++*(size_t *)ctx;
}

size_t world_listed(world *w, const vestry_scope *only_scope) {
  size_t count = 0;
  for (vestry_list_cursor cursor = {0}; !cursor.done;)
    assert_int_equal(vestry_store_list(w->store, only_scope, 8, &cursor, count_key, &count), VESTRY_OK);
  return count;
}

size_t world_left(world *w) {
  return atomic_exchange(&w->exits_count, 0);
}

void world_assert_left(world *w, const value *v, vestry_cause cause) {
  assert_int_equal(world_left(w), 1);
  assert_ptr_equal(w->exits[0].value, v);
  assert_int_equal(w->exits[0].cause, cause);
}

vestry_store_stats world_stats(world *w) {
  vestry_store_stats stats = {0};
  vestry_store_stats_get(w->store, &stats);
  return stats;
}
