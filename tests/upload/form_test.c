/* SPDX-License-Identifier: MIT */
/* Forms parsed incrementally: for any split, the parser reports the same parts as the parser of complete bodies. */
#include <stdlib.h>

#include "app/upload/form.h"
#include "support/test.h"

enum { ROOM = 8192 };

typedef struct seen {
  char text[ROOM];
  size_t len;
  vestry_err refuses; /* error that the handler of the first part returns */
} seen;

static void add(seen *s, const char *bytes, size_t len) {
  assert_true(s->len + len <= ROOM);
  memcpy(s->text + s->len, bytes, len);
  s->len += len;
}

static void add_head(seen *s, const vsi_part *part) {
  add(s, "[", 1);
  add(s, part->name.data, part->name.len);
  add(s, part->filename.data ? "|" : "-", 1);
  if (part->filename.len) add(s, part->filename.data, part->filename.len);
  add(s, "|", 1);
  if (part->type.len) add(s, part->type.data, part->type.len);
  add(s, "]", 1);
}

static vestry_err part(void *ctx, const vsi_part *part) {
  seen *s = ctx;
  add_head(s, part);
  return s->refuses;
}

static vestry_err bytes(void *ctx, const char *text, size_t len) {
  assert_true(len > 0);
  add(ctx, text, len);
  return VESTRY_OK;
}

static vestry_err end(void *ctx) {
  add(ctx, ".", 1);
  return VESTRY_OK;
}

static const vsi_form_sink reported = {part, bytes, end};
static const char type[] = "multipart/form-data; boundary=XyZ";

/* Parse in pieces of that many bytes. ret_whole: the last part is complete. */
static vestry_err take(const char *body, size_t len, size_t piece, seen *s, bool *ret_whole) {
  vsi_form form;
  vestry_err error = vsi_form_init(&form, type, &reported, s);
  assert_int_equal(error, VESTRY_OK);
  for (size_t at = 0; at < len && !error; at += piece) {
    size_t part_len = len - at < piece ? len - at : piece;
    char *copy = malloc(part_len); /* so that ASan detects reads beyond its end */
    memcpy(copy, body + at, part_len);
    error = vsi_form_take(&form, copy, part_len);
    free(copy);
  }
  *ret_whole = !error && vsi_form_is_whole(&form);
  return error;
}

/* Parse with the parser of complete bodies. */
static bool read_whole(const char *body, size_t len, seen *s) {
  vsi_parts parts;
  vsi_part each;
  if (vsi_parts_init(&parts, type, (vestry_slice){body, len})) return false;
  vestry_err error;
  while (!(error = vsi_parts_next(&parts, &each))) {
    add_head(s, &each);
    add(s, each.value.data, each.value.len);
    add(s, ".", 1);
  }
  return error == VESTRY_NOT_FOUND;
}

static void check(const char *body, size_t len) {
  static seen expected, found;
  expected.len = 0;
  bool is_good = read_whole(body, len, &expected);
  for (size_t piece = 1; piece <= len; piece++) {
    bool is_whole;
    found.len = 0;
    (void)take(body, len, piece, &found, &is_whole);
    assert_int_equal(is_whole, is_good);
    if (!is_good) continue;
    assert_int_equal(found.len, expected.len);
    assert_memory_equal(found.text, expected.text, found.len);
  }
}

#define FIELD(name) "Content-Disposition: form-data; name=\"" name "\"\r\n\r\n"
#define FILE_(name, of)                                                                                                \
  "Content-Disposition: form-data; name=\"" name "\"; filename=\"" of "\"\r\nContent-Type: image/png\r\n\r\n"

/* capability: L1 */
TEST_CASE(split_form_gives_the_parts_of_the_whole) {
  static const char *const bodies[] = {
      "--XyZ\r\n" FIELD("a") "1\r\n--XyZ\r\n" FILE_("b", "c.png") "\r\n--Xy\r\n--XyYZ\r\r\n--\r\n--XyZ--\r\n",
      "before\r\n--XyZ  \r\n" FIELD("a") "\r\n--XyZ--",
      "--XyZ\r\n" FIELD("a") "--XyZ--",
      "--XyZ\r\n" FILE_("a", "") "\r\n--XyZ\r\n" FILE_("a", "x") "\r\n\r\n--XyZ\r\n" FIELD("n") "v\r\n--XyZ--after",
      "--XyZ--\r\n",
      "--XyZ\r\n" FIELD("a") "no end\r\n--Xy",
      "--XyZ\r\nX-No: name\r\n\r\nvalue\r\n--XyZ--",
      "--XyZjunk\r\n" FIELD("a") "1\r\n--XyZ--",
      "nothing of the kind",
  };
  for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) check(bodies[i], strlen(bodies[i]));
}

