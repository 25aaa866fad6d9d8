/* SPDX-License-Identifier: MIT */
#include "html/builder.h"

#include <inttypes.h>
#include <limits.h>
#include <locale.h>

#include "html/expect.h"
#include "support/test.h"

/* These formats are wrong on purpose, and the compiler would warn of them. */
#pragma GCC diagnostic ignored "-Wformat-nonliteral"

/* Assert the output of printf in the C locale. */
static vestry_html html;
#define SAME(...)                                                                                                      \
  do {                                                                                                                 \
    static char made[4096];                                                                                            \
    snprintf(made, sizeof made, __VA_ARGS__);                                                                          \
    vestry_html_add(&html, __VA_ARGS__);                                                                               \
    expect_html(&html, made);                                                                                          \
  } while (0)

/* Called through a pointer, so that the compiler does not check the format. */
static vestry_err (*const unchecked)(vestry_html *to, const char *format, ...) = vestry_html_add;

TEST_CASE(integers_are_formatted_as_by_printf) {
  static const int numbers[] = {0, 1, -1, 42, -42, 123456789, INT_MAX, INT_MIN};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    int n = numbers[i];
    SAME("%d|%i|%u|%x|%X", n, n, (unsigned)n, (unsigned)n, (unsigned)n);
    SAME("%5d|%-5d|%05d|%+d|% d|%+5d|%-+5d|%+05d", n, n, n, n, n, n, n, n);
    SAME("%.0d|%.3d|%8.3d|%-8.3d|%+.3d", n, n, n, n, n);
    SAME("%#x|%#X|%#10x|%#010x|%-#10x|%.5x|%#.5x", (unsigned)n, (unsigned)n, (unsigned)n, (unsigned)n, (unsigned)n,
         (unsigned)n, (unsigned)n);
    SAME("%*d|%*d|%.*d|%-*d", 7, n, -7, n, 3, n, 7, n);
    SAME("%hhd|%hd|%hhu|%hu|%hhx", (signed char)n, (short)n, (unsigned char)n, (unsigned short)n, (unsigned char)n);
    SAME("%ld|%lld|%jd|%zd|%td", (long)n, (long long)n, (intmax_t)n, (ssize_t)n, (ptrdiff_t)n);
  }
  SAME("%lu|%llu|%ju|%zu|%lx", ULONG_MAX, ULLONG_MAX, UINTMAX_MAX, SIZE_MAX, ULONG_MAX);
  SAME("%ld|%lld|%" PRId64 "|%" PRIu64, LONG_MIN, LLONG_MIN, INT64_MIN, UINT64_MAX);
  SAME("%1000d|%-1000d|%01000d|%.1000d", 1, 1, 1, 1);
  SAME("100%% of %d%%", 5);
  unchecked(&html, "%hhd %hu", 511, 65537); /* truncated to the type of the conversion, as by printf */
  expect_html(&html, "-1 1");
}

TEST_CASE(doubles_are_formatted_as_by_printf) {
  static const double numbers[] = {0,     -0.0, 1, -1.5, 0.1, 1e-10, 123456.789, 1e15, 1e17, 1.7976931348623157e308,
                                   5e-324};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
    double n = numbers[i];
    SAME("%f|%g|%.0f|%.3f|%.17g|%lf", n, n, n, n, n, n);
    SAME("%12.2f|%-12.2f|%012.2f|%+.2f|% .2f|%#.0f|%#g|%+012g", n, n, n, n, n, n, n, n);
  }
  SAME("%f|%5f|%-5f|%05f|%+f|%g", 1.0 / 0.0, 1.0 / 0.0, 1.0 / 0.0, 1.0 / 0.0, -1.0 / 0.0, -1.0 / 0.0);
  SAME("%.1000f|%1000.3f", 1e308, 0.5);
  vestry_html_add(&html, "%g", __builtin_nan(""));
  expect_html(&html, "nan");
}

