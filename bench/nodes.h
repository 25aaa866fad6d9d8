/* SPDX-License-Identifier: MIT */
/* Nodes of a cluster to be measured: processes of this program, and what they cost. */
#ifndef BENCH_NODES_H
#define BENCH_NODES_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <vestry/cluster/cluster.h>
#include <vestry/vestry.h>

/* A process that ends with this one. Zero: none. */
typedef struct bench_process {
  pid_t pid;
  int port; /* that it serves; 0: none */
} bench_process;

/* vestry-bench serve on libmicrohttpd, listening when this returns. url NULL: of no cluster. false: stderr says why. */
bool bench_node_start(bench_process *node, const char *url, const char *name, uint64_t streams);
/* Run a function in a process of its own, before this one has threads. false: there is none. */
bool bench_fork(bench_process *process, void (*run)(void *ctx), void *ctx);
/* Zero is accepted. */
void bench_process_end(bench_process *process);

/* CPU of a process so far, exact to the nanosecond; 0: it is gone. And of this thread. */
uint64_t bench_exact_cpu_ns(pid_t pid);
uint64_t bench_thread_cpu_ns(void);

/* Memory that this process and those that it forks have together, zeroed; NULL: none. */
void *bench_shared_memory(size_t bytes);

/* Until others live, and all their keys are known: false after some seconds, and stderr says so. */
bool bench_cluster_wait(vestry_cluster *cluster, size_t others);
/* Until some node is known to hold a key; likewise. */
bool bench_cluster_wait_held(vestry_cluster *cluster, const vestry_key *key);

#endif
