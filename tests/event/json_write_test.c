/* SPDX-License-Identifier: MIT */
/* The JSON writer: its output is read back by jansson as an equal value, and checked for values that must not be
 * sent. */
#include "json/write.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "event/layout.h"
#include "support/locale.h"
#include "support/test.h"
#include "support/test_host.h"
#include "json/load.h"
#include "json/value.h"

/* Count and write a value; NULL on failure. The caller frees it. */
static char *text_of(const json_t *value, vestry_err *ret_error) {
  vsi_writer counter = {.to = NULL};
  *ret_error = vsi_json_put(&counter, value);
  if (*ret_error) return NULL;
  char *text = malloc(counter.len + 1);
  vsi_writer writer = {.to = text};
  assert_int_equal(vsi_json_put(&writer, value), VESTRY_OK);
  assert_int_equal(writer.len, counter.len);
  text[writer.len] = '\0';
  return text;
}

/* Takes the value. */
static void check(json_t *value, const char *expected) {
  vestry_err error;
  char *text = text_of(value, &error);
  assert_int_equal(error, VESTRY_OK);
  assert_string_equal(text, expected);
  json_t *again = json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
  assert_true(json_equal(again, value));
  json_decref(again);
  json_decref(value);
  free(text);
}

TEST_CASE(each_json_type_is_written_and_read_back) {
  check(json_null(), "null");
  check(json_true(), "true");
  check(json_false(), "false");
  check(json_array(), "[]");
  check(json_object(), "{}");
  check(json_string(""), "\"\"");
  check(json_pack("[[],{},[i,[n]]]", 1), "[[],{},[1,[null]]]");
  check(json_pack("{s:i,s:{s:b},s:[]}", "b", 1, "a", "x", 1, "\"", 0), "{\"b\":1,\"a\":{\"x\":true},\"\\\"\":[]}");
}

TEST_CASE(numbers_are_written_exactly) {
  check(json_integer(0), "0");
  check(json_integer(-1), "-1");
  check(json_integer(1234567890), "1234567890");
  check(json_integer(INT64_MAX), "9223372036854775807");
  check(json_integer(INT64_MIN), "-9223372036854775808");
  check(json_real(0.1), "0.1");
  check(json_real(1.0), "1.0");
  check(json_real(-0.0), "-0.0");
  check(json_real(1.0 / 3), "0.3333333333333333");
  check(json_real(0.1 + 0.2), "0.30000000000000004");
  check(json_real(1e300), "1e+300");
  check(json_real(DBL_MAX), "1.7976931348623157e+308");
  check(json_real(5e-324), "4.94065645841247e-324");
  check(json_real(123456789012345680.0), "1.2345678901234568e+17");
}

TEST_CASE(random_numbers_read_back_exactly) {
  uint64_t seed = 7;
  for (int i = 0; i < 20000; i++) {
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    double number;
    uint64_t bits = seed ^ seed >> 29;
    memcpy(&number, &bits, sizeof number);
    if (!isfinite(number)) continue;
    json_t *value = json_real(number);
    vestry_err error;
    char *text = text_of(value, &error);
    assert_true(strtod(text, NULL) == number);
    free(text);
    json_decref(value);
  }
}

/* The decimal separator of de_DE has one byte, that of ps_AF two. */
TEST_CASE(numbers_do_not_depend_on_the_locale) {
  static const char *const names[] = {"de_DE", "ps_AF"};
  bool found = false;
  for (size_t i = 0; i < 2; i++) {
    test_locale locale;
    if (!test_locale_begin(&locale, names[i])) continue;
    found = true;
    vestry_err error = VESTRY_OK;
    json_t *value = json_pack("[f, f, f]", 1.5, -1e-7, 3.0);
    char *text = text_of(value, &error);
    json_t *again = text ? vsi_json_load(text, strlen(text), 0, NULL) : NULL; /* jansson alone would abort in ps_AF */
    char *dumped = vsi_json_dump(again);
    vestry_html html;
    vestry_html_init(&html, vestry_host_default());
    vestry_html_add(&html, "<script>x=");
    vestry_html_json(&html, VESTRY_VALUES(value));
    vestry_html_add(&html, "</script>");
    test_locale_end(&locale);
    vestry_slice built;
    assert_int_equal(vestry_html_result(&html, &built), VESTRY_OK);
    assert_non_null(strstr(built.data, "x=[1.5,-"));
    vestry_html_finish(&html);
    assert_int_equal(error, VESTRY_OK);
    assert_string_equal(text, "[1.5,-1e-07,3.0]");
    assert_true(json_equal(again, value));
    assert_non_null(dumped);
    assert_memory_equal(dumped, "[1.5,-", 6);
    free(dumped);
    json_decref(again);
    free(text);
    json_decref(value);
  }
  if (!found) TEST_SKIP("the definitions of locales are not installed");
}

