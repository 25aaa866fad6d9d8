/* SPDX-License-Identifier: MIT */
/* Segments: encoded bytes, and what a stream must know of them. And the sink that profiles fill. */
#ifndef VSI_CODING_SEGMENT_H
#define VSI_CODING_SEGMENT_H

#include "base/buffer.h"
#include "event/extras.h"
#include "vestry/profile.h"

typedef struct vsi_segment {
  vsi_event_extra extra;   /* first: a segment that was encoded alone is kept with its event */
  const vestry_host *host; /* whose memory it is */
  vestry_profile profile;  /* of one that is kept: the profile that it serves */
  uint64_t check;          /* of what was encoded (vestry_profile_ops.check) */
  size_t plain_len;        /* what it decodes to */
  size_t len;
  char bytes[];
} vsi_segment;

struct vestry_sink {
  vsi_buffer buffer; /* room for a segment's head, then bytes */
};

/* Gather what a profile puts out. vsi_sink_take hands it over as a segment, to be freed with vsi_segment_destroy (its
 * check and plain_len are the caller's to set): OK | NO_MEMORY. vsi_sink_finish in any case. */
void vsi_sink_init(vestry_sink *sink, const vestry_host *host);
void vsi_sink_finish(vestry_sink *sink);
vestry_err vsi_sink_take(vestry_sink *sink, vsi_segment **ret_segment);

/* NULL is accepted. */
void vsi_segment_destroy(vsi_segment *segment);

/* The segment that an event's extra is; NULL: it is something else. */
const vsi_segment *vsi_segment_of(const vsi_event_extra *extra);

#endif
