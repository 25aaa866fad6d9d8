/* SPDX-License-Identifier: MIT */
/* essay: what a page is to do, without a script element */
/* Something that a page is to do, as an element whose `data-init` the client runs: a redirect, an event of the page's
 * own. It is an expression, and no script element, so a policy lets it in that has no 'unsafe-inline'; and that an
 * element has its handlers before an action that is sent after it reaches it. */
#ifndef VSI_EVENT_CLIENT_ACTION_H
#define VSI_EVENT_CLIENT_ACTION_H

#include "vestry/event.h"
#include "vestry/html.h"

typedef struct vsi_client_action {
  const vestry_host *host;
  vestry_html code;
} vsi_client_action;

/* Begin one; vsi_client_action_finish ends it. */
void vsi_client_action_init(vsi_client_action *action, const vestry_host *host);
void vsi_client_action_finish(vsi_client_action *action);
/* JavaScript of the library's own, on one line, without double quotes and ampersands. */
void vsi_client_action_code(vsi_client_action *action, const char *code);
/* A text as a string of JavaScript, whatever is in it. */
void vsi_client_action_string(vsi_client_action *action, const char *text, size_t len);

/* As an event. options, ret_event: as vestry_event_script. OK | INVALID | TOO_LARGE | NO_MEMORY */
vestry_err vsi_client_action_event(vsi_client_action *action, const vestry_script_options *options,
                                   vestry_event **ret_event);
/* As HTML, to be appended to the body: into html, which is begun. The builder's error. */
vestry_err vsi_client_action_html(vsi_client_action *action, vestry_html *html);

/* To leave for an address of the web (escape.h). */
void vsi_client_action_leave(vsi_client_action *action, const char *url);

#endif
