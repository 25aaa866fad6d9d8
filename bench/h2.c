/* SPDX-License-Identifier: MIT */
#include "h2.h"

#include <errno.h>
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

enum { RECORD_BYTES = 16384, FIELDS_MOST = 8 };
/* As Chromium has them. */
enum { STREAM_WINDOW_BYTES = 6 << 20, CONNECTION_WINDOW_BYTES = 15 << 20 };

/* A request whose answer is awaited. */
typedef struct question {
  const char *send;
  size_t send_len;
  char *body;
  size_t len, capacity;
  int status;
  bool is_over, is_clean;
} question;

struct bench_h2 {
  int fd;
  bool has_tls, is_broken;
  gnutls_session_t tls;
  nghttp2_session *frames;
  const bench_h2_events *events;
  void *ctx;    /* of the running call of bench_h2_read */
  char *unsent; /* frames that the socket did not take, or the record that GnuTLS did not send */
  size_t unsent_len;
};

/* ---- the socket -------------------------------------------------------------------------------------------------- */

/* Shared by all connections; made once. */
static gnutls_certificate_credentials_t credentials;
static gnutls_priority_t priorities;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_credentials(void) {
  gnutls_certificate_allocate_credentials(&credentials);
  gnutls_priority_init(&priorities, "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", NULL);
}

static bool shake(bench_h2 *h2) {
  const gnutls_datum_t name = {(unsigned char *)(uintptr_t) "h2", 2};
  pthread_once(&once, make_credentials);
  if (gnutls_init(&h2->tls, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL)) return false;
  gnutls_priority_set(h2->tls, priorities);
  gnutls_credentials_set(h2->tls, GNUTLS_CRD_CERTIFICATE, credentials);
  gnutls_alpn_set_protocols(h2->tls, &name, 1, GNUTLS_ALPN_MANDATORY);
  gnutls_transport_set_int(h2->tls, h2->fd);
  int error;
  do error = gnutls_handshake(h2->tls);
  while (error < 0 && !gnutls_error_is_fatal(error));
  if (error) fprintf(stderr, "vestry-bench: TLS: %s\n", gnutls_strerror(error));
  return !error;
}

/* Send bytes. Returns the number that was taken; less than len: the socket is full, or the connection is broken. */
static size_t put(bench_h2 *h2, const char *data, size_t len) {
  size_t at = 0;
  while (at < len) {
    const ssize_t sent = h2->has_tls ? gnutls_record_send(h2->tls, data + at, len - at)
                                     : send(h2->fd, data + at, len - at, MSG_NOSIGNAL);
    if (sent == (h2->has_tls ? GNUTLS_E_INTERRUPTED : -1) && (h2->has_tls || errno == EINTR)) continue;
    if (sent < 0) {
      h2->is_broken |= h2->has_tls ? sent != GNUTLS_E_AGAIN : errno != EAGAIN;
      return at;
    }
    at += (size_t)sent;
  }
  return at;
}

/* Send all frames that are due. A record that was not sent must be repeated with the same bytes, so they are kept. */
static void flush(bench_h2 *h2) {
  const uint8_t *data;
  if (h2->unsent_len) {
    const size_t taken = put(h2, h2->unsent, h2->unsent_len);
    h2->unsent_len -= taken;
    memmove(h2->unsent, h2->unsent + taken, h2->unsent_len);
  }
  for (ssize_t len; !h2->unsent_len && !h2->is_broken && (len = nghttp2_session_mem_send(h2->frames, &data)) > 0;) {
    const size_t taken = put(h2, (const char *)data, (size_t)len);
    if (taken == (size_t)len) continue;
    char *kept = realloc(h2->unsent, (size_t)len - taken);
    h2->is_broken |= !kept;
    if (!kept) return;
    h2->unsent = kept;
    h2->unsent_len = (size_t)len - taken;
    memcpy(kept, data + taken, h2->unsent_len);
  }
}

