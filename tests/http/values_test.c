/* SPDX-License-Identifier: MIT */
/* Values of queries and forms, and files; routes_test.c tests those of paths. */
#include "serve/wire.h"

typedef struct asked {
  void (*look)(const vestry_request *req);
  int calls;
} asked;

static vestry_err look(const vestry_request *req, vestry_reply *reply, void *app) {
  asked *a = app;
  a->look(req);
  a->calls++;
  return VESTRY_OK;
}

static void with(wire r, void (*fn)(const vestry_request *req)) {
  site w;
  site_begin(&w, (vestry_options){0});
  asked a = {.look = fn};
  wire_request(&w, &r, look, &a);
  assert_int_equal(a.calls, 1);
  assert_int_equal(r.status, 204);
  wires_end(&w, &r);
}

static wire form(const char *type, const char *body) {
  return (wire){.method = "POST", .headers = {{"Content-Type", type}}, .body = body, .body_len = strlen(body)};
}

static void assert_logged(const vestry_request *req, const char *text) {
  const test_host *th = vestry_parts_of(req->v)->host->ctx;
  if (!strstr(th->last_log, text)) fail_msg("\"%s\" is not in: %s", text, th->last_log);
}

#define QUERY(req, name) vestry_request_value(req, VESTRY_IN_QUERY, name)
#define FORM(req, name)  vestry_request_value(req, VESTRY_IN_FORM, name)

/* ------------------------------------------------------------------------------------------------- queries -------- */

static void see_query(const vestry_request *req) {
  assert_string_equal(QUERY(req, "a"), "1");
  assert_string_equal(vestry_request_value_at(req, VESTRY_IN_QUERY, "a", 1), "2");
  assert_null(vestry_request_value_at(req, VESTRY_IN_QUERY, "a", 2));
  assert_string_equal(QUERY(req, "b c"), "d e&f");
  assert_string_equal(QUERY(req, "empty"), "");
  assert_string_equal(QUERY(req, "bare"), "");
  assert_string_equal(QUERY(req, ""), "nameless");
  assert_null(QUERY(req, "none"));
  assert_null(QUERY(req, NULL));
  assert_null(FORM(req, "a"));
  assert_null(vestry_request_value(req, VESTRY_IN_PATH, "a"));
  assert_null(vestry_request_value(req, (vestry_in)7, "a"));
}

TEST_CASE(query_values_are_parsed) {
  with((wire){.query = "a=1&b+c=d%20e%26f&&empty=&bare&a=2&=nameless"}, see_query);
}

static void see_nothing(const vestry_request *req) {
  int64_t integer = 7;
  assert_null(QUERY(req, "a"));
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "a", vestry_into_between(&integer, 0, 9)),
                   VESTRY_MALFORMED);
  assert_int_equal(integer, 7);
}

TEST_CASE(names_with_a_malformed_value_have_none) {
  static const char *const broken[] = {"a=%zz", "b=1&a=%", "a=1&a=%00", "a=%ff&a=1", "a=1&b=2&a=%c3&a=3"};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) with((wire){.query = broken[i]}, see_nothing);
}

static void see_own(const vestry_request *req) {
  int64_t integer = 7;
  assert_string_equal(QUERY(req, "a"), "1");
  assert_string_equal(vestry_request_value_at(req, VESTRY_IN_QUERY, "a", 1), "2");
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "a", vestry_into_between(&integer, 0, 9)), VESTRY_OK);
  assert_int_equal(integer, 1);
}

/* The campaign of a newsletter in Latin-1, a percent sign that is no escape. */
TEST_CASE(malformed_parameters_of_others_leave_the_own_ones) {
  static const char *const broken[] = {"a=1&b=%zz&a=2", "a=1&a=2&b=%",      "a=1&%f&a=2",       "a=1&a=2&b=%00",
                                       "a=1&a=2&b=%ff", "%c3=1&a=1&a=2",    "a=1&c=10%&a=2&%=", "\xe9=\xe9&a=1&a=2",
                                       "%f&a=1&a=2&b",  "=%ff&a=1&=1&a=2&="};
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) with((wire){.query = broken[i]}, see_own);
}

