/* SPDX-License-Identifier: MIT */
/* Elements that open a stream and supervise it, for pages and for other streams. */
#ifndef VSI_STREAM_STREAM_H
#define VSI_STREAM_STREAM_H

#include <stdbool.h>
#include <stdint.h>

#include "vestry/app/stream.h"

/* The differences between the elements. The first five members are JavaScript in an attribute. */
typedef struct vsi_care {
  const char *is_over;     /* condition: no stream is wanted any more */
  const char *is_offline;  /* condition: the element shows that the stream is broken */
  const char *set_offline; /* statement: shows this if the variable `is` is true, and hides it otherwise */
  const char *give_up;     /* expression: shows that the stream is refused, and not only broken */
  const char *reload;      /* statement: reloads the page */
  bool is_open_hidden;     /* the stream of a hidden tab stays open */
  uint64_t heartbeat_ms;
  uint64_t pause_ms; /* minimum time between renewals; 0: there are no leases (lease.h) */
} vsi_care;

/* The signals in a stream's request, unless the application names others: the id of the tab (vestry/app/tab.h). */
#define VSI_STREAM_SIGNALS "^tabId$"

/* Maximum time that the client waits between two attempts. */
enum { VSI_CARE_RETRY_MOST_MS = 10000 };

/* Begin and end the attributes of the supervision, in an element's start tag. The text that the caller adds in between
 * is JavaScript, which defines functions of the element. care.js lists them, and the functions that it offers. */
void vsi_care_begin(vestry_html *html, const vsi_care *care);
vestry_err vsi_care_end(vestry_html *html, const vsi_care *care);

#endif
