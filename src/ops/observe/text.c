/* SPDX-License-Identifier: MIT */
#include "ops/observe/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "base/real.h"
#include "base/utf8.h"

/* Number of series that a scraper stores for a metric: its lines. */
static size_t series_count(const vestry_metric *metric) {
  return metric->kind == VESTRY_METRIC_HISTOGRAM ? metric->bounds_count + 3 : 1;
}

/* One series as lines of text: name, label, value; for a histogram its buckets. */

/* Escape a text by the rules of both formats: backslash, line feed, and quotation mark in a label's value. */
static void put_escaped(vsi_buffer *text, const char *from) {
  for (const char *at = from; *at; at++) {
    if (*at == '\n')
      vsi_buffer_append_str(text, "\\n");
    else if (*at == '\\' || *at == '"')
      vsi_buffer_append(text, (const char[]){'\\', *at}, 2);
    else
      vsi_buffer_append_char(text, *at);
  }
}

static void put_series_value(vsi_buffer *text, double value) {
  char number[VSI_REAL_BYTES];
  const size_t len = vsi_real_write(value, number);
  vsi_buffer_append_char(text, ' ');
  vsi_buffer_append(text, number, len);
  vsi_buffer_append_char(text, '\n');
}

/* Write a line. le: the upper bound of a bucket; NULL: none. */
static void put_sample(vsi_buffer *text, const vestry_metric *metric, const char *end, const char *le, double value) {
  vsi_buffer_append_str(text, metric->name);
  vsi_buffer_append_str(text, end);
  if (metric->label || le) vsi_buffer_append_char(text, '{');
  if (metric->label) {
    vsi_buffer_append_str(text, metric->label);
    vsi_buffer_append(text, "=\"", 2);
    put_escaped(text, metric->label_value ? metric->label_value : "");
    vsi_buffer_append_char(text, '"');
  }
  if (le) vsi_buffer_printf(text, "%sle=\"%s\"", metric->label ? "," : "", le);
  if (metric->label || le) vsi_buffer_append_char(text, '}');
  put_series_value(text, value);
}

/* Each bucket in the text includes those below it, so the last one includes all. In OpenMetrics a bound must not look
 * like an integer. */
static void put_histogram(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric) {
  uint64_t count = 0;
  for (size_t i = 0; i <= metric->bounds_count; i++) {
    char bound[VSI_REAL_BYTES + 2] = "+Inf";
    if (i < metric->bounds_count) (void)vsi_real_write(metric->bounds[i], bound);
    if (format == VESTRY_METRICS_OPEN && !strpbrk(bound, ".eI")) strcat(bound, ".0");
    count += metric->counts[i];
    put_sample(text, metric, "_bucket", bound, (double)count);
  }
  put_sample(text, metric, "_sum", NULL, metric->value);
  put_sample(text, metric, "_count", NULL, (double)count);
}

void vsi_series_put(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric) {
  if (metric->kind == VESTRY_METRIC_HISTOGRAM)
    put_histogram(text, format, metric);
  else
    put_sample(text, metric, metric->kind == VESTRY_METRIC_COUNTER ? "_total" : "", NULL, metric->value);
}

enum { NAME_MAX_LEN = 100 };

static bool is_metric_name(const char *name) {
  static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  const size_t len = name ? strlen(name) : 0;
  return len && len <= NAME_MAX_LEN && !vsi_is_digit(*name) && strspn(name, all) == len;
}

/* Check for an ending that the formats add to names: the series would be taken for one of another family. */
static bool has_metric_end(const char *name) {
  const char *end = strrchr(name, '_');
  return end && (strcmp(end, "_total") == 0 || strcmp(end, "_bucket") == 0 || strcmp(end, "_sum") == 0 ||
                 strcmp(end, "_count") == 0);
}

static bool is_of_library(const char *name) {
  return strncmp(name, "vestry_", 7) == 0;
}

static bool has_good_bounds(const vestry_metric *metric) {
  if (!metric->bounds || !metric->counts) return false;
  if (!metric->bounds_count || metric->bounds_count > VESTRY_METRICS_BOUNDS_MAX_COUNT) return false;
  for (size_t i = 0; i < metric->bounds_count; i++)
    if (!isfinite(metric->bounds[i]) || (i && metric->bounds[i] <= metric->bounds[i - 1])) return false;
  return true;
}

/* Return which rule of vestry_metric a series breaks; NULL: none. */
static const char *mistake_of_metric(const vestry_metric *metric) {
  const bool is_histogram = metric->kind == VESTRY_METRIC_HISTOGRAM;
  if (!is_metric_name(metric->name) || has_metric_end(metric->name)) return "the name of a metric is not well formed";
  if (metric->is_library && !is_of_library(metric->name))
    return "the name of a library's metric does not begin with vestry_";
  if (metric->label && !is_metric_name(metric->label)) return "the name of a label is not well formed";
  if (metric->label && is_histogram && strcmp(metric->label, "le") == 0)
    return "the label le of a histogram is reserved for its bounds";
  const char *value = metric->label_value ? metric->label_value : "";
  if (strlen(value) > NAME_MAX_LEN || !vsi_is_utf8(value, strlen(value)))
    return "the value of a label is longer than 100 bytes, or not valid UTF-8";
  if (metric->kind != VESTRY_METRIC_COUNTER && metric->kind != VESTRY_METRIC_GAUGE && !is_histogram)
    return "the kind of a metric is unknown";
  if (!isfinite(metric->value) || (metric->kind != VESTRY_METRIC_GAUGE && metric->value < 0))
    return "the value of a metric is not finite, or negative though it is no gauge";
  if (is_histogram && !has_good_bounds(metric))
    return "the bounds of a histogram are missing, too many, not finite, or not ascending";
  return NULL;
}