static void see_too_many(const vestry_request *req) {
  int64_t integer;
  assert_null(QUERY(req, "a"));
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "a", vestry_into_between(&integer, 0, 9)),
                   VESTRY_TOO_LARGE);
}

static void see_anything(const vestry_request *req) {}

TEST_CASE(values_over_limit_are_too_large) {
  enum { MOST = 10000 };
  static char query[2 * MOST + 8] = "a=1";
  for (int i = 0; i < MOST; i++) strcpy(query + 3 + 2 * i, "&b");
  with((wire){.query = query}, see_too_many);
}

/* Each value of a form with many: `count` names, each three times, in an order that is not theirs. */
enum { NAMES_MOST = 3333 };
static int names_count;

static void see_each(const vestry_request *req) {
  char name[16], value[24];
  for (int i = 0; i < names_count; i++) {
    snprintf(name, sizeof name, "n%d", i);
    for (int at = 0; at < 3; at++) {
      snprintf(value, sizeof value, "%d-%d", i, at);
      assert_string_equal(vestry_request_value_at(req, VESTRY_IN_FORM, name, (size_t)at), value);
    }
    assert_null(vestry_request_value_at(req, VESTRY_IN_FORM, name, 3));
  }
  assert_null(FORM(req, "n"));
  assert_null(FORM(req, "z"));
  assert_null(FORM(req, ""));
}

/* Write the form. Returns the number of its values. */
static size_t write_many(char *body, int count) {
  size_t len = 0;
  names_count = count;
  for (int at = 0; at < 3; at++)
    for (int i = 0; i < count; i++) {
      const int which = (int)((unsigned)i * 1009u % (unsigned)count); /* 1009 is prime, and divides no count */
      len += (size_t)sprintf(body + len, "%sn%d=%d-%d", len ? "&" : "", which, which, at);
    }
  return 3 * (size_t)count;
}

TEST_CASE(form_with_many_values_has_each_of_them) {
  static char body[3 * NAMES_MOST * 24];
  static const int counts[] = {1, 10, 11, 334, NAMES_MOST};
  for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
    assert_int_equal(write_many(body, counts[i]), 3 * counts[i]);
    with(form("application/x-www-form-urlencoded", body), see_each);
  }
}

/* A form of which a handler would see nothing is refused before the handler, and its guards, are called. */
TEST_CASE(form_over_the_limit_gets_413) {
  static const char parts[] = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
                              "--b\r\nContent-Disposition: form-data; name=\"b\"\r\n\r\n1\r\n"
                              "--b\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\n1\r\n--b--";
  static const struct {
    const char *type, *body;
    size_t most;
    int status;
  } rows[] = {
      {"application/x-www-form-urlencoded", "a=1&b=1&c=1", 3, 204},
      {"application/x-www-form-urlencoded", "a=1&b=1&c=1", 2, 413},
      {"multipart/form-data; boundary=b", parts, 3, 204},
      {"multipart/form-data; boundary=b", parts, 2, 413},
      {"application/x-www-form-urlencoded", "&&a=1&&&b=1&", 2, 204},
      {"application/x-www-form-urlencoded", "&&&", 1, 204},
      {"text/plain", "a=1&b=1&c=1", 2, 204},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    site w;
    site_begin(&w, (vestry_options){.bounds = &(vestry_bounds){.max_values_count = rows[i].most}});
    asked a = {.look = see_anything};
    wire r = form(rows[i].type, rows[i].body);
    wire_request(&w, &r, look, &a);
    assert_int_equal(r.status, rows[i].status);
    assert_int_equal(a.calls, rows[i].status == 204);
    if (rows[i].status == 413) wire_assert_text(&r, "the form has more than 2 values\n");
    wires_end(&w, &r);
  }
}

