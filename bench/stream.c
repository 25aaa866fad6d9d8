/* SPDX-License-Identifier: MIT */
#include "stream.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "client.h"

/* ---- the socket -------------------------------------------------------------------------------------------------- */

bool bench_stream_open(bench_stream *stream, const bench_subscription *how) {
  memset(stream, 0, sizeof *stream);
  stream->encoding = how->encoding;
  stream->is_websocket = how->is_websocket;
  stream->fd = bench_connect(how->port, how->source, how->receive_bytes);
  if (stream->fd < 0) return false;
  stream->decoder = bench_decoder_create(how->encoding ? how->encoding : "identity");
  if (!stream->decoder) {
    errno = ENOMEM;
    return false;
  }
  char request[2048];
  int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: 127.0.0.1\r\n%s%s%s%s%s\r\n", how->path,
                     how->is_websocket ? "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                         "Sec-WebSocket-Key: dGhlIGtleSBvZiBub2JvZA==\r\n"
                                       : "Accept: text/event-stream\r\nDatastar-Request: true\r\n",
                     how->headers ? how->headers : "", how->encoding ? "Accept-Encoding: " : "",
                     how->encoding ? how->encoding : "", how->encoding ? "\r\n" : "");
  return bench_send_all(stream->fd, request, (size_t)len) && fcntl(stream->fd, F_SETFL, O_NONBLOCK) == 0;
}

void bench_stream_finish(bench_stream *stream, bool reset) {
  struct linger now = {.l_onoff = 1, .l_linger = 0};
  if (stream->fd >= 0) {
    if (reset) setsockopt(stream->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(stream->fd);
  }
  bench_decoder_destroy(stream->decoder);
  free(stream->line);
  memset(stream, 0, sizeof *stream);
  stream->fd = -1;
}

/* ---- lines of the body ------------------------------------------------------------------------------------------- */

typedef struct feed {
  bench_stream *stream;
  bench_line_fn fn;
  void *ctx;
  bool failed;
} feed;

bool bench_stream_keep(bench_stream *stream, const char *data, size_t len) {
  if (stream->line_len + len > stream->line_capacity) {
    size_t capacity = 2 * (stream->line_len + len);
    char *line = realloc(stream->line, capacity);
    if (!line) return false;
    stream->line = line;
    stream->line_capacity = capacity;
  }
  memcpy(stream->line + stream->line_len, data, len);
  stream->line_len += len;
  return true;
}

static void give_line(feed *f, const char *line, size_t len) {
  if (len && line[len - 1] == '\r') len--;
  f->fn(f->stream, line, len, f->ctx);
}

static void take_body(const char *data, size_t len, void *ctx) {
  feed *f = ctx;
  bench_stream *stream = f->stream;
  while (len) {
    const char *end = memchr(data, '\n', len);
    if (!stream->line_len && *data == ':') stream->in_comment = true;
    size_t part = end ? (size_t)(end - data) : len;
    if (!stream->in_comment && (!end || stream->line_len) && !bench_stream_keep(stream, data, part)) {
      f->failed = true;
      return;
    }
    if (!end) return;
    if (stream->in_comment)
      stream->in_comment = false;
    else if (stream->line_len)
      give_line(f, stream->line, stream->line_len);
    else
      give_line(f, data, part);
    stream->line_len = 0;
    data += part + 1;
    len -= part + 1;
  }
}

/* ---- head and chunks --------------------------------------------------------------------------------------------- */

/* Read bytes up to the end of a line. true: head_line contains the line, terminated. Long lines are truncated. */
static bool take_line(bench_stream *stream, const char **data, size_t *len) {
  while (*len) {
    char c = *(*data)++;
    --*len;
    if (c == '\n') {
      stream->head_line[stream->head_len] = '\0';
      stream->head_len = 0;
      return true;
    }
    if (c != '\r' && stream->head_len < sizeof stream->head_line - 1) stream->head_line[stream->head_len++] = c;
  }
  return false;
}

static const char *header_value(const char *line, const char *name) {
  size_t len = strlen(name);
  if (strncasecmp(line, name, len) != 0 || line[len] != ':') return NULL;
  return line + len + 1 + strspn(line + len + 1, " \t");
}

/* Parse a line of the head. false: not the requested answer. */
static bool take_head_line(bench_stream *stream) {
  const char *line = stream->head_line, *value;
  if (!stream->status)
    return sscanf(line, "HTTP/1.%*d %d", &stream->status) == 1 && stream->status == (stream->is_websocket ? 101 : 200);
  if ((value = header_value(line, "Transfer-Encoding"))) stream->is_chunked = strcasecmp(value, "chunked") == 0;
  if ((value = header_value(line, "Content-Encoding")))
    stream->encoding_met = stream->encoding && strcasecmp(value, stream->encoding) == 0;
  if (*line) return true;
  stream->at = stream->is_websocket ? STREAM_GREETING : STREAM_BODY;
  return !stream->encoding || stream->encoding_met || strcmp(stream->encoding, "identity") == 0;
}

static bool take_chunk_line(bench_stream *stream) {
  char *end;
  if (stream->chunk == CHUNK_TAIL) {
    stream->chunk = CHUNK_SIZE;
    return !stream->head_line[0];
  }
  stream->chunk_left = strtoull(stream->head_line, &end, 16);
  if (end == stream->head_line) return false;
  stream->chunk = CHUNK_DATA;
  if (!stream->chunk_left) {
    stream->at = STREAM_ENDED;
    stream->ended_cleanly = true;
  }
  return true;
}

static bool feed_body(feed *f, const char **data, size_t *len) {
  bench_stream *stream = f->stream;
  if (stream->is_chunked && stream->chunk != CHUNK_DATA)
    return !take_line(stream, data, len) || take_chunk_line(stream);
  size_t part = stream->is_chunked && stream->chunk_left < *len ? (size_t)stream->chunk_left : *len;
  if (!bench_decoder_feed(stream->decoder, *data, part, take_body, f)) return false;
  *data += part;
  *len -= part;
  if (stream->is_chunked && !(stream->chunk_left -= part)) stream->chunk = CHUNK_TAIL;
  return !f->failed;
}

bool bench_stream_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx) {
  feed f = {stream, fn, ctx, false};
  while (len && stream->at == STREAM_HEAD)
    if (take_line(stream, &data, &len) && !take_head_line(stream)) return false;
  stream->body_bytes += len;
  if (stream->at != STREAM_HEAD && stream->is_websocket) return bench_websocket_feed(stream, data, len, fn, ctx);
  while (len && stream->at == STREAM_BODY)
    if (!feed_body(&f, &data, &len)) return false;
  return true;
}
