/* SPDX-License-Identifier: MIT */
/* essay: exactly one answer to a head that libmicrohttpd cannot process */
/* Refusals that libmicrohttpd decides by itself, and does not send exactly once.
 *
 * vestry itself refuses heads larger than max_head_bytes, when they are complete. In two other cases libmicrohttpd runs
 * out of the connection's memory by itself, and does not answer exactly once:
 *
 *   twice    0.9.75 copies the Cookie header, and makes a record of each cookie, after the head is complete. If there
 *            is no room for these, or if a Content-Length is no number, it queues an error, continues as if the request
 *            were valid, and writes the head of the error a second time.
 *   never    The request fits but the head of its answer does not: libmicrohttpd closes the connection without a byte.
 *
 * Neither case has a callback, but both are logged on the connection's thread before anything is sent. Therefore the
 * answer is written here, and the sending side of the socket is shut down. Then libmicrohttpd's own send fails, and it
 * closes. If a head does not fit while it is read, libmicrohttpd refuses it once, and that is left to it. If a query
 * has more parameters than there is memory for, this is detected here when the request line is there, because
 * libmicrohttpd ignores that error. */
#include "adapter/microhttpd/refused.h"

#include <gnutls/gnutls.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

enum { ANSWER_BYTES = 256, RECORD_BYTES = 64 };

/* The connection for which this thread has queued an answer last, and the status of its refusal. */
static _Thread_local struct {
  const vsi_microhttpd *adapter;
  struct MHD_Connection *conn;
  unsigned status; /* sent if libmicrohttpd cannot send the answer */
} queued;

void vsi_microhttpd_refused_queues(const vsi_microhttpd_request *request) {
  const union MHD_ConnectionInfo *info =
      MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
  const bool is_large = info && info->header_size > request->adapter->max_head_bytes / 8;
  queued.adapter = request->adapter;
  queued.conn = request->conn;
  queued.status = request->refused ? (unsigned)request->refused : is_large ? 431 : 500;
}

void vsi_microhttpd_refused_forget(const struct MHD_Connection *conn) {
  if (queued.conn == conn) queued.conn = NULL;
}

static void answer(struct MHD_Connection *conn, unsigned status) {
  /* The values are copied, because libmicrohttpd 1.0 returns all of them in the same memory. */
  const union MHD_ConnectionInfo *socket = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_CONNECTION_FD);
  const int fd = socket ? socket->connect_fd : -1;
  const union MHD_ConnectionInfo *tls = MHD_get_connection_info(conn, MHD_CONNECTION_INFO_GNUTLS_SESSION);
  gnutls_session_t session = tls ? (gnutls_session_t)tls->tls_session : NULL;
  char text[ANSWER_BYTES];
  const int len = snprintf(
      text, sizeof text, "HTTP/1.1 %u %s\r\nCache-Control: no-store\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
      status, MHD_get_reason_phrase_for(status));
  if (len <= 0 || (size_t)len >= sizeof text || fd < 0) return;
  /* If the client's socket has no room even for this, the client gets nothing. */
  if (session)
    (void)!gnutls_record_send(session, text, (size_t)len);
  else
    (void)!send(fd, text, (size_t)len, MSG_NOSIGNAL | MSG_DONTWAIT);
  shutdown(fd, SHUT_WR);
}

/* The parameters are counted because libmicrohttpd makes a record of each of them in the connection's memory. */
bool vsi_microhttpd_refused_line(const vsi_microhttpd *adapter, struct MHD_Connection *conn, const char *target) {
  size_t parameters = 1;
  for (const char *at = strchr(target, '?'); at; at = strchr(at + 1, '&')) parameters++;
  if (strlen(target) <= adapter->max_head_bytes && parameters <= adapter->sockets.memory_bytes / 2 / RECORD_BYTES)
    return false;
  answer(conn, 414);
  return true;
}

/* Return the connection of this thread whose head is complete but was not passed to vestry. libmicrohttpd reports the
 * size of complete heads only. */
static struct MHD_Connection *find_unshown(vsi_microhttpd_sockets *sockets) {
  struct MHD_Connection *found = NULL;
  const pthread_t self = pthread_self();
  vsi_mutex_lock(&sockets->lock);
  for (vsi_microhttpd_socket *at = TAILQ_FIRST(&sockets->waiting); at && !found; at = TAILQ_NEXT(at, in)) {
    const vsi_microhttpd_request *request = at->has_line && pthread_equal(at->thread, self) ? at->request : NULL;
    if (request && !request->has_begun &&
        MHD_get_connection_info(request->conn, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE))
      found = request->conn;
  }
  vsi_mutex_unlock(&sockets->lock);
  return found;
}

bool vsi_microhttpd_refused_look(vsi_microhttpd *adapter, const char *format, va_list arguments) {
  static const char refuses[] = "Error processing request (HTTP response code is %u", closes[] = "%s";
  va_list own;
  va_copy(own, arguments);
  struct MHD_Connection *conn = NULL;
  unsigned status = 0;
  if (strncmp(format, refuses, sizeof refuses - 1) == 0) {
    status = va_arg(own, unsigned);
    conn = find_unshown(&adapter->sockets);
  } else if (strncmp(format, closes, sizeof closes - 1) == 0 && queued.adapter == adapter && queued.conn) {
    const char *why = va_arg(own, const char *);
    if (why && strstr(why, "failed to create response header")) conn = queued.conn, status = queued.status;
  }
  va_end(own);
  if (!conn) return false;
  queued.conn = NULL;
  answer(conn, status);
  return true;
}
