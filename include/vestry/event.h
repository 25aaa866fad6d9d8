/* SPDX-License-Identifier: MIT */
/** Events: the messages that a Datastar page understands, as immutable bytes.
 *
 *  An event is formatted once, and the same bytes go to one connection or to ten thousand; therefore it is
 *  reference-counted. The functions that make events are pure functions of their arguments.
 *
 *      vestry_event *event;
 *      vestry_err error = vestry_event_elements(NULL, "<b id=\"n\">4</b>", 15, NULL, &event);
 *      if (error) return error;
 *      error = vestry_connection_send(connection, event); // vestry/connection.h; for each connection
 *      vestry_event_unref(event);
 *      return error; */
#ifndef VESTRY_EVENT_H
#define VESTRY_EVENT_H

#include <string.h>

#include "vestry/value.h"

#ifdef __cplusplus
extern "C" {
#endif

/** The bytes of one event; immutable, reference-counted.
 *
 *  Wire format: the Datastar SDK specification of client 1.0 over Server-Sent Events (WHATWG HTML, section 9.2).
 *
 *  Texts are UTF-8. One rule holds for all events, plain ones too: html, scripts and data are not checked, and invalid
 *  UTF-8 and NUL pass unchanged. The browser replaces invalid UTF-8 by U+FFFD; this neither swallows nor adds a line
 *  end, so such bytes can spoil the text, but cannot forge an event. A NUL reaches an EventSource and a script as it
 *  is; the parser of HTML drops it or replaces it by U+FFFD. Only signals are checked, because the client runs text
 *  that is no JSON as JavaScript: they are a JSON object in valid UTF-8 without NUL bytes. Effects (vestry/registry.h)
 *  are JSON, so their texts must be valid UTF-8. */
typedef struct vestry_event vestry_event;

/** Version of the Datastar client that this version was written for. Clients from 1.0.2 on work; functions that need a
 *  later one are marked. */
#define VESTRY_DATASTAR_VERSION "1.0.4"
/** Address of that client. */
#define VESTRY_DATASTAR_CDN_URL                                                                                        \
  "https://cdn.jsdelivr.net/gh/starfederation/datastar@v" VESTRY_DATASTAR_VERSION "/bundles/datastar.js"
/** Address of the bundle that contains the same client and Rocket, Datastar's web components. Use it instead of the
 *  other one, not in addition. */
#define VESTRY_DATASTAR_ROCKET_CDN_URL                                                                                 \
  "https://cdn.jsdelivr.net/gh/starfederation/datastar@v" VESTRY_DATASTAR_VERSION "/bundles/datastar-rocket.js"

/** X(enum, wire name): ways to put elements into the page. */
#define VESTRY_PATCH_MODES(X)                                                                                          \
  X(OUTER, "outer")     /* morph the element itself; the default */                                                    \
  X(INNER, "inner")     /* morph its children */                                                                       \
  X(REPLACE, "replace") /* replace without morphing */                                                                 \
  X(PREPEND, "prepend") X(APPEND, "append") X(BEFORE, "before") X(AFTER, "after") X(REMOVE, "remove")

/** Ways to put elements into the page. */
typedef enum vestry_patch_mode {
#define VESTRY_PATCH_MODE_ENUM(name, wire) VESTRY_PATCH_##name,
  VESTRY_PATCH_MODES(VESTRY_PATCH_MODE_ENUM)
#undef VESTRY_PATCH_MODE_ENUM
} vestry_patch_mode;

/** X(enum, wire name): namespaces of new elements. */
#define VESTRY_NAMESPACES(X) X(HTML, "html") X(SVG, "svg") X(MATHML, "mathml")

/** Namespaces of new elements. */
typedef enum vestry_namespace {
#define VESTRY_NAMESPACE_ENUM(name, wire) VESTRY_NAMESPACE_##name,
  VESTRY_NAMESPACES(VESTRY_NAMESPACE_ENUM)
#undef VESTRY_NAMESPACE_ENUM
} vestry_namespace;

/** Fields of every event. Zero is the default. */
typedef struct vestry_event_options {
  const char *id;    /**< NULL: no id line; "": a line ("id:") that clears the browser's last id. No CR or LF */
  uint32_t retry_ms; /**< the reconnection delay, at most 2^31-1 is sent; 0 or 1000 (the client's default): no line */
} vestry_event_options;

/** Options of patched elements. Zero is the default. */
typedef struct vestry_elements_options {
  vestry_event_options event;
  const char *selector; /**< CSS; NULL or "": match by element id. Mandatory for every mode but OUTER and REPLACE */
  vestry_patch_mode mode;
  bool use_view_transition;
  const char *view_transition_selector; /**< only with use_view_transition; NULL or "": none */
  vestry_namespace ns; /**< a builder (vestry/html.h) reads HTML: begin SVG with texts of clients at its own <svg> */
  /** Name of the state that the event shows completely, for example "score" [none: NULL or ""]. A stream that reads
   *  slowly gets the latest state instead of each step: an event that waits in its queue is dropped when a later one of
   *  the same state is sent, unless an event without a state is between them. At most 64 waiting events are compared.
   *  Use one name for one element, or for one set of signals. One line of at most 255 bytes; with mode OUTER, INNER or
   *  REPLACE, and without id and retry_ms. docs/guide/connections.md */
  const char *state;
} vestry_elements_options;

/** Options of patched signals. Zero is the default. */
typedef struct vestry_signals_options {
  vestry_event_options event;
  bool only_if_missing; /**< do not overwrite existing signals of the page */
  const char *state;    /**< as in vestry_elements_options; each event of a state must set the same signals. Not with
                             only_if_missing */
} vestry_signals_options;

/** One attribute of a script element. Name: ASCII letters, digits, '-', '_', ':', '.'; value: any UTF-8, escaped. A
 *  NULL value writes the bare name (async, defer). */
typedef struct vestry_attribute {
  const char *name, *value;
} vestry_attribute;

/** Options of a script. Zero is the default. */
typedef struct vestry_script_options {
  vestry_event_options event;
  bool keep;                          /**< leave the element in the page; default: it removes itself after it has run */
  const vestry_attribute *attributes; /**< in this order, after the attribute that removes the element; copied */
  size_t attributes_count;            /**< at most 64 */
} vestry_script_options;

/** Maximum size of one event, which prevents runaway formatting. */
#define VESTRY_EVENT_MAX_BYTES ((size_t)64 * 1024 * 1024)

/** Make an event that patches elements into the page.
 *  host       borrowed while the event lives; NULL: default
 *  html       UTF-8, not checked (vestry_event), len bytes; copied; CR, LF and CRLF each end a line. An event of blank
 *             HTML (white space only), or of mode REMOVE, has no line `data: elements`
 *  options    NULL: the defaults
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a line break in a field, a missing selector for the mode, an unknown mode or namespace, a
 *           transition selector without transition, html NULL with len > 0, a member of options that this version does
 *           not know) | TOO_LARGE (VESTRY_EVENT_MAX_BYTES) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_elements(const vestry_host *host, const char *html, size_t len,
                                            const vestry_elements_options *options, vestry_event **ret_event);

/** Make an event that patches elements, with HTML by a format of vestry/html.h: `%s` is escaped for its context, `%-s`
 *  is HTML.
 *      vestry_event_elementsf(NULL, NULL, &event, "<b id=\"name\" title=\"%s\">%s</b>", "a title", "a name");
 *  Returns  as vestry_event_elements; INVALID also if vestry_html_add refuses the format: the host's log has the reason
 *           and the place
 *  Threads  any; does not block; may log */
VESTRY_API vestry_err vestry_event_elementsf(const vestry_host *host, const vestry_elements_options *options,
                                             vestry_event **ret_event, const char *format, ...) VESTRY_PRINTF(4, 5);

/** Make an event that removes the elements that match a selector: mode REMOVE without elements. selector and the mode
 *  override those of the options. Otherwise as vestry_event_elements. */
static inline vestry_err vestry_event_remove(const vestry_host *host, const char *selector,
                                             const vestry_elements_options *options, vestry_event **ret_event) {
  vestry_elements_options own;
  if (options)
    own = *options;
  else
    memset(&own, 0, sizeof own);
  own.selector = selector;
  own.mode = VESTRY_PATCH_REMOVE;
  return vestry_event_elements(host, NULL, 0, &own, ret_event);
}

/** Make an event that patches signals of JSON text: an object, merged into the page's signals (RFC 7386; null deletes).
 *  The text is sent verbatim, line by line. It must be a well-formed JSON object in valid UTF-8, because the client
 *  runs other text as JavaScript. The grammar is that of JSON: numbers of any size, and every escape.
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (fields, json NULL with len > 0, no JSON object) | TOO_LARGE (also: nested deeper than 256) |
 *           NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_signals_text(const vestry_host *host, const char *json, size_t len,
                                                const vestry_signals_options *options, vestry_event **ret_event);

/** Make an event that patches signals of C values, VESTRY_OBJECT("counter", 4), or of a json_t, VESTRY_VALUES(json),
 *  which is borrowed.
 *  Returns  as vestry_event_signals_text; INVALID also if vestry_value_to_json refuses the value, or it is no object */
VESTRY_API vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                           const vestry_signals_options *options, vestry_event **ret_event);

