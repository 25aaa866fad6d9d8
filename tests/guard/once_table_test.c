/* SPDX-License-Identifier: MIT */
/* Requests with the same nonce: the first is in the table, and the others wait for its result. */
#include "app/guard/once_table.h"

#include "instance/instance.h"
#include "support/site.h"

typedef struct suite {
  site on;
  vsi_once_table table;
} suite;

static const vestry_scope ann = {"ann", 3}, bob = {"bob", 3};

static void begin(suite *s, size_t max_count) {
  const vestry_once_options options = {.lifetime_ms = 1000,
                                       .max_count = max_count,
                                       .max_per_scope_count = 100,
                                       .max_answer_bytes = 100,
                                       .max_answers_bytes = 1000,
                                       .retries_ms = 10};
  memset(s, 0, sizeof *s);
  site_begin(&s->on, (vestry_options){0});
  assert_int_equal(vsi_once_table_init(&s->table, s->on.v, &options), VESTRY_OK);
}

static void end(suite *s) {
  vsi_once_table_finish(&s->table);
  site_end(&s->on);
}

static vsi_once_record *made(suite *s) {
  vsi_once_record *record = vsi_once_record_create(&s->table, &s->table.users);
  assert_non_null(record);
  return record;
}

static void waiting_requests_get_the_result_of_the_first(void **state) {
  (void)state;
  static const vsi_once_progress ends[] = {VSI_ONCE_ANSWERED, VSI_ONCE_FORGOTTEN, VSI_ONCE_FAILED};
  for (int i = 0; i < 3; i++) {
    suite s;
    vsi_once_record *there = NULL;
    begin(&s, 10);
    vsi_once_record *first = made(&s), *other = made(&s);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", first, &there), VESTRY_OK);
    assert_null(there);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", other, &there), VESTRY_OK);
    assert_ptr_equal(there, first);
    assert_int_equal(s.table.users.count, 1);
    if (ends[i] == VSI_ONCE_FAILED) first->error = VESTRY_LIMIT;
    if (ends[i] != VSI_ONCE_ANSWERED) vsi_once_record_remove(first);
    vsi_once_record_settle(first, ends[i]);
    vsi_once_record_unref(first);
    assert_int_equal(vsi_once_record_wait(there), ends[i]);
    assert_int_equal(there->error, ends[i] == VSI_ONCE_FAILED ? VESTRY_LIMIT : VESTRY_OK);
    vsi_once_record_unref(there);
    assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", other, &there), VESTRY_OK);
    assert_int_equal(there != NULL, ends[i] == VSI_ONCE_ANSWERED);
    vsi_once_record_unref(there);
    vsi_once_record_unref(other);
    end(&s);
  }
}

/* Equal nonces of two scopes are two entries. An entry younger than retries_ms is not evicted. */
static void full_table_evicts_only_entries_older_than_retries_ms(void **state) {
  (void)state;
  suite s;
  vsi_once_record *there = NULL;
  begin(&s, 2);
  vsi_once_record *first = made(&s), *second = made(&s), *third = made(&s);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "nonce", first, &there), VESTRY_OK);
  assert_int_equal(vsi_once_table_put(&s.table, bob, "nonce", second, &there), VESTRY_OK);
  assert_null(there);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "next", third, &there), VESTRY_LIMIT);
  vsi_once_record_unref(third);
  test_host_advance_ms(&s.on.th, 10);
  third = made(&s);
  assert_int_equal(vsi_once_table_put(&s.table, ann, "next", third, &there), VESTRY_OK);
  assert_null(there);
  assert_true(first->has_left);
  assert_false(second->has_left);
  assert_int_equal(s.table.users.count, 2);
  vsi_once_record_unref(first);
  vsi_once_record_unref(second);
  vsi_once_record_unref(third);
  end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(waiting_requests_get_the_result_of_the_first),
      cmocka_unit_test(full_table_evicts_only_entries_older_than_retries_ms),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
