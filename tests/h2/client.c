/* SPDX-License-Identifier: MIT */
#include "h2/client.h"

#include <ctype.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "microhttpd/tls.h"
#include "testing/contract/check.h"

enum { FIELDS_MOST = 200, READ_BYTES = 16384, TICKETS_MOST = 4, BACK_PRESSURE_MS = 500 };

typedef struct text {
  char *bytes;
  size_t at, len, capacity;
} text;

static void text_add(text *t, const void *bytes, size_t len) {
  if (t->len + len + 1 > t->capacity) {
    t->capacity = (t->len + len + 1) * 2;
    t->bytes = realloc(t->bytes, t->capacity);
    CHECK(t->bytes);
  }
  if (len) memcpy(t->bytes + t->len, bytes, len);
  t->len += len;
  t->bytes[t->len] = '\0';
}

static void text_addf(text *t, const char *format, ...) VESTRY_PRINTF(2, 3);
static void text_addf(text *t, const char *format, ...) {
  char line[16384];
  va_list arguments;
  va_start(arguments, format);
  const int len = vsnprintf(line, sizeof line, format, arguments);
  va_end(arguments);
  CHECK(len >= 0 && (size_t)len < sizeof line);
  text_add(t, line, (size_t)len);
}

typedef struct client {
  int fd;
  gnutls_session_t tls; /* NULL: plain */
  nghttp2_session *frames;
  int32_t id;        /* of the current request; 0: none */
  text in;           /* from the case, not sent yet */
  text body;         /* of the current request */
  text head;         /* of the response, until all frames of a read are known */
  text out;          /* for the case */
  size_t left;       /* bytes of the body that the case still sends */
  bool is_chunked;   /* of the request */
  bool is_in_chunk;  /* its size was read; `left` bytes of it follow */
  bool has_all;      /* the body is complete */
  bool chunks;       /* of the response */
  bool is_head_done; /* …was passed to the case */
  bool is_over;      /* the server ended the stream by a reset, or the connection */
  bool is_broken;    /* the connection was reset */
  bool goes_away;
  bool closes; /* the case wants the connection to close after the response */
} client;

/* ---- the socket -------------------------------------------------------------------------------------------------- */

static void put(client *c, const uint8_t *data, size_t len) {
  while (len && !c->is_broken) {
    const ssize_t sent = c->tls ? gnutls_record_send(c->tls, data, len) : send(c->fd, data, len, MSG_NOSIGNAL);
    if (c->tls && (sent == GNUTLS_E_AGAIN || sent == GNUTLS_E_INTERRUPTED)) continue;
    c->is_broken = sent < 0;
    data += sent > 0 ? sent : 0;
    len -= sent > 0 ? (size_t)sent : 0;
  }
}

static void flush(client *c) {
  const uint8_t *data;
  for (ssize_t len; (len = nghttp2_session_mem_send(c->frames, &data)) > 0;) put(c, data, (size_t)len);
}

/* ---- requests ---------------------------------------------------------------------------------------------------- */

static ssize_t read_body(nghttp2_session *frames, int32_t id, uint8_t *buffer, size_t capacity, uint32_t *flags,
                         nghttp2_data_source *source, void *ctx) {
  client *c = ctx;
  const size_t left = c->body.len - c->body.at, len = left < capacity ? left : capacity;
  if (len) memcpy(buffer, c->body.bytes + c->body.at, len);
  c->body.at += len;
  const bool is_last = c->has_all && len == left;
  if (is_last) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return len || is_last ? (ssize_t)len : NGHTTP2_ERR_DEFERRED;
}

static nghttp2_nv field_of(const char *name, size_t name_len, const char *value, size_t value_len) {
  return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, name_len, value_len, 0};
}

/* Send the head of a request that ends before `end`. */
static void submit(client *c, char *head, const char *end) {
  nghttp2_nv fields[FIELDS_MOST];
  size_t count = 4;
  char *method = head, *target = strchr(method, ' ') + 1, *line = strstr(target, " HTTP/1.");
  CHECK(line);
  fields[0] = field_of(":method", 7, method, (size_t)(target - 1 - method));
  fields[1] = field_of(":path", 5, target, (size_t)(line - target));
  fields[2] = field_of(":scheme", 7, c->tls ? "https" : "http", c->tls ? 5 : 4);
  fields[3] = field_of(":authority", 10, "", 0);
  c->is_chunked = c->closes = c->is_in_chunk = false;
  c->left = 0;
  for (line = strstr(line, "\r\n") + 2; line < end; line = strstr(line, "\r\n") + 2) {
    char *colon = strchr(line, ':'), *value = colon + 1 + strspn(colon + 1, " \t");
    size_t name_len = (size_t)(colon - line), value_len = (size_t)(strstr(value, "\r\n") - value);
    while (value_len && (value[value_len - 1] == ' ' || value[value_len - 1] == '\t')) value_len--;
    for (size_t i = 0; i < name_len; i++) line[i] = (char)tolower((unsigned char)line[i]);
    const nghttp2_nv field = field_of(line, name_len, value, value_len);
    if (name_len == 4 && memcmp(line, "host", 4) == 0)
      fields[3] = field_of(":authority", 10, value, value_len);
    else if (name_len == 17 && memcmp(line, "transfer-encoding", 17) == 0)
      c->is_chunked = true;
    else if (name_len == 10 && memcmp(line, "connection", 10) == 0)
      c->closes = strncasecmp(value, "close", 5) == 0;
    else
      fields[count++] = field;
    if (name_len == 14 && memcmp(line, "content-length", 14) == 0) c->left = strtoul(value, NULL, 10);
    CHECK(count < FIELDS_MOST);
  }
  const nghttp2_data_provider body = {.read_callback = read_body};
  c->has_all = !c->is_chunked && !c->left;
  c->body.at = c->body.len = 0;
  c->is_head_done = false;
  c->id = nghttp2_submit_request(c->frames, NULL, fields, count, c->has_all ? NULL : &body, NULL);
  CHECK(c->id > 0);
}

