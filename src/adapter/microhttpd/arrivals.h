/* SPDX-License-Identifier: MIT */
/* The connections on their way from the door to libmicrohttpd's threads. */
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
  unsigned char *is_on_way; /* guarded by lock, like the next: by descriptor */
  size_t room;              /* of it */
  _Atomic(uint32_t) on_way; /* written under lock */
  bool is_awaited;          /* guarded by lock: a thread waits for `fewer`, which says that it went down */
  pthread_cond_t fewer;
} vsi_microhttpd_arrivals;

void vsi_microhttpd_arrivals_init(vsi_microhttpd_arrivals *arrivals, const vestry_host *host);
/* What was only zeroed may be finished too. */
void vsi_microhttpd_arrivals_finish(vsi_microhttpd_arrivals *arrivals);

/* A descriptor that was accepted is about to be handed over. OK | NO_MEMORY (a byte for each descriptor). Threads any,
 * like those below. */
vestry_err vsi_microhttpd_arrivals_enter(vsi_microhttpd_arrivals *arrivals, int fd);
/* The descriptor's thread has it, or it was closed. */
void vsi_microhttpd_arrivals_leave(vsi_microhttpd_arrivals *arrivals, int fd);
uint32_t vsi_microhttpd_arrivals_count(const vsi_microhttpd_arrivals *arrivals);
/* Wait while so many are on their way, for so long at most. */
void vsi_microhttpd_arrivals_wait(vsi_microhttpd_arrivals *arrivals, uint32_t most, uint64_t most_ms);
/* Forget those that were closed on their way. */
void vsi_microhttpd_arrivals_sweep(vsi_microhttpd_arrivals *arrivals);

#endif
