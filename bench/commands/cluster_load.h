/* SPDX-License-Identifier: MIT */
/* The parts of vestry-bench cluster. Each returns the exit status. */
#ifndef BENCH_CLUSTER_LOAD_H
#define BENCH_CLUSTER_LOAD_H

#include <stdint.h>

int bench_cluster_far(uint64_t rounds, uint64_t turns);
int bench_cluster_reconnect(uint64_t streams, uint64_t turns);
int bench_cluster_digests(uint64_t streams, uint64_t turns);

#endif
