/* SPDX-License-Identifier: MIT */
#include "nodes.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"

enum { PATIENCE_NS = 2000000000, LOOK_MS = 1 };

static pid_t fork_child(void) {
  pid_t parent = getpid(), pid = fork();
  if (pid) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent) _exit(1);
  return 0;
}

static void run_node(const char *url, const char *name, uint64_t streams, int to) {
  char count[32];
  snprintf(count, sizeof count, "%llu", (unsigned long long)streams);
  dup2(to, STDOUT_FILENO);
  const char *arguments[] = {"vestry-bench", "serve", "--port",    "0", "--adapter", "microhttpd", "--threads", "2",
                             "--streams",    count,   "--cluster", url, "--node",    name,         NULL};
  if (!url) arguments[10] = NULL;
  execv("/proc/self/exe", (char *const *)(uintptr_t)arguments);
  _exit(127);
}

bool bench_node_start(bench_process *node, const char *url, const char *name, uint64_t streams) {
  int ends[2];
  char line[256] = "";
  if (pipe(ends)) return false;
  node->pid = fork_child();
  if (node->pid == 0) run_node(url, name, streams, ends[1]);
  close(ends[1]);
  FILE *said = fdopen(ends[0], "r");
  bool told = node->pid > 0 && said && fgets(line, sizeof line, said) &&
              sscanf(line, "vestry-bench: http://127.0.0.1:%d", &node->port) == 1;
  if (said) fclose(said);
  if (!told) fprintf(stderr, "vestry-bench: cannot start node %s\n", name);
  return told;
}

bool bench_fork(bench_process *process, void (*run)(void *ctx), void *ctx) {
  fflush(NULL);
  process->pid = fork_child();
  if (process->pid == 0) {
    run(ctx);
    _exit(0);
  }
  return process->pid > 0;
}

void bench_process_end(bench_process *process) {
  if (process->pid <= 0) return;
  kill(process->pid, SIGKILL);
  while (waitpid(process->pid, NULL, 0) < 0 && errno == EINTR) continue;
  process->pid = 0;
}

void *bench_shared_memory(size_t bytes) {
  void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return memory == MAP_FAILED ? NULL : memory;
}

bool bench_cluster_wait(vestry_cluster *cluster, size_t others) {
  for (uint64_t until_ns = bench_now_ns() + 5 * (uint64_t)PATIENCE_NS; bench_now_ns() < until_ns;) {
    vestry_cluster_stats stats = {0};
    vestry_cluster_stats_get(cluster, &stats);
    if (stats.alive_count == others && !stats.unsynced_count) return true;
    bench_sleep_ms(LOOK_MS);
  }
  fprintf(stderr, "vestry-bench: the nodes did not connect\n");
  return false;
}

bool bench_cluster_wait_keys(vestry_cluster *cluster, uint64_t keys_count) {
  vestry_cluster_stats stats = {0};
  for (uint64_t until_ns = bench_now_ns() + 5 * (uint64_t)PATIENCE_NS; bench_now_ns() < until_ns;) {
    vestry_cluster_stats_get(cluster, &stats);
    if (stats.others_keys_count >= keys_count) return true;
    bench_sleep_ms(LOOK_MS);
  }
  fprintf(stderr, "vestry-bench: the other nodes have too few keys\n");
  return false;
}
