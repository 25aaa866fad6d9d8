/* SPDX-License-Identifier: MIT */
/* Nodes of a measured cluster: processes of this program, and their cost. */
#ifndef BENCH_NODES_H
#define BENCH_NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vestry/cluster/cluster.h>
#include <vestry/vestry.h>

/* A process that ends together with this one. Zero: none. */
typedef struct bench_process {
  pid_t pid;
  int port; /* port of its server; 0: none */
} bench_process;

/* Start vestry-bench serve on libmicrohttpd, and wait until it listens. url NULL: without a cluster. false: stderr has
 * the reason. */
bool bench_node_start(bench_process *node, const char *url, const char *name, uint64_t streams);
/* Run a function in a child process, before this process has threads. false: the fork failed. */
bool bench_fork(bench_process *process, void (*run)(void *ctx), void *ctx);
/* Zero is accepted. */
void bench_process_end(bench_process *process);

/* Allocate zeroed memory that this process shares with its children; NULL: no memory. */
void *bench_shared_memory(size_t bytes);

/* Wait until other nodes are alive and all their keys are known. false, with a message: not within some seconds. */
bool bench_cluster_wait(vestry_cluster *cluster, size_t others);
/* The same until other nodes have announced this number of keys. */
bool bench_cluster_wait_keys(vestry_cluster *cluster, uint64_t keys_count);

#endif
