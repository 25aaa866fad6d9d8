/* SPDX-License-Identifier: MIT */
/* One series as lines of text: its name, its label and its value; of a histogram, its buckets. */
#ifndef VSI_OBSERVE_SERIES_H
#define VSI_OBSERVE_SERIES_H

#include "base/buffer.h"
#include "vestry/ops/metrics.h"

/* How many lines it is, so how many series a scraper keeps. */
static inline size_t vsi_series_count(const vestry_metric *metric) {
  return metric->kind == VESTRY_METRIC_HISTOGRAM ? metric->bounds_count + 3 : 1;
}

/* Append a series that has no mistake. */
void vsi_series_put(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric);

#endif
