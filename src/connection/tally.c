/* SPDX-License-Identifier: MIT */
/* Measuring how long events take from the queue, or from the change of a page, to the socket. */
#include "connection/tally.h"

enum { LEAD_MOST = (1 << 30) - 1 };

static uint32_t lead_of(uint64_t lead) {
  return lead < LEAD_MOST ? (uint32_t)lead : LEAD_MOST;
}

vsi_delivery_times vsi_group_tally_change(const vestry_host *host, uint64_t changed_ns) {
  if (!changed_ns) return (vsi_delivery_times){.stamp = 0};
  const uint64_t now_ns = vsi_now_ns(host);
  return (vsi_delivery_times){.stamp = vsi_group_tally_stamp_at(now_ns),
                              .lead = lead_of(now_ns > changed_ns ? (now_ns - changed_ns) >> 10 : 0),
                              .is_change = 1};
}

void vsi_group_tally_fold(const vsi_delivery_times *earlier, vsi_delivery_times *later) {
  if (!earlier->is_change) return;
  if (!later->stamp) later->stamp = earlier->stamp;
  const int32_t between = (int32_t)(later->stamp - earlier->stamp);
  const uint32_t lead = lead_of((uint64_t)earlier->lead + (between > 0 ? (uint32_t)between : 0));
  if (!later->is_change || later->lead < lead) later->lead = lead;
  later->is_change = 1;
}

void vsi_group_tally_delivered(vsi_group_tally *tally, const vestry_host *host, const vsi_delivery_times *times) {
  const uint32_t since = (uint32_t)(vsi_now_ns(host) >> 10) - times->stamp;
  const uint64_t took = since == UINT32_MAX ? 0 : since; /* 0 was replaced by 1, so a stamp may be ahead of the clock */
  if (times->is_counted) vsi_histogram_add(&tally->deliveries, &vsi_moments, took << 10);
  if (times->is_change) vsi_histogram_add(&tally->changes, &vsi_moments, (took + times->lead) << 10);
}

void vsi_group_tally_refused(vsi_group_tally *tally, vestry_err error) {
  if (error == VESTRY_TOO_LARGE) atomic_fetch_add_explicit(&tally->too_large_count, 1, memory_order_relaxed);
  if (error == VESTRY_NO_MEMORY) atomic_fetch_add_explicit(&tally->no_memory_count, 1, memory_order_relaxed);
}
