/* SPDX-License-Identifier: MIT */
#include "testing/contract/client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "testing/contract/check.h"

enum { SMALL_BYTES = 4096, AT_ONCE = 65536, MOST_IN_VAIN = 100000 };

const vsi_client_tls_ops *vsi_client_tls_ops_offered, *vsi_client_tls_ops_used;
const char *vsi_client_path_used;

static void connect_at(vsi_client *c, const struct sockaddr *at, socklen_t len, bool small) {
  memset(c, 0, sizeof *c);
  c->fd = socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(c->fd >= 0);
  const struct timeval patience = {.tv_sec = (time_t)vsi_patience_s};
  const int on = 1, bytes = SMALL_BYTES;
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (small) setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
  if (small) setsockopt(c->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
  if (connect(c->fd, at, len) != 0) FAIL("connect: %s", strerror(errno));
  /* Not before: with a time limit, a process that is stopped and continued gets EINTR from connect (signal(7)). */
  setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  if (vsi_client_tls_ops_used) c->tls = vsi_client_tls_ops_used->begin(c->fd);
}

void vsi_client_connect_to(vsi_client *c, const char *address, uint16_t port, bool small) {
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
  CHECK_EQUAL(inet_pton(AF_INET, address, &to.sin_addr), 1);
  connect_at(c, (const struct sockaddr *)&to, sizeof to, small);
}

void vsi_client_connect(vsi_client *c, uint16_t port, bool small) {
  if (!vsi_client_path_used) {
    vsi_client_connect_to(c, "127.0.0.1", port, small);
    return;
  }
  struct sockaddr_un to = {.sun_family = AF_UNIX};
  snprintf(to.sun_path, sizeof to.sun_path, "%s", vsi_client_path_used);
  connect_at(c, (const struct sockaddr *)&to, sizeof to, small);
}

void vsi_client_send(vsi_client *c, const void *data, size_t len) {
  for (const char *at = data; len;) {
    ssize_t sent = c->tls ? vsi_client_tls_ops_used->send(c->tls, at, len) : send(c->fd, at, len, MSG_NOSIGNAL);
    c->unsent = sent < 0 && (errno == EPIPE || errno == ECONNRESET); /* the server's response can still be read */
    if (c->unsent) return;
    if (sent < 0 && errno == EINTR) continue; /* likewise */
    if (sent < 0) FAIL("send: %s", strerror(errno));
    at += sent;
    len -= (size_t)sent;
  }
}

size_t vsi_client_offer(vsi_client *c, const void *data, size_t len) {
  size_t taken = 0;
  CHECK(!c->tls || vsi_client_tls_ops_used->offer);
  if (c->tls) return vsi_client_tls_ops_used->offer(c->tls, data, len);
  for (ssize_t n; taken < len; taken += (size_t)n)
    if ((n = send(c->fd, (const char *)data + taken, len - taken, MSG_DONTWAIT | MSG_NOSIGNAL)) <= 0) break;
  return taken;
}

void vsi_client_sendf(vsi_client *c, const char *format, ...) {
  char text[8192];
  va_list arguments;
  va_start(arguments, format);
  int len = vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  CHECK(len >= 0 && (size_t)len < sizeof text);
  vsi_client_send(c, text, (size_t)len);
}

void vsi_client_ask(vsi_client *c, uint16_t port, const char *method, const char *target, const char *headers) {
  vsi_client_connect(c, port, false);
  vsi_client_sendf(c, "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, target, headers ? headers : "");
}

void vsi_client_read(vsi_client *c) {
  if (c->ended && ++c->in_vain > MOST_IN_VAIN)
    FAIL("the server closed the connection too early; it sent \"%.4000s\"", c->text);
  if (c->ended) return;
  if (c->capacity - c->len <= AT_ONCE) {
    c->capacity = c->capacity * 2 + AT_ONCE + 1;
    c->text = realloc(c->text, c->capacity);
    CHECK(c->text);
    c->text[c->len] = '\0';
  }
  ssize_t got;
  do
    got = c->tls ? vsi_client_tls_ops_used->receive(c->tls, c->text + c->len, AT_ONCE)
                 : recv(c->fd, c->text + c->len, AT_ONCE, 0);
  while (got < 0 && errno == EINTR); /* as if the process was stopped for a moment */
  if (got > 0) {
    c->len += (size_t)got;
  } else if (got == 0 || errno == ECONNRESET) {
    c->ended = true;
    c->reset = got < 0;
  } else {
    FAIL("no byte arrived within %u s: %s; the server sent \"%s\"", vsi_patience_s, strerror(errno),
         c->text ? c->text : "");
  }
  c->text[c->len] = '\0';
}

bool vsi_client_wait(vsi_client *c, int ms) {
  struct pollfd at = {.fd = c->fd, .events = POLLIN};
  int ready;
  do ready = poll(&at, 1, ms);
  while (ready < 0 && errno == EINTR);
  return ready > 0;
}

/* Responses are large and arrive in pieces, so no function here scans all of it for each piece. (Sanitizers scan the
 * whole string in each call that takes one.) */

/* strstr in the received bytes from an offset, limited to `most` bytes. */
static const char *find(const vsi_client *c, size_t from, size_t most, const char *text) {
  if (!c->text || from > c->len) return NULL;
  return memmem(c->text + from, c->len - from < most ? c->len - from : most, text, strlen(text));
}

/* The offset of the response's body; 0: the head is incomplete. */
static size_t body_at(const vsi_client *c) {
  enum { MOST_HEAD = 65536 };
  const char *end = find(c, c->at, MOST_HEAD, "\r\n\r\n");
  return end ? (size_t)(end + 4 - c->text) : 0;
}

int vsi_client_status(vsi_client *c) {
  for (;;) {
    while (!body_at(c)) {
      if (c->ended && (!c->text || !c->text[c->at])) FAIL("the server closed the connection without an answer");
      if (c->ended) FAIL("the server closed the connection in the head of its answer: \"%s\"", c->text + c->at);
      vsi_client_read(c);
    }
    int status = 0;
    char line[16];
    snprintf(line, sizeof line, "%.*s", (int)sizeof line - 1, c->text + c->at);
    CHECK_EQUAL(sscanf(line, "HTTP/1.%*c %3d", &status), 1);
    if (status != 100) return status;
    c->at = body_at(c);
  }
}

const char *vsi_client_header(vsi_client *c, const char *name) {
  vsi_client_status(c);
  size_t name_len = strlen(name), end = body_at(c);
  const char *line = find(c, c->at, end - c->at, "\r\n") + 2;
  for (; line < c->text + end - 2; line = find(c, (size_t)(line - c->text), end, "\r\n") + 2) {
    if (strncasecmp(line, name, name_len) != 0 || line[name_len] != ':') continue;
    const char *value = line + name_len + 1;
    value += strspn(value, " ");
    snprintf(c->header, sizeof c->header, "%.*s", (int)strcspn(value, "\r"), value);
    return c->header;
  }
  return NULL;
}

static void append_body(vsi_client *c, const char *data, size_t len) {
  if (c->body_capacity - c->body_len <= len) {
    c->body_capacity = c->body_capacity * 2 + len + 1;
    c->body = realloc(c->body, c->body_capacity);
    CHECK(c->body);
  }
  if (len) memcpy(c->body + c->body_len, data, len);
  c->body_len += len;
  c->body[c->body_len] = '\0';
}

/* Take the complete chunks, and the available part of the last one, from the position of the previous call for this
 * response. Returns the end of the response, if it is complete. */
static size_t read_chunks(vsi_client *c, size_t at) {
  enum { MOST_LINE = 32 };
  if (c->whole_at < at) c->whole_at = at, c->whole_len = c->whole_count = c->part_len = 0; /* that was another one */
  c->body_len = c->whole_len + c->part_len;
  c->chunks_count = c->whole_count;
  append_body(c, "", 0);
  while (c->whole_at < c->len) {
    char line[MOST_LINE], *end = NULL;
    const char *line_end = find(c, c->whole_at, MOST_LINE - 1, "\r\n");
    if (!line_end) return 0;
    snprintf(line, sizeof line, "%.*s", (int)(line_end - c->text - (ptrdiff_t)c->whole_at), c->text + c->whole_at);
    size_t size = strtoul(line, &end, 16);
    CHECK_EQUAL(*end, 0); /* a size and nothing else */
    at = (size_t)(line_end + 2 - c->text);
    size_t there = c->len - at < size ? c->len - at : size;
    append_body(c, c->text + at + c->part_len, there - c->part_len);
    c->part_len = there;
    if (c->len - at < size + 2) return 0;
    CHECK_BYTES(c->text + at + size, "\r\n", 2);
    at += size + 2;
    if (!size) {
      c->complete = true;
      return at;
    }
    c->whole_at = at;
    c->whole_len = c->body_len;
    c->part_len = 0;
    c->whole_count = ++c->chunks_count;
  }
  return 0;
}

/* Parse the response again. Returns the offset of its end; 0: incomplete. */
static size_t parse(vsi_client *c, bool is_head) {
  int status = vsi_client_status(c);
  size_t at = body_at(c);
  c->complete = false;
  const char *encoding = vsi_client_header(c, "Transfer-Encoding");
  if (encoding && !is_head) {
    CHECK_TEXT(encoding, "chunked");
    return read_chunks(c, at);
  }
  c->body_len = c->chunks_count = 0;
  append_body(c, "", 0);
  const char *length = vsi_client_header(c, "Content-Length");
  if (is_head || status == 204 || status == 304) {
    c->complete = true;
    return at;
  }
  size_t len = length ? strtoul(length, NULL, 10) : SIZE_MAX, there = c->len - at;
  append_body(c, c->text + at, there < len ? there : len);
  c->complete = there >= len;
  return c->complete ? at + len : 0;
}

void vsi_client_expect(vsi_client *c, const char *text) {
  size_t len = strlen(text), from = 0; /* the text does not begin earlier */
  for (;;) {
    parse(c, false);
    if (memmem(c->body + from, c->body_len - from, text, len)) return;
    from = c->body_len > len ? c->body_len - len : 0;
    if (c->ended || c->complete) FAIL("the body ends without \"%s\": \"%s\"", text, c->body);
    vsi_client_read(c);
  }
}

void vsi_client_finish(vsi_client *c, bool is_head) {
  for (parse(c, is_head); !c->complete && !c->ended; parse(c, is_head)) vsi_client_read(c);
}

void vsi_client_read_all(vsi_client *c) {
  while (!c->ended) vsi_client_read(c);
  if (body_at(c)) parse(c, false);
}

void vsi_client_next(vsi_client *c) {
  vsi_client_finish(c, false);
  CHECK(c->complete);
  c->at = parse(c, false);
}

void vsi_client_shut(vsi_client *c) {
  shutdown(c->fd, SHUT_WR);
}

void vsi_client_close(vsi_client *c) {
  if (c->tls) vsi_client_tls_ops_used->end(c->tls);
  if (c->fd >= 0) close(c->fd);
  free(c->text);
  free(c->body);
  memset(c, 0, sizeof *c);
  c->fd = -1;
  c->ended = true;
}

void vsi_client_abort(vsi_client *c) {
  const struct linger now = {.l_onoff = 1, .l_linger = 0};
  setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
  vsi_client_close(c);
}
