/* SPDX-License-Identifier: MIT */
/* vestry-bench: one program, a subcommand a file. */
#ifndef BENCH_BENCH_H
#define BENCH_BENCH_H

#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A subcommand: arguments begin behind its name. Returns the exit status. */
int bench_serve(int argc, char **argv);
int bench_page_load(int argc, char **argv);
int bench_chat(int argc, char **argv);
int bench_cells(int argc, char **argv);
int bench_floor(int argc, char **argv);
int bench_load(int argc, char **argv);
int bench_churn(int argc, char **argv);
int bench_store(int argc, char **argv);
int bench_compress(int argc, char **argv);
int bench_follow(int argc, char **argv);
int bench_format(int argc, char **argv);
int bench_dispatch(int argc, char **argv);
int bench_observe(int argc, char **argv);
int bench_rate(int argc, char **argv);
int bench_lease(int argc, char **argv);
int bench_routes(int argc, char **argv);
int bench_upload(int argc, char **argv);
int bench_broker(int argc, char **argv);       /* if BENCH_NATS is defined */
int bench_cluster_load(int argc, char **argv); /* likewise */
int bench_jobs(int argc, char **argv);
int bench_sqlite(int argc, char **argv);
int bench_exact(int argc, char **argv);
int bench_form(int argc, char **argv);
int bench_postgres(int argc, char **argv); /* if BENCH_POSTGRES is defined */

/* --name VALUE options, and --name alone where max is 0: a number that becomes 1. */
typedef struct bench_option {
  const char *name;  /* "--port" */
  const char **text; /* takes any value; or */
  uint64_t *number;  /* a number within */
  uint64_t min, max;
} bench_option;

/* Parse all arguments: 0, or the exit status 2 after one line on stderr. */
int bench_options(int argc, char **argv, const bench_option *options, int options_count);

/* The coding of an --encoding; NULL: it is none. */
const struct vestry_profile_ops *bench_profile(const char *encoding);

uint64_t bench_now_ns(void);
/* All of it, whatever signals come. */
void bench_sleep_ms(uint64_t ms);
/* Of another process: CPU time of all its threads, user and system, and resident memory; 0 when it is gone. */
uint64_t bench_cpu_ns(int pid);
uint64_t bench_rss_bytes(int pid);
/* CPU time of a process and of those that it has started and that live. */
uint64_t bench_family_cpu_ns(int pid);
/* As bench_rss_bytes, but exact to a page, and what several processes share is divided among them. */
uint64_t bench_memory_bytes(int pid);
/* Resident memory of this process, exact to a page where the one above may be off by some dozens. */
uint64_t bench_own_memory_bytes(void);
/* As many descriptors as this process may have. */
void bench_raise_descriptors(void);

#ifdef __cplusplus
}
#endif

#endif
