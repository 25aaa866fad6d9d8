/* SPDX-License-Identifier: MIT */
/* A library to preload: each thread begins late, as on a slow, busy machine. Some kinds of threads are later than
 * others, in turns (a kind is the function that they run). Code that assumes that a new thread has already run fails,
 * both in its creator and in threads that were created after it. */
#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

enum { LATE_MS = 100, LATER_MS = 300, KINDS = 16, TURNS = 3 };

typedef void *(*run_fn)(void *);
typedef int (*create_fn)(pthread_t *, const pthread_attr_t *, run_fn, void *);

typedef struct beginning {
  run_fn run;
  void *argument;
  long late_ms;
} beginning;

/* A turn lasts from one thread of the first kind that follows another kind to the next, which is about the life of a
 * test's server. */
static long lateness_ms(run_fn run) {
  static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  static run_fn kinds[KINDS];
  static int before, turn;
  int kind = 0;
  pthread_mutex_lock(&lock);
  while (kind < KINDS - 1 && kinds[kind] && kinds[kind] != run) kind++;
  kinds[kind] = run;
  if (!kind && before) turn++;
  before = kind;
  bool is_later = kind % TURNS == turn % TURNS;
  pthread_mutex_unlock(&lock);
  return is_later ? LATER_MS : LATE_MS;
}

static void *begin_late(void *argument) {
  const beginning job = *(beginning *)argument;
  free(argument);
  struct timespec left = {.tv_nsec = job.late_ms * 1000000};
  while (nanosleep(&left, &left) != 0) continue; /* a signal came */
  return job.run(job.argument);
}

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, run_fn run, void *argument) {
  create_fn create; /* looked up each time: a program creates few threads, and so no state is shared */
  *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
  if (!create) return ENOSYS;
  beginning *job = malloc(sizeof *job);
  if (!job) return EAGAIN;
  *job = (beginning){run, argument, lateness_ms(run)};
  int error = create(ret_thread, attributes, begin_late, job);
  if (error) free(job);
  return error;
}
