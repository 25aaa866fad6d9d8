/* SPDX-License-Identifier: MIT */
/* Formats that a builder knows. */
#ifndef VSI_HTML_LEARNED_H
#define VSI_HTML_LEARNED_H

#include "html/format.h"

/* vestry_html_vadd of a format that is known, or is learned now; sink: what does it otherwise.
 * Returns  false: nothing was done, it is to be read as ever */
bool vsi_html_add_learned(vsi_html *html, const vsi_format_sink *sink, const char *format, va_list arguments)
    VESTRY_PRINTF(3, 0);
/* Forget all. */
void vsi_html_forget(vsi_html *html);

#endif
