/* SPDX-License-Identifier: MIT */
/* Refusals by libmicrohttpd itself that would be sent twice or not at all. */
#ifndef VSI_MICROHTTPD_REFUSED_H
#define VSI_MICROHTTPD_REFUSED_H

#include <stdarg.h>
#include <stdbool.h>

#include "adapter/microhttpd/request.h"

/* Note that this thread queues an answer, whose head libmicrohttpd builds next. */
void vsi_microhttpd_refused_queues(const vsi_microhttpd_request *request);
/* Note that the connection is done with that answer, or closes. */
void vsi_microhttpd_refused_forget(const struct MHD_Connection *conn);

/* Check the target of a request, as it was sent. Returns whether it was too long, and was refused. */
bool vsi_microhttpd_refused_line(const vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *target);

/* Check a line that libmicrohttpd logs, on the thread of the connection concerned, before libmicrohttpd acts. If it
 * announces a refusal that would be broken, answer the connection here and shut it. Returns whether that was done. */
bool vsi_microhttpd_refused_look(vsi_microhttpd *adapter, const char *format, va_list arguments);

#endif
