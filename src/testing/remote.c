/* SPDX-License-Identifier: MIT */
/* Requests of a browser to a server: HTTP/1.1, over connections that are kept between requests. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ascii.h"
#include "base/memory.h"
#include "testing/exchange.h"

enum { PIECE_BYTES = 16 * 1024, HEAD_MAX_BYTES = 64 * 1024 };

typedef enum { IN_HEAD, IN_BODY, IN_CHUNK_SIZE, IN_CHUNK, AFTER_CHUNK, IN_TRAILER, AT_END } place;

struct vsi_remote {
  int socket; /* -1: closed, or kept for another request */
  place at;
  uint64_t left;  /* of the body or the chunk; UINT64_MAX: until the connection ends */
  vsi_buffer raw; /* bytes that are not interpreted yet */
  bool has_received, closes, is_head_request;
};

void vsi_remote_destroy(vsi_remote *remote, const vestry_host *host) {
  if (!remote) return;
  if (remote->socket >= 0) close(remote->socket);
  vsi_buffer_finish(&remote->raw);
  vsi_free(host, remote);
}

int vsi_remote_socket(const vestry_memory_exchange *exchange) {
  return exchange->remote && !exchange->ended ? exchange->remote->socket : -1;
}

/* ---- the response ------------------------------------------------------------------------------------------------ */

static const char *header_of(const vestry_memory_exchange *exchange, const char *name) {
  const char *at = exchange->headers.data, *end = at ? at + exchange->headers.len : at;
  while (at < end) {
    const char *value = at + strlen(at) + 1;
    if (vsi_strcasecmp(at, name) == 0) return value;
    at = value + strlen(value) + 1;
  }
  return NULL;
}

/* Take the head, of len bytes with its empty line. */
static void take_head(vestry_memory_exchange *exchange, vsi_remote *remote, char *head, size_t len) {
  const int status = len > 12 ? atoi(head + 9) : 0;
  remote->at = IN_HEAD;
  if (status >= 100 && status < 200) return; /* the head of the response follows */
  for (char *line = memchr(head, '\n', len), *next; line && line + 1 < head + len; line = next) {
    line++;
    next = memchr(line, '\n', (size_t)(head + len - line));
    char *colon = next ? memchr(line, ':', (size_t)(next - line)) : NULL;
    if (!colon) continue;
    char *value = colon + 1, *end = next;
    while (value < end && (*value == ' ' || *value == '\t')) value++;
    while (end > value && (end[-1] == '\r' || end[-1] == ' ')) end--;
    vsi_buffer_append(&exchange->headers, line, (size_t)(colon - line));
    vsi_buffer_append_char(&exchange->headers, '\0');
    vsi_buffer_append(&exchange->headers, value, (size_t)(end - value));
    vsi_buffer_append_char(&exchange->headers, '\0');
  }
  const char *chunks = header_of(exchange, "Transfer-Encoding"), *length = header_of(exchange, "Content-Length");
  const char *connection = header_of(exchange, "Connection");
  remote->closes = connection && vsi_strcasestr(connection, "close") != NULL;
  remote->left = chunks ? 0 : length ? strtoull(length, NULL, 10) : UINT64_MAX;
  if (status == 204 || status == 304 || remote->is_head_request) chunks = NULL, remote->left = 0;
  remote->at = chunks ? IN_CHUNK_SIZE : remote->left ? IN_BODY : AT_END;
  exchange->status = status;
}

/* Find a line's end; returns the length of the line with it, 0: it is incomplete. */
static size_t line_of(const char *data, size_t len) {
  const char *end = memchr(data, '\n', len);
  return end ? (size_t)(end - data) + 1 : 0;
}

