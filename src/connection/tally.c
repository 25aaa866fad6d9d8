/* SPDX-License-Identifier: MIT */
#include "connection/tally.h"

void vsi_group_tally_delivered(vsi_group_tally *tally, const vestry_host *host, uint32_t stamp) {
  const uint32_t took = (uint32_t)(vsi_now_ns(host) >> 10) - stamp;
  /* a stamp that was made 1 may be ahead of the clock */
  vsi_histogram_add(&tally->deliveries, &vsi_moments, took == UINT32_MAX ? 0 : (uint64_t)took << 10);
}

void vsi_group_tally_refused(vsi_group_tally *tally, vestry_err error) {
  if (error == VESTRY_TOO_LARGE) atomic_fetch_add_explicit(&tally->too_large_count, 1, memory_order_relaxed);
  if (error == VESTRY_NO_MEMORY) atomic_fetch_add_explicit(&tally->no_memory_count, 1, memory_order_relaxed);
}
