/* SPDX-License-Identifier: MIT */
/* How long things take: counts of times, by bounds that do not move. To note one costs a search through at most 14
 * bounds and two relaxed additions, so it is for what is seldom, or for one of several. */
#ifndef VSI_BASE_HISTOGRAM_H
#define VSI_BASE_HISTOGRAM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"

enum { VSI_HISTOGRAM_BOUNDS_COUNT = 14 };

/* Bounds, which belong to the bucket below them, and their unit. */
typedef struct vsi_histogram_scale {
  double per_s; /* how many make a second: to divide by it is exact to the last digit, to multiply is not */
  uint64_t bounds[VSI_HISTOGRAM_BOUNDS_COUNT];
} vsi_histogram_scale;

VESTRY_API extern const vsi_histogram_scale vsi_moments; /* in ns, 10 us to 5 s: how long a reader or a thread waits */
extern const vsi_histogram_scale vsi_ages;               /* in ms, 1 s to 7 days: how old something is when it ends */

/* Zeroed, it is empty. Whether it is one of moments or of ages is known to its owner. */
typedef struct vsi_histogram {
  _Atomic uint64_t counts[VSI_HISTOGRAM_BOUNDS_COUNT + 1]; /* not of the buckets below; the last has no bound */
  _Atomic uint64_t sum;
} vsi_histogram;

/* Note a time, in the scale's unit. Any thread. Relaxed: numbers alone are read, and nothing is ordered by them. */
static inline void vsi_histogram_add(vsi_histogram *histogram, const vsi_histogram_scale *scale, uint64_t time) {
  unsigned at = 0;
  while (at < VSI_HISTOGRAM_BOUNDS_COUNT && time > scale->bounds[at]) at++;
  atomic_fetch_add_explicit(&histogram->sum, time, memory_order_relaxed);
  atomic_fetch_add_explicit(&histogram->counts[at], 1, memory_order_relaxed);
}

/* What was noted so far. */
typedef struct vsi_histogram_counts {
  double bounds_s[VSI_HISTOGRAM_BOUNDS_COUNT];
  uint64_t counts[VSI_HISTOGRAM_BOUNDS_COUNT + 1]; /* as above */
  uint64_t count;                                  /* of all these */
  double sum_s;
} vsi_histogram_counts;

/* While times are noted, each count only grows from one call to the next, and the last one is the sum of the others.
 * The sum of times may lack some that are counted already, or have some that are not yet. Any thread. */
VESTRY_API void vsi_histogram_get(const vsi_histogram *histogram, const vsi_histogram_scale *scale,
                                  vsi_histogram_counts *ret);

#endif
