/* SPDX-License-Identifier: MIT */
/* The client of a stream: a socket that subscribes, and a parser for head, chunks, encoding and lines, in pieces of any
 * size. */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdint.h>

#include "decode.h"

enum { STREAM_HEAD_LINE_BYTES = 512, STREAM_FRAME_HEAD_BYTES = 10 };

typedef struct bench_stream {
  int fd; /* -1: none */
  enum { STREAM_HEAD, STREAM_GREETING /* of a websocket: before its upgrade */, STREAM_BODY, STREAM_ENDED } at;
  int status;
  bool is_websocket;
  unsigned char frame[STREAM_FRAME_HEAD_BYTES]; /* incomplete head of a frame */
  size_t frame_len;
  uint64_t frame_left; /* bytes of the payload; 0 with a complete head: the frame is complete */
  bool is_chunked;
  enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_TAIL } chunk;
  uint64_t chunk_left;
  char head_line[STREAM_HEAD_LINE_BYTES]; /* incomplete line of the head or between chunks */
  size_t head_len;
  const char *encoding; /* requested encoding; NULL: none */
  bool encoding_met;    /* the answer uses it */
  bench_decoder *decoder;
  char *line; /* incomplete line of the body */
  size_t line_len, line_capacity;
  bool in_comment;     /* the incomplete line is a comment and is skipped: a primer of brotli has 64 KB */
  uint64_t body_bytes; /* bytes on the wire: encoded, with the framing of chunks */
  bool ended_cleanly;  /* the final chunk has arrived */
} bench_stream;

/* How to subscribe. */
typedef struct bench_subscription {
  int port; /* on 127.0.0.1 */
  const char *path;
  unsigned source;      /* source address 127.0.0.1, 127.0.0.2 …: each has separate ports */
  const char *encoding; /* NULL: not requested */
  int receive_bytes;    /* SO_RCVBUF; 0: the system's */
  const char *headers;  /* further headers, complete lines with line ends; NULL: none */
  bool is_websocket;    /* a websocket of Socket.IO instead: see websocket.c */
} bench_subscription;

/* Called for each line of the body, without its end; not terminated. */
typedef void (*bench_line_fn)(bench_stream *stream, const char *line, size_t len, void *ctx);

/* Connect (non-blocking, TCP_NODELAY) and send the GET. false: errno has the reason; call finish nevertheless. */
bool bench_stream_open(bench_stream *stream, const bench_subscription *how);
/* Close the socket if there is one, optionally with a reset, and free the stream. */
void bench_stream_finish(bench_stream *stream, bool reset);
/* Parse received bytes. false: they are not the requested stream. */
bool bench_stream_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx);

/* ---- for websocket.c ---- */

/* Append to the incomplete line. false: no memory. */
bool bench_stream_keep(bench_stream *stream, const char *data, size_t len);
/* Parse bytes after the head. */
bool bench_websocket_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx);

#endif
