/* Threads of the broker, and how they wait. */
#ifndef VSI_NATS_HOST_H
#define VSI_NATS_HOST_H

#include <pthread.h>

#include "base/outside.h"

/* A thread that blocks all signals, and so do those that it starts. name: at most 15 characters. OK | IO */
vestry_err vsi_nats_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *argument);

/* For a condition that is waited for until a point in time. */
void vsi_nats_condition_init(pthread_cond_t *condition);
/* Wait at most so long. False: the time is up. */
bool vsi_nats_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns);
/* Of the clock that those wait by. */
uint64_t vsi_nats_now_ns(void);

#endif
