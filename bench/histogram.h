/* SPDX-License-Identifier: MIT */
/* A histogram of durations with 32 steps for each doubling, so a percentile is at most 3 % too high. */
#ifndef BENCH_HISTOGRAM_H
#define BENCH_HISTOGRAM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { HISTOGRAM_STEPS = 32, HISTOGRAM_BUCKETS = 60 * HISTOGRAM_STEPS };

/* Zero is empty. For one thread. */
typedef struct histogram {
  uint64_t counts[HISTOGRAM_BUCKETS];
  uint64_t total, max_ns;
} histogram;

void histogram_add(histogram *to, uint64_t ns);
void histogram_merge(histogram *to, const histogram *from);
/* Return the duration that a share (for example 0.99) of all values does not exceed; 0: empty. */
double histogram_percentile_ns(const histogram *of, double share);

#ifdef __cplusplus
}
#endif
#endif
