/* SPDX-License-Identifier: MIT */
/* The html element of a document, for code that puts an attribute into its tag. */
#ifndef VSI_HTML_ROOT_TAG_H
#define VSI_HTML_ROOT_TAG_H

#include <stdbool.h>

#include "vestry/host.h"

/* Where an attribute of the html element can be put (WHATWG HTML, sections 13.2.6.4.1 and 13.2.6.4.2): after the name
 * of its start tag. Where the document begins without one, ret_has_tag is false, and a whole tag can be put there: in
 * front of what the parser would make the element for. A second tag of that name adds what the first has not.
 *  html  UTF-8, borrowed for the call; linear, no memory */
VESTRY_API size_t vsi_html_root_tag(vestry_slice html, bool *ret_has_tag);

#endif
