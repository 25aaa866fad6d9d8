/* SPDX-License-Identifier: MIT */
#include "base/histogram.h"

#define US 1000ull
#define MS 1000000ull
const vsi_histogram_scale vsi_moments = {.per_s = 1e9,
                                         .bounds = {10 * US, 50 * US, 100 * US, 500 * US, 1 * MS, 2500 * US, 5 * MS,
                                                    10 * MS, 25 * MS, 50 * MS, 100 * MS, 250 * MS, 1000 * MS,
                                                    5000 * MS}};

#define SECONDS 1000ull
#define MINUTES (60 * SECONDS)
#define HOURS   (60 * MINUTES)
const vsi_histogram_scale vsi_ages = {.per_s = 1e3,
                                      .bounds = {1 * SECONDS, 5 * SECONDS, 10 * SECONDS, 30 * SECONDS, 1 * MINUTES,
                                                 5 * MINUTES, 10 * MINUTES, 30 * MINUTES, 1 * HOURS, 3 * HOURS,
                                                 6 * HOURS, 12 * HOURS, 24 * HOURS, 7 * 24 * HOURS}};

void vsi_histogram_get(const vsi_histogram *histogram, const vsi_histogram_scale *scale, vsi_histogram_counts *ret) {
  *ret = (vsi_histogram_counts){.count = 0};
  for (unsigned i = 0; i <= VSI_HISTOGRAM_BOUNDS_COUNT; i++) {
    ret->counts[i] = atomic_load_explicit(&histogram->counts[i], memory_order_relaxed);
    ret->count += ret->counts[i];
    if (i < VSI_HISTOGRAM_BOUNDS_COUNT) ret->bounds_s[i] = (double)scale->bounds[i] / scale->per_s;
  }
  ret->sum_s = (double)atomic_load_explicit(&histogram->sum, memory_order_relaxed) / scale->per_s;
}