/* Take a part of a chunk of the body from what the case has sent. false: nothing more is there. */
static bool take_chunk(client *c) {
  const char *at = c->in.bytes + c->in.at;
  const size_t there = c->in.len - c->in.at, len = there < c->left ? there : c->left;
  if (!c->is_in_chunk) {
    const char *line = strstr(at, "\r\n");
    if (!line) return false;
    c->left = strtoul(at, NULL, 16);
    c->in.at = (size_t)(line + 2 - c->in.bytes);
    c->has_all = !c->left;
    c->is_in_chunk = true;
    return true;
  }
  text_add(&c->body, at, len);
  c->in.at += len;
  c->left -= len;
  if (c->left || there - len < 2) return false;
  c->in.at += 2;
  c->is_in_chunk = false;
  return true;
}

static void take_body(client *c) {
  if (c->is_chunked) {
    while ((!c->has_all || c->is_in_chunk) && take_chunk(c)) continue;
  } else {
    const size_t there = c->in.len - c->in.at, len = there < c->left ? there : c->left;
    text_add(&c->body, c->in.bytes + c->in.at, len);
    c->in.at += len;
    c->left -= len;
    c->has_all = !c->left;
  }
  (void)nghttp2_session_resume_data(c->frames, c->id);
}

/* Send what the case has given. The next request is sent after the response to the former one. */
static void proceed(client *c) {
  if (c->id && (!c->has_all || c->is_in_chunk)) take_body(c);
  while (!c->id && c->in.at < c->in.len && !c->is_over) {
    char *head = c->in.bytes + c->in.at, *end = strstr(head, "\r\n\r\n");
    if (!end) break;
    c->in.at = (size_t)(end + 4 - c->in.bytes);
    submit(c, head, end + 2);
    if (!c->has_all) take_body(c);
  }
  flush(c);
}

/* ---- responses --------------------------------------------------------------------------------------------------- */

/* Pass the head to the case. */
static void finish_head(client *c, bool has_body) {
  if (!c->head.len) return;
  const bool is_interim = strncmp(c->head.bytes, "HTTP/1.1 100", 12) == 0;
  c->chunks &= has_body && !is_interim;
  text_add(&c->out, c->head.bytes, c->head.len);
  if (c->chunks) text_addf(&c->out, "Transfer-Encoding: chunked\r\n");
  if (c->goes_away || (c->closes && !is_interim)) text_addf(&c->out, "Connection: close\r\n");
  text_addf(&c->out, "\r\n");
  c->head.len = 0;
  c->is_head_done = !is_interim;
}

static int on_header(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *ctx) {
  client *c = ctx;
  if (frame->hd.stream_id != c->id) return 0;
  if (*name == ':') {
    finish_head(c, false); /* of an interim response */
    text_addf(&c->head, "HTTP/1.1 %.*s Words\r\n", (int)value_len, (const char *)value);
    c->chunks = true;
    return 0;
  }
  if (name_len == 14 && memcmp(name, "content-length", 14) == 0) c->chunks = false;
  if (name_len == 12 && value_len == 17 && memcmp(value, "text/event-stream", 17) == 0) c->closes = true;
  text_addf(&c->head, "%.*s: %.*s\r\n", (int)name_len, (const char *)name, (int)value_len, (const char *)value);
  return 0;
}

static int on_data(nghttp2_session *frames, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *ctx) {
  client *c = ctx;
  if (id != c->id) return 0;
  finish_head(c, true);
  if (c->chunks) text_addf(&c->out, "%zx\r\n", len);
  text_add(&c->out, data, len);
  if (c->chunks) text_addf(&c->out, "\r\n");
  return 0;
}

static int on_frame(nghttp2_session *frames, const nghttp2_frame *frame, void *ctx) {
  client *c = ctx;
  if (frame->hd.type == NGHTTP2_GOAWAY) c->goes_away = true;
  return 0;
}