/* Interpret the next bytes. Returns how many; 0: more are necessary. */
static size_t take_some(vestry_memory_exchange *exchange, vsi_remote *remote, char *data, size_t len) {
  size_t line;
  switch (remote->at) {
  case IN_HEAD: {
    const char *end = memmem(data, len, "\r\n\r\n", 4);
    line = end ? (size_t)(end - data) + 4 : 0;
    if (line) take_head(exchange, remote, data, line);
    return line;
  }
  case IN_BODY:
  case IN_CHUNK:
    if (len > remote->left) len = (size_t)remote->left;
    vsi_buffer_append(&exchange->received, data, len);
    if (remote->left != UINT64_MAX) remote->left -= len;
    if (!remote->left) remote->at = remote->at == IN_BODY ? AT_END : AFTER_CHUNK;
    return len;
  case IN_CHUNK_SIZE:
    line = line_of(data, len);
    if (line) remote->left = strtoull(data, NULL, 16);
    if (line) remote->at = remote->left ? IN_CHUNK : IN_TRAILER;
    return line;
  case AFTER_CHUNK:
    line = line_of(data, len);
    if (line) remote->at = IN_CHUNK_SIZE;
    return line;
  case IN_TRAILER:
    line = line_of(data, len);
    if (line && line <= 2) remote->at = AT_END;
    return line;
  case AT_END: break;
  }
  return 0;
}

/* Interpret all bytes that have arrived. */
static void interpret(vestry_memory_exchange *exchange, vsi_remote *remote) {
  size_t taken = 0, some;
  if (vsi_buffer_terminate(&remote->raw))
    while (taken < remote->raw.len &&
           (some = take_some(exchange, remote, remote->raw.data + taken, remote->raw.len - taken)) > 0)
      taken += some;
  if (taken) memmove(remote->raw.data, remote->raw.data + taken, remote->raw.len - taken);
  remote->raw.len -= taken;
  exchange->ended_clean = remote->at == AT_END;
  exchange->ended |= exchange->ended_clean;
}

void vsi_remote_receive(vestry_memory_exchange *exchange) {
  vsi_remote *remote = exchange->remote;
  vsi_buffer *received = &exchange->received;
  if (exchange->asked_len && received->data) { /* these bytes were read */
    received->len -= exchange->asked_len;
    memmove(received->data, received->data + exchange->asked_len, received->len);
    exchange->asked_len = 0;
  }
  while (!exchange->ended) {
    char *room = vsi_buffer_reserve(&remote->raw, PIECE_BYTES);
    const ssize_t got = room ? recv(remote->socket, room, PIECE_BYTES, MSG_DONTWAIT) : 0;
    if (got < 0 && errno == EINTR) continue;
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
    if (got > 0) remote->raw.len += (size_t)got, remote->has_received = true;
    if (got > 0) interpret(exchange, remote);
    if (got > 0 && !remote->raw.error && !received->error) continue;
    exchange->ended = true; /* the connection has ended, or there is no memory */
    exchange->ended_clean |= got == 0 && remote->at == IN_BODY && remote->left == UINT64_MAX;
    remote->closes = true;
  }
}

/* ---- the request ------------------------------------------------------------------------------------------------- */

