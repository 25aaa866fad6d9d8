/* SPDX-License-Identifier: MIT */
/* Segments: encoded bytes with the data that a stream needs to use them. And the sink that profiles fill. */
#ifndef VSI_CODING_SEGMENT_H
#define VSI_CODING_SEGMENT_H

#include "base/buffer.h"
#include "event/extras.h"
#include "vestry/profile.h"

typedef struct vsi_segment {
  vsi_event_extra extra;   /* first member: a standalone segment is kept with its event */
  const vestry_host *host; /* the host of its memory */
  vestry_profile profile;  /* of a kept segment: the profile for which it was encoded */
  uint64_t check;          /* of the decoded text (vestry_profile_ops.check) */
  size_t plain_len;        /* length of the decoded text */
  size_t len;
  char bytes[];
} vsi_segment;

struct vestry_sink {
  vsi_buffer buffer; /* room for a segment's head, then bytes */
};

/* Collect the output of a profile. vsi_sink_take returns it as a segment, to be freed with vsi_segment_destroy; the
 * caller sets its check and plain_len: OK | NO_MEMORY. vsi_sink_finish is required in any case. */
void vsi_sink_init(vestry_sink *sink, const vestry_host *host);
void vsi_sink_finish(vestry_sink *sink);
vestry_err vsi_sink_take(vestry_sink *sink, vsi_segment **ret_segment);

/* Free a segment. NULL is accepted. */
void vsi_segment_destroy(vsi_segment *segment);

/* Return the segment of an event's extra; NULL: the extra is something else. */
const vsi_segment *vsi_segment_of(const vsi_event_extra *extra);

#endif
