/* SPDX-License-Identifier: MIT */
#include "adapter/microhttpd/serve.h"

#include <sys/socket.h>

#include "adapter/microhttpd/answer.h"
#include "adapter/microhttpd/operations.h"
#include "adapter/microhttpd/transport.h"
#include "adapter/web/policy.h"

void vsi_microhttpd_connected(void *cls, struct MHD_Connection *conn, void **socket_context,
                              enum MHD_ConnectionNotificationCode code) {
  vsi_microhttpd *adapter = cls;
  if (code != MHD_CONNECTION_NOTIFY_STARTED) {
    vsi_microhttpd_socket *socket = *socket_context;
    if (socket) {
      vsi_microhttpd_socket_ends(socket);
      vsi_microhttpd_request_destroy(socket->request);
    }
    vsi_microhttpd_socket_destroy(&adapter->sockets, socket);
    *socket_context = NULL;
    return;
  }
  int fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  if (adapter->send_buffer_bytes) /* a UNIX socket does not have it from its listener */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &adapter->send_buffer_bytes, sizeof adapter->send_buffer_bytes);
  *socket_context = vsi_microhttpd_socket_create(&adapter->sockets, conn);
}

/* Here, because the target is still as it was sent: later its query is taken apart. libmicrohttpd does not tell of the
 * end of every request: one that it answers itself may be left over. */
void *vsi_microhttpd_started(void *cls, const char *uri, struct MHD_Connection *conn) {
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (!socket || socket->is_spent) return NULL;
  vsi_microhttpd_request_destroy(socket->request);
  vsi_microhttpd_socket_begins(socket);
  return vsi_microhttpd_request_create(cls, conn, socket, uri ? uri : "");
}

static vestry_err serve(vsi_microhttpd_request *request) {
  vestry_connection *connection = NULL;
  vestry_receiving *receiving = request->receiving;
  request->receiving = NULL;
  vestry_err error =
      receiving ? vestry_receive_end(receiving, &connection)
                : vestry_serve(request->adapter->v, &vsi_microhttpd_request_ops, request, NULL, NULL, &connection);
  return error || !connection ? error : vsi_microhttpd_transport_begin(request, connection);
}

static vestry_err refuse(vsi_microhttpd_request *request) {
  bool closes = request->refused == 400;
  if (request->refused == 503) return vsi_microhttpd_refuse(request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S, false);
  return vsi_microhttpd_refuse(request, request->refused, NULL, NULL, closes);
}

enum MHD_Result vsi_microhttpd_answer(vsi_microhttpd_request *request) {
  vsi_web_gate *gate = &request->adapter->gate;
  vsi_microhttpd_socket_serves(request->socket);
  if (!vsi_web_gate_enter(gate))
    return vsi_microhttpd_refuse(request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S, true) ? MHD_NO : MHD_YES;
  vestry_err error = request->refused ? refuse(request) : serve(request);
  vsi_web_gate_leave(gate);
  return error ? MHD_NO : MHD_YES;
}

void vsi_microhttpd_begin(vsi_microhttpd_request *request, const char *method, const char *path, const char *version) {
  vestry *v = request->adapter->v;
  vsi_microhttpd_request_begin(request, method, path, version);
  if (request->refused || !request->is_routed || (!request->is_chunked && !request->body_length)) return;
  if (!vsi_web_gate_enter(&request->adapter->gate)) return;
  vestry_err error = vestry_receive_begin(v, &vsi_microhttpd_request_ops, request, &request->receiving);
  vsi_web_gate_leave(&request->adapter->gate);
  request->no_memory = error == VESTRY_NO_MEMORY;
}

enum MHD_Result vsi_microhttpd_access(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                                      const char *version, const char *upload, size_t *upload_len, void **ctx) {
  (void)cls, (void)conn;
  vsi_microhttpd_request *request = *ctx;
  if (!request) return MHD_NO; /* there was no memory for it */
  if (!request->has_begun) {
    vsi_microhttpd_begin(request, method, path, version);
    /* An answer now makes libmicrohttpd close: it has not read the request. */
    return vsi_microhttpd_request_is_hopeless(request) ? vsi_microhttpd_answer(request) : MHD_YES;
  }
  if (*upload_len) {
    bool goes_on = vsi_microhttpd_request_take(request, upload, *upload_len);
    *upload_len = 0;
    return goes_on ? MHD_YES : MHD_NO;
  }
  enum MHD_Result result = vsi_microhttpd_answer(request);
  if (request->stream) { /* it may last for hours, and needs nothing of its request */
    vsi_microhttpd_socket_streams(request->socket);
    vsi_microhttpd_request_destroy(request);
    *ctx = NULL;
  }
  return result;
}

void vsi_microhttpd_completed(void *cls, struct MHD_Connection *conn, void **ctx,
                              enum MHD_RequestTerminationCode code) {
  (void)cls, (void)code;
  vsi_microhttpd_request_destroy(*ctx);
  *ctx = NULL;
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (socket) vsi_microhttpd_socket_rests(socket);
}
