/* SPDX-License-Identifier: MIT */
/* The tick at which the next timer is due, found by a look at all timers. */
#ifndef TEST_RUNTIME_DEADLINE_H
#define TEST_RUNTIME_DEADLINE_H

#include "base/memory.h"
#include "runtime/ticker.h"

static inline uint64_t soonest_of(const vsi_wheel_list *list, uint64_t soonest) {
  const vsi_timer *timer;
  TAILQ_FOREACH(timer, list, in) {
    if (timer->due_tick < soonest) soonest = timer->due_tick;
  }
  return soonest;
}

static inline uint64_t wheel_next_due(const vsi_wheel *wheel) {
  uint64_t soonest = soonest_of(&wheel->expired, VSI_WHEEL_NONE);
  for (unsigned level = 0; level < VSI_WHEEL_LEVELS; level++)
    for (unsigned slot = 0; slot < VSI_WHEEL_SLOTS; slot++) soonest = soonest_of(&wheel->slots[level][slot], soonest);
  return soonest;
}

/* Return the host time of the next deadline; UINT64_MAX: no timer is armed, or the ticker is closed. */
static inline uint64_t next_deadline_ns(vsi_ticker *ticker) {
  vsi_mutex_lock(&ticker->lock);
  const uint64_t tick = ticker->closed ? VSI_WHEEL_NONE : wheel_next_due(&ticker->wheel);
  vsi_mutex_unlock(&ticker->lock);
  return vsi_ms_to_ns(tick);
}

#endif
