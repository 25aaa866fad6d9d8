/* SPDX-License-Identifier: MIT */
/* Effect lists as text: printing and parsing. */
#include "registry/dispatch.h"

#include <stdlib.h>

#include "registry/notes.h"

static void effect_lists_print_and_parse(void **state) {
  static const char *const lists[] = {
      "[]",
      "[[\"patch-signals\",{\"counter\":4}]]",
      "[[\"a\"],[\"b\",null,true,false,-1,1.5,\"x\\ny\",[[]],{}],[\"c\",[\"d\",[\"e\"]]]]",
  };
  for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
    json_t *effects = json_of(lists[i]), *parsed = NULL;
    char text[256];
    size_t len = 0;
    assert_int_equal(vestry_effects_print(effects, text, sizeof text, &len), VESTRY_OK);
    assert_string_equal(text, lists[i]);
    assert_int_equal(len, strlen(lists[i]));
    assert_int_equal(vestry_effects_parse(text, len, NULL, &parsed, NULL), VESTRY_OK);
    assert_true(json_equal(parsed, effects));
    json_decref(parsed);
    json_decref(effects);
  }
}

static void print_never_overruns_the_buffer(void **state) {
  json_t *effects = json_of("[[\"name\",\"\\u00e9\\u0001\\\"\"]]");
  static const char expected[] = "[[\"name\",\"\xc3\xa9\\u0001\\\"\"]]";
  size_t len = 0;
  assert_int_equal(vestry_effects_print(effects, NULL, 0, &len), VESTRY_TOO_LARGE);
  assert_int_equal(len, sizeof expected - 1);
  for (size_t capacity = 0; capacity <= sizeof expected; capacity++) {
    char *buffer = malloc(capacity + 1); /* the byte after the buffer must not change */
    memset(buffer, 'x', capacity + 1);
    vestry_err error = vestry_effects_print(effects, buffer, capacity, NULL);
    assert_int_equal(error, capacity < sizeof expected ? VESTRY_TOO_LARGE : VESTRY_OK);
    if (error) assert_int_equal(buffer[0], 'x');
    if (!error) assert_string_equal(buffer, expected);
    assert_int_equal(buffer[capacity], 'x');
    free(buffer);
  }
  json_decref(effects);
}

