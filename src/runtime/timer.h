/* Intrusive timers on the runtime's wheel. Arming and cancelling are O(1). */
#ifndef VSI_RUNTIME_TIMER_H
#define VSI_RUNTIME_TIMER_H

#include "vestry/runtime.h"

typedef struct vsi_timer {
  struct vsi_timer *next, **link; /* guarded by the wheel's lock; link NULL: not armed */
  uint64_t due_tick : 48;         /* guarded by the wheel's lock; VSI_WHEEL_LAST_TICK at most */
  uint64_t level : 8;             /* guarded by the wheel's lock */
  /* Called once for each arming that was not cancelled, no lock held, on the timer thread (or in step). Must be short
   * and must not block: notify an actor. The timer is disarmed and may be armed again inside. */
  void (*fire)(struct vsi_timer *timer);
} vsi_timer;

void vsi_timer_init(vsi_timer *timer, void (*fire)(vsi_timer *timer));

/* Arm, or move when armed. Returns OK and sets *ret_was_armed (may be NULL), or CLOSED (runtime closed: not armed).
 * Never fires before due_ns. Any thread. */
vestry_err vsi_timer_arm(vestry_runtime *runtime, vsi_timer *timer, uint64_t due_ns, bool *ret_was_armed);

/* true: it was armed and will not fire. false: it was not armed, or fires now. Any thread. */
bool vsi_timer_cancel(vestry_runtime *runtime, vsi_timer *timer);

/* vestry_timer_set for a time on the host's clock, once. As that. */
vestry_err vsi_timer_set_at(vestry_timer *timer, uint64_t due_ns);

/* When the runtime closes, armed timers are NOT fired: owners that hold a reference for an armed timer must cancel it
 * themselves when they close. */

#endif
