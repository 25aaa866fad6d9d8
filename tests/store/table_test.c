#include "store/table.h"

#include <stdlib.h>

#include "store/scoped_key.h"
#include "store/world.h"

/* A host that refuses large allocations once told to: an index that cannot grow while everything else goes on. */
static size_t largest = SIZE_MAX;

static void *refuse_large(void *ctx, void *memory, size_t size) {
  (void)ctx;
  if (size == 0) {
    free(memory);
    return NULL;
  }
  return size > largest ? NULL : realloc(memory, size);
}

static vestry_err add(vsi_table *table, int64_t number, void *v, vsi_entry **ret_entry) {
  vsi_scoped_key scoped;
  vestry_key key = vestry_key_integer(number);
  assert_int_equal(vsi_scoped_key_init(&scoped, table->host, world_scope("s"), &key), VESTRY_OK);
  uint64_t hash = vsi_table_hash(table->hash_key, &scoped.key);
  vsi_node *node = vsi_table_find(table, hash, &scoped.key);
  vestry_err error = vsi_table_add(table, node, hash, &scoped.key, v, ret_entry);
  assert_int_equal(vsi_table_find(table, hash, &scoped.key) != NULL, node || !error);
  return error;
}

/* As vsi_leaving_run without a store behind it. */
static void forget(vsi_leaving *leaving, const vestry_host *host) {
  for (vsi_entry *entry = leaving->first, *next; entry; entry = next) {
    next = entry->newer;
    vsi_node_drop(entry->node, host);
    host->reallocate(host->ctx, entry, 0);
  }
  *leaving = (vsi_leaving){0};
}

static size_t slots_taken(const vsi_slots *slots) {
  size_t taken = 0;
  for (uint32_t slot = 0; slot < slots->used; slot++) taken += vsi_slots_at(slots, slot) != NULL;
  return taken;
}

static void an_index_that_cannot_grow_leaves_nothing_half_done(void **state) {
  (void)state;
  vestry_host host = *vestry_host_default();
  host.reallocate = refuse_large;
  largest = SIZE_MAX;
  vsi_table table;
  enum { COUNT = 64 };
  static vsi_entry *entries[COUNT];
  vsi_leaving leaving = {0};
  int v;
  assert_int_equal(vsi_table_init(&table, &host, (vsi_siphash_key){1, 2}, sizeof(vsi_entry), 0, 0), VESTRY_OK);
  for (size_t i = 0; i < COUNT; i++) assert_int_equal(add(&table, (int64_t)i, &v, &entries[i]), VESTRY_OK);
  for (size_t i = 0; i < COUNT; i++) vsi_table_take(&table, entries[i], VESTRY_CAUSE_REMOVED, &leaving);
  forget(&leaving, &host); /* the slots have room now, the index has become small again */
  largest = 300;
  size_t there = 0;
  while (there < COUNT && add(&table, (int64_t)there, &v, &entries[there]) == VESTRY_OK) there++;
  assert_in_range(there, 1, COUNT - 1);
  assert_int_equal(slots_taken(&table.nodes), there);
  assert_int_equal(slots_taken(&table.handles), there);
  assert_int_equal(vsi_index_count(&table.index), there);
  vsi_entry *sibling; /* a key that is there needs no room in the index */
  assert_int_equal(add(&table, 0, &table, &sibling), VESTRY_OK);
  assert_ptr_equal(entries[0]->newer, sibling);
  largest = SIZE_MAX;
  assert_int_equal(add(&table, (int64_t)there, &v, &entries[there]), VESTRY_OK);
  vsi_table_take(&table, sibling, VESTRY_CAUSE_REMOVED, &leaving);
  for (size_t i = 0; i <= there; i++) vsi_table_take(&table, entries[i], VESTRY_CAUSE_REMOVED, &leaving);
  assert_int_equal(leaving.count, there + 2);
  forget(&leaving, &host);
  assert_int_equal(slots_taken(&table.nodes), 0);
  assert_int_equal(slots_taken(&table.handles), 0);
  assert_int_equal(vsi_index_count(&table.index), 0);
  vsi_table_finish(&table);
}

/* Tables that share a store tell by a handle whose it is. */
static void handles_say_which_shard_they_are_of(void **state) {
  (void)state;
  vsi_table tables[4];
  vsi_entry *entries[4][20];
  int v;
  for (uint32_t i = 0; i < 4; i++) {
    assert_int_equal(
        vsi_table_init(&tables[i], vestry_host_default(), (vsi_siphash_key){1, 2}, sizeof(vsi_entry), i, 2), VESTRY_OK);
    for (size_t n = 0; n < 20; n++) assert_int_equal(add(&tables[i], (int64_t)n, &v, &entries[i][n]), VESTRY_OK);
  }
  for (uint32_t i = 0; i < 4; i++) {
    for (size_t n = 0; n < 20; n++) {
      vestry_handle handle = entries[i][n]->handle;
      assert_int_equal(handle % 4, i);
      assert_ptr_equal(vsi_table_entry(&tables[i], handle), entries[i][n]);
      for (uint32_t j = 0; j < i; j++)
        for (size_t m = 0; m < 20; m++) assert_true(entries[j][m]->handle != handle);
    }
  }
  for (uint32_t i = 0; i < 4; i++) {
    vsi_leaving leaving = {0};
    for (size_t n = 0; n < 20; n++) vsi_table_take(&tables[i], entries[i][n], VESTRY_CAUSE_REMOVED, &leaving);
    forget(&leaving, vestry_host_default());
    vsi_table_finish(&tables[i]);
  }
}

/* A key that comes back while an old stay of it is still leaving has nothing to do with that one. */
static void a_key_can_come_back_before_it_has_left(void **state) {
  (void)state;
  vsi_table table;
  vsi_entry *old, *new;
  int v;
  vsi_leaving leaving = {0};
  assert_int_equal(vsi_table_init(&table, vestry_host_default(), (vsi_siphash_key){1, 2}, sizeof(vsi_entry), 0, 0),
                   VESTRY_OK);
  assert_int_equal(add(&table, 1, &v, &old), VESTRY_OK);
  vsi_table_take(&table, old, VESTRY_CAUSE_REMOVED, &leaving);
  assert_int_equal(add(&table, 1, &v, &new), VESTRY_OK);
  assert_ptr_not_equal(old->node, new->node);
  assert_true(old->handle != new->handle);
  vestry_scoped_key old_key = vsi_node_scoped_key(old->node), new_key = vsi_node_scoped_key(new->node);
  assert_int_equal(old_key.len, new_key.len);
  assert_memory_equal(old_key.data, new_key.data, old_key.len);
  forget(&leaving, vestry_host_default());
  assert_ptr_equal(vsi_table_entry(&table, new->handle), new);
  vsi_table_take(&table, new, VESTRY_CAUSE_REMOVED, &leaving);
  forget(&leaving, vestry_host_default());
  vsi_table_finish(&table);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_index_that_cannot_grow_leaves_nothing_half_done),
      cmocka_unit_test(handles_say_which_shard_they_are_of),
      cmocka_unit_test(a_key_can_come_back_before_it_has_left),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
