/* SPDX-License-Identifier: MIT */
#include "html/attribute.h"

#include "html/expect.h"
#include "support/test.h"

/* Formats are assembled at run time, because the compiler would reject some of them. */
static vestry_html html;

static bool takes(const char *before, const char *text, const char *behind) {
  vestry_html_clear(&html);
  vestry_html_raw(&html, before, strlen(before));
  vestry_html_text(&html, text, strlen(text));
  vestry_html_raw(&html, behind, strlen(behind));
  vestry_err error = vestry_html_error(&html, NULL, NULL);
  assert_true(error == VESTRY_OK || error == VESTRY_INVALID);
  return error == VESTRY_OK;
}

static bool takes_code(const char *before) {
  vestry_html_clear(&html);
  vestry_html_raw(&html, before, strlen(before));
  vestry_html_js(&html, "a", 1);
  vestry_err error = vestry_html_error(&html, NULL, NULL);
  assert_int_equal(vestry_html_json(&html, &(const vestry_value){.type = VESTRY_VALUE_OBJECT}), error);
  return error == VESTRY_OK;
}

/* Assert how the text is written after this HTML. */
static void expect(const char *before, const char *text, const char *expected) {
  vestry_slice made;
  assert_true(takes(before, text, ""));
  assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
  assert_string_equal((const char *)made.data + strlen(before), expected);
}

static void refused(const char *before) {
  if (takes(before, "a", "")) fail_msg("%s takes a text", before);
  if (takes(before, "", "")) fail_msg("%s takes a text that is empty", before); /* the text does not matter */
}

/* capability: E4 */
TEST_CASE(attributes_that_can_run_code_are_refused) {
  static const char *const rows[] = {
      "<script src=\"",
      "<SCRIPT Src='",
      "<script type=module src='/a/",
      "<script src=\"/a?b=",
      "<svg><script href=\"",
      "<svg><script xlink:href=\"",
      "<link href=\"",
      "<link rel=\"stylesheet\" href=\"",
      "<link href=\"",
      "<base href='",
      "<use href='/a",
      "<use xlink:href='",
      "<animate values='",
      "<animate attributeName=href from='/a",
      "<set to='",
      "<SET TO='",
      "<animateTransform by='",
      "<animate attributeName='",
      "<iframe srcdoc='",
      "<iframe sandbox='",
      "<iframe allow='",
      "<object classid='",
      "<applet code='",
      "<param value='",
      "<script type='",
      "<link rel='",
      "<meta charset='",
      "<meta http-equiv='",
      "<meta http-equiv=refresh content='",
      "<meta http-equiv content='0; url=",
      "<html manifest='",
      "<a xml:base='",
      "<b is='",
      "<template shadowrootmode='",
      "<annotation-xml encoding='",
      "<iframe src='data:text/html,",
      "<iframe src='blob:",
      "<a href='java&#115;cript:",
      "<a href='&#106;",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) refused(rows[i]);
}

/* The attributes of the same names on other elements take texts. */
TEST_CASE(harmless_attributes_take_texts) {
  static const char *const rows[] = {
      "<script nonce='",
      "<script id='",
      "<input value='",
      "<input type='",
      "<a rel='",
      "<p content='",
      "<div values='",
      "<country-flag code='",
      "<meta name='",
      "<meta name=description content='",
      "<meta content='",
      "<meta property='og:title' content='",
      "<img srcset='",
      "<a ping='",
      "<svg fill='",
      "<p data-bind='",
      "<p data-ref='",
      "<p data-attributes='",
      "<very-long-name-of-an-element src-of-a-very-long-name-of-an-attribute='",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) expect(rows[i], "javascript:<", "javascript:&lt;");
}

/* Text may set only the fragment of a URL from which code is loaded. */
TEST_CASE(only_the_fragment_of_a_code_url_takes_text) {
  expect("<use href='#", "javascript:", "javascript:");
  expect("<use href='/icons.svg#", "a'", "a&#39;");
  expect("<use xlink:href=\"/icons.svg?b=c&amp;d#e-", "a", "a");
  expect("<script src='/a#", "a", "a");
  refused("<use href='&#47;");
  refused("<use href='&#x2f");
  refused("<use href='/a?#' xlink:href='");
  refused("<use href='/a&#35;");
}

/* The URL of an informational link is an ordinary URL. It is refused if its rel follows later. */
/* capability: E4 */
TEST_CASE(link_href_takes_text_if_rel_is_informational) {
  expect("<link rel=canonical href='", "javascript:", "about:invalid");
  expect("<link rel='ICON' href='/", "a", "a");
  expect("<link title='b' rel = \"shortcut\ticon\" href='", "data:,", "data:,");
  static const char *const others[] = {
      "<link rel=\"canonical stylesheet\" href='",
      "<link rel=\"alternate stylesheet\" href='",
      "<link rel=stylesheet rel=icon href='",
      "<link rel rel=icon href='",
      "<link rel= rel=icon href='",
      "<link rel/rel=icon href='",
      "<link rel='' rel=icon href='",
      "<link rel='ico&#110;' href='",
      "<link rel=preload href='",
      "<link rel=modulepreload href='",
      "<link rel=manifest href='",
      "<link rel=prerender href='",
      "<link rel=import href='",
      "<link rel=icon><link href='",
      "<a rel=icon></a><link href='",
      "<link title=rel=icon href='",
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) refused(others[i]);
  assert_true(takes("<link rel=icon href='", "a", "' rel=stylesheet>")); /* the first rel counts */
}

