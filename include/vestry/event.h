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
 *  Texts are UTF-8. HTML is not checked, and invalid UTF-8 and NUL pass unchanged. The browser replaces invalid UTF-8
 *  by U+FFFD; this neither swallows nor adds a line end, so such bytes can spoil the text, but cannot forge an event.
 *  The parser of HTML drops a NUL or replaces it by U+FFFD. Signals are checked, because the client runs text that is
 *  no JSON as JavaScript: they are a JSON object in valid UTF-8 without NUL bytes. Effects (vestry/registry.h) are
 *  JSON, so their texts must be valid UTF-8. */
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
  vestry_namespace ns; /**< a builder (vestry/html.h) reads HTML: begin SVG with texts of clients at its own `<svg>` */
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

/** A header of a request (vestry/backend_action.h): a name and its value. */
typedef struct vestry_attribute {
  const char *name, *value;
} vestry_attribute;

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

/** Make an event that patches signals of C values, VESTRY_OBJECT("counter", 4); of a json_t, VESTRY_VALUES(json), which
 *  is borrowed; or of JSON text, VESTRY_VALUES("{\"counter\":4}"). The object is merged into the page's signals (RFC
 *  7386; null deletes). A text is sent verbatim, line by line. It must be a well-formed JSON object in valid UTF-8,
 *  because the client runs other text as JavaScript. The grammar is that of JSON: numbers of any size, and every
 *  escape.
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (fields, no JSON object; refused by vestry_value_to_json) | TOO_LARGE (also: nested deeper
 *           than 256) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_signals(const vestry_host *host, const vestry_value *signals,
                                           const vestry_signals_options *options, vestry_event **ret_event);

/** Make the event of a built-in effect, as a dispatch sends it; vestry/registry.h lists the effects and arguments.
 *      vestry_event_effect(NULL, VESTRY_LIST("redirect", "/people"), &event);
 *      vestry_event_effect(NULL, VESTRY_LIST("remove-elements", "#note"), &event);
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | NOT_FOUND (no built-in effect of this name makes an event) | INVALID (arguments or options of the
 *           effect; refused by vestry_value_to_json); the host's log has the reason of both | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block
 *
 *  - execute-script adds a script element to the body, which removes itself after it has run. The `<` of `</script`,
 *    `<!--`, `</html`, `</head` and `</body`, in upper or lower case, is written as `\u003C`. The first two would end
 *    or change the script element; because of the others, the client would treat the element as a whole document.
 *    Working code contains these texts only in strings, regular expressions, templates and JSON, and there the escape
 *    means the same (except in String.raw). Code that uses `<!--` as a comment is not supported.
 *  - The other effects that run code add a hidden element with an expression in `data-init`. The client runs the
 *    expression after it has applied the events that arrived together with this one, and the element removes itself.
 *    Arguments become string literals and cannot end the literal, the line or the element, so they may come from any
 *    source. prefetch adds a speculation rule, which stays in the page.
 *  - URLs are relative, or absolute with the scheme http or https. All others are INVALID, such as `javascript:` in
 *    upper or lower case, also after spaces, and so are control characters. For another scheme, for example `mailto:`,
 *    write a script. But check a URL that a client sent, because it may lead to another site.
 *  - redirect adds an entry to the browser's history. navigate stays within the document, like a link marked
 *    data-navigate, if the document has a layout (vestry/app/page.h) and the URL has the document's origin.
 *    replace-url only changes the URL that the browser shows. navigate-replace replaces the entry of the history.
 *  - send-event is for readers other than Datastar: `new EventSource(url)` with addEventListener(name, …), curl,
 *    another program. A line break of the data is read as LF. The name must not begin with "datastar", because such a
 *    name could patch a page.
 *  A Content-Security-Policy must permit the client's expressions: by the document's nonce (vestry/app/csp.h), or,
 *  before client 1.0.3, by 'unsafe-eval'. Script elements get the document's nonce from the client, too; before 1.0.3 a
 *  policy without 'unsafe-inline' blocks them (prefetch needs at least 'inline-speculation-rules'). */
VESTRY_API vestry_err vestry_event_effect(const vestry_host *host, const vestry_value *effect,
                                          vestry_event **ret_event);

/** Name the event that is sent to the same connection directly before this one, usually the previous render of the
 *  page. If that event was the last one written, and the stream has an encoding (vestry/profile.h), the stream gets
 *  only the difference; otherwise it gets the whole event.
 *  event     not sent yet; send it to one connection only. If it is sent to more, the first that handles it gets the
 *            difference. NULL is accepted
 *  previous  the event holds a reference to it until the event is written, is freed, or becomes the previous event of
 *            another one. So no chain of references grows. NULL: none
 *  Threads   any; does not block */
VESTRY_API void vestry_event_follow(vestry_event *event, vestry_event *previous);

/** Size of a buffer that is sufficient for the selector of an id of id_len bytes. */
#define VESTRY_SELECTOR_BYTES(id_len) (4 * (size_t)(id_len) + 2)

/** Write the selector "#…" of the element with an id, escaped as CSSOM serializes identifiers (section 2.1). It has no
 *  line breaks, so it can be a selector of vestry_elements_options. Invalid UTF-8 becomes U+FFFD, as in vestry/html.h,
 *  so that the selector finds an element whose id was written by vestry/html.h.
 *  id       terminated, not empty
 *  buffer   receives at most capacity - 1 bytes and a NUL; untouched on failure
 *  Returns  OK | INVALID (id or buffer NULL, id empty) | TOO_LARGE (capacity; see VESTRY_SELECTOR_BYTES)
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_select_id(const char *id, char *buffer, size_t capacity);

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
