/* SPDX-License-Identifier: MIT */
/** Events: what a Datastar page understands, as immutable bytes.
 *
 *  An event is formatted once, and the same bytes go to one connection or to ten thousand; it is reference-counted for
 *  that. Everything here is a pure function of its arguments.
 *
 *      vestry_event *event;
 *      vestry_event_elements(NULL, "<b id=\"n\">4</b>", 15, NULL, &event);
 *      vestry_connection_send(connection, event);
 *      vestry_event_unref(event);
 *
 *  Wire format: the Datastar SDK specification of client 1.0 over Server-Sent Events (WHATWG HTML, section 9.2).
 *
 *  Bytes: html and scripts are UTF-8. What is not valid UTF-8 is passed on as it is: the browser reads U+FFFD in its
 *  place and finds every line end where it was put, so it can spoil the text but forge nothing. Likewise a NUL: one
 *  more character to the event stream, dropped or replaced by the HTML parser. Signals are checked whole. */
#ifndef VESTRY_EVENT_H
#define VESTRY_EVENT_H

#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** One event's bytes; immutable, reference-counted. */
typedef struct vestry_event vestry_event;

/** The Datastar client that this version was written for. From 1.0.2 on all will do; what needs a later one says so. */
#define VESTRY_DATASTAR_VERSION "1.0.4"
/** Its address. */
#define VESTRY_DATASTAR_CDN_URL                                                                                        \
  "https://cdn.jsdelivr.net/gh/starfederation/datastar@v" VESTRY_DATASTAR_VERSION "/bundles/datastar.js"
/** The same client with Rocket, its components: instead of that one, not beside it. */
#define VESTRY_DATASTAR_ROCKET_CDN_URL                                                                                 \
  "https://cdn.jsdelivr.net/gh/starfederation/datastar@v" VESTRY_DATASTAR_VERSION "/bundles/datastar-rocket.js"

/** X(enum, wire name): how elements are put into the page. */
#define VESTRY_PATCH_MODES(X)                                                                                          \
  X(OUTER, "outer")     /* morph the element itself; the default */                                                    \
  X(INNER, "inner")     /* morph its children */                                                                       \
  X(REPLACE, "replace") /* replace without morphing */                                                                 \
  X(PREPEND, "prepend") X(APPEND, "append") X(BEFORE, "before") X(AFTER, "after") X(REMOVE, "remove")

/** How elements are put into the page. */
typedef enum vestry_patch_mode {
#define VESTRY_PATCH_MODE_ENUM(name, wire) VESTRY_PATCH_##name,
  VESTRY_PATCH_MODES(VESTRY_PATCH_MODE_ENUM)
#undef VESTRY_PATCH_MODE_ENUM
} vestry_patch_mode;

/** X(enum, wire name): the namespace new elements are created in. */
#define VESTRY_NAMESPACES(X) X(HTML, "html") X(SVG, "svg") X(MATHML, "mathml")

/** The namespace new elements are created in. */
typedef enum vestry_namespace {
#define VESTRY_NAMESPACE_ENUM(name, wire) VESTRY_NAMESPACE_##name,
  VESTRY_NAMESPACES(VESTRY_NAMESPACE_ENUM)
#undef VESTRY_NAMESPACE_ENUM
} vestry_namespace;

/** Fields every event can carry. Zero is the default. */
typedef struct vestry_event_options {
  const char *id;    /**< NULL: no id line; "": a line ("id:") that clears the browser's last id. No CR or LF */
  uint32_t retry_ms; /**< the browser's reconnection delay; 0 or 1000 (the client's own default): no line */
} vestry_event_options;

/** How elements are patched in. Zero is the default. */
typedef struct vestry_elements_options {
  size_t size; /**< sizeof(vestry_elements_options), or 0 */
  vestry_event_options event;
  const char *selector; /**< CSS; NULL or "": match by element id. Mandatory for every mode but OUTER and REPLACE */
  vestry_patch_mode mode;
  bool use_view_transition;
  const char *view_transition_selector; /**< only with use_view_transition; NULL or "": none */
  vestry_namespace ns;
} vestry_elements_options;

/** The defaults. */
#define VESTRY_ELEMENTS_OPTIONS_INIT                                                                                   \
  { sizeof(vestry_elements_options), {NULL, 0}, NULL, VESTRY_PATCH_OUTER, false, NULL, VESTRY_NAMESPACE_HTML }

