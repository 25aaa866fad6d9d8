/* SPDX-License-Identifier: MIT */
/* F3: the target that conflation reads from an event. For the events that it drops, see
 * tests/connection/conflation_test.c. */
#include "event/target.h"

#include <locale.h>
#include <stdlib.h>

#include "html/content.h"
#include "html/state.h"
#include "support/folder.h"
#include "support/test.h"
#include "support/test_host.h"
#include "vestry/event.h"

static vestry_event *elements(const char *html, const vestry_elements_options *options) {
  vestry_event *event = NULL;
  assert_int_equal(vestry_event_elements(NULL, html, strlen(html), options, &event), VESTRY_OK);
  return event;
}

/* expected: the id of the single element that an outer morph sets, after "brings " if the morph contains other ids;
 * "passes"; "?" for any other effect. */
static void expect(const char *html, const char *selector, vestry_patch_mode mode, const char *expected) {
  vestry_event *event = elements(html, &(vestry_elements_options){.selector = selector, .mode = mode});
  const vsi_target *target = vsi_event_target(event);
  char got[64] = "?";
  assert_non_null(target);
  if (target->effect == VSI_EFFECT_PASSING) strcpy(got, "passes");
  if (target->effect == VSI_EFFECT_MORPH)
    snprintf(got, sizeof got, "%s%.*s", target->ids_count ? "brings " : "", (int)target->id_len, target->id);
  if (strcmp(got, expected) != 0) print_message("%s\n", html);
  assert_string_equal(got, expected);
  vestry_event_unref(event);
}

static void outer(const char *html, const char *expected) {
  expect(html, NULL, VESTRY_PATCH_OUTER, expected);
}

/* capability: F3 */
static void f3_id_is_read_as_a_browser_reads_it(void **state) {
  outer("<div id=\"a\"></div>", "a");
  outer("<DIV ID='a b'></div >", "a b");
  outer("<div class=x id=a>b</div>", "a");
  outer("<div/id=a></div>", "a");
  outer("<div id = a ></div>", "a");
  outer("<div title=\"id=b\" id=a></div>", "brings a"); /* one id too many is safe */
  outer("<div id=\"a\" id=\"b\"></div>", "brings a");
  /* the first of two attributes counts, even without a value */
  outer("<div id id=\"b\"></div>", "?");
  outer("<div id=\"\" id=\"b\"></div>", "?");
  outer("<div id/=\"b\"></div>", "?");
  outer("<div id/ id=\"b\"></div>", "?");
  /* a leading '=' is part of a name */
  outer("<div = id=a></div>", "a");
  outer("<div =id=a></div>", "?");
  outer("<div = id=\"a\" id=\"b\"></div>", "brings a");
  outer("<div =\"><i title=\" id=a></i></div>", "?");
  outer("<div id=a><b id = \"b\"></b></div>", "brings a");
  outer("<div id=a><b\tid\n=\"b\"></b></div>", "brings a");
  outer("<div id=a><anelementwithalongnameofitsown></anelementwithalongnameofitsown></div>", "a");
  /* not certainly one element, or without a plain id */
  outer("<div>a</div>", "?");
  outer("<div id=\"a&amp;b\"></div>", "?");
  outer("<div id=\"a\nb\"></div>", "?");
  outer("<div id=a></div>b", "?");
  outer("<div id=a></div><div id=a></div>", "?");
  outer("<div id=a>", "?");
  outer("<div id=a></span>", "?");
  outer("<div id=a", "?");
  outer("<p id=a></p>", "?");
  outer("<div id=a><!-- b --></div>", "?");
  outer("<div id=a><style>b</style></div>", "?");
  outer(" \n ", "?");
  outer("", "?");
}

/* In a Turkish locale, I and i are different letters. The locale is made from the definitions of Debian's package
 * locales. */
