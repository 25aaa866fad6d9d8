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

static vsi_entry *entry_for(int number) {
  vsi_scoped_key scoped;
  vestry_key key = vestry_key_integer(number);
  numbers[number] = number;
  assert_int_equal(vsi_scoped_key_init(&scoped, &secret, &th.host, (vestry_scope){"s", 1}, &key), VESTRY_OK);
  vsi_entry *entry = vsi_entry_create(&th.host, sizeof(vsi_extra), &scoped.key, &numbers[number]);
  entry->handle = (vestry_handle)number + 1000;
  return entry;
}

static void begin(void) {
  test_host_init(&th);
  log_text[0] = 0;
}

static void leaving_entries_run_all_callbacks_in_order(void **state) {
  begin();
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  assert_true(vsi_leaving_is_empty(&leaving));
  vsi_leaving_add(&leaving, entry_for(1), VESTRY_CAUSE_SIZE);
  vsi_leaving_add(&leaving, entry_for(2), VESTRY_CAUSE_IDLE);
  assert_false(vsi_leaving_is_empty(&leaving));
  vsi_leaving_run(&leaving, &th.host, sizeof(vsi_extra), &way_out);
  assert_string_equal(log_text, "p1 size1 u1 p2 idle2 u2 ");
  test_host_assert_clean(&th); /* their memory was freed as well */
}

static void leaving_entries_close_without_a_purge_hook(void **state) {
  begin();
  vestry_store_exit plain = {.value = way_out.value};
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_leaving_add(&leaving, entry_for(1), VESTRY_CAUSE_SIZE);
  vsi_leaving_run(&leaving, &th.host, sizeof(vsi_extra), &plain);
  assert_string_equal(log_text, "size1 u1 ");
  test_host_assert_clean(&th);
}

/* A value whose entry is reused leaves with its old data, before the others. */
static void value_of_a_reused_entry_leaves_with_its_old_key(void **state) {
  begin();
  vsi_leaving leaving;
  vsi_leaving_init(&leaving);
  vsi_leaving_add(&leaving, entry_for(2), VESTRY_CAUSE_IDLE);
  vsi_entry *entry = entry_for(1);
  vsi_leaving_part(&leaving, entry);
  memset(entry->words, 0xff, vsi_lens_words(entry->lens) * sizeof(uint64_t));
  entry->handle = 0;
  entry->value = NULL;
  vsi_leaving_run(&leaving, &th.host, sizeof(vsi_extra), &way_out);
  assert_string_equal(log_text, "p1 size1 u1 p2 idle2 u2 ");
  vsi_entry_destroy(&th.host, sizeof(vsi_extra), entry);
  test_host_assert_clean(&th);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(leaving_entries_run_all_callbacks_in_order),
      cmocka_unit_test(leaving_entries_close_without_a_purge_hook),
      cmocka_unit_test(value_of_a_reused_entry_leaves_with_its_old_key),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
