/* SPDX-License-Identifier: MIT */
/** Metrics: numbers for programs that draw graphs and raise alarms. observe.h has vestry's; here is how an application
 *  adds its own.
 *
 *      static vestry_err own(vestry_metrics *metrics, void *ctx) {
 *        shop *s = ctx;
 *        return vestry_metrics_add(metrics, &(vestry_metric){.name = "shop_orders", .help = "Orders.",
 *                                                            .value = shop_orders(s)});
 *      }
 *      vestry_observe_create(v, &(vestry_observe_options){.more = own, .more_ctx = s}, &observe);
 */
#ifndef VESTRY_METRICS_H
#define VESTRY_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Metrics that are being written. A library that adds to them, by vestry_metrics_add, needs no libvestry-observe. */
typedef struct vestry_metrics vestry_metrics;

/** Series at most, in all. A histogram is one for each bound, and three. */
#define VESTRY_METRICS_MAX_COUNT 300
/** Bounds of a histogram at most. */
#define VESTRY_METRICS_BOUNDS_MAX_COUNT 32

/** Adds an application's own metrics, by vestry_metrics_add. On the thread that asks for metrics, several at once
 *  perhaps, no lock held.
 *  Returns  OK | an error, which the metrics then end with */
typedef vestry_err (*vestry_metrics_fn)(vestry_metrics *metrics, void *ctx);

/** How metrics are written. */
typedef enum vestry_metrics_format {
  VESTRY_METRICS_OPEN = 0, /**< OpenMetrics 1.0 */
  VESTRY_METRICS_TEXT      /**< Prometheus' text format 0.0.4 */
} vestry_metrics_format;

/** What a metric is. */
typedef enum vestry_metric_kind {
  VESTRY_METRIC_COUNTER = 0, /**< only grows */
  VESTRY_METRIC_GAUGE,       /**< goes up and down */
  VESTRY_METRIC_HISTOGRAM    /**< how often something was how large: counts that only grow */
} vestry_metric_kind;

/** One series, with its value now. */
typedef struct vestry_metric {
  size_t size;             /**< sizeof(vestry_metric), or 0 */
  const char *name;        /**< letters, digits and underscores, no digit first, at most 100; without the ends "total",
                                "bucket", "sum" and "count", which are added. Base units: seconds, bytes. Names that
                                begin with "vestry" and an underscore are the library's */
  const char *help;        /**< a sentence; of a family's first series */
  vestry_metric_kind kind; /**< one for all of a family */
  const char *label;       /**< a name as above; NULL: it has none. A histogram's is not "le" */
  const char *label_value; /**< UTF-8 of at most 100 bytes: one of few, never what users choose; NULL: "" */
  double value;            /**< a number, no infinity; not below 0, but a gauge. A histogram's: the sum of all */
  const double *bounds;    /**< of a histogram, bounds_count of them, ascending; each is of the bucket below it */
  const uint64_t
      *counts;         /**< of a histogram: how often it was in each bucket, bounds_count + 1 of them; the last one has
                                what was above all bounds. Each time is counted in one bucket only */
  size_t bounds_count; /**< 1 to VESTRY_METRICS_BOUNDS_MAX_COUNT */
  bool is_library;     /**< of a library that belongs to vestry: its name begins with "vestry" and an underscore */
} vestry_metric;

/** Add a series. Those of one name are a family, and stand together: one after the other.
 *  metric   borrowed for the call
 *  Returns  OK | INVALID (what is said above; the host's log says which) | EXISTS (its family has ended, since a series
 *           of another name came in between; or it is the library's) | LIMIT (VESTRY_METRICS_MAX_COUNT) | NO_MEMORY
 *  Threads  in a vestry_metrics_fn, on its thread */
static inline vestry_err vestry_metrics_add(vestry_metrics *metrics, const vestry_metric *metric);

/** How series are added; libvestry-observe sets it. */
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
