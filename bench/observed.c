/* SPDX-License-Identifier: MIT */
#include "observed.h"

#include <inttypes.h>
#include <stdio.h>

#include "bench.h"

/* Return the CPU time of a turn in the server, including the onlookers' requests; 0: failed. ret_wall_ns: its whole
 * time. */
static uint64_t time_turn(observed *all, bool is_observed, uint64_t *ret_wall_ns) {
  if (is_observed && !onlooker_begin(&all->looker)) return 0;
  const uint64_t began_ns = bench_now_ns();
  const uint64_t before_ns = bench_cpu_ns(all->looker.pid);
  const bool is_well = all->turn(all->ctx);
  const uint64_t took_ns = bench_cpu_ns(all->looker.pid) - before_ns;
  *ret_wall_ns = bench_now_ns() - began_ns;
  if (is_observed && !onlooker_end(&all->looker)) return 0;
  return is_well ? took_ns : 0;
}

bool observed_run(observed *all) {
  static double plain[OBSERVED_PAIRS_MOST], seen[OBSERVED_PAIRS_MOST], ratios[OBSERVED_PAIRS_MOST];
  static double loads[OBSERVED_PAIRS_MOST]; /* CPU in a second, without observation */
  if (!onlooker_switch(&all->looker, false)) return false;
  for (uint64_t pair = 0; pair < all->pairs; pair++) {
    const bool is_first = pair % 2;
    uint64_t one_wall_ns, other_wall_ns;
    const uint64_t one_ns = time_turn(all, is_first, &one_wall_ns);
    const uint64_t other_ns = one_ns ? time_turn(all, !is_first, &other_wall_ns) : 0;
    if (!other_ns) return false;
    plain[pair] = (double)(is_first ? other_ns : one_ns);
    seen[pair] = (double)(is_first ? one_ns : other_ns);
    ratios[pair] = seen[pair] / plain[pair];
    loads[pair] = plain[pair] * 1e9 / (double)(is_first ? other_wall_ns : one_wall_ns);
  }
  all->plain_ns = bench_share(plain, all->pairs, 0.5);
  all->observed_ns = bench_share(seen, all->pairs, 0.5);
  all->ratio = bench_share(ratios, all->pairs, 0.5);
  all->ratio_low = bench_share(ratios, all->pairs, 0.25);
  all->ratio_high = bench_share(ratios, all->pairs, 0.75);
  if (!onlooker_weigh(&all->looker, &all->own_ns)) return false;
  all->own_ratio = all->own_ns / bench_share(loads, all->pairs, 0.5);
  return true;
}

void observed_print(const observed *all) {
  printf(" pairs=%" PRIu64 " console=%d plain_cpu_ms=%.2f observed_cpu_ms=%.2f observed_ratio=%.4f ratio_low=%.4f"
         " ratio_high=%.4f own_us_per_s=%.1f own_ratio=%.5f",
         all->pairs, all->looker.has_console, all->plain_ns / 1e6, all->observed_ns / 1e6, all->ratio, all->ratio_low,
         all->ratio_high, all->own_ns / 1e3, all->own_ratio);
}
