/* vestry-bench SUBCOMMAND: how vestry is measured. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const struct {
  const char *name;
  int (*run)(int argc, char **argv);
  const char *help;
} subcommands[] = {
    {"serve", bench_serve,
     "serve [--port 8090] [--adapter civetweb] [--threads 256] [--heartbeat-ms 15000]\n"
     "      a server to be measured: GET /sub[?key=K], POST /pub[?key=K], POST /html, GET /stats"},
    {"load", bench_load,
     "load --port P [--streams 1000] [--rounds 100] [--payload-bytes 100] [--stalled 0] [--pause-ms 0] [--pid SERVER]\n"
     "      streams that count what they get: losses, order, latency; fails on a loss or a disorder"},
    {"churn", bench_churn,
     "churn --port P [--clients 1000] [--seconds 60] [--seed 1] [--pid SERVER]\n"
     "      clients that connect, subscribe and are killed at random; fails unless the server ends up empty"},
};
enum { SUBCOMMANDS = sizeof subcommands / sizeof *subcommands };

static int usage(FILE *to, int status) {
  for (int i = 0; i < SUBCOMMANDS; i++)
    fprintf(to, "%s%s\n", i ? "" : "vestry-bench SUBCOMMAND\n  ", subcommands[i].help);
  return status;
}

static int read_number(const bench_option *option, const char *value) {
  char *end;
  errno = 0;
  unsigned long long number = strtoull(value, &end, 10);
  if (errno || end == value || *end || *value == '-' || number < option->min || number > option->max) {
    fprintf(stderr, "vestry-bench: %s: '%s' is no number from %" PRIu64 " to %" PRIu64 "\n", option->name, value,
            option->min, option->max);
    return 2;
  }
  *option->number = number;
  return 0;
}

int bench_options(int argc, char **argv, const bench_option *options, int options_count) {
  for (int i = 0; i < argc; i += 2) {
    const bench_option *found = NULL;
    for (int at = 0; at < options_count; at++)
      if (!strcmp(argv[i], options[at].name)) found = &options[at];
    if (!found || i + 1 == argc) {
      fprintf(stderr, "vestry-bench: %s: %s\n", argv[i], found ? "needs a value" : "unknown option");
      return 2;
    }
    if (found->text)
      *found->text = argv[i + 1];
    else if (read_number(found, argv[i + 1]))
      return 2;
  }
  return 0;
}

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

int main(int argc, char **argv) {
  if (argc > 1 && (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h"))) return usage(stdout, 0);
  for (int i = 0; argc > 1 && i < SUBCOMMANDS; i++)
    if (!strcmp(argv[1], subcommands[i].name)) return subcommands[i].run(argc - 2, argv + 2);
  return usage(stderr, 2);
}
