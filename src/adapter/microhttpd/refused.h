/* SPDX-License-Identifier: MIT */
/* Refusals that libmicrohttpd makes by itself, and would send twice or not at all. */
#ifndef VSI_MICROHTTPD_REFUSED_H
#define VSI_MICROHTTPD_REFUSED_H

#include <stdarg.h>
#include <stdbool.h>

#include "adapter/microhttpd/request.h"

/* The thread queues an answer: libmicrohttpd builds its head next. */
void vsi_microhttpd_refused_queues(const vsi_microhttpd_request *request);
/* The thread's connection is done with that answer, or closes. */
void vsi_microhttpd_refused_forget(const struct MHD_Connection *conn);

/* The target of a request is there, as it was sent. Returns whether it was too long, and was refused. */
bool vsi_microhttpd_refused_line(const vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *target);

/* Look at a line that libmicrohttpd logs, on the thread of the connection that it is about, before libmicrohttpd acts.
 * If it announces a refusal that would be broken, answer the connection here and shut it. Returns whether it did. */
bool vsi_microhttpd_refused_look(vsi_microhttpd *adapter, const char *format, va_list arguments);

#endif
