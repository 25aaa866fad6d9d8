/* SPDX-License-Identifier: MIT */
#include "html/place.h"

#include "support/test.h"

/* HTML, and the values allowed after it: T a text, U part of a URL, S part of a JavaScript string, C JavaScript in an
 * attribute, J JavaScript in a script element, - none. */
static const struct {
  const char *html;
  char slot;
} rows[] = {
    /* text */
    {"", 'T'},
    {"a &amp; b > c", 'T'},
    {"a < b", 'T'},
    {"a <3 b", 'T'},
    {"<p>", 'T'},
    {"<p/>", 'T'},
    {"<P CLASS='x' a b = c d=\"e\"f>", 'T'},
    {"<p a='>'>", 'T'},
    {"<p a=\"'>\">", 'T'},
    {"<p a=b>", 'T'},
    {"<p a=>", 'T'},
    {"<p a=b/c>", 'T'},
    {"<p =\"a\">", 'T'},
    {"</p>", 'T'},
    {"</p a='>'>", 'T'},
    {"</>", 'T'},
    {"<!doctype html><html>", 'T'},
    {"<!doctype html \"a>", 'T'},
    {"<?xml a?>", 'T'},
    {"</3>", 'T'},
    {"<!>", 'T'},
    {"<noscript><p>", 'T'},
    {"<noscript><p title='a'><!-- > --><style></style></noscript><p title='<'>", 'T'},
    {"<noscript><p title='<'>", '-'},
    {"<noscript><!-- </noscript> -->", '-'},
    {"<noscript><style></noscript>", '-'},
    {"<noscript><p <", '-'},
    {"<my-style>", 'T'},
    {"<styles>", 'T'},
    {"<averyveryveryveryverylongcustom-element-name a=\"b\">", 'T'},
    /* inside tags, outside of values */
    {"<", '-'},
    {"</", '-'},
    {"<p", '-'},
    {"<p ", '-'},
    {"<p a", '-'},
    {"<p a ", '-'},
    {"<p a=", '-'},
    {"<p a= ", '-'},
    {"<p a=b", '-'},
    {"<p a=\"b\"", '-'},
    {"<p a='b' ", '-'},
    {"<p /", '-'},
    {"</p ", '-'},
    {"<!", '-'},
    {"<!-", '-'},
    {"<!doctype ", '-'},
    /* comments */
    {"<!--", '-'},
    {"<!-- a > <p title=\"", '-'},
    {"<!-- a --", '-'},
    {"<!-- a -->", 'T'},
    {"<!-- a --->", 'T'},
    {"<!-- a --!>", 'T'},
    {"<!-- a -- b", '-'},
    {"<!-- a --! b", '-'},
    {"<!-- a --!-->", 'T'},
    {"<!-- a - b -->", 'T'},
    {"<!-->", 'T'},
    {"<!--->", 'T'},
    {"<!---->", 'T'},
    {"<!----!>", 'T'},
    {"<!---a", '-'},
    {"<!-a>", 'T'},
    {"<![CDATA[ ]]>", '-'},
    {"<![CDATA[ ]]><p>", '-'},
    /* values */
    {"<p title=\"", 'T'},
    {"<p title='a\"", 'T'},
    {"<p\ntitle\t=\f\"a&quot;", 'T'},
    {"<p/title=\"", 'T'},
    {"<p a=\"\"title=\"", 'T'},
    {"<p data-foo=\"", 'T'},
    {"<p data-bind=\"", 'T'},
    {"<p data-only=\"", 'T'},
    {"<p data-text-color=\"", 'T'},
    {"<p srcset=\"", 'T'},
    {"<a href=\"", 'U'},
    {"<a href=\"/a?b=", 'U'},
    {"<a HREF='", 'U'},
    {"<svg:use xlink:href='", 'U'},
    {"<a href=\"javascript:", '-'},
    {"<a href=\" JAVA\nSCRIPT:f('", '-'},
    {"<a href=\"/javascript:", 'U'},
    {"<p style=\"", '-'},
    {"<p STYLE='color:", '-'},
    {"<iframe srcdoc=\"", '-'},
    {"</p title=\"", 'T'},
    /* code in attributes */
    {"<p onclick=\"", 'C'},
    {"<p OnAnything='", 'C'},
    {"<p data-on:click=\"", 'C'},
    {"<p data-on-click=\"", 'C'},
    {"<p data-on-interval__duration.500ms=\"", 'C'},
    {"<p data-signals=\"", 'C'},
    {"<p data-signals:a-very-long-name-of-a-signal__ifmissing=\"", 'C'},
    {"<p data-computed:a='", 'C'},
    {"<p data-attr:title='", 'C'},
    {"<p data-class__case.kebab='", 'C'},
    {"<p data-show='", 'C'},
    {"<p data-init='", 'C'},
    {"<p data-star-text='", 'C'},
    {"<p data-star-on:click='", 'C'},
    {"<p data-effect='f(); ", 'C'},
    {"<p data-show='$a && ", 'C'},
    {"<p data-show='$a<2", 'C'},
    {"<p data-show='$a&&b", '-'},
    {"<p data-show='$a / 2", '-'},
    {"<p data-show='/'/", '-'},
    {"<p data-show='`", '-'},
    {"<p data-show='a<!", '-'},
    {"<p data-show=\"'", 'S'},
    {"<p data-show=\"f('a', 'b", 'S'},
    {"<p data-show=\"f('a')", 'C'},
    {"<p data-show='\"", 'S'},
    {"<p data-show='\"/`<!--", 'S'},
    {"<p data-show='\"\\\"", 'S'},
    {"<p data-show='\"\\\\\"", 'C'},
    {"<p data-show='\"\\", '-'},
    {"<p data-show='\"&", 'S'}, /* refused by the builder itself */
    {"<p data-show='\"& ", 'S'},
    {"<p data-show='\"&quot;", '-'},
    {"<p data-show='&#34;", '-'},
    {"<p data-show='&apos;", '-'},
    {"<p data-show='\"a\n", '-'},
    {"<p data-show=\"'a\\'b", 'S'},
    {"<p data-show='/'><p title=\"", 'T'},
    {"<p data-show='/' data-show=\"", 'C'},
    {"<p data-show='\"' data-show=\"", 'C'},
    {"<p data-show=", '-'},
    /* elements whose content is text */
    {"<title>", 'T'},
    {"<textarea>a & b > c < d", 'T'},
    {"<textarea></text", '-'},
    {"<textarea></textareas", '-'},
    {"<textarea></textarea", '-'},
    {"<textarea></textarea>", 'T'},
    {"<textarea></TEXTAREA a=\"", 'T'},
    {"<textarea></textarea/>", 'T'},
    {"<textarea></textarea onclick=\"'", 'S'},
    {"<textarea></b", '-'},
    {"<svg><title><b title=", '-'},
    {"<svg><title><b></title>", '-'},
    /* where the parser reads such an element as an ordinary one, or not at all */
    {"<svg><style><a title=\"</style>\" onclick=\"", '-'},
    {"<svg><noembed><a title=\"</noembed>\" onclick=\"", '-'},
    {"<math><xmp><a title=\"</xmp>\" onclick=\"", '-'},
    {"<math><iframe><a title=\"</iframe>\" onclick=\"", '-'},
    {"<svg><title><!--</title><p title=\"--><img src=x onerror='", '-'},
    {"<svg><title><![CDATA[</title><p title=\"]]><img src=x onerror='", '-'},
    {"<svg><title><?</title>", '-'},
    {"<svg><style></ a</style>", '-'},
    {"<svg><script><a title=\"</script>\" onclick=\"", '-'},
    {"<svg><script><!x></script>", '-'},
    {"<select><title><!--</title><p title=\"--></select><img src=x onerror='", '-'},
    {"<select><style><option title=\"</style>", '-'},
    {"<frameset><style><frame src=\"</style>\" onload=\"", '-'},
    {"<svg><svg></svg><style><a></style>", '-'},
    {"<svg><foreignObject></svg><style><a></style>", '-'},
    {"<svg><desc></svg><style><a></style>", '-'},
    {"<math><mi></math><style><a></style>", '-'},
    {"<svg><p><select></svg><style><a></style>", '-'},
    {"<select><template></select><style><a></style>", '-'},
    {"<select><td></select><style><a></style>", '-'},
    {"<svg><title>a</title><style>p{}</style><b title=\"", 'T'},
    {"<svg><title>", 'T'},
    {"<svg><script>f('a', ", 'J'},
    {"<svg><g><path/></g></svg><script>'<b>', ", 'J'},
    {"<svg><title>a</title></svg><style><a></style>", 'T'},
    {"<select><option>a<option>b</select><style><a></style>", 'T'},
    {"<math></math><svg/></svg><style><a></style>", 'T'},
    {"<style>", '-'},
    {"<STYLE a=\"b\">p{}", '-'},
    {"<style><p title=\"", '-'},
    {"<style></styl></style>", 'T'},
    {"<style></styl</style>", 'T'},
    {"<style><</style >", 'T'},
    {"<xmp><b title=\"", '-'},
    {"<iframe>", '-'},
    {"<noembed>", '-'},
    {"<noframes>", '-'},
    {"<plaintext>", '-'},
    {"<plaintext></plaintext>", '-'},
    /* scripts */
    {"<script>", 'J'},
    {"<script src=\"", '-'},
    {"<script>f(", 'J'},
    {"<script>f('", '-'},
    {"<script>f('a', ", 'J'},
    {"<script>a < b && b", 'J'},
    {"<script>// '", '-'},
    {"<script>f('</script>", 'T'},
    {"<script>'</scripts>'", 'J'},
    {"<script>'<!'", 'J'},
    {"<script>'<!--'", '-'},
    {"<script><!--</script>", '-'},
    {"<script/>", 'J'},
    {"</script>", 'T'},
};

