/* Writing events. An event's layout is written down once, as a function that puts its parts into a writer; that
 * function runs twice. In the first pass the writer has nowhere to write and only counts, so that the second fills one
 * allocation of the exact size. */
#ifndef VSI_EVENT_WRITER_H
#define VSI_EVENT_WRITER_H

#include "vestry/event.h"

typedef struct vsi_writer {
  char *to;   /* where the first byte goes; NULL: count only */
  size_t len; /* put so far; SIZE_MAX when that would not fit a size_t */
} vsi_writer;

void vsi_put(vsi_writer *writer, const void *data, size_t len);
void vsi_put_str(vsi_writer *writer, const char *text);
void vsi_put_uint(vsi_writer *writer, uint32_t number); /* decimal */
/* Text of any length, each line but the first with the prefix in front; see lines.h. */
void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix);
/* key (with its separators) and value on a line of their own; nothing when value is NULL or empty. */
void vsi_put_line(vsi_writer *writer, const char *key, const char *value);

/* The lines that open every event: its type, id and retry. */
void vsi_put_head(vsi_writer *writer, const char *type, const vestry_event_options *options);

/* Whether a value can stand on one line: CR and LF would forge lines. NULL can. */
bool vsi_is_one_line(const char *value);

/* Copy the options of a caller over the defaults. A caller that was compiled with an older, shorter struct leaves the
 * rest at zero; a longer one asks for what this library does not know.
 *   own, own_size  where to, all zero; given: what the caller passed, its first member is its size or 0; may be NULL
 *   Returns  OK | INVALID */
vestry_err vsi_options_take(void *own, size_t own_size, const void *given);

typedef void vsi_event_layout(vsi_writer *writer, const void *ctx);
/* Make an event: both passes over the layout. OK | TOO_LARGE | NO_MEMORY; ret_event untouched on failure. */
vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                           vestry_event **ret_event);

#endif
