/* SPDX-License-Identifier: MIT */
/* essay: reading a large body directly from the socket, and answering in the middle of one */
/* Direct reading: the pieces of a large body are read from the socket, bypassing libmicrohttpd.
 *
 * libmicrohttpd reads into the memory of a connection, of which 2 KiB are left for a body by default. One round of its
 * loop for each 2 KiB costs three times as much as reading 32 KiB at once. More memory for each connection would also
 * be used by connections that send no file. So while a connection is suspended for its writer, the writer's thread
 * reads on from the socket directly into the piece, as long as there is something to read. If there is nothing,
 * libmicrohttpd gets the connection back, and waits and applies its deadlines. Chunked bodies, TLS, and daemons of the
 * application are left to libmicrohttpd. The same applies to a request that may become a stream, because streams are
 * not written here.
 *
 * Direct responses: libmicrohttpd sends a response only before or after a body, and waits for bytes that it has not
 * seen. Therefore the response is written here, too, if a body was read directly, or if the rest of an unwanted body is
 * longer than what is discarded before a response. The response states that the connection closes. After a body of at
 * least 256 KiB the cost of a new connection is small. After the response the connection returns to libmicrohttpd, with
 * its sending side shut down. libmicrohttpd closes it when the client closes, is silent or late; bytes that still
 * arrive are discarded.
 *
 * A client that reads its response slowly does not hold the thread: if the socket has no room, the thread waits only as
 * long as no other errand needs it, and then puts the response at the end of the queue. The client has five seconds for
 * the response, and one more for each 16 KiB, but no more than five once the server stops. */
#include "adapter/microhttpd/adapter.h"

#include <errno.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>

#include "adapter/web/policy.h"
#include "base/ascii.h"
#include "base/buffer.h"
#include "base/field.h"

enum { LEAST_BYTES = 256 * 1024, MUCH_BYTES = 8192, WAIT_MS = 1, LONGER_WAIT_MS = 50 };
#define ANSWER_NS UINT64_C(5000000000)
#define BYTE_NS   (UINT64_C(1000000000) / 16384)

/* ---------------------------------------------------------------------------------------------------- the body ---- */

static const char *header_of(const vsi_microhttpd_request *request, const char *name) {
  return MHD_lookup_connection_value(request->conn, MHD_HEADER_KIND, name);
}

bool vsi_microhttpd_direct_fits(const vsi_microhttpd_request *request) {
  const vsi_microhttpd *adapter = request->adapter;
  if (adapter->is_tls || vsi_microhttpd_is_attached(adapter)) return false;
  if (!request->is_http11 || request->is_chunked || request->body_length < LEAST_BYTES) return false;
  const char *accept = header_of(request, "Accept");
  return !header_of(request, "Datastar-Request") && !(accept && vsi_strcasestr(accept, "text/event-stream"));
}

bool vsi_microhttpd_direct_pays(const vsi_microhttpd_request *request) {
  int unread = 0;
  return ioctl(request->socket->fd, FIONREAD, &unread) == 0 && unread >= MUCH_BYTES;
}

/* Wait for an event of the socket. Returns whether it has come, and no other. */
static bool wait_for(const vsi_microhttpd_request *request, short event, int ms) {
  struct pollfd polled = {.fd = request->socket->fd, .events = event};
  return poll(&polled, 1, ms) > 0 && polled.revents == event;
}

bool vsi_microhttpd_direct_read(vsi_microhttpd_request *request) {
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
      if (vsi_microhttpd_writer_pool_is_wanted(&adapter->writer_pool)) return true;
      continue;
    }
    ssize_t len = recv(request->socket->fd, to, room < left ? room : (size_t)left, MSG_DONTWAIT);
    if (len < 0 && errno == EAGAIN && has_written && !vsi_microhttpd_writer_pool_is_wanted(&adapter->writer_pool) &&
        wait_for(request, POLLIN, WAIT_MS))
      continue;
    if (len <= 0) return false; /* libmicrohttpd sees it, too */
    request->is_direct = true;
    request->body_received += (uint64_t)len;
    vestry_receive_put(request->receiving, (size_t)len);
  }
}