bool bench_h2_read(bench_h2 *h2, void *ctx) {
  uint8_t bytes[RECORD_BYTES];
  h2->ctx = ctx;
  while (!h2->is_broken) {
    errno = 0;
    const ssize_t len =
        h2->has_tls ? gnutls_record_recv(h2->tls, bytes, sizeof bytes) : recv(h2->fd, bytes, sizeof bytes, 0);
    if (len > 0) {
      h2->is_broken = nghttp2_session_mem_recv(h2->frames, bytes, (size_t)len) < 0;
    } else if (len < 0 && errno == EAGAIN) {
      break;
    } else if (h2->has_tls ? len != GNUTLS_E_INTERRUPTED && len != GNUTLS_E_AGAIN /* after a session ticket */
                           : !len || errno != EINTR) {
      h2->is_broken = true;
    }
  }
  flush(h2);
  return !h2->is_broken;
}

/* ---- frames ------------------------------------------------------------------------------------------------------ */

static int on_header(nghttp2_session *frames, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user) {
  const bench_h2 *h2 = user;
  void *stream = nghttp2_session_get_stream_user_data(frames, frame->hd.stream_id);
  (void)value_len, (void)flags;
  if (stream && name_len == 7 && memcmp(name, ":status", 7) == 0)
    h2->events->on_head(stream, atoi((const char *)value), h2->ctx); /* nghttp2 terminates it */
  return 0;
}

static int on_data(nghttp2_session *frames, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user) {
  const bench_h2 *h2 = user;
  void *stream = nghttp2_session_get_stream_user_data(frames, id);
  (void)flags;
  if (!stream) return 0;
  h2->events->on_bytes(stream, (const char *)data, len, h2->ctx);
  return nghttp2_session_consume(frames, id, len) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_close(nghttp2_session *frames, int32_t id, uint32_t code, void *user) {
  const bench_h2 *h2 = user;
  void *stream = nghttp2_session_get_stream_user_data(frames, id);
  if (stream) h2->events->on_end(stream, code == NGHTTP2_NO_ERROR, h2->ctx);
  return 0;
}

static bool begin_frames(bench_h2 *h2) {
  nghttp2_session_callbacks *to;
  const nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW_BYTES},
                                             {NGHTTP2_SETTINGS_HEADER_TABLE_SIZE, 0},
                                             {NGHTTP2_SETTINGS_ENABLE_PUSH, 0}};
  nghttp2_option *option;
  if (nghttp2_session_callbacks_new(&to)) return false;
  if (nghttp2_option_new(&option)) {
    nghttp2_session_callbacks_del(to);
    return false;
  }
  nghttp2_option_set_no_auto_window_update(option, 1);
  nghttp2_session_callbacks_set_on_header_callback(to, on_header);
  nghttp2_session_callbacks_set_on_data_chunk_recv_callback(to, on_data);
  nghttp2_session_callbacks_set_on_stream_close_callback(to, on_close);
  const int error = nghttp2_session_client_new2(&h2->frames, to, h2, option);
  nghttp2_option_del(option);
  nghttp2_session_callbacks_del(to);
  return !error && !nghttp2_submit_settings(h2->frames, 0, settings, sizeof settings / sizeof *settings) &&
         !nghttp2_session_set_local_window_size(h2->frames, 0, 0, CONNECTION_WINDOW_BYTES);
}

static nghttp2_nv field_of(const char *name, const char *value) {
  return (nghttp2_nv){(uint8_t *)(uintptr_t)name, (uint8_t *)(uintptr_t)value, strlen(name), strlen(value), 0};
}

static size_t begin_head(const bench_h2 *h2, const char *method, const char *path, nghttp2_nv *fields) {
  fields[0] = field_of(":method", method);
  fields[1] = field_of(":scheme", h2->has_tls ? "https" : "http");
  fields[2] = field_of(":authority", "127.0.0.1");
  fields[3] = field_of(":path", path);
  return 4;
}

/* ---- a connection ------------------------------------------------------------------------------------------------ */

bench_h2 *bench_h2_connect(int port, unsigned source, bool has_tls, const bench_h2_events *events) {
  bench_h2 *h2 = calloc(1, sizeof *h2);
  if (!h2) return NULL;
  h2->events = events;
  h2->has_tls = has_tls;
  h2->fd = bench_connect(port, source, 0);
  if (h2->fd < 0) fprintf(stderr, "vestry-bench: cannot connect to port %d: %s\n", port, strerror(errno));
  if (h2->fd >= 0 && (!has_tls || shake(h2)) && begin_frames(h2)) return h2;
  bench_h2_free(h2);
  return NULL;
}

