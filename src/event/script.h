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