/** How signals are patched. Zero is the default. */
typedef struct vestry_signals_options {
  size_t size; /**< sizeof(vestry_signals_options), or 0 */
  vestry_event_options event;
  bool only_if_missing; /**< do not overwrite signals that the page has */
} vestry_signals_options;

/** The defaults. */
#define VESTRY_SIGNALS_OPTIONS_INIT                                                                                    \
  { sizeof(vestry_signals_options), {NULL, 0}, false }

/** One attribute of a script element. Name: ASCII letters, digits, '-', '_', ':', '.'; value: any UTF-8, is escaped. A
 *  NULL value writes the bare name (async, defer). */
typedef struct vestry_attribute {
  const char *name, *value;
} vestry_attribute;

/** How a script is run. Zero is the default. */
typedef struct vestry_script_options {
  size_t size; /**< sizeof(vestry_script_options), or 0 */
  vestry_event_options event;
  bool keep;                          /**< leave the element in the page; default: it removes itself once it has run */
  const vestry_attribute *attributes; /**< in this order, after the one that removes it; copied */
  size_t attributes_count;            /**< at most 64 */
} vestry_script_options;

/** The defaults. */
#define VESTRY_SCRIPT_OPTIONS_INIT                                                                                     \
  { sizeof(vestry_script_options), {NULL, 0}, false, NULL, 0 }

/** Limit on the bytes of one event, against runaway formatting. */
#define VESTRY_EVENT_MAX_BYTES ((size_t)64 * 1024 * 1024)

/** Patch elements into the page.
 *  host       borrowed while the event lives; NULL: default
 *  html       UTF-8, len bytes; copied; CR, LF and CRLF each end a line. Blank HTML (white space alone) writes no
 *             elements line, and neither does mode REMOVE
 *  options    NULL: the defaults
 *  ret_event  one reference, the caller's; untouched on failure
 *  Returns  OK | INVALID (a line break in a field, a selector missing for the mode, a number that is no mode or
 *           namespace, a transition selector without transition, html NULL with len > 0, an options size larger than
 *           this version's) | TOO_LARGE (VESTRY_EVENT_MAX_BYTES) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_elements(const vestry_host *host, const char *html, size_t len,
                                            const vestry_elements_options *options, vestry_event **ret_event);

/** The same with HTML by a format of vestry/html.h: a `%s` is escaped for where it stands, `%-s` is HTML.
 *      vestry_event_elementsf(NULL, NULL, &event, "<b id=\"name\" title=\"%s\">%s</b>", title, name);
 *  Returns  as vestry_event_elements; INVALID also for what vestry_html_add refuses: the host's log says why and where
 *  Threads  any; does not block; may log */
VESTRY_API vestry_err vestry_event_elementsf(const vestry_host *host, const vestry_elements_options *options,
                                             vestry_event **ret_event, const char *format, ...) VESTRY_PRINTF(4, 5);

/** Remove the elements that match a selector: mode REMOVE without elements. selector and the mode stand over those of
 *  the options. Otherwise as vestry_event_elements. */
static inline vestry_err vestry_event_remove(const vestry_host *host, const char *selector,
                                             const vestry_elements_options *options, vestry_event **ret_event) {
  vestry_elements_options own = VESTRY_ELEMENTS_OPTIONS_INIT;
  if (options) own = *options;
  own.selector = selector;
  own.mode = VESTRY_PATCH_REMOVE;
  return vestry_event_elements(host, NULL, 0, &own, ret_event);
}

/** Patch signals: a JSON object as text, merged into the page's signals (RFC 7386; null deletes). The text is sent
 *  verbatim, line by line; it must be a well-formed JSON object in valid UTF-8, since the client runs what is not JSON
 *  as JavaScript. The grammar is JSON's own: numbers of any size, and every escape.
 *  Returns  OK | INVALID (fields, json NULL with len > 0, no JSON object) | TOO_LARGE (also: nested deeper than 256) |
 *           NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                                const vestry_signals_options *options, vestry_event **ret_event);

/** The same with an object of C's own values, VESTRY_OBJECT("counter", 4), or of a json_t, VESTRY_VALUES(json), which
 *  is borrowed.
 *  Returns  as vestry_event_signals_text; INVALID also for what vestry_value_to_json refuses, and for what is no object
 */
