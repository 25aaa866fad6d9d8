/* vestry-bench: one program, a subcommand a file. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

/* A subcommand: arguments begin behind its name. Returns the exit status. */
int bench_serve(int argc, char **argv);
int bench_load(int argc, char **argv);
int bench_churn(int argc, char **argv);

/* --name VALUE options. Each returns false, after one line on stderr, when the value is no number in [min, max]. */
typedef struct bench_option {
  const char *name;  /* "--port" */
  const char **text; /* takes any value; or */
  uint64_t *number;  /* a number within */
  uint64_t min, max;
} bench_option;

/* Parse all arguments: 0, or the exit status 2 after one line on stderr. */
int bench_options(int argc, char **argv, const bench_option *options, int options_count);

uint64_t bench_now_ns(void);
/* Of another process, from /proc: CPU time (user + system) and resident memory; 0 when it is gone. */
uint64_t bench_cpu_ns(int pid);
uint64_t bench_rss_bytes(int pid);

#endif