/* Uses the locales with a decimal comma that are installed. The output has the decimal point of the C locale. */
TEST_CASE(output_does_not_depend_on_the_locale) {
  static const char *const locales[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF", "fa_IR", "C.UTF-8"};
  size_t commas = 0;
  for (size_t i = 0; i < sizeof locales / sizeof *locales; i++) {
    if (!setlocale(LC_ALL, locales[i])) continue;
    commas += *localeconv()->decimal_point != '.';
    vestry_html_add(&html, "%.2f %8.1f %g %08.2f", 1234567.25, -0.5, 1e-7, 1.5);
    setlocale(LC_ALL, "C");
    expect_html(&html, "1234567.25     -0.5 1e-07 00001.50");
  }
  if (!commas) TEST_SKIP("no locale with another decimal point is installed");
}

TEST_CASE(texts_are_escaped_with_width_and_precision) {
  vestry_html_add(&html, "%s|%5s|%.2s|%.*s|%.*s|%5.1s|%.0s|%.s", "a<", "<", "abc", 1, "abc", -1, "abc", "xy", "a", "b");
  expect_html(&html, "a&lt;|    &lt;|ab|a|abc|    x||");
  vestry_html_add(&html, "%c%c|%3c", 'a', '<', '>');
  expect_html(&html, "a&lt;|  &gt;");
  vestry_html_add(&html, "%c|%c", 0, 0xE4);
  expect_html(&html, "\xEF\xBF\xBD|\xEF\xBF\xBD");
  const char unterminated[] = {'a', 'b', '<'};
  vestry_html_add(&html, "%.3s|%-.*s", unterminated, 2, unterminated);
  expect_html(&html, "ab&lt;|ab");
  /* a precision splits no character */
  vestry_html_add(&html, "%.1s|%.2s|%.3s|%.2s|%.3s|%.1s", "\xC3\xA4", "\xC3\xA4", "\xC3\xA4\xC3\xA4", "\xE2\x82\xAC",
                  "a\xF0\x9F\x96\x95", "\xFFx");
  expect_html(&html, "|\xC3\xA4|\xC3\xA4||a|\xEF\xBF\xBD");
}

TEST_CASE(numbers_are_allowed_at_every_position) {
  vestry_html_add(&html, "<h%d style=\"width:%.1f%%\" tabindex=%d onclick=\"f(%d,'%d')\"><!-- %d --></h%d>%s", 2, 12.5,
                  0, -1, 3, 4, 2, "<");
  expect_html(&html, "<h2 style=\"width:12.5%\" tabindex=0 onclick=\"f(-1,'3')\"><!-- 4 --></h2>&lt;");
}

TEST_CASE(unsupported_format_is_refused_with_its_offset) {
  const char *volatile nothing = NULL; /* volatile, because the compiler would warn of NULL too */
  volatile int lowest = INT_MIN;
  static const struct {
    const char *format, *words;
    size_t offset;
  } rows[] = {
      {"%n", "not supported", 0},    {"ab%p", "not supported", 2},     {"%o", "not supported", 0},
      {"%e", "not supported", 0},    {"%a", "not supported", 0},       {"%S", "not supported", 0},
      {"%C", "not supported", 0},    {"%m", "not supported", 0},       {"%'d", "not supported", 0},
      {"%1$d", "not supported", 0},  {"%Lf", "not supported", 0},      {"%qd", "not supported", 0},
      {"%ls", "is not allowed", 0},  {"%lc", "is not allowed", 0},     {"%hs", "is not allowed", 0},
      {"%#s", "is not allowed", 0},  {"%0s", "is not allowed", 0},     {"%+s", "is not allowed", 0},
      {"% u", "is not allowed", 0},  {"%+x", "is not allowed", 0},     {"%#d", "is not allowed", 0},
      {"%llf", "is not allowed", 0}, {"%hf", "is not allowed", 0},     {"%-c", "%c accepts", 0},
      {"%.1c", "%c accepts", 0},     {"%-5s", "no width", 0},          {"%1001d", "too large", 0},
      {"%.1001d", "too large", 0},   {"%99999999999d", "too larg", 0}, {"%1001s", "too large", 0},
      {"%", "ends inside", 0},       {"a%-", "ends inside", 1},        {"a%5.", "ends inside", 1},
      {"%%%l", "ends inside", 2},    {"% ", "ends inside", 0},         {"%.", "ends inside", 0},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(unchecked(&html, rows[i].format, 1), VESTRY_INVALID);
    expect_refused(&html, rows[i].offset, rows[i].words);
  }
  assert_int_equal(unchecked(&html, NULL), VESTRY_INVALID);
  expect_refused(&html, 0, "NULL");
  assert_int_equal(unchecked(&html, "<p>%s", nothing), VESTRY_INVALID);
  expect_refused(&html, 3, "NULL");
  assert_int_equal(unchecked(&html, "%*d", lowest, 1), VESTRY_INVALID);
  expect_refused(&html, 0, "too large");
  assert_int_equal(unchecked(&html, "%-s%s", "<p ", "a"), VESTRY_INVALID);
  expect_refused(&html, 3, "inside a tag");
}

/* Texts are refused at the positions that the table in vestry/html.h excludes. */
/* capability: E4 */
TEST_CASE(texts_are_refused_at_unescapable_positions) {
  static const char *const rows[] = {
      "<%s>",
      "<p %s>",
      "<p %s=\"\">",
      "<p title=%s>",
      "<p title= %s>",
      "<!-- %s -->",
      "<script>%s",
      "<script>'%s'",
      "<style>%s",
      "<p style=\"%s\">",
      "</%s>",
      "<p onclick=\"%s",
      "<p data-text=\"%s",
      "<p data-on:click=\"`%s",
      "<iframe srcdoc='%s'",
      "<!%s>",
      "<p onclick=\"// %s",
      "<xmp>%s",
      "<a href=\"javascript:%s",
      "<p/%s",
      "<p data-show=\"'&%s",
      "<p data-show=\"'\\&%s",
      "a&%s",
      "a&l%s",
      "&#%s",
      "&#x2%s",
      "<p title='&quot%s",
      "<a href=\"?a&%s",
      "&CounterClockwiseContourIntegral%s",
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    assert_int_equal(unchecked(&html, rows[i], "a"), VESTRY_INVALID);
    expect_refused(&html, (size_t)(strchr(rows[i], '%') - rows[i]), "");
  }
}

int main(void) {
  vestry_html_init(&html, NULL);
  int failed = cases_run("html/format", NULL, NULL);
  vestry_html_finish(&html);
  return failed;
}
