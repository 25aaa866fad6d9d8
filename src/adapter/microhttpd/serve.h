/* SPDX-License-Identifier: MIT */
/* Callbacks of libmicrohttpd for connections and requests. cls: the adapter. */
#ifndef VSI_MICROHTTPD_SERVE_H
#define VSI_MICROHTTPD_SERVE_H

#include <microhttpd.h>
#include <stdbool.h>

struct vsi_microhttpd_request;

/* Begin a request whose head is complete.
 * ret_is_over  it is answered, or its connection is to be closed, so that it can be freed
 * Returns      the result for libmicrohttpd */
enum MHD_Result vsi_microhttpd_begin(struct vsi_microhttpd_request *request, const char *method, const char *path,
                                     const char *version, bool *ret_is_over);
/* Continue a request: with bytes of its body, or, without any, at its end; or with its head once more. */
enum MHD_Result vsi_microhttpd_continue(struct vsi_microhttpd_request *request, const char *upload, size_t *upload_len,
                                        bool *ret_is_over);

/* MHD_NotifyConnectionCallback: a connection was accepted, or will be closed. */
void vsi_microhttpd_connected(void *cls, struct MHD_Connection *conn, void **socket_context,
                              enum MHD_ConnectionNotificationCode code);
/* MHD_OPTION_URI_LOG_CALLBACK: a request begins. Returns it; NULL: no memory. */
void *vsi_microhttpd_started(void *cls, const char *uri, struct MHD_Connection *conn);
/* MHD_AccessHandlerCallback: called for the head, for each piece of the body, and at the end. */
enum MHD_Result vsi_microhttpd_access(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                                      const char *version, const char *upload, size_t *upload_len, void **request);
/* MHD_RequestCompletedCallback: the request is over, for whatever reason. */
void vsi_microhttpd_completed(void *cls, struct MHD_Connection *conn, void **request,
                              enum MHD_RequestTerminationCode code);

#endif
