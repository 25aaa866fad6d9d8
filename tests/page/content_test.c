/* SPDX-License-Identifier: MIT */
#include "app/page/content.h"

#include <stdlib.h>

#include "app/page/element.h"
#include "support/test.h"

/* Documents, and the expected search result. ‹ and › enclose the bytes of the element and are removed before the
 * search. A document without them fails with this fault, for a reason that contains these words. */
static const struct {
  const char *marked;
  vsi_content_fault fault;
  const char *why;
} rows[] = {
    /* start tags */
    {"‹<main id=\"content\"></main>›", 0, ""},
    {"<!doctype html><html><head><title>a</title></head><body>‹<main id=content>a</main>›</body></html>", 0, ""},
    {"‹<DIV\nID = 'content'\t></DiV\n>›", 0, ""},
    {"‹<section class=a id=content hidden></section>›", 0, ""},
    {"‹<article/id=content></article a='>'>›", 0, ""},
    {"<main id=content/ id=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"‹<main id=content />a</main>›", 0, ""},
    {"‹<main title=\">\" a='<main id=content>' id=content></main>›", 0, ""},
    {"<main id=Content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id=\"content \"></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id></main><main id=></main><main idx=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id=a id=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id=c&#111;ntent></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<span id=content></span>", VSI_CONTENT_NOT_FOUND, "not a main, div"},
    {"", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id=content", VSI_CONTENT_NOT_FOUND, "no element"},
    /* comments and other markup that is not an element */
    {"<!--<main id=content>--><!--><!---><!----><!-- --!>‹<main id=content></main>›", 0, ""},
    {"<!-- -- > --!- --!>‹<main id=content><!-- </main> --- ---></main>›", 0, ""},
    {"‹<main id=content><!--></main>›-->", 0, ""},
    {"‹<main id=content><!-- </main> --!-></main> --></main>›", 0, ""},
    {"<!--<!--><div>-->‹<main id=content></main>›", 0, ""},
    {"<?a <main id=content>‹<main id=content></3 </main></main>›", 0, ""},
    {"<![CDATA[<main id=content>‹<main id=content></main>›]]>", 0, ""},
    {"‹<main id=content><svg><![CDATA[</svg></main>]]></svg></main>›", 0, ""},
    {"<!doctype html \"<main id=content>\">‹<main id=content></></main>›", 0, ""},
    {"<!-- <main id=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    /* elements whose content is text */
    {"‹<main id=content><script>'</main>'</script><style></main></style></main>›", 0, ""},
    {"‹<main id=content><script><!--<script></script></main>--></script></main>›", 0, ""},
    {"‹<main id=content><script><!--<scripts></script></main>›", 0, ""},
    {"‹<main id=content><script><!--><script></script></main>›", 0, ""},
    {"‹<main id=content><script><!--<script>--></script></main>›", 0, ""},
    {"‹<main id=content><script><!--<script </script/<script\n</script\t--></SCRIPT ></main>›", 0, ""},
    {"‹<main id=content><textarea></main></textareas></textarea/></main>›", 0, ""},
    {"‹<main id=content><title></main></title><xmp></main></xmp><iframe></main></iframe></main>›", 0, ""},
    {"‹<main id=content><noembed></main></noembed><noframes></main></noframes></main>›", 0, ""},
    {"<textarea><main id=content></main></textarea>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<script><main id=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<plaintext><main id=content></main>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"<main id=content><plaintext></main>", VSI_CONTENT_UNBALANCED, "no end tag"},
    {"<noscript><main id=content></main></noscript>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"‹<main id=content><noscript><p>a</p><img alt='>'></noscript></main>›", 0, ""},
    {"‹<main id=content><noscript></main></noscript></main>›", 0, ""},
    {"<main id=content><noscript></main>", VSI_CONTENT_UNBALANCED, "no end tag"},
    /* templates */
    {"<template><main id=content></main></template>", VSI_CONTENT_NOT_FOUND, "no element"},
    {"‹<main id=content><template><main id=content></div></template></main>›", 0, ""},
    {"‹<main id=content><template><tr><td>a</td><template></template></template></main>›", 0, ""},
    {"‹<main id=content><template></main><template/></template></template></main>›", 0, ""},
    {"‹<main id=content></template></main>›", 0, ""},
    {"<main id=content><template></main>", VSI_CONTENT_UNBALANCED, "no end tag"},
    /* balance */
    {"‹<main id=content><main></main></main>›</main>", 0, ""},
    {"‹<div id=content><div><span></div></div>›", 0, ""},
    {"<div id=content><div></div>", VSI_CONTENT_UNBALANCED, "no end tag"},
    {"<section>‹<div id=content></section></div>›", 0, ""},
    {"‹<main id=content><p>a<p>b<ul><li>a<li>b</ul><table><tr><td>c<td>d</table><b></main>›</b>", 0, ""},
    {"<table><tr><td>‹<main id=content>a</main>›<td>b</table>", 0, ""},
    {"</main>‹<main id=content><br/><br></main>›</main>", 0, ""},
    /* svg and math */
    {"‹<main id=content><svg><path/><g><title><b>a</b></title></g><main/></svg><svg/><math><mi>a</mi></math></main>›",
     0, ""},
    {"‹<main id=content><svg><title>a</title><style><g></g></style></svg></main>›", 0, ""},
    {"‹<main id=content><svg><desc><title></desc></title></desc></svg></main>›", 0, ""},
    {"‹<main id=content><svg><svg></main></svg><svg/></main></svg></main>›", 0, ""},
    {"‹<main id=content><svg><style/><main></svg></main>›", 0, ""},
    {"<main id=content><svg></main>", VSI_CONTENT_UNBALANCED, "no end tag"},
    {"<svg><foreignObject><main id=content></main></foreignObject></svg>", VSI_CONTENT_FOREIGN, "svg or math"},
    {"<svg><main id=content></main></svg>", VSI_CONTENT_FOREIGN, "svg or math"},
    /* duplicates */
    {"<main id=content></main><a id='content'>", VSI_CONTENT_DUPLICATE, "same id"},
    {"<main id=content><div id=content></div></main>", VSI_CONTENT_DUPLICATE, "same id"},
    {"<main id=content></main><svg><g id=content>", VSI_CONTENT_DUPLICATE, "same id"},
    {"‹<main id=content></main>›<template><a id=content></template><script>'<a id=content>'</script><a id=content", 0,
     ""},
};

/* Copy without the marks, and return their positions. */
static char *unmark(const char *marked, size_t *ret_len, size_t *ret_begin, size_t *ret_end) {
  static const char open_mark[] = "‹", close_mark[] = "›";
  char *html = malloc(strlen(marked) + 1), *to = html;
  for (const char *at = marked; *at;) {
    bool is_open = strncmp(at, open_mark, 3) == 0, is_close = strncmp(at, close_mark, 3) == 0;
    if (is_open) *ret_begin = (size_t)(to - html);
    if (is_close) *ret_end = (size_t)(to - html);
    if (is_open || is_close)
      at += 3;
    else
      *to++ = *at++;
  }
  *ret_len = (size_t)(to - html);
  return realloc(html, *ret_len ? *ret_len : 1); /* so that a sanitizer reports a read past the end */
}

/* capability: D3 */
TEST_CASE(content_element_is_found_or_fault_has_reason) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len, begin = 0, end = 0;
    char *html = unmark(rows[i].marked, &len, &begin, &end);
    vsi_content found;
    vsi_content_fault fault = vsi_content_find(html, len, "content", &found);
    if (fault != rows[i].fault || !strstr(found.why, rows[i].why))
      fail_msg("%s: %s (%s at %zu)", rows[i].marked, vsi_content_fault_name(fault), found.why, found.at);
    if (!fault && (found.begin != begin || found.end != end))
      fail_msg("%s: %zu to %zu, not %zu to %zu", rows[i].marked, found.begin, found.end, begin, end);
    assert_true(found.at <= len);
    free(html);
  }
}

/* A search in a truncated document may fail, but never reads past the end. */
/* capability: D3 */
TEST_CASE(truncated_document_is_never_read_past_its_end) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len, begin = 0, end = 0;
    char *html = unmark(rows[i].marked, &len, &begin, &end);
    for (size_t cut = 0; cut < len; cut++) {
      char *part = malloc(cut ? cut : 1);
      vsi_content found;
      memcpy(part, html, cut);
      if (!vsi_content_find(part, cut, "content", &found)) assert_true(found.begin < found.end && found.end <= cut);
      free(part);
    }
    free(html);
  }
}

/* Texts that begin where the head ends. */
/* capability: D3 */
TEST_CASE(head_and_content_positions_are_found) {
  static const struct {
    const char *html, *head;
  } places[] = {
      {"<!doctype html><html><head><title>a</title></head><body class=a><main id=content></main>", "</head>"},
      {"<!doctype html><title>a</title>\n<main id=content></main>", "<main"},
      {"<main id=content></main>", "<main"},
      {"<head><meta></head>\n<body><main id=content></main>", "</head>"},
      {"<meta><body\n><main id=content></main>", "<body"},
      {"<title></head></title> a<main id=content></main>", "a<main"},
      {"<head><script>'</head>'</script><template><body></head></template></head><link><main id=content></main>",
       "</head><link>"},
      {"<head><noscript><style></style></noscript><!-- </head> --></head><noscript></noscript><main id=content></main>",
       "</head><noscript>"},
      {"<meta></p></body><main id=content></main>", "</body>"},
      {"<p>a</p><body a><main id=content></main><body b>", "<p>"},
  };
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    const char *html = places[i].html;
    vsi_content found;
    assert_int_equal(vsi_content_find(html, strlen(html), "content", &found), VSI_CONTENT_FOUND);
    assert_ptr_equal(html + found.head_end, strstr(html, places[i].head));
    assert_ptr_equal(html + found.begin, strstr(html, "<main"));
  }
}

