/* SPDX-License-Identifier: MIT */
/** Metrics of an application, which it adds to those of vestry (vestry/ops/observe.h):
 *
 *      static vestry_err own(vestry_metrics *metrics, void *ctx) {
 *        shop *s = ctx;
 *        return vestry_metrics_add(metrics, &(vestry_metric){.name = "shop_orders", .help = "Orders.",
 *                                                            .value = shop_orders(s)});
 *      }
 *      vestry_observe_create(v, &(vestry_observe_options){.more = own, .more_ctx = s}, &observe); */
#ifndef VESTRY_METRICS_H
#define VESTRY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Metrics of one scrape. A library that adds to them, by vestry_metrics_add, does not need libvestry-observe. */
typedef struct vestry_metrics vestry_metrics;

/** Maximum number of series of a program in a scrape, in addition to those of vestry and its libraries. A histogram
 *  counts as three series, and one more for each bound. */
#define VESTRY_METRICS_MAX_COUNT 400
/** Maximum number of bounds of a histogram. */
#define VESTRY_METRICS_BOUNDS_MAX_COUNT 32

/** Adds an application's metrics, by vestry_metrics_add. Called on the thread that requests metrics, possibly on
 *  several at once, no lock held.
 *  Returns  OK | an error, which vestry_observe_metrics returns */
typedef vestry_err (*vestry_metrics_fn)(vestry_metrics *metrics, void *ctx);

/** Text format of metrics. */
typedef enum vestry_metrics_format {
  VESTRY_METRICS_OPEN = 0, /**< OpenMetrics 1.0 */
  VESTRY_METRICS_TEXT      /**< Prometheus text format 0.0.4 */
} vestry_metrics_format;

/** Type of a metric. */
typedef enum vestry_metric_kind {
  VESTRY_METRIC_COUNTER = 0, /**< only increases */
  VESTRY_METRIC_GAUGE,       /**< increases and decreases */
  VESTRY_METRIC_HISTOGRAM    /**< counts of observations by size, which only increase */
} vestry_metric_kind;

/** One series, with its current value. */
typedef struct vestry_metric {
  const char *name;        /**< letters, digits and underscores, no digit first, at most 100; without the suffixes
                                "total", "bucket", "sum" and "count", which are added. Base units: seconds, bytes. Names
                                that begin with "vestry" and an underscore are reserved for vestry */
  const char *help;        /**< a sentence; for a family, that of its first series is used */
  vestry_metric_kind kind; /**< the same for the whole family */
  const char *label;       /**< a name as above; NULL: none. For a histogram not "le" */
  const char *label_value; /**< UTF-8 of at most 100 bytes: one of a few values, never text of users; NULL: "" */
  double value;            /**< finite; not below 0, except for a gauge. Of a histogram: the sum of all observations */
  const double *bounds;    /**< of a histogram: bounds_count upper bounds of its buckets, ascending */
  const uint64_t *counts;  /**< of a histogram: observations in each bucket, bounds_count + 1 numbers, the last one
                                above all bounds. Each observation counts in one bucket only */
  size_t bounds_count;     /**< 1 to VESTRY_METRICS_BOUNDS_MAX_COUNT */
  bool is_library;         /**< the metric belongs to a library of vestry, and its name begins with "vestry" and an
                                underscore; it does not count towards VESTRY_METRICS_MAX_COUNT */
} vestry_metric;

/** Add a series. The series of one name form a family, and must be added one after the other.
 *  metric  borrowed during the call
 *  Returns  OK | INVALID (a rule of vestry_metric is broken; the host's log names it) | EXISTS (a series of another
 *           name was added after the first ones of this family; or the name is reserved) | LIMIT
 *           (VESTRY_METRICS_MAX_COUNT; the first time, the host's log names the metric) | NO_MEMORY
 *  Threads  in a vestry_metrics_fn, on its thread */
static inline vestry_err vestry_metrics_add(vestry_metrics *metrics, const vestry_metric *metric);

/** The function that adds series; libvestry-observe sets it. */
struct vestry_metrics {
  vestry_err (*add)(vestry_metrics *metrics, const vestry_metric *metric);
};

static inline vestry_err vestry_metrics_add(vestry_metrics *metrics, const vestry_metric *metric) {
  return metrics ? metrics->add(metrics, metric) : VESTRY_INVALID;
}

#ifdef __cplusplus
}
#endif
#endif
