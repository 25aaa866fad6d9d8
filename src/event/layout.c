/* SPDX-License-Identifier: MIT */
/* The parts that the layouts of several kinds of events have in common (layout.h). */
#include "event/layout.h"

#include <string.h>

#include "event/lines.h"
#include "json/write.h"

_Static_assert(VSI_JSON_MAX_BYTES == VESTRY_EVENT_MAX_BYTES, "JSON is written for events");

void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix) {
  size_t prefix_len = strlen(prefix);
  if (writer->to) {
    char *from = writer->to + writer->len;
    writer->len += (size_t)(vsi_lines_copy(from, text, len, prefix, prefix_len) - from);
    return;
  }
  vsi_line_breaks breaks = vsi_lines_count(text, len);
  writer->len = vsi_size_add(writer->len, len - breaks.bytes);
  size_t each = 1 + prefix_len;
  writer->len = vsi_size_add(writer->len, breaks.count > SIZE_MAX / each ? SIZE_MAX : breaks.count * each);
}

/* The reconnection delay that the client uses by default. */
enum { CLIENT_RETRY_MS = 1000 };

void vsi_put_head(vsi_writer *writer, vsi_event_meaning *meaning, vsi_event_kind kind,
                  const vestry_event_options *options) {
  bool is_signals = kind == VSI_EVENT_SIGNALS || kind == VSI_EVENT_MISSING_SIGNALS;
  meaning->kind = (uint8_t)kind;
  vsi_put_fields(writer, meaning, is_signals ? "datastar-patch-signals" : "datastar-patch-elements", options->id,
                 options->retry_ms != CLIENT_RETRY_MS ? options->retry_ms : 0);
}

void vsi_put_content_key(vsi_writer *writer, vsi_event_meaning *meaning, const char *key) {
  vsi_put_str(writer, key);
  meaning->content = (uint32_t)writer->len; /* fits: an event is shorter than 4 GiB, and a longer one is not made */
}
