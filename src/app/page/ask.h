/* SPDX-License-Identifier: MIT */
/* Pages where streams are broken: asks in the place of a stream. */
#ifndef VSI_PAGE_ASK_H
#define VSI_PAGE_ASK_H

#include "vestry/app/page.h"

typedef struct vsi_page_ask {
  uint32_t hold_ms; /* for how long the answer may be held; 0: the request is for a stream */
  bool is_brief;    /* the server has little room: it is answered as soon as its page was looked at */
} vsi_page_ask;

vsi_page_ask vsi_ask_read(const vestry_request *req);
/* After how long up to twice that it is to be repeated. has_tag: it says what the tab has. */
uint32_t vsi_ask_again_ms(const vestry_pages *pages, bool has_tag, vsi_page_ask ask);

/* Inside of data-init (app/stream/stream.h), whose is_away this is: when el.request asks, and when it opens a stream.
 *   el.begins(headers, include)  a request begins; returns which signals it has
 *   el.counts()                  an event has come
 *   el.rests()                   it may be between two asks */
void vsi_ask_put(vestry_html *html, const char *is_away);

#endif
