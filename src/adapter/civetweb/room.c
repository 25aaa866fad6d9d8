/* SPDX-License-Identifier: MIT */
/* Checks that civetweb does not make itself.
 *
 * If civetweb cannot create a worker, it continues with those that it has. If it cannot create the accepting thread, it
 * continues without one, and reports nothing. And if descriptors run out, its accepting thread retries in a busy loop.
 * None of this can be repaired from outside while it runs, but it can be predicted, because civetweb never has more
 * clients than threads, places in its queue, and one that is being accepted. */
#include "adapter/civetweb/room.h"

#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/thread.h"

/* STACK_BYTES: as in Debian's civetweb. SETTLE_TURNS: the kernel counts a joined thread for a moment longer. */
enum { STACK_BYTES = 102400, SETTLE_TURNS = 10000 };

typedef struct trial {
  vsi_mutex lock;
  pthread_cond_t ended;
  bool has_ended; /* guarded by lock */
} trial;

static void *wait_for_the_end(void *argument) {
  trial *of = argument;
  vsi_mutex_lock(&of->lock);
  while (!of->has_ended) vsi_mutex_wait(&of->lock, &of->ended);
  vsi_mutex_unlock(&of->lock);
  return NULL;
}

static uint32_t make_threads(trial *of, pthread_t *threads, uint32_t count) {
  pthread_attr_t attributes;
  uint32_t made = 0;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  while (made < count && vsi_thread_make(&threads[made], &attributes, wait_for_the_end, of) == 0) made++;
  pthread_attr_destroy(&attributes);
  return made;
}

/* Return the kernel's number of threads; 0: unknown. */
static unsigned long threads_now(void) {
  struct stat at;
  return stat("/proc/self/task", &at) == 0 ? (unsigned long)at.st_nlink : 0;
}

uint32_t vsi_civetweb_try_threads(uint32_t count) {
  const vestry_host *host = vestry_host_default();
  pthread_t *threads = vsi_calloc(host, count, sizeof *threads);
  if (!threads) return 0;
  trial of = {.lock = VSI_MUTEX_INITIALIZER(VSI_LOCK_CIVETWEB_TRIAL), .ended = PTHREAD_COND_INITIALIZER};
  const unsigned long before = threads_now();
  uint32_t made = make_threads(&of, threads, count);
  vsi_mutex_lock(&of.lock);
  of.has_ended = true;
  pthread_cond_broadcast(&of.ended);
  vsi_mutex_unlock(&of.lock);
  for (uint32_t i = 0; i < made; i++) pthread_join(threads[i], NULL);
  for (int i = 0; i < SETTLE_TURNS && threads_now() > before; i++) sched_yield();
  vsi_free(host, threads);
  return made;
}

uint64_t vsi_civetweb_descriptors_needed(uint32_t threads_count, uint32_t queue_count) {
  return (uint64_t)threads_count + queue_count + 1 + VSI_CIVETWEB_OTHER_DESCRIPTORS;
}

uint64_t vsi_civetweb_descriptors_allowed(void) {
  struct rlimit limit;
  return getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY ? limit.rlim_cur : UINT64_MAX;
}
