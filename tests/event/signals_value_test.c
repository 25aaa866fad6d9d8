/* SPDX-License-Identifier: MIT */
/* C5: values of signals by path and type. A client may have sent anything. */
#include "support/test.h"
#include "vestry/signals.h"

static json_t nowhere;
static json_t *signals;

static int setup(void **state) {
  static const char json[] = "{\"user\":{\"name\":\"Ann\",\"age\":41,\"height\":1.75,\"admin\":true,\"left\":false,"
                             "\"gone\":null,\"tags\":[\"a\",\"b\",{\"deep\":[7]}]},"
                             "\"n\":-9223372036854775808,\"big\":9223372036854775807,\"real\":1.0,\"text\":\"4\","
                             "\"\":1,\"0\":\"zero\",\"\xC3\xBC\":\"umlaut\",\"a.b\":1}";
  return vestry_signals_parse(json, sizeof json - 1, NULL, &signals, NULL);
}

static int teardown(void **state) {
  json_decref(signals);
  return 0;
}

static void expect_error(vestry_err error, vestry_err expected, const vestry_signals_error *why, size_t offset,
                         const char *message) {
  assert_string_equal(why->message, message);
  assert_int_equal(error, expected);
  assert_int_equal(why->offset, offset);
}

/* capability: C5 */
TEST_CASE(c5_values_of_each_type_are_read) {
  const char *text = NULL;
  int64_t integer = 0;
  double number = 0;
  bool boolean = false;
  json_t *value = NULL;
  assert_int_equal(vestry_signals_get(signals, "user.name", VESTRY_INTO(&text), NULL), VESTRY_OK);
  assert_string_equal(text, "Ann");
  assert_int_equal(vestry_signals_get(signals, "\xC3\xBC", VESTRY_INTO(&text), NULL), VESTRY_OK);
  assert_string_equal(text, "umlaut");
  assert_int_equal(vestry_signals_get(signals, "0", VESTRY_INTO(&text), NULL), VESTRY_OK);
  assert_string_equal(text, "zero");
  assert_int_equal(vestry_signals_get(signals, "user.age", vestry_into_between(&integer, 0, 150), NULL), VESTRY_OK);
  assert_int_equal(integer, 41);
  assert_int_equal(vestry_signals_get(signals, "n", VESTRY_INTO(&integer), NULL), VESTRY_OK);
  assert_true(integer == INT64_MIN);
  assert_int_equal(vestry_signals_get(signals, "big", vestry_into_between(&integer, INT64_MAX, INT64_MAX), NULL),
                   VESTRY_OK);
  assert_true(integer == INT64_MAX);
  assert_int_equal(vestry_signals_get(signals, "user.height", VESTRY_INTO(&number), NULL), VESTRY_OK);
  assert_true(number == 1.75);
  assert_int_equal(vestry_signals_get(signals, "user.age", VESTRY_INTO(&number), NULL), VESTRY_OK);
  assert_true(number == 41);
  assert_int_equal(vestry_signals_get(signals, "user.admin", VESTRY_INTO(&boolean), NULL), VESTRY_OK);
  assert_true(boolean);
  assert_int_equal(vestry_signals_get(signals, "user.left", VESTRY_INTO(&boolean), NULL), VESTRY_OK);
  assert_false(boolean);
  assert_int_equal(vestry_signals_get(signals, "user", VESTRY_INTO(&value), NULL), VESTRY_OK);
  assert_int_equal(json_object_size(value), 7);
  assert_int_equal(vestry_signals_get(signals, "user.tags", VESTRY_INTO(&value), NULL), VESTRY_OK);
  assert_int_equal(json_array_size(value), 3);
  assert_int_equal(vestry_signals_get(signals, "user.gone", VESTRY_INTO(&value), NULL), VESTRY_OK);
  assert_true(json_is_null(value));
}

