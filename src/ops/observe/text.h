/* SPDX-License-Identifier: MIT */
/* Metrics as text, in two formats. */
#ifndef VSI_OBSERVE_TEXT_H
#define VSI_OBSERVE_TEXT_H

#include <stdatomic.h>

#include "base/buffer.h"
#include "vestry/ops/metrics.h"
#include "vestry/ops/observe.h"

/* Append a series that was checked. */
void vsi_series_put(vsi_buffer *text, vestry_metrics_format format, const vestry_metric *metric);

typedef struct vsi_metrics {
  vestry_metrics to;
  const vestry_host *host;
  vestry_metrics_format format;
  vsi_buffer text;
  size_t series_count;          /* of the program */
  size_t family_at, family_len; /* name of the last family, in text */
  vestry_metric_kind family_kind;
  _Atomic(bool) *was_full; /* relaxed: the log has the line about too many series */
  bool is_own;             /* the library's metrics are being written, whose names need no check */
} vsi_metrics;

void vsi_metrics_begin(vsi_metrics *metrics, const vestry_host *host, vestry_metrics_format format,
                       _Atomic(bool) *was_full);
/* Write the end of the text. OK | NO_MEMORY */
vestry_err vsi_metrics_end(vsi_metrics *metrics);

/* Append the metrics of the instance and its store, and those of pages and cluster; NULL: none. Errors are kept in the
 * buffer. */
void vsi_metrics_put_all(vestry_metrics *metrics, vestry *v, vestry_pages *pages, vestry_cluster *cluster);

#endif
