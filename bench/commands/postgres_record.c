/* SPDX-License-Identifier: MIT */
/* The cost of recording a render of fifty rows. The same pages are rendered repeatedly, alternately with recording, and
 * without it in READ COMMITTED; on one thread, and on eight threads. */
#include <stdio.h>

#include "bench.h"
#include "postgres.h"

enum { TURNS_MOST = 1000, AT_ONCE = 8, PAGES = 400 };

/* Measure the mean time of a render over all pages, in milliseconds. */
static bool turn(channels *c, double *ret_ms) {
  atomic_store_explicit(&c->renders, 0, memory_order_relaxed);
  const uint64_t began_ns = bench_now_ns();
  if (!channels_render_all(c)) return false;
  const double took_ms = (double)(bench_now_ns() - began_ns) / 1e6;
  *ret_ms = took_ms * c->way.threads_count / (double)atomic_load_explicit(&c->renders, memory_order_relaxed);
  return true;
}

static bool by_turns(channels both[2], double ms[2][TURNS_MOST], uint64_t turns) {
  for (uint64_t i = 0; i < turns; i++)
    for (uint64_t j = 0; j < 2; j++) {
      const uint64_t which = (i + j) % 2;
      if (!turn(&both[which], &ms[which][i])) return false;
    }
  return true;
}

static bool measure(const channels_options *options, uint32_t threads) {
  static double ms[2][TURNS_MOST];
  channels both[2];
  bool is_done = true;
  for (int i = 0; i < 2; i++) {
    const channels_way way = {.threads_count = threads, .is_followed = i != 0};
    is_done = channels_open(&both[i], options, &way) && is_done && channels_show(&both[i], PAGES);
  }
  is_done = is_done && by_turns(both, ms, options->turns);
  vestry_postgres_stats stats = {0};
  if (is_done) vestry_postgres_stats_get(both[1].database, &stats);
  for (int i = 0; i < 2; i++) channels_close(&both[i]);
  const double bare_ms = bench_median(ms[0], options->turns), followed_ms = bench_median(ms[1], options->turns);
  if (is_done)
    printf("record at_once=%u bare_ms=%.3f ms=%.3f more_ms=%.3f turns=%llu recorded=%llu\n", threads, bare_ms,
           followed_ms, followed_ms - bare_ms, (unsigned long long)options->turns,
           (unsigned long long)stats.recorded_count);
  return is_done;
}

bool channels_record(const channels_options *options) {
  return measure(options, 1) && measure(options, AT_ONCE);
}
