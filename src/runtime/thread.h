/* Threads of the library. */
#ifndef VSI_RUNTIME_THREAD_H
#define VSI_RUNTIME_THREAD_H

#include <pthread.h>

#include "vestry/error.h"

/* Start a thread. It is named (at most 15 characters) and blocks all signals, so that the application's signals go to
 * the application's threads. OK | IO */
vestry_err vsi_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *argument);

#endif