TEST_CASE(c5_paths_go_into_arrays) {
  const char *text = NULL;
  int64_t integer = 0;
  assert_int_equal(vestry_signals_get(signals, "user.tags.1", VESTRY_INTO(&text), NULL), VESTRY_OK);
  assert_string_equal(text, "b");
  assert_int_equal(vestry_signals_get(signals, "user.tags.2.deep.0", vestry_into_between(&integer, 0, 9), NULL),
                   VESTRY_OK);
  assert_int_equal(integer, 7);
  static const char *const none[] = {"3",  "-1", "01", "00", "x", "1x", "18446744073709551616", "99999999999999999999",
                                     "+1", "1.0"};
  for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
    char path[64];
    snprintf(path, sizeof path, "user.tags.%s", none[i]);
    json_t *value = &nowhere;
    vestry_err expected = strcmp(none[i], "1.0") != 0 ? VESTRY_NOT_FOUND : VESTRY_MALFORMED; /* inside a text */
    assert_int_equal(vestry_signals_get(signals, path, VESTRY_INTO(&value), NULL), expected);
    assert_ptr_equal(value, &nowhere);
  }
}

TEST_CASE(c5_missing_signal_is_reported_by_path) {
  static const struct {
    const char *path;
    size_t offset;
    const char *message;
  } rows[] = {
      {"nobody", 0, "nobody: no such signal"},
      {"user.nobody", 5, "user.nobody: no such signal"},
      {"user.nobody.name", 5, "user.nobody: no such signal"},
      {"us", 0, "us: no such signal"},
      {"users", 0, "users: no such signal"},
      {"a.b", 0, "a: no such signal"}, /* a period always separates names */
      {"user.tags.3", 10, "user.tags.3: no such signal"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    const char *text = rows[0].path;
    vestry_signals_error why = {.offset = SIZE_MAX};
    vestry_err error = vestry_signals_get(signals, rows[i].path, VESTRY_INTO(&text), &why);
    expect_error(error, VESTRY_NOT_FOUND, &why, rows[i].offset, rows[i].message);
    assert_ptr_equal(text, rows[0].path);
  }
  const char *text = NULL;
  vestry_signals_error why;
  expect_error(vestry_signals_get(NULL, "a", VESTRY_INTO(&text), &why), VESTRY_NOT_FOUND, &why, 0, "a: no such signal");
}

/* capability: C5 */
TEST_CASE(c5_value_of_wrong_type_is_reported) {
  const char *text = NULL;
  int64_t integer = 5;
  double number = 5;
  bool boolean = true;
  json_t *value = &nowhere;
  vestry_signals_error why;
#define EXPECT(call, offset, message) expect_error(call, VESTRY_MALFORMED, &why, offset, message)
  EXPECT(vestry_signals_get(signals, "user.age", VESTRY_INTO(&text), &why), 5,
         "user.age: expected a string, found an integer");
  EXPECT(vestry_signals_get(signals, "user", VESTRY_INTO(&text), &why), 0, "user: expected a string, found an object");
  EXPECT(vestry_signals_get(signals, "user.gone", VESTRY_INTO(&text), &why), 5,
         "user.gone: expected a string, found null");
  EXPECT(vestry_signals_get(signals, "user.name.first", VESTRY_INTO(&text), &why), 5,
         "user.name: expected an object, found a string");
  EXPECT(vestry_signals_get(signals, "text.a.b.c", VESTRY_INTO(&text), &why), 0,
         "text: expected an object, found a string");
  EXPECT(vestry_signals_get(signals, "user.gone.x", VESTRY_INTO(&text), &why), 5,
         "user.gone: expected an object, found null");
  EXPECT(vestry_signals_get(signals, "text", VESTRY_INTO(&integer), &why), 0,
         "text: expected an integer, found a string");
  EXPECT(vestry_signals_get(signals, "real", VESTRY_INTO(&integer), &why), 0,
         "real: expected an integer, found a real number");
  EXPECT(vestry_signals_get(signals, "user.age", vestry_into_between(&integer, 42, 150), &why), 5,
         "user.age: expected an integer from 42 to 150, found another");
  EXPECT(vestry_signals_get(signals, "user.age", vestry_into_between(&integer, -5, 40), &why), 5,
         "user.age: expected an integer from -5 to 40, found another");
  EXPECT(vestry_signals_get(signals, "user.admin", vestry_into_between(&integer, 0, 1), &why), 5,
         "user.admin: expected an integer from 0 to 1, found true");
  EXPECT(vestry_signals_get(signals, "text", VESTRY_INTO(&number), &why), 0, "text: expected a number, found a string");
  EXPECT(vestry_signals_get(signals, "user.age", VESTRY_INTO(&boolean), &why), 5,
         "user.age: expected true or false, found an integer");
#undef EXPECT
  assert_null(text);
  assert_int_equal(integer, 5);
  assert_true(number == 5 && boolean);
  assert_ptr_equal(value, &nowhere);
  assert_int_equal(vestry_signals_get(signals, "text", VESTRY_INTO(&boolean), NULL), VESTRY_MALFORMED);
  assert_int_equal(vestry_signals_get(signals, "text", vestry_into_string(NULL), NULL), VESTRY_INVALID);
}

/* A tree from another parser may contain texts with NUL, which C would cut. */
TEST_CASE(c5_text_with_nul_is_malformed) {
  json_t *other = json_pack("{s:s%}", "a", "x\0y", (size_t)3);
  assert_non_null(other);
  const char *text = NULL;
  vestry_signals_error why;
  expect_error(vestry_signals_get(other, "a", VESTRY_INTO(&text), &why), VESTRY_MALFORMED, &why, 0,
               "a: expected a string without NUL, found a NUL");
  json_decref(other);
}

TEST_CASE(c5_bad_paths_are_refused) {
  static const struct {
    const char *path;
    size_t offset;
  } rows[] = {{"", 0}, {".", 0}, {".user", 0}, {"user.", 5}, {"user..name", 5}};
  json_t *value = &nowhere;
  vestry_signals_error why;
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    expect_error(vestry_signals_get(signals, rows[i].path, VESTRY_INTO(&value), &why), VESTRY_INVALID, &why,
                 rows[i].offset, "the path has an empty name");
  expect_error(vestry_signals_get(signals, NULL, VESTRY_INTO(&value), &why), VESTRY_INVALID, &why, 0,
               "the path is NULL");
  assert_ptr_equal(value, &nowhere);
}

TEST_CASE(c5_path_over_depth_limit_is_invalid) {
  enum { MAX = VESTRY_SIGNALS_PATH_MAX_DEPTH };
  json_t *deep = json_integer(7);
  char path[2 * MAX + 8] = "";
  for (int i = 0; i < MAX + 1; i++) {
    deep = json_pack("{s:o}", "a", deep);
    if (i < MAX) strcat(path, i ? ".a" : "a");
  }
  json_t *value = &nowhere;
  vestry_signals_error why;
  assert_int_equal(vestry_signals_get(deep, path, VESTRY_INTO(&value), &why), VESTRY_OK);
  strcat(path, ".a");
  value = &nowhere;
  expect_error(vestry_signals_get(deep, path, VESTRY_INTO(&value), &why), VESTRY_INVALID, &why, (size_t)2 * MAX,
               "the path has too many names");
  assert_ptr_equal(value, &nowhere);
  json_decref(deep);
}

/* Long paths are truncated at the front, between characters, and no message exceeds its buffer. */
TEST_CASE(c5_long_paths_are_truncated_in_messages) {
  vestry_signals_error why;
  json_t *value;
  assert_int_equal(vestry_signals_get(signals, "0123456789012345678901234567890123456789x", VESTRY_INTO(&value), &why),
                   VESTRY_NOT_FOUND);
  assert_string_equal(why.message, "\xE2\x80\xA6"
                                   "123456789012345678901234567890123456789x: no such signal");
  for (size_t len = 1; len < 120; len++) {
    char path[400] = "";
    for (size_t i = 0; i < len; i++) strcat(path, i % 2 ? "\xC3\xBC" : "\xE2\x82\xAC");
    assert_int_equal(vestry_signals_get(signals, path, VESTRY_INTO(&value), &why), VESTRY_NOT_FOUND);
    assert_non_null(memchr(why.message, '\0', sizeof why.message));
    json_t *valid = json_string(why.message); /* refuses invalid UTF-8 */
    assert_non_null(valid);
    json_decref(valid);
  }
  int64_t integer;
  json_t *object = json_pack("{s:i}", "a_name_of_some_forty_characters_or_more_", 1);
  assert_int_equal(vestry_signals_get(object, "a_name_of_some_forty_characters_or_more_",
                                      vestry_into_between(&integer, INT64_MIN, INT64_MIN + 1), &why),
                   VESTRY_MALFORMED);
  assert_int_equal(strlen(why.message), sizeof why.message - 1);
  json_decref(object);
}

int main(void) {
  return cases_run("event/signals_value", setup, teardown);
}
