/* What the broker takes from the host, and threads. */
#ifndef VSI_NATS_HOST_H
#define VSI_NATS_HOST_H

#include <pthread.h>
#include <string.h>

#include "vestry/host.h"

/* NULL: out of memory. */
static inline void *vsi_nats_alloc(const vestry_host *host, size_t size) {
  return host->reallocate(host->ctx, NULL, size);
}
static inline void *vsi_nats_calloc(const vestry_host *host, size_t size) {
  void *memory = vsi_nats_alloc(host, size);
  return memory ? memset(memory, 0, size) : NULL;
}
/* NULL is accepted. */
static inline void vsi_nats_free(const vestry_host *host, void *memory) {
  if (memory) host->reallocate(host->ctx, memory, 0);
}
static inline void vsi_nats_log(const vestry_host *host, vestry_log_level level, const char *line) {
  if (host->log) host->log(host->ctx, level, line);
}

/* A thread that blocks all signals, and so do those that it starts. name: at most 15 characters. OK | IO */
vestry_err vsi_nats_thread_start(pthread_t *ret_thread, const char *name, void *(*body)(void *), void *argument);

/* For a condition that is waited for until a point in time. */
void vsi_nats_condition_init(pthread_cond_t *condition);
/* Wait at most so long. False: the time is up. */
bool vsi_nats_wait(pthread_cond_t *condition, pthread_mutex_t *lock, uint64_t until_ns);
/* Of the clock that those wait by. */
uint64_t vsi_nats_now_ns(void);

#endif
