/* SPDX-License-Identifier: MIT */
/* Hosts that count the memory of an instance. */
#ifndef BENCH_MEMORY_H
#define BENCH_MEMORY_H

#include <vestry/host.h>

/* Return a host that counts malloc, including its rounding; otherwise the default host. */
const vestry_host *bench_counting_host(void);
/* Return the bytes allocated now. */
int64_t bench_counted_bytes(void);
/* Return the number of allocations; malloc uses an additional word for each. */
int64_t bench_counted_blocks(void);

/* Return a host that counts allocations, and count those of jansson, too. For one thread. */
vestry_host bench_allocating_host(void);
/* Return the number of allocations so far. */
uint64_t bench_allocations(void);

#endif
