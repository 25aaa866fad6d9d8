/* SPDX-License-Identifier: MIT */
/* Actions in elements of vestry's own. */
#ifndef VSI_EVENT_BACKEND_ACTION_H
#define VSI_EVENT_BACKEND_ACTION_H

#include <stdarg.h>

#include "vestry/backend_action.h"

/* vestry_html_backend_action; cancel: JavaScript, what the request's requestCancellation is. */
VESTRY_API vestry_err vsi_html_cancelled_action(vestry_html *html, vestry_method method,
                                                const vestry_backend_action_options *options, const char *cancel,
                                                const char *url, va_list arguments) VESTRY_PRINTF(5, 0);

#endif
