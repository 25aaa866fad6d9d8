/* SPDX-License-Identifier: MIT */
/* A library to preload: a suite that is listed as single-threaded must not start a thread. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

int pthread_create(pthread_t *ret_thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument) {
  fputs(
      "A suite of the list one_thread in tests/CMakeLists.txt starts a thread. Without it there, the thread sanitizer "
      "runs it.\n",
      stderr);
  abort();
}
