/* SPDX-License-Identifier: MIT */
/* A hierarchical timing wheel of vsi_timers: no lock, no clock, no thread. Times are ticks, whose length the driver of
 * the wheel defines. No function allocates or fails. */
#ifndef VSI_RUNTIME_WHEEL_H
#define VSI_RUNTIME_WHEEL_H

#include <sys/queue.h>

#include "vestry/host.h"

/* Return whether a timer is on a wheel. Under the wheel's lock. */
#define VSI_TIMER_IS_ARMED(timer) ((timer)->in.tqe_prev != NULL)

/* Eight levels of six bits cover all ticks below 2^48. A 64-bit number of nanoseconds has fewer milliseconds. */
enum { VSI_WHEEL_LEVELS = 8, VSI_WHEEL_LEVEL_BITS = 6, VSI_WHEEL_SLOTS = 1 << VSI_WHEEL_LEVEL_BITS };
#define VSI_WHEEL_LAST_TICK ((UINT64_C(1) << (VSI_WHEEL_LEVELS * VSI_WHEEL_LEVEL_BITS)) - 1)
#define VSI_WHEEL_NONE      UINT64_MAX

struct vsi_notices;

/* A timer, embedded in the object that it belongs to. */
typedef struct vsi_timer {
  TAILQ_ENTRY(vsi_timer) in; /* guarded by the wheel's lock; tqe_prev NULL: not armed */
  uint64_t due_tick : 48;    /* guarded by the wheel's lock; at most VSI_WHEEL_LAST_TICK */
  uint64_t level : 8;        /* guarded by the wheel's lock */
  /* Called once for each arming that was not cancelled, no lock held, on the timer thread (or in step). Must be short
   * and must not block: notify an actor, by the notices, which are sent when all due timers have fired. The timer is
   * disarmed and may be armed again inside. */
  void (*fire)(struct vsi_timer *timer, struct vsi_notices *notices);
} vsi_timer;

VESTRY_API void vsi_timer_init(vsi_timer *timer, void (*fire)(vsi_timer *timer, struct vsi_notices *notices));

typedef TAILQ_HEAD(vsi_wheel_list, vsi_timer) vsi_wheel_list;

typedef struct vsi_wheel {
  uint64_t now_tick;
  uint64_t occupied[VSI_WHEEL_LEVELS]; /* one bit for each slot: it is not empty */
  vsi_wheel_list expired;              /* due, but not popped yet */
  vsi_wheel_list slots[VSI_WHEEL_LEVELS][VSI_WHEEL_SLOTS];
} vsi_wheel;

void vsi_wheel_init(vsi_wheel *wheel, uint64_t now_tick);

/* Add a timer that is not on the wheel. A tick in the past counts as now: it expires with the next advance. */
void vsi_wheel_add(vsi_wheel *wheel, vsi_timer *timer, uint64_t due_tick);
/* Remove a timer that is on the wheel, expired or not. */
void vsi_wheel_remove(vsi_wheel *wheel, vsi_timer *timer);

/* Advance to now_tick (no effect if it is earlier than before): due timers become expired, in the order of their ticks,
 * and within one tick in the order of their adds. Costs O(levels) for each timer that moves, for any distance. */
void vsi_wheel_advance(vsi_wheel *wheel, uint64_t now_tick);
/* Remove the first expired timer; NULL: none. Timers added meanwhile wait for the next advance. */
vsi_timer *vsi_wheel_pop_expired(vsi_wheel *wheel);

/* Return the next tick at which advance has work, or VSI_WHEEL_NONE. It is not later than the next timer, and a timer
 * is reached in at most as many stops as there are levels. Takes O(levels). */
uint64_t vsi_wheel_next_stop(const vsi_wheel *wheel);

#endif
