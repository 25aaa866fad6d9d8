/* SPDX-License-Identifier: MIT */
/* The connections on their way from the acceptor to the threads of libmicrohttpd. */
#ifndef VSI_MICROHTTPD_ARRIVALS_H
#define VSI_MICROHTTPD_ARRIVALS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/mutex.h"
#include "vestry/host.h"

typedef struct vsi_microhttpd_arrivals {
  const vestry_host *host;
  vsi_mutex lock;           /* innermost */
  unsigned char *is_on_way; /* guarded by lock, as is the next member: by descriptor */
  size_t room;              /* size of is_on_way */
  _Atomic(uint32_t) on_way; /* written under lock */
  bool is_awaited;          /* guarded by lock: a thread waits for `fewer`, which is signalled when on_way decreases */
  pthread_cond_t fewer;
} vsi_microhttpd_arrivals;

void vsi_microhttpd_arrivals_init(vsi_microhttpd_arrivals *arrivals, const vestry_host *host);
/* A struct that was only zeroed is accepted. */
void vsi_microhttpd_arrivals_finish(vsi_microhttpd_arrivals *arrivals);

/* Add an accepted descriptor that is about to be given to libmicrohttpd. OK | NO_MEMORY (one byte for each descriptor).
 * Threads any, as for all functions below. */
vestry_err vsi_microhttpd_arrivals_enter(vsi_microhttpd_arrivals *arrivals, int fd);
/* Remove a descriptor, because its thread has it or it was closed. */
void vsi_microhttpd_arrivals_leave(vsi_microhttpd_arrivals *arrivals, int fd);
uint32_t vsi_microhttpd_arrivals_count(const vsi_microhttpd_arrivals *arrivals);
/* Wait while at least `most` descriptors are on their way, for at most most_ms. */
void vsi_microhttpd_arrivals_wait(vsi_microhttpd_arrivals *arrivals, uint32_t most, uint64_t most_ms);
/* Remove the descriptors that were closed on their way. */
void vsi_microhttpd_arrivals_sweep(vsi_microhttpd_arrivals *arrivals);

#endif