/** Make an event that removes signals by patching them with null. `user.name` becomes {"user":{"name":null}}; several
 *  paths become one object, with its names in the order of the paths.
 *  paths      count ≥ 1 paths, terminated, copied: names with dots between them. If one path has the first names of
 *             another, as a.b has those of a.b.c, the longer path has no effect. At most 256 names deep
 *  options    as for vestry_event_signals_text (only_if_missing is INVALID, because it would remove nothing); NULL: the
 *             defaults
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (no path, an empty name, a name that is not UTF-8, options) | TOO_LARGE (also: too deep) |
 *           NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_remove_signals(const vestry_host *host, const char *const *paths, size_t count,
                                                  const vestry_signals_options *options, vestry_event **ret_event);

/** Make an event that runs JavaScript in the page, as a script element appended to the body.
 *  script     UTF-8, not checked (vestry_event), len bytes; copied; CR, LF and CRLF each end a line. vestry writes the
 *             `<` of `</script`, `<!--`, `</html`, `</head` and `</body`, in upper or lower case, as `\u003C`. The
 *             first two would end or change the script element; because of the others, the client would treat the
 *             element as a whole document. Working code contains these texts only in strings, regular expressions,
 *             templates and JSON, and there the escape means the same (except in String.raw). Code that uses `<!--` as
 *             a comment is not supported
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (fields, an attribute's name, data-effect as an attribute without keep, too many attributes,
 *           script NULL with len > 0) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_script(const vestry_host *host, const char *script, size_t len,
                                          const vestry_script_options *options, vestry_event **ret_event);

/** Options of a plain event. Zero is the default. */
typedef struct vestry_plain_options {
  vestry_event_options event; /**< a retry_ms of 1000 is written, too, because an EventSource waits longer by default */
} vestry_plain_options;

