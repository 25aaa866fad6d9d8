/* SPDX-License-Identifier: MIT */
#include "ops/observe/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/histogram.h"
#include "support/locale.h"
#include "support/test.h"
#include "support/test_host.h"

/* Return the text of a gauge with this value, without the rest of its line. */
static const char *text_of(test_host *th, double value) {
  static char text[64];
  vsi_buffer line;
  vsi_buffer_init(&line, &th->host);
  const vestry_metric metric = {.name = "n", .kind = VESTRY_METRIC_GAUGE, .value = value};
  vsi_series_put(&line, VESTRY_METRICS_OPEN, &metric);
  assert_non_null(vsi_buffer_terminate(&line));
  assert_memory_equal(line.data, "n ", 2);
  assert_true(line.len > 3 && line.data[line.len - 1] == '\n' && line.len < sizeof text);
  line.data[line.len - 1] = '\0';
  strcpy(text, line.data + 2);
  vsi_buffer_finish(&line);
  return text;
}

/* capability: H2 */
HOST_CASE(number_has_the_fewest_digits_that_read_back_equal) {
  static const struct {
    double value;
    const char *text;
  } numbers[] = {{0, "0"},
                 {3, "3"},
                 {-3, "-3"},
                 {.12, "0.12"},
                 {-3.5, "-3.5"},
                 {1e-5, "1e-05"},
                 {999999999999999, "999999999999999"},
                 {1e22, "1e+22"},
                 {9007199254740992, "9007199254740992"}, /* 16 digits */
                 {1. / 3, "0.3333333333333333"},         /* 15 digits would be another number */
                 {.1 + .2, "0.30000000000000004"},       /* 16 digits would be another number */
                 {120000000 * 1e-9, "0.12000000000000001"}};
  for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
    assert_string_equal(text_of(th, numbers[i].value), numbers[i].text);
}

/* A scraper rejects a whole text because of one number with another decimal separator. That of ps_AF has two bytes. */
/* capability: H2 */
HOST_CASE(number_does_not_depend_on_the_locale) {
  test_locale locale;
  if (!test_locale_begin(&locale, "ps_AF")) TEST_SKIP("the definitions of locales are not installed");
  assert_string_equal(text_of(th, .12), "0.12");
  assert_string_equal(text_of(th, -1. / 3), "-0.3333333333333333");
  test_locale_end(&locale);
}

/* Seconds, exactly: nine decimal places without trailing zeros. */
static const char *exact_text(uint64_t ns) {
  static char text[40];
  size_t len = (size_t)snprintf(text, sizeof text, "%llu.%09llu", (unsigned long long)(ns / 1000000000),
                                (unsigned long long)(ns % 1000000000));
  while (text[len - 1] == '0') len--;
  text[text[len - 1] == '.' ? len - 1 : len] = '\0';
  return text;
}

/* capability: H2 */
HOST_CASE(sum_of_times_is_exact_to_the_nanosecond) {
  uint64_t seed = 11;
  for (int i = 0; i < 20000; i++) {
    seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
    const uint64_t ns = i ? 100000 + (seed >> 16) % UINT64_C(999999999900000) : 120000000; /* up to eleven days */
    vsi_histogram histogram = {.sum = 0};
    vsi_histogram_counts counts;
    vsi_histogram_add(&histogram, &vsi_moments, ns);
    vsi_histogram_get(&histogram, &vsi_moments, &counts);
    assert_string_equal(text_of(th, counts.sum_s), exact_text(ns));
  }
}
