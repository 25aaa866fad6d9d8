/* SPDX-License-Identifier: MIT */
/* The memory of streams with observation, compared with the same streams without it. */
#include <inttypes.h>
#include <stdio.h>

#include "memory.h"
#include "observe.h"

enum { WORD_BYTES = 8 }; /* overhead of malloc for each allocation */

static int64_t held(void) {
  return bench_counted_bytes() + bench_counted_blocks() * WORD_BYTES;
}

/* Get the memory of an instance without streams, and with all streams. */
static bool weigh(const looked_into *given, bool is_observed, int64_t *ret_empty, int64_t *ret_full) {
  looked_into l = *given, few = *given;
  few.streams_count = 1;
  const int64_t before = held();
  bool is_well = looked_into_open(&few, bench_counting_host(), is_observed);
  *ret_empty = held() - before;
  looked_into_close(&few);
  is_well = is_well && looked_into_open(&l, bench_counting_host(), is_observed);
  *ret_full = held() - before;
  looked_into_close(&l);
  return is_well;
}

bool observe_memory(const looked_into *given) {
  int64_t empty, full, observed_empty, observed_full;
  if (!weigh(given, false, &empty, &full) || !weigh(given, true, &observed_empty, &observed_full)) return false;
  const double streams = (double)(given->streams_count - 1);
  const double plain = (double)(full - empty) / streams, observed = (double)(observed_full - observed_empty) / streams;
  printf("memory streams=%" PRIu64 " stream_bytes=%.1f observed_stream_bytes=%.1f more_bytes=%.1f "
         "observer_bytes=%" PRId64 "\n",
         given->streams_count, plain, observed, observed - plain, observed_empty - empty);
  return true;
}
