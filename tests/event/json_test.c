/* SPDX-License-Identifier: MIT */
#include "json/json.h"

#include <stdlib.h>

#include "event/expect.h"
#include "support/test.h"

static const vsi_json_limits wide = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX};
static const vsi_json_limits for_c = {.max_depth = VSI_JSON_MAX_DEPTH, .max_count = UINT32_MAX, .for_c = true};

/* Check a copy that ends at an unreadable page, so that a read past the end crashes. */
static vestry_err check(const char *json, size_t len, const vsi_json_limits *limits, vsi_json_fault *ret_fault) {
  char *copy = guarded_copy(json, len);
  vestry_err error = vsi_json_read(copy, len, limits, VSI_JSON_ROOT_OBJECT, NULL, ret_fault);
  guarded_free(copy, len);
  return error;
}

static const char *const well_formed[] = {
    "{}",
    " \t\r\n{ \t\r\n} \t\r\n",
    "{\"\":null}",
    "{\"a\":1,\"b\":true,\"c\":false,\"d\":null,\"e\":[],\"f\":{},\"g\":\"\"}",
    "{\"a\":[1,[2,[3,{\"b\":[{}]}]]]}",
    "{ \"a\" : [ 1 , 2 ] , \"b\" : { \"c\" : 3 } }",
    "{\"a\":[0,-0,10,-10,0.0,0.50,1e1,1E+1,1e-01,-1.25e+300,123456789012345678]}",
    "{\"a\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\uABCD\\uD83D\\uDE00\"}",
    "{\"a\":\"\x20!#[]~\x7F\"}",
    "{\"a\":\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"}",
    "{\"a\":1,\"a\":2}",
    "{\"12345678\":\"1234567\xC3\xA9xyzxyz\\n7\"}",
};

/* Text, and the offset at which the check fails. */
static const struct {
  const char *json;
  size_t offset;
} malformed[] = {
    {"", 0},
    {" ", 1},
    {"[]", 0},
    {"1", 0},
    {"\"a\"", 0},
    {"null", 0},
    {"  x", 2},
    {"\xEF\xBB\xBF{}", 0},
    {"{", 1},
    {"{ ", 2},
    {"}", 0},
    {"{]", 1},
    {"{}}", 2},
    {"{}{}", 2},
    {"{} x", 3},
    {"{},", 2},
    {"{a:1}", 1},
    {"{'a':1}", 1},
    {"{1:1}", 1},
    {"{\"a\"}", 4},
    {"{\"a\" 1}", 5},
    {"{\"a\"", 4},
    {"{\"a\":", 5},
    {"{\"a\":}", 5},
    {"{\"a\":1", 6},
    {"{\"a\":1,", 7},
    {"{\"a\":1,}", 7},
    {"{,}", 1},
    {"{\"a\":1 \"b\":2}", 7},
    {"{\"a\":1;}", 6},
    {"{\"a\":[1,]}", 8},
    {"{\"a\":[,1]}", 6},
    {"{\"a\":[1 2]}", 8},
    {"{\"a\":[1}}", 7},
    {"{\"a\":{\"b\":1]}", 11},
    {"{\"a\":[1", 7},
    {"{\"a\":tru}", 5},
    {"{\"a\":tru", 5},
    {"{\"a\":truex}", 9},
    {"{\"a\":True}", 5},
    {"{\"a\":nul\\u006c}", 5},
    {"{\"a\":NaN}", 5},
    {"{\"a\":Infinity}", 5},
    {"{\"a\":undefined}", 5},
    {"{\"a\":-}", 6},
    {"{\"a\":-", 6},
    {"{\"a\":+1}", 5},
    {"{\"a\":01}", 6},
    {"{\"a\":-01}", 7},
    {"{\"a\":.5}", 5},
    {"{\"a\":1.}", 7},
    {"{\"a\":1.e1}", 7},
    {"{\"a\":1e}", 7},
    {"{\"a\":1e+}", 8},
    {"{\"a\":1e", 7},
    {"{\"a\":0x10}", 6},
    {"{\"a\":1_000}", 6},
    {"{\"a\":\"", 6},
    {"{\"a\":\"b", 7},
    {"{\"a\":\"\\", 7},
    {"{\"a\":\"\\\"", 8},
    {"{\"a\":\"\\x41\"}", 6},
    {"{\"a\":\"\\U0041\"}", 6},
    {"{\"a\":\"\\u\"}", 8},
    {"{\"a\":\"\\u12", 10},
    {"{\"a\":\"\\u12g4\"}", 10},
    {"{\"a\":\"\t\"}", 6},
    {"{\"a\":\"\n\"}", 6},
    {"{\"a\":\"\x1F\"}", 6},
    {"{\"a\":\"\x80\"}", 6},
    {"{\"a\":\"\xC0\x8A\"}", 6},
    {"{\"a\":\"\xC1\xBF\"}", 6},
    {"{\"a\":\"\xC3\"}", 6},
    {"{\"a\":\"\xC3", 6},
    {"{\"a\":\"\xE0\x9F\xBF\"}", 6},
    {"{\"a\":\"\xE2\x82\"}", 6},
    {"{\"a\":\"\xED\xA0\x80\"}", 6},
    {"{\"a\":\"\xF0\x8F\xBF\xBF\"}", 6},
    {"{\"a\":\"\xF4\x90\x80\x80\"}", 6},
    {"{\"a\":\"\xF5\x80\x80\x80\"}", 6},
    {"{\"a\":\"\xF0\x9F\x98\"}", 6},
    {"{\"a\":\"\xFF\"}", 6},
    {"{\"a\":\v1}", 5},
    {"{\"a\":1}\f", 7},
    {"{//\n}", 1},
    {"{/**/}", 1},
    {"{\"a\":\xC2\xA0"
     "1}",
     5},
};

