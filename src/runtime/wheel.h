/* SPDX-License-Identifier: MIT */
/* A hierarchical timing wheel of vsi_timers: no lock, no clock, no thread. Times are ticks, and the driver of the wheel
 * says what a tick is. Nothing allocates, nothing fails. */
#ifndef VSI_RUNTIME_WHEEL_H
#define VSI_RUNTIME_WHEEL_H

#include <sys/queue.h>

#include "vestry/host.h"

/* Whether a timer is on a wheel. Under the wheel's lock. */
#define VSI_TIMER_IS_ARMED(timer) ((timer)->in.tqe_prev != NULL)

/* Eight levels of six bits reach any tick below 2^48: nanoseconds in 64 bits have fewer milliseconds than that. */
enum { VSI_WHEEL_LEVELS = 8, VSI_WHEEL_LEVEL_BITS = 6, VSI_WHEEL_SLOTS = 1 << VSI_WHEEL_LEVEL_BITS };
#define VSI_WHEEL_LAST_TICK ((UINT64_C(1) << (VSI_WHEEL_LEVELS * VSI_WHEEL_LEVEL_BITS)) - 1)
#define VSI_WHEEL_NONE      UINT64_MAX

/* A timer, embedded in what it belongs to. */
typedef struct vsi_timer {
  TAILQ_ENTRY(vsi_timer) in; /* guarded by the wheel's lock; tqe_prev NULL: not armed */
  uint64_t due_tick : 48;    /* guarded by the wheel's lock; VSI_WHEEL_LAST_TICK at most */
  uint64_t level : 8;        /* guarded by the wheel's lock */
  /* Called once for each arming that was not cancelled, no lock held, on the timer thread (or in step). Must be short
   * and must not block: notify an actor. The timer is disarmed and may be armed again inside. */
  void (*fire)(struct vsi_timer *timer);
} vsi_timer;

VESTRY_API void vsi_timer_init(vsi_timer *timer, void (*fire)(vsi_timer *timer));

typedef TAILQ_HEAD(vsi_wheel_list, vsi_timer) vsi_wheel_list;

typedef struct vsi_wheel {
  uint64_t now_tick;
  uint64_t occupied[VSI_WHEEL_LEVELS]; /* one bit a slot: it holds something */
  uint64_t stale[VSI_WHEEL_LEVELS];    /* one bit a slot: its `soonest` may be too early */
  vsi_wheel_list expired;              /* due, not popped yet */
  vsi_wheel_list slots[VSI_WHEEL_LEVELS][VSI_WHEEL_SLOTS];
  uint64_t soonest[VSI_WHEEL_LEVELS][VSI_WHEEL_SLOTS]; /* no timer of the slot is due before */
} vsi_wheel;

void vsi_wheel_init(vsi_wheel *wheel, uint64_t now_tick);

/* The timer must not be on the wheel. A tick that has passed counts as now: it expires with the next advance. */
void vsi_wheel_add(vsi_wheel *wheel, vsi_timer *timer, uint64_t due_tick);
/* The timer must be on the wheel, expired or not. */
void vsi_wheel_remove(vsi_wheel *wheel, vsi_timer *timer);

/* Turn to now_tick (earlier than before: nothing happens): timers that are due become expired, in the order of their
 * ticks and within one tick in the order of their adds. Costs O(levels) for each timer that moves, whatever the
 * distance. */
void vsi_wheel_advance(vsi_wheel *wheel, uint64_t now_tick);
/* Take the first expired timer off, or NULL. What is added meanwhile waits for the next advance. */
vsi_timer *vsi_wheel_pop_expired(vsi_wheel *wheel);

/* The tick at which the next timer is due, or VSI_WHEEL_NONE. Constant time, unless the soonest timer of a higher level
 * was removed: then one slot is searched. */
uint64_t vsi_wheel_next_due(vsi_wheel *wheel);
/* A tick at which advance has something to do: not later than the next due one, O(levels) always. */
uint64_t vsi_wheel_next_stop(const vsi_wheel *wheel);

#endif
