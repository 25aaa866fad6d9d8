/* SPDX-License-Identifier: MIT */
/* The wake is a descriptor for the event loop of an application: it is readable while a job is ready or a timer is due.
 *
 * No readiness is missed. A thread that submits first queues the job [S1], then exchanges is_ready for true [S2], and
 * writes the event if it was false. A thread that steps and finds nothing reads the event [C1], stores false [C2], and
 * then looks into the queue once more [C3]. S1 and C3 hold the lock of the queue. If S1 comes first, C3 finds the job.
 * Otherwise C2 comes before S2, because C3 is between them, so S2 reads false, and the event is written.
 *
 * The descriptor is not readable for longer than necessary. While is_ready is true, the event is written, or one thread
 * is about to write it: only S2 sets is_ready to true, and C2, which follows a read, sets it to false. So if a read
 * finds nothing [C1], is_ready stays true. The write follows, the descriptor becomes readable once although no job may
 * be ready, and the next step reads the event. */
#include "runtime/wake.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

static bool watch(const vsi_wake *wake, int descriptor) {
  struct epoll_event event = {.events = EPOLLIN};
  return epoll_ctl(wake->descriptor, EPOLL_CTL_ADD, descriptor, &event) == 0;
}

vestry_err vsi_wake_init(vsi_wake *wake) {
  wake->descriptor = epoll_create1(EPOLL_CLOEXEC);
  wake->event = eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK);
  wake->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  atomic_init(&wake->is_ready, true);
  if (wake->descriptor >= 0 && wake->event >= 0 && wake->timer >= 0 && watch(wake, wake->event) &&
      watch(wake, wake->timer))
    return VESTRY_OK;
  vsi_wake_finish(wake);
  return VESTRY_IO;
}

void vsi_wake_finish(vsi_wake *wake) {
  if (wake->descriptor >= 0) close(wake->descriptor);
  if (wake->event >= 0) close(wake->event);
  if (wake->timer >= 0) close(wake->timer);
}

void vsi_wake_signal(vsi_wake *wake) {
  if (!atomic_exchange_explicit(&wake->is_ready, true, memory_order_acq_rel)) /* [S2] */
    (void)eventfd_write(wake->event, 1); /* cannot fail: the value is 0, or 1 for a moment */
}

void vsi_wake_clear(vsi_wake *wake) {
  eventfd_t count;
  /* a thread that signals now writes the event */
  if (!atomic_load_explicit(&wake->is_ready, memory_order_relaxed)) return;
  if (eventfd_read(wake->event, &count) != 0) return;                  /* [C1] the write is still to come */
  atomic_store_explicit(&wake->is_ready, false, memory_order_release); /* [C2] */
}

void vsi_wake_in(vsi_wake *wake, uint64_t duration_ns) {
  const uint64_t second_ns = 1000000000;
  if (!duration_ns) duration_ns = 1; /* 0 would disarm the timer */
  const struct itimerspec at = {.it_value = {(time_t)(duration_ns / second_ns), (long)(duration_ns % second_ns)}};
  (void)timerfd_settime(wake->timer, 0, &at, NULL); /* cannot fail: the time is valid */
}
