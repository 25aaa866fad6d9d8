/* SPDX-License-Identifier: MIT */
/* The element that opens and supervises the stream of a page. */
#ifndef VSI_PAGE_PAGE_SCRIPT_H
#define VSI_PAGE_PAGE_SCRIPT_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"
#include "vestry/html.h"

/* Append the element that opens the stream, after the content. tag: the state tag of the content. */
vestry_err vsi_stream_element(const vestry_page *page, const vestry_request *req, const vsi_state_tag *tag,
                              vestry_html *html);
/* Append the style of the element. nonce: "": none. */
vestry_err vsi_stream_style(const char *nonce, vestry_html *html);
/* Parse the number of a document, as its tab sends it. Returns 0 for NULL and for an invalid number. */
uint64_t vsi_document_read(const char *text);

/* Append the start tag of the content of a page with a layout, including the title that html contains so far. */
void vsi_navigate_begin(const vestry_page *page, vestry_html *html);
/* Return whether the document that sent a stream's request can show this page. */
bool vsi_navigate_is_here(const vestry_page *page, const vestry_request *req);

/* Append a script after the content of a document that sets the position of each window for the first frame. nonce: "":
 * none. Returns as vestry_html_add. */
vestry_err vsi_window_put_first(vestry_html *html, const char *nonce);

/* Long polls, which replace the stream of a page where streams are broken. */

typedef struct vsi_long_poll {
  uint32_t hold_ms; /* maximum time before the response ends; 0: the request opens a stream */
  bool is_brief;    /* the server has few free connections: the response ends once the page was checked */
} vsi_long_poll;

vsi_long_poll vsi_long_poll_read(const vestry_request *req);
/* Return the minimum delay before the page repeats a long poll; the maximum is twice this. has_tag: the request
 * contains a state tag. */
uint32_t vsi_long_poll_again_ms(const vestry_pages *pages, bool has_tag, vsi_long_poll poll);
/* Append the part of data-init (app/stream/stream.h) that decides whether el.request is a long poll or opens a stream
 * (long_poll.js). */
void vsi_long_poll_put(vestry_html *html);

#endif
