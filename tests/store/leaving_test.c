#include "store/leaving.h"

#include <stdlib.h>

#include "support/test.h"
#include "support/test_host.h"

static test_host th;

/* What has happened, in order: a letter a callback and the number of the value. */
static char log_text[4096];

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
  if (*(const int *)purged->value == 9)
    assert_int_equal(purged->key_len, 300 - 2);
  else
    assert_memory_equal(purged->key, "\3\1k", 3);
}

static vestry_store_exit way_out = {.value = {on_ref, on_unref, on_close}, .purge = on_purge, .purge_ctx = log_text};

static int numbers[100];

static vsi_slot slot_for(int number) {
  numbers[number] = number;
  vsi_slot slot = {.value = &numbers[number], .len = 5};
  memcpy(slot.key, "\1s\3\1k", 5); /* the scope "s", the bytes "k" */
  return slot;
}

static void add(vsi_leaving *leaving, int number, vestry_cause cause) {
  vsi_slot slot = slot_for(number);
  vsi_leaving_add(leaving, &slot, (vestry_handle)number + 1000, cause);
}

/* With a key that is too long for a slot. */
static void add_long(vsi_leaving *leaving, vestry_cause cause) {
  vsi_slot slot = slot_for(9);
  vsi_outside *outside = th.host.reallocate(&th, NULL, sizeof *outside + 300);
  assert_non_null(outside);
  outside->len = 300;
  memset(outside->bytes, 'x', 300);
  memcpy(outside->bytes, "\1s", 2);
  slot.len = VSI_SLOT_OUTSIDE;
  memcpy(slot.key, &outside, sizeof outside);
  vsi_leaving_add(leaving, &slot, 1009, cause);
}

static void begin(void) {
  test_host_init(&th);
  log_text[0] = 0;
}

static void they_leave_in_order_each_with_all_callbacks(void **state) {
  (void)state;
  begin();
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, &th.host);
  add(&leaving, 1, VESTRY_CAUSE_SIZE);
  add(&leaving, 2, VESTRY_CAUSE_IDLE);
  vsi_leaving_run(&leaving, &way_out);
  assert_string_equal(log_text, "p1 size1 u1 p2 idle2 u2 ");
  assert_int_equal(leaving.count, 0); /* and can be used again */
  add_long(&leaving, VESTRY_CAUSE_SIZE);
  vsi_leaving_run(&leaving, &way_out);
  assert_string_equal(log_text, "p1 size1 u1 p2 idle2 u2 p9 size9 u9 ");
  test_host_assert_clean(&th); /* the long key went with it */
}

static void without_a_hook_they_are_closed_all_the_same(void **state) {
  (void)state;
  begin();
  vestry_store_exit plain = {.value = way_out.value};
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, &th.host);
  add(&leaving, 1, VESTRY_CAUSE_SIZE);
  add_long(&leaving, VESTRY_CAUSE_IDLE);
  vsi_leaving_run(&leaving, &plain);
  assert_string_equal(log_text, "size1 u1 idle9 u9 ");
  test_host_assert_clean(&th);
}

/* While somebody may be looking, value and key stay with the slot; those of earlier ones go. */
static void references_stay_while_there_are_readers(void **state) {
  (void)state;
  begin();
  vsi_sections sections;
  assert_int_equal(vsi_sections_init(&sections, &th.host), VESTRY_OK);
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, &th.host);
  add(&leaving, 1, VESTRY_CAUSE_SIZE);
  add_long(&leaving, VESTRY_CAUSE_SIZE);
  vsi_outside *outside;
  memcpy(&outside, leaving.at[1].key, sizeof outside);
  leaving.readers = true;
  leaving.section = vsi_section_enter(&sections);
  vsi_leaving_run(&leaving, &way_out);
  assert_string_equal(log_text, "p1 size1 p9 size9 ");
  vsi_grace grace;
  assert_true(vsi_grace_begin(&sections, &grace)); /* the section was left */
  vsi_slot slot = slot_for(1);
  leaving.rests[0] = (vsi_rest){slot.value, NULL};
  leaving.rests[1] = (vsi_rest){&numbers[9], outside};
  leaving.rests_count = 2;
  vsi_leaving_run(&leaving, &way_out);
  assert_string_equal(log_text, "p1 size1 p9 size9 u1 u9 ");
  vsi_sections_finish(&sections);
  test_host_assert_clean(&th);
}

static vestry_err many_leave(test_host *host, void *ctx) {
  (void)ctx;
  log_text[0] = 0;
  vsi_leaving leaving;
  vsi_leaving_init(&leaving, &host->host);
  assert_int_equal(vsi_leaving_reserve(&leaving, VSI_LEAVING_BATCH), VESTRY_OK); /* these it always has */
  for (int i = 10; i < 20; i++) add(&leaving, i, VESTRY_CAUSE_SIZE);
  vestry_err error = vsi_leaving_reserve(&leaving, 50);
  if (!error)
    for (int i = 20; i < 60; i++) add(&leaving, i, VESTRY_CAUSE_SIZE);
  if (!error) error = vsi_leaving_reserve(&leaving, 80);
  size_t count = leaving.count;
  for (size_t i = 0; i < count; i++) assert_ptr_equal(leaving.at[i].value, &numbers[10 + i]);
  vsi_leaving_run(&leaving, &way_out);
  size_t told = 0;
  for (const char *at = log_text; (at = strchr(at, 'p')) != NULL; at++) told++;
  assert_int_equal(told, count);
  return error;
}

static void there_is_room_for_many_or_nothing_changes(void **state) {
  (void)state;
  test_host_fail_each(many_leave, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(they_leave_in_order_each_with_all_callbacks),
      cmocka_unit_test(without_a_hook_they_are_closed_all_the_same),
      cmocka_unit_test(references_stay_while_there_are_readers),
      cmocka_unit_test(there_is_room_for_many_or_nothing_changes),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
