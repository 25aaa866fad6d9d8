/* SPDX-License-Identifier: MIT */
/* Pages where streams are broken: long polls in the place of a stream. */
#ifndef VSI_PAGE_LONG_POLL_H
#define VSI_PAGE_LONG_POLL_H

#include "vestry/app/page.h"

typedef struct vsi_long_poll {
  uint32_t hold_ms; /* for how long the answer may be held; 0: the request is for a stream */
  bool is_brief;    /* the server has little room: it is answered as soon as its page was looked at */
} vsi_long_poll;

vsi_long_poll vsi_long_poll_read(const vestry_request *req);
/* After how long up to twice that it is to be repeated. has_tag: it says what the tab has. */
uint32_t vsi_long_poll_again_ms(const vestry_pages *pages, bool has_tag, vsi_long_poll poll);

/* Inside of data-init (app/stream/stream.h), whose is_away this is: when el.request is a long poll, and when it opens a
 * stream.
 *   el.begins(headers, include)  a request begins; returns which signals it has
 *   el.counts()                  an event has come
 *   el.rests()                   it may be between two long polls */
void vsi_long_poll_put(vestry_html *html, const char *is_away);

#endif
