/* SPDX-License-Identifier: MIT */
/* Formats that a builder has learned. */
#ifndef VSI_HTML_LEARNED_H
#define VSI_HTML_LEARNED_H

#include "html/format.h"

/* Run vestry_html_vadd for a format that is learned already or now. sink: for the parts that must be parsed. Returns
 * false if nothing was done, so that the caller must parse the format. */
bool vsi_html_add_learned(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);
/* Free all learned formats. */
void vsi_html_forget(vsi_html *html);

#endif
