/* SPDX-License-Identifier: MIT */
/* vestry-bench floor --tls: the minimum work of a server of HTTP/2 over TLS, with one thread and an epoll. nghttp2
 * reads the requests; the frames of an event are put together here, and each connection gets those of all its streams
 * in as few TLS records as possible. It has no bounds, no flow control and no slow clients: it drops a connection whose
 * socket does not accept a record at once. The routes are those of floor.c, without keys. */
#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vestry/h2.h>

#include "bench.h"
#include "floor.h"

enum { EVENTS_AT_ONCE = 256, BODY_BYTES = 8192, RECORD_BYTES = 16384, HEAD_BYTES = 9, STREAMS_AT_ONCE = 10000 };

typedef struct floor_tls {
  int epoll, listener;
  gnutls_certificate_credentials_t credentials;
  gnutls_priority_t priority;
  nghttp2_session_callbacks *callbacks;
  LIST_HEAD(, connection) connections;
  char event[BODY_BYTES + 128];
  size_t event_len;
} floor_tls;

typedef struct connection {
  LIST_ENTRY(connection) in;
  floor_tls *all;
  int fd;
  gnutls_session_t tls;
  nghttp2_session *frames;
  bool is_open, is_broken;
  int32_t *streams; /* of events */
  size_t count, capacity;
  char path[64], body[BODY_BYTES];
  size_t body_len;
} connection;

static void drop(connection *c) {
  LIST_REMOVE(c, in);
  nghttp2_session_del(c->frames);
  gnutls_deinit(c->tls);
  close(c->fd);
  free(c->streams);
  free(c);
}

static void send_record(connection *c, const void *bytes, size_t len) {
  if (len && gnutls_record_send(c->tls, bytes, len) != (ssize_t)len) c->is_broken = true;
}

static void send_frames(connection *c) {
  const uint8_t *data;
  for (ssize_t len; !c->is_broken && (len = nghttp2_session_mem_send(c->frames, &data)) > 0;)
    send_record(c, data, (size_t)len);
}

/* ---- events ------------------------------------------------------------------------------------------------------ */

static void send_event(connection *c) {
  const floor_tls *all = c->all;
  char record[RECORD_BYTES];
  size_t used = 0;
  for (size_t i = 0; i < c->count && !c->is_broken; i++) {
    const uint32_t len = (uint32_t)all->event_len, id = htonl((uint32_t)c->streams[i]);
    const uint8_t head[HEAD_BYTES - sizeof id] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,
                                                  NGHTTP2_DATA};
    if (used + HEAD_BYTES + len > sizeof record) {
      send_record(c, record, used);
      used = 0;
    }
    memcpy(record + used, head, sizeof head);
    memcpy(record + used + sizeof head, &id, sizeof id);
    memcpy(record + used + HEAD_BYTES, all->event, len);
    used += HEAD_BYTES + len;
  }
  send_record(c, record, used);
}