/* capability: F3 */
static void f3_names_are_read_alike_in_any_locale(void **state) {
  char folder[FOLDER_BYTES], command[256];
  static const char document[] = "<body><MAIN ID=\"c\"><TITLE></TITLE></MAIN><script>\"<MAIN ID=c>\"</SCRIPT>";
  vsi_content found;
  folder_make(folder, "locale");
  snprintf(command, sizeof command, "localedef -i tr_TR -f UTF-8 %s/tr_TR.UTF-8 2> /dev/null", folder);
  bool is_made = !system(command);
  setenv("LOCPATH", folder, 1);
  if (!is_made || !setlocale(LC_CTYPE, "tr_TR.UTF-8")) print_message("there is no Turkish locale here\n");
  outer("<DIV ID=a><I></i></DIV>", "a");
  outer("<div id=a><SCRIPT>b</SCRIPT></div>", "?");
  outer("<div id=a><IFRAME></IFRAME></div>", "?");
  outer("<div id=a><b IS=\"c\"></b></div>", "?");
  vestry_event *bound = elements("<div id=a><INPUT DATA-BIND=x></div>", NULL);
  assert_true(vsi_event_target(bound)->state.has_fields && vsi_event_target(bound)->state.bound);
  vestry_event_unref(bound);
  assert_int_equal(vsi_content_find(document, sizeof document - 1, "c", &found), VSI_CONTENT_FOUND);
  setlocale(LC_CTYPE, "C");
  unsetenv("LOCPATH");
  folder_remove(folder);
}

static void f3_nesting_over_64_levels_has_no_target(void **state) {
  for (size_t depth = 63; depth <= 66; depth++) {
    char html[2048] = "<div id=\"a\">";
    for (size_t i = 1; i < depth; i++) strcat(html, "<div>");
    for (size_t i = 1; i < depth; i++) strcat(html, "</div>");
    outer(html, "?"); /* one element is not closed */
    strcat(html, "</div>");
    outer(html, depth <= 64 ? "a" : "?");
  }
}

/* Within an event, each line begins with its key, which is not part of the page. */
/* capability: F3 */
static void f3_data_lines_are_joined_as_by_the_client(void **state) {
  outer("<div id=\"a\">\n  <p>1</p>\n</div>", "a");
  outer("\n<div id=\"a\">\n</div>\n", "a");
  outer("<div id=\"a\">\r\n</div>\r\n\r\n", "a");
  outer("<div\n  class=\"b\"\n  id=\"a\"\n></div>", "a");
  outer("<div id=\n\"a\"></div>", "a");
  outer("<div id\n\n= \n a></div>", "a");
  outer("<div id\nid=\"a\"></div>", "?");
  outer("<div title=\n\">\" id=\"a\"></div>", "a");
  outer("<div title=\n\"><i \" id=\"a\"></div>", "a");
  outer("<div id=a></div>\nb", "?");
  outer("<div id=a><img src=x onerror\n=\"f()\"></div>", "?");
}

/* capability: F3 */
static void f3_active_content_has_no_target(void **state) {
  static const char *const active[] = {"<script>f()</script>",
                                       "<SCRIPT src=f></SCRIPT>",
                                       "<img src=x onerror=f()>",
                                       "<img src=x/OnError = f()>",
                                       "<img alt=\"\"onerror=f()>",
                                       "<b data-init=\"f()\"></b>",
                                       "<b data-on:load=\"f()\"></b>",
                                       "<b data-signals=\"{}\"></b>",
                                       "<b data-text\n=\"$a\"></b>",
                                       "<iframe src=\"javascript:parent.f()\"></iframe>",
                                       "<object data=f></object>",
                                       "<embed src=f>",
                                       "<FRAME\tsrc=f>",
                                       "<portal></portal>",
                                       "<base href=\"/f/\">",
                                       "<meta http-equiv=refresh content=\"0;url=f\">",
                                       "<x-a></x-a>",
                                       "<Xa-B\n></Xa-B>",
                                       "<b is=x-a></b>",
                                       "<b IS = 'x-a'></b>",
                                       "<b data-ignore-morph></b>",
                                       "<b data-preserve-attr=\"class\"></b>"};
  for (size_t i = 0; i < sizeof active / sizeof *active; i++) {
    expect(active[i], "#a", VESTRY_PATCH_INNER, "?");
    expect(active[i], "#a", VESTRY_PATCH_APPEND, "?");
  }
  static const char *const shows[] = {"<b data-text=\"$a\"></b>",
                                      "<b data-show='$a' data-attr:title='$b' data-class:c='$d' data-style:e='$f'></b>",
                                      "<button data-on:click=\"f()\">once on=1</button>",
                                      "<button data-press=\"/kick/7\" data-payload='{\"to\":1}'>press</button>",
                                      "<a href=\"/x\" data-navigate>there</a>",
                                      "<time data-countdown=\"17\" data-format=\"{s}\" data-over=\"over\"></time>",
                                      "<time data-elapsed=\"17\"></time>",
                                      "<b title=\"on\">only\none</b>",
                                      "a &lt;script> 1 < 2",
                                      "<b>1-2</b><a href=\"x-y\">this is it</a>"};
  for (size_t i = 0; i < sizeof shows / sizeof *shows; i++) {
    expect(shows[i], "#a", VESTRY_PATCH_INNER, "a");
    expect(shows[i], "#a", VESTRY_PATCH_APPEND, "passes");
  }
}

