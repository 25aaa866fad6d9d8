/* SPDX-License-Identifier: MIT */
/* A coder: what one encoded stream remembers between its writes. A plain stream has none. */
#ifndef VSI_CODING_CODER_H
#define VSI_CODING_CODER_H

#include "coding/broadcast.h"
#include "coding/delivery.h"

/* No more than 64 bytes (coder.c). The runner's own, but what is said to be constant. */
typedef struct vsi_coder {
  vsi_coding *coding; /* constant */
  void *encoder;      /* constant: a private stream's, gone when it has finished; NULL: shared */
  uint64_t check;     /* of all that was encoded (vestry_profile_ops.combine) */
  uint64_t epoch;     /* the stream has had every event of this one, and nothing else since it began; 0: of none */
  uint64_t sequence;  /* the one that comes next in it */
  uint64_t last;      /* the number of the last event but heartbeats (vsi_codings_number); 0: none, or private */
  uint32_t beats;     /* heartbeats since, of those that are encoded like events */
  _Atomic(uint32_t) followed_count; /* events that were written as what has changed; read by anybody */
} vsi_coder;

/* mode PRIVATE: its place among the encoders was reserved, and is the coder's on success.
 * OK | NO_MEMORY | what the profile says */
vestry_err vsi_coder_create(vsi_coding *coding, vestry_profile_mode mode, vsi_coder **ret_coder);
/* Nothing is encoded any more: destroy the encoder, which is a lot. NULL is accepted. */
void vsi_coder_finish(vsi_coder *coder);
/* After finish. NULL is accepted. */
void vsi_coder_free(vsi_coder *coder);

/* The coding of a shared stream; NULL: it is private. Any thread. */
static inline vsi_coding *vsi_coder_shared(const vsi_coder *coder) {
  return coder->encoder ? NULL : coder->coding;
}

/* What the stream begins with; len 0: nothing. */
vestry_slice vsi_coder_primer(const vsi_coder *coder);

/* Decide which bytes an event is written as, and set delivery->wire. They will be written next, whole and once, or the
 * stream ends. heartbeat: the one event that all the stream's heartbeats are.
 * OK | NO_MEMORY | what the profile says: the stream cannot go on. */
vestry_err vsi_coder_encode(vsi_coder *coder, vsi_delivery *delivery, const vestry_event *heartbeat);

/* What ends the stream, after everything. ret_segment: the caller's; NULL: nothing is needed. Errors as above. */
vestry_err vsi_coder_end(vsi_coder *coder, vsi_segment **ret_segment);

/* Free what a delivery's wire owns. */
static inline void vsi_coder_settle(vsi_delivery *delivery) {
  if (delivery->owns_wire) vsi_segment_destroy((vsi_segment *)delivery->wire);
}

#endif