TEST_CASE(well_formed_objects_are_accepted) {
  for (size_t i = 0; i < sizeof well_formed / sizeof *well_formed; i++) {
    vsi_json_fault fault = {.offset = 0};
    vestry_err error = check(well_formed[i], strlen(well_formed[i]), &wide, &fault);
    if (error) print_error("%s: %s at %zu\n", well_formed[i], fault.message, fault.offset);
    assert_int_equal(error, VESTRY_OK);
    assert_int_equal(check(well_formed[i], strlen(well_formed[i]), &for_c, NULL), VESTRY_OK);
  }
}

TEST_CASE(malformed_text_is_refused_at_its_offset) {
  for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
    vsi_json_fault fault = {.offset = 12345};
    vestry_err error = check(malformed[i].json, strlen(malformed[i].json), &wide, &fault);
    if (error != VESTRY_MALFORMED || fault.offset != malformed[i].offset)
      print_error("%s: %s at %zu\n", malformed[i].json, vestry_err_name(error), fault.offset);
    assert_int_equal(error, VESTRY_MALFORMED);
    assert_int_equal(fault.offset, malformed[i].offset);
    assert_true(strlen(fault.message) > 10);
    assert_int_equal(check(malformed[i].json, strlen(malformed[i].json), &wide, NULL), VESTRY_MALFORMED);
  }
}

/* No prefix of a well-formed object is well-formed, unless only white space is missing. */
TEST_CASE(prefix_of_an_object_is_refused) {
  for (size_t i = 0; i < sizeof well_formed / sizeof *well_formed; i++) {
    const char *last = strrchr(well_formed[i], '}');
    for (const char *end = well_formed[i]; end <= last; end++) {
      size_t len = (size_t)(end - well_formed[i]);
      assert_int_equal(check(well_formed[i], len, &wide, NULL), VESTRY_MALFORMED);
    }
  }
}