static void f3_selector_and_mode_determine_the_effect(void **state) {
  static const char one[] = "<div id=\"a\"><i id=\"b\"></i></div>";
  expect(one, NULL, VESTRY_PATCH_REPLACE, "brings a");
  expect(one, "#a", VESTRY_PATCH_OUTER, "brings a");
  expect(one, "#b", VESTRY_PATCH_OUTER, "?");
  expect("<div>1</div>", "#a", VESTRY_PATCH_OUTER, "passes");
  expect(one, "#c", VESTRY_PATCH_INNER, "brings c");
  expect("<i id=\"b\"></i>", "#a", VESTRY_PATCH_INNER, "brings a");
  expect("1", "#a-b_2", VESTRY_PATCH_INNER, "a-b_2");
  expect("", "#a", VESTRY_PATCH_INNER, "passes"); /* no elements: the client does nothing */
  expect("1", "#a", VESTRY_PATCH_AFTER, "passes");
  expect(one, "#c", VESTRY_PATCH_APPEND, "passes");
  expect("", "#a", VESTRY_PATCH_REMOVE, "passes");
  static const char *const others[] = {"#",     "#1", "#-a", "#a b", "#a.b", "#a,#b", "#a:first-child",
                                       "#\\61", "a",  ".a",  "*"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++) expect("1", others[i], VESTRY_PATCH_INNER, "?");
}

static void f3_morph_replaces_only_equal_mode_namespace_and_id(void **state) {
  static const struct {
    const char *selector;
    vestry_patch_mode mode;
    vestry_namespace ns;
  } all[] = {{"#a", VESTRY_PATCH_OUTER, VESTRY_NAMESPACE_HTML},   {"#b", VESTRY_PATCH_OUTER, VESTRY_NAMESPACE_HTML},
             {"#a", VESTRY_PATCH_REPLACE, VESTRY_NAMESPACE_HTML}, {"#a", VESTRY_PATCH_INNER, VESTRY_NAMESPACE_HTML},
             {"#a", VESTRY_PATCH_OUTER, VESTRY_NAMESPACE_SVG},    {"#a", VESTRY_PATCH_OUTER, VESTRY_NAMESPACE_MATHML},
             {"#aa", VESTRY_PATCH_OUTER, VESTRY_NAMESPACE_HTML}};
  enum { ALL = sizeof all / sizeof *all };
  vestry_event *events[ALL];
  for (size_t i = 0; i < ALL; i++) {
    char html[64];
    snprintf(html, sizeof html, "<div id=\"%s\">%zu</div>", all[i].selector + 1, i);
    events[i] =
        elements(html, &(vestry_elements_options){.selector = all[i].selector, .mode = all[i].mode, .ns = all[i].ns});
    assert_int_equal(vsi_event_target(events[i])->effect, VSI_EFFECT_MORPH);
  }
  for (size_t i = 0; i < ALL; i++)
    for (size_t k = 0; k < ALL; k++) {
      /* even if two hashes are equal */
      vsi_target a = *vsi_event_target(events[i]), b = *vsi_event_target(events[k]);
      assert_int_equal(vsi_target_replaces(&b, &a), i == k);
      a.hash = b.hash;
      assert_int_equal(vsi_target_replaces(&b, &a), i == k);
    }
  for (size_t i = 0; i < ALL; i++) vestry_event_unref(events[i]);
}

/* Assert whether the second morph may be sent without the first. */
static void replaces(const char *first, const char *then, bool expected) {
  vestry_event *a = elements(first, NULL), *b = elements(then, NULL);
  if (vsi_target_replaces(vsi_event_target(b), vsi_event_target(a)) != expected) fail_msg("%s, %s", first, then);
  vestry_event_unref(a);
  vestry_event_unref(b);
}

