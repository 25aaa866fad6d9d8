/* SPDX-License-Identifier: MIT */
/* A bounded table of token buckets by hash: the recent use of each name. */
#ifndef VSI_GUARD_RATE_H
#define VSI_GUARD_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "vestry/error.h"
#include "vestry/host.h"

typedef struct vsi_buckets vsi_buckets;

/* Create a table.
 * step_ns    time until one token is added, at least 1
 * tokens     tokens of a full bucket, at least 1; step_ns * tokens must fit into 63 bits
 * max_count  number of buckets, rounded up to a power of two
 * OK | NO_MEMORY */
vestry_err vsi_buckets_create(const vestry_host *host, uint64_t step_ns, uint64_t tokens, size_t max_count,
                              vsi_buckets **ret_buckets);
/* Destroy a table. NULL is accepted. */
void vsi_buckets_destroy(vsi_buckets *buckets);

/* Take a token. Returns 0, or the time in nanoseconds until the next token. Any thread; takes a lock. */
uint64_t vsi_buckets_take(vsi_buckets *buckets, uint64_t hash, uint64_t now_ns);

#endif
