/* The counters of an instance, from those who count. */
#include "registry/instance/instance.h"
#include "registry/request/intake.h"

void vestry_stats_get(vestry *v, vestry_stats *ret_stats) {
  vsi_group_stats group;
  vsi_group_stats_get(v->group, &group);
  *ret_stats = (vestry_stats){
      .opened = group.opened,
      .open = group.open,
      .closed = group.closed,
      .accepted = group.accepted,
      .written = group.written,
      .discarded = group.discarded,
      .conflated = group.conflated,
      .refused = group.refused,
      .heartbeats = group.heartbeats,
      .written_bytes = group.written_bytes,
      .wire_bytes = group.wire_bytes,
      .queued_bytes = group.queued_bytes,
      .queued_peak_bytes = group.queued_peak_bytes,
      .requests = atomic_load_explicit(&v->requests, memory_order_relaxed),
      .rejected = atomic_load_explicit(&v->rejected, memory_order_relaxed),
  };
  for (size_t i = 0; i < VESTRY_CAUSE_COUNT; i++) ret_stats->closed_by_cause[i] = group.closed_by_cause[i];
  vsi_intake_stats(v, ret_stats);
  vestry_store_stats_get(v->store, &ret_stats->store);
}
