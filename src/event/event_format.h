/* SPDX-License-Identifier: MIT */
/* Events made by formats, for callers with a va_list. */
#ifndef VSI_EVENT_EVENT_FORMAT_H
#define VSI_EVENT_EVENT_FORMAT_H

#include <stdarg.h>

#include "vestry/event.h"
#include "vestry/html.h"

/* As vestry_html_result. The reason of INVALID is logged, with the position in the format. */
vestry_err vsi_html_settle(vestry_html *html, vestry_slice *ret_html);

vestry_err vsi_event_velements(const vestry_host *host, const vestry_elements_options *options,
                               vestry_event **ret_event, const char *format, va_list arguments) VESTRY_PRINTF(4, 0);

#endif
