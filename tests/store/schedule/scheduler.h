/* SPDX-License-Identifier: MIT */
/* Threads of which one runs at a time, and which switch at points that a generator chooses. A seed therefore determines
 * a schedule, and a failure can be reproduced. The scheduler explores the interleavings of a sequentially consistent
 * machine. */
#ifndef TESTS_STORE_SCHEDULE_SCHEDULER_H
#define TESTS_STORE_SCHEDULE_SCHEDULER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { SCHEDULE_THREADS = 4 };

/* How the next thread is chosen. */
typedef enum schedule_kind {
  SCHEDULE_RANDOM,   /* at each point another one, with a probability of 1 in `first` */
  SCHEDULE_PRIORITY, /* the one with the highest priority; at `first` points chosen in advance among the first
                        `second`, it becomes the lowest (Burckhardt et al., "A randomized scheduler with
                        probabilistic guarantees of finding bugs", 2010) */
  SCHEDULE_GIVEN /* the lowest number first; at the points `first` and `second`, the running thread becomes the last */
} schedule_kind;

/* Run a function on threads_count new threads, which each get their number, under a schedule until all end. Returns the
 * number of points; 0: there were too many, so the threads seem to wait for each other (they are left suspended). */
size_t schedule_run(uint64_t seed, schedule_kind kind, uint64_t first, uint64_t second, size_t threads_count,
                    void (*run)(size_t thread, void *ctx), void *ctx);

/* The same with a random schedule that is not SCHEDULE_GIVEN, drawn from a generator (runtime/random.h). points: an
 * estimate of their number. */
size_t schedule_run_any(uint64_t *random, size_t points, size_t threads_count, void (*run)(size_t thread, void *ctx),
                        void *ctx);

/* Called by the code under test. Has no effect on threads outside of a schedule. */
void schedule_point(void);
void schedule_wait(void);

/* End the process, with the seed and the line, if a condition does not hold: the other threads stay suspended. */
void schedule_require(bool holds, uint64_t seed, int line);

/* Run a test with the seeds from 1 to count, or only with the one that schedule_take_seed has read. */
void schedule_take_seed(int argc, char **argv);
void schedule_run_seeds(uint64_t count, void (*run)(uint64_t seed));

#endif
