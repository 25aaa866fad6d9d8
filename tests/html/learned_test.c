/* SPDX-License-Identifier: MIT */
/* Compares a builder that learns its formats with a fixed one, which never learns. */
#include "html/builder.h"

#include "support/test.h"
#include "support/test_host.h"

/* A call that can come at any position. */
typedef void call(vestry_html *html, const char *text, int number);

#define CALL(name, ...)                                                                                                \
  static void name(vestry_html *html, const char *text, int number) {                                                  \
    (void)text, (void)number;                                                                                          \
    vestry_html_add(html, __VA_ARGS__);                                                                                \
  }
CALL(row, "<li id=\"row-%06d\">Row %06d of these</li>", number, -number)
CALL(linked, "<a href=\"/rooms/%s/%d\" title='%s'>%s</a>", text, number, text, text)
CALL(open_link, "<a href=\"%s\">", text)
CALL(half_a_link, "<a href=\"%d%s", number, text)
CALL(javascript, "<a href=\"java%s\">%s</a>", text, text)
CALL(action, "<b data-on:click=\"@post('/x/%s?n=%d', %d)\" data-text=\"$a + '%s'\">%d%%</b>", text, number, number,
     text, number)
CALL(code, "<b data-text=\"$a + %s\">", text)
CALL(ampersand, "a&amp%s;b&%s", text, text)
CALL(ampersand_in_code, "<b data-text=\"'&%d' + '%s'\">", number, text)
CALL(pre, "<pre>%s</pre><pre>\n%s</pre>", text, text)
CALL(ends_in_pre, "%d<pre>", number)
CALL(area, "<textarea name=\"n\">x%s</textarea><title>%s</title>", text, text)
CALL(raw, "<div>%-s</div><p>%s</p>", "<i>ok</i>", text)
CALL(raw_text, "%d%-s%s", number, text, text)
CALL(raw_comment, "<i>%-s%s</i>%s", number % 2 ? "<!--" : "-->", "t", text)
CALL(raw_tag, "<%-s id=\"%s\">%s</%-s>", number % 3 ? "main" : "style", text, text, number % 3 ? "main" : "style")
CALL(raw_in_value, "<a href=\"%-s%s\" title=\"%-s\">%-s%s", number % 4 ? "/x/" : "java", text,
     number % 5 ? "ok" : "\"><!--", "<b>", text)
CALL(raw_in_code, "<a data-on:click=\"%-s%d; f('%s')\">", number % 4 ? "$a = " : "$a = '", number, text)
CALL(raw_null, "<%-s>%d", number % 16 ? "b" : NULL, number)
CALL(comment, "<!-- %d %%", number)
CALL(comment_end, " -->%s", text)
CALL(noscript, "<noscript><p title=\"%s\">%s</p>", text, text)
CALL(noscript_end, "</noscript>%s", text)
CALL(script, "<script>const n = %d;</script>", number)
CALL(style, "<style>a{width:%dpx}</style>%s", number, text)
CALL(style_text, "<p style=\"width:%s\">", text)
CALL(meta, "<meta http-equiv=\"refresh\" content=\"%d\"><meta content=\"%s\">", number, text)
CALL(numbers, "%u|%5d|%-5d|%05d|%+d|% d|%x|%#X|%.3d|%hhd|%ld|%zu|%f|%.2g", (unsigned)number, number, number, number,
     number, number, (unsigned)number, (unsigned)number, number, (signed char)number, (long)number * 1000000007L,
     (size_t)(unsigned)number, number / 8.0, number * 1e9)
CALL(stars, "%*d|%-*d|%.*s|%.3s|%9s|%c", number % 50, number, 3, number, number % 5, text, text, text,
     'a' + number % 26)
CALL(star_below, "%*s|", -(number & 1), text)
CALL(wide, "%100d|%33d|%32d|%031d|%1000d", number, number, number, number, number)
CALL(cr, "\r%s\r%s", text, "\n")
CALL(unfinished, "<b title='%s", text)
CALL(finished, "'>%s", text)
CALL(open_code, "<b data-text=\"$a + ")
CALL(code_goes_on, "f('%s', %d)\" title=\"%s", text, number, text)
CALL(value_goes_on, "%d, %s\" href=\"/x/%s\"><i title='%s", number, text, text, text)
CALL(tag_goes_on, " id=\"%s\" class=%-s>%s", text, number % 3 ? "a" : "\"", text)
CALL(plain, "<hr>")
CALL(percent, "%%%%%d%%", number)
CALL(null_text, "<b>%s</b>", number % 16 ? text : NULL)

static void just_text(vestry_html *html, const char *text, int number) {
  vestry_html_text(html, text, strlen(text));
}

/* Different formats at one address. */
static void changing(vestry_html *html, const char *text, int number) {
  static char format[32];
  strcpy(format, number % 3 ? "<u>%d</u>" : "<u a=\"%d");
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
  vestry_html_add(html, format, number);
#pragma GCC diagnostic pop
}

