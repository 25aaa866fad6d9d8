/* SPDX-License-Identifier: MIT */
/* Actions in elements that vestry itself writes. */
#ifndef VSI_EVENT_BACKEND_ACTION_H
#define VSI_EVENT_BACKEND_ACTION_H

#include <stdarg.h>

#include "vestry/backend_action.h"

/* As vestry_html_backend_action, with JavaScript for the request's requestCancellation. */
VESTRY_API vestry_err vsi_html_cancelled_action(vestry_html *html, vestry_method method,
                                                const vestry_backend_action_options *options, const char *cancel,
                                                const char *url, va_list arguments) VESTRY_PRINTF(5, 0);

#endif