void bench_h2_free(bench_h2 *h2) {
  const struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (!h2) return;
  if (h2->frames) nghttp2_session_del(h2->frames);
  if (h2->tls) gnutls_deinit(h2->tls);
  if (h2->fd >= 0) {
    setsockopt(h2->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(h2->fd);
  }
  free(h2->unsent);
  free(h2);
}

bool bench_h2_subscribe(bench_h2 *h2, const char *path, const char *encoding, void *stream) {
  nghttp2_nv fields[FIELDS_MOST];
  size_t count = begin_head(h2, "GET", path, fields);
  fields[count++] = field_of("accept", "text/event-stream");
  fields[count++] = field_of("datastar-request", "true");
  if (encoding) fields[count++] = field_of("accept-encoding", encoding);
  return nghttp2_submit_request(h2->frames, NULL, fields, count, NULL, stream) > 0;
}

int bench_h2_begin(bench_h2 *h2) {
  flush(h2);
  return !h2->is_broken && fcntl(h2->fd, F_SETFL, O_NONBLOCK) == 0 ? h2->fd : -1;
}

/* ---- one request ------------------------------------------------------------------------------------------------- */

static void note_head(void *stream, int status, void *ctx) {
  question *asked = stream;
  (void)ctx;
  asked->status = status;
}

static void note_bytes(void *stream, const char *data, size_t len, void *ctx) {
  question *asked = stream;
  (void)ctx;
  if (!asked->capacity) return;
  if (len > asked->capacity - 1 - asked->len) len = asked->capacity - 1 - asked->len;
  memcpy(asked->body + asked->len, data, len);
  asked->len += len;
  asked->body[asked->len] = '\0';
}

static void note_end(void *stream, bool is_clean, void *ctx) {
  question *asked = stream;
  (void)ctx;
  asked->is_over = true;
  asked->is_clean = is_clean;
}

static ssize_t give_body(nghttp2_session *frames, int32_t id, uint8_t *buffer, size_t capacity, uint32_t *flags,
                         nghttp2_data_source *source, void *user) {
  question *asked = source->ptr;
  const size_t len = asked->send_len < capacity ? asked->send_len : capacity;
  (void)frames, (void)id, (void)user;
  memcpy(buffer, asked->send, len);
  asked->send += len;
  asked->send_len -= len;
  if (!asked->send_len) *flags |= NGHTTP2_DATA_FLAG_EOF;
  return (ssize_t)len;
}

int bench_h2_request(bench_h2 *h2, const char *method, const char *path, const char *name, const char *value,
                     const char *send, size_t send_len, char *body, size_t body_capacity) {
  static const bench_h2_events notes = {note_head, note_bytes, note_end};
  question asked = {
      .send = send, .send_len = send_len, .body = body, .capacity = body ? body_capacity : 0, .status = -1};
  const nghttp2_data_provider provider = {.source.ptr = &asked, .read_callback = give_body};
  nghttp2_nv fields[FIELDS_MOST];
  uint8_t bytes[RECORD_BYTES];
  size_t count = begin_head(h2, method, path, fields);
  if (name) fields[count++] = field_of(name, value);
  h2->events = &notes;
  if (nghttp2_submit_request(h2->frames, NULL, fields, count, send_len ? &provider : NULL, &asked) < 0) return -1;
  for (flush(h2); !asked.is_over && !h2->is_broken; flush(h2)) {
    const ssize_t len =
        h2->has_tls ? gnutls_record_recv(h2->tls, bytes, sizeof bytes) : recv(h2->fd, bytes, sizeof bytes, 0);
    if (h2->has_tls ? len == GNUTLS_E_AGAIN || len == GNUTLS_E_INTERRUPTED : len < 0 && errno == EINTR) continue;
    h2->is_broken |= len <= 0 || nghttp2_session_mem_recv(h2->frames, bytes, (size_t)len) < 0;
  }
  return asked.is_over && asked.is_clean ? asked.status : -1;
}
