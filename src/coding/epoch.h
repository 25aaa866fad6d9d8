/* SPDX-License-Identifier: MIT */
/* Epochs: the encoder that makes a channel's events refer to each other, for one coding, and the rule for starting
 * anew. */
#ifndef VSI_CODING_EPOCH_H
#define VSI_CODING_EPOCH_H

#include "coding/broadcast.h"

/* A channel's encoder state for one coding. Used while the channel's semaphore is held, except members_count. */
typedef struct vsi_lane {
  vsi_coding *coding;   /* NULL: not in use */
  size_t members_count; /* guarded by the channel's lock */
  void *encoder;        /* of the epoch; NULL: none */
  vsi_epoch *epoch;     /* set together with encoder */
  uint64_t sequence;    /* of the next event */
  uint64_t bytes;       /* published in this epoch */
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

#endif
