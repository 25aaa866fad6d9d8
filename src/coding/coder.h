/* SPDX-License-Identifier: MIT */
/* A coder: the state that an encoded stream keeps between its writes. A plain stream has none. */
#ifndef VSI_CODING_CODER_H
#define VSI_CODING_CODER_H

#include "coding/delivery.h"
#include "coding/epoch.h"

/* At most 64 bytes (coder.c). Used by the runner only, except constant members. */
typedef struct vsi_coder {
  vsi_coding *coding; /* constant */
  uint64_t check;     /* of all encoded data (vestry_profile_ops.combine) */
  uint64_t epoch;     /* the epoch in which the stream is in sync: since this epoch began, the stream has received all
                         of its events and nothing else; 0: none */
  uint64_t sequence;  /* of the next event in the epoch */
  uint64_t last;      /* number of the last event that was no heartbeat (vsi_event_number); 0: none */
  uint32_t beats;     /* number of heartbeats since then, if heartbeats are encoded like events */
  _Atomic(uint32_t) followed_count; /* events written as a difference; read by any thread */
} vsi_coder;

/* Create a coder. OK | NO_MEMORY */
vestry_err vsi_coder_create(vsi_coding *coding, vsi_coder **ret_coder);
/* Free a coder. NULL is accepted. */
void vsi_coder_free(vsi_coder *coder);

/* Return the bytes with which the stream begins; len 0: none. */
vestry_slice vsi_coder_primer(const vsi_coder *coder);

/* Choose the bytes for an event, and set delivery->wire. They must be written next, completely and once, or the stream
 * must end. heartbeat: the event that all heartbeats of the stream are. OK | NO_MEMORY | error of the coding: the
 * stream cannot continue. */
vestry_err vsi_coder_encode(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat);

/* Make the bytes that end the stream. ret_segment: owned by the caller; NULL: none are needed. Errors as above. */
vestry_err vsi_coder_end(vsi_coder *coder, vsi_segment **ret_segment);

/* Free the bytes that a delivery owns. */
static inline void vsi_coder_settle(vsi_delivery *delivery) {
  if (VSI_ENCODES && delivery->owns_wire) vsi_segment_destroy((vsi_segment *)delivery->wire);
}

#endif