static void publish(floor_tls *all, const char *body, size_t len) {
  all->event_len =
      (size_t)sprintf(all->event, "event: datastar-patch-signals\ndata: signals {\"v\":%.*s}\n\n", (int)len, body);
  for (connection *at = LIST_FIRST(&all->connections); at; at = LIST_NEXT(at, in)) send_event(at);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static bool keep_stream(connection *c, int32_t id) {
  if (c->count == c->capacity) {
    const size_t capacity = c->capacity ? 2 * c->capacity : 1;
    int32_t *grown = realloc(c->streams, capacity * sizeof *grown);
    if (!grown) return false;
    c->streams = grown;
    c->capacity = capacity;
  }
  c->streams[c->count++] = id;
  return true;
}

static int on_header(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx) {
  connection *c = ctx;
  (void)frames, (void)frame, (void)flags;
  if (name_len == 5 && memcmp(name, ":path", 5) == 0 && value_len < sizeof c->path)
    strcpy(c->path, (const char *)value);
  return 0;
}

static int on_data(nghttp2_session *frames, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx) {
  connection *c = ctx;
  (void)frames, (void)flags, (void)id;
  if (len > sizeof c->body - c->body_len) len = sizeof c->body - c->body_len;
  memcpy(c->body + c->body_len, data, len);
  c->body_len += len;
  return 0;
}

static int on_frame(nghttp2_session *frames, const nghttp2_frame *frame, void *ctx) {
  connection *c = ctx;
  const bool ends = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
  const bool is_sub = strcmp(c->path, "/sub") == 0, is_pub = strcmp(c->path, "/pub") == 0;
  const nghttp2_nv status = {(uint8_t *)(uintptr_t) ":status",
                             (uint8_t *)(uintptr_t)(is_sub   ? "200"
                                                    : is_pub ? "204"
                                                             : "404"),
                             7, 3, 0};
  if (!ends || (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)) return 0;
  if (is_pub) publish(c->all, c->body, c->body_len);
  c->body_len = 0;
  if (is_sub && !keep_stream(c, frame->hd.stream_id)) c->is_broken = true;
  nghttp2_submit_headers(frames, is_sub ? 0 : NGHTTP2_FLAG_END_STREAM, frame->hd.stream_id, NULL, &status, 1, NULL);
  return 0;
}

/* ---- connections ------------------------------------------------------------------------------------------------- */

/* Take what a client has sent. false: drop the connection. */
static bool take(connection *c) {
  uint8_t bytes[RECORD_BYTES];
  ssize_t len = 0;
  if (!c->is_open) {
    const int error = gnutls_handshake(c->tls);
    if (error) return !gnutls_error_is_fatal(error);
    c->is_open = true;
  }
  while (!c->is_broken && (len = gnutls_record_recv(c->tls, bytes, sizeof bytes)) > 0)
    c->is_broken |= nghttp2_session_mem_recv(c->frames, bytes, (size_t)len) < 0;
  send_frames(c);
  return !c->is_broken && len == GNUTLS_E_AGAIN;
}

static bool begin(floor_tls *all, int fd) {
  static const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, STREAMS_AT_ONCE}};
  const gnutls_datum_t protocol = {(unsigned char *)(uintptr_t) "h2", 2};
  const int on = 1;
  connection *c = calloc(1, sizeof *c);
  struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP, .data.ptr = c};
  if (!c || nghttp2_session_server_new(&c->frames, all->callbacks, c) ||
      gnutls_init(&c->tls, GNUTLS_SERVER | GNUTLS_NONBLOCK | GNUTLS_NO_SIGNAL)) {
    free(c);
    return false;
  }
  c->all = all;
  c->fd = fd;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  gnutls_priority_set(c->tls, all->priority);
  gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, all->credentials);
  gnutls_alpn_set_protocols(c->tls, &protocol, 1, GNUTLS_ALPN_MANDATORY);
  gnutls_transport_set_int(c->tls, fd);
  nghttp2_submit_settings(c->frames, NGHTTP2_FLAG_NONE, settings, 1);
  LIST_INSERT_HEAD(&all->connections, c, in);
  return epoll_ctl(all->epoll, EPOLL_CTL_ADD, fd, &event) == 0;
}

static void take_in(floor_tls *all) {
  for (int fd; (fd = accept4(all->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;)
    if (!begin(all, fd)) close(fd);
}

static bool prepare(floor_tls *all) {
  static char made[VESTRY_H2_CERTIFICATE_BYTES];
  if (vestry_h2_certificate(NULL, made) || nghttp2_session_callbacks_new(&all->callbacks)) return false;
  const gnutls_datum_t pem = {(unsigned char *)made, (unsigned)strlen(made)};
  nghttp2_session_callbacks_set_on_header_callback(all->callbacks, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(all->callbacks, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(all->callbacks, on_frame);
  return !gnutls_certificate_allocate_credentials(&all->credentials) &&
         !gnutls_certificate_set_x509_key_mem(all->credentials, &pem, &pem, GNUTLS_X509_FMT_PEM) &&
         !gnutls_priority_init(&all->priority, "NORMAL:-VERS-ALL:+VERS-TLS1.3", NULL);
}

int floor_tls_serve(int epoll, int listener, unsigned port) {
  floor_tls all = {.epoll = epoll, .listener = listener};
  LIST_INIT(&all.connections);
  if (!prepare(&all)) {
    fprintf(stderr, "vestry-bench: floor: GnuTLS makes no certificate\n");
    return 1;
  }
  struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL};
  epoll_ctl(epoll, EPOLL_CTL_MOD, listener, &event);
  printf("vestry-bench: floor https://127.0.0.1:%u\n", port);
  fflush(stdout);
  for (;;) { /* until a signal ends the process */
    struct epoll_event events[EVENTS_AT_ONCE];
    const int count = epoll_wait(epoll, events, EVENTS_AT_ONCE, -1);
    for (int i = 0; i < count; i++) {
      if (!events[i].data.ptr)
        take_in(&all);
      else if (!take(events[i].data.ptr))
        drop(events[i].data.ptr);
    }
  }
}