/* A NUL is an ordinary byte: neither white space nor a character of a string. */
TEST_CASE(nul_is_refused_and_does_not_end_the_text) {
  vsi_json_fault fault;
  assert_int_equal(check("{}\0", 3, &wide, &fault), VESTRY_MALFORMED);
  assert_int_equal(fault.offset, 2);
  assert_int_equal(check("{\"a\0\":1}", 8, &wide, &fault), VESTRY_MALFORMED);
  assert_int_equal(fault.offset, 3);
  assert_int_equal(check("{\"a\":1\0}", 8, &wide, &fault), VESTRY_MALFORMED);
  assert_int_equal(fault.offset, 6);
  assert_int_equal(check("{\"\\\0\":1}", 8, &wide, &fault), VESTRY_MALFORMED);
  assert_int_equal(fault.offset, 2);
}

/* Escapes that JSON allows, but C strings or UTF-8 do not. */
TEST_CASE(for_c_refuses_nul_and_unpaired_surrogates) {
  static const struct {
    const char *json;
    size_t offset;
  } rows[] = {
      {"{\"a\":\"x\\u0000\"}", 7},       {"{\"\\u0000\":1}", 2},
      {"{\"a\":\"\\uD800\"}", 6},        {"{\"a\":\"\\uDBFFx\"}", 6},
      {"{\"a\":\"\\uDC00\"}", 6},        {"{\"a\":\"\\uD83D\\uD83D\"}", 6},
      {"{\"a\":\"\\uD83D\\n\"}", 6},     {"{\"a\":\"\\uD83D\\u0041\"}", 6},
      {"{\"a\":\"\\uDE00\\uD83D\"}", 6}, {"{\"a\":\"\\uDE00\\uDE00\"}", 6},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_json_fault fault;
    assert_int_equal(check(rows[i].json, strlen(rows[i].json), &wide, NULL), VESTRY_OK);
    assert_int_equal(check(rows[i].json, strlen(rows[i].json), &for_c, &fault), VESTRY_MALFORMED);
    assert_int_equal(fault.offset, rows[i].offset);
  }
  assert_int_equal(check("{\"a\":\"\\uD83D\\u12", 16, &for_c, NULL), VESTRY_MALFORMED);
}

/* skip_plain tests sixteen bytes at once, then eight, and single ones at the end of the text. A byte that ends the run
 * must do so at each position, and any other byte must not, next to any neighbour. */
TEST_CASE(string_accepts_the_right_bytes_at_each_position) {
  static const size_t lengths[] = {3, 9, 16, 37};
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    size_t len = lengths[i];
    for (int c = 0; c < 256; c++) {
      for (size_t at = 0; at < 2 * len; at++) {
        char json[64] = "{\"a\":\"";
        memset(json + 6, at % 2 ? 0x7F : ' ', len);
        json[6 + at / 2] = (char)c;
        memcpy(json + 6 + len, "\"}", 2);
        bool plain = c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
        vsi_json_fault fault;
        vestry_err error = check(json, 6 + len + 2, &wide, &fault);
        assert_int_equal(error, plain ? VESTRY_OK : VESTRY_MALFORMED);
        if (!plain && c != '"' && c != '\\') assert_int_equal(fault.offset, 6 + at / 2);
      }
    }
  }
}

TEST_CASE(values_over_max_count_are_too_large) {
  static const struct {
    const char *json;
    uint32_t count;
  } rows[] = {{"{}", 0},
              {"{\"a\":1}", 1},
              {"{\"a\":[]}", 1},
              {"{\"a\":{}}", 1},
              {"{\"a\":[1,\"2\",null]}", 4},
              {"{\"a\":{\"b\":1},\"c\":[[]]}", 4}};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_json_limits limits = {.max_depth = 8, .max_count = rows[i].count};
    assert_int_equal(check(rows[i].json, strlen(rows[i].json), &limits, NULL), VESTRY_OK);
    if (!limits.max_count--) continue;
    vsi_json_fault fault = {.offset = 0};
    assert_int_equal(check(rows[i].json, strlen(rows[i].json), &limits, &fault), VESTRY_TOO_LARGE);
    assert_true(fault.offset > 0);
  }
}

