/* SPDX-License-Identifier: MIT */
/* The console: a page that shows what is seen. Handlers of GET, whose app is a vestry_observe. */
#ifndef VSI_OBSERVE_CONSOLE_H
#define VSI_OBSERVE_CONSOLE_H

#include "vestry/request.h"

/* {prefix}/console */
vestry_err vsi_console_page(const vestry_request *req, vestry_reply *reply, void *app);
/* {prefix}/console/events: the page's stream, by which it knows that there is something new, and that the server is
 * there. */
vestry_err vsi_console_events(const vestry_request *req, vestry_reply *reply, void *app);

#endif
