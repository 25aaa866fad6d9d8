/* SPDX-License-Identifier: MIT */
#include "ops/observe/series.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 40 };

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

/* A number in as few digits, from 15 on, as read back equal: 17 do for each number. */
static void write_number(char number[NUMBER_BYTES], double value) {
  const bool is_whole = value < 1e15 && value > -1e15 && value == (double)(int64_t)value;
  int digits = 15;
  if (is_whole)
    snprintf(number, NUMBER_BYTES, "%.0f", value);
  else
    do snprintf(number, NUMBER_BYTES, "%.*g", digits, value);
    while (digits++ < 17 && strtod(number, NULL) != value);
  for (char *at = number; *at; at++)
    if (*at == ',') *at = '.'; /* a locale's */
}

static void put_value(vsi_buffer *text, double value) {
  char number[NUMBER_BYTES];
  write_number(number, value);
  vsi_buffer_printf(text, " %s\n", number);
}

static void put_name(vsi_buffer *text, const vestry_metric *metric, const char *end) {
  vsi_buffer_append_str(text, metric->name);
  vsi_buffer_append_str(text, end);
}

static void put_label(vsi_buffer *text, const vestry_metric *metric) {
  vsi_buffer_printf(text, "%s=\"", metric->label);
  put_escaped(text, metric->label_value ? metric->label_value : "");
  vsi_buffer_append_char(text, '"');
}

static void put_one(vsi_buffer *text, const vestry_metric *metric, const char *end, double value) {
  put_name(text, metric, end);
  if (metric->label) {
    vsi_buffer_append_char(text, '{');
    put_label(text, metric);
    vsi_buffer_append_char(text, '}');
  }
  put_value(text, value);
}

/* OpenMetrics wants a bound to look like no integer. */
static void put_bucket(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric, size_t at,
                       uint64_t count) {
  char bound[NUMBER_BYTES + 2] = "+Inf";
  if (at < metric->bounds_count) {
    write_number(bound, metric->bounds[at]);
    if (format == VESTRY_METRICS_OPEN && !strpbrk(bound, ".e")) strcat(bound, ".0");
  }
  put_name(text, metric, "_bucket{");
  if (metric->label) {
    put_label(text, metric);
    vsi_buffer_append_char(text, ',');
  }
  vsi_buffer_printf(text, "le=\"%s\"}", bound);
  put_value(text, (double)count);
}

/* Each bucket of the text has those below it too, so the last one has all. */
static void put_histogram(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric) {
  uint64_t count = 0;
  for (size_t i = 0; i <= metric->bounds_count; i++) {
    count += metric->counts[i];
    put_bucket(text, format, metric, i, count);
  }
  put_one(text, metric, "_sum", metric->value);
  put_one(text, metric, "_count", (double)count);
}

void vsi_series_put(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric) {
  if (metric->kind == VESTRY_METRIC_HISTOGRAM)
    put_histogram(text, format, metric);
  else
    put_one(text, metric, metric->kind == VESTRY_METRIC_COUNTER ? "_total" : "", metric->value);
}
