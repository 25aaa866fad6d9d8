/* SPDX-License-Identifier: MIT */
/* Histograms of durations with constant bounds. Adding a duration costs a search through at most 14 bounds and two
 * relaxed additions, so histograms are meant for rare events, or for samples of frequent ones. */
#ifndef VSI_BASE_HISTOGRAM_H
#define VSI_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

enum { VSI_HISTOGRAM_BOUNDS_COUNT = 14 };

/* Bounds, each included in the bucket below it, and their unit. */
typedef struct vsi_histogram_scale {
  double per_s; /* units in a second; used as a divisor, because division is exact to the last digit and multiplication
                   is not */
  uint64_t bounds[VSI_HISTOGRAM_BOUNDS_COUNT];
} vsi_histogram_scale;

VESTRY_API extern const vsi_histogram_scale vsi_moments; /* in ns, 10 us to 5 s: time for which a reader or a thread
                                                            waits */
extern const vsi_histogram_scale vsi_ages;               /* in ms, 1 s to 7 days: lifetime of an object when it ends */

/* A histogram; zeroes are an empty one. Its owner knows whether the scale is vsi_moments or vsi_ages. */
typedef struct vsi_histogram {
  _Atomic uint64_t counts[VSI_HISTOGRAM_BOUNDS_COUNT + 1]; /* not cumulative; the last bucket has no bound */
  _Atomic uint64_t sum;
} vsi_histogram;

static inline unsigned vsi_histogram_bucket(const vsi_histogram_scale *scale, uint64_t time) {
  unsigned at = 0;
  while (at < VSI_HISTOGRAM_BOUNDS_COUNT && time > scale->bounds[at]) at++;
  return at;
}
/* Add a duration in the scale's unit. Any thread. Relaxed: only numbers are read, and they order nothing. */
static inline void vsi_histogram_add(vsi_histogram *histogram, const vsi_histogram_scale *scale, uint64_t time) {
  atomic_fetch_add_explicit(&histogram->sum, time, memory_order_relaxed);
  atomic_fetch_add_explicit(&histogram->counts[vsi_histogram_bucket(scale, time)], 1, memory_order_relaxed);
}

/* The values of a histogram. */
typedef struct vsi_histogram_counts {
  double bounds_s[VSI_HISTOGRAM_BOUNDS_COUNT];
  uint64_t counts[VSI_HISTOGRAM_BOUNDS_COUNT + 1]; /* as above */
  uint64_t count;                                  /* sum of all counts */
  double sum_s;
} vsi_histogram_counts;

/* Read a histogram. While durations are added, each count only grows from one call to the next, and `count` is the sum
 * of the others. The sum of durations may lack some that are counted already, or include some that are not yet. Any
 * thread. */
VESTRY_API void vsi_histogram_get(const vsi_histogram *histogram, const vsi_histogram_scale *scale,
                                  vsi_histogram_counts *ret);

#endif
