#include "nats/host.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

enum { NS_PER_S = 1000000000 };

vestry_err vsi_nats_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *argument) {
  sigset_t all, before; /* the mask is inherited */
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  pthread_t thread;
  int failure = pthread_create(&thread, NULL, body, argument);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  if (failure) return VESTRY_IO;
  pthread_setname_np(thread, name); /* a name that does not stick is no failure */
  *ret_thread = thread;
  return VESTRY_OK;
}

void vsi_nats_condition_init(pthread_cond_t *condition) {
  pthread_condattr_t attributes;
  pthread_condattr_init(&attributes);
  pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
  pthread_cond_init(condition, &attributes);
  pthread_condattr_destroy(&attributes);
}

bool vsi_nats_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns) {
  const struct timespec until = {.tv_sec = (time_t)(until_ns / NS_PER_S), .tv_nsec = (long)(until_ns % NS_PER_S)};
  return pthread_cond_timedwait(condition, lock, &until) != ETIMEDOUT;
}

uint64_t vsi_nats_now_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}