/* Each signal that the first morph binds is bound by the second, so it exists in the end. */
/* capability: F3 */
static void f3_morph_is_replaced_only_if_its_bindings_are_kept(void **state) {
#define DIV(inside) "<div id=\"a\">" inside "</div>"
  replaces(DIV("<input data-bind:x>"), DIV("<input id=\"i\" data-bind:x>"), true);
  replaces(DIV("<input data-bind:x id='1'>"), DIV("<i>1</i><input data-bind:y><input data-bind:x id='2'>"), true);
  replaces(DIV("<input data-bind=\"x\">"), DIV("<input data-bind='x'>"), true);
  replaces(DIV("<textarea id=t data-bind:x>1</textarea>"), DIV("<i></i><textarea id=t data-bind:x>1</textarea>"), true);
  replaces(DIV("<textarea data-bind:x>1</textarea>"), DIV("<textarea data-bind:x>2</textarea>"), false);
  replaces(DIV("<input data-bind:x value=\"1\">"), DIV("<input data-bind:x value=\"2\">"), false);
  replaces(DIV("<input data-bind:x>"), DIV("<textarea data-bind:x></textarea>"), false);
  replaces(DIV("<input data-bind:x__case.camel>"), DIV("<input data-bind:x__case.camel>"), true);
  replaces(DIV("<input>"), DIV("<input data-bind:x>"), true);
  replaces(DIV("<textarea>1</textarea>"), DIV("<textarea>2</textarea>"), true);
  replaces(DIV("<select><option selected>1</option></select>"), DIV("<select></select>"), false);
  replaces(DIV("<input data-bind:x>"), DIV("<input>"), false);
  replaces(DIV("<input data-bind:x>"), DIV("<input data-bind:y>"), false);
  replaces(DIV("<input data-bind=\"x\">"), DIV("<input data-bind=\"y\">"), false);
  replaces(DIV("<input data-bind:x__case.camel>"), DIV("<input data-bind:x>"), false);
  /* data-bind in a text or a textarea binds nothing */
  replaces(DIV("<input data-bind:x>"), DIV("<b>data-bind:x</b>"), false);
  replaces(DIV("<input data-bind:x>"), DIV("<i title=\" data-bind:x \"></i>"), false);
  replaces(DIV("<input data-bind:x>"), DIV("<textarea><input data-bind:x></textarea>"), false);
  replaces(DIV("<b data-bindings=\"x\"></b>"), DIV("<b data-bindings=\"x\"></b>"), false);
  replaces(DIV("<input data-bind:x data-init=\"y()\">"), DIV("<input data-bind:x>"), false);
  /* a textarea ends only at its end tag */
  replaces(DIV("<textarea></div><script></textarea>"), DIV("1"), false); /* a script, as far as is known */
  replaces(DIV("<textarea></div><b></TEXTAREA >"), DIV("1"), true);
  replaces(DIV("<textarea></div>"), DIV("1"), false);
  replaces(DIV("<textarea></textareas></div>"), DIV("1"), false);
  char many[800] = "<div id=\"a\">";
  for (int i = 0; i < 17; i++) {
    char whole[820];
    snprintf(many + strlen(many), sizeof many - strlen(many), "<input id=i%d data-bind:x%d>", i, i);
    snprintf(whole, sizeof whole, "%s</div>", many);
    replaces(whole, whole, i < 16);
  }
  replaces(DIV("<input type=radio name=n data-bind:x>"), DIV("<input type=radio name=n data-bind:x>"), true);
  replaces(DIV("<input type=RADIO data-bind:x>"), DIV("<input type=RADIO data-bind:x>"), false);
  replaces(DIV("<input data-bind:x data-bind=\"y\">"), DIV("<input data-bind:x data-bind=\"y\">"), false);
  replaces(DIV("<input data-bind=\"x&#121;\">"), DIV("<input data-bind=\"x&#121;\">"), false);
  replaces(DIV("<input id=i data-bind:a><input id=j data-bind:b>"),
           DIV("<input id=j data-bind:b><input id=i data-bind:a>"), true);
  replaces(DIV("<input id=i data-bind:a><input id=j data-bind=a>"),
           DIV("<input id=j data-bind=a><input id=i data-bind:a>"), false);
  replaces(DIV("<input id=i data-bind:a-b><input id=j data-bind=aB>"),
           DIV("<input id=j data-bind=aB><input id=i data-bind:a-b>"), false);
#undef DIV
}

