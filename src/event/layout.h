/* SPDX-License-Identifier: MIT */
/* How events are laid out. An event's layout is a function that puts its parts into a writer. It runs twice: the first
 * pass counts, the second fills one allocation of the exact size. */
#ifndef VSI_EVENT_LAYOUT_H
#define VSI_EVENT_LAYOUT_H

#include "base/writer.h"
#include "vestry/event.h"

/* What an event says to the page. Its layout notes it, so that it need not be read out of the event's text. */
typedef enum vsi_event_kind {
  VSI_EVENT_NOTHING, /* a comment, a retry */
  VSI_EVENT_ELEMENTS,
  VSI_EVENT_SCRIPT,
  VSI_EVENT_SIGNALS,
  VSI_EVENT_MISSING_SIGNALS /* merged where there is no such signal yet */
} vsi_event_kind;
typedef struct vsi_event_meaning {
  uint8_t kind;     /* vsi_event_kind */
  uint8_t mode, ns; /* ELEMENTS: vestry_patch_mode, vestry_namespace */
  bool of_stream;   /* it has an id or a retry for the stream */
  /* Places in the event's bytes. */
  uint32_t selector, selector_len; /* len 0: none */
  uint32_t content;                /* the first line of HTML or JSON. 0: there is none */
  uint32_t content_end;            /* after the empty line that ends it; 0: the end of the event */
} vsi_event_meaning;

/* Text of any length, each line but the first with the prefix in front; see lines.h. */
void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix);
/* key (with its separators) and value on a line of their own; nothing when value is NULL or empty. */
static inline void vsi_put_line(vsi_writer *writer, const char *key, const char *value) {
  if (!value || !*value) return;
  vsi_put_str(writer, key);
  vsi_put_str(writer, value);
  vsi_put(writer, "\n", 1);
}

/* The fields of an event but for its data. name, id: NULL: none; retry_ms: 0: none */
static inline void vsi_put_fields(vsi_writer *writer, vsi_event_meaning *meaning, const char *name, const char *id,
                                  uint32_t retry_ms) {
  meaning->of_stream = id || retry_ms;
  vsi_put_line(writer, "event: ", name);
  /* An id field without a value sets the last event id to the empty string. The colon is needed: the Datastar client
   * passes over a line without one, though the specification reads a bare "id" as the same. */
  if (id && !*id) vsi_put_str(writer, "id:\n");
  vsi_put_line(writer, "id: ", id);
  if (!retry_ms) return;
  vsi_put_str(writer, "retry: ");
  vsi_put_uint(writer, retry_ms);
  vsi_put(writer, "\n", 1);
}
/* The lines that open an event for the page: its type, id and retry. Notes them. */
void vsi_put_head(vsi_writer *writer, vsi_event_meaning *meaning, vsi_event_kind kind,
                  const vestry_event_options *options);
/* The key of the first line of HTML or JSON ("data: elements "), which begins after it. Notes the place. */
void vsi_put_content_key(vsi_writer *writer, vsi_event_meaning *meaning, const char *key);

/* meaning: zero before each pass; what it says after the second one counts. */
typedef void vsi_event_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx);
/* Make an event: both passes over the layout. OK | TOO_LARGE | NO_MEMORY; ret_event untouched on failure. */
VESTRY_API vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                                      vestry_event **ret_event);

/* What it says. Any thread; valid as long as the event. */
VESTRY_API const vsi_event_meaning *vsi_event_meaning_of(const vestry_event *event);

#endif
