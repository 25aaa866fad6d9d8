/* SPDX-License-Identifier: MIT */
/* What a window's element does in the page. */
#ifndef VSI_PAGE_SCRIPT_WINDOW_H
#define VSI_PAGE_SCRIPT_WINDOW_H

#include "vestry/html.h"

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
