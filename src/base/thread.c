/* SPDX-License-Identifier: MIT */
#include "base/thread.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

int vsi_thread_make(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*body)(void *), void *argument) {
  sigset_t before = vsi_signals_block();
  int failure = pthread_create(ret_thread, attributes, body, argument);
  vsi_signals_restore(before);
  return failure;
}

vestry_err vsi_thread_start(const vestry_host *host, pthread_t *ret_thread, const char *name, void *(*body)(void *),
                            void *argument) {
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

uint32_t vsi_processors(uint32_t least, uint32_t most) {
  cpu_set_t usable;
  const long count =
      sched_getaffinity(0, sizeof usable, &usable) == 0 ? CPU_COUNT(&usable) : sysconf(_SC_NPROCESSORS_ONLN);
  return count < (long)least ? least : count > (long)most ? most : (uint32_t)count;
}
