/* SPDX-License-Identifier: MIT */
/* The element that opens a page's stream and looks after it. */
#ifndef VSI_PAGE_SCRIPT_H
#define VSI_PAGE_SCRIPT_H

#include "app/page/pages.h"
#include "app/page/state_tag.h"

/* After the content; tag: of that. */
vestry_err vsi_stream_element(const vestry_page *page, const vestry_request *req, const vsi_state_tag *tag,
                              vestry_html *html);
/* The style that it needs; nonce: "": none. */
vestry_err vsi_stream_style(const char *nonce, vestry_html *html);
/* A document's number, in text as its tab says it. NULL and what is none: 0. */
uint64_t vsi_document_read(const char *text);

#endif
