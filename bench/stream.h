/* SPDX-License-Identifier: MIT */
/* The far end of a stream: a socket that subscribes, and a parser that follows head, chunks, encoding and lines as they
 * come, however they are cut. */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdint.h>

#include "decode.h"

enum { STREAM_HEAD_LINE_BYTES = 512, STREAM_FRAME_HEAD_BYTES = 10 };

typedef struct bench_stream {
  int fd; /* -1: none */
  enum { STREAM_HEAD, STREAM_GREETING /* of a websocket: it is none yet */, STREAM_BODY, STREAM_ENDED } at;
  int status;
  bool is_websocket;
  unsigned char frame[STREAM_FRAME_HEAD_BYTES]; /* the head of a frame under way */
  size_t frame_len;
  uint64_t frame_left; /* of its payload; 0 with a whole head: it is done with */
  bool is_chunked;
  enum { CHUNK_SIZE, CHUNK_DATA, CHUNK_TAIL } chunk;
  uint64_t chunk_left;
  char head_line[STREAM_HEAD_LINE_BYTES]; /* the beginning of a line under way, of the head or between chunks */
  size_t head_len;
  const char *encoding; /* asked for; NULL: none */
  bool encoding_met;    /* the answer has it */
  bench_decoder *decoder;
  char *line; /* the beginning of a line of the body that did not come whole */
  size_t line_len, line_capacity;
  bool in_comment;     /* the line under way is one, which nobody wants: a primer of brotli's is 64 KB */
  uint64_t body_bytes; /* that came, as they were on the wire: encoded, with chunks' sizes */
  bool ended_cleanly;  /* the final chunk came */
} bench_stream;

/* How to subscribe. */
typedef struct bench_subscription {
  int port; /* on 127.0.0.1 */
  const char *path;
  unsigned source;      /* which of the addresses 127.0.0.1, 127.0.0.2 … to come from: each has ports of its own */
  const char *encoding; /* NULL: what is not asked for */
  int receive_bytes;    /* SO_RCVBUF; 0: the system's */
  const char *headers;  /* more of them, whole lines with their ends; NULL: none */
  bool is_websocket;    /* of Socket.IO instead: see websocket.c */
} bench_subscription;

/* Called for each line of the body, without its end; not terminated. */
typedef void (*bench_line_fn)(bench_stream *stream, const char *line, size_t len, void *ctx);

/* Connect (non-blocking, TCP_NODELAY) and send the GET. false: errno says why; finish it all the same. */
bool bench_stream_open(bench_stream *stream, const bench_subscription *how);
/* Close the socket if there is one, by a reset if so wished, and free. */
void bench_stream_finish(bench_stream *stream, bool reset);
/* Take bytes that came. false: they are not what was asked for. */
bool bench_stream_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx);

/* ---- for websocket.c ---- */

/* Add to the line under way. false: no memory. */
bool bench_stream_keep(bench_stream *stream, const char *data, size_t len);
/* What comes behind the head. */
bool bench_websocket_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx);

#endif
