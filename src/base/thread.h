/* SPDX-License-Identifier: MIT */
/* Threads of the library, and the processors for them. */
#ifndef VSI_BASE_THREAD_H
#define VSI_BASE_THREAD_H

#include <pthread.h>
#include <signal.h>

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
VESTRY_API int vsi_thread_make(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*body)(void *),
                               void *argument);

/* Start a thread that blocks all signals. host: logs a failure; NULL: no log. name: at most 15 characters. OK | IO */
VESTRY_API vestry_err vsi_thread_start(const vestry_host *host, pthread_t *ret_thread, const char *name,
                                       void *(*body)(void *), void *argument);

/* Return the number of processors that this process may use, at least `least` and at most `most`. In a container these
 * are fewer than the machine has. */
VESTRY_API uint32_t vsi_processors(uint32_t least, uint32_t most);

#endif