/* --------------------------------------------------------------------------------------------------- types -------- */

static void see_types(const vestry_request *req) {
  static const struct {
    const char *name;
    vestry_err error;
    int64_t value;
  } integers[] = {
      {"i", VESTRY_OK, 42},           {"least", VESTRY_OK, INT64_MIN}, {"most", VESTRY_OK, INT64_MAX},
      {"below", VESTRY_MALFORMED, 0}, {"above", VESTRY_MALFORMED, 0},  {"plus", VESTRY_MALFORMED, 0},
      {"space", VESTRY_MALFORMED, 0}, {"dash", VESTRY_MALFORMED, 0},   {"empty", VESTRY_MALFORMED, 0},
      {"hex", VESTRY_MALFORMED, 0},   {"none", VESTRY_NOT_FOUND, 0},   {NULL, VESTRY_INVALID, 0},
  };
  for (size_t i = 0; i < sizeof integers / sizeof *integers; i++) {
    int64_t got = 0;
    assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, integers[i].name, VESTRY_INTO(&got)), integers[i].error);
    assert_true(got == integers[i].value);
  }
  int64_t got = 0;
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", vestry_into_between(&got, 0, 41)), VESTRY_MALFORMED);
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", vestry_into_between(&got, 43, 99)), VESTRY_MALFORMED);
  double number = 0;
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "n", VESTRY_INTO(&number)), VESTRY_OK);
  assert_true(number == -1.5e3);
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", VESTRY_INTO(&number)), VESTRY_OK);
  assert_true(number == 42);
  static const char *const no_numbers[] = {"empty", "hex", "t", "huge", "list"};
  for (size_t i = 0; i < sizeof no_numbers / sizeof *no_numbers; i++)
    assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, no_numbers[i], VESTRY_INTO(&number)), VESTRY_MALFORMED);
  bool boolean = false;
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "t", VESTRY_INTO(&boolean)), VESTRY_OK);
  assert_true(boolean);
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "off", VESTRY_INTO(&boolean)), VESTRY_OK);
  assert_false(boolean);
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", VESTRY_INTO(&boolean)), VESTRY_MALFORMED);
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "none", VESTRY_INTO(&boolean)), VESTRY_NOT_FOUND);
  const char *text = NULL;
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "off", VESTRY_INTO(&text)), VESTRY_OK);
  assert_string_equal(text, vestry_request_value(req, VESTRY_IN_QUERY, "off"));
  json_t *json = NULL;
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", VESTRY_INTO(&json)), VESTRY_INVALID);
  assert_logged(req, "vestry_request_get: into is of JSON, a list or an object");
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, "i", vestry_into_integer(NULL)), VESTRY_INVALID);
  assert_logged(req, "vestry_request_get: into has no variable");
  assert_int_equal(vestry_request_get(req, VESTRY_IN_QUERY, NULL, VESTRY_INTO(&text)), VESTRY_INVALID);
  assert_logged(req, "name is NULL");
  assert_null(json);
}

/* capability: K4 */
TEST_CASE(values_are_converted_to_types) {
  with((wire){.query = "i=42&least=-9223372036854775808&most=9223372036854775807&below=-9223372036854775809&"
                       "above=9223372036854775808&plus=%2b1&space=+1&dash=-&empty=&hex=0x1&n=-1.5e3&t=on&off=off&"
                       "huge=1e999&list=[1]"},
       see_types);
}

/* --------------------------------------------------------------------------------------------------- forms -------- */

static void see_form(const vestry_request *req) {
  assert_string_equal(FORM(req, "title"), "a & b");
  assert_string_equal(FORM(req, "text"), "one\r\ntwo");
  assert_null(QUERY(req, "title"));
}

