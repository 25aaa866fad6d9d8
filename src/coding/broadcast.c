/* SPDX-License-Identifier: MIT */
/* References to epochs and broadcasts, and creating them. */
#include "coding/broadcast.h"

#include "base/memory.h"

vsi_epoch *vsi_epoch_create(const vestry_host *host, uint64_t id) {
  vsi_epoch *epoch = vsi_alloc(host, sizeof *epoch);
  if (!epoch) return NULL;
  VSI_REFS_INIT(&epoch->refs, 1);
  atomic_init(&epoch->alone, 0);
  epoch->host = host;
  epoch->id = id;
  return epoch;
}

vsi_epoch *vsi_epoch_ref(vsi_epoch *epoch) {
  VSI_REFS_TAKE(&epoch->refs);
  return epoch;
}

void vsi_epoch_unref(vsi_epoch *epoch) {
  if (epoch && VSI_REFS_DROP(&epoch->refs)) vsi_free(epoch->host, epoch);
}

void vsi_lane_bytes_finish(vsi_lane_bytes *lane) {
  vsi_epoch_unref(lane->epoch);
  vsi_segment_destroy(lane->aligned);
}

vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count) {
  vsi_broadcast *broadcast = vsi_alloc(host, sizeof *broadcast + lanes_count * sizeof *lanes);
  if (!broadcast) return NULL;
  VSI_REFS_INIT(&broadcast->refs, 1);
  broadcast->host = host;
  broadcast->event = vestry_event_ref(event);
  broadcast->lanes_count = lanes_count;
  for (uint32_t i = 0; i < lanes_count; i++) broadcast->lanes[i] = lanes[i];
  return broadcast;
}

vsi_broadcast *vsi_broadcast_ref(vsi_broadcast *broadcast) {
  VSI_REFS_TAKE(&broadcast->refs);
  return broadcast;
}

void vsi_broadcast_unref(vsi_broadcast *broadcast) {
  if (!broadcast || !VSI_REFS_DROP(&broadcast->refs)) return;
  for (uint32_t i = 0; i < broadcast->lanes_count; i++) vsi_lane_bytes_finish(&broadcast->lanes[i]);
  vestry_event_unref(broadcast->event);
  vsi_free(broadcast->host, broadcast);
}