static bool is_ready(int socket, short events, uint64_t timeout_ms) {
  struct pollfd one = {.fd = socket, .events = events};
  int ready;
  do ready = poll(&one, 1, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

static vestry_err connect_to(const struct sockaddr_in *server, uint64_t timeout_ms, int *ret_socket) {
  const int on = 1, made = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  int error = 0;
  socklen_t len = sizeof error;
  if (made < 0) return VESTRY_IO;
  (void)setsockopt(made, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  bool is_open = connect(made, (const struct sockaddr *)server, sizeof *server) == 0;
  const bool is_begun = is_open || errno == EINPROGRESS;
  if (is_begun && !is_open && is_ready(made, POLLOUT, timeout_ms))
    is_open = getsockopt(made, SOL_SOCKET, SO_ERROR, &error, &len) == 0 && !error;
  if (is_open) {
    *ret_socket = made;
    return VESTRY_OK;
  }
  close(made);
  return is_begun && !error ? VESTRY_TIMEOUT : VESTRY_IO;
}

static void write_request(vsi_buffer *to, const struct sockaddr_in *server, const vestry_memory_call *call) {
  vsi_buffer_printf(to, "%s ", call->method);
  for (const char *at = call->path; *at; at++) {
    if (vsi_is_unreserved(*at) || strchr("/!$&'()*+,;=:@", *at))
      vsi_buffer_append_char(to, *at);
    else
      vsi_buffer_printf(to, "%%%02X", (unsigned char)*at);
  }
  vsi_buffer_printf(to, "%s%s HTTP/1.1\r\nHost: localhost:%u\r\n", *call->query ? "?" : "", call->query,
                    ntohs(server->sin_port));
  if (call->datastar) vsi_buffer_append_str(to, "Datastar-Request: true\r\n");
  for (size_t i = 0; i < call->headers_count; i++)
    vsi_buffer_printf(to, "%s: %s\r\n", call->headers[i].name, call->headers[i].value);
  if (call->body_len || strcmp(call->method, "GET") != 0)
    vsi_buffer_printf(to, "Content-Length: %zu\r\n", call->body_len);
  vsi_buffer_append_str(to, "\r\n");
  vsi_buffer_append(to, call->body, call->body_len);
}

static vestry_err send_all(int socket, const vsi_buffer *text, uint64_t timeout_ms) {
  for (size_t sent = 0; sent < text->len;) {
    const ssize_t some = send(socket, text->data + sent, text->len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (some > 0) sent += (size_t)some;
    if (some >= 0 || errno == EINTR) continue;
    if (errno != EAGAIN && errno != EWOULDBLOCK) return VESTRY_IO;
    if (!is_ready(socket, POLLOUT, timeout_ms)) return VESTRY_TIMEOUT;
  }
  return VESTRY_OK;
}

/* Wait for the response: its head, and its body unless that is a stream. */
static vestry_err await(vestry_memory_exchange *exchange, uint64_t timeout_ms) {
  const char *type;
  for (;;) {
    vsi_remote_receive(exchange);
    type = exchange->status ? header_of(exchange, "Content-Type") : NULL;
    if (exchange->ended || (type && strncmp(type, "text/event-stream", 17) == 0)) break;
    if (!exchange->status && exchange->remote->raw.len > HEAD_MAX_BYTES) return VESTRY_TOO_LARGE;
    if (!is_ready(exchange->remote->socket, POLLIN, timeout_ms)) return VESTRY_TIMEOUT;
  }
  if (exchange->remote->raw.error || exchange->received.error || exchange->headers.error) return VESTRY_NO_MEMORY;
  return exchange->status && (!exchange->ended || exchange->ended_clean) ? VESTRY_OK : VESTRY_IO;
}

/* Send the request on a connection, which the exchange takes. */
static vestry_err try_on(vestry_memory_exchange *exchange, int socket, const vsi_buffer *text, uint64_t timeout_ms) {
  vsi_remote *remote = exchange->remote;
  if (remote->socket >= 0 && remote->socket != socket) close(remote->socket);
  remote->socket = socket;
  remote->at = IN_HEAD;
  exchange->ended = false;
  vestry_err error = send_all(socket, text, timeout_ms);
  return error ? error : await(exchange, timeout_ms);
}

vestry_err vsi_remote_request(vestry_memory_exchange *exchange, const struct sockaddr_in *server, uint64_t timeout_ms,
                              int *kept, const vestry_memory_call *call) {
  vsi_buffer text;
  int socket = *kept;
  vsi_remote *remote = exchange->remote = vsi_calloc(exchange->host, 1, sizeof *remote);
  if (!remote) return VESTRY_NO_MEMORY;
  remote->socket = socket;
  remote->is_head_request = strcmp(call->method, "HEAD") == 0;
  *kept = -1;
  vsi_buffer_init(&remote->raw, exchange->host);
  vsi_buffer_init(&text, exchange->host);
  write_request(&text, server, call);
  vestry_err error = text.error ? VESTRY_NO_MEMORY : VESTRY_IO;
  if (!text.error && socket >= 0) error = try_on(exchange, socket, &text, timeout_ms);
  /* A server may end a connection that was kept while the request is on its way; then it has not read it. */
  if (error == VESTRY_IO && !remote->has_received) {
    error = connect_to(server, timeout_ms, &socket);
    if (!error) error = try_on(exchange, socket, &text, timeout_ms);
  }
  vsi_buffer_finish(&text);
  if (!error && exchange->ended && !remote->closes) *kept = remote->socket, remote->socket = -1;
  return error;
}
