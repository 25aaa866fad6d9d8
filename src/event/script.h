/* SPDX-License-Identifier: MIT */
/* essay: JavaScript for the page to run, without a script element */
/* A client action makes the page run JavaScript through an element whose `data-init` the client evaluates: a redirect,
 * or an event of the application. It is an expression instead of a script element, so a policy without 'unsafe-inline'
 * allows it. The order is kept, too: an element that was sent before an action has its event handlers when the action
 * reaches it. */
#ifndef VSI_EVENT_SCRIPT_H
#define VSI_EVENT_SCRIPT_H

#include <stdarg.h>

#include "vestry/backend_action.h"

/* Options of an event that makes the page run code. */
typedef struct vsi_script_options {
  vestry_event_options event;
  bool keep;                          /* leave the element in the page; otherwise it removes itself after it has run */
  const vestry_attribute *attributes; /* in this order, before the library's own one that removes the element */
  size_t attributes_count;
  /* Of vsi_event_custom only: the event is dispatched to each element that matches; NULL or "": to the document. */
  const char *selector;
  bool no_bubbles, not_cancelable, not_composed;
} vsi_script_options;

/* Make an event that runs JavaScript in the page, as a script element appended to the body. text: len bytes.
 * OK | INVALID (fields, an attribute's name, data-effect as an attribute without keep) | TOO_LARGE | NO_MEMORY */
vestry_err vsi_event_script(const vestry_host *host, const char *text, size_t len, const vsi_script_options *options,
                            vestry_event **ret_event);

/* A timer delays a navigation for three reasons. A browser that is redirected while it loads a page would replace this
 * page's entry in its history by the new address. The rest of the batch is applied first. And a navigation ends the
 * page's stream, of which some events may have arrived without being applied. */
#define VSI_LEAVING "setTimeout(() => window.location.href = "

/* Make a client action of one call whose last argument is a string. before: JavaScript before the string.
 * OK | INVALID (options, data-init among the attributes) | TOO_LARGE | NO_MEMORY */
vestry_err vsi_event_call(const vestry_host *host, const char *before, const char *string, size_t len,
                          const vsi_script_options *options, vestry_event **ret_event);

/* Make a client action that dispatches a CustomEvent. detail: JSON text; empty: null.
 * OK | INVALID (an empty name, options) | TOO_LARGE | NO_MEMORY */
vestry_err vsi_event_custom(const vestry_host *host, const char *name, const char *detail, size_t detail_len,
                            const vsi_script_options *options, vestry_event **ret_event);

/* Make an event that lets the browser prefetch pages: a speculation rule. Its element stays in the page, because its
 * removal would end the rule.
 * OK | INVALID (no address, or an address; options, `type` among the attributes) | TOO_LARGE | NO_MEMORY */
vestry_err vsi_event_prefetch(const vestry_host *host, const char *const *urls, size_t count,
                              const vsi_script_options *options, vestry_event **ret_event);

/* Append a client action that navigates to a web address, as HTML that is to be appended to the body, to a builder that
 * is begun. Returns the builder's error. */
vestry_err vsi_html_leave(vestry_html *html, const char *url);

/* Return whether the address is safe to navigate to: relative, http or https, without control characters. */
VESTRY_API bool vsi_is_web_address(const char *url);

/* As vestry_html_backend_action, with JavaScript for the request's requestCancellation. */
VESTRY_API vestry_err vsi_html_cancelled_action(vestry_html *html, vestry_method method,
                                                const vestry_backend_action_options *options, const char *cancel,
                                                const char *url, va_list arguments) VESTRY_PRINTF(5, 0);
/* As vestry_html_backend_action, for the element in the variable b of the expression: its attribute data-press is the
 * URL, and its attribute data-payload, if there is one, is sent instead of the signals or of options.payload. */
VESTRY_API vestry_err vsi_html_action_of_pressed(vestry_html *html, vestry_method method,
                                                 const vestry_backend_action_options *options);

#endif
