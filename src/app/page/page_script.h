/* SPDX-License-Identifier: MIT */
/* The element that opens a page's stream and looks after it. */
#ifndef VSI_PAGE_PAGE_SCRIPT_H
#define VSI_PAGE_PAGE_SCRIPT_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "vestry/html.h"

/* After the content; tag: of that. */
vestry_err vsi_stream_element(const vestry_page *page, const vestry_request *req, const vsi_state_tag *tag,
                              vestry_html *html);
/* The style that it needs; nonce: "": none. */
vestry_err vsi_stream_style(const char *nonce, vestry_html *html);
/* A document's number, in text as its tab says it. NULL and what is none: 0. */
uint64_t vsi_document_read(const char *text);

/* Going from one address to another within a document, between pages of one layout (vestry_page_options.layout). */

/* Into `data-init` of the element that has the stream: what a page with a layout needs; nothing for others. is_away: an
 * expression that says whether the stream is to stay closed. */
void vsi_navigate_put(vestry_html *html, const vestry_page *page, const char *is_away);
/* The start tag of the content of a page with a layout: with the title that html has so far. */
void vsi_navigate_begin(const vestry_page *page, vestry_html *html);
/* Whether a stream's request comes from a document that this page can be shown in. */
bool vsi_navigate_is_here(const vestry_page *page, const vestry_request *req);

/* What a window's element does in the page. */

/* The attributes of the element that scrolls, the same for every window. What they read: `data-window`, numbers with
 * spaces between them, for rows and then for columns: first, shown, count, px, extent, place; and whether the window is
 * at its end. */
void vsi_window_put_attributes(vestry_html *html);
/* What these call, once for all windows that a page of a layout may lead to: in an attribute of its stream's
 * element. */
void vsi_window_put_script(vestry_html *html);
/* A script after the content of a document: its first frame shows the place of each window. nonce: "": none. As
 * vestry_html_add. */
vestry_err vsi_window_put_first(vestry_html *html, const char *nonce);

#endif
