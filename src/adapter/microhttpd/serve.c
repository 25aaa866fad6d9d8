/* SPDX-License-Identifier: MIT */
/* Serving requests; and a daemon of vestry: its flags and options, its log, and the callbacks for connections and
 * requests. cls is the adapter. */
#include "adapter/microhttpd/adapter.h"

#include <fcntl.h>
#include <gnutls/abstract.h>
#include <limits.h>
#include <stdio.h>
#include <sys/socket.h>

#include "base/log.h"

enum { LINE_BYTES = 512 };

/* ----------------------------------------------------------------------------------------------------- serving ---- */

static vestry_err serve(vsi_microhttpd_request *request) {
  vestry_connection *connection = NULL;
  vestry_err error = request->receiving ? vsi_microhttpd_streamed_body_end(request, &connection)
                                        : vsi_microhttpd_request_serve(request, &connection);
  return error || !connection ? error : vsi_microhttpd_stream_begin(request, connection);
}

/* Answer a complete request, or begin its stream. */
static vsi_microhttpd_turn answer(vsi_microhttpd_request *request) {
  vsi_web_gate *gate = &request->adapter->gate;
  vsi_microhttpd_socket_serves(request->socket);
  const bool is_inside = request->is_inside || vsi_web_gate_enter(gate);
  request->is_inside = is_inside;
  const int status = is_inside ? request->refused : 503;
  const vestry_err error = status ? vsi_microhttpd_refuse(request, status) : serve(request);
  request->is_inside = false;
  if (is_inside) vsi_web_gate_leave(gate);
  return error ? VSI_MICROHTTPD_BREAKS : VSI_MICROHTTPD_ANSWERED;
}

/* Continue after the head was checked. If the request is answered now, libmicrohttpd closes, because it has not read
 * the request. */
static vsi_microhttpd_turn leave_head(vsi_microhttpd_request *request) {
  return vsi_microhttpd_request_is_hopeless(request) ? answer(request) : VSI_MICROHTTPD_GOES_ON;
}

vsi_microhttpd_turn vsi_microhttpd_begin(vsi_microhttpd_request *request, const char *method, const char *path,
                                         const char *version) {
  vsi_microhttpd_request_begin(request, method, path, version);
  if (request->refused || !request->is_routed || (!request->is_chunked && !request->body_length))
    return leave_head(request);
  vsi_microhttpd_turn turn = vsi_microhttpd_streamed_body_begin(request);
  request->is_at_head = turn == VSI_MICROHTTPD_WAITS;
  if (turn == VSI_MICROHTTPD_BREAKS) return answer(request);
  return turn ? turn : leave_head(request);
}

static bool is_suspended(const vsi_microhttpd_request *request) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_CONNECTION_SUSPENDED);
  return info && info->suspended == MHD_YES;
}

static vsi_microhttpd_turn take(vsi_microhttpd_request *request, const char *upload, size_t *upload_len) {
  if (request->receiving || request->is_answered) return vsi_microhttpd_streamed_body_take(request, upload, upload_len);
  bool goes_on = vsi_microhttpd_request_take(request, upload, *upload_len);
  *upload_len = 0;
  return goes_on ? VSI_MICROHTTPD_GOES_ON : vsi_microhttpd_streamed_body_answer(request);
}

vsi_microhttpd_turn vsi_microhttpd_continue(vsi_microhttpd_request *request, const char *upload, size_t *upload_len) {
  if (is_suspended(request)) return VSI_MICROHTTPD_WAITS;
  if (request->is_at_head) {
    request->is_at_head = false;
    return leave_head(request);
  }
  if (request->is_answered && !*upload_len) return VSI_MICROHTTPD_BREAKS;
  if (*upload_len) return take(request, upload, upload_len);
  if (request->receiving && !request->is_closed && vsi_microhttpd_streamed_body_close(request) == VSI_MICROHTTPD_WAITS)
    return VSI_MICROHTTPD_WAITS;
  return answer(request);
}

/* --------------------------------------------------------------------------------------------------- callbacks ---- */

/* Implements gnutls_certificate_retrieve_function2 for a session that got no certificates (no memory): its handshake
 * fails. */