static int on_close(nghttp2_session *frames, int32_t id, uint32_t code, void *ctx) {
  client *c = ctx;
  if (id != c->id) return 0;
  finish_head(c, false);
  const bool is_clean = !code && c->is_head_done;
  if (is_clean && c->chunks) text_addf(&c->out, "0\r\n\r\n");
  c->is_over |= !is_clean || c->closes;
  c->id = 0;
  /* An unfinished body is not sent any more. */
  if (!c->has_all) c->in.at = c->in.len;
  c->has_all = true;
  return 0;
}

/* ---- like send and recv ------------------------------------------------------------------------------------------ */

static client *make(int fd, gnutls_session_t tls) {
  client *c = calloc(1, sizeof *c);
  nghttp2_session_callbacks *to;
  CHECK(c);
  c->fd = fd;
  c->tls = tls;
  CHECK_EQUAL(nghttp2_session_callbacks_new(&to), 0);
  nghttp2_session_callbacks_set_on_header_callback(to, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
  nghttp2_session_callbacks_set_on_frame_recv_callback(to, on_frame);
  nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
  nghttp2_option *option;
  CHECK_EQUAL(nghttp2_option_new(&option), 0);
  nghttp2_option_set_no_http_messaging(option, 1); /* the server must refuse what is wrong */
  CHECK_EQUAL(nghttp2_session_client_new2(&c->frames, to, c, option), 0);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(to);
  CHECK_EQUAL(nghttp2_submit_settings(c->frames, 0, NULL, 0), 0);
  flush(c);
  return c;
}

static struct vsi_client_tls *begin_plain(int fd) {
  return (struct vsi_client_tls *)make(fd, NULL);
}

static struct vsi_client_tls *begin_tls(int fd) {
  gnutls_session_t session = tls_connect_as(fd, "h2");
  CHECK(session);
  return (struct vsi_client_tls *)make(fd, session);
}

/* Read once from the socket. Returns like recv. */
static ssize_t read_once(client *c) {
  uint8_t bytes[READ_BYTES];
  ssize_t len = c->tls ? gnutls_record_recv(c->tls, bytes, sizeof bytes) : recv(c->fd, bytes, sizeof bytes, 0);
  for (int i = 0; c->tls && len == GNUTLS_E_AGAIN && i < TICKETS_MOST; i++) /* after a session ticket */
    len = gnutls_record_recv(c->tls, bytes, sizeof bytes);
  if (c->tls && len < 0) errno = len == GNUTLS_E_AGAIN ? EAGAIN : len == GNUTLS_E_INTERRUPTED ? EINTR : ECONNRESET;
  if (len <= 0) return len;
  CHECK(nghttp2_session_mem_recv(c->frames, bytes, (size_t)len) >= 0);
  finish_head(c, c->id != 0);
  proceed(c);
  return len;
}

static bool waits_for_frames(const client *c) {
  struct pollfd at = {.fd = c->fd, .events = POLLIN};
  return (c->tls && gnutls_record_check_pending(c->tls)) || poll(&at, 1, BACK_PRESSURE_MS) > 0;
}

static ssize_t give(struct vsi_client_tls *of, const void *data, size_t len) {
  client *c = (client *)of;
  if (c->is_broken || c->is_over) {
    errno = EPIPE;
    return -1;
  }
  text_add(&c->in, data, len);
  proceed(c);
  /* Like a socket, wait while the server opens its windows, and keep the rest if it does not. */
  while (c->id && c->body.at < c->body.len && waits_for_frames(c) && read_once(c) > 0) continue;
  return (ssize_t)len;
}

/* Give bytes of a body, and take those back that no window lets pass. */
static size_t offer(struct vsi_client_tls *of, const void *data, size_t len) {
  client *c = (client *)of;
  CHECK(!c->is_chunked && give(of, data, len) == (ssize_t)len);
  const size_t kept = c->body.len - c->body.at;
  c->body.len -= kept;
  c->left += kept;
  c->has_all = !c->left;
  return len - kept;
}

static ssize_t receive(struct vsi_client_tls *of, void *data, size_t len) {
  client *c = (client *)of;
  while (c->out.at == c->out.len && !c->is_over) {
    const ssize_t got = read_once(c);
    if (got <= 0) return got;
    if (c->goes_away && !c->id && !nghttp2_session_want_read(c->frames)) c->is_over = true;
  }
  const size_t left = c->out.len - c->out.at, part = left < len ? left : len;
  if (part) memcpy(data, c->out.bytes + c->out.at, part);
  c->out.at += part;
  if (c->out.at == c->out.len) c->out.at = c->out.len = 0;
  return (ssize_t)part;
}

static void end(struct vsi_client_tls *of) {
  client *c = (client *)of;
  nghttp2_session_del(c->frames);
  if (c->tls) gnutls_deinit(c->tls);
  free(c->in.bytes);
  free(c->body.bytes);
  free(c->head.bytes);
  free(c->out.bytes);
  free(c);
}

const vsi_client_tls_ops h2_plain_ops = {begin_plain, give, receive, end, offer};
const vsi_client_tls_ops h2_tls_ops = {begin_tls, give, receive, end, offer};
