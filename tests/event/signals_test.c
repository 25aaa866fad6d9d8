/* SPDX-License-Identifier: MIT */
#include "vestry/signals.h"

#include <pthread.h>
#include <stdlib.h>

#include "event/query.h"
#include "support/test.h"
#include "support/test_host.h"

static json_t nowhere;

static json_t *parse(const char *json) {
  json_t *signals = NULL;
  assert_int_equal(vestry_signals_parse(json, strlen(json), NULL, &signals, NULL), VESTRY_OK);
  assert_true(json_is_object(signals));
  return signals;
}

/* Assert that parsing fails with this error, leaves the output unchanged, and reports the reason. Returns the
 * offset. */
static size_t refuse(const char *json, size_t len, const vestry_signals_limits *limits, vestry_err expected) {
  json_t *signals = &nowhere;
  vestry_signals_error error = {.offset = SIZE_MAX};
  assert_int_equal(vestry_signals_parse(json, len, limits, &signals, &error), expected);
  assert_ptr_equal(signals, &nowhere);
  assert_true(error.offset <= len);
  assert_true(strlen(error.message) > 10 && strlen(error.message) < sizeof error.message);
  assert_int_equal(vestry_signals_parse(json, len, limits, &signals, NULL), expected);
  return error.offset;
}

/* capability: C5 */
TEST_CASE(signals_are_read_with_their_types) {
  json_t *signals = parse("{\"n\":4,\"r\":0.5,\"s\":\"\\u00e9\\n\",\"t\":true,\"o\":{\"x\":null},\"a\":[1,2]}");
  assert_int_equal(json_integer_value(json_object_get(signals, "n")), 4);
  assert_true(json_real_value(json_object_get(signals, "r")) == 0.5);
  assert_string_equal(json_string_value(json_object_get(signals, "s")), "\xC3\xA9\n");
  assert_true(json_is_true(json_object_get(signals, "t")));
  assert_true(json_is_null(json_object_get(json_object_get(signals, "o"), "x")));
  assert_int_equal(json_array_size(json_object_get(signals, "a")), 2);
  json_decref(signals);
}

TEST_CASE(empty_text_is_an_empty_object) {
  json_t *signals = parse("");
  assert_int_equal(json_object_size(signals), 0);
  json_decref(signals);
  assert_int_equal(vestry_signals_parse(NULL, 0, NULL, &signals, NULL), VESTRY_OK);
  assert_int_equal(json_object_size(signals), 0);
  json_decref(signals);
  signals = &nowhere;
  assert_int_equal(vestry_signals_parse(NULL, 1, NULL, &signals, NULL), VESTRY_INVALID);
  assert_ptr_equal(signals, &nowhere);
}

TEST_CASE(last_duplicate_member_wins) {
  json_t *signals = parse("{\"a\":1,\"b\":2,\"a\":{\"c\":3}}");
  assert_int_equal(json_object_size(signals), 2);
  assert_int_equal(json_integer_value(json_object_get(json_object_get(signals, "a"), "c")), 3);
  json_decref(signals);
}

/* capability: C5 */
TEST_CASE(malformed_text_is_refused) {
  static const struct {
    const char *json;
    size_t offset;
  } rows[] = {
      {" ", 1},
      {"[]", 0},
      {"null", 0},
      {"{", 1},
      {"{}x", 2},
      {"{\"a\":1}}", 7},
      {"{\"a\":}", 5},
      {"{\"a\":\"\xFF\"}", 6},
      {"{a:1}", 1},
      {"{\"a\":1,}", 7},
      {"datastar", 0},
      {"{\"a\":\"\\ud800\",}", 14}, /* half a surrogate pair is mended */
      {"{\"a\":\"\\u00\"}", 10},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(refuse(rows[i].json, strlen(rows[i].json), NULL, VESTRY_MALFORMED), rows[i].offset);
  }
  refuse("{}\0", 3, NULL, VESTRY_MALFORMED);
}

