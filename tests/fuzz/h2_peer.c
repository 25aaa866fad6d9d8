/* SPDX-License-Identifier: MIT */
#include "fuzz/h2_peer.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vestry/vestry.h"

static vestry *v;
static vestry_server *server;
static vsi_h2_loop loop; /* without a thread */

static void log_nothing(void *ctx, vestry_log_level level, const char *text) {}

vestry *peer_vestry(void) {
  static vestry_host host;
  if (v) return v;
  host = *vestry_host_default();
  host.log = log_nothing;
  require(!vestry_create(&(vestry_options){.host = &host, .threads_count = 1}, &v));
  require(!vestry_h2_create(v, &(vestry_h2_options){.address = "127.0.0.1", .threads_count = 1}, &server));
  loop.adapter = (vsi_h2 *)server;
  loop.epoll = epoll_create1(EPOLL_CLOEXEC);
  TAILQ_INIT(&loop.sessions);
  vsi_mutex_init(&loop.loop_lock, VSI_LOCK_H2_LOOP);
  return v;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static uint32_t number_at(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void check_stream(peer *p, uint8_t type, uint8_t flags, uint32_t id, size_t len) {
  require(id % 2 == 1);
  if (id >= PEER_STREAMS) return;
  peer_stream *stream = &p->streams[id];
  require(stream->is_requested && !stream->is_reset);
  if (type == NGHTTP2_RST_STREAM) {
    stream->is_reset = true;
    return;
  }
  require(!stream->has_ended);
  require(type == NGHTTP2_HEADERS ? len > 0 : type == NGHTTP2_DATA && stream->has_head);
  stream->has_head = true;
  stream->statuses += type == NGHTTP2_HEADERS;
  require(stream->statuses <= 2); /* 100 Continue, and the response */
  stream->has_ended = flags & NGHTTP2_FLAG_END_STREAM;
}

static void check_frame(peer *p, const uint8_t *frame, size_t len) {
  const uint8_t type = frame[3], flags = frame[4];
  const uint32_t id = number_at(frame + 5);
  require(len <= VSI_H2_RECORD_BYTES);
  require(p->frames++ || type == NGHTTP2_SETTINGS);
  switch (type) {
  case NGHTTP2_DATA: p->data_bytes += len; require(p->data_bytes <= p->window); /* fall through */
  case NGHTTP2_HEADERS:
  case NGHTTP2_RST_STREAM: check_stream(p, type, flags, id, len); break;
  case NGHTTP2_SETTINGS: require(!id && len % 6 == 0 && (!(flags & NGHTTP2_FLAG_ACK) || !len)); break;
  case NGHTTP2_PING: require(!id && len == 8 && flags & NGHTTP2_FLAG_ACK); break;
  case NGHTTP2_GOAWAY: require(!id && len >= 8); break;
  case NGHTTP2_WINDOW_UPDATE: require(len == 4 && number_at(frame + 9) > 0); break;
  default: abort(); /* no PUSH_PROMISE, PRIORITY or CONTINUATION */
  }
}

static void check_received(peer *p) {
  size_t at = 0;
  while (p->out_len - at >= VSI_H2_FRAME_HEAD_BYTES) {
    const uint8_t *frame = p->out + at;
    const size_t len = (size_t)frame[0] << 16 | (size_t)frame[1] << 8 | frame[2];
    if (p->out_len - at < VSI_H2_FRAME_HEAD_BYTES + len) break;
    check_frame(p, frame, len);
    at += VSI_H2_FRAME_HEAD_BYTES + len;
  }
  p->out_len -= at;
  memmove(p->out, p->out + at, p->out_len);
}

static void receive(peer *p) {
  for (;;) {
    p->out = realloc(p->out, p->out_len + VSI_H2_RECORD_BYTES);
    require(p->out != NULL);
    const ssize_t got = recv(p->fd, p->out + p->out_len, VSI_H2_RECORD_BYTES, MSG_DONTWAIT);
    if (got <= 0) break;
    p->out_len += (size_t)got;
    check_received(p);
  }
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

static void end_session(peer *p) {
  if (!p->session) return;
  vsi_h2_session_end(p->session);
  p->session = NULL;
}

/* Let the session do its work until it has read all. */
static void turn(peer *p) {
  int unread = 1;
  while (p->session && unread) {
    if (!vsi_h2_session_visit(p->session)) end_session(p);
    receive(p);
    if (!p->session || ioctl(p->session->fd, FIONREAD, &unread)) unread = 0;
  }
}

void peer_send(peer *p, const void *bytes, size_t len) {
  for (const char *at = bytes; len && p->session;) {
    const ssize_t sent = send(p->fd, at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent > 0) at += sent, len -= (size_t)sent;
    turn(p);
  }
}

void peer_begin(peer *p, bool has_table) {
  static const uint8_t settings[] = {0, 0, 0, NGHTTP2_SETTINGS, 0, 0, 0, 0, 0};
  static const uint8_t confirmed[] = {0, 0, 0, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, 0, 0, 0};
  int fds[2];
  memset(p, 0, sizeof *p);
  (void)peer_vestry();
  require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  p->fd = fds[0];
  p->window = VSI_H2_WINDOW_BYTES;
  const struct sockaddr from = {.sa_family = AF_UNIX};
  /* As the acceptor counts it, and session's end gives it back. */
  vsi_microhttpd_sockets *sockets = &loop.adapter->inner->sockets;
  require(!vsi_web_addresses_enter(&sockets->addresses, vsi_address_of(&from)));
  atomic_fetch_add_explicit(&sockets->count, 1, memory_order_relaxed);
  p->session = vsi_h2_session_create(loop.adapter, fds[1], &from);
  require(p->session != NULL);
  p->session->loop = &loop;
  require(!vsi_h2_frames_begin(p->session));
  p->session->phase = VSI_H2_OPEN;
  peer_send(p, NGHTTP2_CLIENT_MAGIC, NGHTTP2_CLIENT_MAGIC_LEN);
  peer_send(p, settings, sizeof settings);
  if (!has_table) peer_send(p, confirmed, sizeof confirmed);
}

void peer_frame(peer *p, uint8_t type, uint8_t flags, uint32_t id, const void *bytes, size_t len) {
  const uint8_t head[] = {(uint8_t)(len >> 16), (uint8_t)(len >> 8), (uint8_t)len,       type,       flags,
                          (uint8_t)(id >> 24),  (uint8_t)(id >> 16), (uint8_t)(id >> 8), (uint8_t)id};
  if (id < PEER_STREAMS && type != NGHTTP2_PRIORITY && type != NGHTTP2_WINDOW_UPDATE)
    p->streams[id].is_requested = true;
  if (type == NGHTTP2_WINDOW_UPDATE && len == 4 && !id) p->window += number_at(bytes) & INT32_MAX;
  uint8_t *all = malloc(sizeof head + len);
  require(all != NULL);
  memcpy(all, head, sizeof head);
  if (len) memcpy(all + sizeof head, bytes, len);
  peer_send(p, all, sizeof head + len);
  free(all);
}

void peer_end(peer *p) {
  vestry_stats stats = {0};
  if (p->session && !vsi_h2_session_look(p->session, vsi_now_ns(vestry_parts_of(v)->host))) end_session(p);
  receive(p);
  end_session(p);
  close(p->fd);
  free(p->out);
  vestry_stats_get(v, &stats);
  require(stats.request_bytes == 0);
}
