/* SPDX-License-Identifier: MIT */
/* K9: C values become JSON of the same type, or are refused. */
#include "vestry/signals.h"
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
TEST_CASE(c_types_become_json_of_the_same_type) {
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

TEST_CASE(list_takes_16_values_and_object_8_pairs) {
  assert_json(VESTRY_LIST(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16),
              "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16]");
  assert_json(VESTRY_OBJECT("a", 1, "b", 2, "c", 3, "d", 4, "e", 5, "f", 6, "g", 7, "h", 8),
              "{\"a\":1,\"b\":2,\"c\":3,\"d\":4,\"e\":5,\"f\":6,\"g\":7,\"h\":8}");
}

/* capability: K9 */
TEST_CASE(values_without_json_form_are_refused) {
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

TEST_CASE(value_nested_too_deep_is_too_large) {
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

TEST_CASE(failed_allocation_is_no_memory) {
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

/* ---- text ---- */

/* A text that grows by random values, as a client may send them. */
typedef struct text {
  uint64_t random;
  size_t len;
  char bytes[16384];
} text;

static unsigned below(text *t, unsigned bound) {
  t->random = t->random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
  return (unsigned)(t->random >> 33) % bound;
}

static void add(text *t, const char *more) {
  const size_t len = strlen(more);
  assert_true(t->len + len < sizeof t->bytes);
  memcpy(t->bytes + t->len, more, len + 1);
  t->len += len;
}

static void add_space(text *t) {
  static const char *const spaces[] = {"", "", "", " ", "\n\t", "\r\n  "};
  add(t, spaces[below(t, 6)]);
}

static void add_string(text *t) {
  static const char *const parts[] = {"a",
                                      "text",
                                      "é",
                                      "\xF0\x9F\x98\x80",
                                      "\\\"",
                                      "\\\\",
                                      "\\/",
                                      "\\n",
                                      "\\u00e9",
                                      "\\u0041",
                                      "\\uD83D\\uDE00",
                                      "{",
                                      "]",
                                      ",",
                                      ":",
                                      "a part that is longer than the other ones"};
  add(t, "\"");
  for (unsigned i = below(t, 4); i; i--) add(t, parts[below(t, sizeof parts / sizeof *parts)]);
  add(t, "\"");
}

static void add_scalar(text *t) {
  static const char *const scalars[] = {"0",
                                        "-0",
                                        "7",
                                        "-12",
                                        "999999999999999999",
                                        "-999999999999999999",
                                        "1000000000000000000",
                                        "9223372036854775807",
                                        "-9223372036854775808",
                                        "0.5",
                                        "-1e3",
                                        "1E+2",
                                        "2.50e-7",
                                        "true",
                                        "false",
                                        "null"};
  if (below(t, 2))
    add_string(t);
  else
    add(t, scalars[below(t, sizeof scalars / sizeof *scalars)]);
}

static void add_value(text *t, unsigned depth) {
  const unsigned kind = depth ? below(t, 4) : 3;
  add_space(t);
  if (kind > 1) {
    add_scalar(t);
  } else {
    add(t, kind ? "{" : "[");
    add_space(t);
    for (unsigned i = below(t, 5); i; i--) {
      if (kind) add_string(t), add_space(t), add(t, ":");
      add_value(t, depth - 1);
      if (i > 1) add(t, ","), add_space(t);
    }
    add(t, kind ? "}" : "]");
  }
  add_space(t);
}

/* Signals are built as jansson's own reader builds them, also members with the same name. */
TEST_CASE(text_is_built_as_jansson_builds_it) {
  static text t = {.random = 1};
  for (int round = 0; round < 20000; round++) {
    t.len = 0;
    add(&t, "{\"signals\":");
    add_value(&t, 4);
    add(&t, "}");
    json_t *built = NULL, *expected = json_loadb(t.bytes, t.len, 0, NULL);
    assert_int_equal(vestry_signals_parse(t.bytes, t.len, NULL, &built, NULL), VESTRY_OK);
    char *is = json_dumps(built, 0), *wanted = json_dumps(expected, 0);
    assert_string_equal(is, wanted);
    free(is);
    free(wanted);
    json_decref(built);
    json_decref(expected);
  }
}

TEST_CASE(failed_allocation_of_text_is_no_memory) {
  static const char json[] =
      "{\"a\":[1,2.5,\"text\",\"esc\\\\aped\"],\"a name that does not fit a short buffer, as it has "
      "more than sixty-four bytes\":{\"c\":null},\"\\u0041\":true}";
  json_set_alloc_funcs(failing_malloc, free);
  vestry_err error = VESTRY_NO_MEMORY;
  for (long number = 0; error; number++) {
    json_t *built = NULL;
    fail_after = number;
    error = vestry_signals_parse(json, sizeof json - 1, NULL, &built, NULL);
    fail_after = 1000;
    assert_true(number < 200 && (!error || (error == VESTRY_NO_MEMORY && !built)));
    json_decref(built);
  }
  json_set_alloc_funcs(malloc, free);
}