static call *const calls[] = {raw_tag,    raw_in_value, raw_in_code,       raw_null,     row,          linked,
                              open_link,  half_a_link,  javascript,        action,       code,         ampersand,
                              pre,        area,         ampersand_in_code, raw,          raw_text,     raw_comment,
                              comment,    comment_end,  noscript,          noscript_end, script,       style,
                              style_text, meta,         numbers,           stars,        star_below,   wide,
                              cr,         unfinished,   finished,          plain,        percent,      null_text,
                              just_text,  changing,     ends_in_pre,       open_code,    code_goes_on, value_goes_on,
                              tag_goes_on};
enum { CALLS = sizeof calls / sizeof *calls };

static const char *const texts[] = {
    "",   "a",           "script:", "<b>&\"'", "\nb",     "amp;", "#39;", "\xC3\xA4\xFF",
    "/x", "javascript:", "a\rb",    "\\",      "*/ $x `", "0"};
enum { TEXTS = sizeof texts / sizeof *texts };

static uint64_t seed;
static unsigned chance(unsigned below) {
  seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
  return (unsigned)(seed >> 33) % below;
}

static void expect_alike(const vestry_html *learned, const vestry_html *other) {
  const char *why, *other_why;
  size_t at, other_at;
  assert_int_equal(vestry_html_error(learned, &why, &at), vestry_html_error(other, &other_why, &other_at));
  assert_string_equal(why, other_why);
  assert_int_equal(at, other_at);
  const vsi_html *made = vsi_html_of(learned), *expected = vsi_html_of(other);
  assert_int_equal(made->len, expected->len);
  if (made->len) assert_memory_equal(made->data, expected->data, made->len);
}

TEST_CASE(learned_formats_write_what_parsed_ones_write) {
  enum { PAGES = 40000, BYTES = 1 << 16 };
  static char buffer[BYTES];
  vestry_html learned, other;
  vestry_html_init(&learned, NULL);
  for (int page = 0; page < PAGES; page++) {
    vestry_html_clear(&learned);
    vsi_html_init_fixed(vsi_html_of(&other), buffer, sizeof buffer);
    unsigned count = 1 + chance(8), variety = chance(3) ? CALLS : 4, from = chance(CALLS);
    for (unsigned i = 0; i < count; i++) {
      call *next = calls[(from + chance(variety)) % CALLS];
      const char *text = texts[chance(TEXTS)];
      int number = (int)chance(200) - 100;
      if (number < 0 && next == stars) number = -number;
      next(&learned, text, number);
      next(&other, text, number);
      expect_alike(&learned, &other);
    }
  }
  assert_non_null(vsi_html_of(&learned)->learned);
  vestry_html_finish(&learned);
}

static const char letters[] = "<li class=\"%s\">%d: %s</li>";

static vestry_err add_rows(test_host *th, void *ctx) {
  vestry_html html;
  vestry_html_init(&html, &th->host);
  vestry_err error = VESTRY_OK;
  for (int i = 0; i < *(int *)ctx && !error; i++) error = vestry_html_add(&html, letters, "a", i, "b");
  if (!error)
    assert_int_equal(vsi_html_of(&html)->len, strlen("<li class=\"a\">0: b</li>") * 10 + 24 * (*(int *)ctx - 10u));
  vestry_html_finish(&html);
  return error;
}

TEST_CASE(formats_are_parsed_if_learning_lacks_memory) {
  int rows = 40;
  test_host_fail_each(add_rows, &rows, true);
}

/* A builder of few pieces allocates nothing for learning. */
TEST_CASE(builder_learns_after_a_few_pieces) {
  vestry_html html;
  vestry_html_init(&html, NULL);
  for (int i = 0; i < 10; i++) vestry_html_add(&html, letters, "a", i, "b");
  assert_null(vsi_html_of(&html)->learned);
  for (int i = 0; i < 10; i++) vestry_html_add(&html, letters, "a", i, "b");
  assert_non_null(vsi_html_of(&html)->learned);
  vestry_html_finish(&html);
  assert_null(vsi_html_of(&html)->learned);
}

/* More formats than the table of learned formats holds. */
TEST_CASE(more_formats_than_fit_are_written_correctly) {
  enum { FORMATS = 300 };
  static char formats[FORMATS][24];
  vestry_html html;
  vestry_html_init(&html, NULL);
  for (int i = 0; i < FORMATS; i++) snprintf(formats[i], sizeof formats[i], "<b>%d%%d</b>", i);
  for (int round = 0; round < 4; round++) {
    for (int i = 0; i < FORMATS; i++) {
      char expected[32];
      vestry_slice made;
      snprintf(expected, sizeof expected, "<b>%d%d</b>", i, round);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
      for (int twice = 0; twice < 2; twice++) {
        vestry_html_clear(&html);
        vestry_html_add(&html, formats[i], round);
        assert_int_equal(vestry_html_result(&html, &made), VESTRY_OK);
        assert_string_equal(made.data, expected);
      }
#pragma GCC diagnostic pop
    }
  }
  vestry_html_finish(&html);
}
