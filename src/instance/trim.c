/* SPDX-License-Identifier: MIT */
#include "instance/trim.h"

#include <malloc.h>

/* A trim visits all free memory. So it is done only after much memory was freed, DELAY_MS later, once for all of it. */
enum { PIECE_BYTES = 16384, MUCH_BYTES = 4 << 20, DELAY_MS = 500 };

static void fire(vestry_timer *timer, void *ctx) {
  (void)timer;
  vsi_trim *trim = ctx;
  atomic_store_explicit(&trim->freed, 0, memory_order_relaxed);
  atomic_store_explicit(&trim->is_due, false, memory_order_relaxed);
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

vestry_err vsi_trim_init(vsi_trim *trim, vestry_runtime *runtime) {
  return vestry_timer_create(runtime, fire, trim, &trim->timer);
}

void vsi_trim_finish(vsi_trim *trim) {
  vestry_timer_destroy(trim->timer);
  trim->timer = NULL;
}

void vsi_trim_note(vsi_trim *trim, size_t bytes) {
  if (bytes < PIECE_BYTES) return;
  uint64_t freed = atomic_fetch_add_explicit(&trim->freed, bytes, memory_order_relaxed) + bytes;
  if (freed < MUCH_BYTES || atomic_exchange_explicit(&trim->is_due, true, memory_order_relaxed)) return;
  if (vestry_timer_set(trim->timer, DELAY_MS, 0)) atomic_store_explicit(&trim->is_due, false, memory_order_relaxed);
}
