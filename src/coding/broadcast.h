/* SPDX-License-Identifier: MIT */
/* Broadcasts: an event on its way to a channel's members, with the bytes for members that are in sync. */
#ifndef VSI_CODING_BROADCAST_H
#define VSI_CODING_BROADCAST_H

#include "base/refs.h"
#include "coding/coding.h"

/* The data that an epoch's streams share; its encoder belongs to the channel (epoch.h). A broadcast may outlive
 * both. */
typedef struct vsi_epoch {
  vsi_refs refs;
  _Atomic(uint64_t) alone; /* events written to streams that were not in sync; relaxed: a counter */
  const vestry_host *host;
  uint64_t id; /* unique in the group; from 1 */
} vsi_epoch;

/* The bytes of a broadcast in one coding. */
typedef struct vsi_lane_bytes {
  const vsi_coding *coding;
  vsi_epoch *epoch;     /* a reference */
  uint64_t sequence;    /* in the epoch, from 0 */
  vsi_segment *aligned; /* owned */
} vsi_lane_bytes;

typedef struct vsi_broadcast {
  vsi_refs refs;
  const vestry_host *host;
  vestry_event *event; /* a reference */
  uint32_t lanes_count;
  vsi_lane_bytes lanes[];
} vsi_broadcast;

/* Create an epoch. NULL: out of memory. */
vsi_epoch *vsi_epoch_create(const vestry_host *host, uint64_t id);
vsi_epoch *vsi_epoch_ref(vsi_epoch *epoch);
void vsi_epoch_unref(vsi_epoch *epoch);

/* Create a broadcast, which on success takes over the epochs and segments of the lanes. NULL: out of memory. */
vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count);
vsi_broadcast *vsi_broadcast_ref(vsi_broadcast *broadcast);
void vsi_broadcast_unref(vsi_broadcast *broadcast);
void vsi_lane_bytes_finish(vsi_lane_bytes *lane);

/* Return the bytes for streams of a coding; NULL: there are none. */
static inline const vsi_lane_bytes *vsi_broadcast_lane(const vsi_broadcast *broadcast, const vsi_coding *coding) {
  for (uint32_t i = 0; i < broadcast->lanes_count; i++)
    if (broadcast->lanes[i].coding == coding) return &broadcast->lanes[i];
  return NULL;
}

#endif
