/* SPDX-License-Identifier: MIT */
/* What tells a loop of the application's that a stepped runtime wants to be stepped: one descriptor, which is readable
 * while something is ready or due. */
#ifndef VSI_RUNTIME_WAKE_H
#define VSI_RUNTIME_WAKE_H

#include <stdatomic.h>

#include "vestry/host.h"

typedef struct vsi_wake {
  int descriptor;         /* an epoll set of the two below: readable while one of them is */
  int event, timer;       /* an eventfd, a timerfd of CLOCK_MONOTONIC */
  _Atomic(bool) is_ready; /* the event was written, or is about to be */
} vsi_wake;

/* OK: it is readable | IO: there are no descriptors. */
vestry_err vsi_wake_init(vsi_wake *wake);
void vsi_wake_finish(vsi_wake *wake);

/* Something is ready: any thread, after what made it so. No more than one write until it is cleared. */
void vsi_wake_tell(vsi_wake *wake);
/* The stepper has found nothing ready. It looks once more after this. */
void vsi_wake_clear(vsi_wake *wake);

/* Readable from so many ns of real time on; UINT64_MAX: not by time. What was before is forgotten. */
void vsi_wake_in(vsi_wake *wake, uint64_t duration_ns);

#endif