static int refuse(gnutls_session_t session, const gnutls_datum_t *names, int names_count,
                  const gnutls_pk_algorithm_t *algorithms, int algorithms_count, gnutls_pcert_st **certificate,
                  unsigned *certificate_len, gnutls_privkey_t *key) {
  (void)session, (void)names, (void)names_count, (void)algorithms, (void)algorithms_count;
  (void)certificate, (void)certificate_len, (void)key;
  return -1;
}

/* Take the socket of a connection that libmicrohttpd is about to close, unless its client has closed it. */
static void linger(vsi_microhttpd *adapter, vsi_microhttpd_socket *socket) {
  if (socket->is_handed_over || vsi_microhttpd_has_left(socket->fd)) return;
  const int own = fcntl(socket->fd, F_DUPFD_CLOEXEC, 0);
  if (own < 0) return;
  socket->is_handed_over = true;
  vsi_microhttpd_sockets_linger(&adapter->sockets, own, socket->address);
}

/* A connection was accepted, or will be closed. */
static void connected(void *cls, struct MHD_Connection *conn, void **socket_context,
                      enum MHD_ConnectionNotificationCode code) {
  static const char *const protocols[] = {"http/1.1", "http/1.0", NULL};
  vsi_microhttpd *adapter = cls;
  if (code != MHD_CONNECTION_NOTIFY_STARTED) {
    vsi_microhttpd_socket *socket = *socket_context;
    vsi_microhttpd_refused_forget(conn);
    if (socket) {
      vsi_microhttpd_socket_ends(socket);
      vsi_microhttpd_request_destroy(socket->request);
      linger(adapter, socket);
    }
    vsi_microhttpd_socket_destroy(&adapter->sockets, socket);
    *socket_context = NULL;
    return;
  }
  const int fd = vsi_microhttpd_fd_of(conn);
  if (adapter->tls) (void)vsi_tls_secure(adapter->tls, vsi_microhttpd_tls_of(conn), protocols); /* else see refuse */
  if (adapter->send_buffer_bytes) /* a UNIX socket does not inherit it from its listener */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &adapter->send_buffer_bytes, sizeof adapter->send_buffer_bytes);
  *socket_context = vsi_microhttpd_socket_create(&adapter->sockets, conn);
}

/* Create the request here, because the target is still as it was sent; later its query is split. libmicrohttpd does not
 * report the end of every request, so a request that it answered itself may be left over. */
static void *started(void *cls, const char *uri, struct MHD_Connection *conn) {
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (!socket || socket->is_spent) return NULL;
  vsi_microhttpd_request_destroy(socket->request);
  vsi_microhttpd_socket_begins(socket);
  socket->is_spent = vsi_microhttpd_refused_line(cls, conn, uri ? uri : "");
  if (socket->is_spent) return NULL;
  return vsi_microhttpd_request_create(cls, conn, socket, uri ? uri : "");
}

/* Called for the head, for each piece of the body, and at the end. */
static enum MHD_Result handle(void *cls, struct MHD_Connection *conn, const char *path, const char *method,
                              const char *version, const char *upload, size_t *upload_len, void **ctx) {
  (void)cls, (void)conn;
  vsi_microhttpd_request *request = *ctx;
  if (!request) return MHD_NO; /* it could not be allocated */
  if (!request->has_begun) return vsi_microhttpd_result_of(vsi_microhttpd_begin(request, method, path, version));
  const vsi_microhttpd_turn turn = vsi_microhttpd_continue(request, upload, upload_len);
  if (request->stream) { /* a stream may last for hours, and does not need its request */
    vsi_microhttpd_socket_give_bytes(request->socket);
    vsi_microhttpd_request_destroy(request);
    *ctx = NULL;
  }
  return vsi_microhttpd_result_of(turn);
}

/* The request is over, for whatever reason. */
static void completed(void *cls, struct MHD_Connection *conn, void **ctx, enum MHD_RequestTerminationCode code) {
  (void)cls, (void)code;
  vsi_microhttpd_refused_forget(conn);
  vsi_microhttpd_request_destroy(*ctx);
  *ctx = NULL;
  vsi_microhttpd_socket *socket = vsi_microhttpd_socket_of(conn);
  if (socket) vsi_microhttpd_socket_rests(socket);
}

