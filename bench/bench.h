/* SPDX-License-Identifier: MIT */
/* vestry-bench: one program, with one file for each subcommand. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Run a subcommand; its arguments follow its name. Returns the exit status. */
int bench_serve(int argc, char **argv);
int bench_page_load(int argc, char **argv);
int bench_chat(int argc, char **argv);
int bench_cells(int argc, char **argv);
int bench_floor(int argc, char **argv);
int bench_load(int argc, char **argv);
int bench_users(int argc, char **argv);
int bench_store(int argc, char **argv);
int bench_follow(int argc, char **argv);
int bench_dispatch(int argc, char **argv);
int bench_costs(int argc, char **argv);
int bench_observe(int argc, char **argv);
int bench_lease(int argc, char **argv);
int bench_upload(int argc, char **argv);
int bench_cluster_load(int argc, char **argv); /* if BENCH_NATS is defined */
int bench_simulate(int argc, char **argv);
int bench_jobs(int argc, char **argv);
int bench_sqlite(int argc, char **argv);
int bench_exact(int argc, char **argv);
int bench_peers(int argc, char **argv);
int bench_form(int argc, char **argv);
int bench_postgres(int argc, char **argv); /* if BENCH_POSTGRES is defined */

/* An option --name VALUE, or --name alone if max is 0, which sets the number to 1. */
typedef struct bench_option {
  const char *name;  /* "--port" */
  const char **text; /* receives any value; or */
  uint64_t *number;  /* a number within */
  uint64_t min, max;
} bench_option;

/* Parse all arguments. Returns 0, or the exit status 2 after one line on stderr. */
int bench_options(int argc, char **argv, const bench_option *options, int options_count);

/* Return the coding of an --encoding; NULL: unknown. */
const struct vestry_profile_ops *bench_profile(const char *encoding);

/* Return the next number below 2^31 of a sequence that begins with the seed in state. */
uint64_t bench_random(uint64_t *state);
/* Sort numbers, smallest first, and return their median. */
double bench_median(double *numbers, size_t count);
/* Sort numbers, and return the one that a share of them does not exceed, from 0 to 1. */
double bench_share(double *numbers, size_t count, double share);

uint64_t bench_now_ns(void);
/* Sleep for the whole time, even if signals arrive. */
void bench_sleep_ms(uint64_t ms);
/* Sleep until a time of bench_now_ns. */
void bench_sleep_until_ns(uint64_t at_ns);
/* Return the CPU time of this thread. */
uint64_t bench_thread_cpu_ns(void);
/* Return the CPU time (user and system, all threads) and the resident memory of another process; 0 if it has ended. */
uint64_t bench_cpu_ns(int pid);
/* Return the part of it outside of the kernel, in units of 10 ms; 0: the process has ended. */
uint64_t bench_user_ns(int pid);
uint64_t bench_rss_bytes(int pid);
/* Return the CPU time of a process and of its living children. */
uint64_t bench_family_cpu_ns(int pid);
/* Return the CPU time of the living threads of this process with this name. */
uint64_t bench_threads_cpu_ns(const char *name);
/* Return memory as bench_rss_bytes, but exact to a page, with shared memory divided among the processes. */
uint64_t bench_memory_bytes(int pid);
/* Return the resident memory of this process, exact to a page; bench_rss_bytes can be wrong by some dozens of pages. */
uint64_t bench_own_memory_bytes(void);
/* Raise the limit of descriptors to its maximum. */
void bench_raise_descriptors(void);

#ifdef __cplusplus
}
#endif

#endif