static char letter(const vsi_html_place *place) {
  const char *why = NULL;
  vsi_slot slot = vsi_place_slot(place, &why);
  assert_true((slot == VSI_SLOT_NONE) == (why != NULL));
  return "-TUSCJ"[slot];
}

/* capability: E4 */
TEST_CASE(slot_after_each_html_is_correct) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    vsi_html_place place;
    vsi_place_init(&place);
    vsi_place_read(&place, rows[i].html, strlen(rows[i].html));
    if (letter(&place) != rows[i].slot) fail_msg("%s: %c, not %c", rows[i].html, letter(&place), rows[i].slot);
  }
}

/* The result is the same if the HTML arrives whole, in any two pieces, or byte by byte. */
TEST_CASE(slot_does_not_depend_on_how_html_is_split) {
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    size_t len = strlen(rows[i].html);
    for (size_t cut = 0; cut <= len; cut++) {
      vsi_html_place place;
      vsi_place_init(&place);
      vsi_place_read(&place, rows[i].html, cut);
      vsi_place_read(&place, rows[i].html + cut, len - cut);
      assert_int_equal(letter(&place), rows[i].slot);
    }
    vsi_html_place place;
    vsi_place_init(&place);
    for (size_t at = 0; at < len; at++) vsi_place_read(&place, rows[i].html + at, 1);
    assert_int_equal(letter(&place), rows[i].slot);
  }
}
