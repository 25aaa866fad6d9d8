/* SPDX-License-Identifier: MIT */
/* Complete responses of the civetweb adapter: the head is formatted into one buffer, and a short body is sent together
 * with it. */
#include <civetweb.h>
#include <limits.h>
#include <linux/tcp.h> /* glibc's struct tcp_info ends before the bytes */
#include <netinet/in.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "adapter/civetweb/request.h"

#include "base/field.h"
#include "base/memory.h"

/* ON_STACK bounds the buffer on a worker's stack, because these stacks are small; it is enough for most heads, which
 * are shorter than 1 KiB. TOGETHER bounds the bodies that are sent with their heads. */
enum { ON_STACK = 2048, TOGETHER = 16384 };

typedef struct writer {
  char *buffer;
  size_t capacity, len; /* len: including text that did not fit */
} writer;

static void put(writer *to, const char *format, ...) VESTRY_PRINTF(2, 3);
static void put(writer *to, const char *format, ...) {
  va_list arguments;
  va_start(arguments, format);
  size_t room = to->len < to->capacity ? to->capacity - to->len : 0;
  int len = vsnprintf(room ? to->buffer + to->len : NULL, room, format, arguments);
  va_end(arguments);
  if (len > 0) to->len += (size_t)len;
}

size_t vsi_civetweb_head_format(char *buffer, size_t capacity, const vestry_response *response, const char *framing,
                                bool keep_alive, int64_t unix_s) {
  writer to = {buffer, capacity, 0};
  char date[VSI_HTTP_DATE_BYTES];
  put(&to, "HTTP/1.1 %d %s\r\n", response->status, mg_get_response_code_text(NULL, response->status));
  if (vsi_http_date_write(unix_s, date)) put(&to, "Date: %s\r\n", date);
  for (size_t i = 0; i < response->headers_count; i++)
    put(&to, "%s: %s\r\n", response->headers[i].name, response->headers[i].value);
  put(&to, "Connection: %s\r\n%s\r\n", keep_alive ? "keep-alive" : "close", framing);
  return to.len;
}

/* Write all bytes; one mg_write takes at most INT_MAX of them. */
static bool write_all(struct mg_connection *conn, const char *data, size_t len) {
  while (len) {
    size_t part = len < INT_MAX ? len : INT_MAX;
    if (mg_write(conn, data, part) != (int)part) return false;
    data += part;
    len -= part;
  }
  return true;
}

/* Write a body from its file in pieces. The piece is allocated, because a worker's stack is too small for it. */
static bool write_file(const vsi_civetweb_request *request, vestry_body *body, size_t len) {
  const vestry_host *host = request->adapter->host;
  char *piece = vsi_alloc(host, VESTRY_BODY_PIECE_BYTES);
  bool written = piece != NULL;
  for (size_t at = 0, got = 0; written && at < len; at += got)
    written = !vestry_body_read(body, at, piece, VESTRY_BODY_PIECE_BYTES, &got) && write_all(request->conn, piece, got);
  vsi_free(host, piece);
  return written;
}

/* Write a response. body: if not NULL, its bytes or file are sent, and the response's body is ignored. */
static vestry_err write_response(vsi_civetweb_request *request, const vestry_response *response, vestry_body *body) {
  const vestry_host *host = request->adapter->host;
  /* RFC 9110: 204 and 304 have no body, and 304 must not have the length of another one. 205 states that its body is
   * empty. */
  const bool has_body = response->status != 204 && response->status != 304;
  char framing[48] = "";
  if (has_body) snprintf(framing, sizeof framing, "Content-Length: %zu\r\n", response->body_len);
  vsi_civetweb_request_answers(request, body ? body->held_bytes : 0);
  vsi_civetweb_deadlines_relieve(&request->adapter->deadlines);
  const bool keep_alive = request->wants_alive && !request->must_close;
  const int64_t unix_s = (int64_t)time(NULL);
  const char *bytes = body ? body->bytes : response->body;
  const size_t body_len = has_body && !request->is_head ? response->body_len : 0;
  const size_t in_file = body && !bytes ? body_len : 0, in_memory = body_len - in_file;

  char small[ON_STACK], *text = small;
  size_t head_len = vsi_civetweb_head_format(small, sizeof small, response, framing, keep_alive, unix_s);
  /* A small body is sent together with its head: one write, one packet. */
  size_t together = in_memory <= TOGETHER ? in_memory : 0;
  if (head_len >= sizeof small || together > sizeof small - head_len) {
    text = vsi_calloc(host, 1, head_len + together + 1);
    if (!text) return VESTRY_NO_MEMORY;
    vsi_civetweb_head_format(text, head_len + 1, response, framing, keep_alive, unix_s);
  }
  if (together) memcpy(text + head_len, bytes, together);
  request->status = response->status;
  bool written = write_all(request->conn, text, head_len + together);
  if (text != small) vsi_free(host, text);
  if (written && in_memory > together) written = write_all(request->conn, bytes, in_memory);
  if (written && in_file) written = write_file(request, body, in_file);
  return written ? VESTRY_OK : VESTRY_IO;
}

