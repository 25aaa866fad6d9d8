/* SPDX-License-Identifier: MIT */
/* Going from one address to another within a document, between pages of one layout (vestry_page_options.layout). */
#ifndef VSI_PAGE_SCRIPT_NAVIGATE_H
#define VSI_PAGE_SCRIPT_NAVIGATE_H

#include "app/page/pages.h"

/* Into `data-init` of the element that has the stream: what a page with a layout needs; nothing for others. is_away: an
 * expression that says whether the stream is to stay closed. */
void vsi_navigate_put(vestry_html *html, const vestry_page *page, const char *is_away);
/* The start tag of the content of a page with a layout: with the title that html has so far. */
void vsi_navigate_begin(const vestry_page *page, vestry_html *html);
/* Whether a stream's request comes from a document that this page can be shown in. */
bool vsi_navigate_is_here(const vestry_page *page, const vestry_request *req);

#endif