/* capability: K4 */
TEST_CASE(forms_of_both_encodings_are_parsed) {
  with(form("application/x-www-form-urlencoded; charset=utf-8", "title=a+%26+b&text=one%0d%0atwo"), see_form);
  with(form("multipart/form-data; boundary=--x",
            "----x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\na & b\r\n"
            "----x\r\ncontent-disposition: form-data; name=text\r\n\r\none\r\ntwo\r\n----x--\r\n"),
       see_form);
  with(form("multipart/form-data; charset=utf-8; Boundary=\"x y\"",
            "nobody's\r\n--x y \t\r\nContent-Disposition: form-data; name=\"title\"\r\nX: y\r\n\r\na & b\r\n"
            "--x y\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\none\r\ntwo\r\n--x y--nobody's"),
       see_form);
}

static void see_empty_parts(const vestry_request *req) {
  assert_string_equal(FORM(req, "a\"b"), "");
  assert_string_equal(FORM(req, "c"), "\r\n");
}

TEST_CASE(multipart_parts_may_be_empty) {
  with(form("multipart/form-data; boundary=x",
            "--x\r\nContent-Disposition: form-data; name=\"a%22b\"\r\n\r\n\r\n"
            "--x\r\nContent-Disposition: form-data; name=\"c\"\r\n\r\n\r\n\r\n--x--"),
       see_empty_parts);
}

static void see_file(const vestry_request *req) {
  vestry_upload file = {0};
  assert_int_equal(vestry_request_file(req, "picture", &file), VESTRY_OK);
  assert_memory_equal(file.name.data, "..\\a.png", file.name.len);
  assert_memory_equal(file.type.data, "image/png", file.type.len);
  assert_int_equal(file.bytes.len, 5);
  assert_memory_equal(file.bytes.data, "\0\xff\r\n-", 5);
  assert_null(FORM(req, "picture"));
  assert_string_equal(FORM(req, "title"), "t");
  assert_int_equal(vestry_request_file(req, "title", &file), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_request_file(req, NULL, &file), VESTRY_INVALID);
  assert_logged(req, "vestry_request_file: name or ret_file is NULL");
}

TEST_CASE(uploaded_files_point_into_the_body) {
  static const char body[] = "--x\r\nContent-Disposition: form-data; name=\"picture\"; filename=\"..\\a.png\"; "
                             "filename*=UTF-8''other.png\r\nContent-Type: image/png\r\n\r\n\0\xff\r\n-\r\n"
                             "--x\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nt\r\n--x--\r\n";
  wire r = form("multipart/form-data; boundary=x", "");
  r.body = body;
  r.body_len = sizeof body - 1;
  with(r, see_file);
}

static void see_quotes(const vestry_request *req) {
  static const char *const names[] = {"a\\\"b.png", "dir\\", "\\\"\\\"", "\\x\\"};
  vestry_upload file = {0};
  assert_int_equal(vestry_request_file(req, "q\"\r\n\"", &file), VESTRY_OK);
  assert_int_equal(vestry_request_file(req, "q\"\r\n", &file), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_request_file(req, "q\"\r\n\"\"", &file), VESTRY_NOT_FOUND);
  assert_int_equal(vestry_request_file(req, "q%22%0D%0A\\\"", &file), VESTRY_NOT_FOUND);
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const char field[] = {(char)('0' + i), '\0'};
    assert_int_equal(vestry_request_file(req, field, &file), VESTRY_OK);
    assert_int_equal(file.name.len, strlen(names[i]));
    assert_memory_equal(file.name.data, names[i], file.name.len);
  }
  assert_string_equal(FORM(req, "a\"b"), "1");
  assert_string_equal(FORM(req, "c\\"), "2");
}

/* A backslash escapes a quote, as programs other than browsers send it; a backslash before the last quote belongs to
 * the name. */
