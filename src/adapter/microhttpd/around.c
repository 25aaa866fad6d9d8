/* SPDX-License-Identifier: MIT */
/* essay: reading a large body directly from the socket */
/* Direct reading: the pieces of a large body are read from the socket, bypassing libmicrohttpd.
 *
 * libmicrohttpd reads into the memory of a connection, of which 2 KiB are left for a body by default. One round of its
 * loop for each 2 KiB costs three times as much as reading 32 KiB at once. More memory for each connection would also
 * be used by connections that send no file. So while a connection is suspended for its writer, the writer's thread
 * reads on from the socket directly into the piece, as long as there is something to read. If there is nothing,
 * libmicrohttpd gets the connection back, and waits and applies its deadlines.
 *
 * libmicrohttpd still waits for bytes that it has not seen, and does not send an answer until then. Therefore the
 * answer is written here, too, and states that the connection closes; after 256 KiB a new connection is affordable.
 * After the answer the connection returns to libmicrohttpd, with its sending side shut down. libmicrohttpd closes it
 * when the client closes or is silent; bytes that still arrive are discarded.
 *
 * Streams are not written here, so a request that may become one is left to libmicrohttpd. The same applies to chunked
 * bodies, TLS, and daemons of the application.
 *
 * If the socket has no room for the answer and the client does not read, the client holds the thread for five
 * seconds. */
#include "adapter/microhttpd/around.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "adapter/microhttpd/answer.h"
#include "adapter/microhttpd/transport.h"
#include "base/memory.h"

enum { LEAST_BYTES = 256 * 1024, MUCH_BYTES = 8192, WAIT_MS = 1, ANSWER_MS = 5000, LINE_BYTES = 128 };

/* ---------------------------------------------------------------------------------------------------- the body ---- */

static const char *header_of(const vsi_microhttpd_request *request, const char *name) {
  return MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, name);
}

bool vsi_microhttpd_around_fits(const vsi_microhttpd_request *request) {
  const vsi_microhttpd *adapter = request->adapter;
  if (adapter->is_tls || vsi_microhttpd_is_attached(adapter)) return false;
  if (!request->is_http11 || request->is_chunked || request->body_length < LEAST_BYTES) return false;
  const char *accept = header_of(request, "Accept");
  return !header_of(request, "Datastar-Request") && !(accept && strcasestr(accept, "text/event-stream"));
}

bool vsi_microhttpd_around_pays(const vsi_microhttpd_request *request) {
  int unread = 0;
  return ioctl(request->socket->fd, FIONREAD, &unread) == 0 && unread >= MUCH_BYTES;
}

static bool waits(const vsi_microhttpd_request *request) {
  struct pollfd polled = {.fd = request->socket->fd, .events = POLLIN};
  return poll(&polled, 1, WAIT_MS) > 0 && polled.revents == POLLIN;
}

bool vsi_microhttpd_around_read(vsi_microhttpd_request *request) {
  vsi_microhttpd *adapter = request->adapter;
  bool has_written = false;
  for (;;) {
    size_t room;
    char *to = vestry_receive_room(request->receiving, &room);
    const uint64_t left = request->body_length - request->body_received;
    if (!to || !left) return false;
    if (!room) {
      vestry_receive_write(request->receiving);
      has_written = true;
      if (vsi_microhttpd_writers_are_wanted(&adapter->writers)) return true;
      continue;
    }
    ssize_t len = recv(request->socket->fd, to, room < left ? room : (size_t)left, MSG_DONTWAIT);
    if (len < 0 && errno == EAGAIN && has_written && !vsi_microhttpd_writers_are_wanted(&adapter->writers) &&
        waits(request))
      continue;
    if (len <= 0) return false; /* libmicrohttpd sees it, too */
    request->is_around = true;
    request->body_received += (uint64_t)len;
    vestry_receive_put(request->receiving, (size_t)len);
  }
}

bool vsi_microhttpd_around_is_over(const vsi_microhttpd_request *request) {
  return request->is_around &&
         (request->body_received == request->body_length || !vestry_receive_wants(request->receiving));
}

/* -------------------------------------------------------------------------------------------------- the answer ---- */

static vestry_err send_all(int fd, const char *at, size_t len, int flags) {
  while (len) {
    ssize_t sent = send(fd, at, len, flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    if (sent < 0 && errno == EAGAIN && poll(&polled, 1, ANSWER_MS) > 0) continue;
    if (sent < 0) return VESTRY_IO;
    at += sent;
    len -= (size_t)sent;
  }
  return VESTRY_OK;
}

/* Write the Date header (RFC 9110, 5.6.7). */
static void write_date(char date[LINE_BYTES]) {
  static const char days[] = "SunMonTueWedThuFriSat", months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
  const time_t now = time(NULL);
  struct tm at;
  gmtime_r(&now, &at);
  snprintf(date, LINE_BYTES, "Date: %.3s, %02d %.3s %d %02d:%02d:%02d GMT\r\n", days + 3 * at.tm_wday, at.tm_mday,
           months + 3 * at.tm_mon, at.tm_year + 1900, at.tm_hour, at.tm_min, at.tm_sec);
}

vestry_err vsi_microhttpd_around_respond(void *server_request, const vestry_response *response) {
  vsi_microhttpd_request *request = server_request;
  if (!request->is_around) return vsi_microhttpd_respond(request, response);
  const vestry_host *host = request->adapter->host;
  size_t room = 3 * LINE_BYTES, len = 0;
  for (size_t i = 0; i < response->headers_count; i++)
    room += strlen(response->headers[i].name) + strlen(response->headers[i].value) + 4;
  char date[LINE_BYTES], length[LINE_BYTES] = "", *head = vsi_alloc(host, room);
  if (!head) return VESTRY_NO_MEMORY;
  write_date(date);
  const bool has_body = response->status != 204 && response->status != 304; /* RFC 9110, 6.4.1 */
  if (has_body) snprintf(length, sizeof length, "Content-Length: %zu\r\n", response->body_len);
  len += (size_t)snprintf(head, room, "HTTP/1.1 %d %s\r\n%s%sConnection: close\r\n", response->status,
                          MHD_get_reason_phrase_for((unsigned)response->status), date, length);
  for (size_t i = 0; i < response->headers_count; i++)
    len +=
        (size_t)snprintf(head + len, room - len, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
  len += (size_t)snprintf(head + len, room - len, "\r\n");
  const size_t body_len = has_body ? response->body_len : 0;
  vestry_err error = send_all(request->socket->fd, head, len, body_len ? MSG_MORE : 0);
  if (!error) error = send_all(request->socket->fd, response->body, body_len, 0);
  vsi_free(host, head);
  return error;
}

vestry_err vsi_microhttpd_around_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport) {
  vsi_microhttpd_request *request = server_request;
  return request->is_around ? VESTRY_UNSUPPORTED : vsi_microhttpd_open(request, head, ret_ops, ret_transport);
}

void vsi_microhttpd_around_answer(vsi_microhttpd_request *request) {
  vestry_connection *none;
  vestry_receiving *receiving = request->receiving;
  request->receiving = NULL;
  request->is_answered = true;
  vestry_receive_close(receiving);
  vestry_err error = vestry_receive_end(receiving, &none);
  vsi_microhttpd_socket_holds(request->socket, 0);
  shutdown(request->socket->fd, error ? SHUT_RDWR : SHUT_WR);
}
