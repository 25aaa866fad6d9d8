/* SPDX-License-Identifier: MIT */
/* E3: invalid schemas are refused, and fields are found by path. */
#include "app/signals/schema.h"

#include <math.h>

#include "support/test.h"
#include "support/test_host.h"

static vestry_err create(const vestry_field *fields, size_t count, size_t *ret_at) {
  test_host th;
  test_host_init(&th);
  vestry_schema *schema = NULL;
  vestry_err error = vestry_schema_create(&th.host, fields, count, &schema, ret_at);
  assert_int_equal(schema != NULL, !error);
  vestry_schema_destroy(schema);
  test_host_assert_clean(&th);
  return error;
}

#define BYTES_255                                                                                                      \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"   \
  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"   \
  "0123456789abcdef0123456789abcde"

/* capability: E3 */
TEST_CASE(e3_invalid_fields_are_refused_with_their_index) {
  static const struct {
    vestry_field field;
    vestry_err error;
  } cases[] = {
      {VESTRY_BOOLEAN_FIELD("a", true), VESTRY_OK},
      {VESTRY_BOOLEAN_FIELD("a.b-c.d_e", false), VESTRY_OK},
      {VESTRY_BOOLEAN_FIELD("\xc3\xa4", false), VESTRY_OK},
      {VESTRY_BOOLEAN_FIELD("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p", false), VESTRY_OK},
      {VESTRY_BOOLEAN_FIELD("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD(BYTES_255, false), VESTRY_OK},
      {VESTRY_BOOLEAN_FIELD(BYTES_255 "f", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD(NULL, false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD(".", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("a.", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD(".a", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("a..b", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("_a", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("a._b", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("a b", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("a\n", false), VESTRY_INVALID},
      {VESTRY_BOOLEAN_FIELD("\xff", false), VESTRY_INVALID},
      {{.path = "a", .type = (vestry_field_type)5}, VESTRY_INVALID},
      {{.path = "a", .type = (vestry_field_type)-1}, VESTRY_INVALID},
      {VESTRY_INTEGER_FIELD("a", 7, 0, 0), VESTRY_OK},
      {VESTRY_INTEGER_FIELD("a", 1, 1, 1), VESTRY_OK},
      {VESTRY_INTEGER_FIELD("a", VESTRY_INTEGER_FIELD_MAX, 0, 0), VESTRY_OK},
      {VESTRY_INTEGER_FIELD("a", VESTRY_INTEGER_FIELD_MAX + 1, 0, 0), VESTRY_INVALID},
      {VESTRY_INTEGER_FIELD("a", 0, 0, VESTRY_INTEGER_FIELD_MAX + 1), VESTRY_INVALID},
      {VESTRY_INTEGER_FIELD("a", 0, -VESTRY_INTEGER_FIELD_MAX - 1, 0), VESTRY_INVALID},
      {VESTRY_INTEGER_FIELD("a", 0, 1, 2), VESTRY_INVALID},
      {VESTRY_INTEGER_FIELD("a", 2, 2, 1), VESTRY_INVALID},
      {VESTRY_NUMBER_FIELD("a", 1e300, 0, 0), VESTRY_OK},
      {VESTRY_NUMBER_FIELD("a", 0.5, 0, 1), VESTRY_OK},
      {VESTRY_NUMBER_FIELD("a", 1.5, 0, 1), VESTRY_INVALID},
      {VESTRY_NUMBER_FIELD("a", INFINITY, 0, 0), VESTRY_INVALID},
      {VESTRY_NUMBER_FIELD("a", NAN, 0, 0), VESTRY_INVALID},
      {VESTRY_NUMBER_FIELD("a", 0, NAN, 1), VESTRY_INVALID},
      {VESTRY_NUMBER_FIELD("a", 0, 0, NAN), VESTRY_INVALID},
      {VESTRY_STRING_FIELD("a", NULL, 0), VESTRY_OK},
      {VESTRY_STRING_FIELD("a", "abc", 3), VESTRY_OK},
      {VESTRY_STRING_FIELD("a", "abc", 2), VESTRY_INVALID},
      {VESTRY_STRING_FIELD("a", "\xc3", 0), VESTRY_INVALID},
      {VESTRY_STRING_FIELD("a", "", VESTRY_FIELD_MAX_BYTES), VESTRY_OK},
      {VESTRY_STRING_FIELD("a", "", VESTRY_FIELD_MAX_BYTES + 1), VESTRY_INVALID},
      {VESTRY_JSON_FIELD("a", NULL, 0), VESTRY_OK},
      {VESTRY_JSON_FIELD("a", "[1, 2]", 5), VESTRY_OK},
      {VESTRY_JSON_FIELD("a", "[1,2]", 4), VESTRY_INVALID},
      {VESTRY_JSON_FIELD("a", "[1,2", 0), VESTRY_INVALID},
      {VESTRY_JSON_FIELD("a", "", 0), VESTRY_INVALID},
      {VESTRY_JSON_FIELD("a", "1,\"w\":2", 0), VESTRY_INVALID},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_field fields[2] = {VESTRY_BOOLEAN_FIELD("zz", false), cases[i].field};
    size_t at = 9;
    vestry_err error = create(fields, 2, &at);
    if (error != cases[i].error) print_message("case %zu\n", i);
    assert_int_equal(error, cases[i].error);
    assert_int_equal(at, error ? 1 : 0);
  }
  vestry_field fields[1] = {VESTRY_BOOLEAN_FIELD("a", false)};
  vestry_schema *schema = NULL;
  assert_int_equal(vestry_schema_create(NULL, NULL, 1, &schema, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_schema_create(NULL, fields, 0, &schema, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_schema_create(NULL, fields, VESTRY_SCHEMA_MAX_COUNT + 1, &schema, NULL), VESTRY_INVALID);
  assert_int_equal(vestry_schema_create(NULL, fields, 1, NULL, NULL), VESTRY_INVALID);
  vestry_schema_destroy(NULL);
}

TEST_CASE(e3_path_twice_or_inside_another_is_refused) {
  static const struct {
    const char *paths[4];
    vestry_err error;
  } cases[] = {
      {{"a", "b", "c", "d"}, VESTRY_OK},
      {{"a", "a-b", "ab", "a_b"}, VESTRY_OK},
      {{"a.b", "a.c", "a.b-c", "ab"}, VESTRY_OK},
      {{"a", "b", "a", "d"}, VESTRY_EXISTS},
      {{"a.b", "b", "c", "a"}, VESTRY_EXISTS},
      {{"a", "a-b", "a!", "a.b"}, VESTRY_EXISTS}, /* characters that sort before and after the period */
      {{"a.b.c.d", "a.c", "a-", "a.b"}, VESTRY_EXISTS},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    vestry_field fields[4];
    for (int j = 0; j < 4; j++) fields[j] = (vestry_field)VESTRY_BOOLEAN_FIELD(cases[i].paths[j], false);
    assert_int_equal(create(fields, 4, NULL), cases[i].error);
  }
}

TEST_CASE(fields_are_found_by_path) {
  static const vestry_field fields[] = {
      VESTRY_BOOLEAN_FIELD("m", false),   VESTRY_BOOLEAN_FIELD("a.b", false), VESTRY_BOOLEAN_FIELD("a-b", false),
      VESTRY_BOOLEAN_FIELD("a.a", false), VESTRY_BOOLEAN_FIELD("zz", false),  VESTRY_BOOLEAN_FIELD("z.z", false),
      VESTRY_BOOLEAN_FIELD("A", false),
  };
  enum { COUNT = sizeof fields / sizeof *fields };
  vestry_schema *schema;
  assert_int_equal(vestry_schema_create(NULL, fields, COUNT, &schema, NULL), VESTRY_OK);
  for (size_t i = 0; i < COUNT; i++) assert_ptr_equal(vsi_schema_find(schema, fields[i].path), &schema->fields[i]);
  static const char *const others[] = {"", "a", "a.", "a.b.c", "b", "z", "z.zz", "zzz", ".", "\xff"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_null(vsi_schema_find(schema, others[i]));
  assert_null(vsi_schema_find(schema, NULL));
  vestry_schema_destroy(schema);
}

static vestry_err create_all(test_host *th, void *ctx) {
  static const vestry_field fields[] = {
      VESTRY_BOOLEAN_FIELD("a", true),  VESTRY_INTEGER_FIELD("b", 1, 0, 2),  VESTRY_NUMBER_FIELD("c", 1, 0, 2),
      VESTRY_STRING_FIELD("d", "x", 2), VESTRY_JSON_FIELD("e.f", "[{}]", 9),
  };
  vestry_schema *schema = NULL;
  vestry_err error = vestry_schema_create(&th->host, fields, 5, &schema, NULL);
  vestry_schema_destroy(schema);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(create_all, NULL, false);
}