/* Numbers that are valid JSON but fit no C type. */
TEST_CASE(numbers_beyond_double_are_malformed) {
  json_t *signals = parse("{\"a\":9223372036854775807,\"b\":-9223372036854775808,\"c\":1e308,\"d\":1e-999}");
  assert_true(json_integer_value(json_object_get(signals, "a")) == INT64_MAX);
  assert_true(json_integer_value(json_object_get(signals, "b")) == INT64_MIN);
  assert_true(json_real_value(json_object_get(signals, "d")) == 0.0);
  json_decref(signals);
  static const char *const rows[] = {"{\"a\":1e309}", "{\"a\":[1,-1e309]}", "{\"a\":9223372036854775808,\"b\":1e309}"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refuse(rows[i], strlen(rows[i]), NULL, VESTRY_MALFORMED);
}

/* Output of JSON.stringify for a field with 20 digits, and for texts cut inside a surrogate pair. Each request of the
 * tab contains them, so they are accepted, and the handler checks them. */
TEST_CASE(json_of_browsers_beyond_c_types_is_read) {
  static const struct {
    const char *json;
    double number;
  } numbers[] = {
      {"{\"a\":100000000000000000000}", 1e20},
      {"{\"a\":9223372036854775808}", 9223372036854775808.0},
      {"{\"a\":-9223372036854775809}", -9223372036854775808.0},
      {"{\"a\":-18446744073709552000}", -18446744073709552000.0},
      {"{\"a\":12345678901234567890,\"b\":[9223372036854775807]}", 12345678901234567890.0},
      {"{\"b\":\"9\\\\\",\"a\" : 98765432109876543210 }", 98765432109876543210.0},
      {"{\"a\":1e20}", 1e20},
  };
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    json_t *signals = parse(numbers[i].json);
    const json_t *a = json_object_get(signals, "a"), *b = json_array_get(json_object_get(signals, "b"), 0);
    assert_true(json_is_real(a));
    const double error = json_real_value(a) - numbers[i].number;
    assert_true(error <= 2048 && error >= -2048); /* the distance to the next double */
    if (b) assert_true(json_integer_value(b) == INT64_MAX);
    int64_t whole = 7;
    assert_int_equal(vestry_signals_get(signals, "a", VESTRY_INTO(&whole), NULL), VESTRY_MALFORMED);
    assert_int_equal(whole, 7);
    json_decref(signals);
  }
  static const char *const texts[][2] = {
      {"{\"a\":\"\\ud83d\"}", "\xEF\xBF\xBD"},
      {"{\"a\":\"x\\udc00y\"}", "x\xEF\xBF\xBDy"},
      {"{\"a\":\"\\ud83d\\ud83d\\ude00\"}", "\xEF\xBF\xBD\xF0\x9F\x98\x80"},
      {"{\"a\":\"b\\u0000c\"}", "b\xEF\xBF\xBD"
                                "c"},
      {"{\"a\":\"\\\\u0000\\u0000\"}", "\\u0000\xEF\xBF\xBD"},
      {"{\"a\":\"9223372036854775808 \\u0000\"}", "9223372036854775808 \xEF\xBF\xBD"},
  };
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    json_t *signals = parse(texts[i][0]);
    assert_string_equal(json_string_value(json_object_get(signals, "a")), texts[i][1]);
    json_decref(signals);
  }
  json_t *names = parse("{\"\\u0000\":1,\"a\\udfff\":2}");
  assert_int_equal(json_object_size(names), 2);
  json_decref(names);
}

TEST_CASE(error_messages_contain_no_input) {
  static const char *const rows[] = {"{\"zqx\":zqx}", "zqx", "{\"a\":\"\\zqx\"}", "{}zqx", "{zqx", "{\"zqx\":1e309}"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    json_t *signals;
    vestry_signals_error error;
    assert_int_equal(vestry_signals_parse(rows[i], strlen(rows[i]), NULL, &signals, &error), VESTRY_MALFORMED);
    assert_null(strstr(error.message, "zqx"));
    assert_null(strstr(error.message, "1e309"));
  }
}

/* capability: C5 */
TEST_CASE(text_over_size_limit_is_too_large) {
  vestry_signals_limits limits = {.max_bytes = 10};
  json_t *signals;
  assert_int_equal(vestry_signals_parse("{\"a\":1234}", 10, &limits, &signals, NULL), VESTRY_OK);
  json_decref(signals);
  assert_int_equal(refuse("{\"a\":12345}", 11, &limits, VESTRY_TOO_LARGE), 10);

  size_t len = 1024 * 1024;
  char *json = test_malloc(len + 1);
  memset(json, ' ', len + 1);
  memcpy(json, "{}", 2);
  assert_int_equal(vestry_signals_parse(json, len, NULL, &signals, NULL), VESTRY_OK);
  json_decref(signals);
  assert_int_equal(refuse(json, len + 1, NULL, VESTRY_TOO_LARGE), len);
  test_free(json);
}

/* {"a":[[…]]} with this many levels, including the object. Free with test_free. */
static char *nested(size_t depth) {
  char *json = test_malloc(2 * depth + 16), *at = stpcpy(json, "{\"a\":");
  memset(at, '[', depth - 1);
  memset(at + depth - 1, ']', depth - 1);
  strcpy(at + 2 * (depth - 1), "}");
  return json;
}

