/* SPDX-License-Identifier: MIT */
/* A descriptor by which an application's event loop notices that a stepped runtime must be stepped: it is readable
 * while a job is ready or a timer is due. */
#ifndef VSI_RUNTIME_WAKE_H
#define VSI_RUNTIME_WAKE_H

#include <stdatomic.h>

#include "vestry/host.h"

typedef struct vsi_wake {
  int descriptor;         /* an epoll set of the two below: readable while either is */
  int event, timer;       /* an eventfd, a timerfd of CLOCK_MONOTONIC */
  _Atomic(bool) is_ready; /* the event was written, or is about to be */
} vsi_wake;

/* Create the descriptors. OK: readable now | IO: no descriptors are left. */
vestry_err vsi_wake_init(vsi_wake *wake);
void vsi_wake_finish(vsi_wake *wake);

/* Signal that a job is ready, after the job was queued. Any thread. Writes at most once until the wake is cleared. */
void vsi_wake_signal(vsi_wake *wake);
/* Clear the wake, because the stepping thread has found no job. The thread must look for a job once more after this. */
void vsi_wake_clear(vsi_wake *wake);

/* Make the wake readable after this many ns of real time, at the earliest now. Replaces the former time. */
void vsi_wake_in(vsi_wake *wake, uint64_t duration_ns);

#endif
