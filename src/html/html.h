/* SPDX-License-Identifier: MIT */
/* Code at the place of a builder. */
#ifndef VSI_HTML_HTML_H
#define VSI_HTML_HTML_H

#include "html/builder.h"

/* Begin a JavaScript value here. INVALID if none is possible (in a URL, inside a string), or in a script element unless
 * in_script. ret_quote: the spelling of the value's quotes, `"` or `'`: a character reference in attributes and text,
 * where the parser decodes it; the character itself in a script element. */
vestry_err vsi_html_code_begin(vsi_html *html, bool in_script, char quote, const char **ret_quote);
void vsi_html_code_end(vsi_html *html);

#endif
