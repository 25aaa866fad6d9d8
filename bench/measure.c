/* SPDX-License-Identifier: MIT */
/* Numbers, clocks, and data of processes from /proc. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

uint64_t bench_random(uint64_t *state) {
  *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407); /* Knuth's MMIX */
  return *state >> 33;
}

static int compare(const void *a, const void *b) {
  const double one = *(const double *)a, other = *(const double *)b;
  return (one > other) - (one < other);
}

double bench_median(double *numbers, size_t count) {
  qsort(numbers, count, sizeof *numbers, compare);
  return (numbers[(count - 1) / 2] + numbers[count / 2]) / 2;
}

double bench_share(double *numbers, size_t count, double share) {
  qsort(numbers, count, sizeof *numbers, compare);
  return numbers[(size_t)((double)(count - 1) * share + 0.5)];
}

static uint64_t read_clock(clockid_t clock) {
  struct timespec now;
  return clock_gettime(clock, &now) ? 0 : (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

uint64_t bench_now_ns(void) {
  return read_clock(CLOCK_MONOTONIC);
}

uint64_t bench_thread_cpu_ns(void) {
  return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void bench_sleep_until_ns(uint64_t at_ns) {
  const struct timespec at = {(time_t)(at_ns / 1000000000), (long)(at_ns % 1000000000)};
  while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR) continue;
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
  return clock_getcpuclockid(pid, &clock) ? 0 : read_clock(clock);
}

/* Return the parent of a process; 0: the process has ended. */
static int parent_of(int pid) {
  char line[512];
  int parent = 0;
  FILE *stat = open_proc(pid, "stat");
  if (!stat) return 0;
  const char *end = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL; /* end of its name */
  if (!end || sscanf(end, ") %*c %d", &parent) != 1) parent = 0;
  fclose(stat);
  return parent;
}

uint64_t bench_user_ns(int pid) {
  char line[512];
  unsigned long ticks = 0;
  FILE *stat = open_proc(pid, "stat");
  if (!stat) return 0;
  const char *end = fgets(line, sizeof line, stat) ? strrchr(line, ')') : NULL; /* end of its name */
  /* utime is the fourteenth field (proc(5)) */
  if (!end || sscanf(end, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu", &ticks) != 1) ticks = 0;
  fclose(stat);
  return ticks * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}

uint64_t bench_family_cpu_ns(int pid) {
  uint64_t ns = bench_cpu_ns(pid);
  DIR *all = opendir("/proc");
  if (!all) return ns;
  for (const struct dirent *entry; (entry = readdir(all));) {
    const int child = (int)strtol(entry->d_name, NULL, 10);
    if (child && parent_of(child) == pid) ns += bench_cpu_ns(child);
  }
  closedir(all);
  return ns;
}

/* Read the first line of a file of a thread of this process. */
static bool read_of_thread(const char *thread, const char *file, char *text, int capacity) {
  char path[300];
  snprintf(path, sizeof path, "/proc/self/task/%s/%s", thread, file);
  FILE *from = fopen(path, "r");
  const bool is_read = from && fgets(text, capacity, from);
  if (from) fclose(from);
  return is_read;
}

uint64_t bench_threads_cpu_ns(const char *name) {
  char text[64];
  uint64_t ns = 0;
  DIR *threads = opendir("/proc/self/task");
  if (!threads) return 0;
  for (const struct dirent *thread; (thread = readdir(threads));)
    if (read_of_thread(thread->d_name, "comm", text, sizeof text) && strlen(text) == strlen(name) + 1 &&
        memcmp(text, name, strlen(name)) == 0 && read_of_thread(thread->d_name, "schedstat", text, sizeof text))
      ns += strtoull(text, NULL, 10);
  closedir(threads);
  return ns;
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
