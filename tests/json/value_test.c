/* SPDX-License-Identifier: MIT */
/* K9: C values become JSON of the same type, or are refused. */
#include "vestry/value.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support/test.h"

static void assert_json(const vestry_value *value, const char *expected) {
  json_t *json = NULL;
  assert_int_equal(vestry_value_to_json(value, &json), VESTRY_OK);
  char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
  assert_string_equal(text, expected);
  free(text);
  json_decref(json);
}

/* capability: K9 */
static void c_types_become_json_of_the_same_type(void **state) {
  const char letter = 'a';
  const unsigned char byte = 255;
  const int64_t large = INT64_MIN;
  const uint64_t largest = INT64_MAX;
  const float half = 0.5F;
  const bool yes = true;
  char text[] = "é\"";
  json_t *json = json_pack("{s:[i]}", "a", 1);
  assert_json(VESTRY_LIST(letter, byte, -1, 4000000000U, large, largest, -7L, 9LL, (short)-3),
              "[97,255,-1,4000000000,-9223372036854775808,9223372036854775807,-7,9,-3]");
  assert_json(VESTRY_LIST(half, 1.5, 0.1, yes, VESTRY_FALSE), "[0.5,1.5,0.10000000000000001,true,false]");
  assert_json(VESTRY_LIST(text, "", json, vestry_value_null()), "[\"é\\\"\",\"\",{\"a\":[1]},null]");
  assert_json(VESTRY_OBJECT("n", large, "o", VESTRY_OBJECT("l", VESTRY_LIST(1, "two")), "gone", vestry_value_null()),
              "{\"n\":-9223372036854775808,\"o\":{\"l\":[1,\"two\"]},\"gone\":null}");
  assert_json(&(const vestry_value){VESTRY_VALUE_OBJECT, false, 0, 0, NULL, NULL, NULL, 0}, "{}");
  assert_json((const vestry_value[]){vestry_value_list(NULL, 0)}, "[]");
  assert_json((const vestry_value[]){vestry_value_number(-2.5)}, "-2.5");
  assert_int_equal(json->refcount, 1); /* vestry_value_to_json has released its reference */
  json_decref(json);
}

static void list_takes_16_values_and_object_8_pairs(void **state) {
  assert_json(VESTRY_LIST(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
              "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]");
  assert_json(VESTRY_OBJECT("a", 1, "b", 2, "c", 3, "d", 4, "e", 5, "f", 6, "g", 7, "h", 8),
              "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8}");
}

/* capability: K9 */
static void values_without_json_form_are_refused(void **state) {
  const vestry_value odd[] = {vestry_value_string("a")}, no_name[] = {vestry_value_integer(1), vestry_value_integer(1)};
  const vestry_value bad[] = {
      {.type = (vestry_value_type)0},   {.type = (vestry_value_type)99},
      vestry_value_string(NULL),        vestry_value_string("\xff"),
      vestry_value_json(NULL),          vestry_value_number((double)INFINITY),
      vestry_value_number((double)NAN), vestry_value_unsigned(UINT64_MAX),
      vestry_value_list(NULL, 1),       vestry_value_object(NULL, 2),
      vestry_value_object(odd, 1),      vestry_value_object(no_name, 2),
      *VESTRY_OBJECT("\xff", 1),        *VESTRY_OBJECT((const char *)NULL, 1),
  };
  json_t *json = (json_t *)&json;
  for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
    assert_int_equal(vestry_value_to_json(&bad[i], &json), VESTRY_INVALID);
    /* A refused value deep inside other values leaks nothing. */
    assert_int_equal(vestry_value_to_json(VESTRY_LIST(1, VESTRY_OBJECT("a", "b", "c", bad[i])), &json), VESTRY_INVALID);
  }
  assert_int_equal(vestry_value_to_json(NULL, &json), VESTRY_INVALID);
  assert_ptr_equal(json, (json_t *)&json);
}

static void value_nested_too_deep_is_too_large(void **state) {
  vestry_value levels[VESTRY_VALUE_MAX_DEPTH + 2] = {vestry_value_integer(1)};
  for (size_t i = 1; i < VESTRY_VALUE_MAX_DEPTH + 2; i++) levels[i] = vestry_value_list(&levels[i - 1], 1);
  json_t *json = NULL;
  assert_int_equal(vestry_value_to_json(&levels[VESTRY_VALUE_MAX_DEPTH], &json), VESTRY_OK);
  json_decref(json);
  assert_int_equal(vestry_value_to_json(&levels[VESTRY_VALUE_MAX_DEPTH + 1], &json), VESTRY_TOO_LARGE);
  vestry_value knot = {.type = VESTRY_VALUE_LIST, .count = 1};
  knot.items = &knot;
  assert_int_equal(vestry_value_to_json(&knot, &json), VESTRY_TOO_LARGE);
}

/* jansson's allocator is global to the process. */
static long fail_after;
static void *failing_malloc(size_t size) {
  return fail_after-- > 0 ? malloc(size) : NULL;
}

static void failed_allocation_is_no_memory(void **state) {
  json_set_alloc_funcs(failing_malloc, free);
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    json_t *json = NULL;
    fail_after = number;
    error = vestry_value_to_json(VESTRY_OBJECT("a", VESTRY_LIST(1, 2.5, "text"), "b", VESTRY_OBJECT("c", 3)), &json);
    fail_after = 1000;
    assert_true(number < 100 && (!error || (error == VESTRY_NO_MEMORY && !json)));
    json_decref(json);
  }
  json_set_alloc_funcs(malloc, free);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(c_types_become_json_of_the_same_type), cmocka_unit_test(list_takes_16_values_and_object_8_pairs),
      cmocka_unit_test(values_without_json_form_are_refused), cmocka_unit_test(value_nested_too_deep_is_too_large),
      cmocka_unit_test(failed_allocation_is_no_memory),
  };
  return cmocka_run_group_tests_name("values", tests, NULL, NULL);
}
