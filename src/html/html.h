/* SPDX-License-Identifier: MIT */
/* Code, where a builder stands. */
#ifndef VSI_HTML_HTML_H
#define VSI_HTML_HTML_H

#include "html/builder.h"

/* Begin a JavaScript value here. INVALID where there can be none (in a URL, inside a string), and in a script element
 * unless in_script. ret_quote: how the value spells its quotes, `"` or `'`: as a character reference in attributes and
 * text, where the parser decodes it; as it is in a script element. */
vestry_err vsi_html_code_begin(vsi_html *html, bool in_script, char quote, const char **ret_quote);
void vsi_html_code_end(vsi_html *html);

#endif