/* Cases about parsing, which need no client. For cases with a client, see tests/browser/conflation.json. */
/* capability: F3 */
static void f3_signals_fields_and_focus_of_a_morph_are_kept(void **state) {
#define DIV(inside) "<div id=\"a\">" inside "</div>"
  /* signals that are shown, by name */
  replaces(DIV("<i data-text=\"$x\">"
               "</i>"),
           DIV("<b data-show='!$x'></b>"), true);
  replaces(DIV("<i data-text=\"$x\"></i>"), DIV("<b data-on:click='$x'></b>"), false);
  replaces(DIV("<b data-on:click='$x'></b>"), DIV("1"), true);
  replaces(DIV("<i data-text=\"$x.y + $z-1\"></i>"), DIV("<i data-text=\"$z-1\"></i><i data-text=\"$x.y\"></i>"), true);
  replaces(DIV("<i data-text=\"$x\"></i>"), DIV("<i data-text=\"$xy\"></i>"), false);
  replaces(DIV("<i data-text=\"$x &amp;&amp; $y\"></i>"), DIV("<i data-text=\"$y&lt;$x\"></i>"), true);
  replaces(DIV("<i data-text=\"&#36;x\"></i>"), DIV("<i data-text=\"&#36;x\"></i>"), false);
  replaces(DIV("<i data-text=\"$['x']\"></i>"), DIV("<i data-text=\"$['x']\"></i>"), false);
  replaces(DIV("<i data-text=\"`${$x}`\"></i>"), DIV("<i data-text=\"$x\"></i>"), true);
  replaces(DIV("<i data-text=\"'$'\"></i>"), DIV("1"), true);
  /* selects */
#define OPTIONS "<option>1</option><optgroup label=2><option value=2>2</option></optgroup><hr>"
  replaces(DIV("<select id=s>" OPTIONS "</select>"), DIV("1<SELECT id=s>" OPTIONS "</SELECT>"), false);
  replaces(DIV("<select id=s>" OPTIONS "</select>"), DIV("1<select id=s>" OPTIONS "</select>"), true);
  replaces(DIV("<select id=s>" OPTIONS "</select>"), DIV("1<select id=t>" OPTIONS "</select>"), true);
  replaces(DIV("<select id=s>" OPTIONS "</select>"), DIV("1"), true);
  replaces(DIV("1"), DIV("1<select id=s>" OPTIONS "</select>"), true);
  replaces(DIV("<select id=s><option>1</option></select><select id=t></select>"),
           DIV("1<select id=s><option>1</option></select><select id=t></select>"), true);
  replaces(DIV("<select id=s><option>1</option></select><select id=t></select>"),
           DIV("1<select id=t><option>1</option></select><select id=s></select>"), false);
  static const char *const odd[] = {DIV("<select id=s><option>1</select>"),
                                    DIV("<select id=s><option>1<option>2</select>"),
                                    DIV("<select id=s><input></select>"),
                                    DIV("<select id=s><option><i>1</i></option></select>"),
                                    DIV("<select id=s><optgroup><optgroup></optgroup></optgroup></select>"),
                                    DIV("<select id=s></optgroup></select>"),
                                    DIV("<select id=s><!-- 1 --></select>"),
                                    DIV("<select id=s>"),
                                    DIV("<option>1</option>"),
                                    DIV("<svg><input id=s></input></svg>"),
                                    DIV("<math><textarea id=s></textarea></math>")};
  for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) replaces(odd[i], DIV("1"), false);
  /* fields without ids, identified by their surroundings */
  replaces(DIV("<p><input></p>1"), DIV("<p><input class=x></p>2"), true);
  replaces(DIV("<p><input></p>1"), DIV("<p><input></p>&lt;"), false);
  replaces(DIV("<p><input></p>1"), DIV("<p><input></p>"), false);
  replaces(DIV("<p><input></p>\n"), DIV("<p><input></p>  "), true);
  replaces(DIV("<p><input></p>"), DIV("<P><INPUT></P>"), true);
  replaces(DIV("<p><input></p>"), DIV("<p><input type=checkbox></p>"), false);
  replaces(DIV("<p><input></p>"), DIV("<p><input></p><p></p>"), false);
  replaces(DIV("<p id=x><input></p>"), DIV("<p id=x><input></p><p></p>"), true);
  replaces(DIV("<p id=x><input></p>"), DIV("<p id=y><input></p>"), true);
  replaces(DIV("<p id=x><input></p>"), DIV("<p id=''><input></p>"), false);
  replaces(DIV("<p id=x><b id=y></b><input></p>"), DIV("<p id=x><b id=z></b><input></p>"), false);
  replaces(DIV("<p id=x><input></p>"), DIV("<p></p>"), true);
  replaces(DIV("1"), DIV("<p id=x><input></p>"), true);
  replaces(DIV("1<input type=hidden><input type=submit>"), DIV("<input type=Submit><input type=button>"), true);
  replaces(DIV("1<canvas></canvas>"), DIV("<canvas></canvas>1"), false);
  replaces(DIV("1<canvas id=x></canvas>"), DIV("<canvas id=x></canvas>1"), true);
  /* the focus */
  replaces(DIV("<input id=x autofocus>"), DIV("1<input autofocus id=x>"), true);
  replaces(DIV("<input id=x autofocus>"), DIV("1<input autofocus id=y>"), false);
  replaces(DIV("1"), DIV("1<input autofocus id=y>"), false);
