#include "coding/broadcast.h"

#include "base/memory.h"

/* Counting: relaxed to add (the adder holds one already), acq_rel to drop: the last one sees all that the others
 * did. */

vsi_epoch *vsi_epoch_create(const vestry_host *host, uint64_t id) {
  vsi_epoch *epoch = vsi_alloc(host, sizeof *epoch);
  if (!epoch) return NULL;
  atomic_init(&epoch->refs, 1);
  atomic_init(&epoch->alone, 0);
  epoch->host = host;
  epoch->id = id;
  return epoch;
}

vsi_epoch *vsi_epoch_ref(vsi_epoch *epoch) {
  atomic_fetch_add_explicit(&epoch->refs, 1, memory_order_relaxed);
  return epoch;
}

void vsi_epoch_unref(vsi_epoch *epoch) {
  if (epoch && atomic_fetch_sub_explicit(&epoch->refs, 1, memory_order_acq_rel) == 1) vsi_free(epoch->host, epoch);
}

void vsi_lane_bytes_finish(vsi_lane_bytes *lane) {
  vsi_epoch_unref(lane->epoch);
  vsi_segment_destroy(lane->aligned);
}

vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count) {
  vsi_broadcast *broadcast = vsi_alloc(host, sizeof *broadcast + lanes_count * sizeof *lanes);
  if (!broadcast) return NULL;
  atomic_init(&broadcast->refs, 1);
  broadcast->host = host;
  broadcast->event = vestry_event_ref(event);
  broadcast->lanes_count = lanes_count;
  for (uint32_t i = 0; i < lanes_count; i++) broadcast->lanes[i] = lanes[i];
  return broadcast;
}

vsi_broadcast *vsi_broadcast_ref(vsi_broadcast *broadcast) {
  atomic_fetch_add_explicit(&broadcast->refs, 1, memory_order_relaxed);
  return broadcast;
}

void vsi_broadcast_unref(vsi_broadcast *broadcast) {
  if (!broadcast || atomic_fetch_sub_explicit(&broadcast->refs, 1, memory_order_acq_rel) != 1) return;
  for (uint32_t i = 0; i < broadcast->lanes_count; i++) vsi_lane_bytes_finish(&broadcast->lanes[i]);
  vestry_event_unref(broadcast->event);
  vsi_free(broadcast->host, broadcast);
}
