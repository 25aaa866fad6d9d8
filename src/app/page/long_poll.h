/* SPDX-License-Identifier: MIT */
/* Long polls, which replace the stream of a page where streams are broken. */
#ifndef VSI_PAGE_LONG_POLL_H
#define VSI_PAGE_LONG_POLL_H

#include "vestry/app/page.h"

typedef struct vsi_long_poll {
  uint32_t hold_ms; /* maximum time before the response ends; 0: the request opens a stream */
  bool is_brief;    /* the server has few free connections: the response ends once the page was checked */
} vsi_long_poll;

vsi_long_poll vsi_long_poll_read(const vestry_request *req);
/* Return the minimum delay before the page repeats a long poll; the maximum is twice this. has_tag: the request
 * contains a state tag. */
uint32_t vsi_long_poll_again_ms(const vestry_pages *pages, bool has_tag, vsi_long_poll poll);

/* Append the part of data-init (app/stream/stream.h) that decides whether el.request is a long poll or opens a stream.
 * is_away is that of data-init.
 *     el.begins(headers, include)  called when a request begins; returns the filter of signals for its URL
 *     el.counts()                  called for each event that arrives
 *     el.rests()                   returns whether the pause between two long polls may be running */
void vsi_long_poll_put(vestry_html *html, const char *is_away);

#endif
