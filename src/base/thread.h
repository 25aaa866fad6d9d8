/* SPDX-License-Identifier: MIT */
/* Threads of the library. Header only, because separate libraries do not see the core's functions. */
#ifndef VSI_BASE_THREAD_H
#define VSI_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/log.h"
#include "vestry/error.h"
#include "vestry/host.h"

/* Block signals, and restore the mask. The application's signals must be handled by its own threads. A thread that is
 * started between these calls inherits the mask, so it blocks all signals from its first instruction. */
static inline sigset_t vsi_signals_block(void) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  return before;
}
static inline void vsi_signals_restore(sigset_t before) {
  pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/* Create a thread that blocks all signals. attributes: NULL: the default. Returns 0, or an error number. */
static inline int vsi_thread_make(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*body)(void *),
                                  void *argument) {
  sigset_t before = vsi_signals_block();
  int failure = pthread_create(ret_thread, attributes, body, argument);
  vsi_signals_restore(before);
  return failure;
}

/* Start a thread that blocks all signals. host: logs a failure; NULL: no log. name: at most 15 characters. OK | IO */
static inline vestry_err vsi_thread_start(const vestry_host *host, pthread_t *ret_thread, const char *name,
                                          void *(*body)(void *), void *argument) {
  pthread_t thread;
  int failure = vsi_thread_make(&thread, NULL, body, argument);
  if (failure) {
    if (host)
      vsi_log(host, VESTRY_LOG_ERROR,
              "cannot start the thread %s: %s; check RLIMIT_NPROC (ulimit -u), pids.max and the memory", name,
              strerror(failure));
    return VESTRY_IO;
  }
  pthread_setname_np(thread, name); /* a failure to set the name is ignored */
  *ret_thread = thread;
  return VESTRY_OK;
}

#endif
