/* SPDX-License-Identifier: MIT */
/* essay: JavaScript for the page to run, without a script element */
/* A client action makes the page run JavaScript through an element whose `data-init` the client evaluates: a redirect,
 * or an event of the application. It is an expression instead of a script element, so a policy without 'unsafe-inline'
 * allows it. The order is kept, too: an element that was sent before an action has its event handlers when the action
 * reaches it. */
#ifndef VSI_EVENT_CLIENT_ACTION_H
#define VSI_EVENT_CLIENT_ACTION_H

#include "vestry/event.h"
#include "vestry/html.h"

typedef struct vsi_client_action {
  const vestry_host *host;
  vestry_html code;
} vsi_client_action;

/* Begin an action; vsi_client_action_finish frees it. */
void vsi_client_action_init(vsi_client_action *action, const vestry_host *host);
void vsi_client_action_finish(vsi_client_action *action);
/* Append JavaScript of the library, on one line, without double quotes and ampersands. */
void vsi_client_action_code(vsi_client_action *action, const char *code);
/* Append a text as a JavaScript string; any bytes are allowed. */
void vsi_client_action_string(vsi_client_action *action, const char *text, size_t len);

/* Make an event of the action. options, ret_event: as vestry_event_script. OK | INVALID | TOO_LARGE | NO_MEMORY */
vestry_err vsi_client_action_event(vsi_client_action *action, const vestry_script_options *options,
                                   vestry_event **ret_event);
/* Append the action as HTML that is to be appended to the body, to a builder that is begun. Returns the builder's
 * error. */
vestry_err vsi_client_action_html(vsi_client_action *action, vestry_html *html);

/* Make the action navigate to a web address (escape.h). */
void vsi_client_action_leave(vsi_client_action *action, const char *url);

#endif
