/* SPDX-License-Identifier: MIT */
/* Text as a literal that both JSON and JavaScript read, and that cannot end a script element. */
#include "json/write.h"

#include <jansson.h>

#include "base/memory.h"
#include "event/expect.h"
#include "support/test.h"
#include "support/test_host.h"

static char *literal(const char *text, size_t len) {
  char *input = guarded_copy(text, len);
  vsi_buffer buffer;
  vsi_buffer_init(&buffer, NULL);
  vsi_literal_append(&buffer, input, len);
  guarded_free(input, len);
  char *made = vsi_buffer_take(&buffer, NULL);
  assert_non_null(made);
  return made;
}

TEST_CASE(literal_is_escaped_for_json_and_scripts) {
  static const char *const rows[][2] = {
      {"", "\"\""},
      {"plain 'text' & more > less", "\"plain 'text' & more > less\""},
      {"\"\\", "\"\\\"\\\\\""},
      {"a\nb\rc\td", "\"a\\nb\\rc\\td\""},
      {"\x01\x1F\x7F", "\"\\u0001\\u001f\x7F\""},
      {"</script><!--", "\"\\u003c/script>\\u003c!--\""},
      {"\xE2\x80\xA8\xE2\x80\xA9\xE2\x80\xA7\xE2\x82\xAC", "\"\\u2028\\u2029\xE2\x80\xA7\xE2\x82\xAC\""},
      {"\xE2", "\"\xE2\""},
      {"\xE2\x80", "\"\xE2\x80\""},
      {"\xE2\"", "\"\xE2\\\"\""},
      {"\xFF\xC3\xBC", "\"\xFF\xC3\xBC\""},
      {"${a}`", "\"${a}`\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char *made = literal(rows[i][0], strlen(rows[i][0]));
    assert_string_equal(made, rows[i][1]);
    vsi_free(vestry_host_default(), made);
  }
  char *made = literal("a\0b", 3);
  assert_string_equal(made, "\"a\\u0000b\"");
  vsi_free(vestry_host_default(), made);
}

/* All characters of one and two bytes, and some longer ones: another JSON reader reads the literal as the same text. */
TEST_CASE(literal_reads_back_as_its_text) {
  for (unsigned code = 0; code < 0x800; code++) {
    char text[8] = "x";
    size_t len = 1;
    if (code < 0x80) {
      text[len++] = (char)code;
    } else {
      text[len++] = (char)(0xC0 | code >> 6);
      text[len++] = (char)(0x80 | (code & 0x3F));
    }
    memcpy(text + len, "\xE2\x80\xA8", 3);
    len += 3;
    char *made = literal(text, len);
    assert_null(strpbrk(made, "<\r\n"));
    json_t *read = json_loads(made, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_non_null(read);
    assert_int_equal(json_string_length(read), len);
    assert_memory_equal(json_string_value(read), text, len);
    json_decref(read);
    vsi_free(vestry_host_default(), made);
  }
}

static vestry_err append(test_host *th, void *ctx) {
  vsi_buffer buffer;
  vsi_buffer_init(&buffer, &th->host);
  vsi_literal_append(&buffer, ctx, strlen(ctx));
  vestry_err error = buffer.error;
  vsi_buffer_finish(&buffer);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  char text[400];
  memset(text, '\n', sizeof text - 1);
  text[sizeof text - 1] = '\0';
  test_host_fail_each(append, text, false);
}
