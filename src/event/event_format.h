/* SPDX-License-Identifier: MIT */
/* Events by formats, for callers with a va_list. */
#ifndef VSI_EVENT_EVENT_FORMAT_H
#define VSI_EVENT_EVENT_FORMAT_H

#include <stdarg.h>

#include "vestry/event.h"
#include "vestry/html.h"

/* vestry_html_result; the log has the reason of an INVALID, and where in which format it arose. */
vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html);

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) VESTRY_PRINTF(4, 0);

#endif
