/* SPDX-License-Identifier: MIT */
#include "observe/text.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/options.h"
#include "base/utf8.h"

enum { NAME_MAX_LEN = 100 };

void vsi_metrics_begin(vestry_metrics *metrics, const vestry_host *host, vestry_metrics_format format) {
  *metrics = (vestry_metrics){.host = host, .format = format, .is_own = true};
  vsi_buffer_init(&metrics->text, host);
}

void vsi_metrics_finish(vestry_metrics *metrics) {
  vsi_buffer_finish(&metrics->text);
}

vestry_err vsi_metrics_end(vestry_metrics *metrics) {
  if (metrics->format == VESTRY_METRICS_OPEN) vsi_buffer_append_str(&metrics->text, "# EOF\n");
  (void)vsi_buffer_terminate(&metrics->text);
  return metrics->text.error;
}

static bool is_name(const char *name) {
  static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_";
  static const char all[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
  const size_t len = name ? strlen(name) : 0;
  return len && len <= NAME_MAX_LEN && strchr(letters, *name) && strspn(name, all) == len;
}

static bool ends_as_counter(const char *name) {
  const size_t len = strlen(name), end = sizeof "_total" - 1;
  return len >= end && strcmp(name + len - end, "_total") == 0;
}

static const char *mistake_of(const vestry_metric *metric) {
  if (!is_name(metric->name) || ends_as_counter(metric->name)) return "the name of a metric is none";
  if (metric->label && !is_name(metric->label)) return "the name of a label is none";
  const char *value = metric->label_value ? metric->label_value : "";
  if (strlen(value) > NAME_MAX_LEN || !vsi_is_utf8(value, strlen(value)))
    return "the value of a label is no UTF-8 of at most 100 bytes";
  if (metric->kind != VESTRY_METRIC_COUNTER && metric->kind != VESTRY_METRIC_GAUGE) return "a kind of metric is none";
  if (!isfinite(metric->value) || (metric->kind == VESTRY_METRIC_COUNTER && metric->value < 0))
    return "the value of a metric is none";
  return NULL;
}

/* The rules of both formats: a backslash, a line feed, and in a label's value a quotation mark. */
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

/* Help has no quotation marks to escape in Prometheus' own format, so these become apostrophes in both. */
static void put_help(vsi_buffer *text, const char *from) {
  for (const char *at = from; *at; at++)
    vsi_buffer_append_char(text, *at == '\n' || *at == '\\' ? ' ' : *at == '"' ? '\'' : *at);
}

/* Whether a line of the text says what kind the family is. */
static bool has_family(const vestry_metrics *metrics, const char *name) {
  static const char type[] = "# TYPE ";
  const size_t len = strlen(name);
  const char *at = metrics->text.data, *end = at ? at + metrics->text.len : NULL;
  while (at && (size_t)(end - at) >= sizeof type + len) {
    if (memcmp(at, type, sizeof type - 1) == 0 && memcmp(at + sizeof type - 1, name, len) == 0) {
      const char *rest = at + sizeof type - 1 + len;
      if (*rest == ' ' || ((size_t)(end - rest) > 6 && memcmp(rest, "_total ", 7) == 0)) return true;
    }
    at = memchr(at, '\n', (size_t)(end - at));
    if (at) at++;
  }
  return false;
}

static bool is_of_last_family(const vestry_metrics *metrics, const char *name) {
  const size_t len = strlen(name);
  return metrics->text.data && len == metrics->family_len &&
         memcmp(metrics->text.data + metrics->family_at, name, len) == 0;
}

/* In Prometheus' own format a counter's family is called as its series. */
static void put_family(vestry_metrics *metrics, const vestry_metric *metric) {
  const bool is_counter = metric->kind == VESTRY_METRIC_COUNTER;
  const char *end = is_counter && metrics->format == VESTRY_METRICS_TEXT ? "_total" : "";
  vsi_buffer *text = &metrics->text;
  vsi_buffer_append_str(text, "# TYPE ");
  metrics->family_at = text->len;
  metrics->family_len = strlen(metric->name);
  metrics->family_kind = metric->kind;
  vsi_buffer_printf(text, "%s%s %s\n# HELP %s%s ", metric->name, end, is_counter ? "counter" : "gauge", metric->name,
                    end);
  put_help(text, metric->help ? metric->help : "");
  vsi_buffer_append_char(text, '\n');
}

static void put_series(vestry_metrics *metrics, const vestry_metric *metric) {
  vsi_buffer *text = &metrics->text;
  char number[40];
  vsi_buffer_printf(text, "%s%s", metric->name, metrics->family_kind == VESTRY_METRIC_COUNTER ? "_total" : "");
  if (metric->label) {
    vsi_buffer_printf(text, "{%s=\"", metric->label);
    put_escaped(text, metric->label_value ? metric->label_value : "");
    vsi_buffer_append_str(text, "\"}");
  }
  const bool is_whole =
      metric->value < 1e15 && metric->value > -1e15 && metric->value == (double)(int64_t)metric->value;
  snprintf(number, sizeof number, is_whole ? "%.0f" : "%.17g", metric->value);
  for (char *at = number; *at; at++)
    if (*at == ',') *at = '.'; /* a locale's */
  vsi_buffer_printf(text, " %s\n", number);
}

vestry_err vestry_metrics_add(vestry_metrics *metrics, const vestry_metric *given) {
  vestry_metric metric;
  if (!metrics || !given || VSI_OPTIONS_TAKE(metric, given)) return VESTRY_INVALID;
  if (metrics->text.error) return metrics->text.error;
  if (metrics->series_count == VESTRY_METRICS_MAX_COUNT) return VESTRY_LIMIT;
  if (!metrics->is_own) {
    const char *mistake = mistake_of(&metric);
    if (mistake) return vsi_mistake(metrics->host, "vestry_metrics_add", mistake);
    if (strncmp(metric.name, "vestry_", 7) == 0) return VESTRY_EXISTS;
  }
  if (!is_of_last_family(metrics, metric.name)) {
    if (!metrics->is_own && has_family(metrics, metric.name)) return VESTRY_EXISTS;
    put_family(metrics, &metric);
  }
  metrics->series_count++;
  put_series(metrics, &metric);
  return metrics->text.error;
}