/* capability: E4 */
TEST_CASE(meta_content_is_refused_with_http_equiv) {
  assert_true(takes("<meta content='", "0;url=a", "' name=description>"));
  assert_true(takes("<meta content='", "a", "'><meta http-equiv=refresh content='1'>"));
  assert_true(takes("<p content='", "a", "' http-equiv=refresh>"));
  assert_true(takes("<meta content='0' http-equiv='refresh'>", "a", ""));
  static const char *const late[] = {"' http-equiv=refresh>", "' HTTP-EQUIV>", "'/http-equiv='refresh'",
                                     "' http-equiv="};
  for (size_t i = 0; i < sizeof late / sizeof *late; i++) {
    assert_false(takes("<meta content='", "0;url=a", late[i]));
    expect_refused(&html, 0, "http-equiv");
  }
  vestry_html_add(&html, "<meta content='%s' http-equiv='refresh'>%s", "a", "b");
  expect_refused(&html, strlen("<meta content='%s"), "http-equiv");
}

/* Embedded documents come by http, or from the origin of the page. */
/* capability: E4 */
TEST_CASE(embedded_document_urls_are_http_or_relative) {
  static const struct {
    const char *url, *made;
  } rows[] = {
      {"", ""},
      {"/a", "/a"},
      {"a.b:c", "about:invalid"},
      {"//a.b/", "//a.b/"},
      {"a/b:c", "a/b:c"},
      {"a&b:c", "a&amp;b:c"},
      {"a\\b:c", "a\\b:c"},
      {"http://a/", "http://a/"},
      {"HTTPS://a/", "HTTPS://a/"},
      {"https", "https"},
      {":a", ":a"},
      {"1:a", "1:a"},
      {"data:text/html,a", "about:invalid"},
      {"\tD\natA:", "about:invalid"},
      {"blob:https://a/b", "about:invalid"},
      {"filesystem:a", "about:invalid"},
      {"httpsx:", "about:invalid"},
      {"javascript:a", "about:invalid"},
      {"view-source:a", "about:invalid"},
      {"about:srcdoc", "about:invalid"},
  };
  static const char *const places[] = {"<iframe src='", "<EMBED SRC=\"", "<object data='", "<frame src='"};
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (size_t j = 0; j < sizeof places / sizeof *places; j++) expect(places[j], rows[i].url, rows[i].made);
  expect("<iframe src='https://a/", "data:a", "data:a");
  vestry_html_clear(&html);
  vestry_html_add(&html, "<iframe src='%s%s%s'>", "da", "ta:", "b");
  expect_html(&html, "<iframe src='daabout:invalidb'>");
}

/* data-attr sets an attribute to the value of its code. */
/* capability: E4 */
TEST_CASE(data_attr_code_is_checked_as_its_attribute) {
  expect("<a data-attr:title=\"'", "javascript:", "javascript:");
  expect("<a data-attr:href=\"'/", "a", "a");
  expect("<a data-attr:href=\"$b ? 'https://c/' : '#", "a", "a");
  expect("<a data-attr:href=\"'/b/' + $c + '?d=", "a", "a");
  expect("<use data-attr:href=\"'/icons.svg#", "a", "a");
  assert_true(takes_code("<a data-attr:title=\""));
  assert_true(takes_code("<a data-text=\""));
  static const char *const others[] = {
      "<a data-attr:href=\"'",
      "<a data-attr:href=\"'java' + '",
      "<a data-attr:href=\"'/b' + '",
      "<a data-attr:href=\"$b + '",
      "<a data-attr:href=\"'javascript:/",
      "<a data-attr:href=\"'java\\x73cript:",
      "<a data-attr:href=\"",
      "<a data-star-attr:href=\"'",
      "<a data-attr:onclick=\"'",
      "<a data-attr:style=\"'",
      "<a data-attr:title__case.camel=\"'",
      "<a data-attr=\"{href: '/",
      "<iframe data-attr:srcdoc=\"'",
      "<iframe data-attr:src=\"'data:text/html,",
      "<use data-attr:href=\"'/icons.svg",
      "<use data-attr:href=\"'#' + '/",
      "<script data-attr:src=\"'/",
      "<link data-attr:rel=\"'",
      "<animate data-attr:values=\"'/",
  };
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
    refused(others[i]);
    assert_false(takes_code(others[i]));
  }
}

/* Scripts that list URLs: to load code from, or to navigate to. */
TEST_CASE(importmap_and_speculation_rules_take_no_code) {
  assert_true(takes_code("<script>"));
  assert_true(takes_code("<script type=module>"));
  assert_true(takes_code("<script type='application/json' id=a>"));
  assert_true(takes_code("<script type type=importmap>")); /* the first type counts */
  assert_true(takes_code("<script type=importmap>{}</script><script>"));
  static const char *const others[] = {"<script type=importmap>", "<script type=\" ImportMap \">{\"imports\":",
                                       "<script id=a type='speculationrules'>", "<script type='&#105;mportmap'>"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) assert_false(takes_code(others[i]));
  vestry_html_finish(&html);
}

int main(void) {
  vestry_html_init(&html, NULL);
  return cases_run("html/attribute", NULL, NULL);
}
