/* SPDX-License-Identifier: MIT */
#include "vestry/html.h"

#include "html/expect.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/value.h"

/* All characters that are special in some context, and a character of several bytes. */
#define NASTY "<b>&\"'`\\$@;(\r\n\xC3\xA4</script>"

#define HTML_CASE(name) TEST_CASE_WITH(name, vestry_html, html, vestry_html_init(html, NULL), vestry_html_finish(html))

/* capability: E4 */
HTML_CASE(texts_are_escaped_alike_in_text_and_attributes) {
#define ESCAPED "&lt;b&gt;&amp;&quot;&#39;`\\$@;(&#13;\n\xC3\xA4&lt;/script&gt;"
  vestry_html_add(html, "<p title=\"%s\" data-x='%s'>%s</p>", NASTY, NASTY, NASTY);
  expect_html(html, "<p title=\"" ESCAPED "\" data-x='" ESCAPED "'>" ESCAPED "</p>");
  vestry_html_add(html, "<title>%s</title><textarea name=\"a\">%s</textarea>", NASTY, "</textarea>");
  expect_html(html, "<title>" ESCAPED "</title><textarea name=\"a\">&lt;/textarea&gt;</textarea>");
  vestry_html_text(html, NASTY, strlen(NASTY));
  vestry_html_text(html, "", 0);
  vestry_html_text(html, NULL, 0);
  expect_html(html, ESCAPED);
}

/* capability: E4 */
HTML_CASE(raw_html_is_written_unchanged_but_parsed) {
  vestry_html_add(html, "%-s|%-.*s|%-.2s", NASTY, 3, "<i></i>", "\xC3\xA4\xC3\xA4");
  expect_html(html, NASTY "|<i>|\xC3\xA4");
  vestry_html_raw(html, "<p title=\"", 10); /* the builder parses raw HTML too */
  vestry_html_add(html, "%s%-s%s", "\"", "\"><!--", "");
  expect_refused(html, 5, "comment");
}

/* U+FFFD as a decoder inserts it (WHATWG Encoding): one for each maximal subpart. */
TEST_CASE(invalid_utf8_becomes_replacement_characters) {
  static const struct {
    const char *text;
    size_t len;
    const char *made;
  } rows[] = {
#define R "\xEF\xBF\xBD"
      {"a\0b", 3, "a" R "b"},           {"\xFF\xC0\xAF", 3, R R R},
      {"\xE2\x82<", 3, R "&lt;"},       {"\xC3", 1, R},
      {"\xED\xA0\x80", 3, R R R},       {"\xF0\x9F\x96x", 4, R "x"},
      {"\xF4\x90\x80\x80", 4, R R R R}, {"\xF0\x9F\x96\x95\xE2\x80\xA8", 7, "\xF0\x9F\x96\x95\xE2\x80\xA8"},
  };
  vestry_html html;
  vestry_html_init(&html, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(vestry_html_text(&html, rows[i].text, rows[i].len), VESTRY_OK);
    expect_html(&html, rows[i].made);
  }
  vestry_html_js(&html, "\xFF\0", 2);
  expect_html(&html, "&#39;" R R "&#39;");
  vestry_html_finish(&html);
}

/* A parser drops a line feed directly after these tags. */
HTML_CASE(first_line_feed_of_pre_and_textarea_is_kept) {
  static const char *const tags[] = {"<pre>", "<TEXTAREA rows=\"2\">", "<listing class=a>"};
  for (size_t i = 0; i < 3; i++) {
    char made[64];
    snprintf(made, sizeof made, "%s\n\na\n", tags[i]);
    vestry_html_add(html, "%-s%s%s", tags[i], "\na", "\n");
    expect_html(html, made);
    snprintf(made, sizeof made, "%sa\n", tags[i]);
    vestry_html_add(html, "%-s%s%s%s", tags[i], "", "a", "\n");
    expect_html(html, made);
    snprintf(made, sizeof made, "%s\n\n", tags[i]);
    vestry_html_add(html, "%-s\n%s", tags[i], "\n"); /* the parser drops the line feed of the format */
    expect_html(html, made);
  }
  vestry_html_add(html, "<p>%s</pre>%s<pre><b>%s", "\n", "\n", "\n");
  expect_html(html, "<p>\n</pre>\n<pre><b>\n");
}

/* A text never completes an entity or a line end that a format has begun. */
HTML_CASE(text_completes_no_entity_and_no_line_end) {
  vestry_html_add(html, "a & %s &amp;%s <a href=\"?a&b=%s\">%s", "lt;", "lt;", "lt;", "lt;");
  expect_html(html, "a & lt; &amp;lt; <a href=\"?a&b=lt;\">lt;");
  vestry_html_add(html, "%s%s%s", "&", "lt;", "#39;");
  expect_html(html, "&amp;lt;#39;");
  vestry_html_add(html, "a\r%s|\r%s|%s%s<p title='\r%s'>", "\nb", "\r\n", "\r", "\n", "\n");
  expect_html(html, "a\r&#10;b|\r&#13;\n|&#13;\n<p title='\r&#10;'>");
}