bool vsi_microhttpd_direct_is_over(const vsi_microhttpd_request *request) {
  return request->is_direct &&
         (request->body_received == request->body_length || !vestry_receive_wants(request->receiving));
}

/* ------------------------------------------------------------------------------------------- making the response -- */

static bool has_body(const vestry_response *response) {
  return response->status != 204 && response->status != 304; /* RFC 9110, 6.4.1 */
}

/* Make the response: its head, and a copy of a body that is only lent. */
static vestry_err make(vsi_microhttpd_request *request, const vestry_response *response, size_t lent_len) {
  vsi_microhttpd_direct *answer = &request->direct;
  vsi_buffer head;
  char date[VSI_HTTP_DATE_BYTES];
  vsi_buffer_init(&head, request->adapter->host);
  vsi_buffer_printf(&head, "HTTP/1.1 %d %s\r\n", response->status,
                    MHD_get_reason_phrase_for((unsigned)response->status));
  if (vsi_http_date_write((int64_t)time(NULL), date)) vsi_buffer_printf(&head, "Date: %s\r\n", date);
  if (has_body(response)) vsi_buffer_printf(&head, "Content-Length: %zu\r\n", response->body_len);
  vsi_buffer_append_str(&head, "Connection: close\r\n");
  for (size_t i = 0; i < response->headers_count; i++)
    vsi_buffer_printf(&head, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
  vsi_buffer_append_str(&head, "\r\n");
  vsi_buffer_append(&head, response->body, lent_len);
  answer->head = vsi_buffer_take(&head, &answer->head_len);
  vsi_buffer_finish(&head);
  answer->wire = (vsi_microhttpd_wire){.fd = request->socket->fd, .tls = vsi_microhttpd_tls_of(request->conn)};
  answer->begun_ns = vsi_now_ns(request->adapter->host);
  return answer->head ? VESTRY_OK : VESTRY_NO_MEMORY;
}

vestry_err vsi_microhttpd_direct_respond(void *server_request, const vestry_response *response) {
  vsi_microhttpd_request *request = server_request;
  if (!request->is_direct) return vsi_microhttpd_respond(request, response);
  const bool is_sent = response->body && has_body(response) && !request->is_head;
  return make(request, response, is_sent ? response->body_len : 0);
}

vestry_err vsi_microhttpd_direct_respond_body(void *server_request, const vestry_response *response,
                                              vestry_body *body) {
  vsi_microhttpd_request *request = server_request;
  if (!request->is_direct) return vsi_microhttpd_respond_body(request, response, body);
  vsi_microhttpd_sendings *sendings = request->adapter->sendings;
  if (body && has_body(response)) {
    request->direct.body = vsi_microhttpd_sending_begin(sendings, request->socket->fd, NULL, NULL, body);
    request->direct.body_len = response->body_len;
    if (!request->direct.body) return VESTRY_NO_MEMORY;
  } else {
    vestry_body_destroy(body);
  }
  vsi_microhttpd_sendings_relieve(sendings, response);
  return make(request, response, 0);
}

vestry_err vsi_microhttpd_direct_open(void *server_request, const vestry_response *head,
                                      const vestry_transport_ops **ret_ops, void **ret_transport) {
  vsi_microhttpd_request *request = server_request;
  return request->is_direct ? VESTRY_UNSUPPORTED : vsi_microhttpd_stream_open(request, head, ret_ops, ret_transport);
}

/* After the statuses below the connection closes, because libmicrohttpd has not read the whole request. It also closes
 * if the server stops. */
vestry_err vsi_microhttpd_refuse(vsi_microhttpd_request *request, int status) {
  const vestry_header retry = {"Retry-After", VSI_WEB_RETRY_AFTER_S};
  const vestry_response response = {.status = status, .headers = &retry, .headers_count = status == 503};
  if (status == 400 || status == 414 || status == 431 || vsi_web_gate_is_shut(&request->adapter->gate))
    request->socket->is_spent = true;
  return vsi_microhttpd_direct_respond(request, &response);
}

/* ------------------------------------------------------------------------------------------ sending the response -- */

/* Return the next bytes of the body, borrowed or read into piece. {NULL, 0}: its file cannot be read. */
static vestry_slice next_of_body(const vsi_microhttpd_direct *answer, char piece[VESTRY_BODY_PIECE_BYTES]) {
  const uint64_t at = answer->sent > answer->head_len ? answer->sent - answer->head_len : 0;
  vestry_body *body = answer->body->body;
  size_t len;
  if (body->bytes) return (vestry_slice){(const char *)body->bytes + at, (size_t)(answer->body_len - at)};
  if (vestry_body_read(body, at, piece, VESTRY_BODY_PIECE_BYTES, &len)) return (vestry_slice){NULL, 0};
  return (vestry_slice){piece, len};
}

/* Send as much as the socket takes. OK: all is sent. */
static vestry_io send_some(vsi_microhttpd_direct *answer) {
  char piece[VESTRY_BODY_PIECE_BYTES];
  vestry_io io = VESTRY_IO_OK;
  while (!io && answer->sent < answer->head_len + answer->body_len) {
    vestry_slice slices[2];
    size_t count = 0, offered = 0, written = 0;
    if (answer->sent < answer->head_len)
      slices[count++] = (vestry_slice){answer->head + answer->sent, (size_t)(answer->head_len - answer->sent)};
    if (answer->body_len) slices[count++] = next_of_body(answer, piece);
    if (answer->body_len && !slices[count - 1].len) return VESTRY_IO_ERROR;
    for (size_t i = 0; i < count; i++) offered += slices[i].len;
    io = vsi_microhttpd_wire_write(&answer->wire, slices, count, &written);
    answer->sent += io ? written : offered;
  }
  return io;
}

/* Return whether the client has used up its time. */
static bool is_late(const vsi_microhttpd_request *request) {
  vsi_microhttpd *adapter = request->adapter;
  const vsi_microhttpd_direct *answer = &request->direct;
  const uint64_t more_ns = vsi_web_gate_is_shut(&adapter->gate) ? 0 : (answer->head_len + answer->body_len) * BYTE_NS;
  return vsi_now_ns(adapter->host) - answer->begun_ns >= ANSWER_NS + more_ns;
}

/* Wait for room in the socket. Returns whether another errand needs the thread. */
static bool wait_for_room(const vsi_microhttpd_request *request) {
  const vsi_microhttpd_writer_pool *writer_pool = &request->adapter->writer_pool;
  (void)wait_for(request, POLLOUT, vsi_microhttpd_writer_pool_is_wanted(writer_pool) ? WAIT_MS : LONGER_WAIT_MS);
  return vsi_microhttpd_writer_pool_is_wanted(writer_pool);
}

bool vsi_microhttpd_direct_send(vsi_microhttpd_request *request) {
  while (request->direct.head && send_some(&request->direct) == VESTRY_IO_WOULD_BLOCK && request->is_suspended &&
         !is_late(request))
    if (wait_for_room(request)) return true;
  return false;
}

void vsi_microhttpd_direct_end(vsi_microhttpd_request *request) {
  vsi_microhttpd_direct *answer = &request->direct;
  const bool is_sent = answer->head && answer->sent == answer->head_len + answer->body_len;
  shutdown(request->socket->fd, is_sent ? SHUT_WR : SHUT_RDWR);
  vsi_microhttpd_sending_end(answer->body);
  vsi_free(request->adapter->host, answer->head);
  answer->body = NULL;
  answer->head = NULL;
}
