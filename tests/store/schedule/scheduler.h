/* SPDX-License-Identifier: MIT */
/* Threads of which one runs at a time, and changes at points that a generator chooses: so that a seed is a schedule,
 * and a failure can be had again. It explores the interleavings of a sequentially consistent machine. */
#ifndef TESTS_STORE_SCHEDULE_SCHEDULER_H
#define TESTS_STORE_SCHEDULE_SCHEDULER_H

#include <stddef.h>
#include <stdint.h>

enum { SCHEDULE_THREADS = 4 };

/* How the next thread is chosen. */
typedef enum schedule_kind {
  SCHEDULE_RANDOM,   /* at each point another one with a probability of 1 in `first` */
  SCHEDULE_PRIORITY, /* the one with the highest priority; at `first` points of the first `second`, chosen ahead, it
                        becomes the lowest (Burckhardt et al., "A randomized scheduler with probabilistic guarantees of
                        finding bugs", 2010) */
  SCHEDULE_GIVEN /* the lowest number first; at the points `first` and `second` the one that runs becomes the last */
} schedule_kind;

/* Run a function on so many new threads, each with its number, under a schedule, to their ends.
 * Returns  how many points there were; 0: too many, they seem to wait for each other for ever (and the threads are
 * left) */
size_t schedule_run(uint64_t seed, schedule_kind kind, uint64_t first, uint64_t second, size_t threads_count,
                    void (*run)(size_t thread, void *ctx), void *ctx);

/* The same with a schedule of any kind but the given one, drawn from a generator (runtime/random.h). points: how many
 * there may be, at a guess. */
size_t schedule_run_any(uint64_t *random, size_t points, size_t threads_count, void (*run)(size_t thread, void *ctx),
                        void *ctx);

/* Called by the code under test, by threads of a schedule or others (then nothing happens). */
void schedule_point(void);
void schedule_wait(void);

#endif