/* -------------------------------------------------------------------------------------------------- the daemon ---- */

/* Log a line of libmicrohttpd. Lines during the start contain the reason of its failure; later lines are about clients
 * that broke off. */
static void log_line(void *cls, const char *format, va_list arguments) VESTRY_PRINTF(2, 0);
static void log_line(void *cls, const char *format, va_list arguments) {
  vsi_microhttpd *adapter = cls;
  if (vsi_microhttpd_stream_is_closing()) return;
  bool started = atomic_load_explicit(&adapter->daemon, memory_order_relaxed) != NULL; /* relaxed: only a check */
  if (started) vsi_microhttpd_refused_look(adapter, format, arguments);
  if (strstr(format, "handshake message"))
    vsi_tls_refuse(); /* a handshake has failed, and its session is closed next */
  char line[LINE_BYTES];
  size_t prefix =
      (size_t)snprintf(line, sizeof line, "%s%slibmicrohttpd: ", started ? "" : adapter->function, started ? "" : ": ");
  vsnprintf(line + prefix, sizeof line - prefix, format, arguments);
  line[strcspn(line, "\n")] = '\0';
  vsi_log_repeated(adapter->host, started ? &adapter->repeated : NULL, vsi_log_reason(format),
                   started ? VESTRY_LOG_DEBUG : VESTRY_LOG_ERROR, "%s", line);
}

vestry_err vsi_microhttpd_daemon_start(vsi_microhttpd *adapter, const vestry_microhttpd_options *options) {
  /* With TLS, the epoll mode spins during an incomplete handshake. The poll mode looks at every connection of a thread
   * on each event, but not at streams, because these are suspended. */
  unsigned flags = MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG;
  flags |= adapter->tls ? MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_TLS : MHD_USE_EPOLL_INTERNAL_THREAD;
  struct MHD_OptionItem more[3];
  size_t count = 0;
  /* If libmicrohttpd is not strict, 1.0 joins folded lines, and redirects a request whose target contains blanks. If it
   * is strict, 0.9.75 closes the connection because of such a target; vestry itself rejects these targets
   * (web/target.c). */
  const int strict = adapter->is_strict;
  /* A pool has at least two threads. */
  if (options->threads_count > 1)
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_THREAD_POOL_SIZE, (intptr_t)options->threads_count, NULL};
  if (adapter->tls) /* a session gets its certificates when its connection begins, but libmicrohttpd wants some now */
    more[count++] = (struct MHD_OptionItem){MHD_OPTION_HTTPS_CERT_CALLBACK, 0, (void *)(uintptr_t)refuse};
  more[count] = (struct MHD_OptionItem){MHD_OPTION_END, 0, NULL};
  /* If a thread of 0.9.75 gets more connections than its share of the limit, it never releases a lock (fixed in 1.0).
   * Therefore libmicrohttpd gets a limit of connections that it cannot reach (UINT_MAX); the acceptor enforces the real
   * limit. */
  struct MHD_Daemon *daemon =
      MHD_start_daemon(flags, 0, NULL, NULL, handle, adapter, MHD_OPTION_EXTERNAL_LOGGER, log_line, adapter,
                       MHD_OPTION_CONNECTION_LIMIT, UINT_MAX, MHD_OPTION_CONNECTION_MEMORY_LIMIT, options->memory_bytes,
                       MHD_OPTION_CONNECTION_TIMEOUT, options->timeout_s, MHD_OPTION_NOTIFY_CONNECTION, connected,
                       adapter, MHD_OPTION_URI_LOG_CALLBACK, started, adapter, MHD_OPTION_NOTIFY_COMPLETED, completed,
                       adapter, MHD_OPTION_STRICT_FOR_CLIENT, strict, MHD_OPTION_ARRAY, more, MHD_OPTION_END);
  if (!daemon) return VESTRY_IO;
  atomic_store_explicit(&adapter->daemon, daemon, memory_order_relaxed); /* only the creating thread ends it */
  return VESTRY_OK;
}
