/* SPDX-License-Identifier: MIT */
/* essay: what a page is to do, without a script element */
/* Something that a page is to do, as an element whose `data-init` the client runs: a redirect, an event of the page's
 * own. It is an expression, and no script element, so a policy lets it in that has no 'unsafe-inline'; and that an
 * element has its handlers before a deed that is sent after it reaches it. */
#ifndef VSI_EVENT_DEED_H
#define VSI_EVENT_DEED_H

#include "vestry/event.h"
#include "vestry/html.h"

typedef struct vsi_deed {
  const vestry_host *host;
  vestry_html code;
} vsi_deed;

/* Begin one; vsi_deed_finish ends it. */
void vsi_deed_init(vsi_deed *deed, const vestry_host *host);
void vsi_deed_finish(vsi_deed *deed);
/* JavaScript of the library's own, on one line, without double quotes and ampersands. */
void vsi_deed_code(vsi_deed *deed, const char *code);
/* A text as a string of JavaScript, whatever is in it. */
void vsi_deed_string(vsi_deed *deed, const char *text, size_t len);

/* As an event. options, ret_event: as vestry_event_script. OK | INVALID | TOO_LARGE | NO_MEMORY */
vestry_err vsi_deed_event(vsi_deed *deed, const vestry_script_options *options, vestry_event **ret_event);
/* As HTML, to be appended to the body: into html, which is begun. The builder's error. */
vestry_err vsi_deed_html(vsi_deed *deed, vestry_html *html);

/* To leave for an address of the web (escape.h). */
void vsi_deed_leave(vsi_deed *deed, const char *url);

#endif
