/* SPDX-License-Identifier: MIT */
/* The callbacks that libmicrohttpd calls for connections and requests in a daemon of vestry. */
#include "adapter/microhttpd/serve.h"

#include <sys/socket.h>

#include "adapter/microhttpd/answer.h"
#include "adapter/microhttpd/direct_read.h"
#include "adapter/microhttpd/operations.h"
#include "adapter/microhttpd/refused.h"
#include "adapter/microhttpd/streamed_body.h"
#include "adapter/microhttpd/transport.h"
#include "adapter/web/policy.h"

void vsi_microhttpd_connected(void *cls, struct MHD_Connection *conn, void **socket_context,
                              enum MHD_ConnectionNotificationCode code) {
  vsi_microhttpd *adapter = cls;
  if (code != MHD_CONNECTION_NOTIFY_STARTED) {
    vsi_microhttpd_socket *socket = *socket_context;
    vsi_microhttpd_refused_forget(conn);
    if (socket) {
      vsi_microhttpd_socket_ends(socket);
      vsi_microhttpd_request_destroy(socket->request);
    }
    vsi_microhttpd_socket_destroy(&adapter->sockets, socket);
    *socket_context = NULL;
    return;
  }
  int fd = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
  if (adapter->send_buffer_bytes) /* a UNIX socket does not inherit it from its listener */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &adapter->send_buffer_bytes, sizeof adapter->send_buffer_bytes);
  *socket_context = vsi_microhttpd_socket_create(&adapter->sockets, conn);
}

/* Create the request here, because the target is still as it was sent; later its query is split. libmicrohttpd does not
 * report the end of every request, so a request that it answered itself may be left over. */
void *vsi_microhttpd_started(void *cls, const char *uri, struct MHD_Connection *conn) {
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (!socket || socket->is_spent) return NULL;
  vsi_microhttpd_request_destroy(socket->request);
  vsi_microhttpd_socket_begins(socket);
  socket->is_spent = vsi_microhttpd_refused_line(cls, conn, uri ? uri : "");
  if (socket->is_spent) return NULL;
  return vsi_microhttpd_request_create(cls, conn, socket, uri ? uri : "");
}

static vestry_err serve(vsi_microhttpd_request *request) {
  vestry_connection *connection = NULL;
  vestry_err error = request->receiving ? vsi_microhttpd_streamed_body_end(request, &connection)
                                        : vestry_serve(request->adapter->v, &vsi_microhttpd_request_ops, request, NULL,
                                                       NULL, &connection);
  return error || !connection ? error : vsi_microhttpd_transport_begin(request, connection);
}

/* Answer a complete request, or begin its stream. If neither is possible, MHD_NO closes the connection. */
static enum MHD_Result answer(vsi_microhttpd_request *request, bool *ret_is_over) {
  vsi_web_gate *gate = &request->adapter->gate;
  *ret_is_over = true;
  vsi_microhttpd_socket_serves(request->socket);
  if (!request->is_inside && !vsi_web_gate_enter(gate))
    return vsi_microhttpd_refuse(request, 503, "Retry-After", VSI_WEB_RETRY_AFTER_S, true) ? MHD_NO : MHD_YES;
  request->is_inside = true;
  vestry_err error = request->refused ? vsi_microhttpd_direct_refuse(request) : serve(request);
  request->is_inside = false;
  vsi_web_gate_leave(gate);
  return error ? MHD_NO : MHD_YES;
}

static enum MHD_Result go_on(vsi_microhttpd_turn turn, bool *ret_is_over) {
  *ret_is_over = turn == VSI_MICROHTTPD_BREAKS;
  return *ret_is_over ? MHD_NO : MHD_YES;
}

/* Continue after the head was checked. If the request is answered now, libmicrohttpd closes, because it has not read
 * the request. */
static enum MHD_Result leave_head(vsi_microhttpd_request *request, bool *ret_is_over) {
  if (vsi_microhttpd_request_is_hopeless(request)) return answer(request, ret_is_over);
  return go_on(VSI_MICROHTTPD_GOES_ON, ret_is_over);
}

enum MHD_Result vsi_microhttpd_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                     const char *version, bool *ret_is_over) {
  vsi_microhttpd_request_begin(request, method, path, version);
  if (request->refused || !request->is_routed || (!request->is_chunked && !request->body_length))
    return leave_head(request, ret_is_over);
  vsi_microhttpd_turn turn = vsi_microhttpd_streamed_body_begin(request);
  request->is_at_head = turn == VSI_MICROHTTPD_WAITS;
  if (turn == VSI_MICROHTTPD_BREAKS) return answer(request, ret_is_over);
  return turn ? go_on(turn, ret_is_over) : leave_head(request, ret_is_over);
}

static bool is_suspended(const vsi_microhttpd_request *request) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
  return info && info->suspended == MHD_YES;
}

static enum MHD_Result take(vsi_microhttpd_request *request, const char *upload, size_t *upload_len,
                            bool *ret_is_over) {
  if (request->receiving || request->is_answered)
    return go_on(vsi_microhttpd_streamed_body_take(request, upload, upload_len), ret_is_over);
  bool goes_on = vsi_microhttpd_request_take(request, upload, *upload_len);
  *upload_len = 0;
  return go_on(goes_on ? VSI_MICROHTTPD_GOES_ON : vsi_microhttpd_streamed_body_answer(request), ret_is_over);
}

enum MHD_Result vsi_microhttpd_continue(vsi_microhttpd_request *request, const char *upload, size_t *upload_len,
                                        bool *ret_is_over) {
  if (is_suspended(request)) return go_on(VSI_MICROHTTPD_WAITS, ret_is_over);
  if (request->is_at_head) {
    request->is_at_head = false;
    return leave_head(request, ret_is_over);
  }
  if (request->is_answered && !*upload_len) return go_on(VSI_MICROHTTPD_BREAKS, ret_is_over);
  if (*upload_len) return take(request, upload, upload_len, ret_is_over);
  if (request->receiving && !request->is_closed && vsi_microhttpd_streamed_body_close(request) == VSI_MICROHTTPD_WAITS)
    return go_on(VSI_MICROHTTPD_WAITS, ret_is_over);
  return answer(request, ret_is_over);
}

enum MHD_Result vsi_microhttpd_access(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                                      const char *version, const char *upload, size_t *upload_len, void **ctx) {
  (void)cls, (void)conn;
  vsi_microhttpd_request *request = *ctx;
  bool is_over;                /* libmicrohttpd reports that later, too */
  if (!request) return MHD_NO; /* it could not be allocated */
  if (!request->has_begun) return vsi_microhttpd_begin(request, method, path, version, &is_over);
  enum MHD_Result result = vsi_microhttpd_continue(request, upload, upload_len, &is_over);
  if (request->stream) { /* a stream may last for hours, and does not need its request */
    vsi_microhttpd_socket_streams(request->socket);
    vsi_microhttpd_request_destroy(request);
    *ctx = NULL;
  }
  return result;
}

void vsi_microhttpd_completed(void *cls, struct MHD_Connection *conn, void **ctx,
                              enum MHD_RequestTerminationCode code) {
  (void)cls, (void)code;
  vsi_microhttpd_refused_forget(conn);
  vsi_microhttpd_request_destroy(*ctx);
  *ctx = NULL;
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (socket) vsi_microhttpd_socket_rests(socket);
}
