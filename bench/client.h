/* SPDX-License-Identifier: MIT */
/* Requests to a server on this machine. */
#ifndef BENCH_CLIENT_H
#define BENCH_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Connect to 127.0.0.1:port (TCP_NODELAY) from 127.0.0.1 + source. receive_bytes is SO_RCVBUF, 0: the system's. -1:
 * errno has the reason. */
int bench_connect(int port, unsigned source, int receive_bytes);
bool bench_send_all(int fd, const char *data, size_t len);
/* Copy the text after `before`, up to one of the bytes of `end`. false: there is none, or it does not fit. */
bool bench_cut(const char *from, const char *before, const char *end, char *text, size_t capacity);

/* A connection that is kept between requests. */
typedef struct bench_client {
  int port, fd; /* fd -1: none yet */
} bench_client;

/* Send a POST, blocking. headers: complete lines with line ends, "" for none. Returns the status, -1 on failure. If a
 * kept connection returns nothing, its server has ended it, and the request is repeated on a new one. */
int bench_post(bench_client *client, const char *path, const char *headers, const char *body, size_t len);
void bench_client_finish(bench_client *client);

/* Send a request on a new connection, blocking. Returns the status, -1 on failure. body: receives the answer, truncated
 * and terminated; may be NULL. */
int bench_request(int port, const char *method, const char *path, const char *send, size_t send_len, char *body,
                  size_t body_capacity);
/* Return a number of this JSON, for example "open" or "store.put"; -1: none. */
int64_t bench_stat_of(const char *json, const char *path);
/* Return a number of the JSON of GET /stats. */
int64_t bench_server_stat(int port, const char *path);

#endif
