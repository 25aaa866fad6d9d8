/* SPDX-License-Identifier: MIT */
/* Clocks, and what /proc says of a process. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

uint64_t bench_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

void bench_sleep_ms(uint64_t ms) {
  struct timespec left = {(time_t)(ms / 1000), (long)(ms % 1000 * 1000000)};
  while (nanosleep(&left, &left) && errno == EINTR) continue;
}

static FILE *open_proc(int pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  return fopen(path, "r");
}

uint64_t bench_cpu_ns(int pid) {
  clockid_t clock;
  struct timespec used;
  if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &used)) return 0;
  return (uint64_t)used.tv_sec * UINT64_C(1000000000) + (uint64_t)used.tv_nsec;
}

uint64_t bench_rss_bytes(int pid) {
  FILE *statm = open_proc(pid, "statm");
  if (!statm) return 0;
  unsigned long pages = 0;
  if (fscanf(statm, "%*u %lu", &pages) != 1) pages = 0;
  fclose(statm);
  return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t rollup_bytes(FILE *rollup, const char *name) {
  unsigned long kib = 0;
  char line[256];
  while (fgets(line, sizeof line, rollup))
    if (strncmp(line, name, strlen(name)) == 0 && sscanf(line + strlen(name), ": %lu", &kib) == 1) break;
  fclose(rollup);
  return (uint64_t)kib * 1024;
}

uint64_t bench_memory_bytes(int pid) {
  FILE *rollup = open_proc(pid, "smaps_rollup");
  return rollup ? rollup_bytes(rollup, "Pss") : bench_rss_bytes(pid);
}

uint64_t bench_own_memory_bytes(void) {
  FILE *rollup = open_proc(getpid(), "smaps_rollup");
  return rollup ? rollup_bytes(rollup, "Rss") : bench_rss_bytes(getpid());
}

void bench_raise_descriptors(void) {
  struct rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}