TEST_CASE(document_over_size_limit_is_rejected) {
  static const char start[] = "<main id=content>", end[] = "</main>";
  size_t len = VSI_CONTENT_MAX_BYTES;
  char *html = malloc(len + 1);
  vsi_content found;
  memset(html, ' ', len + 1);
  memcpy(html, start, sizeof start - 1);
  memcpy(html + len - (sizeof end - 1), end, sizeof end - 1);
  assert_int_equal(vsi_content_find(html, len, "content", &found), VSI_CONTENT_FOUND);
  assert_int_equal(found.end, len);
  assert_int_equal(vsi_content_find(html, len + 1, "content", &found), VSI_CONTENT_TOO_LARGE);
  free(html);
}

/* The table of elements is sorted, so each of them is found, in upper and lower case. */
TEST_CASE(element_is_found_by_name_in_any_case) {
  static const char *const names[] = {
      "a", "ADDRESS", "annotation-xml", "dd", "Dt", "foreignObject", "h1", "tbody", "tr", "u", "wbr", "xmp"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
    const vestry_slice name = {names[i], strlen(names[i])};
    const vsi_element *element = vsi_element_of(name);
    assert_true(vsi_is_word(name, element->name));
  }
  const vsi_element *ordinary = vsi_element_of((vestry_slice){"", 0});
  assert_string_equal(ordinary->name, "");
  assert_ptr_equal(vsi_element_of((vestry_slice){"averylongname-xy", 16}), ordinary);
  assert_ptr_equal(vsi_element_of((vestry_slice){"ab", 2}), ordinary);
  assert_string_equal(vsi_content_fault_name((vsi_content_fault)99), "unknown");
}
