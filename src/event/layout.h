/* SPDX-License-Identifier: MIT */
/* Making events. A layout is a function that writes an event's parts into a writer. It runs twice: the first pass
 * counts, the second fills one allocation of the exact size. */
#ifndef VSI_EVENT_LAYOUT_H
#define VSI_EVENT_LAYOUT_H

#include <jansson.h>
#include <stdarg.h>
#include <string.h>

#include "base/buffer.h"
#include "vestry/event.h"
#include "vestry/html.h"

/* Write text of any length, with LF for each line break, and the prefix in front of each line but the first; in layouts
 * only, whose first pass finds whether there are further lines at all. CR, LF and CRLF each end a line, as for a reader
 * of event streams. Nothing else does: U+2028, U+2029 and U+0085 are text, and no byte of a UTF-8 sequence, valid or
 * broken, is mistaken for CR or LF. */
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
/* Write the fields of an event except its data. name, id: NULL: none; retry_ms: 0: none */
static inline void vsi_put_fields(vsi_writer *writer, const char *name, const char *id, uint32_t retry_ms) {
  vsi_put_line(writer, "event: ", name);
  /* An id field without a value sets the last event id to the empty string. The colon is necessary, because the
   * Datastar client ignores a line without one, although a bare "id" has the same meaning in the specification. */
  if (id && !*id) vsi_put_str(writer, "id:\n");
  vsi_put_line(writer, "id: ", id);
  if (!retry_ms) return;
  vsi_put_str(writer, "retry: ");
  vsi_put_uint(writer, vsi_browser_ms(retry_ms));
  vsi_put(writer, "\n", 1);
}
#define VSI_ELEMENTS_EVENT "datastar-patch-elements"
#define VSI_SIGNALS_EVENT  "datastar-patch-signals"
/* Write the first lines of an event for the page: its type, id and retry. */
void vsi_put_head(vsi_writer *writer, const char *name, const vestry_event_options *options);

/* A function that writes an event. */
typedef void vsi_event_layout(vsi_writer *writer, const void *ctx);
/* Make an event by both passes of its layout. state: the name of the state that the event shows, copied; len 0: none.
 * OK | TOO_LARGE | NO_MEMORY; ret_event is untouched on failure. */
VESTRY_API vestry_err vsi_event_build_state(const vestry_host *host, vestry_slice state, vsi_event_layout *layout,
                                            const void *ctx, vestry_event **ret_event);
/* Make an event without a state. */
VESTRY_API vestry_err vsi_event_build(const vestry_host *host, vsi_event_layout *layout, const void *ctx,
                                      vestry_event **ret_event);

/* The longest name of a state. The names of an application have no line break, so those of a page begin with one: the
 * content of a shared page has this name, and a part's name is followed by its selector. */
enum { VSI_STATE_MAX_BYTES = 255 };
#define VSI_STATE_OF_PAGE "\n"
/* Check the name of a state in the options of an event. OK | INVALID */
vestry_err vsi_state_check(const char *state, const vestry_event_options *options);
static inline vestry_slice vsi_state_slice(const char *state) {
  return (vestry_slice){state, state ? strlen(state) : 0};
}

/* ---------------------------------------------------------------------------------------- kinds of events ---- */

/* Convert the name of a mode or a namespace in the protocol to its number. NULL and unknown names: false, and the
 * result is untouched. */
bool vsi_patch_mode_from_name(const char *name, vestry_patch_mode *ret_mode);
bool vsi_namespace_from_name(const char *name, vestry_namespace *ret_namespace);

/* As vestry_html_result. The reason of INVALID is logged, with the position in the format. */
vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html);

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) VESTRY_PRINTF(4, 0);

/* Make a comment, which the page ignores; it keeps the stream alive. text NULL or "": the heartbeat (":" and an empty
 *  line).
 *  ret_event  a reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a line break in the text) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
vestry_err vsi_event_comment(const vestry_host *host, const char *text, vestry_event **ret_event);

/* Make an event that sets the browser's reconnection delay, without another effect in the page. The delay applies to
 *  all later breaks until it is set again, for example to 1000 when the stream has reconnected.
 *  ret_event  a reference, owned by the caller; untouched on failure
 *  Returns  OK | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vsi_event_retry(const vestry_host *host, uint32_t retry_ms, vestry_event **ret_event);

/* Make an event with a name and data of the application, for readers other than Datastar. name: NULL or "": none, which
 * an EventSource calls "message". data: len bytes. options: NULL: the defaults; a retry_ms of 1000 is written, too,
 * because an EventSource waits longer by default.
 * OK | INVALID (a line break in name or id, a name that begins with "datastar") | TOO_LARGE | NO_MEMORY */
VESTRY_API vestry_err vsi_event_plain(const vestry_host *host, const char *name, const char *data, size_t len,
                                      const vestry_event_options *options, vestry_event **ret_event);

/* Make an event that removes signals by patching them with null. Several paths become one object, with its names in
 * the order of the paths. If one path has the first names of another, the longer path has no effect.
 * OK | INVALID (no path, an empty name, a name that is not UTF-8, options, only_if_missing) | TOO_LARGE (also: more
 * than 256 names deep) | NO_MEMORY */
vestry_err vsi_event_remove_signals(const vestry_host *host, const char *const *paths, size_t count,
                                    const vestry_signals_options *options, vestry_event **ret_event);

/* Make an event that patches signals of JSON text of len bytes, as vestry_event_signals does of a text. INVALID also if
 * json is NULL and len is not 0. */
vestry_err vsi_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                  const vestry_signals_options *options, vestry_event **ret_event);

#endif
