/* Clocks, and what /proc says of a process. */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

uint64_t bench_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static FILE *open_proc(int pid, const char *file) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", pid, file);
  return fopen(path, "r");
}

uint64_t bench_cpu_ns(int pid) {
  FILE *stat = open_proc(pid, "stat");
  if (!stat) return 0;
  unsigned long user = 0, system = 0;
  char line[1024];
  const char *rest = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL; /* the name may hold spaces */
  if (!rest || sscanf(rest + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2)
    user = system = 0;
  fclose(stat);
  return (uint64_t)(user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t bench_rss_bytes(int pid) {
  FILE *statm = open_proc(pid, "statm");
  if (!statm) return 0;
  unsigned long pages = 0;
  if (fscanf(statm, "%*u %lu", &pages) != 1) pages = 0;
  fclose(statm);
  return (uint64_t)pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

uint64_t bench_own_memory_bytes(void) {
  FILE *rollup = fopen("/proc/self/smaps_rollup", "r");
  if (!rollup) return bench_rss_bytes(getpid());
  unsigned long kib = 0;
  char line[256];
  while (fgets(line, sizeof line, rollup))
    if (sscanf(line, "Rss: %lu", &kib) == 1) break;
  fclose(rollup);
  return (uint64_t)kib * 1024;
}
