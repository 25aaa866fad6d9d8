/* SPDX-License-Identifier: MIT */
/** What pages are often to do, as events: the console, another address, an event of the page's own, prefetching.
 *
 *  Each but prefetching is a hidden element, appended to the body, with an expression in `data-init`, which the client
 *  runs; then it removes itself. A Content-Security-Policy needs what the client needs for expressions:
 *  the document's nonce (vestry/app/csp.h), or, before client 1.0.3, 'unsafe-eval'. It runs when what was sent and has
 *  arrived with it is applied. vestry_event_script and prefetching are script elements: the client gives them the
 *  document's nonce, too; before 1.0.3 a policy without 'unsafe-inline' refuses them (the latter needs at least
 *  'inline-speculation-rules').
 *
 *  The expression is made here, from other texts that are data to it: they are written as string literals, whatever is
 *  in them, and cannot end the literal, the line or the element. So they may come from anywhere, with one exception
 *  that every application must think of itself: an address that a client names may lead to another site.
 *
 *  Addresses (URLs) are relative, or absolute with the scheme http or https; all others are INVALID, and so are control
 *  characters within. `javascript:` is a program and not an address, in whatever case and after whatever spaces. For
 *  `mailto:`, or a scheme of your own, execute a script of your own.
 *
 *  All: options NULL are the defaults of vestry_event_script, its attributes are the element's, and what it returns is
 *  returned here (INVALID also for an attribute `data-init`). host is borrowed
 *  while the event lives, NULL: default. ret_event has one reference, the caller's; untouched on failure. Any thread;
 *  does not block. */
#ifndef VESTRY_SCRIPT_H
#define VESTRY_SCRIPT_H

#include "vestry/event.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How an event of the page's own is dispatched. Zero is the default. */
typedef struct vestry_custom_event_options {
  size_t size;                         /**< sizeof(vestry_custom_event_options), or 0 */
  const vestry_script_options *script; /**< NULL: the defaults */
  const char *selector; /**< CSS: the event is dispatched to each element that matches; NULL or "": to the document */
  bool no_bubbles;      /**< it does not bubble; default: it does, like the next two */
  bool not_cancelable;
  bool not_composed; /**< it stays within a shadow tree */
} vestry_custom_event_options;

/** The defaults. */
#define VESTRY_CUSTOM_EVENT_OPTIONS_INIT                                                                               \
  { sizeof(vestry_custom_event_options), NULL, NULL, false, false, false }

/** Write a text to the browser's console, as a log entry.
 *  text     UTF-8, len bytes; copied
 *  Returns  OK | INVALID (options, text NULL with len > 0) | TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_console_log(const vestry_host *host, const char *text, size_t len,
                                               const vestry_script_options *options, vestry_event **ret_event);
/** The same, as an error. */
VESTRY_API vestry_err vestry_event_console_error(const vestry_host *host, const char *text, size_t len,
                                                 const vestry_script_options *options, vestry_event **ret_event);

/** Send the browser to another page, which gets an entry in its history. It leaves when the expression has run, and
 *  what was sent in the same batch has been applied; the stream ends with the page.
 *  url      an address, see above; terminated; copied
 *  Returns  OK | INVALID (the address: none, a control character, a scheme that is neither http nor https; options) |
 *           TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_redirect(const vestry_host *host, const char *url,
                                            const vestry_script_options *options, vestry_event **ret_event);

/** Change the address that the browser shows, without loading it: history.replaceState, which keeps the entry's state.
 *  The browser refuses an address of another origin. As vestry_event_redirect. */
VESTRY_API vestry_err vestry_event_replace_url(const vestry_host *host, const char *url,
                                               const vestry_script_options *options, vestry_event **ret_event);

/** Have the page go to another address within its document, as a marked link does: if the document has a layout
 *  (vestry/app/page.h), and the address is of its origin. Otherwise as vestry_event_redirect; arguments and results as
 *  there. */
VESTRY_API vestry_err vestry_event_navigate(const vestry_host *host, const char *url,
                                            const vestry_script_options *options, vestry_event **ret_event);
/** The same in place of the present entry of the history, which otherwise stays before the new one. */
VESTRY_API vestry_err vestry_event_navigate_replace(const vestry_host *host, const char *url,
                                                    const vestry_script_options *options, vestry_event **ret_event);

/** Dispatch an event of the page's own (a CustomEvent), for its `data-on:NAME`.
 *  name    of the event; not empty, UTF-8, terminated; copied
 *  detail  the event's detail: JSON text of any value, detail_len bytes; NULL or empty: null. It arrives as JSON.parse
 *          reads it
 *  Returns  OK | INVALID (name, options, detail NULL with detail_len > 0, detail is no JSON) | TOO_LARGE (also: nested
 *           deeper than 256) | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_custom(const vestry_host *host, const char *name, const char *detail,
                                          size_t detail_len, const vestry_custom_event_options *options,
                                          vestry_event **ret_event);

/** Let the browser fetch pages ahead, before they are asked for: a speculation rule. The element stays in the page
 *  (options->keep is taken for set), because the rule ends with it; browsers without such rules ignore it.
 *  urls     count ≥ 1 addresses, see above; copied
 *  Returns  OK | INVALID (an address, as for vestry_event_redirect; no address; options, `type` among the attributes) |
 *           TOO_LARGE | NO_MEMORY
 *  Threads  any; does not block */
VESTRY_API vestry_err vestry_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                                            const vestry_script_options *options, vestry_event **ret_event);

#ifdef __cplusplus
}
#endif
#endif