static void expect_depth(size_t depth, const vestry_signals_limits *limits, bool fits) {
  char *json = nested(depth);
  if (fits) {
    json_t *signals;
    assert_int_equal(vestry_signals_parse(json, strlen(json), limits, &signals, NULL), VESTRY_OK);
    json_decref(signals);
  } else {
    refuse(json, strlen(json), limits, VESTRY_TOO_LARGE);
  }
  test_free(json);
}

/* capability: C5 */
TEST_CASE(nesting_over_depth_limit_is_too_large) {
  expect_depth(32, NULL, true);
  expect_depth(33, NULL, false);
  expect_depth(2, &(vestry_signals_limits){.max_depth = 2}, true);
  expect_depth(3, &(vestry_signals_limits){.max_depth = 2}, false);
  expect_depth(256, &(vestry_signals_limits){.max_depth = 256}, true);
  expect_depth(256, &(vestry_signals_limits){.max_depth = UINT32_MAX}, true);
  expect_depth(257, &(vestry_signals_limits){.max_depth = UINT32_MAX}, false);
  expect_depth(100000, &(vestry_signals_limits){.max_depth = UINT32_MAX}, false);
  expect_depth(100000, NULL, false);
  char *open = test_malloc(100000);
  memset(open, '[', 100000);
  assert_int_equal(refuse(open, 100000, NULL, VESTRY_MALFORMED), 0);
  memcpy(open, "{\"a\":", 5);
  assert_int_equal(refuse(open, 100000, NULL, VESTRY_TOO_LARGE), 5 + 31);
  test_free(open);
}

/* The deepest accepted text is built and freed on a stack as small as that of a server's worker. */
static void *build_deepest(void *ctx) {
  json_t *signals = NULL;
  vestry_signals_limits limits = {.max_depth = 256};
  if (!vestry_signals_parse(ctx, strlen(ctx), &limits, &signals, NULL)) json_decref(signals);
  return signals;
}

TEST_CASE(deepest_text_is_read_on_a_small_stack) {
  char *json = nested(256);
  pthread_attr_t attributes;
  pthread_t thread;
  void *built;
  assert_int_equal(pthread_attr_init(&attributes), 0);
  assert_int_equal(pthread_attr_setstacksize(&attributes, test_stack_bytes(100 * 1024)), 0);
  assert_int_equal(pthread_create(&thread, &attributes, build_deepest, json), 0);
  assert_int_equal(pthread_join(thread, &built), 0);
  assert_non_null(built);
  pthread_attr_destroy(&attributes);
  test_free(json);
}

/* capability: C5 */
TEST_CASE(values_over_count_limit_are_too_large) {
  json_t *signals;
  vestry_signals_limits limits = {.max_count = 3};
  assert_int_equal(vestry_signals_parse("{\"a\":[1,2]}", 11, &limits, &signals, NULL), VESTRY_OK);
  json_decref(signals);
  assert_int_equal(refuse("{\"a\":[1,2,3]}", 13, &limits, VESTRY_TOO_LARGE), 10);

  enum { COUNT = 10001 }; /* one array, and one zero less than this */
  char *json = test_malloc(8 + 2 * COUNT), *at = stpcpy(json, "{\"a\":[");
  for (int i = 1; i < COUNT; i++) at = stpcpy(at, i == 1 ? "0" : ",0");
  strcpy(at, "]}");
  refuse(json, strlen(json), NULL, VESTRY_TOO_LARGE);
  strcpy(at - 2, "]}");
  assert_int_equal(vestry_signals_parse(json, strlen(json), NULL, &signals, NULL), VESTRY_OK);
  assert_int_equal(json_array_size(json_object_get(signals, "a")), COUNT - 2);
  json_decref(signals);
  test_free(json);
}

