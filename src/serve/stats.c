/* SPDX-License-Identifier: MIT */
/* The counters of an instance, collected from its modules. */
#include "serve/stats.h"

#include "base/options.h"
#include "http/intake.h"
#include "instance/instance.h"
#include "serve/drain.h"
#include "serve/shares.h"

void vsi_stats_get(vestry *v, vsi_group_stats *ret_group, vestry_stats *ret_stats) {
  vsi_group_stats group;
  vsi_group_stats_get(v->group, &group);
  vestry_stats stats = {
      .opened_count = group.opened,
      .open_count = group.open,
      .closed_count = group.closed,
      .accepted_count = group.accepted,
      .written_count = group.written,
      .discarded_count = group.discarded,
      .conflated_count = group.conflated,
      .barriers_count = group.barriers,
      .kept_count = group.kept,
      .forgotten_count = group.forgotten,
      .refused_count = group.refused,
      .heartbeats_count = group.heartbeats,
      .written_bytes = group.written_bytes,
      .wire_bytes = group.wire_bytes,
      .queued_bytes = group.queued_bytes,
      .queued_peak_bytes = group.queued_peak_bytes,
      .requests_count = atomic_load_explicit(&v->requests, memory_order_relaxed),
      .rejected_count = atomic_load_explicit(&v->rejected, memory_order_relaxed),
      .outnumbered_count = vsi_shares_outnumbered(v->shares),
  };
  for (size_t i = 0; i < VESTRY_CAUSE_COUNT; i++) stats.closed_by_cause[i] = group.closed_by_cause[i];
  vsi_intake_stats(v, &stats);
  vsi_drain_stats(v, &stats);
  *ret_group = group;
  *ret_stats = stats;
}

void vestry_stats_get(vestry *v, vestry_stats *ret_stats) {
  vsi_group_stats group;
  vestry_stats stats;
  vsi_stats_get(v, &group, &stats);
  VSI_RESULT_GIVE(vestry_stats, ret_stats, stats);
}
