/* SPDX-License-Identifier: MIT */
/* Counters of a library as a table of rows that are added to metrics. A header without a source file, because separate
 * libraries use it. */
#ifndef VSI_OBSERVE_METRIC_ROWS_H
#define VSI_OBSERVE_METRIC_ROWS_H

#include "vestry/ops/metrics.h"

typedef struct vsi_metric_row {
  const char *name, *help, *label, *label_value; /* as in vestry_metric */
  vestry_metric_kind kind;
  double value;
} vsi_metric_row;

/* Add all rows. Returns the errors of vestry_metrics_add. */
static inline vestry_err vsi_metric_rows_add(vestry_metrics *metrics, const vsi_metric_row *rows, size_t count) {
  vestry_err error = VESTRY_OK;
  for (size_t i = 0; i < count && !error; i++)
    error = vestry_metrics_add(metrics, &(vestry_metric){.name = rows[i].name,
                                                         .help = rows[i].help,
                                                         .kind = rows[i].kind,
                                                         .label = rows[i].label,
                                                         .label_value = rows[i].label_value,
                                                         .value = rows[i].value,
                                                         .is_library = true});
  return error;
}

/* Add all rows of an array. */
#define VSI_METRIC_ROWS_ADD(metrics, rows) vsi_metric_rows_add(metrics, rows, sizeof(rows) / sizeof *(rows))

#endif
