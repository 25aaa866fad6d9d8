/* SPDX-License-Identifier: MIT */
#include "histogram.h"

enum { STEPS_LOG = 5 };

/* Return the bucket: below 32 ns one for each value; above, the top six bits of the number determine it. */
static unsigned bucket_of(uint64_t ns) {
  if (ns < HISTOGRAM_STEPS) return (unsigned)ns;
  unsigned shift = 63 - (unsigned)__builtin_clzll(ns) - STEPS_LOG;
  return shift * HISTOGRAM_STEPS + (unsigned)(ns >> shift);
}

/* Return the first number after a bucket. */
static double end_of(unsigned bucket) {
  if (bucket < HISTOGRAM_STEPS) return bucket + 1;
  unsigned shift = bucket / HISTOGRAM_STEPS - 1;
  return (double)(HISTOGRAM_STEPS + bucket % HISTOGRAM_STEPS + 1) * (double)(UINT64_C(1) << shift);
}

void histogram_add(histogram *to, uint64_t ns) {
  to->counts[bucket_of(ns)]++;
  to->total++;
  if (ns > to->max_ns) to->max_ns = ns;
}

void histogram_merge(histogram *to, const histogram *from) {
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) to->counts[bucket] += from->counts[bucket];
  to->total += from->total;
  if (from->max_ns > to->max_ns) to->max_ns = from->max_ns;
}

double histogram_percentile_ns(const histogram *of, double share) {
  uint64_t below = 0;
  double target = share * (double)of->total;
  for (unsigned bucket = 0; bucket < HISTOGRAM_BUCKETS; bucket++) {
    below += of->counts[bucket];
    if (of->counts[bucket] && (double)below >= target)
      return end_of(bucket) < (double)of->max_ns ? end_of(bucket) : (double)of->max_ns;
  }
  return 0;
}
