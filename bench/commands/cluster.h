/* SPDX-License-Identifier: MIT */
/* A node of a cluster over NATS, for vestry-bench serve. */
#ifndef BENCH_CLUSTER_H
#define BENCH_CLUSTER_H

#include <vestry/app/page.h>
#include <vestry/cluster/cluster.h>
#include <vestry/vestry.h>

typedef struct bench_cluster bench_cluster;

/* Create a node, as vestry_cluster_create; UNSUPPORTED: this build has no NATS. node NULL: "bench". */
vestry_err bench_cluster_create(vestry *v, const char *url, const char *node, vestry_pages *pages,
                                bench_cluster **ret_cluster);
/* NULL is accepted. */
void bench_cluster_destroy(bench_cluster *cluster);
vestry_cluster *bench_cluster_of(const bench_cluster *cluster);
/* Return its counters; NULL: out of memory. */
json_t *bench_cluster_stats(const bench_cluster *cluster);
/* Answer with the result of a dispatch. */
vestry_err bench_cluster_answer(vestry_reply *reply, vestry_err error, uint32_t count);

#endif