/* Write the help. Line feeds and backslashes become spaces. Quotation marks become apostrophes, because Prometheus'
 * format does not escape them in help. */
static void put_help(vsi_buffer *text, const char *from) {
  for (const char *at = from; *at; at++)
    vsi_buffer_append_char(text, *at == '\n' || *at == '\\' ? ' ' : *at == '"' ? '\'' : *at);
}

/* Check whether the text already has a line with the type of a family. The name is well formed. */
static bool has_family(const vsi_metrics *metrics, const char *name) {
  char line[NAME_MAX_LEN + 16];
  const char *const ends[] = {" ", "_total "};
  for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
    const int len = snprintf(line, sizeof line, "\n# TYPE %s%s", name, ends[i]);
    if (memmem(metrics->text.data, metrics->text.len, line, (size_t)len)) return true;
  }
  return false;
}

static bool is_of_last_family(const vsi_metrics *metrics, const char *name) {
  const size_t len = strlen(name);
  return metrics->text.data && len == metrics->family_len &&
         memcmp(metrics->text.data + metrics->family_at, name, len) == 0;
}

/* In Prometheus' format the family of a counter has the name of its series. */
static void put_family(vsi_metrics *metrics, const vestry_metric *metric) {
  static const char *const kinds[] = {"counter", "gauge", "histogram"};
  const bool is_counter = metric->kind == VESTRY_METRIC_COUNTER;
  const char *end = is_counter && metrics->format == VESTRY_METRICS_TEXT ? "_total" : "";
  vsi_buffer *text = &metrics->text;
  vsi_buffer_append_str(text, "# TYPE ");
  metrics->family_at = text->len;
  metrics->family_len = strlen(metric->name);
  metrics->family_kind = metric->kind;
  vsi_buffer_printf(text, "%s%s %s\n# HELP %s%s ", metric->name, end, kinds[metric->kind], metric->name, end);
  put_help(text, metric->help ? metric->help : "");
  vsi_buffer_append_char(text, '\n');
}

/* Refuse a series, because the program has too many. */
static vestry_err too_many(const vsi_metrics *metrics, const char *name) {
  if (!atomic_exchange_explicit(metrics->was_full, true, memory_order_relaxed))
    vsi_log(metrics->host, VESTRY_LOG_WARN,
            "metrics: the program has more than %d series (VESTRY_METRICS_MAX_COUNT), so the scrape lacks some of %s; "
            "usually a label has too many values",
            VESTRY_METRICS_MAX_COUNT, name);
  return VESTRY_LIMIT;
}

/* vestry_metrics_add: check the series, and write it after its family. The metrics of this library are not checked. */
static vestry_err add_series(vestry_metrics *to, const vestry_metric *given) {
  vsi_metrics *metrics = (vsi_metrics *)to;
  vestry_metric metric = given ? *given : (vestry_metric){0};
  if (!given) return vsi_mistake(metrics->host, "vestry_metrics_add", "the metric is NULL");
  if (metrics->text.error) return metrics->text.error;
  const bool is_more = is_of_last_family(metrics, metric.name ? metric.name : "");
  if (!metrics->is_own) {
    const char *mistake = mistake_of_metric(&metric);
    if (!mistake && is_more && metric.kind != metrics->family_kind)
      mistake = "the kind of a metric differs from the kind of its family";
    if (mistake) return vsi_mistake(metrics->host, "vestry_metrics_add", mistake);
    if (!metric.is_library && is_of_library(metric.name)) return VESTRY_EXISTS;
    if (!is_more && has_family(metrics, metric.name)) return VESTRY_EXISTS;
  }
  if (!metrics->is_own && !metric.is_library) { /* the series of vestry's libraries are bounded by their labels */
    if (metrics->series_count + series_count(&metric) > VESTRY_METRICS_MAX_COUNT) return too_many(metrics, metric.name);
    metrics->series_count += series_count(&metric);
  }
  if (!is_more) put_family(metrics, &metric);
  vsi_series_put(&metrics->text, metrics->format, &metric);
  return metrics->text.error;
}

void vsi_metrics_begin(vsi_metrics *metrics, const vestry_host *host, vestry_metrics_format format,
                       _Atomic(bool) *was_full) {
  *metrics = (vsi_metrics){.to = {add_series}, .host = host, .format = format, .was_full = was_full, .is_own = true};
  vsi_buffer_init(&metrics->text, host);
}

vestry_err vsi_metrics_end(vsi_metrics *metrics) {
  if (metrics->format == VESTRY_METRICS_OPEN) vsi_buffer_append_str(&metrics->text, "# EOF\n");
  (void)vsi_buffer_terminate(&metrics->text);
  return metrics->text.error;
}
