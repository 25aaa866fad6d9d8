#include "runtime/thread.h"

#include <signal.h>

vestry_err vsi_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *argument) {
  /* The mask is inherited: blocked here, it is blocked from the thread's first instruction. */
  sigset_t all, before;
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