TEST_CASE(quotes_in_multipart_names_may_be_escaped) {
#define PART_OF "--x\r\nContent-Disposition: form-data; "
  with(form("multipart/form-data; boundary=x", PART_OF
            "name=\"0\"; filename=\"a\\\"b.png\"\r\n\r\n\r\n" PART_OF
            "name=\"1\"; filename=\"dir\\\"\r\n\r\n\r\n" PART_OF "filename=\"\\\"\\\"\"; name=\"2\"\r\n\r\n\r\n" PART_OF
            "filename=\"\\x\\\" ; name=\"3\"\r\n\r\n\r\n" PART_OF "name=\"a\\\"b\"\r\n\r\n1\r\n" PART_OF
            "name=\"q%22%0D%0A\\\"\"; filename=\"q\"\r\n\r\n\r\n" PART_OF "name=\"c\\\"\r\n\r\n2\r\n--x--"),
       see_quotes);
#undef PART_OF
}

static void see_no_form(const vestry_request *req) {
  int64_t integer;
  vestry_upload file = {0};
  assert_null(FORM(req, "a"));
  assert_int_equal(vestry_request_get(req, VESTRY_IN_FORM, "a", vestry_into_between(&integer, 0, 9)), VESTRY_MALFORMED);
  assert_int_equal(vestry_request_file(req, "f", &file), VESTRY_MALFORMED);
}

TEST_CASE(malformed_forms_have_no_values) {
#define PART "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n"
  static const struct {
    const char *type, *body;
  } broken[] = {
      {"multipart/form-data", PART "--x--"},
      {"multipart/form-data; boundary=", PART "--x--"},
      {"multipart/form-data; boundary=\"x", PART "--x--"},
      {"multipart/form-data; boundary=y", PART "--x--"},
      {"multipart/form-data; boundary=01234567890123456789012345678901234567890123456789012345678901234567890", "--"},
      {"multipart/form-data; boundary=x", ""},
      {"multipart/form-data; boundary=x", PART},
      {"multipart/form-data; boundary=x", PART "--x"},
      {"multipart/form-data; boundary=x", PART "--x\r\nContent-Disposition: form-data\r\n\r\n2\r\n--x--"},
      {"multipart/form-data; boundary=x", PART "--x\r\n\r\n2\r\n--x--"},
      {"multipart/form-data; boundary=x", PART "--x\r\nContent-Disposition: form-data; name=\"b\"\r\n2\r\n--x--"},
      {"multipart/form-data; boundary=x", PART "--xy\r\n\r\n"},
  };
#undef PART
  for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) with(form(broken[i].type, broken[i].body), see_no_form);
}

static void see_bad_text(const vestry_request *req) {
  assert_null(FORM(req, "a"));
}

TEST_CASE(multipart_values_must_be_utf8) {
  with(
      form("multipart/form-data; boundary=x", "--x\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\xff\r\n--x--"),
      see_bad_text);
}

/* ----------------------------------------------------------------------------------------------- no memory -------- */

/* Let the allocation after `count` others fail; -1: none. */
static void fail_from(test_host *th, long count) {
  test_host_fail_in(th, count);
}

static vestry_err ask(const vestry_request *req, vestry_reply *reply, void *app) {
  test_host *th = app;
  for (vestry_in in = VESTRY_IN_QUERY; in <= VESTRY_IN_FORM; in++) {
    int64_t integer;
    fail_from(th, 0);
    vestry_err error = vestry_request_get(req, in, "a", vestry_into_between(&integer, 0, 9));
    fail_from(th, -1);
    assert_int_equal(error, VESTRY_NO_MEMORY);
    assert_null(vestry_request_value(req, in, "a")); /* it is not retried */
  }
  return VESTRY_OK;
}

TEST_CASE(values_without_memory_return_no_memory) {
  site w;
  site_begin(&w, (vestry_options){0});
  wire r = form("application/x-www-form-urlencoded", "a=1");
  r.query = "a=1";
  wire_request(&w, &r, ask, &w.th);
  assert_int_equal(r.status, 204);
  wires_end(&w, &r);
}
