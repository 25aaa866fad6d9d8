/* SPDX-License-Identifier: MIT */
/* The front end: creating stores by name, and the checks of their types and options. */
#include "store/store.h"

#include "store/naive.h"
#include "store/world.h"

static void nothing(void *v) {}

static void nothing_for(void *v, vestry_cause cause) {}

static vestry_store_options valid(test_host *th) {
  vestry_store_options options = {0};
  options.host = &th->host;
  static const vestry_value_ops all = {.ref = nothing, .unref = nothing, .close = nothing_for};
  options.value = &all;
  return options;
}

/* capability: A7 */
TEST_CASE(store_types_are_found_by_name) {
  test_host th;
  test_host_init(&th);
  vestry_store_options options = valid(&th);
  vestry_store *store = NULL;
  assert_int_equal(vestry_store_create("naive-hash", &options, &store), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_store_create("", &options, &store), VESTRY_NOT_FOUND);
  vestry_store_ops taken = naive_lru_ops;
  const vestry_store_type types[] = {{&naive_hash_ops, NULL}, {&naive_lru_ops, NULL}, {&taken, NULL}};
  options.types = types;
  options.types_count = 3;
  assert_int_equal(vestry_store_create("naive-hash", &options, &store), VESTRY_EXISTS); /* a name twice */
  taken.type = "lru";
  /* the name of a built-in type */
  assert_int_equal(vestry_store_create("naive-hash", &options, &store), VESTRY_EXISTS);
  assert_null(store);
  options.types_count = 2;
  static const char *const names[] = {"hash", "lru", "naive-hash", "naive-lru"};
  for (size_t i = 0; i < 4; i++) {
    assert_int_equal(vestry_store_create(names[i], &options, &store), VESTRY_OK);
    vestry_store_destroy(store);
  }
  options.types_count = 1;
  store = NULL;
  assert_int_equal(vestry_store_create("naive-lru", &options, &store), VESTRY_NOT_FOUND);
  assert_null(store);
  vestry_store_destroy(NULL);
  test_host_assert_clean(&th);
}

static vestry_err create_naive(const vestry_store_ops *ops) {
  test_host th;
  test_host_init(&th);
  vestry_store_options options = valid(&th);
  options.types = &(vestry_store_type){ops, NULL};
  options.types_count = 1;
  vestry_store *store = NULL;
  vestry_err error = vestry_store_create("naive-lru", &options, &store);
  vestry_store_destroy(store);
  return error;
}

/* capability: A2 */
TEST_CASE(incomplete_store_types_are_refused) {
  assert_int_equal(create_naive(&naive_lru_ops), VESTRY_OK);
#define WITHOUT(member)                                                                                                \
  do {                                                                                                                 \
    vestry_store_ops ops = naive_lru_ops;                                                                              \
    ops.member = 0;                                                                                                    \
    assert_int_equal(create_naive(&ops), VESTRY_INVALID);                                                              \
  } while (0)
  WITHOUT(type);
  WITHOUT(create);
  WITHOUT(destroy);
  WITHOUT(put);
  WITHOUT(with);
  WITHOUT(remove);
  WITHOUT(remove_if);
  WITHOUT(clear);
  WITHOUT(list);
  WITHOUT(tick);             /* needs next_deadline_ns, */
  WITHOUT(next_deadline_ns); /* and vice versa */
  vestry_store_ops nameless = naive_lru_ops;
  nameless.type = "";
  assert_int_equal(create_naive(&nameless), VESTRY_INVALID);
  assert_int_equal(create_naive(NULL), VESTRY_INVALID);
  vestry_store *store = NULL;
  vestry_store_options none = {.value = &(vestry_value_ops){.ref = nothing, .unref = nothing, .close = nothing_for},
                               .types_count = 1};
  assert_int_equal(vestry_store_create("lru", &none, &store), VESTRY_INVALID);
}

typedef struct seen {
  const vestry_host *host;
  const vestry_value_ops *value;
} seen;

static vestry_err create_with_ctx(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                                  void **ret_self) {
  *(seen *)type_ctx = (seen){options->host, options->value};
  return naive_lru_ops.create(options, exit, NULL, ret_self);
}

/* capability: A2 */
TEST_CASE(create_gets_context_host_and_value_functions) {
  seen got = {0};
  vestry_store_ops ops = naive_lru_ops;
  ops.create = create_with_ctx;
  vestry_store_options options = {.value = &(vestry_value_ops){.ref = nothing, .unref = nothing, .close = nothing_for},
                                  .types = &(vestry_store_type){&ops, &got},
                                  .types_count = 1};
  vestry_store *store;
  assert_int_equal(vestry_store_create("naive-lru", &options, &store), VESTRY_OK);
  assert_ptr_equal(got.host, vestry_host_default());
  assert_true(got.value->used_ns(store) == 0); /* defaults of the options: never, and false */
  assert_false(got.value->has_ended(store));
  vestry_store_destroy(store);
}

TEST_CASE(invalid_store_options_are_refused) {
  test_host th;
  test_host_init(&th);
  vestry_store *store = NULL;
  vestry_store_options options = valid(&th);
  vestry_value_ops some;
  assert_int_equal(vestry_store_create("hash", NULL, &store), VESTRY_INVALID);
  assert_int_equal(vestry_store_create(NULL, &options, &store), VESTRY_INVALID);
  some = *options.value;
  some.ref = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create("hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  some = *options.value;
  some.unref = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create("hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  some = *options.value;
  some.close = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create("hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  atomic_store(&th.fail_random, true);
  assert_int_equal(vestry_store_create("hash", &options, &store), VESTRY_IO);
  assert_int_equal(vestry_store_create("lru", &options, &store), VESTRY_IO);
  assert_null(store);
  test_host_assert_clean(&th);
}

/* An implementation that passes a cause out of range must not corrupt the counters. */
TEST_CASE(unknown_cause_counts_as_error) {
  static world w;
  world_open(&w, &world_naive_hash, NULL);
  value *v = world_value(&w);
  static const uint32_t no_scope = 0; /* lengths: no scope, no key */
  vestry_scoped_key key = vestry_scoped_key_read(&no_scope, sizeof no_scope);
  atomic_fetch_add(&v->refs, 1);
  atomic_fetch_add(&v->stays, 1);
  atomic_fetch_add(&w.store->put, 1);
  vestry_store_leave(&w.store->exit, &key, v, 1, (vestry_cause)99);
  assert_int_equal(w.exits[0].cause, VESTRY_CAUSE_ERROR);
  assert_int_equal(world_stats(&w).removed_by_cause[VESTRY_CAUSE_ERROR], 1);
  world_end(&w);
}

TEST_CASE(store_without_purge_hook_closes_values) {
  test_host th;
  test_host_init(&th);
  vestry_store_options options = valid(&th);
  vestry_store *store;
  assert_int_equal(vestry_store_create("hash", &options, &store), VESTRY_OK);
  const vestry_key *key = VESTRY_KEY("k");
  int something;
  assert_int_equal(vestry_store_put(store, world_scope("s"), key, &something, VESTRY_KEEP_REPLACE, 0, NULL), VESTRY_OK);
  assert_int_equal(vsi_store_tick(store), UINT64_MAX);
  vestry_store_destroy(store);
  test_host_assert_clean(&th);
}
