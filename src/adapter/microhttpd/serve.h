/* SPDX-License-Identifier: MIT */
/* What libmicrohttpd calls for connections and requests. cls: the adapter. */
#ifndef VSI_MICROHTTPD_SERVE_H
#define VSI_MICROHTTPD_SERVE_H

#include <microhttpd.h>
#include <stdbool.h>

struct vsi_microhttpd_request;

/* A request's head is there.
 * ret_is_over  it is answered, or its connection is to be closed: it can be freed
 * Returns      what libmicrohttpd is told */
enum MHD_Result vsi_microhttpd_begin(struct vsi_microhttpd_request *request, const char *method, const char *path,
                                     const char *version, bool *ret_is_over);
/* More of it is there: some of its body, or, without any, its end; or its head once more. */
enum MHD_Result vsi_microhttpd_continue(struct vsi_microhttpd_request *request, const char *upload, size_t *upload_len,
                                        bool *ret_is_over);

/* MHD_NotifyConnectionCallback: a connection was accepted, or will be closed. */
void vsi_microhttpd_connected(void *cls, struct MHD_Connection *conn, void **socket_context,
                              enum MHD_ConnectionNotificationCode code);
/* MHD_OPTION_URI_LOG_CALLBACK: a request begins. Returns it; NULL: no memory. */
void *vsi_microhttpd_started(void *cls, const char *uri, struct MHD_Connection *conn);
/* MHD_AccessHandlerCallback: its head is there; a piece of its body; all of it. */
enum MHD_Result vsi_microhttpd_access(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                                      const char *version, const char *upload, size_t *upload_len, void **request);
/* MHD_RequestCompletedCallback: it is over, one way or another. */
void vsi_microhttpd_completed(void *cls, struct MHD_Connection *conn, void **request,
                              enum MHD_RequestTerminationCode code);

#endif