/** Make an event with a name and data of your own, for readers other than Datastar: `new EventSource(url)` with
 *  addEventListener(name, …), curl, another program. The Datastar client ignores it. It shows no state
 *  (vestry_elements_options), so it is never dropped for a later one.
 *  name       one line; NULL or "": none, which an EventSource calls "message". It must not begin with "datastar",
 *             because such a name could patch a page
 *  data       UTF-8, not checked (vestry_event), len bytes; copied; CR, LF and CRLF each end a line, and are read as
 *             LF. It may be empty
 *  options    NULL: the defaults
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a line break in name or id, a name that begins with "datastar", data NULL with len > 0, a
 *           member of options that this version does not know) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_plain(const vestry_host *host, const char *name, const char *data, size_t len,
                                         const vestry_plain_options *options, vestry_event **ret_event);

/** Make a comment, which the page ignores; it keeps the stream alive. text NULL or "": the heartbeat (":" and an empty
 *  line).
 *  ret_event  a reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a line break in the text) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_comment(const vestry_host *host, const char *text, vestry_event **ret_event);

/** Make an event that sets the browser's reconnection delay, without another effect in the page. The delay applies to
 *  all later breaks until it is set again, for example to 1000 when the stream has reconnected.
 *  ret_event  a reference, owned by the caller; untouched on failure
 *  Returns  OK | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_retry(const vestry_host *host, uint32_t retry_ms, vestry_event **ret_event);

/** Name the event that is sent to the same connection directly before this one, usually the previous render of the
 *  page. If that event was the last one written, and the stream has an encoding (vestry/profile.h), the stream gets
 *  only the difference; otherwise it gets the whole event.
 *  event     not sent yet; send it to one connection only. If it is sent to more, the first that handles it gets the
 *            difference. NULL is accepted
 *  previous  the event holds a reference to it until the event is written, is freed, or becomes the previous event of
 *            another one. So no chain of references grows. NULL: none
 *  Threads   any; does not block */
VESTRY_API void vestry_event_follow(vestry_event *event, vestry_event *previous);

/** Take a reference. Returns its argument. Threads any. */
VESTRY_API vestry_event *vestry_event_ref(vestry_event *event);
/** Drop a reference (NULL accepted); the last one frees the event. Returns NULL. Threads any. */
VESTRY_API vestry_event *vestry_event_unref(vestry_event *event);
/** Get the bytes to send, valid as long as a reference is held; never empty. Threads any. */
VESTRY_API vestry_slice vestry_event_bytes(const vestry_event *event);

#ifdef __cplusplus
}
#endif
#endif
