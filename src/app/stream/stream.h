/* SPDX-License-Identifier: MIT */
/* Elements that open a stream and look after it: of pages, and of streams that are no page. */
#ifndef VSI_STREAM_STREAM_H
#define VSI_STREAM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/app/stream.h"

/* What differs between them. The first four are JavaScript as it stands in an attribute. */
typedef struct vsi_care {
  const char *is_over;     /* no stream is wanted any more */
  const char *is_offline;  /* whether the element says that the stream is broken */
  const char *set_offline; /* says whether it is, by the variable `is` */
  const char *reload;      /* loads the page anew */
  bool is_open_hidden;     /* the stream stays while the tab is hidden */
  uint64_t heartbeat_ms;
  uint64_t pause_ms; /* between answers; 0: there are no leases (lease.h) */
} vsi_care;

/* The signals of a stream's request, unless the application names others: the tab's id (vestry/app/tab.h). */
#define VSI_STREAM_SIGNALS "^tabId$"

/* The longest that the client waits between two attempts. */
enum { VSI_CARE_RETRY_MOST_MS = 10000 };

/* In an element's start tag: what follows up to vsi_care_end is JavaScript that defines
 *   el.request()      begins a request, whose requestCancellation is el.run
 *   el.hears(type, args)  an event has come
 *   el.ended()        the stream has ended, and was not broken
 * and may define (app/page/long_poll.c)
 *   el.tried()        the client tries again; true: that is no fault
 *   el.silent()       nothing has come for long: el.open(), or what takes its place
 *   el.again()        the network is another one, perhaps
 *   el.patience()     for how long at least nothing may come
 *   el.poll            true: the stream is an answer that may be held
 * el.open() begins the stream anew. el.expelled() loads the page anew, but not again and again. el.isAgain: this
 * element was in the page before. el.heard: set by el.hears once it is sure that this is the stream. */
void vsi_care_begin(vestry_html *html);
vestry_err vsi_care_end(vestry_html *html, const vsi_care *care);
/* JavaScript: no stream is wanted now. */
const char *vsi_care_is_away(const vsi_care *care);

#endif