/* capability: C5 */
TEST_CASE(signals_are_read_from_the_query) {
  static const struct {
    const char *query;
    const char *json; /* output of json_dumps, sorted and compact */
  } rows[] = {
      {"", "{}"},
      {"x=1", "{}"},
      {"datastar", "{}"},
      {"datastar=", "{}"},
      {"Datastar=x", "{}"},
      {"datastar={}", "{}"},
      {"datastar=%7B%22a%22%3A1%7D", "{\"a\":1}"},
      {"x=1&datastar=%7b%22a%22%3a%22b+c%2b%26%3D%22%7d&y", "{\"a\":\"b c+&=\"}"},
      {"datastar=%7B%22a%22%3A1%7D&datastar=x", "{\"a\":1}"},
      {"%64ata%73tar=%7B%22a%22%3A1%7D", "{\"a\":1}"},
      {"x=%zz&datastar={\"a\":[1]}", "{\"a\":[1]}"},
      {"datastar={\"a\":\"x=y\"}", "{\"a\":\"x=y\"}"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    test_host th;
    test_host_init(&th);
    json_t *signals;
    assert_int_equal(vsi_signals_parse_query(&th.host, rows[i].query, strlen(rows[i].query), NULL, &signals, NULL),
                     VESTRY_OK);
    char *dump = json_dumps(signals, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(dump, rows[i].json);
    free(dump);
    json_decref(signals);
    test_host_assert_clean(&th);
  }
  json_t *signals;
  assert_int_equal(vsi_signals_parse_query(NULL, NULL, 0, NULL, &signals, NULL), VESTRY_OK);
  json_decref(signals);
  assert_int_equal(vsi_signals_parse_query(NULL, NULL, 1, NULL, &signals, NULL), VESTRY_INVALID);
}

TEST_CASE(broken_queries_are_refused) {
  static const struct {
    const char *query;
    vestry_err error;
    size_t offset;
  } rows[] = {
      {"a=1&datastar=%", VESTRY_MALFORMED, 13},
      {"datastar=%7", VESTRY_MALFORMED, 9},
      {"datastar=%7B%2", VESTRY_MALFORMED, 12},
      {"datastar=%7Bx%g0", VESTRY_MALFORMED, 13},
      {"datastar=%7B%22a%22%3A", VESTRY_MALFORMED, 5},
      {"datastar=x", VESTRY_MALFORMED, 0},
      {"datastar=%5B%5D", VESTRY_MALFORMED, 0},
      {"datastar={}%00", VESTRY_MALFORMED, 2},
      {"datastar=%7B%22a%22%3A12345%7D", VESTRY_TOO_LARGE, 10},
  };
  vestry_signals_limits limits = {.max_bytes = 10};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    test_host th;
    test_host_init(&th);
    json_t *signals = &nowhere;
    vestry_signals_error error;
    assert_int_equal(vsi_signals_parse_query(&th.host, rows[i].query, strlen(rows[i].query), &limits, &signals, &error),
                     rows[i].error);
    assert_int_equal(error.offset, rows[i].offset);
    assert_ptr_equal(signals, &nowhere);
    test_host_assert_clean(&th);
  }
}

static vestry_err parse_query(test_host *th, void *ctx) {
  json_t *signals = NULL;
  vestry_err error = vsi_signals_parse_query(&th->host, ctx, strlen(ctx), NULL, &signals, NULL);
  json_decref(signals);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(parse_query, (void *)(uintptr_t) "datastar=%7B%22a%22%3A1%7D", false);
}

/* jansson has an allocator of its own for the process. Here each of its calls fails in turn. The text is valid, so the
 * result is never MALFORMED, and nothing leaks. (Some runs succeed; see src/event/signals.c.) */
static long jansson_calls, jansson_fail_at, jansson_live;

static void *jansson_malloc(size_t size) {
  if (jansson_calls++ == jansson_fail_at) return NULL;
  jansson_live++;
  return malloc(size);
}

static void jansson_free(void *memory) {
  if (memory) jansson_live--;
  free(memory);
}

TEST_CASE(failed_jansson_allocation_is_no_memory) {
  static const char json[] =
      "{\"a\":\"a string that is long enough to make the buffer grow\",\"b\":[1,2.5,{\"c\":null}],"
      "\"d\":\"\\u00e9\",\"e\":{\"f\":true}}";
  json_malloc_t old_malloc;
  json_free_t old_free;
  json_get_alloc_funcs(&old_malloc, &old_free);
  json_set_alloc_funcs(jansson_malloc, jansson_free);
  long failures = 0;
  for (jansson_fail_at = 0;; jansson_fail_at++) {
    jansson_calls = jansson_live = 0;
    json_t *signals = NULL;
    vestry_err error = vestry_signals_parse(json, sizeof json - 1, NULL, &signals, NULL);
    json_decref(signals);
    assert_int_equal(jansson_live, 0);
    if (error) assert_int_equal(error, VESTRY_NO_MEMORY);
    failures += error != VESTRY_OK;
    if (jansson_calls > jansson_fail_at) continue;
    assert_int_equal(error, VESTRY_OK);
    break;
  }
  assert_true(failures > 20 && failures >= jansson_fail_at - 5);
  jansson_fail_at = jansson_calls = 0;
  json_t *signals = &nowhere;
  assert_int_equal(vestry_signals_parse("", 0, NULL, &signals, NULL), VESTRY_NO_MEMORY);
  assert_ptr_equal(signals, &nowhere);
  json_set_alloc_funcs(old_malloc, old_free);
}