TEST_CASE(nesting_over_max_depth_is_too_large) {
  for (uint32_t depth = 1; depth <= VSI_JSON_MAX_DEPTH; depth++) {
    /* {"a":[[ … ]]} with objects and arrays in turn, `depth` levels in all */
    char json[8 * VSI_JSON_MAX_DEPTH], *at = json;
    for (uint32_t level = 1; level <= depth; level++) {
      const char *open = level % 2 ? (level == depth ? "{" : "{\"a\":") : "[";
      at = stpcpy(at, open);
    }
    size_t innermost = (size_t)(at - json) - 1;
    for (uint32_t level = depth; level >= 1; level--) *at++ = level % 2 ? '}' : ']';
    vsi_json_limits limits = {.max_depth = depth, .max_count = 1000};
    assert_int_equal(check(json, (size_t)(at - json), &limits, NULL), VESTRY_OK);
    if (depth == 1) continue;
    limits.max_depth = depth - 1;
    vsi_json_fault fault;
    assert_int_equal(check(json, (size_t)(at - json), &limits, &fault), VESTRY_TOO_LARGE);
    assert_int_equal(fault.offset, innermost);
  }
}

TEST_CASE(long_fault_message_is_truncated) {
  char longer[300];
  memset(longer, 'x', sizeof longer);
  longer[299] = '\0';
  vsi_json_fault fault;
  assert_int_equal(vsi_json_fail(VESTRY_MALFORMED, 7, longer, &fault), VESTRY_MALFORMED);
  assert_int_equal(fault.offset, 7);
  assert_int_equal(strlen(fault.message), sizeof fault.message - 1);
  assert_int_equal(vsi_json_fail(VESTRY_TOO_LARGE, 7, "x", NULL), VESTRY_TOO_LARGE);
}

/* The same grammar, with arrays and other values at the top. */
TEST_CASE(arrays_and_values_are_checked_at_top_level) {
  static const struct {
    const char *json;
    vestry_err array, value;
    size_t array_offset, value_offset;
  } rows[] = {
      {"[]", VESTRY_OK, VESTRY_OK, 0, 0},
      {" [1,{\"a\":[]}] ", VESTRY_OK, VESTRY_OK, 0, 0},
      {"{}", VESTRY_MALFORMED, VESTRY_OK, 0, 0},
      {" -1.5e3 ", VESTRY_MALFORMED, VESTRY_OK, 1, 0},
      {"\"a\\n\"", VESTRY_MALFORMED, VESTRY_OK, 0, 0},
      {"true", VESTRY_MALFORMED, VESTRY_OK, 0, 0},
      {"null", VESTRY_MALFORMED, VESTRY_OK, 0, 0},
      {"", VESTRY_MALFORMED, VESTRY_MALFORMED, 0, 0},
      {" ", VESTRY_MALFORMED, VESTRY_MALFORMED, 1, 1},
      {"[1", VESTRY_MALFORMED, VESTRY_MALFORMED, 2, 2},
      {"[}", VESTRY_MALFORMED, VESTRY_MALFORMED, 1, 1},
      {"[1]]", VESTRY_MALFORMED, VESTRY_MALFORMED, 3, 3},
      {"1 2", VESTRY_MALFORMED, VESTRY_MALFORMED, 0, 2},
      {"\"a", VESTRY_MALFORMED, VESTRY_MALFORMED, 0, 2},
      {"tru", VESTRY_MALFORMED, VESTRY_MALFORMED, 0, 0},
      {"01", VESTRY_MALFORMED, VESTRY_MALFORMED, 0, 1},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].json);
    char *json = guarded_copy(rows[i].json, len);
    vsi_json_fault array = {0}, value = {0};
    assert_int_equal(vsi_json_read(json, len, &wide, VSI_JSON_ROOT_ARRAY, NULL, &array), rows[i].array);
    assert_int_equal(array.offset, rows[i].array_offset);
    assert_int_equal(vsi_json_read(json, len, &wide, VSI_JSON_ROOT_ANY, NULL, &value), rows[i].value);
    assert_int_equal(value.offset, rows[i].value_offset);
    guarded_free(json, len);
  }
}
