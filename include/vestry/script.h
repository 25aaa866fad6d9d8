/* SPDX-License-Identifier: MIT */
/** Common actions in a page, as events: console output, navigation, a custom event, prefetching.
 *
 *      vestry_event *event;
 *      vestry_err error = vestry_event_redirect(NULL, "/people", NULL, &event);
 *      if (!error) error = vestry_connection_send(connection, event);
 *
 *  For all functions: options are those of vestry_event_script, with its defaults for NULL and its errors; their
 *  attributes are set on the element that the event adds (INVALID: an attribute `data-init`). host is borrowed while
 *  the event lives; NULL: default. ret_event receives one reference, owned by the caller; untouched on failure. Any
 *  thread; does not block.
 *
 *  URLs are relative, or absolute with the scheme http or https. All others are INVALID, such as `javascript:` in upper
 *  or lower case, also after spaces, and so are control characters. For another scheme, for example `mailto:`, write a
 *  script. */
#ifndef VESTRY_SCRIPT_H
#define VESTRY_SCRIPT_H

#include "vestry/event.h"

#ifdef __cplusplus
extern "C" {
#endif

/** Options of a custom event. Zero is the default. */
typedef struct vestry_custom_event_options {
  const vestry_script_options *script; /**< NULL: the defaults */
  const char *selector; /**< CSS selector: the event is dispatched to each matching element; NULL or "": to the
                             document */
  bool no_bubbles;      /**< the event does not bubble; default: it does. Likewise the next two members */
  bool not_cancelable;
  bool not_composed; /**< the event stays within a shadow tree */
} vestry_custom_event_options;

/** Make an event that writes a text to the browser's console, as a log entry.
 *  text       UTF-8, len bytes; copied
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (options, text NULL with len > 0) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block
 *
 *  Each function of this header except vestry_event_prefetch makes a hidden element, appended to the body, with an
 *  expression in `data-init`. The client runs the expression after it has applied the events that arrived together with
 *  this one, and the element removes itself. Arguments become string literals and cannot end the literal, the line or
 *  the element, so they may come from any source. But check a URL that a client sent, because it may lead to another
 *  site.
 *
 *  A Content-Security-Policy must permit the client's expressions: by the document's nonce (vestry/app/csp.h), or,
 *  before client 1.0.3, by 'unsafe-eval'. vestry_event_script and vestry_event_prefetch make script elements, which get
 *  the document's nonce from the client, too; before 1.0.3 a policy without 'unsafe-inline' blocks them (prefetch needs
 *  at least 'inline-speculation-rules'). */
VESTRY_API vestry_err vestry_event_console_log(const vestry_host *host, const char *text, size_t len,
                                               const vestry_script_options *options, vestry_event **ret_event);
/** Make an event that writes a text to the browser's console, as an error. As vestry_event_console_log. */
VESTRY_API vestry_err vestry_event_console_error(const vestry_host *host, const char *text, size_t len,
                                                 const vestry_script_options *options, vestry_event **ret_event);

/** Make an event that sends the browser to another page and adds an entry to its history. The browser leaves the
 *  current page when the other events of the same batch have been applied and the expression has run; the stream ends
 *  with the page.
 *  url        see the head of this header; terminated; copied
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (url: empty, a control character, a scheme that is neither http nor https; options) |
 *           TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_redirect(const vestry_host *host, const char *url,
                                            const vestry_script_options *options, vestry_event **ret_event);

/** Make an event that changes the URL that the browser shows, without loading it: history.replaceState, which keeps the
 *  entry's state. The browser refuses a URL of another origin. As vestry_event_redirect. */
VESTRY_API vestry_err vestry_event_replace_url(const vestry_host *host, const char *url,
                                               const vestry_script_options *options, vestry_event **ret_event);

/** Make an event that navigates within the document, like a link marked data-navigate, if the document has a layout
 *  (vestry/app/page.h) and the URL has the document's origin; otherwise as vestry_event_redirect, whose arguments and
 *  results it has. */
VESTRY_API vestry_err vestry_event_navigate(const vestry_host *host, const char *url,
                                            const vestry_script_options *options, vestry_event **ret_event);
/** Make an event that navigates as vestry_event_navigate, and replaces the current entry of the history. */
VESTRY_API vestry_err vestry_event_navigate_replace(const vestry_host *host, const char *url,
                                                    const vestry_script_options *options, vestry_event **ret_event);

/** Make an event that dispatches a CustomEvent in the page, for its `data-on:NAME`.
 *  name       of the event; not empty, UTF-8, terminated; copied
 *  detail     the event's detail: JSON text of any value, detail_len bytes; NULL or empty: null. The page gets the
 *             value that JSON.parse returns
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (name, options, detail NULL with detail_len > 0, detail is no JSON) | TOO_LARGE (also: nested
 *           deeper than 256) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_custom(const vestry_host *host, const char *name, const char *detail,
                                          size_t detail_len, const vestry_custom_event_options *options,
                                          vestry_event **ret_event);

/** Make an event that lets the browser prefetch pages: a speculation rule. The element stays in the page (as with
 *  options->keep), because removing it would end the rule; browsers without such rules ignore the element.
 *  urls       count ≥ 1 URLs, see the head of this header; copied
 *  ret_event  one reference, owned by the caller; untouched on failure
 *  Returns  OK | INVALID (a URL, as for vestry_event_redirect; no URL; options, `type` among the attributes, more than
 *           63 attributes) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                                            const vestry_script_options *options, vestry_event **ret_event);

#ifdef __cplusplus
}
#endif
#endif
