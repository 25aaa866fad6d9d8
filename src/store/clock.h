/* SPDX-License-Identifier: MIT */
/* A store's time: ticks, and how many of them an entry may be unused, or live.
 *
 * A tick is about a 4096th of the shorter span, in whole milliseconds, as the runtime's timers have them. An entry that
 * was last used in tick t is due when the whole span has passed since that tick ended: in tick t + span + 1, never
 * early, at most one tick late, or two when uses are noted by the coarse clock. Entries keep ticks modulo 2^31. */
#ifndef VSI_STORE_CLOCK_H
#define VSI_STORE_CLOCK_H

#include "base/keyed_hash.h"
#include "vestry/host.h"

#define VSI_TICK_MASK ((uint32_t)INT32_MAX)
#define VSI_TICK_NONE UINT32_MAX

typedef struct vsi_clock {
  const vestry_host *host;
  uint64_t (*now_ns)(void *ctx); /* NULL: the store has no need of it */
  uint64_t origin_ns, tick_ns, ticks_factor;
  uint32_t ticks_shift;
  uint32_t idle_ticks, lifetime_ticks; /* 0: for ever */
  bool expires;                        /* not both */
} vsi_clock;

/* Spans of a store that evicts; UINT64_MAX: for ever. */
void vsi_clock_init(vsi_clock *clock, const vestry_host *host, uint64_t idle_ns, uint64_t lifetime_ns);

/* Whole ticks since the origin. After Granlund and Montgomery, "Division by invariant integers using multiplication"
 * (1994): with 2^(l-1) < d <= 2^l and m = 2^(62+l) / d, rounded up, the quotient of x by d is x m / 2^(62+l), rounded
 * down, for all x below 2^62. */
static inline uint64_t vsi_clock_ticks(const vsi_clock *clock, uint64_t now_ns) {
  if (now_ns < clock->origin_ns) return 0;
  return (uint64_t)((vsi_wide)(now_ns - clock->origin_ns) * clock->ticks_factor >> 64) >> clock->ticks_shift;
}

/* The tick that uses are noted by. */
static inline uint32_t vsi_clock_now(const vsi_clock *clock) {
  if (!clock->now_ns) return 0;
  return (uint32_t)vsi_clock_ticks(clock, clock->now_ns(clock->host->ctx)) & VSI_TICK_MASK;
}

/* How long ago a tick was; 0 if it is yet to come. */
static inline uint32_t vsi_tick_age(uint32_t now, uint32_t then) {
  uint32_t age = (now - then) & VSI_TICK_MASK;
  return age > VSI_TICK_MASK / 2 ? 0 : age;
}

/* When what is of tick `then` is due after span ticks; UINT64_MAX: never. now_ticks: as vsi_clock_ticks. */
uint64_t vsi_clock_due_ns(const vsi_clock *clock, uint64_t now_ticks, uint32_t then, uint32_t span);

#endif
