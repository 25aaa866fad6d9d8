/* SPDX-License-Identifier: MIT */
/* The time of a store in ticks, and the number of ticks that an entry may be unused or may live.
 *
 * A tick is about 1/4096 of the shorter span, rounded to whole milliseconds, as the timers of the runtime are. An entry
 * last used in tick t is due when the whole span has passed since the end of tick t: in tick t + span + 1. An entry
 * never leaves early. It leaves at most one tick late, or two ticks if uses are noted by the coarse clock. Entries
 * store ticks modulo 2^31.
 *
 * Each operation reads the clock: 4.7 ns for a coarse clock, 24 ns for an exact one. A time that a runtime publishes
 * would lag for as long as the publishing thread is not scheduled, or sleeps. Then uses in several ticks would be noted
 * as uses in one, so the order of eviction would be lost, and entries would leave early. */
#ifndef VSI_STORE_CLOCK_H
#define VSI_STORE_CLOCK_H

#include "base/keyed_hash.h"
#include "vestry/host.h"

#define VSI_TICK_MASK ((uint32_t)INT32_MAX)
#define VSI_TICK_NONE UINT32_MAX

typedef struct vsi_clock {
  const vestry_host *host;
  uint64_t (*now_ns)(void *ctx); /* NULL: the store needs no clock */
  uint64_t origin_ns, tick_ns, ticks_factor;
  uint32_t ticks_shift;
  uint32_t idle_ticks, lifetime_ticks; /* 0: unlimited */
  uint32_t sure_ticks; /* an entry that was unused for fewer ticks is not due; UINT32_MAX: none ever is */
} vsi_clock;

/* Initialize the clock of a store that evicts, with its spans; UINT64_MAX: unlimited. */
void vsi_clock_init(vsi_clock *clock, const vestry_host *host, uint64_t idle_ns, uint64_t lifetime_ns);

/* Return the number of whole ticks since the origin. After Granlund and Montgomery, "Division by invariant integers
 * using multiplication" (1994): with 2^(l-1) < d <= 2^l and m = 2^(62+l) / d, rounded up, the quotient of x by d is x m
 * / 2^(62+l), rounded down, for all x below 2^62. */
static inline uint64_t vsi_clock_ticks(const vsi_clock *clock, uint64_t now_ns) {
  if (now_ns < clock->origin_ns) return 0;
  return (uint64_t)((vsi_wide)(now_ns - clock->origin_ns) * clock->ticks_factor >> 64) >> clock->ticks_shift;
}

/* Return the current tick, by which uses are noted. */
static inline uint32_t vsi_clock_now(const vsi_clock *clock) {
  if (!clock->now_ns) return 0;
  return (uint32_t)vsi_clock_ticks(clock, clock->now_ns(clock->host->ctx)) & VSI_TICK_MASK;
}

/* Return the age of a tick in ticks; 0 if the tick lies in the future. */
static inline uint32_t vsi_tick_age(uint32_t now, uint32_t then) {
  uint32_t age = (now - then) & VSI_TICK_MASK;
  return age > VSI_TICK_MASK / 2 ? 0 : age;
}

/* Return the time at which an entry of tick `then` is due after span ticks; UINT64_MAX: never. now_ticks: as
 * vsi_clock_ticks. */
uint64_t vsi_clock_due_ns(const vsi_clock *clock, uint64_t now_ticks, uint32_t then, uint32_t span);

#endif