#undef DIV
#undef OPTIONS
}

static void f3_event_with_id_or_retry_is_not_dropped(void **state) {
  const vestry_event_options of_stream[] = {{.id = "1"}, {.id = ""}, {.retry_ms = 2000}, {.retry_ms = 1000}};
  for (size_t i = 0; i < 4; i++) {
    vestry_event *event = elements("<div id=\"a\"></div>", &(vestry_elements_options){.event = of_stream[i]}),
                 *s = NULL;
    assert_int_equal(vsi_event_target(event)->effect, VSI_EFFECT_MORPH);
    assert_int_equal(vsi_event_target(event)->can_go, i == 3);
    assert_int_equal(vestry_event_signals_text(NULL, "{}", 2, &(vestry_signals_options){.event = of_stream[i]}, &s),
                     VESTRY_OK);
    assert_int_equal(vsi_event_target(s)->effect, VSI_EFFECT_SIGNALS);
    assert_int_equal(vsi_event_target(s)->can_go, i == 3);
    vestry_event_unref(event);
    vestry_event_unref(s);
  }
}

static void f3_only_single_line_signals_can_be_dropped(void **state) {
  static const struct {
    const char *json;
    bool only_if_missing, can_go;
  } all[] = {
      {"{\"a\":1}", false, true}, {"{\"a\":1}", true, false}, {"{\"a\":\n1}", false, false}, {"{}\n", false, false}};
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    vestry_event *event = NULL;
    vestry_signals_options options = {.only_if_missing = all[i].only_if_missing};
    assert_int_equal(vestry_event_signals_text(NULL, all[i].json, strlen(all[i].json), &options, &event), VESTRY_OK);
    const vsi_target *target = vsi_event_target(event);
    assert_int_equal(target->effect, all[i].only_if_missing ? VSI_EFFECT_MISSING : VSI_EFFECT_SIGNALS);
    assert_int_equal(target->can_go, all[i].can_go);
    assert_int_equal(target->json.len, strchr(all[i].json, '\n') ? 0 : strlen(all[i].json));
    vestry_event_unref(event);
  }
}

/* -------------------------------------------------------------------------------------------------- signals ------- */

static vestry_event *signals(const char *json) {
  vestry_event *event = NULL;
  assert_int_equal(vestry_event_signals_text(NULL, json, strlen(json), NULL, &event), VESTRY_OK);
  return event;
}

/* expected NULL: both stay; "": the second alone is enough. */
static void merges(const char *a, const char *b, const char *expected) {
  vestry_event *first = signals(a), *second = signals(b), *merged = NULL;
  vestry_err error = vsi_signals_merge(NULL, vsi_event_target(first), vsi_event_target(second), &merged);
  assert_int_equal(error, expected ? VESTRY_OK : VESTRY_UNSUPPORTED);
  if (merged) {
    char bytes[256];
    assert_non_null(expected);
    snprintf(bytes, sizeof bytes, "event: datastar-patch-signals\ndata: signals %s\n\n", expected ? expected : "");
    assert_int_equal(vestry_event_bytes(merged).len, strlen(bytes));
    assert_memory_equal(vestry_event_bytes(merged).data, bytes, strlen(bytes));
  } else {
    assert_true(!expected || !*expected);
  }
  vestry_event_unref(first);
  vestry_event_unref(second);
  vestry_event_unref(merged);
}

