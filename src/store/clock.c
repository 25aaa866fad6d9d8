/* SPDX-License-Identifier: MIT */
/* Setting up the clock of a store: the length of its tick, and its spans in ticks. */
#include "store/clock.h"

#include "base/memory.h"

enum { TICKS_A_SPAN = 4080 };
#define TICK_DEFAULT_NS  UINT64_C(150000000)
#define COARSE_ENOUGH_NS UINT64_C(20000000)
#define COARSE_LAG_NS    UINT64_C(10000000) /* largest lag of the host's coarse clock */

/* Convert a span to ticks. With the coarse clock the span grows by the clock's lag, because a use may have happened
 * that much later than its noted time. */
static uint32_t ticks_in(const vsi_clock *clock, uint64_t span_ns) {
  if (span_ns == UINT64_MAX) return 0;
  if (clock->now_ns != clock->host->now_ns) span_ns = vsi_add_saturating(span_ns, COARSE_LAG_NS);
  uint64_t ticks = span_ns / clock->tick_ns + (span_ns % clock->tick_ns != 0);
  return ticks > VSI_TICK_MASK / 4 ? 0 : (uint32_t)ticks;
}

void vsi_clock_init(vsi_clock *clock, const vestry_host *host, uint64_t idle_ns, uint64_t lifetime_ns) {
  uint64_t span_ns = idle_ns < lifetime_ns ? idle_ns : lifetime_ns;
  uint64_t tick_ms = span_ns / TICKS_A_SPAN / VSI_NS_PER_MS + 1;
  clock->host = host;
  clock->tick_ns = span_ns == UINT64_MAX ? TICK_DEFAULT_NS : tick_ms * VSI_NS_PER_MS;
  uint32_t l = 64 - (uint32_t)__builtin_clzll(clock->tick_ns - 1);
  clock->ticks_factor = (uint64_t)(((vsi_wide)1 << (62 + l)) / clock->tick_ns) + 1;
  clock->ticks_shift = l - 2;
  clock->now_ns = host->coarse_ns && clock->tick_ns >= COARSE_ENOUGH_NS ? host->coarse_ns : host->now_ns;
  clock->idle_ticks = ticks_in(clock, idle_ns);
  clock->lifetime_ticks = ticks_in(clock, lifetime_ns);
  /* If the lifetime is not longer than the idle time, an entry expires by its lifetime before it is idle for too
   * long. */
  if (clock->lifetime_ticks && clock->lifetime_ticks <= clock->idle_ticks) clock->idle_ticks = 0;
  clock->sure_ticks = clock->lifetime_ticks ? 0 : clock->idle_ticks ? clock->idle_ticks + 1 : UINT32_MAX;
  clock->origin_ns = vsi_now_ns(host) / VSI_NS_PER_MS * VSI_NS_PER_MS;
}

uint64_t vsi_clock_due_ns(const vsi_clock *clock, uint64_t now_ticks, uint32_t then, uint32_t span) {
  if (!span || then == VSI_TICK_NONE) return UINT64_MAX;
  uint64_t tick = now_ticks - vsi_tick_age((uint32_t)now_ticks & VSI_TICK_MASK, then) + span + 1;
  if (tick > (UINT64_MAX - clock->origin_ns) / clock->tick_ns) return UINT64_MAX;
  return clock->origin_ns + tick * clock->tick_ns;
}
