/* SPDX-License-Identifier: MIT */
#include "event/expect.h"
#include "event/script.h"
#include "html/tag.h"
#include "support/test.h"

#define TYPE   "event: datastar-patch-elements\n"
#define TARGET "data: selector body\ndata: mode append\n"
#define OPEN   TYPE TARGET "data: elements <script data-effect=\"el.remove()\">"
#define CLOSE  "</script>\n\n"

static void expect(const char *text, const vsi_script_options *options, const char *bytes) {
  vestry_event *event = expect_untouched;
  static const vsi_script_options none = {0};
  expect_event(vsi_event_script(NULL, text, strlen(text), options ? options : &none, &event), &event, bytes);
}

static void refuse(const vsi_script_options *options) {
  vestry_event *event = expect_untouched;
  expect_error(vsi_event_script(NULL, "f()", 3, options, &event), &event, VESTRY_INVALID);
}

/* capability: C3 */
TEST_CASE(script_removes_itself_by_default) {
  expect("console.log('hello');", NULL, OPEN "console.log('hello');" CLOSE);
  vsi_script_options options = {0};
  expect("", &options, OPEN CLOSE);
}

/* capability: C3 */
TEST_CASE(each_option_is_written) {
  vestry_attribute attributes[] = {{"type", "module"}, {"async", NULL}, {"data-x:y.z_1", ""}};
  vsi_script_options options = {
      .event = {.id = "event1", .retry_ms = 2000}, .keep = true, .attributes = attributes, .attributes_count = 3};
  expect("f()", &options,
         TYPE "id: event1\nretry: 2000\n" TARGET
              "data: elements <script type=\"module\" async data-x:y.z_1=\"\">f()" CLOSE);
  options = (vsi_script_options){.attributes = attributes, .attributes_count = 2};
  expect("f()", &options,
         TYPE TARGET "data: elements <script type=\"module\" async data-effect=\"el.remove()\">f()" CLOSE);
  expect("f()", &(vsi_script_options){.keep = true}, TYPE TARGET "data: elements <script>f()" CLOSE);
}

TEST_CASE(each_line_break_begins_a_data_line) {
  expect("if (true) {\n  f();\r\n\r}\n", NULL,
         OPEN "if (true) {\ndata: elements   f();\ndata: elements \ndata: elements }\ndata: elements " CLOSE);
}

/* Rows of a text, and the expected content of the element. */
/* capability: C3 */
TEST_CASE(script_text_cannot_end_its_element) {
  static const char *const rows[][2] = {
      {"'</script>'", "'\\u003C/script>'"},
      {"'</SCRIPT >'", "'\\u003C/SCRIPT >'"},
      {"'</scripts>'", "'\\u003C/scripts>'"},
      {"'<!-- <script>'", "'\\u003C!-- <script>'"},
      {"'</body></Head></html>'", "'\\u003C/body>\\u003C/Head>\\u003C/html>'"},
      {"</script></script>", "\\u003C/script>\\u003C/script>"},
      {"<</script>", "<\\u003C/script>"},
      {"a</script", "a\\u003C/script"},
      {"<!--", "\\u003C!--"},
      /* these do not end the element: written unchanged */
      {"'<\\/script>'", "'<\\/script>'"},
      {"for(i=0;i<scripts.length;i++)", "for(i=0;i<scripts.length;i++)"},
      {"a<!b && '<p></p>' && '</scrip'", "a<!b && '<p></p>' && '</scrip'"},
      {"'<!-' + '</ script' + '<\t/script'", "'<!-' + '</ script' + '<\t/script'"},
      {"<", "<"},
      {"</", "</"},
      /* a backslash that escapes the `<` also escapes the u; two of them are a literal backslash */
      {"'\\</script>'", "'\\u003C/script>'"},
      {"'\\\\</script>'", "'\\\\\\u003C/script>'"},
      {"'\\\\\\</script>'", "'\\\\\\u003C/script>'"},
      {"\\</script\\</script", "\\u003C/script\\u003C/script"},
      /* letters of other alphabets that some locales fold to ASCII letters */
      {"'</\xC5\xBF"
       "cript>'",
       "'</\xC5\xBF"
       "cript>'"},
      {"'</scr\xC4\xB1pt>'", "'</scr\xC4\xB1pt>'"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char bytes[512];
    snprintf(bytes, sizeof bytes, OPEN "%s" CLOSE, rows[i][1]);
    expect(rows[i][0], NULL, bytes);
  }
}

TEST_CASE(script_text_may_contain_nul_and_invalid_utf8) {
  vestry_event *event;
  assert_int_equal(vsi_event_script(NULL, "\0</s\0cript>\xFF</script", 20, &(vsi_script_options){0}, &event),
                   VESTRY_OK);
  static const char bytes[] = OPEN "\0</s\0cript>\xFF\\u003C/script" CLOSE;
  assert_int_equal(vestry_event_bytes(event).len, sizeof bytes - 1);
  assert_memory_equal(vestry_event_bytes(event).data, bytes, sizeof bytes - 1);
  vestry_event_unref(event);
}

/* Only ASCII letters are folded, because in a Turkish locale tolower('I') is not 'i'. */
TEST_CASE(letters_are_folded_as_in_ascii) {
  for (int c = 0; c < 128; c++) {
    char text[2] = {(char)c, 0};
    assert_int_equal(vsi_starts_with(text, 1, "i"), c == 'i' || c == 'I');
    assert_int_equal(vsi_starts_with(text, 1, "!"), c == '!');
    assert_int_equal(vsi_starts_with(text, 1, "-"), c == '-');
    assert_int_equal(vsi_starts_with(text, 1, "/"), c == '/');
  }
  assert_true(vsi_starts_with("/SCRIPT>", 8, "/script"));
  assert_false(vsi_starts_with("/SCRIPT>", 6, "/script"));
}

/* capability: C3 */
TEST_CASE(attribute_values_are_escaped) {
  vestry_attribute attribute = {"data-x", "a\"b'c&d<e>f\ng\rh\r\n\xC3\xBC\"><script>"};
  vsi_script_options options = {.keep = true, .attributes = &attribute, .attributes_count = 1};
  expect("f()", &options,
         TYPE TARGET "data: elements <script data-x=\"a&quot;b'c&amp;d&lt;e&gt;f&#10;g&#13;h&#13;&#10;\xC3\xBC&quot;"
                     "&gt;&lt;script&gt;\">f()" CLOSE);
}

TEST_CASE(bad_options_are_refused) {
  static const char *const names[] = {"", "a b", "a=", "a\"", "a>", "a/", "a\n", "\xC3\xBC", "on click", NULL};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    vestry_attribute attribute = {names[i], "x"};
    refuse(&(vsi_script_options){.attributes = &attribute, .attributes_count = 1});
  }
  refuse(&(vsi_script_options){.event.id = "a\nb"});
}

TEST_CASE(data_effect_attribute_needs_keep) {
  vestry_attribute attribute = {"Data-Effect", "f()"}, longer = {"data-effects", "f()"};
  vsi_script_options options = {.attributes = &attribute, .attributes_count = 1};
  refuse(&options);
  options.keep = true;
  expect("g()", &options, TYPE TARGET "data: elements <script Data-Effect=\"f()\">g()" CLOSE);
  options = (vsi_script_options){.attributes = &longer, .attributes_count = 1};
  expect("g()", &options,
         TYPE TARGET "data: elements <script data-effects=\"f()\" data-effect=\"el.remove()\">g()" CLOSE);
}