/* capability: F3 */
static void f3_signal_patches_are_merged_if_equivalent(void **state) {
  merges("{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}");
  merges("{\"a\":1,\"b\":1}", "{\"a\":null}", "{\"a\":null,\"b\":1}");
  merges("{\"a\":{\"b\":1}}", "{\"a\":{\"c\":null}}", "{\"a\":{\"b\":1,\"c\":null}}");
  merges("{\"a\":{\"b\":1},\"c\":1}", "{\"a\":[1]}", "{\"a\":[1],\"c\":1}");
  merges("{\"a\":1}", "{\"a\":2}", "");
  merges("{}", "{\"a\":{\"b\":1.50}}", "");
  merges("{\"a\":null}", "{\"a\":{\"b\":1}}", NULL);
  merges("{\"a\":1}", "{\"a\":{}}", NULL);
  merges("{\"a\":1.5}", "{\"b\":1}", NULL); /* the number would be written differently */
  merges("{\"a\":[{\"b\":0.1}]}", "{\"b\":1}", NULL);
  merges("{\"a\":123456789012345678901}", "{\"b\":1}", NULL);
  merges("{\"a\":1,\"a\":2}", "{\"b\":1}", NULL);
  merges("{\"a\":\n1}", "{\"b\":1}", NULL);
  merges("{\"a\":\"\\u0000\"}", "{\"b\":1}", NULL);
}

static void f3_large_signal_patches_are_not_merged(void **state) {
  char deep[2][256] = {"", ""}, wide[5000];
  for (int i = 0; i < 20; i++) {
    strcat(deep[0], "{\"a\":");
    strcat(deep[1], "{\"a\":");
  }
  strcat(deep[0], "{\"b\":1}");
  strcat(deep[1], "{\"c\":1}");
  for (int i = 0; i < 20; i++) {
    strcat(deep[0], "}");
    strcat(deep[1], "}");
  }
  merges(deep[0], deep[1], NULL);
  memset(wide, ' ', sizeof wide);
  memcpy(wide, "{\"a\":1", 6);
  memcpy(wide + sizeof wide - 2, "}", 2);
  merges(wide, "{\"b\":1}", NULL);
  merges("{\"b\":1}", wide, NULL);
}

static vestry_err merge_two(test_host *th, void *ctx) {
  vestry_event *events[2] = {NULL, NULL}, *merged = NULL;
  const vsi_target *targets[2] = {NULL, NULL};
  static const char *const texts[] = {"{\"a\":{\"b\":1}}", "{\"a\":{\"c\":[1]},\"d\":\"e\"}"};
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < 2 && !error; i++) {
    error = vestry_event_signals_text(&th->host, texts[i], strlen(texts[i]), NULL, &events[i]);
    if (!error && !(targets[i] = vsi_event_target(events[i]))) error = VESTRY_NO_MEMORY;
  }
  if (!error) error = vsi_signals_merge(&th->host, targets[0], targets[1], &merged);
  if (!error) assert_non_null(merged);
  if (error) assert_null(merged);
  for (int i = 0; i < 2; i++) vestry_event_unref(events[i]);
  vestry_event_unref(merged);
  return error;
}

static void f3_failed_allocation_in_a_merge_is_reported(void **state) {
  test_host_fail_each(merge_two, NULL, false);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(f3_id_is_read_as_a_browser_reads_it),
      cmocka_unit_test(f3_names_are_read_alike_in_any_locale),
      cmocka_unit_test(f3_nesting_over_64_levels_has_no_target),
      cmocka_unit_test(f3_data_lines_are_joined_as_by_the_client),
      cmocka_unit_test(f3_active_content_has_no_target),
      cmocka_unit_test(f3_selector_and_mode_determine_the_effect),
      cmocka_unit_test(f3_morph_replaces_only_equal_mode_namespace_and_id),
      cmocka_unit_test(f3_morph_is_replaced_only_if_its_bindings_are_kept),
      cmocka_unit_test(f3_signals_fields_and_focus_of_a_morph_are_kept),
      cmocka_unit_test(f3_event_with_id_or_retry_is_not_dropped),
      cmocka_unit_test(f3_only_single_line_signals_can_be_dropped),
      cmocka_unit_test(f3_signal_patches_are_merged_if_equivalent),
      cmocka_unit_test(f3_large_signal_patches_are_not_merged),
      cmocka_unit_test(f3_failed_allocation_in_a_merge_is_reported),
  };
  return cmocka_run_group_tests(tests, NULL, NULL);
}
