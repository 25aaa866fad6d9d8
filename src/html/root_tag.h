/* SPDX-License-Identifier: MIT */
/* The html element of a document, for code that inserts an attribute into its tag. */
#ifndef VSI_HTML_ROOT_TAG_H
#define VSI_HTML_ROOT_TAG_H

#include <stdbool.h>

#include "vestry/host.h"

/* Find the place where an attribute of the html element can be inserted (WHATWG HTML, sections 13.2.6.4.1 and
 * 13.2.6.4.2): after the name of its start tag. If the document begins without that tag, ret_has_tag is false, and a
 * whole tag can be inserted at the place, before the bytes for which the parser would create the element. A second tag
 * of that name adds only attributes that the first one lacks.
 *  html  UTF-8, borrowed for the call; linear time, no allocation */
VESTRY_API size_t vsi_html_root_tag(vestry_slice html, bool *ret_has_tag);

#endif