TEST_CASE(strings_are_escaped_where_necessary) {
  check(json_string("a\"b\\c/d"), "\"a\\\"b\\\\c/d\"");
  check(json_string("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
  check(json_string("\x01\x1f\x7f"), "\"\\u0001\\u001f\x7f\"");
  check(json_stringn("a\0b", 3), "\"a\\u0000b\"");
  check(json_string("\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80"), "\"\xc3\xa9\xe2\x80\xa8\xf0\x9f\x98\x80\"");
  /* At each position relative to the words of eight bytes that are skipped at once. */
  for (size_t len = 0; len < 40; len++)
    for (size_t at = 0; at < len; at++) {
      char text[48], expected[64];
      memset(text, 'x', len);
      text[len] = '\0';
      text[at] = '"';
      snprintf(expected, sizeof expected, "\"%.*s\\\"%s\"", (int)at, text, text + at + 1);
      check(json_string(text), expected);
    }
}

TEST_CASE(invalid_utf8_is_refused) {
  static const char *const wrong[] = {"\xff",
                                      "a\x80",
                                      "\xc3",
                                      "\xc3(",
                                      "\xe2\x80",
                                      "\xed\xa0\x80",
                                      "\xf0\x80\x80\x80",
                                      "\xc0\xaf",
                                      "\xf4\x90\x80\x80",
                                      "abcdefgh\xfe"};
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    for (int as_name = 0; as_name < 2; as_name++) {
      json_t *value = json_object();
      json_object_set_new_nocheck(value, as_name ? wrong[i] : "a", json_string_nocheck(as_name ? "b" : wrong[i]));
      vestry_err error;
      assert_null(text_of(value, &error));
      assert_int_equal(error, VESTRY_INVALID);
      json_decref(value);
    }
  vestry_err error;
  assert_null(text_of(NULL, &error));
  assert_int_equal(error, VESTRY_INVALID);
}

static json_t *nested(int depth) {
  json_t *value = json_integer(1);
  for (int i = 0; i < depth; i++) value = i % 2 ? json_pack("[o]", value) : json_pack("{s:o}", "k", value);
  return value;
}

TEST_CASE(value_over_depth_or_length_limit_is_too_large) {
  vestry_err error;
  json_t *deep = nested(256);
  free(text_of(deep, &error));
  assert_int_equal(error, VESTRY_OK);
  json_decref(deep);
  deep = nested(257);
  assert_null(text_of(deep, &error));
  assert_int_equal(error, VESTRY_TOO_LARGE);
  json_decref(deep);
  char text[4096];
  memset(text, 'x', sizeof text);
  json_t *doubled = json_stringn(text, sizeof text);
  for (int i = 0; i < 100; i++) doubled = json_pack("[O,o]", doubled, doubled);
  assert_null(text_of(doubled, &error));
  assert_int_equal(error, VESTRY_TOO_LARGE);
  json_decref(doubled);
}

/* ------------------------------------------------------------------------------------ as an event's signals ------- */

TEST_CASE(signals_from_values_equal_those_from_text) {
  static const char *const texts[] = {"{}", "{\"a\":1}", "{\"a\":{\"b\":[1,null,\"x\\ny\"]},\"c\":1.5}"};
  const vestry_signals_options options[] = {{.only_if_missing = false},
                                            {.only_if_missing = true},
                                            {.event = {.id = "7", .retry_ms = 5}, .only_if_missing = true}};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    for (size_t o = 0; o < sizeof options / sizeof *options; o++) {
      json_t *signals = json_loads(texts[i], 0, NULL);
      vestry_event *from_text, *from_value;
      assert_int_equal(vsi_event_signals_text(NULL, texts[i], strlen(texts[i]), &options[o], &from_text), VESTRY_OK);
      assert_int_equal(vestry_event_signals(NULL, VESTRY_VALUES(signals), &options[o], &from_value), VESTRY_OK);
      vestry_slice a = vestry_event_bytes(from_text), b = vestry_event_bytes(from_value);
      assert_int_equal(a.len, b.len);
      assert_memory_equal(a.data, b.data, a.len);
      vestry_event_unref(from_text);
      vestry_event_unref(from_value);
      json_decref(signals);
    }
}

/* A value is written as the JSON of vestry_value_to_json, and refused if that function refuses it. */
TEST_CASE(values_are_written_as_their_json) {
  const vestry_value none = {.type = (vestry_value_type)0},
                     odd = {.type = VESTRY_VALUE_OBJECT, .count = 1, .items = &none};
  json_t *json = json_pack("{s:[i,s]}", "in", 7, "\xc3\xa4");
  vestry_value deep[VESTRY_VALUE_MAX_DEPTH + 2];
  deep[0] = vestry_value_integer(1);
  for (size_t i = 1; i < sizeof deep / sizeof *deep; i++) deep[i] = vestry_value_list(&deep[i - 1], 1);
  const vestry_value *const values[] = {
      VESTRY_OBJECT("a", 1, "b", "\n\"\xc3\xa4\x01", "c", vestry_value_null(), "d", VESTRY_TRUE, "e", VESTRY_FALSE),
      VESTRY_OBJECT("n", 0.1, "least", INT64_MIN, "most", INT64_MAX, "tenth", 1e300, "none", -0.0),
      VESTRY_OBJECT("list", VESTRY_LIST(1, "x", VESTRY_OBJECT("y", VESTRY_LIST(2))), "json", json),
      VESTRY_VALUES(json),
      &(const vestry_value){.type = VESTRY_VALUE_OBJECT},
      VESTRY_OBJECT("a", (const char *)NULL),
      VESTRY_OBJECT("a", "\xff"),
      VESTRY_OBJECT("\xff", 1),
      VESTRY_OBJECT("a", (json_t *)NULL),
      VESTRY_OBJECT("a", 1e300 * 1e300),
      VESTRY_OBJECT("a", none),
      VESTRY_OBJECT("a", UINT64_MAX),
      &odd,
      VESTRY_OBJECT("a", deep[VESTRY_VALUE_MAX_DEPTH - 1]),
      VESTRY_OBJECT("a", deep[VESTRY_VALUE_MAX_DEPTH]),
  };
  for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
    json_t *made = NULL;
    vestry_event *of_json = NULL, *of_value = NULL;
    vestry_err error = vestry_value_to_json(values[i], &made);
    if (!error) error = vestry_event_signals(NULL, VESTRY_VALUES(made), NULL, &of_json);
    assert_int_equal(vestry_event_signals(NULL, values[i], NULL, &of_value), error);
    assert_int_equal(error, i < 5 || i == 13 ? VESTRY_OK : i == 14 ? VESTRY_TOO_LARGE : VESTRY_INVALID);
    if (!error) {
      vestry_slice a = vestry_event_bytes(of_json), b = vestry_event_bytes(of_value);
      assert_int_equal(a.len, b.len);
      assert_memory_equal(a.data, b.data, a.len);
    }
    vestry_event_unref(of_json);
    vestry_event_unref(of_value);
    json_decref(made);
  }
  json_decref(json);
}

TEST_CASE(unsendable_signals_are_refused) {
  vestry_event *event = NULL;
  json_t *array = json_array(), *object = json_object(), *bad = json_object(), *deep = nested(257);
  json_object_set_new(bad, "k", json_string_nocheck("\xff"));
  assert_int_equal(vestry_event_signals(NULL, NULL, NULL, &event), VESTRY_INVALID);
  assert_int_equal(vestry_event_signals(NULL, VESTRY_VALUES(array), NULL, &event), VESTRY_INVALID);
  assert_int_equal(vestry_event_signals(NULL, VESTRY_VALUES(bad), NULL, &event), VESTRY_INVALID);
  assert_int_equal(vestry_event_signals(NULL, VESTRY_VALUES(deep), NULL, &event), VESTRY_TOO_LARGE);
  const vestry_signals_options wrong = {.event.id = "a\nb"};
  assert_int_equal(vestry_event_signals(NULL, VESTRY_VALUES(object), &wrong, &event), VESTRY_INVALID);
  assert_null(event);
  json_decref(array);
  json_decref(object);
  json_decref(bad);
  json_decref(deep);
}

static vestry_err build(test_host *th, void *ctx) {
  vestry_event *event = NULL;
  vestry_err error = vestry_event_signals(&th->host, VESTRY_VALUES((json_t *)ctx), NULL, &event);
  vestry_event_unref(event);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  json_t *signals = json_pack("{s:i}", "a", 1);
  test_host_fail_each(build, signals, false);
  json_decref(signals);
}

/* --------------------------------------------------------------------------------------------------- copies ------- */

static long json_allocations, json_fail_at;

static void *failing_malloc(size_t size) {
  return json_allocations++ == json_fail_at ? NULL : malloc(size);
}

TEST_CASE(failed_allocation_yields_no_copy) {
  json_malloc_t old_malloc;
  json_free_t old_free;
  json_get_alloc_funcs(&old_malloc, &old_free);
  json_t *values[] = {json_array(), json_object()};
  for (int i = 0; i < 30; i++) {
    char name[8];
    snprintf(name, sizeof name, "%d", i);
    json_array_append_new(values[0], json_integer(i));
    json_object_set_new(values[1], name, json_integer(i));
  }
  for (int v = 0; v < 2; v++) {
    bool failed = true;
    for (long number = 0; failed; number++) {
      json_allocations = 0;
      json_fail_at = number;
      json_set_alloc_funcs(failing_malloc, free);
      json_t *copy = vsi_json_copy(values[v]);
      json_set_alloc_funcs(old_malloc, old_free);
      failed = json_allocations > number;
      assert_int_equal(copy != NULL, !failed);
      if (copy) assert_true(json_equal(copy, values[v]));
      json_decref(copy);
    }
    json_decref(values[v]);
  }
}
