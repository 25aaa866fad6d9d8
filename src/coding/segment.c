/* SPDX-License-Identifier: MIT */
/* Segments, and the sink that collects the output of a profile into a segment. */
#include "coding/segment.h"

#include <string.h>

#include "base/memory.h"

void vsi_sink_init(vestry_sink *sink, const vestry_host *host) {
  static const vsi_segment nothing = {.len = 0};
  vsi_buffer_init(&sink->buffer, host);
  vsi_buffer_append(&sink->buffer, &nothing, sizeof nothing); /* an error is kept in the buffer */
}

void vsi_sink_finish(vestry_sink *sink) {
  vsi_buffer_finish(&sink->buffer);
}

vestry_err vestry_sink_put(vestry_sink *sink, const void *data, size_t len) {
  if (len) vsi_buffer_append(&sink->buffer, data, len);
  return sink->buffer.error;
}

static void release(vsi_event_extra *extra) {
  vsi_segment_destroy((vsi_segment *)extra);
}

vestry_err vsi_sink_take(vestry_sink *sink, vsi_segment **ret_segment) {
  const vestry_host *host = sink->buffer.host;
  if (sink->buffer.error) return sink->buffer.error;
  size_t len;
  vsi_segment *segment = (vsi_segment *)(void *)vsi_buffer_take_trimmed(&sink->buffer, &len);
  if (!segment) return VESTRY_NO_MEMORY;
  segment->extra.release = release;
  segment->host = host;
  segment->len = len - sizeof *segment;
  *ret_segment = segment;
  return VESTRY_OK;
}

void vsi_segment_destroy(vsi_segment *segment) {
  if (segment) vsi_free(segment->host, segment);
}

const vsi_segment *vsi_segment_of(const vsi_event_extra *extra) {
  return extra->release == release ? (const vsi_segment *)extra : NULL;
}
