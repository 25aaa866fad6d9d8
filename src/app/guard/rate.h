/* SPDX-License-Identifier: MIT */
/* Token buckets by hash, so many at most: how much each name has taken lately. */
#ifndef VSI_GUARD_RATE_H
#define VSI_GUARD_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"
#include "vestry/host.h"

typedef struct vsi_buckets vsi_buckets;

typedef struct vsi_buckets_sums {
  uint64_t passed_count, refused_count, forgotten_count, filling_count;
} vsi_buckets_sums;

/* step_ns: a token comes back in so long, at least 1. tokens: of a full bucket, at least 1; both together fit 63 bits.
 * max_count: rounded up to a power of two.
 * OK | NO_MEMORY */
vestry_err vsi_buckets_create(const vestry_host *host, uint64_t step_ns, uint64_t tokens, size_t max_count,
                              vsi_buckets **ret_buckets);
/* NULL is accepted. */
void vsi_buckets_destroy(vsi_buckets *buckets);

/* Take a token. Returns 0, or in how many nanoseconds there will be one. Any thread; takes a lock. */
uint64_t vsi_buckets_take(vsi_buckets *buckets, uint64_t hash, uint64_t now_ns);

vsi_buckets_sums vsi_buckets_count(vsi_buckets *buckets, uint64_t now_ns);

#endif
