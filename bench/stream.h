/* The far end of streams: sockets that subscribe, and a parser that follows chunks and lines as they come. */
#ifndef BENCH_STREAM_H
#define BENCH_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct bench_stream {
  int fd; /* -1: none */
  enum { STREAM_HEAD, STREAM_SIZE, STREAM_DATA, STREAM_DATA_END, STREAM_ENDED } at;
  int status;
  uint64_t chunk_left;
  char line[512]; /* the beginning of the line under way */
  size_t line_len;
  bool ended_cleanly; /* the final chunk came */
} bench_stream;

/* Called for each line of the body, cut to what `line` holds, terminated. */
typedef void (*bench_line_fn)(bench_stream *stream, const char *line, void *ctx);

/* Connect to 127.0.0.1:port (non-blocking, TCP_NODELAY) and send a GET of this path. false: errno says why. */
bool bench_stream_open(bench_stream *stream, int port, const char *path);
/* Take bytes that came. false: they are no HTTP. */
bool bench_stream_feed(bench_stream *stream, const char *data, size_t len, bench_line_fn fn, void *ctx);

/* One request on a connection of its own, blocking. Returns the status, -1 on failure; body: its answer, cut and
 * terminated, may be NULL. */
int bench_request(int port, const char *method, const char *path, const char *send, size_t send_len, char *body,
                  size_t body_capacity);
/* A number in the JSON of GET /stats, such as "open" or "store.put"; -1: none. */
int64_t bench_server_stat(int port, const char *path);

#endif
