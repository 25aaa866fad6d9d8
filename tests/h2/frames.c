/* SPDX-License-Identifier: MIT */
#include "h2/frames.h"

#include <arpa/inet.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "support/patience.h"
#include "support/test.h"

enum { HEAD_BYTES = 9 };

/* ---- sending ----------------------------------------------------------------------------------------------------- */

bool frames_put(frames_client *c, const void *data, size_t len) {
  for (const char *at = data; len;) {
    const ssize_t sent = c->tls ? gnutls_record_send(c->tls, at, len) : send(c->fd, at, len, MSG_NOSIGNAL);
    if (c->tls ? sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED : sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    at += sent;
    len -= (size_t)sent;
  }
  return true;
}

bool frames_send(frames_client *c, uint8_t type, uint8_t flags, uint32_t stream, const void *bytes, size_t len) {
  uint8_t all[HEAD_BYTES + FRAME_MOST_BYTES] = {
      (uint8_t)(len >> 16),    (uint8_t)(len >> 8),     (uint8_t)len,           type,           flags,
      (uint8_t)(stream >> 24), (uint8_t)(stream >> 16), (uint8_t)(stream >> 8), (uint8_t)stream};
  assert_true(len <= FRAME_MOST_BYTES);
  if (len) memcpy(all + HEAD_BYTES, bytes, len);
  return frames_put(c, all, HEAD_BYTES + len);
}

bool frames_send_number(frames_client *c, uint8_t type, uint32_t stream, uint32_t number) {
  const uint32_t bytes = htonl(number);
  return frames_send(c, type, 0, stream, &bytes, sizeof bytes);
}

bool frames_send_head(frames_client *c, uint32_t stream, uint8_t flags, const uint8_t *bytes, size_t len) {
  bool goes_on = true;
  for (size_t at = 0, part; goes_on && (!at || at < len); at += part) {
    part = len - at < FRAME_MOST_BYTES ? len - at : FRAME_MOST_BYTES;
    const uint8_t last = at + part == len ? FLAG_END_HEADERS : 0;
    goes_on = frames_send(c, at ? FRAME_CONTINUATION : FRAME_HEADERS, (uint8_t)(last | (at ? 0 : flags)), stream,
                          bytes + at, part);
  }
  return goes_on;
}

static size_t encode_text(uint8_t *to, const char *text) {
  const size_t len = strlen(text);
  size_t at = 0;
  if (len < 127) {
    to[at++] = (uint8_t)len;
  } else {
    to[at++] = 127;
    size_t left = len - 127;
    for (; left >= 128; left >>= 7) to[at++] = (uint8_t)(left | 128);
    to[at++] = (uint8_t)left;
  }
  memcpy(to + at, text, len);
  return at + len;
}

size_t frames_encode(uint8_t *to, size_t capacity, const char *const *fields) {
  size_t len = 0;
  for (; *fields; fields += 2) {
    assert_true(len + strlen(fields[0]) + strlen(fields[1]) + 16 < capacity);
    to[len++] = 0; /* a literal without an index */
    len += encode_text(to + len, fields[0]);
    len += encode_text(to + len, fields[1]);
  }
  return len;
}

bool frames_ask(frames_client *c, uint32_t stream, uint8_t flags, const char *const *fields) {
  uint8_t bytes[FRAME_MOST_BYTES];
  bytes[0] = 0x20; /* no table */
  const size_t len = 1 + frames_encode(bytes + 1, sizeof bytes - 1, fields);
  return frames_send(c, FRAME_HEADERS, (uint8_t)(flags | FLAG_END_HEADERS), stream, bytes, len);
}

bool frames_get(frames_client *c, uint32_t stream, const char *path) {
  const char *const fields[] = {":method", "GET", ":scheme", c->tls ? "https" : "http", ":authority", "localhost",
                                ":path",   path,  NULL};
  return frames_ask(c, stream, FLAG_END_STREAM, fields);
}

bool frames_post(frames_client *c, uint32_t stream, const char *path) {
  const char *const fields[] = {":method", "POST", ":scheme", c->tls ? "https" : "http", ":authority", "localhost",
                                ":path",   path,   NULL};
  return frames_ask(c, stream, 0, fields);
}

bool frames_open_stream(frames_client *c, uint32_t stream) {
  const char *const fields[] = {":method",          "GET",       ":scheme", c->tls ? "https" : "http",
                                ":authority",       "localhost", ":path",   "/stream",
                                "datastar-request", "true",      NULL};
  return frames_ask(c, stream, FLAG_END_STREAM, fields);
}

/* ---- life -------------------------------------------------------------------------------------------------------- */

void frames_reach(frames_client *c, uint16_t port) {
  const struct sockaddr_in to = {
      .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const struct timeval patience = {.tv_sec = PATIENCE_S};
  const int on = 1;
  memset(c, 0, sizeof *c);
  c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  assert_true(c->fd >= 0);
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  assert_int_equal(connect(c->fd, (const struct sockaddr *)&to, sizeof to), 0);
}

void frames_connect(frames_client *c, uint16_t port, uint32_t window) {
  frames_reach(c, port);
  frames_begin(c, window);
}

void frames_begin(frames_client *c, uint32_t window) {
  static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  assert_true(frames_put(c, preface, sizeof preface - 1));
  const uint8_t settings[] = {0,
                              4, /* INITIAL_WINDOW_SIZE */
                              (uint8_t)(window >> 24),
                              (uint8_t)(window >> 16),
                              (uint8_t)(window >> 8),
                              (uint8_t)window};
  assert_true(frames_send(c, FRAME_SETTINGS, 0, 0, settings, window ? sizeof settings : 0));
}

int frames_reach_tls(frames_client *c, uint16_t port, const tls_hello *hello) {
  frames_reach(c, port);
  return tls_shake(c->fd, hello, &c->tls);
}

void frames_connect_tls(frames_client *c, uint16_t port, const char *name) {
  static const char *const protocols[] = {"h2", NULL};
  assert_int_equal(frames_reach_tls(c, port, &(tls_hello){.name = name, .protocols = protocols}), 0);
  frames_begin(c, 0);
  assert_true(frames_wait(c, FRAME_SETTINGS, 0));
}

void frames_close(frames_client *c) {
  if (c->tls) gnutls_deinit(c->tls);
  close(c->fd);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

static bool get(frames_client *c, void *to, size_t len) {
  enum { TICKETS_MOST = 8 }; /* GnuTLS returns after each */
  int again = 0;
  for (char *at = to; len && !c->has_ended;) {
    const ssize_t got = c->tls ? gnutls_record_recv(c->tls, at, len) : recv(c->fd, at, len, 0);
    if (c->tls ? got == GNUTLS_E_INTERRUPTED : got < 0 && errno == EINTR) continue;
    if (c->tls && got == GNUTLS_E_AGAIN && again++ < TICKETS_MOST) continue;
    if (c->tls ? got == GNUTLS_E_AGAIN : got < 0 && errno == EAGAIN) fail_msg("no frame arrived");
    c->has_ended = got <= 0;
    at += got > 0 ? got : 0;
    len -= got > 0 ? (size_t)got : 0;
  }
  return !c->has_ended;
}

uint32_t frames_number(const uint8_t *bytes) {
  return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

bool frames_read(frames_client *c) {
  uint8_t head[HEAD_BYTES];
  frame *f = &c->last;
  if (!get(c, head, sizeof head)) return false;
  f->len = (uint32_t)head[0] << 16 | (uint32_t)head[1] << 8 | head[2];
  f->type = head[3];
  f->flags = head[4];
  f->stream = frames_number(head + 5) & INT32_MAX;
  assert_true(f->len <= FRAME_MOST_BYTES);
  if (!get(c, f->bytes, f->len)) return false;
  if (f->type == FRAME_DATA && f->stream == 1) c->first_bytes += f->len;
  if (f->type == FRAME_SETTINGS && !(f->flags & FLAG_ACK)) frames_send(c, FRAME_SETTINGS, FLAG_ACK, 0, NULL, 0);
  return true;
}

bool frames_wait(frames_client *c, uint8_t type, uint32_t stream) {
  while (frames_read(c))
    if (c->last.type == type && c->last.stream == stream) return true;
  return false;
}

/* The server's encoder has no table: the status is the static entry 8 to 14, or a literal of three digits. */
static int status_of(const frame *f) {
  static const int indexed[] = {200, 204, 206, 304, 400, 404, 500};
  for (uint32_t at = 0; at < f->len; at++) {
    if (f->bytes[at] >= 0x88 && f->bytes[at] <= 0x8e) return indexed[f->bytes[at] - 0x88];
    if (f->bytes[at] >> 5 == 1) continue; /* the size of the table */
    if (at + 4 >= f->len) break;
    if (f->bytes[at + 1] == 3)
      return atoi((const char[]){(char)f->bytes[at + 2], (char)f->bytes[at + 3], (char)f->bytes[at + 4], 0});
    /* Digits 0 to 2 have 5 bits in the Huffman code, and 3 to 9 have 6. */
    uint32_t bits = (uint32_t)f->bytes[at + 2] << 16 | (uint32_t)f->bytes[at + 3] << 8 | f->bytes[at + 4];
    int status = 0;
    for (int i = 0, left = 24; i < 3; i++) {
      const uint32_t five = bits >> (left - 5) & 31, six = bits >> (left - 6) & 63;
      left -= five <= 2 ? 5 : 6;
      status = status * 10 + (int)(five <= 2 ? five : six - 0x19 + 3);
    }
    return status;
  }
  return 0;
}

int frames_status(frames_client *c, uint32_t stream) {
  while (frames_read(c)) {
    if (c->last.type == FRAME_GOAWAY && frames_number(c->last.bytes + 4)) return -1;
    if (c->last.stream != stream) continue;
    if (c->last.type == FRAME_RST_STREAM) return 0;
    if (c->last.type == FRAME_HEADERS) return status_of(&c->last);
  }
  return -1;
}

void frames_open(frames_client *c, uint32_t stream) {
  assert_true(frames_open_stream(c, stream));
  assert_int_equal(frames_status(c, stream), 200);
}

int64_t frames_end(frames_client *c) {
  int64_t code = -1;
  while (frames_read(c))
    if (c->last.type == FRAME_GOAWAY) code = frames_number(c->last.bytes + 4);
  return code;
}