VESTRY_API vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                           const vestry_signals_options *options, vestry_event **ret_event);

/** Remove signals: patch them with null. `user.name` becomes {"user":{"name":null}}; several paths become one object,
 *  with its names in ascending order.
 *  paths    count ≥ 1 paths, terminated, copied: names with dots between them. A path that begins with another one (of
 *           whole names) goes with it. At most 256 names deep
 *  options  as for vestry_event_signals_text (only_if_missing would remove nothing, and is INVALID); NULL: the defaults
 *  Returns  OK | INVALID (no path, an empty name, a name that is no UTF-8, options) | TOO_LARGE (also: too
 *           deep) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_remove_signals(const vestry_host *host, const char *const *paths, size_t count,
                                                  const vestry_signals_options *options, vestry_event **ret_event);

/** Run JavaScript in the page, as a script element appended to the body.
 *  script  UTF-8, len bytes; copied; CR, LF and CRLF each end a line. `</script` and `<!--` would end or change the
 *          element, and the client takes elements that contain `</html`, `</head` or `</body` for a whole document:
 *          in these five, in any case, the `<` is written as `\u003C`. That means the same in strings, regular
 *          expressions, templates (but for String.raw) and JSON, the places where working code has them. Code that
 *          uses `<!--` as a comment is not supported
 *  Returns  OK | INVALID (fields, an attribute's name, data-effect as an attribute without keep, too many attributes,
 *           script NULL with len > 0) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_script(const vestry_host *host, const char *script, size_t len,
                                          const vestry_script_options *options, vestry_event **ret_event);

/** How a plain event is written. Zero is the default. */
typedef struct vestry_plain_options {
  size_t size;                /**< sizeof(vestry_plain_options), or 0 */
  vestry_event_options event; /**< here a retry_ms of 1000 is written, too: an EventSource waits longer by itself */
} vestry_plain_options;

/** An event with a name and data of your own, for readers that are not Datastar: `new EventSource(url)` with
 *  addEventListener(name, …), curl, another program. The Datastar client passes over it. It is never conflated.
 *  name     on one line; NULL or "": none, which an EventSource calls "message". Not one that begins with "datastar":
 *           such a name could patch a page
 *  data     UTF-8, len bytes; copied; CR, LF and CRLF each end a line, and are read as LF. It may be empty
 *  options  NULL: the defaults
 *  Returns  OK | INVALID (a line break in name or id, such a name, data NULL with len > 0, an options size larger than
 *           this version's) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_plain(const vestry_host *host, const char *name, const char *data, size_t len,
                                         const vestry_plain_options *options, vestry_event **ret_event);

/** A comment: ignored by the page, keeps the stream alive. text NULL or "": the heartbeat (":" and an empty line).
 *  Returns  OK | INVALID (a line break in the text) | TOO_LARGE | NO_MEMORY. Threads any; does not block */
VESTRY_API vestry_err vestry_event_comment(const vestry_host *host, const char *text, vestry_event **ret_event);

/** Tell the browser how long to wait before it comes back when the stream breaks; nothing else happens in the page. It
 *  holds for all later breaks, until another one is told (a stream that comes back can be told 1000 again).
 *  Returns  OK | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_retry(const vestry_host *host, uint32_t retry_ms, vestry_event **ret_event);

/** Say which event a connection is sent directly before this one, as a rule the page's last render. Where that is so,
 *  a SHARED encoded stream (vestry/profile.h) is written what has changed since, and not all; everywhere else the event
 *  is written as any other.
 *  event     not sent yet, and to be sent to one connection: if it is sent to more, the first that comes to it counts.
 *            NULL is accepted
 *  previous  a reference is held until the event was written, is followed by another, or is freed; so no chain grows.
 *            What it followed itself is dropped. NULL: none
 *  Threads   any; does not block */
VESTRY_API void vestry_event_follow(vestry_event *event, vestry_event *previous);

/** Take a reference. Returns its argument. Threads any. */
VESTRY_API vestry_event *vestry_event_ref(vestry_event *event);
/** Drop a reference (NULL accepted), the last frees. Returns NULL. Threads any. */
VESTRY_API vestry_event *vestry_event_unref(vestry_event *event);
/** The bytes to send, valid as long as a reference is held; never empty. Threads any. */
VESTRY_API vestry_slice vestry_event_bytes(const vestry_event *event);

#ifdef __cplusplus
}
#endif
#endif
