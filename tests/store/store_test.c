/* SPDX-License-Identifier: MIT */
/* The front: creating stores by name, and what it guards against. */
#include "store/store.h"
#include "store/types.h"

#include "store/naive.h"
#include "store/world.h"

static void nothing(void *v) {
  (void)v;
}

static void nothing_for(void *v, vestry_cause cause) {
  (void)v;
  (void)cause;
}

static vestry_store_options valid(test_host *th) {
  vestry_store_options options = VESTRY_STORE_OPTIONS_INIT;
  options.host = &th->host;
  static const vestry_value_ops all = {.ref = nothing, .unref = nothing, .close = nothing_for};
  options.value = &all;
  return options;
}

static void types_go_by_name(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vestry_store_types *types;
  assert_int_equal(vestry_store_types_create(&th.host, &types), VESTRY_OK);
  vestry_store_options options = valid(&th);
  vestry_store *store = NULL;
  assert_int_equal(vestry_store_create(types, "naive-hash", &options, &store), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_store_create(NULL, "", &options, &store), VESTRY_NOT_FOUND);
  assert_null(store);
  assert_int_equal(vestry_store_types_add(types, &naive_hash_ops, NULL), VESTRY_OK);
  assert_int_equal(vestry_store_types_add(types, &naive_hash_ops, NULL), VESTRY_EXISTS);
  vestry_store_ops taken = naive_lru_ops;
  taken.type = "lru";
  assert_int_equal(vestry_store_types_add(types, &taken, NULL), VESTRY_EXISTS);
  static const char *const names[] = {"hash", "lru", "naive-hash"};
  for (size_t i = 0; i < 3; i++) {
    assert_int_equal(vestry_store_create(types, names[i], &options, &store), VESTRY_OK);
    vestry_store_destroy(store);
  }
  store = NULL;
  assert_int_equal(vestry_store_create(NULL, "naive-hash", &options, &store), VESTRY_NOT_FOUND);
  vestry_store_types_destroy(types);
  vestry_store_types_destroy(NULL);
  vestry_store_destroy(NULL);
  test_host_assert_clean(&th);
}

static void implementations_must_be_complete(void **state) {
  (void)state;
  vestry_store_types *types;
  assert_int_equal(vestry_store_types_create(NULL, &types), VESTRY_OK);
#define WITHOUT(member)                                                                                                \
  do {                                                                                                                 \
    vestry_store_ops ops = naive_lru_ops;                                                                              \
    ops.member = 0;                                                                                                    \
    assert_int_equal(vestry_store_types_add(types, &ops, NULL), VESTRY_INVALID);                                       \
  } while (0)
  WITHOUT(type);
  WITHOUT(create);
  WITHOUT(destroy);
  WITHOUT(put);
  WITHOUT(get);
  WITHOUT(remove);
  WITHOUT(remove_if);
  WITHOUT(clear);
  WITHOUT(list);
  WITHOUT(tick);             /* next_deadline_ns goes with it, */
  WITHOUT(next_deadline_ns); /* and the other way round */
  vestry_store_ops nameless = naive_lru_ops;
  nameless.type = "";
  assert_int_equal(vestry_store_types_add(types, &nameless, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_store_types_add(types, NULL, NULL), VESTRY_INVALID);
  vestry_store_types_destroy(types);
}

static vestry_err create_with_ctx(const vestry_store_options *options, vestry_store_exit *exit, void *type_ctx,
                                  void **ret_self) {
  *(const vestry_host **)type_ctx = options->host;
  return naive_lru_ops.create(options, exit, NULL, ret_self);
}

static void a_type_gets_its_context_and_a_host(void **state) {
  (void)state;
  const vestry_host *seen = NULL;
  vestry_store_ops ops = naive_lru_ops;
  ops.create = create_with_ctx;
  vestry_store_types *types;
  assert_int_equal(vestry_store_types_create(NULL, &types), VESTRY_OK);
  assert_int_equal(vestry_store_types_add(types, &ops, &seen), VESTRY_OK);
  vestry_store_options options = {.value = &(vestry_value_ops){.ref = nothing, .unref = nothing, .close = nothing_for}};
  vestry_store *store;
  assert_int_equal(vestry_store_create(types, "naive-lru", &options, &store), VESTRY_OK);
  assert_ptr_equal(seen, vestry_host_default());
  vestry_store_destroy(store);
  vestry_store_types_destroy(types);
}

static void wrong_options_are_refused(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vestry_store *store = NULL;
  vestry_store_options options = valid(&th);
  vestry_value_ops some;
  assert_int_equal(vestry_store_create(NULL, "hash", NULL, &store), VESTRY_INVALID);
  assert_int_equal(vestry_store_create(NULL, NULL, &options, &store), VESTRY_INVALID);
  options.size = 3;
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  some = *options.value;
  some.ref = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  some = *options.value;
  some.unref = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  some = *options.value;
  some.close = NULL;
  options.value = &some;
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_INVALID);
  options = valid(&th);
  atomic_store(&th.fail_random, true);
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_IO);
  assert_int_equal(vestry_store_create(NULL, "lru", &options, &store), VESTRY_IO);
  assert_null(store);
  test_host_assert_clean(&th);
}

static vestry_err register_types(test_host *th, void *ctx) {
  (void)ctx;
  vestry_store_types *types;
  vestry_err error = vestry_store_types_create(&th->host, &types);
  if (error) return error;
  char names[9] = "abcdefgh";
  vestry_store_ops ops[8];
  for (size_t i = 0; !error && i < 8; i++) {
    ops[i] = naive_lru_ops;
    ops[i].type = names + i; /* "abcdefgh", "bcdefgh" … */
    error = vestry_store_types_add(types, &ops[i], NULL);
    void *type_ctx;
    assert_ptr_equal(vsi_store_types_find(types, names + i, &type_ctx), error ? NULL : &ops[i]);
    if (i) assert_ptr_equal(vsi_store_types_find(types, names, &type_ctx), &ops[0]);
  }
  vestry_store_types_destroy(types);
  return error;
}

static void registering_without_memory_changes_nothing(void **state) {
  (void)state;
  test_host_fail_each(register_types, NULL, false);
}

/* An implementation that gives a cause out of range cannot make the sums wrong. */
static void an_unknown_cause_counts_as_an_error(void **state) {
  (void)state;
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

static void a_store_without_a_purge_hook_closes_all_the_same(void **state) {
  (void)state;
  test_host th;
  test_host_init(&th);
  vestry_store_options options = valid(&th);
  vestry_store *store;
  assert_int_equal(vestry_store_create(NULL, "hash", &options, &store), VESTRY_OK);
  const vestry_key *key = VESTRY_KEY("k");
  int something;
  assert_int_equal(vestry_store_put(store, world_scope("s"), key, &something, VESTRY_PUT_REPLACE, 0, NULL), VESTRY_OK);
  assert_int_equal(vestry_store_tick(store), UINT64_MAX);
  vestry_store_destroy(store);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(types_go_by_name),
      cmocka_unit_test(implementations_must_be_complete),
      cmocka_unit_test(a_type_gets_its_context_and_a_host),
      cmocka_unit_test(wrong_options_are_refused),
      cmocka_unit_test(registering_without_memory_changes_nothing),
      cmocka_unit_test(an_unknown_cause_counts_as_an_error),
      cmocka_unit_test(a_store_without_a_purge_hook_closes_all_the_same),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