vestry_err vsi_civetweb_respond_body(void *server_request, const vestry_response *response, vestry_body *body) {
  vsi_civetweb_request *request = server_request;
  vestry_err error = write_response(request, response, body);
  if (error) vsi_civetweb_request_close(request);
  vsi_civetweb_deadline_clear(&request->adapter->deadlines, &request->deadline);
  vestry_body_destroy(body);
  return error;
}

vestry_err vsi_civetweb_respond(void *server_request, const vestry_response *response) {
  return vsi_civetweb_respond_body(server_request, response, NULL);
}

/* --------------------------------------------------------------------- requests that civetweb itself refuses ---- */

/* civetweb begins its responses with the version that it has read from the request line, which can be anything: for
 * "GET /a b HTTP/1.1" it is "b HTTP/1.1" and the lines after it. So text of the client would be sent back in front of
 * the headers.
 *
 * civetweb answers 400 both to a head that fills its buffer and to a malformed request. The kernel's count of received
 * bytes distinguishes the two cases. */

/* A search for the socket of a peer. */
typedef struct search {
  vsi_civetweb_peer peer;
  uint64_t bytes; /* that it has received; 0: not found */
} search;

static bool see(void *ctx, int fd, const vsi_civetweb_peer *peer) {
  search *sought = ctx;
  struct tcp_info tcp = {.tcpi_state = 0};
  socklen_t len = sizeof tcp;
  if (!vsi_civetweb_peer_equal(peer, &sought->peer)) return true;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &tcp, &len) == 0) sought->bytes = tcp.tcpi_bytes_received;
  return false;
}

/* Return whether a request was refused because its head is larger than max_request_size. The worker holds the
 * connection's descriptor until this returns. A client that has reset its connection is not found. */
static bool is_too_large(const struct mg_connection *conn, const struct mg_request_info *info) {
  const char *most = mg_get_option(mg_get_context(conn), "max_request_size");
  search sought = {.bytes = 0};
  if (!info || info->request_method || !most ||
      !vsi_civetweb_peer_parse(info->remote_addr, info->remote_port, info->server_port, &sought.peer))
    return false;
  (void)vsi_civetweb_sockets_see(see, &sought);
  return sought.bytes >= strtoull(most, NULL, 10);
}

int vestry_civetweb_http_error(struct mg_connection *conn, int status, const char *message) {
  (void)message; /* may contain text of the request */
  const struct mg_request_info *info = mg_get_request_info(conn);
  const char *method = info && info->request_method ? info->request_method : "";
  if (status == 400 && is_too_large(conn, info)) status = 431;
  const char *words = mg_get_response_code_text(NULL, status);
  if (status == 400 && strcmp(method, "QUERY") == 0) { /* 400 would blame the request */
    status = 501;
    words = "Not Implemented: this server does not support QUERY";
    vsi_civetweb_log_query(mg_get_context(conn));
  }
  const bool is_head = strcmp(method, "HEAD") == 0;
  char text[512];
  int len = snprintf(text, sizeof text,
                     "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
                     "Connection: close\r\nContent-Length: %zu\r\n\r\n%s%s",
                     status, words, strlen(words) + 1, is_head ? "" : words, is_head ? "" : "\n");
  mg_disable_connection_keep_alive(conn);
  if (len > 0 && (size_t)len < sizeof text) (void)mg_write(conn, text, (size_t)len);
  return 0;
}
