/* SPDX-License-Identifier: MIT */
/* Epochs and broadcasts of a channel. In an epoch, the encoder of one coding makes the channel's events refer to each
 * other; a rule determines when the next epoch begins. A broadcast is an event on its way to the channel's members,
 * with the bytes for members that are in sync. */
#ifndef VSI_CODING_EPOCH_H
#define VSI_CODING_EPOCH_H

#include "base/refs.h"
#include "coding/coding.h"

/* The data that an epoch's streams share; its encoder belongs to the lane. A broadcast may outlive both. */
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

void vsi_lane_bytes_finish(vsi_lane_bytes *lane);

/* A channel's encoder state for one coding. Used while the channel's semaphore is held, except members_count. */
typedef struct vsi_lane {
  vsi_coding *coding;     /* NULL: not in use */
  size_t members_count;   /* guarded by the channel's lock */
  void *encoder;          /* of the epoch; NULL: none */
  vsi_epoch *epoch;       /* set together with encoder */
  uint64_t sequence : 48; /* of the next event */
  uint64_t rest : 8;      /* number of events without an epoch after the last one that was of little use; 0: it was of
                             use */
  uint64_t rest_left : 8; /* the number of them that are still to come */
  uint64_t bytes;         /* published in this epoch */
} vsi_lane;

/* Encode an event for members in sync, in the current epoch or in a new one (the rules are in vestry/channel.h).
 * Returns false if there is no epoch: all members take the event standalone.
 * ret_bytes        owned by the caller
 * ret_begun        whether an epoch began
 * ret_ended_alone  number of standalone events of the epoch that ended */
bool vsi_lane_encode(vsi_lane *lane, vestry_event *event, size_t members_count, uint64_t epoch_max_bytes,
                     vsi_lane_bytes *ret_bytes, bool *ret_begun, uint64_t *ret_ended_alone);

/* Destroy the encoder: the next event begins an epoch. Returns the number of standalone events of the epoch that
 * ends. */
uint64_t vsi_lane_end(vsi_lane *lane);

typedef struct vsi_broadcast {
  vsi_refs refs;
  const vestry_host *host;
  vestry_event *event; /* a reference */
  uint32_t lanes_count;
  vsi_lane_bytes lanes[];
} vsi_broadcast;

/* Create a broadcast, which on success takes over the epochs and segments of the lanes. NULL: out of memory. */
vsi_broadcast *vsi_broadcast_create(const vestry_host *host, vestry_event *event, const vsi_lane_bytes *lanes,
                                    uint32_t lanes_count);
/* Take or drop references, at least one. Drop accepts NULL. */
void vsi_broadcast_ref(vsi_broadcast *broadcast, uint32_t count);
void vsi_broadcast_unref(vsi_broadcast *broadcast, uint32_t count);

/* Return the bytes for streams of a coding; NULL: there are none. */
static inline const vsi_lane_bytes *vsi_broadcast_lane(const vsi_broadcast *broadcast, const vsi_coding *coding) {
  for (uint32_t i = 0; i < broadcast->lanes_count; i++)
    if (broadcast->lanes[i].coding == coding) return &broadcast->lanes[i];
  return NULL;
}

#endif
