/* SPDX-License-Identifier: MIT */
/* Broadcasts: an event on its way to a channel's members, with the bytes that aligned members take. */
#ifndef VSI_CODING_BROADCAST_H
#define VSI_CODING_BROADCAST_H

#include "base/refs.h"
#include "coding/coding.h"

/* What an epoch's streams have in common; its encoder is the channel's (epoch.h). A broadcast may outlive both. */
typedef struct vsi_epoch {
  vsi_refs refs;
  _Atomic(uint64_t) alone; /* events written to streams that were not aligned; relaxed: a mere count */
  const vestry_host *host;
  uint64_t id; /* in the group; from 1 */
} vsi_epoch;

/* One coding's bytes of a broadcast. */
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

/* NULL: out of memory. */
vsi_epoch *vsi_epoch_create(const vestry_host *host, uint64_t id);
vsi_epoch *vsi_epoch_ref(vsi_epoch *epoch);
void vsi_epoch_unref(vsi_epoch *epoch);

/* Takes what the lanes own on success. NULL: out of memory. */
vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count);
vsi_broadcast *vsi_broadcast_ref(vsi_broadcast *broadcast);
void vsi_broadcast_unref(vsi_broadcast *broadcast);
void vsi_lane_bytes_finish(vsi_lane_bytes *lane);

/* The bytes for streams of that coding; NULL: there are none. */
static inline const vsi_lane_bytes *vsi_broadcast_lane(const vsi_broadcast *broadcast, const vsi_coding *coding) {
  for (uint32_t i = 0; i < broadcast->lanes_count; i++)
    if (broadcast->lanes[i].coding == coding) return &broadcast->lanes[i];
  return NULL;
}

#endif
