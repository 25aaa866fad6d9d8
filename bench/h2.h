/* SPDX-License-Identifier: MIT */
/* The client's side of a connection of HTTP/2, over TLS or by prior knowledge: many streams, or one request at a
 * time. */
#ifndef BENCH_H2_H
#define BENCH_H2_H

#include <stdbool.h>
#include <stddef.h>

typedef struct bench_h2 bench_h2;

/* Functions that bench_h2_read calls; ctx is its own. */
typedef struct bench_h2_events {
  void (*on_head)(void *stream, int status, void *ctx);
  void (*on_bytes)(void *stream, const char *data, size_t len, void *ctx);
  void (*on_end)(void *stream, bool is_clean, void *ctx);
} bench_h2_events;

/* Connect to 127.0.0.1:port from 127.0.0.1 + source, and begin HTTP/2. The certificate is not checked. events:
 * borrowed. Blocks. NULL: one line on stderr has the reason. */
bench_h2 *bench_h2_connect(int port, unsigned source, bool has_tls, const bench_h2_events *events);
/* Reset the connection, and free. NULL is accepted. */
void bench_h2_free(bench_h2 *h2);

/* Request a stream, now or when the server's SETTINGS permit it. encoding: NULL: none. stream: for the events; NULL: it
 * is never read, so its window is not opened again. false: no memory. */
bool bench_h2_subscribe(bench_h2 *h2, const char *path, const char *encoding, void *stream);
/* Send the requests, and make the socket non-blocking. Returns the socket, for an epoll; -1: the connection failed. */
int bench_h2_begin(bench_h2 *h2);
/* Read and process all that has arrived, and send what is due. false: the connection has ended. */
bool bench_h2_read(bench_h2 *h2, void *ctx);

/* Send a request on a connection without streams, blocking. name and value: a further field; NULL: none. Returns the
 * status, -1 on failure. body: receives the answer, truncated and terminated; may be NULL. */
int bench_h2_request(bench_h2 *h2, const char *method, const char *path, const char *name, const char *value,
                     const char *send, size_t send_len, char *body, size_t body_capacity);

#endif