/* capability: E4 */
HTML_CASE(javascript_strings_are_escaped_for_their_context) {
#define JS "\\x3cb\\x3e\\x26\\x22\\x27\\x60\\x5c\\x24\\x40\\x3b\\x28\\x0d\\x0a\xC3\xA4\\x3c/script\\x3e"
  vestry_html_add(html, "<b data-on:click=\"f(");
  vestry_html_js(html, NASTY, strlen(NASTY));
  vestry_html_add(html, ",'%s')\" onclick='f(\"%s\")'>", NASTY, NASTY);
  expect_html(html, "<b data-on:click=\"f(&#39;" JS "&#39;,'" JS "')\" onclick='f(\"" JS "\")'>");
  vestry_html_add(html, "<script>f(");
  vestry_html_js(html, NASTY, strlen(NASTY));
  vestry_html_add(html, ")</script>");
  expect_html(html, "<script>f('" JS "')</script>");
  static const char special[] = "a/b?c=d&e\x7F\xE2\x80\xA8\xE2\x80\xA9\xF0\x9F\x96\x95\xF0\x9F\x9A\x80";
  vestry_html_js(html, special, strlen(special));
  expect_html(html, "&#39;a/b?c=d\\x26e\\x7f\\u2028\\u2029\\ud83d\\udd95\xF0\x9F\x9A\x80&#39;");
}

HTML_CASE(json_is_escaped_in_attributes_and_scripts) {
  vestry_html_add(html, "<p data-signals='");
  vestry_html_json(html, VESTRY_OBJECT("a", -1, "b", VESTRY_LIST(VESTRY_TRUE, vestry_value_null(), 0.5), "c", NASTY));
  vestry_html_add(html, "'>");
  expect_html(
      html, "<p data-signals='{&quot;a&quot;:-1,&quot;b&quot;:[true,null,0.5],&quot;c&quot;:&quot;"
            "\\u003cb\\u003e\\u0026\\u0022\\u0027\\u0060\\u005c\\u0024\\u0040\\u003b\\u0028\\r\\n\xC3\xA4\\u003c/script"
            "\\u003e&quot;}'>");
  vestry_html_add(html, "<script type=\"application/json\">");
  vestry_html_json(html, VESTRY_OBJECT("a\"b", "</script>\b\x01\xE2\x80\xA8\\"));
  vestry_html_add(html, "</script>%s", "<");
  expect_html(html,
              "<script type=\"application/json\">{\"a\\u0022b\":\"\\u003c/script\\u003e\\b\\u0001\\u2028\\u005c\"}"
              "</script>&lt;");
  json_t *text = json_stringn("a\0/b", 4);
  assert_int_equal(vestry_html_json(html, VESTRY_VALUES(text)), VESTRY_OK);
  json_decref(text);
  expect_html(html, "&quot;a\\u0000/b&quot;");
  assert_int_equal(vestry_html_json(html, NULL), VESTRY_INVALID);
  expect_refused(html, 0, "NULL");
  assert_int_equal(vestry_html_json(html, VESTRY_VALUES((json_t *)NULL)), VESTRY_INVALID);
  expect_refused(html, 0, "NULL");
  assert_int_equal(vestry_html_json(html, VESTRY_OBJECT("a", (const char *)NULL)), VESTRY_INVALID);
  expect_refused(html, 0, "cannot be written as JSON");
  assert_int_equal(vestry_html_json(html, VESTRY_LIST("\xFF")), VESTRY_INVALID);
  expect_refused(html, 0, "cannot be written as JSON");
}

TEST_CASE(code_is_refused_outside_code_positions) {
  static const struct {
    const char *before, *words;
  } rows[] = {
      {"<a href=\"", "URL"},
      {"<b style=\"", "style"},
      {"<b onclick=\"f('", "inside a string"},
      {"<b onclick=", "without quotes"},
      {"<!--", "comment"},
      {"<style>", "cannot be escaped"},
      {"<script>f('", "script"},
      {"<b ", "inside a tag"},
      {"<script>/* ", "intricate"},
      {"<b data-on:click=\"`", "int"},
      {"<plaintext>", "intric"},
  };
  vestry_html html;
  vestry_html_init(&html, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vestry_html_raw(&html, rows[i].before, strlen(rows[i].before));
    assert_int_equal(vestry_html_js(&html, "a", 1), VESTRY_INVALID);
    expect_refused(&html, 0, rows[i].words);
    vestry_html_raw(&html, rows[i].before, strlen(rows[i].before));
    assert_int_equal(vestry_html_json(&html, VESTRY_VALUES(1)), VESTRY_INVALID);
    expect_refused(&html, 0, rows[i].words);
  }
  vestry_html_finish(&html);
}