/* Random values of the characters that boundaries consist of. */
TEST_CASE(value_that_resembles_a_boundary_stays_a_value) {
  static const char letters[] = "\r\n--XyZ\0a";
  uint64_t seed = 1;
  for (int round = 0; round < 300; round++) {
    char body[256];
    size_t len = (size_t)snprintf(body, sizeof body, "--XyZ\r\n%s", FILE_("f", "n"));
    for (int i = 0; i < 40; i++) {
      seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
      body[len++] = letters[(seed >> 33) % (sizeof letters - 1)];
    }
    memcpy(body + len, "\r\n--XyZ--", 9);
    static seen whole, found;
    bool is_good, is_whole;
    whole.len = 0;
    is_good = take(body, len + 9, len + 9, &whole, &is_whole) == VESTRY_OK && is_whole;
    for (size_t piece = 1; piece < 60; piece++) {
      found.len = 0;
      (void)take(body, len + 9, piece, &found, &is_whole);
      assert_int_equal(is_whole, is_good);
      if (is_good) assert_int_equal(found.len, whole.len);
      if (is_good) assert_memory_equal(found.text, whole.text, whole.len);
    }
  }
}

TEST_CASE(head_and_parts_over_the_limit_are_rejected) {
  static char body[1 << 20];
  static seen s;
  bool is_whole;
  size_t len = (size_t)sprintf(body, "--XyZ\r\nX-Long: ");
  memset(body + len, 'x', VSI_FORM_HEAD_BYTES);
  assert_int_equal(take(body, len + VSI_FORM_HEAD_BYTES, 100, &s, &is_whole), VESTRY_TOO_LARGE);
  len = 0;
  for (int i = 0; i <= VSI_FORM_PARTS; i++) len += (size_t)sprintf(body + len, "--XyZ\r\n%s\r\n", FIELD(""));
  s.len = 0;
  assert_int_equal(take(body, len, 4096, &s, &is_whole), VESTRY_TOO_LARGE);
  s = (seen){.refuses = VESTRY_FULL};
  assert_int_equal(take(body, len, 4096, &s, &is_whole), VESTRY_FULL);
  vsi_form form;
  assert_int_equal(vsi_form_init(&form, "multipart/form-data", &reported, &s), VESTRY_MALFORMED);
}

TEST_CASE(file_names_and_types_are_sanitized) {
  static const struct {
    const char *given, *name;
  } names[] = {
      {"a.txt", "a.txt"},
      {"../../etc/passwd", "passwd"},
      {"C:\\x\\b", "b"},
      {"..", ""},
      {"a/..", ""},
      {"a/", ""},
      {"x\r\ny\x7F", "xy"},
      {"\xFF", ""},
      {".x", ".x"},
      {"a\xC2\x9B"
       "31mred",
       "a31mred"},
      {"a\xC2\x85"
       "b",
       "ab"}, /* C1 control characters */
      {"a\xE2\x80\xAE"
       "gpj.exe",
       "agpj.exe"},
      {"\xE2\x81\xA6"
       "a\xD8\x9C",
       "a"}, /* direction controls */
      {"a\xE2\x80\xA8"
       "b\xE2\x80\xA9",
       "ab"},
      {"\xC2\xA0\xE2\x80\x8D", "\xC2\xA0\xE2\x80\x8D"},
  };
  char name[VSI_DECLARED_NAME_BYTES], declared[VSI_DECLARED_TYPE_BYTES], text[2000];
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    vsi_declared_name((vestry_slice){names[i].given, strlen(names[i].given)}, name);
    assert_string_equal(name, names[i].name);
  }
  for (size_t i = 0; i + 2 <= 400; i += 2) memcpy(text + i, "\xC3\xA9", 3);
  vsi_declared_name((vestry_slice){text, 400}, name);
  assert_int_equal(strlen(name), 254);
  for (size_t i = 0; i < 765; i += 3) memcpy(text + i, "\xE6\x96\x87", 4); /* 255 characters of NTFS */
  strcpy(text + 765 - 12, ".pdf");
  vsi_declared_name((vestry_slice){text, strlen(text)}, name);
  assert_int_equal(strlen(name), 249 + 4);
  assert_string_equal(name + 246, "\xE6\x96\x87.pdf");
  strcpy(text + 753, ".an-ending-that-is-none");
  vsi_declared_name((vestry_slice){text, strlen(text)}, name);
  assert_int_equal(strlen(name), 255);
  vsi_declared_encoded_name("%2e%2E", name);
  assert_string_equal(name, "");
  vsi_declared_encoded_name("a%00b%zz%4", name);
  assert_string_equal(name, "ab%zz%4");
  vsi_declared_encoded_name(NULL, name);
  assert_string_equal(name, "");
  memset(text, 'x', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  vsi_declared_encoded_name(text, name);
  assert_int_equal(strlen(name), 255);
  const char *const odd[] = {"", "image", "/", "a/", "/b", "a/b/c", "\"a/b\"", text};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
    vsi_declared_type((vestry_slice){odd[i], strlen(odd[i])}, declared);
    assert_string_equal(declared, "application/octet-stream");
  }
  assert_true(vsi_declared_type_is_in("image/*,text/plain", "image/png"));
  assert_true(vsi_declared_type_is_in("image/*, TEXT/plain", "text/plain"));
  assert_true(vsi_declared_type_is_in("*/*", "text/plain"));
  assert_false(vsi_declared_type_is_in("image/*,text/plain", "text/plainer"));
  assert_false(vsi_declared_type_is_in("text/plain", "text/plai"));
  assert_false(vsi_declared_type_is_in("image/*", "imagex/png"));
  assert_false(vsi_declared_type_is_in("", "a/b"));
}
