/* SPDX-License-Identifier: MIT */
#include "store/schedule/scheduler.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "runtime/random.h"

enum { POINTS_MOST = 1000000, CHANGES_MOST = 8 };

typedef struct thread {
  pthread_t id;
  sem_t turn; /* posted when it shall run */
  uint64_t priority;
  bool finished;
} thread;

/* Accessed by the running thread, and by the main thread before and after the schedule. */
static struct {
  thread threads[SCHEDULE_THREADS];
  size_t threads_count, running;
  schedule_kind kind;
  uint64_t random, spread, lowest;
  uint64_t points, changes[CHANGES_MOST];
  bool stuck;
  void (*run)(size_t thread, void *ctx);
  void *ctx;
  sem_t over;
} schedule;

static _Thread_local bool is_scheduled;

static size_t unfinished_count(void) {
  size_t count = 0;
  for (size_t i = 0; i < schedule.threads_count; i++) count += !schedule.threads[i].finished;
  return count;
}

/* SIZE_MAX: all have finished. */
static size_t choose(size_t but) {
  if (unfinished_count() == 0) return SIZE_MAX;
  if (schedule.kind != SCHEDULE_RANDOM) {
    size_t best = SIZE_MAX;
    for (size_t i = 0; i < schedule.threads_count; i++)
      if (!schedule.threads[i].finished &&
          (best == SIZE_MAX || schedule.threads[i].priority > schedule.threads[best].priority))
        best = i;
    return best;
  }
  bool only = unfinished_count() == 1;
  for (;;) {
    size_t i = (size_t)random_below(&schedule.random, schedule.threads_count);
    if (!schedule.threads[i].finished && (only || i != but)) return i;
  }
}

static void hand_over(size_t to) {
  size_t me = schedule.running;
  if (to == me) return;
  schedule.running = to;
  sem_post(&schedule.threads[to].turn);
  if (schedule.threads[me].finished) return;
  while (sem_wait(&schedule.threads[me].turn)) continue;
}

/* No thread makes progress: notify the main thread, and leave the threads suspended. */
static void give_up(void) {
  schedule.stuck = true;
  sem_post(&schedule.over);
  for (;;)
    while (sem_wait(&schedule.threads[schedule.running].turn)) continue;
}

void schedule_point(void) {
  if (!is_scheduled) return;
  if (++schedule.points > POINTS_MOST) give_up();
  if (schedule.kind == SCHEDULE_RANDOM) {
    if (random_below(&schedule.random, schedule.spread) == 0) hand_over(choose(schedule.running));
    return;
  }
  for (size_t i = 0; i < CHANGES_MOST; i++)
    if (schedule.changes[i] == schedule.points) schedule.threads[schedule.running].priority = schedule.lowest--;
  hand_over(choose(schedule.running));
}

void schedule_wait(void) {
  if (!is_scheduled) return;
  if (++schedule.points > POINTS_MOST) give_up();
  schedule.threads[schedule.running].priority = schedule.lowest--; /* after all threads for which it may be waiting */
  hand_over(choose(schedule.running));
}

static void *run_thread(void *ctx) {
  size_t number = (size_t)((thread *)ctx - schedule.threads);
  while (sem_wait(&schedule.threads[number].turn)) continue;
  is_scheduled = true;
  schedule.run(number, schedule.ctx);
  is_scheduled = false;
  schedule.threads[number].finished = true;
  size_t next = choose(number);
  if (next == SIZE_MAX)
    sem_post(&schedule.over);
  else
    hand_over(next);
  return NULL;
}

size_t schedule_run(uint64_t seed, schedule_kind kind, uint64_t first, uint64_t second, size_t threads_count,
                    void (*run)(size_t thread, void *ctx), void *ctx) {
  memset(&schedule, 0, sizeof schedule);
  schedule.random = seed;
  schedule.kind = kind;
  schedule.spread = first;
  schedule.threads_count = threads_count;
  schedule.run = run;
  schedule.ctx = ctx;
  schedule.lowest = UINT64_C(1) << 62;
  sem_init(&schedule.over, 0, 0);
  for (size_t i = 0; kind == SCHEDULE_PRIORITY && i < first && i < CHANGES_MOST; i++)
    schedule.changes[i] = 1 + random_below(&schedule.random, second);
  if (kind == SCHEDULE_GIVEN) {
    schedule.changes[0] = first;
    schedule.changes[1] = second;
  }
  for (size_t i = 0; i < threads_count; i++) {
    thread *t = &schedule.threads[i];
    uint64_t rank = kind == SCHEDULE_GIVEN ? threads_count - i : random_below(&schedule.random, 1000);
    t->priority = schedule.lowest + 1 + rank * SCHEDULE_THREADS + i;
    sem_init(&t->turn, 0, 0);
    if (pthread_create(&t->id, NULL, run_thread, t)) abort();
  }
  schedule.running = choose(SIZE_MAX);
  sem_post(&schedule.threads[schedule.running].turn);
  while (sem_wait(&schedule.over)) continue;
  if (schedule.stuck) return 0;
  for (size_t i = 0; i < threads_count; i++) {
    pthread_join(schedule.threads[i].id, NULL);
    sem_destroy(&schedule.threads[i].turn);
  }
  sem_destroy(&schedule.over);
  return (size_t)schedule.points + 1;
}

size_t schedule_run_any(uint64_t *random, size_t points, size_t threads_count, void (*run)(size_t thread, void *ctx),
                        void *ctx) {
  schedule_kind kind = random_below(random, 2) ? SCHEDULE_RANDOM : SCHEDULE_PRIORITY;
  uint64_t first = kind == SCHEDULE_RANDOM ? UINT64_C(1) << (1 + random_below(random, 5)) : 1 + random_below(random, 4);
  return schedule_run(random_next(random), kind, first, points, threads_count, run, ctx);
}

void schedule_require(bool holds, uint64_t seed, int line) {
  if (holds) return;
  fprintf(stderr, "seed %llu: line %d\n", (unsigned long long)seed, line);
  _exit(1);
}

static uint64_t only_seed; /* 0: none */

void schedule_take_seed(int argc, char **argv) {
  if (argc > 1) only_seed = strtoull(argv[1], NULL, 10);
}

void schedule_run_seeds(uint64_t count, void (*run)(uint64_t seed)) {
  if (only_seed) run(only_seed);
  for (uint64_t seed = 1; seed <= count && !only_seed; seed++) run(seed);
}