/* A link from an untrusted source leads nowhere, and the page is still built. */
/* capability: E4 */
TEST_CASE(script_urls_become_about_invalid) {
  static const struct {
    const char *url, *made;
  } rows[] = {
      {"https://a.b/?c=d&e", "https://a.b/?c=d&amp;e"},
      {"/javascript:", "/javascript:"},
      {"a javascript:", "a javascript:"},
      {"javascript", "javascript"},
      {"", ""},
      {"javascript:alert(1)", "about:invalid"},
      {"JavaScript:alert(1)", "about:invalid"},
      {"\x01 \n java\tscr\r\nipt:alert(1)", "about:invalid"},
      {"                                                          javascript:", "about:invalid"},
      {"vbscript:x", "about:invalid"},
  };
  static const char *const attributes[] = {"href", "SRC", "formAction", "action", "xlink:href", "data"};
  vestry_html html;
  vestry_html_init(&html, NULL);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    for (size_t j = 0; j < sizeof attributes / sizeof *attributes; j++) {
      char made[128];
      snprintf(made, sizeof made, "<a %s=\"%s\">", attributes[j], rows[i].made);
      vestry_html_add(&html, "<a %-s=\"%s\">", attributes[j], rows[i].url);
      expect_html(&html, made);
    }
  }
  vestry_html_add(&html, "<a href=\"%s%s%s\">", "java", "script:", "alert(1)");
  expect_html(&html, "<a href=\"javaabout:invalidalert(1)\">");
  vestry_html_add(&html, "<a href=\"/%s\" title='%s'>", "javascript:", "javascript:");
  expect_html(&html, "<a href=\"/javascript:\" title='javascript:'>");
  vestry_html_add(&html, "<a href=\"javascript:f('%s')\">", "a");
  expect_refused(&html, 23, "script");
  vestry_html_finish(&html);
}

/* capability: E4 */
HTML_CASE(first_error_persists_until_clear) {
  assert_int_equal(vestry_html_text(html, NULL, 1), VESTRY_INVALID);
  assert_int_equal(vestry_html_add(html, "<style>%s", "a"), VESTRY_INVALID);
  assert_int_equal(vestry_html_raw(html, "a", 1), VESTRY_INVALID);
  assert_int_equal(vestry_html_js(html, "a", 1), VESTRY_INVALID);
  assert_int_equal(vestry_html_json(html, VESTRY_VALUES(1)), VESTRY_INVALID);
  expect_refused(html, 0, "NULL");
  assert_int_equal(vestry_html_raw(html, NULL, 1), VESTRY_INVALID);
  expect_refused(html, 0, "NULL");
  assert_int_equal(vestry_html_js(html, NULL, 1), VESTRY_INVALID);
  expect_refused(html, 0, "NULL");
  vestry_html_add(html, "<b onclick=\"");
  vestry_html_clear(html);
  expect_html(html, ""); /* ordinary text again */
  vestry_html_add(html, "%s", "a");
  expect_html(html, "a");
  vestry_html_finish(html);
}

static vestry_err build(test_host *th, void *ctx) {
  vestry_html html;
  vestry_slice made;
  vestry_html_init(&html, &th->host);
  for (int i = 0; i < 100; i++) {
    vestry_html_add(&html, "<p title=\"%s\">%s %d", NASTY, NASTY, i);
    vestry_html_js(&html, NASTY, strlen(NASTY));
    vestry_html_json(&html, VESTRY_LIST(NASTY));
  }
  vestry_err error = vestry_html_result(&html, &made);
  if (!error) assert_int_equal(strlen(made.data), made.len);
  vestry_html_finish(&html);
  return error;
}

TEST_CASE(failed_allocation_is_reported) {
  test_host_fail_each(build, NULL, true); /* builders learn nothing without memory */
  test_host th;
  test_host_init(&th);
  assert_int_equal(build(&th, NULL), VESTRY_OK);
  assert_true(th.allocations < 12); /* no allocation for each piece */
}

/* capability: K9 */
TEST_CASE(built_html_is_a_value_and_a_failed_one_is_invalid) {
  test_host th;
  vestry_html html;
  json_t *json = NULL;
  test_host_init(&th);
  vestry_html_init(&html, &th.host);
  vestry_html_add(&html, "<b>%s", "a&b");
  assert_int_equal(vestry_value_to_json(VESTRY_LIST("patch-elements", &html), &json), VESTRY_OK);
  assert_string_equal(json_string_value(json_array_get(json, 1)), "<b>a&amp;b");
  json_decref(json);
  vestry_html_add(&html, "<b %s", "a"); /* the error persists, so no partial page is used */
  assert_int_equal(vestry_value_to_json(VESTRY_LIST("patch-elements", &html), &json), VESTRY_INVALID);
  /* a later step cannot report this reason */
  assert_non_null(strstr(th.last_log, "byte 3 of the format, after <b : "));
  vestry_html_finish(&html);
  test_host_assert_clean(&th);
  const vestry_value none = vestry_value_html(NULL);
  assert_int_equal(vestry_value_to_json(&none, &json), VESTRY_INVALID);
}
