/* SPDX-License-Identifier: MIT */
/* Epochs: for one coding, the encoder that makes a channel's events refer to each other, and when it starts anew. */
#ifndef VSI_CODING_EPOCH_H
#define VSI_CODING_EPOCH_H

#include "coding/broadcast.h"

/* A channel's side of one coding. Used inside the channel's turnstile alone, but for members_count. */
typedef struct vsi_lane {
  vsi_coding *coding;   /* NULL: not in use */
  size_t members_count; /* guarded by the channel's lock */
  void *encoder;        /* of the epoch; NULL: there is none */
  vsi_epoch *epoch;     /* with encoder */
  uint64_t sequence;    /* of the next event */
  uint64_t bytes;       /* published in it */
} vsi_lane;

/* Encode an event for aligned members, in the epoch under way or in a new one (see vestry/channel.h for the rules).
 * ret_bytes: the caller's. false: there is no epoch, all members take it alone.
 * ret_begun: whether an epoch began; ret_ended_alone: what the one that ended had put alone. */
bool vsi_lane_encode(vsi_lane *lane, vestry_event *event, size_t members_count, uint64_t epoch_max_bytes,
                     vsi_lane_bytes *ret_bytes, bool *ret_begun, uint64_t *ret_ended_alone);

/* Give the encoder up: the next event begins an epoch. Returns what the one that ends had put alone. */
uint64_t vsi_lane_end(vsi_lane *lane);

#endif
