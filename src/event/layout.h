/* SPDX-License-Identifier: MIT */
/* Making events. A layout is a function that writes an event's parts into a writer. It runs twice: the first pass
 * counts, the second fills one allocation of the exact size. */
#ifndef VSI_EVENT_LAYOUT_H
#define VSI_EVENT_LAYOUT_H

#include <jansson.h>
#include <stdarg.h>

#include "base/buffer.h"
#include "vestry/event.h"
#include "vestry/html.h"

/* Kind of an event's effect on the page. The layout records it, so that it need not be parsed from the event's text. */
typedef enum vsi_event_kind {
  VSI_EVENT_NOTHING, /* a comment, a retry */
  VSI_EVENT_ELEMENTS,
  VSI_EVENT_SCRIPT,
  VSI_EVENT_SIGNALS,
  VSI_EVENT_MISSING_SIGNALS /* merged only where the signal does not exist yet */
} vsi_event_kind;
typedef struct vsi_event_meaning {
  uint8_t kind;     /* vsi_event_kind */
  uint8_t mode, ns; /* ELEMENTS: vestry_patch_mode, vestry_namespace */
  bool of_stream;   /* the event has an id or a retry value */
  /* Offsets in the event's bytes. */
  uint32_t selector, selector_len; /* len 0: none */
  uint32_t content;                /* of the first line of HTML or JSON; 0: there is none */
  uint32_t content_end;            /* after the empty line that ends it; 0: the end of the event */
} vsi_event_meaning;

/* Write text of any length, with the prefix in front of each line but the first; in layouts only, whose first pass
 * finds whether there are further lines at all. */
void vsi_put_lines(vsi_writer *writer, const char *text, size_t len, const char *prefix);
/* Write a line of key (with its separators) and value; nothing if value is NULL or empty. */
static inline void vsi_put_line(vsi_writer *writer, const char *key, const char *value) {
  if (!value || !*value) return;
  vsi_put_str(writer, key);
  vsi_put_str(writer, value);
  vsi_put(writer, "\n", 1);
}

/* The longest time of a browser's timers, which have 31 bits: a longer one ends at once. */
static inline uint32_t vsi_browser_ms(uint64_t ms) {
  return ms < INT32_MAX ? (uint32_t)ms : INT32_MAX;
}
static inline void vsi_put_retry(vsi_writer *writer, uint32_t retry_ms) {
  vsi_put_str(writer, "retry: ");
  vsi_put_uint(writer, vsi_browser_ms(retry_ms));
  vsi_put(writer, "\n", 1);
}
/* Write the fields of an event except its data. name, id: NULL: none; retry_ms: 0: none */
static inline void vsi_put_fields(vsi_writer *writer, vsi_event_meaning *meaning, const char *name, const char *id,
                                  uint32_t retry_ms) {
  meaning->of_stream = id || retry_ms;
  vsi_put_line(writer, "event: ", name);
  /* An id field without a value sets the last event id to the empty string. The colon is necessary, because the
   * Datastar client ignores a line without one, although a bare "id" has the same meaning in the specification. */
  if (id && !*id) vsi_put_str(writer, "id:\n");
  vsi_put_line(writer, "id: ", id);
  if (retry_ms) vsi_put_retry(writer, retry_ms);
}
/* Write and record the first lines of an event for the page: its type, id and retry. */
void vsi_put_head(vsi_writer *writer, vsi_event_meaning *meaning, vsi_event_kind kind,
                  const vestry_event_options *options);
/* Write the key of the first line of HTML or JSON ("data: elements "), and record where the content begins. */
void vsi_put_content_key(vsi_writer *writer, vsi_event_meaning *meaning, const char *key);

/* A function that writes an event. meaning: zero before each pass; the values of the second pass are kept. */
typedef void vsi_event_layout(vsi_writer *writer, vsi_event_meaning *meaning, const void *ctx);
/* Make an event by both passes of its layout. OK | TOO_LARGE | NO_MEMORY; ret_event is untouched on failure. */
VESTRY_API vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                                      vestry_event **ret_event);

/* Get an event's meaning. Any thread; valid as long as the event. */
VESTRY_API const vsi_event_meaning *vsi_event_meaning_of(const vestry_event *event);

/* -------------------------------------------------------------------------------------------------- lines ---- */

/* CR, LF and CRLF each end a line, as for the reader of an event stream. Nothing else does: U+2028, U+2029 and U+0085
 * are text, and no byte of a UTF-8 sequence, valid or broken, is mistaken for CR or LF. */

/* Number of line breaks, and number of bytes that form them. */
typedef struct vsi_line_breaks {
  size_t count, bytes;
} vsi_line_breaks;

/* words: process words of eight bytes, as on a processor without SSE2. It is a parameter so that tests cover this way
 * on every processor. */
vsi_line_breaks vsi_lines_count(const char *text, size_t len, bool words);

/* Copy text to `to`, and write each line break as LF followed by the prefix. Writes exactly len - breaks.bytes +
 * breaks.count * (1 + prefix_len) bytes and returns the position after them. The memory must not overlap. */
char *vsi_lines_copy(char *to, const char *text, size_t len, const char *prefix, size_t prefix_len, bool words);

/* ---------------------------------------------------------------------------------------- kinds of events ---- */

/* Names of modes and namespaces in the protocol. */

/* Convert a number to its name; NULL: no such number. And back: OK | NOT_FOUND (result untouched). */
const char *vsi_patch_mode_name(vestry_patch_mode mode);
vestry_err vsi_patch_mode_from_name(const char *name, vestry_patch_mode *ret_mode);
const char *vsi_namespace_name(vestry_namespace ns);
vestry_err vsi_namespace_from_name(const char *name, vestry_namespace *ret_namespace);

/* As vestry_html_result. The reason of INVALID is logged, with the position in the format. */
vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html);

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) VESTRY_PRINTF(4, 0);

/* Make an event as vestry_event_signals_text, from an object, without first making and checking its text. Nesting
 * counts as in text. OK | INVALID (also: it contains text that is not UTF-8) | TOO_LARGE | NO_MEMORY */
VESTRY_API vestry_err vsi_event_signals_value(const vestry_host *host, const json_t *signals,
                                              const vestry_signals_options *options, vestry_event **ret_event);

#endif