static void print_refuses_invalid_lists(void **state) {
  char text[64] = "as it was";
  static const char *const wrong[] = {"{}", "1", "[1]", "[[]]", "[[1]]", "[[\"\"]]", "[[\"a\"],null]", "[{}]"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    json_t *value = json_of(wrong[i]);
    assert_int_equal(vestry_effects_print(value, text, sizeof text, NULL), VESTRY_INVALID);
    json_decref(value);
  }
  assert_int_equal(vestry_effects_print(NULL, text, sizeof text, NULL), VESTRY_INVALID);
  json_t *effects = json_pack("[[s,o]]", "a", json_string_nocheck("\xff"));
  assert_int_equal(vestry_effects_print(effects, NULL, 1, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_effects_print(effects, text, sizeof text, NULL), VESTRY_INVALID);
  json_decref(effects);
  assert_string_equal(text, "as it was");
}

/* A value that contains itself, and one whose shared parts add up to more than the memory. */
static void print_ends_for_cyclic_and_huge_values(void **state) {
  json_t *loop = json_array(), *effects = json_pack("[[s,O]]", "a", loop);
  json_array_append(loop, effects);
  assert_int_equal(vestry_effects_print(effects, NULL, 0, NULL), VESTRY_TOO_LARGE);
  json_array_clear(loop);
  json_decref(loop);
  json_decref(effects);
  char text[4096];
  memset(text, 'x', sizeof text);
  json_t *doubled = json_stringn(text, sizeof text);
  for (int i = 0; i < 60; i++) doubled = json_pack("[O,o]", doubled, doubled);
  effects = json_pack("[[s,o]]", "a", doubled);
  assert_int_equal(vestry_effects_print(effects, NULL, 0, NULL), VESTRY_TOO_LARGE);
  json_decref(effects);
}

static void parse_errors_have_offset_and_message(void **state) {
  static const struct {
    const char *text;
    size_t offset;
    const char *message;
  } cases[] = {
      {"", 0, "a JSON array is expected"},
      {"  {}", 2, "a JSON array is expected"},
      {"[] x", 3, "unexpected text after the array"},
      {"[[\"a\"]", 6, "the text ends before its value is complete"},
      {"[[\"a\"],]", 7, "a value is expected"},
      {"[[\"a\\u0000\"]]", 4, "a string contains a NUL, which is not accepted"},
      {"[[\"a\"], 7]", 8, "an effect must be an array that begins with its name"},
      {"[[\"a,]\", [1,{\"k\":[2,3]}]],\n [\"b\"],  [] , 1]", 36,
       "an effect must be an array that begins with its name"},
      {" [ {\"a\":1}]", 3, "an effect must be an array that begins with its name"},
      {"[[\"\"]]", 1, "an effect must be an array that begins with its name"},
      {"[[[\"a\"]]]", 1, "an effect must be an array that begins with its name"},
      {"[[\"a\", 1e999]]", 12, "a number is too large"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *effects = NULL;
    vestry_signals_error why = {.offset = 99};
    assert_int_equal(vestry_effects_parse(cases[i].text, strlen(cases[i].text), NULL, &effects, &why),
                     VESTRY_MALFORMED);
    assert_null(effects);
    assert_string_equal(why.message, cases[i].message);
    assert_int_equal(why.offset, cases[i].offset);
    assert_int_equal(vestry_effects_parse(cases[i].text, strlen(cases[i].text), NULL, &effects, NULL),
                     VESTRY_MALFORMED);
  }
  json_t *effects = NULL;
  assert_int_equal(vestry_effects_parse(NULL, 1, NULL, &effects, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_effects_parse("[]", 2, NULL, NULL, NULL), VESTRY_INVALID);
}

static void parse_limits_are_enforced(void **state) {
  static const char text[] = "[[\"a\",[1,2]]]"; /* 13 bytes, depth 3, 5 values */
  static const struct {
    vestry_signals_limits limits;
    vestry_err expected;
  } cases[] = {
      {{.max_bytes = 13, .max_depth = 3, .max_count = 5}, VESTRY_OK},
      {{.max_bytes = 12}, VESTRY_TOO_LARGE},
      {{.max_depth = 2}, VESTRY_TOO_LARGE},
      {{.max_count = 4}, VESTRY_TOO_LARGE},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    json_t *effects = NULL;
    assert_int_equal(vestry_effects_parse(text, sizeof text - 1, &cases[i].limits, &effects, NULL), cases[i].expected);
    json_decref(effects);
  }
  char deep[1024]; /* the default is 32, although 256 was requested */
  for (int depth = 32; depth <= 257; depth += depth == 33 ? 223 : 1) {
    snprintf(deep, sizeof deep, "[[\"a\",");
    for (int i = 0; i < depth - 2; i++) strcat(deep, "[");
    for (int i = 0; i < depth - 2; i++) strcat(deep, "]");
    strcat(deep, "]]");
    json_t *effects = NULL;
    vestry_signals_limits deepest = {.max_depth = 1000};
    assert_int_equal(vestry_effects_parse(deep, strlen(deep), NULL, &effects, NULL),
                     depth > 32 ? VESTRY_TOO_LARGE : VESTRY_OK);
    json_decref(effects);
    effects = NULL;
    assert_int_equal(vestry_effects_parse(deep, strlen(deep), &deepest, &effects, NULL),
                     depth > 256 ? VESTRY_TOO_LARGE : VESTRY_OK);
    json_decref(effects);
  }
}

static void parsing_survives_every_allocation_failure(void **state) {
  static const char text[] = "[[\"name\",{\"k\":[1,2.5,\"t\"]}]]";
  bool failed = true;
  long number = 0;
  for (; failed; number++) {
    json_t *effects = NULL;
    json_fail_begin(number);
    vestry_err error = vestry_effects_parse(text, sizeof text - 1, NULL, &effects, NULL);
    failed = json_fail_end();
    assert_int_equal(error, failed ? VESTRY_NO_MEMORY : VESTRY_OK);
    json_decref(effects);
  }
  assert_true(number > 10);
}

static void parsed_list_can_be_dispatched(void **state) {
  site w;
  notes n = {""};
  site_begin(&w, (vestry_options){0});
  register_all(&w, &n);
  json_t *effects;
  static const char text[] = "[[\"do\",[[\"e\",{\"a\":1}]]],[\"e\"]]";
  assert_int_equal(vestry_effects_parse(text, sizeof text - 1, NULL, &effects, NULL), VESTRY_OK);
  assert_int_equal(vestry_dispatch_with(w.v, effects, NULL, NULL), VESTRY_OK);
  assert_string_equal(n.text, "e[{\"a\":1}] e[] ");
  json_decref(effects);
  site_end(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(effect_lists_print_and_parse),
      cmocka_unit_test(print_never_overruns_the_buffer),
      cmocka_unit_test(print_refuses_invalid_lists),
      cmocka_unit_test(print_ends_for_cyclic_and_huge_values),
      cmocka_unit_test(parse_errors_have_offset_and_message),
      cmocka_unit_test(parse_limits_are_enforced),
      cmocka_unit_test(parsing_survives_every_allocation_failure),
      cmocka_unit_test(parsed_list_can_be_dispatched),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
