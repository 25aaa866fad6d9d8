/* SPDX-License-Identifier: MIT */
#include "store/table.h"

#include "store/store.h"
#include "support/test.h"
#include "support/test_host.h"

static test_host th;
static vsi_keyed_hash secret;

/* The calls in order: a letter for each callback and the number of the value. */
static char log_text[4096];
static int numbers[100];

static void note(const char *what, const void *value) {
  size_t len = strlen(log_text);
  snprintf(log_text + len, sizeof log_text - len, "%s%d ", what, *(const int *)value);
}

static void on_ref(void *value) {
  note("r", value);
}
static void on_unref(void *value) {
  note("u", value);
}
static void on_close(void *value, vestry_cause cause) {
  note(cause == VESTRY_CAUSE_SIZE ? "size" : "idle", value);
}

static void on_purge(const vestry_purged *purged, void *ctx) {
  assert_ptr_equal(ctx, log_text);
  note("p", purged->value);
  assert_int_equal(purged->handle, *(const int *)purged->value + 1000);
  assert_int_equal(purged->scope.len, 1);
  assert_memory_equal(purged->scope.data, "s", 1);
  char key[64], expected[64];
  assert_int_equal(vestry_key_format(purged->key, purged->key_len, key, sizeof key, NULL), VESTRY_OK);
  snprintf(expected, sizeof expected, "%d", *(const int *)purged->value);
  assert_string_equal(key, expected);
}

static vestry_store_exit way_out = {
    .value = {.ref = on_ref, .unref = on_unref, .close = on_close}, .purge = on_purge, .purge_ctx = log_text};

static vsi_arrays arrays;
static vsi_entry entries[100];
static vsi_cold cold[VSI_HEADS + 100];
static vsi_shard shard;
static vsi_table table;

static void leave(vsi_leaving *leaving, int number, vestry_cause cause) {
  vsi_scoped_key scoped;
  vestry_key key = vestry_key_integer(number);
  numbers[number] = number;
  assert_int_equal(vsi_scoped_key_init(&scoped, &secret, &th.host, (vestry_scope){"s", 1}, &key), VESTRY_OK);
  entries[number].value = &numbers[number];
  entries[number].lens = vsi_scoped_key_lens(&scoped.key);
  vsi_words_copy(entries[number].words, vsi_scoped_key_words(&scoped.key), vsi_scoped_key_bytes(&scoped.key));
  cold[VSI_HEADS + number].handle = (vestry_handle)number + 1000;
  vsi_leaving_add(leaving, &shard, VSI_HEADS + (uint32_t)number, cause);
}

static void begin(vestry_store_exit *exit) {
  test_host_init(&th);
  log_text[0] = 0;
  arrays.entries = entries;
  arrays.cold = cold;
  shard = (vsi_shard){.in = &arrays};
  table.host = &th.host;
  table.exit = exit;
}

static void leaving_entries_run_all_callbacks_in_order(void **state) {
  begin(&way_out);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  leave(&leaving, 1, VESTRY_CAUSE_SIZE);
  leave(&leaving, 2, VESTRY_CAUSE_IDLE);
  vsi_leaving_run(&table, &shard, &leaving);
  assert_string_equal(log_text, "p1 size1 u1 p2 idle2 u2 ");
  test_host_assert_clean(&th);
}

static void leaving_entries_close_without_a_purge_hook(void **state) {
  vestry_store_exit plain = {.value = way_out.value};
  begin(&plain);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  leave(&leaving, 1, VESTRY_CAUSE_SIZE);
  vsi_leaving_run(&table, &shard, &leaving);
  assert_string_equal(log_text, "size1 u1 ");
  test_host_assert_clean(&th);
}

/* The number of an entry that was copied is free at once; its value leaves with its old data. */
static void value_of_a_reused_entry_leaves_with_its_old_key(void **state) {
  begin(&way_out);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  leave(&leaving, 1, VESTRY_CAUSE_SIZE);
  assert_int_equal(shard.free, VSI_HEADS + 1);
  memset(&entries[1], 0xff, sizeof entries[1]);
  cold[shard.free].handle = 0;
  vsi_leaving_run(&table, &shard, &leaving);
  assert_string_equal(log_text, "p1 size1 u1 ");
  test_host_assert_clean(&th);
}

/* Any number of entries leaves, in order, and afterwards all of their numbers are free. */
static void more_entries_than_copies_leave_in_order(void **state) {
  enum { LEFT = 3 * VSI_LEAVING_COPIES + 5 };
  begin(&way_out);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  for (int i = 1; i <= LEFT; i++) leave(&leaving, i, VESTRY_CAUSE_IDLE);
  assert_int_equal(shard.busy, LEFT - VSI_LEAVING_COPIES);
  vsi_leaving_run(&table, &shard, &leaving);
  assert_int_equal(shard.busy, 0);
  const char *at = log_text;
  size_t count = 0;
  for (int i = 1; i <= LEFT; i++) {
    char expected[32];
    snprintf(expected, sizeof expected, "p%d idle%d u%d ", i, i, i);
    assert_int_equal(strncmp(at, expected, strlen(expected)), 0);
    at += strlen(expected);
  }
  assert_int_equal(*at, 0);
  for (uint32_t number = shard.free; number; number = cold[number].in.next) count++;
  assert_int_equal(count, LEFT);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaving_entries_run_all_callbacks_in_order),
      cmocka_unit_test(leaving_entries_close_without_a_purge_hook),
      cmocka_unit_test(value_of_a_reused_entry_leaves_with_its_old_key),
      cmocka_unit_test(more_entries_than_copies_leave_in_order),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
