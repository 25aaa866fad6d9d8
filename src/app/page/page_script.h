/* SPDX-License-Identifier: MIT */
/* The element that opens and supervises the stream of a page. */
#ifndef VSI_PAGE_PAGE_SCRIPT_H
#define VSI_PAGE_PAGE_SCRIPT_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "vestry/html.h"

/* Append the element, after the content. tag: the state tag of the content. */
vestry_err vsi_stream_element(const vestry_page *page, const vestry_request *req, const vsi_state_tag *tag,
                              vestry_html *html);
/* Append the style of the element. nonce: "": none. */
vestry_err vsi_stream_style(const char *nonce, vestry_html *html);
/* Parse the number of a document, as its tab sends it. Returns 0 for NULL and for an invalid number. */
uint64_t vsi_document_read(const char *text);

/* Navigation within a document, between pages of the same layout (vestry_page_options.layout). */

/* Append to `data-init` of the stream's element the script for navigation, if the page has a layout. is_away: a
 * JavaScript expression that is true while the stream is to stay closed. */
void vsi_navigate_put(vestry_html *html, const vestry_page *page, const char *is_away);
/* Append the start tag of the content of a page with a layout, including the title that html contains so far. */
void vsi_navigate_begin(const vestry_page *page, vestry_html *html);
/* Return whether the document that sent a stream's request can show this page. */
bool vsi_navigate_is_here(const vestry_page *page, const vestry_request *req);

/* The script of windows. */

/* Append the attributes of the scrolling element, which are the same for every window. Their script reads
 * `data-window`: first, shown, count, px, extent and place of the rows, then of the columns, and last whether the
 * window is at its end. The numbers are separated by spaces. */
void vsi_window_put_attributes(vestry_html *html);
/* Append the functions that these attributes call, in an attribute of the stream's element. A page with a layout
 * contains them once, for all windows that its navigation can show. */
void vsi_window_put_script(vestry_html *html);
/* Append a script after the content of a document that sets the position of each window for the first frame. nonce: "":
 * none. Returns as vestry_html_add. */
vestry_err vsi_window_put_first(vestry_html *html, const char *nonce);

#endif
